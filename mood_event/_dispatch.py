"""From libev's events to callbacks: the functions that C calls, and exceptions.

libev/shim.c tells how events get into a loop's ready queue. It then calls one of
the functions at the end of this module, with the number of the loop, from inside
libev and with the GIL taken: mood_on_event for a single event, mood_on_batch for
more. What they need of a loop is its `Queue`.

Three promises are kept here.

Order. The batch is a list of (slot, revents, slot, revents, ...), walked by one
iterator. A watcher that is stopped or cleared gets slot 0, where a watcher sits
that does nothing (`Queue.forget`). Whatever could change the order, a feed or a
nested run, ends the batch: the rest goes back to libev (`Queue.spill`), and comes
again with libev's own answer to who is next.

Exceptions. What leaves a callback is reported, and the loop goes on, or it is
kept, every run is broken, and `Loop.start` raises it (`Queue.fail`). An exception
that is kept spills the batch too, so the `for` below just ends.

Interrupts. Python can raise between two bytecodes of this module, in the name of
a signal handler. cffi's `onerror` then gets the exception (`_interrupted`), and
the traceback tells how far the frame had come, so an event is neither lost nor
delivered twice, at no cost for events that nobody interrupts.

Imported by watchers.py and loop.py. It knows neither Watcher nor Loop by import:
of a watcher it uses `_callback`, `_slot` and `_ptr`.
"""

from __future__ import annotations

import itertools
import os
import sys
from _weakref import ref
from errno import EBADF

from mood_event._ffi import ffi, lib
from mood_event.constants import EVBREAK_ALL
from mood_event.errors import Error

# What is not needed to import the package is imported where it is used: typing, dis,
# traceback, weakref and the like take several times as long as all of the package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Any, Callable, TypeVar

    F = TypeVar("F", bound=Callable[..., object])

__all__ = [
    "Queue",
    "fatal",
    "handle_signals",
    "left_callback",
    "living_queues",
    "refused",
    "report",
    "running",
    "trim",
    "watcher_error",
]

_unpack = ffi.unpack
_LOOP = ffi.typeof("struct mood_loop *")

_FATAL = "__mood_fatal__"

# How many slots are made at once.
_BLOCK = 32

_REFUSALS = {
    lib.MOOD_CLOSED: "the loop is closed",
    lib.MOOD_RESCHEDULING: "a Scheduler's callable must not change the loop",
    lib.MOOD_SIGNAL_TAKEN: "another loop watches this signal",
    lib.MOOD_UNBALANCED: "no watcher's reference is left",
    lib.MOOD_SUSPENDED: "the loop is suspended already",
    lib.MOOD_NOT_SUSPENDED: "the loop is not suspended",
    lib.MOOD_PENDING: "the watcher is pending",
    lib.MOOD_ELSEWHERE: "another thread runs the loop",
    lib.MOOD_SILENT: "no Async watcher was ever active on the loop",
    lib.MOOD_ACTIVE: "the watcher is active",
    lib.MOOD_UNMADE: "the watcher is being configured anew",
    lib.MOOD_STRANGE: "a private attribute of the watcher was replaced",
}


def refused(what: str, code: int) -> Exception:
    """The exception for a negative result of the shim.

    Args:
        what: the class and method, "Loop.unref".
        code: one of the shim's own codes, or a negated errno.
    """
    reason = _REFUSALS.get(code)
    if reason is not None:
        return Error(f"{what}: {reason}")
    if code == lib.MOOD_NO_MEMORY:
        return MemoryError(f"{what}: out of memory")
    return OSError(-code, f"{what}: {os.strerror(-code)}")


# -- exceptions ----------------------------------------------------------------------


def fatal(callback: F) -> F:
    """What the package's `fatal` does, in loop.py."""
    if not callable(callback):
        raise TypeError(f"fatal: callback must be callable, got {callback!r}")
    try:
        setattr(callback, _FATAL, True)
    except (AttributeError, TypeError):
        from functools import partial

        wrapped: Any = partial(callback)
        setattr(wrapped, _FATAL, True)
        return wrapped  # type: ignore[no-any-return]
    return callback


