"""Rows about times: what Timers, Periodics, Stats, intervals and sleep are given."""

import math
import os
import signal
import sys
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any, Callable

import mood_event
from misuse.table import Case, row
from mood_event import (
    EV_PERIODIC,
    EV_READ,
    EV_TIMER,
    EVBACKEND_SELECT,
    EVRUN_ONCE,
    Error,
    Loop,
    Periodic,
    Stat,
    Timer,
)


class Float:
    """A number as numpy has them: it is no float, and gives one.

    Each time that it is asked it gives the next of its values, or raises it.
    """

    def __init__(self, *values: Any) -> None:
        self.values = values
        self.asked = 0

    def __float__(self) -> Any:
        value = self.values[min(self.asked, len(self.values) - 1)]
        self.asked += 1
        if isinstance(value, BaseException):
            raise value
        return value

    def __repr__(self) -> str:
        return f"Float{self.values!r}"


class AnotherFloat(float):
    """A float that says of itself that it is another."""

    def __float__(self) -> float:
        return math.nan

    def __repr__(self) -> str:
        return f"AnotherFloat({super().__repr__()})"


class Name(str):
    """A string with a float in it, as `float()` takes them."""


def timer_after(case: Case, value: Any) -> float:
    """How long it has to go."""
    timer = case.loop.timer(value, 0.0, case.ignore)
    return timer.remaining


def timer_repeat(case: Case, value: Any) -> float:
    """What is kept of it."""
    return Timer(0.0, value, case.loop, case.ignore).repeat


def timer_set_after(case: Case, value: Any) -> float:
    """Set on a timer that libev knows, and that is as it was."""
    timer = case.loop.timer(5.0, 3.0, case.ignore)
    assert timer.remaining == 5.0
    try:
        timer.set(value, 0.0)
    except BaseException:
        assert (timer.remaining, timer.repeat) == (5.0, 3.0)
        raise
    return timer.remaining


def timer_set_repeat(case: Case, value: Any) -> float:
    """The same, for the other."""
    timer = case.loop.timer(5.0, 3.0, case.ignore)
    assert timer.remaining == 5.0
    try:
        timer.set(1.0, value)
    except BaseException:
        assert (timer.remaining, timer.repeat) == (5.0, 3.0)
        raise
    return timer.repeat


def timer_repeat_while_active(case: Case, value: Any) -> float:
    """Set while the timer runs: it goes on with what it had."""
    timer = case.loop.timer(1e4, 1e5, case.ignore)
    timer.start()
    try:
        timer.repeat = value
        timer.reset()
        # Of a short one the time is up by now.
        assert not timer.repeat or timer.remaining <= timer.repeat + 1e-6
        return timer.repeat
    except BaseException:
        assert timer.repeat == 1e5
        timer.reset()
        assert 9e4 < timer.remaining < 1.1e5
        raise
    finally:
        timer.stop()


def periodic_offset(case: Case, value: Any) -> float:
    """What is kept of it."""
    return Periodic(value, 0.0, case.loop, case.ignore).offset


def periodic_interval(case: Case, value: Any) -> float:
    """What is kept of it."""
    return case.loop.periodic(0.0, value, case.ignore).interval


def periodic_set_offset(case: Case, value: Any) -> float:
    """Set by the attribute of an active one."""
    periodic = case.loop.periodic(1e12, 0.0, case.ignore)
    periodic.start()
    try:
        periodic.offset = value
        return periodic.offset
    except BaseException:
        periodic.reset()
        assert (periodic.offset, periodic.at) == (1e12, 1e12)
        raise
    finally:
        periodic.stop()


def periodic_set_interval(case: Case, value: Any) -> float:
    """Set by the attribute of an active one."""
    periodic = case.loop.periodic(0.0, 1e12, case.ignore)
    periodic.start()
    try:
        periodic.interval = value
        return periodic.interval
    except BaseException:
        periodic.reset()
        assert (periodic.interval, periodic.at) == (1e12, 1e12)
        raise
    finally:
        periodic.stop()


def stat_interval(case: Case, value: Any) -> float:
    """What is kept of it."""
    return Stat("/nowhere", value, case.loop, case.ignore).interval


def stat_set_interval(case: Case, value: Any) -> float:
    """Set on one that libev knows, and that is as it was."""
    stat = case.loop.stat("/nowhere", 5.0, case.ignore)
    stat.start()
    stat.stop()
    try:
        stat.set("/elsewhere", value)
    except BaseException:
        assert (stat.path, stat.interval) == ("/nowhere", 5.0)
        raise
    return stat.interval


