"""Random programs, done with mood_event and with a model of it side by side.

A program is a sequence of operations on a few loops and watchers of all types. What
callbacks do is a part of it: each has scripts, one for each time that it is called.
After every operation the two must agree: on what came out of it, on who was called
with what and in which order, on who is active and pending, and on who is alive.

The operations come from a hypothesis state machine, so that a failure is printed as
a short program. Each rule does several of them, because most of the time goes into
hypothesis and not into what it drives; a step is one operation done on both sides.
"""

import contextlib
import fcntl
import gc
import itertools
import os
import signal
import subprocess
import sys
import weakref
from collections import deque

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from model import Loop as ModelLoop
from model import System
from soak import scaled

import mood_event
from mood_event import (
    EV_CUSTOM,
    EV_ERROR,
    EV_READ,
    EV_TIMER,
    EV_WRITE,
    EVBACKEND_EPOLL,
    EVBACKEND_SELECT,
    EVBREAK_ALL,
    EVBREAK_ONE,
    EVFLAG_NOTIMERFD,
    EVRUN_NOWAIT,
    Error,
)

CPYTHON = sys.implementation.name == "cpython"

FLAGS = (EVBACKEND_SELECT, EVBACKEND_SELECT, EVBACKEND_EPOLL)
DEFAULT, EMBEDDABLE = 1, 2
LOOPS = range(len(FLAGS))
SLOTS = range(8)
# The watcher whose callback is being called.
ME = -1

# What is called in every iteration is there once, what is called now and then is
# there more often.
SELDOM = ["timer", "async", "io", "signal", "embed", "fork"]
KINDS = ["prepare", "check", "idle", "periodic", "scheduler", "cleanup", "child"]
KINDS += ["stat", "periodic", *SELDOM * 3]
SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
PRIORITIES = (0, 2, -2, 1, 100)
FAR = 1e6


class Boom(Exception):
    """What a callback raises."""


class Halt(BaseException):
    """What a callback raises that is no Exception."""


def name(exc):
    """What the two sides must agree on of an exception."""
    if isinstance(exc, (Boom, Halt)):
        return repr(exc)
    return "Error" if isinstance(exc, (Error, OSError)) else type(exc).__name__


def label(where):
    """What they must agree on of what an exception came from."""
    return getattr(where, "label", type(where).__name__)


# What is refused for its arguments alone, whatever the state of the watcher.
ILLEGAL = {
    "feed of a str": (TypeError, lambda w: w.feed("x")),
    "feed of a long": (OverflowError, lambda w: w.feed(2**40)),
    "invoke of a float": (TypeError, lambda w: w.invoke(1.0)),
    "priority of a str": (TypeError, lambda w: setattr(w, "priority", "x")),
    "priority of a long": (OverflowError, lambda w: setattr(w, "priority", 2**40)),
    "callback of an int": (TypeError, lambda w: setattr(w, "callback", 1)),
    "active is read only": (AttributeError, lambda w: setattr(w, "active", True)),
    "run with other flags": (ValueError, lambda w: w.loop.start(4)),
    "run with no flags": (TypeError, lambda w: w.loop.start(None)),
    "stop for nothing": (ValueError, lambda w: w.loop.stop(0)),
    "call what is not": (TypeError, lambda w: w.loop.call_soon_threadsafe(1)),
    "io of nothing": (ValueError, lambda w: w.loop.io(0, 0, print)),
    "io of no descriptor": (ValueError, lambda w: w.loop.io(-1, EV_READ, print)),
    "timer of nan": (ValueError, lambda w: w.loop.timer(float("nan"), 0.0, print)),
    "signal of none": (ValueError, lambda w: w.loop.signal(0, print)),
    "loop of another type": (TypeError, lambda w: mood_event.Idle(None, print)),
}


class Handle:
    """A watcher, as a world knows it, and what its callback is going to do."""

    def __init__(self, kind, serial, loop):
        self.kind = kind
        self.serial = serial
        self.loop = loop
        self.asks = deque()
        self.is_fatal = False
        # None once the program has dropped it.
        self.watcher = None
        self.refer = None


