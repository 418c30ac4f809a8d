"""Forks: parent and child both go on, with and without `Loop.reset`.

Everything here is in scripts, which fork. A child that fails says so and ends with 1.
"""

import forks
import pytest

PRELUDE = (
    forks.SCRIPT
    + """
def reading_pipe(loop, name):
    '''A pipe, and a watcher that notes the name when something is written to it.'''
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    watcher = loop.io(reader, EV_READ, note, name)
    watcher.start()
    return writer, watcher

seen = []
def note(watcher, revents):
    if revents == EV_READ:
        os.read(watcher.fd, 1)
    seen.append(watcher.data)

def run_until(loop, *expected):
    while len(seen) < len(expected):
        loop.start(EVRUN_ONCE)
    assert seen == list(expected), seen
    del seen[:]
"""
)

BACKENDS = ["EVBACKEND_SELECT", "EVBACKEND_POLL", "EVBACKEND_EPOLL"]
HOW = {
    "by itself": ("0", ""),
    "reset": ("0", "loop.reset()"),
    "FORKCHECK": ("EVFLAG_FORKCHECK", ""),
}


@pytest.fixture
def run(run_script):
    """Run a script with PRELUDE before it."""

    def run(source, **keywords):
        return run_script(PRELUDE + source, **keywords)

    return run


@pytest.mark.core
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("backend", BACKENDS)
def test_fork_outside_callbacks_leaves_two_loops_that_work(run, how, backend):
    flags, reset = HOW[how]
    run(
        f"""
if not {backend} & supported_backends():
    sys.exit()
loop = Loop({flags} | {backend})
assert loop.backend == {backend}
for_child, gone = reading_pipe(loop, "child")
for_parent, watcher = reading_pipe(loop, "parent")
loop.start(EVRUN_NOWAIT)

def child():
    {reset}
    # The kernel's set of descriptors is no longer the parent's.
    watcher.stop()
    os.close(watcher.fd)
    os.write(for_child, b"x")
    run_until(loop, "child")
    loop.timer(0.001, 0.0, note, "timer").start()
    run_until(loop, "timer")
    assert loop.start(EVRUN_NOWAIT) is True
    loop.close()

pid = in_child(child)
# The pipes are both processes'; what is in the child's is not for the parent to read.
gone.stop()
os.write(for_parent, b"x")
run_until(loop, "parent")
wait(pid)
os.write(for_parent, b"x")
run_until(loop, "parent")
loop.close()
"""
    )


@pytest.mark.core
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("backend", BACKENDS)
def test_fork_in_a_callback_leaves_two_loops_that_go_on(run, how, backend):
    flags, reset = HOW[how]
    run(
        f"""
if not {backend} & supported_backends():
    sys.exit()

def fork(watcher, revents):
    global role, pid
    pid = os.fork()
    role = "parent" if pid else "child"
    if not pid:
        {reset or "pass"}
    # The pipes are both processes'; each leaves one to the other.
    watchers.pop("child" if pid else "parent").stop()
    os.write(writers[role], b"x")

def read(watcher, revents):
    os.read(watcher.fd, 1)
    assert watcher.data == role
    loop.timer(0.001, 0.0, end).start()

def end(watcher, revents):
    loop.stop()

loop = Loop({flags} | {backend})
writers, watchers = dict(), dict()
for name in ("parent", "child"):
    reader, writers[name] = os.pipe()
    watchers[name] = loop.io(reader, EV_READ, read, name)
    watchers[name].start()
loop.timer(0.001, 0.0, fork).start()
assert loop.start() is True
loop.close()
if pid:
    wait(pid)
print(role)
"""
    )


@pytest.mark.core
@pytest.mark.parametrize("how", HOW)
def test_fork_watchers_are_called_in_the_child_only(run, how):
    flags, reset = HOW[how]
    run(
        f"""
def forked(watcher, revents):
    assert revents == EV_FORK
    seen.append(os.getpid())

loop = Loop({flags})
loop.fork(forked).start()
loop.start(EVRUN_NOWAIT)
assert seen == []

def child():
    {reset}
    for _ in range(3):
        loop.start(EVRUN_NOWAIT)
    assert seen == [os.getpid()]

wait(in_child(child))
for _ in range(3):
    loop.start(EVRUN_NOWAIT)
assert seen == []
"""
    )


@pytest.mark.core
def test_fork_marks_every_loop_that_lives(run):
    run(
        """
loops = [Loop(), Loop(), default_loop()]
closed = Loop()
closed.close()
for loop in loops:
    loop.fork(note, loop.default).start()

def child():
    for loop in loops:
        loop.start(EVRUN_NOWAIT)
    assert seen == [False, False, True]

wait(in_child(child))
"""
    )


@pytest.mark.core
def test_fork_leaves_signals_to_each_process(run):
    run(
        """
loop = default_loop()
loop.signal(signal.SIGUSR1, note, "signal").start()
loop.start(EVRUN_NOWAIT)

def child():
    os.kill(os.getpid(), signal.SIGUSR1)
    run_until(loop, "signal")
    os.kill(os.getpid(), signal.SIGUSR1)
    run_until(loop, "signal")

wait(in_child(child))
for _ in range(3):
    loop.start(EVRUN_NOWAIT)
assert seen == []
os.kill(os.getpid(), signal.SIGUSR1)
run_until(loop, "signal")
"""
    )


@pytest.mark.core
def test_fork_leaves_wakeups_to_each_process(run):
    run(
        """
def called():
    seen.append("called")

loop = Loop()
watcher = loop.async_(note, "async")
watcher.start()
loop.call_soon_threadsafe(called)
run_until(loop, "called")

def knock():
    watcher.send()
    run_until(loop, "async")
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called,))
    thread.start()
    run_until(loop, "called")
    thread.join()

wait(in_child(knock))
for _ in range(3):
    loop.start(EVRUN_NOWAIT)
assert seen == []
knock()
"""
    )


