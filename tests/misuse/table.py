"""The rows, and what a row has to work with: imported by the modules of rows."""

import fcntl
import itertools
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, NamedTuple, Optional

import mood_event
from mood_event import EVRUN_NOWAIT, Loop
from mood_event._ffi import ffi, lib
from mood_event.watchers import Watcher

# What the compiled module is: a row may be for some of these alone.
BUNDLED, DEBUG, SYSTEM = BUILDS = "bundled", "debug", "system"

# The system's libev has its asserts on, and one of them is about these.
CLOSES_DESCRIPTORS = (BUNDLED, DEBUG)


def this_build() -> str:
    """Which of BUILDS is imported here."""
    if lib.mood_debug():
        return DEBUG
    origin = ffi.string(lib.mood_libev_origin()).decode()
    return SYSTEM if origin == "system" else BUNDLED


class Row(NamedTuple):
    """One row: a function and its arguments."""

    name: str
    function: Callable[..., None]
    arguments: dict[str, Any]
    builds: tuple[str, ...]
    options: tuple[str, ...]
    stderr: str


rows: dict[str, Row] = {}


def row(
    *,
    builds: tuple[str, ...] = BUILDS,
    options: tuple[str, ...] = (),
    stderr: str = "",
    **parameters: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make rows of a function: one, or one for each combination of its parameters.

    The function is called with a `Case` and a value for each of `parameters`, which
    are lists of values.

    builds: the builds that it is for. options: the interpreter's, ("-X", "dev").
    stderr: the pattern of what the process says there; nothing, by default.
    """

    def add(function: Callable[..., None]) -> Callable[..., None]:
        module = function.__module__.rpartition(".")[2]
        for values in itertools.product(*parameters.values()):
            words = ",".join([*map(_word, values), *options[1::2]])
            name = f"{module}.{function.__name__}" + (f"[{words}]" if words else "")
            assert name not in rows, name
            arguments = dict(zip(parameters, values))
            rows[name] = Row(name, function, arguments, builds, options, stderr)
        return function

    return add


def _word(value: Any) -> str:
    """A value in the name of a row."""
    word = getattr(value, "__name__", None) or repr(value)
    return re.sub(r"[^\w.+*-]+", "_", word).strip("_") or "empty"


def ignore(watcher: Any, revents: int) -> None:
    """A callback that does nothing."""


def state(thing: Any) -> dict[str, Any]:
    """What must not change when a call raises: of a watcher, a loop, or anything.

    A watcher's struct is not made to find out: that it is not made yet is a state that
    bugs live in.
    """
    if isinstance(thing, Watcher):
        found: dict[str, Any] = {
            name: getattr(thing, name)
            for cls in type(thing).__mro__
            for name in vars(cls).get("__slots__", ())
            if name not in ("__weakref__", "_ptr", "_memory") and hasattr(thing, name)
        }
        names = ["active", "pending"]
        if lib.mood_made(thing._ptr):
            # The time that a running timer has left depends on when one asks.
            names = [name for name in _properties(thing) if name != "remaining"]
        found.update({name: getattr(thing, name) for name in names})
        return found
    if isinstance(thing, Loop):
        names = [name for name in _properties(thing) if name != "iteration"]
        return {**{name: getattr(thing, name) for name in names}, "repr": repr(thing)}
    return {"repr": repr(thing)}


def _properties(thing: Any) -> list[str]:
    return [
        name
        for cls in type(thing).__mro__
        for name, value in vars(cls).items()
        if isinstance(value, property)
    ]


class Case:
    """What a row works with: a loop, ends of pipes, and `raises`.

    loop: a loop, or what the row puts there; None: the row has closed it.
    seen: what `record`, a callback, was called with.
    reported: what went to `sys.unraisablehook`; the row must empty it.
    """

    ignore = staticmethod(ignore)

    def __init__(self) -> None:
        self.seen: list[tuple[Any, int]] = []
        self.reported: list[Any] = []
        self._loop: Optional[Loop] = None
        self._checks = 0
        sys.unraisablehook = self.reported.append

    @property
    def loop(self) -> Any:
        if self._loop is None:
            self._loop = Loop()
        return self._loop

    @loop.setter
    def loop(self, loop: Any) -> None:
        self._loop = loop

    def record(self, watcher: Any, revents: int) -> None:
        """A callback that notes its arguments in `seen`."""
        self.seen.append((watcher, revents))

    def run(self) -> None:
        """One iteration of the loop, which does not wait."""
        self.loop.start(EVRUN_NOWAIT)

    def timer_fires(self, loop: Any) -> None:
        """Assert that a fresh timer of the loop fires, without anything raised."""
        fired: list[int] = []
        timer = loop.timer(0.0, 0.0, lambda watcher, revents: fired.append(revents))
        timer.start()
        for _ in range(100):
            loop.start(EVRUN_NOWAIT)
            if fired:
                break
        assert fired == [mood_event.EV_TIMER], fired
        assert not timer.active

    @staticmethod
    def pipe() -> tuple[int, int]:
        """A pipe's ends: non-blocking, with numbers that nothing else will get."""
        low = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 400) for fd in low]
        for fd in low:
            os.close(fd)
        for fd in ends:
            os.set_blocking(fd, False)
        return ends[0], ends[1]

    def readable(self) -> int:
        """A pipe's end that has a byte to be read."""
        reader, writer = self.pipe()
        os.write(writer, b"x")
        return reader

    def closed(self) -> int:
        """The number of a descriptor that is closed."""
        reader, writer = self.pipe()
        os.close(reader)
        os.close(writer)
        return reader

    @contextmanager
    def raises(
        self, kind: type[BaseException], says: str, *things: Any
    ) -> Iterator[None]:
        """Assert that the block raises just this, and changes nothing.

        kind: the exception's class, itself and no subclass but of OSError.
        says: words in its message.
        things: watchers and loops that must be as they were; the loop is one anyway.
        """
        if self._loop is not None:
            things = (*things, self._loop)
        before = [state(thing) for thing in things]
        with self.fails(kind, says):
            yield
        self._compare(things, before)

    @contextmanager
    def fails(self, kind: type[BaseException], says: str) -> Iterator[None]:
        """Assert that the block raises just this, whatever it changes.

        kind, says: as for `raises`.
        """
        try:
            yield
        except BaseException as error:
            expected = (
                isinstance(error, kind) if kind is OSError else type(error) is kind
            )
            if not expected or says not in str(error):
                raise AssertionError(
                    f"expected {kind.__name__} with {says!r}, got {error!r}"
                ) from error
        else:
            raise AssertionError(f"nothing was raised: expected {kind.__name__}")
        self._checks += 1

    @contextmanager
    def allows(self, *things: Any) -> Iterator[None]:
        """Assert that the block raises nothing and leaves these as they were."""
        before = [state(thing) for thing in things]
        yield
        self._compare(things, before)

    def _compare(self, things: Any, before: list[dict[str, Any]]) -> None:
        self._checks += 1
        for thing, old in zip(things, before):
            new = state(thing)
            changed = {
                name: (value, new.get(name))
                for name, value in old.items()
                if new.get(name) != value
            }
            assert not changed, f"{thing!r} has changed: {changed}"

    def finish(self) -> None:
        """What must hold after every row."""
        assert self._checks, "the row has checked nothing"
        assert not self.reported, [repr(args.exc_value) for args in self.reported]
        if self._loop is not None:
            self._loop.verify()
            self.timer_fires(self._loop)
            self._loop.verify()
            self._loop.close()
        self.timer_fires(self._another())

    def _another(self) -> Loop:
        self._last = Loop()
        return self._last
