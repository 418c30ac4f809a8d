"""asyncio on libev: an asyncio event loop whose selector is a Loop.

Imported by programs, and by nothing in the package: asyncio takes long to import.
A Loop that waits for asyncio is asked past its public methods (`Selector.select`),
and loop.py says where; everything else here is what any program could do.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from mood_event._ffi import ffi, lib
from mood_event._naming import name_of
from mood_event.errors import Error
from mood_event.loop import Loop
from mood_event.watchers import Embed, Watcher

# See _dispatch.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from typing import Any, Callable, TypeVar

    from mood_event.watchers import FileDescriptor, Io

    T = TypeVar("T")

__all__ = [
    "EventLoop",
    "Selector",
    "ev_loop",
    "event",
    "ignore",
    "install",
    "new_event_loop",
    "run",
]

_look = lib.mood_look
_wait = lib.mood_wait
_wait_for = lib.mood_wait_for
_unpack = ffi.unpack
_MANY = lib.MOOD_MANY
_EVENTS = EVENT_READ | EVENT_WRITE
# Seconds between asyncio's looking at the clock and libev's, at most, or mostly.
_LATENESS = 0.001


def ignore(watcher: Watcher, revents: int) -> None:
    """Do nothing: the callback of a watcher that is awaited and no more.

    Args:
        watcher: any.
        revents: any.
    """


# -- the selector --------------------------------------------------------------------


class _Keys(Mapping["FileDescriptor", SelectorKey]):
    """What `Selector.get_map` returns: the keys by file object or descriptor."""

    def __init__(self, selector: Selector, keys: dict[int, SelectorKey]) -> None:
        self._selector = selector
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __getitem__(self, fileobj: FileDescriptor) -> SelectorKey:
        try:
            return self._keys[self._selector._find(fileobj)]
        except KeyError:
            raise _not_registered(fileobj) from None

    def get(self, fileobj: Any, default: Any = None) -> Any:
        # asyncio asks this way, and Mapping's own takes four times as long.
        if fileobj.__class__ is int:
            return self._keys.get(fileobj, default)
        return super().get(fileobj, default)


class _Closed:
    """The loop of a selector that is closed."""

    def _settle_poll(self, result: int, timeout: float | None) -> int:
        raise RuntimeError("Selector is closed")


# And its C loop, on which nothing can be run.
_no_loop = ffi.new("mood_loop *")


def _not_registered(fileobj: object) -> KeyError:
    return KeyError(f"{fileobj!r} is not registered")


def _check_events(events: int) -> None:
    if not events or events & ~_EVENTS:
        raise ValueError(f"Invalid events: {events!r}")


def _selected(watcher: Watcher, revents: int) -> None:
    """The callback of a Selector's Io watchers, whose events are gathered instead."""


def _handle_exception(loop: Loop, exc: Exception, callback: object) -> None:
    """The Loop.exception_handler under asyncio."""
    try:
        asyncio_loop = asyncio.get_running_loop()
    except RuntimeError:
        # To be reported as it would be without.
        raise exc from None
    asyncio_loop.call_exception_handler(
        {
            "message": f"Exception in callback {name_of(callback)}",
            "exception": exc,
            "callback": callback,
        }
    )


class _Asyncio:
    """What the selectors of a Loop have there as `Queue.has_work`."""

    def __init__(self) -> None:
        self.selectors = 0

    def __call__(self, limit: float) -> bool:
        """Whether asyncio has something to do that came while it was selecting.

        Args:
            limit: seconds that the Loop is about to wait at most; negative: for as
                long as it takes.
        """
        try:
            asyncio_loop: Any = asyncio.get_running_loop()
        except RuntimeError:
            return False
        # asyncio has no public way to ask for it. Without, it is better not to wait.
        if getattr(asyncio_loop, "_ready", True) or getattr(
            asyncio_loop, "_stopping", True
        ):
            return True
        handles = getattr(asyncio_loop, "_scheduled", None)
        if not handles:
            return False
        end = asyncio_loop.time() + limit - _LATENESS if limit >= 0 else float("inf")
        # The first of them is the one to come first.
        return handles[0].when() < end and any(
            handle.when() < end and not handle.cancelled() for handle in handles
        )


