"""What test_memory.py measures: one thing done again and again, in its own process.

`measure` does a row of `ROWS` many times, and looks in between at how much memory is
resident. Imported by test_memory.py for the names of the rows, and by the scripts that
it runs.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

from soak import scaled

import mood_event
from mood_event import (
    EV_CUSTOM,
    EV_READ,
    EV_WRITE,
    EVBACKEND_LINUXAIO,
    EVRUN_NOWAIT,
    Error,
    Loop,
    Timer,
)

PYPY = sys.implementation.name == "pypy"

# How many a step does, mostly.
BATCH = 100
SAMPLES = 10

Step = Callable[[], object]


class Row(NamedTuple):
    """A thing to do again and again: how often, and how often in one step."""

    make: Callable[[], "contextlib.AbstractContextManager[Step]"]
    count: int
    batch: int

    @property
    def steps(self) -> int:
        """How many steps there are from one sample to the next."""
        return max(self.count // self.batch // SAMPLES, 1)


ROWS: dict[str, Row] = {}
PLANTED: dict[str, Row] = {}


def row(
    full: int = 200_000,
    short: int = 10_000,
    batch: int = BATCH,
    rows: dict[str, Row] = ROWS,
) -> Any:
    """Make a row of a generator that yields its step, and cleans up afterwards."""

    def add(function: Callable[[], Iterator[Step]]) -> None:
        make = contextlib.contextmanager(function)
        # Without its JIT (see test_memory.py) PyPy takes twice as long.
        count = scaled(full, short // 2 if PYPY else short)
        rows[function.__name__] = Row(make, count, batch)

    return add


def ignore(*arguments: object) -> None:
    """Most watchers' callback."""


def raise_error(watcher: object, revents: int) -> None:
    """A callback that raises."""
    raise ValueError


@mood_event.fatal
def raise_fatal(watcher: object, revents: int) -> None:
    """A callback whose exception ends the loop."""
    raise ValueError


def in_an_hour(watcher: object, now: float) -> float:
    """A Scheduler's callable."""
    return now + 3600.0


def embeddable_loop() -> Loop:
    """A loop to embed."""
    return Loop(mood_event.embeddable_backends() & mood_event.supported_backends())


# -- every type ----------------------------------------------------------------------


class Surroundings:
    """What watchers watch. Nothing ever happens to it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.loop = stack.enter_context(mood_event.default_loop())
        self.other = stack.enter_context(embeddable_loop())
        self.reader, self.writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.writer)
            os.read(self.reader, 1)
            os._exit(0)
        stack.callback(os.close, self.reader)
        stack.callback(os.waitpid, self.pid, 0)
        # This ends the child.
        stack.callback(os.close, self.writer)


KINDS: dict[str, Callable[[Any, Surroundings], Any]] = {
    "io": lambda loop, there: loop.io(there.reader, EV_READ, ignore),
    "timer": lambda loop, there: loop.timer(3600.0, 0.0, ignore),
    "periodic": lambda loop, there: loop.periodic(0.0, 1e9, ignore),
    "scheduler": lambda loop, there: loop.scheduler(in_an_hour, ignore),
    "signal": lambda loop, there: loop.signal(signal.SIGUSR1, ignore),
    "child": lambda loop, there: loop.child(there.pid, False, ignore),
    "stat": lambda loop, there: loop.stat(__file__, 0.0, ignore),
    "idle": lambda loop, there: loop.idle(ignore),
    "prepare": lambda loop, there: loop.prepare(ignore),
    "check": lambda loop, there: loop.check(ignore),
    "embed": lambda loop, there: loop.embed(there.other, ignore),
    "fork": lambda loop, there: loop.fork(ignore),
    "cleanup": lambda loop, there: loop.cleanup(ignore),
    "async": lambda loop, there: loop.async_(ignore),
}


def _add_kind(kind: str, make: Callable[[Any, Surroundings], Any]) -> None:
    def started_and_stopped() -> Iterator[Step]:
        with contextlib.ExitStack() as stack:
            there = Surroundings(stack)
            loop = there.loop

            def step() -> None:
                watchers = [make(loop, there) for _ in range(BATCH)]
                for watcher in watchers:
                    watcher.start()
                loop.start(EVRUN_NOWAIT)
                for watcher in watchers:
                    watcher.stop()

            yield step

    started_and_stopped.__name__ = kind
    # To find out which signals there are takes CPython 0.2 ms.
    short = 1_000 if kind == "signal" else 20_000
    row(full=1_000_000, short=short)(started_and_stopped)


for _kind, _make in KINDS.items():
    _add_kind(_kind, _make)


# -- what watchers do ----------------------------------------------------------------


@row()
def timers_expire() -> Iterator[Step]:
    """Nobody but the loop refers to them."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                loop.timer(0.0, 0.0, ignore).start()
            loop.start(EVRUN_NOWAIT)

        yield step


