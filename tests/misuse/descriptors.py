"""Rows about descriptors: Io watchers, and what else takes one."""

import errno
import fcntl
import os
import resource
import select
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

from misuse.table import BUNDLED, CLOSES_DESCRIPTORS, Case, row
from mood_event import (
    EV_READ,
    EV_TIMER,
    EV_WRITE,
    EVBACKEND_EPOLL,
    EVBACKEND_IOURING,
    EVBACKEND_LINUXAIO,
    EVBACKEND_MASK,
    EVBACKEND_POLL,
    EVBACKEND_SELECT,
    EVRUN_ONCE,
    Error,
    Io,
    Loop,
    supported_backends,
)

BOTH = EV_READ | EV_WRITE
BAD_DESCRIPTOR = os.strerror(errno.EBADF)
BACKENDS = {
    "select": EVBACKEND_SELECT,
    "poll": EVBACKEND_POLL,
    "epoll": EVBACKEND_EPOLL,
    "linuxaio": EVBACKEND_LINUXAIO,
    "iouring": EVBACKEND_IOURING,
}


def is_there(backend: int) -> bool:
    """Whether a backend works here: what is compiled in need not be in the kernel."""
    if not backend & supported_backends():
        return False
    # Not in this process, which is to have made no loop before its rows run.
    pid = os.fork()
    if not pid:
        try:
            Loop(backend).close()
        except Error:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


THERE = [name for name, backend in BACKENDS.items() if is_there(backend)]
# The loop names every descriptor whenever it waits, and is told of a closed one.
STATELESS = [name for name in THERE if name in ("select", "poll")]
# The kernel keeps what the loop has named, and forgets a closed one in silence.
STATEFUL = [name for name in THERE if name not in STATELESS]


def use(case: Case, backend: str) -> None:
    """Have the case use a loop of a backend."""
    case.loop = Loop(BACKENDS[backend])
    assert case.loop.backend == BACKENDS[backend]


@contextmanager
def at_once() -> Iterator[None]:
    """End the process if the block takes long: libev would wait, and be content."""
    signal.alarm(20)
    yield
    signal.alarm(0)


def fails_of(case: Case, watcher: Io, error: int) -> None:
    """Assert that the next run stops the watcher, and raises why."""
    assert watcher.active
    says = f"[Errno {error}] <Io fd={watcher.fd} "
    with at_once(), case.fails(OSError, says):
        case.loop.start()
    assert not watcher.active
    assert not watcher.pending


