"""Who keeps a loop running, and who keeps it from running on.

Loop.watchers, the names in what it shows, and the warnings that python -X dev gives
for slow callbacks. What needs that is in scripts: in development mode another set of
functions delivers (mood_event/_slow.py).
"""

import functools
import inspect
import re
import sys

import pytest
from test_watchers import KINDS, Place, embeddable_loop, ignore

import mood_event
from mood_event import EV_CUSTOM, EV_READ, Error, Loop, _dispatch
from mood_event._naming import name_of, place_of

DEV = ("-X", "dev")


@pytest.fixture
def place(pipe, tmp_path):
    """What watchers can watch."""
    with embeddable_loop() as other:
        yield Place(pipe.reader, str(tmp_path), other)


# -- Loop.watchers --------------------------------------------------------------------


def test_watchers_are_the_active_ones(loop):
    watchers = [loop.timer(1e4, 0.0, ignore) for _ in range(50)]
    assert loop.watchers() == []
    for watcher in watchers:
        watcher.start()
    watchers[7].keepalive = False
    loop.async_(ignore).feed(EV_CUSTOM)
    active = watchers[:20] + watchers[30:]
    for watcher in watchers[20:30]:
        watcher.stop()
    # The last one is pending, and active no more.
    watchers[20].feed(EV_CUSTOM)
    listed = loop.watchers()
    assert sorted(map(id, listed)) == sorted(map(id, active))
    listed.clear()
    assert len(loop.watchers()) == len(active)


def test_watchers_of_every_type(default_loop, place):
    watchers = [
        kind.cls(*kind.arguments(place), default_loop, ignore)
        for kind in KINDS.values()
    ]
    for watcher in watchers:
        watcher.start()
    assert set(default_loop.watchers()) == set(watchers)
    default_loop.close()
    with pytest.raises(Error, match=r"Loop\.watchers: the loop is closed"):
        default_loop.watchers()


def test_watchers_tells_why_a_loop_does_not_return(loop, pipe):
    def on_answer(revents):
        raise AssertionError

    loop.once(pipe.reader, EV_READ, 1e4, on_answer)
    words = sorted(map(repr, loop.watchers()))
    name = f"{inspect.currentframe().f_code.co_name}.<locals>.on_answer"
    assert words[0] == f"<Io fd={pipe.reader} READ callback={name} active>"
    assert re.fullmatch(
        rf"<Timer remaining=\S+ repeat=0 callback={name} active>", words[1]
    )


def test_watchers_can_all_be_stopped(loop, make_pipe):
    loop.once(make_pipe().reader, EV_READ, 1e4, ignore)
    for _ in range(3):
        loop.idle(ignore).start()
    for watcher in loop.watchers():
        watcher.stop()
    assert loop.start() is False


def test_watchers_asks_nothing_of_a_subclass(loop):
    class Mine(mood_event.Timer):
        active = property(lambda self: 1 / 0)

        def __bool__(self):
            raise ZeroDivisionError

    timer = Mine(1e4, 0.0, loop, ignore)
    timer.start()
    [listed] = loop.watchers()
    assert listed is timer


def test_watchers_in_a_scheduler_are_told(loop):
    told = []

    def schedule(watcher, now):
        told.append(loop.watchers())
        return now + 1e4

    timer = loop.timer(1e4, 0.0, ignore)
    timer.start()
    loop.scheduler(schedule).start()
    # What is about to start is not active yet.
    assert told == [[timer]]


# -- names ----------------------------------------------------------------------------


class Handler:
    def method(self, watcher, revents):
        pass

    @classmethod
    def of_class(cls, watcher, revents):
        pass

    @staticmethod
    def static(watcher, revents):
        pass

    def __call__(self, watcher, revents):
        pass


class Made:
    def __init__(self, watcher, revents):
        pass


class Hostile(Handler):
    def __getattr__(self, name):
        raise ZeroDivisionError


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def plain(watcher, revents):
    pass


@functools.lru_cache
def cached(watcher, revents):
    pass


