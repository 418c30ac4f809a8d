"""A method in the middle of another: a signal's handler's, or a `__del__`'s."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from interleaving import KINDS
from running import UNCOMPILED
from soak import scaled

from mood_event import EV_CUSTOM, EVRUN_NOWAIT

PROGRAM = Path(__file__).with_name("interleaving.py")


def check(*arguments):
    # PyPy 7.3's compiled code does not go together with a profile function.
    result = subprocess.run(
        [sys.executable, *UNCOMPILED, "-X", "faulthandler", str(PROGRAM), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.core
@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS[: scaled(len(KINDS), 8)])
def test_method_in_the_middle_of_another(kind):
    check(kind)


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
