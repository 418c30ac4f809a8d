"""A watcher of each type, for the rows that hold for all of them.

Imported by the modules of rows. The types are those that there are: a new one needs
its arguments here, and has all these rows then.
"""

import os
import signal
from typing import Any, Callable, Optional

import mood_event
from misuse.table import Case, ignore
from mood_event import EV_CUSTOM, EV_READ, Loop, Watcher

KINDS = sorted(Watcher.kinds)

STATES = ("unmade", "idle", "active", "pending")


_embeddable: list[Loop] = []


def embeddable_loop() -> Loop:
    """A loop that can be embedded, and that lives as long as the row."""
    loop = Loop(mood_event.embeddable_backends() & mood_event.supported_backends())
    _embeddable.append(loop)
    return loop


def later(scheduler: Any, now: float) -> float:
    """What a Scheduler calls: a time that no row waits for."""
    return now + 1e4


# What comes before `loop`: nothing of it happens by itself.
ARGUMENTS: dict[str, Callable[[Case], tuple[Any, ...]]] = {
    "io": lambda case: (case.pipe()[0], EV_READ),
    "timer": lambda case: (1e4, 1e4),
    "periodic": lambda case: (mood_event.time() + 1e4, 0.0),
    "scheduler": lambda case: (later,),
    "signal": lambda case: (signal.SIGUSR2,),
    "child": lambda case: (os.getpid(), False),
    "stat": lambda case: ("/", 1e4),
    "idle": lambda case: (),
    "prepare": lambda case: (),
    "check": lambda case: (),
    "embed": lambda case: (embeddable_loop(),),
    "fork": lambda case: (),
    "cleanup": lambda case: (),
    "async": lambda case: (),
}


def home(case: Case, kind: str) -> Loop:
    """The case's loop: one that takes watchers of the type."""
    if kind == "child":
        case.loop = mood_event.default_loop()
    return case.loop


def make(
    case: Case,
    kind: str,
    callback: Any = ignore,
    state: str = "unmade",
    cls: Optional[type[Any]] = None,
) -> Any:
    """A watcher on the case's loop, brought into one of STATES."""
    loop = home(case, kind)
    watcher = (cls or Watcher.kinds[kind])(*ARGUMENTS[kind](case), loop, callback)
    return bring(watcher, state)


def bring(watcher: Any, state: str) -> Any:
    """Bring a new watcher into one of STATES."""
    if state in ("idle", "active"):
        watcher.start()
    if state == "idle":
        watcher.stop()
    if state == "pending":
        watcher.feed(EV_CUSTOM)
    return watcher


def make_all(case: Case, state: str = "unmade") -> list[Any]:
    """A watcher of each type, all on the default loop."""
    case.loop = mood_event.default_loop()
    return [make(case, kind, state=state) for kind in KINDS]


def public(thing: Any) -> list[str]:
    """The names of all methods and attributes that are meant for callers."""
    return [name for name in dir(thing) if not name.startswith("_")]