def endless():
    """Two decorators that each say that they wrap the other."""

    def other():
        pass

    endless.__wrapped__ = other
    other.__wrapped__ = endless


def line_of(text):
    lines = inspect.getsource(inspect.getmodule(plain)).splitlines()
    [number] = [n for n, line in enumerate(lines, 1) if line.strip().startswith(text)]
    return number


@pytest.mark.parametrize(
    ("callback", "name", "line"),
    [
        (plain, "plain", "def plain("),
        (Handler().method, "Handler.method", "def method("),
        (Handler.of_class, "Handler.of_class", "@classmethod"),
        (Handler().static, "Handler.static", "@staticmethod"),
        (Handler(), "Handler.__call__", "def __call__("),
        (Made, "Made", "def __init__(self, watcher"),
        (functools.partial(plain, 1), "plain", "def plain("),
        (
            functools.partial(functools.partial(Handler().method), 1),
            "Handler.method",
            "def method(",
        ),
        (decorated(plain), "plain", "def plain("),
        (decorated(decorated(Handler().method)), "Handler.method", "def method("),
        (cached, "cached", "@functools.lru_cache"),
        (mood_event.default_loop, "default_loop", None),
        ([].append, "list.append", ""),
        (dict, "dict", ""),
    ],
)
def test_callback_is_named_by_what_the_program_wrote(callback, name, line):
    assert name_of(callback) == name
    place = place_of(callback)
    if line is None:
        assert re.fullmatch(r".*loop\.py:\d+", place)
    else:
        assert place == (line and f"{__file__}:{line_of(line)}")


def test_callback_that_raises_when_it_is_asked_has_a_name(loop):
    callback = Hostile()
    assert name_of(callback) == "Hostile.__call__"
    assert place_of(callback) == place_of(Handler())
    assert "callback=Hostile.__call__" in repr(loop.idle(callback))


def test_callback_that_wraps_itself_has_a_name():
    endless()
    assert name_of(endless) in ("endless", "endless.<locals>.other")
    assert place_of(endless).startswith(f"{__file__}:")


@pytest.mark.parametrize("name", ["idle", "async", "fork", "cleanup"])
def test_repr_tells_watchers_apart_that_have_nothing_else(loop, name):
    make = getattr(loop, name)
    assert f"callback={plain.__name__}" in repr(make(plain))
    assert "callback=Handler.method" in repr(make(Handler().method))


def test_repr_tells_what_does_not_keep_the_loop_running(loop):
    watcher = loop.timer(1e4, 0.0, ignore)
    watcher.keepalive = False
    assert "keepalive" not in repr(watcher)
    watcher.start()
    assert repr(watcher).endswith(" callback=ignore keepalive=False active>")


# -- Loop.slow_callback ---------------------------------------------------------------


def test_slow_callback_is_a_tenth_of_a_second_for_each_loop(loop):
    assert loop.slow_callback == 0.1
    loop.slow_callback = 2
    assert (loop.slow_callback, type(loop.slow_callback)) == (2.0, float)
    with Loop() as other:
        assert other.slow_callback == 0.1
    loop.slow_callback = None
    assert loop.slow_callback is None


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (0.0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("1", TypeError),
        ([], TypeError),
    ],
)
def test_slow_callback_refuses_what_is_no_time(loop, bad, error):
    with pytest.raises(error, match=r"^Loop: slow_callback must be "):
        loop.slow_callback = bad
    assert loop.slow_callback == 0.1


# -- python -X dev --------------------------------------------------------------------