def io_interval(case: Case, value: Any) -> float:
    """What is kept of it."""
    case.loop.io_interval = value
    try:
        return case.loop.io_interval
    finally:
        case.loop.io_interval = 0


def io_interval_of_a_new_loop(case: Case, value: Any) -> float:
    """As an argument."""
    with Loop(io_interval=value) as loop:
        return loop.io_interval


def timeout_interval(case: Case, value: Any) -> float:
    """What is kept of it."""
    case.loop.timeout_interval = value
    try:
        return case.loop.timeout_interval
    finally:
        case.loop.timeout_interval = 0


def timeout_interval_of_a_new_loop(case: Case, value: Any) -> float:
    """As an argument."""
    with Loop(timeout_interval=value) as loop:
        return loop.timeout_interval


def once(case: Case, value: Any) -> float:
    """How long libev is to wait, which nobody tells: None if it is negative."""
    case.loop.once(None, 0, value, lambda revents: None)
    (pair,) = [
        watcher for watcher in case.loop._queue.held if isinstance(watcher, Timer)
    ]
    pair.stop()
    return pair.remaining


def sleep(case: Case, value: Any) -> float:
    """How long it slept, which is little enough here."""
    mood_event.sleep(value)
    if isinstance(value, Float):
        assert value.asked == 1
        return value.values[0]  # type: ignore[no-any-return]
    return float(value) if value.__class__ is not AnotherFloat else abs(value)


Place = Callable[[Case, Any], float]

MAY_BE_NEGATIVE: list[Place] = [
    timer_after,
    timer_set_after,
    periodic_offset,
    periodic_set_offset,
    sleep,
]
INTERVALS: list[Place] = [
    timer_repeat,
    timer_set_repeat,
    timer_repeat_while_active,
    periodic_interval,
    periodic_set_interval,
    stat_interval,
    stat_set_interval,
    io_interval,
    io_interval_of_a_new_loop,
    timeout_interval,
    timeout_interval_of_a_new_loop,
]
PLACES = [*MAY_BE_NEGATIVE, *INTERVALS, once]


# A row for each value in each place would be two thousand processes.


def not_finite(case: Case, place: Place) -> None:
    """What would break libev's order of timers."""
    for value in (
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        Decimal("-Infinity"),
        Float(math.nan),
        Float(math.inf),
        AnotherFloat(math.nan),
    ):
        with case.raises(ValueError, f"must be finite, got {value!r}"):
            place(case, value)
    for value in (10**400, -(10**400)):
        with case.raises(ValueError, f"must be finite, got {str(value)[:20]}"):
            place(case, value)


def no_number(case: Case, place: Place) -> None:
    """What `float()` may take, and what nobody does."""
    for value in (
        "1",
        b"1",
        Name("nan"),
        memoryview(b"1"),
        1j,
        [1.0],
        object,
        Float("1"),
        Float(None),
        *([] if place is once else [None]),
    ):
        with case.raises(TypeError, f"must be a number, got {value!r}"):
            place(case, value)


def float_raises(case: Case, place: Place) -> None:
    """What `__float__` raises comes out as it is."""
    for raised in (ZeroDivisionError, ValueError, RecursionError, KeyboardInterrupt):
        with case.raises(raised, "no float"):
            place(case, Float(raised("no float")))


def number(case: Case, place: Place) -> None:
    """What gives a float is one."""
    for value in (0.03125, 1, True, Decimal("0.03125"), Fraction(1, 32), Float(1 / 32)):
        if place is sleep and value.__class__ in (int, bool):
            value = 0
        with case.allows():
            kept = place(case, value)
        assert (kept, type(kept)) == (float(value), float)


def float_that_changes_its_mind(case: Case, place: Place) -> None:
    """What is checked is what is used."""
    with case.allows():
        assert place(case, Float(0.03125, math.nan)) == 0.03125
    # CPython does not ask a float, PyPy does.
    if sys.implementation.name == "cpython":
        with case.allows():
            assert place(case, AnotherFloat(0.03125)) == 0.03125
    else:
        with case.raises(ValueError, "must be finite"):
            place(case, AnotherFloat(0.03125))


def negative(case: Case, place: Place) -> None:
    """Of an interval."""
    for value in (-1.0, -1, -5e-324, -1e300, Decimal(-1), Fraction(-1, 3)):
        with case.raises(ValueError, f"must be >= 0.0, got {value!r}"):
            place(case, value)


