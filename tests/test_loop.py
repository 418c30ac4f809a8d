"""The loop: what it is made of, running it, its time and references, and its end.

What it does with events in a batch is in test_dispatch.py, threads and signals while it
blocks in test_threads.py, forks in test_fork.py.
"""

import copy
import errno
import gc
import inspect
import os
import pickle
import platform
import re
import signal
import threading
import time as _time
import warnings
import weakref
from pathlib import Path

import pytest
from test_watchers import KINDS, Place, collected, embeddable_loop, held, ignore

import mood_event
from mood_event import (
    EV_ASYNC,
    EV_CLEANUP,
    EV_CUSTOM,
    EV_FORK,
    EV_READ,
    EV_SIGNAL,
    EV_TIMER,
    EV_WRITE,
    EVBACKEND_ALL,
    EVBACKEND_EPOLL,
    EVBACKEND_IOURING,
    EVBACKEND_LINUXAIO,
    EVBACKEND_MASK,
    EVBACKEND_POLL,
    EVBACKEND_SELECT,
    EVBREAK_ALL,
    EVBREAK_ONE,
    EVFLAG_NOENV,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
    Error,
    Loop,
    _dispatch,
    fatal,
)
from mood_event._ffi import ffi, lib

# Every method, with arguments that are good.
METHODS = {
    "start": (EVRUN_NOWAIT,),
    "stop": (),
    "invoke": (),
    "reset": (),
    "now": (),
    "update": (),
    "suspend": (),
    "resume": (),
    "ref": (),
    "unref": (),
    "verify": (),
    "feed_fd_event": (0, EV_READ),
    "feed_signal_event": (signal.SIGUSR1,),
    "once": (None, 0, 1.0, ignore),
    "call_soon_threadsafe": (ignore,),
    "watchers": (),
}
ATTRIBUTES = (
    "callback",
    "data",
    "io_interval",
    "timeout_interval",
    "slow_callback",
    "exception_handler",
    "default",
    "backend",
    "pending",
    "iteration",
    "depth",
)
READ_ONLY = ("default", "backend", "pending", "iteration", "depth")
INTERVALS = ("io_interval", "timeout_interval")

