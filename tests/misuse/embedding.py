"""Rows about Embed watchers."""

import os
import threading
from typing import Any

import mood_event
from misuse.kinds import embeddable_loop, without_end
from misuse.table import Case, row
from mood_event import (
    EV_CUSTOM,
    EV_READ,
    EVBACKEND_POLL,
    EVBACKEND_SELECT,
    EVRUN_NOWAIT,
    Embed,
    Error,
    Loop,
    fatal,
)

ITSELF = "a loop cannot be embedded in itself"

HOWS = ["init", "init_again", "set"]


def attempt(how: str, embed: Any, other: Any, loop: Any) -> None:
    """Have a loop embedded in another, in one of three ways."""
    if how == "init":
        Embed(other, loop)
    elif how == "init_again":
        embed.__init__(other, loop)
    else:
        embed.set(other)


def loops(case: Case, count: int = 2) -> list[Any]:
    """Loops that can be embedded; the case's is the last one, the outermost."""
    made = [embeddable_loop() for _ in range(count)]
    case.loop = made[-1]
    return made


def event(case: Case, loop: Any, callback: Any) -> Any:
    """An active watcher of an embedded loop, which calls back at the next chance."""
    watcher = loop.io(case.readable(), EV_READ, callback)
    watcher.start()
    return watcher


def run_until(case: Case, seen: Any) -> None:
    """Run the outermost loop until something has been seen."""
    for _ in range(100):
        if seen:
            return
        case.run()
    raise AssertionError("nothing happened in 100 iterations")


# -- what cannot be embedded ----------------------------------------------------------


@row(how=HOWS)
def itself(case: Case, how: str) -> None:
    inner, outer = loops(case)
    embed = outer.embed(inner)
    with case.raises(Error, ITSELF, embed, outer, inner):
        attempt(how, embed, outer, outer)


@row(how=[*HOWS, "start"], length=[2, 3, 10], active=[False, True])
def cycle(case: Case, how: str, length: int, active: bool) -> None:
    made = loops(case, length)
    chain = [outer.embed(inner) for inner, outer in zip(made, made[1:])]
    first, last = made[0], made[-1]
    back = first.embed(embeddable_loop())
    if how == "start":
        # Nothing is wrong with it while none of the others is active.
        back.set(last)
    for embed in chain:
        embed.start()
    if not active:
        # An embed that is pending alone will be active again, perhaps.
        chain[0].stop()
        chain[0].feed(EV_CUSTOM)
    with case.raises(Error, ITSELF, back, *chain, *made):
        if how == "start":
            back.start()
        else:
            attempt(how, back, last, first)
    for embed in chain:
        embed.stop()


@row(stderr=".*")
def cycle_of_sweeps(case: Case) -> None:
    """Sweeping needs no active Embed, so loops can sweep each other without end."""

    def sweep(watcher: Any, revents: int) -> None:
        if case.seen:
            watcher.stop()
        elif watcher is inner_watcher:
            back.sweep()
        else:
            there.sweep()

    inner, outer = loops(case)
    there, back = outer.embed(inner), inner.embed(outer)
    inner_watcher = inner.idle(fatal(sweep))
    outer_watcher = outer.idle(fatal(sweep))
    inner_watcher.start()
    outer_watcher.start()
    without_end(case, case.run)
    inner_watcher.stop()
    outer_watcher.stop()


@row(how=[*HOWS, "start", "sweep"])
def closed_loop(case: Case, how: str) -> None:
    inner, outer = loops(case)
    embed = outer.embed(inner)
    closed = embeddable_loop()
    if how in ("start", "sweep"):
        embed.set(closed)
    closed.close()
    says = "Embed.sweep: the loop is closed" if how == "sweep" else "other is closed"
    with case.raises(Error, says, embed, closed):
        if how in ("start", "sweep"):
            getattr(embed, how)()
        else:
            attempt(how, embed, closed, outer)


