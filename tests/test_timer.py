"""Timer watchers: when they fire, what `reset` and `repeat` do, and that none drifts.

Nothing here says how late a timer may be: there are only lower bounds.
"""

import math
import time

import pytest

from mood_event import EV_CUSTOM, EV_TIMER, EVRUN_NOWAIT, EVRUN_ONCE, Error, Timer

pytestmark = pytest.mark.core

# The loop's clock is adjusted to the system's now and then.
SLACK = 1e-3

BAD_TIMES = [
    (math.nan, ValueError),
    (math.inf, ValueError),
    (-math.inf, ValueError),
    (10**400, ValueError),
    ("1", TypeError),
    (None, TypeError),
    (1j, TypeError),
]


def ignore(watcher, revents):
    """A callback that does nothing."""


def spin(seconds):
    """Let the time pass, without the loop."""
    end = time.monotonic() + seconds
    while time.monotonic() <= end:
        pass


def start_together(loop, timers, passing=0.0):
    """Start them in a callback, where all count from the same time, and let some pass.

    The iteration goes on with those that are due then.
    """

    def start(watcher, revents):
        for timer in timers:
            timer.start()
        spin(passing)

    loop.fork(start).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)


# -- when it fires --------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0, -1.0, -1e9, False])
def test_timer_without_time_fires_at_once(loop, events, after):
    seen, callback = events
    timer = loop.timer(after, 0.0, callback)
    timer.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == [(timer, EV_TIMER)]


def test_timer_fires_after_its_time(loop, events):
    seen, callback = events
    timer = loop.timer(0.02, 0.0, callback)
    before = time.monotonic()
    timer.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    assert loop.start() is False
    assert time.monotonic() - before >= 0.02 - SLACK
    assert seen == [(timer, EV_TIMER)]


@pytest.mark.parametrize("after", [1e4, 1e9, 1e30, 1e308])
def test_timer_of_a_long_time_does_not_fire(loop, events, after):
    seen, callback = events
    timer = loop.timer(after, 0.0, callback)
    timer.start()
    assert loop.start(EVRUN_NOWAIT) is True
    assert (seen, timer.active) == ([], True)


def test_timer_started_outside_a_run_counts_from_then(loop, events):
    # "The special problem of time updates"
    seen, callback = events
    loop.start(EVRUN_NOWAIT)
    spin(0.03)
    before = time.monotonic()
    loop.timer(0.03, 0.0, callback).start()
    assert loop.start() is False
    assert time.monotonic() - before >= 0.03 - SLACK
    assert len(seen) == 1


def test_timer_started_in_a_callback_counts_from_the_loops_time(loop):
    def callback(watcher, revents):
        spin(0.002)
        timer.start()
        remaining.append(timer.remaining)

    remaining = []
    timer = loop.timer(1.0, 0.0, ignore)
    loop.fork(callback).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert remaining == [pytest.approx(1.0, abs=1e-6)]


def test_timer_once_is_inactive_in_its_callback(loop):
    seen = []

    def callback(watcher, revents):
        seen.append((watcher.active, watcher.pending))

    loop.timer(0.0, 0.0, callback).start()
    assert loop.start() is False
    assert seen == [(False, False)]


def test_timer_once_that_fired_fires_at_once_again(loop, events):
    seen, callback = events
    timer = loop.timer(0.001, 0.0, callback)
    for count in (1, 2, 3):
        timer.start()
        assert loop.start() is False
        assert len(seen) == count


def test_timer_can_be_started_by_its_callback(loop):
    seen = []

    def callback(watcher, revents):
        seen.append(revents)
        if len(seen) < 3:
            watcher.start()

    loop.timer(0.0, 0.0, callback).start()
    assert loop.start() is False
    assert seen == [EV_TIMER] * 3


def test_timer_repeats_until_it_is_stopped(loop):
    seen = []

    def callback(watcher, revents):
        assert watcher.active
        seen.append(loop.now())
        if len(seen) == 4:
            watcher.stop()

    timer = loop.timer(0.01, 0.005, callback)
    timer.start()
    first = loop.now() + timer.remaining
    assert loop.start() is False
    assert len(seen) == 4
    for number, now in enumerate(seen):
        assert now >= first + number * 0.005 - SLACK


def test_timer_repeats_without_drift(loop):
    times = []

    def callback(watcher, revents):
        spin(0.004)
        times.append((loop.now(), loop.now() + watcher.remaining))
        if len(times) == 6:
            watcher.stop()

    loop.timer(0.0, 0.02, callback).start()
    assert loop.start() is False
    punctual = 0
    for (_, expected), (now, following) in zip(times, times[1:]):
        # One that comes more than an interval too late counts from anew.
        if now < expected + 0.02 - SLACK:
            assert following == pytest.approx(expected + 0.02, abs=SLACK)
            punctual += 1
    assert punctual


def test_timer_that_falls_behind_fires_once_per_iteration(loop, events):
    seen, callback = events
    timer = loop.timer(0.001, 0.001, callback)
    timer.start()
    spin(0.02)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(timer, EV_TIMER)]
    assert timer.remaining > 0.0 or timer.active


