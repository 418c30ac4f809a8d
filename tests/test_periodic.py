"""Periodic and Scheduler watchers: times of the system's clock, and callables for them.

The clock itself is not set here.
"""

import math
import time

import pytest

import mood_event
from mood_event import (
    EV_CLEANUP,
    EV_CUSTOM,
    EV_PERIODIC,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
    Error,
    Loop,
    Periodic,
    Scheduler,
    fatal,
)

pytestmark = pytest.mark.core

NOT_FINITE = [
    (math.nan, ValueError),
    (math.inf, ValueError),
    (-math.inf, ValueError),
    (10**400, ValueError),
]
NO_NUMBER = [("1", TypeError), (None, TypeError), (1j, TypeError)]
BAD_TIMES = NOT_FINITE + NO_NUMBER


def ignore(watcher, revents):
    """A callback that does nothing."""


def later(scheduler, now):
    """Schedule what never comes in a test."""
    return now + 1e4


def wait_for(loop, at):
    """Wait until the loop knows that the time has come."""
    while loop.now() <= at:
        loop.update()


# -- Periodic -------------------------------------------------------------------------


def test_periodic_without_interval_fires_once_at_its_time(loop, events):
    seen, callback = events
    at = mood_event.time() + 0.02
    periodic = loop.periodic(at, 0.0, callback)
    periodic.start()
    assert periodic.at == at
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    assert loop.start() is False
    assert loop.now() >= at
    assert (seen, periodic.active) == ([(periodic, EV_PERIODIC)], False)


@pytest.mark.parametrize("offset", [0.0, -1e9, 1.5])
def test_periodic_of_the_past_fires_at_once(loop, events, offset):
    seen, callback = events
    periodic = loop.periodic(offset, 0.0, callback)
    periodic.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == [(periodic, EV_PERIODIC)]
    assert not periodic.active


@pytest.mark.parametrize(
    ("offset", "interval"), [(0.0, 3600.0), (1800, 3600), (3600.0, 3600.0), (0.5, 60.0)]
)
def test_periodic_with_interval_fires_at_offset_plus_multiples(loop, offset, interval):
    periodic = loop.periodic(offset, interval, ignore)
    periodic.start()
    assert loop.now() < periodic.at <= loop.now() + interval
    multiples = (periodic.at - offset) / interval
    assert multiples == pytest.approx(round(multiples), abs=1e-6)


def test_periodic_with_interval_fires_again_and_again(loop):
    times = []

    def callback(watcher, revents):
        assert revents == EV_PERIODIC
        times.append((loop.now(), watcher.at))
        if len(times) == 4:
            watcher.stop()

    periodic = loop.periodic(0.0, 1 / 128, callback)
    periodic.start()
    expected = periodic.at
    assert loop.start() is False
    assert len(times) == 4
    for now, following in times:
        assert now >= expected
        # The next one is on the grid, and none of the past is made up for.
        assert now < following <= now + 1 / 128 + 1e-6
        assert (following * 128) % 1 == pytest.approx(0.0, abs=1e-3)
        expected = following


def test_periodics_fire_in_the_order_of_their_times(loop, events):
    seen, callback = events
    for offset in (3.0, 1.0, 2.0, -1.0):
        loop.periodic(offset, 0.0, callback, offset).start()
    loop.start(EVRUN_NOWAIT)
    assert [periodic.data for periodic, _ in seen] == [-1.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "watcher",
    [
        lambda loop: loop.periodic(5.0, 0.0, ignore),
        lambda loop: loop.periodic(5.0, 60.0, ignore),
        lambda loop: loop.scheduler(later),
    ],
)
def test_at_before_start_is_zero(loop, watcher):
    assert watcher(loop).at == 0.0


def test_periodic_set_configures_the_next_start(loop, events):
    seen, callback = events
    periodic = loop.periodic(1e12, 0.0, callback)
    periodic.set(30.0, 60.0)
    assert (periodic.offset, periodic.interval) == (30.0, 60.0)
    periodic.set(1.0, 0.0)
    assert (periodic.offset, periodic.interval) == (1.0, 0.0)
    periodic.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == [(periodic, EV_PERIODIC)]


