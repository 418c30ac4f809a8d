"""libev's constants: read from C, never retyped. Imported by every module."""

from __future__ import annotations

from mood_event._ffi import lib

# See _dispatch.py: it takes long to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "EVBACKEND_ALL",
    "EVBACKEND_DEVPOLL",
    "EVBACKEND_EPOLL",
    "EVBACKEND_IOURING",
    "EVBACKEND_KQUEUE",
    "EVBACKEND_LINUXAIO",
    "EVBACKEND_MASK",
    "EVBACKEND_POLL",
    "EVBACKEND_PORT",
    "EVBACKEND_SELECT",
    "EVBREAK_ALL",
    "EVBREAK_ONE",
    "EVFLAG_AUTO",
    "EVFLAG_FORKCHECK",
    "EVFLAG_NOENV",
    "EVFLAG_NOINOTIFY",
    "EVFLAG_NOSIGMASK",
    "EVFLAG_NOTIMERFD",
    "EVFLAG_SIGNALFD",
    "EVRUN_NOWAIT",
    "EVRUN_ONCE",
    "EV_ASYNC",
    "EV_CHECK",
    "EV_CHILD",
    "EV_CLEANUP",
    "EV_CUSTOM",
    "EV_EMBED",
    "EV_ERROR",
    "EV_FORK",
    "EV_IDLE",
    "EV_IO",
    "EV_MAXPRI",
    "EV_MINPRI",
    "EV_PERIODIC",
    "EV_PREPARE",
    "EV_READ",
    "EV_SIGNAL",
    "EV_STAT",
    "EV_TIMER",
    "EV_WRITE",
]

# Event bits: what a callback receives, and what an Io watches.
EV_READ: Final[int] = lib.EV_READ
"""A descriptor is readable: reading will not block. The same bit as `EV_IO`."""
EV_WRITE: Final[int] = lib.EV_WRITE
"""A descriptor is writable: some bytes at least can be written."""
EV_IO: Final[int] = lib.EV_IO
"""Another name of `EV_READ`."""
EV_TIMER: Final[int] = lib.EV_TIMER
"""A `Timer` has timed out."""
EV_PERIODIC: Final[int] = lib.EV_PERIODIC
"""A `Periodic` or a `Scheduler` has triggered."""
EV_SIGNAL: Final[int] = lib.EV_SIGNAL
"""The signal of a `Signal` watcher has come, once or more often."""
EV_CHILD: Final[int] = lib.EV_CHILD
"""The status of a `Child` watcher's process has changed."""
EV_STAT: Final[int] = lib.EV_STAT
"""What `os.lstat` says of a `Stat` watcher's path has changed."""
EV_IDLE: Final[int] = lib.EV_IDLE
"""An `Idle` watcher has found nothing better to do."""
EV_PREPARE: Final[int] = lib.EV_PREPARE
"""The loop is about to wait for events: for `Prepare` watchers."""
EV_CHECK: Final[int] = lib.EV_CHECK
"""The loop has waited for events: for `Check` watchers."""
EV_EMBED: Final[int] = lib.EV_EMBED
"""The loop of an `Embed` watcher needs attention."""
EV_FORK: Final[int] = lib.EV_FORK
"""The loop goes on in the child of a fork: for `Fork` watchers."""
EV_CLEANUP: Final[int] = lib.EV_CLEANUP
"""The loop is being closed: for `Cleanup` watchers."""
EV_ASYNC: Final[int] = lib.EV_ASYNC
"""`Async.send` was called, once or more often."""
EV_CUSTOM: Final[int] = lib.EV_CUSTOM
"""Never sent by libev: for the program's own use, with `Watcher.feed`."""
EV_ERROR: Final[int] = lib.EV_ERROR
"""The watcher cannot go on, as its descriptor was closed, and has been stopped.

No callback receives it: `Loop.start` raises an exception in its place, an OSError
where there is an errno.
"""

# The range of priorities.
EV_MINPRI: Final[int] = lib.EV_MINPRI
"""The lowest priority of a watcher, -2."""
EV_MAXPRI: Final[int] = lib.EV_MAXPRI
"""The highest priority of a watcher, 2."""