class World:
    """One of the two sides: a program's loops and watchers, and what happened."""

    def __init__(self, pipes):
        self.pipes = pipes
        self.log = []
        self.loops = [None for _ in LOOPS]
        self.balance = [0 for _ in LOOPS]
        self.handles = {}
        self.made = []
        self.booms = 0
        self.called = 0
        # Who alone may be due again and again, by loop: nobody's order is open then.
        self.tickers = {}
        self.schedulers = {}
        # What callbacks do, in the order in which they are called.
        self.tape = deque()
        # Whose callback is being called.
        self.me = []

    # -- what happens

    def report(self, exc, where):
        """sys.unraisablehook."""
        self.log.append(("unraisable", name(exc), label(where)))

    def invoked(self, handle, watcher, revents):
        """A watcher's callback."""
        assert watcher is handle.refer()
        loop = watcher.loop
        self.log.append((handle.serial, handle.kind, revents, loop.pending, loop.depth))
        if self.tape:
            lets_through, actions = self.tape.popleft()
            self.me.append(handle)
            try:
                for action in actions:
                    self.act(action, lets_through)
            finally:
                self.me.pop()

    def asked(self, handle, watcher, now):
        """A Scheduler's callable."""
        answer = handle.asks.popleft() if handle.asks else "far"
        if isinstance(answer, tuple):
            self.me.append(handle)
            try:
                self.act(answer)
            finally:
                self.me.pop()
        elif answer == "boom":
            self.boom()
        elif answer == "halt":
            self.halt()
        return {"due": now, "nan": float("nan"), "past": now - 1.0}.get(
            answer, now + 1e9
        )

    def called_soon(self, number, action):
        """What call_soon_threadsafe calls."""
        self.log.append(("called", number))
        self.act(action, True)

    def loop_called(self, mode, loop):
        """Loop.callback."""
        self.log.append(("loop callback", mode))
        if mode == "invoke":
            loop.invoke()
        elif mode == "boom":
            self.boom()

    def act(self, operation, lets_through=False):
        """Do an operation, and note what comes out of it."""
        try:
            result = getattr(self, operation[0])(*operation[1:])
        except (Exception, Halt) as exc:
            self.log.append((operation, name(exc)))
            if lets_through:
                raise
        else:
            if result is not None:
                self.log.append((operation, result))

    def labelled(self, function, label):
        """A function that the two sides have the same name for."""
        function.label = label
        return function

    def callback(self, handle):
        """The callback of a watcher."""

        def callback(watcher, revents):
            self.invoked(handle, watcher, revents)

        self.labelled(callback, handle.serial)
        return self.lib.fatal(callback) if handle.is_fatal else callback

    # -- operations on a watcher

    def get(self, slot):
        """The handle in a slot, if there is one that still has its watcher."""
        handle = self.me[-1] if slot == ME and self.me else self.handles.get(slot)
        return handle if handle is not None and handle.watcher is not None else None

    def make(self, slot, kind, loop, variant, priority):
        """Make a watcher, by its class or by the loop's factory."""
        serial = len(self.made)
        before = self.get(slot)
        if before is not None and serial % 3 and before.watcher.loop.backend:
            before.watcher.stop()
        if kind == "scheduler" and (
            loop == EMBEDDABLE or self.schedulers.setdefault(loop, serial) != serial
        ):
            kind = "periodic"
        handle = Handle(kind, serial, loop)
        self.construct(handle, None, variant, priority)
        self.handles[slot] = handle
        self.made.append(handle)
        if serial % 4:
            handle.watcher.start()

    def init(self, slot, loop, variant, priority):
        """Call __init__ again, on another loop perhaps."""
        handle = self.get(slot)
        if handle is not None:
            before = handle.loop
            handle.loop = before if handle.kind == "scheduler" else loop
            try:
                self.construct(handle, handle.watcher, variant, priority)
            except Error:
                handle.loop = before
                raise

    def parameters(self, handle, variant):
        """What a watcher is made of, or set to."""
        kind, serial = handle.kind, handle.serial
        if kind == "io":
            (reader, writer), (other, _) = self.pipes
            if handle.loop == EMBEDDABLE:
                return reader, EV_READ
            return (
                (reader, EV_READ),
                (writer, EV_WRITE),
                (other, EV_READ),
                (writer, EV_READ | EV_WRITE),
            )[variant]
        if kind == "timer":
            return self.times(serial)[variant % 2], self.repeat(handle, variant)
        if kind == "periodic":
            return self.offsets(serial)[variant % 2], 1e10 * (variant // 3)
        if kind == "scheduler":
            return (
                self.labelled(
                    lambda watcher, now: self.asked(handle, watcher, now), -serial
                ),
            )
        if kind == "signal":
            return (SIGNALS[variant % 3],)
        if kind == "child":
            return os.getppid(), bool(variant % 2)
        if kind == "stat":
            return "/nowhere/at/all", 0.0
        if kind == "embed":
            return (self.loops[0 if variant == 3 else EMBEDDABLE],)
        return ()

    def times(self, serial):
        """When a Timer is due: long ago, each at a time of its own, or never."""
        return -1e4 * (1 + serial * 37 % 101), FAR

    def repeat(self, handle, variant):
        """The `repeat` of a Timer; one of a loop may be due every time."""
        serial = handle.serial
        if variant == 2 and self.tickers.setdefault(handle.loop, serial) == serial:
            return 1e-9
        return FAR if variant == 3 else 0.0

    def start(self, slot):
        """Watcher.start."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.start()

    def stop(self, slot):
        """Watcher.stop."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.stop()

    def feed(self, slot, revents):
        """Watcher.feed."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.feed(revents)

    def feed_all(self):
        """Watcher.feed, of all there are: a batch to be."""
        for slot in SLOTS:
            self.act(("feed", slot, EV_CUSTOM))

    def clear(self, slot):
        """Watcher.clear."""
        handle = self.get(slot)
        return None if handle is None else handle.watcher.clear()

    def invoke(self, slot, revents):
        """Watcher.invoke."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.invoke(revents)

    def special(self, slot):
        """The method that only this type has."""
        handle = self.get(slot)
        if handle is not None:
            methods = {"async": "send", "embed": "sweep", "stat": "stat"}
            resets = dict.fromkeys(("timer", "periodic", "scheduler"), "reset")
            method = {**methods, **resets}.get(handle.kind, "start")
            getattr(handle.watcher, method)()

    def set(self, slot, variant):
        """The type's set."""
        handle = self.get(slot)
        if handle is not None and handle.kind != "scheduler":
            parameters = self.parameters(handle, variant)
            if parameters:
                handle.watcher.set(*parameters)

    def tweak(self, slot, variant):
        """The attributes that can be set while it is active."""
        handle = self.get(slot)
        if handle is not None and handle.kind == "timer":
            handle.watcher.repeat = self.repeat(handle, variant)
        elif handle is not None and handle.kind == "periodic":
            handle.watcher.interval = 1e10 * (variant % 2)

    def is_fatal(self, slot, fatal):
        """Another callback, one that is marked with @fatal or one that is not."""
        handle = self.get(slot)
        if handle is not None:
            handle.is_fatal = fatal
            handle.watcher.callback = self.callback(handle)

    def read(self, slot):
        """What can be read of it."""
        handle = self.get(slot)
        if handle is None:
            return None
        watcher = handle.watcher
        return watcher.active, watcher.pending, watcher.priority, watcher.keepalive

    def drop(self, slot):
        """Drop the last reference."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher = None

    def next(self, lets_through, action):
        """What the next callback does that does not know yet."""
        self.tape.append((lets_through, [action]))

    def then(self, action):
        """What it does after that."""
        if self.tape:
            self.tape[-1][1].append(action)

    def ask(self, slot, answer):
        """What a Scheduler's callable answers next."""
        handle = self.get(slot)
        if handle is not None:
            handle.asks.append(answer)

    # -- operations on a loop

    def run(self, loop):
        """Loop.start."""
        return self.loops[loop].start(EVRUN_NOWAIT)

    def invoke_pending(self, loop):
        """Loop.invoke."""
        self.loops[loop].invoke()

    def stop_loop(self, loop, how):
        """Loop.stop."""
        self.loops[loop].stop(how)

    def call(self, loop, method):
        """A method without arguments."""
        if method == "unref" and self.balance[loop] < 0:
            # Once more, and libev's own asserts do not let the watchers be stopped.
            method = "ref"
        getattr(self.loops[loop], method)()
        self.balance[loop] += {"ref": 1, "unref": -1}.get(method, 0)

    def open(self, loop):
        """Make a new loop in place of one that was closed."""
        before = self.loops[loop]
        if before is None or before.backend == 0:
            self.loops[loop] = self.new_loop(loop)
            self.balance[loop] = 0

    def feed_fd_event(self, loop, pipe, end, revents):
        """Loop.feed_fd_event."""
        self.loops[loop].feed_fd_event(self.pipes[pipe][end], revents)

    def feed_signal_event(self, loop, signum):
        """Loop.feed_signal_event."""
        self.loops[loop].feed_signal_event(signum)

    def call_soon(self, loop, action):
        """Loop.call_soon_threadsafe."""
        self.called += 1
        number = self.called
        self.loops[loop].call_soon_threadsafe(
            self.labelled(lambda: self.called_soon(number, action), f"call {number}")
        )

    def loop_callback(self, loop, mode):
        """Loop.callback."""
        self.loops[loop].callback = mode and (lambda loop: self.loop_called(mode, loop))

    def debug(self, loop, debug):
        """Loop.debug."""
        self.loops[loop].debug = debug

    # -- other operations

    def feed_signal(self, signum):
        """mood_event.feed_signal."""
        self.lib.feed_signal(signum)

    def boom(self):
        """Raise."""
        self.booms += 1
        raise Boom(self.booms)

    def halt(self):
        """Raise what is always fatal."""
        self.booms += 1
        raise Halt(self.booms)

    def nothing(self):
        """Do nothing."""


class RealWorld(World):
    """The side of mood_event."""

    lib = mood_event

    def __init__(self, pipes):
        super().__init__(pipes)
        self.epoll = None
        for pipe in (0, 1):
            self.drain(pipe)
        for loop in LOOPS:
            self.open(loop)

    def new_loop(self, loop):
        make = mood_event.default_loop if loop == DEFAULT else mood_event.Loop
        if loop == EMBEDDABLE:
            # The number that the epoll is going to have.
            self.epoll = os.dup(0)
            os.close(self.epoll)
        return make(FLAGS[loop] | EVFLAG_NOTIMERFD)

    def construct(self, handle, watcher, variant, priority):
        loop = self.loops[handle.loop]
        parameters = self.parameters(handle, variant)
        callback = self.callback(handle)
        cls = getattr(mood_event, handle.kind.title())
        if watcher is not None:
            watcher.__init__(*parameters, loop, callback, None, priority)
            return
        if variant % 2:
            factory = getattr(loop, handle.kind)
            handle.watcher = factory(*parameters, callback, None, priority)
        else:
            handle.watcher = cls(*parameters, loop, callback, None, priority)
        handle.refer = weakref.ref(handle.watcher)

    def offsets(self, serial):
        """When a Periodic is due: long ago or not for centuries."""
        return 1e9 + self.times(serial)[0], 1e10

    def run(self, loop):
        """Loop.start, when the clock has moved on from what is due now."""
        if self.schedulers or self.tickers:
            target = self.loops[loop]
            with contextlib.suppress(Error):
                then = target.now()
                while target.now() < then + 2e-6:
                    target.update()
        return super().run(loop)

    def set_priority(self, slot, priority):
        """Watcher.priority."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.priority = priority

    def set_keepalive(self, slot, keepalive):
        """Watcher.keepalive."""
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.keepalive = keepalive

    def illegal(self, slot, what):
        """What must be refused."""
        handle = self.get(slot)
        if handle is not None:
            ILLEGAL[what][1](handle.watcher)

    def write(self, pipe):
        """Make the pipe readable."""
        os.write(self.pipes[pipe][1], b"x")

    def drain(self, pipe):
        """Make it unreadable."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.pipes[pipe][0], 4096):
                pass

    def close(self):
        """Leave nothing behind."""
        self.tape.clear()
        for loop in self.loops:
            loop.callback = None
            for _ in range(3):
                with contextlib.suppress(Exception, Halt):
                    loop.close()
            assert loop.backend == 0
        self.forget_signals()

    @staticmethod
    def forget_signals():
        """Of signals fed to a loop that is gone libev tells the next one."""
        with mood_event.Loop() as loop:
            for signum in SIGNALS:
                watcher = loop.signal(signum, print)
                watcher.start()
                loop.feed_signal_event(signum)
                watcher.stop()


class ModelWorld(World):
    """The side of the model."""

    def __init__(self, pipes, real):
        super().__init__(pipes)
        self.lib = System(self.report)
        for _, writer in pipes:
            self.lib.ready[writer] = EV_WRITE
        self.real = real
        for loop in LOOPS:
            self.open(loop)

    def new_loop(self, loop):
        if loop == DEFAULT:
            return self.lib.default_loop(FLAGS[loop])
        return self.lib.Loop(FLAGS[loop], self.real.epoll)

    def construct(self, handle, watcher, variant, priority):
        loop = self.loops[handle.loop]
        parameters = self.parameters(handle, variant)
        callback = self.callback(handle)
        if watcher is not None:
            watcher.__init__(*parameters, loop, callback, priority)
            return
        cls = getattr(self.lib, handle.kind.title())
        made = handle.watcher = cls(*parameters, loop, callback, priority)
        handle.refer = lambda: made

    def offsets(self, serial):
        return self.times(serial)

    def set_priority(self, slot, priority):
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.set_priority(priority)

    def set_keepalive(self, slot, keepalive):
        handle = self.get(slot)
        if handle is not None:
            handle.watcher.set_keepalive(keepalive)

    def illegal(self, slot, what):
        handle = self.get(slot)
        if handle is not None:
            raise ILLEGAL[what][0]

    def write(self, pipe):
        self.lib.ready[self.pipes[pipe][0]] = EV_READ

    def drain(self, pipe):
        self.lib.ready[self.pipes[pipe][0]] = 0


# -- the operations that a program is made of -----------------------------------------


def watcher_operations(slots):
    """What is done to watchers, what matters most more often."""
    for slot in slots:
        for _ in range(4):
            yield "start", slot
            yield "feed", slot, EV_CUSTOM
        for _ in range(3):
            yield "stop", slot
            yield "clear", slot
            yield "special", slot
            yield "feed", slot, EV_READ
        yield "read", slot
        yield "drop", slot
        yield "feed", slot, EV_TIMER | EV_ERROR
        yield "invoke", slot, EV_CUSTOM
        yield "invoke", slot, EV_ERROR
        for variant in range(4):
            yield "set", slot, variant
            yield "tweak", slot, variant
        for priority in PRIORITIES[:3]:
            yield "set_priority", slot, priority
        for flag in (False, True):
            yield "set_keepalive", slot, flag
            yield "is_fatal", slot, flag
        for loop in LOOPS:
            yield "init", slot, loop, slot % 4, PRIORITIES[slot % 5]


def loop_operations(loops):
    """What is done to loops."""
    for loop in loops:
        for _ in range(4):
            yield "run", loop
        for _ in range(2):
            yield "invoke_pending", loop
            yield "open", loop
        for how in (EVBREAK_ONE, EVBREAK_ALL):
            yield "stop_loop", loop, how
        for method in ("ref", "unref", "suspend", "resume", "update", "close"):
            yield "call", loop, method
        for _ in range(4):
            yield "call", loop, "reset"
        for pipe in (0, 1):
            for end, mask in ((0, EV_READ), (1, EV_WRITE), (1, EV_READ)):
                yield "feed_fd_event", loop, pipe, end, mask
        for signum in SIGNALS:
            yield "feed_signal_event", loop, signum
        for action in (("nothing",), ("boom",), ("run", loop), ("halt",)):
            yield "call_soon", loop, action
        yield "call_soon", loop, ("call_soon", loop, ("nothing",))
        for mode in (None, None, None, "invoke", "nothing", "boom"):
            yield "loop_callback", loop, mode
        for debug in (False, False, True):
            yield "debug", loop, debug


def other_operations():
    """What is done to neither."""
    for pipe in (0, 1):
        yield "write", pipe
        yield "drain", pipe
    for signum in SIGNALS:
        yield "feed_signal", signum


def make_operations():
    """Watchers of all types, most of them on one loop, so that they meet."""
    for kind in KINDS:
        for loop in (0, 0, 0, 1, 2):
            for variant in range(4):
                for priority in PRIORITIES[:3] if variant else PRIORITIES:
                    for slot in SLOTS:
                        yield "make", slot, kind, loop, variant, priority


def mix(*shares):
    """A list in which each part has its share."""
    parts = [(share, list(part)) for share, part in shares]
    size = max(len(part) / share for share, part in parts)
    return [
        operation
        for share, part in parts
        for operation in part * round(share * size / len(part))
    ]


ACTIONS = mix(
    (4, watcher_operations((ME, *SLOTS))),
    (3, loop_operations(LOOPS)),
    (1, other_operations()),
    (1, [("boom",), ("halt",)]),
)
ANSWERS = ["due", "far", "due", "nan", "past", "boom", "halt"]
ANSWERS += [("start", slot) for slot in SLOTS]
ANSWERS += [(verb, ME) for verb in ("stop", "special", "clear", "drop")]
ANSWERS += [("run", 0), ("call", 0, "close"), ("call", 1, "close"), ("run", 1)]
OPERATIONS = mix(
    (5, [("run", loop) for loop in (0, 0, 0, 1, 2)]),
    (3, [("feed_all",)]),
    (4, make_operations()),
    (7, watcher_operations(SLOTS)),
    (2, loop_operations((0, 0, *LOOPS))),
    (1, other_operations()),
    (1, [("ask", slot, answer) for slot in SLOTS for answer in ANSWERS]),
    (0.5, [("illegal", slot, what) for slot in SLOTS for what in ILLEGAL]),
    (
        8,
        [
            ("next", lets_through, action)
            for lets_through in (0, 1)
            for action in ACTIONS
        ],
    ),
    (8, [("then", action) for action in ACTIONS]),
)


def one_of(table):
    """A strategy for an element of a list, which shrinks to the first.

    st.sampled_from draws from the first few of a long list nearly always.
    """
    return st.binary(min_size=3, max_size=3).map(
        lambda number: table[int.from_bytes(number, "big") * len(table) >> 24]
    )


class SideBySide(RuleBasedStateMachine):
    """Drives both worlds, and compares them after every operation."""

    pipes = ()
    steps = 0
    agrees = True

    def __init__(self):
        super().__init__()
        self.real = RealWorld(self.pipes)
        self.model = ModelWorld(self.pipes, self.real)
        self.hook = sys.unraisablehook
        sys.unraisablehook = lambda args: self.real.report(args.exc_value, args.object)

    @initialize(makes=st.lists(one_of(list(make_operations())), min_size=4))
    def begin(self, makes):
        """Make watchers."""
        for operation in makes:
            self.step(operation)

    @rule(operations=st.lists(one_of(OPERATIONS), max_size=40))
    def act(self, operations):
        """Do something."""
        for operation in operations:
            self.step(operation)

    def step(self, operation):
        """Do an operation on both sides, and compare them."""
        SideBySide.steps += 1
        self.agrees = False
        real, model = self.real, self.model
        real.act(operation)
        model.act(operation)
        SideBySide.steps += sum(isinstance(entry[0], tuple) for entry in real.log)
        assert real.log == model.log, f"\n{real.log}\n{model.log}"
        real.log.clear()
        model.log.clear()
        self.compare_loops()
        self.compare_watchers()
        self.agrees = True

    def compare_loops(self):
        for loop, model in zip(self.real.loops, self.model.loops):
            assert isinstance(model, ModelLoop)
            queue = loop._queue
            state = loop.pending, loop.depth, loop.backend, loop.iteration
            iteration = model.iteration if model.is_open else 0
            expected = model.pending, model.depth, model.backend, iteration
            assert state == expected, f"{state}, {expected}"
            if model.is_open:
                loop.verify()
                model.advance_references()
            held = [watcher for watcher in queue.held[2:] if watcher is not None]
            assert len(held) == sum(watcher.is_held for watcher in model.watchers)

    def compare_watchers(self):
        for handle, shadow in zip(self.real.made, self.model.made):
            watcher, model = handle.refer(), shadow.refer()
            if watcher is not None:
                state = watcher.active, watcher.pending
                expected = model.active, model.pending
                assert state == expected, f"{handle.serial}: {state}, {expected}"
            if handle.watcher is None:
                if model.is_held:
                    assert watcher is not None
                elif CPYTHON and watcher is not None:
                    del watcher
                    gc.collect()
                    assert handle.refer() is None

    def teardown(self):
        try:
            if self.agrees:
                for loop in LOOPS:
                    self.step(("call", loop, "close"))
        finally:
            sys.unraisablehook = self.hook
            self.real.close()


@contextlib.contextmanager
def opened_machine():
    """The machine, with pipes for its programs."""
    pipes, fds = [], []
    for _ in range(2):
        low = os.pipe()
        # Numbers higher than those of any loop.
        pipe = [fcntl.fcntl(fd, fcntl.F_DUPFD, 400) for fd in low]
        for fd in low:
            os.close(fd)
        for fd in pipe:
            os.set_blocking(fd, False)
        pipes.append(pipe)
        fds += pipe
    SideBySide.pipes = pipes
    SideBySide.steps = 0
    yield SideBySide
    for fd in fds:
        os.close(fd)


@pytest.fixture
def machine():
    """The machine."""
    with opened_machine() as machine:
        yield machine


def drive(machine, number, phases=(Phase.generate, Phase.shrink)):
    """Run programs of a fixed seed; a failure is printed as a short one."""
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            database=None,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("first_seed", "steps"),
    [
        # Programs of one seed are some 7,200 steps; the two are to be 20,000 or more.
        pytest.param(1, 7_000, marks=pytest.mark.core, id="few"),
        pytest.param(
            1_000, scaled(1_000_000, 13_000), marks=pytest.mark.soak, id="many"
        ),
    ],
)
def test_random_programs_do_what_the_model_does(machine, first_seed, steps):
    for number in itertools.count(first_seed):
        print("seed", number)
        drive(machine, number)
        if machine.steps >= steps:
            break