def test_periodic_attributes_can_be_written_and_used_by_reset(loop):
    periodic = loop.periodic(0.0, 3600.0, ignore)
    periodic.start()
    periodic.interval = 60
    periodic.offset = 30
    assert (periodic.offset, periodic.interval) == (30.0, 60.0)
    assert type(periodic.offset) is type(periodic.interval) is float
    assert periodic.reset() is None
    assert periodic.active
    assert loop.now() < periodic.at <= loop.now() + 60.0
    assert periodic.at % 60 == pytest.approx(30.0, abs=1e-6)


@pytest.mark.parametrize("make", ["periodic", "scheduler"])
def test_reset_starts_an_inactive_one(loop, make):
    watcher = {
        "periodic": lambda: loop.periodic(0.0, 3600.0, ignore),
        "scheduler": lambda: loop.scheduler(later, ignore),
    }[make]()
    watcher.reset()
    assert watcher.active
    assert watcher.at > loop.now()
    assert loop.start(EVRUN_NOWAIT) is True
    watcher.stop()
    assert loop.start() is False


def test_reset_clears_a_pending_event(loop, events):
    seen, callback = events
    for watcher in (
        loop.periodic(0.0, 3600.0, callback),
        loop.scheduler(later, callback),
    ):
        for started in (False, True):
            watcher.stop()
            if started:
                watcher.start()
            watcher.feed(EV_CUSTOM)
            watcher.reset()
            assert (watcher.active, watcher.pending) == (True, False)
            loop.start(EVRUN_NOWAIT)
    assert seen == []


@pytest.mark.parametrize(("bad", "error"), BAD_TIMES)
def test_periodic_offset_refuses_bad_values(loop, bad, error):
    periodic = loop.periodic(30.0, 60.0, ignore)
    for attempt in (
        lambda: Periodic(bad, 0.0, loop, ignore),
        lambda: periodic.__init__(bad, 0.0, loop, ignore),
        lambda: periodic.set(bad, 0.0),
        lambda: setattr(periodic, "offset", bad),
    ):
        with pytest.raises(error, match="offset"):
            attempt()
        assert (periodic.offset, periodic.interval) == (30.0, 60.0)


@pytest.mark.parametrize(
    ("bad", "error"),
    [*BAD_TIMES, (-1.0, ValueError), (1e-9, ValueError), (1 / 8193, ValueError)],
)
def test_periodic_interval_refuses_bad_values(loop, bad, error):
    periodic = loop.periodic(30.0, 60.0, ignore)
    for attempt in (
        lambda: Periodic(0.0, bad, loop, ignore),
        lambda: periodic.__init__(0.0, bad, loop, ignore),
        lambda: periodic.set(0.0, bad),
        lambda: setattr(periodic, "interval", bad),
    ):
        with pytest.raises(error, match="interval"):
            attempt()
        assert (periodic.offset, periodic.interval) == (30.0, 60.0)


@pytest.mark.parametrize("offset", [-1.0, -1e-9, 60.1, 1e9])
def test_periodic_offset_must_lie_within_the_interval(loop, offset):
    periodic = loop.periodic(60.0, 60.0, ignore)
    for attempt in (
        lambda: Periodic(offset, 60.0, loop, ignore),
        lambda: periodic.set(offset, 60.0),
        lambda: setattr(periodic, "offset", offset),
    ):
        with pytest.raises(ValueError, match="offset must be from"):
            attempt()
    with pytest.raises(ValueError, match="offset must be from"):
        periodic.interval = 59.0
    assert (periodic.offset, periodic.interval) == (60.0, 60.0)


def test_periodic_takes_the_shortest_interval(loop, events):
    seen, callback = events
    periodic = loop.periodic(0.0, 1 / 8192, callback)
    periodic.start()
    while len(seen) < 3:
        loop.start(EVRUN_ONCE)
    assert seen[:3] == [(periodic, EV_PERIODIC)] * 3


@pytest.mark.parametrize("how", ["expire", "stop", "reset"])
def test_periodic_keepalive_false_is_balanced_however_it_ends(loop, how):
    periodic = loop.periodic(1.0 if how == "expire" else 1e12, 0.0, ignore)
    periodic.keepalive = False
    for _ in range(3):
        periodic.start()
        if how == "reset":
            periodic.reset()
        assert loop.start(EVRUN_NOWAIT) is False
        with pytest.raises(Error):
            loop.unref()
        if how != "expire":
            periodic.stop()
        assert not periodic.active
    with pytest.raises(Error):
        loop.unref()
    assert loop.start() is False


