/* The floor: what crossing between libev and Python costs, and nothing else.
 *
 * Compiled by build.py, with the libev and the configuration that the package has.
 * There are two ways to cross. In one, every event is a call into Python. In the
 * other, events are appended to an array, and each iteration makes one call.
 */
#include "config.h"
#define EV_API_STATIC 1
#include "ev.c"

static void floor_on_event(int slot, int revents);
static void floor_on_batch(int count);

static int *floor_events;
static int floor_count, floor_size;

static void one_event(struct ev_loop *ev, ev_watcher *w, int revents)
{
    (void)ev;
    floor_on_event((int)(intptr_t)w->data, revents);
}

static void append_event(struct ev_loop *ev, ev_watcher *w, int revents)
{
    (void)ev;
    if (floor_count == floor_size) {
        floor_size = floor_size ? 2 * floor_size : 64;
        floor_events = realloc(floor_events, 2 * sizeof(int) * floor_size);
    }
    floor_events[2 * floor_count] = (int)(intptr_t)w->data;
    floor_events[2 * floor_count++ + 1] = revents;
}

static void invoke_batch(struct ev_loop *ev)
{
    int count;

    ev_invoke_pending(ev);
    count = floor_count;
    floor_count = 0;
    if (count)
        floor_on_batch(count);
}

static struct ev_loop *floor_open(int batch)
{
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);

    if (batch)
        ev_set_invoke_pending_cb(ev, invoke_batch);
    return ev;
}

/* Slot and callback; the fields of the watcher's type are set by its own function. */
static void floor_init(void *w, int slot, int batch)
{
    ev_init((ev_watcher *)w, batch ? append_event : one_event);
    ((ev_watcher *)w)->data = (void *)(intptr_t)slot;
}

static void floor_io_set(ev_io *w, int fd, int events)
{
    ev_io_set(w, fd, events);
}

static void floor_timer_set(ev_timer *w, double after, double repeat)
{
    ev_timer_set(w, after, repeat);
}
