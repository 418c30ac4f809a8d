"""The workloads, each written once for every library.

A workload takes an adapter (see libraries/) and its parameters. It is a generator:
first, when everything is set up and warm, it yields an empty list, and from then on a
sample whenever it is asked for one. Imported by worker.py, in the interpreter that is
measured, and by the tests; native/bench.c has the same workloads in C. It must not know
which library it runs on.

What is timed is in one piece, without a clock read per event. It is repeated, longer
each time, until it lasts: that is the calibration, and a JIT's warm-up.
"""

import asyncio
import contextlib
import gc
import json
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable, NamedTuple

from libraries import CHUNK, Unsupported

clock = time.perf_counter_ns

# Longer than any run: these timers never fire.
FAR = 10000.0


class Case(NamedTuple):
    """One measured value: what one unit of a case took."""

    case: str
    unit: str
    value: float


Samples = Iterator["list[Case]"]


NANOSECONDS = {"ns": 1, "us": 1000}


def sampled(
    case: str,
    run: "Callable[[int], tuple[int, int]]",
    seconds: float,
    unit: str = "ns",
) -> "Samples":
    """Samples of run(count), which returns the nanoseconds that so many units took."""
    wanted = seconds * 1e9
    count = 1
    while True:
        elapsed, _ = run(count)
        if elapsed * 2 >= wanted:
            break
        count *= 2
    count = max(1, round(count * wanted / max(1, elapsed)))
    yield []
    while True:
        gc.collect()
        elapsed, units = run(count)
        yield [Case(case, unit, elapsed / units / NANOSECONDS[unit])]


@contextlib.contextmanager
def opened(library: Any) -> "Iterator[Any]":
    """A loop of the library."""
    loop = library.Loop()
    try:
        yield loop
    finally:
        loop.close()


def nothing(watcher: Any = None, revents: int = 0) -> None:
    """The callback that costs least."""


# -- W1: dispatch ----------------------------------------------------------------------


class Mixture:
    """Watchers with ten different callbacks; those of one kind restart another watcher.

    That other one loses its event if it was still to come. How often is up to libev's
    order, so the ones that are restarted count their calls; all the rest are called
    once in every iteration.
    """

    def __init__(self) -> None:
        self.calls = 0

    def handles(self, loop: Any, n: int) -> "list[Any]":
        """n watchers on the loop; the first is never restarted."""
        plain = self._callbacks()
        handles = [loop.idle(plain[i % 10]) for i in range(n)]
        for i in range(9, n, 10):
            handles[i] = loop.idle(self._restarter(handles[i - 5]))
        self.restarted = len(range(4, n - 5, 10))
        return handles

    def _callbacks(self) -> "list[Callable[..., Any]]":
        box: list[Any] = [0]
        names = {revents: str(revents) for revents in range(100)}
        last: Any = None

        def mask(watcher: Any = None, revents: int = 0) -> Any:
            return revents & 1

        def store(watcher: Any = None, revents: int = 0) -> None:
            box[0] = revents

        def look_up(watcher: Any = None, revents: int = 0) -> Any:
            return names.get(revents)

        def be_restarted(watcher: Any = None, revents: int = 0) -> None:
            self.calls += 1

        def pack(watcher: Any = None, revents: int = 0) -> Any:
            return watcher, revents

        def branch(watcher: Any = None, revents: int = 0) -> Any:
            return "some" if revents else "none"

        def remember(watcher: Any = None, revents: int = 0) -> None:
            nonlocal last
            last = watcher

        def measure(watcher: Any = None, revents: int = 0) -> Any:
            return len(box)

        return [
            nothing,
            mask,
            store,
            look_up,
            be_restarted,
            pack,
            branch,
            remember,
            measure,
            nothing,
        ]

    @staticmethod
    def _restarter(handle: Any) -> "Callable[..., Any]":
        stop, start = handle.stop, handle.start

        def restart(watcher: Any = None, revents: int = 0) -> None:
            stop()
            start()

        return restart


def dispatch(
    library: Any, n: int = 1000, mixed: bool = False, seconds: float = 0.1
) -> Samples:
    """n watchers that are always ready, in one run of the loop.

    The first one counts the iterations and stops the loop. libev goes through such
    watchers from the end, so that is at the end of an iteration.
    """
    left = 0

    def count(watcher: Any = None, revents: int = 0) -> None:
        nonlocal left
        left -= 1
        if not left:
            stop()

    with opened(library) as loop:
        stop = loop.stop
        mixture = Mixture()
        if mixed:
            handles = mixture.handles(loop, n)
        else:
            handles = [loop.idle(nothing) for _ in range(n)]
            mixture.restarted = 0
        handles[0] = loop.idle(count)
        for handle in handles:
            handle.start()

        def run(iterations: int) -> "tuple[int, int]":
            nonlocal left
            left = iterations
            mixture.calls = 0
            start = clock()
            loop.run()
            elapsed = clock() - start
            return elapsed, iterations * (n - mixture.restarted) + mixture.calls

        case = "mixed" if mixed else "iteration" if n == 1 else "callback"
        yield from sampled(case, run, seconds)