# -- Scheduler ------------------------------------------------------------------------


def test_scheduler_is_asked_for_its_time_when_it_starts(loop):
    asked = []

    def schedule(*arguments):
        asked.append(arguments)
        return arguments[1] + 1e4

    watcher = loop.scheduler(schedule, ignore)
    assert (watcher.scheduler, watcher.callback) == (schedule, ignore)
    assert asked == []
    watcher.start()
    assert asked == [(watcher, loop.now())]
    assert watcher.at == asked[0][1] + 1e4
    assert type(asked[0][1]) is float
    watcher.start()
    assert len(asked) == 1


def test_scheduler_is_asked_again_when_it_has_fired(loop):
    asked, seen = [], []

    def schedule(watcher, now):
        asked.append(now)
        return now + 0.002

    def callback(watcher, revents):
        seen.append((loop.now(), revents))
        if len(seen) == 3:
            watcher.stop()

    watcher = loop.scheduler(schedule, callback)
    watcher.start()
    assert loop.start() is False
    assert [revents for _, revents in seen] == [EV_PERIODIC] * 3
    for asked_at, (now, _) in zip(asked, seen):
        assert now >= asked_at + 0.002 - 1e-6
    assert len(asked) == 4


def test_scheduler_that_says_now_fires_at_once(loop, events):
    seen, callback = events

    def schedule(watcher, now):
        return now if len(asked) < 1 and not asked.append(now) else now + 1e4

    asked = []
    watcher = loop.scheduler(schedule, callback)
    watcher.start()
    wait_for(loop, watcher.at)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_PERIODIC)]


def test_scheduler_may_return_any_number(loop):
    for at in (10**11, 1e12, True + 10**11):
        watcher = loop.scheduler(lambda watcher, now, at=at: at)
        watcher.start()
        assert watcher.at == float(at)
        watcher.stop()


def test_scheduler_needs_no_callback(loop):
    asked = []

    def schedule(watcher, now):
        asked.append(now)
        if len(asked) == 3:
            watcher.loop.call_soon_threadsafe(loop.stop)
        return now + (1e-4 if len(asked) < 3 else 1e4)

    watcher = loop.scheduler(schedule)
    assert watcher.callback is None
    watcher.start()
    assert loop.start() is True
    assert len(asked) == 3


def test_scheduler_can_be_replaced(loop):
    watcher = loop.scheduler(later)
    watcher.start()
    watcher.scheduler = lambda watcher, now: now + 2e4
    watcher.reset()
    assert watcher.at == pytest.approx(loop.now() + 2e4)
    watcher.reschedule = later
    assert watcher.scheduler is watcher.reschedule is later
    watcher.reset()
    assert watcher.at == pytest.approx(loop.now() + 1e4)


def test_scheduler_takes_the_keyword_of_mood_event(loop):
    watcher = Scheduler(reschedule=later, loop=loop, data="data")
    assert (watcher.scheduler, watcher.data) == (later, "data")
    for keywords in ({"reschedule": later, "scheduler": later}, {"reshedule": later}):
        with pytest.raises(TypeError):
            Scheduler(loop=loop, **keywords)


@pytest.mark.parametrize("bad", [None, 5, "later", 1e12])
def test_scheduler_must_be_callable(loop, bad):
    watcher = loop.scheduler(later)
    for attempt in (
        lambda: Scheduler(bad, loop),
        lambda: watcher.__init__(bad, loop),
        lambda: setattr(watcher, "scheduler", bad),
        lambda: setattr(watcher, "reschedule", bad),
    ):
        with pytest.raises(TypeError, match="scheduler must be callable"):
            attempt()
        assert watcher.scheduler is later


class Failing:
    """A scheduler that fails, from the call on that it is told."""

    def __init__(self, result, good=0):
        self.result = result
        self.good = good

    def __call__(self, watcher, now):
        if self.good:
            self.good -= 1
            return now
        if isinstance(self.result, BaseException):
            raise self.result
        return now - 1.0 if self.result == "past" else self.result


# What a scheduler returns or raises, and what is reported of it.
FAILURES = [
    (ZeroDivisionError("raised"), ZeroDivisionError),
    ("past", Error),
    (0.0, Error),
    (-1.0, Error),
    (math.nan, ValueError),
    (math.inf, ValueError),
    (-math.inf, ValueError),
    (10**400, ValueError),
    (None, TypeError),
    ("1e12", TypeError),
    ([], TypeError),
    (1j, TypeError),
]


