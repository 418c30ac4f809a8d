"""Io watchers: readiness, masks, backends, and descriptors that go away."""

import enum
import errno
import os
import signal
import socket
import struct

import pytest

import mood_event
from mood_event import (
    EV_CUSTOM,
    EV_ERROR,
    EV_READ,
    EV_TIMER,
    EV_WRITE,
    EVBACKEND_EPOLL,
    EVBACKEND_POLL,
    EVBACKEND_SELECT,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
    Error,
    Io,
    Loop,
    watchers,
)

BACKENDS = [
    backend
    for backend in (EVBACKEND_SELECT, EVBACKEND_POLL, EVBACKEND_EPOLL)
    if backend & mood_event.recommended_backends()
]
BOTH = EV_READ | EV_WRITE


def ignore(watcher, revents):
    """A callback that does nothing."""


def closed_descriptor():
    """The number of a descriptor that is not open."""
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    return fd


def repeat_until_it_blocks(function, *arguments):
    """Fill a pipe, or empty it."""
    try:
        while True:
            function(*arguments)
    except BlockingIOError:
        pass


@pytest.fixture
def connection():
    """The two ends of a connection, both non-blocking."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture(params=BACKENDS)
def loop(request, make_pipe, connection):
    """A loop of each backend in turn, closed before the descriptors are."""
    with Loop(request.param) as loop:
        assert loop.backend == request.param
        yield loop


class HasFileno:
    """An object whose `fileno` gives, or raises, what it was made with."""

    def __init__(self, value):
        self.value = value

    def fileno(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Index:
    """An integer that is no int."""

    def __index__(self):
        return 0


# What is no descriptor, and what it raises.
BAD_FDS = [
    (-1, ValueError),
    (-(2**31) - 1, ValueError),
    (2**31, OverflowError),
    ("0", TypeError),
    (None, TypeError),
    (1.0, TypeError),
    (Index(), TypeError),
    (HasFileno("0"), TypeError),
    (HasFileno(None), TypeError),
    (HasFileno(-1), ValueError),
    (HasFileno(2**31), OverflowError),
    (HasFileno(ZeroDivisionError("fileno")), ZeroDivisionError),
]
BAD_EVENTS = [
    (0, ValueError),
    (-1, ValueError),
    (4, ValueError),
    (EV_TIMER, ValueError),
    (EV_READ | EV_CUSTOM, ValueError),
    (EV_ERROR, ValueError),
    (2**31, OverflowError),
    ("1", TypeError),
    (None, TypeError),
    (1.0, TypeError),
]


# -- readiness ------------------------------------------------------------------------


@pytest.mark.core
def test_io_tells_that_a_descriptor_is_readable(loop, pipe, events):
    seen, callback = events
    watcher = loop.io(pipe.reader, EV_READ, callback)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    os.write(pipe.writer, b"x")
    loop.start(EVRUN_ONCE)
    assert seen == [(watcher, EV_READ)]


@pytest.mark.core
def test_io_tells_that_a_descriptor_is_writable(loop, pipe, events):
    seen, callback = events
    watcher = loop.io(pipe.writer, EV_WRITE, callback)
    watcher.start()
    loop.start(EVRUN_ONCE)
    assert seen == [(watcher, EV_WRITE)]
    repeat_until_it_blocks(os.write, pipe.writer, bytes(65536))
    loop.start(EVRUN_NOWAIT)
    assert len(seen) == 1
    repeat_until_it_blocks(os.read, pipe.reader, 65536)
    loop.start(EVRUN_ONCE)
    assert seen[1:] == [(watcher, EV_WRITE)]


@pytest.mark.core
@pytest.mark.parametrize("mask", [EV_READ, EV_WRITE, BOTH])
@pytest.mark.parametrize("readable", [False, True])
def test_io_tells_what_it_was_asked_for(loop, connection, events, mask, readable):
    seen, callback = events
    ours, theirs = connection
    if readable:
        theirs.send(b"x")
    watcher = loop.io(ours, mask, callback)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    expected = mask & (BOTH if readable else EV_WRITE)
    assert seen == ([(watcher, expected)] if expected else [])


@pytest.mark.core
def test_io_calls_for_as_long_as_the_descriptor_is_ready(loop, pipe):
    read = []

    def callback(watcher, revents):
        data = os.read(watcher.fd, 2)
        read.append(data)
        if data == b"!":
            watcher.stop()

    os.write(pipe.writer, b"aabbcc!")
    loop.io(pipe.reader, EV_READ, callback).start()
    assert loop.start() is False
    assert read == [b"aa", b"bb", b"cc", b"!"]


@pytest.mark.core
def test_io_tells_the_end_of_the_stream(loop, connection, events):
    seen, callback = events
    ours, theirs = connection
    watcher = loop.io(ours, EV_READ, callback)
    watcher.start()
    theirs.close()
    loop.start(EVRUN_ONCE)
    assert seen == [(watcher, EV_READ)]
    assert ours.recv(1) == b""


def test_io_tells_that_a_connection_was_reset(loop, events):
    seen, callback = events
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours:
        watcher = loop.io(ours, EV_READ, callback)
        watcher.start()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        loop.start(EVRUN_ONCE)
        assert seen == [(watcher, EV_READ)]
        with pytest.raises(ConnectionResetError):
            ours.recv(1)


@pytest.mark.core
def test_io_of_a_file_is_always_ready(loop, tmp_path, events):
    # "The special problem of files": epoll refuses them.
    seen, callback = events
    path = tmp_path / "file"
    path.write_bytes(b"text")
    with path.open("r+b") as file:
        watcher = loop.io(file, BOTH, callback)
        watcher.start()
        loop.start(EVRUN_NOWAIT)
        loop.start(EVRUN_NOWAIT)
        assert set(seen) == {(watcher, BOTH)}
        watcher.stop()


@pytest.mark.core
def test_io_of_one_descriptor_may_be_many(loop, connection, events):
    seen, callback = events
    ours, theirs = connection
    theirs.send(b"x")
    masks = [EV_READ, EV_WRITE, BOTH, EV_READ]
    watchers = [loop.io(ours, mask, callback) for mask in masks]
    for watcher in watchers:
        watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == list(zip(watchers, masks))
    watchers[2].stop()
    watchers[1].stop()
    del seen[:]
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watchers[0], EV_READ), (watchers[3], EV_READ)]


@pytest.mark.core
def test_io_watches_many_descriptors(loop, make_pipe, events):
    seen, callback = events
    pipes = [make_pipe() for _ in range(50)]
    for number, pipe in enumerate(pipes):
        loop.io(pipe.reader, EV_READ, callback, number).start()
    for number in (3, 14, 15, 49):
        os.write(pipes[number].writer, b"x")
    loop.start(EVRUN_NOWAIT)
    assert sorted(watcher.data for watcher, _ in seen) == [3, 14, 15, 49]


@pytest.mark.core
def test_io_stopped_by_its_callback_is_called_once(loop, pipe, events):
    seen, _ = events

    def callback(watcher, revents):
        seen.append(revents)
        watcher.stop()

    loop.io(pipe.writer, EV_WRITE, callback).start()
    assert loop.start() is False
    assert seen == [EV_WRITE]


@pytest.mark.core
def test_io_can_be_set_anew_by_its_callback(loop, connection):
    seen = []
    ours, theirs = connection

    def callback(watcher, revents):
        seen.append((watcher.fd, revents))
        watcher.stop()
        if revents == EV_WRITE:
            watcher.set(ours, EV_READ)
            watcher.start()
            theirs.send(b"x")

    loop.io(ours, EV_WRITE, callback).start()
    assert loop.start() is False
    assert seen == [(ours.fileno(), EV_WRITE), (ours.fileno(), EV_READ)]


@pytest.mark.core
def test_io_takes_any_kind_of_int_for_events(loop, pipe):
    class Events(enum.IntFlag):
        READ = EV_READ

    watcher = loop.io(pipe.reader, Events.READ, print)
    watcher.set(pipe.reader, Events.READ)
    assert (watcher.events, type(watcher.events)) == (EV_READ, int)


def test_io_set_says_what_the_system_says_of_a_descriptor(loop, pipe, monkeypatch):
    """Closed when C looks, and another's by the time that Python does."""
    watcher = loop.io(pipe.reader, EV_READ, print)
    monkeypatch.setattr(watchers, "_io_set", lambda ptr, fd, events: -errno.EBADF)
    with pytest.raises(OSError, match=r"Io\.set") as caught:
        watcher.set(pipe.writer, EV_WRITE)
    assert caught.value.errno == errno.EBADF
    assert (watcher.fd, watcher.events) == (pipe.reader, EV_READ)


