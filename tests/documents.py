"""The code blocks of README.md and of the pages under docs/.

Imported by the tests that run them. A comment of one line above a block tells what is
done with it, and is not seen on the page:

    (nothing)           python: a script of its own, which must end by itself, with 0
                        and nothing on stderr; pycon: a doctest
    <!-- continues -->  goes on where the page's last python block ended
    <!-- output -->     what the python block above has printed, to the letter
    <!-- as pyev -->    a script in which `import pyev` and `mood.event` find mood_event
    <!-- file NAME, TEST -->  a program that tests/TEST runs, by `program(page, NAME)`
    <!-- other library -->    code of a library that is not here: it is compiled
"""

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if path.is_file()
)

_COMMENT = re.compile(r"\s*<!-- (.*) -->\s*$")
_FENCE = re.compile(r"( *)(`{3,})(.*)$")


class Block(NamedTuple):
    """A fenced block: its language, what the comment above it says, and its text."""

    page: str
    line: int
    language: str
    comment: str
    text: str


def blocks(path: Path) -> "list[Block]":
    """The fenced blocks of a page, in their order."""
    found = []
    lines = path.read_text(encoding="utf-8").splitlines()
    page = path.relative_to(ROOT).as_posix()
    comment, number = "", 0
    while number < len(lines):
        match = _FENCE.match(lines[number])
        if match is None:
            said = _COMMENT.match(lines[number])
            if said or lines[number].strip():
                comment = said[1] if said else ""
            number += 1
            continue
        indent, fence, language = len(match[1]), match[2], match[3].strip()
        first = number = number + 1
        while lines[number].strip() != fence:
            number += 1
        text = "".join(line[indent:] + "\n" for line in lines[first:number])
        found.append(Block(page, first, language, comment, text))
        comment = ""
        number += 1
    return found


def program(page: str, name: str) -> str:
    """The source of the program that a page has under this name."""
    [block] = [
        block
        for block in blocks(ROOT / page)
        if block.comment.startswith(f"file {name},")
    ]
    return block.text