@pytest.mark.parametrize("method", ["start", "reset"])
@pytest.mark.parametrize(("result", "error"), FAILURES)
def test_scheduler_that_fails_at_the_start_is_stopped(
    loop, events, unraisable, method, result, error
):
    seen, callback = events
    scheduler = Failing(result)
    watcher = loop.scheduler(scheduler, callback)
    with pytest.warns(RuntimeWarning, match=r"<Scheduler .*stopped") as caught:
        getattr(watcher, method)()
    assert len(caught) == 1
    assert [(r.exc_type, r.object) for r in unraisable] == [(error, scheduler)]
    assert (watcher.active, watcher.pending) == (False, False)
    assert loop.start() is False
    assert seen == []
    # It can be started again.
    watcher.scheduler = later
    watcher.start()
    assert watcher.active


@pytest.mark.parametrize(("result", "error"), FAILURES)
def test_scheduler_that_fails_later_is_stopped_and_its_event_delivered(
    loop, events, unraisable, result, error
):
    seen, callback = events
    scheduler = Failing(result, good=1)
    watcher = loop.scheduler(scheduler, callback)
    watcher.start()
    assert watcher.active
    other = loop.periodic(1.0, 0.0, callback)
    other.start()
    with pytest.warns(RuntimeWarning, match=r"<Scheduler .*stopped"):
        assert loop.start() is False
    assert [(r.exc_type, r.object) for r in unraisable] == [(error, scheduler)]
    assert sorted(seen, key=lambda event: event[0] is other) == [
        (watcher, EV_PERIODIC),
        (other, EV_PERIODIC),
    ]
    assert not watcher.active


@pytest.mark.parametrize("keepalive", [False, True])
def test_scheduler_that_fails_leaves_the_references_balanced(
    loop, unraisable, keepalive
):
    for good in (0, 1):
        watcher = loop.scheduler(Failing(None, good))
        watcher.keepalive = keepalive
        with pytest.warns(RuntimeWarning, match="stopped"):
            start_and_run(loop, watcher)
        with pytest.raises(Error):
            loop.unref()
        assert loop.start() is False


def start_and_run(loop, watcher):
    """Start, and let everything happen that is due."""
    watcher.start()
    wait_for(loop, loop.now() + 1e-6)
    loop.start(EVRUN_NOWAIT)
    loop.start(EVRUN_NOWAIT)


def test_scheduler_whose_warning_is_an_error_ends_the_run(loop, events, unraisable):
    # pytest makes them errors, as does -W error.
    seen, callback = events
    watcher = loop.scheduler(Failing(None, good=1), callback)
    watcher.start()
    with pytest.raises(RuntimeWarning, match="stopped"):
        loop.start()
    assert not watcher.active
    assert loop.start() is False
    assert seen == [(watcher, EV_PERIODIC)]
    with pytest.raises(RuntimeWarning, match="stopped"):
        loop.scheduler(Failing(None)).start()
    assert [r.exc_type for r in unraisable] == [TypeError, TypeError]


FATAL = [
    (KeyboardInterrupt("raised"), KeyboardInterrupt),
    (SystemExit("raised"), SystemExit),
    (ZeroDivisionError("raised"), ZeroDivisionError),
]


@pytest.mark.parametrize(("result", "error"), FATAL)
def test_scheduler_that_is_fatal_at_the_start_raises(loop, unraisable, result, error):
    scheduler = fatal(Failing(result))
    for method in ("start", "reset"):
        watcher = loop.scheduler(scheduler)
        with (
            pytest.warns(RuntimeWarning, match="stopped"),
            pytest.raises(error) as caught,
        ):
            getattr(watcher, method)()
        assert caught.value is result
        assert not watcher.active
    assert (unraisable, loop.start()) == ([], False)


