"""Cases that run under mood.event 1.1.1 and under mood_event alike.

`python cases.py MODULE [CASE...]` imports MODULE, runs each case in a forked child
of its own, so that an abort, a crash or a hang is an outcome like any other, and
prints {case: outcome} as JSON. The programs in programs/ are cases as well: each
is run in an interpreter of its own, with MODULE in its import line.

A case is a function of the module that returns what it saw: values, names of
exceptions, the order of callbacks. No case depends on how quick the machine is.
"""

import gc
import io
import json
import math
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
import weakref
from pathlib import Path

CASES = {}
# Cases that need a libev without asserts: they abort with them, as mood.event does.
NDEBUG = set()
# Cases that close a descriptor before they stop its watcher, as programs do: only a
# debug build aborts then, whose libev verifies itself at every step.
NVERIFY = {"io_descriptor_closed_then_stopped", "program_signal_server"}

PROGRAMS = Path(__file__).with_name("programs")


def case(function):
    """Make a case of a function."""
    assert function.__name__ not in CASES, function.__name__
    CASES[function.__name__] = function
    return function


def ndebug(function):
    """Make a case of a function that needs a libev without asserts."""
    NDEBUG.add(function.__name__)
    return case(function)


# -- what cases are made of ------------------------------------------------------------


def error(function, *args, **kwargs):
    """The name of the exception that a call raises; None: it returns."""
    try:
        function(*args, **kwargs)
    except BaseException as exc:
        return type(exc).__name__
    return None


def message(function, *args, **kwargs):
    """As `error`, with the exception's text."""
    try:
        function(*args, **kwargs)
    except BaseException as exc:
        return f"{type(exc).__name__}: {exc}"
    return None


def warned(function, *args, **kwargs):
    """The names of the warnings that a call gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    return [warning.category.__name__ for warning in caught]


def reported(function, *args):
    """What a call gives to sys.unraisablehook: exceptions' names and objects."""
    seen = []
    sys.unraisablehook = lambda args: seen.append(
        [args.exc_type.__name__, getattr(args.object, "__name__", None)]
    )
    try:
        function(*args)
    finally:
        sys.unraisablehook = sys.__unraisablehook__
    return seen


def printed(function, *args):
    """What a call prints on stderr, without addresses, paths and line numbers."""
    sys.stderr = io.StringIO()
    try:
        function(*args)
    finally:
        text, sys.stderr = sys.stderr.getvalue(), sys.__stderr__
    return normal(text)


def normal(text):
    """A text without addresses, paths, line numbers, and marks below code."""
    text = re.sub(r"0x[0-9a-f]+", "0x0", text)
    text = re.sub(r'File ".*?", line \d+', "File", text)
    lines = [line for line in text.splitlines() if line.strip(" ^~") or not line]
    return "\n".join(lines)


def nothing(watcher, revents):
    """A callback."""


def namer(log, name):
    """A callback that appends a name to a list."""

    def callback(watcher, revents):
        log.append(name)

    return callback


def revents_to(log):
    """A callback that appends what it gets to a list."""

    def callback(watcher, revents):
        log.append(revents)

    return callback


def once(log, name):
    """A callback that appends a name, and stops its watcher."""

    def callback(watcher, revents):
        log.append(name)
        watcher.stop()

    return callback


def readable(content=b"x"):
    """The end of a pipe with something to read in it."""
    reader, writer = os.pipe()
    os.write(writer, content)
    return reader


def a_child(code):
    """Fork a child that exits once it is told to; its pid, and the telling."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writer)
        os.read(reader, 1)
        os._exit(code)
    os.close(reader)
    return pid, lambda: os.close(writer)


def is_dead(pid):
    """Wait for a child's end, and leave its status there."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    # PyPy has no waitid.
    stat = Path(f"/proc/{pid}/stat")
    while ") Z" not in stat.read_text():
        time.sleep(0.001)


def loops(ev):
    """A loop that is not the default loop, and the default loop."""
    return ev.Loop(), ev.default_loop()


KINDS = [
    "io",
    "timer",
    "periodic",
    "scheduler",
    "signal",
    "child",
    "idle",
    "prepare",
    "check",
    "embed",
    "fork",
    "async",
]


def arguments(ev):
    """What the watcher types take before loop and callback."""
    return {
        "io": (readable(), ev.EV_READ),
        "timer": (1000.0, 1000.0),
        "periodic": (0.0, 1000.0),
        "scheduler": (lambda watcher, now: now + 1000.0,),
        "signal": (signal.SIGUSR1,),
        "child": (os.getpid(), False),
        "embed": (ev.Loop(ev.EVBACKEND_EPOLL),),
    }


def watchers(ev, callback=nothing, loop=None):
    """One watcher of each type, by the name of its factory, on the default loop."""
    loop = loop or ev.default_loop()
    args = arguments(ev)
    return {
        kind: getattr(ev, kind.title())(*args.get(kind, ()), loop, callback)
        for kind in KINDS
    }


# -- the module ------------------------------------------------------------------------


@case
def module_constants(ev):
    names = (
        "EV_READ EV_WRITE EV_IO EV_TIMER EV_PERIODIC EV_SIGNAL EV_CHILD EV_IDLE "
        "EV_PREPARE EV_CHECK EV_EMBED EV_FORK EV_ASYNC EV_CUSTOM EV_ERROR EV_MINPRI "
        "EV_MAXPRI EVFLAG_AUTO EVFLAG_NOENV EVFLAG_FORKCHECK EVFLAG_SIGNALFD "
        "EVFLAG_NOSIGMASK EVBACKEND_SELECT EVBACKEND_POLL EVBACKEND_EPOLL "
        "EVBACKEND_KQUEUE EVBACKEND_DEVPOLL EVBACKEND_PORT EVBACKEND_ALL "
        "EVBACKEND_MASK EVRUN_NOWAIT EVRUN_ONCE EVBREAK_ONE EVBREAK_ALL"
    )
    return {name: getattr(ev, name) for name in names.split()}


@case
def module_constants_are_ints(ev):
    values = [getattr(ev, name) for name in dir(ev) if name.startswith("EV")]
    return {type(value).__name__ for value in values} == {"int"}


@case
def module_star_import(ev):
    names = {}
    exec(f"from {ev.__name__} import *", names)
    return [
        name
        for name in [
            "Loop",
            "Io",
            "Timer",
            "Error",
            "default_loop",
            "fatal",
            "time",
            "sleep",
            "EV_READ",
        ]
        if name not in names
    ]


@case
def module_error_is_an_exception(ev):
    return [base.__name__ for base in ev.Error.__mro__]


@case
def module_version_is_a_string(ev):
    return type(ev.__version__).__name__


@case
def module_time(ev):
    before = time.time()
    now = ev.time()
    return [type(now).__name__, before - 1 < now < time.time() + 1]


@case
def module_abi_version(ev):
    return [type(ev.abi_version()).__name__, ev.abi_version()]


@case
def module_backends(ev):
    portable = ev.EVBACKEND_SELECT | ev.EVBACKEND_POLL | ev.EVBACKEND_EPOLL
    return [
        ev.supported_backends() & portable,
        ev.recommended_backends() & portable,
        ev.embeddable_backends() & portable,
    ]


@case
def module_functions_take_no_arguments(ev):
    names = "time abi_version supported_backends recommended_backends "
    names += "embeddable_backends"
    return [error(getattr(ev, name), 1) for name in names.split()]


@case
def module_functions_do_not_become_methods(ev):
    class Stored:
        make_loop = ev.default_loop
        decorate = ev.fatal
        now = ev.time
        nap = ev.sleep
        version = ev.abi_version
        supported = ev.supported_backends
        recommended = ev.recommended_backends
        embeddable = ev.embeddable_backends
        send = ev.feed_signal

    stored = Stored()
    loop = stored.make_loop(flags=ev.EVBACKEND_SELECT)
    return [
        loop is ev.default_loop(),
        loop.backend,
        stored.decorate(nothing) is nothing,
        type(stored.now()).__name__,
        stored.nap(0.0),
        stored.version() == ev.abi_version(),
        stored.supported() == ev.supported_backends(),
        stored.recommended() == ev.recommended_backends(),
        stored.embeddable() == ev.embeddable_backends(),
        stored.send(signal.SIGUSR1),
    ]


@case
def sleep_returns_at_once(ev):
    return [ev.sleep(0.0), ev.sleep(-1.0), ev.sleep(-1), ev.sleep(0)]


@case
def sleep_sleeps(ev):
    before = time.monotonic()
    ev.sleep(0.02)
    return time.monotonic() - before > 0.015


@case
def sleep_checks_its_argument(ev):
    return [error(ev.sleep), error(ev.sleep, "1"), error(ev.sleep, None)]


@case
def sleep_takes_no_keyword(ev):
    return error(ev.sleep, interval=0.0)


@case
def sleep_more_than_a_day(ev):
    warnings.simplefilter("error")
    return error(ev.sleep, 86401.0)


@case
def sleep_nan(ev):
    return error(ev.sleep, math.nan)


