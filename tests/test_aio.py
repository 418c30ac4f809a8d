"""asyncio on libev: the Selector, the EventLoop, and watchers beside and inside it."""

import asyncio
import concurrent.futures
import copy
import errno
import functools
import gc
import logging
import multiprocessing
import os
import pickle
import resource
import select
import selectors
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE

import pytest

import mood_event
from mood_event import (
    EV_ASYNC,
    EV_CHECK,
    EV_CHILD,
    EV_CLEANUP,
    EV_EMBED,
    EV_FORK,
    EV_IDLE,
    EV_MAXPRI,
    EV_MINPRI,
    EV_PERIODIC,
    EV_PREPARE,
    EV_READ,
    EV_SIGNAL,
    EV_STAT,
    EV_TIMER,
    EV_WRITE,
    EVBACKEND_EPOLL,
    EVBACKEND_POLL,
    EVBACKEND_SELECT,
    EVRUN_NOWAIT,
    Error,
    Loop,
    aio,
    fatal,
)

BOTH = EVENT_READ | EVENT_WRITE

# Seconds until a wake-up is known to be lost.
LONG = 20.0

BACKENDS = [
    pytest.param(backend, id=name)
    for name, backend in (
        ("select", EVBACKEND_SELECT),
        ("poll", EVBACKEND_POLL),
        ("epoll", EVBACKEND_EPOLL),
    )
    if backend & mood_event.supported_backends()
]


@fatal
def too_late(watcher, revents):
    raise TimeoutError(f"nothing happened for {LONG} seconds")


def watched(loop):
    """A Timer that ends the loop when it hangs; asyncio knows nothing of it."""
    watchdog = loop.timer(LONG, 0.0, too_late)
    watchdog.start()
    return watchdog


async def in_time(main):
    """Await a coroutine, with a watchdog."""
    watchdog = watched(aio.ev_loop())
    try:
        return await main
    finally:
        watchdog.stop()


def run(main, **keywords):
    """aio.run, with a watchdog."""
    return aio.run(in_time(main), **keywords)


def forever(event_loop):
    """EventLoop.run_forever, with a watchdog."""
    watchdog = watched(event_loop.ev_loop)
    try:
        event_loop.run_forever()
    finally:
        watchdog.stop()


def spawn(script):
    """A shell that runs a script, which nobody waits for yet; returns its pid."""
    command = ["/bin/sh", "-c", script]
    if hasattr(os, "posix_spawn"):
        return os.posix_spawn(command[0], command, os.environ)
    return os.spawnv(os.P_NOWAIT, command[0], command)


@pytest.fixture
def selector(make_pipe) -> Iterator[aio.Selector]:
    """A Selector with a loop of its own."""
    with aio.Selector() as selector:
        yield selector


@pytest.fixture
def event_loop(loop) -> Iterator[aio.EventLoop]:
    """An EventLoop on `loop`."""
    event_loop = aio.new_event_loop(loop)
    yield event_loop
    event_loop.close()


