"""Rows about calls out of order: priorities, stop, ref and unref, suspend, resume."""

import os
from typing import Any

from misuse.kinds import KINDS, make, without_end
from misuse.table import Case, row
from mood_event import (
    EV_CHILD,
    EV_CUSTOM,
    EV_MAXPRI,
    EV_MINPRI,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
    Error,
    default_loop,
    fatal,
)

# -- priorities -----------------------------------------------------------------------

CLAMPED = [-(2**31), EV_MINPRI - 1, EV_MAXPRI + 1, 2**31 - 1]


@row(how=["init", "set"], priority=CLAMPED)
def priority_out_of_range(case: Case, how: str, priority: int) -> None:
    clamped = EV_MINPRI if priority < 0 else EV_MAXPRI
    order: list[str] = []

    def note(watcher: Any, revents: int) -> None:
        order.append(watcher.data)

    given = priority if how == "init" else 0
    watcher = case.loop.timer(0.0, 0.0, note, "outside", given)
    if how == "set":
        watcher.priority = priority
    with case.allows(watcher, case.loop):
        assert watcher.priority == clamped
    # Between these two, had it not been clamped, it would come first, or last.
    near = case.loop.idle(note, "near", clamped)
    beyond = case.loop.idle(note, "beyond", -clamped)
    for each in (near, watcher, beyond):
        each.feed(EV_CUSTOM)
    case.run()
    expected = ["outside", "near", "beyond"]
    assert order == (expected if clamped > 0 else ["beyond", "outside", "near"]), order


@row(
    how=["init", "set"],
    priority=[2**31, -(2**31) - 1, 2**64, -(2**64), 1.0, "1", None, 1j],
)
def priority_that_is_no_int(case: Case, how: str, priority: Any) -> None:
    watcher = case.loop.timer(1e4, 0.0, case.ignore, None, 1)
    watcher.start()
    watcher.stop()
    kind = OverflowError if isinstance(priority, int) else TypeError
    with case.raises(kind, "priority must", watcher):
        if how == "init":
            watcher.__init__(1e4, 0.0, case.loop, case.ignore, None, priority)
        else:
            watcher.priority = priority


@row(kind=KINDS)
def priority_set_too_late(case: Case, kind: str) -> None:
    for state in ("active", "pending"):
        watcher = make(case, kind, state=state)
        with case.raises(Error, f"while it is {state}", watcher):
            watcher.priority = 1
        watcher.stop()
        watcher.priority = 1
        assert watcher.priority == 1


@row()
def priority_set_in_a_batch(case: Case) -> None:
    """One that a batch has yet to deliver is pending; one that it has is not."""

    def callback(watcher: Any, revents: int) -> None:
        last.append(watcher)
        first, second = last[0], watchers[watchers[0] is last[0]]
        if len(last) == 1:
            assert second.pending
            with case.raises(Error, "while it is pending", second):
                second.priority = 2
        first.priority = 1

    last: list[Any] = []
    watchers = [case.loop.timer(1e4, 0.0, callback) for _ in range(2)]
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    case.run()
    assert len(last) == 2
    assert last[0].priority == 1


@row(priority=[EV_MINPRI, EV_MAXPRI])
def priority_of_a_pending_child(case: Case, priority: int) -> None:
    def first(watcher: Any, revents: int) -> None:
        """Both children are in one batch: the other one is pending."""
        (other,) = (child for child in children if child is not watcher)
        assert other.pending
        other.stop()
        other.feed(EV_CHILD)
        with case.raises(Error, "while it is pending", other):
            other.priority = EV_MINPRI
        other.callback = case.record

    case.loop = loop = default_loop()
    # Of a process that is no child: nothing happens by itself.
    children = [loop.child(os.getpid(), False, first, 0, priority) for _ in range(2)]
    for child in children:
        child.start()
        child.feed(EV_CHILD)
        with case.raises(Error, "while it is active", child):
            child.priority = EV_MINPRI
    case.run()
    other = case.seen[0][0]
    other.priority = 1
    assert other.priority == 1
    for child in children:
        child.stop()


# -- start and stop -------------------------------------------------------------------


