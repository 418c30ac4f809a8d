"""A watcher of each type, for the rows that hold for all of them.

Imported by the modules of rows. The types are those that there are: a new one needs
its arguments here, and has all these rows then.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

import mood_event
from misuse.table import Case, ignore
from mood_event import EV_CUSTOM, EV_READ, EVRUN_NOWAIT, Loop, Watcher

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
    # The next one is in 2033.
    "periodic": lambda case: (0.0, 1e9),
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


def nothing() -> None:
    """What other threads want called."""


# -- everything that can be done to a loop or a watcher -------------------------------

# What is called without arguments is not in here.
LOOP_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "start": (EVRUN_NOWAIT,),
    "feed_fd_event": (0, EV_READ),
    "feed_signal_event": (signal.SIGUSR2,),
    "once": (None, 0, 1e4, ignore),
    "call_soon_threadsafe": (nothing,),
}
WATCHER_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "feed": (EV_CUSTOM,),
    "invoke": (EV_CUSTOM,),
}
VALUES: dict[str, Any] = {
    "callback": ignore,
    "data": "data",
    "priority": 1,
    "keepalive": False,
    "repeat": 1e4,
    "offset": 0.0,
    "interval": 1e9,
    "io_interval": 0.001,
    "timeout_interval": 0.001,
    "slow_callback": 1.0,
    "exception_handler": ignore,
    "scheduler": later,
    "reschedule": later,
    "rpid": 1,
    "rstatus": 1,
}


class Use(NamedTuple):
    """One thing to do: call a method, or get or set a property."""

    name: str
    how: str
    do: Callable[[], Any]


def uses(case: Case, thing: Any) -> Iterator[Use]:
    """Everything public that a loop or a watcher has, each once; `close` last."""
    cls = type(thing)
    names = [name for name in dir(cls) if not name.startswith("_")]
    names.sort(key=lambda name: (name == "close", name))
    for name in names:
        value = getattr(cls, name)
        if isinstance(value, property):
            yield Use(name, "get", lambda name=name: getattr(thing, name))
            if value.fset:
                yield Use(
                    name,
                    "set",
                    lambda name=name: setattr(thing, name, VALUES[name]),
                )
        elif callable(value):
            arguments = _arguments(case, thing, name)
            yield Use(
                name,
                "call",
                lambda name=name, arguments=arguments: getattr(thing, name)(*arguments),
            )


def _arguments(case: Case, thing: Any, name: str) -> tuple[Any, ...]:
    if isinstance(thing, Watcher):
        if name == "set":
            return ARGUMENTS[_kind(thing)](case)
        return WATCHER_ARGUMENTS.get(name, ())
    kind = name.rstrip("_")
    if kind in ARGUMENTS:
        return (*ARGUMENTS[kind](case), ignore)
    return LOOP_ARGUMENTS.get(name, ())


def _kind(watcher: Any) -> str:
    """The name of a watcher's type, or of that which it is derived from."""
    return next(kind for kind in KINDS if isinstance(watcher, Watcher.kinds[kind]))


def outcome(function: Callable[..., Any], *args: Any) -> Optional[Exception]:
    """What a call raises; None: nothing."""
    try:
        function(*args)
    except Exception as error:
        return error
    return None


def without_end(case: Case, function: Callable[[], Any]) -> None:
    """Call what nests runs of a loop until Python says that it is enough.

    From then on something is `seen`, so that it can stop. Where Python has no room left
    even to keep the exception, it is reported or printed: what is held here is that
    all runs have ended, and that the loop is as good as new.
    """
    outcome(function)
    case.seen.append((None, 0))
    for _ in range(3):
        # What was kept meanwhile, and what is pending still.
        outcome(case.run)
    case.reported.clear()
    with case.allows():
        assert (case.loop.depth, case.loop.pending) == (0, 0)
