"""SHA-256 sums of files, by several threads at once.

    python workers.py --threads 4 *.iso >SHA256SUMS
    sha256sum -c SHA256SUMS

Threads take files from one queue and put what they have computed in another, and then
wake the loop by an Async watcher: nothing else of a loop may be used in another thread.
The results are printed as they arrive. SIGINT and SIGTERM end the work early.
"""

import argparse
import hashlib
import os
import queue
import signal
import sys
import threading
from typing import Optional

from mood_event import Async, Loop, Signal, default_loop

CHUNK = 1 << 20


class Result:
    """What a thread found out about a file."""

    def __init__(self, path: str, digest: str = "", size: int = 0, error: str = ""):
        self.path = path
        self.digest = digest
        self.size = size
        self.error = error


class Work:
    """The files, the threads, and the results."""

    def __init__(self, loop: Loop, paths: list[str], threads: int) -> None:
        self.loop = loop
        self.total = len(paths)
        self.done = self.size = self.errors = 0
        self.cancelled = threading.Event()
        self.tasks: queue.SimpleQueue[Optional[str]] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        for path in paths:
            self.tasks.put(path)
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.signal(signum, self.on_signal).start()
        # Active before the first thread runs, so that there is something to send to.
        self.wakeup = loop.async_(self.on_results)
        self.wakeup.start()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            # An end for each of them.
            self.tasks.put(None)
            thread.start()

    # In the threads.

    def run(self) -> None:
        while not self.cancelled.is_set():
            path = self.tasks.get()
            if path is None:
                break
            try:
                result = self.compute(path)
            except OSError as error:
                result = Result(path, error=error.strerror or str(error))
            # In this order: once the loop is awake the result has to be there.
            self.results.put(result)
            self.wakeup.send()

    def compute(self, path: str) -> Result:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                if self.cancelled.is_set():
                    return Result(path, error="cancelled")
                digest.update(chunk)
            return Result(path, digest.hexdigest(), file.tell())

    # In the loop.

    def on_results(self, watcher: Async, revents: int) -> None:
        # One event may stand for several results.
        while not self.results.empty():
            result = self.results.get()
            self.done += 1
            self.size += result.size
            if result.error:
                self.errors += 1
                self.tell(f"{result.path}: {result.error}")
            else:
                print(f"{result.digest}  {result.path}", flush=True)
            self.tell(f"{self.done} of {self.total} files, {self.size} bytes")
        if self.done == self.total:
            self.loop.stop()

    def on_signal(self, watcher: Signal, revents: int) -> None:
        self.tell(f"ended by {signal.Signals(watcher.signum).name}")
        self.cancelled.set()
        self.loop.stop()

    def tell(self, what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    def end(self) -> None:
        """To be called before the loop is closed: a thread may be about to send."""
        self.cancelled.set()
        for thread in self.threads:
            thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description="SHA-256 sums, by several threads.")
    parser.add_argument("file", nargs="+")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with default_loop() as loop:
        work = Work(loop, options.file, max(1, options.threads))
        try:
            loop.start()
        finally:
            work.end()
    return 1 if work.errors or work.done < work.total else 0


if __name__ == "__main__":
    sys.exit(main())