class HasFileno:
    """An object whose `fileno` gives, or raises, what it was made with."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def fileno(self) -> Any:
        """What it was made with."""
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class Number(int):
    """An int of another class."""

    def __repr__(self) -> str:
        return f"Number{int(self):+}"


class Liar(int):
    """A negative int that denies it."""

    def __lt__(self, other: object) -> bool:
        return False


def io_class(case: Case, fd: Any, events: Any) -> None:
    """Make a watcher."""
    Io(fd, events, case.loop, case.ignore)


def io_factory(case: Case, fd: Any, events: Any) -> None:
    """Have the loop make one."""
    case.loop.io(fd, events, case.ignore)


def once(case: Case, fd: Any, events: Any) -> None:
    """Ask the loop for one event."""
    case.loop.once(fd, events, 1.0, lambda revents: None)


def io_set(case: Case, fd: Any, events: Any) -> None:
    """Set a watcher that there is."""
    watcher = case.loop.io(case.pipe()[0], EV_READ, case.ignore)
    before = (watcher.fd, watcher.events)
    try:
        watcher.set(fd, events)
    finally:
        assert (watcher.fd, watcher.events) == before


def io_set_after_a_start(case: Case, fd: Any, events: Any) -> None:
    """Set a watcher that libev knows, and that works as before afterwards."""
    watcher = case.loop.io(case.readable(), EV_READ, case.record)
    watcher.start()
    watcher.stop()
    try:
        watcher.set(fd, events)
    finally:
        watcher.start()
        case.run()
        watcher.stop()
        os.read(watcher.fd, 1)
        assert case.seen.pop() == (watcher, EV_READ)


WAYS = [io_class, io_factory, io_set, io_set_after_a_start, once]
Way = Callable[[Case, Any, Any], None]


# -- numbers and masks ----------------------------------------------------------------


@row(way=WAYS)
def number(case: Case, way: Way) -> None:
    for fd in (-1, -(2**31), -(2**40), Number(-1)):
        for value in (fd, HasFileno(fd)):
            with case.raises(ValueError, f"fd must be >= 0, got {fd!r}"):
                way(case, value, EV_READ)
    for fd in (2**31, 2**32, 2**64):
        for value in (fd, HasFileno(fd)):
            with case.raises(OverflowError, f"fd must fit in a C int, got {fd}"):
                way(case, value, EV_READ)


@row(way=WAYS)
def closed(case: Case, way: Way) -> None:
    # The last one is negative, and denies it.
    for fd in (case.closed() + 100, 10**6, 2**31 - 1, Liar(-1)):
        for value in (fd, HasFileno(fd)):
            with case.raises(OSError, BAD_DESCRIPTOR):
                way(case, value, EV_READ)


@row(way=WAYS)
def no_descriptor(case: Case, way: Way) -> None:
    for value in ("fd", b"0", 0.0, (), object, *([] if way is once else [None])):
        says = f"fd must be an int or have a fileno() method, got {value!r}"
        with case.raises(TypeError, says):
            way(case, value, EV_READ)


@row()
def once_for_nothing(case: Case) -> None:
    with case.raises(ValueError, "fd and timeout must not both be missing"):
        case.loop.once(None, EV_READ, None, lambda revents: None)


@row(way=WAYS)
def fileno_raises(case: Case, way: Way) -> None:
    kinds = (ZeroDivisionError, ValueError, TypeError, AttributeError)
    for raised in (*kinds, KeyboardInterrupt):
        with case.raises(raised, "no descriptor"):
            way(case, HasFileno(raised("no descriptor")), EV_READ)


@row(way=WAYS)
def fileno_gives_no_int(case: Case, way: Way) -> None:
    for value in (1.0, "fd", None):
        with case.raises(TypeError, f"fileno() must return an int, got {value!r}"):
            way(case, HasFileno(value), EV_READ)


@row(value=[False, Number(0)])
def int_of_another_class(case: Case, value: int) -> None:
    # bool is a kind of int, wherever Python wants one.
    with case.allows():
        for fd in (value, HasFileno(value)):
            watcher = case.loop.io(fd, EV_READ, case.ignore)
            watcher.set(fd, EV_READ)
            assert (watcher.fd, type(watcher.fd)) == (0, int)
            watcher.start()
            case.run()
            watcher.stop()


@row(way=WAYS)
def mask(case: Case, way: Way) -> None:
    fd = case.readable()
    for events in (0, 4, 0x80, EV_READ | 0x80, EV_TIMER, -1):
        says = f"EV_READ, EV_WRITE or EV_READ | EV_WRITE, got {events:#x}"
        with case.raises(ValueError, says):
            way(case, fd, events)
    for events in (2**31, 2**40, -(2**40)):
        with case.raises(OverflowError, f"events must fit in a C int, got {events}"):
            way(case, fd, events)
    for value in (None, "read", 1.0):
        with case.raises(TypeError, f"events must be an int, got {value!r}"):
            way(case, fd, value)


@row()
def fed_number(case: Case) -> None:
    watcher = case.loop.io(case.readable(), EV_READ, case.record)
    watcher.start()
    for fd in (-1, -(2**31), 10**6, 2**31 - 1):
        for revents in (EV_READ, 0, -1):
            with case.allows(watcher, case.loop):
                case.loop.feed_fd_event(fd, revents)
    for bad in (2**31, -(2**40)):
        with case.raises(OverflowError, "fd must fit", watcher):
            case.loop.feed_fd_event(bad, EV_READ)
        with case.raises(OverflowError, "revents must fit", watcher):
            case.loop.feed_fd_event(0, bad)
    case.run()
    assert case.seen == [(watcher, EV_READ)]
    watcher.stop()


@row()
def set_while_active(case: Case) -> None:
    watcher = case.loop.io(case.readable(), EV_READ, case.record)
    watcher.start()
    other, _ = case.pipe()
    for events in (EV_READ, EV_WRITE):
        for fd in (other, watcher.fd):
            with case.raises(Error, "while it is active", watcher):
                watcher.set(fd, events)
    case.run()
    assert case.seen == [(watcher, EV_READ)]
    with case.raises(Error, "while it is active", watcher):
        watcher.set(other, EV_READ)
    watcher.stop()


# -- closed ---------------------------------------------------------------------------


@row()
def closed_before_start(case: Case) -> None:
    reader, _ = case.pipe()
    watcher = Io(reader, EV_READ, case.loop, case.ignore)
    os.close(reader)
    for _ in range(2):
        with case.raises(OSError, BAD_DESCRIPTOR, watcher):
            watcher.start()
    with case.raises(OSError, f"Io.start: fd {reader}: {BAD_DESCRIPTOR}"):
        watcher.start()


@row()
def closed_object(case: Case) -> None:
    left, right = socket.socketpair()
    watcher = Io(left, EV_READ, case.loop, case.ignore)
    left.close()
    right.close()
    with case.raises(ValueError, f"Io: fd must be >= 0, got -1 from {left!r}"):
        Io(left, EV_READ, case.loop, case.ignore)
    with case.raises(ValueError, f"Io.set: fd must be >= 0, got -1 from {left!r}"):
        watcher.set(left, EV_READ)


@row()
def closed_before_another_start(case: Case) -> None:
    reader = case.readable()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    case.run()
    watcher.stop()
    os.close(reader)
    with case.raises(OSError, BAD_DESCRIPTOR, watcher):
        watcher.start()
    case.run()
    assert case.seen == [(watcher, EV_READ)]


@row(backend=THERE, builds=CLOSES_DESCRIPTORS)
def closed_before_the_iteration(case: Case, backend: str) -> None:
    use(case, backend)
    reader = case.readable()
    other = case.loop.io(case.readable(), EV_READ, case.record)
    watcher = case.loop.io(reader, EV_READ, case.record)
    other.start()
    watcher.start()
    os.close(reader)
    fails_of(case, watcher, errno.EBADF)
    while not case.seen:
        case.run()
    assert {watcher for watcher, _ in case.seen} == {other}
    other.stop()


@row(backend=THERE, builds=CLOSES_DESCRIPTORS)
def closed_before_the_iteration_of_many_watchers(case: Case, backend: str) -> None:
    use(case, backend)
    reader, writer = case.pipe()
    watchers = [case.loop.io(reader, EV_READ, case.record) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    os.close(reader)
    os.close(writer)
    # That nothing else happens must not keep the loop from saying so.
    timer = case.loop.timer(1e4, 0.0, case.ignore)
    timer.start()
    # One for each of them, since each is stopped.
    for _ in watchers:
        with at_once(), case.fails(OSError, BAD_DESCRIPTOR):
            case.loop.start()
    assert [watcher.active for watcher in watchers] == [False] * 3
    timer.stop()
    assert (case.loop.start(), case.seen) == (False, [])


@row(backend=THERE, first=["nothing", "async", "signal"], builds=CLOSES_DESCRIPTORS)
def closed_before_the_loop_opens_its_own(case: Case, backend: str, first: str) -> None:
    use(case, backend)
    # Not case.pipe(): these numbers are what is opened next would get.
    ends = os.pipe()
    watchers = [case.loop.io(fd, EV_READ, case.record) for fd in ends]
    for watcher in watchers:
        watcher.start()
    for fd in ends:
        os.close(fd)
    opener = {
        "nothing": case.loop.idle(case.ignore),
        "async": case.loop.async_(case.ignore),
        "signal": case.loop.signal(signal.SIGUSR1, case.ignore),
    }[first]
    opener.start()
    for _ in watchers:
        with at_once(), case.fails(OSError, BAD_DESCRIPTOR):
            case.loop.start()
    assert [watcher.active for watcher in watchers] == [False] * 2
    opener.stop()


@row(backend=THERE, builds=CLOSES_DESCRIPTORS)
def closed_before_the_iteration_and_started_again(case: Case, backend: str) -> None:
    use(case, backend)
    reader, _ = case.pipe()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    os.close(reader)
    fails_of(case, watcher, errno.EBADF)
    os.dup2(case.readable(), reader)
    watcher.start()
    while not case.seen:
        case.loop.start(EVRUN_ONCE)
    assert case.seen == [(watcher, EV_READ)]
    watcher.stop()


@row(backend=STATELESS, builds=CLOSES_DESCRIPTORS)
def closed_while_polled(case: Case, backend: str) -> None:
    use(case, backend)
    reader, _ = case.pipe()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    case.run()
    os.close(reader)
    fails_of(case, watcher, errno.EBADF)
    assert (case.loop.start(), case.seen) == (False, [])


@row(backend=STATEFUL)
def closed_while_polled_in_silence(case: Case, backend: str) -> None:
    use(case, backend)
    reader, writer = case.pipe()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    case.run()
    os.close(reader)
    os.close(writer)
    case.loop.timer(0.0, 0.0, case.record).start()
    with case.allows(watcher):
        case.loop.start(EVRUN_ONCE)
    watcher.stop()
    assert case.loop.start() is False
    # What was asked of the others keeps the file, and tells of its end.
    if backend == "epoll":
        assert [revents for _, revents in case.seen] == [EV_TIMER]


@row(backend=THERE, builds=CLOSES_DESCRIPTORS)
def closed_in_its_callback(case: Case, backend: str) -> None:
    use(case, backend)

    def close(watcher: Io, revents: int) -> None:
        case.record(watcher, revents)
        os.close(watcher.fd)
        watcher.stop()

    first = case.loop.io(case.readable(), EV_READ, close)
    second = case.loop.io(case.readable(), EV_READ, close)
    with case.allows():
        first.start()
        second.start()
        assert case.loop.start() is False
    assert {watcher for watcher, _ in case.seen} == {first, second}


@row(backend=THERE)
def closed_by_another_in_the_batch(case: Case, backend: str) -> None:
    use(case, backend)

    def close_the_other(watcher: Io, revents: int) -> None:
        case.record(watcher, revents)
        for other in pair:
            other.stop()
        os.close(pair[pair[0] is watcher].fd)

    pair = [case.loop.io(case.readable(), EV_READ, close_the_other) for _ in range(2)]
    with case.allows():
        for watcher in pair:
            watcher.start()
        assert case.loop.start() is False
    # The other had its event, too, and must not hear of it any more.
    assert len(case.seen) == 1


@row(backend=THERE)
def closed_and_reused_after_a_stop(case: Case, backend: str) -> None:
    use(case, backend)
    reader = case.readable()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    case.run()
    watcher.stop()
    del case.seen[:]
    other, writer = case.pipe()
    with case.allows():
        os.dup2(other, reader)
        # Says that it may be another file, which epoll does not find out.
        watcher.set(reader, EV_READ)
        watcher.start()
        case.run()
        assert case.seen == []
        os.write(writer, b"x")
        while not case.seen:
            case.run()
    assert set(case.seen) == {(watcher, EV_READ)}
    watcher.stop()


@row(backend=THERE)
def closed_and_reused_without_a_stop(case: Case, backend: str) -> None:
    # "That other file to libev, too", or nothing: see docs/reliability.md.
    use(case, backend)
    reader, _ = case.pipe()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    case.run()
    other = case.readable()
    os.dup2(other, reader)
    with case.allows(watcher):
        for _ in range(3):
            case.run()
    assert set(case.seen) <= {(watcher, EV_READ)}
    # A new watcher has the loop look at the descriptor anew.
    second = case.loop.io(reader, EV_READ, case.record)
    second.start()
    while second not in [watcher for watcher, _ in case.seen]:
        case.run()
    watcher.stop()
    second.stop()
    assert case.loop.start() is False


def watched_twins(case: Case) -> tuple[Io, Io]:
    """Watchers of a descriptor with something to read and of its dup, both called."""
    fd = case.readable()
    watchers = [
        case.loop.io(number, EV_READ, case.record)
        for number in (fd, fcntl.fcntl(fd, fcntl.F_DUPFD, 400))
    ]
    for watcher in watchers:
        watcher.start()
    case.run()
    return watchers[0], watchers[1]


@row(backend=STATELESS, builds=CLOSES_DESCRIPTORS)
def closed_twin(case: Case, backend: str) -> None:
    use(case, backend)
    first, second = watched_twins(case)
    assert sorted(watcher.fd for watcher, _ in case.seen) == [first.fd, second.fd]
    os.close(first.fd)
    fails_of(case, first, errno.EBADF)
    del case.seen[:]
    case.run()
    assert case.seen == [(second, EV_READ)]
    second.stop()


@row(backend=[name for name in THERE if name == "epoll"])
def closed_twin_that_epoll_goes_on_to_report(case: Case, backend: str) -> None:
    # epoll has files and not descriptors, and the twin keeps the file.
    use(case, backend)
    first, second = watched_twins(case)
    os.close(first.fd)
    del case.seen[:]
    with case.allows(first, second):
        case.run()
    assert sorted(watcher.fd for watcher, _ in case.seen) == [first.fd, second.fd]
    first.stop()
    del case.seen[:]
    # libev cannot take it out of epoll any more, and makes itself another one.
    case.loop.timer(0.02, 0.0, case.ignore).start()
    second.keepalive = False
    case.loop.start()
    assert {watcher for watcher, _ in case.seen} == {second}
    # Without anything to report, the loop waits.
    os.read(second.fd, 1)
    del case.seen[:]
    before = case.loop.iteration
    case.loop.timer(0.02, 0.0, case.ignore).start()
    case.loop.start()
    assert case.loop.iteration - before < 10
    assert case.seen == []
    second.stop()


@row(backend=THERE)
def twin_closed_that_nobody_watches(case: Case, backend: str) -> None:
    use(case, backend)
    fd = case.readable()
    twin = fcntl.fcntl(fd, fcntl.F_DUPFD, 400)
    watcher = case.loop.io(twin, EV_READ, case.record)
    watcher.start()
    case.run()
    os.close(fd)
    del case.seen[:]
    with case.allows(watcher):
        while not case.seen:
            case.run()
    assert set(case.seen) == {(watcher, EV_READ)}
    watcher.stop()


# -- the loop's own -------------------------------------------------------------------


def own_epoll(case: Case) -> int:
    """The descriptor of the loop's epoll."""
    # All of the loop's own are there afterwards, so none gets the number of another.
    case.loop.timer(0.0, 0.0, case.ignore).start()
    case.loop.start(EVRUN_ONCE)
    return find_epoll()


