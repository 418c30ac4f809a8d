/* The workloads of workloads.py on libev itself: what every ratio refers to.
 *
 *     bench WORKLOAD [NAME=VALUE...] [samples=5]
 *
 * The arguments are the parameters of the same workload there; true is 1. Prints what
 * worker.py prints; with samples=0 a line for every line that it reads. bench.py
 * compiles it with the package's libev in the package's configuration, and runs it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "config.h"
#define EV_API_STATIC 1
#include "ev.c"

#include "common.h"

/* Longer than any run: these timers never fire. */
#define FAR 10000.
/* Times of fewer timers than this at once would be the clock's own. */
#define ENOUGH 10000

/* -- parameters and samples ----------------------------------------------------- */

static char **arguments;

static const char *text(const char *name, const char *otherwise)
{
    size_t length = strlen(name);

    for (char **argument = arguments; *argument; argument++)
        if (!strncmp(*argument, name, length) && (*argument)[length] == '=')
            return *argument + length + 1;
    return otherwise;
}

static double number(const char *name, double otherwise)
{
    const char *value = text(name, NULL);

    return value ? atof(value) : otherwise;
}

static double clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

/* What a sample consists of. */
#define MOST_CASES 4
#define MOST_SAMPLES 100

static struct {
    const char *name, *unit;
    double values[MOST_SAMPLES];
} cases[MOST_CASES];
static int ncases, nsamples;

static void report(const char *name, const char *unit, double value)
{
    int i;

    for (i = 0; i < ncases; i++)
        if (!strcmp(cases[i].name, name))
            break;
    if (i == ncases)
        ncases++;
    cases[i].name = name;
    cases[i].unit = unit;
    cases[i].values[nsamples] = value;
}

static void print_head(void)
{
    printf("{\"library\": \"libev\", \"version\": \"%d.%d\", \"interpreter\": \"C\"",
           ev_version_major(), ev_version_minor());
}

static void print_cases(int all)
{
    printf("[");
    for (int i = 0; i < ncases; i++) {
        printf("%s{\"case\": \"%s\", \"unit\": \"%s\", ", i ? ", " : "",
               cases[i].name, cases[i].unit);
        if (all) {
            printf("\"samples\": [");
            for (int j = 0; j < nsamples; j++)
                printf("%s%.9g", j ? ", " : "", cases[i].values[j]);
            printf("]}");
        } else
            printf("\"value\": %.9g}", cases[i].values[0]);
    }
    printf("]");
}

/* Call take(), which reports, as often as somebody wants it. */
static void sample(void (*take)(void))
{
    int wanted = number("samples", 5);

    print_head();
    if (wanted) {
        for (; nsamples < wanted && nsamples < MOST_SAMPLES; nsamples++)
            take();
        printf(", \"cases\": ");
        print_cases(1);
        printf("}\n");
        return;
    }
    printf("}\n");
    fflush(stdout);
    for (int byte; (byte = getchar()) != EOF;)
        if (byte == '\n') {
            take();
            print_cases(0);
            printf("\n");
            fflush(stdout);
        }
}

/* Samples of a run that can be of any length: see sampled() in workloads.py. */
static struct {
    const char *name, *unit;
    double per_unit;
    double (*run)(long count); /* returns ns */
    double (*units)(long count);
    long count;
} measured;

static void take_measured(void)
{
    double elapsed = measured.run(measured.count);

    report(measured.name, measured.unit,
           elapsed / measured.units(measured.count) / measured.per_unit);
}

static void measure(const char *name, const char *unit, double per_unit,
                    double (*run)(long), double (*units)(long))
{
    double wanted = number("seconds", 0.1) * 1e9, elapsed;
    long count = 1;

    while ((elapsed = run(count)) * 2 < wanted)
        count *= 2;
    count = count * wanted / elapsed;
    measured.name = name;
    measured.unit = unit;
    measured.per_unit = per_unit;
    measured.run = run;
    measured.units = units;
    measured.count = count ? count : 1;
    sample(take_measured);
}

static struct ev_loop *loop;
static int n;
static long left;

static void open_loop(void) { loop = ev_loop_new(EVFLAG_AUTO); }

static void count_down(void)
{
    if (!--left)
        ev_break(loop, EVBREAK_ONE);
}

static double run_for(long count)
{
    double begin;

    left = count;
    begin = clock_ns();
    ev_run(loop, 0);
    return clock_ns() - begin;
}

/* -- W1: dispatch ----------------------------------------------------------------- */

static ev_idle *idles;
static long calls;
static int restarted;
static volatile int seen;
static volatile ev_idle *last;

#define CALLBACK(name, body)                                                      \
    static void name(struct ev_loop *ev, ev_idle *w, int revents)                 \
    {                                                                             \
        (void)ev, (void)w, (void)revents;                                         \
        body;                                                                     \
    }