@pytest.fixture
def make_pair() -> Iterator[object]:
    """Make pairs of non-blocking sockets."""
    made: list[socket.socket] = []

    def make(*args):
        pair = socket.socketpair(*args)
        for end in pair:
            end.setblocking(False)
        made.extend(pair)
        return pair

    yield make
    for end in made:
        end.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Allow 2500 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip(f"this system allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- the selector: registering ----------------------------------------------------


@pytest.mark.core
def test_register_returns_the_key_that_select_returns(selector, pipe):
    data = object()
    reader = selector.register(pipe.reader, EVENT_READ, data)
    assert isinstance(reader, selectors.SelectorKey)
    assert reader == (pipe.reader, pipe.reader, EVENT_READ, data)
    assert selector.select(0) == []
    os.write(pipe.writer, b"x")
    [(key, events)] = selector.select()
    assert key is reader
    assert events == EVENT_READ
    writer = selector.register(pipe.writer, EVENT_WRITE)
    assert writer.data is None
    assert sorted(selector.select()) == sorted(
        [(reader, EVENT_READ), (writer, EVENT_WRITE)]
    )


@pytest.mark.core
@pytest.mark.parametrize("backend", BACKENDS)
def test_select_reports_what_is_ready_and_registered(make_pair, backend):
    one, other = make_pair()
    third, _ = make_pair()
    with Loop(backend) as loop, aio.Selector(loop) as selector:
        assert loop.backend == backend
        key = selector.register(one, BOTH)
        idle = selector.register(third, EVENT_READ)
        assert selector.select() == [(key, EVENT_WRITE)]
        other.send(b"x")
        assert selector.select() == [(key, BOTH)]
        key = selector.modify(one, EVENT_READ)
        assert selector.select() == [(key, EVENT_READ)]
        assert selector.select(0) == [(key, EVENT_READ)]
        one.recv(1)
        assert selector.select(0) == []
        assert selector.get_key(third) is idle
        other.close()
        assert selector.select() == [(key, EVENT_READ)]


def test_keys_are_found_by_file_object_and_by_descriptor(selector, make_pair):
    one, other = make_pair()
    assert len(selector.get_map()) == 0
    key = selector.register(one, EVENT_READ)
    keys = selector.get_map()
    assert selector.get_key(one) is keys[one] is keys[one.fileno()] is key
    assert key.fileobj is one
    assert list(keys) == [one.fileno()]
    assert len(keys) == 1
    assert one in keys
    assert one.fileno() in keys
    assert other not in keys
    assert keys.get(one) is keys.get(one.fileno()) is key
    assert keys.get(other) is keys.get(other.fileno()) is None
    assert keys.get(other, 1) == keys.get(other.fileno(), 1) == 1
    with pytest.raises(KeyError, match="is not registered"):
        keys[other]
    with pytest.raises(KeyError, match="is not registered"):
        selector.get_key(other)
    with pytest.raises(ValueError, match="Invalid file object"):
        keys["no file"]
    with pytest.raises(TypeError):
        keys[one] = key
    selector.unregister(one)
    assert one not in keys
    assert dict(keys) == {}


@pytest.mark.parametrize("method", ["register", "modify"])
@pytest.mark.parametrize("events", [0, 4, 7, -1])
def test_other_events_are_refused(selector, pipe, method, events):
    if method == "modify":
        selector.register(pipe.reader, EVENT_READ)
    with pytest.raises(ValueError, match="Invalid events"):
        getattr(selector, method)(pipe.reader, events)
    assert [key.events for key in selector.get_map().values()] == (
        [EVENT_READ] if method == "modify" else []
    )


def test_what_is_no_file_is_refused(selector):
    closed = socket.socket()
    closed.close()

    class Odd:
        def fileno(self):
            return "a number"

    for fileobj in (-1, None, "1", object(), closed, Odd(), 1.5):
        with pytest.raises(ValueError, match="Invalid file object"):
            selector.register(fileobj, EVENT_READ)
        with pytest.raises(ValueError, match="Invalid file object"):
            selector.unregister(fileobj)
        with pytest.raises(ValueError, match="Invalid file object"):
            selector.modify(fileobj, EVENT_READ)
    with pytest.raises(OverflowError):
        selector.register(2**40, EVENT_READ)
    assert len(selector.get_map()) == 0


def test_a_bool_is_the_descriptor_that_it_equals(selector):
    assert selector.register(True, EVENT_WRITE).fd == 1
    assert selector.unregister(1).fileobj is True


def test_one_descriptor_is_registered_once(selector, make_pair):
    one, _ = make_pair()
    key = selector.register(one, EVENT_READ)
    for again in (one, one.fileno()):
        with pytest.raises(KeyError, match="already registered"):
            selector.register(again, EVENT_WRITE)
    assert selector.get_key(one) is key
    assert selector.select(0) == []


def test_a_closed_descriptor_cannot_be_registered(selector, make_pipe):
    pipe = make_pipe()
    os.close(pipe.reader)
    for _ in range(2):
        with pytest.raises(OSError, match="descriptor") as caught:
            selector.register(pipe.reader, EVENT_READ)
        assert caught.value.errno == errno.EBADF
        assert len(selector.get_map()) == 0
    os.dup2(pipe.writer, pipe.reader)
    key = selector.register(pipe.reader, EVENT_WRITE)
    assert selector.select() == [(key, EVENT_WRITE)]
    assert selector.unregister(pipe.reader) is key
    os.close(pipe.reader)
    with pytest.raises(OSError, match="descriptor"):
        selector.register(pipe.reader, EVENT_READ)


def test_unregister_returns_the_key(selector, make_pair):
    one, other = make_pair()
    key = selector.register(one, EVENT_WRITE)
    assert selector.select() == [(key, EVENT_WRITE)]
    assert selector.unregister(one.fileno()) is key
    assert selector.select(0) == []
    for fileobj in (one, one.fileno(), other):
        with pytest.raises(KeyError, match="is not registered"):
            selector.unregister(fileobj)
    assert selector.loop.watchers() == []
    assert selector.register(one, EVENT_WRITE) == key


def test_a_file_object_is_unregistered_after_it_was_closed(selector, make_pair):
    one, _ = make_pair()
    fd = one.fileno()
    key = selector.register(one, EVENT_READ)
    one.close()
    assert selector.get_key(one) is key
    assert selector.unregister(one) is key
    with pytest.raises(ValueError, match="Invalid file object"):
        selector.unregister(one)
    assert fd not in selector.get_map()


def test_modify_changes_events_and_data(selector, make_pair):
    one, other = make_pair()
    other.send(b"x")
    key = selector.register(one, EVENT_READ)
    assert selector.modify(one, EVENT_READ) is key
    data = object()
    key = selector.modify(one, EVENT_READ, data)
    assert key == (one, one.fileno(), EVENT_READ, data)
    assert selector.get_key(one) is key
    assert selector.select() == [(key, EVENT_READ)]
    key = selector.modify(one.fileno(), EVENT_WRITE)
    assert key == (one, one.fileno(), EVENT_WRITE, None)
    assert selector.select() == [(key, EVENT_WRITE)]
    key = selector.modify(one, BOTH, data)
    assert selector.select() == [(key, BOTH)]
    with pytest.raises(KeyError, match="is not registered"):
        selector.modify(other, EVENT_READ)


def test_a_modify_that_fails_changes_nothing(selector, make_pipe):
    pipe = make_pipe()
    key = selector.register(pipe.reader, EVENT_READ)
    os.close(pipe.reader)
    with pytest.raises(OSError, match="descriptor") as caught:
        selector.modify(pipe.reader, BOTH)
    assert caught.value.errno == errno.EBADF
    assert selector.get_key(pipe.reader) is key
    assert selector.unregister(pipe.reader) is key


def test_a_thousand_registrations_are_changed_in_one_pass(
    selector, many_descriptors, make_pair
):
    ends = [end for _ in range(500) for end in make_pair()]
    for i, end in enumerate(ends):
        selector.register(end, EVENT_READ, i)
        if i % 3 == 0:
            end.send(b"x")
    for i, end in enumerate(ends):
        selector.modify(end, EVENT_WRITE)
        if i % 2:
            selector.modify(end, EVENT_READ)
        if i % 5 == 0:
            selector.unregister(end)
        if i % 10 == 0:
            selector.register(end, BOTH)
    poll = select.poll()
    for key in selector.get_map().values():
        poll.register(key.fd, key.events * select.POLLIN if key.events == 1 else 0)
        if key.events & EVENT_WRITE:
            mask = select.POLLOUT | (select.POLLIN if key.events & EVENT_READ else 0)
            poll.modify(key.fd, mask)
    expected = {
        (fd, bool(mask & select.POLLIN) | bool(mask & select.POLLOUT) << 1)
        for fd, mask in poll.poll(0)
    }
    seen = set()
    # A backend reports so many at a time.
    while len(seen) < len(expected):
        seen |= {(key.fd, events) for key, events in selector.select()}
    assert seen == expected
    assert {(key.fd, events) for key, events in selector.select()} <= expected
    for key in list(selector.get_map().values()):
        selector.unregister(key.fd)
    assert selector.select(0) == []
    assert selector.loop.watchers() == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_on_a_disk_is_always_ready(backend, tmp_path):
    with (
        open(tmp_path / "file", "w+b") as file,
        aio.Selector(Loop(backend)) as selector,
    ):
        key = selector.register(file, BOTH)
        for _ in range(3):
            assert selector.select() == [(key, BOTH)]
        key = selector.modify(file, EVENT_READ)
        for _ in range(3):
            assert selector.select() == [(key, EVENT_READ)]
    selector.loop.close()


# -- the selector: selecting --------------------------------------------------------


def test_select_waits_until_the_timeout_is_over(selector, pipe):
    for registered in (False, True):
        if registered:
            selector.register(pipe.reader, EVENT_READ)
        for timeout in (0.02, 0.001, 1e-5):
            start = time.monotonic()
            assert selector.select(timeout) == []
            assert time.monotonic() - start >= timeout


def test_select_does_not_wait_for_0_or_less(selector):
    timer = selector.loop.timer(LONG, 0.0, aio.ignore)
    timer.start()
    for timeout in (0, 0.0, -1, -0.5, float("-inf")):
        assert selector.select(timeout) == []
        assert timer.active


def test_select_waits_for_ever_for_anything_else(selector):
    for timeout in (None, float("inf"), 10**9):
        timer = selector.loop.timer(0.01, 0.0, aio.ignore)
        timer.start()
        start = time.monotonic()
        assert selector.select(timeout) == []
        assert time.monotonic() - start >= 0.01
        assert not timer.active
    with pytest.raises(TypeError):
        selector.select("1")


def test_select_with_nothing_registered_is_woken_by_another_thread(selector, in_thread):
    called = []
    watchdog = watched(selector.loop)

    def call():
        selector.loop.call_soon_threadsafe(called.append, 1)

    thread = in_thread(call)
    while not called:
        assert selector.select() == []
    thread.join()
    watchdog.stop()


def test_the_loops_own_watchers_are_called_while_it_selects(loop, make_pair, events):
    seen, callback = events
    one, other = make_pair()
    with aio.Selector(loop) as selector:
        key = selector.register(one, EVENT_READ)
        io = loop.io(one, EV_READ | EV_WRITE, callback)
        timer = loop.timer(0.0, 0.0, callback)
        io.start()
        assert selector.select() == []
        assert seen == [(io, EV_WRITE)]
        other.send(b"x")
        assert selector.select() == [(key, EVENT_READ)]
        assert seen[1:] == [(io, EV_READ | EV_WRITE)]
        io.stop()
        timer.start()
        one.recv(1)
        assert selector.select() == []
        assert seen[2:] == [(timer, EV_TIMER)]
    assert io.active is False


def test_an_event_is_not_for_what_is_registered_later(loop, make_pair, make_pipe):
    one, _ = make_pair()
    pipe = make_pipe()
    with aio.Selector(loop) as selector:
        selector.register(one, EVENT_WRITE)

        def replace(watcher, revents):
            selector.unregister(one)
            os.dup2(pipe.reader, one.fileno())
            selector.register(one, BOTH, "the pipe")

        # After the event was gathered.
        loop.check(replace, None, EV_MINPRI).start()
        assert selector.select(0) == []
        loop.watchers()[0].stop()
        assert selector.get_key(one).data == "the pipe"


def test_what_a_callback_unregisters_is_not_reported(loop, make_pair):
    one, other = make_pair()
    with aio.Selector(loop) as selector:
        selector.register(one, EVENT_WRITE)
        key = selector.register(other, EVENT_WRITE)
        check = loop.check(lambda w, r: selector.unregister(one), None, EV_MINPRI)
        check.start()
        assert selector.select() == [(key, EVENT_WRITE)]
        check.stop()
        check = loop.check(
            lambda w, r: selector.modify(other, EVENT_READ), None, EV_MINPRI
        )
        check.start()
        assert selector.select() == []
        check.stop()


@pytest.mark.parametrize("flags", [0, EVRUN_NOWAIT])
def test_an_event_of_a_nested_run_is_reported_once(loop, make_pair, flags):
    one, other = make_pair()
    third, _ = make_pair()
    with aio.Selector(loop) as selector:
        key = selector.register(one, EVENT_READ)
        writer = selector.register(third, EVENT_WRITE)

        def nest(watcher, revents):
            watcher.stop()
            other.send(b"x")
            loop.timer(0.0, 0.0, lambda w, r: loop.stop()).start()
            loop.start(flags)

        loop.timer(0.0, 0.0, nest, None, EV_MINPRI).start()
        time.sleep(0.001)
        ready = selector.select()
        assert len(ready) == 2
        assert (key, EVENT_READ) in ready
        assert (writer, EVENT_WRITE) in ready


def test_an_event_that_comes_before_it_waits_is_not_waited_with(loop, pipe):
    watchdog = watched(loop)
    with aio.Selector(loop) as selector:
        key = selector.register(pipe.reader, EVENT_READ)
        assert selector.select(0) == []
        loop.feed_fd_event(pipe.reader, EV_READ)
        assert selector.select() == [(key, EVENT_READ)]

        def feed(watcher, revents):
            watcher.stop()
            loop.feed_fd_event(pipe.reader, EV_READ)

        loop.prepare(feed).start()
        assert selector.select() == [(key, EVENT_READ)]
    watchdog.stop()


def test_select_with_a_loop_callback(loop, pipe):
    loop.callback = lambda loop: loop.invoke()
    with aio.Selector(loop) as selector:
        key = selector.register(pipe.writer, EVENT_WRITE)
        assert selector.select() == [(key, EVENT_WRITE)]


def test_select_raises_what_is_fatal(loop, pipe):
    @fatal
    def fail(watcher, revents):
        raise LookupError("of the callback")

    with aio.Selector(loop) as selector:
        key = selector.register(pipe.writer, EVENT_WRITE)
        for timeout in (None, 0):
            loop.timer(0.0, 0.0, fail).start()
            time.sleep(0.001)
            with pytest.raises(LookupError, match="of the callback"):
                selector.select(timeout)
            assert selector.select() == [(key, EVENT_WRITE)]


def test_select_waits_although_a_prepare_was_called(selector):
    called = []
    prepare = selector.loop.prepare(lambda w, r: called.append(r))
    prepare.start()
    start = time.monotonic()
    # Without asyncio there is nobody to ask for work.
    assert selector.select(0.02) == []
    assert time.monotonic() - start >= 0.02
    assert called == [EV_PREPARE]


def test_a_schedulers_callable_cannot_unregister(selector, pipe):
    def scheduler(watcher, now):
        with pytest.raises(Error) as caught:
            selector.unregister(pipe.writer)
        refused.append(caught.value)
        return now + LONG

    refused = []
    key = selector.register(pipe.writer, EVENT_WRITE)
    selector.loop.scheduler(scheduler).start()
    assert refused
    assert selector.select() == [(key, EVENT_WRITE)]
    assert selector.unregister(pipe.writer) is key
    assert selector.select(0) == []


def test_select_reports_an_exception_as_start_does(selector, unraisable):
    assert selector.loop.exception_handler is not None
    timer = selector.loop.timer(0.0, 0.0, lambda w, r: 1 / 0)
    timer.start()
    assert selector.select() == []
    [report] = unraisable
    assert report.exc_type is ZeroDivisionError


# -- the selector: descriptors that go away -------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_closed_before_select_is_ready_once(make_pipe, backend):
    pipe = make_pipe()
    with Loop(backend) as loop, aio.Selector(loop) as selector:
        key = selector.register(pipe.reader, EVENT_READ)
        os.close(pipe.reader)
        assert selector.select() == [(key, EVENT_READ)]
        assert selector.select(0) == []
        assert selector.get_key(pipe.reader) is key
        assert selector.unregister(pipe.reader) is key


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_closed_after_select_is_ready_once_or_never(make_pipe, backend):
    pipe = make_pipe()
    with Loop(backend) as loop, aio.Selector(loop) as selector:
        key = selector.register(pipe.reader, EVENT_READ)
        assert selector.select(0) == []
        os.close(pipe.reader)
        # The kernel takes it out of an epoll, and says nothing.
        expected = [] if backend == EVBACKEND_EPOLL else [(key, EVENT_READ)]
        assert selector.select(0) == expected
        assert selector.select(0) == []
        assert selector.unregister(pipe.reader) is key


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_descriptor_can_be_another_file(make_pair, make_pipe, backend, is_known):
    one, _ = make_pair()
    pipe = make_pipe()
    with Loop(backend) as loop, aio.Selector(loop) as selector:
        selector.register(one, EVENT_WRITE)
        if is_known:
            assert len(selector.select()) == 1
        os.dup2(pipe.reader, one.fileno())
        selector.unregister(one)
        key = selector.register(one, EVENT_READ)
        assert selector.select(0) == []
        os.write(pipe.writer, b"x")
        assert selector.select() == [(key, EVENT_READ)]
        os.read(pipe.reader, 1)
        # And by modify, which the stock selector fails to do.
        os.dup2(pipe.writer, one.fileno())
        key = selector.modify(one, EVENT_WRITE)
        assert selector.select() == [(key, EVENT_WRITE)]


# -- the selector: the end ------------------------------------------------------------


def test_a_closed_selector_refuses(pipe):
    selector = aio.Selector()
    selector.register(pipe.reader, EVENT_READ)
    loop = selector.loop
    selector.close()
    assert loop.backend == 0
    assert selector.get_map() is None
    with pytest.raises(RuntimeError, match="closed"):
        selector.register(pipe.reader, EVENT_READ)
    for timeout in (None, 0, 1):
        with pytest.raises(RuntimeError, match="closed"):
            selector.select(timeout)
    with pytest.raises(RuntimeError, match="closed"):
        selector.get_key(pipe.reader)
    with pytest.raises(KeyError):
        selector.unregister(pipe.reader)
    with pytest.raises(KeyError):
        selector.modify(pipe.reader, EVENT_WRITE)
    selector.close()


def test_a_loop_that_was_given_is_left_as_it_was(loop, pipe, events):
    seen, callback = events
    io = loop.io(pipe.writer, EV_WRITE, callback)
    io.start()
    with aio.Selector(loop) as selector:
        assert selector.loop is loop
        selector.register(pipe.writer, EVENT_WRITE)
        assert loop.exception_handler is not None
    assert loop.exception_handler is None
    assert loop.watchers() == [io]
    loop.start(EVRUN_NOWAIT)
    assert seen == [(io, EV_WRITE)]

    def handler(loop, exception, callback):
        raise AssertionError

    loop.exception_handler = handler
    with aio.Selector(loop):
        assert loop.exception_handler is handler
    assert loop.exception_handler is handler


def test_selectors_share_a_loop(loop, make_pair):
    one, other = make_pair()
    first, second = aio.Selector(loop), aio.Selector(loop)
    key = first.register(one, EVENT_WRITE)
    twin = second.register(other, EVENT_WRITE)
    for _ in range(2):
        assert first.select() == [(key, EVENT_WRITE)]
        assert second.select() == [(twin, EVENT_WRITE)]
    first.unregister(one)
    assert first.select(0) == []
    first.close()
    first.close()
    assert loop.exception_handler is not None
    assert second.select() == [(twin, EVENT_WRITE)]
    second.close()
    assert loop.exception_handler is None


def test_a_selector_needs_an_open_loop():
    for loop in (1, "loop", Loop, asyncio):
        with pytest.raises(TypeError, match="must be a Loop or None"):
            aio.Selector(loop)
    loop = Loop()
    loop.close()
    with pytest.raises(Error, match="closed"):
        aio.Selector(loop)
    with pytest.raises(Error, match="closed"):
        aio.EventLoop(loop)
    with pytest.raises(TypeError, match="must be a Loop or None"):
        aio.new_event_loop(1)


def test_the_loop_that_was_given_may_be_closed_first(pipe):
    loop = Loop()
    selector = aio.Selector(loop)
    key = selector.register(pipe.reader, EVENT_READ)
    selector.register(pipe.writer, EVENT_WRITE)
    loop.close()
    with pytest.raises(Error, match="closed"):
        selector.select(0)
    with pytest.raises(Error, match="closed"):
        selector.select()
    with pytest.raises(Error, match="closed"):
        selector.modify(pipe.reader, EVENT_WRITE)
    assert selector.unregister(pipe.reader) is key
    with pytest.raises(Error, match="closed"):
        selector.register(pipe.reader, EVENT_READ)
    selector.close()
    assert selector.get_map() is None


def test_a_selector_is_not_closed_in_a_callback_of_its_own_loop(pipe):
    selector = aio.Selector()
    key = selector.register(pipe.writer, EVENT_WRITE)
    refused = []

    def close(watcher, revents):
        with pytest.raises(Error, match="running") as caught:
            selector.close()
        refused.append(caught.value)

    selector.loop.timer(0.0, 0.0, close).start()
    time.sleep(0.001)
    assert selector.select() == [(key, EVENT_WRITE)]
    assert refused
    assert selector.select() == [(key, EVENT_WRITE)]
    selector.close()


def test_a_selector_is_closed_although_a_cleanup_fails(pipe):
    selector = aio.Selector()
    selector.register(pipe.writer, EVENT_WRITE)

    @fatal
    def fail(watcher, revents):
        raise LookupError("of the cleanup")

    selector.loop.cleanup(fail).start()
    with pytest.raises(LookupError, match="of the cleanup"):
        selector.close()
    assert selector.get_map() is None
    assert selector.loop.backend == 0


def test_selectors_are_not_copied_nor_pickled(loop, event_loop):
    async def main():
        selector = aio.Selector(loop)
        with pytest.raises(TypeError):
            pickle.dumps(selector)
        with pytest.raises(TypeError):
            copy.copy(selector.loop)
        # asyncio's own: the first attribute that cannot be.
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(event_loop)

    event_loop.run_until_complete(main())


# -- the event loop -------------------------------------------------------------------


def test_an_event_loop_is_asyncios_own():
    event_loop = aio.new_event_loop()
    assert type(event_loop) is aio.EventLoop
    assert isinstance(event_loop, asyncio.SelectorEventLoop)
    assert isinstance(event_loop.ev_loop, Loop)
    ev_loop = event_loop.ev_loop
    event_loop.close()
    assert event_loop.is_closed()
    assert ev_loop.backend == 0
    event_loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        event_loop.run_forever()


def test_an_event_loop_that_there_are_no_descriptors_for_leaves_nothing(run_script):
    result = run_script(
        """
        import errno, gc, os, resource
        from mood_event import aio

        # What is imported late needs descriptors, too.
        aio.new_event_loop().close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))

        def take_all():
            taken = []
            while True:
                try:
                    taken.append(os.dup(0))
                except OSError:
                    return taken

        taken = take_all()
        refused = 0
        while True:
            try:
                event_loop = aio.new_event_loop()
                break
            except OSError as error:
                assert error.errno == errno.EMFILE
            gc.collect()
            free = take_all()
            assert len(free) == refused
            refused += 1
            for fd in [*free, taken.pop()]:
                os.close(fd)
        for fd in taken:
            os.close(fd)
        event_loop.close()
        print(refused)
        """,
        options=("-X", "dev"),
    )
    # The Loop's own came first, then asyncio's.
    assert int(result.stdout) > 1


def test_an_event_loop_leaves_a_loop_that_it_was_given(loop):
    for _ in range(3):
        event_loop = aio.EventLoop(loop)
        assert event_loop.ev_loop is loop
        event_loop.run_until_complete(asyncio.sleep(0.001))
        event_loop.close()
    assert loop.backend
    assert loop.watchers() == []
    assert loop.exception_handler is None


def test_asyncios_own_loop_takes_a_selector():
    event_loop = asyncio.SelectorEventLoop(aio.Selector())

    async def main():
        ev_loop = aio.ev_loop()
        assert aio.ev_loop(event_loop) is ev_loop
        watchdog = watched(ev_loop)
        revents = await aio.event(ev_loop.timer(0.001, 0.0, aio.ignore))
        watchdog.stop()
        return revents

    assert event_loop.run_until_complete(main()) == EV_TIMER
    event_loop.close()


OLD = pytest.param("run as before 3.11", id="before 3.11")


@pytest.fixture(params=[pytest.param("", id="here"), OLD])
def either_run(request, monkeypatch) -> None:
    """aio.run as it is here, and as it is where asyncio has no Runner."""
    if request.param:
        monkeypatch.delattr(asyncio, "Runner", raising=False)


@pytest.mark.core
def test_run_returns_what_the_coroutine_returns(either_run):
    async def main():
        event_loop = asyncio.get_running_loop()
        assert type(event_loop) is aio.EventLoop
        await asyncio.sleep(0.001)
        return event_loop

    event_loop = aio.run(main())
    assert event_loop.is_closed()
    assert event_loop.ev_loop.backend == 0


def test_run_on_a_loop_that_is_given(either_run, loop):
    async def main():
        return aio.ev_loop()

    assert aio.run(main(), loop=loop) is loop
    assert loop.backend


@pytest.mark.parametrize("debug", [True, False, None])
def test_run_in_debug_mode(either_run, debug):
    async def main():
        return asyncio.get_running_loop().get_debug()

    by_itself = asyncio.new_event_loop()
    expected = by_itself.get_debug() if debug is None else debug
    by_itself.close()
    assert aio.run(main(), debug=debug) is expected


def test_run_raises_what_leaves_the_coroutine(either_run):
    async def main(error):
        raise error

    for error in (LookupError, SystemExit, KeyboardInterrupt):
        with pytest.raises(error):
            aio.run(main(error))


def test_run_refuses_what_is_no_coroutine(either_run):
    for main in (None, 1, in_time):
        with pytest.raises((ValueError, TypeError), match="coroutine"):
            aio.run(main)


def test_run_refuses_to_be_nested(either_run):
    async def main():
        inner = asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            aio.run(inner)
        inner.close()
        return 1

    assert aio.run(main()) == 1


def test_run_refuses_a_closed_loop(either_run):
    loop = Loop()
    loop.close()
    main = asyncio.sleep(0)
    with pytest.raises(Error, match="closed"):
        aio.run(main, loop=loop)
    main.close()


def test_run_winds_up_what_the_coroutine_left(either_run):
    seen = []

    async def generator():
        try:
            yield 1
            yield 2
        finally:
            seen.append("generator")

    async def left(fails):
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            seen.append("cancelled")
            if fails:
                raise LookupError("while it was cancelled") from None
            raise

    async def main():
        event_loop = asyncio.get_running_loop()
        event_loop.set_exception_handler(lambda loop, context: handled.append(context))
        tasks.extend(event_loop.create_task(left(fails)) for fails in (False, True))
        tasks.append(generator())
        async for _ in tasks[-1]:
            break
        await event_loop.run_in_executor(None, seen.append, "executor")

    handled, tasks = [], []
    aio.run(main())
    assert sorted(seen) == ["cancelled", "cancelled", "executor", "generator"]
    [context] = handled
    assert isinstance(context["exception"], LookupError)
    assert context["task"] is tasks[1]


def test_run_leaves_no_event_loop_behind(either_run, run_script):
    run_script(
        """
        import asyncio, sys, warnings
        from mood_event import aio
        if len(sys.argv) > 1:
            vars(asyncio).pop("Runner", None)
        aio.run(asyncio.sleep(0))
        warnings.simplefilter("ignore")
        try:
            asyncio.get_event_loop()
        except RuntimeError:
            print("none")
        """,
        *([] if hasattr(asyncio, "Runner") else ["old"]),
    )


def test_a_runner_takes_new_event_loop():
    if not hasattr(asyncio, "Runner"):
        pytest.skip("asyncio has no Runner before Python 3.11")

    async def main():
        return type(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=aio.new_event_loop) as runner:
        assert runner.run(main()) is runner.run(main()) is aio.EventLoop


def test_install_makes_new_event_loops_ours():
    async def main():
        return type(asyncio.get_running_loop())

    try:
        aio.install()
        assert type(asyncio.get_event_loop_policy()) is aio.EventLoopPolicy
        assert asyncio.run(main()) is aio.EventLoop
        event_loop = asyncio.new_event_loop()
        assert type(event_loop) is aio.EventLoop
        event_loop.close()
    finally:
        asyncio.set_event_loop_policy(None)
    assert asyncio.run(main()) is not aio.EventLoop


def test_the_policy_is_asyncios_own():
    assert aio.EventLoopPolicy is aio.EventLoopPolicy
    assert issubclass(aio.EventLoopPolicy, asyncio.DefaultEventLoopPolicy)
    assert aio.EventLoopPolicy.__qualname__ == "EventLoopPolicy"
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(aio, "no_such_name")  # noqa: B009


def test_install_where_there_are_no_policies(monkeypatch):
    monkeypatch.delattr(asyncio, "set_event_loop_policy")
    monkeypatch.delattr(asyncio, "DefaultEventLoopPolicy")
    with pytest.raises(RuntimeError, match="no policies"):
        aio.install()
    with pytest.raises(AttributeError, match="EventLoopPolicy"):
        getattr(aio, "EventLoopPolicy")  # noqa: B009


def test_ev_loop_is_the_loop_below(event_loop, loop):
    async def main():
        return aio.ev_loop()

    assert event_loop.run_until_complete(main()) is loop
    assert aio.ev_loop(event_loop) is loop
    with pytest.raises(RuntimeError):
        aio.ev_loop()
    stock = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match=r"must run on a mood_event\.aio\.Selector"):
        aio.ev_loop(stock)
    with pytest.raises(TypeError, match=r"must run on a mood_event\.aio\.Selector"):
        stock.run_until_complete(main())
    stock.close()
    with pytest.raises(TypeError, match=r"must run on a mood_event\.aio\.Selector"):
        aio.ev_loop(1)


