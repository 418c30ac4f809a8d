"""A pyev program: attributes of its own on the loop, positional arguments."""

import signal

import pyev


class Reactor:
    def __init__(self):
        self.loop = pyev.default_loop()
        self.loop.debug = True
        self.timers = {}
        self.serial = 0

    def call_later(self, delay, function, *args):
        self.serial += 1
        timer = pyev.Timer(delay, 0.0, self.loop, self.fire, (function, args))
        self.timers[timer] = self.serial
        timer.start()
        return timer

    def fire(self, watcher, revents):
        function, args = watcher.data
        del self.timers[watcher]
        function(*args)

    def is_running(self):
        return bool(self.loop.depth)

    def one_tick(self):
        self.loop.start(pyev.EVRUN_ONCE)

    def run(self):
        sig = self.loop.signal(signal.SIGINT, self.interrupted)
        sig.start()
        self.loop.start()
        sig.stop()

    def interrupted(self, watcher, revents):
        print("interrupted", watcher.loop.debug)
        watcher.loop.stop(pyev.EVBREAK_ALL)


reactor = Reactor()
reactor.call_later(0.0, print, "now", reactor.is_running())
reactor.one_tick()
reactor.call_later(0.1, signal.raise_signal, signal.SIGINT)
reactor.call_later(0.001, lambda: print("running", reactor.is_running()))
never = reactor.call_later(100.0, print, "never")
reactor.run()
never.stop()
print(len(reactor.timers), reactor.is_running(), pyev.__version__.count("."))
