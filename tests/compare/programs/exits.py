"""A program that ends from a callback, its watchers active."""

import signal
import sys

from mood.event import EV_READ, Io, Signal, default_loop, fatal


class Application:
    # As a class attribute, so that another loop can be put here.
    make_loop = default_loop

    def __init__(self):
        self.loop = self.make_loop(flags=0)
        self.signals = [
            Signal(number, self.loop, self.on_signal)
            for number in (signal.SIGINT, signal.SIGHUP)
        ]
        self.stdin = Io(sys.stdin, EV_READ, self.loop, self.on_input)
        self.timers = []

    def on_signal(self, watcher, revents):
        print("signal", int(watcher.signum))

    def on_input(self, watcher, revents):
        watcher.stop()

    @fatal
    def on_timer(self, watcher, revents):
        try:
            raise ValueError("unexpected")
        finally:
            print("unexpected")

    def quit(self, watcher, revents):
        sys.exit(3)

    def run(self):
        for watcher in self.signals:
            watcher.start()
        signal.raise_signal(signal.SIGHUP)
        timer = self.loop.timer(0.0, 0.0, self.on_timer)
        timer.start()
        try:
            self.loop.start()
        except ValueError as err:
            print("caught", err)
        last = self.loop.timer(0.001, 0.0, self.quit)
        last.start()
        self.loop.start()
        print("never")


Application().run()
