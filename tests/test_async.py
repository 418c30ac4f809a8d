"""Async watchers: sending from threads and signal handlers, and what `sent` tells."""

import contextlib
import os
import signal
import threading

import pytest

from mood_event import EV_ASYNC, EV_CUSTOM, EVRUN_NOWAIT, EVRUN_ONCE, Async, Error, Loop

pytestmark = pytest.mark.core


def ignore(watcher, revents):
    """A callback that does nothing."""


def deliver(loop, seen, count=1):
    """Run the loop until as many events have been seen."""
    while len(seen) < count:
        loop.start(EVRUN_ONCE)


def test_async_send_calls_the_callback(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    assert watcher.send() is None
    assert seen == []
    deliver(loop, seen)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_ASYNC)]


def test_async_sent_until_the_loop_has_noticed(loop):
    states = []
    watcher = Async(loop, lambda watcher, revents: states.append(watcher.sent))
    assert watcher.sent is False
    watcher.start()
    assert watcher.sent is False
    watcher.send()
    assert watcher.sent is True
    assert not watcher.pending
    deliver(loop, states)
    assert states == [False]
    assert watcher.sent is False


def test_async_sends_are_compressed(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.start()
    for _ in range(1000):
        watcher.send()
    deliver(loop, seen)
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_ASYNC)]


def test_async_send_is_for_one_watcher(loop, events):
    seen, callback = events
    watchers = [loop.async_(callback) for _ in range(5)]
    for watcher in watchers:
        watcher.start()
    watchers[3].send()
    watchers[1].send()
    deliver(loop, seen, 2)
    assert seen == [(watchers[1], EV_ASYNC), (watchers[3], EV_ASYNC)]


def test_async_send_wakes_a_loop_from_threads(loop, in_thread):
    queue, received = [], []

    def produce(name):
        for number in range(100):
            queue.append((name, number))
            watcher.send()

    def consume(watcher, revents):
        assert revents == EV_ASYNC
        # "Queueing": one event for many sends, so take all there is.
        while queue:
            received.append(queue.pop(0))
        if len(received) == 4 * 100:
            watcher.stop()

    watcher = loop.async_(consume)
    watcher.start()
    for name in "abcd":
        in_thread(produce, name)
    assert loop.start() is False
    for name in "abcd":
        assert [number for n, number in received if n == name] == list(range(100))


def test_async_send_wakes_a_loop_in_a_thread(loop, in_thread):
    blocking = threading.Event()
    threads = []

    def callback(watcher, revents):
        threads.append(threading.current_thread())
        watcher.stop()

    def before_blocking(watcher, revents):
        watcher.stop()
        blocking.set()

    watcher = loop.async_(callback)
    watcher.start()
    loop.prepare(before_blocking).start()
    thread = in_thread(loop.start)
    blocking.wait()
    watcher.send()
    thread.join()
    assert threads == [thread]


def test_async_send_from_a_signal_handler(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.start()
    before = signal.signal(signal.SIGUSR1, lambda *arguments: watcher.send())
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        deliver(loop, seen)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [(watcher, EV_ASYNC)]


def test_async_send_from_its_own_callback(loop):
    seen = []

    def callback(watcher, revents):
        seen.append(revents)
        if len(seen) < 3:
            watcher.send()
        else:
            watcher.stop()

    watcher = loop.async_(callback)
    watcher.start()
    watcher.send()
    assert loop.start() is False
    assert seen == [EV_ASYNC] * 3


def test_async_send_before_any_was_active_is_an_error(loop):
    watcher = loop.async_(ignore)
    with pytest.raises(Error, match="no Async watcher was ever active"):
        watcher.send()
    assert watcher.sent is False
    assert loop.start() is False


def test_async_send_to_an_inactive_one_is_lost(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.start()
    watcher.stop()
    watcher.send()
    loop.start(EVRUN_NOWAIT)
    watcher.start()
    assert watcher.sent is False
    loop.start(EVRUN_NOWAIT)
    assert seen == []
    watcher.send()
    deliver(loop, seen)


def test_async_stop_forgets_what_was_sent(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.start()
    watcher.send()
    watcher.stop()
    loop.start(EVRUN_NOWAIT)
    assert seen == []


def test_async_send_after_close_is_an_error():
    with Loop() as loop:
        started, other = loop.async_(ignore), loop.async_(ignore)
        started.start()
    for watcher in (started, other):
        with pytest.raises(Error, match=r"Async\.send: the loop is closed"):
            watcher.send()
        assert watcher.sent is False


def test_async_send_while_the_loop_is_closed_does_no_harm(in_thread):
    closed = threading.Event()

    def send():
        while not closed.is_set():
            with contextlib.suppress(Error):
                watcher.send()

    for _ in range(20):
        closed.clear()
        loop = Loop()
        watcher = loop.async_(ignore)
        watcher.start()
        thread = in_thread(send)
        loop.start(EVRUN_ONCE)
        loop.close()
        closed.set()
        thread.join()


def test_async_that_is_fed_is_not_sent(loop, events):
    seen, callback = events
    watcher = loop.async_(callback)
    watcher.feed(EV_CUSTOM)
    assert watcher.sent is False
    loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM)]
