"""Shows the end of a file, and what is added to it from then on, as `tail -F` does.

    python tail.py -n 20 /var/log/syslog

The file is read anew from its beginning when it was truncated, and when another one has
taken its place, as with rotated logs; it need not exist yet. Where the system tells of
changes (inotify), nothing is done until there is one. SIGINT and SIGTERM end the
program.
"""

import argparse
import os
import signal
import sys
from io import FileIO
from typing import Optional

from mood_event import Stat, default_loop, fatal

CHUNK = 1 << 16


def seek_lines(file: FileIO, lines: int) -> None:
    """Go to where the last lines of a file begin."""
    end = start = file.seek(0, os.SEEK_END)
    data = b""
    while start > 0 and data.count(b"\n") <= lines:
        stop, start = start, max(0, start - CHUNK)
        file.seek(start)
        data = file.read(stop - start) + data
    # After the newline of the last line there is an empty one.
    rows = data.split(b"\n")
    first = max(0, len(rows) - lines - data.endswith(b"\n"))
    file.seek(end - len(b"\n".join(rows[first:])))


class Tail:
    """The file that a path stands for at the moment."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file: Optional[FileIO] = None

    def open(self) -> bool:
        """Open what is there now, if it is not open already; returns if it was not."""
        try:
            now = os.stat(self.path)
            if self.file and os.path.samestat(now, os.fstat(self.file.fileno())):
                return False
            file = FileIO(self.path)
        except OSError as error:
            if self.file or not isinstance(error, FileNotFoundError):
                self.say(str(error.strerror))
            self.close()
            return False
        self.close()
        self.file = file
        return True

    def copy(self) -> None:
        """Show what there is to read."""
        if self.file is None:
            return
        if os.fstat(self.file.fileno()).st_size < self.file.tell():
            self.say("truncated")
            self.file.seek(0)
        while True:
            data = self.file.read(CHUNK)
            if not data:
                break
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def on_change(self, watcher: Stat, revents: int) -> None:
        # What was added to the old file before it was replaced is part of it.
        self.copy()
        if self.open():
            self.say("a new file")
            self.copy()

    def say(self, what: str) -> None:
        print(f"tail: {self.path}: {what}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def main() -> int:
    parser = argparse.ArgumentParser(description="Show the end of a growing file.")
    parser.add_argument("file")
    parser.add_argument("-n", "--lines", type=int, default=10, help="to begin with")
    parser.add_argument("--interval", type=float, default=0.0, help="0: automatic")
    options = parser.parse_args()
    # A Stat looks at a symbolic link itself, not at what it leads to.
    tail = Tail(os.path.realpath(options.file))
    with default_loop() as loop:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.signal(signum, lambda watcher, revents: watcher.loop.stop()).start()
        # Before the first look: so whatever changes after that look is an event. An
        # error of reading or writing, which `fatal` is for, is the program's end.
        loop.stat(tail.path, options.interval, fatal(tail.on_change)).start()
        try:
            if tail.open() and tail.file:
                seek_lines(tail.file, options.lines)
                tail.copy()
            else:
                tail.say("waiting for it")
            loop.start()
        except BrokenPipeError:
            # The reader has seen enough. What is still buffered would be an error too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        finally:
            tail.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
