"""Forks wherever a program can: each process goes on, with its own events only.

Everything is in scripts, which fork. test_fork.py has what is to be had with a fork
outside of the loop or in a plain callback; here are all other places, all kinds of
watchers at once, `multiprocessing`, and forks that Python knows nothing of.
"""

import forks
import pytest

PRELUDE = (
    forks.SCRIPT
    + """
import tempfile, warnings
# CPython 3.12 and later: that there are threads, which is what this is about.
warnings.simplefilter("ignore", DeprecationWarning)

def append(path):
    with open(path, "a") as file:
        file.write("x")
"""
)

# One watcher of every kind for each of the two processes.
ALL_KINDS = """
flags, how = eval(sys.argv[1]), sys.argv[2]
loop = default_loop(flags)
role = pid = None
seen, left = [], []

def note(watcher, revents):
    if isinstance(watcher, Io):
        os.read(watcher.fd, 1)
    seen.append(watcher.data)

def fork_here():
    global role, pid
    pid = raw_fork() if how.startswith("raw") else os.fork()
    role = "parent" if pid else "child"

def raw_fork():
    # Python is not told.
    import ctypes
    return ctypes.CDLL(None).fork()

directory = tempfile.mkdtemp()
kinds = sorted("io stat signal async call timer periodic scheduler child".split())
shared, own, meeting = dict(), dict(), dict()
signals = dict(parent=signal.SIGUSR1, child=signal.SIGUSR2)
for name in signals:
    meeting[name] = os.pipe()
    reader, writer = os.pipe()
    path = os.path.join(directory, name)
    append(path)
    shared[name] = [
        loop.io(reader, EV_READ, note, (name, "io")),
        loop.stat(path, 1e4, note, (name, "stat")),
    ]
    own[name] = [
        loop.signal(signals[name], note, (name, "signal")),
        loop.async_(note, (name, "async")),
    ]
    own[name].append((writer, path))
    for watcher in shared[name] + own[name][:2]:
        watcher.start()
forked = loop.fork(note, "forked")
forked.start()
loop.periodic(0.0, 1e9, note).start()
loop.start(EVRUN_NOWAIT)
# What the process noticed before it forked is both processes'.
for number in range(5):
    loop.prepare(lambda watcher, revents: left.append(watcher.data), number).feed(1)

def meet(other):
    os.write(meeting[other][1], b"x")
    os.read(meeting[role][0], 1)

def go_on():
    other = dict(parent="child", child="parent")[role]
    for watcher in shared.pop(other):
        watcher.stop()
    # Both have stopped what is the other's.
    meet(other)
    if how.endswith("reset") and role == "child":
        loop.reset()
    mine = lambda kind: (role, kind)
    signum, awake, (writer, path) = own[role]
    # libev does not look at what changed before it knew of the fork.
    loop.start(EVRUN_NOWAIT)
    os.write(writer, b"x")
    append(path)
    os.kill(os.getpid(), signum.signum)
    awake.send()
    loop.call_soon_threadsafe(seen.append, mine("call"))
    loop.timer(0.001, 0.0, note, mine("timer")).start()
    loop.periodic(time() + 0.001, 0.0, note, mine("periodic")).start()
    soon = []
    def schedule(watcher, now):
        soon.append(now + 0.001)
        return soon[0] if now < soon[0] else now + 1e6
    loop.scheduler(schedule, note, mine("scheduler")).start()
    process = in_child(lambda: None)
    loop.child(process, False, note, mine("child")).start()
    expected = list(map(mine, kinds))
    if role == "child":
        # By the fork, and by reset() if that had been dealt with.
        times = [1, 2] if how == "reset" else [1]
        assert seen.count("forked") in times, seen
    while not set(expected) <= set(seen):
        loop.start(EVRUN_ONCE)
    for _ in range(3):
        loop.start(EVRUN_NOWAIT)
    assert sorted(kind for kind in seen if kind != "forked") == expected, seen
    assert role == "child" or "forked" not in seen
    assert sorted(left, reverse=True) == left == [4, 3, 2, 1, 0], left
    loop.verify()
    # libev's signalfd is both processes', and so is what it is set to.
    meet(other)
    loop.close()
    with default_loop() as again:
        again.signal(signal.SIGUSR1, note).start()
        again.start(EVRUN_NOWAIT)
"""

