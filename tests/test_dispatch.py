"""How events become calls: batches, their order, exceptions, interrupts.

What libev would do without batches is what must happen with them; the order in each
test is libev's own (fed events of one priority come last-in first-out).
"""

import errno
import fcntl
import os
import re
import signal
import socket
import sys
import types
from typing import Any, Callable

import pytest

import mood_event
from mood_event import (
    EV_CUSTOM,
    EV_ERROR,
    EV_PREPARE,
    EV_READ,
    EV_WRITE,
    EVRUN_NOWAIT,
    Error,
    Loop,
    _dispatch,
    _interrupts,
    fatal,
)
from mood_event._ffi import lib

pytestmark = pytest.mark.core


class Batch:
    """Watchers that are pending on a loop, and what was called, by name.

    The first one named is the first to be called. A name's action, if it has one,
    is called before the name is noted as done.
    """

    def __init__(self, loop: Loop, *names: str) -> None:
        self.loop = loop
        self.order: list[str] = []
        self.actions: dict[str, Callable[[], object]] = {}
        self.watchers: dict[str, Any] = {}
        for name in reversed(names):
            self.add(name).feed(EV_CUSTOM)

    def add(self, name: str, priority: int = 0) -> Any:
        """A watcher that is not pending."""
        watcher = self.loop.prepare(self.called, name, priority)
        self.watchers[name] = watcher
        return watcher

    def called(self, watcher: Any, revents: int) -> None:
        self.order.append(watcher.data)
        action = self.actions.get(watcher.data)
        if action is not None:
            action()

    def __getitem__(self, name: str) -> Any:
        return self.watchers[name]


@pytest.fixture
def make_batch(loop: Loop) -> Callable[..., Batch]:
    def make(*names: str) -> Batch:
        return Batch(loop, *names)

    return make


def test_batch_is_delivered_in_libevs_order(make_batch: Any) -> None:
    batch = make_batch("a", "b", "c")
    batch.add("low", -1).feed(EV_CUSTOM)
    batch.add("high", 2).feed(EV_CUSTOM)
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["high", "a", "b", "c", "low"]


@pytest.mark.parametrize("method", ["stop", "clear"])
def test_watcher_taken_out_of_the_batch_is_not_called(
    make_batch: Any, method: str
) -> None:
    batch = make_batch("a", "b", "c")
    batch.actions["a"] = getattr(batch["b"], method)
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["a", "c"]


def test_clear_in_a_batch_returns_the_revents(make_batch: Any) -> None:
    batch = make_batch("a", "b")
    cleared: list[int] = []
    batch.actions["a"] = lambda: cleared.extend([batch["b"].clear() for _ in range(2)])
    batch.loop.start(EVRUN_NOWAIT)
    assert cleared == [EV_CUSTOM, 0]


def test_timer_reset_in_a_batch_is_not_called(loop: Loop) -> None:
    order: list[str] = []
    timers = [
        loop.timer(0.0, 1000.0, lambda watcher, revents: order.append(watcher.data))
        for _ in range(2)
    ]

    def reset(watcher: Any, revents: int) -> None:
        order.append("reset")
        timers[0].reset()
        timers[1].stop()

    resetter = loop.prepare(reset, None, 1)
    for timer in timers:
        timer.start()
        timer.feed(EV_CUSTOM)
    resetter.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert order == ["reset"]
    assert [timer.active for timer in timers] == [True, False]


def test_periodic_reset_in_a_batch_is_not_called(loop: Loop, events: Any) -> None:
    seen, callback = events
    periodic = loop.periodic(0.0, 1000.0, callback)
    periodic.start()
    resetter = loop.prepare(lambda watcher, revents: periodic.reset(), None, 1)
    periodic.feed(EV_CUSTOM)
    resetter.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert (seen, periodic.active) == ([], True)


def test_watcher_set_in_a_batch_is_called_for_its_event(
    loop: Loop, events: Any
) -> None:
    # As in libev: set does not clear what is pending.
    seen, callback = events
    timer = loop.timer(1.0, 0.0, callback)
    setter = loop.prepare(lambda watcher, revents: timer.set(2.0, 0.0), None, 1)
    timer.feed(EV_CUSTOM)
    setter.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(timer, EV_CUSTOM)]
    assert timer.remaining == 2.0


def test_stopped_and_fed_again_is_called_once(make_batch: Any) -> None:
    batch = make_batch("a", "b", "c")

    def action() -> None:
        batch["b"].stop()
        batch["b"].feed(EV_READ)

    batch.actions["a"] = action
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["a", "b", "c"]