def test_all_names_what_there_is():
    for name in aio.__all__:
        assert getattr(aio, name).__doc__
    assert aio.ignore(None, 0) is None


# -- awaiting a watcher ---------------------------------------------------------------


def kinds(loop, pipe, path):
    """A watcher of each type that needs nothing but the loop, and how it has events."""
    sender = loop.async_(aio.ignore)
    return {
        "timer": (loop.timer(0.001, 0.0, aio.ignore), None, EV_TIMER),
        "repeating timer": (loop.timer(0.001, 0.001, aio.ignore), None, EV_TIMER),
        "periodic": (loop.periodic(0.0, 0.01, aio.ignore), None, EV_PERIODIC),
        "scheduler": (
            loop.scheduler(lambda w, now: now + 0.001, aio.ignore),
            None,
            EV_PERIODIC,
        ),
        "scheduler without a callback": (
            loop.scheduler(lambda w, now: now + 0.001),
            None,
            EV_PERIODIC,
        ),
        "io": (loop.io(pipe.writer, EV_WRITE, aio.ignore), None, EV_WRITE),
        "io, later": (
            loop.io(pipe.reader, EV_READ, aio.ignore),
            functools.partial(os.write, pipe.writer, b"x"),
            EV_READ,
        ),
        "signal": (
            loop.signal(signal.SIGUSR1, aio.ignore),
            functools.partial(os.kill, os.getpid(), signal.SIGUSR1),
            EV_SIGNAL,
        ),
        "stat": (
            loop.stat(str(path), 0.1, aio.ignore),
            functools.partial(path.write_text, "another length"),
            EV_STAT,
        ),
        "idle": (loop.idle(aio.ignore), None, EV_IDLE),
        "prepare": (loop.prepare(aio.ignore), None, EV_PREPARE),
        "check": (loop.check(aio.ignore), None, EV_CHECK),
        "fork": (loop.fork(aio.ignore), loop.reset, EV_FORK),
        "async": (sender, sender.send, EV_ASYNC),
    }


