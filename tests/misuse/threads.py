"""Rows about threads: Async.send, two starts, and what a wrong thread calls."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

from soak import scaled

import mood_event
from misuse.kinds import KINDS, Use, make, make_all, nothing, outcome, uses
from misuse.table import Case, row
from mood_event import EV_CUSTOM, EVRUN_NOWAIT, EVRUN_ONCE, Error, Loop

ELSEWHERE = "another thread runs the loop"


@contextmanager
def running_elsewhere(case: Case) -> Iterator[Any]:
    """The case's loop, while another thread runs it.

    The case does not have it meanwhile: `raises` would look at what that thread does.
    """
    loop, case.loop = case.loop, None
    running = threading.Event()
    end = loop.async_(lambda watcher, revents: loop.stop(mood_event.EVBREAK_ALL))
    end.start()
    loop.call_soon_threadsafe(running.set)
    thread = threading.Thread(target=loop.start)
    thread.start()
    running.wait()
    try:
        yield loop
    finally:
        end.send()
        thread.join()
    end.stop()
    case.loop = loop


def run_beside_8_threads(case: Case, produce: Callable[[int], None]) -> None:
    """Run the loop while 8 threads produce, each with its number.

    If what the last one says were lost, it would run until the server ends it.
    """
    threads = [threading.Thread(target=produce, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    case.loop.start()
    for thread in threads:
        thread.join()


# -- Async.send -----------------------------------------------------------------------


@row(closed=[False, True], state=["unmade", "pending"])
def send_before_start(case: Case, closed: bool, state: str) -> None:
    watcher = make(case, "async", case.record, state)
    says = "Async.send: no Async watcher was ever active on the loop"
    if closed:
        case.loop.close()
        says = "Async.send: the loop is closed"
    for _ in range(3):
        with case.raises(Error, says, watcher):
            watcher.send()
    assert not watcher.sent
    if closed:
        case.loop = None
        return
    watcher.stop()
    watcher.start()
    watcher.send()
    case.run()
    assert len(case.seen) == 1
    watcher.stop()


@row()
def send_to_one_that_was_stopped(case: Case) -> None:
    """It is lost, and nothing else is."""
    stopped, active = (make(case, "async", case.record) for _ in range(2))
    for watcher in (stopped, active):
        watcher.start()
    stopped.stop()
    with case.allows(case.loop, active):
        stopped.send()
    active.send()
    case.run()
    assert [watcher for watcher, _ in case.seen] == [active]
    stopped.start()
    case.run()
    for watcher in (stopped, active):
        watcher.stop()
        watcher.clear()


@row(count=[scaled(125_000, 2_000)])
def send_from_8_threads(case: Case, count: int) -> None:
    """Sends are compressed, but after each one there is a call."""
    sent = [0] * 8
    noticed = [0] * 8

    def produce(number: int) -> None:
        for _ in range(count):
            sent[number] += 1
            watcher.send()

    def callback(watcher: Any, revents: int) -> None:
        noticed[:] = sent
        case.seen[:] = [(watcher, revents)]
        if noticed == [count] * 8:
            case.loop.stop()

    watcher = make(case, "async", callback, "active")
    run_beside_8_threads(case, produce)
    with case.allows():
        assert noticed == sent == [count] * 8
    watcher.stop()


@row(count=[scaled(5_000, 300)])
def call_soon_from_8_threads(case: Case, count: int) -> None:
    """Every call is made, once, and in the order of its thread."""
    calls: list[tuple[int, int]] = []

    def call(number: int, turn: int) -> None:
        calls.append((number, turn))
        if len(calls) == 8 * count:
            case.loop.stop()

    def produce(number: int) -> None:
        for turn in range(count):
            case.loop.call_soon_threadsafe(call, number, turn)

    case.loop.ref()
    run_beside_8_threads(case, produce)
    case.loop.unref()
    with case.allows():
        for number in range(8):
            assert [turn for who, turn in calls if who == number] == list(range(count))


@row(waits=[False, True])
def send_from_a_signal_handler(case: Case, waits: bool) -> None:
    def handler(signum: int, frame: Any) -> None:
        for _ in range(10):
            watcher.send()

    def callback(watcher: Any, revents: int) -> None:
        case.seen.append((watcher, revents))
        if len(case.seen) < 50:
            signal.raise_signal(signal.SIGUSR1)
        else:
            case.loop.stop()

    watcher = make(case, "async", callback, "active")
    signal.signal(signal.SIGUSR1, handler)
    signal.raise_signal(signal.SIGUSR1)
    with case.allows():
        if waits:
            case.loop.start()
        while len(case.seen) < 50:
            case.run()
    watcher.stop()


@row()
def send_from_a_signal_handler_while_it_waits(case: Case) -> None:
    def handler(signum: int, frame: Any) -> None:
        watcher.send()

    watcher = make(case, "async", case.record, "active")
    case.loop.timer(1e4, 0.0, case.ignore).start()
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with case.allows():
        while not case.seen:
            case.loop.start(EVRUN_ONCE)
    watcher.stop()


@row(what=["send", "call_soon_threadsafe"])
def send_while_it_closes(case: Case, what: str) -> None:
    """Each either is in time, or is told that it is not."""

    def produce(watcher: Any) -> None:
        ready.wait()
        while True:
            try:
                if what == "send":
                    watcher.send()
                else:
                    watcher.loop.call_soon_threadsafe(nothing)
            except Error as error:
                refusals.append(str(error))
                return

    refusals: list[str] = []
    for _ in range(10):
        loop = Loop()
        watcher = loop.async_(case.ignore)
        watcher.start()
        ready = threading.Barrier(5)
        threads = [threading.Thread(target=produce, args=(watcher,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        ready.wait()
        loop.start(EVRUN_NOWAIT)
        loop.close()
        for thread in threads:
            thread.join()
    with case.allows():
        assert len(refusals) == 40
        assert all(refusal.endswith("the loop is closed") for refusal in refusals)


# -- a loop of another thread ---------------------------------------------------------


@row(flags=[0, EVRUN_NOWAIT, EVRUN_ONCE], options=("-X", "dev"))
@row(flags=[0, EVRUN_NOWAIT, EVRUN_ONCE])
def start_in_two_threads(case: Case, flags: int) -> None:
    with running_elsewhere(case) as loop:
        for _ in range(2):
            with case.raises(Error, f"Loop.start: {ELSEWHERE}"):
                loop.start(flags)


@row()
def start_in_many_threads_at_once(case: Case) -> None:
    """One of them has it, and the others are told so."""

    def run() -> None:
        barrier.wait()
        error = outcome(case.loop.start)
        results.append(str(error))
        if len(results) == 7:
            end.send()

    results: list[str] = []
    barrier = threading.Barrier(8)
    end = case.loop.async_(lambda watcher, revents: case.loop.stop())
    end.start()
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with case.allows():
        assert sorted(results) == [f"Loop.start: {ELSEWHERE}"] * 7 + ["None"]
    end.stop()


FOR_ANY_THREAD = ("send", "call_soon_threadsafe")
# What libev is told when they are set.
ATTRIBUTES = (
    "priority",
    "keepalive",
    "repeat",
    "offset",
    "interval",
    "io_interval",
    "timeout_interval",
)


def refused(use: Use) -> bool:
    """Whether it is not for other threads, in development mode."""
    if use.how == "set":
        return use.name in ATTRIBUTES
    # A factory touches nothing that the loop's thread has.
    return use.how == "call" and use.name not in (
        *FOR_ANY_THREAD,
        *KINDS,
        "async_",
    )


def attempt_all(case: Case, thing: Any, *things: Any) -> None:
    """Do everything with a loop or a watcher that is not for this thread."""
    owner = "Loop" if isinstance(thing, Loop) else ""
    for use in uses(case, thing):
        if refused(use):
            with case.raises(Error, f"{owner}.{use.name}: {ELSEWHERE}", *things):
                use.do()
    for use in uses(case, thing):
        if use.name in FOR_ANY_THREAD:
            with case.allows():
                use.do()


@row(kind=KINDS, options=("-X", "dev"))
def method_in_a_wrong_thread(case: Case, kind: str) -> None:
    watchers = [make(case, kind, state=state) for state in ("unmade", "idle", "active")]
    # Those that libev calls in each iteration would not let it wait.
    if kind == "idle":
        watchers.pop().stop()
    with running_elsewhere(case):
        for watcher in watchers:
            # Such a one may be pending in this iteration still.
            at_rest = not (watcher.active and kind in ("prepare", "check"))
            attempt_all(case, watcher, *[watcher] * at_rest)
    for watcher in watchers:
        watcher.stop()


@row(options=("-X", "dev"))
def method_of_a_loop_in_a_wrong_thread(case: Case) -> None:
    with running_elsewhere(case) as loop:
        attempt_all(case, loop)
        with case.allows():
            mood_event.feed_signal(signal.SIGUSR2)
            repr(loop)


@row(name=["start", "close", "invoke"])
def method_in_a_wrong_thread_without_development_mode(case: Case, name: str) -> None:
    """These are always checked: they would have two threads in libev for long."""
    says = "Loop.close: the loop is running" if name == "close" else ELSEWHERE
    with running_elsewhere(case) as loop:
        with case.raises(Error, says):
            getattr(loop, name)()
        with case.allows():
            loop.call_soon_threadsafe(nothing)
            mood_event.feed_signal(signal.SIGUSR2)


@row()
def garbage_in_a_wrong_thread(case: Case) -> None:
    """The collector may come in any thread, and closes what is garbage there."""
    import gc
    import warnings

    warnings.simplefilter("ignore")
    for _ in range(20):
        loop = Loop()
        loop.data = [loop.timer(1e4, 0.0, case.ignore, loop) for _ in range(3)]
        for watcher in loop.data:
            watcher.start()
        loop.start(EVRUN_NOWAIT)
        del loop, watcher
    with running_elsewhere(case), case.allows():
        for _ in range(3):
            gc.collect()


# -- Loop.callback, and a thread that invokes ------------------------------------------


@row(options=("-X", "dev"))
@row()
def invoke_handed_to_another_thread(case: Case) -> None:
    """Everything is allowed there, while the loop's own thread waits."""

    def elsewhere(loop: Any) -> None:
        thread = threading.Thread(target=loop.invoke)
        thread.start()
        thread.join()

    def callback(watcher: Any, revents: int) -> None:
        case.seen.append((threading.current_thread(), revents))
        for other in others:
            other.start()
            other.feed(EV_CUSTOM)
            other.stop()
        watcher.loop.now()
        if len(case.seen) < 3:
            # In this thread, and what it has pending in still another.
            case.loop.timer(0.0, 0.0, callback).start()
            case.loop.start(EVRUN_NOWAIT)

    others = make_all(case)
    case.loop.callback = elsewhere
    case.loop.timer(0.0, 0.0, callback).start()
    while len(case.seen) < 3:
        case.run()
    case.loop.callback = None
    with case.allows(*others):
        threads = {thread for thread, _ in case.seen}
        assert threading.main_thread() not in threads
        assert len(threads) == 3


