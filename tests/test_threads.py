"""Threads and interrupts: who may run a loop, Ctrl-C, and the end of the process.

Nearly everything is in scripts: it is about signals and the process's end.
"""

import sys
import threading

import pytest

from mood_event import EVRUN_NOWAIT, Error, Loop

PRELUDE = """
from mood_event import *
import os, signal, sys, threading, time

def ignore(*arguments):
    pass

def blocking(loop, function):
    '''Have another thread call the function, once per call of `arm`, when the loop
    blocks in the main thread.'''
    reader, writer = os.pipe()
    main = threading.main_thread().ident

    def serve():
        while os.read(reader, 1):
            # Until the main thread has left the callback for C, where it blocks.
            while not in_c(sys._current_frames()[main]):
                time.sleep(0)
            function()

    def in_c(frame):
        return os.path.basename(frame.f_code.co_filename) == "loop.py"

    def prepare(watcher, revents):
        # No Python runs in the loop from here on, unless it is woken.
        watcher.stop()
        os.write(writer, b"x")

    thread = threading.Thread(target=serve)
    thread.daemon = True
    thread.start()
    return loop.prepare(prepare).start

def kill(signum):
    os.kill(os.getpid(), signum)
"""


@pytest.fixture
def run(run_script):
    """Run a script with PRELUDE before it."""

    def run(source, **keywords):
        return run_script(PRELUDE + source, **keywords)

    return run


@pytest.fixture
def running_elsewhere(loop, in_thread):
    """The loop, while another thread runs it."""
    running = threading.Event()

    def tell(watcher, revents):
        watcher.stop()
        running.set()

    loop.prepare(tell).start()
    stop = loop.async_(lambda watcher, revents: loop.stop())
    stop.start()
    thread = in_thread(loop.start)
    running.wait()
    yield loop
    stop.send()
    thread.join()


# -- who may run a loop ---------------------------------------------------------------


@pytest.mark.core
def test_start_by_two_threads_at_once_raises(running_elsewhere):
    for flags in (0, EVRUN_NOWAIT):
        with pytest.raises(Error, match=r"Loop\.start: another thread runs the loop"):
            running_elsewhere.start(flags)


@pytest.mark.core
def test_close_while_another_thread_runs_the_loop_raises(running_elsewhere):
    # In development mode the thread is looked at first.
    elsewhere, running = "another thread runs the loop", "the loop is running"
    reason = elsewhere if sys.flags.dev_mode else running
    with pytest.raises(Error, match=rf"Loop\.close: {reason}"):
        running_elsewhere.close()


@pytest.mark.core
def test_start_by_one_thread_after_another(loop, in_thread):
    seen = []

    def callback(watcher, revents):
        seen.append(threading.current_thread())

    def run():
        loop.timer(0.0, 0.0, callback).start()
        assert loop.start() is False

    threads = []
    for _ in range(5):
        thread = in_thread(run)
        thread.join()
        threads.append(thread)
    run()
    assert seen == [*threads, threading.main_thread()]


@pytest.mark.core
def test_loops_run_in_many_threads_at_once(in_thread):
    counts = []
    barrier = threading.Barrier(4)

    def run():
        count = 0

        def callback(watcher, revents):
            nonlocal count
            count += 1
            if count == 500:
                watcher.stop()

        with Loop() as loop:
            loop.timer(0.0, 1e-6, callback).start()
            barrier.wait()
            assert loop.start() is False
        counts.append(count)

    for thread in [in_thread(run) for _ in range(4)]:
        thread.join()
    assert counts == [500] * 4


DEVELOPMENT = """
started, done = threading.Event(), threading.Event()
def hold(watcher, revents):
    watcher.stop()
    started.set()

loop = Loop()
other = Loop(embeddable_backends() & supported_backends())
watchers = [
    loop.timer(1e4, 1.0, ignore),
    loop.io(0, EV_READ, ignore),
    loop.periodic(1e12, 0.0, ignore),
    loop.scheduler(lambda watcher, now: now + 1e4),
    loop.stat("/", 0.0, ignore),
    loop.signal(signal.SIGUSR1, ignore),
    loop.embed(other),
    loop.idle(ignore),
]
end = loop.async_(lambda *arguments: loop.stop())
end.start()
loop.prepare(hold).start()
thread = threading.Thread(target=loop.start)
thread.daemon = True
thread.start()
started.wait()

def attempt(method, *arguments):
    try:
        method(*arguments)
    except Error as error:
        assert "another thread runs the loop" in str(error), error
        return str(error).partition(":")[0]
    return None
"""