def negative_where_it_may_be(case: Case, place: Place) -> None:
    """The past is as good as now."""
    for value in (-1.0, -1, -5e-324, -1e300, Decimal(-1), Fraction(-1, 2)):
        with case.allows():
            assert place(case, value) == float(value)


def large_or_small(case: Case, place: Place) -> None:
    """Every float is a time."""
    for value in (1e300, 1.7e308, 10**300, 5e-324, 0, -0.0):
        if place in (periodic_interval, periodic_set_interval) and 0 < value < 1:
            with case.raises(ValueError, "interval must be 0.0 or >= 1/8192"):
                place(case, value)
            continue
        with case.allows():
            kept = place(case, value)
        # What is left of a started one is a difference.
        assert kept == float(value) or (place is once and abs(kept - value) < 1e-9)


@row(place=PLACES)
def refused(case: Case, place: Place) -> None:
    not_finite(case, place)
    no_number(case, place)
    float_raises(case, place)
    if place in INTERVALS:
        negative(case, place)


@row(place=PLACES)
def taken(case: Case, place: Place) -> None:
    number(case, place)
    float_that_changes_its_mind(case, place)
    if place in MAY_BE_NEGATIVE:
        negative_where_it_may_be(case, place)
    if place is not sleep:
        large_or_small(case, place)


# -- Periodic -------------------------------------------------------------------------


@row(
    place=[periodic_interval, periodic_set_interval],
    value=[1 / 8192 - 1e-9, 1e-300, Fraction(1, 8193), Decimal("0.0001")],
)
def shorter_than_libev_can(case: Case, place: Place, value: Any) -> None:
    with case.raises(ValueError, "interval must be 0.0 or >= 1/8192"):
        place(case, value)


@row(place=[periodic_interval, periodic_set_interval])
def as_short_as_libev_can(case: Case, place: Place) -> None:
    with case.allows():
        assert place(case, 1 / 8192) == 1 / 8192


@row(offset=[-1e-9, -1.0, 10.1, 1e300])
def offset_outside_the_interval(case: Case, offset: float) -> None:
    says = "offset must be from 0.0 to interval, 10.0"
    with case.raises(ValueError, says):
        Periodic(offset, 10.0, case.loop, case.ignore)
    periodic = case.loop.periodic(1.0, 10.0, case.ignore)
    periodic.start()
    with case.raises(ValueError, says, periodic):
        periodic.offset = offset
    with case.raises(Error, "while it is active", periodic):
        periodic.set(1.0, 10.0)
    periodic.stop()
    with case.raises(ValueError, says, periodic):
        periodic.set(offset, 10.0)


@row(times=[(0.0, 1e300), (1e300, 1e300), (1.7e308, 1.7e308), (1e308, 1.7e308)])
def interval_beyond_all_times(case: Case, times: tuple[float, float]) -> None:
    periodic = case.loop.periodic(*times, case.record)
    with case.allows():
        periodic.start()
        assert case.loop.now() < periodic.at <= 1.7e308
        case.run()
    assert (periodic.active, case.seen) == (True, [])
    periodic.stop()


@row(offset=[-1e300, -1.7e308])
def offset_before_all_times(case: Case, offset: float) -> None:
    periodic = case.loop.periodic(offset, 0.0, case.record)
    with case.allows():
        periodic.start()
        case.run()
    assert case.seen == [(periodic, EV_PERIODIC)]


@row(interval=[1 / 8192, 1e-3])
def interval_that_is_always_late(case: Case, interval: float) -> None:
    periodic = case.loop.periodic(0.0, interval, case.record)
    with case.allows():
        periodic.start()
        while len(case.seen) < 3:
            # Longer than the interval is: once for each iteration, no more.
            mood_event.sleep(2 * interval)
            before = len(case.seen)
            case.run()
            assert len(case.seen) <= before + 1
    periodic.stop()


# -- Timer ----------------------------------------------------------------------------


@row(after=[-1e300, -1.7e308, -1, 0])
def timer_of_the_past(case: Case, after: float) -> None:
    timer = case.loop.timer(after, 1.7e308, case.record)
    with case.allows():
        timer.start()
        for _ in range(3):
            case.run()
    # A repetition that is in the past as well is made up for, once.
    assert case.seen in ([(timer, EV_TIMER)], [(timer, EV_TIMER)] * 2)
    assert timer.remaining > 1e308
    timer.stop()