@pytest.mark.parametrize(("result", "error"), FATAL)
def test_scheduler_that_is_fatal_later_is_raised_by_start(
    loop, events, unraisable, result, error
):
    seen, callback = events
    watcher = loop.scheduler(fatal(Failing(result, good=1)), callback)
    watcher.start()
    loop.timer(1e4, 0.0, ignore).start()
    with pytest.warns(RuntimeWarning, match="stopped"), pytest.raises(error) as caught:
        loop.start()
    # The event that was due is not lost.
    loop.start(EVRUN_NOWAIT)
    assert caught.value is result
    assert (unraisable, watcher.active) == ([], False)
    assert seen == [(watcher, EV_PERIODIC)]


@pytest.mark.parametrize("decorate", [fatal, lambda callback: callback])
def test_scheduler_that_fails_in_resume_is_stopped_by_the_next_run(
    loop, unraisable, decorate
):
    # libev asks anew after a suspension, outside of any run.
    def schedule(watcher, now):
        asked.append(now)
        if len(asked) == 2:
            raise ZeroDivisionError
        return now + 1e4

    asked = []
    watcher = loop.scheduler(decorate(schedule))
    watcher.start()
    loop.suspend()
    loop.resume()
    assert len(asked) == 2
    if decorate is fatal:
        with pytest.raises(ZeroDivisionError):
            loop.start()
    with pytest.warns(RuntimeWarning, match="stopped"):
        assert loop.start() is False
    assert not watcher.active
    assert len(unraisable) == (decorate is not fatal)


def test_scheduler_must_not_close_the_loop_nor_half_of_it(loop, events):
    seen, callback = events

    def schedule(watcher, now):
        with pytest.raises(Error, match="Scheduler"):
            loop.close()
        return now + 1e4

    cleanup, fed = loop.cleanup(callback), loop.fork(callback)
    cleanup.start()
    fed.feed(EV_CUSTOM)
    timer = loop.timer(1e4, 0.0, ignore)
    timer.start()
    watcher = loop.scheduler(schedule)
    watcher.start()
    assert (watcher.active, timer.active, cleanup.active) == (True, True, True)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(fed, EV_CUSTOM)]
    loop.close()
    assert seen[1:] == [(cleanup, EV_CLEANUP)]


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    "operation",
    [
        lambda loop, watcher, other: loop.start(EVRUN_NOWAIT),
        lambda loop, watcher, other: loop.invoke(),
        lambda loop, watcher, other: loop.close(),
        lambda loop, watcher, other: loop.reset(),
        lambda loop, watcher, other: loop.update(),
        lambda loop, watcher, other: loop.suspend(),
        lambda loop, watcher, other: loop.ref(),
        lambda loop, watcher, other: loop.unref(),
        lambda loop, watcher, other: loop.verify(),
        lambda loop, watcher, other: loop.feed_fd_event(0, 1),
        lambda loop, watcher, other: loop.feed_signal_event(10),
        lambda loop, watcher, other: loop.once(None, 0, 1.0, ignore),
        lambda loop, watcher, other: watcher.stop(),
        lambda loop, watcher, other: watcher.reset(),
        lambda loop, watcher, other: watcher.clear(),
        lambda loop, watcher, other: watcher.feed(EV_CUSTOM),
        lambda loop, watcher, other: other.start(),
        lambda loop, watcher, other: other.stop(),
        lambda loop, watcher, other: other.reset(),
        lambda loop, watcher, other: other.feed(EV_CUSTOM),
        lambda loop, watcher, other: other.clear(),
        lambda loop, watcher, other: setattr(other, "keepalive", False),
        lambda loop, watcher, other: setattr(other, "priority", 1),
        lambda loop, watcher, other: setattr(loop, "io_interval", 1.0),
    ],
)
def test_scheduler_must_not_change_the_loop(loop, unraisable, operation, running):
    refused = []

    def schedule(watcher, now):
        if len(asked) == running:
            with pytest.raises(Error, match=r"Scheduler|running"):
                operation(loop, watcher, other)
            refused.append(now)
        asked.append(now)
        return now if len(asked) <= running else now + 1e4

    asked = []
    other = loop.timer(1e4, 1.0, ignore)
    watcher = loop.scheduler(schedule)
    start_and_run(loop, watcher)
    assert (len(refused), unraisable) == (1, [])
    assert watcher.active
    assert not other.active
    watcher.stop()
    assert loop.start() is False


