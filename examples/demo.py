"""Five seconds of real events on one loop, and what became of each kind.

    python demo.py

A TCP server on the loopback echoes what a client in a child process sends: 20,000
messages, cut from a text of this repository, over 100 connections. Meanwhile a Timer
and a Periodic tick, the child sends SIGUSR1 and rewrites a file that a Stat watches, a
thread knocks by an Async, and in the end a Child watcher sees the child exit.

The client compares every byte that comes back with what it has sent, and says so with
its exit status; the server counts as well. The demo exits with 0 if all that agrees and
every kind of event was seen; otherwise it says what was missed, and exits with 1.
"""

import argparse
import collections
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import mood_event
from mood_event import (
    EV_READ,
    EV_WRITE,
    Async,
    Child,
    Io,
    Loop,
    Periodic,
    Signal,
    Stat,
    Timer,
    default_loop,
)

CONNECTIONS = 100
ROUNDS = 200  # a message on each connection in each of them
MESSAGES = CONNECTIONS * ROUNDS
PACE = 0.022  # seconds between two rounds
REPORTS = 5  # of the child: by signal, and in the file
KNOCK = 0.15  # seconds, of the thread
TICK = 0.1  # seconds, of the Timer
BEAT = 0.25  # seconds, of the Periodic
PATIENCE = 60.0  # seconds after which the demo gives up


def find_text() -> Path:
    """The longest text around: of the repository, or where there is none, this."""
    here = Path(__file__).resolve()
    texts = [here.parent.parent / name for name in ("README.md", "libev/README.md")]
    return max(
        [here, *(text for text in texts if text.is_file())],
        key=lambda text: (text != here, text.stat().st_size),
    )


def cut(text: Path) -> Iterator[bytes]:
    """The lines of a text, over and over: each is a message, and ends in a newline."""
    return cycle(line + b"\n" for line in text.read_bytes().split(b"\n") if line)


class Stream:
    """A non-blocking socket, and what is still to be sent there."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.output = bytearray()
        self.io = loop.io(sock, EV_READ, self.on_ready)
        self.io.start()

    def on_ready(self, watcher: Io, revents: int) -> None:
        if revents & EV_READ:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.on_data(data)
            if not data:
                return
        self.flush()

    def on_data(self, data: bytes) -> None:
        """To be overridden: no data is the end."""

    def flush(self) -> None:
        """Send what can be sent, and watch for room only if something is left."""
        if self.output:
            try:
                del self.output[: self.sock.send(self.output)]
            except BlockingIOError:
                pass
            except OSError:
                self.on_data(b"")
                return
        events = EV_READ | EV_WRITE if self.output else EV_READ
        if events != self.io.events:
            self.io.stop()
            self.io.set(self.sock, events)
            self.io.start()

    def close(self) -> None:
        self.io.stop()
        self.sock.close()


# -- the child process -----------------------------------------------------------------


class Talker(Stream):
    """A connection of the client: what is to come back, and since when."""

    def __init__(self, client: "Client", sock: socket.socket) -> None:
        super().__init__(client.loop, sock)
        self.client = client
        self.input = bytearray()
        self.expected: collections.deque[tuple[bytes, float]] = collections.deque()

    def say(self, message: bytes) -> None:
        self.expected.append((message, time.perf_counter()))
        self.output += message
        self.flush()

    def on_data(self, data: bytes) -> None:
        client = self.client
        self.input += data
        while self.expected and len(self.input) >= len(self.expected[0][0]):
            message, since = self.expected.popleft()
            client.equal += self.input.startswith(message)
            client.bytes += len(message)
            client.trips.append(time.perf_counter() - since)
            del self.input[: len(message)]
        unasked = self.input and not self.expected
        if not data or unasked or len(client.trips) == MESSAGES:
            client.loop.stop()


class Client:
    """Sends the messages, compares what comes back, and reports to the parent."""

    def __init__(
        self, loop: Loop, port: int, parent: int, text: str, file: str
    ) -> None:
        self.loop = loop
        self.parent = parent
        self.file = file
        self.equal = self.bytes = self.round = 0
        self.trips: list[float] = []
        self.messages = cut(Path(text))
        self.talkers = [
            Talker(self, socket.create_connection(("127.0.0.1", port)))
            for _ in range(CONNECTIONS)
        ]
        loop.timer(PACE, PACE, self.on_round).start()
        loop.timer(PATIENCE / 2, 0.0, lambda watcher, revents: loop.stop()).start()

    def on_round(self, watcher: Timer, revents: int) -> None:
        for talker in self.talkers:
            talker.say(next(self.messages))
        self.round += 1
        if self.round % (ROUNDS // REPORTS) == 0:
            self.report()
            if os.getppid() == self.parent:
                os.kill(self.parent, signal.SIGUSR1)
        if self.round == ROUNDS:
            watcher.stop()

    def report(self) -> None:
        """Rewrite the file: in one step, so that nobody reads half of it."""
        trips = self.trips or [0.0]
        with open(self.file + ".new", "w") as file:
            json.dump(
                {
                    "equal": self.equal,
                    "bytes": self.bytes,
                    "median": statistics.median(trips),
                    "longest": max(trips),
                },
                file,
            )
        os.replace(self.file + ".new", self.file)

    def end(self) -> int:
        """Close the connections and report; returns the exit status."""
        extra = any(talker.input for talker in self.talkers)
        for talker in self.talkers:
            talker.close()
        self.report()
        return int(self.equal != MESSAGES or extra)


def run_client(port: str, parent: str, text: str, file: str) -> int:
    with Loop() as loop:
        client = Client(loop, int(port), int(parent), text, file)
        loop.start()
        return client.end()


# -- the demo --------------------------------------------------------------------------


class Tally:
    """How often a kind of event was seen, and when, in seconds since the start."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.count = 0
        self.first = self.last = 0.0
        self.what = ""

    def see(self, now: float) -> None:
        self.first = self.first or now
        self.last = now
        self.count += 1

    def __str__(self) -> str:
        times = f"{self.first:7.3f} s {self.last:7.3f} s" if self.count else " " * 19
        return f"{self.kind:9}{self.count:7,} {times}   {self.what or 'never seen'}"


