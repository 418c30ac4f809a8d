/* The shim between libev and Python: everything that has to happen in C.
 *
 * Compiled by build_ffi.py as part of the module _ev; nothing else includes it.
 * It must never touch Python's C API (the module is one file for every CPython
 * and for PyPy), nor libev's internals (the system's libev has to do as well).
 *
 * How an event travels. libev calls on_invoke_pending where it would invoke
 * what is pending. collect() lets libev do that, with on_event as the callback
 * of every watcher: on_event invokes nothing, it appends (slot, revents) to the
 * loop's ready queue, so the queue has libev's own order. deliver() then makes
 * one call into Python for the whole queue. What Python does to a watcher that
 * is still in the queue, it does through the functions below: stop and clear
 * take it out again (forget), and whatever could change the order, a feed or a
 * nested run, first gives the undelivered rest back to libev (spill), whose own
 * rules then hold. Delivering one by one or in a batch is so the same to a
 * caller.
 */
#include <errno.h>
#include <fcntl.h>
#if defined(__APPLE__)
#include <malloc/malloc.h>
#define malloc_usable_size malloc_size
#elif defined(__FreeBSD__)
#include <malloc_np.h>
#elif defined(__linux__)
#include <malloc.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if MOOD_LIBEV_BUNDLED
#include "config.h"
#define EV_API_STATIC 1
#if defined(__linux__)
#include <sys/epoll.h>
/* libev has the kernel wait for a minute at most, to learn of a clock that was set. That
 * is of interest to periodic watchers alone, and a wait without an end takes Linux 90 ns
 * less, even one that is over at once. */
#define epoll_wait(fd, events, room, ms)                                       \
    epoll_wait(fd, events, room,                                               \
               (int)(ms) && !timercnt && !periodiccnt ? -1 : (int)(ms))
#endif
#include "ev.c"
#undef epoll_wait
#else
#define EV_COMPAT3 0
#include <ev.h>
#endif

#include "shim.h"

static void mood_on_batch(int loop, int retired);
static void mood_on_event(int loop, int slot, int revents);
static void mood_on_callback(int loop);
static void mood_on_error(int loop, int slot, int errnum);
static void mood_on_signal(int loop);
static void mood_on_spill(int loop);
static void mood_on_failed(int loop);
static int mood_on_wait(int loop, double limit);
static double mood_on_reschedule(int loop, int slot, double now);

/* -- the process -------------------------------------------------------------- */

/* Signals belong to the process, and loops may run in many threads. */
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;

static struct mood_signal_use {
    struct mood_loop *loop;
    int watchers;
    struct sigaction before; /* what the program had */
    struct sigaction libevs; /* what libev put there */
    int blocked;             /* was the signal blocked before */
} signal_uses[NSIG];

/* The loop that this thread runs, and the one that it collects events of. */
static __thread struct mood_loop *running, *collecting;

static int exiting;
static pthread_t exiting_thread;

/* From here on Python may go away under the other threads: they must not call
 * it again. Called by atexit, in the thread that finalizes the interpreter. */
static void mood_exit(void)
{
    exiting_thread = pthread_self();
    __atomic_store_n(&exiting, 1, __ATOMIC_SEQ_CST);
}

static int python_is_gone(void)
{
    return __atomic_load_n(&exiting, __ATOMIC_RELAXED) &&
           !pthread_equal(exiting_thread, pthread_self());
}

/* libev gave up on a system call. Its own answer is abort(). */
static void on_syserr(const char *msg) EV_NOEXCEPT
{
    (void)msg;
    if (running) {
        running->failure = errno ? -errno : -EIO;
        ev_break(running->ev, EVBREAK_ALL);
    }
}

static const char *mood_version(void) { return MOOD_EVENT_VERSION; }

static const char *mood_libev_origin(void) { return MOOD_LIBEV_ORIGIN; }

static int mood_debug(void)
{
#ifdef MOOD_EVENT_DEBUG
    return 1;
#else
    return 0;
#endif
}

/* -- memory ------------------------------------------------------------------- */

/* libev aborts when it is given no memory, so it is given some: of a block that is
 * kept for that. Then everything that can make libev ask for more is refused, until
 * there is such a block again. What libev asks for in one call or one iteration are
 * arrays of its own, each up to twice as large as it was.
 *
 * Pieces of a block that has been tapped are freed together, with the last one. */
static struct reserve {
    struct reserve *next;
    size_t size, used;
    int pieces;
    _Alignas(max_align_t) char bytes[];
} *reserve, *tapped;

/* In front of a piece. */
typedef union piece {
    size_t size;
    max_align_t aligned;
} piece;

static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t largest_array, wanted_reserve = 65536;
static int is_short; /* of memory: there is no block, or too small a one */

/* With the lock: where the block is that `p` is a piece of, or NULL is. */
static struct reserve **reserve_of(const void *p)
{
    struct reserve **at = &tapped;

    while (*at && ((const char *)p < (*at)->bytes ||
                   (const char *)p >= (*at)->bytes + (*at)->size))
        at = &(*at)->next;
    return at;
}

