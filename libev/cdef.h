/* What Python sees of the shim: the table of watcher types, and the functions.
 *
 * Two readers. build_ffi.py gives this file to cffi, with each row expanded to
 * the declarations of that type. shim.h includes it, with MOOD_TABLE defined,
 * for the rows alone, so that a type is written down once.
 *
 * A row: name, event, parameters of set, what ev_<name>_set takes for them, and
 * the fields of struct ev_<name> that Python reads or writes.
 */
#ifndef MOOD_TABLE
typedef struct mood_loop mood_loop;
#endif

MOOD_WATCHER(io, EV_READ, (int fd, int events), (fd, events & (EV_READ | EV_WRITE)),
             int fd; int events;)
MOOD_WATCHER(timer, EV_TIMER, (double after, double repeat),
             (after, repeat < 0. ? 0. : repeat),
             double repeat;)
MOOD_WATCHER(periodic, EV_PERIODIC, (double offset, double interval),
             (offset, interval < 0. ? 0. : interval, NULL), double offset; double interval;)
MOOD_WATCHER(signal, EV_SIGNAL, (int signum), (signum), int signum;)
MOOD_WATCHER(child, EV_CHILD, (int pid, int trace), (pid, trace),
             int pid; int rpid; int rstatus;)
MOOD_WATCHER(stat, EV_STAT, (const char *path, double interval),
             (path, interval), double interval;)
MOOD_WATCHER(idle, EV_IDLE, (), (), )
MOOD_WATCHER(prepare, EV_PREPARE, (), (), )
MOOD_WATCHER(check, EV_CHECK, (), (), )
MOOD_WATCHER(embed, EV_EMBED, (mood_loop *other), (other), )
MOOD_WATCHER(fork, EV_FORK, (), (), )
MOOD_WATCHER(cleanup, EV_CLEANUP, (), (), int active;)
MOOD_WATCHER(async, EV_ASYNC, (), (), )

#ifndef MOOD_TABLE

/* A loop. Python allocates it, mood_loop_open fills it. */
struct mood_loop {
    int *events;
    int count;
    int *retired;
    int *gathered;
    int direct;
    int embedders;
    int has_callback;
    int broken;
    int running;
    int invoking;
    ...;
};

int mood_loop_open(mood_loop *, int id, unsigned int flags);
int mood_loop_destroy(mood_loop *);
int mood_refusal(mood_loop *);
int mood_run(mood_loop *, int flags, double limit, int wakeup, int previous);
int mood_run_directly(mood_loop *, int flags);
int64_t mood_look(mood_loop *);
int64_t mood_wait(mood_loop *);
int64_t mood_wait_for(mood_loop *, double timeout);
int64_t mood_gathered(mood_loop *);
int mood_invoke(mood_loop *);
void mood_break(mood_loop *, int how);
int mood_elsewhere(mood_loop *);
int mood_spill(mood_loop *, int position);
int mood_retire(mood_loop *);
int mood_pending_count(mood_loop *, int position);
int mood_active_count(mood_loop *);
int mood_fork(mood_loop *);
int mood_after_fork(mood_loop *);
double mood_now(mood_loop *);
int mood_update(mood_loop *);
int mood_suspend(mood_loop *);
int mood_resume(mood_loop *);
int mood_ref(mood_loop *);
int mood_unref(mood_loop *);
int mood_verify(mood_loop *);
unsigned int mood_backend(mood_loop *);
unsigned int mood_iteration(mood_loop *);
unsigned int mood_depth(mood_loop *);
int mood_io_interval(mood_loop *, double interval);
int mood_timeout_interval(mood_loop *, double interval);
int mood_feed_fd_event(mood_loop *, int fd, int revents);
int mood_feed_signal_event(mood_loop *, int signum);
void mood_knock(mood_loop *);
int mood_wakeup(mood_loop *, int fd, int previous);
int mood_watched(mood_loop *, int fd);
void mood_exit(void);

/* A watcher: each of these takes the struct of any type, made or not, or NULL. A slot
 * is where Python's table has the watcher, and 0 if C is to have it by one already. */
int mood_made(void *watcher);
int mood_slot(void *watcher);
int mood_discard(void *watcher, int position);
int mood_start(void *watcher, int slot);
int mood_stop(void *watcher);
int mood_active(void *watcher);
int mood_pending(void *watcher, int position);
int mood_clear(void *watcher, int position, int *revents);
int mood_feed(void *watcher, int slot, int revents);
int mood_priority(void *watcher);
int mood_set_priority(void *watcher, int priority, int position);
int mood_keepalive(void *watcher);
int mood_set_keepalive(void *watcher, int keepalive);
int mood_retirable(void *watcher);

