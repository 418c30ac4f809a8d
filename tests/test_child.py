"""Child watchers: statuses of processes, and of none but those that are watched.

The children are made in scripts; only what needs none is tested here.
"""

import pytest

import mood_event
from mood_event import EVRUN_NOWAIT, Child, Error

pytestmark = pytest.mark.core

PRELUDE = """
import ctypes, os, signal, subprocess, sys, threading
from mood_event import *

loop = default_loop()
seen = []

def note(watcher, revents):
    assert revents == EV_CHILD
    seen.append((watcher.data, watcher.rpid, watcher.rstatus))
    loop.stop()

def fork(status=0, gate=None):
    '''A child that ends with a status, once it can read from the gate.'''
    pid = os.fork()
    if not pid:
        if gate is not None:
            os.read(gate[0], 1)
        os._exit(status)
    return pid

def wait_for(pid, what):
    '''Wait for a change of a child, and leave its status there.'''
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, what | os.WNOWAIT)
        return
    # PyPy has none. The numbers are those of Linux: P_PID, WNOWAIT.
    libc = ctypes.CDLL(None)
    while libc.waitid(1, pid, ctypes.create_string_buffer(128), what | 0x1000000):
        pass

def wait_for_end(pid):
    wait_for(pid, getattr(os, "WEXITED", 4))

def is_reaped(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False
"""


def ignore(watcher, revents):
    """A callback that does nothing."""


def test_child_that_has_ended_before_is_the_event_that_start_waits_for(run):
    run(
        """
pid = fork(3)
wait_for_end(pid)
loop.child(pid, False, lambda watcher, revents: seen.append(watcher.rstatus)).start()
assert loop.start(EVRUN_ONCE) is True
assert seen == [3 << 8]
loop.close()
""",
        timeout=20,
    )


@pytest.fixture
def run(run_script):
    """Run a script with PRELUDE before it."""

    def run(source, **keywords):
        return run_script(PRELUDE + source, **keywords)

    return run


def test_child_tells_the_exit_status(run):
    run(
        """
pid = fork(7)
watcher = loop.child(pid, False, note, "data")
watcher.start()
assert loop.start() is True
assert seen == [("data", pid, watcher.rstatus)]
assert os.WIFEXITED(watcher.rstatus) and os.WEXITSTATUS(watcher.rstatus) == 7
assert (watcher.pid, watcher.rpid) == (pid, pid)
assert is_reaped(pid)
# It stays active, as libev has it, and is told nothing more.
assert watcher.active
for _ in range(3):
    loop.start(EVRUN_NOWAIT)
assert len(seen) == 1
watcher.stop()
assert loop.start() is False
"""
    )


def test_child_wakes_a_loop_that_blocks(run):
    run(
        """
gate = os.pipe()
pid = fork(5, gate)
loop.child(pid, False, note).start()

def open_gate(watcher, revents):
    watcher.stop()
    os.write(gate[1], b"x")

loop.prepare(open_gate).start()
loop.timer(1e4, 0.0, note).start()
assert loop.start() is True
assert [(p, os.WEXITSTATUS(s)) for _, p, s in seen] == [(pid, 5)]
"""
    )


def test_child_tells_the_signal_that_ended_it(run):
    run(
        """
pid = fork(0, os.pipe())
watcher = loop.child(pid, False, note)
watcher.start()
loop.start(EVRUN_NOWAIT)
assert seen == []
os.kill(pid, signal.SIGKILL)
loop.start()
assert len(seen) == 1
assert os.WIFSIGNALED(watcher.rstatus)
assert os.WTERMSIG(watcher.rstatus) == signal.SIGKILL
"""
    )


def test_child_that_ended_before_the_start_is_told(run):
    run(
        """
pid = fork(3)
wait_for_end(pid)
watcher = loop.child(pid, False, note)
loop.start(EVRUN_NOWAIT)
watcher.start()
loop.start()
assert [(p, os.WEXITSTATUS(s)) for _, p, s in seen] == [(pid, 3)]
"""
    )


def test_child_trace_tells_that_it_stops_and_goes_on(run):
    run(
        """
pid = fork(0, os.pipe())
plain = loop.child(pid, False, note, "plain")
traced = loop.child(pid, True, note, "traced")
plain.start()
traced.start()
os.kill(pid, signal.SIGSTOP)
loop.start()
assert [name for name, _, _ in seen] == ["traced"]
assert os.WIFSTOPPED(traced.rstatus)
assert os.WSTOPSIG(traced.rstatus) == signal.SIGSTOP
os.kill(pid, signal.SIGCONT)
loop.start()
assert [name for name, _, _ in seen] == ["traced"] * 2
assert os.WIFCONTINUED(traced.rstatus)
os.kill(pid, signal.SIGKILL)
while len(seen) < 4:
    loop.start()
assert sorted(name for name, _, _ in seen[2:]) == ["plain", "traced"]
for watcher in (plain, traced):
    assert os.WTERMSIG(watcher.rstatus) == signal.SIGKILL
"""
    )


