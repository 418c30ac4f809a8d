"""Rows about Schedulers: what their callables return, raise and do."""

import gc
import math
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Callable

from misuse.table import Case, row
from mood_event import (
    EV_CUSTOM,
    EV_PERIODIC,
    EVRUN_ONCE,
    Error,
    Loop,
    Scheduler,
    fatal,
)

Ask = Callable[[Any, float], Any]


def later(watcher: Any, now: float) -> float:
    """Schedule what never comes."""
    return now + 1e4


class After:
    """A callable that says "now" some times, and then does as another one does."""

    def __init__(self, good: int, ask: Ask) -> None:
        self.good = good
        self.ask = ask

    def __call__(self, watcher: Any, now: float) -> Any:
        if self.good:
            self.good -= 1
            return now
        return self.ask(watcher, now)


@contextmanager
def stopped(case: Case, watcher: Scheduler, *reported: type) -> Iterator[None]:
    """Assert that the block stops the watcher, with a warning, and reports why."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with case.allows():
            yield
    assert [warning.category for warning in caught] == [RuntimeWarning], caught
    assert "has been stopped" in str(caught[0].message)
    assert [hook.exc_type for hook in case.reported] == list(reported)
    del case.reported[:]
    assert not watcher.active
    assert not watcher.pending


def deliver(case: Case) -> None:
    """Run until there is nothing left to be delivered."""
    end = case.loop.timer(0.0, 0.0, case.ignore)
    end.start()
    while end.active or case.loop.pending:
        case.loop.start(EVRUN_ONCE)


# -- what it returns and raises -------------------------------------------------------


def returns(value: Any) -> Ask:
    """A callable that returns a value."""
    return lambda watcher, now: value


def raises(error: BaseException) -> Ask:
    """A callable that raises."""

    def ask(watcher: Any, now: float) -> Any:
        raise error

    return ask


BAD: dict[str, tuple[Ask, type[BaseException]]] = {
    "the past": (lambda watcher, now: now - 1e-3, Error),
    "just the past": (lambda watcher, now: math.nextafter(now, 0.0), Error),
    "zero": (returns(0), Error),
    "the long past": (returns(-1e300), Error),
    "NaN": (returns(math.nan), ValueError),
    "infinity": (returns(math.inf), ValueError),
    "-infinity": (returns(-math.inf), ValueError),
    "huge int": (returns(10**400), ValueError),
    "NaN of Decimal": (returns(Decimal("NaN")), ValueError),
    "None": (returns(None), TypeError),
    "string": (returns("1e12"), TypeError),
    "complex": (returns(1j), TypeError),
    "exception class": (returns(ValueError), TypeError),
    "Exception": (raises(ZeroDivisionError("no time")), ZeroDivisionError),
    "RecursionError": (raises(RecursionError("no time")), RecursionError),
    "StopIteration": (raises(StopIteration()), StopIteration),
    "wrong signature": (lambda: 0.0, TypeError),  # type: ignore[misc,dict-item]
}


@row(how=list(BAD))
def bad_at_the_start(case: Case, how: str) -> None:
    ask, error = BAD[how]
    watcher = case.loop.scheduler(ask, case.record)
    for method in (watcher.start, watcher.reset) * 2:
        with stopped(case, watcher, error):
            method()
    assert (case.loop.start(), case.seen) == (False, [])


@row(how=list(BAD))
def bad_later(case: Case, how: str) -> None:
    ask, error = BAD[how]
    watcher = case.loop.scheduler(After(1, ask), case.record)
    watcher.start()
    with stopped(case, watcher, error):
        deliver(case)
    # The event that was due is not lost.
    assert case.seen == [(watcher, EV_PERIODIC)]
    watcher.scheduler = later
    watcher.start()
    assert watcher.active
    watcher.stop()


@row(how=list(BAD))
def bad_in_a_reset_by_a_callback(case: Case, how: str) -> None:
    def reset(timer: Any, revents: int) -> None:
        watcher.reset()
        assert not watcher.active

    ask, error = BAD[how]
    watcher = case.loop.scheduler(later, case.record)
    watcher.start()
    watcher.scheduler = ask
    case.loop.timer(0.0, 0.0, reset).start()
    with stopped(case, watcher, error):
        deliver(case)
    assert case.seen == []


FATAL = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
    "GeneratorExit": GeneratorExit,
    "@fatal": ZeroDivisionError,
}


@row(how=list(FATAL))
def fatal_at_the_start(case: Case, how: str) -> None:
    error = FATAL[how]
    ask = fatal(raises(error("fatal")))
    watcher = case.loop.scheduler(ask, case.record)
    for method in (watcher.start, watcher.reset) * 2:
        with stopped(case, watcher), case.raises(error, "fatal", watcher):
            method()
    assert (case.loop.start(), case.seen) == (False, [])


@row(how=list(FATAL))
def fatal_later(case: Case, how: str) -> None:
    error = FATAL[how]
    watcher = case.loop.scheduler(fatal(After(1, raises(error("fatal")))), case.record)
    watcher.start()
    with stopped(case, watcher):
        with case.fails(error, "fatal"):
            case.loop.start()
        # The event that was due comes with the next run.
        deliver(case)
    assert case.seen == [(watcher, EV_PERIODIC)]


@row(when=["start", "later"])
def warning_that_is_an_error(case: Case, when: str) -> None:
    # As under python -W error, which the rows run under.
    watcher = case.loop.scheduler(After(int(when == "later"), returns(None)))
    with case.fails(RuntimeWarning, "has been stopped"):
        watcher.start()
        case.loop.start()
    assert not watcher.active
    assert [hook.exc_type for hook in case.reported] == [TypeError]
    del case.reported[:]
    assert case.loop.start() is False


@row(at=[1e300, 1.7e308, 10**20, Decimal("1e300")])
def end_of_time(case: Case, at: Any) -> None:
    watcher = case.loop.scheduler(returns(at), case.record)
    with case.allows():
        watcher.start()
        case.run()
    assert (watcher.at, watcher.active, case.seen) == (float(at), True, [])
    watcher.stop()


@row()
def always_now(case: Case) -> None:
    # Not more than once per iteration, which other watchers have a part in.
    watcher = case.loop.scheduler(lambda watcher, now: now, case.record)
    with case.allows():
        watcher.start()
        for count in range(1, 6):
            while len(case.seen) < count:
                case.run()
            assert len(case.seen) == count
    watcher.stop()


@row()
def takes_long(case: Case) -> None:
    def ask(watcher: Any, now: float) -> float:
        time.sleep(0.02)
        return now + 0.001

    watcher = case.loop.scheduler(ask, case.record)
    with case.allows():
        watcher.start()
        assert watcher.active
        while len(case.seen) < 2:
            case.loop.start(EVRUN_ONCE)
    assert set(case.seen) == {(watcher, EV_PERIODIC)}
    watcher.stop()


# -- what it does ---------------------------------------------------------------------


MUST_NOT: dict[str, Callable[[Any, Any, Any], Any]] = {
    "start the loop": lambda loop, watcher, other: loop.start(),
    "invoke": lambda loop, watcher, other: loop.invoke(),
    "close the loop": lambda loop, watcher, other: loop.close(),
    "reset the loop": lambda loop, watcher, other: loop.reset(),
    "update": lambda loop, watcher, other: loop.update(),
    "suspend": lambda loop, watcher, other: loop.suspend(),
    "resume": lambda loop, watcher, other: loop.resume(),
    "unref": lambda loop, watcher, other: loop.unref(),
    "verify": lambda loop, watcher, other: loop.verify(),
    "once": lambda loop, watcher, other: loop.once(None, 0, 0.0, print),
    "stop itself": lambda loop, watcher, other: watcher.stop(),
    "reset itself": lambda loop, watcher, other: watcher.reset(),
    "start itself": lambda loop, watcher, other: (watcher.start(), watcher.stop()),
    "feed itself": lambda loop, watcher, other: watcher.feed(EV_CUSTOM),
    "clear itself": lambda loop, watcher, other: watcher.clear(),
    "start another": lambda loop, watcher, other: other.start(),
    "stop another": lambda loop, watcher, other: other.stop(),
    "reset another": lambda loop, watcher, other: other.reset(),
    "feed another": lambda loop, watcher, other: other.feed(EV_CUSTOM),
    "start a scheduler": lambda loop, watcher, other: loop.scheduler(later).start(),
    "init itself": lambda loop, watcher, other: watcher.__init__(later, loop),
}
TIMES = ["start", "later", "reset"]


def ask_at(case: Case, when: str, ask: Ask) -> Scheduler:
    """Have a callable asked: when its watcher starts, after an event, in a callback."""
    watcher = case.loop.scheduler(later, case.record)
    if when == "start":
        watcher.scheduler = ask
        watcher.start()
    elif when == "later":
        watcher.scheduler = After(1, ask)
        watcher.start()
        deliver(case)
        assert case.seen == [(watcher, EV_PERIODIC)]
    else:
        watcher.start()
        watcher.scheduler = ask
        case.loop.timer(0.0, 0.0, lambda timer, revents: watcher.reset()).start()
        deliver(case)
        assert case.seen == []
    return watcher


@row(what=list(MUST_NOT))
def must_not(case: Case, what: str) -> None:
    for when in TIMES:
        is_refused(case, what, when)


def is_refused(case: Case, what: str, when: str) -> None:
    """Assert that the callable is refused it, and that it does not matter."""

    def ask(watcher: Any, now: float) -> float:
        with case.fails(Error, ""):
            MUST_NOT[what](case.loop, watcher, other)
        refused.append(what)
        return now + 1e4

    refused: list[str] = []
    other = case.loop.timer(1e4, 1.0, case.ignore)
    with case.allows(other):
        watcher = ask_at(case, when, ask)
    assert refused == [what]
    assert watcher.active
    watcher.stop()
    assert case.loop.start() is False
    del case.seen[:]


@row(what=["start another", "stop itself", "start the loop"], when=TIMES)
def must_not_and_leaves_it(case: Case, what: str, when: str) -> None:
    """The exception leaves the callable, which then has given no time."""

    def ask(watcher: Any, now: float) -> float:
        MUST_NOT[what](case.loop, watcher, other)
        return now + 1e4

    other = case.loop.timer(1e4, 1.0, case.ignore)
    watchers: list[Scheduler] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with case.allows(other):
            watchers.append(ask_at(case, when, ask))
    assert [warning.category for warning in caught] == [RuntimeWarning]
    assert [hook.exc_type for hook in case.reported] == [Error]
    del case.reported[:]
    assert not watchers[0].active
    assert case.loop.start() is False


@row(when=TIMES)
def changes_its_scheduler_and_callback(case: Case, when: str) -> None:
    def replacement(watcher: Any, revents: int) -> None:
        case.record(watcher, revents)

    def ask(watcher: Any, now: float) -> float:
        watcher.scheduler = later
        watcher.callback = replacement
        watcher.data = "changed"
        return now + 2e4

    with case.allows():
        watcher = ask_at(case, when, ask)
    assert (watcher.scheduler, watcher.callback) == (later, replacement)
    assert watcher.data == "changed"
    # What it said counts, not what its successor would.
    assert watcher.at > case.loop.now() + 1.5e4
    watcher.reset()
    assert watcher.at < case.loop.now() + 1.5e4
    watcher.stop()


@row(when=TIMES)
def runs_another_loop(case: Case, when: str) -> None:
    def ask(watcher: Any, now: float) -> float:
        with Loop() as other:
            case.timer_fires(other)
            other.scheduler(later).start()
        return now + 1e4

    with case.allows():
        watcher = ask_at(case, when, ask)
    assert watcher.active
    watcher.stop()


@row(when=TIMES)
def stops_the_loop(case: Case, when: str) -> None:
    def ask(watcher: Any, now: float) -> float:
        case.loop.stop()
        return now + 1e4

    with case.allows():
        watcher = ask_at(case, when, ask)
    assert watcher.active
    watcher.stop()


@row(good=[0, 1])
def last_reference_is_deleted(case: Case, good: int) -> None:
    class Subclass(Scheduler):
        """Takes attributes."""

    def ask(watcher: Any, now: float) -> float:
        asked.append(now)
        keep.clear()
        del watcher
        gc.collect()
        return now + 1e4

    asked: list[float] = []
    keep = [Subclass(After(good, ask), case.loop, case.record)]
    reference = weakref.ref(keep[0])
    with case.allows():
        keep[0].start()
        deliver(case)
    assert (len(asked), len(case.seen), keep) == (1, good, [])
    # An active watcher is alive, whoever has let it go.
    watcher = reference()
    assert watcher is not None
    assert watcher.active
    watcher.stop()


@row(good=[0, 1])
def last_reference_is_deleted_and_it_fails(case: Case, good: int) -> None:
    def ask(watcher: Any, now: float) -> float:
        keep.clear()
        del watcher
        gc.collect()
        return math.nan

    keep = [case.loop.scheduler(After(good, ask), case.record)]
    reference = weakref.ref(keep[0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with case.allows():
            keep[0].start()
            deliver(case)
    assert (len(case.seen), keep) == (good, [])
    assert [warning.category for warning in caught] == [RuntimeWarning]
    del case.seen[:], case.reported[:], caught[:]
    # Nothing keeps it then. PyPy sees so after a while.
    for _ in range(5):
        gc.collect()
    assert reference() is None


@row()
def many_that_fail_at_once(case: Case) -> None:
    def fail(watcher: Any, now: float) -> float:
        raise ZeroDivisionError(watcher.data)

    watchers = [
        case.loop.scheduler(After(1, fail), case.record, number) for number in range(20)
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with case.allows():
            for watcher in watchers:
                watcher.start()
            deliver(case)
    assert {watcher for watcher, _ in case.seen} == set(watchers)
    assert len(case.seen) == len(caught) == len(case.reported) == 20
    assert sorted(int(str(hook.exc_value)) for hook in case.reported) == list(range(20))
    del case.reported[:]
    assert not any(watcher.active for watcher in watchers)
    assert case.loop.start() is False


@row(bad=[None, 5, "later", 1e12])
def no_callable(case: Case, bad: Any) -> None:
    watcher = case.loop.scheduler(later, case.record)
    watcher.start()
    says = f"scheduler must be callable, got {bad!r}"
    with case.raises(TypeError, says, watcher):
        watcher.scheduler = bad
    with case.raises(TypeError, says, watcher):
        watcher.__init__(bad, case.loop)
    with case.raises(TypeError, says):
        Scheduler(bad, case.loop)
    watcher.stop()