KINDS = [
    "timer",
    "repeating timer",
    "periodic",
    "scheduler",
    "scheduler without a callback",
    "io",
    "io, later",
    "signal",
    "stat",
    "idle",
    "prepare",
    "check",
    "fork",
    "async",
]


@pytest.mark.core
@pytest.mark.parametrize("kind", KINDS)
def test_event_of_a_watcher(kind, pipe, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")

    async def main():
        watcher, trigger, expected = kinds(aio.ev_loop(), pipe, path)[kind]
        own = watcher.callback
        for _ in range(2 if trigger is None else 1):
            if trigger is not None:
                # After what awaits it has started it.
                asyncio.get_running_loop().call_soon(trigger)
            if kind == "check":
                # It has an event when there is another one.
                aio.ev_loop().timer(0.001, 0.0, aio.ignore).start()
            assert await aio.event(watcher) == expected
            assert not watcher.active
            assert not watcher.pending
            assert watcher.callback is own

    run(main())


def test_event_kinds_are_all_types(loop, pipe, tmp_path):
    assert list(kinds(loop, pipe, tmp_path)) == KINDS
    tested = {type(kind[0]) for kind in kinds(loop, pipe, tmp_path).values()}
    # These have tests of their own.
    missing = set(mood_event.Watcher.kinds.values()) - tested
    assert {kind.__name__ for kind in missing} == {"Child", "Embed", "Cleanup"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("has_callback", [False, True])
def test_event_of_an_embed(has_callback, backend, pipe, events):
    if not backend & mood_event.embeddable_backends():
        pytest.skip("libev cannot embed this backend here")
    seen, callback = events

    async def main():
        inner = other.io(pipe.reader, EV_READ, callback)
        inner.start()
        embed = aio.ev_loop().embed(
            other, (lambda w, r: w.sweep()) if has_callback else None
        )
        asyncio.get_running_loop().call_soon(os.write, pipe.writer, b"x")
        assert await aio.event(embed) == EV_EMBED
        assert not embed.active
        assert seen[0] == (inner, EV_READ)

    with Loop(backend) as other:
        run(main())


@pytest.mark.parametrize("trace", [False, True])
def test_event_of_a_child(default_loop, trace):
    async def main():
        child = default_loop.child(spawn("exit 3"), trace, aio.ignore)
        assert await aio.event(child) == EV_CHILD
        assert os.WEXITSTATUS(child.rstatus) == 3
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)

    run(main(), loop=default_loop)


def test_event_of_a_cleanup(loop):
    event_loop = aio.EventLoop(loop)
    cleanup = loop.cleanup(aio.ignore)
    task = event_loop.create_task(aio.event(cleanup))
    event_loop.run_until_complete(asyncio.sleep(0))
    assert cleanup.active
    # A Loop that was given can be closed first; what waits then can go on elsewhere.
    loop.close()
    assert not cleanup.active
    assert not task.done()
    with pytest.raises(Error, match="closed"):
        event_loop.run_until_complete(task)
    task.cancel()
    event_loop.close()


def test_a_cleanup_is_not_awaited_over_the_end_of_run():
    async def wait(cleanup):
        await aio.event(cleanup)

    async def main():
        cleanup = aio.ev_loop().cleanup(lambda w, r: seen.append(r))
        tasks.append(asyncio.ensure_future(wait(cleanup)))
        aio.ev_loop().cleanup(lambda w, r: seen.append("another")).start()
        await asyncio.sleep(0)
        assert cleanup.active

    seen, tasks = [], []
    aio.run(main())
    # run() cancels it before it closes the loop.
    assert tasks[0].cancelled()
    assert seen == ["another"]
    assert EV_CLEANUP not in seen


def test_several_tasks_await_one_event(events):
    seen, callback = events

    async def main():
        timer = aio.ev_loop().timer(0.001, 0.0, callback)
        tasks = [asyncio.ensure_future(aio.event(timer)) for _ in range(5)]
        await asyncio.sleep(0)
        assert timer.active
        tasks[0].cancel()
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [
            asyncio.CancelledError,
            int,
            int,
            asyncio.CancelledError,
            int,
        ]
        assert results[1] == EV_TIMER
        assert seen == [(timer, EV_TIMER)]
        assert timer.callback is callback

    run(main())


def test_the_watchers_own_callback_is_called_as_well():
    async def main():
        def callback(watcher, revents):
            seen.append((watcher, revents, watcher.active))

        timer = aio.ev_loop().timer(0.0, 0.001, callback)
        assert await aio.event(timer) == EV_TIMER
        # It is stopped first, and the task goes on later.
        assert seen == [(timer, EV_TIMER, False)]

    seen = []
    run(main())


def test_what_is_active_stays_active(events):
    seen, callback = events

    async def main():
        timer = aio.ev_loop().timer(0.001, 0.001, callback)
        timer.start()
        for _ in range(3):
            assert await aio.event(timer) == EV_TIMER
            assert timer.active
            assert timer.callback is callback
        task = asyncio.ensure_future(aio.event(timer))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert timer.active
        assert timer.callback is callback
        assert len(seen) >= 3
        timer.stop()

    run(main())


def test_a_cancelled_wait_leaves_the_watcher_as_it_was(pipe):
    async def main():
        io = aio.ev_loop().io(pipe.reader, EV_READ, aio.ignore)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.event(io), 0.01)
        assert not io.active
        assert io.callback is aio.ignore
        first, second = (asyncio.ensure_future(aio.event(io)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert io.active
        os.write(pipe.writer, b"x")
        assert await second == EV_READ
        assert not io.active

    run(main())


def test_a_wait_that_is_cancelled_after_the_event(pipe):
    async def main():
        io = aio.ev_loop().io(pipe.writer, EV_WRITE, lambda w, r: task.cancel())
        task = asyncio.ensure_future(aio.event(io))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not io.active
        assert await aio.event(aio.ev_loop().timer(0.0, 0.0, aio.ignore)) == EV_TIMER

    run(main())


def test_a_watcher_that_is_stopped_meanwhile_is_still_awaited(pipe):
    async def main():
        io = aio.ev_loop().io(pipe.writer, EV_WRITE, aio.ignore)
        task = asyncio.ensure_future(aio.event(io))
        await asyncio.sleep(0)
        io.stop()
        await asyncio.sleep(0.001)
        assert not task.done()
        io.start()
        assert await task == EV_WRITE
        assert not io.active

    run(main())


def test_a_callback_that_is_set_meanwhile_takes_the_event(pipe, events):
    seen, callback = events

    async def main():
        io = aio.ev_loop().io(pipe.writer, EV_WRITE, aio.ignore)
        task = asyncio.ensure_future(aio.event(io))
        await asyncio.sleep(0)
        io.callback = callback
        while not seen:
            await asyncio.sleep(0.001)
        assert seen[0] == (io, EV_WRITE)
        assert not task.done()
        assert await aio.event(io) == EV_WRITE
        assert io.callback is callback
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not io.active
        assert io.callback is callback

    run(main())


def test_event_refuses_what_it_cannot_await(loop):
    async def main():
        for watcher in (None, 1, aio.ev_loop(), asyncio.get_running_loop().stop):
            with pytest.raises(TypeError, match="must be a Watcher"):
                await aio.event(watcher)
        with pytest.raises(ValueError, match="must belong to the running loop's Loop"):
            await aio.event(loop.timer(0.0, 0.0, aio.ignore))

    run(main())
    timer = loop.timer(0.0, 0.0, aio.ignore)
    stock = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match=r"must run on a mood_event\.aio\.Selector"):
        stock.run_until_complete(aio.event(timer))
    stock.close()
    waiting = aio.event(timer)
    with pytest.raises(RuntimeError):
        waiting.send(None)


def test_event_raises_what_start_raises(make_pipe, loop):
    pipe = make_pipe()

    async def main():
        io = aio.ev_loop().io(pipe.reader, EV_READ, aio.ignore)
        os.close(pipe.reader)
        with pytest.raises(OSError, match="descriptor"):
            await aio.event(io)
        assert io.callback is aio.ignore
        assert not io.active
        child = aio.ev_loop().child(1, False, aio.ignore)
        await aio.event(child)

    with pytest.raises(Error, match="default"):
        run(main(), loop=loop)


def test_an_exception_of_the_own_callback_is_that_callbacks():
    async def main():
        def fail(watcher, revents):
            raise LookupError("of the callback")

        contexts = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: contexts.append(context)
        )
        timer = aio.ev_loop().timer(0.0, 0.0, fail)
        assert await aio.event(timer) == EV_TIMER
        [context] = contexts
        assert isinstance(context["exception"], LookupError)
        assert "fail" in context["message"]
        await aio.event(aio.ev_loop().timer(0.0, 0.0, fatal(fail)))

    with pytest.raises(LookupError, match="of the callback"):
        run(main())