def test_slot_freed_in_a_batch_and_taken_by_another(make_batch: Any) -> None:
    batch = make_batch("a", "b", "c")

    def action() -> None:
        batch["b"].stop()
        batch.add("new").start()

    batch.actions["a"] = action
    batch.loop.invoke()
    assert batch.order == ["a", "c"]
    assert batch["new"].active


@pytest.mark.parametrize(
    ("priority", "order"),
    [
        (2, ["a", "fed", "b", "c"]),
        # libev's last-in first-out within one priority.
        (0, ["a", "fed", "b", "c"]),
        (-1, ["a", "b", "c", "fed"]),
    ],
)
def test_event_fed_in_a_batch_comes_where_libev_has_it(
    make_batch: Any, priority: int, order: list[str]
) -> None:
    batch = make_batch("a", "b", "c")
    fed = batch.add("fed", priority)
    batch.actions["a"] = lambda: fed.feed(EV_CUSTOM)
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == order


def test_event_fed_to_what_is_in_the_batch_is_added(loop: Loop) -> None:
    seen: list[int] = []
    second = loop.prepare(lambda watcher, revents: seen.append(revents))
    first = loop.prepare(lambda watcher, revents: second.feed(EV_READ))
    second.feed(EV_CUSTOM)
    first.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert seen == [EV_CUSTOM | EV_READ]


def test_feed_fd_event_in_a_batch_runs_before_lower_priorities(
    loop: Loop, pipe: Any
) -> None:
    order: list[str] = []
    io = loop.io(pipe.reader, EV_READ, lambda watcher, revents: order.append("io"))
    io.start()
    low = loop.prepare(lambda watcher, revents: order.append("low"), None, -1)
    high = loop.prepare(
        lambda watcher, revents: loop.feed_fd_event(pipe.reader, EV_READ), None, 1
    )
    low.feed(EV_CUSTOM)
    high.feed(EV_CUSTOM)
    loop.invoke()
    assert order == ["io", "low"]


@pytest.mark.parametrize("nested", ["start", "invoke"])
def test_rest_of_the_batch_is_delivered_in_a_nested_run(
    loop: Loop, make_batch: Any, nested: str
) -> None:
    batch = make_batch("a", "b", "c")

    def action() -> None:
        batch.order.append("<")
        loop.start(EVRUN_NOWAIT) if nested == "start" else loop.invoke()
        batch.order.append(">")

    batch.actions["a"] = action
    loop.start(EVRUN_NOWAIT)
    assert batch.order == ["a", "<", "b", "c", ">"]


def test_nested_runs_go_deep(loop: Loop, make_batch: Any) -> None:
    names = [str(number) for number in range(40)]
    batch = make_batch(*names)
    depths: list[int] = []

    def action() -> None:
        depths.append(loop.depth)
        loop.start(EVRUN_NOWAIT)

    batch.actions = dict.fromkeys(names, action)
    loop.start(EVRUN_NOWAIT)
    assert batch.order == names
    assert depths == list(range(1, 41))


def test_pending_is_true_in_the_middle_of_a_batch(make_batch: Any) -> None:
    batch = make_batch("a", "b", "c")
    states: list[Any] = []

    def state() -> None:
        states.append(([batch[name].pending for name in "abc"], batch.loop.pending))

    batch.actions = dict.fromkeys("abc", state)
    states.append(([batch[name].pending for name in "abc"], batch.loop.pending))
    batch.loop.start(EVRUN_NOWAIT)
    assert states == [
        ([True, True, True], 3),
        ([False, True, True], 2),
        ([False, False, True], 1),
        ([False, False, False], 0),
    ]


def test_pending_is_exact_after_stop_and_clear_in_a_batch(make_batch: Any) -> None:
    batch = make_batch("a", "b", "c", "d")
    counts: list[int] = []

    def action() -> None:
        counts.append(batch.loop.pending)
        batch["b"].stop()
        counts.append(batch.loop.pending)
        batch["c"].clear()
        counts.append(batch.loop.pending)

    batch.actions["a"] = action
    batch.loop.start(EVRUN_NOWAIT)
    assert counts == [3, 2, 1]
    assert batch.order == ["a", "d"]


def test_priority_is_refused_for_what_is_in_the_batch(make_batch: Any) -> None:
    batch = make_batch("a", "b")

    def action() -> None:
        with pytest.raises(Error, match="while it is pending"):
            batch["b"].priority = 1
        batch["a"].priority = 1

    batch.actions["a"] = action
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["a", "b"]
    assert batch["a"].priority == 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fatal_exception_keeps_the_rest_for_the_next_run(
    loop: Loop, make_batch: Any, count: int
) -> None:
    names = [str(number) for number in range(count)]
    batch = make_batch("bad", *names)

    @fatal
    def bad(watcher: Any, revents: int) -> None:
        raise LookupError("bad")

    batch["bad"].callback = bad
    with pytest.raises(LookupError, match="bad"):
        loop.start()
    assert batch.order == []
    assert loop.pending == count
    loop.start(EVRUN_NOWAIT)
    assert batch.order == names


