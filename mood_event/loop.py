"""The Loop, the default loop, and the module's functions.

Imported by the package for its names, and by nothing else. What a loop does with
events is in _dispatch.py, what it watches in watchers.py; here is what a program
says to a loop, and what a loop does to the process while it runs: the wakeup
descriptor for signals, the thread that owns it, forks, and the end.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import get_ident

from mood_event import constants
from mood_event._dispatch import (
    Queue,
    handle_signals,
    left_callback,
    living_queues,
    refused,
    running,
    trim,
)
from mood_event._dispatch import fatal as _fatal
from mood_event._ffi import lib
from mood_event.constants import (
    EV_CLEANUP,
    EVBREAK_ALL,
    EVBREAK_ONE,
    EVFLAG_AUTO,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
)
from mood_event.errors import Error
from mood_event.watchers import (
    Async,
    Check,
    Child,
    Cleanup,
    Embed,
    Fork,
    Idle,
    Io,
    Periodic,
    Prepare,
    Scheduler,
    Signal,
    Stat,
    Timer,
    Watcher,
    check_open,
    check_thread,
    disguise,
    to_descriptor,
    to_events,
    to_index,
    to_int,
    to_interval,
    to_seconds,
    to_signum,
)

# See _dispatch.py: these take long to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar, overload

    from typing_extensions import Self, TypeVarTuple, Unpack

    from mood_event.watchers import FileDescriptor, StrOrBytesPath

    Arguments = TypeVarTuple("Arguments")
    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "Loop",
    "abi_version",
    "backend_names",
    "default_loop",
    "embeddable_backends",
    "fatal",
    "feed_signal",
    "recommended_backends",
    "sleep",
    "supported_backends",
    "time",
]

_run = lib.mood_run
_run_directly = lib.mood_run_directly
_INDIRECT = lib.MOOD_INDIRECT
_ITERATIONS = frozenset((EVRUN_NOWAIT, EVRUN_ONCE))

# What the factories call. A name of the module's is found faster than an attribute.
_new = object.__new__
_io_init = Io.__init__
_timer_init = Timer.__init__
_periodic_init = Periodic.__init__
_scheduler_init = Scheduler.__init__
_signal_init = Signal.__init__
_child_init = Child.__init__
_stat_init = Stat.__init__
_idle_init = Idle.__init__
_prepare_init = Prepare.__init__
_check_init = Check.__init__
_embed_init = Embed.__init__
_fork_init = Fork.__init__
_cleanup_init = Cleanup.__init__
_async_init = Async.__init__

_BACKENDS = {
    name.partition("_")[2].lower(): getattr(constants, name)
    for name in vars(constants)
    if name.startswith("EVBACKEND_") and name not in ("EVBACKEND_ALL", "EVBACKEND_MASK")
}


def backend_names(backends: int) -> list[str]:
    """The names of a set of backends, "epoll" for EVBACKEND_EPOLL.

    Args:
        backends: a set of EVBACKEND_* bits.
    """
    return [name for name, bit in _BACKENDS.items() if backends & bit]


class Loop:
    """An event loop: it waits for events, and calls the watchers' callbacks.

    A loop belongs to the thread that runs it, and to one at a time. From others
    only `call_soon_threadsafe`, `Async.send` and `feed_signal` are allowed; under
    `python -X dev` every other method raises `Error` there.

    It is a context manager that closes it. A loop that is garbage is closed as
    well, without its Cleanup watchers being called, and with a ResourceWarning. It can
    be subclassed and referred to weakly, and can neither be copied nor pickled. A
    subclass that has an `__init__` of its own must call this one: until it has, the
    methods raise `Error`.
    """

    _default = False
    _is_exiting = False
    _slow_callback: float | None = 0.1
    _exception_handler: Any = None

    # Until the loop first runs in the main thread.
    _wakeup: tuple[int, int] | None = None
    _wakeup_installed = False

    # What there is nothing to do around, as libev/shim.h has it: no run that may
    # wait, but while the wakeup descriptor is kept installed. _slow.py has others.
    _direct_asleep = 1
    _direct_awake = 2

    def __init__(
        self,
        flags: int = EVFLAG_AUTO,
        callback: Callable[[Self], object] | None = None,
        data: Any = None,
        io_interval: float = 0.0,
        timeout_interval: float = 0.0,
        *,
        debug: bool = False,
    ) -> None:
        """Make a loop, always another one than the default loop.

        Args:
            flags: a set of EVFLAG_* and EVBACKEND_* bits.
            callback: see the attribute `Loop.callback`.
            data: anything, kept in `Loop.data`.
            io_interval: seconds, see `Loop.io_interval`.
            timeout_interval: seconds, see `Loop.timeout_interval`.
            debug: see `Loop.debug`.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: an interval is negative or not finite.
            OverflowError: `flags` is no C unsigned int.
            Error: no backend in `flags` is to be had, or `__init__` is called
                again.
            OSError: there are no descriptors left.
            MemoryError: there is none to set aside for libev.

        libev: ev_loop_new
        """
        what = type(self).__name__
        if "_queue" in self.__dict__:
            raise Error(f"{what}: cannot init a loop again")
        flags = _to_flags(what, flags)
        callback = _to_hook(what, "callback", callback)
        if io_interval != 0.0:
            io_interval = to_interval(what, "io_interval", io_interval)
        if timeout_interval != 0.0:
            timeout_interval = to_interval(what, "timeout_interval", timeout_interval)
        self._queue = Queue(self, flags)
        self._c = self._queue.c
        self._c.direct = self._direct_asleep
        self._data = data
        self.debug = debug
        """Whether every exception that leaves a callback is fatal. From pyev."""
        self._callback = callback
        self._io_interval = self._timeout_interval = 0.0
        # Each is a call into C, and most loops have none of them.
        if callback is not None:
            self.callback = callback
        if io_interval:
            self.io_interval = io_interval
        if timeout_interval:
            self.timeout_interval = timeout_interval

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__init__.__module__ != __name__ and not hasattr(cls, "__getattr__"):
            # Not in Loop: it makes all attributes slow. As an assignment, pyright
            # would allow every name of all loops.
            type.__setattr__(cls, "__getattr__", _missing)

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot copy or pickle {type(self).__name__!r} objects")

    def __repr__(self) -> str:
        words = [type(self).__name__]
        if "_queue" not in self.__dict__:
            words.append("not initialised")
        elif not self._queue.open:
            words.append("closed")
        else:
            words += backend_names(self.backend)
            if self.default:
                words.append("default")
            words.append(f"active={lib.mood_active_count(self._c)}")
        return f"<{' '.join(words)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- running

    def start(self, flags: int = 0, /) -> bool:
        """Wait for events and deliver them.

        Args:
            flags: 0: go on until no active watcher is left or `stop` is called.
                EVRUN_NOWAIT: deliver what is there, without waiting. EVRUN_ONCE:
                wait for at least one event, and deliver what is there then.

        Returns:
            Whether there are active watchers left.

        Raises:
            TypeError, ValueError: `flags` is anything else.
            Error: the loop is closed, or another thread runs it.
            OSError: libev gave up on a system call, a descriptor was closed while it
                was watched, or there are none left.
            MemoryError: there is none to set aside for libev.
            BaseException: what left a callback and was fatal.

        libev: ev_run
        """
        queue = self._queue
        result = _INDIRECT
        if flags.__class__ is int and flags in _ITERATIONS:
            # What _run does around it is mostly not needed, and takes longer than it.
            result = _run_directly(self._c, flags)
        if result != _INDIRECT:
            if result >= 0 and queue.kept is None and not queue.failed:
                return bool(result)
            active = self._settle_run("Loop.start", result) > 0
        else:
            flags = to_int("Loop.start", "flags", flags)
            if flags & ~(EVRUN_NOWAIT | EVRUN_ONCE):
                raise ValueError(
                    "Loop.start: flags must be 0, EVRUN_NOWAIT or EVRUN_ONCE, "
                    f"got {flags:#x}"
                )
            active = self._run("Loop.start", flags) > 0
        # Not by raise_kept: before CPython 3.11, and on PyPy, its frame would stay
        # in the traceback.
        exc = queue.take_kept()
        if exc is not None:
            try:
                raise exc
            except BaseException:
                trim(exc)
                raise
            finally:
                del exc
        return active

    def _run(self, what: str, flags: int, limit: float = 0.0) -> int:
        """Run the loop. An exception that is kept afterwards is the caller's.

        Args:
            what: who asks, for an exception.
            flags: as for `start`.
            limit: see libev/shim.c, mood_run; and there for what is returned.
        """
        queue = self._queue
        if not queue.open:
            raise refused(what, lib.MOOD_CLOSED)
        queue.mend()
        if queue.kept is not None and not queue.entered:
            return 1
        self._check_embedders(what)
        wakeup, previous = -1, -1
        running[queue.id] = queue
        try:
            if not flags & EVRUN_NOWAIT:
                wakeup, previous = self._install_wakeup()
                if wakeup >= 0:
                    # What came before would not wake it.
                    handle_signals()
            result = _run(self._c, flags, limit, wakeup, previous)
        finally:
            try:
                if wakeup >= 0 or self._wakeup_installed:
                    self._remove_wakeup(wakeup)
            except BaseException:
                # An interrupt, which may have come before it had done anything.
                self._remove_wakeup(wakeup)
                raise
            finally:
                if not self._c.running:
                    running.pop(queue.id, None)
        return self._settle_run(what, result)

    def _settle_run(self, what: str, result: int) -> int:
        """What is left to do after a run that returned `result`."""
        if self._queue.failed:
            # The run was broken before it came to that.
            self._queue.settle_failed()
        if result < 0 and result != lib.MOOD_BROKEN:
            raise refused(what, result)
        return result

    def _settle_poll(self, result: int, timeout: float | None) -> int:
        """What is left to do after one of the shim's polls returned `result`.

        Args:
            result: below 0.
            timeout: what aio.py's select has.

        Returns:
            What was gathered: see libev/shim.c, mood_gathered.

        Raises:
            What `start` does.
        """
        if result == _INDIRECT:
            if timeout is None:
                self._run("Loop.start", EVRUN_ONCE, -1.0)
            elif timeout > 0:
                self._run("Loop.start", EVRUN_ONCE, timeout)
            else:
                self._run("Loop.start", EVRUN_NOWAIT)
        else:
            self._settle_run("Loop.start", result)
        self._queue.raise_kept()
        return lib.mood_gathered(self._c)  # type: ignore[no-any-return]

    def _check_thread(self, what: str) -> None:
        """Raise Error if another thread than this one runs the loop."""
        if lib.mood_elsewhere(self._c):
            raise refused(what, lib.MOOD_ELSEWHERE)

    def _check_embedders(self, what: str) -> None:
        for embed in self._queue.embeds:
            if embed.active:
                embed.loop._check_thread(what)

    def stop(self, how: int = EVBREAK_ONE, /) -> None:
        """Make `start` return, once all pending events have been delivered.

        Outside of `start` it does nothing. A loop that was stopped can be started
        again: its watchers are as they were.

        Args:
            how: EVBREAK_ONE: the innermost `start`; EVBREAK_ALL: all of them.

        Raises:
            TypeError, ValueError: `how` is anything else.
            Error: the loop is closed.

        libev: ev_break
        """
        how = to_int("Loop.stop", "how", how)
        if how not in (EVBREAK_ONE, EVBREAK_ALL):
            raise ValueError(
                f"Loop.stop: how must be EVBREAK_ONE or EVBREAK_ALL, got {how}"
            )
        self._check_open("stop")
        lib.mood_break(self._c, how)

    def invoke(self) -> None:
        """Invoke all pending watchers, as `callback` has to.

        Raises:
            Error: the loop is closed, or another thread runs it and has not handed
                this over, by `callback`.
            BaseException: what left a callback and was fatal.

        libev: ev_invoke_pending
        """
        queue = self._queue
        queue.mend()
        error = lib.mood_invoke(self._c)
        if error:
            raise refused("Loop.invoke", error)
        queue.raise_kept()

    def close(self) -> None:
        """Call the Cleanup watchers, stop all watchers, and free the loop.

        A closed loop is good for nothing; closing it again does nothing.

        Raises:
            Error: the loop is running, or this is a Scheduler's callable, of this loop
                or of one that embeds it.
            BaseException: what left a Cleanup watcher's callback and was fatal;
                the loop is closed nevertheless.

        libev: ev_loop_destroy
        """
        queue = self._queue
        if not queue.open:
            return
        if queue.entered or lib.mood_depth(self._c):
            raise Error("Loop.close: the loop is running")
        self._check_can_leave()
        error = self._clean_up()
        self._destroy()
        if error is not None:
            raise error

    def _clean_up(self) -> BaseException | None:
        """Call the Cleanup watchers; returns the first exception to raise."""
        queue = self._queue
        error = queue.take_kept()
        # In the order that libev has, which the shim does not leave this to: the
        # loop would be half destroyed when they are called.
        watchers = [w for w in queue.held if isinstance(w, Cleanup) and w.active]
        watchers.sort(key=lambda watcher: watcher._ptr[0].ev.active)
        if not watchers:
            return error
        for watcher in list(queue.held):
            if isinstance(watcher, Watcher) and not isinstance(watcher, Cleanup):
                watcher._halt()
        for watcher in watchers:
            lib.mood_feed(watcher._ptr, watcher._slot, EV_CLEANUP)
        while lib.mood_pending_count(self._c, 0):
            refusal = lib.mood_invoke(self._c)
            if refusal:
                raise refused("Loop.close", refusal)
            raised = queue.take_kept()
            if error is None:
                error = raised
        return error

    def _check_can_leave(self) -> None:
        """Raise Error if an Embed watcher for this loop cannot be stopped."""
        for embed in self._queue.embeds:
            if embed.active:
                refusal = lib.mood_refusal(embed._queue.c)
                if refusal:
                    raise refused("Loop.close", refusal)

    def _destroy(self) -> None:
        queue = self._queue
        while True:
            self._check_can_leave()
            for watcher in [*queue.embeds, *queue.held]:
                if isinstance(watcher, Watcher):
                    watcher._halt()
            if not queue.open:
                # What a watcher was the last to refer to has closed the loop.
                return
            if queue.destroy():
                break
        self._close_wakeup()
        _forget_default(self)

    def __del__(self) -> None:
        queue = self.__dict__.get("_queue")
        # At the very end the system frees what is left, and Python has half gone.
        if queue is None or not queue.open or self._is_exiting:
            return
        from warnings import warn

        try:
            warn(f"unclosed loop {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            # The warning may have been made an error.
            self._destroy()

    def reset(self) -> None:
        """Renew the kernel's state of the loop in its next iteration.

        It is needed in the child process after a fork that Python knows nothing
        of: after `os.fork` all loops of the child are reset by themselves. Fork
        watchers are called, in any case.

        Raises:
            Error: the loop is closed.

        libev: ev_loop_fork
        """
        self._call("reset", lib.mood_fork)

    # -- time

    def now(self) -> float:
        """The time that the loop noticed the current events at.

        Returns:
            Seconds since the epoch. Relative timers count from here.

        Raises:
            Error: the loop is closed.

        libev: ev_now
        """
        self._check_open("now")
        return lib.mood_now(self._c)  # type: ignore[no-any-return]

    def update(self) -> None:
        """Bring `now` up to date, within a callback that takes long.

        Raises:
            Error: the loop is closed.

        libev: ev_now_update
        """
        self._call("update", lib.mood_update)

    def suspend(self) -> None:
        """Stop the time for timers, until `resume`.

        For a program that is itself suspended, and should not find all its timeouts
        over when it goes on. Nothing but `resume` should be called in between.

        Raises:
            Error: the loop is closed, or suspended.

        libev: ev_suspend
        """
        self._call("suspend", lib.mood_suspend)

    def resume(self) -> None:
        """Let the time go on, as if there had been none since `suspend`.

        Timers are late by that time; Periodics and Schedulers are rescheduled, and
        what they would have triggered for meanwhile is lost.

        Raises:
            Error: the loop is closed, or not suspended.

        libev: ev_resume
        """
        self._call("resume", lib.mood_resume)

    # -- references

    def ref(self) -> None:
        """Add a reference: while there are any, `start` does not return by itself.

        libev's references, not Python's: each active watcher has one. See
        `Watcher.keepalive`, which is easier to get right.

        Raises:
            Error: the loop is closed.

        libev: ev_ref
        """
        self._call("ref", lib.mood_ref)

    def unref(self) -> None:
        """Remove a reference, such as the one that each active watcher has.

        Raises:
            Error: the loop is closed, or there is no reference left.

        libev: ev_unref
        """
        self._call("unref", lib.mood_unref)

    def verify(self) -> None:
        """Check libev's data for consistency; aborts the process if it has none.

        Only a build with `MOOD_EVENT_DEBUG=1` checks anything.

        Raises:
            Error: the loop is closed.

        libev: ev_verify
        """
        self._call("verify", lib.mood_verify)

    # -- events from elsewhere

    def feed_fd_event(self, fd: int, revents: int, /) -> None:
        """Make the Io watchers of a descriptor pending, as if it were ready.

        Args:
            fd: a file descriptor.
            revents: EV_READ, EV_WRITE or both.

        Raises:
            TypeError, OverflowError: an argument is no C int.
            Error: the loop is closed.

        libev: ev_feed_fd_event
        """
        what = "Loop.feed_fd_event"
        fd = to_int(what, "fd", fd)
        revents = to_int(what, "revents", revents)
        error = lib.mood_feed_fd_event(self._c, fd, revents)
        if error:
            raise refused(what, error)

    def feed_signal_event(self, signum: int, /) -> None:
        """Make this loop's Signal watchers of a signal pending.

        Args:
            signum: the number of a signal.

        Raises:
            TypeError, ValueError: it is none.
            Error: the loop is closed.

        libev: ev_feed_signal_event
        """
        what = "Loop.feed_signal_event"
        error = lib.mood_feed_signal_event(self._c, to_signum(what, signum))
        if error:
            raise refused(what, error)

    if TYPE_CHECKING:
        # One of both, at least.
        @overload
        def once(
            self,
            fd: FileDescriptor,
            events: int,
            timeout: float | None,
            callback: Callable[[int], object],
            /,
        ) -> None: ...
        @overload
        def once(
            self,
            fd: None,
            events: int,
            timeout: float,
            callback: Callable[[int], object],
            /,
        ) -> None: ...

    def once(
        self,
        fd: FileDescriptor | None,
        events: int,
        timeout: float | None,
        callback: Callable[[int], object],
        /,
    ) -> None:
        """Call back once: when a descriptor is ready, or after a timeout.

        Args:
            fd: an open file descriptor, an object with `fileno()`, or None.
            events: EV_READ, EV_WRITE or both; without `fd` it does not matter.
            timeout: seconds; None, or negative: no timeout.
            callback: called as callback(revents), with EV_TIMER after a timeout.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: there is neither a descriptor nor a timeout, or an argument
                is outside its range.
            OverflowError: `fd` or `events` does not fit in a C int.
            OSError: the descriptor is closed.
            Error: the loop is closed.

        libev: ev_once
        """
        _Once(self, fd, events, timeout, callback)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        /,
        *args: Unpack[Arguments],
    ) -> None:
        """Have the loop call back in its next iteration. From any thread.

        Every call is made, in the order in which they were asked for. They do not
        keep the loop running; those that come while it does not run are made by
        the next `start`.

        An exception that leaves the callback has the fate of any callback's.

        Args:
            callback: called as callback(*args).
            *args: what to call it with.

        Raises:
            TypeError: `callback` is not callable.
            Error: the loop is closed.

        libev: ev_async_send
        """
        if not callable(callback):
            raise TypeError(
                "Loop.call_soon_threadsafe: callback must be callable, "
                f"got {callback!r}"
            )
        self._check_open("call_soon_threadsafe")
        self._queue.calls.append((callback, args))
        lib.mood_knock(self._c)

    def watchers(self) -> list[Watcher]:
        """The active watchers: what keeps the loop running, if it does not return.

        Those with `keepalive` False are among them, although they do not keep it
        running, and those of `once`. What is pending alone is not active.

        Returns:
            A new list. Its order says nothing: it is that of the places that the
            watchers have in the loop's table, where a place that one left is taken by
            the next one to start.

        Raises:
            Error: the loop is closed.

        libev: ev_is_active
        """
        self._check_open("watchers")
        return [
            watcher
            for watcher in list(self._queue.held)
            if isinstance(watcher, Watcher) and lib.mood_active(watcher._ptr)
        ]

    # -- attributes

    @property
    def callback(self) -> Callable[[Self], object] | None:
        """Called as callback(loop) where pending watchers are to be invoked.

        It must see to it that `invoke` is called, here or in another thread, for
        which it waits. None, at first: the loop does that itself. While there is one,
        every exception is fatal: what leaves it, and what leaves a watcher's callback.

        Raises:
            TypeError: set to something that is neither callable nor None.

        libev: ev_set_invoke_pending_cb
        """
        return self._callback

    @callback.setter
    def callback(self, callback: Callable[[Self], object] | None) -> None:
        self._callback = _to_hook(type(self).__name__, "callback", callback)
        self._c.has_callback = callback is not None

    @property
    def data(self) -> Any:
        """Anything the program wants to attach to the loop."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = data

    @property
    def exception_handler(
        self,
    ) -> Callable[[Self, Exception, Callable[..., object]], object] | None:
        """Called in place of `sys.unraisablehook`, or None.

        For each exception that leaves a callback and is not fatal, it is called as
        exception_handler(loop, exception, callback). An Exception that it raises is
        reported by `sys.unraisablehook`, after the callback's own; any other
        BaseException ends the loop, and `start` raises it.

        Raises:
            TypeError: set to something that is neither callable nor None.
        """
        return self._exception_handler  # type: ignore[no-any-return]

    @exception_handler.setter
    def exception_handler(
        self, handler: Callable[[Self, Exception, Callable[..., object]], object] | None
    ) -> None:
        what = type(self).__name__
        self._exception_handler = _to_hook(what, "exception_handler", handler)

    @property
    def io_interval(self) -> float:
        """Seconds to collect Io events for, before they are delivered: 0.0 at first.

        The loop then looks for them no more often than that, on average: fewer, larger
        iterations, and a delay for each event. Timers are not affected.

        Raises:
            TypeError, ValueError: set to no number, or a negative or infinite one.
            Error: set after the loop was closed.

        libev: ev_set_io_collect_interval
        """
        return self._io_interval

    @io_interval.setter
    def io_interval(self, interval: float) -> None:
        interval = to_interval(type(self).__name__, "io_interval", interval)
        self._call("io_interval", lib.mood_io_interval, interval)
        self._io_interval = interval

    @property
    def timeout_interval(self) -> float:
        """Seconds to collect timeouts for, before they are delivered: 0.0 at first.

        Timers, Periodics and Schedulers may be late by as much, so that those that are
        due close together wake the process once. Io watchers are not affected.

        Raises:
            TypeError, ValueError: set to no number, or a negative or infinite one.
            Error: set after the loop was closed.

        libev: ev_set_timeout_collect_interval
        """
        return self._timeout_interval

    @timeout_interval.setter
    def timeout_interval(self, interval: float) -> None:
        interval = to_interval(type(self).__name__, "timeout_interval", interval)
        self._call("timeout_interval", lib.mood_timeout_interval, interval)
        self._timeout_interval = interval

    @property
    def slow_callback(self) -> float | None:
        """Seconds that a callback may take under `python -X dev`: 0.1 at first.

        One that keeps the loop for longer is a warning of the logger "mood_event",
        which names the callback, where it is, and its watcher. What a nested `start`
        takes is not counted. None: no warnings. Without `-X dev` nothing is timed,
        and this changes nothing.

        Raises:
            TypeError: set to what is neither a number nor None.
            ValueError: set to a number that is not positive and finite.
        """
        return self._slow_callback

    @slow_callback.setter
    def slow_callback(self, seconds: float | None) -> None:
        if seconds is not None:
            what = type(self).__name__
            seconds = to_seconds(what, "slow_callback", seconds)
            if seconds <= 0.0:
                raise ValueError(f"{what}: slow_callback must be > 0.0, got {seconds}")
        self._slow_callback = seconds

    @property
    def default(self) -> bool:
        """Whether this is the default loop (read only)."""
        return self._default

    @property
    def backend(self) -> int:
        """The EVBACKEND_* bit of the backend in use; 0 once closed (read only).

        libev: ev_backend
        """
        return lib.mood_backend(self._c)  # type: ignore[no-any-return]

    @property
    def pending(self) -> int:
        """The number of pending watchers (read only).

        libev: ev_pending_count
        """
        queue = self._queue
        return lib.mood_pending_count(  # type: ignore[no-any-return]
            self._c, queue.position()
        )

    @property
    def iteration(self) -> int:
        """How often the loop has looked for events; 0 once closed (read only).

        It counts up between Prepare and Check watchers, and wraps around.

        libev: ev_iteration
        """
        return lib.mood_iteration(self._c)  # type: ignore[no-any-return]

    @property
    def depth(self) -> int:
        """How many calls of `start` are nested: 0 outside, 1 in a callback (read only).

        libev: ev_depth
        """
        return lib.mood_depth(self._c)  # type: ignore[no-any-return]

    # -- checks

    def _check_open(self, method: str) -> None:
        if not self._queue.open:
            raise refused(f"Loop.{method}", lib.MOOD_CLOSED)

    def _call(self, name: str, function: Any, *args: object) -> None:
        error = function(self._c, *args)
        if error:
            raise refused(f"Loop.{name}", error)

    # -- signals

    def _is_awake(self) -> bool:
        """Whether the loop is running, with the wakeup descriptor installed for it."""
        return self._wakeup_installed and bool(self._c.running)

    def _install_wakeup(self, again: bool = False) -> tuple[int, int]:
        """Be woken by signals that Python handles, in its main thread.

        A byte in the pipe makes libev call mood_on_signal, where Python handles
        what has come.

        Args:
            again: do it in a run that it was done for already.

        Returns:
            The pipe's end for the loop to watch, and the wakeup descriptor that was
            there before; -1 and -1 where there is nothing to do, nor to be undone.
        """
        if not _is_main_thread():
            return -1, -1
        import signal

        if not again and self._is_awake():
            return -1, -1
        if self._wakeup is None:
            self._previous_wakeup: list[int] = []
            self._wakeup = self._unwatched_pipe()
        reader, writer = self._wakeup
        known = self._previous_wakeup
        # Before it is: an interrupt can come between any two steps.
        self._wakeup_installed = True
        self._c.direct = 0
        if not known:
            # In one step. An interrupt can take what the call below returns, and
            # this is used instead.
            known[:] = map(signal.set_wakeup_fd, (writer,))
        previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if previous != writer:
            known[0] = previous
        return reader, known[0]

    def _unwatched_pipe(self) -> tuple[int, int]:
        """A pipe under numbers that no watcher has.

        One that was closed too early would otherwise be called for what comes through
        the pipe.
        """
        taken: list[int] = []
        try:
            while True:
                pipe = _nonblocking_pipe()
                if not any(lib.mood_watched(self._c, fd) for fd in pipe):
                    return pipe
                taken += pipe
        finally:
            for fd in taken:
                os.close(fd)

    def _remove_wakeup(self, wakeup: int) -> None:
        """Undo that; to do it twice does no harm.

        Args:
            wakeup: what `_install_wakeup` returned. With -1 it is what nobody else
                will undo: an interrupt came to that, or the run was another
                thread's, which a fork left behind.
        """
        if wakeup < 0 and (
            not self._wakeup_installed or self._c.running or not _is_main_thread()
        ):
            return
        import signal

        assert self._wakeup is not None
        for previous in self._previous_wakeup:
            current = signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
            if current not in (previous, self._wakeup[1]):
                # A callback has installed its own, for good.
                signal.set_wakeup_fd(current, warn_on_full_buffer=False)
        self._wakeup_installed = False
        self._c.direct = self._direct_asleep

    def _stay_awake(self, again: bool = False) -> None:
        """Have `_install_wakeup` last from one run to the next, for aio.py.

        What installs another descriptor meanwhile has to see to it itself that the
        loop wakes, and to call this again when it has removed its own.

        Args:
            again: this is what it does.
        """
        wakeup, previous = self._install_wakeup(again)
        if wakeup >= 0:
            lib.mood_wakeup(self._c, wakeup, previous)
            handle_signals()
        self._c.direct = self._direct_awake

    def _leave_awake(self, was_awake: bool) -> None:
        """Undo `_stay_awake`.

        Args:
            was_awake: what `_is_awake` was before: it is the run's further out then.
        """
        if was_awake:
            self._c.direct = 0
            return
        if self._wakeup_installed:
            self._remove_wakeup(0)
        self._c.direct = self._direct_asleep

    def _close_wakeup(self) -> None:
        if self._wakeup is not None:
            try:
                self._remove_wakeup(-1)
            finally:
                for fd in self._wakeup:
                    os.close(fd)
                self._wakeup = None

    def _after_fork(self) -> None:
        """In the child: what was shared with the parent is not any more."""
        queue = self._queue
        if lib.mood_after_fork(self._c):
            queue.spill(queue.position())
        if self._wakeup is not None:
            _renew_pipe(self._wakeup)
            lib.mood_wakeup(self._c, self._wakeup[0], -1)

    # -- factories

    def io(
        self,
        fd: FileDescriptor,
        events: int,
        callback: Callable[[Io, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Io:
        """Make an `Io` on this loop.

        Watches a file descriptor: is it readable, is it writable?

        Args:
            fd: an open file descriptor, or an object with `fileno()`.
            events: EV_READ, EV_WRITE or EV_READ | EV_WRITE.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `fd` is negative, as that of a closed socket, or `events` is
                another mask.
            OverflowError: a number does not fit in a C int.
            OSError: `fd` is closed.
            Error: the loop is closed.

        libev: ev_io_init
        """
        watcher: Io = _new(Io)
        watcher._memory = None
        _io_init(watcher, fd, events, self, callback, data, priority)
        return watcher

    def timer(
        self,
        after: float,
        repeat: float,
        callback: Callable[[Timer, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Timer:
        """Make a `Timer` on this loop.

        Calls back after some time, once or again and again.

        Args:
            after: seconds until the first event; with 0.0 or less it is at once.
            repeat: seconds between that and each further one; 0.0: there is none.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `repeat` is negative, or a time is not finite.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_timer_init
        """
        watcher: Timer = _new(Timer)
        watcher._memory = None
        _timer_init(watcher, after, repeat, self, callback, data, priority)
        return watcher

    def periodic(
        self,
        offset: float,
        interval: float,
        callback: Callable[[Periodic, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Periodic:
        """Make a `Periodic` on this loop.

        Calls back at a time of the system's clock, once or at regular intervals.

        Args:
            offset: seconds since the epoch; with an interval, from 0.0 to it.
            interval: seconds, 0.0 or at least 1/8192.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: a time is outside its range, or not finite.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_periodic_init
        """
        watcher: Periodic = _new(Periodic)
        watcher._memory = None
        _periodic_init(watcher, offset, interval, self, callback, data, priority)
        return watcher

    def scheduler(
        self,
        scheduler: Callable[[Scheduler, float], float],
        callback: Callable[[Scheduler, int], object] | None = None,
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Scheduler:
        """Make a `Scheduler` on this loop.

        Calls back at times that a callable gives.

        Args:
            scheduler: called as scheduler(watcher, now); returns the time of the
                next event, not before now. Both are seconds since the epoch.
            callback: called as callback(watcher, revents), if not None.
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_periodic_init
        """
        watcher: Scheduler = _new(Scheduler)
        watcher._memory = None
        _scheduler_init(watcher, scheduler, self, callback, data, priority)
        return watcher

    def signal(
        self,
        signum: int,
        callback: Callable[[Signal, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Signal:
        """Make a `Signal` on this loop.

        Watches for a signal: the callback is called by the loop, not asynchronously.

        Args:
            signum: the signal's number, one that can be handled.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `signum` is no signal, or SIGKILL or SIGSTOP.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_signal_init
        """
        watcher: Signal = _new(Signal)
        watcher._memory = None
        _signal_init(watcher, signum, self, callback, data, priority)
        return watcher

    def child(
        self,
        pid: int,
        trace: bool,
        callback: Callable[[Child, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Child:
        """Make a `Child` on this loop.

        Watches for a child process to end, or with `trace`, to stop or go on.

        Args:
            pid: the process to watch; 0: any child.
            trace: call back as well when it stops and when it goes on.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: libev invokes Child watchers at EV_MAXPRI, whatever is said.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `pid` is negative.
            OverflowError: a number does not fit in a C int.
            Error: the loop is not the default loop, or closed.

        libev: ev_child_init
        """
        watcher: Child = _new(Child)
        watcher._memory = None
        _child_init(watcher, pid, trace, self, callback, data, priority)
        return watcher

    def stat(
        self,
        path: StrOrBytesPath,
        interval: float,
        callback: Callable[[Stat, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Stat:
        """Make a `Stat` on this loop.

        Watches a path: the callback is called when what `os.lstat` says changes.

        Args:
            path: what to watch; best an absolute path.
            interval: seconds between two looks, where the system does not tell of
                changes itself; 0.0, which is best: let libev choose. Less than about
                0.1 is taken for that.
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: `interval` is negative or not finite, or `path` has a NUL.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_stat_init
        """
        watcher: Stat = _new(Stat)
        watcher._memory = None
        _stat_init(watcher, path, interval, self, callback, data, priority)
        return watcher

    def idle(
        self,
        callback: Callable[[Idle, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Idle:
        """Make an `Idle` on this loop.

        Called whenever there is nothing better to do.

        Args:
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_init, ev_set_priority
        """
        watcher: Idle = _new(Idle)
        watcher._memory = None
        _idle_init(watcher, self, callback, data, priority)
        return watcher

    def prepare(
        self,
        callback: Callable[[Prepare, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Prepare:
        """Make a `Prepare` on this loop.

        Called in each iteration, just before the loop waits for events.

        Args:
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_init, ev_set_priority
        """
        watcher: Prepare = _new(Prepare)
        watcher._memory = None
        _prepare_init(watcher, self, callback, data, priority)
        return watcher

    def check(
        self,
        callback: Callable[[Check, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Check:
        """Make a `Check` on this loop.

        Called in each iteration, just after the loop has waited for events.

        Args:
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_init, ev_set_priority
        """
        watcher: Check = _new(Check)
        watcher._memory = None
        _check_init(watcher, self, callback, data, priority)
        return watcher

    def embed(
        self,
        other: Loop,
        callback: Callable[[Embed, int], object] | None = None,
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Embed:
        """Make an `Embed` on this loop.

        Embeds a loop in another: its events are delivered while the other runs.

        Args:
            other: the Loop to embed.
            callback: called as callback(watcher, revents) when the embedded loop
                needs attention, for which `sweep` is to be called; None: the
                watcher calls it.
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: `other` is not embeddable, or embeds this loop, or is this loop;
                a loop is closed.

        libev: ev_embed_init
        """
        watcher: Embed = _new(Embed)
        watcher._memory = None
        _embed_init(watcher, other, self, callback, data, priority)
        return watcher

    def fork(
        self,
        callback: Callable[[Fork, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Fork:
        """Make a `Fork` on this loop.

        Called in the child process, before the loop goes on there after a fork.

        Args:
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_init, ev_set_priority
        """
        watcher: Fork = _new(Fork)
        watcher._memory = None
        _fork_init(watcher, self, callback, data, priority)
        return watcher

    def cleanup(
        self,
        callback: Callable[[Cleanup, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Cleanup:
        """Make a `Cleanup` on this loop.

        Called when the loop is closed. It does not keep the loop running.

        Args:
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_init, ev_set_priority
        """
        watcher: Cleanup = _new(Cleanup)
        watcher._memory = None
        _cleanup_init(watcher, self, callback, data, priority)
        return watcher

    def async_(
        self,
        callback: Callable[[Async, int], object],
        data: Any = None,
        priority: int = 0,
        /,
    ) -> Async:
        """Make an `Async` on this loop.

        Called after `send`, which other threads and signal handlers may call.

        Args:
            callback: called as callback(watcher, revents).
            data: anything, kept in `data`.
            priority: from EV_MINPRI to EV_MAXPRI; what is outside is clamped.

        Raises:
            TypeError: an argument has the wrong type.
            OverflowError: `priority` does not fit in a C int.
            Error: the loop is closed.

        libev: ev_init, ev_set_priority
        """
        watcher: Async = _new(Async)
        watcher._memory = None
        _async_init(watcher, self, callback, data, priority)
        return watcher


# The specification's name is a keyword in today's Python.
setattr(Loop, "async", Loop.async_)


def _missing(self: Loop, name: str) -> Any:
    """The `__getattr__` of a subclass that may forget to call `__init__`."""
    if name[:1] == "_" != name[1:2] and "_queue" not in self.__dict__:
        raise Error(
            f"{type(self).__name__}: the loop is not initialised: "
            "Loop.__init__ was not called"
        )
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class _Once:
    """Two watchers of which the first to be invoked stops the other."""

    def __init__(
        self,
        loop: Loop,
        fd: FileDescriptor | None,
        events: int,
        timeout: float | None,
        callback: Callable[[int], object],
    ) -> None:
        what = "Loop.once"
        if not callable(callback):
            raise TypeError(f"{what}: callback must be callable, got {callback!r}")
        # By this name _naming.py finds it.
        self.__mood_target__ = callback
        self._queue = loop._queue
        watchers: list[Watcher] = []
        if fd is not None:
            fd = to_descriptor(what, fd)
            check_open(what, fd)
            watchers.append(Io(fd, to_events(what, events), loop, self._invoked))
        if timeout is not None:
            timeout = to_seconds(what, "timeout", timeout)
            if timeout >= 0.0:
                watchers.append(Timer(timeout, 0.0, loop, self._invoked))
        if not watchers:
            raise ValueError(f"{what}: fd and timeout must not both be missing")
        self._watchers = watchers
        for watcher in watchers:
            watcher.start()

    def _invoked(self, watcher: Watcher, revents: int) -> None:
        try:
            revents = self._stop(revents)
            # The name that _interrupts.py looks for, and must not find below.
            _callback = self.__mood_target__
            _callback(revents)
        except BaseException as exc:
            if left_callback(exc):
                # Not out of here: the fate of an exception is the callback's.
                self._queue.fail(exc, self.__mood_target__)
            else:
                watcher.feed(revents)
                raise

    def _stop(self, revents: int) -> int:
        """Stop both; returns the revents of both."""
        for watcher in self._watchers:
            revents |= watcher.clear()
            watcher.stop()
        return revents


def _is_main_thread() -> bool:
    # Nobody has imported it: there are no other threads, or none it knows of.
    threading = sys.modules.get("threading")
    return threading is None or get_ident() == threading.main_thread().ident


def _nonblocking_pipe() -> tuple[int, int]:
    fds = os.pipe()
    for fd in fds:
        os.set_blocking(fd, False)
    return fds


def _renew_pipe(old: tuple[int, int]) -> None:
    """Put another pipe under the numbers of this one, without a spare descriptor."""
    for fd in old:
        os.close(fd)
    new = _nonblocking_pipe()
    ends = list(zip(new, old))
    if new[1] == old[0]:
        ends.reverse()
    for fd, number in ends:
        if fd != number:
            os.dup2(fd, number, inheritable=False)
            os.close(fd)


def _to_flags(what: str, value: object) -> int:
    flags = to_index(what, "flags", value)
    if not 0 <= flags < 2**32:
        raise OverflowError(f"{what}: flags must fit in a C unsigned int, got {flags}")
    return flags


def _to_hook(what: str, name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"{what}: {name} must be callable or None, got {value!r}")
    return value


# -- the default loop ---------------------------------------------------------------


class _DefaultLoop(Loop):
    """The default loop: an ev_loop as any other.

    Child watchers are all that libev's own default loop has more, and ours do not
    use its reaper (libev/shim.c). Its state is static, part of it survives its
    destruction, and it takes SIGCHLD.
    """

    _default = True

    def __repr__(self) -> str:
        return super().__repr__().replace("_DefaultLoop", "Loop", 1)


_default: Loop | None = None


def _forget_default(loop: Loop) -> None:
    global _default
    if loop is _default:
        _default = None


class _Function:
    """A function that does not become a method when it is stored on a class.

    mood.event's functions are builtins, which do not, and programs use that.
    """

    def __init__(self, function: Any) -> None:
        disguise(self, function)
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<function mood_event.{self._function.__name__}>"


def _function(function: F) -> F:
    wrapped: Any = _Function(function)
    return wrapped  # type: ignore[no-any-return]


@_function
def fatal(callback: F) -> F:
    """Mark a callback: an exception that leaves it ends the loop.

    The exception breaks every nested run, and `Loop.start` raises it.

    Args:
        callback: any callable.

    Returns:
        The callback itself. A callable that takes no attributes (a bound method,
        a builtin) comes back wrapped in a `functools.partial`.

    Raises:
        TypeError: `callback` is not callable.
    """
    return _fatal(callback)


@_function
def default_loop(
    flags: int = EVFLAG_AUTO,
    callback: Callable[[Loop], object] | None = None,
    data: Any = None,
    io_interval: float = 0.0,
    timeout_interval: float = 0.0,
    *,
    debug: bool = False,
) -> Loop:
    """The default loop, the only one that Child watchers work on.

    It is made by the first call, and lives until it is closed; then the next call
    makes another. Arguments of later calls are ignored, with a RuntimeWarning.

    Args:
        flags: a set of EVFLAG_* and EVBACKEND_* bits.
        callback: see `Loop.callback`.
        data: anything, kept in `Loop.data`.
        io_interval: seconds, see `Loop.io_interval`.
        timeout_interval: seconds, see `Loop.timeout_interval`.
        debug: see `Loop`.

    Raises:
        TypeError, ValueError, OverflowError, Error: as for `Loop`.
    """
    global _default
    if _default is None:
        _default = _DefaultLoop(
            flags, callback, data, io_interval, timeout_interval, debug=debug
        )
    elif (
        callback is not None
        or data is not None
        or debug
        or (flags, io_interval, timeout_interval) != (EVFLAG_AUTO, 0.0, 0.0)
    ):
        from warnings import warn

        warn(
            "default_loop: there is a default loop already, arguments are ignored",
            RuntimeWarning,
            stacklevel=3,
        )
    return _default


# -- functions -----------------------------------------------------------------------


@_function
def time() -> float:
    """The current time, as libev takes it.

    `Loop.now` costs less, and is mostly what is wanted.

    Returns:
        Seconds since the epoch.

    libev: ev_time
    """
    return lib.ev_time()  # type: ignore[no-any-return]


@_function
def sleep(interval: float, /) -> None:
    """Block the thread, until the time is over or a signal comes.

    Args:
        interval: seconds; 0.0 or less: return at once. libev promises no more
            than a day, which is a RuntimeWarning.

    Raises:
        TypeError, ValueError: it is no number, or not finite.

    libev: ev_sleep
    """
    interval = to_seconds("sleep", "interval", interval)
    if interval > 86400.0:
        from warnings import warn

        warn(
            f"sleep: interval is more than a day (86400.0), got {interval!r}",
            RuntimeWarning,
            stacklevel=3,
        )
    # More than this does not fit in every system's time_t.
    lib.ev_sleep(min(interval, 2.0**31 - 1))


@_function
def abi_version() -> tuple[int, int]:
    """libev's version, as (major, minor).

    >>> abi_version()
    (4, 33)

    libev: ev_version_major, ev_version_minor
    """
    return lib.ev_version_major(), lib.ev_version_minor()


@_function
def supported_backends() -> int:
    """The backends that are compiled in, whether the system has them or not.

    Returns:
        A set of EVBACKEND_* bits.

    libev: ev_supported_backends
    """
    return lib.ev_supported_backends()  # type: ignore[no-any-return]


@_function
def recommended_backends() -> int:
    """The backends that are compiled in and that libev tries by itself.

    They work with most kinds of descriptors on this system.

    >>> bool(recommended_backends() & EVBACKEND_SELECT)
    True

    Returns:
        A set of EVBACKEND_* bits.

    libev: ev_recommended_backends
    """
    return lib.ev_recommended_backends()  # type: ignore[no-any-return]


@_function
def embeddable_backends() -> int:
    """The backends whose loops can be embedded, compiled in or not: see `Embed`.

    Returns:
        A set of EVBACKEND_* bits.

    libev: ev_embeddable_backends
    """
    return lib.ev_embeddable_backends()  # type: ignore[no-any-return]


@_function
def feed_signal(signum: int, /) -> None:
    """Pretend that a signal has come, to the loop that watches it. From any thread.

    Nothing happens if no `Signal` watcher of it is active.

    Args:
        signum: the number of a signal.

    Raises:
        TypeError, ValueError: it is none.

    libev: ev_feed_signal
    """
    lib.ev_feed_signal(to_signum("feed_signal", signum))


# -- the process --------------------------------------------------------------------


def _after_fork_in_child() -> None:
    for queue in living_queues():
        loop: Any = queue.loop()
        if loop is not None:
            loop._after_fork()


def _at_exit() -> None:
    """Let loops in other threads end: Python is about to go away under them."""
    Loop._is_exiting = True
    lib.mood_exit()
    for queue in living_queues():
        lib.mood_knock(queue.c)


os.register_at_fork(after_in_child=_after_fork_in_child)
# Registered when the package is imported, so it is called after what the program
# registers later on, which may still run a loop.
atexit.register(_at_exit)

if sys.flags.dev_mode:
    check_thread(
        Loop,
        (
            "stop",
            "reset",
            "now",
            "update",
            "verify",
            "suspend",
            "resume",
            "ref",
            "unref",
            "close",
            "feed_fd_event",
            "feed_signal_event",
            "once",
            "watchers",
            "io_interval",
            "timeout_interval",
        ),
    )

    from mood_event._slow import install

    install(Loop)