def test_development_mode_checks_the_thread_of_every_method(run):
    run(
        DEVELOPMENT
        + """
for name, arguments in [
    ("stop", ()), ("reset", ()), ("update", ()), ("suspend", ()), ("resume", ()),
    ("ref", ()), ("unref", ()), ("feed_fd_event", (0, 1)), ("start", ()),
    ("feed_signal_event", (10,)), ("once", (None, 0, 1.0, ignore)), ("watchers", ()),
    ("close", ()),
    ("now", ()), ("verify", ()),
]:
    assert attempt(getattr(loop, name), *arguments) == f"Loop.{name}", name
for watcher in watchers:
    for name, arguments in [
        ("start", ()), ("stop", ()), ("clear", ()), ("feed", (1,)), ("invoke", (1,)),
        ("reset", ()), ("stat", ()), ("sweep", ()), ("set", None),
    ]:
        if not hasattr(watcher, name):
            continue
        if arguments is None:
            arguments = {
                "Timer": (1.0, 0.0), "Io": (0, 1), "Periodic": (1.0, 0.0),
                "Stat": ("/", 0.0), "Signal": (10,), "Embed": (other,),
            }[type(watcher).__name__]
        what = attempt(getattr(watcher, name), *arguments)
        assert what and what.endswith("." + name), (watcher, name, what)
    assert not watcher.active

# What is for other threads, and what only reads.
loop.call_soon_threadsafe(ignore)
feed_signal(signal.SIGUSR1)
loop.depth, loop.backend, loop.data, watchers[0].active
end.send()
thread.join()
for watcher in watchers:
    watcher.start()
    watcher.stop()
loop.close()
other.close()
""",
        options=("-X", "dev"),
    )


def test_development_mode_lets_a_loop_callback_invoke_elsewhere(run):
    run(
        """
def elsewhere(loop):
    thread = threading.Thread(target=loop.invoke)
    thread.start()
    thread.join()

def callback(watcher, revents):
    seen.append(threading.current_thread() is not threading.main_thread())
    # The loop's own thread waits for this one.
    watcher.stop()
    watcher.loop.stop()
    loop.timer(0.0, 0.0, ignore).start()

seen = []
with Loop(callback=elsewhere) as loop:
    loop.timer(0.0, 1.0, callback).start()
    loop.start()
assert seen == [True]
""",
        options=("-X", "dev"),
    )


def test_development_mode_keeps_the_methods_documented(run):
    run(
        """
import inspect
for method in (Loop.stop, Timer.set, Watcher.start, Embed.sweep):
    assert method.__doc__
assert list(inspect.signature(Timer.set).parameters) == ["self", "after", "repeat"]
assert Loop.stop.__name__ == "stop"
""",
        options=("-X", "dev"),
    )


# -- interrupts -----------------------------------------------------------------------


@pytest.mark.core
def test_interrupts_of_an_idle_loop_raise_from_start(run):
    result = run(
        """
with Loop() as loop:
    arm = blocking(loop, lambda: kill(signal.SIGINT))
    loop.timer(1e4, 0.0, ignore).start()
    for number in range(20):
        arm()
        try:
            loop.start()
        except KeyboardInterrupt:
            print(number)
"""
    )
    assert result.stdout.split() == [str(number) for number in range(20)]


def test_interrupts_without_any_watcher_but_a_reference(run):
    run(
        """
with Loop() as loop:
    loop.ref()
    arm = blocking(loop, lambda: kill(signal.SIGINT))
    arm()
    try:
        loop.start()
    except KeyboardInterrupt:
        assert loop.depth == 0
    else:
        raise AssertionError
"""
    )


@pytest.mark.parametrize("flags", ["EVBACKEND_SELECT", "EVBACKEND_POLL", "0"])
def test_python_handlers_run_while_the_loop_blocks(run, flags):
    run(
        f"""
def handler(signum, frame):
    called.append((signum, loop.depth))
    loop.stop()

called = []
signal.signal(signal.SIGUSR1, handler)
with Loop({flags}) as loop:
    arm = blocking(loop, lambda: kill(signal.SIGUSR1))
    loop.timer(1e4, 0.0, ignore).start()
    for count in range(1, 6):
        arm()
        assert loop.start() is True
        assert called == [(signal.SIGUSR1, 1)] * count
"""
    )


def test_python_handlers_that_raise_end_the_run(run):
    run(
        """
class Alarm(BaseException):
    pass

def handler(signum, frame):
    raise Alarm(signum)

signal.signal(signal.SIGUSR1, handler)
with Loop() as loop:
    arm = blocking(loop, lambda: kill(signal.SIGUSR1))
    loop.timer(1e4, 0.0, ignore).start()
    arm()
    try:
        loop.start()
    except Alarm as error:
        assert error.args == (signal.SIGUSR1,)
    else:
        raise AssertionError
    assert loop.start(EVRUN_NOWAIT) is True
"""
    )