def test_child_trace_is_any_truth_value(run):
    run(
        """
pid = fork(0, os.pipe())
for trace in ("yes", "", [1], None, 2):
    watcher = loop.child(pid, trace, note, trace)
    watcher.start()
    os.kill(pid, signal.SIGSTOP)
    wait_for(pid, os.WUNTRACED)
    del seen[:]
    for _ in range(3):
        loop.start(EVRUN_NOWAIT)
    assert len(seen) == bool(trace), trace
    watcher.stop()
    os.kill(pid, signal.SIGCONT)
    assert os.WIFCONTINUED(os.waitpid(pid, os.WCONTINUED)[1])
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
"""
    )


def test_child_of_pid_zero_is_told_of_each_child_once(run):
    run(
        """
def count(watcher, revents):
    seen.append((watcher.rpid, os.WEXITSTATUS(watcher.rstatus)))
    if len(seen) == 50:
        loop.stop()

watcher = loop.child(0, False, count)
assert watcher.pid == 0
watcher.start()
children = [(fork(number), number) for number in range(50)]
loop.start()
assert sorted(seen) == sorted(children)
for _ in range(3):
    loop.start(EVRUN_NOWAIT)
assert len(seen) == 50
"""
    )


def test_child_of_pid_zero_and_of_one_are_both_told(run):
    run(
        """
pid = fork(4)
other = fork(5)
loop.child(0, False, note, "any").start()
loop.child(pid, False, note, "one").start()
loop.child(pid, False, note, "same").start()
while len(seen) < 4:
    loop.start()
assert sorted((n, p, os.WEXITSTATUS(s)) for n, p, s in seen) == sorted(
    [("any", pid, 4), ("any", other, 5), ("one", pid, 4), ("same", pid, 4)]
)
"""
    )


def test_child_many_that_end_at_once_are_told_each_its_own(run):
    run(
        """
children = {fork(number): number for number in range(30)}
for pid in children:
    wait_for_end(pid)

def count(watcher, revents):
    assert watcher.rpid == watcher.pid
    assert os.WEXITSTATUS(watcher.rstatus) == watcher.data
    seen.append(watcher.pid)
    watcher.stop()

for pid, number in children.items():
    loop.child(pid, False, count, number).start()
assert loop.start() is False
assert sorted(seen) == sorted(children)
"""
    )


def test_child_can_be_set_to_the_next_process_in_its_callback(run):
    run(
        """
def restart(watcher, revents):
    seen.append((watcher.rpid, os.WEXITSTATUS(watcher.rstatus)))
    watcher.stop()
    if len(seen) < 5:
        watcher.set(fork(len(seen)), False)
        watcher.start()

loop.child(fork(0), False, restart).start()
assert loop.start() is False
assert [status for _, status in seen] == [0, 1, 2, 3, 4]
assert len({pid for pid, _ in seen}) == 5
"""
    )


def test_child_that_the_program_reaps_itself_is_not_told(run):
    run(
        """
pid = fork(6)
watcher = loop.child(pid, False, note)
watcher.start()
assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 6
for _ in range(3):
    assert loop.start(EVRUN_NOWAIT) is True
assert seen == []
assert (watcher.rpid, watcher.rstatus) == (0, 0)
"""
    )


@pytest.mark.parametrize("flags", ["0", "EVFLAG_SIGNALFD", "EVFLAG_NOSIGMASK"])
def test_child_leaves_other_processes_to_subprocess(run, flags):
    run(
        f"""
loop.close()
loop = default_loop({flags})
"""
        """
def run(status):
    return subprocess.call([sys.executable, "-S", "-c", f"raise SystemExit({status})"])

loop.start(EVRUN_NOWAIT)
assert run(3) == 3
gate = os.pipe()
pid = fork(9, gate)
watcher = loop.child(pid, False, note)
watcher.start()
loop.start(EVRUN_NOWAIT)
assert run(4) == 4

def during(watcher, revents):
    assert run(5) == 5
    process = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(6)"])
    wait_for_end(process.pid)
    processes.append(process)
    os.write(gate[1], b"x")

processes = []
loop.timer(0.0, 0.0, during).start()
while not seen:
    loop.start()
assert processes[0].wait() == 6
assert os.WEXITSTATUS(watcher.rstatus) == 9
watcher.stop()
assert run(7) == 7
loop.close()
assert run(8) == 8
""",
    )


@pytest.mark.parametrize("end", ["watcher.stop(); other.stop()", "loop.close()"])
def test_child_restores_the_handler_of_sigchld(run, end):
    run(
        f"""
called = []
def handler(signum, frame):
    called.append(signum)

signal.signal(signal.SIGCHLD, handler)
gate = os.pipe()
watcher = loop.child(os.getpid(), False, note)
other = loop.child(os.getpid(), False, note)
for count in (1, 2):
    watcher.start()
    other.start()
    os.kill(os.getpid(), signal.SIGCHLD)
    loop.start(EVRUN_NOWAIT)
    assert len(called) == count - 1
    {end}
    os.kill(os.getpid(), signal.SIGCHLD)
    assert called == [signal.SIGCHLD] * count
    assert signal.getsignal(signal.SIGCHLD) is handler
    if loop is not default_loop():
        break
"""
    )