def find_epoll() -> int:
    """The only epoll descriptor of the process."""
    links = {int(entry.name): entry for entry in Path("/proc/self/fd").iterdir()}
    found = [
        fd
        for fd, entry in links.items()
        if entry.is_symlink() and "[eventpoll]" in os.readlink(entry)
    ]
    assert len(found) == 1, found
    return found[0]


WATCHES_EPOLL = [name for name in THERE if name == "epoll"]


@row(
    backend=WATCHES_EPOLL,
    through=["itself", "twin", "another"],
    # Refused by the same assert as a closed descriptor.
    builds=CLOSES_DESCRIPTORS,
)
def own_epoll_watched(case: Case, backend: str, through: str) -> None:
    use(case, backend)
    fd = own_epoll(case)
    error = errno.EINVAL
    if through == "twin":
        fd = fcntl.fcntl(fd, fcntl.F_DUPFD, 400)
    elif through == "another":
        other = select.epoll()
        other.register(fd, select.EPOLLIN)
        fd, error = other.fileno(), errno.ELOOP
    watcher = case.loop.io(fd, EV_READ, case.record)
    for _ in range(2):
        watcher.start()
        fails_of(case, watcher, error)
    assert (case.loop.start(), case.seen) == (False, [])


@row(backend=WATCHES_EPOLL, builds=CLOSES_DESCRIPTORS)
def own_epoll_closed(case: Case, backend: str) -> None:
    use(case, backend)
    watcher = case.loop.io(case.readable(), EV_READ, case.record)
    watcher.start()
    os.close(own_epoll(case))
    del case.seen[:]
    for _ in range(3):
        with case.fails(OSError, f"Loop.start: {BAD_DESCRIPTOR}"):
            case.loop.start()
    # That makes a new one.
    case.loop.reset()
    while not case.seen:
        case.loop.start(EVRUN_ONCE)
    assert set(case.seen) == {(watcher, EV_READ)}
    watcher.stop()
    assert case.loop.start() is False


