"""The README's example runs, and the pages say nothing of tests that there are not."""

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
RELIABILITY = HERE.parent / "docs" / "reliability.md"


def test_readme_example_runs(run_script: Any) -> None:
    text = README.read_text(encoding="utf-8")
    [source] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert run_script(source).stdout == "b'hello'\n"


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