# -- exceptions -----------------------------------------------------------------------


def test_an_exception_goes_to_asyncios_handler(event_loop, loop):
    def fail(watcher, revents):
        raise LookupError("of the callback")

    def handle(asyncio_loop, context):
        contexts.append((asyncio_loop, context))
        event_loop.stop()

    contexts = []
    event_loop.set_exception_handler(handle)
    loop.timer(0.0, 0.0, fail).start()
    forever(event_loop)
    [(asyncio_loop, context)] = contexts
    assert asyncio_loop is event_loop
    assert context["callback"] is fail
    assert "fail" in context["message"]
    assert str(context["exception"]) == "of the callback"


def test_an_exception_is_logged_by_asyncio(event_loop, loop, caplog):
    loop.timer(0.0, 0.0, lambda w, r: [event_loop.stop(), 1 / 0]).start()
    with caplog.at_level(logging.ERROR, "asyncio"):
        forever(event_loop)
    [record] = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    assert "Exception in callback" in record.getMessage()


def test_a_handler_of_the_loops_own_goes_first(event_loop, loop):
    seen = []
    event_loop.set_exception_handler(lambda *args: seen.append("asyncio's"))
    loop.exception_handler = lambda *args: (seen.append(args), event_loop.stop())
    loop.timer(0.0, 0.0, lambda w, r: 1 / 0).start()
    forever(event_loop)
    [(given, exception, _)] = seen
    assert given is loop
    assert isinstance(exception, ZeroDivisionError)


def test_outside_of_asyncio_an_exception_is_reported(event_loop, loop, unraisable):
    loop.timer(0.0, 0.0, lambda w, r: [loop.stop(), 1 / 0]).start()
    loop.start()
    [report] = unraisable
    assert report.exc_type is ZeroDivisionError