BAD_INTERVALS = [
    (-1.0, ValueError),
    (-1e-9, ValueError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    (10**400, ValueError),
    ("1", TypeError),
    (None, TypeError),
]


def wait_until(loop, time):
    """Go on until the loop's time is later than `time`."""
    while loop.now() <= time:
        loop.update()


def collect_all():
    """PyPy may need more than one collection."""
    for _ in range(3):
        gc.collect()


class Calls:
    """Callbacks that note that they were called."""

    def __init__(self):
        self.names = []

    def __call__(self, name, then=None):
        def callback(*arguments):
            self.names.append(name)
            if then is not None:
                then()

        return callback


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def place(pipe, quiet_file):
    """What watchers can watch."""
    with embeddable_loop() as other:
        yield Place(pipe.reader, quiet_file, other)


# -- making ---------------------------------------------------------------------------


def test_constructor_has_the_specifications_defaults(loop):
    assert (loop.callback, loop.data) == (None, None)
    assert (loop.io_interval, loop.timeout_interval) == (0.0, 0.0)
    assert (loop.default, loop.pending, loop.iteration, loop.depth) == (False, 0, 0, 0)
    assert loop.backend & mood_event.recommended_backends()


def test_constructor_takes_arguments_by_position():
    data = object()
    with Loop(EVBACKEND_SELECT, ignore, data, 0.25, 0.5) as loop:
        assert (loop.backend, loop.callback, loop.data) == (
            EVBACKEND_SELECT,
            ignore,
            data,
        )
        assert (loop.io_interval, loop.timeout_interval) == (0.25, 0.5)


def test_constructor_takes_arguments_by_keyword():
    with Loop(
        timeout_interval=1, io_interval=0, data=5, callback=ignore, flags=EVBACKEND_POLL
    ) as loop:
        assert (loop.backend, loop.callback, loop.data) == (EVBACKEND_POLL, ignore, 5)
        assert (loop.io_interval, loop.timeout_interval) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"flags": "0"}, TypeError),
        ({"flags": None}, TypeError),
        ({"flags": 1.0}, TypeError),
        ({"flags": -1}, OverflowError),
        ({"flags": 2**32}, OverflowError),
        ({"callback": 5}, TypeError),
        ({"callback": "callback"}, TypeError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_constructor_refuses_bad_arguments(arguments, error):
    with pytest.raises(error):
        Loop(**arguments)


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize(("bad", "error"), BAD_INTERVALS)
def test_constructor_refuses_bad_intervals(name, bad, error):
    with pytest.raises(error, match=name):
        Loop(**{name: bad})


def test_constructor_refuses_a_sixth_argument():
    with pytest.raises(TypeError):
        Loop(0, None, None, 0.0, 0.0, 0)


def test_constructor_refuses_backends_that_are_not_there():
    missing = EVBACKEND_ALL & ~mood_event.supported_backends()
    with pytest.raises(Error) as caught:
        Loop(missing)
    assert str(caught.value) == "could not create loop, bad 'flags'?"
    with Loop(missing | EVBACKEND_SELECT) as loop:
        assert loop.backend == EVBACKEND_SELECT


@pytest.mark.parametrize("flags", [EVBACKEND_ALL, EVBACKEND_MASK])
def test_constructor_with_all_backends_takes_none_that_is_experimental(flags):
    with Loop(flags) as loop:
        assert loop.backend
        assert not loop.backend & (EVBACKEND_LINUXAIO | EVBACKEND_IOURING)


def test_constructor_called_again_is_an_error(loop):
    loop.data = "kept"
    with pytest.raises(Error, match="init"):
        loop.__init__(data="other")
    assert loop.data == "kept"
    assert loop.start() is False


def test_constructor_reads_libev_flags(monkeypatch):
    monkeypatch.setenv("LIBEV_FLAGS", str(EVBACKEND_SELECT))
    with Loop(EVBACKEND_POLL) as loop:
        assert loop.backend == EVBACKEND_SELECT
    with Loop(EVBACKEND_POLL | EVFLAG_NOENV) as loop:
        assert loop.backend == EVBACKEND_POLL
    monkeypatch.delenv("LIBEV_FLAGS")
    with Loop(EVBACKEND_POLL) as loop:
        assert loop.backend == EVBACKEND_POLL


def test_constructor_raises_what_the_system_refuses(monkeypatch):
    class Refusing:
        """The compiled functions, but that the system has no loop to give."""

        def __getattr__(self, name):
            return getattr(lib, name)

        @staticmethod
        def mood_loop_open(*arguments):
            return -errno.EMFILE

    lib = _dispatch.lib
    monkeypatch.setattr(_dispatch, "lib", Refusing())
    with pytest.raises(OSError, match="Loop: Too many open files") as caught:
        Loop()
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize(
    "flags",
    [
        mood_event.EVFLAG_AUTO,
        mood_event.EVFLAG_NOENV,
        mood_event.EVFLAG_FORKCHECK,
        mood_event.EVFLAG_NOINOTIFY,
        mood_event.EVFLAG_SIGNALFD,
        mood_event.EVFLAG_NOSIGMASK,
        mood_event.EVFLAG_NOTIMERFD,
    ],
)
def test_constructor_takes_every_flag(flags, events):
    seen, callback = events
    with Loop(flags) as loop:
        timer = loop.timer(0.0, 0.0, callback)
        timer.start()
        assert loop.start() is False
        assert seen == [(timer, EV_TIMER)]


# -- start ----------------------------------------------------------------------------


@pytest.mark.skipif(
    not mood_event.recommended_backends() & mood_event.EVBACKEND_EPOLL,
    reason="epoll is Linux's",
)
def test_start_raises_what_libev_gives_up_on(run_script):
    # libev's own answer to a system call that fails is to abort.
    run_script(
        """
        import errno, os
        from mood_event import EVBACKEND_EPOLL, EVRUN_NOWAIT, Loop

        loop = Loop(EVBACKEND_EPOLL)
        # What it opens later must not get the number.
        loop.start(EVRUN_NOWAIT)
        (fd,) = [
            fd
            for fd in range(100)
            if os.path.exists(f"/proc/self/fd/{fd}")
            and "eventpoll" in os.readlink(f"/proc/self/fd/{fd}")
        ]
        os.close(fd)
        for _ in range(2):
            try:
                loop.start(EVRUN_NOWAIT)
            except OSError as error:
                assert error.errno == errno.EBADF, error
                assert "Loop.start" in str(error)
            else:
                raise AssertionError
        assert loop.depth == 0
        loop.close()
        """
    )


@pytest.mark.parametrize("flags", [0, EVRUN_NOWAIT, EVRUN_ONCE])
def test_start_without_watchers_returns_false(loop, flags):
    assert loop.start(flags) is False
    assert loop.start(flags) is False


def test_start_returns_true_while_there_are_active_watchers(loop):
    timer = loop.timer(1e4, 0.0, ignore)
    timer.start()
    assert loop.start(EVRUN_NOWAIT) is True
    idle = loop.idle(lambda watcher, revents: loop.stop())
    idle.start()
    assert loop.start() is True
    timer.stop()
    idle.stop()
    assert loop.start() is False


def test_start_goes_on_until_no_watcher_is_active(loop, calls):
    def count(watcher, revents):
        calls.names.append(revents)
        if len(calls.names) == 5:
            watcher.stop()

    loop.timer(0.0, 1e-4, count).start()
    assert loop.start() is False
    assert calls.names == [EV_TIMER] * 5


def test_start_nowait_runs_one_iteration(loop, pipe, events):
    seen, callback = events
    io = loop.io(pipe.reader, EV_READ, callback)
    io.start()
    assert loop.start(EVRUN_NOWAIT) is True
    assert seen == []
    os.write(pipe.writer, b"x")
    before = loop.iteration
    assert loop.start(EVRUN_NOWAIT) is True
    assert (seen, loop.iteration) == ([(io, EV_READ)], before + 1)


def test_start_nowait_delivers_what_is_outstanding(loop, events):
    seen, callback = events
    watcher = loop.fork(callback)
    watcher.feed(EV_CUSTOM)
    assert loop.start(EVRUN_NOWAIT) is False
    assert seen == [(watcher, EV_CUSTOM)]


def test_start_once_waits_for_an_event(loop, events):
    seen, callback = events
    timer = loop.timer(0.02, 0.02, callback)
    timer.start()
    before = loop.now()
    # It may return for an event of libev's own.
    while not seen:
        assert loop.start(EVRUN_ONCE) is True
    assert seen == [(timer, EV_TIMER)]
    assert loop.now() >= before + 0.02


# What /proc calls the system call that glibc's epoll_wait is.
EPOLL_WAIT = {"x86_64": "232", "aarch64": "22"}.get(platform.machine())


@pytest.mark.skipif(
    EPOLL_WAIT is None or not os.path.exists("/proc/self/syscall"),
    reason="nobody says here what a thread waits in",
)
@pytest.mark.skipif(
    ffi.string(lib.mood_libev_origin()) != b"bundled",
    reason="libev itself waits for a minute at most",
)
@pytest.mark.parametrize(
    ("method", "arguments", "has_end"),
    [
        ("prepare", (ignore,), False),
        ("timer", (1e6, 0.0, ignore), True),
        # It is to learn of it if somebody sets the clock.
        ("periodic", (0.0, 1e6, ignore), True),
    ],
)
def test_wait_has_an_end_where_there_are_times(
    pipe, in_thread, method, arguments, has_end
):
    with Loop(EVBACKEND_EPOLL) as loop:
        loop.io(pipe.reader, EV_READ, ignore).start()
        getattr(loop, method)(*arguments).start()
        threads = []

        def run():
            threads.append(threading.get_native_id())
            loop.start()

        thread = in_thread(run)
        while True:
            call = threads and Path(f"/proc/self/task/{threads[0]}/syscall").read_text()
            if call and call.startswith(f"{EPOLL_WAIT} "):
                milliseconds = int(call.split()[4], 16) & 0xFFFFFFFF
                # 0: it has not begun to wait yet.
                if milliseconds:
                    break
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    assert (milliseconds < 0x80000000) is has_end


def test_start_once_returns_after_one_iteration(loop, pipe, events):
    seen, callback = events
    os.write(pipe.writer, b"x")
    io = loop.io(pipe.reader, EV_READ, callback)
    io.start()
    for count in (1, 2, 3):
        before = loop.iteration
        assert loop.start(EVRUN_ONCE) is True
        assert (len(seen), loop.iteration) == (count, before + 1)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("0", TypeError),
        (None, TypeError),
        (1.0, TypeError),
        (4, ValueError),
        (-1, ValueError),
        (2**31, OverflowError),
    ],
)
@pytest.mark.parametrize("method", ["start", "stop"])
def test_start_and_stop_refuse_bad_arguments(loop, method, bad, error):
    with pytest.raises(error, match=f"Loop.{method}"):
        getattr(loop, method)(bad)


@pytest.mark.parametrize(("method", "name"), [("start", "flags"), ("stop", "how")])
def test_start_and_stop_take_positional_arguments_only(loop, method, name):
    with pytest.raises(TypeError):
        getattr(loop, method)(**{name: 1})
    with pytest.raises(TypeError):
        getattr(loop, method)(1, 1)


# -- stop -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [0, 3])
def test_stop_refuses_what_is_neither_one_nor_all(loop, how):
    with pytest.raises(ValueError, match="EVBREAK_ONE or EVBREAK_ALL"):
        loop.stop(how)


@pytest.mark.parametrize("arguments", [(), (EVBREAK_ONE,), (EVBREAK_ALL,)])
def test_stop_ends_the_run(loop, calls, arguments):
    def stop(watcher, revents):
        calls.names.append(loop.depth)
        assert loop.stop(*arguments) is None

    loop.idle(stop).start()
    assert loop.start() is True
    assert calls.names == [1]


