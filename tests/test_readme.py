"""The README's example runs, and says what it seems to say."""

import re
from pathlib import Path
from typing import Any

README = Path(__file__).parent.parent / "README.md"


def test_readme_example_runs(run_script: Any) -> None:
    text = README.read_text(encoding="utf-8")
    [source] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert run_script(source).stdout == "b'hello'\n"
