"""The end of the process, whatever its loops are at: no crash, no hang, no word.

Every case is a script, run again and again, two at a time. What is expected is its exit
status, and that stderr has nothing but the program's own traceback.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from soak import scaled

# Of two ends for each state, when cut down.
TIMES = scaled(200, 2 if sys.implementation.name == "cpython" else 1)

PRELUDE = """
import atexit, os, signal, sys, tempfile, threading
from mood_event import *
import time

def ignore(*arguments):
    pass

def in_daemon(loop):
    '''Have a daemon thread run the loop, and wait until it does.'''
    def tell(watcher, revents):
        watcher.stop()
        running.set()

    running = threading.Event()
    loop.prepare(tell).start()
    thread = threading.Thread(target=loop.start)
    thread.daemon = True
    thread.start()
    running.wait()

def spin(*arguments):
    for _ in range(1000):
        pass
"""

# What there is when the process ends.
STATES = {
    # A daemon thread runs the loop, which is
    "blocking": "loop.timer(1e4, 0.0, ignore).start(); in_daemon(loop)",
    "busy": "loop.idle(ignore).start(); in_daemon(loop)",
    "timers": "loop.timer(0.0, 1e-5, ignore).start(); in_daemon(loop)",
    "in a callback": "loop.idle(spin).start(); in_daemon(loop)",
    "sleeping in a callback": """
loop.timer(0.0, 1e-5, lambda *arguments: time.sleep(1e-4)).start()
in_daemon(loop)
""",
    "sleeping for long in a callback": """
asleep = threading.Event()
loop.timer(0.0, 0.0, lambda *arguments: (asleep.set(), time.sleep(1e4))).start()
in_daemon(loop)
asleep.wait()
""",
    "in a batch": """
for _ in range(100):
    loop.idle(spin).start()
in_daemon(loop)
""",
    "scheduling": """
loop.scheduler(lambda watcher, now: spin() or now + 1e-6, ignore).start()
in_daemon(loop)
""",
    "in a loop callback": """
loop.callback = lambda loop: (spin(), loop.invoke())
loop.idle(ignore).start()
in_daemon(loop)
""",
    "calling": """
loop.timer(0.0, 1e-5, lambda *a: loop.call_soon_threadsafe(spin)).start()
in_daemon(loop)
""",
    "nested": """
loop.idle(lambda *a: loop.depth < 3 and loop.start(EVRUN_NOWAIT)).start()
in_daemon(loop)
""",
    "nested and blocking": """
nested = threading.Event()
loop.timer(1e4, 0.0, ignore).start()
loop.timer(0.0, 0.0, lambda *a: (nested.set(), loop.start())).start()
in_daemon(loop)
nested.wait()
""",
    "raising": """
sys.unraisablehook = ignore
loop.idle(lambda *arguments: 1 / 0).start()
in_daemon(loop)
""",
    "sent to": """
awake = loop.async_(spin)
awake.start()
in_daemon(loop)
def send():
    while True:
        awake.send()
sender = threading.Thread(target=send)
sender.daemon = True
sender.start()
""",
    "one of many": """
loops = [Loop() for _ in range(4)]
for each in loops:
    each.timer(0.0, 1e-5, spin).start()
    in_daemon(each)
""",
    "embedding": """
other = Loop(embeddable_backends() & supported_backends())
reader, writer = os.pipe()
os.write(writer, b"x")
other.io(reader, EV_READ, spin).start()
loop.embed(other).start()
in_daemon(loop)
""",
    # No other thread; watchers are
    "active": """
reader, writer = os.pipe()
for watcher in (
    loop.io(reader, EV_READ, ignore), loop.timer(1e4, 1.0, ignore),
    loop.periodic(0.0, 1e9, ignore), loop.scheduler(lambda w, now: now + 1e4),
    loop.signal(signal.SIGUSR1, ignore), loop.child(0, False, ignore),
    loop.stat(tempfile.gettempdir(), 0.0, ignore), loop.idle(ignore),
    loop.prepare(ignore), loop.check(ignore), loop.fork(ignore),
    loop.cleanup(lambda *arguments: print("cleanup")), loop.async_(ignore),
    loop.embed(Loop(embeddable_backends() & supported_backends())),
):
    watcher.start()
loop.start(EVRUN_NOWAIT)
""",
    "pending": """
for watcher in (loop.prepare(ignore), loop.timer(0.0, 0.0, ignore)):
    watcher.start()
    watcher.feed(EV_CUSTOM)
loop.call_soon_threadsafe(ignore)
""",
    "of signalfd": """
own = Loop(EVFLAG_SIGNALFD)
own.signal(signal.SIGUSR2, ignore).start()
own.start(EVRUN_NOWAIT)
os.kill(os.getpid(), signal.SIGUSR2)
""",
    "in a cycle": """
