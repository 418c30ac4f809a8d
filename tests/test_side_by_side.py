"""mood_event and mood.event 1.1.1, side by side: one file of cases, two outcomes.

The cases are in compare/cases.py, the differences on purpose in compare/differences.py.
What mood.event does was recorded in compare/reference.json (CPython 3.10, Debian:
libev 4.33), so that the comparison runs everywhere. With the path of a Python that has
mood.event in MOOD_EVENT_REFERENCE the cases run there as well, and the recording is
compared with that. To record anew: that Python, `compare/cases.py mood.event`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compare.cases import CASES, NDEBUG, NVERIFY, programs
from compare.differences import ANY, DIFFERENCES

import mood_event
from mood_event._ffi import ffi, lib

pytestmark = pytest.mark.core

HERE = Path(__file__).parent
COMPARE = HERE / "compare"
PAGE = HERE.parent / "docs" / "differences.md"
NAMES = [*CASES, *programs()]
REFERENCE = os.environ.get("MOOD_EVENT_REFERENCE")

# The system's libev has its asserts on, or may have; so has a debug build.
IS_DEBUG = bool(lib.mood_debug())
HAS_ASSERTS = IS_DEBUG or ffi.string(lib.mood_libev_origin()) != b"bundled"


def run_cases(python: str, module: str, **environment: str) -> dict[str, Any]:
    """Run all cases in an interpreter of their own."""
    cleared = ("PYTHONPATH", "PYTHONDEVMODE", "LIBEV_FLAGS")
    env = {name: value for name, value in os.environ.items() if name not in cleared}
    process = subprocess.run(
        [python, str(COMPARE / "cases.py"), module],
        env={**env, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    outcomes: dict[str, Any] = json.loads(process.stdout)
    return outcomes


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    """The outcomes of mood_event."""
    package = str(Path(mood_event.__file__).parents[1])
    return run_cases(sys.executable, "mood_event", PYTHONPATH=package)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The outcomes of mood.event, as they were recorded."""
    outcomes: dict[str, Any] = json.loads((COMPARE / "reference.json").read_text())
    return outcomes


@pytest.mark.parametrize("name", NAMES)
def test_case_has_the_same_outcome_or_differs_on_purpose(
    name: str, here: dict[str, Any], recorded: dict[str, Any]
) -> None:
    if name in NDEBUG and HAS_ASSERTS:
        pytest.skip("aborts where libev has its asserts on")
    if name in NVERIFY and IS_DEBUG:
        pytest.skip("aborts where libev verifies itself at every step")
    outcome, reference = here[name], recorded[name]
    difference = DIFFERENCES.get(name)
    if difference is None or not difference.where:
        assert outcome == reference
    elif difference.reference is ANY:
        assert outcome == difference.here
    else:
        assert outcome != reference, "this does not differ any more"
        assert (reference, outcome) == (difference.reference, difference.here)


@pytest.mark.skipif(not REFERENCE, reason="MOOD_EVENT_REFERENCE is not set")
def test_the_recording_is_what_the_reference_does(recorded: dict[str, Any]) -> None:
    assert REFERENCE is not None
    outcomes = run_cases(REFERENCE, "mood.event")
    any_outcome = {name for name, d in DIFFERENCES.items() if d.reference is ANY}
    assert set(outcomes) == set(recorded)
    assert [
        (name, recorded[name], outcome)
        for name, outcome in outcomes.items()
        if outcome != recorded[name] and name not in any_outcome
    ] == []


def test_every_case_is_recorded(recorded: dict[str, Any]) -> None:
    assert list(recorded) == NAMES


def test_every_difference_is_a_case() -> None:
    assert set(DIFFERENCES) <= set(NAMES)


def test_every_difference_is_explained() -> None:
    assert [name for name, d in DIFFERENCES.items() if not d.why.endswith(".")] == []


@pytest.mark.skipif(not PAGE.exists(), reason="the tests are without the docs")
@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_difference_is_on_the_page(name: str) -> None:
    words = PAGE.read_text(encoding="utf-8").split()
    assert name in words