def test_io_set_watches_another_descriptor(loop, make_pipe, events):
    seen, callback = events
    first, second = make_pipe(), make_pipe()
    os.write(first.writer, b"x")
    os.write(second.writer, b"x")
    watcher = loop.io(first.reader, EV_READ, callback)
    watcher.start()
    watcher.stop()
    watcher.set(second.writer, EV_WRITE)
    assert (watcher.fd, watcher.events) == (second.writer, EV_WRITE)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_WRITE)]


@pytest.mark.core
def test_io_of_a_descriptor_that_was_closed_and_opened_again(loop, events):
    seen, callback = events
    reader, writer = os.pipe()
    watcher = loop.io(reader, EV_READ, callback)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    watcher.stop()
    os.close(reader)
    os.close(writer)
    other = os.pipe()
    assert reader in other
    os.write(other[1], b"x")
    watcher.set(other[0], EV_READ)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_READ)]
    loop.close()
    for fd in other:
        os.close(fd)


# -- arguments ------------------------------------------------------------------------


@pytest.mark.core
def test_io_attributes_tell_what_is_watched(pipe):
    with Loop() as loop:
        for mask in (EV_READ, EV_WRITE, BOTH):
            watcher = Io(pipe.reader, mask, loop, ignore)
            for method in ("start", "stop", "start"):
                getattr(watcher, method)()
                assert (watcher.fd, watcher.events) == (pipe.reader, mask)
            loop.start(EVRUN_NOWAIT)
            assert watcher.events == mask
            watcher.stop()