@pytest.mark.parametrize("how", [EVBREAK_ONE, EVBREAK_ALL])
def test_stop_outside_of_a_run_is_forgotten(loop, calls, how):
    def count(watcher, revents):
        calls.names.append(how)
        if len(calls.names) == 3:
            watcher.stop()

    loop.stop(how)
    loop.idle(count).start()
    assert loop.start() is False
    assert calls.names == [how] * 3


def test_stop_waits_for_the_outstanding_events(loop, calls):
    for name in "abc":
        loop.fork(calls(name, loop.stop)).feed(EV_CUSTOM)
    loop.idle(ignore).start()
    assert loop.start() is True
    assert sorted(calls.names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (EVBREAK_ONE, ["outer 1", "inner 2", "outer 1", "end"]),
        (EVBREAK_ALL, ["outer 1", "inner 2"]),
    ],
)
def test_stop_ends_the_innermost_run_or_all(loop, calls, how, expected):
    def inner(watcher, revents):
        calls.names.append(f"inner {loop.depth}")
        watcher.stop()
        loop.stop(how)

    def end(watcher, revents):
        calls.names.append("end")
        loop.stop()

    def outer(watcher, revents):
        calls.names.append(f"outer {loop.depth}")
        watcher.stop()
        loop.idle(inner).start()
        assert loop.start() is True
        if how == EVBREAK_ONE:
            calls.names.append(f"outer {loop.depth}")
        loop.idle(end).start()

    loop.timer(1e4, 0.0, ignore).start()
    loop.idle(outer).start()
    assert loop.start() is True
    assert (calls.names, loop.depth) == (expected, 0)


def test_nested_run_delivers_what_the_outer_one_has_pending(loop, calls):
    def outer(watcher, revents):
        calls.names.append("outer")
        loop.start(EVRUN_NOWAIT)
        calls.names.append("back")

    loop.fork(outer, None, 2).feed(EV_CUSTOM)
    loop.fork(calls("pending")).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert calls.names == ["outer", "pending", "back"]


def test_depth_counts_nested_runs(loop, calls):
    def nest(watcher, revents):
        calls.names.append(loop.depth)
        if loop.depth < 5:
            watcher.feed(EV_CUSTOM)
            loop.start(EVRUN_NOWAIT)
        calls.names.append(loop.depth)

    assert not loop.depth
    loop.fork(nest).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert calls.names == [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]
    assert loop.depth == 0


# -- invoke and callback --------------------------------------------------------------


def test_invoke_delivers_what_is_pending(loop, events):
    seen, callback = events
    assert loop.invoke() is None
    watcher = loop.fork(callback)
    watcher.feed(EV_CUSTOM)
    assert loop.invoke() is None
    assert (seen, watcher.pending, loop.pending) == ([(watcher, EV_CUSTOM)], False, 0)
    loop.invoke()
    assert len(seen) == 1


def test_invoke_reports_a_plain_exception(loop, unraisable, calls):
    def fail(watcher, revents):
        raise ZeroDivisionError

    loop.fork(fail).feed(EV_CUSTOM)
    loop.fork(calls("other")).feed(EV_CUSTOM)
    assert loop.invoke() is None
    assert [(r.exc_type, r.object) for r in unraisable] == [(ZeroDivisionError, fail)]
    assert calls.names == ["other"]


def test_invoke_raises_what_is_fatal_and_breaks_the_run(loop, calls):
    @fatal
    def fail(watcher, revents):
        raise ZeroDivisionError

    def outer(watcher, revents):
        calls.names.append(loop.depth)
        if len(calls.names) == 3:
            loop.stop()
        loop.fork(fail).feed(EV_CUSTOM)
        with pytest.raises(ZeroDivisionError):
            loop.invoke()

    loop.idle(outer).start()
    assert loop.start() is True
    assert calls.names == [1]


def test_callback_is_called_in_place_of_invoking(loop, events):
    seen, callback = events
    loops = []
    loop.callback = loops.append
    assert loop.callback == loops.append
    watcher = loop.fork(callback)
    watcher.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert (seen, watcher.pending, loop.pending) == ([], True, 1)
    assert set(map(id, loops)) == {id(loop)}
    loop.callback = Loop.invoke
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM)]


def test_callback_is_called_at_every_point_of_invocation(loop):
    loops = []
    loop.callback = loops.append
    loop.start(EVRUN_NOWAIT)
    # Before the first iteration, and after looking for events: with nothing pending.
    assert loops == [loop] * 2
    loop.prepare(ignore).start()
    loop.start(EVRUN_NOWAIT)
    # And once more before looking for events.
    assert loops == [loop] * 5


def test_callback_none_is_the_default_again(loop, events):
    seen, callback = events
    loop.callback = ignore
    loop.callback = None
    assert loop.callback is None
    watcher = loop.timer(0.0, 0.0, callback)
    watcher.start()
    assert loop.start() is False
    assert seen == [(watcher, EV_TIMER)]


@pytest.mark.parametrize("bad", [5, "callback", object()])
def test_callback_must_be_callable_or_none(loop, bad):
    loop.callback = repr
    with pytest.raises(TypeError, match="callback must be callable or None"):
        loop.callback = bad
    assert loop.callback is repr


@pytest.mark.parametrize(
    "exception", [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_callback_that_raises_ends_the_run(loop, unraisable, events, exception):
    seen, callback = events

    def fail(loop):
        loop.callback = None
        raise exception("raised")

    loop.callback = fail
    watcher = loop.fork(callback)
    watcher.feed(EV_CUSTOM)
    with pytest.raises(exception, match="raised") as caught:
        loop.start()
    assert caught.traceback[-1].name == "fail"
    assert (unraisable, seen, loop.depth) == ([], [], 0)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM)]


def test_callback_may_invoke_in_another_thread(loop, in_thread, events):
    seen, _ = events

    def elsewhere(loop):
        if loop.pending:
            in_thread(loop.invoke).join()

    def callback(watcher, revents):
        seen.append((threading.get_ident() != main, loop.depth))
        watcher.stop()

    main = threading.get_ident()
    loop.callback = elsewhere
    loop.timer(0.0, 1e-4, callback).start()
    loop.timer(0.0, 1e-4, callback).start()
    assert loop.start() is False
    assert seen == [(True, 1)] * 2


# -- time -----------------------------------------------------------------------------


def test_now_is_the_time_of_the_last_update(loop):
    before = mood_event.time()
    loop.update()
    now = loop.now()
    # The two clocks differ by a little.
    assert before - 0.01 <= now <= mood_event.time() + 0.01
    deadline = _time.monotonic() + 0.002
    while _time.monotonic() <= deadline:
        assert loop.now() == now
    assert loop.update() is None
    assert loop.now() >= now + 0.002 - 1e-6