@row(backend=WATCHES_EPOLL, builds=CLOSES_DESCRIPTORS)
def own_epoll_closed_before_the_loop_first_waits(case: Case, backend: str) -> None:
    # Even what the loop needs to hear of signals is refused then.
    use(case, backend)
    case.run()
    with open(os.devnull, "rb") as file:
        os.dup2(file.fileno(), find_epoll())
    for _ in range(2):
        with case.fails(OSError, f"Loop.start: {os.strerror(errno.EINVAL)}"):
            case.loop.start()
    case.loop.reset()
    timer = case.loop.timer(0.0, 0.0, case.record)
    timer.start()
    with at_once():
        assert case.loop.start() is False
        assert case.loop.start() is False
    assert case.seen == [(timer, EV_TIMER)]


@row(backend=WATCHES_EPOLL)
def own_epoll_closed_while_there_is_nothing_to_tell_it(
    case: Case, backend: str
) -> None:
    use(case, backend)
    os.close(own_epoll(case))
    for _ in range(3):
        with case.raises(OSError, f"Loop.start: {BAD_DESCRIPTOR}"):
            case.run()
    case.loop.reset()


# -- every backend --------------------------------------------------------------------


@row(name=list(BACKENDS))
def backend(case: Case, name: str) -> None:
    if name in THERE:
        use(case, name)
        with case.allows():
            case.run()
    else:
        with case.raises(Error, "could not create loop"):
            Loop(BACKENDS[name])