class Echo(Stream):
    """A connection of the server."""

    def __init__(self, demo: "Demo", sock: socket.socket) -> None:
        super().__init__(demo.loop, sock)
        self.demo = demo

    def on_ready(self, watcher: Io, revents: int) -> None:
        self.demo.see("Io")
        super().on_ready(watcher, revents)

    def on_data(self, data: bytes) -> None:
        if data:
            self.output += data
            self.demo.bytes += len(data)
            self.demo.messages += data.count(b"\n")
        else:
            self.close()
            self.demo.echoes.discard(self)
            self.demo.stop_if_over()


class Demo:
    """The parent's side: the server, and a watcher of each kind."""

    KINDS = ("Io", "Timer", "Periodic", "Signal", "Child", "Stat", "Async")

    def __init__(self, loop: Loop, directory: str) -> None:
        self.loop = loop
        self.file = Path(directory, "report.json")
        self.text = find_text()
        self.begin = loop.now()
        self.tallies = {kind: Tally(kind) for kind in self.KINDS}
        self.echoes: set[Echo] = set()
        self.connections = self.messages = self.bytes = 0
        self.knocks = 0
        self.late = {"Timer": 0.0, "Periodic": 0.0}
        self.report: dict[str, Any] = {}
        self.out_of_time = False

        self.listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
        self.listener.setblocking(False)
        loop.io(self.listener, EV_READ, self.on_connect).start()
        loop.timer(TICK, TICK, self.on_tick).start()
        loop.periodic(0.0, BEAT, self.on_beat).start()
        loop.signal(signal.SIGUSR1, self.on_signal).start()
        loop.stat(self.file, 0.2, self.on_rewritten).start()
        self.knock = loop.async_(self.on_knock)
        self.knock.start()
        loop.timer(PATIENCE, 0.0, self.on_patience_over).start()

        port = self.listener.getsockname()[1]
        words = map(str, (port, os.getpid(), self.text, self.file))
        self.process = subprocess.Popen([sys.executable, __file__, "--client", *words])
        loop.child(self.process.pid, False, self.on_exit).start()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run_thread)
        self.thread.start()

    def see(self, kind: str) -> None:
        self.tallies[kind].see(self.loop.now() - self.begin)

    # The callbacks.

    def on_connect(self, watcher: Io, revents: int) -> None:
        self.see("Io")
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            self.connections += 1
            self.echoes.add(Echo(self, sock))

    def on_tick(self, watcher: Timer, revents: int) -> None:
        tally = self.tallies["Timer"]
        due = (tally.last if tally.count else 0.0) + TICK
        self.see("Timer")
        self.late["Timer"] = max(self.late["Timer"], tally.last - due)

    def on_beat(self, watcher: Periodic, revents: int) -> None:
        self.see("Periodic")
        self.late["Periodic"] = max(self.late["Periodic"], self.loop.now() % BEAT)

    def on_signal(self, watcher: Signal, revents: int) -> None:
        self.see("Signal")

    def on_rewritten(self, watcher: Stat, revents: int) -> None:
        self.see("Stat")
        if watcher.attr.st_nlink:
            self.report = json.loads(self.file.read_text())
        self.stop_if_over()

    def on_knock(self, watcher: Async, revents: int) -> None:
        self.see("Async")

    def on_exit(self, watcher: Child, revents: int) -> None:
        watcher.stop()
        self.see("Child")
        # The loop has waited for it: a Popen that is not told would try to.
        self.process.returncode = os.waitstatus_to_exitcode(watcher.rstatus)
        self.stop_if_over()

    def on_patience_over(self, watcher: Timer, revents: int) -> None:
        self.out_of_time = True
        self.loop.stop()

    # The thread.

    def run_thread(self) -> None:
        while not self.over.wait(KNOCK):
            self.knocks += 1
            self.knock.send()

    # The end.

    def stop_if_over(self) -> None:
        """Stop once the child has exited and there is nothing to come from it."""
        status = self.process.returncode
        told = self.report.get("equal") == MESSAGES
        if status or (status == 0 and told and not self.echoes):
            self.loop.stop()

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        for echo in list(self.echoes):
            echo.close()
        self.listener.close()

    def describe(self) -> None:
        """Say in each tally what happened."""
        status = self.process.returncode
        late = {
            kind: f"at most {1e3 * by:.1f} ms late" for kind, by in self.late.items()
        }
        for kind, what in {
            "Io": f"{self.messages:,} messages, {self.bytes:,} bytes, "
            f"echoed on {self.connections} connections",
            "Timer": f"every {TICK} s: {late['Timer']}",
            "Periodic": f"at multiples of {BEAT} s: {late['Periodic']}",
            "Signal": "SIGUSR1, from the child",
            "Child": f"pid {self.process.pid} exited with {status}",
            "Stat": f"{self.file.name}, which the child rewrites",
            "Async": f"a thread knocked {self.knocks} times",
        }.items():
            if self.tallies[kind].count:
                self.tallies[kind].what = what

    def missed(self) -> list[str]:
        """What did not happen as it should have."""
        status = self.process.returncode
        equal = self.report.get("equal", 0)
        same = self.bytes == self.report.get("bytes")
        wrong = {
            f"it took more than {PATIENCE:g} s": self.out_of_time,
            f"the client exited with {status}": status != 0,
            f"only {equal:,} messages came back equal": equal != MESSAGES,
            f"{self.messages:,} messages reached us": self.messages != MESSAGES,
            "the two sides have counted other numbers of bytes": not same,
        }
        for kind, tally in self.tallies.items():
            wrong[f"no event of {kind}"] = not tally.count
        return [what for what, is_so in wrong.items() if is_so]


def main() -> int:
    parser = argparse.ArgumentParser(description="Real events on one loop.")
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        return run_client(*options.client)

    with tempfile.TemporaryDirectory() as directory, default_loop() as loop:
        python = f"{platform.python_implementation()} {platform.python_version()}"
        print(f"mood_event {mood_event.__version__} on {python}: {loop!r}\n")
        demo = Demo(loop, directory)
        print(
            f"{MESSAGES:,} messages cut from {demo.text.name} over {CONNECTIONS} "
            "connections, and some more. About five seconds ...\n",
            flush=True,
        )
        try:
            loop.start()
        finally:
            demo.close()
    demo.describe()
    print(f"{'kind':9}{'events':>7} {'first':>9} {'last':>9}   what happened")
    for tally in demo.tallies.values():
        print(tally)
    missed = demo.missed()
    if missed:
        print("\nThis went wrong:", *missed, sep="\n    ")
        return 1
    print(
        f"\nEvery byte came back equal, within {1e3 * demo.report['median']:.2f} ms "
        f"(median; the longest took {1e3 * demo.report['longest']:.1f} ms).\n"
        f"All {len(demo.tallies)} kinds of events were seen."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
