"""Whether the changelog is ready for a version to be released.

Run by `./dev release-check`, and loaded by tests/test_wheels.py. It needs the standard
library alone: it comes before anything is installed.

    python release/changelog.py VERSION FILE

It prints what is wrong, a line for each, and then the exit status is 1.
"""

import re
import sys
from datetime import date, datetime, timezone
from pathlib import Path


def check_changelog(text: str, version: str, today: date) -> list[str]:
    """Whether a changelog tells, with a date, what the version brings."""
    pattern = rf"^## \[{re.escape(version)}\] - (\S+)\n(.*?)(?=^## |\Z)"
    entry = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if entry is None:
        return [f"there is no line `## [{version}] - YYYY-MM-DD`"]
    problems = []
    try:
        if date.fromisoformat(entry[1]) > today:
            problems.append(f"{entry[1]} is still to come")
    except ValueError:
        problems.append(f"{entry[1]} is no date")
    if not re.search(r"^- ", entry[2], re.MULTILINE):
        problems.append("the entry is empty")
    waiting = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if waiting and re.search(r"^- ", waiting[1], re.MULTILINE):
        problems.append("there is something under Unreleased")
    return problems


def main(arguments: "list[str]") -> int:
    """Returns the exit status."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    version, file = arguments
    text = Path(file).read_text(encoding="utf-8")
    today = datetime.now(timezone.utc).date()
    problems = check_changelog(text, version, today)
    for problem in problems:
        print(problem)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