def test_now_stays_the_same_during_callbacks(loop, calls):
    def callback(watcher, revents):
        calls.names.append(loop.now())
        deadline = _time.monotonic() + 0.001
        while _time.monotonic() <= deadline:
            pass

    for _ in range(3):
        loop.fork(callback).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert len(calls.names) == 3
    assert len(set(calls.names)) == 1


def test_suspend_delays_timers_by_the_time_it_lasts(loop):
    timer = loop.timer(10.0, 0.0, ignore)
    timer.start()
    assert loop.suspend() is None
    remaining, before = timer.remaining, _time.monotonic()
    while _time.monotonic() <= before + 0.02:
        pass
    assert loop.resume() is None
    assert timer.remaining == pytest.approx(remaining, abs=1e-6)
    before = _time.monotonic()
    while _time.monotonic() <= before + 0.02:
        pass
    loop.update()
    assert timer.remaining <= remaining - 0.02 + 1e-6


def test_suspend_makes_periodics_lose_what_they_miss(loop, events):
    seen, callback = events
    periodic = loop.periodic((loop.now() + 0.02) % 3600, 3600.0, callback)
    periodic.start()
    at = periodic.at
    loop.suspend()
    while mood_event.time() <= at + 0.01:
        pass
    loop.resume()
    assert loop.now() > at
    assert periodic.at == pytest.approx(at + 3600, abs=1e-3)
    loop.start(EVRUN_NOWAIT)
    assert seen == []


def test_suspend_twice_and_resume_alone_are_errors(loop):
    with pytest.raises(Error, match="not suspended"):
        loop.resume()
    loop.suspend()
    with pytest.raises(Error, match="suspended already"):
        loop.suspend()
    loop.resume()
    with pytest.raises(Error, match="not suspended"):
        loop.resume()
    loop.suspend()
    loop.resume()
    assert loop.start() is False


def test_reset_calls_fork_watchers_without_a_fork(loop, events):
    seen, callback = events
    watcher = loop.fork(callback)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    assert loop.reset() is None
    loop.start(EVRUN_NOWAIT)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_FORK)]


def test_reset_leaves_watchers_working(loop, pipe, events):
    seen, callback = events
    io = loop.io(pipe.reader, EV_READ, callback)
    io.start()
    loop.start(EVRUN_NOWAIT)
    loop.reset()
    os.write(pipe.writer, b"x")
    loop.start(EVRUN_NOWAIT)
    assert seen == [(io, EV_READ)]


# -- intervals ------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTERVALS)
def test_interval_can_be_set(loop, name):
    for value in (0.5, 0, True, 1e9, 1e300, 0.0):
        setattr(loop, name, value)
        assert getattr(loop, name) == value
        assert type(getattr(loop, name)) is float
        assert loop.start(EVRUN_NOWAIT) is False


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize(("bad", "error"), BAD_INTERVALS)
def test_interval_refuses_bad_values(loop, name, bad, error):
    setattr(loop, name, 0.25)
    with pytest.raises(error, match=name):
        setattr(loop, name, bad)
    assert getattr(loop, name) == 0.25


def test_io_interval_spaces_out_the_looks_for_events(loop, pipe, events):
    seen, callback = events
    os.write(pipe.writer, b"x")
    loop.io(pipe.reader, EV_READ, callback).start()
    loop.io_interval = 0.02
    loop.start(EVRUN_ONCE)
    before = _time.monotonic()
    for _ in range(3):
        loop.start(EVRUN_ONCE)
    assert _time.monotonic() - before >= 0.04
    assert seen


def test_timeout_interval_delays_timers(loop, events):
    seen, callback = events
    loop.timeout_interval = 0.05
    loop.timer(0.001, 0.0, callback).start()
    before = _time.monotonic()
    assert loop.start() is False
    assert _time.monotonic() - before >= 0.049
    assert len(seen) == 1


# -- references -----------------------------------------------------------------------


def test_unref_lets_the_loop_end_despite_a_watcher(loop):
    timer = loop.timer(1e4, 0.0, ignore)
    timer.start()
    assert loop.unref() is None
    assert loop.start() is False
    assert timer.active
    assert loop.ref() is None
    assert loop.start(EVRUN_NOWAIT) is True
    timer.stop()
    assert loop.start() is False


def test_ref_keeps_the_loop_without_watchers(loop):
    loop.ref()
    loop.ref()
    assert loop.start(EVRUN_NOWAIT) is True
    loop.unref()
    assert loop.start(EVRUN_NOWAIT) is True
    loop.unref()
    assert loop.start() is False