PLACES = {
    "outside": "fork_here()",
    "callback": """
def callback(watcher, revents):
    assert loop.pending == 5
    fork_here()
loop.prepare(callback, None, EV_MAXPRI).feed(1)
loop.start(EVRUN_NOWAIT)
""",
    "nested": """
def callback(watcher, revents):
    loop.prepare(nested, None, EV_MAXPRI).feed(1)
    loop.start(EVRUN_NOWAIT)
    assert loop.depth == 1
def nested(watcher, revents):
    assert (loop.depth, loop.pending) == (2, 5)
    fork_here()
loop.prepare(callback, None, EV_MAXPRI).feed(1)
loop.start(EVRUN_NOWAIT)
assert loop.depth == 0
""",
    "scheduler": """
def schedule(watcher, now):
    # The second time is in the run.
    if loop.depth:
        fork_here()
        return now + 1e6
    return now
forking = loop.scheduler(schedule, lambda watcher, revents: watcher.stop())
forking.start()
while role is None:
    loop.start(EVRUN_NOWAIT)
loop.start(EVRUN_NOWAIT)
""",
    "loop callback": """
def callback(loop):
    if role is None:
        fork_here()
    loop.invoke()
loop.callback = callback
loop.start(EVRUN_NOWAIT)
""",
    "call": """
loop.call_soon_threadsafe(fork_here)
loop.start(EVRUN_NOWAIT)
""",
    "handler": """
def handler(signum, frame):
    assert loop.depth == 1
    fork_here()
    loop.stop()
signal.signal(signal.SIGALRM, handler)
loop.timer(0.0, 0.0, lambda *arguments: os.kill(os.getpid(), signal.SIGALRM)).start()
loop.start()
""",
    "loop in a loop": """
outer = Loop()
def nest(watcher, revents):
    loop.idle(fork_once).start()
    loop.start()
    outer.stop()
def fork_once(watcher, revents):
    watcher.stop()
    fork_here()
    loop.stop()
outer.idle(nest).start()
outer.start()
outer.close()
""",
    "older loop in a loop": """
inner = Loop()
def nest(watcher, revents):
    inner.idle(fork_once).start()
    inner.start()
    watcher.stop()
    loop.stop()
def fork_once(watcher, revents):
    watcher.stop()
    fork_here()
    inner.stop()
loop.idle(nest).start()
loop.start()
inner.close()
""",
}

BACKENDS = ["SELECT", "POLL", "EPOLL", "LINUXAIO", "IOURING"]


@pytest.fixture
def run(run_script):
    """Run a script with PRELUDE before it."""

    def run(source, *args, **keywords):
        return run_script(PRELUDE + source, *args, **keywords)

    return run


@pytest.fixture
def fork_at(run):
    """Run ALL_KINDS with a fork at a place, and check both processes."""

    def fork_at(place, how="by itself", flags="0"):
        end = """
if role == "child":
    finish(go_on)
go_on()
wait(pid)
"""
        run(ALL_KINDS + PLACES[place] + end, flags, how)

    return fork_at


@pytest.mark.core
@pytest.mark.parametrize("place", PLACES)
def test_fork_leaves_every_kind_of_watcher_to_both(fork_at, place):
    fork_at(place)


@pytest.mark.parametrize("how", ["reset", "raw, reset"])
@pytest.mark.parametrize("place", ["outside", "callback"])
def test_fork_with_reset_leaves_every_kind_of_watcher_to_both(fork_at, place, how):
    fork_at(place, how)


@pytest.mark.parametrize("how", ["by itself", "raw"])
@pytest.mark.parametrize("place", ["outside", "callback"])
def test_fork_is_noticed_by_forkcheck(fork_at, place, how):
    fork_at(place, how, "EVFLAG_FORKCHECK")


@pytest.mark.parametrize("backend", BACKENDS)
def test_fork_with_every_backend(run, fork_at, backend):
    found = run(
        """
try:
    with Loop(eval(sys.argv[1])) as loop:
        print(loop.backend == eval(sys.argv[1]))
except Error:
    print(False)
""",
        f"EVBACKEND_{backend}",
    )
    if found.stdout != "True\n":
        pytest.skip("this kernel or this libev has no such backend")
    fork_at("callback", "by itself", f"EVBACKEND_{backend}")


@pytest.mark.parametrize(
    "flags",
    ["EVFLAG_SIGNALFD", "EVFLAG_NOTIMERFD", "EVFLAG_NOSIGMASK"],
)
def test_fork_with_every_flag(fork_at, flags):
    fork_at("callback", "by itself", flags)


@pytest.mark.core
@pytest.mark.parametrize("what", ["watcher.stop()", "loop.close()"])
def test_stat_that_is_stopped_in_the_child_is_the_parents_still(run, what):
    run(
        f"""
path = os.path.join(tempfile.mkdtemp(), "path")
append(path)
seen = []
loop = Loop()
watcher = loop.stat(path, 1e4, lambda watcher, revents: (seen.append(1), loop.stop()))
watcher.start()
loop.start(EVRUN_NOWAIT)
for count in range(1, 4):
    wait(in_child(lambda: {what}))
    append(path)
    loop.start()
    assert len(seen) == count
"""
    )


