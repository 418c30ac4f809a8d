"""A method in the middle of another: a signal's handler's, or a `__del__`'s."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from interleaving import KINDS
from running import UNCOMPILED
from soak import FULL, scaled

from mood_event import (
    EV_CUSTOM,
    EV_READ,
    EV_WRITE,
    EVRUN_NOWAIT,
    Error,
    Timer,
    _dispatch,
)
from mood_event._dispatch import Queue
from mood_event._ffi import lib

PROGRAM = Path(__file__).with_name("interleaving.py")


def check(*arguments, options=()):
    # PyPy 7.3's compiled code does not go together with a profile function.
    result = subprocess.run(
        [
            sys.executable,
            *UNCOMPILED,
            *("-X", "faulthandler", *options),
            str(PROGRAM),
            *arguments,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.core
@pytest.mark.parametrize(
    "kind",
    [
        *KINDS[:5],
        # They are as others are, or nearly.
        *(pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS[5:] if FULL),
    ],
)
def test_method_in_the_middle_of_another(kind):
    check(kind)


def test_method_in_the_middle_of_another_with_slow_callbacks_reported():
    check(KINDS[0], options=("-X", "dev"))


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS[: scaled(len(KINDS), 1)])
def test_method_between_two_instructions_of_another(kind):
    check(kind, "instructions")


class Starter:
    """Something that starts a watcher when nobody refers to it any more."""

    def __init__(self, watcher):
        self.watcher = watcher

    def __del__(self):
        self.watcher.start()


@pytest.mark.core
def test_slot_is_not_taken_in_the_middle_of_its_event(loop):
    """The next one to have it would be taken for the watcher that is called."""
    others, called = [], []

    def callback(watcher, revents):
        watcher.stop()
        for other in others:
            other.start()
        assert not watcher.active
        assert not watcher.pending

    watcher = loop.idle(callback)
    # More than there are slots without this one's.
    others += [
        loop.idle(lambda other, revents: called.append(other)) for _ in range(100)
    ]
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    assert called == []
    assert set(loop.watchers()) == set(others)
    loop.start(EVRUN_NOWAIT)
    assert len(called) == len(others)
    assert set(called) == set(others)


def test_stop_of_what_is_about_to_be_read_takes_its_event(loop, monkeypatch):
    """C has collected a batch, and Python has not seen it yet."""
    called, unpack = [], _dispatch._unpack

    def interrupted(*args):
        monkeypatch.setattr(_dispatch, "_unpack", unpack)
        watchers[1].stop()
        return unpack(*args)

    watchers = [
        loop.prepare(lambda watcher, revents: called.append(watcher)) for _ in range(3)
    ]
    for watcher in watchers:
        watcher.start()
    monkeypatch.setattr(_dispatch, "_unpack", interrupted)
    loop.start(EVRUN_NOWAIT)
    assert len(called) == 2
    assert set(called) == {watchers[0], watchers[2]}


def test_use_in_the_middle_of_init_is_refused(loop, monkeypatch):
    """What had the old struct as its own must not make it once more."""
    discard, refusals = Timer._discard, []

    def interrupted(timer):
        discard(timer)
        with pytest.raises(Error, match="is being configured anew") as refusal:
            timer.priority = 1
        refusals.append(refusal)

    timer = loop.timer(1e4, 0.0, print)
    timer.start()
    timer.stop()
    monkeypatch.setattr(Timer, "_discard", interrupted)
    timer.__init__(2e4, 0.0, loop, print)
    assert len(refusals) == 1
    timer.start()
    assert timer.active
    assert timer.priority == 0


def test_watch_starts_what_was_started_and_stopped_in_between(loop, pipe, monkeypatch):
    """As aio.py watches a descriptor again."""
    take = Queue.take

    def interrupted(queue, watcher):
        monkeypatch.setattr(Queue, "take", take)
        watcher._watch(EV_READ)
        slot = take(queue, watcher)
        watcher.stop()
        return slot

    watcher = loop.io(pipe.reader, EV_READ, print)
    lib.mood_io_gather(watcher._made())
    monkeypatch.setattr(Queue, "take", interrupted)
    watcher._watch(EV_READ)
    assert watcher.active
    assert loop.watchers() == [watcher]


def test_modify_starts_what_was_stopped_in_between(loop, pipe):
    """As aio.py does it, of a watcher that it believes to be active."""
    watcher = loop.io(pipe.writer, EV_READ, print)
    watcher.start()
    watcher.stop()
    watcher._modify(EV_WRITE)
    assert (watcher.active, watcher.events) == (True, EV_WRITE)


@pytest.mark.core
def test_del_starts_a_watcher_whose_slot_is_about_to_be_free(loop):
    """Two have had their event; with the first one goes what starts the second."""
    called = []

    def callback(watcher, revents):
        called.append(revents)

    second = loop.timer(3600.0, 0.0, callback)
    second.feed(EV_CUSTOM)
    # libev invokes what was fed last first.
    loop.idle(callback, Starter(second)).feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    for _ in range(3):
        gc.collect()
    assert second.active
    assert loop.watchers() == [second]
    second.feed(EV_CUSTOM)
    loop.start(EVRUN_NOWAIT)
    assert called == [EV_CUSTOM, EV_CUSTOM, EV_CUSTOM]