CALLBACK(nothing, )
CALLBACK(count, count_down())
CALLBACK(mask, seen = revents & 1)
CALLBACK(store, seen = revents)
CALLBACK(look_up, seen = w->data ? 1 : 0)
CALLBACK(be_restarted, calls++)
CALLBACK(pack, last = w; seen = revents)
CALLBACK(branch, seen = revents ? 2 : 3)
CALLBACK(remember, last = w)
CALLBACK(weigh, seen = sizeof *w)
CALLBACK(restart, ev_idle_stop(ev, w - 5); ev_idle_start(ev, w - 5))

static void (*const mixture[10])(struct ev_loop *, ev_idle *, int) = {
    nothing, mask,   store,    look_up, be_restarted,
    pack,    branch, remember, weigh,   restart,
};

static double dispatch_run(long iterations)
{
    calls = 0;
    return run_for(iterations);
}

static double dispatch_units(long iterations)
{
    return (double)iterations * (n - restarted) + calls;
}

static void dispatch(void)
{
    int mixed = number("mixed", 0);

    n = number("n", 1000);
    open_loop();
    idles = calloc(n, sizeof *idles);
    for (int i = 0; i < n; i++) {
        ev_idle_init(&idles[i], nothing);
        if (mixed) {
            ev_set_cb(&idles[i], mixture[i % 10]);
            restarted += i % 10 == 9;
        }
    }
    ev_set_cb(&idles[0], count);
    for (int i = 0; i < n; i++)
        ev_idle_start(loop, &idles[i]);
    measure(mixed ? "mixed" : n == 1 ? "iteration" : "callback", "ns", 1,
            dispatch_run, dispatch_units);
}

/* -- W2: pipes -------------------------------------------------------------------- */

static struct pipe_end {
    ev_io io;
    ev_timer timer;
    int fd, following;
} *ends;
static int active, with_timers;
static int *writers;

static void never(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev, (void)w, (void)revents;
}

static void readable(struct ev_loop *ev, ev_io *w, int revents)
{
    struct pipe_end *end = (struct pipe_end *)w;
    char byte;

    (void)revents;
    if (read(end->fd, &byte, 1) != 1)
        fail("read");
    if (with_timers)
        ev_timer_again(ev, &end->timer);
    left--;
    if (left >= active) {
        if (write(end->following, "e", 1) != 1)
            fail("write");
    } else if (!left)
        ev_break(ev, EVBREAK_ONE);
}

static double events_run(long writes)
{
    for (int i = 0; i < active; i++)
        if (write(writers[i * (n / active)], "e", 1) != 1)
            fail("write");
    return run_for(active + writes);
}

static double events_units(long writes) { return active + writes; }

static double registration_run(long count)
{
    double begin = clock_ns();

    while (count--) {
        for (int i = 0; i < n; i++) {
            ev_io_stop(loop, &ends[i].io);
            ev_io_set(&ends[i].io, ends[i].fd, EV_READ);
            ev_io_start(loop, &ends[i].io);
        }
        ev_run(loop, EVRUN_NOWAIT);
    }
    return clock_ns() - begin;
}

static double times_n(long count) { return (double)count * n; }

static void pipes(void)
{
    n = number("n", 1000);
    active = number("active", 100);
    with_timers = number("timers", 0);
    allow_descriptors(2 * n);
    open_loop();
    ends = calloc(n, sizeof *ends);
    writers = calloc(n, sizeof *writers);
    for (int i = 0; i < n; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            fail("socketpair");
        ends[i].fd = pair[0];
        writers[i] = pair[1];
    }
    srand(1);
    for (int i = 0; i < n; i++) {
        ends[i].following = writers[(i + 1) % n];
        ev_timer_init(&ends[i].timer, never, FAR, 10. + rand() / (double)RAND_MAX);
        if (with_timers)
            ev_timer_again(loop, &ends[i].timer);
        ev_io_init(&ends[i].io, readable, ends[i].fd, EV_READ);
        ev_io_start(loop, &ends[i].io);
    }
    ev_run(loop, EVRUN_NOWAIT);
    if (number("registration", 0))
        measure("registration", "ns", 1, registration_run, times_n);
    else
        measure(with_timers ? "event + timer reset" : "event", "ns", 1, events_run,
                events_units);
}

/* -- W3: timers ------------------------------------------------------------------- */

static ev_timer *timers;
static ev_timer **orders[4];
static int norder;
static double phases[4];

