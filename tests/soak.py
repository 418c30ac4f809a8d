"""How long the long tests are: cut down for `./dev test`, in full for `./dev soak`.

MOOD_EVENT_SOAK=1, which `./dev soak` sets, asks for the full length. Imported by the
tests that have one; they carry the mark `soak`.
"""

import os

FULL = os.environ.get("MOOD_EVENT_SOAK", "") not in ("", "0")


def scaled(full: int, short: int) -> int:
    """The count to use: `full` in a soak run, else `short`."""
    return full if FULL else short