# -- W2: pipes -------------------------------------------------------------------------


def allow_descriptors(count: int) -> bool:
    """Whether the process may have so many; the soft limit is raised for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 100
    if hard != resource.RLIM_INFINITY and wanted > hard:
        return False
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


@contextlib.contextmanager
def socketpairs(n: int) -> "Iterator[tuple[list[int], list[int]]]":
    """n pairs: the descriptors to read from, and those to write to."""
    if not allow_descriptors(2 * n):
        raise OSError(f"{n} socket pairs are more descriptors than allowed")
    pairs = [socket.socketpair() for _ in range(n)]
    try:
        yield [one.fileno() for one, _ in pairs], [two.fileno() for _, two in pairs]
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


def pipes(
    library: Any,
    n: int = 1000,
    active: int = 100,
    timers: bool = False,
    registration: bool = False,
    seconds: float = 0.1,
) -> Samples:
    """A byte on the way through each of `active` pipes out of n, in circles.

    An event is a byte that is read and, as long as there are some to go, written to the
    next pipe. With `timers` each pipe has a timer that counts anew with each event.
    With `registration` there are no events: every watcher is stopped, set and started,
    and the loop told so.
    """
    read, write = os.read, os.write
    left = 0

    def make_reader(fd: int, following: int) -> "Callable[..., Any]":
        def readable(watcher: Any = None, revents: int = 0) -> None:
            nonlocal left
            read(fd, 1)
            left -= 1
            if left >= active:
                write(following, b"e")
            elif not left:
                stop()

        return readable

    def make_reader_with_timer(
        fd: int, following: int, reset: "Callable[[], Any]"
    ) -> "Callable[..., Any]":
        def readable(watcher: Any = None, revents: int = 0) -> None:
            nonlocal left
            read(fd, 1)
            reset()
            left -= 1
            if left >= active:
                write(following, b"e")
            elif not left:
                stop()

        return readable

    with socketpairs(n) as (readers, writers), opened(library) as loop:
        stop = loop.stop
        chance = random.Random(1)
        following = writers[1:] + writers[:1]
        callbacks = []
        clocks = []
        for i in range(n):
            if timers:
                clocks.append(loop.timer(FAR, 10.0 + chance.random(), nothing))
                reset = clocks[i].reset
                reset()
                callback = make_reader_with_timer(readers[i], following[i], reset)
            else:
                callback = make_reader(readers[i], following[i])
            callbacks.append(callback)
        handles = [loop.reader(*each) for each in zip(readers, callbacks)]
        for handle in handles:
            handle.start()
        loop.poll()
        watchers = [handle.watcher for handle in handles]

        def run_events(writes: int) -> "tuple[int, int]":
            nonlocal left
            left = active + writes
            for i in range(active):
                write(writers[i * (n // active)], b"e")
            start = clock()
            loop.run()
            return clock() - start, active + writes

        def run_registration(count: int) -> "tuple[int, int]":
            elapsed = 0
            for _ in range(count):
                start = clock()
                loop.register(watchers, readers, callbacks)
                loop.poll()
                elapsed += clock() - start
            return elapsed, count * n

        if registration:
            yield from sampled("registration", run_registration, seconds)
        else:
            case = "event + timer reset" if timers else "event"
            yield from sampled(case, run_events, seconds)


# -- W3: timers ------------------------------------------------------------------------

# Times of fewer timers than this at once would be the clock's own.
ENOUGH = 10000


def timers(
    library: Any,
    n: int = 100000,
    reset: bool = False,
    memory: bool = False,
    seconds: float = 0.1,
) -> Samples:
    """Create n timers, start them all, stop them all.

    With `reset`, instead: let n active ones count anew, in a random order. With
    `memory`: by how much the process grows for n that are created and started, which a
    process can tell but once.
    """
    if memory:
        yield []
        yield [Case("memory", "bytes", _memory(library, n))]
        return
    if reset:
        yield from _resets(library, n, seconds)
    _passes(library, n, 3 * seconds)
    yield []
    while True:
        yield [
            Case(case, "ns", statistics.median(times))
            for case, times in _passes(library, n, seconds).items()
        ]


def _passes(library: Any, n: int, seconds: float) -> "dict[str, list[float]]":
    """What one timer took in each pass, by case. Each pass has a loop of its own."""
    times: dict[str, list[float]] = {}
    end = clock() + seconds * 1e9
    while True:
        gc.collect()
        for case, ns in _one_pass(library, n):
            times.setdefault(case, []).append(ns)
        if clock() >= end:
            return times


def _one_pass(library: Any, n: int) -> "Iterator[tuple[str, float]]":
    timers: list[Any] = [None] * n
    repetitions = max(1, ENOUGH // n)
    with opened(library) as loop:
        begin = clock()
        for _ in range(repetitions):
            loop.create_timers(timers, FAR, nothing)
            created = clock()
            loop.start_timers(timers, FAR, nothing)
            started = clock()
            loop.stop_timers(timers)
        stopped = clock()
    yield "create + start + stop", (stopped - begin) / (n * repetitions)
    if repetitions == 1:
        yield "create", (created - begin) / n
        yield "start", (started - created) / n
        yield "stop", (stopped - started) / n


def _resets(library: Any, n: int, seconds: float) -> Samples:
    timers: list[Any] = [None] * n
    chance = random.Random(1)
    with opened(library) as loop:
        loop.create_repeating(timers, FAR, nothing)
        # Not the same order again and again: then it would always be the timer that is
        # next in libev's heap.
        orders: list[list[Any]] = [[] for _ in range(4)]
        for order in orders:
            while len(order) < ENOUGH:
                order += chance.sample(timers, n)

        def run(count: int) -> "tuple[int, int]":
            elapsed = 0
            for i in range(count):
                start = clock()
                loop.reset_timers(orders[i % 4], nothing)
                elapsed += clock() - start
                # asyncio gets rid of cancelled timers here.
                loop.poll()
            return elapsed, count * len(orders[0])

        yield from sampled("reset", run, seconds)


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def _memory(library: Any, n: int) -> float:
    timers: list[Any] = [None] * n
    few: list[Any] = [None] * 10
    with opened(library) as loop:
        # What the first ones make once and for all is not a timer's.
        loop.create_timers(few, FAR, nothing)
        loop.start_timers(few, FAR, nothing)
        gc.collect()
        before = _resident()
        loop.create_timers(timers, FAR, nothing)
        loop.start_timers(timers, FAR, nothing)
        gc.collect()
        grown = _resident() - before
        loop.stop_timers(few)
        loop.stop_timers(timers)
    return grown / n


# -- W4: an echo server ----------------------------------------------------------------


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def echo(
    library: Any,
    load: str,
    connections: int = 50,
    size: int = 64,
    seconds: float = 0.5,
    warmup: float = 0.1,
) -> Samples:
    """A TCP server that sends back what it gets, and `load` (native/load.c) as client.

    The client says when its measured time starts and ends, over a pipe that the loop
    watches, and how many requests were answered in between.
    """
    allow_descriptors(connections)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    arguments = [load, *map(str, (port, connections, size, warmup, seconds))]
    with listener, opened(library) as loop:
        loop.serve_echo(listener)
        _attended(loop, arguments)
        yield []
        while True:
            used, result = _attended(loop, arguments)
            requests = result["requests"]
            yield [
                Case("rate", "requests/s", requests / result["seconds"]),
                Case("cpu", "us", used * 1e6 / requests),
            ]


def _attended(loop: Any, arguments: "list[str]") -> "tuple[float, Any]":
    """Run the client and the loop: the server's CPU seconds, and the client's words."""
    said = b""
    marks: list[float] = []

    def hear(watcher: Any = None, revents: int = 0) -> None:
        nonlocal said
        news = os.read(pipe, 1000)
        said += news
        marks.extend(_cpu() for _ in range(news.count(b"\n")))
        if not news:
            handle.stop()
            loop.stop()

    with subprocess.Popen(arguments, stdout=subprocess.PIPE, bufsize=0) as client:
        pipe = client.stdout.fileno()
        handle = loop.reader(pipe, hear)
        handle.start()
        loop.run()
    return marks[1] - marks[0], json.loads(said.splitlines()[1])


# -- W5: another thread ----------------------------------------------------------------


def wake(library: Any, count: int = 1000, pause: float = 0.0002) -> Samples:
    """From before another thread's send to the entry of the callback.

    The callback releases a lock that the sender waits for. Then the sender sleeps for
    `pause`, in which the loop's thread goes back to waiting in its backend.
    """
    lock = threading.Lock()
    lock.acquire()
    arrived = 0
    over = False

    def woken(watcher: Any = None, revents: int = 0) -> None:
        nonlocal arrived
        arrived = clock()
        if over:
            loop.stop()
        lock.release()

    def send_all(delays: "list[int]") -> None:
        nonlocal over
        for i in range(len(delays)):
            time.sleep(pause)
            sent = clock()
            send()
            lock.acquire()
            delays[i] = arrived - sent
        over = True
        send()
        lock.acquire()

    with opened(library) as loop:
        send = loop.sender(woken)
        ready = False
        while True:
            delays = [0] * count
            over = False
            sender = threading.Thread(target=send_all, args=[delays])
            sender.start()
            loop.run()
            sender.join()
            delays.sort()
            if not ready:
                ready = True
                yield []
                continue
            yield [
                Case("median", "us", statistics.median(delays) / 1000),
                Case("p99", "us", delays[len(delays) * 99 // 100] / 1000),
            ]


# -- W6: beginning ---------------------------------------------------------------------


def begin(library: Any, what: str = "loop", seconds: float = 0.1) -> Samples:
    """The time that the import takes in a new process, or that a new loop does."""
    return _import(library) if what == "import" else _loop(library, seconds)


def _import(library: Any) -> Samples:
    program = (
        "import time\n"
        "start = time.perf_counter_ns()\n"
        f"{library.IMPORT}\n"
        "print(time.perf_counter_ns() - start)\n"
    )

    def once() -> float:
        # Not from here, where other modules could be found.
        command = [sys.executable, "-s", "-c", program]
        return int(subprocess.check_output(command, cwd="/")) / 1e6

    # The first one may have to compile the library's modules to bytecode.
    once()
    yield []
    while True:
        yield [Case("import", "ms", once())]


def _loop(library: Any, seconds: float) -> Samples:
    at_once = 100
    make = library.Loop

    def run(count: int) -> "tuple[int, int]":
        elapsed = 0
        loops: list[Any] = [None] * at_once
        for _ in range(count):
            start = clock()
            for i in range(at_once):
                loops[i] = make()
            elapsed += clock() - start
            for loop in loops:
                loop.close()
        return elapsed, count * at_once

    yield from sampled("Loop()", run, seconds, "us")


# -- asyncio ---------------------------------------------------------------------------


class Asked(asyncio.Protocol):
    """The server's end of a connection: it sends back what it gets."""

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.write(data)