@pytest.mark.core
def test_fork_with_an_embed_that_keeps_no_loop_running(run):
    run(
        """
def read(watcher, revents):
    os.read(reader, 1)
    seen.append(loop.start(EVRUN_NOWAIT))
    loop.verify()
    other.verify()

def go_on():
    os.write(writer, b"x")
    while not seen:
        loop.start(EVRUN_NOWAIT)
    # It counts for nothing still, and for four once it does.
    assert loop.start() is False
    embed.keepalive = True
    assert loop.start(EVRUN_NOWAIT) is True
    embed.keepalive = False
    assert loop.start() is False
    loop.close()

seen = []
reader, writer = os.pipe()
loop, other = Loop(), Loop(embeddable_backends() & supported_backends())
other.io(reader, EV_READ, read).start()
embed = loop.embed(other)
embed.keepalive = False
embed.start()
loop.start(EVRUN_NOWAIT)
wait(in_child(go_on))
loop.reset()
go_on()
"""
    )


@pytest.mark.core
def test_fork_in_an_invocation_by_another_thread(run):
    run(
        """
def elsewhere(loop):
    thread = threading.Thread(target=invoke)
    thread.start()
    thread.join()

def invoke():
    loop.invoke()
    if pid == 0:
        finish(go_on)

def fork(watcher, revents):
    global pid
    pid = os.fork()
    loop.stop()

def go_on():
    loop.callback = None
    loop.timer(0.0, 0.0, lambda *arguments: seen.append(loop.depth)).start()
    assert loop.start() is False
    assert seen == [1]
    loop.close()

pid, seen = None, []
loop = Loop(callback=elsewhere)
loop.timer(0.0, 0.0, fork).start()
loop.start()
wait(pid)
go_on()
"""
    )


@pytest.mark.core
def test_fork_in_a_thread_while_the_first_one_runs_the_loop(run):
    run(
        """
def fork():
    global pid
    pid = os.fork()
    if pid == 0:
        finish(go_on)
    loop.call_soon_threadsafe(loop.stop)

def handler(signum, frame):
    handled.append(signum)
    loop.stop()

def go_on():
    # Signals are this thread's now.
    for count in (1, 2):
        loop.timer(
            0.0, 0.0, lambda *arguments: os.kill(os.getpid(), signal.SIGUSR1)
        ).start()
        loop.start()
        assert len(handled) == count
    loop.close()
    assert signal.set_wakeup_fd(-1) == -1

def start(watcher, revents):
    watcher.stop()
    thread.start()

handled = []
signal.signal(signal.SIGUSR1, handler)
thread = threading.Thread(target=fork)
loop = Loop()
loop.timer(1e4, 0.0, start).start()
loop.prepare(start).start()
loop.start()
thread.join()
wait(pid)
go_on()
"""
    )


@pytest.mark.parametrize("reset", ["pass", "loop.reset()"])
@pytest.mark.parametrize("place", ["outside", "callback"])
def test_multiprocessing_process_goes_on_with_the_loop(run, place, reset):
    run(
        f"""
import multiprocessing

def go_on(name, results):
    {reset}
    for other in watchers:
        if other != name:
            watchers[other].stop()
    os.write(writers[name], b"x")
    loop.start(EVRUN_NOWAIT if loop.depth else 0)
    while not seen:
        loop.start(EVRUN_ONCE)
    results.put((name, seen))

def read(watcher, revents):
    seen.append((watcher.data, os.read(watcher.fd, 1)))
    watcher.stop()

def spawn(*arguments):
    processes.extend(
        context.Process(target=go_on, args=(name, results)) for name in names
    )
    for process in processes:
        process.start()
    for name in names:
        watchers[name].stop()

names = ["first", "second", "third"]
context = multiprocessing.get_context("fork")
results, processes, seen = context.SimpleQueue(), [], []
watchers, writers = dict(), dict()
loop = Loop()
for name in [*names, "parent"]:
    reader, writers[name] = os.pipe()
    watchers[name] = loop.io(reader, EV_READ, read, name)
    watchers[name].start()
if "{place}" == "outside":
    loop.start(EVRUN_NOWAIT)
    spawn()
else:
    loop.prepare(spawn).feed(EV_PREPARE)
    loop.start(EVRUN_NOWAIT)
got = dict(results.get() for name in names)
assert got == {{name: [(name, b"x")] for name in names}}, got
for process in processes:
    process.join()
    assert process.exitcode == 0
go_on("parent", results)
assert results.get() == ("parent", [("parent", b"x")])
loop.close()
"""
    )