def test_unref_of_no_reference_is_an_error(loop):
    def refused():
        with pytest.raises(Error, match="reference"):
            loop.unref()

    refused()
    watchers = [loop.timer(1e4, 0.0, ignore) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for _ in watchers:
        loop.unref()
    refused()
    for _ in watchers:
        loop.ref()
    for watcher in watchers:
        watcher.stop()
    refused()
    assert loop.start() is False


@pytest.mark.parametrize("count", [1, 2, 5])
def test_unref_without_ref_before_stop_does_not_count_for_other_watchers(
    loop, events, count
):
    seen, callback = events
    watchers = [loop.timer(1e4, 0.0, ignore) for _ in range(count)]
    for watcher in watchers:
        watcher.start()
        loop.unref()
    for watcher in watchers:
        watcher.stop()
    loop.verify()
    assert loop.start() is False
    timer = loop.timer(0.001, 0.0, callback)
    timer.start()
    assert loop.start() is False
    assert seen == [(timer, EV_TIMER)]
    # Too late, and without effect: these are not one too many.
    for _ in watchers:
        loop.ref()
    assert loop.start() is False
    loop.ref()
    assert loop.start(EVRUN_NOWAIT) is True
    loop.unref()


def test_unref_of_a_timer_that_ends_counts_before_it_is_invoked(loop, events):
    seen, callback = events
    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    loop.callback = lambda loop: None
    loop.unref()
    while not timer.pending:
        assert loop.start(EVRUN_NOWAIT) is False
    assert loop.start(EVRUN_NOWAIT) is False
    loop.callback = None
    assert loop.start(EVRUN_NOWAIT) is False
    assert len(seen) == 1


def test_unref_of_timers_that_end_without_ref_does_not_keep_the_loop(loop, events):
    seen, callback = events
    loop.ref()
    for _ in range(3):
        loop.timer(0.0, 0.0, callback).start()
        loop.unref()
    assert loop.start() is False
    assert loop.start() is False
    assert len(seen) == 3
    loop.verify()


@pytest.mark.parametrize("name", KINDS)
def test_unref_counts_one_reference_per_watcher(request, place, name):
    loop = request.getfixturevalue("default_loop" if name == "child" else "loop")
    kind = KINDS[name]
    watcher = kind.cls(*kind.arguments(place), loop, ignore)
    watcher.start()
    # libev starts three watchers of its own with an Embed; a Cleanup has none.
    balance = 0
    while loop.start(EVRUN_NOWAIT):
        loop.unref()
        balance += 1
    assert balance == {"cleanup": 0, "embed": 4}.get(name, 1)
    for _ in range(balance):
        loop.ref()
    watcher.stop()
    assert loop.start() is False


def test_verify_finds_nothing_wrong(loop):
    assert loop.verify() is None


# -- attributes -----------------------------------------------------------------------


@pytest.mark.parametrize("name", READ_ONLY)
def test_read_only_attribute_refuses_to_be_written(loop, name):
    with pytest.raises(AttributeError):
        setattr(loop, name, getattr(loop, name))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute_refuses_to_be_deleted(loop, name):
    with pytest.raises((AttributeError, TypeError)):
        delattr(loop, name)


def test_data_is_any_object(loop):
    data = object()
    loop.data = data
    assert loop.data is data
    loop.data = loop
    assert loop.data is loop
    loop.data = None


def test_loop_takes_attributes_of_the_programs_own(loop):
    loop.debug = True
    assert loop.debug is True
    del loop.debug
    with pytest.raises(AttributeError, match="debug"):
        _ = loop.debug


def test_attribute_that_a_subclass_does_not_have_is_missing():
    class Program(Loop):
        def __init__(self):
            super().__init__()

    with Program() as program, pytest.raises(AttributeError, match="nothing"):
        _ = program.nothing


def test_iteration_counts_looks_for_events(loop):
    assert loop.iteration == 0
    for count in (1, 2, 3):
        loop.start(EVRUN_NOWAIT)
        assert loop.iteration == count
    loop.invoke()
    assert loop.iteration == 3


def test_pending_counts_exactly(loop):
    watchers = [loop.fork(ignore, None, number % 3) for number in range(5)]
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    assert loop.pending == 5
    watchers[0].feed(EV_CUSTOM)
    assert loop.pending == 5
    watchers[1].clear()
    assert loop.pending == 4
    watchers[2].stop()
    assert loop.pending == 3
    watchers[2].stop()
    assert loop.pending == 3
    loop.start(EVRUN_NOWAIT)
    assert loop.pending == 0


def test_pending_counts_what_is_left_during_a_callback(loop, calls):
    def callback(watcher, revents):
        calls.names.append(loop.pending)

    for _ in range(4):
        loop.fork(callback).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert calls.names == [3, 2, 1, 0]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in mood_event.__all__
        if name.startswith("EVBACKEND_")
        and getattr(mood_event, name) & mood_event.recommended_backends()
        and name not in ("EVBACKEND_ALL", "EVBACKEND_MASK")
    ],
)
def test_repr_names_the_backend(name):
    with Loop(getattr(mood_event, name)) as loop:
        short = name.partition("_")[2].lower()
        assert repr(loop) == f"<Loop {short} active=0>"
        timer = loop.timer(1e4, 0.0, ignore)
        timer.start()
        assert repr(loop) == f"<Loop {short} active=1>"
    assert repr(loop) == "<Loop closed>"


def test_repr_tells_the_default_loop(default_loop):
    assert re.fullmatch(r"<Loop \w+ default active=0>", repr(default_loop))
    default_loop.close()
    assert repr(default_loop) == "<Loop closed>"


# -- factories ------------------------------------------------------------------------


@pytest.fixture
def factory(request, name):
    """The factory method of a type."""
    loop = request.getfixturevalue("default_loop" if name == "child" else "loop")
    return getattr(loop, name)


@pytest.mark.parametrize("name", KINDS)
def test_factory_makes_a_watcher_of_its_class(factory, name, place):
    kind = KINDS[name]
    arguments = kind.arguments(place)
    watcher = factory(*arguments, ignore)
    assert type(watcher) is kind.cls
    assert (watcher.loop, watcher.callback) == (factory.__self__, ignore)
    assert (watcher.data, watcher.priority) == (None, 0)
    watcher = factory(*arguments, ignore, "data", 1)
    assert (watcher.data, watcher.priority) == ("data", 1)
    watcher.start()
    assert watcher.active


@pytest.mark.parametrize("name", KINDS)
def test_factory_has_the_signature_of_its_class_without_loop(factory, name):
    of_class = dict(inspect.signature(KINDS[name].cls).parameters)
    del of_class["loop"]
    of_factory = inspect.signature(factory).parameters
    assert [(p.name, p.default) for p in of_factory.values()] == [
        (p.name, p.default) for p in of_class.values()
    ]
    assert {p.kind for p in of_factory.values()} == {inspect.Parameter.POSITIONAL_ONLY}
    # The one that is a keyword is `async_`.
    assert factory.__name__.rstrip("_") == name
    assert KINDS[name].cls.__name__ in factory.__doc__


@pytest.mark.parametrize("name", KINDS)
def test_factory_takes_positional_arguments_only(factory, name, place):
    arguments = KINDS[name].arguments(place)
    for keywords in ({"callback": ignore}, {"data": 1}, {"priority": 1}):
        given = () if "callback" in keywords else (ignore,)
        with pytest.raises(TypeError):
            factory(*arguments, *given, **keywords)
    with pytest.raises(TypeError):
        factory(*arguments, ignore, None, 0, None)


@pytest.mark.parametrize("name", ["scheduler", "embed"])
def test_factory_without_callback(factory, name, place):
    assert factory(*KINDS[name].arguments(place)).callback is None


def test_factory_async_has_two_names(loop):
    assert getattr(Loop, "async") is Loop.async_
    watcher = loop.async_(ignore)
    assert type(watcher) is mood_event.Async


# -- closing --------------------------------------------------------------------------


def test_close_twice_is_as_once(loop):
    assert loop.close() is None
    assert loop.close() is None


def test_close_is_what_with_ends_in():
    with Loop() as loop:
        assert loop.start() is False
    with pytest.raises(Error, match="closed"):
        loop.start()
    with pytest.raises(ZeroDivisionError), Loop() as loop:
        raise ZeroDivisionError
    with pytest.raises(Error, match="closed"):
        loop.start()


@pytest.mark.parametrize("name", [*METHODS, *KINDS])
def test_closed_loop_refuses_every_method(request, place, name):
    loop = request.getfixturevalue("default_loop" if name == "child" else "loop")
    method = getattr(loop, name)
    arguments = METHODS.get(name)
    if arguments is None:
        arguments = (*KINDS[name].arguments(place), ignore)
    loop.close()
    with pytest.raises(Error, match="closed"):
        method(*arguments)


def test_methods_are_all_there_are():
    public = {name for name in dir(Loop) if not name.startswith("_")}
    assert public == {*METHODS, *ATTRIBUTES, *KINDS, "async_", "close"}


def test_closed_loop_has_attributes_still(default_loop):
    default_loop.data = "data"
    default_loop.close()
    assert (default_loop.data, default_loop.callback) == ("data", None)
    assert (default_loop.default, default_loop.backend) == (True, 0)
    assert (default_loop.pending, default_loop.iteration, default_loop.depth) == (
        0,
        0,
        0,
    )
    for name in INTERVALS:
        assert getattr(default_loop, name) == 0.0
        with pytest.raises(Error, match="closed"):
            setattr(default_loop, name, 1.0)