def trim(exc: BaseException) -> None:
    """Leave this package's frames out of the head of an exception's traceback.

    To be followed by a bare `raise`, which CPython 3.11 and later then shows
    without the frame that it is in; before, and on PyPy, that one stays.
    """
    trace = exc.__traceback__
    package = __name__.partition(".")[0] + "."
    while trace and trace.tb_frame.f_globals.get("__name__", "").startswith(package):
        trace = trace.tb_next
    if trace is not None:
        exc.__traceback__ = trace


class UnraisableHookArgs:
    """What `sys.unraisablehook` takes; CPython's own type cannot be made in Python."""

    def __init__(self, exc: BaseException, where: object) -> None:
        self.exc_type = type(exc)
        self.exc_value = exc
        self.exc_traceback = exc.__traceback__
        place = _place(where) if exc.__traceback__ is None else ""
        self.err_msg = (
            f"Exception ignored in the callback at {place}" if place else None
        )
        self.object = where


def _place(callback: Any) -> str:
    """Where a callback is that could not even be called: it is in no traceback."""
    try:
        from mood_event._naming import place_of

        return place_of(callback)
    except Exception:
        # The program's: a callback can have any attributes. Or there is nothing left
        # to import with, no memory or no descriptor.
        return ""


def report(exc: BaseException, where: object) -> None:
    """Report an exception that nobody can catch, through `sys.unraisablehook`.

    Args:
        exc: the exception, its traceback being the one to show.
        where: what raised it, a callback. If it could not be called with these
            arguments, the report says where it is.
    """
    args = UnraisableHookArgs(exc, where)
    if sys.unraisablehook is sys.__unraisablehook__:
        _print_unraisable(args)
        return
    try:
        sys.unraisablehook(
            args  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        )
    except Exception as error:
        _print_unraisable(args)
        _print_unraisable(UnraisableHookArgs(error, sys.unraisablehook))


def _print_unraisable(args: UnraisableHookArgs) -> None:
    """What the default hook prints, which takes CPython's own type alone."""
    if sys.stderr is None:
        return
    try:
        from traceback import format_exception

        lines = format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    except Exception:
        # There is no descriptor left to import it with, or no memory.
        lines = _short_traceback(args)
    try:
        where = repr(args.object)
    except Exception:
        where = object.__repr__(args.object)
    message = args.err_msg or "Exception ignored in"
    try:
        sys.stderr.write("".join([f"{message}: {where}\n", *lines]))
        sys.stderr.flush()
    except Exception:
        # There is nowhere left to say it: a loop does not end for that.
        return


def _short_traceback(args: UnraisableHookArgs) -> list[str]:
    """A traceback without lines of source, for which nothing has to be opened."""
    lines = ["Traceback (most recent call last):\n"]
    trace = args.exc_traceback
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f'File "{code.co_filename}", line {trace.tb_lineno}'
        lines.append(f"  {place}, in {code.co_name}\n")
        trace = trace.tb_next
    try:
        message = str(args.exc_value)
    except Exception:
        message = "<its message raises>"
    lines.append(f"{args.exc_type.__name__}: {message}\n")
    return lines


# -- a loop's queue --------------------------------------------------------------------


class _Nobody:
    """The watcher of slot 0: where events go whose watcher was stopped."""

    __slots__ = ()
    _slot = 0

    @staticmethod
    def _callback(watcher: object, revents: int) -> None:
        pass


_NOBODY = _Nobody()