@case
def feed_signal_feeds(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.signal(signal.SIGUSR1, revents_to(seen))
    watcher.start()
    result = ev.feed_signal(signal.SIGUSR1)
    loop.start(ev.EVRUN_NOWAIT)
    return [result, seen == [ev.EV_SIGNAL]]


@case
def feed_signal_from_another_thread(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.signal(signal.SIGUSR1, once(seen, "signal"))
    watcher.start()
    thread = threading.Thread(target=ev.feed_signal, args=(signal.SIGUSR1,))
    thread.start()
    loop.start()
    thread.join()
    return seen


@case
def feed_signal_nobody_watches(ev):
    return ev.feed_signal(signal.SIGUSR2)


@case
def feed_signal_takes_no_keyword(ev):
    return error(ev.feed_signal, signum=signal.SIGUSR1)


@case
def feed_signal_checks_its_type(ev):
    return [error(ev.feed_signal, "1"), error(ev.feed_signal, None)]


@case
def feed_signal_of_no_signal(ev):
    return error(ev.feed_signal, 2**30)


# -- the default loop ----------------------------------------------------------------


@case
def default_loop_is_one(ev):
    loop = ev.default_loop()
    return [loop is ev.default_loop(), loop.default, ev.Loop().default]


@case
def default_loop_is_a_loop(ev):
    return isinstance(ev.default_loop(), ev.Loop)


@case
def default_loop_ignores_later_arguments(ev):
    loop = ev.default_loop(ev.EVBACKEND_SELECT, None, "data")
    again = ev.default_loop(ev.EVBACKEND_POLL, None, "other", 1.0)
    return [loop is again, loop.backend, loop.data, loop.io_interval]


@case
def default_loop_keyword_arguments(ev):
    def callback(loop):
        loop.invoke()

    loop = ev.default_loop(
        flags=ev.EVBACKEND_POLL, callback=callback, data=7, io_interval=0.5
    )
    return [loop.backend, loop.callback is callback, loop.data, loop.io_interval]


@case
def default_loop_again_without_arguments_warns(ev):
    loop = ev.default_loop()
    return [warned(ev.default_loop), loop is not None]


@case
def default_loop_again_with_arguments_warns(ev):
    loop = ev.default_loop()
    return [warned(ev.default_loop, ev.EVBACKEND_SELECT), loop is not None]


@case
def default_loop_after_a_failure(ev):
    first = message(ev.default_loop, ev.EVBACKEND_KQUEUE)
    return [first, ev.default_loop().default]


@case
def default_loop_nobody_refers_to(ev):
    ev.default_loop(data="first")
    gc.collect()
    return ev.default_loop().data


@case
def default_loop_timeout_interval(ev):
    try:
        return ev.default_loop(timeout_interval=0.5).timeout_interval
    except BaseException as exc:
        return type(exc).__name__


@case
def default_loop_unknown_keyword(ev):
    return error(ev.default_loop, nonsense=1)


@case
def default_loop_in_another_thread(ev):
    loop, seen = ev.default_loop(), []
    timer = loop.timer(0.0, 0.0, namer(seen, "timer"))

    def run():
        timer.start()
        seen.append(loop.start())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return seen


# -- Loop -----------------------------------------------------------------------------


@case
def loop_is_always_another(ev):
    return ev.Loop() is not ev.Loop()


@case
def loop_bad_backend(ev):
    return message(ev.Loop, ev.EVBACKEND_KQUEUE)


@case
def loop_bad_and_good_backend(ev):
    return ev.Loop(ev.EVBACKEND_KQUEUE | ev.EVBACKEND_SELECT).backend


@case
def loop_backends(ev):
    seen = []
    for backend in (ev.EVBACKEND_SELECT, ev.EVBACKEND_POLL, ev.EVBACKEND_EPOLL):
        loop = ev.Loop(backend)
        watcher = loop.io(readable(), ev.EV_READ, revents_to(seen))
        watcher.start()
        loop.start(ev.EVRUN_NOWAIT)
        seen.append(loop.backend == backend)
    return seen


@case
def loop_backend_of_auto(ev):
    return ev.Loop().backend & ev.recommended_backends() != 0


@case
def loop_forkcheck(ev):
    loop = ev.Loop(ev.EVFLAG_FORKCHECK)
    return [loop.start(ev.EVRUN_NOWAIT), loop.backend == ev.Loop().backend]


@case
def loop_flags_by_environment(ev):
    os.environ["LIBEV_FLAGS"] = str(ev.EVBACKEND_SELECT)
    return [
        ev.Loop().backend == ev.EVBACKEND_SELECT,
        ev.Loop(ev.EVFLAG_NOENV).backend == ev.EVBACKEND_SELECT,
        ev.Loop(ev.EVBACKEND_POLL | ev.EVFLAG_NOENV).backend,
    ]


@case
def loop_flags_types(ev):
    return [error(ev.Loop, flags) for flags in ("1", None, 1.0)]


@case
def loop_attributes_at_first(ev):
    loop = ev.Loop()
    return [
        loop.callback,
        loop.data,
        loop.io_interval,
        loop.timeout_interval,
        loop.default,
        loop.pending,
        loop.iteration,
        loop.depth,
    ]


@case
def loop_positional_arguments(ev):
    def callback(loop):
        loop.invoke()

    loop = ev.Loop(ev.EVBACKEND_SELECT, callback, "data", 0.25)
    return [loop.backend, loop.callback is callback, loop.data, loop.io_interval]


@case
def loop_keyword_arguments(ev):
    def callback(loop):
        loop.invoke()

    loop = ev.Loop(
        flags=ev.EVBACKEND_SELECT, callback=callback, data="data", io_interval=0.25
    )
    return [loop.backend, loop.callback is callback, loop.data, loop.io_interval]


@case
def loop_timeout_interval_argument(ev):
    try:
        return ev.Loop(timeout_interval=0.5).timeout_interval
    except BaseException as exc:
        return type(exc).__name__


@case
def loop_timeout_interval_by_position(ev):
    try:
        return ev.Loop(0, None, None, 0.25, 0.5).timeout_interval
    except BaseException as exc:
        return type(exc).__name__


@case
def loop_debug_argument(ev):
    return [error(ev.Loop, debug=True), error(ev.default_loop, debug=True)]


@case
def loop_backend_of_all(ev):
    portable = ev.EVBACKEND_SELECT | ev.EVBACKEND_POLL | ev.EVBACKEND_EPOLL
    return ev.Loop(ev.EVBACKEND_ALL).backend & portable != 0


@case
def loop_unknown_keyword(ev):
    return error(ev.Loop, nonsense=1)


@case
def loop_argument_types(ev):
    return [
        error(ev.Loop, 0, 1),
        error(ev.Loop, 0, None, None, "1"),
        error(ev.Loop, 0, None, None, -1.0),
    ]


@case
def loop_attributes_are_read_only(ev):
    loop = ev.Loop()
    names = ["default", "backend", "pending", "iteration", "depth"]
    return [error(setattr, loop, name, 1) for name in names]


@case
def loop_attributes_cannot_be_deleted(ev):
    loop = ev.Loop()
    names = "callback data io_interval timeout_interval default backend pending "
    names += "iteration depth"
    refused = {"TypeError", "AttributeError"}
    return [name for name in names.split() if error(delattr, loop, name) not in refused]


@case
def loop_data(ev):
    loop, data = ev.Loop(), object()
    loop.data = data
    kept = loop.data is data
    loop.data = None
    return [kept, loop.data]


@case
def loop_own_attributes(ev):
    loop = ev.Loop()
    return error(setattr, loop, "debug", True)


@case
def loop_subclass(ev):
    return error(type, "Sub", (ev.Loop,), {})


@case
def loop_weak_reference(ev):
    return error(weakref.ref, ev.Loop())


@case
def loop_is_hashable(ev):
    loop, other = ev.Loop(), ev.Loop()
    return [loop == other, loop == loop, {loop: 1}[loop], loop != other]


@case
def loop_pickle(ev):
    return error(pickle.dumps, ev.Loop(), 2)


@case
def start_without_watchers(ev):
    loop = ev.Loop()
    return [loop.start(), loop.start(ev.EVRUN_NOWAIT), loop.start(ev.EVRUN_ONCE)]


@case
def start_with_a_watcher_left(ev):
    loop = ev.Loop()
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    return loop.start(ev.EVRUN_NOWAIT)


@case
def start_until_nothing_is_left(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 0.0, namer(seen, "timer"))
    timer.start()
    return [loop.start(), seen]


@case
def start_until_stopped(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append("timer")
        if len(seen) == 3:
            loop.stop()

    timer = loop.timer(0.001, 0.001, callback)
    timer.start()
    return [loop.start(), seen]


@case
def start_once(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.io(readable(), ev.EV_READ, namer(seen, "io"))
    watcher.start()
    return [loop.start(ev.EVRUN_ONCE), seen]


@case
def start_once_waits(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.01, 0.0, namer(seen, "timer"))
    timer.start()
    loop.start(ev.EVRUN_ONCE)
    return seen


@case
def start_nowait_does_not_wait(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, namer(seen, "timer"))
    timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return [seen, timer.active]


@case
def start_takes_no_keyword(ev):
    return error(ev.Loop().start, flags=0)


@case
def start_checks_its_type(ev):
    loop = ev.Loop()
    return [error(loop.start, flags) for flags in ("1", None, 1.5)]


@case
def start_unknown_flags(ev):
    return error(ev.Loop().start, 1024)


@case
def start_counts_iterations(ev):
    loop = ev.Loop()
    counts = []
    for _ in range(3):
        loop.start(ev.EVRUN_NOWAIT)
        counts.append(loop.iteration)
    return counts


@case
def start_is_one_deep(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append([loop.depth, bool(loop.depth)])

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    loop.start()
    return [*seen, [loop.depth, bool(loop.depth)]]


def _nested(ev, how):
    loop, seen = ev.Loop(), []

    def inner(watcher, revents):
        seen.append(f"inner at {loop.depth}")
        loop.stop(*how)

    def outer(watcher, revents):
        seen.append(f"outer at {loop.depth}")
        second.start()
        seen.append(loop.start())
        seen.append(f"back at {loop.depth}")
        third.start()

    def third_callback(watcher, revents):
        seen.append(f"third at {loop.depth}")
        loop.stop()

    first = loop.timer(0.0, 0.0, outer)
    second = loop.timer(0.0, 1000.0, inner)
    third = loop.timer(0.0, 0.0, third_callback)
    first.start()
    seen.append(loop.start())
    return seen


@case
def start_nested_stop_one(ev):
    return _nested(ev, (ev.EVBREAK_ONE,))


@case
def start_nested_stop_default(ev):
    return _nested(ev, ())


@case
def start_nested_stop_all(ev):
    return _nested(ev, (ev.EVBREAK_ALL,))


@case
def start_nested_delivers_the_outer_pending(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        seen.append(loop.pending)
        loop.start(ev.EVRUN_NOWAIT)
        seen.append("back")

    ones = [loop.timer(i - 5.0, 0.0, namer(seen, f"rest {i}")) for i in range(3)]
    starter = loop.timer(-9.0, 0.0, first)
    for timer in [starter, *ones]:
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def stop_outside_start_is_forgotten(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 0.0, namer(seen, "timer"))
    timer.start()
    loop.stop()
    loop.stop(ev.EVBREAK_ALL)
    loop.start()
    return seen


@case
def stop_delivers_what_is_pending(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append("callback")
        loop.stop()

    timers = [loop.timer(0.0, 0.0, callback) for _ in range(3)]
    for timer in timers:
        timer.start()
    return [loop.start(), seen]


@case
def stop_from_another_thread_does_not_wake(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.05, 0.0, namer(seen, "timer"))
    timer.start()

    def stop():
        while loop.iteration == before:
            pass
        loop.stop()

    before = loop.iteration
    thread = threading.Thread(target=stop)
    thread.start()
    loop.start()
    thread.join()
    return seen


@case
def stop_takes_no_keyword(ev):
    return error(ev.Loop().stop, how=ev.EVBREAK_ONE)


@case
def stop_checks_its_type(ev):
    return [error(ev.Loop().stop, how) for how in ("1", None, 1.5)]


@case
def stop_unknown_how(ev):
    return [error(ev.Loop().stop, how) for how in (-1, 0, 3, 99)]


@case
def start_in_a_second_thread(ev):
    loop, seen = ev.Loop(), []

    def run():
        seen.append(error(loop.start))
        go_on.send()

    # Blocks, in the end, on nothing but the other thread.
    go_on = getattr(loop, "async")(lambda watcher, revents: loop.stop())
    go_on.start()
    prepare = loop.prepare(lambda watcher, revents: (watcher.stop(), thread.start()))
    prepare.start()
    thread = threading.Thread(target=run)
    loop.start()
    thread.join()
    return seen


@case
def invoke_invokes(ev):
    loop, seen = ev.Loop(), []
    timers = [loop.timer(1000.0, 0.0, revents_to(seen)) for _ in range(2)]
    for timer in timers:
        timer.feed(ev.EV_CUSTOM)
    pending = loop.pending
    result = loop.invoke()
    return [pending, result, seen == [ev.EV_CUSTOM] * 2, loop.pending]


@case
def invoke_in_a_callback_delivers_the_rest(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        loop.invoke()
        seen.append("back")

    watchers = [loop.idle(namer(seen, f"rest {i}")) for i in range(3)]
    watchers.append(loop.idle(first))
    for watcher in watchers:
        watcher.feed(ev.EV_CUSTOM)
    loop.invoke()
    return seen


@case
def reset_triggers_fork_watchers(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.fork(revents_to(seen))
    watcher.start()
    loop.reset()
    loop.start(ev.EVRUN_NOWAIT)
    loop.start(ev.EVRUN_NOWAIT)
    return seen == [ev.EV_FORK]


@case
def now_is_a_time(ev):
    loop = ev.Loop()
    return [type(loop.now()).__name__, abs(loop.now() - time.time()) < 60]


@case
def now_stays(ev):
    loop = ev.Loop()
    before = loop.now()
    ev.sleep(0.01)
    stayed = loop.now() == before
    result = loop.update()
    return [stayed, result, loop.now() > before + 0.005]


@case
def suspend_delays_timers(ev):
    loop = ev.Loop()
    timer = loop.timer(100.0, 0.0, nothing)
    timer.start()
    before = loop.now()
    results = [loop.suspend()]
    ev.sleep(0.2)
    results.append(loop.resume())
    return [*results, timer.remaining > 99.85, loop.now() > before + 0.15]


@case
def suspend_reschedules_periodics(ev):
    loop, seen = ev.Loop(), []
    periodic = loop.periodic(0.0, 0.01, namer(seen, "periodic"))
    periodic.start()
    loop.suspend()
    ev.sleep(0.03)
    loop.resume()
    return [seen, periodic.at > loop.now() - 1e-6, periodic.active]


@case
def resume_without_suspend(ev):
    return error(ev.Loop().resume)


@case
def unref_lets_the_loop_return(ev):
    loop = ev.Loop()
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    results = [loop.unref(), loop.start()]
    results += [loop.ref(), loop.start(ev.EVRUN_NOWAIT), timer.stop()]
    return [*results, loop.start()]


@case
def ref_keeps_the_loop_running(ev):
    loop = ev.Loop()
    loop.ref()
    kept = loop.start(ev.EVRUN_NOWAIT)
    loop.unref()
    return [kept, loop.start(ev.EVRUN_NOWAIT)]


@case
def unref_too_often(ev):
    loop = ev.Loop()
    try:
        loop.unref()
    except ev.Error as exc:
        return type(exc).__name__
    return loop.start(ev.EVRUN_NOWAIT)


@case
def verify_returns(ev):
    loop = ev.Loop()
    watchers = [loop.timer(1.0, 1.0, nothing), loop.io(readable(), 1, nothing)]
    for watcher in watchers:
        watcher.start()
    return [loop.verify(), loop.start(ev.EVRUN_NOWAIT), loop.verify()]


@case
def loop_methods_take_no_arguments(ev):
    names = [
        "invoke",
        "reset",
        "now",
        "update",
        "suspend",
        "resume",
        "ref",
        "unref",
        "verify",
    ]
    return [error(getattr(ev.Loop(), name), 1) for name in names]


@case
def loop_methods_return_none(ev):
    loop = ev.Loop()
    names = [
        "invoke",
        "reset",
        "update",
        "suspend",
        "resume",
        "ref",
        "unref",
        "verify",
        "stop",
    ]
    return [getattr(loop, name)() for name in names]


# -- Loop.callback ------------------------------------------------------------------


@case
def loop_callback_is_called_instead(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 0.0, namer(seen, "timer"))
    timer.start()
    loop.callback = lambda loop: seen.append(loop.pending)
    loop.start(ev.EVRUN_NOWAIT)
    loop.callback = None
    pending = loop.pending
    loop.start(ev.EVRUN_NOWAIT)
    return [max(seen[:-1]), seen[-1], pending]


@case
def loop_callback_with_nothing_pending(ev):
    loop, calls = ev.Loop(), []

    def callback(loop):
        calls.append(loop.pending)
        loop.invoke()

    loop.callback = callback
    loop.start(ev.EVRUN_NOWAIT)
    return calls


@case
def loop_callback_is_called_at_every_invoke_point(ev):
    loop, calls = ev.Loop(), []

    def callback(loop):
        calls.append(loop.pending)
        loop.invoke()

    loop.callback = callback
    watchers = [
        loop.prepare(nothing),
        loop.check(nothing),
        loop.io(readable(), ev.EV_READ, nothing),
    ]
    for watcher in watchers:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return calls


@case
def loop_callback_gets_the_loop(ev):
    loop, seen = ev.Loop(), []
    loop.callback = lambda *args: seen.append([len(args), args[0] is loop])
    loop.start(ev.EVRUN_NOWAIT)
    return seen[0]


@case
def loop_callback_that_raises(ev):
    loop, seen = ev.Loop(), []

    def callback(loop):
        seen.append("called")
        raise ValueError("TEST")

    loop.callback = callback
    timer = loop.timer(0.0, 1000.0, namer(seen, "timer"))
    timer.start()
    result = message(loop.start)
    loop.callback = None
    loop.start(ev.EVRUN_NOWAIT)
    return [result, seen, timer.active]


@case
def loop_callback_makes_every_exception_fatal(ev):
    loop = ev.Loop()

    def callback(loop):
        loop.invoke()

    def failing(watcher, revents):
        raise ValueError("TEST")

    loop.callback = callback
    timer = loop.timer(0.0, 1000.0, failing)
    timer.start()
    raised = []
    reports = reported(lambda: raised.append(message(loop.start, ev.EVRUN_NOWAIT)))
    return [raised, reports]


@case
def loop_callback_may_be_stopped(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()

    def callback(loop):
        seen.append("called")
        loop.stop()

    loop.callback = callback
    return [loop.start(), len(seen) > 0]


@case
def loop_callback_may_invoke_in_another_thread(ev):
    loop, seen = ev.Loop(), []

    def callback(loop):
        thread = threading.Thread(target=loop.invoke)
        thread.start()
        thread.join()

    def in_a_thread(watcher, revents):
        seen.append(threading.current_thread() is threading.main_thread())

    timer = loop.timer(0.0, 0.0, in_a_thread)
    timer.start()
    loop.callback = callback
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def loop_callback_types(ev):
    loop = ev.Loop()
    results = [error(setattr, loop, "callback", 1), loop.callback]
    loop.callback = len
    results.append(loop.callback is len)
    loop.callback = None
    return [*results, loop.callback]


@case
def loop_callback_set_in_a_callback(ev):
    loop, seen = ev.Loop(), []

    def loop_callback(loop):
        seen.append("loop")
        loop.callback = None
        loop.invoke()

    def callback(watcher, revents):
        seen.append("timer")
        loop.callback = loop_callback

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    loop.start(ev.EVRUN_NOWAIT)
    return [seen, loop.callback]


# -- intervals -------------------------------------------------------------------------


@case
def intervals(ev):
    loop = ev.Loop()
    loop.io_interval, loop.timeout_interval = 0.5, 2
    return [loop.io_interval, loop.timeout_interval]


@case
def intervals_checked(ev):
    loop = ev.Loop()
    results = []
    for name in ("io_interval", "timeout_interval"):
        results += [error(setattr, loop, name, value) for value in (-1.0, "1", None)]
        results.append(getattr(loop, name))
    return results


@case
def intervals_not_finite(ev):
    loop = ev.Loop()
    return [
        error(setattr, loop, name, value)
        for name in ("io_interval", "timeout_interval")
        for value in (math.nan, math.inf)
    ]


@case
def intervals_delay_io(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.io(readable(), ev.EV_READ, namer(seen, "io"))
    watcher.start()
    loop.io_interval = 0.2
    loop.start(ev.EVRUN_ONCE)
    before = time.monotonic()
    loop.start(ev.EVRUN_ONCE)
    return [seen, time.monotonic() - before > 0.02]


@case
def intervals_delay_timeouts(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.001, 0.0, namer(seen, "timer"))
    loop.timeout_interval = 0.1
    before = time.monotonic()
    timer.start()
    loop.start(ev.EVRUN_ONCE)
    return [seen, time.monotonic() - before > 0.05]


# -- factories -------------------------------------------------------------------------


@case
def factories_return_watchers(ev):
    loop, args = ev.default_loop(), arguments(ev)
    results = {}
    for kind in KINDS:
        watcher = getattr(loop, kind)(*args.get(kind, ()), nothing, "data", 1)
        results[kind] = [
            type(watcher).__name__,
            watcher.loop is loop,
            watcher.callback is nothing,
            watcher.data,
            watcher.priority,
            watcher.active,
            watcher.pending,
        ]
    return results


@case
def factories_defaults(ev):
    loop, args = ev.default_loop(), arguments(ev)
    made = [getattr(loop, kind)(*args.get(kind, ()), nothing) for kind in KINDS]
    return [[watcher.data, watcher.priority] for watcher in made]


@case
def factories_take_no_keywords(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return [
        error(getattr(loop, kind), *args.get(kind, ()), callback=nothing)
        for kind in KINDS
        if kind not in ("embed", "scheduler")
    ]


@case
def factories_take_no_data_keyword(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return [
        error(getattr(loop, kind), *args.get(kind, ()), nothing, data=1)
        for kind in KINDS
    ]


@case
def factories_count_their_arguments(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return [
        [
            error(getattr(loop, kind)),
            error(getattr(loop, kind), *args.get(kind, ()), nothing, 1, 0, 0),
        ]
        for kind in KINDS
    ]


@case
def factories_without_a_callback(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return {
        kind: error(getattr(loop, kind), *args.get(kind, ()))
        for kind in KINDS
        if kind != "scheduler"
    }


# -- all watchers ----------------------------------------------------------------------


@case
def watcher_arguments_by_position(ev):
    loop, args = ev.default_loop(), arguments(ev)
    results = {}
    for kind in KINDS:
        cls = getattr(ev, kind.title())
        watcher = cls(*args.get(kind, ()), loop, nothing, "data", -2)
        results[kind] = [watcher.loop is loop, watcher.data, watcher.priority]
    return results


NAMES = {
    "io": ("fd", "events"),
    "timer": ("after", "repeat"),
    "periodic": ("offset", "interval"),
    "signal": ("signum",),
    "child": ("pid", "trace"),
    "embed": ("other",),
}


@case
def watcher_arguments_by_keyword(ev):
    loop, args = ev.default_loop(), arguments(ev)
    results = {}
    for kind in KINDS:
        if kind == "scheduler":
            continue
        keywords = dict(zip(NAMES.get(kind, ()), args.get(kind, ())))
        cls = getattr(ev, kind.title())
        watcher = cls(**keywords, loop=loop, callback=nothing, data="data", priority=-2)
        results[kind] = [
            watcher.loop is loop,
            watcher.callback is nothing,
            watcher.data,
            watcher.priority,
        ]
    return results


@case
def watcher_arguments_by_position_and_keyword(ev):
    loop = ev.Loop()
    watcher = ev.Timer(1.0, 2.0, loop, nothing, priority=1, data="data")
    return [watcher.repeat, watcher.priority, watcher.data]


@case
def watcher_unknown_keyword(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return [
        error(getattr(ev, kind.title()), *args.get(kind, ()), loop, nothing, nonsense=1)
        for kind in KINDS
        if kind != "scheduler"
    ]


@case
def watcher_loop_must_be_a_loop(ev):
    args = arguments(ev)
    return [
        error(getattr(ev, kind.title()), *args.get(kind, ()), loop, nothing)
        for kind in KINDS
        for loop in (None, 1, "loop")
        if kind != "scheduler"
    ]


@case
def watcher_callback_must_be_callable(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return {
        kind: [
            error(getattr(ev, kind.title()), *args.get(kind, ()), loop, callback)
            for callback in ("callback", 1)
        ]
        for kind in KINDS
        if kind != "scheduler"
    }


@case
def watcher_callback_of_none(ev):
    loop, args = ev.default_loop(), arguments(ev)
    return {
        kind: error(getattr(ev, kind.title()), *args.get(kind, ()), loop, None)
        for kind in KINDS
        if kind != "scheduler"
    }


@case
def watcher_callback_attribute(ev):
    results = {}
    for kind, watcher in watchers(ev).items():
        refused = error(setattr, watcher, "callback", 1)
        kept = watcher.callback is nothing
        watcher.callback = len
        results[kind] = [refused, kept, watcher.callback is len]
    return results


@case
def watcher_callback_may_be_exchanged_while_active(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.io(readable(), ev.EV_READ, namer(seen, "first"))
    watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    watcher.callback = namer(seen, "second")
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_callback_gets(ev):
    seen = []
    watcher = ev.Loop().timer(1.0, 0.0, lambda *args: seen.append(args))
    watcher.invoke(ev.EV_CUSTOM)
    args = seen[0]
    return [len(args), args[0] is watcher, args[1] == ev.EV_CUSTOM]


@case
def watcher_callback_result_does_not_matter(ev):
    return [
        reported(ev.Loop().timer(0, 0, lambda *args, result=result: result).invoke, 1)
        for result in (None, True, "text")
    ]


@case
def watcher_is_hashable_and_equal_to_itself(ev):
    all_watchers = list(watchers(ev).values())
    others = list(watchers(ev).values())
    return [
        len({*all_watchers, *others}) == 2 * len(KINDS),
        [w == w for w in all_watchers],
        [a == b for a, b in zip(all_watchers, others)],
    ]


@case
def watcher_truth_value(ev):
    return [bool(watcher) for watcher in watchers(ev).values()]


@case
def watcher_data(ev):
    results = []
    for watcher in watchers(ev).values():
        watcher.data = {"a": 1}
        results.append(watcher.data)
    return results


@case
def watcher_attributes_are_read_only(ev):
    names = {
        "io": ("fd", "events"),
        "timer": ("remaining",),
        "periodic": ("at",),
        "scheduler": ("at",),
        "signal": ("signum",),
        "child": ("pid",),
        "embed": ("other",),
        "async": ("sent",),
    }
    return {
        kind: [
            error(setattr, watcher, name, 1)
            for name in ("loop", "active", "pending", *names.get(kind, ()))
        ]
        for kind, watcher in watchers(ev).items()
    }


@case
def watcher_attributes_cannot_be_deleted(ev):
    names = {
        "io": ("fd", "events"),
        "timer": ("repeat", "remaining"),
        "periodic": ("offset", "interval", "at"),
        "scheduler": ("reschedule", "at"),
        "signal": ("signum",),
        "child": ("pid", "rpid", "rstatus"),
        "embed": ("other",),
        "async": ("sent",),
    }
    common = ["loop", "callback", "data", "priority", "active", "pending"]
    return [
        [kind, name]
        for kind, watcher in watchers(ev).items()
        for name in (*common, *names.get(kind, ()))
        if error(delattr, watcher, name) not in ("TypeError", "AttributeError")
    ]


@case
def watcher_own_attributes(ev):
    return error(setattr, ev.Loop().timer(0, 0, nothing), "mine", 1)


@case
def watcher_weak_reference(ev):
    return error(weakref.ref, ev.Loop().timer(0, 0, nothing))


@case
def watcher_pickle(ev):
    return error(pickle.dumps, ev.Loop().timer(0, 0, nothing), 2)


@case
def watcher_start_and_stop_twice(ev):
    results = {}
    for kind, watcher in watchers(ev).items():
        steps = [watcher.start(), watcher.active, watcher.start(), watcher.active]
        steps += [watcher.stop(), watcher.active, watcher.stop(), watcher.active]
        results[kind] = steps
    return results


@case
def watcher_stop_before_start(ev):
    return [watcher.stop() for watcher in watchers(ev).values()]


@case
def watcher_started_twice_is_stopped_once(ev):
    loop = ev.Loop()
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    timer.start()
    timer.stop()
    return loop.start()


@case
def watcher_stop_clears_the_pending_event(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1.0, 0.0, namer(seen, "timer"))
    timer.feed(ev.EV_TIMER)
    pending = timer.pending
    timer.stop()
    loop.invoke()
    return [pending, timer.pending, seen]


@case
def watcher_stopped_by_an_earlier_callback(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        second.stop()

    second = loop.timer(0.0, 0.0, namer(seen, "second"))
    starter = loop.timer(-1.0, 0.0, first)
    third = loop.timer(0.0, 0.0, namer(seen, "third"))
    for timer in (starter, second, third):
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_cleared_by_an_earlier_callback(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append([second.pending, second.clear() == ev.EV_TIMER, second.pending])

    starter = loop.timer(-1.0, 0.0, first)
    second = loop.timer(0.0, 0.0, namer(seen, "second"))
    third = loop.timer(0.0, 0.0, namer(seen, "third"))
    for timer in (starter, second, third):
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_stopped_and_started_by_an_earlier_callback(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        second.stop()
        second.start()

    starter = loop.io(readable(), ev.EV_READ, first, None, 1)
    second = loop.io(readable(), ev.EV_READ, namer(seen, "second"))
    for watcher in (starter, second):
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    starter.stop()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_reset_by_an_earlier_callback(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        second.reset()

    starter = loop.timer(-1.0, 0.0, first)
    second = loop.timer(0.0, 1000.0, namer(seen, "second"))
    for timer in (starter, second):
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return [seen, second.active, second.remaining > 900]


@case
def watcher_fed_with_a_higher_priority_comes_first(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        high.feed(ev.EV_CUSTOM)

    starter = loop.timer(-9.0, 0.0, first)
    rest = [loop.timer(i - 5.0, 0.0, namer(seen, f"rest {i}")) for i in range(2)]
    high = loop.timer(1000.0, 0.0, namer(seen, "high"), None, 2)
    for timer in (starter, *rest):
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_fed_with_the_same_priority(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        other.feed(ev.EV_CUSTOM)

    starter = loop.timer(-9.0, 0.0, first)
    rest = [loop.timer(i - 5.0, 0.0, namer(seen, f"rest {i}")) for i in range(2)]
    other = loop.timer(1000.0, 0.0, namer(seen, "fed"))
    for timer in (starter, *rest):
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_fed_with_a_lower_priority_comes_last(ev):
    loop, seen = ev.Loop(), []

    def first(watcher, revents):
        seen.append("first")
        low.feed(ev.EV_CUSTOM)

    starter = loop.timer(-1.0, 0.0, first)
    rest = loop.timer(0.0, 0.0, namer(seen, "rest"))
    low = loop.timer(1000.0, 0.0, namer(seen, "low"), None, -2)
    for timer in (starter, rest):
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_fed_in_its_own_callback(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append(revents == ev.EV_CUSTOM)
        if len(seen) < 3:
            watcher.feed(ev.EV_CUSTOM)

    timer = loop.timer(1000.0, 0.0, callback)
    timer.feed(ev.EV_CUSTOM)
    loop.invoke()
    return seen


@case
def watcher_fed_twice_is_called_once(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, revents_to(seen))
    timer.feed(ev.EV_TIMER)
    timer.feed(ev.EV_CUSTOM)
    loop.invoke()
    return seen == [ev.EV_TIMER | ev.EV_CUSTOM]


@case
def watcher_fed_is_delivered_by_start(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, namer(seen, "fed"))
    timer.feed(ev.EV_CUSTOM)
    return [loop.start(), seen, timer.active, timer.pending]


@case
def watcher_feed_and_clear(ev):
    results = {}
    for kind, watcher in watchers(ev).items():
        steps = [watcher.clear(), watcher.feed(ev.EV_CUSTOM), watcher.pending]
        steps += [watcher.clear() == ev.EV_CUSTOM, watcher.pending, watcher.clear()]
        results[kind] = steps
    return results


@case
def watcher_feed_arguments(ev):
    timer = ev.Loop().timer(1.0, 0.0, nothing)
    results = []
    for method in (timer.feed, timer.invoke):
        results += [error(method), error(method, "1"), error(method, None)]
        results += [error(method, 1.5), error(method, 2**40)]
        results.append(error(method, revents=1))
    return [results, timer.pending]


@case
def watcher_invoke(ev):
    results = {}
    for kind in KINDS:
        seen = []
        watcher = watchers(ev, revents_to(seen))[kind]
        results[kind] = [watcher.invoke(ev.EV_CUSTOM), seen == [ev.EV_CUSTOM]]
    return results


@case
def watcher_invoke_leaves_the_pending_event(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1.0, 0.0, revents_to(seen))
    timer.feed(ev.EV_TIMER)
    timer.invoke(ev.EV_CUSTOM)
    pending = timer.pending
    loop.invoke()
    return [pending, seen == [ev.EV_CUSTOM, ev.EV_TIMER]]


@case
def watcher_pending_is_false_in_its_callback(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append([watcher.active, watcher.pending, loop.pending])

    timers = [loop.timer(0.0, 0.0, callback) for _ in range(3)]
    for timer in timers:
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def watcher_methods_take_no_arguments(ev):
    return [
        error(getattr(watcher, name), 1)
        for watcher in watchers(ev).values()
        for name in ("start", "stop", "clear")
    ]


SETTINGS = {
    "io": ((0, 2), (-1, 1), ("1", 1), (0, "1")),
    "timer": ((5.0, 6.0), (1.0, -1.0), ("1", 1.0), (1.0, None)),
    "periodic": ((1.0, 100.0), (1.0, -1.0), (2.0, 1.0), ("1", 1.0)),
    "signal": ((signal.SIGUSR2,), ("1",), (None,), (1.5,)),
    "child": ((1, True), ("1", True), (None, True), (1.5, True)),
}
STATE = {
    "io": lambda w: [w.events & 3],
    "timer": lambda w: [round(w.remaining), w.repeat],
    "periodic": lambda w: [w.offset, w.interval],
    "signal": lambda w: [w.signum],
    "child": lambda w: [w.pid == os.getpid()],
    "embed": lambda w: [],
}


@case
def set_configures(ev):
    all_watchers = watchers(ev)
    results = {}
    for kind, (good, *_) in SETTINGS.items():
        watcher = all_watchers[kind]
        results[kind] = [watcher.set(*good), STATE[kind](watcher)]
    return results


@case
def set_that_fails_changes_nothing(ev):
    all_watchers = watchers(ev)
    results = {}
    for kind, (_, *bad) in SETTINGS.items():
        watcher = all_watchers[kind]
        errors = [error(watcher.set, *args) for args in bad]
        results[kind] = [errors, STATE[kind](watcher)]
    return results


@case
def set_while_active(ev):
    all_watchers = watchers(ev)
    results = {}
    for kind, (good, *_) in SETTINGS.items():
        watcher = all_watchers[kind]
        watcher.start()
        results[kind] = [error(watcher.set, *good), STATE[kind](watcher)]
        watcher.stop()
    return results


@case
def set_while_pending(ev):
    all_watchers = watchers(ev)
    results = {}
    for kind, (good, *_) in SETTINGS.items():
        watcher = all_watchers[kind]
        watcher.feed(ev.EV_CUSTOM)
        results[kind] = [error(watcher.set, *good), watcher.pending]
        watcher.stop()
    return results


@case
def set_takes_no_keywords(ev):
    all_watchers = watchers(ev)
    return {
        kind: error(all_watchers[kind].set, **dict(zip(NAMES[kind], good)))
        for kind, (good, *_) in SETTINGS.items()
    }


@case
def set_counts_its_arguments(ev):
    all_watchers = watchers(ev)
    return {
        kind: [error(all_watchers[kind].set), error(all_watchers[kind].set, 1, 2, 3)]
        for kind in NAMES
    }


@case
def set_is_missing_where_there_is_nothing_to_set(ev):
    all_watchers = watchers(ev)
    return [hasattr(all_watchers[kind], "set") for kind in KINDS if kind not in NAMES]


@case
def init_again(ev):
    loop, other = ev.Loop(), ev.Loop()
    timer = ev.Timer(1.0, 2.0, loop, nothing, "data", 1)
    timer.__init__(3.0, 4.0, other, len)
    return [
        timer.loop is other,
        timer.callback is len,
        timer.data,
        timer.priority,
        timer.remaining,
        timer.repeat,
    ]


@case
def init_again_while_active(ev):
    args = arguments(ev)
    results = {}
    for kind, watcher in watchers(ev).items():
        watcher.start()
        loop = watcher.loop
        results[kind] = error(watcher.__init__, *args.get(kind, ()), loop, nothing)
        watcher.stop()
    return results


@case
def init_again_while_pending(ev):
    loop = ev.Loop()
    timer = loop.timer(1.0, 2.0, nothing)
    timer.feed(ev.EV_CUSTOM)
    refused = error(timer.__init__, 1.0, 2.0, loop, nothing)
    return [refused, timer.pending]


@case
def init_never_called(ev):
    class Lazy(ev.Timer):
        def __init__(self):
            pass

    return error(Lazy().start)


@case
def subclass(ev):
    results = {}
    args = arguments(ev)
    loop = ev.default_loop()
    for kind in KINDS:
        base = getattr(ev, kind.title())

        class Sub(base):
            def __init__(self, *args):
                super().__init__(*args)
                self.extra = "mine"

            def method(self):
                return self.extra

        watcher = Sub(*args.get(kind, ()), loop, nothing)
        results[kind] = [watcher.method(), watcher.active, isinstance(watcher, base)]
    return results


@case
def subclass_whose_method_is_the_callback(ev):
    class Ticker(ev.Timer):
        def __init__(self, loop):
            super().__init__(0.0, 0.0, loop, self.tick)
            self.ticks = 0

        def tick(self, watcher, revents):
            self.ticks += 1
            self.same = watcher is self

    loop = ev.Loop()
    ticker = Ticker(loop)
    ticker.start()
    loop.start()
    return [ticker.ticks, ticker.same]


@case
def watcher_dropped_while_active(ev):
    loop, seen = ev.Loop(), []
    loop.timer(0.0, 0.0, namer(seen, "timer")).start()
    gc.collect()
    loop.start()
    return seen


@case
def watcher_dropped_while_pending(ev):
    loop, seen = ev.Loop(), []
    loop.timer(1000.0, 0.0, namer(seen, "timer")).feed(ev.EV_CUSTOM)
    gc.collect()
    loop.invoke()
    return seen


@case
def watcher_keeps_its_loop(ev):
    seen = []
    timer = ev.Loop().timer(0.0, 0.0, namer(seen, "timer"))
    gc.collect()
    timer.start()
    timer.loop.start()
    return seen


# -- priorities ------------------------------------------------------------------------


@case
def priority_orders(ev):
    loop, seen = ev.Loop(), []
    timers = [
        loop.timer(0.0, 0.0, namer(seen, priority), None, priority)
        for priority in (0, 2, -2, 1, -1)
    ]
    for timer in timers:
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def priority_attribute(ev):
    timer = ev.Loop().timer(0.0, 0.0, nothing)
    results = [timer.priority]
    for priority in (2, -2, True, False):
        timer.priority = priority
        results.append(timer.priority)
    return results


class _Index:
    def __index__(self):
        return 1


@case
def priority_types(ev):
    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, nothing)
    timer.priority = _Index()
    results = [timer.priority, loop.timer(0.0, 0.0, nothing, None, _Index()).priority]
    for priority in (1.0, "1", None, 2**31, -(2**31) - 1, 2**70):
        results.append(error(setattr, timer, "priority", priority))
        results.append(error(loop.timer, 0.0, 0.0, nothing, None, priority))
    return [*results, timer.priority]


@case
def priority_is_clamped_by_start(ev):
    results = []
    for priority in (3, 100, 2**31 - 1, -3, -100, -(2**31)):
        loop = ev.Loop()
        timer = loop.timer(1000.0, 0.0, nothing, None, priority)
        timer.start()
        results.append(timer.priority)
    return results


@case
def priority_is_clamped_at_once(ev):
    timer = ev.Loop().timer(1000.0, 0.0, nothing, None, 100)
    timer.priority = -100
    return timer.priority


@case
def priority_while_active(ev):
    results = {}
    for kind, watcher in watchers(ev).items():
        watcher.start()
        results[kind] = [error(setattr, watcher, "priority", 1), watcher.priority]
        watcher.stop()
        watcher.priority = 1
        results[kind].append(watcher.priority)
    return results


@case
def priority_while_pending(ev):
    timer = ev.Loop().timer(1000.0, 0.0, nothing)
    timer.feed(ev.EV_CUSTOM)
    results = [error(setattr, timer, "priority", 1), timer.priority]
    timer.clear()
    timer.priority = 1
    return [*results, timer.priority]


@case
def priority_out_of_range_and_fed(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, namer(seen, "timer"), None, 1000000)
    timer.feed(ev.EV_CUSTOM)
    loop.invoke()
    return seen


# -- order within a priority ----------------------------------------------------------


@case
def order_fed_last_in_first_out(ev):
    loop, seen = ev.Loop(), []
    timers = [loop.timer(1.0, 0.0, namer(seen, i)) for i in range(4)]
    for timer in timers:
        timer.feed(ev.EV_CUSTOM)
    loop.invoke()
    return seen


def _order(ev, kind):
    loop, seen = ev.Loop(), []
    made = [getattr(loop, kind)(namer(seen, i)) for i in range(4)]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_prepare_last_in_first_out(ev):
    return _order(ev, "prepare")


@case
def order_check_last_in_first_out(ev):
    return _order(ev, "check")


@case
def order_idle_last_in_first_out(ev):
    return _order(ev, "idle")


@case
def order_fork_last_in_first_out(ev):
    loop, seen = ev.Loop(), []
    made = [loop.fork(namer(seen, i)) for i in range(4)]
    for watcher in made:
        watcher.start()
    loop.reset()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_async_first_in_first_out(ev):
    loop, seen = ev.Loop(), []
    made = [getattr(loop, "async")(namer(seen, i)) for i in range(4)]
    for watcher in made:
        watcher.start()
    for watcher in reversed(made):
        watcher.send()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_signal_first_in_first_out(ev):
    loop, seen = ev.Loop(), []
    made = [loop.signal(signal.SIGUSR1, namer(seen, i)) for i in range(4)]
    for watcher in made:
        watcher.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_signals(ev):
    loop, seen = ev.Loop(), []
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
    made = [loop.signal(number, namer(seen, int(number))) for number in numbers]
    for watcher in made:
        watcher.start()
    for number in numbers:
        os.kill(os.getpid(), number)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_io_of_one_descriptor_first_in_first_out(ev):
    loop, seen = ev.Loop(), []
    reader = readable()
    made = [loop.io(reader, ev.EV_READ, namer(seen, i)) for i in range(4)]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_timers_by_time(ev):
    loop, seen = ev.Loop(), []
    timers = [loop.timer(-float(i), 0.0, namer(seen, i)) for i in (2, 0, 3, 1)]
    for timer in timers:
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_timers_of_the_same_delay(ev):
    loop, seen = ev.Loop(), []
    timers = [loop.timer(0.0, 0.0, namer(seen, i)) for i in range(3)]
    for timer in timers:
        timer.start()
    ev.sleep(0.001)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_timers_of_the_same_delay_started_in_a_callback(ev):
    loop, seen = ev.Loop(), []
    timers = [loop.timer(0.0, 0.0, namer(seen, i)) for i in range(4)]

    def callback(watcher, revents):
        for timer in timers:
            timer.start()

    starter = loop.timer(0.0, 0.0, callback)
    starter.start()
    loop.start()
    return seen


@case
def order_io_of_several_descriptors(ev):
    loop, seen = ev.Loop(), []
    made = [loop.io(readable(), ev.EV_READ, namer(seen, i)) for i in range(4)]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_prepare_check_and_io(ev):
    loop, seen = ev.Loop(), []
    made = [
        loop.io(readable(), ev.EV_READ, namer(seen, "io")),
        loop.timer(0.0, 0.0, namer(seen, "timer")),
        loop.check(namer(seen, "check")),
        loop.idle(namer(seen, "idle")),
        loop.prepare(namer(seen, "prepare")),
    ]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    seen.append("-")
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def order_check_of_a_lower_priority(ev):
    loop, seen = ev.Loop(), []
    made = [
        loop.io(readable(), ev.EV_READ, namer(seen, "io")),
        loop.check(namer(seen, "check"), None, -1),
    ]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


# -- Io --------------------------------------------------------------------------------


@case
def io_masks(ev):
    loop = ev.Loop()
    results = []
    reader, writer = os.pipe()
    for fd, events in ((reader, ev.EV_READ), (writer, ev.EV_WRITE)):
        seen = []
        watcher = loop.io(fd, events, revents_to(seen))
        watcher.start()
        loop.start(ev.EVRUN_NOWAIT)
        watcher.stop()
        results.append(seen)
    return results


@case
def io_read_and_write(ev):
    import socket

    loop, seen = ev.Loop(), []
    left, right = socket.socketpair()
    watcher = loop.io(left, ev.EV_READ | ev.EV_WRITE, revents_to(seen))
    watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    right.send(b"x")
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def io_is_level_triggered(ev):
    loop, seen = ev.Loop(), []
    reader = readable()
    watcher = loop.io(reader, ev.EV_READ, namer(seen, "io"))
    watcher.start()
    for _ in range(3):
        loop.start(ev.EVRUN_NOWAIT)
    os.read(reader, 1)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def io_end_of_file_is_readable(ev):
    loop, seen = ev.Loop(), []
    reader, writer = os.pipe()
    watcher = loop.io(reader, ev.EV_READ, revents_to(seen))
    watcher.start()
    os.close(writer)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def io_two_watchers_of_one_descriptor(ev):
    import socket

    loop, seen = ev.Loop(), []
    left, right = socket.socketpair()
    right.send(b"x")
    one = loop.io(left, ev.EV_READ, namer(seen, "read"))
    two = loop.io(left, ev.EV_WRITE, namer(seen, "write"))
    one.start()
    two.start()
    loop.start(ev.EVRUN_NOWAIT)
    return sorted(seen)


@case
def io_of_a_regular_file(ev):
    loop, seen = ev.Loop(), []
    with open(__file__) as file:
        watcher = loop.io(file, ev.EV_READ, revents_to(seen))
        watcher.start()
        loop.start(ev.EVRUN_NOWAIT)
        watcher.stop()
    return seen


@case
def io_attributes(ev):
    loop = ev.Loop()
    reader = readable()
    watcher = loop.io(reader, ev.EV_READ, nothing)
    watcher.start()
    return [watcher.fd == reader, watcher.events]


@case
def io_events_before_start(ev):
    return ev.Loop().io(readable(), ev.EV_READ, nothing).events


class _File:
    def __init__(self, number):
        self.number = number

    def fileno(self):
        if isinstance(self.number, Exception):
            raise self.number
        return self.number


@case
def io_descriptors(ev):
    loop = ev.Loop()
    reader = readable()
    return [
        loop.io(fd, ev.EV_READ, nothing).fd == reader
        for fd in (reader, _File(reader), os.fdopen(reader, "rb"))
    ]


@case
def io_descriptors_of_other_types(ev):
    loop = ev.Loop()
    wrong = (-1, 2**31, 2**70, "1", None, 1.0, _File("1"), _File(-1), _File(1.0))
    wrong += (_File(2**31), _File(KeyError("TEST")), object())
    return [error(loop.io, fd, ev.EV_READ, nothing) for fd in wrong]


@case
def io_events_of_other_types(ev):
    loop = ev.Loop()
    reader = readable()
    wrong = ("1", None, 1.0, 2**40)
    return [error(loop.io, reader, events, nothing) for events in wrong]


@case
def io_events_of_other_masks(ev):
    loop = ev.Loop()
    reader = readable()
    return [error(loop.io, reader, events, nothing) for events in (0, 4, 0x80, -1)]


@ndebug
def io_descriptor_closed_before_start(ev):
    reader, _writer = os.pipe()
    watcher = ev.Loop().io(reader, ev.EV_READ, nothing)
    os.close(reader)
    return error(watcher.start)


@case
def io_descriptor_closed_before_init(ev):
    reader, _writer = os.pipe()
    os.close(reader)
    return error(ev.Loop().io, reader, ev.EV_READ, nothing)


@ndebug
def io_descriptor_closed_while_active(ev):
    loop, seen = ev.Loop(), []
    # So that nothing opened by the first iteration gets the descriptor's number.
    loop.start(ev.EVRUN_NOWAIT)
    reader, _writer = os.pipe()
    watcher = loop.io(reader, ev.EV_READ, namer(seen, "io"))
    watcher.start()
    os.close(reader)
    return [error(loop.start, ev.EVRUN_NOWAIT), watcher.active, seen]


@case
def io_descriptor_closed_then_stopped(ev):
    loop = ev.Loop()
    reader = readable()
    watcher = loop.io(reader, ev.EV_READ, nothing)
    watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    os.close(reader)
    watcher.stop()
    return [watcher.active, loop.start()]


@case
def io_set_in_its_own_callback(ev):
    import socket

    loop, seen = ev.Loop(), []
    left, right = socket.socketpair()
    right.send(b"x")

    def callback(watcher, revents):
        seen.append(revents)
        watcher.stop()
        if len(seen) < 4:
            watcher.set(left, ev.EV_WRITE if revents == ev.EV_READ else ev.EV_READ)
            watcher.start()

    watcher = loop.io(left, ev.EV_READ, callback)
    watcher.start()
    return [loop.start(), seen, watcher.active, watcher.events & 3]


@case
def io_set_to_another_descriptor(ev):
    loop, seen = ev.Loop(), []
    first, second = readable(b"a"), readable(b"b")

    def callback(watcher, revents):
        seen.append(os.read(watcher.fd, 1).decode())
        watcher.stop()
        if watcher.fd == first:
            watcher.set(second, ev.EV_READ)
            watcher.start()

    watcher = loop.io(first, ev.EV_READ, callback)
    watcher.start()
    loop.start()
    return seen


@case
def io_restarted(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.io(readable(), ev.EV_READ, namer(seen, "io"))
    for _ in range(3):
        watcher.start()
        loop.start(ev.EVRUN_NOWAIT)
        watcher.stop()
        loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def io_many(ev):
    loop, seen = ev.Loop(), []
    readers = [readable() for _ in range(50)]
    made = [loop.io(fd, ev.EV_READ, once(seen, fd)) for fd in readers]
    for watcher in made:
        watcher.start()
    loop.start()
    return sorted(seen) == sorted(readers)


# -- Timer -----------------------------------------------------------------------------


@case
def timer_at_once(ev):
    results = []
    for after in (0.0, -1.0, 0, -1e9):
        loop, seen = ev.Loop(), []
        timer = loop.timer(after, 0.0, revents_to(seen))
        timer.start()
        results.append([loop.start(ev.EVRUN_NOWAIT), seen, timer.active])
    return results


@case
def timer_repeats(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append(watcher.active)
        if len(seen) == 3:
            watcher.stop()

    timer = loop.timer(0.0, 0.001, callback)
    timer.start()
    return [loop.start(), seen]


@case
def timer_does_not_drift(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.01, 1000.0, lambda watcher, _: seen.append(watcher.remaining))
    timer.start()
    ev.sleep(0.05)
    loop.start(ev.EVRUN_NOWAIT)
    return [len(seen), 900 < seen[0] < 999.97]


@case
def timer_fires_once_per_iteration(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.001, 0.001, namer(seen, "timer"))
    timer.start()
    ev.sleep(0.02)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def timer_arguments(ev):
    loop = ev.Loop()
    return [
        error(loop.timer, "1", 0.0, nothing),
        error(loop.timer, 1.0, None, nothing),
        error(loop.timer, 1.0, -1.0, nothing),
        error(loop.timer, 1, 2, nothing),
        loop.timer(1, 2, nothing).repeat,
    ]


@case
def timer_not_finite(ev):
    loop = ev.Loop()
    return [
        error(loop.timer, after, repeat, nothing)
        for after, repeat in (
            (math.nan, 0.0),
            (math.inf, 0.0),
            (-math.inf, 0.0),
            (0.0, math.nan),
            (0.0, math.inf),
        )
    ]


@case
def timer_remaining(ev):
    loop = ev.Loop()
    timer = loop.timer(500.0, 700.0, nothing)
    results = [timer.remaining]
    timer.start()
    results.append(499.0 < timer.remaining < 500.1)
    ev.sleep(0.02)
    loop.update()
    results.append(400.0 < timer.remaining < 499.99)
    return results


@case
def timer_remaining_after_it_fired(ev):
    loop = ev.Loop()
    timer = loop.timer(0.0, 700.0, nothing)
    timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return 600.0 < timer.remaining < 700.1


@case
def timer_repeat_attribute(ev):
    loop = ev.Loop()
    timer = loop.timer(1.0, 2.0, nothing)
    results = [timer.repeat]
    timer.repeat = 5
    results.append(timer.repeat)
    for value in (-1.0, "1", None):
        results.append(error(setattr, timer, "repeat", value))
    return [*results, timer.repeat]


@case
def timer_repeat_is_used_next_time(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 1.0, namer(seen, "timer"))
    timer.start()
    timer.repeat = 1000.0
    loop.start(ev.EVRUN_NOWAIT)
    results = [seen[:], timer.remaining > 900]
    timer.repeat = 0.0
    timer.reset()
    return [*results, timer.active]


@case
def timer_repeat_set_to_zero_while_active(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 0.001, namer(seen, "timer"))
    timer.start()
    timer.repeat = 0.0
    return [loop.start(), seen]


@case
def timer_repeat_not_finite(ev):
    timer = ev.Loop().timer(1.0, 2.0, nothing)
    return [error(setattr, timer, "repeat", value) for value in (math.nan, math.inf)]


@case
def timer_reset_of_a_pending_one(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, namer(seen, "timer"))
    timer.feed(ev.EV_TIMER)
    results = [timer.pending, timer.reset(), timer.pending, timer.active]
    loop.invoke()
    return [*results, seen]


@case
def timer_reset_of_an_active_one_that_does_not_repeat(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, namer(seen, "timer"))
    timer.start()
    timer.reset()
    return [timer.active, loop.start(), seen]


@case
def timer_reset_of_an_active_one_that_repeats(ev):
    loop = ev.Loop()
    timer = loop.timer(5.0, 1000.0, nothing)
    timer.start()
    timer.reset()
    return [timer.active, timer.remaining > 900]


@case
def timer_reset_of_an_inactive_one_that_repeats(ev):
    loop = ev.Loop()
    timer = loop.timer(5.0, 1000.0, nothing)
    timer.reset()
    return [timer.active, timer.remaining > 900, loop.start(ev.EVRUN_NOWAIT)]


@case
def timer_reset_of_an_inactive_one_that_does_not_repeat(ev):
    loop = ev.Loop()
    timer = loop.timer(5.0, 0.0, nothing)
    timer.reset()
    return [timer.active, timer.remaining, loop.start()]


@case
def timer_reset_in_its_own_callback(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append("timer")
        watcher.repeat = 0.001
        if len(seen) < 3:
            watcher.reset()
        else:
            watcher.stop()

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    return [loop.start(), seen]


@case
def timer_stopped_and_started_resumes(ev):
    loop = ev.Loop()
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    ev.sleep(0.03)
    loop.update()
    timer.stop()
    stopped = timer.remaining
    timer.start()
    return [900 < stopped < 999.98, abs(timer.remaining - stopped) < 0.001]


@case
def timer_fired_and_started_again_fires_at_once(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.05, 0.0, namer(seen, "timer"))
    timer.start()
    loop.start()
    timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def timer_set_after_it_fired(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append("timer")
        if len(seen) < 3:
            watcher.set(0.001, 0.0)
            watcher.start()

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    return [loop.start(), seen]


@case
def timer_start_outside_updates_the_time(ev):
    loop = ev.Loop()
    before = loop.now()
    ev.sleep(0.01)
    loop.timer(1000.0, 0.0, nothing).start()
    return loop.now() > before


@case
def timer_start_in_a_callback_counts_from_the_loops_time(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        ev.sleep(0.01)
        before = loop.now()
        other.start()
        seen.append([loop.now() == before, abs(other.remaining - 1000.0) < 1e-3])

    timer = loop.timer(0.0, 0.0, callback)
    other = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


# -- Periodic --------------------------------------------------------------------------


@case
def periodic_absolute(ev):
    loop, seen = ev.Loop(), []
    past = loop.periodic(loop.now(), 0.0, namer(seen, "past"))
    future = loop.periodic(loop.now() + 1000.0, 0.0, namer(seen, "future"))
    for watcher in (past, future):
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return [seen, past.active, future.active, past.offset == past.at]


@case
def periodic_absolute_event(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.periodic(0.0, 0.0, revents_to(seen))
    watcher.start()
    return [loop.start(), seen == [ev.EV_PERIODIC]]


@case
def periodic_absolute_may_be_negative(ev):
    return ev.Loop().periodic(-1.0, 0.0, nothing).offset


@case
def periodic_interval(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.periodic(0.0, 0.005, once(seen, "periodic"))
    watcher.start()
    return [loop.start(), seen]


@case
def periodic_interval_is_aligned(ev):
    loop = ev.Loop()
    results = []
    for offset, interval in ((0.0, 3600.0), (60.0, 3600.0), (3600.0, 3600.0)):
        watcher = loop.periodic(offset, interval, nothing)
        watcher.start()
        off = (watcher.at - offset) % interval
        results.append([watcher.at > loop.now() - 1.0, min(off, interval - off) < 1e-3])
        watcher.stop()
    return results


@case
def periodic_stays_active(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append(watcher.active)
        if len(seen) == 3:
            watcher.stop()

    watcher = loop.periodic(0.0, 0.002, callback)
    watcher.start()
    loop.start()
    return seen


@case
def periodic_checks(ev):
    loop = ev.Loop()
    return [
        error(loop.periodic, *args, nothing)
        for args in (
            (0.0, -1.0),
            (-1.0, 1.0),
            (2.0, 1.0),
            (1.0, 1.0),
            ("1", 1.0),
            (1.0, None),
        )
    ]


@case
def periodic_tiny_interval(ev):
    return error(ev.Loop().periodic, 0.0, 1e-5, nothing)


@case
def periodic_not_finite(ev):
    loop = ev.Loop()
    return [
        error(loop.periodic, *args, nothing)
        for args in (
            (math.nan, 0.0),
            (math.inf, 0.0),
            (0.0, math.nan),
            (0.0, math.inf),
        )
    ]


@case
def periodic_attributes(ev):
    loop = ev.Loop()
    watcher = loop.periodic(5.0, 100.0, nothing)
    results = [watcher.offset, watcher.interval]
    watcher.offset, watcher.interval = 6, 200
    results += [watcher.offset, watcher.interval]
    for name, value in (
        ("offset", -1.0),
        ("offset", 201.0),
        ("offset", "1"),
        ("interval", -1.0),
        ("interval", 5.0),
        ("interval", None),
    ):
        results.append(error(setattr, watcher, name, value))
    watcher.interval = 0.0
    watcher.offset = -5.0
    return [*results, watcher.offset, watcher.interval]


@case
def periodic_attributes_while_active(ev):
    loop = ev.Loop()
    watcher = loop.periodic(0.0, 100000.0, nothing)
    watcher.start()
    before = watcher.at
    watcher.interval = 10.0
    kept = watcher.at == before
    watcher.reset()
    return [kept, watcher.at <= loop.now() + 10.5, watcher.active]


@case
def periodic_at_before_start(ev):
    return ev.Loop().periodic(0.0, 0.0, nothing).at


@case
def periodic_reset_of_an_inactive_one(ev):
    loop = ev.Loop()
    watcher = loop.periodic(0.0, 1000.0, nothing)
    return [watcher.reset(), watcher.active, watcher.at > loop.now() - 1]


@case
def periodic_at_of_a_stopped_one(ev):
    loop = ev.Loop()
    watcher = loop.periodic(loop.now() + 1000.0, 0.0, nothing)
    watcher.start()
    at = watcher.at
    watcher.stop()
    return [watcher.at == at, watcher.offset == at]


# -- Scheduler -------------------------------------------------------------------------


def later(watcher, now):
    """A scheduler."""
    return now + 1000.0


@case
def scheduler_is_asked(ev):
    loop, seen = ev.Loop(), []

    def scheduler(*args):
        seen.append([len(args), args[0] is watcher, type(args[1]).__name__])
        return args[1] + 1000.0

    watcher = loop.scheduler(scheduler, nothing)
    before = len(seen)
    watcher.start()
    return [before, seen, watcher.active, watcher.at > loop.now() + 900.0]


@case
def scheduler_fires(ev):
    loop, seen = ev.Loop(), []

    def scheduler(watcher, now):
        seen.append("scheduler")
        return now if len(seen) < 4 else now + 1000.0

    watcher = loop.scheduler(scheduler, namer(seen, "callback"))
    watcher.start()
    for _ in range(3):
        loop.start(ev.EVRUN_NOWAIT)
    return [seen, watcher.active]


@case
def scheduler_event(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.scheduler(
        lambda watcher, now: now + 1000.0 * len(seen),
        lambda *args: seen.append(args[1]),
    )
    watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return [seen[0] == ev.EV_PERIODIC]


@case
def scheduler_may_return_an_int(ev):
    loop = ev.Loop()
    watcher = loop.scheduler(lambda watcher, now: int(now) + 1000, nothing)
    watcher.start()
    return [watcher.active, watcher.at == int(watcher.at)]


@case
def scheduler_positional_arguments(ev):
    loop = ev.Loop()
    watcher = ev.Scheduler(later, loop, nothing, "data", 1)
    return [watcher.callback is nothing, watcher.data, watcher.priority]


@case
def scheduler_keyword_reschedule(ev):
    return error(ev.Scheduler, reschedule=later, loop=ev.Loop(), callback=nothing)


@case
def scheduler_keyword_scheduler(ev):
    return error(ev.Scheduler, scheduler=later, loop=ev.Loop(), callback=nothing)


@case
def scheduler_keywords_of_the_rest(ev):
    watcher = ev.Scheduler(later, loop=ev.Loop(), callback=nothing, data=1, priority=2)
    return [watcher.callback is nothing, watcher.data, watcher.priority]


@case
def scheduler_attribute_reschedule(ev):
    watcher = ev.Loop().scheduler(later, nothing)
    results = [watcher.reschedule is later]
    for value in (1, None, "later"):
        results.append(error(setattr, watcher, "reschedule", value))
    watcher.reschedule = len
    return [*results, watcher.reschedule is len]


@case
def scheduler_attribute_scheduler(ev):
    return hasattr(ev.Loop().scheduler(later, nothing), "scheduler")


@case
def scheduler_loop_must_be_a_loop(ev):
    return error(ev.Scheduler, later, None, nothing)


@case
def scheduler_unknown_keyword(ev):
    return error(ev.Scheduler, later, ev.Loop(), nothing, nonsense=1)


@case
def scheduler_callback_must_be_callable(ev):
    return error(ev.Scheduler, later, ev.Loop(), "callback")


@case
def scheduler_must_be_callable(ev):
    return [error(ev.Loop().scheduler, value, nothing) for value in (1, None, "later")]


@case
def scheduler_without_a_callback(ev):
    return [error(ev.Loop().scheduler, later), error(ev.Scheduler, later, ev.Loop())]


@case
def scheduler_with_a_callback_of_none(ev):
    return error(ev.Loop().scheduler, later, None)


@case
def scheduler_reset(ev):
    loop, seen = ev.Loop(), []

    def scheduler(watcher, now):
        seen.append("asked")
        return now + 1000.0

    watcher = loop.scheduler(scheduler, nothing)
    results = [watcher.reset(), watcher.active, len(seen)]
    watcher.reset()
    return [*results, watcher.active, len(seen)]


@case
def scheduler_exchanged_while_active(ev):
    loop = ev.Loop()
    watcher = loop.scheduler(later, nothing)
    watcher.start()
    before = watcher.at
    watcher.reschedule = lambda watcher, now: now + 5000.0
    kept = watcher.at == before
    watcher.reset()
    return [kept, watcher.at > before + 3000.0]


def _failing(ev, scheduler):
    """What becomes of a Scheduler that fails at its start."""
    loop, seen = ev.Loop(), []
    watcher = loop.scheduler(scheduler, namer(seen, "callback"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def run():
            watcher.start()
            loop.start(ev.EVRUN_NOWAIT)

        reports = reported(run)
    categories = [warning.category.__name__ for warning in caught]
    return [reports, categories, watcher.active, seen]


@case
def scheduler_that_raises(ev):
    def scheduler(watcher, now):
        raise ValueError("TEST")

    return _failing(ev, scheduler)


@case
def scheduler_that_returns_the_past(ev):
    def scheduler(watcher, now):
        return now - 1.0

    return _failing(ev, scheduler)


@case
def scheduler_that_returns_no_number(ev):
    def scheduler(watcher, now):
        return "soon"

    return _failing(ev, scheduler)


@case
def scheduler_that_returns_none(ev):
    def scheduler(watcher, now):
        return None

    return _failing(ev, scheduler)


@case
def scheduler_that_returns_nan(ev):
    def scheduler(watcher, now):
        return math.nan

    return _failing(ev, scheduler)


@case
def scheduler_that_fails_does_not_end_the_loop(ev):
    loop, seen = ev.Loop(), []

    def scheduler(watcher, now):
        raise ValueError("TEST")

    watcher = loop.scheduler(scheduler, nothing)
    timer = loop.timer(0.0, 0.0, namer(seen, "timer"))
    warnings.simplefilter("ignore")

    def run():
        watcher.start()
        timer.start()
        loop.start()

    return [len(reported(run)), seen, watcher.active]


@case
def scheduler_that_fails_after_an_event(ev):
    loop, seen = ev.Loop(), []

    def scheduler(watcher, now):
        seen.append("scheduler")
        if len(seen) > 1:
            raise ValueError("TEST")
        return now

    watcher = loop.scheduler(scheduler, namer(seen, "callback"))
    warnings.simplefilter("ignore")

    def run():
        watcher.start()
        loop.start(ev.EVRUN_NOWAIT)
        loop.start(ev.EVRUN_NOWAIT)

    return [reported(run), seen, watcher.active]


@case
def scheduler_that_failed_can_be_started_again(ev):
    loop = ev.Loop()

    def scheduler(watcher, now):
        raise ValueError("TEST")

    watcher = loop.scheduler(scheduler, nothing)
    warnings.simplefilter("ignore")

    def run():
        watcher.start()
        loop.start(ev.EVRUN_NOWAIT)

    reported(run)
    watcher.reschedule = later
    watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return [watcher.active, watcher.at > loop.now() + 900.0]


@case
def scheduler_that_is_fatal(ev):
    loop, seen = ev.Loop(), []

    @ev.fatal
    def scheduler(watcher, now):
        seen.append("scheduler")
        if len(seen) > 1:
            raise ValueError("TEST")
        return now

    watcher = loop.scheduler(scheduler, namer(seen, "callback"))
    other = loop.timer(1000.0, 0.0, nothing)
    other.start()
    warnings.simplefilter("ignore")
    watcher.start()
    return [message(loop.start), watcher.active]


@case
def scheduler_that_is_interrupted(ev):
    loop, seen = ev.Loop(), []

    def scheduler(watcher, now):
        seen.append("scheduler")
        if len(seen) > 1:
            raise KeyboardInterrupt
        return now

    watcher = loop.scheduler(scheduler, nothing)
    other = loop.timer(1000.0, 0.0, nothing)
    other.start()
    warnings.simplefilter("ignore")
    watcher.start()
    return [error(loop.start), watcher.active]


# -- Signal ----------------------------------------------------------------------------


@case
def signal_is_delivered(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.signal(signal.SIGUSR1, revents_to(seen))
    watcher.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    before = list(seen)
    loop.start(ev.EVRUN_NOWAIT)
    return [before, seen == [ev.EV_SIGNAL], watcher.signum == signal.SIGUSR1]


@case
def signal_takes_the_enumeration(ev):
    watcher = ev.Loop().signal(signal.SIGUSR1, nothing)
    return type(watcher.signum).__name__


@case
def signal_several_are_one(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.signal(signal.SIGUSR1, namer(seen, "signal"))
    watcher.start()
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR1)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def signal_keeps_the_loop_running(ev):
    loop = ev.Loop()
    watcher = loop.signal(signal.SIGUSR1, nothing)
    watcher.start()
    return loop.start(ev.EVRUN_NOWAIT)


@case
def signal_takes_keyboard_interrupts(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append("signal")
        watcher.loop.stop(ev.EVBREAK_ALL)

    watcher = loop.signal(signal.SIGINT, callback)
    watcher.start()
    os.kill(os.getpid(), signal.SIGINT)
    return [loop.start(), seen]


@case
def signal_while_the_loop_waits(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.signal(signal.SIGALRM, once(seen, "signal"))
    watcher.start()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    loop.start()
    return seen


@case
def signal_on_the_default_loop_and_another(ev):
    seen = []
    other, default = loops(ev)
    made = [
        default.signal(signal.SIGUSR1, namer(seen, "default")),
        other.signal(signal.SIGUSR2, namer(seen, "other")),
    ]
    for watcher in made:
        watcher.start()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    default.start(ev.EVRUN_NOWAIT)
    other.start(ev.EVRUN_NOWAIT)
    return seen


@case
def signal_set(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.signal(signal.SIGUSR1, namer(seen, "signal"))
    watcher.set(signal.SIGUSR2)
    watcher.start()
    os.kill(os.getpid(), signal.SIGUSR2)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


def _blocked(number):
    return number in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@case
def signal_mask(ev):
    results = []
    for flags in (0, ev.EVFLAG_NOSIGMASK):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        watcher = ev.Loop(flags).signal(signal.SIGUSR1, nothing)
        watcher.start()
        results.append(_blocked(signal.SIGUSR1))
        watcher.stop()
    return results


@case
def signal_descriptor(ev):
    loop, seen = ev.Loop(ev.EVFLAG_SIGNALFD), []
    watcher = loop.signal(signal.SIGUSR1, namer(seen, "signal"))
    watcher.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def signal_types(ev):
    loop = ev.Loop()
    return [error(loop.signal, signum, nothing) for signum in ("1", None, 1.5)]


@case
def signal_of_no_signal(ev):
    loop = ev.Loop()
    return [error(loop.signal, signum, nothing) for signum in (0, -1, 1000)]


@case
def signal_of_no_signal_started(ev):
    loop = ev.Loop()
    try:
        watcher = loop.signal(0, nothing)
    except ValueError:
        return "ValueError"
    return error(watcher.start)


@case
def signal_nobody_can_handle(ev):
    return error(ev.Loop().signal, signal.SIGKILL, nothing)


@case
def signal_in_two_loops(ev):
    one, two = ev.Loop(), ev.Loop()
    first = one.signal(signal.SIGUSR1, nothing)
    second = two.signal(signal.SIGUSR1, nothing)
    first.start()
    return error(second.start)


@case
def signal_handler_after_stop(ev):
    seen = []
    signal.signal(signal.SIGUSR1, lambda *args: seen.append("handler"))
    watcher = ev.Loop().signal(signal.SIGUSR1, nothing)
    watcher.start()
    watcher.stop()
    os.kill(os.getpid(), signal.SIGUSR1)
    return seen


@case
def signal_handler_while_active(ev):
    loop, seen = ev.Loop(), []
    signal.signal(signal.SIGUSR1, lambda *args: seen.append("handler"))
    watcher = loop.signal(signal.SIGUSR1, namer(seen, "watcher"))
    watcher.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def signal_handler_of_another_signal(ev):
    loop, seen = ev.Loop(), []
    signal.signal(signal.SIGUSR1, lambda *args: seen.append("handler"))

    def callback(watcher, revents):
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(2):
            pass
        seen.append("timer")

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    loop.start()
    return sorted(seen)


def _while_idle(ev, handler):
    """What a Python handler sees of a loop that waits for a timer."""
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.5, 0.0, nothing)
    timer.start()
    signal.signal(signal.SIGALRM, lambda *args: handler(seen, timer))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return [error(loop.start), seen]


@case
def signal_handler_while_idle(ev):
    def handler(seen, timer):
        seen.append("in time" if timer.active else "with the timer")

    return _while_idle(ev, handler)


@case
def signal_keyboard_interrupt_while_idle(ev):
    def handler(seen, timer):
        seen.append("in time" if timer.active else "with the timer")
        raise KeyboardInterrupt

    return _while_idle(ev, handler)


# -- Child -----------------------------------------------------------------------------


@case
def child_is_reaped(ev):
    loop, seen = ev.default_loop(), []

    def callback(watcher, revents):
        seen.append(revents == ev.EV_CHILD)
        seen.append([watcher.pid == pid, watcher.rpid == pid, watcher.rstatus])
        seen.append(watcher.active)
        loop.stop()

    pid, end = a_child(3)
    watcher = loop.child(pid, False, callback)
    watcher.start()
    end()
    return [loop.start(), seen, error(os.waitpid, pid, 0)]


@case
def child_that_was_dead_already(ev):
    loop, seen = ev.default_loop(), []
    pid, end = a_child(4)
    watcher = loop.child(pid, False, once(seen, "child"))
    watcher.start()
    end()
    is_dead(pid)
    loop.start()
    return [seen, watcher.rstatus]


@case
def child_started_in_a_callback(ev):
    loop, seen, made = ev.default_loop(), [], []

    def start(watcher, revents):
        pid, end = a_child(5)
        child = loop.child(pid, False, once(seen, "child"))
        child.start()
        made.append(child)
        end()

    timer = loop.timer(0.0, 0.0, start)
    timer.start()
    loop.start()
    return [seen, made[0].rstatus]


@case
def child_killed(ev):
    loop, seen = ev.default_loop(), []
    pid, _end = a_child(0)
    watcher = loop.child(pid, False, once(seen, "child"))
    watcher.start()
    os.kill(pid, signal.SIGKILL)
    loop.start()
    return [seen, os.WIFSIGNALED(watcher.rstatus), os.WTERMSIG(watcher.rstatus)]


@case
def child_any(ev):
    loop, seen = ev.default_loop(), []

    def callback(watcher, revents):
        seen.append([watcher.rpid in pids, os.WEXITSTATUS(watcher.rstatus)])
        if len(seen) == 3:
            watcher.stop()

    children = [a_child(code) for code in (1, 2, 3)]
    pids = [pid for pid, _ in children]
    watcher = loop.child(0, False, callback)
    watcher.start()
    for _, end in children:
        end()
    return [loop.start(), sorted(seen), watcher.pid]


@case
def child_any_and_one(ev):
    loop, seen = ev.default_loop(), []
    pid, end = a_child(1)
    one = loop.child(pid, False, once(seen, "one"))
    every = loop.child(0, False, once(seen, "any"))
    one.start()
    every.start()
    end()
    loop.start()
    return sorted(seen)


@case
def child_trace(ev):
    loop, seen = ev.default_loop(), []

    def callback(watcher, revents):
        status = watcher.rstatus
        if os.WIFSTOPPED(status):
            seen.append("stopped")
            os.kill(pid, signal.SIGCONT)
        elif os.WIFCONTINUED(status):
            seen.append("continued")
            end()
        else:
            seen.append("ended")
            watcher.stop()

    pid, end = a_child(0)
    watcher = loop.child(pid, True, callback)
    watcher.start()
    os.kill(pid, signal.SIGSTOP)
    loop.start()
    return seen


@case
def child_trace_is_any_truth_value(ev):
    loop = ev.default_loop()
    return [error(loop.child, 1, trace, nothing) for trace in (1, "yes", [], None)]


@case
def child_attributes(ev):
    loop = ev.default_loop()
    watcher = loop.child(os.getpid(), False, nothing)
    watcher.rpid, watcher.rstatus = 5, 6
    results = [watcher.rpid, watcher.rstatus]
    for name in ("rpid", "rstatus"):
        results += [
            error(setattr, watcher, name, value) for value in ("1", None, 1.5, 2**40)
        ]
    watcher.rpid, watcher.rstatus = -1, -1
    return [*results, watcher.rpid, watcher.rstatus]


@case
def child_needs_the_default_loop(ev):
    other, default = loops(ev)
    return [
        message(other.child, 1, False, nothing),
        message(ev.Child, 1, False, other, nothing),
        default.default,
    ]


@case
def child_negative_pid(ev):
    return error(ev.default_loop().child, -1, False, nothing)


@case
def child_pid_out_of_range(ev):
    return error(ev.default_loop().child, 2**40, False, nothing)


@case
def child_of_somebody_else(ev):
    loop = ev.default_loop()
    timer = loop.timer(0.0, 0.0, nothing)
    timer.start()
    pid, end = a_child(3)
    end()
    is_dead(pid)
    loop.start(ev.EVRUN_NOWAIT)
    try:
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    except OSError as exc:
        return type(exc).__name__


@case
def child_of_somebody_else_while_one_is_watched(ev):
    loop = ev.default_loop()
    watched, _end_watched = a_child(0)
    watcher = loop.child(watched, False, nothing)
    watcher.start()
    pid, end = a_child(3)
    end()
    is_dead(pid)
    loop.start(ev.EVRUN_NOWAIT)
    try:
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])
    except OSError as exc:
        return type(exc).__name__


@case
def child_of_subprocess(ev):
    loop = ev.default_loop()
    timer = loop.timer(0.0, 0.0, nothing)
    timer.start()
    process = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    is_dead(process.pid)
    loop.start(ev.EVRUN_NOWAIT)
    return process.wait()


@case
def child_leaves_sigchld_alone(ev):
    seen = []
    signal.signal(signal.SIGCHLD, lambda *args: seen.append("handler"))
    loop = ev.default_loop()
    pid, end = a_child(0)
    end()
    os.waitpid(pid, 0)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


# -- Idle, Prepare, Check -------------------------------------------------------------


@case
def idle_keeps_the_loop_from_blocking(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()

    def callback(watcher, revents):
        seen.append(revents == ev.EV_IDLE)
        if len(seen) == 3:
            loop.stop()

    idle = loop.idle(callback)
    idle.start()
    loop.start()
    return seen


@case
def idle_waits_for_its_own_priority(ev):
    loop, seen = ev.Loop(), []
    reader = readable()
    made = [
        loop.io(reader, ev.EV_READ, namer(seen, "io")),
        loop.idle(namer(seen, "idle")),
    ]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    os.read(reader, 1)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def idle_of_a_higher_priority(ev):
    loop, seen = ev.Loop(), []
    made = [
        loop.io(readable(), ev.EV_READ, namer(seen, "io")),
        loop.idle(namer(seen, "high"), None, 1),
        loop.idle(namer(seen, "low"), None, -1),
    ]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def prepare_and_check_events(ev):
    loop, seen = ev.Loop(), []
    made = [loop.prepare(revents_to(seen)), loop.check(revents_to(seen))]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen == [ev.EV_PREPARE, ev.EV_CHECK]


@case
def prepare_and_check_around_the_iteration(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append(loop.iteration)

    made = [loop.prepare(callback), loop.check(callback)]
    for watcher in made:
        watcher.start()
    loop.start(ev.EVRUN_NOWAIT)
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def prepare_may_start_an_idle(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    idle = loop.idle(once(seen, "idle"))

    def callback(watcher, revents):
        seen.append("prepare")
        idle.start()

    prepare = loop.prepare(callback)
    prepare.start()
    loop.start(ev.EVRUN_ONCE)
    return seen


@case
def prepare_may_stop_the_loop(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()

    def callback(watcher, revents):
        seen.append("prepare")
        loop.stop()

    prepare = loop.prepare(callback)
    prepare.start()
    return [loop.start(), seen]


# -- Embed -----------------------------------------------------------------------------


def _embedded(ev):
    """An embedded loop with something to deliver, and the loop for it."""
    inner, outer, seen = ev.Loop(ev.EVBACKEND_EPOLL), ev.Loop(ev.EVBACKEND_POLL), []
    watcher = inner.io(readable(), ev.EV_READ, once(seen, "inner"))
    watcher.start()
    return inner, outer, seen, watcher


@case
def embed_sweeps_by_itself(ev):
    inner, outer, seen, _watcher = _embedded(ev)
    embed = outer.embed(inner)
    embed.start()
    for _ in range(3):
        outer.start(ev.EVRUN_NOWAIT)
    return [seen, embed.callback, embed.other is inner, embed.active]


@case
def embed_with_a_callback(ev):
    inner, outer, seen = ev.Loop(ev.EVBACKEND_EPOLL), ev.Loop(ev.EVBACKEND_POLL), []
    reader, writer = os.pipe()
    watcher = inner.io(reader, ev.EV_READ, once(seen, "inner"))
    watcher.start()

    def callback(watcher, revents):
        seen.append(revents == ev.EV_EMBED)
        seen.append(watcher.sweep())

    embed = outer.embed(inner, callback)
    embed.start()
    outer.start(ev.EVRUN_NOWAIT)
    seen.append("-")
    os.write(writer, b"x")
    outer.start(ev.EVRUN_NOWAIT)
    return seen


@case
def embed_sweep(ev):
    inner, outer, seen, _watcher = _embedded(ev)
    embed = outer.embed(inner)
    return [embed.sweep(), seen, embed.active]


@case
def embed_callback_attribute(ev):
    inner, outer, _seen, _watcher = _embedded(ev)
    embed = outer.embed(inner, None, "data", 1)
    results = [embed.callback, embed.data, embed.priority]
    embed.callback = nothing
    results.append(embed.callback is nothing)
    embed.callback = None
    return [*results, embed.callback, error(setattr, embed, "callback", 1)]


@case
def embed_of_a_loop_that_cannot_be(ev):
    inner, outer = ev.Loop(ev.EVBACKEND_SELECT), ev.Loop()
    good = outer.embed(ev.Loop(ev.EVBACKEND_EPOLL))
    return [message(outer.embed, inner), message(good.set, inner)]


@case
def embed_types(ev):
    outer = ev.Loop()
    return [error(outer.embed, other) for other in (None, 1, "loop")]


@case
def embed_set(ev):
    inner, outer, _seen, _watcher = _embedded(ev)
    other = ev.Loop(ev.EVBACKEND_EPOLL)
    embed = outer.embed(other)
    results = [embed.set(inner), embed.other is inner]
    embed.start()
    return [*results, error(embed.set, other), embed.other is inner]


@case
def embed_in_itself(ev):
    loop = ev.Loop(ev.EVBACKEND_EPOLL)
    try:
        embed = loop.embed(loop)
    except ev.Error:
        return "Error"
    embed.start()
    return loop.start(ev.EVRUN_NOWAIT)


@case
def embed_timers_of_the_embedded_loop_do_not_wake(ev):
    inner, outer, seen = ev.Loop(ev.EVBACKEND_EPOLL), ev.Loop(ev.EVBACKEND_POLL), []
    timer = inner.timer(0.1, 0.0, namer(seen, "inner"))
    timer.start()
    embed = outer.embed(inner)
    embed.start()
    end = outer.timer(0.15, 0.0, lambda *args: (seen.append("outer"), outer.stop()))
    end.start()
    outer.start()
    return seen


# -- Fork ------------------------------------------------------------------------------


def _in_a_child(function):
    """What a function returns in a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)


@case
def fork_and_reset(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.fork(revents_to(seen))
    watcher.start()

    def child():
        loop.reset()
        loop.start(ev.EVRUN_NOWAIT)
        return seen

    return [_in_a_child(child), seen]


@case
def fork_and_forkcheck(ev):
    loop, seen = ev.Loop(ev.EVFLAG_FORKCHECK), []
    watcher = loop.fork(revents_to(seen))
    watcher.start()

    def child():
        loop.start(ev.EVRUN_NOWAIT)
        return seen

    return [_in_a_child(child), seen]


@case
def fork_without_reset_runs(ev):
    loop, seen = ev.Loop(), []
    made = [
        loop.io(readable(), ev.EV_READ, once(seen, "io")),
        loop.timer(0.01, 0.0, namer(seen, "timer")),
    ]
    for watcher in made:
        watcher.start()

    def child():
        loop.start()
        return sorted(seen)

    return _in_a_child(child)


@case
def fork_without_reset_calls_fork_watchers(ev):
    loop, seen = ev.Loop(), []
    watcher = loop.fork(namer(seen, "fork"))
    watcher.start()

    def child():
        loop.start(ev.EVRUN_NOWAIT)
        return seen

    return _in_a_child(child)


@case
def fork_of_the_default_loop(ev):
    loop, seen = ev.default_loop(), []
    watcher = loop.io(readable(), ev.EV_READ, once(seen, "io"))
    watcher.start()

    def child():
        loop.reset()
        loop.start()
        return seen

    in_child = _in_a_child(child)
    loop.start()
    return [in_child, seen]


@case
def fork_does_not_disturb_the_parent(ev):
    loop, seen = ev.Loop(), []
    reader, writer = os.pipe()
    watcher = loop.io(reader, ev.EV_READ, once(seen, "io"))
    watcher.start()
    loop.start(ev.EVRUN_NOWAIT)

    def child():
        loop.reset()
        loop.start(ev.EVRUN_NOWAIT)
        watcher.stop()
        loop.start(ev.EVRUN_NOWAIT)
        return seen

    in_child = _in_a_child(child)
    os.write(writer, b"x")
    loop.start()
    return [in_child, seen]


# -- Async -----------------------------------------------------------------------------


@case
def async_is_sent(ev):
    loop, seen = ev.Loop(), []
    watcher = getattr(loop, "async")(revents_to(seen))
    watcher.start()
    results = [watcher.sent, watcher.send(), watcher.sent, watcher.pending]
    loop.start(ev.EVRUN_NOWAIT)
    return [*results, seen == [ev.EV_ASYNC], watcher.sent, watcher.active]


@case
def async_sent_before_start(ev):
    return getattr(ev.Loop(), "async")(nothing).sent


@case
def async_several_are_one(ev):
    loop, seen = ev.Loop(), []
    watcher = getattr(loop, "async")(namer(seen, "async"))
    watcher.start()
    for _ in range(5):
        watcher.send()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def async_wakes_the_loop(ev):
    loop, seen = ev.Loop(), []
    watcher = getattr(loop, "async")(once(seen, "async"))
    watcher.start()
    thread = threading.Thread(target=watcher.send)
    prepare = loop.prepare(lambda watcher, revents: (watcher.stop(), thread.start()))
    prepare.start()
    loop.start()
    thread.join()
    return seen


@case
def async_of_one_that_is_stopped(ev):
    loop, seen = ev.Loop(), []
    watcher = getattr(loop, "async")(namer(seen, "async"))
    watcher.start()
    watcher.stop()
    sent = error(watcher.send)
    loop.start(ev.EVRUN_NOWAIT)
    return [sent, seen]


@case
def async_on_a_loop_that_never_had_one(ev):
    loop = ev.Loop()
    watcher = getattr(loop, "async")(nothing)
    timer = loop.timer(0.0, 0.0, nothing)
    timer.start()
    try:
        watcher.send()
    except ev.Error as exc:
        return type(exc).__name__
    return error(loop.start)


@case
def async_from_a_signal_handler(ev):
    loop, seen = ev.Loop(), []
    watcher = getattr(loop, "async")(once(seen, "async"))
    watcher.start()
    signal.signal(signal.SIGUSR1, lambda *args: watcher.send())

    def callback(watcher, revents):
        os.kill(os.getpid(), signal.SIGUSR1)

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    loop.start()
    return seen


# -- exceptions ------------------------------------------------------------------------


def failing(watcher, revents):
    """A callback."""
    raise ValueError("TEST")


@case
def exception_is_reported(ev):
    loop, seen = ev.Loop(), []
    one = loop.timer(0.0, 0.0, failing)
    two = loop.timer(0.0, 0.0, namer(seen, "two"))
    for timer in (one, two):
        timer.start()
    return [reported(loop.start), seen]


@case
def exception_is_printed(ev):
    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, failing)
    timer.start()
    return printed(loop.start)


@case
def exception_of_a_method_is_printed(ev):
    class Owner:
        def method(self, watcher, revents):
            raise ValueError("TEST")

    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, Owner().method)
    timer.start()
    return printed(loop.start).splitlines()[0]


@case
def exception_in_the_hook(ev):
    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, failing)
    timer.start()

    def hook(args):
        raise KeyError("HOOK")

    sys.unraisablehook = hook
    text = printed(loop.start)
    return [name for name in ("KeyError", "ValueError") if name in text]


@case
def exception_does_not_stop_a_repeating_timer(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append("timer")
        if len(seen) == 3:
            watcher.stop()
        raise ValueError("TEST")

    timer = loop.timer(0.0, 0.001, callback)
    timer.start()
    return [len(reported(loop.start)), seen]


@case
def exception_after_stop_is_reported(ev):
    loop = ev.Loop()

    def callback(watcher, revents):
        watcher.stop()
        watcher.loop.stop()
        raise ValueError("TEST")

    timer = loop.timer(0.0, 1000.0, callback)
    timer.start()
    return [reported(loop.start), timer.active]


def _raising(exception):
    def callback(watcher, revents):
        raise exception

    return callback


def _reports_of(loop, raised):
    return reported(lambda: raised.append(error(loop.start)))


@case
def exception_kinds(ev):
    results = {}
    kinds = (
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        BaseException,
        MemoryError,
        RecursionError,
        StopIteration,
        OSError,
    )
    for kind in kinds:
        loop = ev.Loop()
        timer = loop.timer(0.0, 0.0, _raising(kind("TEST")))
        timer.start()
        raised = []
        reports = _reports_of(loop, raised)
        results[kind.__name__] = [raised, [name for name, _ in reports]]
    return results


@case
def exception_system_exit_keeps_its_code(ev):
    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, lambda *args: sys.exit(7))
    timer.start()
    try:
        loop.start()
    except SystemExit as exc:
        return exc.code


@case
def exception_in_loop_invoke(ev):
    loop = ev.Loop()
    timer = loop.timer(1.0, 0.0, failing)
    timer.feed(ev.EV_CUSTOM)
    raised = []
    reports = reported(lambda: raised.append(error(loop.invoke)))
    return [raised, reports, loop.pending]


@case
def exception_in_watcher_invoke(ev):
    timer = ev.Loop().timer(1.0, 0.0, failing)
    raised = []
    reports = reported(lambda: raised.append(error(timer.invoke, ev.EV_CUSTOM)))
    return [raised, reports]


@case
def fatal_returns_the_function(ev):
    def callback(watcher, revents):
        pass

    return [ev.fatal(callback) is callback, callable(callback)]


@case
def fatal_takes_an_instance(ev):
    class Callback:
        def __call__(self, watcher, revents):
            raise ValueError("TEST")

    callback = Callback()
    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, ev.fatal(callback))
    timer.start()
    return [timer.callback is callback, message(loop.start)]


@case
def fatal_of_a_method_in_its_class(ev):
    class Owner:
        @ev.fatal
        def method(self, watcher, revents):
            raise ValueError("TEST")

    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, Owner().method)
    timer.start()
    return message(loop.start)


@case
def fatal_of_a_bound_method(ev):
    class Owner:
        def method(self, watcher, revents):
            raise ValueError("TEST")

    return error(ev.fatal, Owner().method)


@case
def fatal_of_a_builtin(ev):
    return error(ev.fatal, len)


@case
def fatal_takes_one_argument(ev):
    return [error(ev.fatal), error(ev.fatal, nothing, nothing)]


@case
def fatal_is_raised(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    other = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    other.start()
    return [message(loop.start), seen, other.active, loop.depth]


@case
def fatal_leaves_the_loop_usable(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(0.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    timer.start()
    results = [error(loop.start)]
    timer = loop.timer(0.0, 0.0, namer(seen, "again"))
    timer.start()
    return [*results, loop.start(), seen]


@case
def fatal_is_the_very_exception(ev):
    exception = ValueError("TEST")
    loop = ev.Loop()
    timer = loop.timer(0.0, 0.0, ev.fatal(_raising(exception)))
    timer.start()
    try:
        loop.start()
    except ValueError as exc:
        return exc is exception


def _frames(ev):
    """The traceback of a fatal exception: ours, and the library's own."""
    loop = ev.Loop()

    @ev.fatal
    def callback(watcher, revents):
        raise ValueError("TEST")

    timer = loop.timer(0.0, 0.0, callback)
    timer.start()
    try:
        loop.start()
    except ValueError as exc:
        frames = traceback.extract_tb(exc.__traceback__)
    ours = [frame.name for frame in frames if frame.filename == __file__]
    return ours, len(frames) - len(ours)


@case
def fatal_traceback(ev):
    return _frames(ev)[0]


@case
def fatal_traceback_library_frames(ev):
    return _frames(ev)[1]


@case
def fatal_ends_all_nested_runs(ev):
    loop, seen = ev.Loop(), []

    def outer(watcher, revents):
        inner.start()
        seen.append("outer")
        loop.start()
        seen.append("never")

    timer = loop.timer(0.0, 0.0, outer)
    inner = loop.timer(0.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    more = loop.timer(1000.0, 0.0, nothing)
    for watcher in (timer, more):
        watcher.start()
    result = []
    reports = reported(lambda: result.append(message(loop.start)))
    return [result, reports, seen]


@case
def fatal_caught_in_a_nested_run(ev):
    loop, seen = ev.Loop(), []

    def outer(watcher, revents):
        inner.start()
        seen.append(message(loop.start))

    timer = loop.timer(0.0, 0.0, outer)
    inner = loop.timer(0.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    more = loop.timer(1000.0, 0.0, nothing)
    for watcher in (timer, more):
        watcher.start()
    return [loop.start(), seen]


@case
def fatal_in_loop_invoke(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    timer.feed(ev.EV_CUSTOM)
    seen.append(message(loop.invoke))
    return seen


@case
def fatal_in_watcher_invoke(ev):
    timer = ev.Loop().timer(1.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    return message(timer.invoke, ev.EV_CUSTOM)


@case
def fatal_caught_around_loop_invoke_ends_the_run(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        bad.feed(ev.EV_CUSTOM)
        seen.append(message(loop.invoke))

    timer = loop.timer(0.0, 0.001, callback)
    bad = loop.timer(1.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    timer.start()
    return [loop.start(), seen]


@case
def fatal_caught_around_watcher_invoke_ends_the_run(ev):
    loop, seen = ev.Loop(), []

    def callback(watcher, revents):
        seen.append(message(bad.invoke, ev.EV_CUSTOM))

    timer = loop.timer(0.0, 0.001, callback)
    bad = loop.timer(1.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    timer.start()
    return [loop.start(), seen]


@case
def fatal_with_others_pending(ev):
    loop, seen = ev.Loop(), []
    bad = loop.timer(-9.0, 0.0, ev.fatal(_raising(ValueError("TEST"))))
    rest = [loop.timer(i - 5.0, 0.0, namer(seen, f"rest {i}")) for i in range(2)]
    for timer in (bad, *rest):
        timer.start()
    raised = []
    reports = reported(lambda: raised.append(message(loop.start, ev.EVRUN_NOWAIT)))
    first = list(seen)
    loop.start(ev.EVRUN_NOWAIT)
    return [raised, reports, first, seen]


@case
def fatal_twice(ev):
    loop = ev.Loop()
    made = [
        loop.timer(-2.0, 0.0, ev.fatal(_raising(ValueError("first")))),
        loop.timer(-1.0, 0.0, ev.fatal(_raising(KeyError("second")))),
    ]
    for timer in made:
        timer.start()
    raised = []
    reports = reported(lambda: raised.append(error(loop.start, ev.EVRUN_NOWAIT)))
    raised.append(error(loop.start, ev.EVRUN_NOWAIT))
    return [raised, reports]


@case
def error_event(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, namer(seen, "callback"))
    timer.start()
    timer.feed(ev.EV_ERROR)
    raised = error(loop.start, ev.EVRUN_NOWAIT)
    return [raised in ("Error", "OSError"), seen]


@case
def error_event_stops_the_watcher(ev):
    loop = ev.Loop()
    timer = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    timer.feed(ev.EV_ERROR)
    error(loop.start, ev.EVRUN_NOWAIT)
    return timer.active


@case
def error_event_with_others_pending(ev):
    loop, seen = ev.Loop(), []
    timer = loop.timer(1000.0, 0.0, nothing, None, 1)
    other = loop.timer(1000.0, 0.0, namer(seen, "other"))
    timer.feed(ev.EV_ERROR)
    other.feed(ev.EV_CUSTOM)
    raised = error(loop.start, ev.EVRUN_NOWAIT)
    return raised in ("Error", "OSError")


@case
def error_event_ends_all_runs(ev):
    loop, seen = ev.Loop(), []

    def outer(watcher, revents):
        bad.feed(ev.EV_ERROR)
        seen.append(error(loop.start) in ("Error", "OSError"))

    timer = loop.timer(0.0, 0.001, outer)
    bad = loop.timer(1000.0, 0.0, nothing)
    timer.start()
    return [error(loop.start), seen]


@case
def error_event_in_watcher_invoke(ev):
    seen = []
    timer = ev.Loop().timer(1000.0, 0.0, namer(seen, "callback"))
    return [error(timer.invoke, ev.EV_ERROR) in ("Error", "OSError"), seen]


@case
def error_event_warns(ev):
    timer = ev.Loop().timer(1000.0, 0.0, nothing)
    return warned(lambda: error(timer.invoke, ev.EV_ERROR))


@case
def pending_counts_cleared_and_stopped(ev):
    loop = ev.Loop()
    timers = [loop.timer(1.0, 0.0, nothing) for _ in range(3)]
    for timer in timers:
        timer.feed(ev.EV_CUSTOM)
    timers[0].clear()
    timers[1].stop()
    return loop.pending


@case
def pending_in_the_middle(ev):
    loop, seen = ev.Loop(), []
    timers = [
        loop.timer(0.0, 0.0, lambda *args: seen.append(loop.pending)) for _ in range(4)
    ]
    for timer in timers:
        timer.start()
    loop.start(ev.EVRUN_NOWAIT)
    return seen


@case
def pending_is_kept_for_the_next_run(ev):
    loop, seen = ev.Loop(), []
    timers = [loop.timer(1.0, 0.0, namer(seen, i)) for i in range(2)]
    for timer in timers:
        timer.feed(ev.EV_CUSTOM)
    loop.callback = lambda loop: None
    loop.start(ev.EVRUN_NOWAIT)
    pending = loop.pending
    loop.callback = None
    loop.start(ev.EVRUN_NOWAIT)
    return [pending, seen, loop.pending]


# -- the programs, and running all of it -----------------------------------------------


def programs():
    """The names of the programs: cases too."""
    return sorted(f"program_{path.stem}" for path in PROGRAMS.glob("*.py"))


def run_program(name, module):
    """Run a program with `module` in its import line."""
    source = (PROGRAMS / f"{name[len('program_') :]}.py").read_text()
    lines = {
        "import mood.event as": f"import {module} as",
        "from mood.event import": f"from {module} import",
        "import pyev": f"import {module} as pyev",
    }
    source, count = re.subn(
        "^(import mood.event as|from mood.event import|import pyev)",
        lambda match: lines[match[0]],
        source,
        flags=re.MULTILINE,
    )
    assert count == 1, name
    try:
        process = subprocess.run(
            [sys.executable, "-c", source],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    last = normal(process.stderr).splitlines()[-1:]
    return [process.returncode, process.stdout.splitlines(), last]


def run_case(name, ev):
    """Run a case in a child process, and return its outcome."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        try:
            _run_here(name, ev, writer)
        finally:
            os._exit(70)
    os.close(writer)
    text = b""
    while True:
        if not select.select([reader], [], [], 8.0)[0]:
            os.kill(pid, signal.SIGKILL)
            text = b'"timeout"'
            break
        chunk = os.read(reader, 65536)
        if not chunk:
            break
        text += chunk
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    if text:
        return json.loads(text)
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit {os.WEXITSTATUS(status)}"


def _run_here(name, ev, writer):
    """Run a case in this process, the child."""
    os.set_inheritable(writer, False)
    if not os.environ.get("COMPARE_VERBOSE"):
        # For what libev says when it aborts.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        text = json.dumps(CASES[name](ev))
    except BaseException as exc:
        if os.environ.get("COMPARE_VERBOSE"):
            traceback.print_exc()
        text = json.dumps({"raised": type(exc).__name__})
    os.write(writer, text.encode())
    os._exit(0)


def main(module, names):
    """Run cases, all if none is named; returns {name: outcome}."""
    os.environ.pop("LIBEV_FLAGS", None)
    ev = __import__(module, fromlist=["Loop"])
    outcomes = {}
    for name in names or [*CASES, *programs()]:
        if name in CASES:
            outcomes[name] = run_case(name, ev)
        else:
            outcomes[name] = run_program(name, module)
    return outcomes


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:]), indent=1))