@pytest.mark.core
def test_fork_leaves_child_watchers_to_the_parent(run):
    run(
        """
def reaped(watcher, revents):
    seen.append((watcher.rpid, os.WEXITSTATUS(watcher.rstatus)))
    watcher.stop()

loop = default_loop()
reader, writer = os.pipe()

def first():
    os.read(reader, 1)
    os._exit(5)

pid = in_child(first)
loop.child(pid, False, reaped).start()
loop.start(EVRUN_NOWAIT)

def second():
    for _ in range(3):
        loop.start(EVRUN_NOWAIT)
    assert seen == []
    # It may watch children of its own.
    own = in_child(lambda: os._exit(6))
    watcher = loop.child(own, False, reaped)
    watcher.start()
    run_until(loop, (own, 6))

wait(in_child(second))
os.write(writer, b"x")
run_until(loop, (pid, 5))
"""
    )


@pytest.mark.parametrize("signum", ["SIGINT", "SIGUSR1"])
def test_fork_in_a_run_leaves_python_handlers_to_each_process(run, signum):
    run(
        f"""
class Interrupted(BaseException):
    pass

def handler(signum, frame):
    raise Interrupted

def fork(watcher, revents):
    global pid
    watcher.stop()
    pid = os.fork()
    if not pid:
        # The next iteration is to block.
        os.write(writers[0], b"x")
    else:
        loop.timer(0.0, 0.0, parent).start()

def parent(watcher, revents):
    os.read(readers[0], 1)
    os.kill(pid, signal.{signum})
    wait(pid)
    loop.stop()

signal.signal(signal.{signum}, handler)
readers, writers = zip(os.pipe(), os.pipe())
loop = Loop()
loop.timer(1e4, 0.0, note).start()
loop.timer(0.0, 0.0, fork).start()
try:
    assert loop.start() is True
except Interrupted:
    assert pid == 0
    os._exit(0)
assert pid
loop.timer(0.0, 0.0, lambda *arguments: os.kill(os.getpid(), signal.{signum})).start()
try:
    loop.start()
except Interrupted:
    pass
else:
    raise AssertionError
"""
    )


def test_fork_while_another_thread_runs_the_loop(run):
    run(
        """
import warnings
# CPython 3.12 and later: that there are threads, which is what this is about.
warnings.simplefilter("ignore", DeprecationWarning)

running = threading.Event()

def tell(watcher, revents):
    watcher.stop()
    running.set()

loop = Loop()
loop.prepare(tell).start()
stop = loop.async_(lambda *arguments: loop.stop())
stop.start()
thread = threading.Thread(target=loop.start)
thread.start()
running.wait()
try:
    loop.start()
except Error:
    pass
else:
    raise AssertionError

def child():
    # That thread is not here.
    loop.timer(0.0, 0.0, note, "child").start()
    run_until(loop, "child")
    stop.send()
    loop.start()
    # CPython's threading waits for the threads that there were.
    loop.close()

pid = in_child(child)
wait(pid)
assert thread.is_alive()
stop.send()
thread.join()
loop.close()
"""
    )


@pytest.mark.core
def test_fork_of_a_child_that_makes_its_own_loop(run):
    run(
        """
loop = default_loop()
for_parent, _ = reading_pipe(loop, "parent")
loop.start(EVRUN_NOWAIT)

def child():
    loop.close()
    with default_loop() as other:
        assert other is not loop
        for_child, _ = reading_pipe(other, "child")
        os.write(for_child, b"x")
        run_until(other, "child")
    with Loop() as other:
        other.timer(0.0, 0.0, note, "timer").start()
        run_until(other, "timer")

wait(in_child(child))
os.write(for_parent, b"x")
run_until(loop, "parent")
"""
    )


@pytest.mark.core
def test_fork_of_a_child_that_just_ends(run):
    result = run(
        """
loop = default_loop()
loop.signal(signal.SIGUSR1, note).start()
loop.child(0, False, note).start()
loop.async_(note).start()
reading_pipe(loop, "data")
loop.start(EVRUN_NOWAIT)
pid = os.fork()
if pid:
    wait(pid)
print("parent" if pid else "child", flush=True)
"""
    )
    assert result.stdout == "child\nparent\n"


@pytest.mark.core
def test_fork_of_a_loop_with_a_timer_keeps_its_time(run):
    run(
        """
loop = Loop()
timer = loop.timer(1e4, 0.0, note)
timer.start()
late = loop.timer(0.02, 0.0, note, "timer")
late.start()

def go_on():
    assert 0.0 < timer.remaining <= 1e4
    at = loop.now() + late.remaining
    run_until(loop, "timer")
    assert loop.now() >= at - 1e-3

pid = in_child(go_on)
go_on()
wait(pid)
"""
    )


@pytest.mark.core
def test_fork_of_an_embedded_loop(run):
    run(
        """
backends = embeddable_backends() & supported_backends()
loop, other = Loop(), Loop(backends)
for_child, gone = reading_pipe(other, "child")
for_parent, watcher = reading_pipe(other, "parent")
loop.embed(other).start()
loop.start(EVRUN_NOWAIT)

def child():
    watcher.stop()
    os.write(for_child, b"x")
    run_until_embedded("child")

def run_until_embedded(name):
    while not seen:
        loop.start(EVRUN_NOWAIT)
    assert seen == [name]
    del seen[:]

wait(in_child(child))
gone.stop()
os.write(for_parent, b"x")
run_until_embedded("parent")
"""
    )