def test_close_stops_watchers_of_every_type(default_loop, place, events):
    seen, callback = events
    watchers = []
    for number in range(20):
        for name, kind in KINDS.items():
            if name != "cleanup":
                watcher = kind.cls(*kind.arguments(place), default_loop, callback)
                watcher.start()
                if number % 2:
                    watcher.feed(EV_CUSTOM)
                watchers.append(watcher)
    before = [signal.getsignal(signum) for signum in (signal.SIGUSR2, signal.SIGCHLD)]
    default_loop.close()
    assert seen == []
    assert {(w.active, w.pending) for w in watchers} == {(False, False)}
    after = [signal.getsignal(signum) for signum in (signal.SIGUSR2, signal.SIGCHLD)]
    assert after == before
    # The process is none the worse for it.
    with mood_event.default_loop() as other:
        timer = other.timer(0.0, 0.0, callback)
        timer.start()
        assert other.start() is False
        assert seen == [(timer, EV_TIMER)]


@pytest.mark.parametrize("nested", [False, True])
def test_close_during_a_run_is_an_error(loop, calls, nested):
    def close(watcher, revents):
        with pytest.raises(Error, match="running"):
            loop.close()
        calls.names.append("refused")

    timer = loop.timer(0.0, 0.0, close)
    if nested:
        timer.start()
        loop.fork(lambda watcher, revents: loop.start()).feed(EV_CUSTOM)
    else:
        timer.start()
    assert loop.start() is False
    assert calls.names == ["refused"]
    loop.close()


@pytest.mark.parametrize("how", ["invoke", "callback"])
def test_close_during_an_invocation_is_an_error(loop, calls, how):
    def close(*arguments):
        with pytest.raises(Error, match="running"):
            loop.close()
        calls.names.append("refused")

    if how == "callback":
        loop.callback = close
        loop.start(EVRUN_NOWAIT)
    else:
        loop.fork(close).feed(EV_CUSTOM)
        loop.invoke()
    assert set(calls.names) == {"refused"}


def test_close_while_suspended(loop):
    loop.timer(1.0, 0.0, ignore).start()
    loop.suspend()
    loop.close()
    assert repr(loop) == "<Loop closed>"


def test_close_frees_descriptors(pipe):
    def highest():
        fd = os.dup(pipe.reader)
        os.close(fd)
        return fd

    before = highest()
    for _ in range(50):
        with Loop() as loop:
            loop.async_(ignore).start()
            loop.io(pipe.reader, EV_READ, ignore).start()
            loop.timer(0.0, 0.0, ignore).start()
            loop.start(EVRUN_ONCE)
    assert highest() == before


def test_cleanup_watchers_are_called_by_close(loop, events):
    seen, callback = events
    watcher, other = loop.cleanup(callback), loop.cleanup(callback)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    loop.close()
    assert seen == [(watcher, EV_CLEANUP)]
    assert not watcher.active
    assert not other.active
    loop.close()
    assert len(seen) == 1


def test_cleanup_watchers_are_called_in_order_of_priority(loop, calls):
    for priority in (0, -2, 2):
        loop.cleanup(calls(priority), None, priority).start()
    loop.close()
    assert calls.names == [2, 0, -2]


def test_cleanup_watchers_are_called_last_in_first_out(loop, calls):
    """Whatever slots they have: the second takes the one that the timer left."""
    timer = loop.timer(1e4, 0.0, calls("timer"))
    timer.start()
    loop.cleanup(calls("first")).start()
    timer.stop()
    loop.cleanup(calls("second")).start()
    loop.close()
    assert calls.names == ["second", "first"]


def test_cleanup_callback_has_a_loop_that_works(loop, calls):
    def cleanup(watcher, revents):
        assert watcher.loop is loop
        assert loop.now() > 0.0
        assert not timer.active
        with pytest.raises(Error, match="running"):
            loop.close()
        late = loop.timer(0.0, 0.0, ignore)
        late.start()
        calls.names.append(late)

    timer = loop.timer(1e4, 0.0, ignore)
    timer.start()
    loop.cleanup(cleanup).start()
    loop.close()
    (late,) = calls.names
    assert not late.active


def test_cleanup_callback_that_fails_does_not_stop_close(loop, unraisable, calls):
    def fail(watcher, revents):
        raise ZeroDivisionError

    loop.cleanup(fail, None, 1).start()
    loop.cleanup(calls("other")).start()
    loop.close()
    assert [(r.exc_type, r.object) for r in unraisable] == [(ZeroDivisionError, fail)]
    assert calls.names == ["other"]


def test_cleanup_callback_that_is_fatal_is_raised_by_close(loop, calls):
    @fatal
    def fail(watcher, revents):
        raise ZeroDivisionError

    loop.cleanup(fail, None, 1).start()
    loop.cleanup(calls("other")).start()
    with pytest.raises(ZeroDivisionError):
        loop.close()
    assert calls.names == ["other"]
    assert repr(loop) == "<Loop closed>"


def test_cleanup_watchers_are_not_called_for_garbage(events):
    seen, callback = events

    def forget():
        loop = Loop()
        loop.cleanup(callback).start()
        del loop
        collect_all()

    with pytest.warns(ResourceWarning, match="unclosed loop"):
        forget()
    assert seen == []


# -- objects --------------------------------------------------------------------------


def test_unclosed_loop_is_a_resource_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Loop()
        collect_all()
    assert [w.category for w in caught] == [ResourceWarning]
    assert "unclosed loop <Loop" in str(caught[0].message)


def test_unclosed_loop_is_reported_in_development_mode(run_script):
    source = """
        import gc
        from mood_event import Loop
        loop = Loop()
        loop.timer(1.0, 0.0, lambda *arguments: None).start()
        del loop
        gc.collect()
        gc.collect()
        """
    result = run_script(source, options=("-X", "dev"), check=False)
    assert result.returncode == 0
    assert "ResourceWarning: unclosed loop <Loop" in result.stderr
    run_script(source, env={"PYTHONDEVMODE": ""})


def test_unclosed_loop_is_closed_where_warnings_are_errors(run_script):
    run_script(
        """
        import gc, os, sys, warnings
        from mood_event import EVRUN_NOWAIT, Loop
        reported = []
        sys.unraisablehook = reported.append
        before = os.listdir("/proc/self/fd")
        loop = Loop()
        loop.start(EVRUN_NOWAIT)
        warnings.simplefilter("error")
        del loop
        gc.collect()
        gc.collect()
        assert [each.exc_type for each in reported] == [ResourceWarning], reported
        assert os.listdir("/proc/self/fd") == before
        """
    )


def test_unclosed_loop_at_the_end_of_the_process_is_silent(run_script):
    run_script(
        """
        import mood_event
        loop = mood_event.default_loop()
        loop.async_(print).start()
        loop.timer(0.0, 0.0, lambda *arguments: None).start()
        loop.start(mood_event.EVRUN_ONCE)
        other = mood_event.Loop()
        """
    )