def test_scheduler_may_read_and_may_use_another_loop(loop, events):
    seen, callback = events

    def schedule(watcher, now):
        assert (watcher.loop, watcher.scheduler) == (loop, schedule)
        assert (loop.now(), loop.pending, loop.depth) == (now, 0, 0)
        timer = other.timer(0.0, 0.0, callback)
        timer.start()
        other.start()
        return now + 1e4

    with Loop() as other:
        watcher = loop.scheduler(schedule)
        watcher.start()
        assert watcher.active
        assert len(seen) == 1


def test_scheduler_sees_the_time_it_fired_for(loop, events):
    seen, callback = events
    times = []

    def schedule(watcher, now):
        times.append((now, watcher.at))
        return now + 0.001 if len(times) < 3 else 1e12

    watcher = loop.scheduler(schedule, callback)
    watcher.start()
    while watcher.at != 1e12:
        loop.start(EVRUN_ONCE)
    assert len(seen) == 2
    for now, at in times[1:]:
        assert now >= at


def test_periodic_repr_tells_its_times(loop):
    periodic = loop.periodic(30.0, 60.0, ignore)
    times = "offset=30 interval=60 at=0.000000"
    assert repr(periodic) == f"<Periodic {times} callback=ignore>"

    def far(watcher, now):
        return 1e12

    scheduler = loop.scheduler(far)
    scheduler.start()
    name = f"{test_periodic_repr_tells_its_times.__name__}.<locals>.far"
    times = "at=1000000000000.000000"
    assert repr(scheduler) == f"<Scheduler scheduler={name} {times} active>"


def test_periodic_of_the_wall_clock_is_not_early(loop, events):
    seen, callback = events
    at = time.time() + 0.02
    loop.periodic(at, 0.0, callback).start()
    assert loop.start() is False
    # libev's clock may be a little off the system's.
    assert time.time() >= at - 0.01
    assert len(seen) == 1


@pytest.mark.parametrize("method", ["start", "reset", "feed"])
def test_scheduler_refused_to_itself_while_it_starts_is_held(loop, method):
    """What is refused leaves it as it is: on its way into libev, with its slot."""

    def ask(scheduler, now):
        with pytest.raises(Error, match="must not change the loop"):
            getattr(scheduler, method)(*[EV_CUSTOM] * (method == "feed"))
        return now + 1e4

    scheduler = loop.scheduler(ask)
    scheduler.start()
    assert scheduler.active
    assert scheduler in loop._queue.held
    scheduler.stop()
    assert scheduler not in loop._queue.held


@pytest.mark.parametrize("method", ["start", "feed"])
def test_watcher_refused_by_a_schedulers_callable_is_not_held(loop, method):
    other = loop.timer(1e4, 0.0, lambda watcher, revents: None)
    other.start()
    other.stop()

    def ask(scheduler, now):
        with pytest.raises(Error, match="must not change the loop"):
            getattr(other, method)(*[EV_CUSTOM] * (method == "feed"))
        return now + 1e4

    loop.scheduler(ask).start()
    assert not other.active
    assert other not in loop._queue.held


@pytest.mark.parametrize("method", ["start", "reset", "init"])
def test_scheduler_that_failed_in_resume_and_is_started_anew_goes_on(
    loop, unraisable, method
):
    answers = [lambda now: now + 1e4, lambda now: 1 / 0, lambda now: now + 2e4]

    def ask(scheduler, now):
        return answers.pop(0)(now)

    scheduler = loop.scheduler(ask, ignore)
    scheduler.start()
    loop.suspend()
    loop.resume()
    assert [args.exc_type for args in unraisable] == [ZeroDivisionError]
    if method == "reset":
        scheduler.reset()
    else:
        scheduler.stop()
        if method == "init":
            scheduler.__init__(ask, loop, ignore)
        scheduler.start()
    loop.start(EVRUN_NOWAIT)
    assert scheduler.active
    assert scheduler.at == pytest.approx(loop.now() + 2e4, abs=1e3)


def test_scheduler_that_failed_in_resume_and_is_made_anew_is_left_alone(
    loop, unraisable
):
    answers = [lambda now: now + 1e4, lambda now: 1 / 0]
    scheduler = loop.scheduler(lambda watcher, now: answers.pop(0)(now), ignore)
    scheduler.start()
    loop.suspend()
    loop.resume()
    scheduler.stop()
    scheduler.__init__(lambda watcher, now: now + 1e4, loop, ignore)
    assert not loop.start(EVRUN_NOWAIT)
    scheduler.start()
    assert scheduler.active
