"""CONTRIBUTING.md's steps to a new type of watcher work: done on a copy, and built.

Reads the blocks of code, and where each belongs, from the page itself. The copy is
built without optimising, and its own tests are run on it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from running import UNCOMPILED

ROOT = Path(__file__).resolve().parent.parent

PLACE = re.compile(
    r"^(?:In `(?P<file>[^`]+)`, before `(?P<before>[^`]+)`:"
    r"|In `(?P<other>[^`]+)`, after `(?P<after>[^`]+)`:"
    r"|A new file, `(?P<new>[^`]+)`:)\n\n"
    r"(?P<fence>```+)\w+\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


class Step(NamedTuple):
    """A block of code, and where it belongs."""

    file: str
    anchor: str  # an empty one: it is the file
    offset: int
    code: str


def read_steps():
    """The steps in CONTRIBUTING.md, in their order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = []
    for match in PLACE.finditer(text):
        groups = match.groupdict()
        steps.append(
            Step(
                groups["file"] or groups["other"] or groups["new"],
                groups["before"] or groups["after"] or "",
                1 if groups["after"] else 0,
                groups["code"],
            )
        )
    return steps


def do(step, tree):
    """Do as the step says, in a copy of the repository."""
    path = tree / step.file
    if not step.anchor:
        assert not path.exists(), f"{step.file} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.code, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [
        number
        for number, line in enumerate(lines)
        if line.strip().startswith(step.anchor)
    ]
    assert len(found) == 1, f"{step.file} has {len(found)} lines with {step.anchor}"
    lines.insert(found[0] + step.offset, step.code)
    path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def tree(tmp_path):
    """A copy of what is built and tested, with libev's source."""
    for name in ("build_ffi.py", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("libev", "mood_event", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def run(tree, *arguments, **settings):
    """Run this interpreter in the tree, where it finds that tree's package."""
    # What coverage measures is the package, not a copy.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_")
    }
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**environment, "PYTHONPATH": str(tree), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    output = result.stdout.decode()
    assert result.returncode == 0, output
    return output


def test_every_block_of_the_steps_is_read():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = text.partition("## Adding a watcher type")[2].partition("## Releasing")[0]
    # In the page of documentation there are two more.
    fences = re.findall(r"^```+\w+$", steps.partition("### 6")[0], re.MULTILINE)
    assert len(read_steps()) == len(fences) + 1


def test_a_type_that_is_added_step_by_step_works(tree):
    for step in read_steps():
        do(step, tree)
    run(
        tree,
        *UNCOMPILED,
        "setup.py",
        "--quiet",
        "build_ext",
        "--inplace",
        MOOD_EVENT_LIBEV="bundled",
        CFLAGS="-O0",
    )
    assert re.search(r"^tick +ok ", run(tree, "-m", "mood_event"), re.MULTILINE)
    output = run(
        tree,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_tick.py",
        "tests/test_main.py",
        "tests/test_memory.py::test_every_type_is_measured",
        "tests/test_watchers.py",
        "tests/test_misuse.py",
        "-k",
        "tick or kinds_are_all or every_type or released or outlive",
    )
    passed = re.search(r"(\d+) passed", output)
    assert passed, output
    assert int(passed[1]) > 100, output