def test_loop_can_be_referred_to_weakly(loop):
    assert weakref.ref(loop)() is loop
    assert weakref.WeakSet([loop])


def test_loop_that_is_closed_is_released():
    loop = Loop()
    loop.timer(1e4, 0.0, lambda *arguments, loop=loop: None).start()
    loop.data = loop
    loop.close()
    reference = weakref.ref(loop)
    del loop
    assert collected(reference)


def test_loop_that_runs_is_held(events):
    seen, _callback = events

    def collect(watcher, revents):
        gc.collect()
        seen.append(watcher.loop.start(EVRUN_NOWAIT))
        loops.append(watcher.loop)

    def make():
        loop = Loop()
        loop.timer(0.0, 0.0, collect).start()
        return loop

    loops = []
    assert make().start() is False
    assert seen == [False]
    loops.pop().close()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_loop_can_neither_be_copied_nor_pickled(loop, duplicate):
    with pytest.raises(TypeError, match="cannot copy or pickle"):
        duplicate(loop)


def test_loop_is_equal_to_itself_only(loop):
    with Loop() as other:
        assert loop == loop
        assert loop != other
        assert {loop: 1, other: 2}[other] == 2


def test_subclass_works_as_a_loop(events):
    seen, _ = events

    class Program(Loop):
        def __init__(self, name):
            super().__init__(EVBACKEND_SELECT, data=name)
            self.name = name
            self.timer(0.0, 0.0, self.called).start()

        def called(self, watcher, revents):
            seen.append((watcher.loop, self.name, revents))

    with Program("mine") as program:
        assert program.start() is False
        assert seen == [(program, "mine", EV_TIMER)]
        assert repr(program) == "<Program select active=0>"


@pytest.mark.parametrize("name", [*METHODS, *KINDS, *ATTRIBUTES, "close"])
def test_subclass_that_skips_init_raises_error(place, name):
    class Program(Loop):
        def __init__(self):
            pass

    loop = Program()
    assert repr(loop) == "<Program not initialised>"
    arguments = METHODS.get(name, ())
    if name in KINDS:
        arguments = (*KINDS[name].arguments(place), ignore)
    if name in ("default", "slow_callback", "exception_handler"):
        assert getattr(loop, name) == getattr(Loop, f"_{name}")
        return
    with pytest.raises(Error, match=r"not initialised|'default loop'"):
        getattr(loop, name)(*arguments)


# -- events from elsewhere ------------------------------------------------------------


def test_feed_fd_event_feeds_the_watchers_of_a_descriptor(loop, make_pipe, events):
    seen, callback = events
    pipe, other = make_pipe(), make_pipe()
    watchers = [
        loop.io(pipe.reader, EV_READ, callback),
        loop.io(pipe.reader, EV_READ, callback),
        loop.io(other.reader, EV_READ, callback),
    ]
    for watcher in watchers:
        watcher.start()
    assert loop.feed_fd_event(pipe.reader, EV_READ | EV_WRITE) is None
    assert loop.pending == 2
    loop.invoke()
    assert sorted(seen, key=lambda event: watchers.index(event[0])) == [
        (watchers[0], EV_READ),
        (watchers[1], EV_READ),
    ]
    # Not what they watch for.
    loop.feed_fd_event(pipe.reader, EV_WRITE)
    assert loop.pending == 0


@pytest.mark.parametrize("fd", [-1, -(2**31), 2**31 - 1, 10**6])
def test_feed_fd_event_of_what_nobody_watches_is_ignored(loop, fd):
    assert loop.feed_fd_event(fd, EV_READ) is None
    assert loop.pending == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("0", EV_READ), TypeError),
        ((0, None), TypeError),
        ((0, 1.0), TypeError),
        ((2**31, EV_READ), OverflowError),
        ((0,), TypeError),
        ((0, EV_READ, 0), TypeError),
    ],
)
def test_feed_fd_event_refuses_bad_arguments(loop, arguments, error):
    with pytest.raises(error):
        loop.feed_fd_event(*arguments)


def test_feed_signal_event_feeds_the_watchers_of_this_loop(loop, events):
    seen, callback = events
    watcher = loop.signal(signal.SIGUSR1, callback)
    watcher.start()
    with Loop() as other:
        other.feed_signal_event(signal.SIGUSR1)
        assert not watcher.pending
    loop.feed_signal_event(signal.SIGUSR2)
    assert not watcher.pending
    assert loop.feed_signal_event(signal.SIGUSR1) is None
    assert watcher.pending
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_SIGNAL)]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (signal.NSIG, ValueError),
        (2**40, ValueError),
        ("10", TypeError),
        (None, TypeError),
    ],
)
def test_feed_signal_event_refuses_what_is_no_signal(loop, bad, error):
    with pytest.raises(error, match="signum"):
        loop.feed_signal_event(bad)


# -- once -----------------------------------------------------------------------------


def test_once_calls_back_for_a_descriptor(loop, pipe):
    seen = []
    os.write(pipe.writer, b"x")
    assert loop.once(pipe.reader, EV_READ, None, seen.append) is None
    assert loop.start() is False
    assert seen == [EV_READ]


def test_once_takes_an_object_with_fileno(loop, pipe):
    seen = []
    with os.fdopen(os.dup(pipe.writer), "wb") as file:
        loop.once(file, EV_WRITE, -1.0, seen.append)
        assert loop.start() is False
    assert seen == [EV_WRITE]


@pytest.mark.parametrize("events", [0, EV_READ, None])
def test_once_calls_back_after_a_timeout(loop, events):
    seen = []
    before = _time.monotonic()
    loop.once(None, events, 0.02, seen.append)
    assert loop.start() is False
    assert seen == [EV_TIMER]
    assert _time.monotonic() - before >= 0.02 - 1e-3


def test_once_with_both_calls_back_for_what_comes_first(loop, make_pipe):
    seen = []
    quiet, ready = make_pipe(), make_pipe()
    loop.once(quiet.reader, EV_READ, 0.0, seen.append)
    assert loop.start() is False
    os.write(ready.writer, b"x")
    loop.once(ready.reader, EV_READ, 1e4, seen.append)
    assert loop.start() is False
    assert seen == [EV_TIMER, EV_READ]


def test_once_with_both_at_once_is_one_call(loop, pipe):
    seen = []
    os.write(pipe.writer, b"x")
    loop.once(pipe.reader, EV_READ, 0.0, seen.append)
    assert loop.start() is False
    assert seen == [EV_READ | EV_TIMER]


def test_once_reports_a_plain_exception(loop, unraisable):
    def fail(revents):
        raise ZeroDivisionError

    loop.once(None, 0, 0.0, fail)
    assert loop.start() is False
    assert [(r.exc_type, r.object) for r in unraisable] == [(ZeroDivisionError, fail)]


