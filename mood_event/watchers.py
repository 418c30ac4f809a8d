"""The watchers: a base class, and one short class per type.

Imported by loop.py, which has a factory method for each class here that has a
`kind`, and by the package for its names. It never imports loop.py, but for type
checkers: of a Loop a watcher uses `_queue`.

A type is a row in libev/cdef.h, from which its struct, its start and its stop
come, and a class here, which checks what the caller says before C sees it. All
arguments are checked before anything changes, so a call that raises has done
nothing.
"""

from __future__ import annotations

import os
import sys

from mood_event._dispatch import Queue, fatal, refused, watcher_error
from mood_event._ffi import ffi, lib
from mood_event.constants import EV_ERROR, EV_MAXPRI, EV_MINPRI, EV_READ, EV_WRITE
from mood_event.errors import Error

# See _dispatch.py: these take long to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import (
        Any,
        Callable,
        ClassVar,
        NoReturn,
        Protocol,
        TypeVar,
        Union,
    )

    from typing_extensions import Self

    from mood_event.loop import Loop

    F = TypeVar("F", bound=Callable[..., Any])
    W = TypeVar("W", contravariant=True)

    class Callback(Protocol[W]):
        """A callback to be set: of a setter, pyright takes a Callable for a method."""

        def __call__(self, watcher: W, revents: int, /) -> object: ...

    class HasFileno(Protocol):
        """An object with a file descriptor, which `fileno` returns."""

        def fileno(self) -> int: ...

    FileDescriptor = Union[int, HasFileno]
    StrOrBytesPath = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

__all__ = [
    "Async",
    "Check",
    "Child",
    "Cleanup",
    "Embed",
    "Fork",
    "Idle",
    "Io",
    "Periodic",
    "Prepare",
    "Scheduler",
    "Signal",
    "Stat",
    "Timer",
    "Watcher",
]

INT_MAX = 2**31 - 1
INT_MIN = -(2**31)
_MAX = sys.float_info.max

_MASKS = frozenset((EV_READ, EV_WRITE, EV_READ | EV_WRITE))

# Filled when it is needed: to ask takes a fifth of a millisecond.
_valid_signums: frozenset[int] = frozenset()

# Below this libev's own arithmetic gives out (ev.pod, ev_periodic).
_SHORTEST_INTERVAL = 1 / 8192


_new = ffi.new
_NULL = ffi.NULL
_start = lib.mood_start
_stop = lib.mood_stop
_is_active = lib.mood_active
_is_pending = lib.mood_pending
_LET_GO = lib.MOOD_LET_GO
_FORGOTTEN = lib.MOOD_FORGOTTEN
_UNMADE = lib.MOOD_UNMADE
_UNHELD = lib.MOOD_UNHELD
_DELIVERED = lib.MOOD_DELIVERED
_ONLY_WHEN_IDLE = {lib.MOOD_ACTIVE: "active", lib.MOOD_PENDING: "pending"}
_io_set = lib.mood_io_set
_io_modify = lib.mood_io_modify
_io_watch = lib.mood_io_watch
_timer_make = lib.mood_timer_make
_timer_again = lib.mood_timer_again
_async_send = lib.mood_async_send


