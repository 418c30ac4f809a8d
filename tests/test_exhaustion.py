"""No memory, no descriptors, and descriptors of libev's own that are closed.

What a program gets then is an exception, and a loop that goes on once there is enough
again. Scripts of their own: a limit on a process is not to be taken back everywhere.
"""

import sys

import pytest

from mood_event._ffi import lib

pytestmark = pytest.mark.core

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not enforce RLIMIT_AS"
)
many = pytest.mark.skipif(
    bool(lib.mood_debug()),
    reason="with its asserts libev looks at all watchers whenever one starts",
)

cpython = pytest.mark.skipif(
    sys.implementation.name == "pypy",
    reason="PyPy ends the process itself when its own heap cannot grow",
)

# For the scripts: a limit on the memory, and one on the descriptors.
LIMITS = """
import errno
import os
import resource
import sys
from contextlib import contextmanager

import mood_event
from mood_event import EV_CUSTOM, EV_READ, EV_TIMER, EVRUN_NOWAIT, Loop


@contextmanager
def memory(spare):
    with open("/proc/self/statm") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + spare, before[1]))
    # What was freed before and is kept by malloc can be large enough for libev, too.
    kept, size = [], 0 if spare else 1 << 24
    while size >= 1 << 15:
        try:
            kept.append(bytearray(size))
        except MemoryError:
            size //= 2
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def descriptors(spare):
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError as error:
        assert error.errno == errno.EMFILE
    for _ in range(spare):
        os.close(taken.pop())
    try:
        yield
    finally:
        for fd in taken:
            os.close(fd)


most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))

# What is left must do for the interpreter and be too little for libev: CPython gets
# holes for its small objects, PyPy some room for its heap.
if sys.implementation.name == "pypy":
    LITTLE, MANY = 6_000_000, 600_000
else:
    LITTLE, MANY = 0, 100_000
    holes = [bytes(size % 500) for size in range(200_000)]
    del holes[::2]


def raised(function, *arguments):
    try:
        function(*arguments)
    except (Exception, MemoryError) as error:
        return error
    return None
"""


@many
@pytest.mark.address_space
@linux
@pytest.mark.parametrize("kind", ["timer", "periodic"])
def test_start_without_memory_raises_and_changes_nothing(run_script, kind):
    script = (
        LIMITS
        + """
kind = sys.argv[1]
arguments = {"timer": (1e6, 0.0), "periodic": (1e6, 0.0)}.get(kind, ())
count = MANY
with Loop() as loop:
    calls = []
    watchers = [
        getattr(loop, kind)(*arguments, lambda watcher, revents: calls.append(watcher))
        for _ in range(count)
    ]
    # Now everything is there but libev's array of the active ones.
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    first = loop.async_(print)
    first.start()
    with memory(LITTLE):
        errors = []
        for watcher in watchers:
            error = raised(watcher.start)
            if error is None:
                assert watcher.active
            else:
                errors.append(error)
                assert not watcher.active
                if len(errors) == 100:
                    break
        feeding = raised(watchers[-1].feed, EV_CUSTOM)
        running = raised(loop.start, EVRUN_NOWAIT)
    assert watchers[0].active and errors
    for error in [*errors, feeding, running]:
        assert type(error) is MemoryError, error
    said = {str(error) for error in errors}
    assert said == {type(watchers[0]).__name__ + ".start: out of memory"}, said
    assert str(feeding).endswith(".feed: out of memory")
    assert str(running) == "Loop.start: out of memory"
    assert not calls
    loop.verify()
    for watcher in watchers:
        watcher.start()
    assert all(watcher.active for watcher in watchers)
    loop.start(EVRUN_NOWAIT)
    loop.verify()
    assert len(calls) >= count and set(calls) == set(watchers)
    for watcher in watchers:
        watcher.stop()
    loop.verify()
"""
    )
    run_script(script, kind)


@many
@pytest.mark.address_space
@linux
def test_run_without_memory_raises_and_delivers_later(run_script):
    script = (
        LIMITS
        + """
count = MANY
with Loop() as loop:
    calls = []
    watchers = [
        loop.timer(0.0, 0.0, lambda watcher, revents: calls.append(watcher))
        for _ in range(count)
    ]
    for watcher in watchers:
        watcher.start()
    with memory(LITTLE):
        errors = [raised(loop.start, EVRUN_NOWAIT) for _ in range(3)]
    assert [type(error) for error in errors] == [MemoryError] * 3, errors
    assert {str(error) for error in errors} == {"Loop.start: out of memory"}
    assert not calls
    loop.verify()
    loop.start()
    assert len(calls) == count and set(calls) == set(watchers)
    assert calls == watchers
"""
    )
    run_script(script)


@many
@pytest.mark.address_space
@linux
@cpython
def test_delivering_without_memory_loses_nothing(run_script):
    # libev has all it needs from the first time, Python has no room for the batch.
    script = (
        LIMITS
        + """
count = 300_000
with Loop() as loop:
    calls = [None] * count
    seen = 0

    def callback(watcher, revents):
        global seen
        calls[seen] = watcher
        seen += 1

    watchers = [loop.prepare(callback) for _ in range(count)]
    # Nothing that the batch could be put in is to be left over from this one.
    loop.callback = lambda loop: loop.stop()
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    loop.callback = None
    assert seen == 0
    with memory(LITTLE):
        error = raised(loop.start, EVRUN_NOWAIT)
    assert type(error) is MemoryError, (error, seen)
    assert seen == 0
    assert loop.pending == count
    loop.start(EVRUN_NOWAIT)
    assert calls == watchers[::-1], seen
    loop.verify()
"""
    )
    run_script(script)