static void lifecycle_pass(void)
{
    int repetitions = n < ENOUGH ? ENOUGH / n : 1;
    double begin = clock_ns(), created = 0, started = 0, stopped;

    for (int i = 0; i < repetitions; i++) {
        for (int j = 0; j < n; j++)
            ev_timer_init(&timers[j], never, FAR, 0.);
        created = clock_ns();
        for (int j = 0; j < n; j++)
            ev_timer_start(loop, &timers[j]);
        started = clock_ns();
        for (int j = 0; j < n; j++)
            ev_timer_stop(loop, &timers[j]);
    }
    stopped = clock_ns();
    phases[0] += (stopped - begin) / repetitions / n;
    phases[1] += (created - begin) / n;
    phases[2] += (started - created) / n;
    phases[3] += (stopped - started) / n;
}

static void take_lifecycle(void)
{
    double end = clock_ns() + number("seconds", 0.1) * 1e9;
    int passes = 0;

    memset(phases, 0, sizeof phases);
    do {
        open_loop();
        lifecycle_pass();
        ev_loop_destroy(loop);
        passes++;
    } while (clock_ns() < end);
    report("create + start + stop", "ns", phases[0] / passes);
    if (n < ENOUGH)
        return;
    report("create", "ns", phases[1] / passes);
    report("start", "ns", phases[2] / passes);
    report("stop", "ns", phases[3] / passes);
}

static double reset_run(long count)
{
    double begin = clock_ns();

    while (count--)
        for (int i = 0; i < norder; i++)
            ev_timer_again(loop, orders[count % 4][i]);
    return clock_ns() - begin;
}

static double reset_units(long count) { return (double)count * norder; }

/* All timers in a random order. */
static void shuffle(ev_timer **shuffled)
{
    for (int i = 0; i < n; i++)
        shuffled[i] = &timers[i];
    for (int i = n - 1; i > 0; i--) {
        int j = rand() % (i + 1);
        ev_timer *other = shuffled[i];

        shuffled[i] = shuffled[j];
        shuffled[j] = other;
    }
}

static void measure_reset(void)
{
    norder = n < ENOUGH ? ENOUGH / n * n : n;
    srand(1);
    for (int i = 0; i < 4; i++) {
        orders[i] = calloc(norder, sizeof **orders);
        for (int j = 0; j < norder; j += n)
            shuffle(orders[i] + j);
    }
    open_loop();
    for (int i = 0; i < n; i++) {
        ev_timer_init(&timers[i], never, FAR, FAR);
        ev_timer_start(loop, &timers[i]);
    }
    measure("reset", "ns", 1, reset_run, reset_units);
}

static double resident(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (!statm || fscanf(statm, "%*d %ld", &pages) != 1)
        fail("/proc/self/statm");
    fclose(statm);
    return (double)pages * sysconf(_SC_PAGESIZE);
}

static void take_memory(void)
{
    ev_timer **list = malloc(n * sizeof *list);
    double before;

    memset(list, 1, n * sizeof *list);
    open_loop();
    before = resident();
    for (int i = 0; i < n; i++) {
        list[i] = malloc(sizeof **list);
        ev_timer_init(list[i], never, FAR, 0.);
        ev_timer_start(loop, list[i]);
    }
    report("memory", "bytes", (resident() - before) / n);
}

static void measure_timers(void)
{
    n = number("n", 100000);
    if (number("memory", 0)) {
        sample(take_memory);
        return;
    }
    timers = calloc(n, sizeof *timers);
    if (number("reset", 0))
        measure_reset();
    else
        sample(take_lifecycle);
}

/* -- W4: an echo server ------------------------------------------------------------ */

#define CHUNK 65536

static int listener;
static char heard[1000];
static size_t nheard;
static double marks[2];
static int nmarks;

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 +
           usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
}

static void on_data(struct ev_loop *ev, ev_io *w, int revents)
{
    static char chunk[CHUNK];
    ssize_t length = recv(w->fd, chunk, sizeof chunk, 0);

    (void)revents;
    if (length > 0) {
        if (send(w->fd, chunk, length, 0) != length)
            fail("send");
    } else {
        ev_io_stop(ev, w);
        close(w->fd);
        free(w);
    }
}

static void on_connection(struct ev_loop *ev, ev_io *w, int revents)
{
    int fd, one = 1;

    (void)revents;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        ev_io *io = malloc(sizeof *io);

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ev_io_init(io, on_data, fd, EV_READ);
        ev_io_start(ev, io);
    }
}

static void on_words(struct ev_loop *ev, ev_io *w, int revents)
{
    ssize_t length = read(w->fd, heard + nheard, sizeof heard - 1 - nheard);

    (void)revents;
    if (length <= 0) {
        ev_break(ev, EVBREAK_ONE);
        return;
    }
    for (ssize_t i = 0; i < length; i++)
        if (heard[nheard + i] == '\n' && nmarks < 2)
            marks[nmarks++] = cpu_seconds();
    nheard += length;
    heard[nheard] = 0;
}

