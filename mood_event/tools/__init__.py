"""The tools of python -m mood_event: watch, every and supervise.

Each module here is one of them, and an example of a type of watcher: Stat, Periodic and
Child. It has the tool's documentation as its docstring, `add_arguments` for argparse,
and `run`, which returns the exit status. They use public names of the package alone,
and are imported by __main__.py. Here is what they share.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from typing import Callable, Optional

from mood_event import Child, Loop, Signal

UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def to_seconds(text: str) -> float:
    """The seconds that an argument stands for: "90", "90s", "1.5m", "500ms", "1d".

    Raises:
        argparse.ArgumentTypeError: it is no such text, or less than a millisecond, or
            more than a billion seconds.
    """
    match = re.fullmatch(r"(\d+|\d*\.\d+)(ms|[smhd]?)", text, re.ASCII)
    seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not 0.001 <= seconds <= 1e9:
        raise argparse.ArgumentTypeError(
            f"not a time such as 90, 1.5m or 1d, in s, m, h, d or ms, from 1ms: {text}"
        )
    return seconds


def say(what: str) -> None:
    """Tell the person at the terminal, not who reads the command's output."""
    if sys.stderr is None:  # Python was started with it closed.
        return
    # One write: print() makes two, and a command may write its own line in between.
    sys.stderr.write(f"mood_event: {what}\n")
    sys.stderr.flush()


def start_endings(loop: Loop, callback: Callable[[Signal, int], object]) -> None:
    """Call back for what tells a tool to end: SIGTERM, Ctrl-C, a closed terminal."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.signal(signum, callback).start()


class Command:
    """A command that can be run again and again, each time after the last has ended.

    It has no shell, and a session of its own: Ctrl-C in a terminal is the tool's alone,
    and a signal can be sent to the command and its own children at once.

    Attributes:
        process: the one that is running, or None.
        seconds: how long the last run took.
    """

    def __init__(
        self,
        loop: Loop,
        arguments: "list[str]",
        on_end: Callable[[str, int], object],
        stdin: Optional[int] = None,
    ) -> None:
        """Prepare to run a command.

        Args:
            loop: the default loop.
            arguments: the program's name, and what it is called with.
            on_end: called as on_end(why, status) when the run is over. The status is a
                shell's: 128 + N after a signal N, 127 if it could not begin.
            stdin: as for subprocess.Popen.
        """
        self.loop, self.arguments, self.on_end = loop, arguments, on_end
        self.stdin = stdin
        self.begun = self.seconds = 0.0
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Run it."""
        self.begun = time.monotonic()
        try:
            self.process = subprocess.Popen(
                self.arguments, stdin=self.stdin, start_new_session=True
            )
        except OSError as error:
            self.seconds = 0.0
            self.on_end(str(error), 127)
            return
        # It may have ended already: the watcher is told even so.
        self.loop.child(self.process.pid, False, self._on_child).start()

    def _on_child(self, watcher: Child, revents: int) -> None:
        watcher.stop()
        code = os.waitstatus_to_exitcode(watcher.rstatus)
        assert self.process is not None
        # The loop has waited for it: a Popen that is not told would try to.
        self.process.returncode = code
        self.process = None
        self.seconds = time.monotonic() - self.begun
        how = f"with status {code}" if code >= 0 else f"by signal {-code}"
        self.on_end(f"pid {watcher.pid} ended {how}", code if code >= 0 else 128 - code)

    def kill(self, signum: int) -> None:
        """Send a signal to the process that is running, and to its own children."""
        assert self.process is not None
        # Some systems refuse to signal a process that has just ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signum)