@pytest.mark.parametrize(
    "error", [LookupError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_what_is_fatal_ends_the_run_which_can_go_on(event_loop, loop, error):
    @fatal
    def fail(watcher, revents):
        raise error("of the callback")

    async def main():
        await asyncio.sleep(0.01)
        return "later"

    task = event_loop.create_task(main())
    loop.timer(0.0, 0.0, fail).start()
    with pytest.raises(error, match="of the callback"):
        event_loop.run_until_complete(task)
    assert not event_loop.is_running()
    assert event_loop.run_until_complete(task) == "later"
    loop.timer(0.0, 0.0, fail).start()
    with pytest.raises(error, match="of the callback"):
        forever(event_loop)
    assert event_loop.run_until_complete(asyncio.sleep(0, 1)) == 1


def test_an_exception_handler_may_end_the_run(event_loop, loop):
    def end(asyncio_loop, context):
        raise SystemExit(3)

    event_loop.set_exception_handler(end)
    loop.timer(0.0, 0.0, lambda w, r: 1 / 0).start()
    with pytest.raises(SystemExit):
        forever(event_loop)


# -- waking up ------------------------------------------------------------------------


BY = {
    "call_soon": lambda event_loop: event_loop.call_soon(event_loop.stop),
    "call_later": lambda event_loop: event_loop.call_later(0.001, event_loop.stop),
    "stop": lambda event_loop: event_loop.stop(),
    "task": lambda event_loop: event_loop.create_task(stop_soon()),
    "threadsafe": lambda event_loop: event_loop.call_soon_threadsafe(event_loop.stop),
}

FROM = {
    "prepare": lambda loop, callback: loop.prepare(callback),
    "check": lambda loop, callback: loop.check(callback),
    "idle": lambda loop, callback: loop.idle(callback),
    "timer": lambda loop, callback: loop.timer(0.001, 0.0, callback),
    "periodic": lambda loop, callback: loop.periodic(0.0, 0.01, callback),
    "io": lambda loop, callback: loop.io(1, EV_WRITE, callback),
    "fork": lambda loop, callback: loop.fork(callback),
    "fed": lambda loop, callback: loop.timer(LONG, 0.0, callback),
}


async def stop_soon():
    await asyncio.sleep(0)
    asyncio.get_running_loop().stop()


@pytest.mark.core
@pytest.mark.parametrize("priority", [EV_MINPRI, 0, EV_MAXPRI])
@pytest.mark.parametrize("limit", [None, LONG / 2], ids=["no timeout", "timeout"])
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("origin", FROM)
def test_what_a_callback_asks_for_is_not_waited_with(
    event_loop, loop, pipe, origin, by, limit, priority
):
    def callback(watcher, revents):
        watcher.stop()
        called.append(time.monotonic())
        BY[by](event_loop)

    called = []
    if origin == "io":
        watcher = loop.io(pipe.writer, EV_WRITE, callback, None, priority)
    else:
        watcher = FROM[origin](loop, callback)
        watcher.priority = priority

    def begin():
        if origin == "fed":
            watcher.feed(EV_TIMER)
        else:
            watcher.start()
        if origin == "fork":
            loop.reset()
        if origin == "check":
            loop.timer(0.001, 0.0, aio.ignore).start()

    event_loop.call_soon(begin)
    if limit is not None:
        event_loop.call_later(limit, event_loop.stop)
    # Not before the first select, whose timeout is 0.
    forever(event_loop)
    assert len(called) == 1
    # Otherwise it is the timeout that has ended it, or the watchdog.
    assert time.monotonic() - called[0] < LONG / 2


def test_a_future_is_set_in_a_callback():
    async def main():
        loop = aio.ev_loop()
        for make in (loop.prepare, loop.check, loop.idle):
            future = asyncio.get_running_loop().create_future()

            def callback(watcher, revents, future=future):
                watcher.stop()
                future.set_result(revents)

            make(callback).start()
            if make == loop.check:
                loop.timer(0.001, 0.0, aio.ignore).start()
            assert await future

    run(main())


def test_work_of_an_embedded_loop_is_not_waited_with(event_loop, loop, pipe):
    with Loop(EVBACKEND_EPOLL | EVBACKEND_POLL | EVBACKEND_SELECT) as other:
        if not other.backend & mood_event.embeddable_backends():
            pytest.skip("libev cannot embed this backend here")
        embed = loop.embed(other)
        embed.start()

        def callback(watcher, revents):
            watcher.stop()
            event_loop.stop()

        # Where its loop is told of a descriptor, it is run before the outer one waits.
        io = other.io(pipe.writer, EV_WRITE, callback)
        event_loop.call_soon(event_loop.call_soon, io.start)
        forever(event_loop)
        embed.stop()


def test_a_handle_that_is_cancelled_again_wakes_nobody(event_loop, loop):
    def callback(watcher, revents):
        iterations.append(loop.iteration)
        event_loop.call_later(0.0, iterations.append, "called").cancel()

    iterations = []
    prepare = loop.prepare(callback)
    prepare.start()
    event_loop.call_later(0.05, event_loop.stop)
    forever(event_loop)
    prepare.stop()
    assert "called" not in iterations
    assert len(iterations) < 10


@pytest.mark.core
@pytest.mark.parametrize("limit", [None, 0.05])
def test_a_prepare_that_stays_active_does_not_spin(event_loop, loop, limit):
    called = []
    prepare = loop.prepare(lambda w, r: called.append(r))
    check = loop.check(lambda w, r: called.append(r))
    prepare.start()
    check.start()
    if limit is None:
        loop.timer(0.05, 0.0, lambda w, r: event_loop.stop()).start()
    else:
        event_loop.call_later(limit, event_loop.stop)
    forever(event_loop)
    prepare.stop()
    check.stop()
    # Some more for a timer of asyncio's, which counts in another clock's ticks.
    assert 2 <= len(called) < 20


def test_priorities_hold_within_an_iteration(event_loop, loop):
    def callback(watcher, revents):
        order.append(watcher.priority)
        if len(order) == 5:
            event_loop.stop()

    order = []
    timers = [loop.timer(0.0, 0.0, callback, None, p) for p in (0, 2, -2, 1, -1)]

    def begin():
        for timer in timers:
            timer.start()
        time.sleep(0.001)

    event_loop.call_soon(begin)
    forever(event_loop)
    assert order == [2, 1, 0, -1, -2]


def test_an_idle_watcher_lets_asyncio_go_on(event_loop, loop):
    async def main():
        for _ in range(10):
            await asyncio.sleep(0.001)

    called = []
    idle = loop.idle(lambda w, r: called.append(r))
    idle.start()
    event_loop.run_until_complete(main())
    idle.stop()
    assert called


# -- signals --------------------------------------------------------------------------


def wakeup_fd():
    """The wakeup descriptor of Python's signal handling."""
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    return fd


@pytest.fixture
def kill_from_thread(in_thread) -> Iterator[object]:
    """Send this process a signal that only another thread can receive.

    So no system call of the main thread is interrupted: only the wakeup descriptor
    can wake it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    done = threading.Event()

    def start(signum):
        def target():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])
            # Until the loop waits. Before, the signal would be handled at once.
            time.sleep(0.05)
            signal.pthread_kill(threading.get_ident(), signum)
            done.wait(LONG)

        signal.pthread_sigmask(signal.SIG_BLOCK, [signum])
        in_thread(target)

    yield start
    done.set()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize(
    "make",
    [aio.new_event_loop, lambda: asyncio.SelectorEventLoop(aio.Selector())],
    ids=["EventLoop", "Selector"],
)
def test_a_python_handler_runs_on_an_idle_loop(handle, kill_from_thread, make):
    event_loop = make()
    watchdog = watched(aio.ev_loop(event_loop))
    seen = []

    def handler(signum, frame):
        seen.append(signum)
        event_loop.call_soon_threadsafe(event_loop.stop)

    handle(signal.SIGUSR1, handler)
    event_loop.call_soon(event_loop.call_soon, kill_from_thread, signal.SIGUSR1)
    before = wakeup_fd()
    event_loop.run_forever()
    assert wakeup_fd() == before
    assert seen == [signal.SIGUSR1]
    watchdog.stop()
    event_loop.close()


@pytest.mark.parametrize("where", ["before", "meanwhile", "in a callback"])
@pytest.mark.parametrize("removed", [False, True])
def test_asyncios_signal_handlers(
    event_loop, loop, handle, kill_from_thread, where, removed
):
    handle(signal.SIGUSR1, signal.SIG_IGN)
    handle(signal.SIGUSR2, lambda signum, frame: stop("Python's"))
    seen = []

    def stop(name):
        seen.append(name)
        event_loop.call_soon_threadsafe(event_loop.stop)

    def change():
        event_loop.add_signal_handler(signal.SIGUSR1, stop, "asyncio's")
        if removed:
            assert event_loop.remove_signal_handler(signal.SIGUSR1) is True
            assert event_loop.remove_signal_handler(signal.SIGUSR1) is False
        signum = signal.SIGUSR2 if removed else signal.SIGUSR1
        event_loop.call_soon(event_loop.call_soon, kill_from_thread, signum)

    before = wakeup_fd()
    if where == "before":
        change()
    elif where == "meanwhile":
        event_loop.call_soon(change)
    else:
        loop.timer(0.0, 0.0, lambda w, r: change()).start()
    forever(event_loop)
    assert seen == (["Python's"] if removed else ["asyncio's"])
    if not removed:
        # asyncio keeps its own as long as it has handlers.
        assert wakeup_fd() != before
        assert event_loop.remove_signal_handler(signal.SIGUSR1)
    assert wakeup_fd() == before


def test_handlers_that_were_added_before_run_again_and_again(
    event_loop, handle, kill_from_thread
):
    handle(signal.SIGUSR1, signal.SIG_IGN)
    seen = []

    def note():
        seen.append(1)
        event_loop.stop()

    event_loop.add_signal_handler(signal.SIGUSR1, note)
    for runs in range(1, 4):
        event_loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        forever(event_loop)
        assert len(seen) == runs
    event_loop.call_soon(kill_from_thread, signal.SIGUSR1)
    forever(event_loop)
    assert len(seen) == 4
    event_loop.remove_signal_handler(signal.SIGUSR1)


def test_remove_signal_handler_refuses_what_asyncio_refuses(event_loop):
    with pytest.raises(ValueError, match="invalid signal"):
        event_loop.remove_signal_handler(100000)
    with pytest.raises(TypeError):
        event_loop.remove_signal_handler("SIGUSR1")
    assert event_loop.remove_signal_handler(signal.SIGUSR1) is False


def test_the_outer_run_is_woken_after_an_event_loop_ran_in_it(
    loop, handle, kill_from_thread
):
    seen = []

    def nest(watcher, revents):
        watchdog.stop()
        assert run(asyncio.sleep(0.001, "nested"), loop=loop) == "nested"
        watchdog.start()
        loop.timer(0.0, 0.0, lambda w, r: kill_from_thread(signal.SIGUSR1)).start()

    def handler(signum, frame):
        seen.append(signum)
        loop.stop()

    handle(signal.SIGUSR1, handler)
    before = wakeup_fd()
    watchdog = watched(loop)
    loop.timer(0.0, 0.0, nest).start()
    loop.start()
    assert seen == [signal.SIGUSR1]
    assert wakeup_fd() == before
    watchdog.stop()


def test_a_signal_watcher_beside_asyncios_handlers(event_loop, loop, events, handle):
    handle(signal.SIGUSR1, signal.SIG_IGN)
    handle(signal.SIGUSR2, signal.SIG_IGN)
    seen, callback = events
    noted = []
    watcher = loop.signal(signal.SIGUSR2, callback)
    watcher.start()

    async def main():
        event_loop.add_signal_handler(signal.SIGUSR1, noted.append, 1)
        while len(noted) < 3 or len(seen) < 3:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR2)
            await asyncio.sleep(0.001)

    event_loop.run_until_complete(in_time(main()))
    watcher.stop()
    event_loop.remove_signal_handler(signal.SIGUSR1)


def test_of_one_signal_the_last_to_come_is_told(event_loop, loop, events, handle):
    handle(signal.SIGUSR1, signal.SIG_IGN)
    seen, callback = events
    noted = []
    watcher = loop.signal(signal.SIGUSR1, callback)

    async def settled():
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.02)
        result = len(noted), len(seen)
        del noted[:], seen[:]
        return result

    async def main():
        event_loop.add_signal_handler(signal.SIGUSR1, noted.append, 1)
        assert await settled() == (1, 0)
        watcher.start()
        assert await settled() == (0, 1)
        # The one that was there before is there again.
        watcher.stop()
        assert await settled() == (1, 0)
        watcher.start()
        event_loop.add_signal_handler(signal.SIGUSR1, noted.append, 1)
        assert await settled() == (1, 0)
        watcher.stop()
        assert await settled() == (1, 0)
        event_loop.remove_signal_handler(signal.SIGUSR1)

    event_loop.run_until_complete(in_time(main()))


INTERRUPTED = """
import asyncio, os, signal, sys, threading, time
from mood_event import aio

async def idle():
    threading.Thread(target=interrupt).start()
    await asyncio.sleep(30)

async def busy():
    # In the task: in asyncio's own code an interrupt can take away what it was about
    # to call, and the task would never end.
    for i in range(10**9):
        await asyncio.sleep(0)
        if i == 1000:
            os.kill(os.getpid(), signal.SIGINT)

def interrupt():
    # Until the loop waits.
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    {run}
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("main", ["idle", "busy"])
@pytest.mark.parametrize("how", ["run", "run_until_complete", "install"])
def test_ctrl_c_ends_the_run(run_script, main, how):
    how = {
        "run": f"aio.run({main}())",
        "install": f"aio.install(); asyncio.run({main}())",
        "run_until_complete": f"""
    event_loop = aio.new_event_loop()
    try:
        event_loop.run_until_complete({main}())
    finally:
        for task in asyncio.all_tasks(event_loop):
            task._log_destroy_pending = False
        event_loop.close()
""",
    }[how]
    result = run_script(INTERRUPTED.format(run=how), timeout=25.0)
    assert result.stdout.endswith("interrupted\n")


# -- what asyncio does ----------------------------------------------------------------


async def output_of(*command, stdin=None):
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE if stdin is not None else None,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate(stdin)
    return process.returncode, output


def test_subprocesses_and_child_watchers(default_loop):
    """Each reaps its own: Child the processes that it names, asyncio those it made."""

    async def watched_child(status):
        child = default_loop.child(spawn(f"exit {status}"), False, aio.ignore)
        await aio.event(child)
        return os.WEXITSTATUS(child.rstatus)

    async def main():
        results = await asyncio.gather(
            *(output_of("/bin/sh", "-c", f"cat; exit {i}", stdin=b"x") for i in (1, 2)),
            *(watched_child(i) for i in (3, 4)),
            *(output_of("/bin/sh", "-c", f"echo {i}; exit {i}") for i in (5, 6)),
        )
        assert results == [(1, b"x"), (2, b"x"), 3, 4, (5, b"5\n"), (6, b"6\n")]

    run(main(), loop=default_loop)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_subprocess_is_killed():
    async def main():
        process = await asyncio.create_subprocess_shell("exec sleep 100")
        process.terminate()
        assert await process.wait() == -signal.SIGTERM
        process = await asyncio.create_subprocess_shell("exec sleep 100")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    run(main())


def test_a_child_watcher_of_any_process_takes_asyncios(default_loop, caplog):
    async def main():
        child = default_loop.child(0, False, aio.ignore)
        task = asyncio.ensure_future(aio.event(child))
        await asyncio.sleep(0)
        gate, writer = os.pipe()
        process = await asyncio.create_subprocess_shell("read line", stdin=gate)
        os.close(gate)
        os.close(writer)
        # Both wait for it, and one of them is too late.
        status = await process.wait()
        if status == 1:
            task.cancel()
        else:
            assert status == 255
            assert await task == EV_CHILD
            assert child.rpid == process.pid

    run(main(), loop=default_loop)


def test_executors():
    async def main():
        event_loop = asyncio.get_running_loop()
        assert await event_loop.run_in_executor(None, pow, 2, 10) == 1024
        with concurrent.futures.ThreadPoolExecutor(4) as executor:
            results = await asyncio.gather(
                *(event_loop.run_in_executor(executor, abs, -i) for i in range(200))
            )
        assert results == list(range(200))
        addresses = await event_loop.getaddrinfo("127.0.0.1", 80)
        assert addresses

    run(main())


def test_call_soon_threadsafe_from_many_threads(event_loop, loop, in_thread):
    threads, calls = 8, 200
    seen = []

    def note(thread, call):
        seen.append((thread, call))
        if len(seen) == 2 * threads * calls:
            event_loop.stop()

    def call(thread):
        for i in range(calls):
            event_loop.call_soon_threadsafe(note, thread, i)
            loop.call_soon_threadsafe(note, thread + threads, i)

    for thread in range(threads):
        in_thread(call, thread)
    forever(event_loop)
    for thread in range(2 * threads):
        assert [i for which, i in seen if which == thread] == list(range(calls))


def test_run_coroutine_threadsafe(event_loop, in_thread):
    results = []

    def call():
        for i in range(100):
            future = asyncio.run_coroutine_threadsafe(
                asyncio.sleep(0, result=i), event_loop
            )
            results.append(future.result(LONG))
        event_loop.call_soon_threadsafe(event_loop.stop)

    in_thread(call)
    forever(event_loop)
    assert results == list(range(100))


async def upper(reader, writer):
    """A server's callback: say it louder, until there is no more."""
    while True:
        data = await reader.read(65536)
        if not data:
            break
        writer.write(data.upper())
        await writer.drain()
    writer.close()


async def talk(reader, writer):
    """The client of `upper`, with more than fits in the sockets' buffers."""
    data = b"abc" * 200000
    writer.write(data)
    assert await reader.readexactly(len(data)) == data.upper()
    writer.close()
    await writer.wait_closed()


def test_tcp():
    async def main():
        server = await asyncio.start_server(upper, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        connections = [await asyncio.open_connection(*address) for _ in range(5)]
        await asyncio.gather(*(talk(*connection) for connection in connections))
        server.close()
        await server.wait_closed()

    run(main())


def test_unix_sockets(tmp_path):
    async def main():
        path = str(tmp_path / "socket")
        server = await asyncio.start_unix_server(upper, path)
        await talk(*await asyncio.open_unix_connection(path))
        server.close()
        await server.wait_closed()

    run(main())


CERTIFICATE = Path(__file__).with_name("localhost.pem")


def test_tls():
    async def main():
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_side.load_cert_chain(str(CERTIFICATE))
        client_side = ssl.create_default_context(cafile=str(CERTIFICATE))
        server = await asyncio.start_server(upper, "127.0.0.1", 0, ssl=server_side)
        address = server.sockets[0].getsockname()
        await talk(
            *await asyncio.open_connection(
                *address, ssl=client_side, server_hostname="localhost"
            )
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                *address, ssl=client_side, server_hostname="example.org"
            )
        server.close()
        await server.wait_closed()

    handled = []

    async def quiet():
        # The server's side of the connection that was refused.
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: handled.append(context)
        )
        await main()

    run(quiet())


def test_datagrams():
    class Upper(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data.upper(), address)

    class Client(asyncio.DatagramProtocol):
        def __init__(self, future):
            self.future = future

        def datagram_received(self, data, address):
            self.future.set_result(data)

    async def main():
        event_loop = asyncio.get_running_loop()
        server, _ = await event_loop.create_datagram_endpoint(
            Upper, local_addr=("127.0.0.1", 0)
        )
        future = event_loop.create_future()
        client, _ = await event_loop.create_datagram_endpoint(
            lambda: Client(future), remote_addr=server.get_extra_info("sockname")
        )
        client.sendto(b"abc")
        assert await future == b"ABC"
        client.close()
        server.close()
        await asyncio.sleep(0)

    run(main())


def test_sock_methods(make_pair):
    async def main():
        event_loop = asyncio.get_running_loop()
        one, other = make_pair()
        data = b"abc" * 500000
        received = bytearray()

        async def receive():
            while len(received) < len(data):
                received.extend(await event_loop.sock_recv(other, 65536))

        await asyncio.gather(event_loop.sock_sendall(one, data), receive())
        assert received == data
        with socket.socket() as listener, socket.socket() as client:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
            client.setblocking(False)
            (accepted, _), _ = await asyncio.gather(
                event_loop.sock_accept(listener),
                event_loop.sock_connect(client, listener.getsockname()),
            )
            accepted.close()
            assert await event_loop.sock_recv(client, 1) == b""

    run(main())


def test_pipes():
    class Reader(asyncio.Protocol):
        def __init__(self):
            self.data = bytearray()
            self.lost = asyncio.get_running_loop().create_future()

        def data_received(self, data):
            self.data += data

        def connection_lost(self, error):
            self.lost.set_result(error)

    async def main():
        event_loop = asyncio.get_running_loop()
        reader, writer = os.pipe()
        _, protocol = await event_loop.connect_read_pipe(
            Reader, os.fdopen(reader, "rb", 0)
        )
        transport, _ = await event_loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(writer, "wb", 0)
        )
        data = b"abc" * 200000
        transport.write(data)
        transport.close()
        assert await protocol.lost is None
        assert protocol.data == data

    run(main())


def test_add_reader_and_writer(make_pair):
    async def main():
        event_loop = asyncio.get_running_loop()
        one, other = make_pair()
        future = event_loop.create_future()
        event_loop.add_writer(one, event_loop.remove_writer, one)
        event_loop.add_reader(one, future.set_result, "read")
        other.send(b"x")
        assert await future == "read"
        assert event_loop.remove_reader(one) is True
        assert event_loop.remove_reader(one) is False
        assert event_loop.remove_writer(one) is False

    run(main())


def test_debug_mode(caplog):
    async def main():
        event_loop = asyncio.get_running_loop()
        event_loop.slow_callback_duration = 0.01
        event_loop.call_soon(time.sleep, 0.02)
        await asyncio.sleep(0.001)
        await aio.event(aio.ev_loop().timer(0.001, 0.0, aio.ignore))
        errors = []

        def call():
            try:
                event_loop.call_soon(print)
            except RuntimeError as error:
                errors.append(error)

        await event_loop.run_in_executor(None, call)
        assert len(errors) == 1

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main(), debug=True)
    assert any("took" in record.getMessage() for record in caplog.records)