@row(how=["start", "sweep"], state=["idle", "active"])
def closed_after_start(case: Case, how: str, state: str) -> None:
    """An active Embed is stopped when the loop that it embeds is closed."""
    inner, outer = loops(case)
    embed = outer.embed(inner)
    embed.start()
    case.run()
    if state == "idle":
        embed.stop()
    inner.close()
    assert not embed.active
    says = {"start": "other is closed", "sweep": "the loop is closed"}[how]
    with case.raises(Error, says, embed, inner):
        getattr(embed, how)()


@row()
def closed_before_it_is_swept(case: Case) -> None:
    """What an Embed's own callback cannot do is fatal."""
    inner, outer = loops(case)
    embed = outer.embed(inner)
    embed.feed(EV_CUSTOM)
    inner.close()
    raised = ""
    try:
        outer.start()
    except Error as error:
        raised = str(error)
    assert raised == "Embed.sweep: the loop is closed"
    with case.raises(Error, "Embed.sweep: the loop is closed", embed, inner):
        embed.sweep()


@row(how=HOWS, backend=[EVBACKEND_SELECT, EVBACKEND_POLL])
def backend_that_is_not_embeddable(case: Case, how: str, backend: int) -> None:
    inner, outer = loops(case)
    embed = outer.embed(inner)
    plain = Loop(backend)
    with case.raises(Error, "'other' must be embeddable", embed, plain):
        attempt(how, embed, plain, outer)
    # The other way round is nothing wrong.
    plain.embed(outer).start()
    plain.start(EVRUN_NOWAIT)
    plain.close()


@row(how=HOWS, what=["none", "int", "class", "watcher", "unmade", "queue"])
def what_is_no_loop(case: Case, how: str, what: str) -> None:
    inner, outer = loops(case)
    embed = outer.embed(inner)
    other = {
        "none": None,
        "int": 5,
        "class": Loop,
        "watcher": inner.timer(1e4, 0.0, case.ignore),
        "unmade": Loop.__new__(Loop),
        "queue": inner._queue,
    }[what]
    with case.raises(TypeError, "other must be a Loop", embed, inner):
        attempt(how, embed, other, outer)


@row(method=["start", "sweep"])
def loop_of_another_thread(case: Case, method: str) -> None:
    inner, outer = loops(case)
    embed = outer.embed(inner)
    running = threading.Event()
    end = inner.async_(lambda watcher, revents: inner.stop())
    end.start()
    inner.call_soon_threadsafe(running.set)
    thread = threading.Thread(target=inner.start)
    thread.start()
    running.wait()
    with case.raises(Error, f"Embed.{method}: another thread runs the loop", embed):
        getattr(embed, method)()
    end.send()
    thread.join()
    getattr(embed, method)()
    embed.stop()
    end.stop()


@row()
def run_in_another_thread_than_what_embeds_it(case: Case) -> None:
    inner, outer = loops(case)
    outer.embed(inner).start()
    running = threading.Event()
    end = outer.async_(lambda watcher, revents: outer.stop())
    end.start()
    outer.call_soon_threadsafe(running.set)
    thread = threading.Thread(target=outer.start)
    thread.start()
    running.wait()
    with case.raises(Error, "Loop.start: another thread runs the loop", inner):
        inner.start(EVRUN_NOWAIT)
    end.send()
    thread.join()


# -- in callbacks ---------------------------------------------------------------------


@row(where=["inner", "outer"], which=["inner", "outer"], swept=[True, False])
def closed_in_a_callback(case: Case, where: str, which: str, swept: bool) -> None:
    """A loop that embeds another may close that one, when that one does not run."""
    calls: list[int] = []

    def callback(watcher: Any, revents: int) -> None:
        calls.append(revents)
        watcher.stop()
        if (where, which) == ("outer", "inner"):
            inner.close()
            assert not embed.active
            return
        with case.raises(Error, "Loop.close: the loop is running", watcher, embed):
            {"inner": inner, "outer": outer}[which].close()

    inner, outer = loops(case)
    embed = outer.embed(inner)
    if swept:
        embed.callback = fatal(lambda watcher, revents: watcher.sweep())
    embed.start()
    if where == "inner":
        event(case, inner, callback)
    else:
        event(case, inner, case.ignore)
        event(case, outer, callback)
    run_until(case, calls)
    with case.allows():
        case.run()
    embed.stop()