@pytest.mark.core
def test_io_takes_an_object_with_fileno(pipe):
    with Loop() as loop, open(os.devnull) as file:
        watcher = loop.io(HasFileno(pipe.reader), EV_READ, ignore)
        assert watcher.fd == pipe.reader
        watcher.set(file, EV_READ)
        assert watcher.fd == file.fileno()


@pytest.mark.core
@pytest.mark.parametrize(("bad", "error"), BAD_FDS)
def test_io_refuses_what_is_no_descriptor(pipe, bad, error):
    with Loop() as loop:
        with pytest.raises(error, match=r"fd|fileno"):
            Io(bad, EV_READ, loop, ignore)
        watcher = loop.io(pipe.reader, EV_READ, ignore)
        with pytest.raises(error, match=r"fd|fileno"):
            watcher.set(bad, EV_WRITE)
        assert (watcher.fd, watcher.events) == (pipe.reader, EV_READ)


@pytest.mark.core
@pytest.mark.parametrize(("bad", "error"), BAD_EVENTS)
def test_io_refuses_other_events(make_pipe, bad, error):
    pipe = make_pipe()
    with Loop() as loop:
        with pytest.raises(error, match="events"):
            Io(pipe.reader, bad, loop, ignore)
        watcher = loop.io(pipe.reader, EV_READ, ignore)
        with pytest.raises(error, match="events"):
            watcher.set(pipe.writer, bad)
        assert (watcher.fd, watcher.events) == (pipe.reader, EV_READ)
        with pytest.raises(error, match="events"):
            watcher.__init__(pipe.writer, bad, loop, ignore)
        assert (watcher.fd, watcher.events) == (pipe.reader, EV_READ)


@pytest.mark.core
def test_io_repr_tells_descriptor_and_events(pipe):
    with Loop() as loop:
        watcher = loop.io(pipe.reader, EV_READ, ignore)
        watcher.start()
        assert repr(watcher) == f"<Io fd={pipe.reader} READ callback=ignore active>"
        watcher = loop.io(pipe.writer, BOTH, ignore)
        assert repr(watcher) == f"<Io fd={pipe.writer} READ|WRITE callback=ignore>"