/* The client's stdout, and its process. */
static int run_client(pid_t *pid)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    char port[20];
    int ends_[2];

    getsockname(listener, (struct sockaddr *)&address, &length);
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    if (pipe(ends_) || (*pid = fork()) < 0)
        fail("load");
    if (!*pid) {
        dup2(ends_[1], 1);
        execl(text("load", "load"), "load", port, text("connections", "50"),
              text("size", "64"), text("warmup", "0.1"), text("seconds", "0.5"),
              (char *)NULL);
        fail("load");
    }
    close(ends_[1]);
    return ends_[0];
}

static void take_echo(void)
{
    double requests = 0, seconds = 0;
    const char *result;
    ev_io words;
    pid_t pid;
    int fd = run_client(&pid);

    nheard = nmarks = 0;
    ev_io_init(&words, on_words, fd, EV_READ);
    ev_io_start(loop, &words);
    ev_run(loop, 0);
    ev_io_stop(loop, &words);
    close(fd);
    waitpid(pid, NULL, 0);
    result = strchr(heard, '\n');
    if (nmarks < 2 ||
        sscanf(result, " {\"requests\": %lf, \"seconds\": %lf", &requests, &seconds) != 2)
        fail("what the load client says");
    report("rate", "requests/s", requests / seconds);
    report("cpu", "us", (marks[1] - marks[0]) * 1e6 / requests);
}

static void echo(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    ev_io accepting;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) ||
        listen(listener, 1024))
        fail("listen");
    allow_descriptors(number("connections", 50));
    open_loop();
    ev_io_init(&accepting, on_connection, listener, EV_READ);
    ev_io_start(loop, &accepting);
    take_echo();
    sample(take_echo);
}

/* -- W5: another thread ------------------------------------------------------------- */

static ev_async async;
static sem_t done;
static volatile double arrived;
static volatile int over;
static double *delays;

static void woken(struct ev_loop *ev, ev_async *w, int revents)
{
    (void)w, (void)revents;
    arrived = clock_ns();
    if (over)
        ev_break(ev, EVBREAK_ONE);
    sem_post(&done);
}

static void *send_all(void *nobody)
{
    struct timespec pause = {.tv_nsec = number("pause", 0.0002) * 1e9};

    for (int i = 0; i < n; i++) {
        double sent;

        nanosleep(&pause, NULL);
        sent = clock_ns();
        ev_async_send(loop, &async);
        sem_wait(&done);
        delays[i] = arrived - sent;
    }
    over = 1;
    ev_async_send(loop, &async);
    sem_wait(&done);
    return nobody;
}

static int compare(const void *one, const void *two)
{
    double a = *(const double *)one, b = *(const double *)two;

    return (a > b) - (a < b);
}

static void take_wake(void)
{
    pthread_t sender;

    over = 0;
    pthread_create(&sender, NULL, send_all, NULL);
    ev_run(loop, 0);
    pthread_join(sender, NULL);
    qsort(delays, n, sizeof *delays, compare);
    report("median", "us", delays[n / 2] / 1000);
    report("p99", "us", delays[(long)n * 99 / 100] / 1000);
}

static void wake(void)
{
    n = number("count", 1000);
    delays = calloc(n, sizeof *delays);
    sem_init(&done, 0, 0);
    open_loop();
    ev_async_init(&async, woken);
    ev_async_start(loop, &async);
    take_wake();
    sample(take_wake);
}

/* -- W6: beginning ------------------------------------------------------------------- */

#define AT_ONCE 100

static double loops_run(long count)
{
    struct ev_loop *loops[AT_ONCE];
    double elapsed = 0;

    while (count--) {
        double begin = clock_ns();

        for (int i = 0; i < AT_ONCE; i++)
            loops[i] = ev_loop_new(EVFLAG_AUTO);
        elapsed += clock_ns() - begin;
        for (int i = 0; i < AT_ONCE; i++)
            ev_loop_destroy(loops[i]);
    }
    return elapsed;
}

static double loops_units(long count) { return (double)count * AT_ONCE; }

static void begin(void)
{
    if (!strcmp(text("what", "loop"), "import")) {
        print_head();
        printf(", \"unsupported\": \"there is nothing to import\"}\n");
    } else
        measure("Loop()", "us", 1000, loops_run, loops_units);
}

static const struct {
    const char *name;
    void (*run)(void);
} workloads[] = {
    {"W1", dispatch}, {"W2", pipes}, {"W3", measure_timers},
    {"W4", echo},     {"W5", wake},  {"W6", begin},
};

int main(int argc, char **argv)
{
    arguments = argv + (argc > 1 ? 2 : 1);
    if (argc < 2) {
        print_head();
        printf("}\n");
        return 0;
    }
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (!strcmp(argv[1], workloads[i].name)) {
            workloads[i].run();
            return 0;
        }
    fprintf(stderr, "bench: there is no workload %s\n", argv[1]);
    return 2;
}