def test_timers_fire_in_the_order_of_their_times(loop, events):
    seen, callback = events
    times = (0.003, 0.001, 0.002, 0.0, -1.0)
    timers = [loop.timer(after, 0.0, callback, after) for after in times]
    start_together(loop, timers, 0.005)
    assert [timer.data for timer, _ in seen] == [-1.0, 0.0, 0.001, 0.002, 0.003]


def test_timers_fire_in_the_order_of_their_priorities_first(loop, events):
    seen, callback = events
    rows = [(0.0, -2), (0.002, 2), (0.001, 2), (0.0, 0)]
    timers = [loop.timer(row[0], 0.0, callback, row, row[1]) for row in rows]
    start_together(loop, timers, 0.005)
    assert [timer.data for timer, _ in seen] == [
        (0.001, 2),
        (0.002, 2),
        (0.0, 0),
        (0.0, -2),
    ]


def test_thousand_timers_fire_in_order(loop, events):
    seen, callback = events
    numbers = [number * 7919 % 1000 for number in range(1000)]
    start_together(loop, [loop.timer(n * 1e-5, 0.0, callback, n) for n in numbers])
    assert loop.start() is False
    assert [timer.data for timer, _ in seen] == sorted(numbers)


# -- set, repeat, remaining -----------------------------------------------------------


def test_timer_set_configures_the_next_start(loop, events):
    seen, callback = events
    timer = loop.timer(1e4, 0.0, callback)
    timer.set(0.0, 50.0)
    assert (timer.repeat, timer.remaining) == (50.0, 0.0)
    timer.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == [(timer, EV_TIMER)]
    assert timer.active


def test_timer_remaining_of_an_inactive_one_is_its_time(loop):
    timer = loop.timer(5.0, 7.0, ignore)
    assert timer.remaining == 5.0
    timer.set(2.5, 0.0)
    assert timer.remaining == 2.5


def test_timer_remaining_counts_down_with_the_loops_time(loop):
    timer = loop.timer(5.0, 7.0, ignore)
    timer.start()
    assert timer.remaining == pytest.approx(5.0, abs=1e-6)
    spin(0.01)
    assert timer.remaining == pytest.approx(5.0, abs=1e-6)
    loop.update()
    assert timer.remaining <= 5.0 - 0.01 + 1e-6


def test_timer_remaining_is_the_repetition_after_it_fired(loop, events):
    seen, callback = events
    timer = loop.timer(0.0, 7.0, callback)
    timer.start()
    loop.start(EVRUN_NOWAIT)
    assert len(seen) == 1
    assert 0.0 < timer.remaining <= 7.0


def test_timer_that_is_stopped_and_started_resumes(loop):
    timer = loop.timer(5.0, 0.0, ignore)
    timer.start()
    spin(0.01)
    loop.update()
    left = timer.remaining
    timer.stop()
    assert timer.remaining == pytest.approx(left, abs=1e-6)
    spin(0.01)
    timer.start()
    assert timer.remaining == pytest.approx(left, abs=1e-6)
    assert left <= 5.0 - 0.01 + 1e-6


def test_timer_repeat_can_be_written_while_active(loop, events):
    seen, callback = events
    timer = loop.timer(0.0, 1e4, callback)
    timer.start()
    timer.repeat = 1e-4
    assert timer.repeat == 1e-4
    while len(seen) < 3:
        assert loop.start(EVRUN_ONCE) is True
    timer.repeat = 0.0
    assert loop.start() is False
    assert not timer.active
    assert len(seen) == 4


@pytest.mark.parametrize(("bad", "error"), [*BAD_TIMES, (-1.0, ValueError)])
def test_timer_repeat_refuses_bad_values(loop, bad, error):
    timer = loop.timer(1.0, 2.0, ignore)
    for attempt in (
        lambda: setattr(timer, "repeat", bad),
        lambda: timer.set(3.0, bad),
        lambda: Timer(3.0, bad, loop, ignore),
        lambda: timer.__init__(3.0, bad, loop, ignore),
    ):
        with pytest.raises(error, match="repeat"):
            attempt()
        assert (timer.remaining, timer.repeat) == (1.0, 2.0)


@pytest.mark.parametrize(("bad", "error"), BAD_TIMES)
def test_timer_after_refuses_bad_values(loop, bad, error):
    timer = loop.timer(1.0, 2.0, ignore)
    for attempt in (
        lambda: timer.set(bad, 3.0),
        lambda: Timer(bad, 3.0, loop, ignore),
        lambda: timer.__init__(bad, 3.0, loop, ignore),
    ):
        with pytest.raises(error, match="after"):
            attempt()
        assert (timer.remaining, timer.repeat) == (1.0, 2.0)


class Seconds:
    def __float__(self):
        return 1.5


def test_timer_takes_what_is_a_number(loop):
    timer = Timer(1, True, loop, ignore)
    assert (timer.remaining, timer.repeat) == (1.0, 1.0)
    timer.set(Seconds(), Seconds())
    assert (timer.remaining, timer.repeat) == (1.5, 1.5)