/* Have a block of `size` at least. */
static void want_reserve(size_t size)
{
    pthread_mutex_lock(&memory_lock);
    while (size > wanted_reserve)
        wanted_reserve *= 2;
    if (!reserve || reserve->size < wanted_reserve) {
        struct reserve *r = malloc(sizeof *r + wanted_reserve);

        if (r) {
            memset(r, 0, sizeof *r);
            r->size = wanted_reserve;
            free(reserve);
            reserve = r;
        }
        __atomic_store_n(&is_short, !r, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&memory_lock);
}

/* Is there no memory to be set aside? Asked before libev may want some. */
static int no_memory(void)
{
    if (__atomic_load_n(&is_short, __ATOMIC_RELAXED))
        want_reserve(0);
    return __atomic_load_n(&is_short, __ATOMIC_RELAXED);
}

/* With the lock: make `old`, or a new piece, one of `size`; NULL: there is no room. */
static piece *tap(struct reserve *r, piece *old, size_t size)
{
    size_t rounded = (size + sizeof(piece) - 1) / sizeof(piece) * sizeof(piece);
    size_t used = r->used;

    if (old) {
        size_t old_end = (size_t)((char *)(old + 1) - r->bytes) +
                         (old->size + sizeof(piece) - 1) / sizeof(piece) *
                             sizeof(piece);

        if (old_end != used)
            return NULL;
        used = (size_t)((char *)old - r->bytes);
    }
    if (r->size - used < sizeof(piece) + rounded)
        return NULL;
    if (!old) {
        old = (piece *)(void *)(r->bytes + used);
        r->pieces++;
    }
    old->size = size;
    r->used = used + sizeof(piece) + rounded;
    return old;
}

/* realloc, and free for size 0, by pieces: there is no other memory, or `old` is
 * one. */
static void *realloc_piece(void *old, size_t size)
{
    struct reserve **owner;
    size_t old_size = 0;
    piece *p = NULL;
    void *result = NULL;

    pthread_mutex_lock(&memory_lock);
    owner = reserve_of(old);
    if (old)
        old_size = *owner ? ((piece *)old)[-1].size : malloc_usable_size(old);
    if (size) {
        if (*owner && (p = tap(*owner, (piece *)old - 1, size))) {
            pthread_mutex_unlock(&memory_lock);
            return old;
        }
        if (*owner)
            result = malloc(size);
        if (!result && tapped)
            p = tap(tapped, NULL, size);
        if (!result && !p && reserve) {
            reserve->next = tapped;
            tapped = reserve;
            reserve = NULL;
            owner = reserve_of(old);
            p = tap(tapped, NULL, size);
        }
        if (p)
            result = p + 1;
        if (!reserve)
            __atomic_store_n(&is_short, 1, __ATOMIC_RELAXED);
        if (!result) {
            pthread_mutex_unlock(&memory_lock);
            return NULL;
        }
    }
    if (old) {
        struct reserve *r = *owner;

        if (result)
            memcpy(result, old, old_size < size ? old_size : size);
        if (!r)
            free(old);
        else if (!--r->pieces) {
            *owner = r->next;
            free(r);
        }
    }
    pthread_mutex_unlock(&memory_lock);
    return result;
}

/* libev's allocator. */
static void *on_realloc(void *old, long size) EV_NOEXCEPT
{
    void *p;

    if (old && __atomic_load_n(&tapped, __ATOMIC_ACQUIRE)) {
        int is_piece;

        pthread_mutex_lock(&memory_lock);
        is_piece = *reserve_of(old) != NULL;
        pthread_mutex_unlock(&memory_lock);
        if (is_piece)
            return realloc_piece(old, (size_t)size);
    }
    if (!size) {
        free(old);
        return NULL;
    }
    p = realloc(old, (size_t)size);
    if (!p)
        return realloc_piece(old, (size_t)size);
    if ((size_t)size > __atomic_load_n(&largest_array, __ATOMIC_RELAXED)) {
        __atomic_store_n(&largest_array, (size_t)size, __ATOMIC_RELAXED);
        /* Twice for the events that are due, and half of that for their order. */
        want_reserve(3 * (size_t)size);
    }
    return p;
}

/* -- the table of watcher types ------------------------------------------------ */

typedef void (*mood_change)(struct ev_loop *, void *);

#define MOOD_WATCHER(name, event, params, args, ...)                           \
    static void start_##name(struct ev_loop *ev, void *w)                      \
    {                                                                          \
        ev_##name##_start(ev, (struct ev_##name *)w);                          \
    }                                                                          \
    static void stop_##name(struct ev_loop *ev, void *w)                       \
    {                                                                          \
        ev_##name##_stop(ev, (struct ev_##name *)w);                           \
    }
/* ev_child_start serves libev's default loop only, whose reaper takes the exit
 * statuses of every child of the process. A Child is reaped here (on_sigchld);
 * all it needs of libev is to be active and to count as a reference, which an
 * async watcher nobody sends to has. ev_any_watcher makes the structs agree in
 * the fields that this touches. */
#define ev_child_start(ev, w) ev_async_start((ev), (struct ev_async *)(void *)(w))
#define ev_child_stop(ev, w) ev_async_stop((ev), (struct ev_async *)(void *)(w))
#define ev_embed_start start_embedding
#define ev_embed_stop stop_embedding
static void start_embedding(struct ev_loop *ev, ev_embed *w);
static void stop_embedding(struct ev_loop *ev, ev_embed *w);
#include "cdef.h"
#undef MOOD_WATCHER
#undef ev_child_start
#undef ev_child_stop
#undef ev_embed_start
#undef ev_embed_stop

static const struct mood_type {
    mood_change start, stop;
} types[MOOD_TYPES] = {
#define MOOD_WATCHER(name, event, params, args, ...) {start_##name, stop_##name},
#include "cdef.h"
#undef MOOD_WATCHER
};

/* Python allocates a watcher's struct, zeroed, and has it made when it is first needed.
 * One that it has discarded is not made any more. */
static int is_made(const void *p)
{
    const mood_watcher *w = p;

    return w && w->loop && !w->discarded;
}

static ev_watcher *watcher_ev(mood_watcher *w)
{
    return (ev_watcher *)(void *)(w + 1);
}

/* How many references libev takes for an active one: an ev_embed starts three
 * watchers of libev's with it, what an ev_cleanup takes libev gives back. */
static int references(const mood_watcher *w)
{
    return w->type == MOOD_TYPE_embed ? 4 : w->type != MOOD_TYPE_cleanup;
}

static void unkeep(mood_watcher *w)
{
    for (int i = references(w); i--;)
        ev_unref(w->loop->ev);
    w->loop->unkept += references(w);
    w->loop->has_fewer = 1;
    w->unrefed = 1;
}

static void rekeep(mood_watcher *w)
{
    if (!w->unrefed)
        return;
    for (int i = references(w); i--;)
        ev_ref(w->loop->ev);
    w->loop->unkept -= references(w);
    w->unrefed = 0;
}

/* -- the ready queue ------------------------------------------------------------ */

static int is_ready(const mood_watcher *w)
{
    const struct mood_loop *l = w->loop;

    /* Nobody clears w->ready: only an entry that points back makes it true. */
    return w->ready < l->count && l->ready[w->ready] == w;
}

/* Take a watcher out of the queue, so that it is not invoked for this event. */
static int forget(mood_watcher *w)
{
    struct mood_loop *l = w->loop;

    if (!is_ready(w))
        return 0;
    l->ready[w->ready] = NULL;
    l->events[2 * w->ready] = 0;
    return MOOD_FORGOTTEN * (w->ready + 1);
}

/* Give the queue from `position` on back to libev. Newest first: libev invokes
 * what was fed last, first. */
static int mood_spill(struct mood_loop *l, int position)
{
    int i = l->count;

    l->count = 0;
    while (i-- > position)
        if (l->ready[i])
            ev_feed_event(l->ev, watcher_ev(l->ready[i]), l->events[2 * i + 1]);
    return 0;
}

/* Called before anything that has libev's order or libev's pending state for
 * its subject. Only Python knows how much of a batch it has delivered. */
static void settle(struct mood_loop *l)
{
    if (l->count && !python_is_gone()) {
        if (l->collecting)
            mood_spill(l, 0);
        else
            mood_on_spill(l->id);
    }
}

/* May Python be called for the loop's events? */
static int is_broken(const struct mood_loop *l)
{
    return l->broken || python_is_gone();
}

static void begin_delivery(struct mood_loop *l, struct mood_delivery *d, int slot)
{
    d->slot = slot;
    d->outer = l->delivery;
    l->delivery = d;
}

/* Not if this is the child of a fork by now: the outer ones were another thread's. */
static void end_delivery(struct mood_loop *l, struct mood_delivery *d)
{
    if (l->delivery == d)
        l->delivery = d->outer;
}

/* Give the queue to Python. */
static void deliver(struct mood_loop *l)
{
    int count = l->count, retired = l->nretired;

    if (is_broken(l))
        mood_spill(l, 0);
    else if (count == 1 && !retired) {
        l->count = 0;
        if (l->events[0]) {
            struct mood_delivery delivery;

            begin_delivery(l, &delivery, l->events[0]);
            mood_on_event(l->id, l->events[0], l->events[1]);
            end_delivery(l, &delivery);
        }
    } else if (count) {
        mood_on_batch(l->id, retired);
        l->count = 0;
    }
    l->delivered |= count;
    /* An embedded loop's callbacks can give work to whoever has the outer one polled. */
    if (running)
        running->delivered |= count;
}

/* Deliver what has been collected so far, in the middle of collecting. */
static void flush(struct mood_loop *l)
{
    struct mood_loop *outer = collecting;
    int was_collecting = l->collecting;

    collecting = NULL;
    l->collecting = 0;
    deliver(l);
    l->collecting = was_collecting;
    collecting = outer;
}

/* libev has stopped a watcher: once its event is delivered, nothing needs its slot. */
static void note_retired(mood_watcher *w)
{
    struct mood_loop *l = w->loop;

    l->has_fewer = 1;
    if (w->unrefed)
        rekeep(w);
    if (!l->retiring[w->slot]) {
        l->retiring[w->slot] = 1;
        l->retired[l->nretired++] = w->slot;
    }
}

/* Keep an event for whoever has the loop run. What there is no room for comes again,
 * as long as the descriptor is ready. One that libev has given up, since it is
 * closed, comes once: whoever then uses it learns of it. */
static void gather(struct mood_loop *l, int fd, int revents)
{
    int i = l->ngathered;

    /* A nested run has had it before. */
    while (l->running > 1 && i--)
        if (l->gathered[2 * i] == fd) {
            l->gathered[2 * i + 1] |= revents;
            return;
        }
    if (l->ngathered < l->room) {
        l->gathered[2 * l->ngathered] = fd;
        l->gathered[2 * l->ngathered + 1] = revents;
        l->ngathered++;
    }
}

/* Whoever has stopped a watcher that gathers may have closed its descriptor, and have
 * another one by that number. */
static void ungather(mood_watcher *w)
{
    struct mood_loop *l = w->loop;
    int fd = ((struct mood_io *)w)->ev.fd;

    for (int i = 0; i < l->ngathered; i++)
        if (l->gathered[2 * i] == fd)
            l->gathered[2 * i + 1] = 0;
}

/* The callback of every watcher. */
static void on_event(struct ev_loop *ev, ev_watcher *evw, int revents)
{
    mood_watcher *w = evw->data;
    struct mood_loop *l = w->loop;

    if (w->gathers) {
        gather(l, ((struct mood_io *)w)->ev.fd, revents & (EV_READ | EV_WRITE));
        if (!ev_is_active(evw))
            note_retired(w);
        return;
    }
    if (is_ready(w) || revents & EV_ERROR) {
        if (is_broken(l)) {
            if (is_ready(w)) {
                l->events[2 * w->ready + 1] |= revents;
                return;
            }
        } else if (l->count) {
            /* Once more, or an error. What was collected before comes first, and
             * can take this event away: until then it is libev's. */
            ev_feed_event(ev, evw, revents);
            flush(l);
            return;
        } else {
            struct mood_delivery delivery;
            int errnum = l->errnum;

            if (w->type == MOOD_TYPE_io) {
                ev_io *io = &((struct mood_io *)w)->ev;

                if (fcntl(io->fd, F_GETFD) < 0)
                    errnum = errno;
                /* Started again as it is, libev would think that the kernel knows
                 * it still. */
                if (!ev_is_active(io))
                    ev_io_set(io, io->fd, io->events);
            }
            begin_delivery(l, &delivery, w->slot);
            mood_on_error(l->id, w->slot, errnum);
            end_delivery(l, &delivery);
            return;
        }
    }
    w->ready = l->count;
    l->ready[l->count] = w;
    l->events[2 * l->count] = w->slot;
    l->events[2 * l->count + 1] = revents;
    l->count++;
    if (!ev_is_active(evw))
        note_retired(w);
    /* What it reports is in the watcher, and the next one to be reaped could
     * be reported by the same watcher. */
    if (w->type == MOOD_TYPE_child && !is_broken(l))
        flush(l);
}

/* Invoke all that is pending: Loop.invoke(), and libev without Loop.callback. */
static void invoke(struct mood_loop *l)
{
    if (l->failed && !python_is_gone()) {
        l->failed = 0;
        mood_on_failed(l->id);
    }
    settle(l);
    while (l->ev && !is_broken(l) && ev_pending_count(l->ev)) {
        struct mood_loop *outer = collecting;

        collecting = l;
        l->collecting++;
        ev_invoke_pending(l->ev);
        l->collecting--;
        collecting = outer;
        if (l->signalled && !is_broken(l)) {
            l->signalled = 0;
            mood_on_signal(l->id);
        }
        /* The loop may be being collected, further out, by what this is in. */
        flush(l);
    }
}

/* Open a descriptor, to see that there is one left: libev makes its wake-up pipe by
 * trying until it gets one. */
static int spare_descriptor(int *fd)
{
    *fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? -errno : 0;
}

/* After a fork libev makes another wake-up pipe, before it closes the old one. */
static int can_renew(struct mood_loop *l)
{
    int error = 0, fd = -1;

    if (l->forked && l->has_pipe)
        error = spare_descriptor(&fd);
    if (fd >= 0)
        close(fd);
    if (!error)
        l->forked = 0;
    return error;
}

/* Can libev go on? If not, end the run, and leave what is pending to the next. */
static int can_go_on(struct mood_loop *l)
{
    int failure = no_memory() ? MOOD_NO_MEMORY : can_renew(l);

    if (failure) {
        ev_break(l->ev, EVBREAK_ALL);
        if (running == l)
            l->failure = failure;
    }
    return !failure;
}

/* Call Loop.callback, which may have another thread invoke what is pending. */
static void hand_over(struct mood_loop *l)
{
    int outer;

    pthread_mutex_lock(&l->lock);
    outer = l->handed_over;
    l->handed_over = 1;
    pthread_mutex_unlock(&l->lock);
    mood_on_callback(l->id);
    pthread_mutex_lock(&l->lock);
    l->handed_over = outer;
    pthread_mutex_unlock(&l->lock);
}

static int references_left(const struct mood_loop *l)
{
    int left = l->balance - l->unkept;

    for (int slot = 2; slot < l->room; slot++)
        if (l->held[slot] && ev_is_active(watcher_ev(l->held[slot])))
            left += references(l->held[slot]);
    return left;
}

/* libev runs for ever once it has fewer references than none: a watcher was stopped
 * that unref() had been called for, and ref() not yet. It is called here, and then
 * does nothing when the program does. */
static void advance_references(struct mood_loop *l)
{
    if (l->balance < 0 && l->has_fewer)
        for (int left = references_left(l); left < 0; left++) {
            ev_ref(l->ev);
            l->balance++;
            l->advanced++;
        }
    l->has_fewer = 0;
}

static void on_invoke_pending(struct ev_loop *ev)
{
    struct mood_loop *l = ev_userdata(ev);

    l->errnum = errno;
    if (!can_go_on(l))
        return;
    /* Where libev has its asserts, it forgets what it is told while it polls. */
    if (l->failure || python_is_gone())
        ev_break(ev, EVBREAK_ALL);
    /* libev runs an embedded loop while the outer one is being collected: what
     * the outer one has collected came first. */
    if (collecting && collecting != l) {
        if (!is_broken(collecting))
            flush(collecting);
        if (is_broken(collecting))
            return;
    }
    if (is_broken(l))
        return;
    if (l->has_callback) {
        /* Timers that have just ended and do not keep the loop running: theirs
         * would be one reference too few until somebody calls invoke(). */
        if (l->unkept)
            for (int slot = 1; slot < l->room; slot++)
                if (l->held[slot] && !ev_is_active(watcher_ev(l->held[slot])))
                    rekeep(l->held[slot]);
        /* They are collected when they are invoked, which may be much later. */
        l->has_fewer = 1;
        hand_over(l);
    } else
        invoke(l);
    advance_references(l);
    /* Whatever libev leaves there before the next time is libev's. */
    errno = 0;
}

/* libev is about to wait. It does so with events pending, if those are about the
 * descriptors that it has just told the kernel of and that the kernel refused. And
 * what a Prepare watcher's callback gave to do to whoever has the loop polled, does
 * not wait either. */
static void on_release(struct ev_loop *ev) EV_NOEXCEPT
{
    struct mood_loop *l = ev_userdata(ev);

    /* Loop.callback may leave events pending for as long as it likes. */
    if (!ev_is_active(&l->hurry))
        return;
    if ((ev_pending_count(ev) && !l->has_callback) || (l->is_polling && l->ngathered))
        ev_async_send(ev, &l->hurry);
    else if (l->is_polling && l->delivered && !python_is_gone()) {
        l->delivered = 0;
        if (mood_on_wait(l->id, l->limit ? ev_timer_remaining(ev, l->limit) : -1.))
            ev_async_send(ev, &l->hurry);
    }
}

static void on_hurry(struct ev_loop *ev, ev_async *hurry, int revents)
{
    (void)ev;
    (void)hurry;
    (void)revents;
}

/* -- embedding ---------------------------------------------------------------------- */

/* An active ev_embed has watchers of libev's own, and libev invokes those while
 * the loop is being collected. Two of them run the embedded loop, for which what
 * was collected before them has to be delivered: it may be what gives the
 * embedded loop something to do, and it may stop the ev_embed, and free it. */
static void (*libevs_embed_prepare)(struct ev_loop *, ev_prepare *, int);

/* Deliver what comes before. 0: the watcher has been stopped. */
static int embeds_still(struct mood_loop *l, struct mood_embed *w)
{
    int slot = w->head.slot;

    flush(l);
    return l->held[slot] == &w->head && ev_is_active(&w->ev);
}

/* The struct of the embedded loop is there for longer than what libev has of it, and
 * is kept where libev keeps nothing. */
#undef ev_embed_set
#define ev_embed_set(w, loop) ((w)->other = (loop)->ev, (w)->idle.data = (loop))

static struct mood_loop *embedded_by(const ev_embed *w)
{
    return w->idle.data;
}

/* A Scheduler's callable of the embedded loop may run the outer one, while libev is
 * half through with the embedded loop's heap of times: then it is not run. */
static void on_embed_prepare(struct ev_loop *ev, ev_prepare *prepare, int revents)
{
    struct mood_embed *w = prepare->data;
    struct mood_loop *l = w->head.loop;

    if (embeds_still(l, w) && !is_broken(l) && !embedded_by(&w->ev)->rescheduling)
        libevs_embed_prepare(ev, prepare, revents);
}

/* As libev has it, but for that the ev_embed is active all the time: callbacks of
 * the embedded loop may stop it, and what they raise concerns its loop. */
static void on_embed_fork(struct ev_loop *ev, ev_fork *fork, int revents)
{
    struct mood_embed *w = fork->data;
    struct mood_loop *l = w->head.loop;
    struct ev_loop *other = w->ev.other;
    int slot = w->head.slot;

    if (!embeds_still(l, w))
        return;
    if (embedded_by(&w->ev)->rescheduling) {
        /* In another iteration. */
        ev_loop_fork(ev);
        return;
    }
    /* There must not be fewer references than none, not even in between. */
    rekeep(&w->head);
    /* Its descriptor is about to be closed. */
    ev_io_stop(ev, &w->ev.io);
    ev_loop_fork(other);
    ev_run(other, EVRUN_NOWAIT);
    if (l->held[slot] != &w->head || !ev_is_active(&w->ev))
        return;
    rekeep(&w->head);
    revents = ev_clear_pending(ev, &w->ev);
    stop_embedding(ev, &w->ev);
    start_embedding(ev, &w->ev);
    if (!w->head.keepalive)
        unkeep(&w->head);
    if (revents)
        ev_feed_event(ev, &w->ev, revents);
}

static void stop_embedding(struct ev_loop *ev, ev_embed *w)
{
    ev_embed_stop(ev, w);
    embedded_by(w)->embedded--;
}

static void start_embedding(struct ev_loop *ev, ev_embed *w)
{
    ev_embed_start(ev, w);
    embedded_by(w)->embedded++;
    libevs_embed_prepare = ev_cb(&w->prepare);
    ev_set_cb(&w->prepare, on_embed_prepare);
    ev_set_cb(&w->fork, on_embed_fork);
    w->prepare.data = w->fork.data = w->data;
}

/* -- slots ----------------------------------------------------------------------- */

/* Room for one more slot in every array, so that on_event never allocates: a
 * watcher is in the ready queue once at most, and the queue has as much room
 * as there are watchers. */
static int make_room(struct mood_loop *l, int slot)
{
    int room = l->room;
    void *p;

    if (slot < room)
        return 0;
    while (room <= slot)
        room = room ? 2 * room : 16;
#define MOOD_GROW(array, n)                                                    \
    p = realloc(l->array, (n) * sizeof *l->array);                             \
    if (!p)                                                                    \
        return MOOD_NO_MEMORY;                                                 \
    l->array = p;
    MOOD_GROW(events, 2 * (size_t)room + 2)
    MOOD_GROW(ready, (size_t)room + 1)
    MOOD_GROW(retired, (size_t)room)
    MOOD_GROW(gathered, 2 * (size_t)room)
    MOOD_GROW(retiring, (size_t)room)
    MOOD_GROW(held, (size_t)room)
#undef MOOD_GROW
    memset(l->held + l->room, 0, (size_t)(room - l->room) * sizeof *l->held);
    memset(l->retiring + l->room, 0, (size_t)(room - l->room));
    l->room = room;
    return 0;
}

static void free_room(struct mood_loop *l)
{
    free(l->events);
    free(l->ready);
    free(l->retired);
    free(l->gathered);
    free(l->retiring);
    free(l->held);
    l->events = l->retired = l->gathered = NULL;
    l->ready = l->held = NULL;
    l->retiring = NULL;
    l->count = l->nretired = l->ngathered = l->room = 0;
}

/* A subclass may have put something of its own in place of Watcher._slot. */
static int is_strange(const mood_watcher *w, int slot)
{
    const struct mood_loop *l = w->loop;

    if (w->slot)
        return w->slot != slot;
    return slot < 1 || (slot < l->room ? l->held[slot] != NULL
                                       : slot > 2 * l->room + 256);
}

static int is_being_delivered(const struct mood_loop *l, int slot)
{
    const struct mood_delivery *d = l->delivery;

    while (d && d->slot != slot)
        d = d->outer;
    return d != NULL;
}

static int hold(mood_watcher *w, int slot)
{
    int error;

    if (!slot)
        return w->slot ? 0 : MOOD_UNHELD;
    if (!w->slot && is_being_delivered(w->loop, slot))
        return MOOD_DELIVERED;
    error = is_strange(w, slot) ? MOOD_STRANGE : make_room(w->loop, slot);
    if (!error) {
        w->slot = slot;
        w->loop->held[slot] = w;
    }
    return error;
}

static int let_go(mood_watcher *w)
{
    int slot = w->slot;

    if (!slot)
        return 0;
    w->loop->held[slot] = NULL;
    w->slot = 0;
    return is_being_delivered(w->loop, slot) ? MOOD_LET_GO | MOOD_LATER : MOOD_LET_GO;
}

static int is_idle(mood_watcher *w)
{
    ev_watcher *evw = watcher_ev(w);

    return !ev_is_active(evw) && !ev_is_pending(evw) && !is_ready(w);
}

/* 1 if nothing can invoke the watcher, which its slot is then free of. */
static int mood_retirable(void *p)
{
    mood_watcher *w = p;

    if (is_made(w)) {
        struct mood_loop *l = w->loop;

        /* A Scheduler whose callable this is in may be about to become active. */
        if (l->ev && (l->rescheduling ? w->slot != 0 : !is_idle(w)))
            return 0;
        let_go(w);
    }
    return 1;
}

/* Leave in `retired` the slots that Python can free, and return how many. */
static int mood_retire(struct mood_loop *l)
{
    int count = 0;

    for (int i = 0; i < l->nretired; i++) {
        int slot = l->retired[i];
        mood_watcher *w = l->held[slot];

        l->retiring[slot] = 0;
        if (w && is_idle(w)) {
            let_go(w);
            l->retired[count++] = slot;
        }
    }
    l->nretired = 0;
    return count;
}

/* -- signals and children -------------------------------------------------------- */

/* Attach one more watcher to a signal. libev leaves SIG_DFL behind when the
 * last one stops, and the next signal would then end the program. */
static int attach_signal(struct mood_loop *l, ev_signal *w)
{
    struct mood_signal_use *use = &signal_uses[w->signum];
    sigset_t mask;
    int result = 0;

    if (w->signum < 1 || w->signum >= NSIG)
        return MOOD_STRANGE;
    pthread_mutex_lock(&process_lock);
    if (use->loop && use->loop != l)
        result = MOOD_SIGNAL_TAKEN;
    else {
        if (!use->watchers++) {
            use->loop = l;
            sigaction(w->signum, NULL, &use->before);
            pthread_sigmask(SIG_BLOCK, NULL, &mask);
            use->blocked = sigismember(&mask, w->signum) == 1;
            ev_signal_start(l->ev, w);
            sigaction(w->signum, NULL, &use->libevs);
        } else
            ev_signal_start(l->ev, w);
    }
    pthread_mutex_unlock(&process_lock);
    return result;
}

static void detach_signal(struct mood_loop *l, ev_signal *w)
{
    struct mood_signal_use *use = &signal_uses[w->signum];
    struct sigaction now;
    sigset_t mask;

    pthread_mutex_lock(&process_lock);
    if (--use->watchers)
        ev_signal_stop(l->ev, w);
    else {
        sigaction(w->signum, NULL, &now);
        ev_signal_stop(l->ev, w);
        /* Unless the program has put another one there meanwhile. */
        sigaction(w->signum,
                  now.sa_handler == use->libevs.sa_handler ? &use->before : &now,
                  NULL);
        if (use->blocked) {
            sigemptyset(&mask);
            sigaddset(&mask, w->signum);
            pthread_sigmask(SIG_BLOCK, &mask, NULL);
        }
        use->loop = NULL;
    }
    pthread_mutex_unlock(&process_lock);
}

/* Tell the Child watchers of one status, as libev would. */
static void report_child(struct mood_loop *l, int pid, int status)
{
    int ended = WIFEXITED(status) || WIFSIGNALED(status);

    /* Again, for the next one, after these have been invoked. */
    ev_feed_event(l->ev, &l->sigchld, EV_SIGNAL);
    for (int slot = 1; slot < l->room; slot++) {
        mood_watcher *w = l->held[slot];
        ev_child *child;
        int revents;

        if (!w || w->type != MOOD_TYPE_child)
            continue;
        child = &((struct mood_child *)w)->ev;
        if (!ev_is_active(child) || (child->pid && child->pid != pid) ||
            (!ended && !(child->flags & 1)))
            continue;
        /* Before sigchld is: a priority of its own would be too late. */
        revents = ev_clear_pending(l->ev, child);
        ev_set_priority(child, EV_MAXPRI);
        child->rpid = pid;
        child->rstatus = status;
        if (child->pid && ended)
            w->reaped = 1;
        ev_feed_event(l->ev, child, revents | EV_CHILD);
    }
}

/* Reap for the Child watchers: the processes that they name and no others,
 * unless one asks for any process. libev's own reaper takes them all, and with
 * them what subprocess waits for. */
static void on_sigchld(struct ev_loop *ev, ev_signal *sigchld, int revents)
{
    struct mood_loop *l = sigchld->data;
    int status, pid, any = 0, flags = WNOHANG;

    (void)revents;
    if (l->broken) {
        l->reap_later = 1;
        return;
    }
    for (int slot = 1; slot < l->room; slot++) {
        mood_watcher *w = l->held[slot];
        ev_child *child;

        if (!w || w->type != MOOD_TYPE_child || w->reaped)
            continue;
        child = &((struct mood_child *)w)->ev;
        if (!ev_is_active(child))
            continue;
        if (!child->pid) {
            any = 1;
            if (child->flags & 1)
                flags |= WUNTRACED | WCONTINUED;
            continue;
        }
        pid = waitpid(child->pid, &status,
                      WNOHANG | (child->flags & 1 ? WUNTRACED | WCONTINUED : 0));
        if (pid > 0) {
            report_child(l, pid, status);
            return;
        }
    }
    if (any && (pid = waitpid(-1, &status, flags)) > 0)
        report_child(l, pid, status);
    (void)ev;
}

/* One may have ended already, and its SIGCHLD with it. Not by ev_feed_event: the
 * iteration would deliver it first, and then wait for another event. */
static void look_for_children(void) { ev_feed_signal(SIGCHLD); }

static int start_children(struct mood_loop *l)
{
    if (!l->children) {
        int error;

        ev_signal_init(&l->sigchld, on_sigchld, SIGCHLD);
        l->sigchld.data = l;
        ev_set_priority(&l->sigchld, EV_MAXPRI);
        error = attach_signal(l, &l->sigchld);
        if (error)
            return error;
        ev_unref(l->ev);
    }
    l->children++;
    look_for_children();
    return 0;
}

static void stop_children(struct mood_loop *l)
{
    if (!--l->children) {
        ev_ref(l->ev);
        detach_signal(l, &l->sigchld);
    }
}

/* -- a loop ----------------------------------------------------------------------- */

static void on_event_of(mood_watcher *head, void *evw)
{
    ev_init((ev_watcher *)evw, on_event);
    ((ev_watcher *)evw)->data = head;
}

/* Empty the pipe that Python's signal handling writes to. Whoever had the wakeup
 * descriptor before wants to know as well. */
static void drain_wakeup(struct mood_loop *l)
{
    char bytes[256];
    ssize_t n;

    while ((n = read(l->wakeup.fd, bytes, sizeof bytes)) > 0)
        if (l->wakeup_previous >= 0 &&
            write(l->wakeup_previous, bytes, (size_t)n) < 0)
            break;
}

static void on_wakeup(struct ev_loop *ev, ev_io *io, int revents)
{
    struct mood_loop *l = io->data;

    if (revents & EV_ERROR) {
        /* libev has stopped it. */
        ev_ref(ev);
        l->wakeup_active = 0;
        return;
    }
    drain_wakeup(l);
    l->signalled = 1;
}

static int mood_loop_open(struct mood_loop *l, int id, unsigned int flags)
{
    const unsigned int experimental = EVBACKEND_LINUXAIO | EVBACKEND_IOURING;
    int error;

    memset(l, 0, sizeof *l);
    l->id = id;
    l->wakeup_previous = -1;
    ev_set_allocator(on_realloc);
    ev_set_syserr_cb(on_syserr);
    want_reserve(0);
    error = no_memory() ? MOOD_NO_MEMORY : make_room(l, 1);
    if (error) {
        free_room(l);
        return error;
    }
    /* libev tries these first whenever they are among others. */
    if (flags & EVBACKEND_MASK & ~experimental & ev_supported_backends())
        l->ev = ev_loop_new(flags & ~experimental);
    errno = 0;
    if (!l->ev)
        l->ev = ev_loop_new(flags);
    if (!l->ev) {
        error = errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno
                                                                      : MOOD_CLOSED;
        free_room(l);
        return error;
    }
    pthread_mutex_init(&l->lock, NULL);
    ev_set_userdata(l->ev, l);
    ev_set_invoke_pending_cb(l->ev, on_invoke_pending);
    ev_set_loop_release_cb(l->ev, on_release, NULL);
    on_event_of(&l->knock.head, &l->knock.ev);
    l->knock.head.loop = l;
    l->knock.head.type = MOOD_TYPE_async;
    return hold(&l->knock.head, 1);
}

/* Has a watcher that is active or pending this descriptor? */
static int mood_watched(struct mood_loop *l, int fd)
{
    for (int slot = 2; slot < l->room; slot++) {
        mood_watcher *w = l->held[slot];

        if (w && w->type == MOOD_TYPE_io && ((struct mood_io *)w)->ev.fd == fd)
            return 1;
    }
    return 0;
}

/* Is there a descriptor left for libev's wake-up pipe? And one that it may get: a number
 * that a watcher has was closed if it is free, and the watcher would get the pipe's
 * events. So these are taken until the pipe is there, and then given back. */
static int make_way_for_pipe(struct mood_loop *l)
{
    int error = 0, fd = -1;

    if (l->has_pipe)
        return 0;
    while (!(error = spare_descriptor(&fd)) && mood_watched(l, fd)) {
        int *taken = realloc(l->taken, sizeof *taken * (size_t)(l->ntaken + 1));

        if (!taken) {
            error = MOOD_NO_MEMORY;
            break;
        }
        l->taken = taken;
        taken[l->ntaken++] = fd;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static void give_back_taken(struct mood_loop *l)
{
    if (!l->taken)
        return;
    while (l->ntaken)
        close(l->taken[--l->ntaken]);
    free(l->taken);
    l->taken = NULL;
}

/* Be ready for mood_knock, and for one that came too early. */
static int listen_for_knocks(struct mood_loop *l)
{
    int error;

    if (ev_is_active(&l->knock.ev))
        return 0;
    error = make_way_for_pipe(l);
    if (!error) {
        pthread_mutex_lock(&l->lock);
        ev_async_start(l->ev, &l->knock.ev);
        ev_unref(l->ev);
        ev_async_init(&l->hurry, on_hurry);
        ev_async_start(l->ev, &l->hurry);
        ev_unref(l->ev);
        l->has_pipe = 1;
        if (l->knocked)
            ev_async_send(l->ev, &l->knock.ev);
        pthread_mutex_unlock(&l->lock);
    }
    give_back_taken(l);
    return error;
}

/* From any thread: deliver an event of slot 1, in the next run if not in this. */
static void mood_knock(struct mood_loop *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->ev && ev_is_active(&l->knock.ev))
        ev_async_send(l->ev, &l->knock.ev);
    else
        l->knocked = 1;
    pthread_mutex_unlock(&l->lock);
}

/* Watch `fd`, which signal.set_wakeup_fd writes to the other end of, and pass
 * on what comes to `previous`. fd -1: stop. */
static int mood_wakeup(struct mood_loop *l, int fd, int previous)
{
    if (!l->ev)
        return MOOD_CLOSED;
    l->wakeup_previous = previous;
    if (l->wakeup_active && l->wakeup.fd != fd) {
        ev_ref(l->ev);
        ev_io_stop(l->ev, &l->wakeup);
        l->wakeup_active = 0;
    }
    if (fd >= 0 && !l->wakeup_active) {
        ev_io_init(&l->wakeup, on_wakeup, fd, EV_READ);
        l->wakeup.data = l;
        ev_set_priority(&l->wakeup, EV_MAXPRI);
        ev_io_start(l->ev, &l->wakeup);
        ev_unref(l->ev);
        l->wakeup_active = 1;
    }
    return 0;
}

static int mood_stop(void *p);

/* Python has stopped what it knows of; whatever of the loop's own is left is stopped
 * here. MOOD_ACTIVE: something has made another loop embed it again meanwhile. */
static int mood_loop_destroy(struct mood_loop *l)
{
    struct ev_loop *ev = l->ev;

    if (l->rescheduling)
        return MOOD_RESCHEDULING;
    if (!ev)
        return 0;
    if (l->embedded)
        return MOOD_ACTIVE;
    for (int slot = 2; slot < l->room; slot++)
        if (l->held[slot])
            mood_stop(l->held[slot]);
    mood_wakeup(l, -1, -1);
    pthread_mutex_lock(&l->lock);
    if (ev_is_active(&l->knock.ev)) {
        ev_ref(ev);
        ev_async_stop(ev, &l->knock.ev);
        ev_ref(ev);
        ev_async_stop(ev, &l->hurry);
    }
    l->ev = NULL;
    pthread_mutex_unlock(&l->lock);
    ev_loop_destroy(ev);
    free_room(l);
    return 0;
}

/* Why nothing may be done to a loop now, or 0. */
static int mood_refusal(struct mood_loop *l)
{
    return !l->ev ? MOOD_CLOSED : l->rescheduling ? MOOD_RESCHEDULING : 0;
}

#define REFUSE(l)                                                              \
    do {                                                                       \
        int refusal_ = mood_refusal(l);                                        \
        if (refusal_)                                                          \
            return refusal_;                                                   \
    } while (0)

/* For what may have libev grow its arrays. */
#define REFUSE_GROWTH                                                          \
    do {                                                                       \
        if (no_memory())                                                       \
            return MOOD_NO_MEMORY;                                             \
    } while (0)

#define REFUSE_WATCHER(w)                                                      \
    do {                                                                       \
        if (!is_made(w))                                                       \
            return MOOD_UNMADE;                                                \
        REFUSE((w)->loop);                                                     \
    } while (0)

/* Does another thread run the loop? Not if that one waits, in Loop.callback, for
 * this one to invoke what is pending. */
static int is_elsewhere(const struct mood_loop *l)
{
    pthread_t me = pthread_self();

    return l->running && !pthread_equal(l->runner, me) &&
           !(l->invoking && pthread_equal(l->invoker, me));
}

static unsigned int mood_depth(struct mood_loop *l);

/* Outside a run the loop's time is as old as its last iteration, and a timer
 * that counts from there is early (ev.pod, "The special problem of time
 * updates"). */
static void freshen(struct mood_loop *l)
{
    if (!mood_depth(l) && !l->suspended)
        ev_now_update(l->ev);
}

static void on_limit(struct ev_loop *ev, ev_timer *timer, int revents)
{
    (void)ev;
    (void)timer;
    (void)revents;
}

/* Run the loop. With a `limit`, an iteration waits for as many seconds at most,
 * and, negative, also if there is nothing to wait for. `wakeup` and `previous` are
 * for mood_wakeup, or -1. Returns whether there are active watchers left. */
static int mood_run(struct mood_loop *l, int flags, double limit, int wakeup,
                    int previous)
{
    struct mood_loop *outer = running;
    struct mood_loop *outer_collecting = collecting;
    int outer_polling = l->is_polling;
    ev_timer timer, *outer_limit = l->limit;
    int result;

    REFUSE(l);
    REFUSE_GROWTH;
    /* Here and not in Python, where an interrupt can come between any two steps. */
    pthread_mutex_lock(&l->lock);
    if (is_elsewhere(l)) {
        pthread_mutex_unlock(&l->lock);
        return MOOD_ELSEWHERE;
    }
    if (!l->running++) {
        l->runner = pthread_self();
        l->handed_over = 0;
        l->ngathered = 0;
    }
    pthread_mutex_unlock(&l->lock);

    result = listen_for_knocks(l);
    if (!result)
        result = can_renew(l);
    if (!result) {
        if (wakeup >= 0)
            mood_wakeup(l, wakeup, previous);
        settle(l);
        if (l->reap_later) {
            l->reap_later = 0;
            if (l->children)
                look_for_children();
        }
        advance_references(l);
        running = l;
        collecting = NULL;
        l->is_polling = limit != 0.;
        l->limit = limit > 0. ? &timer : NULL;
        l->delivered = 0;
        if (limit > 0.) {
            freshen(l);
            ev_timer_init(&timer, on_limit, limit, 0.);
            ev_timer_start(l->ev, &timer);
        } else if (limit < 0.)
            ev_ref(l->ev);
        errno = 0;
        result = ev_run(l->ev, flags) != 0;
        if (limit > 0.)
            ev_timer_stop(l->ev, &timer);
        else if (limit < 0.)
            ev_unref(l->ev);
        l->is_polling = outer_polling;
        l->limit = outer_limit;
        if (l->failure) {
            result = l->failure;
            l->failure = 0;
        }
        if (wakeup >= 0 && l->wakeup_active)
            /* What came after the last poll. */
            drain_wakeup(l);
        running = outer;
        collecting = outer_collecting;
    }
    pthread_mutex_lock(&l->lock);
    l->running--;
    pthread_mutex_unlock(&l->lock);
    return result;
}

/* What the last run has gathered. 0: nothing. One event: 4 * fd + revents. Several:
 * MOOD_MANY + their number, and they are in l->gathered. */
static int64_t mood_gathered(struct mood_loop *l)
{
    if (l->ngathered == 1)
        return (int64_t)l->gathered[0] << 2 | l->gathered[1];
    return l->ngathered ? MOOD_MANY + l->ngathered : 0;
}

/* As mood_run. MOOD_INDIRECT: it was not run, as Python has something to do before and
 * afterwards. */
static int run_directly(struct mood_loop *l, int flags, double limit)
{
    if (l->direct > !(flags & EVRUN_NOWAIT) && !l->embedders && !l->broken)
        return mood_run(l, flags, limit, -1, -1);
    return MOOD_INDIRECT;
}

static int mood_run_directly(struct mood_loop *l, int flags)
{
    return run_directly(l, flags, 0.);
}

/* One iteration. Returns what mood_gathered does, or MOOD_INDIRECT; MOOD_BROKEN: it
 * was run, and there is an exception to raise, or a Scheduler that has failed. */
static int64_t poll_directly(struct mood_loop *l, int flags, double limit)
{
    int result = run_directly(l, flags, limit);

    if (result < 0)
        return result;
    return l->broken || l->failed ? MOOD_BROKEN : mood_gathered(l);
}

/* Without waiting. These three have as few arguments as they can do with: a call
 * from Python with one is the fastest. */
static int64_t mood_look(struct mood_loop *l)
{
    return poll_directly(l, EVRUN_NOWAIT, 0.);
}

static int64_t mood_wait(struct mood_loop *l)
{
    return poll_directly(l, EVRUN_ONCE, -1.);
}

/* For so many seconds, more than 0., at most. */
static int64_t mood_wait_for(struct mood_loop *l, double timeout)
{
    return poll_directly(l, EVRUN_ONCE, timeout);
}

static int mood_elsewhere(struct mood_loop *l)
{
    int result;

    if (!l->ev)
        return 0;
    pthread_mutex_lock(&l->lock);
    result = is_elsewhere(l);
    pthread_mutex_unlock(&l->lock);
    return result;
}

static int mood_invoke(struct mood_loop *l)
{
    pthread_t me = pthread_self(), outer;
    int handed_over;

    REFUSE(l);
    pthread_mutex_lock(&l->lock);
    outer = l->invoker;
    handed_over = l->handed_over;
    if ((l->invoking || l->running) && !handed_over &&
        !pthread_equal(l->invoking ? outer : l->runner, me)) {
        pthread_mutex_unlock(&l->lock);
        return MOOD_ELSEWHERE;
    }
    l->invoking++;
    l->invoker = me;
    l->handed_over = 0;
    pthread_mutex_unlock(&l->lock);
    invoke(l);
    pthread_mutex_lock(&l->lock);
    l->invoking--;
    l->invoker = outer;
    l->handed_over = handed_over;
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static void mood_break(struct mood_loop *l, int how)
{
    if (l->ev)
        ev_break(l->ev, how);
}

static int mood_pending_count(struct mood_loop *l, int position)
{
    int count = 0;

    if (!l->ev)
        return 0;
    for (; position < l->count; position++)
        count += l->ready[position] != NULL;
    /* libev counts what was stopped or cleared, and watchers of its own. */
    if (ev_pending_count(l->ev))
        for (int slot = 1; slot < l->room; slot++)
            count += l->held[slot] && ev_is_pending(watcher_ev(l->held[slot]));
    return count;
}

static int mood_active_count(struct mood_loop *l)
{
    int count = 0;

    for (int slot = 2; slot < l->room; slot++)
        count += l->held[slot] && ev_is_active(watcher_ev(l->held[slot]));
    return count;
}

static void renew(struct mood_loop *l)
{
    l->forked = 1;
    ev_loop_fork(l->ev);
}

static int mood_fork(struct mood_loop *l)
{
    REFUSE(l);
    renew(l);
    return 0;
}

/* In the child of a fork: locks may have been held by threads that are gone. 1 if
 * one of these was running the loop, or invoking what it had pending. */
static int mood_after_fork(struct mood_loop *l)
{
    pthread_mutex_init(&process_lock, NULL);
    pthread_mutex_init(&memory_lock, NULL);
    if (l->ev) {
        pthread_mutex_init(&l->lock, NULL);
        renew(l);
        if (l->running && !pthread_equal(l->runner, pthread_self())) {
            /* That thread is not here, and will not return from libev. It may have
             * waited, in Loop.callback, for this one to invoke what is pending. */
            l->running = l->collecting = l->handed_over = 0;
            l->delivery = NULL;
            if (!pthread_equal(l->invoker, pthread_self()))
                l->invoking = 0;
            l->lost = (int)ev_depth(l->ev);
            return 1;
        }
        if (l->invoking && !pthread_equal(l->invoker, pthread_self())) {
            /* Nor will this one, which Loop.callback had handed them to. */
            l->invoking = l->handed_over = 0;
            l->delivery = NULL;
            return 1;
        }
    }
    return 0;
}

static double mood_now(struct mood_loop *l) { return l->ev ? ev_now(l->ev) : -1.; }

static int mood_update(struct mood_loop *l)
{
    REFUSE(l);
    ev_now_update(l->ev);
    return 0;
}

static int mood_suspend(struct mood_loop *l)
{
    REFUSE(l);
    if (l->suspended)
        return MOOD_SUSPENDED;
    l->suspended = 1;
    ev_suspend(l->ev);
    return 0;
}

static int mood_resume(struct mood_loop *l)
{
    REFUSE(l);
    if (!l->suspended)
        return MOOD_NOT_SUSPENDED;
    l->suspended = 0;
    ev_resume(l->ev);
    return 0;
}

static int mood_ref(struct mood_loop *l)
{
    REFUSE(l);
    if (l->balance == INT32_MAX)
        return MOOD_UNBALANCED;
    if (l->advanced)
        l->advanced--;
    else {
        l->balance++;
        ev_ref(l->ev);
    }
    return 0;
}

static int mood_unref(struct mood_loop *l)
{
    REFUSE(l);
    if (references_left(l) <= 0)
        return MOOD_UNBALANCED;
    l->balance--;
    ev_unref(l->ev);
    return 0;
}

static int mood_verify(struct mood_loop *l)
{
    REFUSE(l);
    advance_references(l);
    ev_verify(l->ev);
    return 0;
}

static unsigned int mood_backend(struct mood_loop *l)
{
    return l->ev ? ev_backend(l->ev) : 0;
}

static unsigned int mood_iteration(struct mood_loop *l)
{
    return l->ev ? ev_iteration(l->ev) : 0;
}

static unsigned int mood_depth(struct mood_loop *l)
{
    return l->ev ? ev_depth(l->ev) - (unsigned int)l->lost : 0;
}

/* libev hands a timeout to the kernel as milliseconds in an int. */
#define LONGEST_INTERVAL 1e6

static int mood_io_interval(struct mood_loop *l, double interval)
{
    REFUSE(l);
    ev_set_io_collect_interval(
        l->ev, interval < LONGEST_INTERVAL ? interval : LONGEST_INTERVAL);
    return 0;
}

static int mood_timeout_interval(struct mood_loop *l, double interval)
{
    REFUSE(l);
    ev_set_timeout_collect_interval(
        l->ev, interval < LONGEST_INTERVAL ? interval : LONGEST_INTERVAL);
    return 0;
}

static int mood_feed_fd_event(struct mood_loop *l, int fd, int revents)
{
    REFUSE(l);
    REFUSE_GROWTH;
    settle(l);
    ev_feed_fd_event(l->ev, fd, revents);
    return 0;
}

static int mood_feed_signal_event(struct mood_loop *l, int signum)
{
    REFUSE(l);
    REFUSE_GROWTH;
    settle(l);
    ev_feed_signal_event(l->ev, signum);
    return 0;
}

/* -- a watcher ---------------------------------------------------------------------- */

static int mood_start(void *p, int slot);

static int mood_made(void *p) { return is_made(p); }

static int mood_slot(void *p) { return is_made(p) ? ((mood_watcher *)p)->slot : 0; }

/* Why the watcher cannot be started, whatever the state of its loop, or 0. */
static int unfit(const mood_watcher *w)
{
    if (w->type == MOOD_TYPE_io &&
        fcntl(((const struct mood_io *)w)->ev.fd, F_GETFD) < 0)
        return -errno;
    return 0;
}

/* libev has arrays with a place for each descriptor up to the highest one. */
static int make_way_for(struct mood_loop *l, int fd)
{
    /* The backend with the largest: a request for each, of some hundred bytes. */
    size_t each = ev_backend(l->ev) == EVBACKEND_LINUXAIO ? 256 : 64;

    if (fd > l->highest) {
        want_reserve(4 * each * (size_t)fd);
        if (no_memory())
            return MOOD_NO_MEMORY;
        l->highest = 2 * fd;
    }
    return 0;
}

/* make: initialise the struct, configure it and, with a slot, start it: one call
 * for a watcher's way from Python to libev. Python has checked everything; what a
 * subclass has put in place of its attributes since must not harm libev, either. */
#define MOOD_WATCHER(name, event, params, args, ...)                           \
    static int mood_##name##_make(struct mood_##name *w, struct mood_loop *l,  \
                                  int slot, int priority MOOD_MORE params)     \
    {                                                                          \
        if (!w || w->head.discarded)                                           \
            return MOOD_UNMADE;                                                \
        if (is_made(w))                                                        \
            return slot ? mood_start(w, slot) : 0;                             \
        w->head.loop = l;                                                      \
        w->head.type = MOOD_TYPE_##name;                                       \
        w->head.keepalive = 1;                                                 \
        on_event_of(&w->head, &w->ev);                                         \
        ev_set_priority(&w->ev, priority < EV_MINPRI   ? EV_MINPRI             \
                                : priority > EV_MAXPRI ? EV_MAXPRI             \
                                                       : priority);            \
        MOOD_CALL(ev_##name##_set, &w->ev MOOD_MORE args);                     \
        return slot ? mood_start(w, slot) : 0;                                 \
    }                                                                          \
    __attribute__((unused)) static int mood_##name##_set(                      \
        struct mood_##name *w MOOD_MORE params)                                \
    {                                                                          \
        struct ev_##name before;                                               \
        int error;                                                             \
                                                                               \
        if (!is_made(w))                                                       \
            return MOOD_UNMADE;                                                \
        if (ev_is_active(&w->ev))                                              \
            return MOOD_ACTIVE;                                                \
        before = w->ev;                                                        \
        MOOD_CALL(ev_##name##_set, &w->ev MOOD_MORE args);                     \
        error = unfit(&w->head);                                               \
        if (error)                                                             \
            w->ev = before;                                                    \
        return error;                                                          \
    }
#include "cdef.h"
#undef MOOD_WATCHER

/* From here on its events are gathered. */
static int mood_io_gather(struct mood_io *w)
{
    REFUSE_WATCHER(&w->head);
    w->head.gathers = 1;
    return 0;
}

/* Watch for other events: stop, set and start of a watcher that gathers, at once. */
static int mood_io_modify(struct mood_io *w, int events)
{
    struct ev_loop *ev;
    int error;

    REFUSE_WATCHER(&w->head);
    if (!w->head.gathers || !ev_is_active(&w->ev))
        return MOOD_STRANGE;
    REFUSE_GROWTH;
    error = unfit(&w->head);
    if (error)
        return error;
    ev = w->head.loop->ev;
    ev_io_stop(ev, &w->ev);
    ev_io_modify(&w->ev, events & (EV_READ | EV_WRITE));
    ev_io_start(ev, &w->ev);
    return 0;
}

static int mood_start(void *p, int slot)
{
    mood_watcher *w = p;
    struct mood_loop *l;
    ev_watcher *evw;
    int error;

    REFUSE_WATCHER(w);
    l = w->loop;
    evw = watcher_ev(w);
    if (ev_is_active(evw))
        return slot && slot != w->slot ? MOOD_STRANGE : 0;
    REFUSE_GROWTH;
    error = unfit(w);
    switch (w->type) {
    case MOOD_TYPE_periodic:
        w->failed = 0;
        freshen(l);
        break;
    case MOOD_TYPE_timer:
        freshen(l);
        break;
    case MOOD_TYPE_io:
        if (!error)
            error = make_way_for(l, ((struct mood_io *)w)->ev.fd);
        break;
    case MOOD_TYPE_signal:
    case MOOD_TYPE_child:
    case MOOD_TYPE_async:
        error = make_way_for_pipe(l);
        break;
    case MOOD_TYPE_embed:
        /* It can be closed between any two steps of Python's. */
        if (!embedded_by((ev_embed *)evw)->ev)
            error = MOOD_CLOSED;
        break;
    }
    if (!error)
        error = hold(w, slot);
    if (error) {
        give_back_taken(l);
        return error;
    }
    /* A timer that has ended, and whose event has not been collected. */
    rekeep(w);
    switch (w->type) {
    case MOOD_TYPE_signal:
        error = attach_signal(l, &((struct mood_signal *)w)->ev);
        break;
    case MOOD_TYPE_child:
        w->reaped = 0;
        error = start_children(l);
        if (!error)
            types[w->type].start(l->ev, evw);
        break;
    default:
        types[w->type].start(l->ev, evw);
    }
    give_back_taken(l);
    if (error) {
        if (is_idle(w))
            let_go(w);
        return error;
    }
    if (w->type == MOOD_TYPE_async) {
        pthread_mutex_lock(&l->lock);
        l->has_pipe = 1;
        pthread_mutex_unlock(&l->lock);
    }
    if (!w->keepalive)
        unkeep(w);
    return 0;
}

/* set and start of one that gathers, at once. */
static int mood_io_watch(struct mood_io *w, int slot, int events)
{
    ev_io before;
    int error;

    REFUSE_WATCHER(&w->head);
    if (!w->head.gathers || ev_is_active(&w->ev))
        return MOOD_STRANGE;
    before = w->ev;
    ev_io_set(&w->ev, w->ev.fd, events & (EV_READ | EV_WRITE));
    error = mood_start(w, slot);
    if (error)
        w->ev = before;
    return error;
}

static int mood_stop(void *p)
{
    mood_watcher *w = p;
    struct mood_loop *l;
    ev_watcher *evw;
    int forgotten;

    REFUSE_WATCHER(w);
    l = w->loop;
    evw = watcher_ev(w);
    forgotten = forget(w);
    if (w->gathers && l->running)
        ungather(w);
    if (ev_is_active(evw)) {
        l->has_fewer = 1;
        rekeep(w);
        if (w->type == MOOD_TYPE_signal)
            detach_signal(l, &((struct mood_signal *)w)->ev);
        else
            types[w->type].stop(l->ev, evw);
        if (w->type == MOOD_TYPE_child)
            stop_children(l);
    } else {
        ev_clear_pending(l->ev, evw);
        rekeep(w);
    }
    return forgotten | let_go(w);
}

static int mood_active(void *p)
{
    return p && ev_is_active(watcher_ev(p));
}

static int mood_pending(void *p, int position)
{
    mood_watcher *w = p;

    return is_made(w) && (ev_is_pending(watcher_ev(w)) ||
                          (is_ready(w) && w->ready >= position));
}

/* Before Python configures the watcher anew, with another struct: let go of this one,
 * which nothing can start from here on. */
static int mood_discard(void *p, int position)
{
    mood_watcher *w = p;
    int result = 0;

    if (!w)
        return 0;
    if (is_made(w)) {
        if (ev_is_active(watcher_ev(w)))
            return MOOD_ACTIVE;
        if (mood_pending(w, position))
            return MOOD_PENDING;
        if (w->loop->ev)
            result = mood_stop(w);
    }
    if (result >= 0)
        w->discarded = 1;
    return result;
}

static int mood_clear(void *p, int position, int *revents)
{
    mood_watcher *w = p;
    struct mood_loop *l;
    int forgotten = 0;

    REFUSE_WATCHER(w);
    l = w->loop;
    *revents = ev_clear_pending(l->ev, watcher_ev(w));
    if (is_ready(w) && w->ready >= position) {
        *revents |= l->events[2 * w->ready + 1];
        forgotten = forget(w);
    }
    return forgotten | (is_idle(w) ? let_go(w) : 0);
}

static int mood_feed(void *p, int slot, int revents)
{
    mood_watcher *w = p;
    int error;

    REFUSE_WATCHER(w);
    REFUSE_GROWTH;
    error = hold(w, slot);
    if (!error) {
        settle(w->loop);
        ev_feed_event(w->loop->ev, watcher_ev(w), revents);
    }
    return error;
}

static int mood_priority(void *p) { return ev_priority(watcher_ev(p)); }

static int mood_set_priority(void *p, int priority, int position)
{
    mood_watcher *w = p;

    REFUSE_WATCHER(w);
    if (ev_is_active(watcher_ev(w)))
        return MOOD_ACTIVE;
    if (mood_pending(w, position))
        return MOOD_PENDING;
    ev_set_priority(watcher_ev(w), priority);
    return 0;
}

static int mood_keepalive(void *p) { return ((mood_watcher *)p)->keepalive; }

static int mood_set_keepalive(void *p, int keepalive)
{
    mood_watcher *w = p;

    REFUSE_WATCHER(w);
    w->keepalive = keepalive != 0;
    if (keepalive)
        rekeep(w);
    else if (ev_is_active(watcher_ev(w)) && !w->unrefed)
        unkeep(w);
    return 0;
}

static int timer_again(struct mood_timer *w)
{
    struct mood_loop *l = w->head.loop;
    int forgotten = forget(&w->head);

    freshen(l);
    ev_timer_again(l->ev, &w->ev);
    if (!ev_is_active(&w->ev)) {
        l->has_fewer = 1;
        rekeep(&w->head);
        return forgotten | let_go(&w->head);
    }
    if (!w->head.keepalive && !w->head.unrefed)
        unkeep(&w->head);
    return forgotten;
}

static int mood_timer_reset(struct mood_timer *w, int slot)
{
    int error;

    REFUSE_WATCHER(&w->head);
    REFUSE_GROWTH;
    error = hold(&w->head, slot);
    return error ? error : timer_again(w);
}

/* The same for one that has a slot, as most have. */
static int mood_timer_again(struct mood_timer *w)
{
    if (!w || !w->head.slot)
        return MOOD_UNHELD;
    REFUSE(w->head.loop);
    REFUSE_GROWTH;
    return timer_again(w);
}

static double mood_timer_remaining(struct mood_timer *w)
{
    struct ev_loop *ev = w->head.loop->ev;

    return ev ? ev_timer_remaining(ev, &w->ev) : ev_periodic_at(&w->ev);
}

static double on_reschedule(ev_periodic *evw, double now) EV_NOEXCEPT
{
    struct mood_periodic *w = evw->data;
    struct mood_loop *l = w->head.loop;
    double at = -1.;

    if (!w->head.failed && !python_is_gone()) {
        l->rescheduling++;
        at = mood_on_reschedule(l->id, w->head.slot, now);
        l->rescheduling--;
    }
    if (at >= now)
        return at;
    /* It must not be stopped from in here: at the next invocation it is. */
    w->head.failed = 1;
    l->failed = 1;
    return now + 1e30;
}

static int mood_periodic_set_scheduler(struct mood_periodic *w)
{
    if (is_made(w))
        ev_periodic_set(&w->ev, 0., 0., on_reschedule);
    return 0;
}

static int mood_periodic_reset(struct mood_periodic *w, int slot)
{
    struct mood_loop *l;
    int forgotten;

    REFUSE_WATCHER(&w->head);
    l = w->head.loop;
    w->head.failed = 0;
    forgotten = forget(&w->head);
    if (!ev_is_active(&w->ev)) {
        int error;

        ev_clear_pending(l->ev, &w->ev);
        error = mood_start(w, slot);
        return error ? error : forgotten;
    }
    /* Stopped and started by libev, which is what libev does. */
    freshen(l);
    ev_periodic_again(l->ev, &w->ev);
    return forgotten;
}

/* Stop a Scheduler that has failed. An event that it is due stays. 1: it has been
 * started anew since. */
static int mood_periodic_fail(struct mood_periodic *w)
{
    struct mood_loop *l;
    int revents;

    if (!is_made(w) || !w->head.failed)
        return 1;
    l = w->head.loop;
    w->head.failed = 0;
    REFUSE(l);
    settle(l);
    revents = ev_clear_pending(l->ev, &w->ev);
    rekeep(&w->head);
    l->has_fewer = 1;
    ev_periodic_stop(l->ev, &w->ev);
    if (revents)
        ev_feed_event(l->ev, &w->ev, revents);
    return 0;
}

static double mood_periodic_at(struct mood_periodic *w)
{
    return ev_periodic_at(&w->ev);
}

static int mood_stat_stat(struct mood_stat *w)
{
    REFUSE(w->head.loop);
    ev_stat_stat(w->head.loop->ev, &w->ev);
    return 0;
}

#if defined(__APPLE__)
#define STAT_NSEC(st, which) (st)->st_##which##timespec.tv_nsec
#else
#define STAT_NSEC(st, which) (st)->st_##which##tim.tv_nsec
#endif

/* The fields of os.stat_result: ten numbers in its order, then st_rdev,
 * st_blocks, st_blksize, and the three times in nanoseconds; in seconds as well.
 */
static void mood_stat_read(struct mood_stat *w, int prev, int64_t *numbers,
                           double *seconds)
{
    const ev_statdata *st = prev ? &w->ev.prev : &w->ev.attr;
    const int64_t times[3] = {st->st_atime, st->st_mtime, st->st_ctime};
    const int64_t nsecs[3] = {STAT_NSEC(st, a), STAT_NSEC(st, m), STAT_NSEC(st, c)};
    const int64_t rest[] = {st->st_mode, (int64_t)st->st_ino, (int64_t)st->st_dev,
                            (int64_t)st->st_nlink, st->st_uid, st->st_gid,
                            st->st_size};

    memcpy(numbers, rest, sizeof rest);
    for (int i = 0; i < 3; i++) {
        numbers[7 + i] = times[i];
        numbers[13 + i] = times[i] * 1000000000 + nsecs[i];
        seconds[i] = (double)times[i] + 1e-9 * (double)nsecs[i];
    }
    numbers[10] = (int64_t)st->st_rdev;
    numbers[11] = st->st_blocks;
    numbers[12] = st->st_blksize;
}

/* From any thread. */
static int mood_async_send(struct mood_async *w)
{
    struct mood_loop *l;
    int result = 0;

    if (!is_made(w))
        return MOOD_SILENT;
    l = w->head.loop;
    pthread_mutex_lock(&l->lock);
    if (!l->ev)
        result = MOOD_CLOSED;
    else if (!l->has_pipe)
        /* libev aborts when it next polls. */
        result = MOOD_SILENT;
    else
        ev_async_send(l->ev, &w->ev);
    pthread_mutex_unlock(&l->lock);
    return result;
}

static int mood_async_sent(struct mood_async *w)
{
    return w && ev_async_pending(&w->ev) != 0;
}