PRELUDE = """
import functools, logging, os, sys, threading
from mood_event import *
import mood_event

class Records(logging.Handler):
    def emit(self, record):
        assert record.levelno == logging.WARNING and record.name == "mood_event"
        records.append(record.getMessage())
records = []
logging.getLogger("mood_event").addHandler(Records())

clock = 0.0
if sys.flags.dev_mode:
    # Time passes where the script says so, and nowhere else.
    mood_event._slow._clock = lambda: clock

def busy(seconds=2.0):
    global clock
    clock += seconds

def slow(watcher, revents):
    busy()

def named():
    '''The names in the warnings up to here, and the watchers' or calls'.'''
    names = []
    for text in records:
        begin, _, rest = text.partition(" (")
        place, _, rest = rest.partition(") took ")
        seconds, _, what = rest.partition(" seconds, called for ")
        assert begin.startswith("slow callback: "), text
        assert float(seconds) == 2.0, text
        assert place.startswith("<string>:") or place == "not in Python", text
        names.append((begin[15:], what.lstrip("<").split(" ")[0]))
    records.clear()
    return names

def make():
    loop = Loop()
    loop.slow_callback = 1.0
    return loop

def only(*expected):
    names = named()
    assert names == list(expected), (names, expected)
"""


def script(body):
    return PRELUDE + body


def test_slow_callbacks_are_logged_in_development_mode(run_script):
    run_script(
        script(
            """
class Server:
    def on_tick(self, watcher, revents):
        busy()

loop = make()
# One event, and then more of them at once.
loop.timer(0.0, 0.0, slow).start()
loop.start()
only(("slow", "Timer"))
loop.prepare(slow).feed(EV_CUSTOM)
loop.check(Server().on_tick).feed(EV_CUSTOM)
loop.fork(functools.partial(slow)).feed(EV_CUSTOM)
loop.idle(lambda watcher, revents: None).feed(EV_CUSTOM)
loop.start(EVRUN_NOWAIT)
only(("slow", "Fork"), ("Server.on_tick", "Check"), ("slow", "Prepare"))
# What it takes is told, and where the callback is.
loop.timer(0.0, 0.0, slow).start()
loop.start()
[text] = records
assert f"({slow.__code__.co_filename}:{slow.__code__.co_firstlineno})" in text, text
assert "<Timer remaining=" in text and " callback=slow>" in text, text
records.clear()
# Not any more, and not yet.
for limit in (None, 60.0):
    loop.slow_callback = limit
    loop.timer(0.0, 0.0, slow).start()
    loop.start()
    assert records == []
loop.slow_callback = 1.0
loop.cleanup(slow).start()
loop.close()
only(("slow", "Cleanup"))
"""
        ),
        options=DEV,
    )


def test_slow_callbacks_are_not_timed_otherwise(run_script):
    run_script(
        script(
            """
with make() as loop:
    loop.timer(0.0, 0.0, slow).start()
    loop.start()
assert records == []
assert "mood_event._slow" not in sys.modules
"""
        ),
        env={"PYTHONDEVMODE": ""},
    )


def test_slow_callback_of_a_class_of_loops(run_script):
    run_script(
        script(
            """
class Patient(Loop):
    slow_callback = 60.0

with Patient() as loop:
    loop.timer(0.0, 0.0, slow).start()
    loop.start()
    assert records == []
    loop.slow_callback = 1.0
    loop.timer(0.0, 0.0, slow).start()
    loop.start()
only(("slow", "Timer"))
"""
        ),
        options=DEV,
    )


def test_slow_calls_and_callables_are_logged(run_script):
    run_script(
        script(
            """
def call(number):
    busy()

def quick():
    pass

def once(revents):
    busy()

def schedule(watcher, now):
    busy()
    return now + 1e4

with make() as loop:
    loop.call_soon_threadsafe(call, 1)
    loop.call_soon_threadsafe(quick)
    loop.call_soon_threadsafe(call, 2)
    loop.call_soon_threadsafe(busy)
    loop.start(EVRUN_NOWAIT)
    only(
        ("call", "Loop.call_soon_threadsafe"),
        ("call", "Loop.call_soon_threadsafe"),
        ("busy", "Loop.call_soon_threadsafe"),
    )
    loop.once(None, 0, 0.0, once)
    loop.start()
    only(("once", "Timer"))
    scheduler = loop.scheduler(schedule)
    scheduler.start()
    only(("schedule", "Scheduler"))
    scheduler.stop()

    def invoke(loop):
        loop.invoke()
        if loop.data:
            busy()
        loop.data = False

    # Its own time, and not that of what it has invoked.
    loop.callback = invoke
    loop.timer(0.0, 0.0, slow).start()
    loop.start()
    only(("slow", "Timer"))
    loop.data = True
    loop.start(EVRUN_NOWAIT)
    loop.timer(0.0, 0.0, lambda watcher, revents: None).start()
    loop.start()
    only(("invoke", "Loop"))
    loop.callback = None
"""
        ),
        options=DEV,
    )


