"""Under python -X dev: a warning for each callback that keeps its loop for too long.

Imported by loop.py in development mode, and then only: what delivers events off it
knows nothing of this. The functions here take the place of those at the end of
_dispatch.py that call the program's own code. They are the same but for the lines
with `_clock` and `_note`, which a test holds. They keep what _interrupts.py reads from
a frame: what is new comes before `_callback` is fetched, or after it was called.

What counts is the time that the loop could deliver nothing: without what a nested run
of the same loop takes, and without callbacks that have a note of their own.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from mood_event import _dispatch as _plain
from mood_event._dispatch import report, running
from mood_event.watchers import disguise

__all__ = ["install"]

_dispatch: Any = _plain
_clock = time.perf_counter
_queues = _dispatch._queues
_unpack = _dispatch._unpack


class Calls(deque[Any]):
    """What other threads want called, and when each call was begun.

    Attributes:
        nested: seconds that callbacks and runs have taken which are over.
        begun: (callback, time, nested then), of the calls that are being made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nested = 0.0
        self.begun: list[tuple[Any, float, float]] = []

    def popleft(self) -> Any:
        """Take the next call, which is then made."""
        call = super().popleft()
        self.begun.append((call[0], _clock(), self.nested))
        return call


def _note(
    queue: Any, watcher: Any, callback: Any, started: float, nested: float
) -> None:
    """A callback is over: warn if it was slow.

    Args:
        queue: the loop's queue.
        watcher: what it was called for; the queue itself: other threads' calls.
        callback: what was called.
        started: when.
        nested: what `Calls.nested` was then.
    """
    ended = _clock()
    calls = queue.calls
    if watcher is queue:
        begun = [call for call in calls.begun if call[1] >= started]
        del calls.begun[len(calls.begun) - len(begun) :]
        ends = [*begun[1:], (None, ended, calls.nested)]
        for (called, start, before), (_, end, after) in zip(begun, ends):
            _warn(queue, None, called, end - start - (after - before))
    else:
        _warn(queue, watcher, callback, ended - started - (calls.nested - nested))
    # With what the warnings took.
    calls.nested = nested + _clock() - started


def _warn(queue: Any, watcher: Any, callback: Any, seconds: float) -> None:
    loop = queue.loop()
    try:
        limit = loop.slow_callback
        if limit is None or seconds <= limit:
            return
        import logging

        from mood_event._naming import name_of, place_of

        logging.getLogger("mood_event").warning(
            "slow callback: %s (%s) took %.3f seconds, called for %s",
            name_of(callback),
            place_of(callback) or "not in Python",
            seconds,
            "Loop.call_soon_threadsafe" if watcher is None else repr(watcher),
        )
    except Exception as exc:
        # The program's: of a handler, of a watcher's own __repr__.
        report(exc, callback)


# -- in place of _dispatch.py's --------------------------------------------------------


def mood_on_batch(loop: int, retired: int) -> None:
    """Deliver the ready queue."""
    queue: Any = running.get(loop) or _queues[loop]()
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
        started, nested = _clock(), queue.calls.nested
        callback = watcher._callback
        try:
            callback(watcher, revents)
        except BaseException as exc:
            queue.caught(exc, callback)
        _note(queue, watcher, callback, started, nested)
    # C first: what comes in between must not have it all back.
    queue.c.count = 0
    queue.rest = None
    if retired:
        queue.retire()


def mood_on_event(loop: int, slot: int, revents: int) -> None:
    """Deliver a single event, which costs half as much as a batch of one."""
    queue: Any = running.get(loop) or _queues[loop]()
    watcher = queue.held[slot]
    if watcher is None:
        # A `__del__` or a signal's handler has just stopped it.
        return
    started, nested = _clock(), queue.calls.nested
    callback = watcher._callback
    try:
        callback(watcher, revents)
    except BaseException as exc:
        queue.caught(exc, callback)
    _note(queue, watcher, callback, started, nested)


def mood_on_callback(loop: int) -> None:
    """Call Loop.callback in place of delivering."""
    queue = _queues[loop]()
    owner = queue.loop()
    callback = owner._callback
    started, nested = _clock(), queue.calls.nested
    _call_back(loop)
    _note(queue, owner, callback, started, nested)


def mood_on_reschedule(loop: int, slot: int, now: float) -> float:
    """Ask a Scheduler for its next time; -1.0: it has none to give."""
    queue = _queues[loop]()
    watcher = queue.held[slot]
    scheduler = watcher._scheduler
    started, nested = _clock(), queue.calls.nested
    at: float = _reschedule(loop, slot, now)
    _note(queue, watcher, scheduler, started, nested)
    return at


_call_back = _dispatch.mood_on_callback
_reschedule = _dispatch.mood_on_reschedule


def _timed(run: Any) -> Any:
    """Loop._run that notes how long it took: a nested one delivers all the while."""

    def timed(self: Any, what: str, flags: int, limit: float = 0.0) -> int:
        queue = self._queue
        calls = queue.calls
        started, nested = _clock(), calls.nested
        try:
            return run(self, what, flags, limit)  # type: ignore[no-any-return]
        finally:
            calls.nested = nested + _clock() - started
            if not queue.entered:
                # What an interrupt may have left.
                calls.begun.clear()

    return disguise(timed, run)


def install(loop_type: Any) -> None:
    """Have everything that is delivered from here on timed.

    Args:
        loop_type: the class Loop.
    """
    for function, error in (
        (mood_on_batch, None),
        (mood_on_event, None),
        (mood_on_callback, None),
        (mood_on_reschedule, -1.0),
    ):
        extern = _dispatch._extern(error=error, onerror=_dispatch._interrupted)
        setattr(_dispatch, function.__name__, extern(function))
    _dispatch._import_late()
    _dispatch._deque = Calls
    loop_type._run = _timed(loop_type._run)
    # What would run past it.
    loop_type._direct_asleep = loop_type._direct_awake = 0
