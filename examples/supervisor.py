"""A process supervisor: it starts commands, and starts them again when they end.

    python supervisor.py "python worker.py" "redis-server --port 7000"

A command that ends is started again after a pause, which doubles each time that it does
not last; one that lasts gets the short pause again. SIGINT and SIGTERM end all: SIGTERM
to each command, and SIGKILL to those that are still there after the grace time.
"""

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
from typing import Optional

from mood_event import Child, Loop, Signal, Timer, default_loop


class Service:
    """A command that is to be running."""

    def __init__(self, supervisor: "Supervisor", name: str, command: str) -> None:
        self.supervisor = supervisor
        self.name = name
        self.arguments = shlex.split(command)
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.child: Optional[Child] = None
        self.pause = supervisor.options.pause
        self.started = 0.0
        self.timer = supervisor.loop.timer(0.0, 0.0, self.on_pause_over)

    def say(self, what: str) -> None:
        print(f"{self.name}: {what}", flush=True)

    def start(self) -> None:
        loop = self.supervisor.loop
        self.started = loop.now()
        try:
            # A session of its own: Ctrl-C in a terminal is the supervisor's alone, and
            # a signal can be sent to the process and its own children at once.
            process = subprocess.Popen(self.arguments, start_new_session=True)
        except OSError as error:
            self.say(f"cannot be started: {error}")
            self.start_later()
            return
        self.process = process
        self.say(f"pid {process.pid} started")
        # It may have ended already: the watcher is told even so.
        self.child = loop.child(process.pid, False, self.on_end)
        self.child.start()

    def start_later(self) -> None:
        options = self.supervisor.options
        if self.supervisor.loop.now() - self.started >= options.longest_pause:
            self.pause = options.pause
        self.say(f"starts again in {self.pause:g} s")
        self.timer.set(self.pause, 0.0)
        self.timer.start()
        self.pause = min(2 * self.pause, options.longest_pause)

    def on_pause_over(self, watcher: Timer, revents: int) -> None:
        self.start()

    def on_end(self, watcher: Child, revents: int) -> None:
        watcher.stop()
        assert self.process is not None
        # The loop has waited for it: a Popen that is not told would try to.
        status = os.waitstatus_to_exitcode(watcher.rstatus)
        self.process.returncode = status
        self.process = None
        if status < 0:
            self.say(f"pid {watcher.pid} ended by {signal.Signals(-status).name}")
        else:
            self.say(f"pid {watcher.pid} ended with status {status}")
        if self.supervisor.ending:
            self.supervisor.end_if_all_have()
        else:
            self.start_later()

    def kill(self, signum: int) -> None:
        # While `process` is set nobody has waited for it, so the pid is still its.
        if self.process is not None:
            self.say(f"pid {self.process.pid} gets {signal.Signals(signum).name}")
            # Some systems refuse to signal a process that has just ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signum)


class Supervisor:
    """All services, and their end."""

    def __init__(self, loop: Loop, options: argparse.Namespace) -> None:
        self.loop = loop
        self.options = options
        self.ending = False
        self.grace = loop.timer(options.grace, 0.0, self.on_grace_over)
        self.services = [
            Service(self, f"[{number}]", command)
            for number, command in enumerate(options.command, 1)
        ]
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.signal(signum, self.on_signal).start()
        for service in self.services:
            service.start()

    def on_signal(self, watcher: Signal, revents: int) -> None:
        # Who asks a second time does not want to wait.
        self.kill_all(signal.SIGKILL if self.ending else signal.SIGTERM)
        self.ending = True
        self.grace.start()
        self.end_if_all_have()

    def on_grace_over(self, watcher: Timer, revents: int) -> None:
        self.kill_all(signal.SIGKILL)

    def kill_all(self, signum: int) -> None:
        for service in self.services:
            service.timer.stop()
            service.kill(signum)

    def end_if_all_have(self) -> None:
        if not any(service.process for service in self.services):
            self.loop.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A process supervisor.")
    parser.add_argument("command", nargs="+", help="as for a shell, but without one")
    for name, default, text in (
        ("--pause", 0.5, "before a command is started again"),
        ("--longest-pause", 30.0, "that the pause grows to"),
        ("--grace", 5.0, "from SIGTERM to SIGKILL"),
    ):
        parser.add_argument(
            name, type=float, default=default, metavar="SECONDS", help=text
        )
    options = parser.parse_args()
    with default_loop() as loop:
        Supervisor(loop, options)
        loop.start()


if __name__ == "__main__":
    main()
