"""Run a command, and start it again whenever it ends.

    python -m mood_event supervise --max-delay 5m -- python server.py

After a run shorter than --max-delay, or that could not begin, comes a delay, which
doubles from --delay up to --max-delay; after a longer one there is none. stderr tells
of each end. The command has no shell, and a session of its own. SIGINT, SIGTERM and
SIGHUP are passed on to it, and the tool ends after it; a second one kills it. The exit
status is the command's then, 128 + N for a signal N, but 0 if that is the one that was
passed on, or if the command was not running.
"""

import argparse
import signal

from mood_event import Signal, default_loop
from mood_event.tools import Command, say, start_endings, to_seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [-h] [--delay DELAY] [--max-delay MAX_DELAY] -- CMD..."
    parser.add_argument("--delay", type=to_seconds, default="1s", help="at first (1s)")
    parser.add_argument("--max-delay", type=to_seconds, default="1m", help="(1m)")


def run(options: argparse.Namespace) -> int:
    delay, passed_on, result = options.delay, 0, 0

    def on_end(why: str, status: int) -> None:
        nonlocal delay, result
        if passed_on:
            result = 0 if status == 128 + passed_on else status
            loop.stop()
            return
        lasted = command.seconds >= options.max_delay
        after = 0.0 if lasted else min(delay, options.max_delay)
        delay = options.delay if lasted else 2 * delay
        say(f"{why}: starts again in {after:g} s")
        timer.set(after, 0.0)
        timer.start()

    def on_signal(watcher: Signal, revents: int) -> None:
        nonlocal passed_on
        if command.process:
            command.kill(signal.SIGKILL if passed_on else watcher.signum)
        else:
            timer.stop()
            loop.stop()
        passed_on = passed_on or watcher.signum

    with default_loop() as loop:
        command = Command(loop, options.command, on_end)
        timer = loop.timer(0.0, 0.0, lambda watcher, revents: command.start())
        timer.start()
        start_endings(loop, on_signal)
        loop.start()
    return result
