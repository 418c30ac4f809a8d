"""A method of a watcher, and another one in the middle of it, wherever Python lets one.

    python tests/interleaving.py KIND [instructions]

Run by test_interleaving.py. A signal's handler and a `__del__` can use the very watcher
that a method, or the loop, is busy with. Here a profile function takes their place: it
is called where CPython looks for them, at the beginning of a function and around a
call. Each method is interrupted at each such place, by each of the others in turn;
afterwards the tables of slots have to agree with each other, with C and with the
watcher, and the watcher has to be as good as new.

CPython 3.9 and PyPy look between any two instructions: so does this with
`instructions`. Then less has to be true: what libev knows is held, or it would be
freed.
"""

import gc
import itertools
import os
import signal
import sys
import warnings
from typing import Any, Callable

import mood_event
from mood_event import EV_CUSTOM, EV_READ, EVFLAG_NOINOTIFY, EVRUN_NOWAIT, Loop
from mood_event._ffi import lib

READABLE, _ = os.pipe()
EMBEDDABLE = mood_event.embeddable_backends()

# What each type's `__init__` takes first.
ARGUMENTS: "dict[str, Callable[[], tuple[Any, ...]]]" = {
    "io": lambda: (READABLE, EV_READ),
    "timer": lambda: (0.0, 0.0),
    "scheduler": lambda: (lambda watcher, now: now + 3600.0,),
    "embed": lambda: (other_loop(),),
    "periodic": lambda: (0.0, 3600.0),
    "stat": lambda: (os.devnull, 0.0),
    "idle": tuple,
    "prepare": tuple,
    "async_": tuple,
    "signal": lambda: (signal.SIGUSR2,),
}
KINDS = ("repeating timer", *ARGUMENTS)
STATES: "tuple[tuple[str, ...], ...]" = (
    (),
    ("start", "stop"),
    ("start",),
    ("feed",),
    ("start", "feed"),
    ("fill",),
    # More than one event: a batch.
    ("start", "feed", "feed_next"),
)
SEQUENCES = (
    *(("start", "stop"), ("stop", "start"), ("stop", "feed"), ("feed", "run")),
    *(("init", "start"), ("start", "init"), ("stop", "init")),
    *(("move",), ("move", "start"), ("stop", "move", "start"), ("move", "feed")),
    *(("start_next",), ("close",), ("start", "close"), ("stop", "close", "start")),
    # Whoever takes the slot next must not be taken for the watcher.
    ("stop", "start_next"),
)
# What the one in the middle may be told, and the other one about it.
REFUSALS = (
    *("cannot ", "is being configured anew", "must not change the loop"),
    *("the loop is closed", "the loop is running"),
)

_other_loops: "list[Any]" = []


def other_loop() -> Any:
    if not _other_loops:
        _other_loops.append(Loop(EMBEDDABLE & mood_event.recommended_backends()))
    return _other_loops[0]