@row(how=[0, 3, 4, 0x80, -1, -(2**31)], where=["outside", "callback"])
def stop_with(case: Case, how: int, where: str) -> None:
    says = f"how must be EVBREAK_ONE or EVBREAK_ALL, got {how}"

    def attempt(watcher: Any, revents: int) -> None:
        with case.raises(ValueError, says, watcher):
            case.loop.stop(how)

    idle = case.loop.idle(attempt)
    if where == "outside":
        attempt(idle, 0)
        return
    idle.start()
    # The run goes on: two iterations.
    case.run()
    case.run()
    idle.stop()


@row(how=[2**31, -(2**31) - 1, 2**64, "1", 1.0, None])
def stop_with_no_int(case: Case, how: Any) -> None:
    kind = OverflowError if isinstance(how, int) else TypeError
    with case.raises(kind, "how must"):
        case.loop.stop(how)


@row()
def stop_outside(case: Case) -> None:
    """It is forgotten: the next run is not broken."""
    case.loop.idle(case.record).start()
    with case.allows(case.loop):
        for _ in range(3):
            case.loop.stop()
    case.loop.start(EVRUN_ONCE)
    assert len(case.seen) == 1
    case.seen[0][0].stop()


@row(flags=[4, 8, 0x80, -1, EVRUN_NOWAIT | EVRUN_ONCE | 4])
def start_with(case: Case, flags: int) -> None:
    with case.raises(ValueError, "flags must be 0, EVRUN_NOWAIT or EVRUN_ONCE"):
        case.loop.start(flags)


@row(flags=[2**31, -(2**31) - 1, 2**64, "1", 1.0, None])
def start_with_no_int(case: Case, flags: Any) -> None:
    kind = OverflowError if isinstance(flags, int) else TypeError
    with case.raises(kind, "flags must"):
        case.loop.start(flags)


@row()
def stop_twice(case: Case) -> None:
    case.loop = default_loop()
    for kind in KINDS:
        watcher = make(case, kind)
        with case.allows(watcher, case.loop):
            watcher.stop()
            watcher.start()
            watcher.stop()
            watcher.stop()


@row()
def start_twice(case: Case) -> None:
    case.loop = default_loop()
    for kind in KINDS:
        watcher = make(case, kind, state="active")
        with case.allows(watcher, case.loop):
            watcher.start()
        watcher.stop()
        assert not watcher.active
        assert case.loop.start() is False


@row()
def clear_of_nothing(case: Case) -> None:
    case.loop = default_loop()
    for kind in KINDS:
        for state in ("unmade", "idle", "active"):
            watcher = make(case, kind, state=state)
            with case.allows(watcher, case.loop):
                assert watcher.clear() == 0


@row(how=["feed", "invoke"])
def revents_that_are_no_int(case: Case, how: str) -> None:
    for revents in (2**31, -(2**31) - 1, "1", 1.0, None):
        watcher = case.loop.timer(1e4, 0.0, case.record)
        kind = OverflowError if isinstance(revents, int) else TypeError
        with case.raises(kind, "revents must", watcher):
            getattr(watcher, how)(revents)
        assert not case.seen


@row(how=["timer", "idle", "invoke", "call_soon_threadsafe"], stderr=".*")
def start_within_start_without_end(case: Case, how: str) -> None:
    """Runs nest until Python says that it is enough. Then they all end."""

    @fatal
    def nest(*arguments: object) -> None:
        if case.seen:
            return
        if how == "timer":
            case.loop.timer(0.0, 0.0, nest).start()
        elif how == "idle":
            case.loop.idle(nest).feed(EV_CUSTOM)
        elif how == "invoke":
            case.loop.idle(nest).invoke(EV_CUSTOM)
        else:
            case.loop.call_soon_threadsafe(nest)
        case.loop.start(EVRUN_NOWAIT)

    without_end(case, nest)


# -- references -----------------------------------------------------------------------


@row(count=[1, 1000])
def ref_without_unref(case: Case, count: int) -> None:
    """The loop can be closed all the same: `finish` does it."""
    with case.allows():
        for _ in range(count):
            case.loop.ref()
        assert case.loop.start(EVRUN_NOWAIT) is True