class Asking(asyncio.Protocol):
    """The client's end: it asks again, until its share is done."""

    def __init__(self, share: "list[int]", done: Any) -> None:
        self.share, self.done = share, done

    def connection_made(self, transport: Any) -> None:
        self.write, self.close = transport.write, transport.close

    def data_received(self, data: bytes) -> None:
        self.share[0] -= 1
        if self.share[0] > 0:
            self.write(data)
        elif not self.share[0]:
            self.done.set_result(None)


MESSAGE = b"x" * 64


async def _echo_protocol(loop: Any, connections: int) -> "AsyncIterator[Any]":
    """Round trips of a message: server and clients are on the same loop."""
    server = await loop.create_server(Asked, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Asking([0], None), "127.0.0.1", port
        )
        clients.append(client)

    async def run(count: int) -> None:
        waiting = []
        for client in clients:
            client.share[0], client.done = count, loop.create_future()
            waiting.append(client.done)
            client.write(MESSAGE)
        await asyncio.gather(*waiting)

    yield run
    for client in clients:
        client.close()
    server.close()


async def _echo_streams(loop: Any, connections: int) -> "AsyncIterator[Any]":
    """The same with streams, a task for each end."""

    async def answer(reader: Any, writer: Any) -> None:
        while True:
            data = await reader.read(CHUNK)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = [
        await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)
    ]

    async def ask(reader: Any, writer: Any, count: int) -> None:
        for _ in range(count):
            writer.write(MESSAGE)
            await reader.readexactly(len(MESSAGE))

    async def run(count: int) -> None:
        await asyncio.gather(*(ask(*client, count) for client in clients))

    yield run
    for _, writer in clients:
        writer.close()
    server.close()


