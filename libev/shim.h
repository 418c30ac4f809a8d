/* The structs of the shim: a loop, and what every watcher has in front of
 * libev's own struct. Included by shim.c and by nothing else; uses libev's
 * public interface alone, so that it is the same over the bundled libev and the
 * system's.
 */
#ifndef MOOD_SHIM_H
#define MOOD_SHIM_H

/* `f(first MOOD_MORE (a, b))` is f(first, a, b), and with () it is f(first). */
#define MOOD_MORE(...) __VA_OPT__(, ) __VA_ARGS__
#define MOOD_CALL(function, ...) function(__VA_ARGS__)

typedef struct mood_loop mood_loop;

/* The head of a watcher. ev_watcher.data points to it, so that the shim gets
 * from an event to the loop and to the slot without asking Python. */
typedef struct mood_watcher {
    struct mood_loop *loop; /* NULL: not made yet */
    int slot;  /* where Python's table has the watcher; 0: in no table */
    int ready; /* where the loop's ready queue had it last */
    unsigned char type;
    unsigned char keepalive; /* does it keep the loop running: as asked for */
    unsigned char unrefed;   /* ev_unref was called for it */
    unsigned char failed;    /* a Scheduler whose callable gave no time */
    unsigned char reaped;    /* a Child whose process has ended */
    unsigned char gathers;   /* an Io whose events are gathered, not delivered */
    unsigned char discarded; /* Python configures the watcher anew */
} mood_watcher;

enum {
#define MOOD_TABLE
#define MOOD_WATCHER(name, event, params, args, ...) MOOD_TYPE_##name,
#include "cdef.h"
#undef MOOD_WATCHER
    MOOD_TYPES
};

#define MOOD_WATCHER(name, event, params, args, ...)                           \
    struct mood_##name {                                                       \
        mood_watcher head;                                                     \
        struct ev_##name ev;                                                   \
    };                                                                         \
    _Static_assert(offsetof(struct mood_##name, ev) == sizeof(mood_watcher),   \
                   "libev's struct follows the head");
#include "cdef.h"
#undef MOOD_WATCHER

struct mood_loop {
    struct ev_loop *ev; /* NULL once the loop is closed */
    int id;             /* which loop, for Python */

    /* The ready queue: what libev invoked and Python has not been given yet.
     * events is what Python unpacks: slot, revents, slot, revents, ... */
    int *events;
    mood_watcher **ready;
    int count;

    /* Slots in events whose watcher libev had stopped: once delivered, nothing
     * needs them, and Python may let them go. */
    int *retired;
    int nretired;
    unsigned char *retiring; /* by slot: it is in there, once */

    struct mood_delivery *delivery; /* of single events: the innermost one */

    /* What was gathered in this run: fd, revents, fd, revents, ... */
    int *gathered;
    int ngathered;
    int is_polling; /* the innermost run is mood_wait's, or has a limit as that has */
    ev_timer *limit; /* in that: when it is over, if it ever is */
    int delivered;  /* in that: callbacks were called, before it waits */

    /* The watchers of the slots. The arrays above have as much room. */
    mood_watcher **held;
    int room;

    int direct;    /* the runs that Python does nothing around: 1: those that do
                    * not wait, 2: those that do as well */
    int embedders; /* 0: surely, no Embed watcher of another loop is for this one */
    int embedded;  /* how many of these are active */

    int collecting;   /* inside ev_invoke_pending */
    int has_callback; /* Loop.callback is set */
    int broken;       /* an exception waits for start() to raise it */
    int signalled;    /* the wakeup descriptor was written to */
    int rescheduling; /* inside a Scheduler's callable */
    int failed;       /* a Scheduler has failed */
    int suspended;
    int balance; /* of ref() and unref() */
    int advanced;    /* of these, what no ref() was called for yet */
    int has_fewer;   /* references than when these were looked at */
    int failure; /* what libev gave up on, as mood_run returns it */
    int forked;  /* libev is to renew what the kernel has of the loop */
    int highest; /* descriptor that there is memory for */
    int errnum;  /* errno when libev last invoked pending events */
    int unkept;  /* references of watchers that ev_unref was called for */

    int running;      /* nested runs that Python has called */
    pthread_t runner; /* the thread of these */
    int lost;         /* runs of a thread that a fork left behind */
    int invoking;     /* nested invocations that Python has called */
    pthread_t invoker;
    int handed_over;  /* in Loop.callback, which may have any thread invoke */

    int has_pipe;           /* libev's wake-up pipe is there: async_send may be */
    int *taken, ntaken;     /* descriptors that it must not get */
    struct mood_async knock; /* wakes the loop from any thread */
    int knocked;             /* before the loop could be woken */
    ev_async hurry;          /* does not let it wait */
    pthread_mutex_t lock;    /* for what other threads may do */
    ev_io wakeup; /* signal.set_wakeup_fd's other end */
    int wakeup_active, wakeup_previous;

    int children;         /* active Child watchers */
    ev_signal sigchld;    /* reaps for them */
    int reap_later;
};

/* Python is given an event by its slot, and a signal's handler or a `__del__` can come
 * before it has looked up whose that is. Nobody else may have the slot by then. */
struct mood_delivery {
    int slot;
    struct mood_delivery *outer;
};

enum {
    MOOD_CLOSED = -5001,
    MOOD_RESCHEDULING = -5002,
    MOOD_SIGNAL_TAKEN = -5003,
    MOOD_UNBALANCED = -5004,
    MOOD_SUSPENDED = -5005,
    MOOD_NOT_SUSPENDED = -5006,
    MOOD_PENDING = -5007,
    MOOD_SILENT = -5008,
    MOOD_ELSEWHERE = -5009,
    MOOD_ACTIVE = -5010,
    MOOD_UNMADE = -5011,
    MOOD_UNHELD = -5012,
    MOOD_NO_MEMORY = -5013,
    MOOD_STRANGE = -5014,
    MOOD_INDIRECT = -5015,
    MOOD_BROKEN = -5016,
    MOOD_DELIVERED = -5017
};

/* What mood_gathered returns more than this by, is how many events there are. */
#define MOOD_MANY ((int64_t)1 << 40)

/* What a function says that has stopped a watcher: the sum of these. */
enum {
    MOOD_LET_GO = 1,   /* its slot is free */
    MOOD_LATER = 2,    /* but not to be taken yet: its event is being delivered */
    MOOD_FORGOTTEN = 4 /* times n: the nth event of the ready queue was its */
};

#endif
