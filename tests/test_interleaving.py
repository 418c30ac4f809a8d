"""A method in the middle of another: a signal's handler's, or a `__del__`'s."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from interleaving import KINDS
from running import UNCOMPILED
from soak import FULL, scaled

from mood_event import EV_CUSTOM, EVRUN_NOWAIT

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
        *KINDS[:8],
        # They are as others are.
        *(pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS[8:] if FULL),
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
        assert not watcher.active and not watcher.pending

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
    assert len(called) == len(others) and set(called) == set(others)


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