@row(where=["inner", "outer"], drop=[False, True])
def stopped_in_a_callback(case: Case, where: str, drop: bool) -> None:
    """Also where libev runs the embedded loop: it holds the struct meanwhile."""
    calls: list[int] = []
    embeds: list[Any] = []

    def callback(watcher: Any, revents: int) -> None:
        calls.append(revents)
        watcher.stop()
        embeds.pop().stop()
        if drop:
            # What was its struct is others' now.
            others.extend(outer.embed(inner) for _ in range(200))
            for other in others:
                other.priority = 1
        else:
            others.append(outer.embed(inner))
            others[0].start()

    inner, outer = loops(case)
    others: list[Any] = []
    embeds.append(outer.embed(inner))
    embeds[0].start()
    event(case, inner if where == "inner" else outer, callback)
    with case.allows():
        run_until(case, calls)
        case.run()
    assert len(calls) == 1
    for other in others:
        other.stop()


@row()
def set_in_its_own_callback(case: Case) -> None:
    def callback(embed: Any, revents: int) -> None:
        case.seen.append((embed, revents))
        with case.raises(Error, "cannot set a watcher while it is active", embed):
            embed.set(third)
        embed.stop()
        embed.set(third)
        embed.start()
        embed.sweep()
        event(case, third, case.record)

    third, inner, outer = loops(case, 3)
    embed = outer.embed(inner, callback)
    embed.start()
    event(case, inner, case.ignore)
    run_until(case, case.seen)
    assert embed.other is third
    embed.stop()


@row(method=["close", "stop"])
def gone_within_its_own_sweep(case: Case, method: str) -> None:
    """The embedded loop's own callback stops it; closing it has to wait."""

    def callback(watcher: Any, revents: int) -> None:
        watcher.stop()
        case.seen.append((watcher, revents))
        if method == "stop":
            with case.allows(embed):
                inner.stop()
            return
        with case.raises(Error, "Loop.close: the loop is running", embed):
            inner.close()

    inner, outer = loops(case)
    embed = outer.embed(inner)
    event(case, inner, callback)
    while not case.seen:
        embed.sweep()
    assert inner.depth == outer.depth == 0


@row(forked=[False, True])
def outer_run_in_a_schedulers_callable(case: Case, forked: bool) -> None:
    """libev is half through with the inner loop's times, and must not run it then."""

    def next_time(watcher: Any, now: float) -> float:
        if watcher is asked and not ran:
            ran.append(True)
            if forked:
                outer.reset()
            with case.allows(embed):
                for _ in range(3):
                    outer.start(EVRUN_NOWAIT)
            assert not case.seen
        return now + 1e6

    ran: list[bool] = []
    inner, outer = loops(case)
    embed = outer.embed(inner)
    embed.start()
    asked, *others = [inner.scheduler(next_time) for _ in range(4)]
    for watcher in others:
        watcher.start()
    # Of which the kernel is to be told, and then the loop to be run.
    event(case, inner, case.record)
    asked.start()
    assert ran
    inner.verify()
    run_until(case, case.seen)
    case.seen[0][0].stop()
    inner.close()
    assert not embed.active


@row()
def closed_in_a_schedulers_callable_of_the_outer(case: Case) -> None:
    def next_time(watcher: Any, now: float) -> float:
        with case.raises(Error, "Loop.close: a Scheduler's callable", embed, inner):
            inner.close()
        return now + 1e6

    inner, outer = loops(case)
    embed = outer.embed(inner)
    embed.start()
    scheduler = outer.scheduler(next_time)
    scheduler.start()
    assert scheduler.active
    event(case, inner, case.record)
    run_until(case, case.seen)
    scheduler.stop()
    inner.close()
    assert not embed.active