# -- is it able to find anything? -----------------------------------------------------

# Each is Python source that breaks the package.
PLANTS = {
    "all of a batch is given back": """
        Queue.position = lambda self: 0
    """,
    "a stopped watcher stays in the batch": """
        Queue.forget = lambda self, result: None
    """,
    "stop leaves the event": """
        def stop(self):
            revents = self.clear()
            halt(self)
            if revents:
                self.feed(revents)
        halt, Watcher.stop = Watcher.stop, stop
    """,
    "clear leaves the event": """
        Watcher.clear = lambda self: 0
    """,
    "a slot is never freed": """
        Queue.retire = lambda self: None
    """,
    "priorities are ignored": """
        watchers._clamp = lambda priority: 0
    """,
    "keepalive says nothing": """
        Watcher.keepalive = property(Watcher.keepalive.fget, lambda self, value: None)
    """,
    "what is fatal is reported": """
        Queue._is_fatal = lambda self, exc, callback: False
    """,
    "what is refused is done": """
        Watcher._check_set = lambda self, error: None
    """,
    "the rest of a batch is lost": """
        Queue.spill = lambda self, position: spill(self, 2**30)
    """,
    "a batch is given back but for its next": """
        Queue.spill = lambda self, position: spill(self, position + 1)
    """,
    "a batch goes on after it was given back": """
        def spill_only(self, position):
            lib.mood_spill(self.c, position)
        Queue.spill = spill_only
    """,
    "a slot is freed too early": """
        def feed_and_release(self, revents):
            feed(self, revents)
            if not self.active:
                self._queue.held[self._slot] = None
        feed, Watcher.feed = Watcher.feed, feed_and_release
    """,
    "calls are made in the wrong order": """
        def call_soon_threadsafe(self, callback, *args):
            call_soon(self, callback, *args)
            self._queue.calls.rotate(1)
        call_soon = mood_event.Loop.call_soon_threadsafe
        mood_event.Loop.call_soon_threadsafe = call_soon_threadsafe
    """,
    "cleanups are not called": """
        mood_event.Loop._clean_up = lambda self: self._queue.take_kept()
    """,
}
# The rest takes a while.
PLANTS = dict(list(PLANTS.items())[: scaled(len(PLANTS), 9)])

