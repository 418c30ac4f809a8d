"""Every code block of README.md and docs/ runs, and says what the page says it does.

documents.py tells how a page marks its blocks.
"""

import doctest
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from documents import HERE, PAGES, ROOT, Block, blocks

PYTHON = ("python", "py")

# For blocks that are written for another name of the package.
ALIASES = """
import sys, types
import mood_event
sys.modules["pyev"] = mood_event
sys.modules["mood"] = types.ModuleType("mood")
sys.modules["mood"].event = sys.modules["mood.event"] = mood_event
del sys, types, mood_event
"""


class Script(NamedTuple):
    """What is run: a block and those before it that it continues; what it prints."""

    name: str
    source: str
    output: "str | None"


def scripts(path: Path) -> "list[Script]":
    """The scripts of a page."""
    found: list[Script] = []
    for block in blocks(path):
        if block.language in PYTHON:
            if block.comment == "continues":
                # Run from the beginning, once more.
                found.append(join(found[-1], block))
            elif not block.comment or block.comment.startswith("as "):
                found.append(join(None, block))
        elif block.comment == "output":
            found[-1] = found[-1]._replace(output=(found[-1].output or "") + block.text)
    return found


def join(before: "Script | None", block: Block) -> Script:
    name = f"{block.page}:{block.line}"
    if before is None:
        # The lines have the page's numbers in tracebacks.
        aliases = ALIASES if block.comment.startswith("as ") else ""
        return Script(name, aliases + block.text, None)
    return Script(name, before.source + "\n" + block.text, before.output)


SCRIPTS = [script for page in PAGES for script in scripts(page)]
BLOCKS = [block for page in PAGES for block in blocks(page)]


def of_language(*languages: str) -> Any:
    return pytest.mark.parametrize(
        "block",
        [
            pytest.param(block, id=f"{block.page}:{block.line}")
            for block in BLOCKS
            if block.language in languages
        ],
    )


@pytest.fixture(autouse=True)
def as_a_reader_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests says what a page does not say."""
    for name in ("LIBEV_FLAGS", "PYTHONDEVMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_code_of_page_runs(script: Script, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(script.source, encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, ""), process
    if script.output is not None:
        assert process.stdout == script.output


@of_language("pycon")
def test_session_of_page_says_what_it_shows(block: Block) -> None:
    test = doctest.DocTestParser().get_doctest(
        block.text, {}, block.page, block.page, block.line
    )
    assert test.examples
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=said.append)
    assert not said, "".join(said)


@of_language(*PYTHON)
def test_block_of_page_is_marked_as_something_known(block: Block) -> None:
    compile(block.text, f"{block.page}:{block.line}", "exec")
    known = block.comment in (
        "",
        "continues",
        "as pyev",
        "as mood.event",
        "other library",
    )
    if not known:
        match = re.fullmatch(r"file ([\w.]+), (test_\w+\.py)", block.comment)
        assert match, block.comment
        test = (HERE / match[2]).read_text(encoding="utf-8")
        assert match[1] in test
        assert block.page in test


@of_language("console")
def test_commands_of_page_exist(block: Block) -> None:
    dev = (ROOT / "dev").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (.*)$", block.text, re.MULTILINE)
    assert commands
    for command in commands:
        match = re.match(r"(?:sudo )?\./dev ([\w-]+)", command)
        if match:
            assert f"\n{match[1]}) " in dev, command
        match = re.match(r"(?:python3?|pypy3) -m mood_event (\w+)", command)
        if match:
            process = subprocess.run(
                [sys.executable, "-m", "mood_event", match[1], "--help"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert process.returncode == 0, process