def test_child_watchers_and_signal_watchers_of_sigchld_live_together(run):
    run(
        """
def signalled(watcher, revents):
    assert revents == EV_SIGNAL
    signals.append(watcher.signum)
    watcher.stop()

signals = []
loop.signal(signal.SIGCHLD, signalled).start()
pid = fork(1)
child = loop.child(pid, False, note)
child.start()
while not (seen and signals):
    loop.start(EVRUN_ONCE)
assert [p for _, p, _ in seen] == [pid]
with Loop() as other:
    watcher = other.signal(signal.SIGCHLD, signalled)
    try:
        watcher.start()
    except Error as error:
        assert "another loop watches this signal" in str(error)
    else:
        raise AssertionError
    child.stop()
    watcher.start()
    try:
        child.start()
    except Error as error:
        assert "another loop watches this signal" in str(error)
    else:
        raise AssertionError
    assert not child.active
assert loop.start() is False
"""
    )


def test_child_whose_callback_is_fatal_loses_none_of_the_others(run):
    run(
        """
@fatal
def fail(watcher, revents):
    seen.append(watcher.rpid)
    watcher.stop()
    raise ZeroDivisionError

children = [fork(number) for number in range(5)]
for pid in children:
    wait_for_end(pid)
    loop.child(pid, False, fail).start()
for count in range(1, 6):
    try:
        loop.start()
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError
    assert len(seen) == count
assert loop.start() is False
assert sorted(seen) == sorted(children)
"""
    )


def test_child_on_a_default_loop_in_a_thread(run):
    run(
        """
gate = os.pipe()
pid = fork(2, gate)
loop.child(pid, False, note).start()
running = threading.Event()

def tell(watcher, revents):
    watcher.stop()
    running.set()

loop.prepare(tell).start()
thread = threading.Thread(target=loop.start)
thread.start()
running.wait()
os.write(gate[1], b"x")
thread.join()
assert [(p, os.WEXITSTATUS(s)) for _, p, s in seen] == [(pid, 2)]
"""
    )


def test_child_watchers_may_be_active_when_the_program_ends(run):
    run(
        """
loop.child(0, True, note).start()
loop.child(os.getpid(), False, note).start()
loop.start(EVRUN_NOWAIT)
"""
    )


# -- without children -----------------------------------------------------------------


def test_child_off_the_default_loop_is_an_error(loop, default_loop):
    for make in (
        lambda: Child(1, False, loop, ignore),
        lambda: loop.child(1, False, ignore),
        lambda: default_loop.child(1, False, ignore).__init__(1, False, loop, ignore),
    ):
        with pytest.raises(Error) as caught:
            make()
        assert str(caught.value) == (
            "Child watchers are only supported in the 'default loop'"
        )


def test_child_on_a_former_default_loop_is_an_error():
    with mood_event.default_loop() as loop:
        watcher = loop.child(1, False, ignore)
    with pytest.raises(Error, match="closed"):
        loop.child(1, False, ignore)
    with pytest.raises(Error, match="closed"):
        watcher.start()


def test_child_rpid_and_rstatus_can_be_written(default_loop):
    watcher = default_loop.child(1, False, ignore)
    for name in ("rpid", "rstatus"):
        assert getattr(watcher, name) == 0
        for value in (5, -1, 2**31 - 1, True):
            setattr(watcher, name, value)
            assert getattr(watcher, name) == value
        for bad, error in [
            ("1", TypeError),
            (None, TypeError),
            (1.0, TypeError),
            (2**31, OverflowError),
        ]:
            with pytest.raises(error, match=name):
                setattr(watcher, name, bad)
            assert getattr(watcher, name) == 1


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (-1, ValueError),
        (2**31, OverflowError),
        ("1", TypeError),
        (None, TypeError),
        (1.0, TypeError),
    ],
)
def test_child_refuses_what_is_no_process(default_loop, bad, error):
    watcher = default_loop.child(1, False, ignore)
    for attempt in (
        lambda: Child(bad, False, default_loop, ignore),
        lambda: watcher.__init__(bad, False, default_loop, ignore),
        lambda: watcher.set(bad, False),
    ):
        with pytest.raises(error, match="pid"):
            attempt()
        assert watcher.pid == 1


def test_child_set_watches_another_process(default_loop):
    watcher = default_loop.child(1, False, ignore)
    watcher.start()
    watcher.stop()
    watcher.set(0, True)
    assert watcher.pid == 0
    assert repr(watcher) == "<Child pid=0 callback=ignore>"


def test_child_of_nobody_is_told_nothing(default_loop, events):
    seen, callback = events
    watcher = default_loop.child(2**31 - 1, True, callback)
    watcher.start()
    for _ in range(3):
        default_loop.start(EVRUN_NOWAIT)
    assert seen == []