@row(options=("-X", "dev"))
@row()
def invoke_handed_to_two_threads(case: Case) -> None:
    """One of them invokes, and the other one is told so."""

    def attempt(loop: Any) -> None:
        second.append(outcome(loop.invoke))

    def both(loop: Any) -> None:
        pending = loop.pending
        first = threading.Thread(target=loop.invoke)
        first.start()
        if pending:
            assert inside.wait(60)
            attempt(loop)
            thread = threading.Thread(
                target=lambda: second.append(outcome(loop.invoke))
            )
            thread.start()
            thread.join()
            told.set()
        first.join()

    def callback(watcher: Any, revents: int) -> None:
        inside.set()
        assert told.wait(60)
        case.seen.append((watcher, revents))

    inside, told = threading.Event(), threading.Event()
    second: list[Any] = []
    case.loop.callback = both
    case.loop.timer(0.0, 0.0, callback).start()
    while not case.seen:
        case.run()
    case.loop.callback = None
    with case.allows():
        assert [str(error) for error in second] == [f"Loop.invoke: {ELSEWHERE}"] * 2


@row()
def invoke_too_late(case: Case) -> None:
    """Loop.callback has returned, and the loop waits for events again."""

    def later(loop: Any) -> None:
        if not threads:
            thread = threading.Thread(target=attempt)
            threads.append(thread)
            thread.start()
        loop.invoke()

    def attempt() -> None:
        assert waits.wait(60)
        late.append(outcome(case.loop.invoke))
        end.send()

    def tell(watcher: Any, revents: int) -> None:
        watcher.stop()
        waits.set()

    threads: list[threading.Thread] = []
    late: list[Any] = []
    waits = threading.Event()
    end = case.loop.async_(lambda watcher, revents: case.loop.stop())
    end.start()
    case.loop.prepare(tell).start()
    case.loop.callback = later
    case.loop.start()
    threads[0].join()
    case.loop.callback = None
    end.stop()
    with case.allows():
        # Before libev waits, the loop may be in Loop.callback still.
        assert str(late[0]) in (f"Loop.invoke: {ELSEWHERE}", "None")