class Selector(selectors.BaseSelector):
    """A `selectors.BaseSelector` that waits with a libev Loop.

    `asyncio.SelectorEventLoop` takes it, and so does any other program that uses
    `selectors`. While it waits the Loop delivers the events of its other watchers;
    `select` then returns, perhaps with nothing that is ready.

    It has one Io watcher for each descriptor. A file on a disk is always ready. A
    descriptor that is closed while it is registered is reported as ready once, when
    libev comes to know of it, which with epoll it may not: it is to be unregistered
    before it is closed. Of very many that are ready at once, some come with the next
    `select`.
    """

    loop: Loop
    """The libev Loop that it waits with."""

    def __init__(self, loop: Loop | None = None) -> None:
        """Make a selector, with nothing registered.

        Args:
            loop: the libev Loop to wait with, which stays open when the selector is
                closed; None: one of the selector's own.

        Raises:
            TypeError: `loop` is neither a Loop nor None.
            Error: the loop is closed.
            OSError: there are no descriptors left.
            MemoryError: there is none to set aside for libev.
        """
        self._is_own = loop is None
        waiting: Any = Loop() if loop is None else loop
        if not isinstance(waiting, Loop):
            raise TypeError(f"Selector: loop must be a Loop or None, got {loop!r}")
        waiting._check_open("io")
        self.loop = loop = waiting
        self._waiting: Any = loop
        self._queue = loop._queue
        self._c: Any = loop._c
        self._keys: dict[int, SelectorKey] = {}
        # Kept when they are stopped: to make one takes longer than to start it.
        self._ios: dict[int, Io] = {}
        self._map: Any = _Keys(self, self._keys)
        # More than one may wait with a Loop, one after the other.
        shared: Any = self._queue.has_work
        if shared is None:
            shared = self._queue.has_work = _Asyncio()
        shared.selectors += 1
        self._asyncio = shared
        if loop.exception_handler is None:
            loop.exception_handler = _handle_exception

    def register(
        self, fileobj: FileDescriptor, events: int, data: Any = None
    ) -> SelectorKey:
        """Have `select` say when a file object is ready.

        Args:
            fileobj: an open file descriptor, or an object with `fileno()`.
            events: `selectors.EVENT_READ`, `EVENT_WRITE` or both.
            data: anything, to be had from the key.

        Returns:
            The key, which `select` returns as well.

        Raises:
            ValueError: `events` is another set, or `fileobj` has no descriptor.
            KeyError: the descriptor is registered already.
            OSError: it is closed.
            RuntimeError: the selector is closed.

        libev: ev_io_start
        """
        _check_events(events)
        if self._map is None:
            raise RuntimeError("Selector is closed")
        fd = self._find(fileobj)
        keys = self._keys
        if fd in keys:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        io = self._ios.get(fd)
        if io is None:
            io = self.loop.io(fd, events, _selected)
            error = lib.mood_io_gather(io._made())
            assert not error
            self._ios[fd] = io
        key = keys[fd] = SelectorKey(fileobj, fd, events, data)
        try:
            io._watch(events)
        except BaseException:
            keys.pop(fd, None)
            raise
        return key

    def unregister(self, fileobj: FileDescriptor) -> SelectorKey:
        """Forget a file object, which may have been closed.

        Args:
            fileobj: what was registered, or its descriptor.

        Returns:
            The key that it had.

        Raises:
            KeyError: it is not registered.
            ValueError: it has no descriptor, and is not registered.
            Error: this is a Scheduler's callable, where it stays registered.

        libev: ev_io_stop
        """
        try:
            key = self._keys.pop(self._find(fileobj))
        except KeyError:
            raise _not_registered(fileobj) from None
        try:
            self._ios[key.fd].stop()
        except Error:
            # A Loop that was given may be closed first.
            if self._queue.open:
                self._keys[key.fd] = key
                raise
        return key

    def modify(
        self, fileobj: FileDescriptor, events: int, data: Any = None
    ) -> SelectorKey:
        """Wait for other events, or attach other data.

        Args:
            fileobj: what was registered, or its descriptor.
            events: as for `register`.
            data: as for `register`.

        Returns:
            The new key.

        Raises:
            ValueError, KeyError, OSError: as for `register` and `unregister`.
                Nothing has changed then.

        libev: ev_io_modify
        """
        try:
            key = self._keys[self._find(fileobj)]
        except KeyError:
            raise _not_registered(fileobj) from None
        fd = key.fd
        if events != key.events:
            _check_events(events)
            self._ios[fd]._modify(events)
        elif data == key.data:
            return key
        key = self._keys[fd] = SelectorKey(key.fileobj, fd, events, data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait until something is ready, or the Loop has called a callback.

        Args:
            timeout: seconds to wait at most; None: for as long as it takes, or until
                libev looks whether the clock was set; 0 or less: do not wait.

        Returns:
            A key and the events, `EVENT_READ`, `EVENT_WRITE` or both, for each that
            is ready; nothing after `timeout`, and when there were other events.

        Raises:
            RuntimeError: the selector is closed.
            Exception: what `Loop.start` raises.
            BaseException: what left a watcher's callback and was fatal.

        libev: ev_run
        """
        if timeout is None:
            gathered = _wait(self._c)
        elif timeout > 0:
            gathered = _wait_for(self._c, timeout)
        else:
            gathered = _look(self._c)
        if not gathered:
            return []
        if gathered < 0:
            gathered = self._waiting._settle_poll(gathered, timeout)
        if gathered < _MANY:
            # The two bits below the descriptor are the revents.
            key = self._keys.get(gathered >> 2)
            if key is not None:
                revents = gathered & key.events
                if revents:
                    return [(key, revents)]
            return []
        key_of = self._keys.get
        ready: list[tuple[SelectorKey, int]] = []
        events = iter(_unpack(self._c.gathered, 2 * (gathered - _MANY)))
        for fd, revents in zip(events, events):
            # A callback may have unregistered it meanwhile.
            key = key_of(fd)
            if key is not None:
                revents &= key.events
                if revents:
                    ready.append((key, revents))
        return ready

    def close(self) -> None:
        """Forget everything, and close the Loop if it is the selector's own.

        Raises:
            Error: the loop is running.
            BaseException: what left a Cleanup watcher's callback and was fatal.

        libev: ev_io_stop, ev_loop_destroy
        """
        if self._map is None:
            return
        try:
            if self._is_own:
                self.loop.close()
        finally:
            if not (self._is_own and self._queue.open):
                self._forget_all()

    def _forget_all(self) -> None:
        for io in self._ios.values():
            io._halt()
        self._keys.clear()
        self._ios.clear()
        self._map = None
        self._waiting, self._c = _Closed(), _no_loop
        self._asyncio.selectors -= 1
        if not self._asyncio.selectors:
            self._queue.has_work = None
            if self.loop.exception_handler is _handle_exception:
                self.loop.exception_handler = None

    def get_map(self) -> Mapping[Any, SelectorKey]:
        """The keys by file object, or descriptor; None: the selector is closed."""
        return self._map  # type: ignore[no-any-return]

    def _find(self, fileobj: Any) -> int:
        """The descriptor of a file object, also of a registered one that is closed."""
        if fileobj.__class__ is int and fileobj >= 0:
            return fileobj  # type: ignore[no-any-return]
        try:
            fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            fd = None
        if fd is None or fd < 0:
            for key in self._keys.values():
                if key.fileobj is fileobj:
                    return key.fd
            raise ValueError(f"Invalid file object: {fileobj!r}")
        return fd


# -- the event loop ------------------------------------------------------------------


class EventLoop(asyncio.SelectorEventLoop):
    """asyncio's own event loop for selectors, on a `Selector`.

    What the Loop's watchers call back runs between asyncio's own callbacks, in the
    same thread: it may use futures, tasks and `call_soon`. An exception that leaves
    such a callback goes to the exception handler of the asyncio loop; a fatal one
    ends `run_forever` and `run_until_complete`, which raise it.
    """

    ev_loop: Loop
    """The libev Loop, to make watchers on."""

    def __init__(self, loop: Loop | None = None) -> None:
        """Make an asyncio event loop.

        Args:
            loop: the libev Loop to run on, which stays open when this one is closed:
                `default_loop()` for Child watchers; None: one of its own.

        Raises:
            TypeError: `loop` is neither a Loop nor None.
            Error: the loop is closed.
            OSError: there are no descriptors left.
            MemoryError: there is none to set aside for libev.
        """
        selector = Selector(loop)
        try:
            super().__init__(selector)
        except BaseException:
            selector.close()
            raise
        # Last: PyPy finds an object's first four attributes faster than the others, and
        # those are to be asyncio's, as on its own loop.
        self.ev_loop = selector.loop

    def __del__(self) -> None:
        # asyncio's takes it for granted that its __init__ was called.
        if "ev_loop" in self.__dict__:
            super().__del__()

    def run_forever(self) -> None:
        """Run until `stop` is called: asyncio's own method.

        Meanwhile a signal wakes the Loop by `signal.set_wakeup_fd`, which costs
        nothing then when it waits.

        Raises:
            RuntimeError: the loop is running, or closed, or another one is running.
            BaseException: what left a callback and was fatal.

        libev: ev_run
        """
        # In CPython 3.13.0 asyncio's own ends the run that it refuses another one in.
        if self.is_running():
            raise RuntimeError("This event loop is already running")
        _refuse_nesting("EventLoop.run_forever")
        if self.is_closed():
            # It says so.
            super().run_forever()
        ev_loop = self.ev_loop
        was_awake = ev_loop._is_awake()
        ev_loop._stay_awake()
        try:
            super().run_forever()
        finally:
            ev_loop._leave_awake(was_awake)

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove the handler of a signal: asyncio's own method.

        Args:
            sig: the signal's number.

        Returns:
            Whether there was one.

        Raises:
            ValueError: there is no such signal, or nobody can handle it.
            RuntimeError: the signal's old handler could not be set.
        """
        removed = super().remove_signal_handler(sig)
        if self.is_running():
            # With its last one asyncio has removed the wakeup descriptor.
            self.ev_loop._stay_awake(again=True)
        return removed


def _refuse_nesting(what: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    # asyncio's own words: programs and tests look for them.
    raise RuntimeError(f"{what}: cannot run while another loop is running")


def new_event_loop(loop: Loop | None = None) -> EventLoop:
    """Make an asyncio event loop on libev: a `loop_factory` for `asyncio.Runner`.

    Args:
        loop: see `EventLoop`.

    Raises:
        TypeError, Error, OSError, MemoryError: as for `EventLoop`.
    """
    return EventLoop(loop)


def run(
    main: Coroutine[Any, Any, T], *, debug: bool | None = None, loop: Loop | None = None
) -> T:
    """Run a coroutine on libev: `asyncio.run`, on an `EventLoop`.

    Args:
        main: the coroutine.
        debug: asyncio's debug mode; None: what the environment says.
        loop: see `EventLoop`.

    Returns:
        What the coroutine returns.

    Raises:
        RuntimeError: an asyncio loop runs in this thread already.
        ValueError, TypeError: `main` is no coroutine.
        Error, OSError, MemoryError: as for `EventLoop`.
        BaseException: what leaves the coroutine, or a callback and was fatal.
    """
    # Else the runner is told so when it winds up as well, and leaves an open loop.
    _refuse_nesting("run")
    factory = functools.partial(new_event_loop, loop)
    runner = getattr(asyncio, "Runner", None)
    if runner is None:
        return _run_before_3_11(factory, main, debug)
    with runner(debug=debug, loop_factory=factory) as running:
        return running.run(main)  # type: ignore[no-any-return]


def _run_before_3_11(
    factory: Callable[[], EventLoop],
    main: Coroutine[Any, Any, T],
    debug: bool | None,
) -> T:
    """asyncio.run, which there takes no factory, in public words."""
    if not asyncio.iscoroutine(main):
        raise ValueError(f"run: main must be a coroutine, got {main!r}")
    event_loop = factory()
    try:
        asyncio.set_event_loop(event_loop)
        if debug is not None:
            event_loop.set_debug(debug)
        return event_loop.run_until_complete(main)
    finally:
        try:
            _wind_up(event_loop)
        finally:
            asyncio.set_event_loop(None)
            event_loop.close()


def _wind_up(event_loop: EventLoop) -> None:
    """Cancel the tasks, and end what asyncio has begun."""
    tasks = asyncio.all_tasks(event_loop)
    for task in tasks:
        task.cancel()
    if tasks:
        event_loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            event_loop.call_exception_handler(
                {
                    "message": "unhandled exception after the end of run()",
                    "exception": task.exception(),
                    "task": task,
                }
            )
    event_loop.run_until_complete(event_loop.shutdown_asyncgens())
    event_loop.run_until_complete(event_loop.shutdown_default_executor())


def install() -> None:
    """Have asyncio make an `EventLoop` for each new event loop, by a policy.

    For programs that cannot be changed to use `run` or `new_event_loop`.

    Raises:
        RuntimeError: this Python's asyncio has no policies any more.
    """
    set_policy = getattr(asyncio, "set_event_loop_policy", None)
    if set_policy is None:
        raise RuntimeError("install: asyncio has no policies here; use run()")
    set_policy(_policy()())


@functools.cache
def _policy() -> Any:
    # Not at import: policies are deprecated, and to be removed.
    base: Any = asyncio.DefaultEventLoopPolicy

    class EventLoopPolicy(base):  # type: ignore[misc]
        """The default policy, with the event loops of mood_event.aio."""

        def new_event_loop(self) -> EventLoop:
            """An `EventLoop` on a Loop of its own."""
            return EventLoop()

    EventLoopPolicy.__qualname__ = "EventLoopPolicy"
    return EventLoopPolicy


def __getattr__(name: str) -> Any:
    if name == "EventLoopPolicy" and hasattr(asyncio, "DefaultEventLoopPolicy"):
        return _policy()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# -- watchers in asyncio ---------------------------------------------------------------


def ev_loop(asyncio_loop: asyncio.AbstractEventLoop | None = None) -> Loop:
    """The libev Loop under an asyncio loop, to make watchers on.

    Args:
        asyncio_loop: an `EventLoop`, or a SelectorEventLoop that was given a
            `Selector`; None: the running one.

    Raises:
        RuntimeError: there is no running asyncio loop.
        TypeError: `asyncio_loop` does not run on libev.
    """
    if asyncio_loop is None:
        asyncio_loop = asyncio.get_running_loop()
    if isinstance(asyncio_loop, EventLoop):
        return asyncio_loop.ev_loop
    # asyncio has no public way to ask for it.
    selector = getattr(asyncio_loop, "_selector", None)
    if not isinstance(selector, Selector):
        raise TypeError(
            "ev_loop: asyncio_loop must run on a mood_event.aio.Selector, as those of "
            f"aio.run and aio.new_event_loop do, got {asyncio_loop!r}"
        )
    return selector.loop


async def event(watcher: Watcher) -> int:
    """Wait for a watcher's next event.

    An inactive watcher is started, and stopped again after the event, or when the
    waiting task is cancelled. An active one stays active: it may have events that
    nobody waits for. The watcher's own callback is called as well, afterwards; see
    `ignore`. Any number of tasks may wait for the same watcher.

    Meanwhile the watcher has another callback than its own, and must be given none: the
    event would be that one's alone. If the watcher is stopped the tasks go on waiting.

    Args:
        watcher: of any type, on the running asyncio loop's libev Loop.

    Returns:
        The event's revents, a set of EV_* bits.

    Raises:
        TypeError: `watcher` is no Watcher, or the asyncio loop does not run on
            libev.
        ValueError: it belongs to another Loop.
        RuntimeError: there is no running asyncio loop.
        Exception: what the watcher's `start` raises.
    """
    asyncio_loop = asyncio.get_running_loop()
    given: Any = watcher
    if not isinstance(given, Watcher):
        raise TypeError(f"event: watcher must be a Watcher, got {given!r}")
    if watcher.loop is not ev_loop(asyncio_loop):
        raise ValueError(
            f"event: watcher must belong to the running loop's Loop, got {watcher!r}"
        )
    awaited: Any = watcher.callback
    if not isinstance(awaited, _Awaited):
        awaited = _Awaited(watcher)
    return await awaited.wait(asyncio_loop.create_future())  # type: ignore[no-any-return]


class _Awaited:
    """The callback of a watcher that tasks wait for."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        # By this name _naming.py finds it.
        self.__wrapped__: Any = watcher.callback
        self._futures: list[asyncio.Future[int]] = []
        self._has_started = False
        watcher.callback = self

    @property
    def __mood_fatal__(self) -> bool:
        return getattr(self.__wrapped__, "__mood_fatal__", False)

    def __call__(self, watcher: Watcher, revents: int) -> None:
        for future in self._futures:
            if not future.done():
                future.set_result(revents)
        self._futures = []
        self._leave()
        if self.__wrapped__ is not None:
            self.__wrapped__(watcher, revents)
        elif isinstance(watcher, Embed):
            # What libev does for one that has no callback.
            watcher.sweep()

    async def wait(self, future: asyncio.Future[int]) -> int:
        self._futures.append(future)
        try:
            if not self._watcher.active:
                self._has_started = True
                self._watcher.start()
            return await future
        finally:
            if future in self._futures:
                self._futures.remove(future)
                if not self._futures:
                    self._leave()

    def _leave(self) -> None:
        """Nobody waits any more: leave the watcher as it was."""
        if self._watcher.callback is self:
            self._watcher.callback = self.__wrapped__
        if self._has_started:
            self._has_started = False
            # The loop may be closed.
            self._watcher._halt()
