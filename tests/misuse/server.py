"""Runs rows in children of its own: `python -m misuse.server`, in tests/.

It reads names of rows, one a line, and answers each with a line of JSON. A child is a
fork of this process, which has imported everything and made no loop: that is as good as
a new interpreter, and a hundred times faster. A child ends as programs end.
"""

import faulthandler
import gc
import json
import os
import signal
import tempfile
from typing import Any

from misuse import MODULES
from misuse.table import Case, rows

LONGEST = 60.0


def import_rows() -> None:
    """Fill the table."""
    for module in MODULES:
        __import__(f"misuse.{module}")


def prepare_for_forks() -> None:
    """Do here what would take each child longer than its row does."""
    # The first loop imports it.
    __import__("mood_event._interrupts")
    if hasattr(gc, "freeze"):
        # What is there already is not looked through at each child's end.
        gc.collect()
        gc.freeze()


def wait_for(pid: int) -> int:
    """The status of a child that is given LONGEST seconds."""

    def end(signum: int, frame: Any) -> None:
        # faulthandler tells where it hangs.
        os.kill(pid, signal.SIGABRT)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        return os.waitpid(pid, 0)[1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        # The next child is to find it as it was.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def run(name: str) -> "dict[str, Any] | None":
    """Run a row in a child. None: this is the child, and the row has passed."""
    with tempfile.TemporaryFile() as words:
        pid = os.fork()
        if not pid:
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
            os.dup2(words.fileno(), 1)
            os.dup2(words.fileno(), 2)
            faulthandler.enable()
            case = Case()
            row = rows[name]
            row.function(case, **row.arguments)
            case.finish()
            return None
        status = wait_for(pid)
        words.seek(0)
        said = words.read().decode("utf-8", "replace")
    return {"row": name, "status": status, "said": said}


def main() -> None:
    """Serve until there is no more to read."""
    import_rows()
    prepare_for_forks()
    # Not by iteration over sys.stdin: a child must find nothing read ahead.
    while True:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(0, 1)
            if not byte:
                return
            line += byte
        result = run(line.decode().strip())
        if result is None:
            return
        os.write(1, json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    main()