# Plants each in a process of its own, as it may crash; says which ones were found.
HUNT = """
import os
import sys
import textwrap
import warnings

import mood_event
import test_model
from hypothesis import Phase
from mood_event import watchers
from mood_event._dispatch import Queue
from mood_event._ffi import lib

warnings.simplefilter("ignore", RuntimeWarning)
sys.stderr = open(os.devnull, "w")
for name, source in test_model.PLANTS.items():
    if os.fork():
        status = os.waitstatus_to_exitcode(os.wait()[1])
        print(name, {3: "found", 0: "missed"}.get(status, status), sep=": ")
        continue
    with test_model.opened_machine() as machine:
        spill, Watcher = Queue.spill, watchers.Watcher
        exec(textwrap.dedent(source))

        class Hunter(machine):
            def step(self, operation):
                try:
                    super().step(operation)
                except AssertionError:
                    # At once: what was planted is not safe to go on with.
                    os._exit(3)

        for number in range(1, 12):
            test_model.drive(Hunter, number, (Phase.generate,))
        os._exit(0)
"""


@pytest.fixture(scope="module")
def hunt():
    """What the machine says of each plant."""
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", HUNT],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=os.path.dirname(__file__),
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return dict(line.rsplit(": ", 1) for line in process.stdout.splitlines())


@pytest.mark.soak
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(hunt, plant):
    assert hunt[plant] == "found"