# -- reset ----------------------------------------------------------------------------


def test_timer_reset_clears_a_pending_event(loop, events):
    seen, callback = events
    for repeat in (0.0, 1e4):
        timer = loop.timer(1e4, repeat, callback)
        timer.start()
        timer.feed(EV_CUSTOM)
        assert timer.reset() is None
        assert (timer.pending, loop.pending) == (False, 0)
        assert timer.active is bool(repeat)
        loop.start(EVRUN_NOWAIT)
    assert seen == []


def test_timer_reset_clears_the_pending_event_of_an_inactive_one(loop, events):
    seen, callback = events
    timer = loop.timer(1e4, 0.0, callback)
    timer.feed(EV_CUSTOM)
    timer.reset()
    assert (timer.pending, timer.active) == (False, False)
    loop.start(EVRUN_NOWAIT)
    assert seen == []


def test_timer_reset_stops_one_that_does_not_repeat(loop, events):
    seen, callback = events
    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    timer.reset()
    assert not timer.active
    assert loop.start() is False
    assert seen == []


def test_timer_reset_leaves_an_inactive_one_that_does_not_repeat(loop):
    timer = loop.timer(1e4, 0.0, ignore)
    timer.reset()
    assert not timer.active
    assert loop.start() is False


@pytest.mark.parametrize("active", [False, True])
def test_timer_reset_restarts_one_that_repeats(loop, active):
    timer = loop.timer(1.0, 1e4, ignore)
    if active:
        timer.start()
    timer.reset()
    assert timer.active
    assert timer.remaining == pytest.approx(1e4, abs=1e-3)
    timer.repeat = 2e4
    timer.reset()
    assert timer.remaining == pytest.approx(2e4, abs=1e-3)
    timer.stop()
    assert loop.start() is False


def test_timer_reset_outside_a_run_counts_from_then(loop, events):
    seen, callback = events
    timer = loop.timer(0.0, 0.03, callback)
    loop.start(EVRUN_NOWAIT)
    spin(0.03)
    before = time.monotonic()
    timer.reset()
    while not seen:
        loop.start(EVRUN_ONCE)
    assert time.monotonic() - before >= 0.03 - SLACK


def test_timer_reset_puts_off_an_inactivity_timeout(loop):
    # "Be smart about timeouts"
    seen = []

    def activity(watcher, revents):
        seen.append("activity")
        timeout.reset()
        if len(seen) == 5:
            watcher.stop()

    def expired(watcher, revents):
        seen.append("timeout")
        watcher.stop()

    timeout = loop.timer(0.0, 0.05, expired, None, -2)
    timeout.reset()
    loop.timer(0.001, 0.001, activity).start()
    assert loop.start() is False
    assert seen[-1] == "timeout"
    assert "activity" in seen


def test_timer_reset_of_a_dropped_one_holds_it(loop):
    seen = []

    def callback(watcher, revents):
        seen.append(revents)
        watcher.stop()

    loop.timer(0.0, 1e-3, callback).reset()
    assert loop.start() is False
    assert seen == [EV_TIMER]


# -- keepalive ------------------------------------------------------------------------


@pytest.mark.parametrize("stop", ["expire", "reset", "stop"])
def test_timer_keepalive_false_is_balanced_however_it_ends(loop, stop):
    timer = loop.timer(0.0 if stop == "expire" else 1e4, 0.0, ignore)
    timer.keepalive = False
    for _ in range(3):
        timer.start()
        if stop != "expire":
            getattr(timer, stop)()
        assert loop.start(EVRUN_NOWAIT) is False
        assert not timer.active
        with pytest.raises(Error):
            loop.unref()
    other = loop.timer(1e4, 0.0, ignore)
    other.start()
    assert loop.start(EVRUN_NOWAIT) is True
    other.stop()
    assert loop.start() is False


def test_timer_keepalive_false_is_kept_by_reset(loop):
    timer = loop.timer(1.0, 1e4, ignore)
    timer.keepalive = False
    for _ in range(3):
        timer.reset()
        assert timer.active
        assert loop.start(EVRUN_NOWAIT) is False
        with pytest.raises(Error):
            loop.unref()
    timer.stop()
    assert loop.start() is False


def test_timer_keepalive_false_that_expires_under_a_loop_callback(loop, events):
    seen, callback = events
    loop.callback = ignore_loop
    timer = loop.timer(0.0, 0.0, callback)
    timer.keepalive = False
    timer.start()
    loop.timer(1e4, 0.0, callback).start()
    loop.start(EVRUN_NOWAIT)
    assert (seen, timer.pending, timer.active) == ([], True, False)
    assert loop.start(EVRUN_NOWAIT) is True
    loop.invoke()
    assert seen == [(timer, EV_TIMER)]
    loop.unref()
    with pytest.raises(Error):
        loop.unref()
    loop.ref()


def ignore_loop(loop):
    """A callback of a loop that does nothing."""


def test_timer_repr_tells_its_times(loop):
    timer = loop.timer(5.0, 0.5, ignore)
    assert repr(timer) == "<Timer remaining=5 repeat=0.5 callback=ignore>"
