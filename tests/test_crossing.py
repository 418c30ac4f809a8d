"""Eight loops in eight threads, which send one another all they can: nothing is lost.

Each thread sends numbers to every loop, through pipes, through Async watchers with a
queue beside each, and by call_soon_threadsafe. Each loop checks that what comes from
one sender by one way comes in order, each number once.
"""

import contextlib
import os
import struct
import threading
from collections import deque

import pytest
from soak import scaled

from mood_event import EV_READ, EV_WRITE, Loop

THREADS = 8
WAYS = ("pipe", "async", "call")
NUMBER = struct.Struct("=I")


class Member:
    """A thread with a loop, and what it has to send and to receive.

    Every timeout of its timer sends a few numbers, to all members, by every way.
    """

    def __init__(self, index, make_pipe, share):
        self.index = index
        self.share = share
        self.loop = Loop()
        # By sender.
        self.pipes = [make_pipe() for _ in range(THREADS)]
        self.queues = [deque() for _ in range(THREADS)]
        self.parts = [b""] * THREADS
        self.received = {(way, sender): 0 for way in WAYS for sender in range(THREADS)}
        self.missing = share * len(self.received)
        self.wrong = []
        self.invoked = dict.fromkeys(WAYS, 0)
        self.sent = 0
        self.asyncs = [
            self.loop.async_(self.on_async, sender) for sender in range(THREADS)
        ]
        self.readers = [
            self.loop.io(pipe.reader, EV_READ, self.on_readable, sender)
            for sender, pipe in enumerate(self.pipes)
        ]
        for watcher in (*self.asyncs, *self.readers):
            watcher.start()
        self.timer = self.loop.timer(0.0, 1e-6, self.on_timer)
        self.timer.start()

    def meet(self, members):
        """Know the others, who are all there only now."""
        self.members = members
        self.unsent = [b""] * THREADS
        self.writers = [
            self.loop.io(
                member.pipes[self.index].writer, EV_WRITE, self.on_writable, number
            )
            for number, member in enumerate(members)
        ]

    def take(self, way, sender, number):
        """Note a number: it must be the next one from that sender by that way."""
        if number != self.received[way, sender]:
            self.wrong.append((way, sender, number, self.received[way, sender]))
        self.received[way, sender] = number + 1
        self.missing -= 1
        if self.is_done():
            self.loop.stop()

    def is_done(self):
        """Whether all has been sent, and all has come."""
        return not self.missing and self.sent == self.share and not any(self.unsent)

    def on_timer(self, watcher, revents):
        last = min(self.sent + 20, self.share)
        for number in range(self.sent, last):
            for other, member in enumerate(self.members):
                self.unsent[other] += NUMBER.pack(number)
                member.queues[self.index].append(number)
                member.asyncs[self.index].send()
                member.loop.call_soon_threadsafe(
                    member.take, "call", self.index, number
                )
        for writer in self.writers:
            # Those that are full go on when they are not.
            self.on_writable(writer, EV_WRITE)
        self.sent = last
        if last == self.share:
            watcher.stop()
        if self.is_done():
            self.loop.stop()

    def on_writable(self, watcher, revents):
        data = self.unsent[watcher.data]
        with contextlib.suppress(BlockingIOError):
            data = data[os.write(watcher.fd, data) :] if data else data
        self.unsent[watcher.data] = data
        if data:
            watcher.start()
        else:
            watcher.stop()
            if self.is_done():
                self.loop.stop()

    def on_readable(self, watcher, revents):
        self.invoked["pipe"] += 1
        sender = watcher.data
        data = self.parts[sender] + os.read(watcher.fd, 1000)
        whole = len(data) - len(data) % NUMBER.size
        self.parts[sender] = data[whole:]
        for (number,) in NUMBER.iter_unpack(data[:whole]):
            self.take("pipe", sender, number)

    def on_async(self, watcher, revents):
        self.invoked["async"] += 1
        queue = self.queues[watcher.data]
        while queue:
            self.take("async", watcher.data, queue.popleft())

    def run(self):
        while not self.is_done():
            self.loop.start()


@pytest.fixture
def members(make_pipe):
    """Eight of them, with loops that are closed afterwards."""
    share = scaled(6_000_000, 60_000) // (THREADS * THREADS * len(WAYS))
    members = [Member(index, make_pipe, share) for index in range(THREADS)]
    for member in members:
        member.meet(members)
    yield members
    for member in members:
        member.loop.close()


@pytest.mark.soak
def test_crossing_events_of_eight_threads_are_all_delivered_once(members, in_thread):
    start = threading.Barrier(THREADS)

    def run(member):
        start.wait()
        member.run()

    for thread in [in_thread(run, member) for member in members]:
        thread.join()
    for member in members:
        assert member.wrong == []
        assert set(member.received.values()) == {member.share}
        assert not any(member.queues)
        assert not any(member.parts)
        # Several sends may have been one event, but there was one for the last.
        assert 0 < member.invoked["async"] <= THREADS * member.share
        assert member.loop._queue.calls == deque()