@row()
def backend_that_does_not_exist(case: Case) -> None:
    with case.raises(Error, "could not create loop"):
        Loop(EVBACKEND_MASK & ~supported_backends())


@row(backend=THERE)
def regular_file(case: Case, backend: str) -> None:
    use(case, backend)
    for events in (EV_READ, EV_WRITE, BOTH):
        with tempfile.TemporaryFile() as file:
            watcher = case.loop.io(file, events, case.record)
            with case.allows():
                watcher.start()
                while len(case.seen) < 2:
                    case.loop.start(EVRUN_ONCE)
            assert set(case.seen) == {(watcher, events)}
            watcher.stop()
            assert case.loop.start() is False
        del case.seen[:]


@row(backend=THERE, builds=CLOSES_DESCRIPTORS)
def regular_file_closed(case: Case, backend: str) -> None:
    use(case, backend)
    with tempfile.TemporaryFile() as file:
        watcher = case.loop.io(file, EV_READ, case.record)
        watcher.start()
        case.loop.start(EVRUN_ONCE)
    with case.allows():
        watcher.stop()
        assert case.loop.start() is False


@row(backend=THERE)
def end_of_a_pipe(case: Case, backend: str) -> None:
    use(case, backend)
    reader, writer = case.pipe()
    watcher = case.loop.io(reader, EV_READ, case.record)
    watcher.start()
    case.run()
    os.close(writer)
    with case.allows(watcher):
        while len(case.seen) < 2:
            case.loop.start(EVRUN_ONCE)
    assert set(case.seen) == {(watcher, EV_READ)}
    assert os.read(reader, 1) == b""
    watcher.stop()


