/* How libev is configured when it is compiled into _ev.
 *
 * libev's configure script would write this file. Everything that configure
 * would look for is a fact of the platform, so the preprocessor can tell: no
 * script runs at build time. Included by shim.c, before ev.c, and by nothing
 * else.
 */
#ifndef MOOD_CONFIG_H
#define MOOD_CONFIG_H

#define EV_STANDALONE 1 /* no config.h but this one */
#define EV_COMPAT3 0    /* no pre-4.0 names, which clash with everything */
#define EV_MULTIPLICITY 1

#define EV_USE_SELECT 1
#define EV_USE_POLL 1
#define EV_USE_NANOSLEEP 1
#define EV_USE_MONOTONIC 1
#define EV_USE_REALTIME 1
#define EV_USE_FLOOR 1

#if defined(__linux__)
#define EV_USE_EPOLL 1
#define EV_USE_LINUXAIO 1
#define EV_USE_IOURING 1
#define EV_USE_INOTIFY 1
#define EV_USE_EVENTFD 1
#define EV_USE_SIGNALFD 1
#define EV_USE_TIMERFD 1
#endif

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || \
    defined(__OpenBSD__) || defined(__DragonFly__)
#define EV_USE_KQUEUE 1
#endif

#if defined(__sun)
#define EV_USE_PORT 1
#endif

/* libev's own choice for x86-64 is mfence, which takes twice as long as what compilers
 * know by now, and each iteration has one. */
#if defined(__GNUC__)
#define ECB_MEMORY_FENCE __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define ECB_MEMORY_FENCE_ACQUIRE __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define ECB_MEMORY_FENCE_RELEASE __atomic_thread_fence(__ATOMIC_RELEASE)
#define ECB_MEMORY_FENCE_RELAXED __atomic_thread_fence(__ATOMIC_RELAXED)
#endif

#endif
