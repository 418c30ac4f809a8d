"""Run a command at each multiple of a time, until SIGINT, SIGTERM or SIGHUP.

    python -m mood_event every 5m -- curl -s example.org/ping

The times are the clock's, in UTC: with 5m they are 12:00, 12:05 and so on, whenever the
tool was started; --offset is added, so 1d --offset 7h is 07:00 of each day. A time at
which the last run is still going is skipped, and stderr says so, as it does of a run
that fails. The command has no shell, a session of its own, and nothing to read. The
signal is passed on to a run that is going, and the tool ends after it, with the exit
status 0. A second signal kills the run.
"""

import argparse
import signal
import subprocess

from mood_event import Periodic, Signal, default_loop
from mood_event.tools import Command, say, start_endings, to_seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [-h] [--offset OFFSET] TIME -- CMD..."
    parser.add_argument("interval", type=to_seconds, metavar="TIME", help="0.5, 5m, 1d")
    parser.add_argument("--offset", type=to_seconds, default=0.0, help="default: 0")


def run(options: argparse.Namespace) -> int:
    def on_time(watcher: Periodic, revents: int) -> None:
        if command.process:
            say(f"pid {command.process.pid} is still running: skipped")
        else:
            command.start()

    def on_end(why: str, status: int) -> None:
        if status:
            say(why)
        if not periodic.active:
            loop.stop()

    def on_signal(watcher: Signal, revents: int) -> None:
        if command.process:
            command.kill(watcher.signum if periodic.active else signal.SIGKILL)
        else:
            loop.stop()
        periodic.stop()

    with default_loop() as loop:
        command = Command(loop, options.command, on_end, subprocess.DEVNULL)
        periodic = loop.periodic(options.offset, options.interval, on_time)
        periodic.start()
        start_endings(loop, on_signal)
        loop.start()
    return 0
