"""Memory and descriptors: whatever is done many times leaves nothing behind.

What is done is in memory.py, a row each, in a process of its own. The full length is a
million watchers of every type, and 100,000 loops. The short one finds any leak of
descriptors, and in most rows one of 65 bytes each on CPython, of a struct on PyPy.
"""

import json
import sys

import pytest
from memory import KINDS, PLANTED, ROWS
from soak import FULL

import mood_event

# The JIT is in the full length alone: for the whole short one it would make code.
OPTIONS = ("--jit", "off") if sys.implementation.name == "pypy" and not FULL else ()


def measured(run_script, name):
    """Measure a row: the samples of its memory, and what has been left behind."""
    result = run_script(
        f"import memory; memory.measure({name!r})", options=OPTIONS, timeout=1200
    )
    found = json.loads(result.stdout)
    samples = found["samples"]
    _, *before, last = samples
    half = samples[len(samples) // 2]
    # Without a JIT it is a page or two, if anything, once all has been done before.
    most = half / 100 if sys.implementation.name == "pypy" and FULL else 2**16
    left = []
    if last - before[-1] >= before[-1] / 100:
        left.append("memory in the last tenth")
    if last - half >= most:
        left.append("memory in the second half")
    if found["after"] != found["before"]:
        left.append("descriptors")
    growth = [after - before for before, after in zip(samples, samples[1:])]
    print(
        f"{name}: {half / 2**20:.1f} MiB, last tenth {growth[-1] / before[-1]:+.3%}, "
        f"second half {last - half:+} bytes"
    )
    return left, (growth, found)


@pytest.mark.soak
@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_left_behind(run_script, name):
    left, details = measured(run_script, name)
    assert not left, details


@pytest.mark.soak
@pytest.mark.parametrize("name", PLANTED)
def test_a_leak_is_found(run_script, name):
    left, details = measured(run_script, name)
    kind = "descriptors" if name == "a_descriptor" else "memory"
    assert any(kind in what for what in left), details


def test_every_type_is_measured():
    assert set(KINDS) == set(mood_event.Watcher.kinds)