int mood_io_gather(struct mood_io *);
int mood_io_modify(struct mood_io *, int events);
int mood_io_watch(struct mood_io *, int slot, int events);
int mood_timer_again(struct mood_timer *);
int mood_timer_reset(struct mood_timer *, int slot);
double mood_timer_remaining(struct mood_timer *);
int mood_periodic_set_scheduler(struct mood_periodic *);
int mood_periodic_reset(struct mood_periodic *, int slot);
int mood_periodic_fail(struct mood_periodic *);
double mood_periodic_at(struct mood_periodic *);
int mood_stat_stat(struct mood_stat *);
void mood_stat_read(struct mood_stat *, int prev, int64_t *numbers,
                    double *seconds);
int mood_async_send(struct mood_async *);
int mood_async_sent(struct mood_async *);

double ev_time(void);
void ev_sleep(double interval);
int ev_version_major(void);
int ev_version_minor(void);
unsigned int ev_supported_backends(void);
unsigned int ev_recommended_backends(void);
unsigned int ev_embeddable_backends(void);
void ev_feed_signal(int signum);

const char *mood_version(void);
const char *mood_libev_origin(void);
int mood_debug(void);

/* What a function above returns when it did nothing. */
#define MOOD_CLOSED ...
#define MOOD_RESCHEDULING ...
#define MOOD_SIGNAL_TAKEN ...
#define MOOD_UNBALANCED ...
#define MOOD_SUSPENDED ...
#define MOOD_NOT_SUSPENDED ...
#define MOOD_PENDING ...
#define MOOD_SILENT ...
#define MOOD_ELSEWHERE ...
#define MOOD_ACTIVE ...
#define MOOD_UNMADE ...
#define MOOD_UNHELD ...
#define MOOD_NO_MEMORY ...
#define MOOD_STRANGE ...
#define MOOD_INDIRECT ...
#define MOOD_BROKEN ...
#define MOOD_DELIVERED ...

#define MOOD_MANY ...

/* What a function says that has stopped a watcher: the sum of these. */
#define MOOD_LET_GO ...
#define MOOD_LATER ...
#define MOOD_FORGOTTEN ...

#define EV_NONE ...
#define EV_READ ...
#define EV_WRITE ...
#define EV_IO ...
#define EV_TIMER ...
#define EV_PERIODIC ...
#define EV_SIGNAL ...
#define EV_CHILD ...
#define EV_STAT ...
#define EV_IDLE ...
#define EV_PREPARE ...
#define EV_CHECK ...
#define EV_EMBED ...
#define EV_FORK ...
#define EV_CLEANUP ...
#define EV_ASYNC ...
#define EV_CUSTOM ...
#define EV_ERROR ...
#define EV_MINPRI ...
#define EV_MAXPRI ...
#define EVFLAG_AUTO ...
#define EVFLAG_NOENV ...
#define EVFLAG_FORKCHECK ...
#define EVFLAG_NOINOTIFY ...
#define EVFLAG_SIGNALFD ...
#define EVFLAG_NOSIGMASK ...
#define EVFLAG_NOTIMERFD ...
#define EVBACKEND_SELECT ...
#define EVBACKEND_POLL ...
#define EVBACKEND_EPOLL ...
#define EVBACKEND_KQUEUE ...
#define EVBACKEND_DEVPOLL ...
#define EVBACKEND_PORT ...
#define EVBACKEND_LINUXAIO ...
#define EVBACKEND_IOURING ...
#define EVBACKEND_ALL ...
#define EVBACKEND_MASK ...
#define EVRUN_NOWAIT ...
#define EVRUN_ONCE ...
#define EVBREAK_ONE ...
#define EVBREAK_ALL ...

/* What the shim calls: mood_event/_dispatch.py. */
extern "Python" void mood_on_batch(int loop, int retired);
extern "Python" void mood_on_event(int loop, int slot, int revents);
extern "Python" void mood_on_callback(int loop);
extern "Python" void mood_on_error(int loop, int slot, int errnum);
extern "Python" void mood_on_signal(int loop);
extern "Python" void mood_on_spill(int loop);
extern "Python" void mood_on_failed(int loop);
extern "Python" int mood_on_wait(int loop, double limit);
extern "Python" double mood_on_reschedule(int loop, int slot, double now);

#endif