# -- descriptors that are closed ------------------------------------------------------


@pytest.mark.core
def test_io_refuses_a_closed_descriptor(pipe):
    with Loop() as loop:
        fd = closed_descriptor()
        watcher = loop.io(pipe.reader, EV_READ, ignore)
        for make in (
            lambda: Io(fd, EV_READ, loop, ignore),
            lambda: loop.io(HasFileno(fd), EV_READ, ignore),
            lambda: watcher.set(fd, EV_READ),
            lambda: watcher.set(2**31 - 1, EV_READ),
        ):
            with pytest.raises(OSError, match="Bad file descriptor") as caught:
                make()
            assert caught.value.errno == errno.EBADF
        assert watcher.fd == pipe.reader


@pytest.mark.core
def test_io_start_refuses_a_descriptor_closed_since(events):
    seen, callback = events
    with Loop() as loop:
        fd = os.open(os.devnull, os.O_RDONLY)
        watcher = loop.io(fd, EV_READ, callback)
        os.close(fd)
        with pytest.raises(OSError, match=r"Io\.start.*Bad file descriptor"):
            watcher.start()
        assert not watcher.active
        assert loop.start() is False
        assert seen == []


def test_io_closed_while_active_is_raised_by_start(loop, pipe, events):
    seen, callback = events
    watcher = loop.io(pipe.reader, EV_READ, callback)
    watcher.start()
    os.close(pipe.reader)
    with pytest.raises(OSError, match=f"Io fd={pipe.reader} READ") as caught:
        loop.start()
    assert caught.value.errno == errno.EBADF
    assert (watcher.active, watcher.pending, seen) == (False, False, [])
    assert loop.start() is False


@pytest.mark.skipif(
    not EVBACKEND_EPOLL & mood_event.recommended_backends(),
    reason="other backends tell of a descriptor that was closed",
)
def test_io_closed_while_active_does_not_keep_signals_from_waking_the_loop(handle):
    seen = []
    with Loop(EVBACKEND_EPOLL) as loop:
        ends = os.pipe()
        for fd in ends:
            loop.io(fd, EV_READ, lambda watcher, revents: seen.append(watcher)).start()
        loop.start(EVRUN_NOWAIT)
        # The first run that waits makes a pipe, which would get these numbers, and
        # epoll not be told of them: libev takes them for watched.
        for fd in ends:
            os.close(fd)

        def on_alarm(signum, frame):
            if loop.depth:
                seen.append("handler")
                loop.stop()
            else:
                # It has come before the loop waits.
                signal.setitimer(signal.ITIMER_REAL, 0.01)

        handle(signal.SIGALRM, on_alarm)
        too_late = loop.timer(20.0, 0.0, lambda *arguments: loop.stop())
        too_late.start()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        loop.start()
        assert too_late.active
        assert seen == ["handler"]


def test_io_closed_while_active_does_not_harm_the_others(loop, make_pipe, events):
    seen, callback = events
    pipe, closed = make_pipe(), make_pipe()
    os.write(pipe.writer, b"x")
    fds = [closed.reader, pipe.reader, closed.reader]
    watchers = [loop.io(fd, EV_READ, callback) for fd in fds]
    for watcher in watchers:
        watcher.start()
    os.close(closed.reader)
    # One for each of its watchers.
    for _ in range(2):
        with pytest.raises(OSError, match="Bad file descriptor"):
            loop.start()
    assert [watcher.active for watcher in watchers] == [False, True, False]
    del seen[:]
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watchers[1], EV_READ)]


@pytest.mark.core
def test_io_that_is_fed_an_error_is_stopped(loop, pipe, events):
    seen, callback = events
    watcher = loop.io(pipe.writer, EV_WRITE, callback)
    watcher.start()
    other = loop.fork(callback)
    other.feed(EV_CUSTOM)
    watcher.feed(EV_ERROR)
    with pytest.raises(Error, match="Io"):
        loop.start()
    assert not watcher.active
    loop.start(EVRUN_NOWAIT)
    assert seen == [(other, EV_CUSTOM)]