@row(repeat=[5e-324, 1e-300, 1e-9])
def timer_that_is_always_late(case: Case, repeat: float) -> None:
    timer = case.loop.timer(0.0, repeat, case.record)
    with case.allows():
        timer.start()
        for count in range(1, 5):
            while len(case.seen) < count:
                case.run()
            assert len(case.seen) == count
    timer.stop()


@row()
def timer_set_while_active(case: Case) -> None:
    timer = case.loop.timer(1e4, 1e4, case.ignore)
    timer.start()
    with case.raises(Error, "while it is active", timer):
        timer.set(1.0, 1.0)
    with case.raises(ValueError, "must be finite", timer):
        timer.set(math.nan, 1.0)
    timer.stop()


# -- what the kernel waits for --------------------------------------------------------


LONGEST = [2.0**31, 1e300, 1.7e308]


def alarm(action: Callable[[], None]) -> None:
    """Have the clock interrupt what follows, again and again until it has an effect."""
    signal.signal(signal.SIGALRM, lambda signum, frame: action())
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)


def no_alarm() -> None:
    """End that."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)


@row(seconds=LONGEST, kind=["timer", "periodic", "scheduler", "stat"])
def loop_that_waits_long_is_woken(case: Case, seconds: float, kind: str) -> None:
    def close(watcher: Any, revents: int) -> None:
        watcher.stop()
        long.stop()

    def is_running(watcher: Any, revents: int) -> None:
        watcher.stop()
        os.write(writer, b"x")

    reader, writer = case.pipe()
    long = {
        "timer": lambda: case.loop.timer(seconds, seconds, case.record),
        "periodic": lambda: case.loop.periodic(1.7e308, 0.0, case.record),
        "scheduler": lambda: case.loop.scheduler(lambda w, now: now + seconds),
        "stat": lambda: case.loop.stat("/nowhere", seconds, case.record),
    }[kind]()
    with case.allows():
        long.start()
        case.loop.io(reader, EV_READ, close).start()
        case.loop.prepare(is_running).start()
        assert case.loop.start() is False
    assert case.seen == []


@row(seconds=LONGEST, backend=[0, EVBACKEND_SELECT])
def timeouts_collected_for_ever_leave_io_alone(
    case: Case, seconds: float, backend: int
) -> None:
    case.loop = Loop(backend)
    case.loop.timeout_interval = seconds
    watcher = case.loop.io(case.readable(), EV_READ, case.record)
    watcher.start()
    timer = case.loop.timer(0.01, 0.0, case.ignore)
    timer.start()
    with case.allows(watcher):
        case.loop.start(EVRUN_ONCE)
    assert case.seen == [(watcher, EV_READ)]
    watcher.stop()
    timer.stop()
    case.loop.timeout_interval = 0.0


@row(seconds=LONGEST)
def io_collected_for_ever_leaves_timeouts_alone(case: Case, seconds: float) -> None:
    case.loop.io_interval = seconds
    timer = case.loop.timer(0.01, 0.0, case.record)
    with case.allows():
        timer.start()
        while not case.seen:
            case.loop.start(EVRUN_ONCE)
    assert case.seen == [(timer, EV_TIMER)]
    case.loop.io_interval = 0.0


@row(
    seconds=LONGEST,
    names=["io", "timeout", "io timeout"],
    backend=[0, EVBACKEND_SELECT],
)
def all_collected_for_ever_is_interrupted(
    case: Case, seconds: float, names: str, backend: int
) -> None:
    case.loop = Loop(backend)
    for name in names.split():
        setattr(case.loop, f"{name}_interval", seconds)
    timer = case.loop.timer(1e4, 0.0, case.record)
    timer.start()
    with case.allows(timer):
        alarm(case.loop.stop)
        case.loop.start()
        no_alarm()
    assert case.seen == []
    timer.stop()
    case.loop.io_interval = case.loop.timeout_interval = 0.0


# -- sleep ----------------------------------------------------------------------------


@row(seconds=[86400.5, *LONGEST])
def sleep_longer_than_libev_promises(case: Case, seconds: float) -> None:
    called: list[float] = []
    with case.raises(RuntimeWarning, "more than a day"):
        mood_event.sleep(seconds)
    with case.allows(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alarm(lambda: called.append(seconds))
        mood_event.sleep(seconds)
        no_alarm()
    # It slept until then.
    assert called


@row(seconds=[0, 0.0, -0.0, -1, -1e300, -1.7e308, 5e-324])
def sleep_not_at_all(case: Case, seconds: float) -> None:
    with case.allows():
        mood_event.sleep(seconds)