def test_once_raises_what_is_fatal(loop, unraisable):
    @fatal
    def fail(revents):
        raise ZeroDivisionError

    loop.once(None, 0, 0.0, fail)
    with pytest.raises(ZeroDivisionError):
        loop.start()
    assert (unraisable, loop.start()) == ([], False)


def test_once_releases_its_callback(loop):
    class Callback:
        def __call__(self, revents):
            pass

    callback = Callback()
    reference = weakref.ref(callback)
    loop.once(None, 0, 0.0, callback)
    del callback
    assert held(reference)
    assert loop.start() is False
    assert collected(reference)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((None, 0, None, ignore), ValueError),
        ((None, 0, -1.0, ignore), ValueError),
        ((None, 0, float("nan"), ignore), ValueError),
        ((None, 0, float("inf"), ignore), ValueError),
        ((-1, EV_READ, None, ignore), ValueError),
        ((0, 0, None, ignore), ValueError),
        ((0, EV_TIMER, None, ignore), ValueError),
        ((None, 0, "1", ignore), TypeError),
        (("0", EV_READ, None, ignore), TypeError),
        ((0, "1", None, ignore), TypeError),
        ((None, 0, 1.0, None), TypeError),
        ((None, 0, 1.0, 5), TypeError),
        ((2**31, EV_READ, None, ignore), OverflowError),
    ],
)
def test_once_refuses_bad_arguments(loop, arguments, error):
    with pytest.raises(error, match="once"):
        loop.once(*arguments)
    assert loop.start() is False


def test_once_refuses_a_closed_descriptor(loop):
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.once(fd, EV_READ, 1.0, ignore)
    assert loop.start() is False


# -- call_soon_threadsafe -------------------------------------------------------------


def test_call_soon_makes_every_call_in_order(loop):
    seen = []
    loop.timer(1e4, 0.0, ignore).start()
    for number in range(100):
        assert loop.call_soon_threadsafe(seen.append, number) is None
    loop.call_soon_threadsafe(loop.stop)
    assert loop.start() is True
    assert seen == list(range(100))


def test_call_soon_passes_any_number_of_arguments(loop):
    seen = []
    for arguments in ((), (1,), (1, "two", None)):
        loop.call_soon_threadsafe(lambda *given: seen.append(given), *arguments)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(), (1,), (1, "two", None)]
    with pytest.raises(TypeError):
        loop.call_soon_threadsafe(seen.append, argument=1)


def test_call_soon_before_start_without_watchers_is_called(loop):
    seen = []
    loop.call_soon_threadsafe(seen.append, "called")
    assert loop.start() is False
    assert seen == ["called"]
    # It keeps no reference on the loop.
    assert loop.start() is False
    with pytest.raises(Error):
        loop.unref()


def test_call_soon_between_runs_is_called_by_the_next(loop):
    seen = []
    for number in range(3):
        loop.start(EVRUN_NOWAIT)
        loop.call_soon_threadsafe(seen.append, number)
        loop.start(EVRUN_NOWAIT)
        assert seen == list(range(number + 1))


def test_call_soon_from_threads_wakes_the_loop(loop, in_thread):
    seen = []

    def produce(name):
        for number in range(200):
            loop.call_soon_threadsafe(received, name, number)

    def received(name, number):
        seen.append((name, number))
        if len(seen) == 4 * 200:
            loop.stop()

    loop.timer(1e4, 0.0, ignore).start()
    for name in "abcd":
        in_thread(produce, name)
    assert loop.start() is True
    for name in "abcd":
        assert [number for n, number in seen if n == name] == list(range(200))


def test_call_soon_from_a_call_is_for_later(loop):
    seen = []

    def again(count):
        seen.append((count, loop.iteration))
        if count:
            loop.call_soon_threadsafe(again, count - 1)
        else:
            loop.stop()

    loop.timer(1e4, 0.0, ignore).start()
    loop.call_soon_threadsafe(again, 3)
    assert loop.start() is True
    assert [count for count, _ in seen] == [3, 2, 1, 0]
    iterations = [iteration for _, iteration in seen]
    assert sorted(set(iterations)) == iterations


def test_call_soon_from_a_callback_is_called(loop):
    seen = []
    loop.timer(
        0.0, 0.0, lambda *arguments: loop.call_soon_threadsafe(seen.append, 1)
    ).start()
    loop.timer(1e4, 0.0, ignore).start()
    while not seen:
        loop.start(EVRUN_ONCE)
    assert seen == [1]


def test_call_soon_reports_a_plain_exception(loop, unraisable):
    seen = []

    def fail():
        raise ZeroDivisionError

    loop.call_soon_threadsafe(fail)
    loop.call_soon_threadsafe(seen.append, "next")
    loop.start(EVRUN_NOWAIT)
    assert [(r.exc_type, r.object) for r in unraisable] == [(ZeroDivisionError, fail)]
    assert seen == ["next"]


@pytest.mark.parametrize("exception", [ZeroDivisionError, KeyboardInterrupt])
def test_call_soon_that_is_fatal_keeps_the_rest(loop, unraisable, exception):
    seen = []

    @fatal
    def fail():
        raise exception

    loop.call_soon_threadsafe(seen.append, "before")
    loop.call_soon_threadsafe(fail)
    loop.call_soon_threadsafe(seen.append, "after")
    with pytest.raises(exception):
        loop.start()
    assert (seen, unraisable) == (["before"], [])
    loop.start(EVRUN_NOWAIT)
    assert seen == ["before", "after"]


@pytest.mark.parametrize("bad", [None, 5, "callback"])
def test_call_soon_refuses_what_is_not_callable(loop, bad):
    with pytest.raises(TypeError, match="callback must be callable"):
        loop.call_soon_threadsafe(bad)


def test_call_soon_that_was_not_made_is_released_with_the_loop():
    class Callback:
        def __call__(self):
            raise AssertionError

    with Loop() as loop:
        callback = Callback()
        reference = weakref.ref(callback)
        loop.call_soon_threadsafe(callback)
        del callback
        assert held(reference)
    del loop
    assert collected(reference)


def test_call_soon_goes_together_with_async_watchers(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.start()
    loop.call_soon_threadsafe(callback, "called", 0)
    watcher.send()
    loop.start(EVRUN_ONCE)
    loop.start(EVRUN_NOWAIT)
    assert sorted(seen, key=lambda event: event[1]) == [
        ("called", 0),
        (watcher, EV_ASYNC),
    ]


@pytest.mark.core
def test_loop_waits_although_its_callback_has_left_events_pending(loop):
    loop.callback = lambda loop: None
    loop.timer(0.0, 0.0, print).start()
    while not loop.pending:
        loop.start(EVRUN_NOWAIT)
    timer = loop.timer(0.05, 0.0, print)
    timer.start()
    before = loop.iteration
    while timer.active:
        loop.start(EVRUN_ONCE)
    # One, and some that an early kernel or a spurious wake-up may cost.
    assert loop.iteration - before < 20