class Queue:
    """What the dispatcher knows of a loop.

    Attributes:
        c: the C struct mood_loop.
        id: the loop's number in C.
        loop: a weak reference to the Loop.
        held: the watchers that are active or pending, by slot. Slot 0 is nobody,
            slot 1 the queue itself, for the calls of other threads.
        free: the slots that nobody has.
        later: more of them, not to be taken before the others.
        blocks: counts the blocks of slots that were made.
        changes: counts what was done to what C has for Python while that reads it.
        batch: what is being delivered; None: nothing is.
        rest: the iterator over it.
        open: False once the loop is closed.
        kept: the exception for Loop.start to raise.
        raising: the last one raised by a nested run: it stays fatal further out.
        failed: Schedulers to be stopped.
        embeds: the Embed watchers, of other loops, that were started on this one.
        has_work: asked before the loop waits for somebody who has it polled: is there
            anything else to do now, or before so many seconds are over? None: nobody.
        calls: what other threads want called.
    """

    __slots__ = (
        "__weakref__",
        "batch",
        "blocks",
        "c",
        "calls",
        "changes",
        "embeds",
        "failed",
        "free",
        "has_work",
        "held",
        "id",
        "kept",
        "later",
        "loop",
        "open",
        "raising",
        "rest",
    )

    _slot = 1

    def __init__(self, loop: object, flags: int) -> None:
        """Make the C loop.

        Raises:
            Error: libev has no usable backend in `flags`.
            OSError: there are no descriptors left.
            MemoryError: there is none to set aside for libev.
        """
        self.c = ffi.new(_LOOP)
        self.loop = ref(loop)
        if _deque is None:
            _import_late()
        self.held: list[Any] = [_NOBODY, self]
        self.free: list[int] = []
        self.later: list[int] = []
        self.blocks = itertools.count()
        self.changes = 0
        self.batch: list[int] | None = None
        self.rest: Iterator[int] | None = None
        self.kept: BaseException | None = None
        self.raising: BaseException | None = None
        self.failed: list[Any] = []
        self.embeds: list[Any] = []
        self.has_work: Callable[[float], bool] | None = None
        self.calls: deque[Any] = _deque()  # pyright: ignore[reportOptionalCall]
        self.open = False
        self.id = next(_numbers)
        _queues[self.id] = ref(self)
        error = lib.mood_loop_open(self.c, self.id, flags)
        if error:
            del _queues[self.id]
            if error == lib.MOOD_CLOSED:
                raise Error("could not create loop, bad 'flags'?")
            raise refused("Loop", error)
        self.open = True

    def destroy(self) -> bool:
        """Destroy the C loop: nothing will call this queue again.

        Returns:
            False: an Embed watcher of it has been started meanwhile.

        Raises:
            Error: in a Scheduler's callable.
        """
        error = lib.mood_loop_destroy(self.c)
        if error == lib.MOOD_ACTIVE and any(embed.active for embed in self.embeds):
            return False
        if error:
            raise refused("Loop.close", error)
        self.open = False
        self.free.clear()
        self.later.clear()
        # As long as it was: this may be inside of what frees a slot.
        self.held[2:] = [None] * (len(self.held) - 2)
        del _queues[self.id]
        return True

    @property
    def entered(self) -> bool:
        """Whether Python is inside a run or an invocation of the loop.

        C counts: an interrupt in Python could come between two steps of counting.
        """
        return bool(self.c.running or self.c.invoking)

    # -- slots
    #
    # A `__del__` or a signal's handler can come between any two calls here, and into
    # what calls this, and start and stop the same watcher. So whoever gives C a slot
    # looks afterwards whether the watcher has it still, and whoever frees one frees
    # the slot that C had let go of, whichever the watcher has by then.

    def take(self, watcher: Any) -> int:
        """A slot for a watcher, which is held from here on; 0: it has got one."""
        # Not asked before: an interrupt in between can take the last one.
        try:
            slot = self.free.pop()
        except IndexError:
            slot = self.new_slot()
        if watcher._slot:
            # Meanwhile: a `__del__` or a signal's handler has started it.
            self.free.append(slot)
            return 0
        # In this order: an interrupt in between leaves a slot to be swept.
        self.held[slot] = watcher
        watcher._slot = slot
        return slot

    def new_slot(self) -> int:
        """A slot where none is free; some more are free then."""
        if not self.later:
            return self._make_block()
        later, self.later = self.later, []
        slot = later.pop()
        self.free.extend(later)
        return slot

    def _make_block(self) -> int:
        # Counted, and not by the length: who comes in between counts as well.
        slot = 2 + _BLOCK * next(self.blocks)
        end = slot + _BLOCK
        self.held.extend([None] * (end - len(self.held)))
        # The lowest is to be taken first.
        self.free.extend(range(end - 1, slot, -1))
        return slot

    def release(self, watcher: Any, slot: int, later: int = 0) -> None:
        """Free the slot that C has let go of, and that the watcher had by then."""
        # In this order: an interrupt in between leaves a watcher held too long.
        if watcher._slot == slot:
            watcher._slot = 0
        if self.held[slot] is watcher:
            self.held[slot] = None
            (self.later if later else self.free).append(slot)

    def put_off(self, watcher: Any, slot: int) -> None:
        """Free a slot that cannot be taken now, and have another one."""
        self.release(watcher, slot, lib.MOOD_LATER)
        if not self.free:
            self.free.append(self._make_block())

    def reconcile(self, watcher: Any, slot: int) -> None:
        """Give a watcher the slot back that C has it by, or free it if C has not."""
        if not watcher._slot and not lib.mood_retirable(watcher._ptr):
            for slots in (self.free, self.later):
                if slot in slots:
                    slots.remove(slot)
            self.held[slot] = watcher
            watcher._slot = slot
        elif watcher._slot != slot:
            self.release(watcher, slot)

    def recover(self, watcher: Any, slot: int) -> bool:
        """Have a watcher have the slot that C has it by, in place of another one."""
        known = lib.mood_slot(watcher._ptr)
        if not known or known == slot or self.held[known] is not watcher:
            return False
        watcher._slot = known
        self.release(watcher, slot)
        return True

    def retire(self) -> None:
        """Free the slots of the watchers that libev stopped and that are delivered."""
        self.changes = changes = self.changes + 1
        count = lib.mood_retire(self.c)
        slots = _unpack(self.c.retired, count) if count else ()
        if self.changes != changes:
            # A nested run has retired others, and these are theirs.
            self.sweep()
            return
        for slot in slots:
            watcher = self.held[slot]
            if watcher is not None:
                self.release(watcher, slot)

    def sweep(self) -> None:
        """Free every slot that can be: an interrupt may have kept some from it."""
        for slot in range(2, len(self.held)):
            watcher = self.held[slot]
            if watcher is not None and (
                watcher._slot != slot or lib.mood_retirable(watcher._ptr)
            ):
                self.release(watcher, slot, lib.MOOD_LATER)

    # -- the batch

    def position(self) -> int:
        """How many events of the batch have been delivered."""
        if self.rest is None or self.batch is None:
            return 0
        return _delivered(self.batch, self.rest)

    def forget(self, result: int) -> None:
        """Follow C in taking an event out of the batch.

        Args:
            result: what a function of the shim said that has stopped a watcher.
        """
        index = 2 * (result // lib.MOOD_FORGOTTEN - 1)
        if self.rest is None or self.batch is None:
            self.changes += 1
        elif index < len(self.batch):
            self.batch[index] = 0

    def spill(self, position: int) -> None:
        """Give the batch back to libev from `position` on, and end it here."""
        lib.mood_spill(self.c, position)
        if self.rest is None or self.batch is None:
            self.changes += 1
        else:
            self.batch.clear()
        self.rest = None

    # -- exceptions

    def caught(self, exc: BaseException, callback: object) -> None:
        """A dispatching function has caught an exception around a callback."""
        trace = exc.__traceback__
        if trace is None or left_callback(exc):
            self.fail(exc, callback)
        else:
            exc.__traceback__ = trace.tb_next
            _restore(self, trace.tb_frame, trace)
            self.keep(exc, callback)
        if self.calls and getattr(callback, "__self__", None) is self:
            # Only an interrupt leaves _callback, which may not have come to this.
            lib.mood_knock(self.c)

    def fail(self, exc: BaseException, callback: object) -> None:
        """An exception has left a callback: report it, or keep it."""
        if exc.__traceback__ is not None:
            # Without the dispatcher's own frame.
            exc.__traceback__ = exc.__traceback__.tb_next
        if self._is_fatal(exc, callback):
            self.keep(exc, callback)
        else:
            self._report(exc, callback)

    def _report(self, exc: BaseException, callback: object) -> None:
        """Give an exception that is not fatal to Loop.exception_handler, or report."""
        loop = self.loop()
        handler = getattr(loop, "exception_handler", None)
        if handler is None:
            report(exc, callback)
            return
        try:
            handler(loop, exc, callback)
        except Exception as error:
            report(exc, callback)
            if error is not exc:
                report(error, handler)
        except BaseException as error:
            self.keep(error, handler)

    def _is_fatal(self, exc: BaseException, callback: object) -> bool:
        return bool(
            not isinstance(exc, Exception)
            or exc is self.raising
            or self.c.has_callback
            or getattr(callback, _FATAL, False)
            or getattr(self.loop(), "debug", False)
        )

    def keep(self, exc: BaseException, where: object) -> None:
        """End all runs of the loop, for Loop.start to raise the exception."""
        if self.kept is not None:
            if exc is not self.kept:
                report(exc, where)
            return
        # In this order, and so below: an interrupt in between is kept, or this one.
        self.halt()
        self.kept = exc
        if not self.entered:
            # libev runs it, for the loop that embeds it.
            for embed in self.embeds:
                if embed.active:
                    embed._queue.keep(exc, where)

    def halt(self) -> None:
        """End all runs of the loop, and deliver nothing more until it is raised.

        What comes in between, where Python has no room for one more call, leaves
        nothing to raise. Then the next run that is not a nested one mends it.
        """
        lib.mood_break(self.c, EVBREAK_ALL)
        self.c.broken = 1
        self.spill(self.position())

    def mend(self) -> None:
        """Before a run that is not nested: deliver, if there is nothing to raise."""
        if self.c.broken and self.kept is None and not self.entered:
            self.c.broken = 0

    def take_kept(self) -> BaseException | None:
        """The exception to raise, if there is one, which then is no longer kept."""
        exc = self.kept
        if not self.entered:
            self.raising = None
        elif exc is not None:
            # Where it is caught again, in a callback further out, it stays fatal.
            self.raising = exc
        if exc is not None:
            # In this order: see halt.
            self.kept = None
            self.c.broken = 0
            for watcher in self.held:
                other = getattr(watcher, "_other", None)
                if other is not None and other._queue.kept is exc:
                    other._queue.take_kept()
            for embed in self.embeds:
                if embed._queue.kept is exc:
                    # Raised here, it is not to be raised there as well.
                    embed._queue.take_kept()
        return exc

    def raise_kept(self) -> None:
        """Raise the exception that is kept, if there is one.

        `Loop.start` does it itself, which spares a traceback this frame.
        """
        exc = self.take_kept()
        if exc is not None:
            try:
                raise exc
            except BaseException:
                trim(exc)
                raise
            finally:
                del exc

    # -- other threads' calls, and Schedulers

    def _callback(self, watcher: object, revents: int) -> None:
        """Slot 1: make the calls that are there now, in their order."""
        calls, call = self.calls, None
        try:
            for _ in range(len(calls)):
                if not calls:
                    # A nested run has made them.
                    break
                # Not from popleft: what that returns, an interrupt can take.
                call = calls[0]
                calls.popleft()
                # The name that _interrupts.py looks for, and must not find below.
                _callback, args = call
                try:
                    _callback(*args)
                except BaseException as exc:
                    if left_callback(exc):
                        called, call = call[0], None
                        self.fail(exc, called)
                    else:
                        self._put_back(call)
                        self.keep(exc, call[0])
                    if self.kept is not None:
                        break
                call = None
        except BaseException as exc:
            if call is not None and not _was_called(exc.__traceback__):
                self._put_back(call)
            raise
        finally:
            if calls:
                lib.mood_knock(self.c)

    def _put_back(self, call: Any) -> None:
        """Have a call made that an interrupt has kept from being made."""
        if not self.calls or self.calls[0] is not call:
            self.calls.appendleft(call)

    def call(self, callback: Callable[..., object], *args: object) -> None:
        """Call with the fate of exceptions that callbacks have."""
        try:
            callback(*args)
        except BaseException as exc:
            self.fail(exc, callback)

    def settle_failed(self) -> None:
        """Stop the Schedulers that have failed."""
        while self.failed:
            watcher = self.failed.pop(0)
            try:
                watcher._fail()
            except Exception as exc:
                # A warning that was made an error.
                self.keep(exc, watcher)


def _delivered(batch: list[int], rest: Any) -> int:
    """How many pairs of `batch` the iterator over it has given out."""
    left: int = rest.__length_hint__()
    return (len(batch) - left) // 2


# By number, and weak: a loop that nobody refers to is garbage.
_queues: dict[int, Any] = {}
_numbers = itertools.count()

# The running loops' again, strong: to ask a weak reference takes longer than all the
# rest of finding one. A loop that libev runs, embedded in another, is not in here.
running: dict[int, Queue] = {}


def handle_signals() -> None:
    """Have Python call its handlers now, in the main thread.

    Between two bytecodes it would as well; but PyPy's compiled code looks for signals
    where it jumps backwards, and nowhere else.
    """
    import signal

    # Asked to block nothing more, it handles what is there.
    signal.pthread_sigmask(signal.SIG_BLOCK, ())


def living_queues() -> list[Queue]:
    """The queues of the loops that are open."""
    queues = [reference() for reference in list(_queues.values())]
    return [queue for queue in queues if queue is not None]


# -- interrupts ---------------------------------------------------------------------

_was_called: Any = None
_deque: Any = None


def _import_late() -> None:
    """Import what takes long when the first loop is made.

    Not later: an interrupt needs it, and a second one could come to the import.
    """
    global _deque, _was_called
    from collections import deque

    from mood_event._interrupts import was_called

    _was_called = was_called
    _deque = deque


def left_callback(exc: BaseException) -> bool:
    """Whether an exception was raised by a callback, or came once that was called.

    To be asked by the frame that caught it, and that calls a `_callback`. False: it is
    an interrupt, and the event is still to be delivered.
    """
    trace = exc.__traceback__
    return isinstance(exc, Exception) or trace is None or _was_called(trace)


def _interrupted(
    exc_type: type, exc: BaseException, trace: TracebackType | None
) -> None:
    """cffi's onerror: something was raised in one of the functions below itself."""
    if trace is None:
        report(exc, mood_on_batch)
        return
    frame = trace.tb_frame
    queue = _queues[frame.f_locals["loop"]]()
    exc.__traceback__ = trace.tb_next
    _restore(queue, frame, trace)
    queue.keep(exc, queue.loop())
    if queue.calls:
        # They may have been what was interrupted.
        lib.mood_knock(queue.c)


def _restore(queue: Queue, frame: FrameType, trace: TracebackType) -> None:
    """Give libev back what the interrupted frame had not delivered."""
    variables = frame.f_locals
    if frame.f_code is mood_on_batch.__code__:
        position = 0
        if "rest" in variables:
            position = _delivered(variables["batch"], variables["rest"])
            position -= not _was_called(trace)
        # Below it if what was called has ended the batch.
        queue.spill(max(position, 0))
    elif frame.f_code is mood_on_event.__code__ and not _was_called(trace):
        slot = variables["slot"]
        watcher = queue.held[slot]
        # For the calls of other threads there is no struct: keep() sees to them.
        if watcher is not None and watcher is not queue:
            lib.mood_feed(watcher._ptr, slot, variables["revents"])
    elif frame.f_code is mood_on_reschedule.__code__:
        # C is told that it has failed, and has it stopped.
        watcher = queue.held[variables["slot"]]
        if watcher not in queue.failed:
            queue.failed.append(watcher)
    queue.sweep()


# -- what C calls -------------------------------------------------------------------


def _extern(**kwargs: Any) -> Callable[[F], F]:
    """ffi.def_extern, with a type."""
    decorator: Callable[[F], F] = ffi.def_extern(**kwargs)
    return decorator


@_extern(onerror=_interrupted)
def mood_on_batch(loop: int, retired: int) -> None:
    """Deliver the ready queue."""
    queue = running.get(loop) or _queues[loop]()
    changes = queue.changes
    # Counted here: a `__del__` or a signal's handler may have come since C did.
    batch = _unpack(queue.c.events, 2 * queue.c.count)
    rest = iter(batch)
    queue.batch = batch
    queue.rest = rest
    if queue.changes != changes:
        # And in between: what there is now comes again.
        queue.spill(0)
    held = queue.held
    for slot, revents in zip(rest, rest):
        watcher = held[slot]
        if watcher is None:
            # See mood_on_event.
            continue
        callback = watcher._callback
        try:
            callback(watcher, revents)
        except BaseException as exc:
            queue.caught(exc, callback)
    # C first: what comes in between must not have it all back.
    queue.c.count = 0
    queue.rest = None
    if retired:
        queue.retire()


@_extern(onerror=_interrupted)
def mood_on_event(loop: int, slot: int, revents: int) -> None:
    """Deliver a single event, which costs half as much as a batch of one."""
    queue = running.get(loop) or _queues[loop]()
    watcher = queue.held[slot]
    if watcher is None:
        # A `__del__` or a signal's handler has just stopped it.
        return
    callback = watcher._callback
    try:
        callback(watcher, revents)
    except BaseException as exc:
        queue.caught(exc, callback)


@_extern(onerror=_interrupted)
def mood_on_callback(loop: int) -> None:
    """Call Loop.callback in place of delivering."""
    queue = _queues[loop]()
    owner: Any = queue.loop()
    try:
        owner._callback(owner)
    except BaseException as exc:
        if exc.__traceback__ is not None:
            exc.__traceback__ = exc.__traceback__.tb_next
        queue.keep(exc, owner)


@_extern(onerror=_interrupted)
def mood_on_error(loop: int, slot: int, errnum: int) -> None:
    """An EV_ERROR: stop the watcher and the loop, do not call the callback."""
    queue = _queues[loop]()
    watcher = queue.held[slot]
    if watcher is not None:
        queue.keep(watcher_error(watcher, errnum), watcher)
        watcher._halt()


def watcher_error(watcher: object, errnum: int) -> Exception:
    """The exception for an EV_ERROR on a watcher, and for its errno, if it has one."""
    if errnum:
        reason = os.strerror(errnum)
        if errnum == EBADF:
            reason += ", closed before the watcher was stopped"
        return OSError(errnum, f"{watcher!r}: {reason}")
    return Error(f"{watcher!r}: unspecified libev error")


@_extern(onerror=_interrupted)
def mood_on_signal(loop: int) -> None:
    """Python has a signal to handle: it does so here, between two bytecodes."""
    queue = _queues[loop]()
    # What C has collected is all still to be delivered.
    queue.rest = None
    handle_signals()


@_extern(onerror=_interrupted)
def mood_on_spill(loop: int) -> None:
    """Something is about to change the order: libev wants the rest back."""
    queue = _queues[loop]()
    queue.spill(queue.position())


@_extern(onerror=_interrupted)
def mood_on_failed(loop: int) -> None:
    """Schedulers have failed, and can be stopped now."""
    _queues[loop]().settle_failed()


@_extern(error=1, onerror=_interrupted)
def mood_on_wait(loop: int, limit: float) -> bool:
    """Callbacks were called, and the loop is about to wait: is there other work?

    Args:
        loop: its number.
        limit: seconds that it waits at most; negative: for as long as it takes.
    """
    has_work = _queues[loop]().has_work
    return has_work is not None and has_work(limit)


@_extern(error=-1.0, onerror=_interrupted)
def mood_on_reschedule(loop: int, slot: int, now: float) -> float:
    """Ask a Scheduler for its next time; -1.0: it has none to give."""
    queue = _queues[loop]()
    watcher = queue.held[slot]
    try:
        return watcher._next(now)  # type: ignore[no-any-return]
    except BaseException as exc:
        if exc.__traceback__ is not None:
            # Without _next, which called it.
            exc.__traceback__ = exc.__traceback__.tb_next
        queue.failed.append(watcher)
        queue.fail(exc, watcher._scheduler)
        return -1.0