@row()
def timers_repeat_and_are_reset() -> Iterator[Step]:
    """Reset starts them; of those that are over, it stops them."""
    with Loop() as loop:

        def step() -> None:
            watchers = [loop.timer(0.0, 1e-9, ignore) for _ in range(BATCH)]
            for watcher in watchers:
                watcher.reset()
            loop.start(EVRUN_NOWAIT)
            for watcher in watchers:
                watcher.repeat = 0.0
                watcher.reset()

        yield step


@row()
def watchers_are_fed() -> Iterator[Step]:
    """An event, and the watcher is gone."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                loop.prepare(ignore).feed(EV_CUSTOM)
            loop.start(EVRUN_NOWAIT)

        yield step


@row()
def watchers_are_fed_and_cleared() -> Iterator[Step]:
    """No event is left."""
    with Loop() as loop:

        def step() -> None:
            watchers = [loop.prepare(ignore) for _ in range(BATCH)]
            for watcher in watchers:
                watcher.feed(EV_CUSTOM)
            for watcher in watchers:
                watcher.clear()
            # libev's own record of what is pending has a gap for each until then.
            loop.start(EVRUN_NOWAIT)

        yield step


@row()
def watchers_are_stopped_by_others() -> Iterator[Step]:
    """Each callback stops the next watcher, whose event is in the batch."""
    with Loop() as loop:

        def stop(watcher: Any, revents: int) -> None:
            watcher.data.stop()

        def step() -> None:
            other = loop.timer(0.0, 0.0, ignore)
            for _ in range(BATCH):
                other.start()
                other = loop.timer(0.0, 0.0, stop, other)
            other.start()
            loop.start(EVRUN_NOWAIT)

        yield step


@row(short=4_000)
def watchers_run_the_loop() -> Iterator[Step]:
    """What the nested run does not deliver, libev has again."""
    with Loop() as loop:

        def run(watcher: object, revents: int) -> None:
            loop.timer(0.0, 0.0, ignore).start()
            if loop.depth < 5:
                loop.start(EVRUN_NOWAIT)

        def step() -> None:
            for _ in range(BATCH):
                loop.prepare(run).feed(EV_CUSTOM)
            loop.start(EVRUN_NOWAIT)

        yield step


@row(short=4_000)
def watchers_are_set_and_made_anew() -> Iterator[Step]:
    """What each had before is dropped."""
    with Loop() as loop:
        timer = loop.timer(3600.0, 0.0, ignore)
        stat = loop.stat("a", 0.0, ignore)

        def step() -> None:
            for _ in range(BATCH):
                timer.start()
                timer.stop()
                timer.set(60.0, 0.0)
                timer.__init__(3600.0, 0.0, loop, ignore)
                timer.feed(EV_CUSTOM)
                timer.clear()
                stat.set("b", 0.0)
                stat.stat()
                stat.__init__("a", 0.0, loop, ignore)
            loop.start(EVRUN_NOWAIT)

        yield step


@row(short=4_000)
def watchers_are_looked_at() -> Iterator[Step]:
    """Attributes make what is not there yet."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH // 2):
                watcher = loop.stat(__file__, 0.0, ignore, None, 1)
                watcher.keepalive = False
                watcher.start()
                assert watcher.attr.st_size > watcher.priority
                watcher.stop()
                assert repr(loop.timer(1.0, 1.0, ignore)) != repr(watcher)

        yield step


@row()
def watchers_are_refused() -> Iterator[Step]:
    """Neither a constructor nor a start that fails keeps anything."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH // 2):
                reader, writer = os.pipe()
                watcher = loop.io(reader, EV_READ, ignore)
                os.close(reader)
                os.close(writer)
                with contextlib.suppress(OSError):
                    watcher.start()
                with contextlib.suppress(OSError):
                    loop.io(reader, EV_READ, ignore)

        yield step


@row(full=20_000, short=1_000)
def watchers_in_cycles() -> Iterator[Step]:
    """Some are active, on a loop that is part of the cycle and not closed."""

    class Own(Timer):
        def __init__(self, loop: Any) -> None:
            super().__init__(0.0, 0.0, loop, self.called)
            self.itself = self

        def called(self, watcher: object, revents: int) -> None:
            self.itself = watcher

    def step() -> None:
        loop = Loop()
        loop.data = [Own(loop) for _ in range(BATCH)]
        for watcher in loop.data[::2]:
            watcher.start()
        for watcher in loop.data[::4]:
            watcher.feed(EV_CUSTOM)
        del loop, watcher
        collect_loops()

    yield step


@row(short=4_000)
def exceptions_are_reported() -> Iterator[Step]:
    """The loop goes on."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                loop.timer(0.0, 0.0, raise_error).start()
            loop.start(EVRUN_NOWAIT)

        yield step