async def _chains(loop: Any, n: int, again: Any) -> "AsyncIterator[Any]":
    """n callbacks in each iteration, each of which has itself called again."""
    left = 0
    done: Any = None

    def callback() -> None:
        nonlocal left
        left -= 1
        if left >= n:
            again(callback)
        elif not left:
            done.set_result(None)

    async def run(count: int) -> None:
        nonlocal left, done
        left, done = count * n, loop.create_future()
        for _ in range(n):
            again(callback)
        await done

    yield run


def _call_soon(loop: Any, n: int) -> "AsyncIterator[Any]":
    return _chains(loop, n, loop.call_soon)


def _call_later(loop: Any, n: int) -> "AsyncIterator[Any]":
    call_later = loop.call_later
    return _chains(loop, n, lambda callback: call_later(0.0, callback))


async def _sleeps(loop: Any, n: int, delay: float) -> "AsyncIterator[Any]":
    """n tasks that sleep again and again."""
    sleep = asyncio.sleep

    async def sleeper(count: int) -> None:
        for _ in range(count):
            await sleep(delay)

    async def run(count: int) -> None:
        await asyncio.gather(*(sleeper(count) for _ in range(n)))

    yield run


def _sleep(loop: Any, n: int) -> "AsyncIterator[Any]":
    # Less than what n of them take, so that there is always one to wake.
    return _sleeps(loop, n, 0.001)


