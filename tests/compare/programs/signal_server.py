"""A server that signals shut down: it closes its sockets, then stops its watchers."""

import os
import signal
import socket

from mood.event import EV_READ, EVBREAK_ALL, Io, Loop, Prepare, Signal, Timer

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    def __init__(self):
        self.loop = Loop()
        self.pair = socket.socketpair()
        self.watchers = [
            Signal(number, self.loop, self.signal_cb) for number in STOP_SIGNALS
        ]
        self.watchers.append(Io(self.pair[0], EV_READ, self.loop, self.io_cb))
        self.watchers.append(Prepare(self.loop, self.prepare_cb))
        self.nested = Timer(0.0, 0.0, self.loop, self.nested_cb)
        self.rounds = 0

    def start(self):
        for watcher in self.watchers:
            watcher.start()
        print("depth", self.loop.depth)
        print("left", self.loop.start())

    def prepare_cb(self, watcher, revents):
        self.rounds += 1
        if self.rounds == 1:
            self.pair[1].send(b"hello")

    def io_cb(self, watcher, revents):
        print("received", self.pair[0].recv(100).decode(), "at depth", self.loop.depth)
        self.nested.start()

    def nested_cb(self, watcher, revents):
        os.kill(os.getpid(), signal.SIGTERM)
        print("inner", self.loop.start(), "at depth", self.loop.depth)

    def signal_cb(self, watcher, revents):
        print("signal", watcher.signum == signal.SIGTERM, "at depth", self.loop.depth)
        self.stop()

    def stop(self):
        self.loop.stop(EVBREAK_ALL)
        for sock in self.pair:
            sock.close()
        while self.watchers:
            self.watchers.pop().stop()


server = Server()
server.start()
print("afterwards", server.loop.start(), "depth", server.loop.depth)
