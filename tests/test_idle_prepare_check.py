"""Idle, Prepare and Check watchers: where in an iteration each is called."""

import os

import pytest

from mood_event import (
    EV_CHECK,
    EV_CUSTOM,
    EV_IDLE,
    EV_MAXPRI,
    EV_MINPRI,
    EV_PREPARE,
    EV_READ,
    EV_TIMER,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
)

pytestmark = pytest.mark.core

NAMES = {EV_IDLE: "idle", EV_PREPARE: "prepare", EV_CHECK: "check", EV_READ: "io"}


@pytest.fixture
def note():
    """A list, and a callback that appends the watcher's data, or else the event."""
    noted = []

    def callback(watcher, revents):
        noted.append(watcher.data or NAMES.get(revents, revents))

    return noted, callback


@pytest.mark.parametrize("kind", ["idle", "prepare", "check"])
def test_watcher_is_called_once_per_iteration(loop, events, kind):
    seen, callback = events
    watcher = getattr(loop, kind)(callback)
    watcher.start()
    revents = {name: bit for bit, name in NAMES.items()}[kind]
    for count in (1, 2, 3):
        assert loop.start(EVRUN_NOWAIT) is True
        assert seen == [(watcher, revents)] * count
    watcher.stop()
    assert loop.start(EVRUN_NOWAIT) is False
    assert len(seen) == 3


# -- Idle -----------------------------------------------------------------------------


def test_idle_keeps_the_loop_from_blocking(loop):
    seen = []

    def callback(watcher, revents):
        seen.append(revents)
        if len(seen) == 5:
            watcher.stop()
            timer.stop()

    timer = loop.timer(1e4, 0.0, callback)
    timer.start()
    loop.idle(callback).start()
    assert loop.start() is False
    assert seen == [EV_IDLE] * 5


@pytest.mark.parametrize("priority", [EV_MINPRI, 0, EV_MAXPRI])
def test_idle_waits_for_events_of_its_priority_or_higher(loop, pipe, note, priority):
    noted, callback = note
    os.write(pipe.writer, b"x")
    loop.idle(callback, f"idle {priority}", priority).start()
    io = loop.io(pipe.reader, EV_READ, callback, None, 0)
    io.start()
    for _ in range(3):
        loop.start(EVRUN_NOWAIT)
    if priority > 0:
        assert noted == [f"idle {priority}", "io"] * 3
    else:
        assert noted == ["io"] * 3
    # With nothing better to do it has its turn.
    io.stop()
    loop.start(EVRUN_NOWAIT)
    assert noted[-1] == f"idle {priority}"


def test_idle_of_a_higher_priority_starves_the_lower(loop, note):
    noted, callback = note
    low = loop.idle(callback, "low", -1)
    high = loop.idle(callback, "high", 1)
    low.start()
    high.start()
    for _ in range(3):
        loop.start(EVRUN_NOWAIT)
    assert noted == ["high"] * 3
    high.stop()
    loop.start(EVRUN_NOWAIT)
    assert noted[3:] == ["low"]


def test_idles_of_one_priority_are_all_called(loop, note):
    noted, callback = note
    for name in "abc":
        loop.idle(callback, name).start()
    loop.start(EVRUN_NOWAIT)
    # Last in, first out, as libev has it.
    assert noted == ["c", "b", "a"]


def test_idle_priority_can_change_while_inactive(loop, note):
    noted, callback = note
    idle = loop.idle(callback, "idle", -1)
    loop.idle(callback, "other", 0).start()
    idle.start()
    loop.start(EVRUN_NOWAIT)
    assert noted == ["other"]
    idle.stop()
    idle.priority = 1
    idle.start()
    loop.start(EVRUN_NOWAIT)
    assert noted == ["other", "idle"]


# -- Prepare and Check ----------------------------------------------------------------


def test_prepare_is_called_before_and_check_after_the_look_for_events(loop):
    iterations = {}

    def callback(watcher, revents):
        iterations[revents] = loop.iteration

    loop.prepare(callback).start()
    loop.check(callback).start()
    loop.start(EVRUN_NOWAIT)
    assert list(iterations) == [EV_PREPARE, EV_CHECK]
    assert iterations[EV_CHECK] == iterations[EV_PREPARE] + 1


def test_check_comes_before_others_of_its_priority(loop, pipe, note):
    noted, callback = note
    os.write(pipe.writer, b"x")
    loop.io(pipe.reader, EV_READ, callback).start()
    loop.io(pipe.reader, EV_READ, callback, "high io", 1).start()
    loop.check(callback).start()
    loop.check(callback, "low check", -1).start()
    loop.prepare(callback).start()
    loop.start(EVRUN_NOWAIT)
    assert noted == ["prepare", "high io", "check", "io", "low check"]


def test_check_of_the_highest_priority_is_the_first(loop, note):
    noted, callback = note
    timer = loop.timer(0.0, 0.0, callback, "timer", EV_MAXPRI - 1)
    timer.start()
    loop.check(callback, None, EV_MAXPRI).start()
    loop.start(EVRUN_NOWAIT)
    assert noted == ["check", "timer"]


def test_prepare_may_start_an_idle_that_keeps_the_loop_from_blocking(loop):
    noted = []

    def prepare(watcher, revents):
        noted.append("prepare")
        idle.start()

    def idle_called(watcher, revents):
        noted.append("idle")
        watcher.stop()
        if len(noted) == 6:
            loop.stop()

    idle = loop.idle(idle_called)
    loop.prepare(prepare).start()
    loop.timer(1e4, 0.0, idle_called).start()
    assert loop.start() is True
    assert noted == ["prepare", "idle"] * 3


def test_prepare_may_start_watchers_that_count_at_once(loop, pipe, events):
    seen, callback = events
    os.write(pipe.writer, b"x")
    io = loop.io(pipe.reader, EV_READ, callback)
    timer = loop.timer(0.0, 0.0, callback)

    def start(watcher, revents):
        io.start()
        timer.start()

    loop.prepare(start).start()
    loop.start(EVRUN_ONCE)
    assert sorted(revents for _, revents in seen) == [EV_READ, EV_TIMER]


def test_prepare_and_check_by_priority_and_last_in_first_out(loop, note):
    noted, callback = note
    for kind in ("prepare", "check"):
        for name, priority in [("a", 0), ("b", 0), ("low", -1), ("high", 1)]:
            getattr(loop, kind)(callback, f"{kind} {name}", priority).start()
    loop.start(EVRUN_NOWAIT)
    names = ["high", "b", "a", "low"]
    assert noted == [f"{k} {name}" for k in ("prepare", "check") for name in names]


def test_prepare_alone_lets_the_loop_block_for_a_timer(loop):
    noted = []

    def timer_called(watcher, revents):
        noted.append("timer")
        prepare.stop()

    prepare = loop.prepare(lambda watcher, revents: noted.append("prepare"))
    prepare.start()
    loop.timer(0.001, 0.0, timer_called).start()
    assert loop.start() is False
    assert (noted[0], noted[-1], noted.count("timer")) == ("prepare", "timer", 1)


def test_check_that_stops_a_watcher_prevents_its_call(loop, pipe, events):
    seen, callback = events
    os.write(pipe.writer, b"x")
    io = loop.io(pipe.reader, EV_READ, callback)
    io.start()
    loop.check(lambda watcher, revents: io.stop()).start()
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    other = loop.idle(callback)
    other.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(other, EV_CUSTOM)]