def test_nested_runs_are_not_what_is_slow(run_script):
    run_script(
        script(
            """
def end_of_wait(signum, frame):
    if loop.depth < 2:
        # It has come before the loop waits.
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        return
    # In no callback: the loop waits, and time passes.
    busy(100.0)
    loop.stop()

def wait():
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    loop.start()

def waits(watcher, revents):
    loop.timer(0.0, 0.0, slow).start()
    loop.start(EVRUN_ONCE)
    far.start()
    wait()
    far.stop()

def waits_and_is_slow(watcher, revents):
    waits(watcher, revents)
    busy()

def calls():
    loop.call_soon_threadsafe(busy)
    loop.start(EVRUN_NOWAIT)

import signal
signal.signal(signal.SIGALRM, end_of_wait)
with make() as loop:
    far = loop.timer(1e4, 0.0, slow)
    for number in (1, 3):
        # Alone, and with others.
        for callback in (waits, waits_and_is_slow):
            loop.fork(callback).feed(EV_CUSTOM)
            for _ in range(1, number):
                loop.fork(lambda watcher, revents: None).feed(EV_CUSTOM)
            loop.start(EVRUN_NOWAIT)
            expected = [("slow", "Timer")]
            if callback is waits_and_is_slow:
                expected.append(("waits_and_is_slow", "Fork"))
            only(*expected)
    loop.call_soon_threadsafe(calls)
    loop.call_soon_threadsafe(calls)
    loop.start(EVRUN_NOWAIT)
    only(*[("busy", "Loop.call_soon_threadsafe")] * 2)
"""
        ),
        options=DEV,
    )


def test_exceptions_of_slow_callbacks_have_their_fate(run_script):
    run_script(
        script(
            """
reported = []
sys.unraisablehook = lambda args: reported.append((args.exc_type, args.object))

def fails(watcher, revents):
    busy()
    raise ZeroDivisionError

@fatal
def ends(watcher, revents):
    busy()
    raise ZeroDivisionError

def quick(watcher, revents):
    pass

with make() as loop:
    for number in (1, 2):
        # Alone, and with others.
        for _ in range(number):
            loop.fork(fails).feed(EV_CUSTOM)
        loop.start(EVRUN_NOWAIT)
        only(*[("fails", "Fork")] * number)
        assert reported == [(ZeroDivisionError, fails)] * number, reported
        reported.clear()
        watchers = [loop.fork(quick) for _ in range(number)]
        for watcher in watchers:
            watcher.feed(EV_CUSTOM)
        loop.fork(ends).feed(EV_CUSTOM)
        try:
            loop.start(EVRUN_NOWAIT)
        except ZeroDivisionError as error:
            frames, trace = [], error.__traceback__
            while trace is not None:
                frames.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
            # CPython before 3.11, and PyPy, show the one that raises.
            assert [name for name in frames if name != "start"] == [
                "<module>", "ends"
            ], frames
        else:
            raise AssertionError
        assert all(watcher.pending for watcher in watchers)
        loop.start(EVRUN_NOWAIT)
        only(("ends", "Fork"))
    watcher = loop.timer(0.0, 0.0, fails)
    assert watcher.callback is fails
"""
        ),
        options=DEV,
    )


def test_warning_that_fails_is_reported(run_script):
    run_script(
        script(
            """
reported = []
sys.unraisablehook = lambda args: reported.append((args.exc_type, args.object))

class Mine(Timer):
    def __repr__(self):
        raise ZeroDivisionError

with make() as loop:
    Mine(0.0, 0.0, loop, slow).start()
    loop.start()
    assert records == []
    assert reported == [(ZeroDivisionError, slow)], reported
"""
        ),
        options=DEV,
    )