def test_python_handlers_run_while_a_nested_run_blocks(run):
    run(
        """
def handler(signum, frame):
    depths.append(loop.depth)
    loop.stop(EVBREAK_ALL)

def nest(watcher, revents):
    arm()
    loop.start()

depths = []
signal.signal(signal.SIGUSR1, handler)
with Loop() as loop:
    arm = blocking(loop, lambda: kill(signal.SIGUSR1))
    loop.timer(1e4, 0.0, ignore).start()
    loop.timer(0.0, 0.0, nest).start()
    loop.start()
assert depths == [2]
"""
    )


def test_python_handlers_run_while_another_loop_runs_inside(run):
    run(
        """
def handler(signum, frame):
    seen.append((loop.depth, other.depth))
    other.stop()
    loop.stop()

def nest(watcher, revents):
    other.start()
    seen.append("back")
    arm()

seen = []
signal.signal(signal.SIGUSR1, handler)
with Loop() as loop, Loop() as other:
    arm = blocking(loop, lambda: kill(signal.SIGUSR1))
    arm_other = blocking(other, lambda: kill(signal.SIGUSR1))
    for each in (loop, other):
        each.timer(1e4, 0.0, ignore).start()
    loop.timer(0.0, 0.0, nest).start()
    arm_other()
    loop.start()
    assert seen == [(1, 1), "back"]
    loop.start()
assert seen == [(1, 1), "back", (1, 0)]
"""
    )


def test_interrupt_of_the_main_thread_while_another_runs_a_loop(run):
    run(
        """
def body():
    running.set()
    loop.start()

running = threading.Event()
loop = Loop()
stop = loop.async_(lambda *arguments: loop.stop())
stop.start()
thread = threading.Thread(target=body)
thread.start()
running.wait()
try:
    kill(signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    pass
else:
    raise AssertionError
stop.send()
thread.join()
loop.close()
"""
    )


@pytest.mark.parametrize(
    "how",
    [
        "blocking(loop, lambda: kill(signal.SIGUSR1))()",
        # It has no more occasion to look at what woke it.
        "loop.prepare(interrupt).start()",
    ],
)
def test_wakeup_descriptor_is_restored_and_served(run, how):
    run(
        f"""
def interrupt(watcher, revents):
    kill(signal.SIGUSR1)

reader, writer = os.pipe()
for fd in (reader, writer):
    os.set_blocking(fd, False)
signal.signal(signal.SIGUSR1, lambda *arguments: loop.stop())
signal.set_wakeup_fd(writer)
with Loop() as loop:
    {how}
    loop.timer(1e4, 0.0, ignore).start()
    assert loop.start() is True
    # Who had it before wants to know as well.
    assert os.read(reader, 10) == bytes([signal.SIGUSR1])
    assert signal.set_wakeup_fd(-1) == writer
    loop.timer(0.0, 0.0, ignore).start()
    loop.start(EVRUN_ONCE)
    assert signal.set_wakeup_fd(-1) == -1
"""
    )


def test_wakeup_descriptor_set_in_a_callback_stays(run):
    run(
        """
def install(watcher, revents):
    signal.set_wakeup_fd(writer)

reader, writer = os.pipe()
os.set_blocking(writer, False)
with Loop() as loop:
    loop.timer(0.0, 0.0, install).start()
    loop.start()
    assert signal.set_wakeup_fd(-1) == writer
"""
    )


def test_wakeup_descriptor_is_left_alone_without_waiting(run):
    run(
        """
def look(watcher, revents):
    current = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(current)
    seen.append(current)

seen = []
with Loop() as loop:
    idle = loop.idle(look)
    idle.start()
    loop.start(EVRUN_NOWAIT)
    loop.start(EVRUN_ONCE)
    assert seen[0] == -1 != seen[1]
    # Nor in a thread, where Python does not allow it.
    idle.callback = ignore
    thread = threading.Thread(target=loop.start, args=(EVRUN_ONCE,))
    thread.start()
    thread.join()
assert signal.set_wakeup_fd(-1) == -1
"""
    )


def test_wakeup_descriptor_left_behind_by_an_interrupt_is_mended(run):
    # As an interrupt between the end of the run and the restoration leaves it.
    run(
        """
def look(watcher, revents):
    seen.append(signal.set_wakeup_fd(-1))
    signal.set_wakeup_fd(seen[-1])

seen = []
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
with Loop() as loop:
    for _ in range(2):
        loop.timer(0.0, 0.0, look).start()
        loop.start()
        signal.set_wakeup_fd(seen[-1])
    loop.timer(0.0, 0.0, ignore).start()
    loop.start()
    assert signal.set_wakeup_fd(-1) == writer
assert seen[0] == seen[1] != writer
"""
    )