def disguise(wrapper: Any, function: Any) -> Any:
    """functools.update_wrapper, which takes longer to import than all of this."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(wrapper, name, getattr(function, name))
    wrapper.__wrapped__ = function
    return wrapper


# -- checks ------------------------------------------------------------------------


def to_index(what: str, name: str, value: Any) -> int:
    """An int, from anything with `__index__`.

    Raises:
        TypeError: it has none.
    """
    if value.__class__ is int:
        return value  # type: ignore[no-any-return]
    from operator import index

    try:
        # Before CPython 3.10, index() leaves an instance of a subclass as it is.
        return int(index(value))
    except TypeError:
        raise TypeError(f"{what}: {name} must be an int, got {value!r}") from None


def to_int(what: str, name: str, value: object) -> int:
    """A C int, from anything with `__index__`.

    Raises:
        TypeError: it has none.
        OverflowError: it is no C int.
    """
    number = to_index(what, name, value)
    if not INT_MIN <= number <= INT_MAX:
        raise OverflowError(f"{what}: {name} must fit in a C int, got {number}")
    return number


def to_seconds(what: str, name: str, value: Any) -> float:
    """A finite float, from anything with `__float__` that is no string.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN or infinite.
    """
    if value.__class__ is float and -_MAX <= value <= _MAX:
        return value  # type: ignore[no-any-return]
    from math import inf, isfinite, ldexp

    try:
        # float() takes strings as well. Once: the next time it could say another.
        seconds = ldexp(value, 0)
    except TypeError:
        raise TypeError(f"{what}: {name} must be a number, got {value!r}") from None
    except OverflowError:
        seconds = inf
    if not isfinite(seconds):
        raise ValueError(f"{what}: {name} must be finite, got {value!r}")
    return seconds


def to_interval(what: str, name: str, value: Any) -> float:
    """A finite float that is not negative; raises as `to_seconds` does."""
    seconds = to_seconds(what, name, value)
    if seconds < 0.0:
        raise ValueError(f"{what}: {name} must be >= 0.0, got {value!r}")
    return seconds


def to_callback(what: str, value: Any) -> Any:
    """A callable.

    Raises:
        TypeError: it is none.
    """
    if not callable(value):
        raise TypeError(f"{what}: callback must be callable, got {value!r}")
    return value


def to_descriptor(what: str, value: Any) -> int:
    """A file descriptor, from an int or an object with `fileno()`.

    Raises:
        TypeError: it is neither, or its `fileno()` gives no int.
        ValueError: it is negative.
        OverflowError: it is no C int.
    """
    if value.__class__ is int and 0 <= value <= INT_MAX:
        return value  # type: ignore[no-any-return]
    owner = value
    if not isinstance(value, int):
        fileno = getattr(value, "fileno", None)
        if fileno is None:
            raise TypeError(
                f"{what}: fd must be an int or have a fileno() method, got {value!r}"
            )
        value = fileno()
        if not isinstance(value, int):
            raise TypeError(f"{what}: fileno() must return an int, got {value!r}")
    if value < 0:
        origin = "" if value is owner else f" from {owner!r}"
        raise ValueError(f"{what}: fd must be >= 0, got {value!r}{origin}")
    return to_int(what, "fd", value)


def check_open(what: str, fd: int) -> None:
    """Raise OSError if a file descriptor is not open."""
    try:
        os.get_inheritable(fd)
    except OSError as error:
        raise OSError(error.errno, f"{what}: fd {fd}: {error.strerror}") from None


def to_events(what: str, value: Any) -> int:
    """EV_READ, EV_WRITE or both.

    Raises:
        TypeError: it is no int.
        ValueError: it is another mask.
        OverflowError: it is no C int.
    """
    if value.__class__ is int and value in _MASKS:
        return value  # type: ignore[no-any-return]
    events = to_int(what, "events", value)
    if events not in _MASKS:
        raise ValueError(
            f"{what}: events must be EV_READ, EV_WRITE or EV_READ | EV_WRITE, "
            f"got {events:#x}"
        )
    return events


def to_signum(what: str, value: object) -> int:
    """The number of a signal that can be handled.

    Raises:
        TypeError: it is no int.
        ValueError: there is no such signal, or nobody can handle it.
    """
    import signal

    global _valid_signums
    if not _valid_signums:
        _valid_signums = frozenset(map(int, signal.valid_signals()))
    signum = to_index(what, "signum", value)
    if signum not in _valid_signums:
        raise ValueError(f"{what}: signum must be a valid signal, got {signum}")
    if signum in (signal.SIGKILL, signal.SIGSTOP):
        raise ValueError(f"{what}: signum must not be {signal.Signals(signum).name}")
    return signum


# -- the base ------------------------------------------------------------------------


class Watcher:
    """What all watchers have in common.

    It has no events of its own: it is the base of the types that have, and what to
    ask `isinstance` for.

    A watcher belongs to one loop for as long as it lives. While it is active or
    pending the loop holds it, so that nobody else has to for its callback to be
    called. It is equal to itself only, can be referred to weakly and subclassed,
    and can neither be copied nor pickled.

    A subclass that has an `__init__` of its own must call the one of its base. Until
    it has, the methods raise `Error`; so they do in a thread that does not run the
    loop, under `python -X dev`.
    """

    __slots__ = (
        "__weakref__",
        "_callback",
        "_data",
        "_loop",
        "_memory",
        "_priority",
        "_ptr",
        "_queue",
        "_slot",
    )

    kinds: ClassVar[dict[str, type[Watcher]]] = {}

    _struct: ClassVar[Any]
    _make_struct: ClassVar[Any]
    _set_struct: ClassVar[Any]

    _loop: Loop
    _queue: Queue
    _callback: Callable[..., object]
    _data: Any
    # For the struct, when that is made.
    _priority: int
    # libev's struct, with the shim's head.
    _memory: Any
    # The same once libev is to know the watcher, and NULL until then.
    _ptr: Any
    # 0 for one that is neither active nor pending.
    _slot: int

    def __init_subclass__(
        cls, kind: str | None = None, struct: str | None = None, **kwargs: Any
    ) -> None:
        """Make a watcher type of a class with a `kind`, the name of its factory.

        Args:
            kind: the name of the loop's factory method.
            struct: the name of the row in libev/cdef.h, if it is another.
        """
        super().__init_subclass__(**kwargs)
        if kind is None:
            if cls.__init__.__module__ != __name__ and not hasattr(cls, "__getattr__"):
                # Not in Watcher: it makes all attributes slow. As an assignment,
                # pyright would allow every name of all watchers.
                type.__setattr__(cls, "__getattr__", _missing)
            return
        struct = struct or kind
        Watcher.kinds[kind] = cls
        # An array of one: one allocation, where a pointer to a struct is two.
        cls._struct = ffi.typeof(f"struct mood_{struct}[1]")
        cls._make_struct = getattr(lib, f"mood_{struct}_make")
        cls._set_struct = getattr(lib, f"mood_{struct}_set", None)

    def __init__(
        self,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_init, ev_set_priority
        """
        self._configure(loop, callback, data, priority)

    def _configure(self, loop: Any, callback: Any, data: Any, priority: Any) -> None:
        """The part of `__init__` that all types share. It raises or does it all."""
        if not callable(callback):
            callback = self._check_callback(type(self).__name__, callback)
        try:
            queue = loop._queue
            # A watcher has a queue as well, and no struct of its own.
            if queue.__class__ is not Queue or queue.c is not loop._c:
                raise AttributeError
        except AttributeError:
            raise TypeError(
                f"{type(self).__name__}: loop must be a Loop, got {loop!r}"
            ) from None
        if not queue.open:
            raise refused(type(self).__name__, lib.MOOD_CLOSED)
        if priority is not _NO_PRIORITY:
            # By identity: 0.0 and "" are false as well.
            priority = _clamp(to_int(type(self).__name__, "priority", priority))
        # Not when it is first needed: a signal's handler, or a `__del__`, could need it
        # while that is done, and of two structs one goes.
        struct = _new(self._struct)
        # A factory has set it, since to find out that nobody has takes long.
        if hasattr(self, "_memory"):
            memory = self._memory
            if memory is not None and self._queue is not queue:
                self._check_movable()
            while memory is not None:
                self._discard()
                if self._memory is memory:
                    break
                # A signal's handler has done so as well: there is another struct.
                memory = self._memory
        # In this order: what was there before can be the last to refer to something
        # whose `__del__` starts this very watcher, and that is to start the new struct.
        self._slot = 0
        self._ptr = _NULL
        self._memory = struct
        self._queue = queue
        self._priority = priority
        self._loop = loop
        self._callback = callback
        self._data = data

    @staticmethod
    def _check_callback(what: str, callback: object) -> Any:
        return to_callback(what, callback)

    def _check_movable(self) -> None:
        """Before `__init__` for another loop, where its slot is a stranger's number.

        A `__del__` or a signal's handler can come to it in the middle of a method,
        which then goes on with the slot and the queue that it had.

        Raises:
            Error: such a method is under way.
        """
        frame: FrameType | None = sys._getframe(1)
        own = True
        while frame is not None:
            module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
            if module == __name__ and not own and name not in _SLOTLESS:
                busy = frame.f_locals.get("self") is self
            else:
                busy = (
                    frame.f_code in _FREEING
                    and frame.f_locals["self"] is self._queue
                    and self._slot != 0
                )
            if busy:
                raise Error(
                    f"{type(self).__name__}: cannot init a watcher for another loop "
                    "in the middle of one of its methods"
                )
            own = own and (module != __name__ or name != "__init__")
            frame = frame.f_back

    def _discard(self) -> None:
        """Before `__init__` is done again: nothing can start the old struct then."""
        # In its last event it has its slot still.
        slot = self._slot
        result = lib.mood_discard(self._memory, self._queue.position())
        self._check_idle("init", result)
        if result:
            self._settle("__init__", result, slot)

    def _is_initialised(self) -> bool:
        try:
            # Past _missing.
            _ptr_of(self)
        except AttributeError:
            return False
        return True

    # -- the struct

    def _make(self, slot: int) -> int:
        """Make the struct, and with a slot, start it. Returns what the shim does."""
        self._ptr = ptr = self._memory
        return self._make_struct(  # type: ignore[no-any-return]
            ptr, self._queue.c, slot, self._priority, *self._parameters()
        )

    def _parameters(self) -> tuple[Any, ...]:
        """What the type's row in libev/cdef.h says that it is set to."""
        return ()

    def _set(self, *parameters: Any) -> None:
        """Set the struct, if there is one, to other parameters."""
        error = self._set_struct(self._ptr, *parameters)
        if error:
            self._check_set(error)

    def _made(self) -> Any:
        """The struct, made now if it was not.

        Raises:
            Error: this comes in between while `__init__` is done again.
        """
        ptr = self._ptr
        while not lib.mood_made(ptr):
            error = self._make(0)
            if error and self._ptr is ptr is not _NULL:
                raise refused(type(self).__name__, error)
            ptr = self._ptr
        return ptr

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {type(self).__name__!r} objects")

    def __repr__(self) -> str:
        words = [type(self).__name__]
        if self._is_initialised():
            words += self._details()
            if self.callback is not None:
                from mood_event._naming import name_of

                words.append(f"callback={name_of(self.callback)}")
            if self.active and not self.keepalive:
                words.append("keepalive=False")
            words += [name for name in ("active", "pending") if getattr(self, name)]
        else:
            words.append("not initialised")
        return f"<{' '.join(words)}>"

    def _details(self) -> list[str]:
        """What tells this watcher from others of its type, for `repr`."""
        return []

    def _check_idle(self, verb: str, error: int) -> None:
        """Raise what it is to the caller that the shim wants an idle watcher."""
        if error in _ONLY_WHEN_IDLE:
            raise Error(
                f"{type(self).__name__}: cannot {verb} a watcher while it is "
                f"{_ONLY_WHEN_IDLE[error]}"
            )

    def _check_set(self, error: int) -> None:
        """Raise what an error of `_set_struct` is; without a struct, it is none."""
        self._check_idle("set", error)
        if error != _UNMADE:
            raise self._refused("set", error)

    def _refused(self, method: str, code: int) -> Exception:
        return refused(f"{type(self).__name__}.{method}", code)

    # -- methods

    def start(self) -> None:
        """Start (activate) the watcher: only an active one receives events.

        Nothing happens if it is active already. A Timer, Periodic or Scheduler that
        is started outside of `Loop.start` brings the loop's time up to date first.

        Raises:
            Error: the loop is closed, or one of the reasons that the type has.
            OSError: a descriptor was closed, or there are no more to be had.
            MemoryError: there is none to set aside for libev.

        libev: ev_TYPE_start
        """
        slot = self._slot
        if slot:
            error = _start(self._ptr, 0)
            if error and self._must_repeat("start", slot, 0, error):
                Watcher.start(self)
            return
        # Queue.take, without the call.
        queue = self._queue
        try:
            slot = queue.free.pop()
        except IndexError:
            slot = queue.new_slot()
        if self._slot:
            queue.free.append(slot)
            Watcher.start(self)
            return
        queue.held[slot] = self
        self._slot = slot
        ptr = self._ptr
        error = self._make(slot) if ptr is _NULL else _start(ptr, slot)
        if (error or self._slot != slot) and self._must_repeat("start", 0, slot, error):
            Watcher.start(self)

    def stop(self) -> None:
        """Stop the watcher, active or not, and clear its pending event.

        Afterwards it is neither active nor pending, and its callback is not called
        any more.

        Raises:
            Error: the loop is closed.

        libev: ev_TYPE_stop
        """
        slot = self._slot
        result = _stop(self._ptr)
        if 0 < result < _FORGOTTEN and slot and self._slot == slot:
            # Queue.release, without the call.
            queue = self._queue
            self._slot = 0
            queue.held[slot] = None
            (queue.free if result == _LET_GO else queue.later).append(slot)
        elif result:
            self._settle("stop", result, slot)

    def _must_repeat(self, method: str, had: int, slot: int, result: int) -> bool:
        """Look after the slot that C was given for what then failed, or lost it.

        Args:
            method: what is to be done, for an exception.
            had: the slot that the watcher had before, or 0.
            slot: the one that it took for this, and that C was given, or 0.
            result: what the shim's function has returned.

        Returns:
            Whether that function has to be called again.

        Raises:
            Error, OSError, MemoryError: the shim refuses.
        """
        queue = self._queue
        if result == _UNMADE:
            # An interrupt has left it like that, or is just between two steps.
            result = self._make(0)
            if not result:
                queue.release(self, slot)
                return True
        if result == _UNHELD:
            if had and self._slot == had:
                # Whoever is between taking and using this slot, or between having
                # it let go of and freeing it, goes on to free it.
                self._slot = 0
            queue.release(self, slot)
            return True
        if result == _DELIVERED:
            queue.put_off(self, slot)
            return True
        if result == lib.MOOD_STRANGE and queue.recover(self, slot):
            return True
        if result < 0:
            if self._slot != (had or slot):
                queue.release(self, slot)
                return True
            self._release_if_idle(slot)
            raise self._refused(method, result)
        if slot and self._slot != slot:
            queue.reconcile(self, slot)
        return False

    def _reset(self, reset: Callable[[Any, int], int]) -> None:
        """Reset, by a function of the shim, one that may not have a slot."""
        queue = self._queue
        ptr = self._made()
        had = self._slot
        slot = 0 if had else queue.take(self)
        result = reset(ptr, slot)
        if (result < 0 or (slot and self._slot != slot)) and self._must_repeat(
            "reset", had, slot, result
        ):
            Watcher._reset(self, reset)
        elif result:
            self._settle("reset", result, had or slot)

    def _settle(self, method: str, result: int, slot: int) -> None:
        """Do what the result of a shim function that can stop a watcher asks for.

        Args:
            method: what was done, for an exception.
            result: what the shim's function has returned.
            slot: what the watcher had before, or 0: nobody has looked.
        """
        queue = self._queue
        if result == _UNMADE:
            # libev knows nothing of it.
            result = lib.mood_refusal(queue.c) or (_LET_GO if slot else 0)
        if result < 0:
            raise self._refused(method, result)
        if result >= _FORGOTTEN:
            queue.forget(result)
        if result & _LET_GO:
            later = result & lib.MOOD_LATER
            had = slot and self._slot == slot
            if slot:
                queue.release(self, slot, later)
            if not had and not self._release_if_idle(self._slot, later):
                # It has got another one since, and what it had is still held.
                queue.sweep()

    def _halt(self) -> None:
        """Stop, whatever a subclass makes of `stop`, unless the loop is closed."""
        slot = self._slot
        result = _stop(self._ptr)
        if result > 0:
            self._settle("stop", result, slot)

    def _release_if_idle(self, slot: int, later: int = 0) -> bool:
        if not slot or not lib.mood_retirable(self._ptr):
            return False
        self._queue.release(self, slot, later)
        return True

    def invoke(self, revents: int, /) -> None:
        """Call the callback now with `revents`, pending or not.

        An exception has the fate it has in a loop: a plain one is reported, a
        fatal one is raised from here, and every run of the loop is broken.

        Args:
            revents: a set of EV_* bits.

        Raises:
            TypeError, OverflowError: `revents` is no C int.
            Error: the loop is closed.
            BaseException: what left the callback and was fatal.

        libev: ev_invoke
        """
        queue = self._queue
        revents = to_int(f"{type(self).__name__}.invoke", "revents", revents)
        if not queue.open:
            raise self._refused("invoke", lib.MOOD_CLOSED)
        kept = queue.kept
        if revents & EV_ERROR:
            queue.keep(watcher_error(self, 0), self)
            self._halt()
        else:
            queue.call(self._callback, self, revents)
        if kept is None:
            queue.raise_kept()

    def clear(self) -> int:
        """Clear the pending event: the callback is not called for it.

        Returns:
            Its revents, a set of EV_* bits, as if the callback had been invoked;
            0 if none was pending.

        Raises:
            Error: the loop is closed.

        libev: ev_clear_pending
        """
        revents = _new("int *")
        slot = self._slot
        result = lib.mood_clear(self._ptr, self._queue.position(), revents)
        if result:
            self._settle("clear", result, slot)
        return revents[0]  # type: ignore[no-any-return]

    def feed(self, revents: int, /) -> None:
        """Make the watcher pending, as if `revents` had happened to it.

        It need not be active. If it is pending already, the bits are added.

        Args:
            revents: a set of EV_* bits.

        Raises:
            TypeError, OverflowError: `revents` is no C int.
            Error: the loop is closed.
            MemoryError: there is none to set aside for libev.

        libev: ev_feed_event
        """
        revents = to_int(f"{type(self).__name__}.feed", "revents", revents)
        ptr = self._made()
        queue = self._queue
        had = self._slot
        slot = 0 if had else queue.take(self)
        error = lib.mood_feed(ptr, slot, revents)
        if (error or (slot and self._slot != slot)) and self._must_repeat(
            "feed", had, slot, error
        ):
            Watcher.feed(self, revents)

    # -- attributes

    @property
    def loop(self) -> Loop:
        """The Loop responsible for the watcher (read only)."""
        return self._loop

    @property
    def callback(self) -> Callable[[Self, int], object]:
        """Called as callback(watcher, revents) for an event.

        What it returns does not matter. An Exception that leaves it goes to
        `sys.unraisablehook` and the loop goes on, unless the callback is marked with
        `fatal`, or `Loop.debug` or `Loop.callback` is set. Any other BaseException
        ends the loop.

        Raises:
            TypeError: set to something that is not callable.
        """
        return self._callback

    @callback.setter
    def callback(self, callback: Callback[Self]) -> None:
        self._callback = self._check_callback(type(self).__name__, callback)

    @property
    def data(self) -> Any:
        """Anything the program wants to attach to the watcher."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = data

    @property
    def priority(self) -> int:
        """From EV_MINPRI to EV_MAXPRI: pending watchers with more come first.

        0 if nothing was said. What is outside is clamped.

        Raises:
            TypeError, OverflowError: set to no C int.
            Error: set while the watcher is active or pending.

        libev: ev_priority, ev_set_priority
        """
        return lib.mood_priority(self._made())  # type: ignore[no-any-return]

    @priority.setter
    def priority(self, priority: int) -> None:
        what = type(self).__name__
        priority = _clamp(to_int(what, "priority", priority))
        ptr = self._made()
        error = lib.mood_set_priority(ptr, priority, self._queue.position())
        self._check_idle("set the priority of", error)
        if error:
            raise refused(f"{what}.priority", error)

    @property
    def active(self) -> bool:
        """Whether the watcher has been started and not been stopped (read only).

        libev: ev_is_active
        """
        return bool(_is_active(self._ptr))

    @property
    def pending(self) -> bool:
        """Whether an event waits for the callback to be called (read only).

        libev: ev_is_pending
        """
        return bool(_is_pending(self._ptr, self._queue.position()))

    @property
    def keepalive(self) -> bool:
        """Whether the active watcher keeps the loop running: True at first.

        False is what `Loop.unref` after starting and `Loop.ref` before stopping
        are for, without their pitfalls: it may be set at any time, and lasts.

        Raises:
            Error: set after the loop was closed.

        libev: ev_ref, ev_unref
        """
        return bool(lib.mood_keepalive(self._made()))

    @keepalive.setter
    def keepalive(self, keepalive: bool) -> None:
        error = lib.mood_set_keepalive(self._made(), bool(keepalive))
        if error:
            raise self._refused("keepalive", error)


def _missing(self: Watcher, name: str) -> Any:
    """The `__getattr__` of a subclass that may forget to call `__init__`."""
    if name == "_memory":
        # __init__ asks for it.
        return
    ours = [cls for cls in type(self).__mro__ if cls.__module__ == __name__]
    if any(name in vars(cls).get("__slots__", ()) for cls in ours):
        raise Error(
            f"{type(self).__name__}: the watcher is not initialised: "
            "__init__ of its base class was not called"
        )
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_ptr_of: Any = vars(Watcher)["_ptr"].__get__

# These go on without a slot: one ends with the callback, and two are around a method.
_SLOTLESS = {"invoke", "checked", "wrapper"}

# What frees the slots of watchers that libev has let go of, one after the other.
_FREEING = {Queue.retire.__code__, Queue.sweep.__code__}

# The default of every `priority`.
_NO_PRIORITY = 0


def _clamp(priority: int) -> int:
    return min(max(priority, EV_MINPRI), EV_MAXPRI)


# -- the types ------------------------------------------------------------------------


class Io(Watcher, kind="io"):
    """Watches a file descriptor: is it readable, is it writable?

    The callback receives EV_READ, EV_WRITE or both, in each iteration for as long as
    the descriptor is ready (level-triggered). Use non-blocking descriptors: a callback
    can come without there being data.
    """

    __slots__ = ("_events", "_fd")

    _fd: int
    _events: int

    def __init__(
        self,
        fd: FileDescriptor,
        events: int,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            fd: an open file descriptor, or an object with `fileno()`.
            events: EV_READ, EV_WRITE or EV_READ | EV_WRITE.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `fd` is negative, as that of a closed socket, or `events` is
                another mask.
            OverflowError: a number does not fit in a C int.
            OSError: `fd` is closed.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_io_init
        """
        fd = to_descriptor("Io", fd)
        events = to_events("Io", events)
        check_open("Io", fd)
        self._configure(loop, callback, data, priority)
        self._fd = fd
        self._events = events

    def _parameters(self) -> tuple[Any, ...]:
        return self._fd, self._events

    def set(self, fd: FileDescriptor, events: int, /) -> None:
        """Watch another descriptor, or for other events.

        Args:
            fd: an open file descriptor, or an object with `fileno()`.
            events: EV_READ, EV_WRITE or EV_READ | EV_WRITE.

        Raises:
            TypeError, ValueError, OverflowError, OSError: as for `Io`.
            Error: the watcher is active.

        libev: ev_io_set
        """
        number: Any = fd
        if (
            number.__class__ is not int
            or events.__class__ is not int
            or events not in _MASKS
            or not 0 <= number <= INT_MAX
        ):
            number = to_descriptor("Io.set", fd)
            events = to_events("Io.set", events)
        error = _io_set(self._ptr, number, events)
        if error:
            check_open("Io.set", number)
            self._check_set(error)
        self._fd = number
        self._events = events

    def _refused(self, method: str, code: int) -> Exception:
        # The shim's own codes are about the watcher, an errno about the descriptor.
        what = f"{method}: fd {self._fd}" if code > lib.MOOD_CLOSED else method
        return super()._refused(what, code)

    def _watch(self, events: int) -> None:
        """Start to watch for these events, for aio.py. Called while it is inactive."""
        queue = self._queue
        had = self._slot
        slot = 0 if had else queue.take(self)
        error = _io_watch(self._ptr, slot, events)
        if (error or (slot and self._slot != slot)) and self._must_repeat(
            "start", had, slot, error
        ):
            self._watch(events)
        self._events = events

    def _modify(self, events: int) -> None:
        """Watch for other events, active or not, for aio.py."""
        error = _io_modify(self._ptr, events)
        if error == lib.MOOD_STRANGE:
            self.set(self._fd, events)
            self.start()
        elif error:
            check_open("Io.set", self._fd)
            raise self._refused("set", error)
        self._events = events

    @property
    def fd(self) -> int:
        """The descriptor that is watched (read only)."""
        return self._fd

    @property
    def events(self) -> int:
        """What it is watched for: EV_READ, EV_WRITE or both (read only)."""
        return self._events

    def _details(self) -> list[str]:
        names = {EV_READ: "READ", EV_WRITE: "WRITE"}
        events = [name for bit, name in names.items() if self.events & bit]
        return [f"fd={self.fd}", "|".join(events)]