@row(kind=KINDS, keepalive=[True, False])
def unref_without_ref(case: Case, kind: str, keepalive: bool) -> None:
    says = "Loop.unref: no watcher's reference is left"
    watcher = make(case, kind)
    watcher.keepalive = keepalive
    with case.raises(Error, says, watcher):
        case.loop.unref()
    watcher.start()
    # libev counts an Embed as four, and a Cleanup not at all.
    references = {"embed": 4, "cleanup": 0}.get(kind, 1) if keepalive else 0
    for _ in range(references):
        case.loop.unref()
    with case.raises(Error, says, watcher):
        case.loop.unref()
    assert case.loop.start() is False
    for _ in range(references):
        case.loop.ref()
    watcher.stop()
    with case.raises(Error, says, watcher):
        case.loop.unref()
    assert case.loop.start() is False


@row()
def unref_of_a_watcher_that_has_stopped(case: Case) -> None:
    watcher = case.loop.timer(1e4, 0.0, case.ignore)
    watcher.start()
    case.loop.unref()
    watcher.stop()
    # One reference is missing: the next watcher has none of its own.
    with case.raises(Error, "no watcher's reference is left", watcher):
        case.loop.unref()
    watcher.start()
    with case.raises(Error, "no watcher's reference is left", watcher):
        case.loop.unref()
    case.loop.ref()
    assert case.loop.start(EVRUN_NOWAIT) is True
    watcher.stop()


@row()
def unref_in_the_callback_of_a_timer_that_ends(case: Case) -> None:
    """libev has stopped it, and taken its reference back."""

    def callback(watcher: Any, revents: int) -> None:
        with case.raises(Error, "no watcher's reference is left", watcher):
            case.loop.unref()

    case.loop.timer(0.0, 0.0, callback).start()
    assert case.loop.start() is False


@row()
def unref_and_keepalive_together(case: Case) -> None:
    """A watcher's reference can be given away once."""
    watchers = [case.loop.timer(1e4, 0.0, case.ignore) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.keepalive = False
    for count in range(3):
        with case.raises(Error, "no watcher's reference is left", *watchers):
            case.loop.unref()
        watchers[count].keepalive = True
        case.loop.unref()
    assert case.loop.start() is False
    # All are given away already, and are not a second time.
    for watcher in watchers:
        with case.allows(case.loop):
            watcher.keepalive = False
            watcher.keepalive = True
        case.loop.ref()
        watcher.stop()
    assert case.loop.start(EVRUN_NOWAIT) is False


# -- suspend and resume ---------------------------------------------------------------


@row()
def suspend_twice(case: Case) -> None:
    case.loop.suspend()
    with case.raises(Error, "Loop.suspend: the loop is suspended already"):
        case.loop.suspend()
    with case.raises(Error, "Loop.suspend: the loop is suspended already"):
        case.loop.suspend()
    case.loop.resume()


@row(before=[0, 1])
def resume_alone(case: Case, before: int) -> None:
    for _ in range(before):
        case.loop.suspend()
        case.loop.resume()
    with case.raises(Error, "Loop.resume: the loop is not suspended"):
        case.loop.resume()


@row(kind=KINDS)
def suspend_then_close(case: Case, kind: str) -> None:
    watcher = make(case, kind, state="active")
    case.loop.suspend()
    with case.allows():
        case.loop.close()
    assert not watcher.active
    case.loop = None


@row(kind=KINDS)
def suspend_then_start(case: Case, kind: str) -> None:
    """libev's manual forbids it; a loop that is suspended runs nevertheless."""
    watcher = make(case, kind)
    case.loop.suspend()
    with case.allows(watcher):
        watcher.start()
        case.loop.start(EVRUN_NOWAIT)
        watcher.stop()
    case.loop.resume()


@row()
def suspend_in_a_callback_for_good(case: Case) -> None:
    """What is started then fires, with the loop suspended: `finish` sees to that."""

    def callback(watcher: Any, revents: int) -> None:
        case.loop.suspend()

    case.loop.timer(0.0, 0.0, callback).start()
    case.loop.start()
    with case.raises(Error, "the loop is suspended already"):
        case.loop.suspend()
