"""The README's examples run, and the pages say nothing of tests that there are not."""

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
RELIABILITY = HERE.parent / "docs" / "reliability.md"


def examples() -> "list[str]":
    text = README.read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_readme_examples_run(run_script: Any) -> None:
    plain, asyncio = examples()
    assert run_script(plain).stdout == "b'hello'\n"
    said = "asyncio has waited for a timer of libev's\n"
    assert run_script(asyncio).stdout == said


def test_example_of_asyncio_is_five_lines() -> None:
    assert len(list(filter(None, examples()[1].splitlines()))) == 5


def test_every_promise_has_its_tests() -> None:
    text = RELIABILITY.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*) \| ([^|]*) \|$", text, re.MULTILINE)
    promises = [row for row in rows if not {"held by", "---"} & set(row)]
    assert len(promises) > 15
    commands = (HERE.parent / "dev").read_text(encoding="utf-8")
    for _, held in promises:
        tests = re.findall("`([^`]*)`", held)
        assert tests, held
        for test in tests:
            if test.startswith("./dev "):
                assert f"\n{test[6:]})" in commands, test
            else:
                assert (HERE / test).is_file(), test