class Timer(Watcher, kind="timer"):
    """Calls back after some time, once or again and again.

    It counts real time, whatever happens to the system's clock. A repeating timer
    does not drift; one that falls behind is called once per iteration. The callback
    receives EV_TIMER, never before the time is over.

    One that does not repeat and has timed out has no time left, and is due at once if
    it is started again: give it a time by `set`, or have a repeat and use `reset`.
    """

    __slots__ = ("_after", "_repeat")

    _after: float
    _repeat: float

    def __init__(
        self,
        after: float,
        repeat: float,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            after: seconds until the first event; with 0.0 or less it is at once.
            repeat: seconds between that and each further one; 0.0: there is none.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `repeat` is negative, or a time is not finite.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_timer_init
        """
        if (
            after.__class__ is not float
            or repeat.__class__ is not float
            # Of what is finite the difference to itself is 0.0, of the rest NaN.
            or after - after != repeat - repeat
            or repeat < 0.0
        ):
            after = to_seconds("Timer", "after", after)
            repeat = to_interval("Timer", "repeat", repeat)
        self._configure(loop, callback, data, priority)
        self._after = after
        self._repeat = repeat

    def _make(self, slot: int) -> int:
        # Watcher._make, at once: timers are made and started by the thousand.
        self._ptr = ptr = self._memory
        return _timer_make(  # type: ignore[no-any-return]
            ptr, self._queue.c, slot, self._priority, self._after, self._repeat
        )

    def set(self, after: float, repeat: float, /) -> None:
        """Set the times anew, for the next `start`.

        Args:
            after: seconds until the first event.
            repeat: seconds between that and each further one; 0.0: there is none.

        Raises:
            TypeError, ValueError: as for `Timer`.
            Error: the watcher is active.

        libev: ev_timer_set
        """
        after = to_seconds("Timer.set", "after", after)
        repeat = to_interval("Timer.set", "repeat", repeat)
        self._set(after, repeat)
        self._after = after
        self._repeat = repeat

    def reset(self) -> None:
        """Put the timer off: it comes `repeat` seconds from now.

        It is started if it was not active; one without a repeat is stopped instead, as
        if it had timed out. A pending event is cleared.

        Raises:
            Error: the loop is closed.
            MemoryError: there is none to set aside for libev.

        libev: ev_timer_again
        """
        result = _timer_again(self._ptr)
        if result == _UNHELD:
            Watcher._reset(self, lib.mood_timer_reset)
        elif result:
            self._settle("reset", result, 0)

    @property
    def repeat(self) -> float:
        """Seconds between two events; 0.0: there is one only.

        It is used the next time that the timer times out or is reset.

        Raises:
            TypeError: set to no number.
            ValueError: set to a negative number, NaN or an infinity.
        """
        return self._repeat

    @repeat.setter
    def repeat(self, repeat: float) -> None:
        repeat = to_interval("Timer", "repeat", repeat)
        self._made()[0].ev.repeat = repeat
        self._repeat = repeat

    @property
    def remaining(self) -> float:
        """Seconds until the timer times out, counted from the loop's time.

        Of an inactive timer it is the time that `start` will count from
        (read only).

        >>> with Loop() as loop:
        ...     timer = loop.timer(5.0, 7.0, print)
        ...     print(timer.remaining)
        ...     timer.start()
        ...     print(round(timer.remaining, 3))
        ...     timer.reset()
        ...     print(round(timer.remaining, 3))
        5.0
        5.0
        7.0

        libev: ev_timer_remaining
        """
        return lib.mood_timer_remaining(self._made())  # type: ignore[no-any-return]

    def _details(self) -> list[str]:
        return [f"remaining={self.remaining:g}", f"repeat={self.repeat:g}"]


class _AbsoluteTimer(Watcher):
    """What Periodic and Scheduler share: both are an ev_periodic."""

    __slots__ = ()

    def reset(self) -> None:
        """Stop the watcher and start it again: its next time is found anew.

        A pending event is cleared. A watcher that is not active is started.

        Raises:
            Error: the loop is closed.
            MemoryError: there is none to set aside for libev.

        libev: ev_periodic_again
        """
        self._reset(lib.mood_periodic_reset)

    @property
    def at(self) -> float:
        """When the watcher triggers next, in seconds since the epoch (read only).

        0.0 before the first `start`; of a watcher that was stopped, as it was then.

        libev: ev_periodic_at
        """
        return lib.mood_periodic_at(self._made())  # type: ignore[no-any-return]

    def _details(self) -> list[str]:
        return [f"at={self.at:.6f}"]


class Periodic(_AbsoluteTimer, kind="periodic"):
    """Calls back at a time of the system's clock, once or at regular intervals.

    With an `interval` of 0.0 that is at `offset`, once: an absolute timer. With
    any other it is whenever the time is `offset` plus a multiple of `interval`.
    It follows the system's clock when that is set. The callback receives EV_PERIODIC,
    never before the clock shows the time.
    """

    __slots__ = ("_interval", "_offset")

    _offset: float
    _interval: float

    def __init__(
        self,
        offset: float,
        interval: float,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            offset: seconds since the epoch; with an interval, from 0.0 to it.
            interval: seconds, 0.0 or at least 1/8192.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: a time is outside its range, or not finite.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_periodic_init
        """
        offset, interval = self._times("Periodic", offset, interval)
        self._configure(loop, callback, data, priority)
        self._offset = offset
        self._interval = interval

    def _parameters(self) -> tuple[Any, ...]:
        return self._offset, self._interval

    @staticmethod
    def _times(what: str, offset: float, interval: float) -> tuple[float, float]:
        offset = to_seconds(what, "offset", offset)
        interval = to_interval(what, "interval", interval)
        if interval > 0.0:
            if interval < _SHORTEST_INTERVAL:
                raise ValueError(
                    f"{what}: interval must be 0.0 or >= 1/8192, got {interval!r}"
                )
            if not 0.0 <= offset <= interval:
                raise ValueError(
                    f"{what}: offset must be from 0.0 to interval, {interval!r}, "
                    f"got {offset!r}"
                )
        return offset, interval

    def set(self, offset: float, interval: float, /) -> None:
        """Set the times anew, for the next `start`.

        Args:
            offset: seconds since the epoch; with an interval, from 0.0 to it.
            interval: seconds, 0.0 or at least 1/8192.

        Raises:
            TypeError, ValueError: as for `Periodic`.
            Error: the watcher is active.

        libev: ev_periodic_set
        """
        offset, interval = self._times("Periodic.set", offset, interval)
        self._set(offset, interval)
        self._offset = offset
        self._interval = interval

    @property
    def offset(self) -> float:
        """Seconds since the epoch, or with an interval, from 0.0 to it.

        It is used when the watcher is next triggered or reset.

        Raises:
            TypeError, ValueError: set to what `Periodic` would not take.
        """
        return self._offset

    @offset.setter
    def offset(self, offset: float) -> None:
        offset, _ = self._times("Periodic", offset, self._interval)
        self._made()[0].ev.offset = offset
        self._offset = offset

    @property
    def interval(self) -> float:
        """Seconds between two events; 0.0: there is one only.

        It is used when the watcher is next triggered or reset.

        Raises:
            TypeError, ValueError: set to what `Periodic` would not take.
        """
        return self._interval

    @interval.setter
    def interval(self, interval: float) -> None:
        _, interval = self._times("Periodic", self._offset, interval)
        self._made()[0].ev.interval = interval
        self._interval = interval

    def _details(self) -> list[str]:
        times = [f"offset={self.offset:g}", f"interval={self.interval:g}"]
        return [*times, *super()._details()]


def _no_callback(watcher: Watcher, revents: int) -> None:
    """The callback of a Scheduler that has none."""


def _accepts_reschedule(init: F) -> F:
    """Let mood.event 1.1's keyword `reschedule` stand for `scheduler`."""

    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if "reschedule" in kwargs and "scheduler" not in kwargs:
            kwargs["scheduler"] = kwargs.pop("reschedule")
        return init(self, *args, **kwargs)

    return disguise(wrapper, init)  # type: ignore[no-any-return]


class Scheduler(_AbsoluteTimer, kind="scheduler", struct="periodic"):
    """Calls back at times that a callable gives.

    The callable is asked for the next time when the watcher starts, whenever it
    has triggered, just before the callback is called, and when the system's clock was
    set. It must not change the loop: what would do so raises `Error` there. If it
    raises, or gives no time, the watcher is stopped with a RuntimeWarning, and the
    exception has the fate of one from a callback. The callback receives EV_PERIODIC.
    """

    __slots__ = ("_scheduler",)

    _scheduler: Callable[..., float]

    @_accepts_reschedule
    def __init__(
        self,
        scheduler: Callable[[Self, float], float],
        loop: Loop,
        callback: Callable[[Self, int], object] | None = None,
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            scheduler: called as scheduler(watcher, now); returns the time of the
                next event, not before now. Both are seconds since the epoch.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents), if not None.
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_periodic_init
        """
        scheduler = self._check_scheduler(scheduler)
        self._configure(loop, callback, data, priority)
        self._scheduler = scheduler

    def _make(self, slot: int) -> int:
        error = super()._make(0)
        if not error:
            lib.mood_periodic_set_scheduler(self._ptr)
        if error or not slot:
            return error
        # To start it is to ask it for a time, for which it has to be found by its slot.
        if self._slot != slot:
            return _UNHELD  # type: ignore[no-any-return]
        return _start(self._ptr, slot)  # type: ignore[no-any-return]

    def _parameters(self) -> tuple[Any, ...]:
        return 0.0, 0.0

    @staticmethod
    def _check_callback(what: str, callback: object) -> Any:
        return _no_callback if callback is None else to_callback(what, callback)

    @staticmethod
    def _check_scheduler(scheduler: Any) -> Any:
        if not callable(scheduler):
            raise TypeError(f"Scheduler: scheduler must be callable, got {scheduler!r}")
        return scheduler

    def start(self) -> None:
        """Start the watcher; asks for its first time.

        Raises:
            Error: the loop is closed.
            BaseException: what the callable raised, where that is fatal and the
                loop is not running.

        libev: ev_periodic_start
        """
        super().start()
        self._settle_failed()

    def reset(self) -> None:
        """Ask for the time of the next event anew; start the watcher, if need be.

        Raises:
            Error, BaseException: as for `start`.

        libev: ev_periodic_again
        """
        super().reset()
        self._settle_failed()

    def _settle_failed(self) -> None:
        queue = self._queue
        if queue.failed:
            queue.settle_failed()
            if queue.kept is not None and not queue.entered:
                queue.raise_kept()

    def _next(self, now: float) -> float:
        """What the callable says, if that is a time from now on."""
        at = self._scheduler(self, now)
        seconds = to_seconds("Scheduler", "the returned time", at)
        if seconds < now:
            raise Error(f"Scheduler: the returned time must be >= {now!r}, got {at!r}")
        return seconds

    def _fail(self) -> None:
        """Stop after a failure: an event that is due is still delivered."""
        slot = self._slot
        if not lib.mood_periodic_fail(self._ptr):
            self._release_if_idle(slot)
            from warnings import warn

            warn(f"{self!r} has been stopped", RuntimeWarning, stacklevel=2)

    @property
    def scheduler(self) -> Callable[[Self, float], float]:
        """Called as scheduler(watcher, now) for the time of the next event.

        Another one is asked when the watcher is next triggered or reset. mood.event
        1.1 called this, and the argument, `reschedule`, which works as well.

        Raises:
            TypeError: set to something that is not callable.
        """
        return self._scheduler

    @scheduler.setter
    def scheduler(self, scheduler: Callable[[Self, float], float]) -> None:
        self._scheduler = self._check_scheduler(scheduler)

    # mood.event 1.1's name for it.
    reschedule = scheduler

    @property  # type: ignore[override]
    # Only Scheduler and Embed take None.
    def callback(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> Callable[[Self, int], object] | None:
        """Called as callback(watcher, revents) for an event; None: nothing is.

        Raises:
            TypeError: set to something that is neither callable nor None.
        """
        return None if self._callback is _no_callback else self._callback

    @callback.setter
    def callback(self, callback: Callable[[Self, int], object] | None) -> None:
        self._callback = self._check_callback("Scheduler", callback)

    def _details(self) -> list[str]:
        from mood_event._naming import name_of

        return [f"scheduler={name_of(self._scheduler)}", *super()._details()]


class Signal(Watcher, kind="signal"):
    """Watches for a signal: the callback is called by the loop, not asynchronously.

    While a watcher of a signal is active, Python's own handler of it is not
    called; after the last one has stopped, it is again. All watchers of a signal
    must belong to the same loop: `start` raises `Error` on another one. The callback
    receives EV_SIGNAL, once for all that have come since the last time.
    """

    __slots__ = ("_signum",)

    _signum: int

    def __init__(
        self,
        signum: int,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            signum: the signal's number, one that can be handled.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `signum` is no signal, or SIGKILL or SIGSTOP.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_signal_init
        """
        signum = to_signum("Signal", signum)
        self._configure(loop, callback, data, priority)
        self._signum = signum

    def _parameters(self) -> tuple[Any, ...]:
        return (self._signum,)

    def set(self, signum: int, /) -> None:
        """Watch for another signal.

        Args:
            signum: the signal's number, one that can be handled.

        Raises:
            TypeError, ValueError: as for `Signal`.
            Error: the watcher is active.

        libev: ev_signal_set
        """
        signum = to_signum("Signal.set", signum)
        self._set(signum)
        self._signum = signum

    @property
    def signum(self) -> int:
        """The signal's number (read only)."""
        return self._signum

    def _details(self) -> list[str]:
        from signal import Signals

        signum = self.signum
        try:
            return [Signals(signum).name]
        except ValueError:
            # A real-time signal between SIGRTMIN and SIGRTMAX.
            return [f"signum={signum}"]


class Child(Watcher, kind="child"):
    """Watches for a child process to end, or with `trace`, to stop or go on.

    It works on the default loop alone. While one is active the loop handles
    SIGCHLD and waits for the processes that are watched, for no others; a watcher
    of pid 0 is for any child, and takes the status of every one. It stays active
    after its process has ended. `start` raises `Error` while a Signal of another loop
    watches SIGCHLD. The callback receives EV_CHILD, with `rpid` and `rstatus` set.
    """

    __slots__ = ("_pid", "_trace")

    _pid: int
    _trace: bool

    def __init__(
        self,
        pid: int,
        trace: bool,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            pid: the process to watch; 0: any child.
            trace: call back as well when it stops and when it goes on.
            loop: the default loop.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: libev invokes Child watchers at EV_MAXPRI, whatever is said.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `pid` is negative.
            OverflowError: a number does not fit in a C int.
            Error: the loop is not the default loop, or closed, or the watcher is
                active or pending, or is to change loops in the middle of one of its
                methods.

        libev: ev_child_init
        """
        pid = self._check_pid("Child", pid)
        if getattr(loop, "default", True) is False:
            raise Error("Child watchers are only supported in the 'default loop'")
        trace = bool(trace)
        self._configure(loop, callback, data, priority)
        self._pid = pid
        self._trace = trace

    def _parameters(self) -> tuple[Any, ...]:
        return self._pid, self._trace

    @staticmethod
    def _check_pid(what: str, pid: int) -> int:
        number = to_int(what, "pid", pid)
        if number < 0:
            raise ValueError(f"{what}: pid must be >= 0, got {number}")
        return number

    def set(self, pid: int, trace: bool, /) -> None:
        """Watch another process.

        Args:
            pid: the process to watch; 0: any child.
            trace: call back as well when it stops and when it goes on.

        Raises:
            TypeError, ValueError, OverflowError: as for `Child`.
            Error: the watcher is active.

        libev: ev_child_set
        """
        pid = self._check_pid("Child.set", pid)
        trace = bool(trace)
        self._set(pid, trace)
        self._pid = pid
        self._trace = trace

    @property
    def pid(self) -> int:
        """The process that is watched; 0: any child (read only)."""
        return self._pid

    @property
    def rpid(self) -> int:
        """The process of the last event; 0 before the first one.

        Raises:
            TypeError, OverflowError: set to no C int.
        """
        return self._made()[0].ev.rpid  # type: ignore[no-any-return]

    @rpid.setter
    def rpid(self, rpid: int) -> None:
        self._made()[0].ev.rpid = to_int("Child", "rpid", rpid)

    @property
    def rstatus(self) -> int:
        """Its status, as from `os.waitpid`; 0 before the first event.

        `os.waitstatus_to_exitcode` makes an exit code of it, or a negative signal
        number; with `trace`, ask `os.WIFSTOPPED` and `os.WIFCONTINUED` first.

        Raises:
            TypeError, OverflowError: set to no C int.
        """
        return self._made()[0].ev.rstatus  # type: ignore[no-any-return]

    @rstatus.setter
    def rstatus(self, rstatus: int) -> None:
        self._made()[0].ev.rstatus = to_int("Child", "rstatus", rstatus)

    def _details(self) -> list[str]:
        return [f"pid={self.pid}"]


class Stat(Watcher, kind="stat"):
    """Watches a path: the callback is called when what `os.lstat` says changes.

    The path need not exist: that it appears or disappears is a change as well. A
    path that is not there has an `st_nlink` of 0. Changes from `start` on count. The
    callback receives EV_STAT, with `attr` and `prev` set.
    """

    __slots__ = ("_interval", "_path", "_path_memory", "_path_ptr")

    _path: str | bytes
    _path_ptr: Any
    # The same, once libev reads it.
    _path_memory: Any
    _interval: float

    def __init__(
        self,
        path: StrOrBytesPath,
        interval: float,
        loop: Loop,
        callback: Callable[[Self, int], object],
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            path: what to watch; best an absolute path.
            interval: seconds between two looks, where the system does not tell of
                changes itself; 0.0, which is best: let libev choose. Less than about
                0.1 is taken for that.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `interval` is negative or not finite, or `path` has a NUL.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed, or the watcher is active or pending, or is to
                change loops in the middle of one of its methods.

        libev: ev_stat_init
        """
        path, encoded = self._check_path("Stat", path)
        interval = to_interval("Stat", "interval", interval)
        self._configure(loop, callback, data, priority)
        self._path_ptr = ffi.new("char[]", encoded)
        self._path = path
        self._interval = interval

    def _make(self, slot: int) -> int:
        self._path_memory = self._path_ptr
        return super()._make(slot)

    def _parameters(self) -> tuple[Any, ...]:
        return self._path_ptr, self._interval

    @staticmethod
    def _check_path(what: str, path: StrOrBytesPath) -> tuple[str | bytes, bytes]:
        try:
            path = os.fspath(path)
        except TypeError:
            raise TypeError(f"{what}: path must be a path, got {path!r}") from None
        encoded = os.fsencode(path)
        if b"\0" in encoded:
            raise ValueError(f"{what}: path must not contain a NUL, got {path!r}")
        return path, encoded

    def set(
        self,
        path: StrOrBytesPath,
        interval: float,
        /,
    ) -> None:
        """Watch another path.

        Args:
            path: what to watch.
            interval: seconds between two looks; 0.0: let libev choose.

        Raises:
            TypeError, ValueError: as for `Stat`.
            Error: the watcher is active.

        libev: ev_stat_set
        """
        path, encoded = self._check_path("Stat.set", path)
        interval = to_interval("Stat.set", "interval", interval)
        pointer = ffi.new("char[]", encoded)
        self._set(pointer, interval)
        # The old one only now: C had it until then.
        self._path_ptr = self._path_memory = pointer
        self._path = path
        self._interval = interval

    def stat(self) -> None:
        """Look at the path now, so that a change up to here is no event.

        Raises:
            Error: the loop is closed.

        libev: ev_stat_stat
        """
        error = lib.mood_stat_stat(self._made())
        if error:
            raise self._refused("stat", error)

    @property
    def path(self) -> str | bytes:
        """The path that is watched, a str or bytes as it was given (read only)."""
        return self._path

    @property
    def interval(self) -> float:
        """Seconds between two looks; 0.0: libev chooses (read only)."""
        return self._interval

    @property
    def attr(self) -> os.stat_result:
        """What `os.lstat` said last; all zeros before `start` (read only)."""
        return self._read(0)

    @property
    def prev(self) -> os.stat_result:
        """What it had said before the last change (read only)."""
        return self._read(1)

    def _read(self, prev: int) -> os.stat_result:
        numbers = _new("int64_t[16]")
        seconds = _new("double[3]")
        lib.mood_stat_read(self._made(), prev, numbers, seconds)
        values = list(numbers)
        names = ("st_rdev", "st_blocks", "st_blksize")
        extra: dict[str, Any] = dict(zip(names, values[10:13]))
        for name, second, nanosecond in zip("amc", seconds, values[13:]):
            extra[f"st_{name}time"] = second
            if (
                sys.implementation.name == "pypy"
            ):  # pragma: no cover: measured on CPython
                # There the attribute is computed, from seconds and this.
                extra[f"nsec_{name}time"] = nanosecond % 1_000_000_000
            else:
                extra[f"st_{name}time_ns"] = nanosecond
        return os.stat_result(values[:10], extra)

    def _details(self) -> list[str]:
        return [repr(self.path)]


class Idle(Watcher, kind="idle"):
    """Called whenever there is nothing better to do.

    That is: in each iteration in which no event of its own priority or a higher
    one is pending. While one is active, the loop does not block. The callback
    receives EV_IDLE.
    """

    __slots__ = ()


class Prepare(Watcher, kind="prepare"):
    """Called in each iteration, just before the loop waits for events.

    The callback receives EV_PREPARE. What it starts and stops is taken into account
    for the wait. It must not run the loop.
    """

    __slots__ = ()


class Check(Watcher, kind="check"):
    """Called in each iteration, just after the loop has waited for events.

    The callback receives EV_CHECK, before other watchers of the same or a lower
    priority are called for what has come. It must not run the loop.
    """

    __slots__ = ()


def _sweep(watcher: Embed, revents: int) -> None:
    """The callback of an Embed that has none."""
    watcher.sweep()


# What sweep() raises was fatal to the embedded loop.
fatal(_sweep)


class Embed(Watcher, kind="embed"):
    """Embeds a loop in another: its events are delivered while the other runs.

    The embedded loop's backend must be one of `embeddable_backends()`. Timers of
    the embedded loop do not wake the other one: only descriptors do. libev counts an
    active Embed as four references, so use `keepalive`, not `Loop.unref`, for one
    that is not to keep the loop running. A callback receives EV_EMBED.
    """

    __slots__ = ("_other",)

    _other: Loop

    def __init__(
        self,
        other: Loop,
        loop: Loop,
        callback: Callable[[Self, int], object] | None = None,
        data: Any = None,
        priority: int = 0,
    ) -> None:
        """Configure the watcher.

        Args:
            other: the Loop to embed.
            loop: the Loop responsible for the watcher.
            callback: called as callback(watcher, revents) when the embedded loop
                needs attention, for which `sweep` is to be called; None: the
                watcher calls it.
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: `other` is not embeddable, or embeds `loop`, or is `loop`; a
                loop is closed, or the watcher is active or pending, or is to change
                loops in the middle of one of its methods.

        libev: ev_embed_init
        """
        other = self._check_other("Embed", other, loop)
        self._configure(loop, callback, data, priority)
        self._other = other

    def _parameters(self) -> tuple[Any, ...]:
        return (self._other._queue.c,)

    @staticmethod
    def _check_callback(what: str, callback: object) -> Any:
        return _sweep if callback is None else to_callback(what, callback)

    @staticmethod
    def _check_other(what: str, other: Any, loop: Any) -> Any:
        queue = getattr(other, "_queue", None)
        if type(queue) is not Queue or isinstance(other, Watcher):
            raise TypeError(f"{what}: other must be a Loop, got {other!r}")
        if not queue.open:
            raise Error(f"{what}: other is closed")
        if not lib.mood_backend(queue.c) & lib.ev_embeddable_backends():
            raise Error("'other' must be embeddable")
        if _embeds(other, loop):
            raise Error(f"{what}: a loop cannot be embedded in itself")
        return other

    def set(self, other: Loop, /) -> None:
        """Embed another loop.

        Args:
            other: the Loop to embed.

        Raises:
            TypeError, Error: as for `Embed`.

        libev: ev_embed_set
        """
        other = self._check_other("Embed.set", other, self._loop)
        self._set(other._queue.c)
        self._other = other

    def start(self) -> None:
        """Start the watcher.

        Raises:
            Error: as for `Embed`, or another thread runs the embedded loop.

        libev: ev_embed_start
        """
        if not self.active:
            self._check_other("Embed.start", self._other, self._loop)
            self._other._check_thread("Embed.start")
        self._enter()
        try:
            super().start()
        finally:
            self._leave()

    def stop(self) -> None:
        """Stop the watcher, active or not, and clear its pending event.

        Raises:
            Error: the loop is closed.

        libev: ev_embed_stop
        """
        super().stop()
        self._leave()

    def _settle(self, method: str, result: int, slot: int) -> None:
        super()._settle(method, result, slot)
        self._leave()

    def _enter(self) -> None:
        """Be found by the embedded loop."""
        queue = self._other._queue
        if self not in queue.embeds:
            # In this order, and so below: C may count too many, and not too few.
            queue.c.embedders = len(queue.embeds) + 1
            queue.embeds.append(self)

    def _leave(self) -> None:
        """Do not be found by the embedded loop any more, once inactive."""
        queue = self._other._queue
        if self.active or self not in queue.embeds:
            return
        # Not by remove(): a signal's handler can have done it by now.
        queue.embeds[:] = [embed for embed in queue.embeds if embed is not self]
        queue.c.embedders = len(queue.embeds)
        if self.active:
            # And have started it.
            self._enter()

    def sweep(self) -> None:
        """Run the embedded loop once, without waiting.

        Raises:
            Error: the embedded loop is closed, or another thread runs it.
            BaseException: what was fatal to the embedded loop.

        libev: ev_embed_sweep
        """
        self._other._run("Embed.sweep", lib.EVRUN_NOWAIT)
        self._other._queue.raise_kept()

    @property
    def other(self) -> Loop:
        """The embedded Loop (read only)."""
        return self._other

    @property  # type: ignore[override]
    # Only Scheduler and Embed take None.
    def callback(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> Callable[[Self, int], object] | None:
        """Called as callback(watcher, revents); None: the watcher sweeps itself.

        Raises:
            TypeError: set to something that is neither callable nor None.
        """
        return None if self._callback is _sweep else self._callback

    @callback.setter
    def callback(self, callback: Callable[[Self, int], object] | None) -> None:
        self._callback = self._check_callback("Embed", callback)

    def _details(self) -> list[str]:
        return [f"other={self._other!r}"]


def _embeds(loop: Any, sought: Any) -> bool:
    """Whether `loop` is `sought`, or embeds it, however deeply."""
    if loop is sought:
        return True
    return any(
        _embeds(watcher._other, sought)
        for watcher in loop._queue.held
        if isinstance(watcher, Embed)
    )


class Fork(Watcher, kind="fork"):
    """Called in the child process, before the loop goes on there after a fork.

    That is in its first iteration there, before it waits and before Check watchers
    are called. It does so after `os.fork`, after `Loop.reset`, and after any fork with
    `EVFLAG_FORKCHECK`. The callback receives EV_FORK.
    """

    __slots__ = ()


class Cleanup(Watcher, kind="cleanup"):
    """Called when the loop is closed. It does not keep the loop running.

    The other watchers are stopped by then, and the loop still answers. The callback
    receives EV_CLEANUP. It is not called for a loop that is garbage, nor for one that
    is open when the program ends.
    """

    __slots__ = ()


class Async(Watcher, kind="async"):
    """Called after `send`, which other threads and signal handlers may call.

    The callback receives EV_ASYNC, once for all calls of `send` since the last time.
    """

    __slots__ = ()

    def _configure(self, loop: Any, callback: Any, data: Any, priority: Any) -> None:
        super()._configure(loop, callback, data, priority)
        # Not when it is first needed: that could be in two threads at once.
        self._made()

    def send(self) -> None:
        """Wake the loop, which calls the callback. From any thread.

        Several calls before the callback may be one event.

        Raises:
            Error: the loop is closed, or no Async watcher of it was ever active.

        libev: ev_async_send
        """
        error = _async_send(self._ptr)
        if error:
            raise self._refused("send", error)

    @property
    def sent(self) -> bool:
        """Whether the loop has yet to notice a `send` (read only).

        libev: ev_async_pending
        """
        return bool(lib.mood_async_sent(self._ptr))


# -- python -X dev -------------------------------------------------------------------


def check_thread(cls: type[Any], names: tuple[str, ...]) -> None:
    """Make methods of a class raise Error in a thread that must not call them.

    And attributes, where they are set. Done for `python -X dev`, once per class:
    otherwise it costs nothing.
    """
    for name in names:
        member = vars(cls).get(name)
        if not isinstance(member, property):
            if member is not None:
                setattr(cls, name, _checked(cls.__name__, name, member))
        elif member.fset is not None:
            setter = _checked(cls.__name__, name, member.fset)
            setattr(cls, name, member.setter(setter))


def _checked(owner: str, name: str, method: Any) -> Any:
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        loop = self._loop if isinstance(self, Watcher) else self
        loop._check_thread(f"{owner}.{name}")
        return method(self, *args, **kwargs)

    return disguise(checked, method)


if sys.flags.dev_mode:
    _classes: list[type[Any]] = [Watcher, _AbsoluteTimer, *Watcher.kinds.values()]
    for _kind in _classes:
        check_thread(
            _kind,
            (
                "start",
                "stop",
                "invoke",
                "clear",
                "feed",
                "set",
                "reset",
                "stat",
                "sweep",
                "priority",
                "keepalive",
                "repeat",
                "offset",
                "interval",
            ),
        )