def test_interrupt_during_a_slow_callback_leaves_nothing_behind(run_script):
    run_script(
        script(
            """
def interrupted():
    busy()
    raise KeyboardInterrupt

def quick():
    pass

with make() as loop:
    for callback in (interrupted, quick):
        loop.call_soon_threadsafe(callback)
    try:
        loop.start(EVRUN_NOWAIT)
    except KeyboardInterrupt:
        only(("interrupted", "Loop.call_soon_threadsafe"))
    else:
        raise AssertionError
    begun = loop._queue.calls.begun
    assert begun == []
    # What one that came to the timing itself would leave.
    begun.append((busy, 0.0, 0.0))
    loop.start(EVRUN_NOWAIT)
    only()
    assert begun == []
"""
        ),
        options=DEV,
    )


def test_warning_goes_to_stderr_where_nobody_has_set_up_logging(run_script):
    result = run_script(
        """
        import time
        from mood_event import Loop

        def slow(watcher, revents):
            time.sleep(0.11)

        with Loop() as loop:
            loop.timer(0.0, 0.0, slow).start()
            loop.start()
        """,
        options=DEV,
        check=False,
    )
    assert result.returncode == 0
    assert re.fullmatch(
        r"slow callback: slow \(<string>:5\) took 0\.\d{3} seconds, "
        r"called for <Timer remaining=\S+ repeat=0 callback=slow>\n",
        result.stderr,
    )


@pytest.mark.skipif(
    sys.implementation.name == "pypy" or sys.version_info[:2] == (3, 11),
    reason="PyPy has no tracemalloc, and CPython 3.11's finds no object with a dict",
)
def test_unclosed_loop_tells_where_it_was_made(run_script, tmp_path):
    (tmp_path / "program.py").write_text(
        "from mood_event import Loop\n\nloop = Loop()\n"
    )
    result = run_script(
        f"""
        import gc, sys
        sys.path.insert(0, {str(tmp_path)!r})
        import program
        program.loop.timer(1.0, 0.0, print).start()
        del program.loop
        gc.collect()
        """,
        options=(*DEV, "-X", "tracemalloc"),
        check=False,
    )
    assert result.returncode == 0
    assert re.search(
        r"ResourceWarning: unclosed loop <Loop \w+ active=1>\n"
        r"Object allocated at \(most recent call last\):\n"
        r'  File "[^"]*program\.py", lineno 3\n    loop = Loop\(\)\n$',
        result.stderr,
    ), result.stderr


# -- what delivers in development mode ------------------------------------------------


def test_watcher_that_is_being_stopped_is_not_called(run_script):
    run_script(
        script(
            """
loop = make()
held = loop._queue.held

def first(watcher, revents):
    # As a `__del__` or a signal's handler leaves it that is half through with it.
    busy()
    held[second._slot] = None

def third(watcher, revents):
    busy()
    held[second._slot] = second

second = None
for callback in (third, slow, first):
    watcher = loop.prepare(callback)
    watcher.feed(EV_CUSTOM)
    if callback is slow:
        second = watcher
loop.start(EVRUN_NOWAIT)
only(("first", "Prepare"), ("third", "Prepare"))
"""
        ),
        options=DEV,
    )


@pytest.mark.parametrize("name", ["mood_on_batch", "mood_on_event"])
def test_functions_that_time_deliver_as_the_others_do(name):
    """Line by line, but for what times: so that neither is changed alone."""
    plainly = inspect.getsource(inspect.getmodule(_dispatch)).splitlines()
    path = _dispatch.__file__.replace("_dispatch.py", "_slow.py")
    with open(path, encoding="utf-8") as file:
        timing = [
            line.replace("queue: Any =", "queue =")
            for line in file.read().splitlines()
            if "_clock" not in line and "_note(" not in line
        ]

    def body(lines):
        start = next(
            n for n, line in enumerate(lines) if line.startswith(f"def {name}(")
        )
        end = next(n for n in range(start, len(lines)) if not lines[n].strip())
        return lines[start:end]

    assert body(timing) == body(plainly)