def test_what_a_fatal_exception_leaves_is_invoked_by_invoke(
    loop: Loop, make_batch: Any
) -> None:
    batch = make_batch("a", "b")
    batch.actions["a"] = lambda: sys.exit(3)
    with pytest.raises(SystemExit):
        loop.invoke()
    loop.invoke()
    assert batch.order == ["a", "b"]


def test_plain_exception_is_reported_and_the_batch_goes_on(
    make_batch: Any, unraisable: list[Any]
) -> None:
    batch = make_batch("a", "b", "c")
    error = ValueError("b")

    def action() -> None:
        raise error

    batch.actions["b"] = action
    assert batch.loop.start(EVRUN_NOWAIT) is False
    assert batch.order == ["a", "b", "c"]
    [args] = unraisable
    assert (args.exc_type, args.exc_value, args.err_msg) == (ValueError, error, None)
    assert args.object == batch.called
    trace = args.exc_traceback
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names == ["called", "action"]


@pytest.mark.parametrize("kind", [MemoryError, RecursionError, StopIteration])
def test_other_plain_exceptions_are_reported(
    make_batch: Any, unraisable: list[Any], kind: type
) -> None:
    batch = make_batch("a", "b")

    def action() -> None:
        raise kind

    batch.actions["a"] = action
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["a", "b"]
    assert [args.exc_type for args in unraisable] == [kind]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_base_exceptions_are_raised_by_start(make_batch: Any, kind: type) -> None:
    batch = make_batch("a", "b")

    def action() -> None:
        raise kind

    batch.actions["a"] = action
    with pytest.raises(kind):
        batch.loop.start()
    assert batch.order == ["a"]


def test_callback_replaced_while_it_runs_fails_as_itself(
    loop: Loop, unraisable: list[Any]
) -> None:
    def second(watcher: Any, revents: int) -> None:
        raise AssertionError("not called")

    @fatal
    def first(watcher: Any, revents: int) -> None:
        watcher.callback = second
        raise LookupError

    loop.prepare(first).feed(EV_CUSTOM)
    with pytest.raises(LookupError):
        loop.start(EVRUN_NOWAIT)
    assert unraisable == []


def test_callback_with_wrong_arguments_is_reported_with_its_place(
    loop: Loop, unraisable: list[Any]
) -> None:
    def forgetful() -> None:
        raise AssertionError("not called")

    loop.prepare(forgetful).feed(EV_CUSTOM)
    # Of a builtin there is no place to tell.
    loop.prepare(len).feed(EV_CUSTOM)
    loop.call_soon_threadsafe(forgetful, 1)
    loop.start(EVRUN_NOWAIT)
    line = forgetful.__code__.co_firstlineno
    message = f"Exception ignored in the callback at {__file__}:{line}"
    assert {(args.exc_type, args.err_msg, args.object) for args in unraisable} == {
        (TypeError, message, forgetful),
        (TypeError, None, len),
    }
    assert len(unraisable) == 3


def test_callback_whose_place_cannot_be_told_is_reported_without(
    loop: Loop, unraisable: list[Any]
) -> None:
    class Strange:
        @property
        def __dict__(self) -> Any:
            raise LookupError

        def __call__(self) -> None:
            raise AssertionError("not called")

    loop.prepare(Strange()).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert [(args.exc_type, args.err_msg) for args in unraisable] == [(TypeError, None)]