@row(short=4_000)
def exceptions_are_raised() -> Iterator[Step]:
    """The rest of the batch comes with the next start."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                loop.timer(0.0, 0.0, raise_fatal).start()
            for _ in range(BATCH):
                try:
                    loop.start(EVRUN_NOWAIT)
                except ValueError:
                    continue
                raise AssertionError("no exception was raised")

        yield step


@row(short=4_000)
def schedulers_fail() -> Iterator[Step]:
    """Each is stopped, with an exception."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                loop.scheduler(raise_error).start()

        yield step


@row(short=4_000)
def descriptors_are_closed_under_watchers() -> Iterator[Step]:
    """Each is an EV_ERROR."""
    with Loop() as loop:
        # It opens its own now, not with the number of one that is closed below.
        loop.start(EVRUN_NOWAIT)

        def step() -> None:
            for _ in range(BATCH // 2):
                reader, writer = os.pipe()
                loop.io(reader, EV_READ, ignore).start()
                os.close(reader)
                os.close(writer)
                try:
                    loop.start(EVRUN_NOWAIT)
                except OSError:
                    continue
                raise AssertionError("no exception was raised")

        yield step


# -- each type's own ------------------------------------------------------------------


@row(short=4_000)
def descriptors_are_watched_and_closed() -> Iterator[Step]:
    """Each is another file with the same number."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH // 2):
                reader, writer = os.pipe()
                watchers = [
                    loop.io(reader, EV_READ, ignore),
                    loop.io(writer, EV_WRITE, ignore),
                ]
                for watcher in watchers:
                    watcher.start()
                loop.start(EVRUN_NOWAIT)
                for watcher in watchers:
                    watcher.stop()
                os.close(reader)
                os.close(writer)

        yield step


@row(short=4_000)
def once() -> Iterator[Step]:
    """A descriptor that is ready, a timeout, and one that is not with a timeout."""
    with Loop() as loop:
        reader, writer = os.pipe()

        def step() -> None:
            for _ in range(BATCH // 2):
                loop.once(writer, EV_WRITE, 60.0, ignore)
                loop.once(reader, EV_READ, 0.0, ignore)
            loop.start(EVRUN_NOWAIT)

        yield step
        os.close(reader)
        os.close(writer)


@row()
def calls_from_threads() -> Iterator[Step]:
    """call_soon_threadsafe."""
    with Loop() as loop:

        def step() -> None:
            for number in range(BATCH):
                loop.call_soon_threadsafe(ignore, number)
            loop.start(EVRUN_NOWAIT)

        yield step


@row()
def asyncs_are_sent_to() -> Iterator[Step]:
    """Each once, then they are stopped."""
    with Loop() as loop:

        def step() -> None:
            watchers = [loop.async_(ignore) for _ in range(BATCH)]
            for watcher in watchers:
                watcher.start()
                watcher.send()
            loop.start(EVRUN_NOWAIT)
            for watcher in watchers:
                watcher.stop()

        yield step


@row(full=100_000, short=1_000)
def signals_come() -> Iterator[Step]:
    """The signal is taken from the program, and given back, each time."""
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                watcher = loop.signal(signal.SIGUSR1, ignore)
                watcher.start()
                os.kill(os.getpid(), signal.SIGUSR1)
                loop.start(EVRUN_NOWAIT)
                watcher.stop()

        yield step


@row(full=2_000, short=100, batch=1)
def children_end() -> Iterator[Step]:
    """Each is forked, and reaped by its watcher."""

    def stop(watcher: Any, revents: int) -> None:
        watcher.stop()

    with mood_event.default_loop() as loop:

        def step() -> None:
            pid = os.fork()
            if not pid:
                os._exit(0)
            loop.child(pid, False, stop).start()
            loop.start()

        yield step


@row(short=4_000)
def embeds_are_swept() -> Iterator[Step]:
    """With an event in the embedded loop each time."""
    with Loop() as loop, embeddable_loop() as other:

        def step() -> None:
            for _ in range(BATCH):
                watcher = loop.embed(other)
                watcher.start()
                other.timer(0.0, 0.0, ignore).start()
                watcher.sweep()
                loop.start(EVRUN_NOWAIT)
                watcher.stop()

        yield step


# -- loops ---------------------------------------------------------------------------


def collect_loops() -> None:
    """Have the loops closed that nobody refers to."""
    gc.collect()
    if PYPY:
        # What __del__ was called for is freed by the next one.
        gc.collect()


@row(full=100_000, short=4_000)
def loops() -> Iterator[Step]:
    """Made and closed."""

    def step() -> None:
        for _ in range(BATCH):
            Loop().close()

    yield step


@row(full=5_000, short=100, batch=1)
def loops_of_every_backend() -> Iterator[Step]:
    """One of each that this system has.

    But for linuxaio, which libev takes for no loop by itself: libev 4.33 never frees
    its array linuxaio_iocbps, which is some 150 bytes for each loop.
    """
    supported = mood_event.supported_backends() & ~EVBACKEND_LINUXAIO
    backends = []
    for backend in (1 << shift for shift in range(32)):
        if backend & supported:
            with contextlib.suppress(Error), Loop(backend):
                backends.append(backend)

    def step() -> None:
        for backend in backends:
            with Loop(backend) as loop:
                loop.timer(0.0, 0.0, ignore).start()
                loop.start()

    yield step


@row(full=5_000, short=200, batch=10)
def loops_with_active_watchers() -> Iterator[Step]:
    """Closing stops a watcher of every type."""
    with contextlib.ExitStack() as stack:
        there = Surroundings(stack)
        there.loop.close()

        def step() -> None:
            for _ in range(10):
                with mood_event.default_loop() as loop:
                    for make in KINDS.values():
                        make(loop, there).start()
                    loop.start(EVRUN_NOWAIT)

        yield step


@row(full=100_000, short=2_000)
def loops_that_nobody_closes() -> Iterator[Step]:
    """Each with a timer that is active, and whose callback refers to the loop."""

    def step() -> None:
        for _ in range(BATCH):
            loop = Loop()
            loop.timer(3600.0, 0.0, loop.stop).start()
        collect_loops()

    yield step


@row(full=20_000, short=400, batch=10)
def loops_in_threads() -> Iterator[Step]:
    """Each is run in a thread of its own, which another wakes."""
    import threading

    def run(loop: Loop) -> None:
        loop.call_soon_threadsafe(loop.stop)
        loop.start()

    def step() -> None:
        for _ in range(10):
            with Loop() as loop:
                thread = threading.Thread(target=run, args=(loop,))
                thread.start()
                thread.join()

    yield step


# -- leaks, to see that they are found ------------------------------------------------


@row(short=20_000, rows=PLANTED)
def an_object() -> Iterator[Step]:
    """A small object is kept for each watcher."""
    kept: list[object] = []
    with Loop() as loop:

        def step() -> None:
            for _ in range(BATCH):
                watcher = loop.timer(3600.0, 0.0, ignore)
                watcher.start()
                watcher.stop()
                kept.append(bytearray(32))

        yield step


@row(short=20_000, rows=PLANTED)
def a_slot() -> Iterator[Step]:
    """A place in the table is not given back: a pointer."""

    class Forgetful(list[int]):
        def append(self, slot: int) -> None:
            pass

    with Loop() as loop:
        loop._queue.free = Forgetful()

        def step() -> None:
            for _ in range(BATCH):
                watcher = loop.timer(3600.0, 0.0, ignore)
                watcher.start()
                watcher.stop()

        yield step


@row(short=20_000, rows=PLANTED)
def a_struct() -> Iterator[Step]:
    """libev's struct of an Io, by malloc."""
    kept: list[object] = []
    with Loop() as loop:
        reader, writer = os.pipe()

        def step() -> None:
            for _ in range(BATCH):
                watcher = loop.io(reader, EV_READ, ignore)
                watcher.start()
                watcher.stop()
                kept.append(watcher._ptr)

        yield step
        os.close(reader)
        os.close(writer)


@row(full=1_000, short=1_000, batch=1, rows=PLANTED)
def a_descriptor() -> Iterator[Step]:
    """One for each loop."""

    def step() -> None:
        Loop().close()
        os.dup(0)

    yield step


# -- measuring -----------------------------------------------------------------------


def resident() -> int:
    """The resident memory of this process, in bytes."""
    gc.collect()
    try:
        # /proc/self/statm is behind by some pages.
        with open("/proc/self/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Rss:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    # The most that there ever was, where the system does not say how much there is.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)


def descriptors() -> list[int]:
    """What is open, without the descriptor that lists it."""
    found = []
    for fd in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            found.append(fd)
    return sorted(found)


def measure(name: str) -> None:
    """Do a row, and print the samples, as JSON.

    The first is taken after a tenth more of it, so that what is made once does not
    count.
    """
    row = {**ROWS, **PLANTED}[name]
    warnings.simplefilter("ignore")
    sys.unraisablehook = ignore
    # What starting up has left free could take a leak in for a long time.
    filling = [bytes(number % 1000) for number in range(20_000)]
    before = descriptors()
    samples = []
    with row.make() as step:
        for _ in range(1 + SAMPLES):
            for _ in range(row.steps):
                step()
            samples.append(resident())
    del filling
    after = descriptors()
    json.dump({"samples": samples, "before": before, "after": after}, sys.stdout)