def _yield(loop: Any, n: int) -> "AsyncIterator[Any]":
    return _sleeps(loop, n, 0.0)


def _come_and_go(
    loop: Any, fds: "list[int]", add: "Callable[..., Any]", remove: "Callable[..., Any]"
) -> "Callable[[int], Any]":
    """`run` of the two below: each of the descriptors is added, called and removed."""
    n = len(fds)
    left = 0
    done: Any = None

    def ready(fd: int) -> None:
        nonlocal left
        remove(fd)
        left -= 1
        if left >= n:
            add(fd, ready, fd)
        elif not left:
            done.set_result(None)

    async def run(count: int) -> None:
        nonlocal left, done
        left, done = count * n, loop.create_future()
        for fd in fds:
            add(fd, ready, fd)
        await done

    return run


async def _add_reader(loop: Any, n: int) -> "AsyncIterator[Any]":
    """n readable descriptors: each gets a reader, which is called and removed."""
    with socketpairs(n) as (readers, writers):
        for fd in writers:
            os.write(fd, b"e")
        yield _come_and_go(loop, readers, loop.add_reader, loop.remove_reader)


async def _add_writer(loop: Any, n: int) -> "AsyncIterator[Any]":
    """n descriptors with a reader that is not called: a writer comes and goes."""
    with socketpairs(n) as (readers, _):
        for fd in readers:
            loop.add_reader(fd, nothing)
        yield _come_and_go(loop, readers, loop.add_writer, loop.remove_writer)
        for fd in readers:
            loop.remove_reader(fd)


ASYNCIO: "dict[str, Callable[..., AsyncIterator[Any]]]" = {
    "echo": _echo_protocol,
    "streams": _echo_streams,
    "call_soon": _call_soon,
    "call_later": _call_later,
    "sleep": _sleep,
    "yield": _yield,
    "add_reader": _add_reader,
    "add_writer": _add_writer,
}


# Seconds of the CPU. There is more of asyncio than of a library in C: PyPy's JIT takes
# as long until it has compiled what is timed.
WARMUP = 3.0 if sys.implementation.name == "pypy" else 0.1


def on_asyncio(
    library: Any,
    what: str,
    n: int = 1,
    seconds: float = 0.1,
    warmup: float = WARMUP,
) -> Samples:
    """What asyncio does on a loop of the library, n of it at a time."""
    new_event_loop = getattr(library, "new_event_loop", None)
    if new_event_loop is None:
        raise Unsupported("it has no loop for asyncio")
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    steps = ASYNCIO[what](loop, n)
    complete = loop.run_until_complete
    work = complete(steps.__anext__())

    async def timed(count: int) -> int:
        # It never waits, and what else the machine does meanwhile is not its affair.
        start = time.thread_time_ns()
        await work(count)
        return time.thread_time_ns() - start

    def run(count: int) -> "tuple[int, int]":
        return complete(timed(count)), count * n

    try:
        end = time.process_time() + warmup
        while time.process_time() < end:
            run(1 + 1000 // n)
        # What was imported is not for the collections in between to go through: there
        # is more of one library's than of another's. PyPy cannot.
        getattr(gc, "freeze", gc.collect)()
        yield from sampled(what, run, seconds, "us")
    finally:
        getattr(gc, "unfreeze", gc.collect)()
        # What is left of it, and of the connections.
        with contextlib.suppress(StopAsyncIteration):
            complete(steps.__anext__())
        complete(asyncio.sleep(0.01))
        asyncio.set_event_loop(None)
        loop.close()


WORKLOADS: "dict[str, Callable[..., Samples]]" = {
    "W1": dispatch,
    "W2": pipes,
    "W3": timers,
    "W4": echo,
    "W5": wake,
    "W6": begin,
    "asyncio": on_asyncio,
}
