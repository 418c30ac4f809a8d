"""Programs that run while a test talks to them.

Imported by the tests of the examples, of the tools, of the pages' programs, and of
builds.
"""

import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

# Seconds, for what takes one of them at most: a hang is to end, and to be told.
LONG = 90.0

# For Python programs of others, a build's: to compile them takes PyPy more time than it
# saves before they end.
UNCOMPILED = ["--jit", "off"] if sys.implementation.name == "pypy" else []

# What a program that ends as it should has not said, on stdout or stderr.
COMPLAINTS = ("Traceback", "Warning", "Exception ignored")


class Running:
    """A program that is running; its stdout and stderr come as one.

    It is killed after `LONG` seconds, and where the `with` block ends.

    Attributes:
        process: a subprocess.Popen.
        output: what was read of it so far.
    """

    def __init__(self, command: "list[str]", **options: Any) -> None:
        """Start it; `options` are Popen's."""
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self.output = ""
        self.watchdog = threading.Timer(LONG, self.kill)
        self.watchdog.start()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        self.process.wait()
        self.watchdog.cancel()
        self.watchdog.join()
        self.process.stdout.close()

    def kill(self) -> None:
        """Have it end at once."""
        self.process.kill()
        if self.process.stdin is not None:
            # What it has started and left behind reads this, and ends.
            self.process.stdin.close()

    def line(self) -> str:
        """The next line that it says.

        But for what a loop says in development mode where the machine is busy.
        """
        while True:
            line = self.process.stdout.readline()
            self.output += line
            assert line.endswith("\n"), f"ended too early:\n{self.output}"
            if not line.startswith("slow callback: "):
                return line[:-1]

    def find(self, pattern: str) -> "re.Match[str]":
        """The match of the first line from here on in which there is one."""
        while True:
            match = re.search(pattern, self.line())
            if match:
                return match

    def end(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, and wait; returns the exit status."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self, complaints: "tuple[str, ...]" = COMPLAINTS) -> int:
        """Wait for its end; returns the exit status.

        Args:
            complaints: what it must not have said.
        """
        self.output += self.process.stdout.read()
        status = self.process.wait()
        for words in complaints:
            assert words not in self.output, self.output
        return status


def pauses_without_descriptors(server: Running, address: "tuple[str, int]") -> None:
    """Assert that a server which cannot accept a connection tries once a second."""
    limit = resource.RLIMIT_NOFILE
    before = resource.prlimit(server.process.pid, limit)
    resource.prlimit(server.process.pid, limit, (0, before[1]))
    began = time.monotonic()
    with socket.create_connection(address, LONG):
        for _ in range(3):
            server.find("^cannot accept: ")
        # Two pauses, and a little less for two clocks.
        assert time.monotonic() - began > 1.9
        resource.prlimit(server.process.pid, limit, before)