def test_many_signals_fill_no_pipe(run):
    run(
        """
def handler(signum, frame):
    counts[0] += 1

def send(watcher, revents):
    for _ in range(70000):
        kill(signal.SIGUSR1)
    loop.stop()

counts = [0]
signal.signal(signal.SIGUSR1, handler)
with Loop() as loop:
    loop.timer(0.0, 0.0, send).start()
    loop.start()
    loop.timer(0.0, 0.0, ignore).start()
    loop.start()
assert counts[0] > 1
""",
        # The callback that sends them takes its time, which would be told.
        env={"PYTHONDEVMODE": ""},
    )


# -- the end of the process -----------------------------------------------------------

ENDINGS = {
    "blocking": "loop.timer(1e4, 0.0, ignore).start()",
    "busy": "loop.idle(ignore).start()",
    "timers": "loop.timer(0.0, 1e-5, ignore).start()",
    "calling": (
        "loop.timer(0.0, 1e-5, lambda *a: loop.call_soon_threadsafe(ignore)).start()"
    ),
    "scheduling": "loop.scheduler(lambda watcher, now: now + 1e-6, ignore).start()",
    "loop callback": "loop.callback = Loop.invoke; loop.idle(ignore).start()",
    "nested": (
        "loop.idle(lambda *a: loop.depth < 3 and loop.start(EVRUN_NOWAIT)).start()"
    ),
    "sleeping": "loop.timer(0.0, 1e-5, lambda *a: time.sleep(1e-4)).start()",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("exit_", ["", "sys.exit(3)", "raise KeyboardInterrupt"])
def test_process_ends_while_a_daemon_thread_runs_a_loop(run, ending, exit_):
    result = run(
        f"""
def tell(watcher, revents):
    watcher.stop()
    running.set()

running = threading.Event()
loop = Loop()
{ENDINGS[ending]}
loop.prepare(tell).start()
thread = threading.Thread(target=loop.start)
thread.daemon = True
thread.start()
running.wait()
print("end", flush=True)
{exit_}
""",
        check=False,
    )
    codes = {"": (0,), "sys.exit(3)": (3,), "raise KeyboardInterrupt": (-2, 1)}
    assert result.returncode in codes[exit_], result
    assert result.stdout == "end\n"
    if "KeyboardInterrupt" in exit_:
        assert result.stderr.endswith("KeyboardInterrupt\n")
    else:
        assert result.stderr == ""


@pytest.mark.parametrize(
    "callback",
    [
        "loop.timer(0.0, 0.0, leave).start()",
        "loop.callback = leave",
        "loop.call_soon_threadsafe(leave)",
        "loop.scheduler(leave).start()",
        "signal.signal(signal.SIGUSR1, leave); loop.timer(1e4, 0.0, ignore).start(); "
        "kill_later()",
    ],
)
def test_sys_exit_in_a_callback_ends_the_process(run, callback):
    result = run(
        f"""
import warnings
warnings.simplefilter("ignore")
def leave(*arguments):
    sys.exit(3)

def kill_later():
    blocking(loop, lambda: kill(signal.SIGUSR1))()

loop = default_loop()
{callback}
loop.start()
print("not reached")
""",
        check=False,
    )
    assert result == (3, "", "")


def test_sys_exit_in_a_thread_ends_its_run_only(run):
    run(
        """
loop = Loop()
loop.timer(0.0, 0.0, lambda *arguments: sys.exit(3)).start()
loop.timer(1e4, 0.0, ignore).start()
thread = threading.Thread(target=loop.start)
thread.start()
thread.join()
assert loop.depth == 0
loop.close()
"""
    )


def test_loop_can_still_run_in_an_exit_function(run):
    result = run(
        """
import atexit

def at_exit():
    loop.timer(0.0, 0.0, lambda *arguments: print("timer")).start()
    loop.start()
    loop.close()

loop = default_loop()
atexit.register(at_exit)
"""
    )
    assert result.stdout == "timer\n"


def test_loop_can_still_run_after_the_packages_exit_function(run_script):
    # What was registered before the package was imported is called afterwards.
    result = run_script(
        """
        import atexit

        def at_exit():
            loop.timer(0.0, 0.0, lambda *arguments: print("timer")).start()
            loop.start()
            loop.close()

        atexit.register(at_exit)
        import mood_event
        loop = mood_event.Loop()
        """
    )
    assert result.stdout == "timer\n"