class Interleaving:
    """A fresh loop and a watcher in some state, and what can be done to it."""

    def __init__(self, kind: str, state: "tuple[str, ...]") -> None:
        # To close a loop that has inotify takes Linux some milliseconds.
        self.loop = Loop(EVFLAG_NOINOTIFY)
        self.other_loop = Loop(EVFLAG_NOINOTIFY)
        self.loops = (self.loop, self.other_loop)
        self.problems: list[str] = []
        self.fed_next = 0
        self.fillers: list[Any] = []
        self.arguments = ARGUMENTS.get(kind, lambda: (0.0, 3600.0))()
        factory = getattr(self.loop, kind.rpartition(" ")[2])
        self.watcher: Any = factory(*self.arguments, self.callback)
        self.next = self.loop.timer(3600.0, 0.0, self.next_callback)
        for name in state:
            getattr(self, name)()

    def callback(self, watcher: Any, revents: int) -> None:
        if watcher is not self.watcher:
            self.problems.append(f"called for {watcher!r}")

    def next_callback(self, watcher: Any, revents: int) -> None:
        if self.fed_next and revents == EV_CUSTOM:
            self.fed_next -= 1
        else:
            self.problems.append(f"an event of another one: {revents:#x}")

    # -- what is done

    def start(self) -> None:
        self.watcher.start()

    def stop(self) -> None:
        self.watcher.stop()

    def feed(self) -> None:
        self.watcher.feed(EV_CUSTOM)

    def clear(self) -> None:
        self.watcher.clear()

    def reset(self) -> None:
        self.watcher.reset()

    def init(self) -> None:
        self.watcher.__init__(*self.arguments, self.loop, self.callback)

    def move(self) -> None:
        self.watcher.__init__(*self.arguments, self.other_loop, self.callback)

    def priority(self) -> None:
        self.watcher.priority = 1

    def keepalive(self) -> None:
        self.watcher.keepalive = False

    def run(self) -> None:
        for loop in self.open_loops():
            loop.start(EVRUN_NOWAIT)

    def fill(self) -> None:
        """Leave one slot."""
        self.watcher.start()
        self.watcher.stop()
        while len(self.loop._queue.free) > 1:
            self.fillers.append(self.loop.timer(3600.0, 0.0, self.next_callback))
            self.fillers[-1].start()

    def close(self) -> None:
        self.loop.close()

    def start_next(self) -> None:
        self.next.start()

    def feed_next(self) -> None:
        self.fed_next += 1
        self.next.feed(EV_CUSTOM)

    def stop_next(self) -> None:
        self.next.stop()

    def attempt(self, name: str) -> None:
        try:
            getattr(self, name)()
        except mood_event.Error as error:
            if not any(refusal in str(error) for refusal in REFUSALS):
                self.problems.append(f"{name}: {error}")

    def interrupt(
        self, method: str, at: int, names: "tuple[str, ...]", instructions: bool
    ) -> bool:
        """Call a method, and others at the given place in it, if there is such a place.

        Returns:
            Whether there is.
        """
        places = 0
        observe: Any = sys.settrace if instructions else sys.setprofile

        def place(frame: Any, event: str, argument: object) -> Any:
            nonlocal places
            if not frame.f_globals["__name__"].startswith("mood_event"):
                return None
            frame.f_trace_opcodes = instructions
            if instructions and event != "opcode":
                return place
            places += 1
            if places == at:
                observe(None)
                for name in names:
                    self.attempt(name)
            return place

        observe(place)
        try:
            self.attempt(method)
        finally:
            observe(None)
        return places >= at

    # -- what is to be true

    def open_loops(self) -> "list[Loop]":
        return [loop for loop in self.loops if loop._queue.open]

    def check_slots(self) -> None:
        """Every slot is held or free, and what libev knows is held."""
        for loop in self.open_loops():
            self.check_slots_of(loop)

    def check_slots_of(self, loop: Loop) -> None:
        queue, held = loop._queue, loop._queue.held
        free = sorted([*queue.free, *queue.later])
        if free != sorted(set(free)) or (free and free[0] < 2):
            self.problems.append(f"free: {free}")
        for slot in range(2, len(held)):
            holder = held[slot]
            if holder is not None and (holder._slot != slot or slot in free):
                self.problems.append(f"slot {slot} has {holder!r} of {holder._slot}")
        # The rest is of blocks that are not made yet.
        made = len(free) + sum(watcher is not None for watcher in held[2:])
        if made % 32:
            self.problems.append(f"of a block of slots {made % 32} are left")
        for watcher in (self.watcher, self.next):
            known = watcher.loop is loop and (watcher.active or watcher.pending)
            if known != (watcher in held):
                self.problems.append(f"{watcher!r}: held: {watcher in held}")
        if lib.mood_active_count(queue.c) != self.active_count(loop):
            self.problems.append("C has other active watchers")
        loop.verify()

    def active_count(self, loop: Loop) -> int:
        watchers = (self.watcher, self.next, *self.fillers)
        return sum(watcher.loop is loop and watcher.active for watcher in watchers)

    def check_held(self) -> None:
        """What libev knows is held."""
        for watcher in (self.watcher, self.next):
            held = watcher.loop._queue.held
            if (watcher.active or watcher.pending) and watcher not in held:
                self.problems.append(f"{watcher!r} is not held")
        for loop in self.open_loops():
            if lib.mood_active_count(loop._queue.c) > self.active_count(loop):
                self.problems.append("libev has a struct that the watcher has not")
            loop.verify()

    def check_use(self) -> None:
        """The watcher can be started, is called, and can be stopped."""
        if self.fed_next:
            self.attempt("run")
        if self.fed_next and self.loop._queue.open:
            self.problems.append("an event is lost")
        self.attempt("stop_next")
        for name in ("start", "run", "feed", "run", "stop"):
            self.attempt(name)
        if self.watcher.active or self.watcher.pending:
            self.problems.append(f"{self.watcher!r} was stopped")
        self.check_slots()


def main(kind: str, *options: str) -> int:
    instructions = options == ("instructions",)
    warnings.simplefilter("ignore")
    # The collector would come somewhere else each time.
    gc.disable()
    methods = ["start", "stop", "feed", "clear", "init", "priority", "keepalive", "run"]
    if kind.endswith(("timer", "periodic", "scheduler")):
        methods.append("reset")
    interruptions = [*((name,) for name in methods), *SEQUENCES]
    if instructions:
        # docs/reliability.md has those.
        interruptions.remove(("init", "start"))
        interruptions.remove(("stop", "start_next"))
    failed = 0
    for state, method, names in itertools.product(STATES, methods, interruptions):
        if names is interruptions[-1]:
            gc.collect()
        for at in itertools.count(1):
            interleaving = Interleaving(kind, state)
            is_place = interleaving.interrupt(method, at, names, instructions)
            if instructions:
                interleaving.check_held()
            else:
                interleaving.check_slots()
                interleaving.check_use()
            for loop in interleaving.loops:
                loop.close()
            if interleaving.problems:
                failed += 1
                where = f"{method}[{at}: {' '.join(names)}] of {state or 'a new one'}"
                print(where, *interleaving.problems, sep="\n    ")
            if not is_place:
                break
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