def test_loops_in_threads(in_thread):
    results = []

    async def main(i):
        server = await asyncio.start_server(upper, "127.0.0.1", 0)
        await talk(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        revents = await aio.event(aio.ev_loop().timer(0.001, 0.0, aio.ignore))
        server.close()
        await server.wait_closed()
        results.append((i, revents))

    threads = [in_thread(run, main(i)) for i in range(6)]
    # And in this thread.
    run(main(6))
    for thread in threads:
        thread.join()
    assert sorted(results) == [(i, EV_TIMER) for i in range(7)]


def test_an_event_loop_moves_from_thread_to_thread(event_loop, in_thread, handle):
    def once():
        results.append(event_loop.run_until_complete(in_time(asyncio.sleep(0.001, 1))))

    results = []
    before = wakeup_fd()
    once()
    in_thread(once).join()
    once()
    assert results == [1, 1, 1]
    assert wakeup_fd() == before


# -- adversaries ----------------------------------------------------------------------


def test_wrongly_nested_runs_are_refused(event_loop, loop, handle, kill_from_thread):
    refused = []

    def nest(*args):
        for nested in (
            event_loop.run_forever,
            functools.partial(
                event_loop.run_until_complete, event_loop.create_future()
            ),
            event_loop.close,
            other.run_forever,
        ):
            with pytest.raises(RuntimeError) as caught:
                nested()
            refused.append(caught.value)

    async def main():
        nest()

    handle(signal.SIGUSR1, lambda *args: event_loop.call_soon_threadsafe(stop))
    stop = event_loop.stop
    other = aio.EventLoop(loop)
    event_loop.run_until_complete(main())
    loop.timer(0.0, 0.0, nest).start()
    event_loop.call_later(0.01, kill_from_thread, signal.SIGUSR1)
    # What was refused has not taken the wakeup descriptor along.
    forever(event_loop)
    assert len(refused) == 8
    other.close()


def test_another_thread_cannot_run_it_too(event_loop, in_thread):
    def again():
        for run_it in (
            event_loop.run_forever,
            functools.partial(event_loop.run_until_complete, future),
        ):
            with pytest.raises(RuntimeError, match="already running"):
                run_it()
        event_loop.call_soon_threadsafe(event_loop.stop)

    future = event_loop.create_future()
    event_loop.call_soon(in_thread, again)
    forever(event_loop)
    assert not event_loop.is_running()


def test_run_forever_in_a_callback_of_a_plain_run(loop, events):
    seen, callback = events

    def nest(watcher, revents):
        timer = loop.timer(0.0, 0.0, callback)
        timer.start()
        assert aio.run(aio_sleep(), loop=loop) == "slept"
        assert seen == [(timer, EV_TIMER)]

    async def aio_sleep():
        return await asyncio.sleep(0.01, "slept")

    loop.timer(0.0, 0.0, nest).start()
    loop.start()
    assert seen


def test_a_plain_run_in_a_coroutine_and_in_a_callback(events):
    seen, callback = events

    async def main():
        loop = aio.ev_loop()
        one, other = socket.socketpair()
        with one, other:
            reader, writer = await asyncio.open_connection(sock=one)
            other.send(b"x")
            loop.timer(0.0, 0.0, callback).start()
            while not seen:
                loop.start(EVRUN_NOWAIT)
            assert await reader.readexactly(1) == b"x"
            loop.timer(0.0, 0.0, lambda w, r: loop.start(EVRUN_NOWAIT)).start()
            other.send(b"y")
            assert await reader.readexactly(1) == b"y"
            writer.close()
            await writer.wait_closed()

    run(main())


def test_stop_before_and_after(event_loop):
    event_loop.stop()
    event_loop.stop()
    forever(event_loop)
    assert event_loop.run_until_complete(in_time(asyncio.sleep(0, 1))) == 1


def test_loop_stop_does_not_end_asyncio(event_loop, loop):
    async def main():
        loop.stop()
        timer = loop.timer(0.0, 0.0, lambda w, r: loop.stop())
        await aio.event(timer)
        await asyncio.sleep(0.001)
        return 1

    assert event_loop.run_until_complete(in_time(main())) == 1


def test_an_event_loop_closed_with_active_watchers(pipe, events):
    seen, callback = events
    event_loop = aio.EventLoop()
    loop = event_loop.ev_loop
    watchers = [
        loop.timer(0.0, 0.01, callback),
        loop.io(pipe.writer, EV_WRITE, callback),
        loop.idle(callback),
        loop.prepare(callback),
        loop.async_(callback),
        loop.cleanup(callback),
    ]
    for watcher in watchers:
        watcher.start()
    event_loop.add_reader(pipe.reader, print)
    event_loop.run_until_complete(asyncio.sleep(0.001))
    del seen[:]
    event_loop.close()
    assert seen == [(watchers[-1], EV_CLEANUP)]
    assert not any(watcher.active for watcher in watchers)
    with pytest.raises(Error, match="closed"):
        watchers[0].start()


def test_an_event_loop_whose_loop_is_closed_first(pipe):
    for own in (False, True):
        loop = None if own else Loop()
        event_loop = aio.EventLoop(loop)
        event_loop.add_reader(pipe.reader, print)
        event_loop.ev_loop.close()
        with pytest.raises(Error, match="closed"):
            event_loop.run_forever()
        event_loop.close()
        assert event_loop.is_closed()


def test_a_loop_closed_under_a_coroutine(loop):
    async def main():
        loop.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    event_loop = aio.EventLoop(loop)
    task = event_loop.create_task(main())
    with pytest.raises(Error, match="closed"):
        event_loop.run_until_complete(task)
    # It waits for ever now: nobody is to be told.
    task._log_destroy_pending = False
    event_loop.close()


def test_a_forgotten_event_loop_says_so():
    loops = []

    def forget():
        event_loop = aio.EventLoop()
        loops.append(event_loop.ev_loop)
        del event_loop
        # PyPy calls finalizers a little later.
        for _ in range(3):
            gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        forget()
    # It has been closed.
    assert loops[0].backend == 0


FORK = """
import asyncio, os, signal, sys, warnings
from mood_event import *
from mood_event import aio

warnings.simplefilter("ignore", DeprecationWarning)

async def work(name):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(name)
    assert await reader.readexactly(len(name)) == name
    writer.close()
    await aio.event(aio.ev_loop().timer(0.001, 0.0, aio.ignore))
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, future.set_result, None
    )
    os.kill(os.getpid(), signal.SIGUSR1)
    await future
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
    server.close()

async def echo(reader, writer):
    writer.write(await reader.read(100))
    writer.close()

def in_child():
    status = 1
    try:
        aio.run(asyncio.wait_for(work(b"child"), 20))
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)

def wait(pid):
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_fork_in_a_coroutine_and_in_a_callback(run_script):
    run_script(
        FORK
        + """
async def main():
    await work(b"before")
    pid = os.fork()
    if not pid:
        # The frames of the parent's run are below; asyncio sees that the process
        # is another one.
        in_child()
    await work(b"parent")
    wait(pid)
    pids = []

    def fork(watcher, revents):
        pid = os.fork()
        if not pid:
            in_child()
        pids.append(pid)

    await aio.event(aio.ev_loop().timer(0.0, 0.0, fork))
    await work(b"parent again")
    wait(pids[0])

aio.run(asyncio.wait_for(main(), 40))
"""
    )


def test_fork_between_runs(run_script):
    run_script(
        FORK
        + """
event_loop = aio.EventLoop()
event_loop.run_until_complete(work(b"before"))
pid = os.fork()
if pid:
    event_loop.run_until_complete(work(b"after"))
event_loop.close()
if not pid:
    # With another one: asyncio's own socket pair is shared, and what the parent writes
    # to it the child would read.
    in_child()
aio.run(work(b"another"))
wait(pid)
"""
    )


def test_multiprocessing_forks(run_script):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("multiprocessing cannot fork here")
    run_script(
        FORK
        + """
import multiprocessing
context = multiprocessing.get_context("fork")

def target(queue):
    aio.run(asyncio.wait_for(work(b"child"), 20))
    queue.put("done")

async def main():
    queue = context.SimpleQueue()
    process = context.Process(target=target, args=(queue,))
    process.start()
    await work(b"parent")
    # Its end is something to read.
    await aio.event(aio.ev_loop().io(process.sentinel, EV_READ, aio.ignore))
    process.join()
    assert process.exitcode == 0
    assert queue.get() == "done"

aio.run(asyncio.wait_for(main(), 40))
"""
    )


def test_everything_goes_in_development_mode(run_script):
    run_script(
        FORK
        + """
async def main():
    assert asyncio.get_running_loop().get_debug()
    await work(b"x")
    process = await asyncio.create_subprocess_shell("exit 3")
    assert await process.wait() == 3
    child = aio.ev_loop().child(os.spawnv(os.P_NOWAIT, "/bin/true", ["true"]), False,
                                aio.ignore)
    await aio.event(child)

with default_loop() as loop:
    aio.run(asyncio.wait_for(main(), 20), loop=loop)
""",
        options=("-X", "dev", "-W", "error"),
    )


# -- found by Python's own tests -----------------------------------------------------


def test_of_many_that_are_ready_all_come_in_turn(make_pipe):
    writers = {make_pipe().writer for _ in range(200)}
    with aio.Selector() as selector:
        for writer in writers:
            selector.register(writer, selectors.EVENT_WRITE)
        came = set()
        # libev takes more from the kernel each time that there were more.
        for _ in range(4):
            ready = [key.fd for key, _ in selector.select(0)]
            assert len(ready) == len(set(ready)) >= 64
            came.update(ready)
        assert came == writers
