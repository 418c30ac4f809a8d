"""Rows about how objects begin and end: __init__, close, copies, deletion."""

from typing import Any

from misuse.kinds import ARGUMENTS, KINDS, home, make
from misuse.table import Case, row
from mood_event import Loop, Watcher

# -- watchers of one loop, and another ------------------------------------------------


@row(kind=KINDS, how=["class", "factory"])
def watcher_in_place_of_a_loop(case: Case, kind: str, how: str) -> None:
    """It has a loop, but is none."""
    loop = home(case, kind)
    watcher = loop.timer(1e4, 0.0, case.ignore)
    arguments = ARGUMENTS[kind](case)
    with case.raises(TypeError, "loop must be a Loop, got <Timer", watcher):
        if how == "class":
            Watcher.kinds[kind](*arguments, watcher, case.ignore)
        else:
            getattr(Loop, kind)(watcher, *arguments, case.ignore)