@row(backend=THERE)
def end_of_a_pipe_that_is_full(case: Case, backend: str) -> None:
    use(case, backend)
    reader, writer = case.pipe()
    while True:
        try:
            os.write(writer, bytes(65536))
        except BlockingIOError:
            break
    watcher = case.loop.io(writer, EV_WRITE, case.record)
    watcher.start()
    case.run()
    assert case.seen == []
    os.close(reader)
    with case.allows(watcher):
        while len(case.seen) < 2:
            case.loop.start(EVRUN_ONCE)
    assert set(case.seen) == {(watcher, EV_WRITE)}
    watcher.stop()


def raise_descriptors(most: int) -> None:
    """Let the process have descriptors up to this number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > most, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, hard))


@row(backend=THERE)
def above_fd_setsize(case: Case, backend: str) -> None:
    use(case, backend)
    raise_descriptors(4000)
    low = case.loop.io(case.readable(), EV_READ, case.record)
    for fd in (1023, 1024, 1025, 2048, 3999):
        reader, writer = case.pipe()
        os.dup2(reader, fd)
        high = case.loop.io(fd, EV_READ, case.record)
        with case.allows():
            high.start()
            low.start()
            while not case.seen:
                case.run()
            assert case.seen == [(low, EV_READ)]
            low.stop()
            os.write(writer, b"x")
            while len(case.seen) < 3:
                case.loop.start(EVRUN_ONCE)
        assert case.seen[1:] == [(high, EV_READ)] * 2
        high.stop()
        del case.seen[:]


def watch_many(case: Case, backend: str) -> None:
    """Watch 1500 descriptors that are ready all at once."""
    use(case, backend)
    count = 1500
    raise_descriptors(count + 600)
    reader, writer = case.pipe()
    fds = [fcntl.fcntl(reader, fcntl.F_DUPFD, 500) for _ in range(count)]
    watchers = {case.loop.io(fd, EV_READ, case.record) for fd in fds}
    with case.allows():
        for watcher in watchers:
            watcher.start()
        case.run()
        assert case.seen == []
        os.write(writer, b"x")
        while len({watcher for watcher, _ in case.seen}) < count:
            case.loop.start(EVRUN_ONCE)
    assert {watcher for watcher, _ in case.seen} == watchers
    for watcher in watchers:
        watcher.stop()
    assert case.loop.start() is False


@row(backend=[name for name in THERE if name != "iouring"])
def many_descriptors(case: Case, backend: str) -> None:
    watch_many(case, backend)


# The kernel takes less at once than libev has to submit, and an assert minds.
@row(backend=[name for name in THERE if name == "iouring"], builds=(BUNDLED,))
def more_descriptors_than_a_ring_takes(case: Case, backend: str) -> None:
    watch_many(case, backend)