def test_report_without_the_means_for_a_traceback_is_a_short_one(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError

    def callback(watcher: Any, revents: int) -> None:
        raise watcher.data

    def format_exception(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr("traceback.format_exception", format_exception)
    for exc in (ValueError("worse"), Mute()):
        loop.prepare(callback, exc).feed(EV_CUSTOM)
        loop.start(EVRUN_NOWAIT)
    line = callback.__code__.co_firstlineno + 1
    head = (
        f"Exception ignored in: {callback!r}\nTraceback (most recent call last):\n"
        f'  File "{__file__}", line {line}, in callback\n'
    )
    assert capsys.readouterr().err == (
        f"{head}ValueError: worse\n{head}Mute: <its message raises>\n"
    )


def test_exception_that_cffi_has_no_traceback_of_is_reported(
    unraisable: list[Any],
) -> None:
    exc = MemoryError()
    _dispatch._interrupted(MemoryError, exc, None)
    [args] = unraisable
    assert (args.exc_value, args.object) == (exc, _dispatch.mood_on_batch)


def test_first_of_two_fatal_exceptions_is_raised(
    loop: Loop, unraisable: list[Any]
) -> None:
    def scheduler(watcher: Any, now: float) -> float:
        raise KeyboardInterrupt(watcher.data)

    schedulers = [loop.scheduler(lambda w, now: now, None, n) for n in range(2)]
    for watcher in schedulers:
        watcher.start()
        watcher.scheduler = scheduler
    stopped = pytest.warns(RuntimeWarning, match="has been stopped")
    with stopped, pytest.raises(KeyboardInterrupt) as raised:
        loop.start()
    assert not any(watcher.active for watcher in schedulers)
    [reported] = unraisable
    assert {raised.value.args, reported.exc_value.args} == {(0,), (1,)}


def test_fatal_exception_of_a_nested_run_ends_the_outer_ones(
    loop: Loop, make_batch: Any, unraisable: list[Any]
) -> None:
    batch = make_batch("outer", "inner", "rest")

    @fatal
    def inner(watcher: Any, revents: int) -> None:
        raise LookupError("inner")

    batch["inner"].callback = inner
    batch.actions["outer"] = lambda: loop.start()
    with pytest.raises(LookupError, match="inner"):
        loop.start()
    assert (batch.order, unraisable, loop.depth) == (["outer"], [], 0)
    loop.start(EVRUN_NOWAIT)
    assert batch.order == ["outer", "rest"]


def test_fatal_exception_that_is_caught_ends_the_outer_run_all_the_same(
    loop: Loop, make_batch: Any
) -> None:
    batch = make_batch("outer", "inner", "rest")
    timer = loop.timer(1000.0, 0.0, batch.called)
    timer.start()

    @fatal
    def inner(watcher: Any, revents: int) -> None:
        raise LookupError("inner")

    def outer() -> None:
        with pytest.raises(LookupError):
            loop.start()

    batch["inner"].callback = inner
    batch.actions["outer"] = outer
    assert loop.start() is True
    assert batch.order == ["outer", "rest"]


# There are a few calls between one run and the next that is nested in it, and each of
# them can be the one that Python has no room for.
TOO_DEEP = """
import sys
from mood_event import EV_CUSTOM, EVRUN_NOWAIT, Loop, fatal

def deeper(calls, function):
    return deeper(calls - 1, function) if calls else function()

def tried(function, *args):
    try:
        function(*args)
    except RecursionError:
        pass

def run():
    if sys.argv[2] == "invoke":
        loop.invoke()
    else:
        loop.start(EVRUN_NOWAIT)

@fatal
def nest(*args):
    if deep:
        if sys.argv[1] == "call":
            loop.call_soon_threadsafe(nest)
        else:
            loop.idle(nest).feed(EV_CUSTOM)
        run()

for calls in range(16):
    deep = True
    with Loop() as loop:
        tried(deeper, calls, nest)
        deep = False
        for _ in range(5):
            tried(run)
        fired = []
        loop.idle(lambda watcher, revents: fired.append(revents)).feed(EV_CUSTOM)
        run()
        assert (fired, loop.pending, loop.depth) == ([EV_CUSTOM], 0, 0), calls
print("alive")
"""


@pytest.mark.parametrize("mode", [(), ("-X", "dev")], ids=["plain", "dev"])
@pytest.mark.parametrize("how", ["call", "idle"])
@pytest.mark.parametrize("method", ["start", "invoke"])
def test_loop_is_as_good_as_new_after_runs_that_nested_too_deep(
    run_script: Any, how: str, method: str, mode: "tuple[str, ...]"
) -> None:
    # What there is no room to keep is printed.
    result = run_script(TOO_DEEP, how, method, options=mode, check=False)
    assert (result.returncode, result.stdout) == (0, "alive\n"), result


@pytest.mark.parametrize("method", ["start", "invoke"])
def test_break_that_left_nothing_to_raise_is_mended_by_the_next_run(
    loop: Loop, make_batch: Any, method: str
) -> None:
    batch = make_batch("a")
    loop._queue.halt()
    loop.start(EVRUN_NOWAIT) if method == "start" else loop.invoke()
    assert (batch.order, loop.pending) == (["a"], 0)


def test_error_event_stops_the_watcher_and_raises(loop: Loop, events: Any) -> None:
    seen, callback = events
    watcher = loop.timer(1000.0, 0.0, callback)
    watcher.start()
    after = loop.prepare(callback, "after", -1)
    before = loop.prepare(callback, "before", 1)
    watcher.feed(EV_ERROR)
    after.feed(EV_CUSTOM)
    before.feed(EV_CUSTOM)
    with pytest.raises(Error, match="unspecified libev error"):
        loop.start()
    assert [w.data for w, _ in seen] == ["before"]
    assert not watcher.active
    assert not watcher.pending
    loop.start(EVRUN_NOWAIT)
    assert [w.data for w, _ in seen] == ["before", "after"]


def test_invoke_with_an_error_event_raises(loop: Loop, events: Any) -> None:
    seen, callback = events
    watcher = loop.timer(1000.0, 0.0, callback)
    watcher.start()
    with pytest.raises(Error, match="unspecified libev error"):
        watcher.invoke(EV_ERROR)
    assert (seen, watcher.active) == ([], False)


@pytest.mark.skipif(
    "mood_event._ffi.ffi.string(mood_event._ffi.lib.mood_libev_origin()) == b'system'",
    reason="the asserts of the system's libev abort on a closed descriptor",
)
def test_closed_descriptor_raises_oserror_from_start(loop: Loop, pipe: Any) -> None:
    # A high number, which nothing that the loop opens takes.
    fd = fcntl.fcntl(pipe.reader, fcntl.F_DUPFD, 500)
    io = loop.io(fd, EV_READ, lambda watcher, revents: None)
    io.start()
    os.close(fd)
    with pytest.raises(OSError, match=r"Io fd=\d+") as raised:
        loop.start()
    assert raised.value.errno == 9
    assert not io.active


def test_two_events_of_one_watcher_in_one_invocation_are_two_calls(loop: Loop) -> None:
    # The first is popped before libev's own watcher of its pipe queues the second.
    seen: list[int] = []
    watcher = loop.async_(lambda watcher, revents: seen.append(revents), None, 2)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    watcher.send()
    other = loop.prepare(lambda w, revents: watcher.feed(EV_CUSTOM))
    other.start()
    loop.start(EVRUN_NOWAIT)
    assert sum(seen) == mood_event.EV_ASYNC | EV_CUSTOM


def test_watcher_that_restarts_itself_in_its_callback_stays(loop: Loop) -> None:
    calls: list[int] = []

    def again(watcher: Any, revents: int) -> None:
        calls.append(revents)
        if len(calls) < 3:
            watcher.set(0.0, 0.0)
            watcher.start()

    loop.timer(0.0, 0.0, again).start()
    loop.start()
    assert len(calls) == 3


def test_handlers_of_python_run_in_the_middle_of_a_loop(loop: Loop) -> None:
    order: list[str] = []

    def handler(signum: int, frame: Any) -> None:
        order.append("handler")
        loop.prepare(lambda watcher, revents: order.append("fed"), None, 2).feed(
            EV_CUSTOM
        )
        stopped.stop()
        loop.stop()

    def kill(watcher: Any, revents: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        watcher.stop()

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        killer = loop.prepare(kill)
        stopped = loop.timer(1000.0, 0.0, lambda watcher, revents: None)
        killer.start()
        stopped.start()
        loop.start()
        loop.start(EVRUN_NOWAIT)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert order == ["handler", "fed"]


def test_prepare_with_fatal_exception_does_not_poll(loop: Loop) -> None:
    @fatal
    def bad(watcher: Any, revents: int) -> None:
        assert revents == EV_PREPARE
        raise LookupError

    watcher = loop.prepare(bad)
    watcher.start()
    iteration = loop.iteration
    with pytest.raises(LookupError):
        loop.start()
    assert loop.iteration == iteration


def test_read_and_write_of_one_descriptor_are_one_event(
    loop: Loop, events: Any
) -> None:
    seen, callback = events
    left, right = socket.socketpair()
    with left, right:
        right.send(b".")
        io = loop.io(left, EV_READ | EV_WRITE, callback)
        io.start()
        loop.start(EVRUN_NOWAIT)
        io.stop()
    assert seen == [(io, EV_READ | EV_WRITE)]


# -- Loop.exception_handler -----------------------------------------------------------


def fails(watcher: Any, revents: int) -> None:
    raise ZeroDivisionError(revents)


def test_exception_handler_is_called_in_place_of_the_hook(
    loop: Loop, unraisable: "list[Any]"
) -> None:
    assert loop.exception_handler is None
    seen: list[Any] = []
    loop.exception_handler = lambda *args: seen.append(args)
    loop.idle(fails).feed(EV_CUSTOM)
    loop.call_soon_threadsafe(fails, None, 3)
    loop.start(EVRUN_NOWAIT)
    assert {(args[0], str(args[1]), args[2]) for args in seen} == {
        (loop, str(EV_CUSTOM), fails),
        (loop, "3", fails),
    }
    assert (len(seen), unraisable) == (2, [])
    loop.exception_handler = None
    loop.idle(fails).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert (len(seen), len(unraisable)) == (2, 1)


def test_exception_handler_is_not_called_for_what_is_fatal(loop: Loop) -> None:
    loop.exception_handler = lambda *args: pytest.fail("called")
    loop.idle(fatal(lambda watcher, revents: 1 / 0)).feed(EV_CUSTOM)
    with pytest.raises(ZeroDivisionError):
        loop.start(EVRUN_NOWAIT)


def test_exception_that_the_handler_raises_is_reported_after_the_callbacks(
    loop: Loop, unraisable: "list[Any]"
) -> None:
    def handler(loop: Loop, exception: Exception, callback: Any) -> None:
        raise KeyError("handler")

    loop.exception_handler = handler
    loop.idle(fails).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert [(args.exc_type, args.object) for args in unraisable] == [
        (ZeroDivisionError, fails),
        (KeyError, handler),
    ]


def test_exception_that_the_handler_passes_on_is_reported_once(
    loop: Loop, unraisable: "list[Any]"
) -> None:
    def handler(loop: Loop, exception: Exception, callback: Any) -> None:
        raise exception

    loop.exception_handler = handler
    loop.idle(fails).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert [(args.exc_type, args.object) for args in unraisable] == [
        (ZeroDivisionError, fails)
    ]


def test_interrupt_of_the_exception_handler_ends_the_run(
    loop: Loop, unraisable: "list[Any]"
) -> None:
    def handler(loop: Loop, exception: Exception, callback: Any) -> None:
        raise KeyboardInterrupt

    loop.exception_handler = handler
    rest = loop.idle(lambda watcher, revents: None)
    loop.idle(fails, None, 1).feed(EV_CUSTOM)
    rest.feed(EV_CUSTOM)
    with pytest.raises(KeyboardInterrupt):
        loop.start(EVRUN_NOWAIT)
    assert (loop.pending, rest.pending, unraisable) == (1, True, [])


@pytest.mark.parametrize("bad", [3, "handler", [], 0.0])
def test_exception_handler_must_be_callable(loop: Loop, bad: Any) -> None:
    with pytest.raises(TypeError, match=r"^Loop: exception_handler must be callable"):
        loop.exception_handler = bad
    assert loop.exception_handler is None


# -- tracebacks, as the specification shows them -------------------------------------

REPORTED = """\
from mood_event import Loop, EV_TIMER, EV_SIGNAL
import re, sys

def mycallback(watcher, revents):
    if (revents & EV_TIMER):
        watcher.data += 1
        if watcher.data == 3:
            watcher.loop.stop()
        raise Exception("TEST")

loop = Loop()
timer = loop.timer(0, 0.001, mycallback, 0)
timer.start()
print(loop.start())
"""


def test_reported_exception_is_printed_as_cpython_prints_it(run_script: Any) -> None:
    result = run_script(REPORTED, check=False)
    assert (result.returncode, result.stdout) == (0, "True\n")
    one = (
        r"Exception ignored in: <function mycallback at 0x[0-9a-f]+>\n"
        r"Traceback \(most recent call last\):\n"
        r'  File "<string>", line 9, in mycallback\n'
        r"(?:    .*\n)*"
        r"Exception: TEST\n"
    )
    assert re.fullmatch(one * 3, result.stderr), result.stderr


def test_callback_with_wrong_arguments_is_printed_with_its_place(
    run_script: Any,
) -> None:
    source = REPORTED.replace("(watcher, revents)", "()").replace("0.001", "0")
    result = run_script(source, check=False)
    assert (result.returncode, result.stdout) == (0, "False\n")
    assert re.fullmatch(
        r"Exception ignored in the callback at <string>:4: "
        r"<function mycallback at 0x[0-9a-f]+>\n"
        r"TypeError: mycallback\(\) takes .*\n",
        result.stderr,
    ), result.stderr


FATAL = """\
from mood_event import Loop, fatal

@fatal
def mycallback(watcher, revents):
    raise Exception("TEST")

loop = Loop()
timer = loop.timer(0, 2, mycallback)
timer.start()
loop.start()
"""


def test_fatal_exception_has_the_traceback_of_the_callback(run_script: Any) -> None:
    result = run_script(FATAL, check=False)
    assert result.returncode == 1
    frames = [line for line in result.stderr.splitlines() if line.startswith("  File")]
    if sys.implementation.name == "cpython" and sys.version_info >= (3, 11):
        assert len(frames) == 2
    # Elsewhere `raise` leaves the frame of start itself in there.
    assert frames[0] == '  File "<string>", line 10, in <module>'
    assert frames[-1] == '  File "<string>", line 5, in mycallback'
    assert all("mood_event" in frame for frame in frames[1:-1])
    assert result.stderr.splitlines()[-1] == "Exception: TEST"


def test_report_survives_a_hook_that_raises(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def hook(args: Any) -> None:
        raise LookupError("hook")

    monkeypatch.setattr(sys, "unraisablehook", hook)

    class Callback:
        def __call__(self, watcher: Any, revents: int) -> None:
            raise ValueError("callback")

        def __repr__(self) -> str:
            raise OSError("repr")

    watcher = loop.prepare(Callback())
    watcher.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    err = capsys.readouterr().err
    assert "ValueError: callback" in err
    assert "LookupError: hook" in err
    assert err.count("Exception ignored in: <") == 2


def test_report_without_stderr_is_silent(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(sys, "stderr", None)
    watcher = loop.prepare(lambda: None)
    watcher.feed(EV_CUSTOM)
    assert loop.start(EVRUN_NOWAIT) is False


def test_report_to_a_stderr_that_fails_does_not_end_the_run(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, text: str) -> None:
            written.append(text)
            raise OSError(errno.ENOSPC, "stderr")

    written: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(sys, "stderr", Full())
    watcher = loop.prepare(lambda: None)
    watcher.feed(EV_CUSTOM)
    assert loop.start(EVRUN_NOWAIT) is False
    (text,) = written
    assert text.startswith("Exception ignored in")


# -- interrupts ---------------------------------------------------------------------

# Signals at random moments, from a thread; each round feeds every watcher once, and
# every event must be delivered exactly once, in this run or the next. Only where the
# interrupt was raised inside the callback, that callback's work may be missing.
INTERRUPTS = """
import os, random, signal, sys, threading, time
import mood_event as ev

count, seconds = int(sys.argv[1]), float(sys.argv[2])
# At 0, CPython before 3.11 has done the first instruction. Later that is RESUME, which
# does nothing; and PyPy is about to do it.
BEGUN = sys.implementation.name == "pypy" or sys.version_info >= (3, 11)
seen = []
armed = False
finished = False

def callback(watcher, revents):
    seen.append(watcher)

def handler(signum, frame):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

def interrupt():
    while not finished:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(random.random() * 0.0005)

signal.signal(signal.SIGINT, handler)
loop = ev.Loop()
watchers = [loop.prepare(callback) for _ in range(count)]
thread = threading.Thread(target=interrupt)
thread.start()
interrupts = 0
deadline = time.monotonic() + seconds
try:
    while time.monotonic() < deadline or interrupts < 20:
        seen.clear()
        for watcher in watchers:
            watcher.feed(ev.EV_CUSTOM)
        names = []
        try:
            armed = True
            loop.start(ev.EVRUN_NOWAIT)
            armed = False
        except KeyboardInterrupt as exc:
            interrupts += 1
            trace = exc.__traceback__
            while trace is not None:
                if trace.tb_lasti >= BEGUN:
                    names.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
        armed = False
        loop.start(ev.EVRUN_NOWAIT)
        missing = set(watchers) - set(seen)
        assert len(missing) <= ("callback" in names), ("lost", names)
        assert len(seen) == len(set(seen)), ("twice", names)
        assert loop.pending == 0
finally:
    finished = True
    thread.join()
loop.close()
print(interrupts)
"""


@pytest.mark.parametrize("count", [1, 2, 200])
def test_interrupts_lose_no_event_and_repeat_none(run_script: Any, count: int) -> None:
    result = run_script(INTERRUPTS, str(count), "1.0")
    assert int(result.stdout) >= 20


@pytest.mark.parametrize("count", [1, 3])
def test_event_whose_callback_was_not_reached_comes_again(
    make_batch: Any, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    # As if the interrupt had come between fetching the event and calling back.
    names = [str(number) for number in range(count)]
    batch = make_batch(*names)

    def interrupt() -> None:
        batch.actions.clear()
        raise KeyboardInterrupt

    batch.actions["0"] = interrupt
    monkeypatch.setattr(_dispatch, "_was_called", lambda trace: False)
    with pytest.raises(KeyboardInterrupt):
        batch.loop.start()
    assert batch.loop.pending == count
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["0", *names]


def test_batch_that_was_ended_by_what_an_interrupt_came_to_is_not_given_back(
    make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the callback, which has fed its watcher, had not been reached.
    batch = make_batch("first", "second", "third")

    def interrupt() -> None:
        batch.actions.clear()
        batch.watchers["first"].feed(EV_CUSTOM)
        raise KeyboardInterrupt

    batch.actions["first"] = interrupt
    monkeypatch.setattr(_dispatch, "_was_called", lambda trace: False)
    with pytest.raises(KeyboardInterrupt):
        batch.loop.start()
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["first", "first", "second", "third"]


def test_single_event_whose_callback_was_not_reached_comes_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def callback(watcher: Any, revents: int) -> None:
        seen.append(revents)
        if len(seen) == 1:
            raise KeyboardInterrupt

    watcher = loop.prepare(callback)
    watcher.start()
    monkeypatch.setattr(_dispatch, "_was_called", lambda trace: False)
    with pytest.raises(KeyboardInterrupt):
        loop.start(EVRUN_NOWAIT)
    assert watcher.pending
    loop.invoke()
    assert seen == [EV_PREPARE, EV_PREPARE]
    assert not watcher.pending


def trace_at(function: Any, at: int, callee: Any = None) -> Any:
    """What a traceback has, of a function that was interrupted."""
    frame = types.SimpleNamespace(f_code=function.__code__)
    return types.SimpleNamespace(tb_frame=frame, tb_lasti=at, tb_next=callee)


def handler(signum: int, frame: Any) -> None:
    """A handler of a signal."""


@pytest.mark.parametrize("noted_before", [False, True])
@pytest.mark.parametrize("function", [_dispatch.mood_on_batch, _dispatch.mood_on_event])
def test_where_an_interrupt_came_tells_what_was_called(
    monkeypatch: pytest.MonkeyPatch, function: Any, noted_before: bool
) -> None:
    monkeypatch.setattr(_interrupts, "_NOTED_BEFORE", noted_before)
    fetch, calls = _interrupts.window(function.__code__)
    call = calls[0]
    assert fetch < call
    was_called = _interrupts.was_called
    pypy = sys.implementation.name == "pypy"

    assert was_called(trace_at(function, calls.stop))
    assert not was_called(trace_at(function, call - 2))
    # CPython notes what it has done, PyPy what it is about to do.
    assert was_called(trace_at(function, call)) is not noted_before
    assert was_called(trace_at(function, fetch)) is noted_before
    for at in (call, calls.stop - 2):
        assert not was_called(trace_at(function, at, trace_at(handler, -2)))
        begun = was_called(trace_at(function, at, trace_at(handler, 0)))
        assert begun is (sys.version_info < (3, 11) and not pypy)
    code = handler.__code__.co_code
    last = len(code) - 2
    assert was_called(trace_at(function, call, trace_at(handler, last)))
    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        called = was_called(trace_at(function, call, trace_at(handler, last)))
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert called is not noted_before


@pytest.mark.parametrize("revents", [EV_ERROR, EV_CUSTOM | EV_ERROR])
def test_error_event_is_pending_until_what_came_before_is_delivered(
    make_batch: Any, revents: int
) -> None:
    batch = make_batch("first")
    failing = batch.add("failing", -1)
    failing.feed(revents)
    pending: list[tuple[bool, int]] = []
    batch.actions["first"] = lambda: pending.append(
        (failing.pending, batch.loop.pending)
    )
    with pytest.raises(Error, match="Prepare"):
        batch.loop.start(EVRUN_NOWAIT)
    assert pending == [(True, 1)]
    assert batch.order == ["first"]


@pytest.mark.parametrize("method", ["stop", "clear"])
def test_error_event_that_a_callback_takes_away_is_none(
    make_batch: Any, method: str
) -> None:
    batch = make_batch("first", "failing", "last")
    batch["failing"].feed(EV_ERROR)

    def take_away() -> None:
        getattr(batch.watchers.pop("failing"), method)()

    batch.actions["first"] = take_away
    batch.loop.start(EVRUN_NOWAIT)
    assert batch.order == ["first", "last"]


def test_slot_that_an_interrupt_left_behind_is_freed(loop: Loop) -> None:
    queue = loop._queue
    watchers = [loop.prepare(lambda watcher, revents: None) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    # Interrupted in release, and before it.
    for watcher in watchers[:2]:
        assert lib.mood_stop(watcher._ptr) == lib.MOOD_LET_GO
    watchers[0]._slot = 0
    queue.sweep()
    assert [watcher in queue.held for watcher in watchers] == [False, False, True]
    for watcher in watchers:
        watcher.start()
    assert all(watcher in queue.held for watcher in watchers)


def test_error_without_a_traceback_is_reported(unraisable: list[Any]) -> None:
    error = TypeError("from cffi")
    _dispatch._interrupted(TypeError, error, None)
    assert [args.exc_value for args in unraisable] == [error]


def test_calls_that_a_nested_run_has_made_are_made_once(
    loop: Loop, unraisable: list[Any]
) -> None:
    made: list[str] = []

    def first() -> None:
        made.append("first")
        loop.call_soon_threadsafe(made.append, "third")
        loop.start(EVRUN_NOWAIT)
        made.append("after")

    loop.call_soon_threadsafe(first)
    loop.call_soon_threadsafe(made.append, "second")
    loop.start(EVRUN_NOWAIT)
    assert made == ["first", "second", "third", "after"]
    assert unraisable == []