@row()
def embedded_again_while_it_closes(case: Case) -> None:
    class Again:
        def __del__(self) -> None:
            embed = outer.embed(inner)
            started.append(embed)
            embed.start()

    inner, outer = loops(case)
    started: list[Any] = []
    embed = outer.embed(inner, None, Again())
    embed.start()
    del embed
    event(case, inner, case.ignore)
    with case.allows():
        inner.close()
    for embed in started:
        assert not embed.active
    # PyPy comes to it later, and the loop is closed then.
    del Again.__del__
    outer.reset()
    case.run()


# -- exceptions -----------------------------------------------------------------------


@row(swept=[True, False], kind=[ZeroDivisionError, KeyboardInterrupt, SystemExit])
def callback_that_is_fatal(case: Case, swept: bool, kind: type[BaseException]) -> None:
    @fatal
    def fail(watcher: Any, revents: int) -> None:
        watcher.stop()
        raise kind("by the callback")

    inner, outer = loops(case)
    embed = outer.embed(inner)
    if swept:
        embed.callback = fatal(lambda watcher, revents: watcher.sweep())
    embed.start()
    event(case, inner, fail)
    raised = ""
    try:
        outer.start()
    except kind as error:
        raised = str(error)
    assert raised == "by the callback"
    # It was raised once, and neither loop has it still.
    event(case, inner, case.record)
    run_until(case, case.seen)
    with case.allows(embed):
        inner.start(EVRUN_NOWAIT)
    case.seen[0][0].stop()
    embed.stop()


@row()
def callback_that_fails(case: Case) -> None:
    def fail(watcher: Any, revents: int) -> None:
        watcher.stop()
        raise ZeroDivisionError

    inner, outer = loops(case)
    embed = outer.embed(inner)
    embed.start()
    event(case, inner, fail)
    with case.allows(embed):
        run_until(case, case.reported)
    assert case.reported.pop().exc_type is ZeroDivisionError
    embed.stop()


@row()
def error_event_of_the_embedded_loop(case: Case) -> None:
    inner, outer = loops(case)
    embed = outer.embed(inner)
    embed.start()
    watcher = inner.io(case.readable(), EV_READ, case.ignore)
    watcher.start()
    case.run()
    watcher.feed(mood_event.EV_ERROR)
    # The outer loop does not see it: nothing has happened to a descriptor.
    with case.raises(Error, "unspecified libev error", embed):
        embed.sweep()
    assert not watcher.active
    embed.stop()


@row()
def many_loops_in_one(case: Case) -> None:
    """Closed in the order in which they were made, and not at all."""
    outer = case.loop
    inners = [embeddable_loop() for _ in range(50)]
    embeds = [outer.embed(inner) for inner in inners]
    for embed, inner in zip(embeds, inners):
        embed.start()
        event(case, inner, case.record)
    run_until(case, case.seen)
    for inner in inners[::2]:
        inner.close()
    with case.allows(*inners):
        case.loop.verify()
    assert [embed.active for embed in embeds] == [False, True] * 25


@row(drop=["embed", "other", "loop"])
def dropped_while_active(case: Case, drop: str) -> None:
    """Whoever is active holds what it needs."""
    import gc
    import warnings

    inner = Loop(mood_event.embeddable_backends() & mood_event.supported_backends())
    outer = Loop()
    embed = outer.embed(inner)
    embed.start()
    event(case, inner, case.record)
    if drop == "embed":
        del embed
    elif drop == "other":
        del inner
    else:
        # Both ends of it are closed, with warnings, in any order.
        warnings.simplefilter("ignore")
        del embed, inner, outer
    for _ in range(3):
        gc.collect()
    with case.allows():
        if drop != "loop":
            case.loop = outer
            run_until(case, case.seen)
            case.seen[0][0].stop()
            for watcher in list(outer._queue.held):
                if isinstance(watcher, Embed):
                    watcher.stop()
    os.close(case.readable())