class Holder:
    def __init__(self):
        self.loop = Loop(data=self)
        self.watcher = self.loop.timer(1e4, 0.0, self.called, self)
        self.watcher.start()
        self.loop.start(EVRUN_NOWAIT)
    def called(self, watcher, revents):
        pass
kept, dropped = Holder(), Holder()
del dropped
""",
    "in a module and a closure": """
def close_over(loop):
    def callback(watcher, revents):
        return loop
    loop.timer(1e4, 0.0, callback).start()
    return callback
sys.modules["held"] = loops = [Loop() for _ in range(3)]
callbacks = [close_over(each) for each in loops]
""",
    "run at exit": """
def at_exit():
    with Loop() as own:
        own.timer(0.0, 0.0, lambda *arguments: print("timer", flush=True)).start()
        own.start()
atexit.register(at_exit)
""",
    "run at exit, beside a daemon": """
def at_exit():
    with Loop() as own:
        own.timer(0.001, 0.0, lambda *arguments: print("timer", flush=True)).start()
        own.start()
atexit.register(at_exit)
loop.timer(0.0, 1e-5, spin).start()
in_daemon(loop)
""",
    "closed": "loop.timer(1e4, 0.0, ignore).start(); loop.close()",
}

# How the process ends: the source, the exit status, and what the traceback ends with.
ENDS = {
    "at its end": ("pass", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "an exception": ("raise ValueError('mine')", 1, "ValueError: mine\n"),
    "os._exit": ("os._exit(4)", 4, ""),
}

# As above, in a callback of a loop that the main thread runs.
IN_A_CALLBACK = """
main_loop = Loop()
@fatal
def end(*arguments):
    {end}
    os._exit(0)
main_loop.timer(0.0, 0.0, end).start()
main_loop.start()
"""


@pytest.fixture
def repeat(run_script):
    """Run a script with PRELUDE before it, again and again, two at a time."""

    def repeat(source, **keywords):
        def run(_):
            return run_script(PRELUDE + source, check=False, **keywords)

        with ThreadPoolExecutor(2) as pool:
            return set(pool.map(run, range(TIMES)))

    return repeat


def check(results, status, last, stdout=""):
    """One result, every time: this one."""
    assert len(results) == 1, results
    (result,) = results
    assert result.returncode == status, result
    assert result.stdout == stdout, result
    if last:
        assert result.stderr.startswith("Traceback (most recent call last):\n"), result
        assert result.stderr.endswith(last), result
        assert result.stderr.count("Traceback") == 1, result
    else:
        assert result.stderr == "", result


def cases():
    """Every state at the end of the program, and the other ends in turn."""
    others = [name for name in ENDS if name != "at its end"]
    for number, state in enumerate(STATES):
        yield state, "at its end"
        if scaled(1, 0):
            yield from ((state, end) for end in others)
        else:
            yield state, others[number % len(others)]


@pytest.mark.soak
@pytest.mark.parametrize(("state", "end"), list(cases()))
def test_process_ends_with_nothing_to_be_seen(repeat, state, end):
    source, status, last = ENDS[end]
    at_exit = "timer\n" if state.startswith("run at exit") and status != 4 else ""
    results = repeat(f"loop = default_loop()\n{STATES[state]}\n{source}\n")
    check(results, status, last, at_exit)


@pytest.mark.soak
@pytest.mark.parametrize("end", [end for end in ENDS if end != "at its end"])
def test_process_ends_in_a_callback(repeat, end):
    source, status, last = ENDS[end]
    results = repeat(
        "loop = default_loop()\n"
        + STATES["active"]
        + STATES["timers"].replace("loop", "beside").join(["beside = Loop()\n", "\n"])
        + IN_A_CALLBACK.format(end=source)
    )
    check(results, status, last)


@pytest.mark.soak
def test_process_goes_on_after_sys_exit_in_a_thread(repeat):
    results = repeat(
        """
loop = Loop()
loop.timer(0.0, 0.0, lambda *arguments: sys.exit(3)).start()
loop.timer(1e4, 0.0, ignore).start()
thread = threading.Thread(target=loop.start)
thread.start()
thread.join()
print(loop.depth, flush=True)
"""
    )
    check(results, 0, "", "0\n")


@pytest.mark.soak
@pytest.mark.parametrize("state", ["blocking", "busy", "active", "in a cycle"])
def test_process_in_development_mode_ends_with_warnings_of_ours_alone(repeat, state):
    results = repeat(f"loop = default_loop()\n{STATES[state]}\n", options=("-X", "dev"))
    for result in results:
        assert (result.returncode, result.stdout) == (0, ""), result
        for line in result.stderr.splitlines():
            # Of a loop that was dropped, if that was collected; the rest is where,
            # or how to find out.
            ours = "unclosed loop" in line or "Enable tracemalloc" in line
            assert ours or line.startswith(" "), result