# Flags of Loop and default_loop.
EVFLAG_AUTO: Final[int] = lib.EVFLAG_AUTO
"""The default, 0: the best of libev's recommended backends."""
EVFLAG_NOENV: Final[int] = lib.EVFLAG_NOENV
"""Do not look at the environment variable `LIBEV_FLAGS`.

Without it, and unless the program is setuid or setgid, a number in that variable
replaces all other flags.
"""
EVFLAG_FORKCHECK: Final[int] = lib.EVFLAG_FORKCHECK
"""Look for a fork in each iteration, by the process's id.

It is needed only for forks that Python knows nothing of: after `os.fork` loops are
reset in any case.
"""
EVFLAG_NOINOTIFY: Final[int] = lib.EVFLAG_NOINOTIFY
"""`Stat` watchers do not use inotify: they look again and again."""
EVFLAG_SIGNALFD: Final[int] = lib.EVFLAG_SIGNALFD
"""Receive signals by `signalfd` where there is one, and block them otherwise.

A signal that is watched stays blocked in the thread that started the watcher, and in
processes that it makes.
"""
EVFLAG_NOSIGMASK: Final[int] = lib.EVFLAG_NOSIGMASK
"""Leave the signal mask alone, says libev's manual.

libev 4.33 has it the wrong way around: a signal is unblocked only if this flag is
given. Unblock signals with `signal.pthread_sigmask` if they may be blocked.
"""
EVFLAG_NOTIMERFD: Final[int] = lib.EVFLAG_NOTIMERFD
"""Do not use a `timerfd` to notice that the system's clock was set.

It takes a descriptor as soon as there is a `Periodic` or a `Scheduler`. Without it,
a clock that was set is noticed when the loop wakes up next, within a minute.
"""

# Backends: flags as well.
EVBACKEND_SELECT: Final[int] = lib.EVBACKEND_SELECT
"""`select`: everywhere. Fast with few descriptors of low numbers.

Each wait takes time for all descriptors up to the highest one.
"""
EVBACKEND_POLL: Final[int] = lib.EVBACKEND_POLL
"""`poll`: everywhere. As `select`, without regard to the numbers.

Each wait takes time for all descriptors that are watched.
"""
EVBACKEND_EPOLL: Final[int] = lib.EVBACKEND_EPOLL
"""`epoll`: Linux. Waits take time for the active descriptors only.

To watch a descriptor, or to watch it for something else, takes a system call.
"""
EVBACKEND_KQUEUE: Final[int] = lib.EVBACKEND_KQUEUE
"""`kqueue`: macOS and the BSDs. Scales as epoll does.

libev recommends it on few systems, as it does not work with all descriptors on the
others; there it can be embedded (see `Embed`) for sockets.
"""
EVBACKEND_DEVPOLL: Final[int] = lib.EVBACKEND_DEVPOLL
"""`/dev/poll` of Solaris 8. libev has only reserved the bit."""
EVBACKEND_PORT: Final[int] = lib.EVBACKEND_PORT
"""Event ports: Solaris 10.

A system call per active descriptor and iteration; embeddable.
"""
EVBACKEND_LINUXAIO: Final[int] = lib.EVBACKEND_LINUXAIO
"""Linux AIO, from Linux 4.19 on. Experimental in libev, and never a default.

Used only if it is the only backend in the flags.
"""
EVBACKEND_IOURING: Final[int] = lib.EVBACKEND_IOURING
"""io_uring, from Linux 5.6.1 on. Experimental in libev, and never a default.

Used only if there is no other backend in the flags, but for `EVBACKEND_LINUXAIO`.
"""
EVBACKEND_ALL: Final[int] = lib.EVBACKEND_ALL
"""All backends, also those that libev does not recommend.

As flags it does not choose the two experimental ones. To leave one out:
`EVBACKEND_ALL & ~EVBACKEND_KQUEUE`.
"""
EVBACKEND_MASK: Final[int] = lib.EVBACKEND_MASK
"""No backend, but all the bits that are for backends, to mask flags with."""

# Flags of Loop.start.
EVRUN_NOWAIT: Final[int] = lib.EVRUN_NOWAIT
"""Look for events and deliver what is there, without waiting."""
EVRUN_ONCE: Final[int] = lib.EVRUN_ONCE
"""Wait for events once, and deliver what is there then.

What ends the wait may be something of libev's own, so no callback has to be called.
"""

# What Loop.stop stops.
EVBREAK_ONE: Final[int] = lib.EVBREAK_ONE
"""The innermost `Loop.start` returns."""
EVBREAK_ALL: Final[int] = lib.EVBREAK_ALL
"""All nested calls of `Loop.start` return."""