@pytest.mark.address_space
@linux
def test_high_descriptor_without_memory(run_script):
    script = (
        LIMITS
        + """
import fcntl

highest = min(most, 500_000) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
reader, writer = os.pipe()
os.write(writer, b"x")
high = fcntl.fcntl(reader, fcntl.F_DUPFD, highest)
with Loop() as loop:
    calls = []
    watcher = loop.io(high, EV_READ, lambda watcher, revents: calls.append(revents))
    with memory(LITTLE):
        error = raised(watcher.start)
    assert type(error) is MemoryError, error
    assert str(error) == "Io.start: out of memory"
    assert not watcher.active
    loop.verify()
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert calls == [EV_READ]
    watcher.stop()
"""
    )
    run_script(script)


@pytest.mark.address_space
@linux
@cpython
def test_loop_without_memory(run_script):
    script = (
        LIMITS
        + """
with Loop() as loop:
    loops = [None] * 100_000
    with memory(LITTLE):
        for made in range(len(loops)):
            try:
                # It needs no descriptors.
                loops[made] = Loop(mood_event.EVBACKEND_SELECT)
            except MemoryError as error:
                break
        else:
            raise AssertionError(error)
    for other in loops[:made]:
        other.close()
    with Loop():
        pass
    calls = []
    loop.timer(0.0, 0.0, lambda watcher, revents: calls.append(revents)).start()
    loop.start()
    assert calls == [EV_TIMER]
"""
    )
    run_script(script)


@pytest.mark.parametrize("backend", ["EPOLL", "POLL", "SELECT"])
def test_fork_without_descriptors_raises_from_start(run_script, backend):
    script = (
        LIMITS
        + """
backend = getattr(mood_event, "EVBACKEND_" + sys.argv[1])
with Loop(backend) as loop:
    calls = []
    knock = loop.async_(lambda watcher, revents: calls.append(revents))
    knock.start()
    loop.start(EVRUN_NOWAIT)
    with descriptors(0):
        pid = os.fork()
        if not pid:
            error = raised(loop.start, EVRUN_NOWAIT)
            os._exit(isinstance(error, OSError) and error.errno == errno.EMFILE)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    pid = os.fork()
    if not pid:
        with descriptors(0):
            error = raised(loop.start, EVRUN_NOWAIT)
            assert isinstance(error, OSError) and error.errno == errno.EMFILE, error
            assert str(error) == "[Errno 24] Loop.start: Too many open files"
        knock.send()
        loop.start(EVRUN_NOWAIT)
        loop.start(EVRUN_NOWAIT)
        assert calls == [mood_event.EV_ASYNC], calls
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    # In the middle of a run, too.
    error = None

    def fork(watcher, revents):
        global error, pid
        pid = os.fork()
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

    loop.timer(0.0, 0.0, fork).start()
    loop.timer(0.0, 0.0, lambda watcher, revents: calls.append("late")).start()
    with descriptors(0):
        error = raised(loop.start)
        if not pid:
            assert isinstance(error, OSError) and error.errno == errno.EMFILE, error
            os._exit(7)
    assert error is None or pid
"""
    )
    run_script(script, backend)


@pytest.mark.parametrize(
    "start",
    [
        "loop.async_(print).start()",
        "loop.signal(10, print).start()",
        "default.child(0, False, print).start()",
        "loop.start()",
        "Loop(mood_event.EVBACKEND_EPOLL)",
    ],
)
def test_without_descriptors(run_script, start):
    script = (
        LIMITS
        + """
calls = []
with Loop() as loop, mood_event.default_loop() as default:
    with descriptors(0):
        error = raised(exec, sys.argv[1], globals())
    assert isinstance(error, OSError) and error.errno == errno.EMFILE, repr(error)
    for each in loop, default:
        each.timer(0.0, 0.0, lambda watcher, revents: calls.append(revents)).start()
        each.verify()
        each.start()
    assert calls == [EV_TIMER, EV_TIMER]
"""
    )
    run_script(script, start)


def test_report_without_descriptors_does_not_end_the_run(run_script):
    script = (
        LIMITS
        + """
class Silent(Exception):
    def __str__(self):
        raise self

def fail(watcher, revents):
    raise watcher.data

def go_on(watcher, revents):
    seen.append(watcher.data)

seen = []
with Loop() as loop:
    with descriptors(1):
        for error in (ValueError("mine"), Silent()):
            loop.timer(0.0, 0.0, fail, error).start()
        loop.timer(0.0, 0.0, go_on, "goes on").start()
        loop.start(EVRUN_NOWAIT)
    assert seen == ["goes on"]
"""
    )
    result = run_script(script, check=False)
    lines = result.stderr.splitlines()
    assert result.returncode == 0, lines
    reports = [line for line in lines if line.startswith("Exception ignored in: <func")]
    assert len(reports) == 2, lines
    assert lines.count("Traceback (most recent call last):") == 2, lines
    assert "ValueError: mine" in lines
    assert any(line.startswith(("Silent: ", "__main__.Silent: ")) for line in lines)
    assert sum(line.endswith(", in fail") for line in lines) == 2, lines
