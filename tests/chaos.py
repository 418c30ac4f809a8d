"""Random calls on a few loops and watchers, from everywhere that Python calls from.

    python tests/chaos.py SEED STEPS

Run by test_chaos.py. What it calls may raise what it likes; what must not happen is
that the process ends, with libev's asserts and under `./dev sanitize` as well.
tests/model.py says what is to happen; here are the moments that a model has no place
for: a signal's handler and a `__del__` between any two steps of the package,
conversions of arguments that use what they are arguments of, loops and descriptors
closed at the worst time.

It calls nothing that waits, and ends after as many steps.
"""

import faulthandler
import gc
import os
import random
import signal
import sys
import tempfile
import warnings
from typing import Any, Callable

import mood_event
from mood_event import EV_CUSTOM, EV_READ, EV_WRITE, EVRUN_NOWAIT, Loop

# Calls within calls, whoever makes them.
DEEPEST = 6
MOST_LOOPS, MOST_WATCHERS, MOST_DESCRIPTORS = 6, 60, 40

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
METHODS = ("invoke", "clear", "reset", "send", "sweep", "stat", "set")
ATTRIBUTES = (
    *("priority", "keepalive", "callback", "data"),
    *("repeat", "offset", "interval", "scheduler"),
)
LOOP_METHODS = (
    *("invoke", "update", "suspend", "resume", "reset"),
    *("verify", "ref", "unref", "watchers"),
)


class Chaos:
    """The loops, the watchers, the descriptors, and what is done to them."""

    def __init__(self, seed: int, steps: int) -> None:
        self.random = random.Random(seed)
        self.steps = steps
        self.depth = 0
        self.loops: list[Any] = [mood_event.default_loop()]
        self.watchers: list[Any] = []
        self.descriptors: list[int] = []
        self.actions: list[tuple[Callable[[Any], object], int]] = [
            (self.make, 20),
            (lambda loop: self.drop(self.watchers), 3),
            (lambda loop: self.any_watcher().start(), 22),
            (lambda loop: self.any_watcher().stop(), 8),
            (lambda loop: self.any_watcher().feed(self.pick(1, 2, 0x100, -1)), 2),
            (lambda loop: self.any_watcher().feed(EV_CUSTOM), 3),
            (lambda loop: self.call_method(self.any_watcher()), 6),
            (lambda loop: self.set_attribute(self.any_watcher()), 3),
            (lambda loop: self.any_watcher().__init__(*self.values(6)), 2),
            (self.run, 16),
            (lambda loop: loop.stop(self.pick(1, 2)), 2),
            (lambda loop: getattr(loop, self.pick(*LOOP_METHODS))(), 3),
            (lambda loop: loop.call_soon_threadsafe(self.callback, None, 0), 2),
            (lambda loop: os.kill(os.getpid(), self.pick(*SIGNALS)), 1),
            (lambda loop: loop.feed_fd_event(self.descriptor(), EV_READ), 1),
            (self.set_loop_callback, 1),
            (self.open_loop, 2),
            # With every other seed the loops stay, and get into more of a state.
            (self.close_loop, seed % 2),
            (lambda loop: self.drop(self.loops), seed % 2),
            (lambda loop: gc.collect(0), 1),
            (lambda loop: os.close(self.drop(self.descriptors)), 1),
            (lambda loop: os.write(self.descriptor(), b"x"), 2),
            (lambda loop: loop.once(self.descriptor(), 1, 0.0, self.callback), 1),
            (lambda loop: repr(self.any_watcher()), 1),
        ]

    # -- choices

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def drop(self, things: "list[Any]") -> Any:
        return things.pop(self.random.randrange(len(things)))

    def any_watcher(self) -> Any:
        return self.pick(*self.watchers)

    def descriptor(self) -> int:
        if not self.descriptors or self.chance(0.3):
            for fd in os.pipe():
                os.set_blocking(fd, False)
                self.descriptors.append(fd)
        while len(self.descriptors) > MOST_DESCRIPTORS:
            try:
                os.close(self.descriptors.pop(0))
            except OSError:
                # It was closed already, by number.
                continue
        return int(self.pick(*self.descriptors))

    def value(self) -> Any:
        return self.pick(
            *(0, 1, -1, 3, 65, 2**40, 0.0, 1e-6, -1.0, float("nan"), 1e300),
            *(None, "", "/tmp", b"x", (), True, self.callback, Meddler(self)),
            *self.loops,
            *self.watchers[-3:],
        )

    def values(self, most: int) -> "list[Any]":
        return [self.value() for _ in range(self.random.randrange(most))]

    def some_callback(self) -> Any:
        fatal = mood_event.fatal(lambda *arguments: self.callback(*arguments))
        return self.pick(self.callback, self.callback, Meddler(self), fatal)

    # -- actions

    def make(self, loop: Any) -> None:
        arguments = {
            "io": lambda: (
                self.pick(self.descriptor(), Meddler(self)),
                self.pick(EV_READ, EV_WRITE, EV_READ | EV_WRITE),
            ),
            "timer": lambda: (
                self.pick(0.0, 1e-5, Meddler(self)),
                self.pick(0.0, 1e-5),
            ),
            "periodic": lambda: (0.0, self.pick(0.0, 0.001, 1.0)),
            "scheduler": lambda: (self.some_callback(),),
            "signal": lambda: (self.pick(*SIGNALS),),
            "child": lambda: (0, False),
            "stat": lambda: (tempfile.gettempdir(), 0.0),
            "embed": lambda: (self.pick(*self.loops),),
        }
        kind = self.pick(
            *arguments,
            *("idle", "prepare", "check", "fork", "cleanup", "async_"),
        )
        watcher = getattr(loop, kind)(
            *arguments.get(kind, tuple)(),
            self.some_callback(),
            self.pick(None, Meddler(self), loop),
            self.pick(0, 0, 1, -1, 2, -2),
        )
        self.watchers.append(watcher)
        if len(self.watchers) > MOST_WATCHERS:
            self.drop(self.watchers)

    def run(self, loop: Any) -> None:
        if loop.depth < 4:
            loop.start(EVRUN_NOWAIT)

    def call_method(self, watcher: Any) -> None:
        getattr(watcher, self.pick(*METHODS))(*self.values(3))

    def set_attribute(self, watcher: Any) -> None:
        setattr(watcher, self.pick(*ATTRIBUTES), self.value())

    def set_loop_callback(self, loop: Any) -> None:
        loop.callback = self.pick(None, lambda loop: loop.invoke(), self.callback)

    def open_loop(self, loop: Any) -> None:
        if len(self.loops) < MOST_LOOPS:
            make = self.pick(Loop, Loop, mood_event.default_loop)
            self.loops.append(make(self.pick(0, 1, 2, 4)))

    def close_loop(self, loop: Any) -> None:
        loop.close()
        self.loops.remove(loop)

    # -- who acts

    def act(self, count: int) -> None:
        """Do some random things, whatever comes of them."""
        if self.depth >= DEEPEST:
            return
        self.depth += 1
        try:
            actions, weights = zip(*self.actions)
            for _ in range(count):
                if self.steps <= 0:
                    break
                self.steps -= 1
                (action,) = self.random.choices(actions, weights)
                if not self.loops:
                    self.loops.append(Loop())
                try:
                    action(self.pick(*self.loops))
                except (Exception, KeyboardInterrupt):
                    # That calls are refused is what is to be seen.
                    continue
        finally:
            self.depth -= 1

    def callback(self, *arguments: Any) -> Any:
        self.act(self.random.randrange(3))
        if self.chance(0.05):
            raise ValueError
        if self.chance(0.01):
            raise KeyboardInterrupt
        is_scheduler = len(arguments) == 2 and isinstance(arguments[1], float)
        return arguments[1] + 1e-3 if is_scheduler else None


class Meddler:
    """An argument, a callback, or a watcher's data, that uses loops and watchers."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos

    def __del__(self) -> None:
        self.chaos.act(2)

    def __call__(self, *arguments: Any) -> float:
        self.chaos.act(2)
        return self.chaos.random.random()

    def __bool__(self) -> bool:
        self.chaos.act(1)
        return True

    def __float__(self) -> float:
        self.chaos.act(1)
        return float(self.chaos.pick(0.0, 1e-5, float("nan"), -1.0, 1e300))

    def __index__(self) -> int:
        self.chaos.act(1)
        return int(self.chaos.pick(0, 1, 2, -1, 3, 2**31))

    def fileno(self) -> int:
        self.chaos.act(1)
        return self.chaos.descriptor()


def main(seed: int, steps: int) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    # What callbacks raise.
    sys.unraisablehook = lambda unraisable: None
    chaos = Chaos(seed, steps)
    signal.signal(signal.SIGUSR1, lambda signum, frame: chaos.act(1))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGWINCH, lambda signum, frame: None)
    while chaos.steps > 0:
        chaos.act(5)
    # Past what the end of the process calls: other tests are about that.
    os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
