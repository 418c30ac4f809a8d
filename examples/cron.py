"""Runs commands at times of the day, as cron does.

    python cron.py "07:30 backup.sh" "*:*/5 curl -s example.org/ping"
    python cron.py --show 3 "02:30 true"

Each job is a time and a shell command. A time is HOUR:MINUTE in local time, where HOUR
may be `*`, and MINUTE `*` or `*/N`. With an hour the job runs once a day, whatever
happens to the clock: a time that it skips is as much later as the clock went forward,
and of a time that comes twice it is the first. Without one it runs whenever a clock on
the wall says so. The first SIGINT or SIGTERM ends the program as soon as no command is
running, the second at once.
"""

import argparse
import datetime
import os
import re
import signal
import subprocess
import time
from typing import NamedTuple, Optional

from mood_event import Child, Loop, Scheduler, Signal, default_loop


class Schedule(NamedTuple):
    """The times of a job: `hour` is None for any, the minutes are a set."""

    hour: Optional[int]
    minutes: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """The schedule that a text stands for; raises ValueError if it is none."""
        match = re.fullmatch(r"(\*|\d\d?):(?:(\*)(?:/(\d\d?))?|(\d\d?))", text, re.A)
        if not match:
            raise ValueError(f"no HOUR:MINUTE: {text!r}")
        hour, any_minute, step, minute = match.groups()
        if any_minute and hour != "*":
            raise ValueError(f"an hour needs a minute: {text!r}")
        if int(hour.replace("*", "0")) > 23 or int(minute or 0) > 59 or step == "0":
            raise ValueError(f"no time of the day: {text!r}")
        minutes = range(0, 60, int(step or 1)) if any_minute else [int(minute)]
        return cls(None if hour == "*" else int(hour), frozenset(minutes))

    def after(self, now: float) -> float:
        """The next time after `now`; both are seconds since the epoch.

        What is local time is up to the C library, that is, to TZ. It must be later
        than `now` and not equal, or a job would run again and again.
        """
        if self.hour is None:
            at = now // 60 * 60 + 60
            while time.localtime(at).tm_min not in self.minutes:
                at += 60
            return at
        (minute,) = self.minutes
        # Dates have no changes of the clock, so days are added to them, and each sum is
        # made a time by itself. fold=0 is what resolves skipped and doubled times. From
        # yesterday on: its last hour may have been skipped, and be due today.
        one_day = datetime.timedelta(days=1)
        day = datetime.datetime.fromtimestamp(now).date() - one_day
        while True:
            wall = datetime.datetime.combine(day, datetime.time(self.hour, minute))
            if wall.timestamp() > now:
                return wall.timestamp()
            day += one_day


class Job:
    """A command, and when to run it."""

    def __init__(self, loop: Loop, schedule: Schedule, command: str) -> None:
        self.loop = loop
        self.schedule = schedule
        self.command = command
        self.process: Optional[subprocess.Popen[bytes]] = None
        # A Scheduler follows the system's clock: when that is set, it asks again.
        self.timer = loop.scheduler(self.next_time, self.on_time)
        self.timer.start()

    def next_time(self, watcher: Scheduler, now: float) -> float:
        return self.schedule.after(now)

    def on_time(self, watcher: Scheduler, revents: int) -> None:
        if self.process is not None:
            self.say("skipped, since it is still running")
            return
        try:
            # A session of its own: Ctrl-C in a terminal is not for the command.
            self.process = subprocess.Popen(
                self.command, shell=True, start_new_session=True
            )
        except OSError as error:
            self.say(f"cannot be started: {error}")
            return
        self.say(f"started as pid {self.process.pid}")
        self.loop.child(self.process.pid, False, self.on_end).start()

    def on_end(self, watcher: Child, revents: int) -> None:
        watcher.stop()
        assert self.process is not None
        # The loop has waited for it: a Popen that is not told would try to.
        self.process.returncode = os.waitstatus_to_exitcode(watcher.rstatus)
        self.say(f"pid {watcher.pid} ended with {self.process.returncode}")
        self.process = None

    def say(self, what: str) -> None:
        print(f"{clock(self.loop.now())}  {self.command}: {what}", flush=True)


def clock(at: float) -> str:
    """A time as a person in this zone writes it."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))


def to_job(text: str) -> tuple[Schedule, str]:
    """The two parts of an argument, for argparse."""
    when, _, command = text.strip().partition(" ")
    if not command:
        raise argparse.ArgumentTypeError(f"a time and a command, not {text!r}")
    try:
        return Schedule.parse(when), command
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> None:
    parser = argparse.ArgumentParser(description="Run commands at times of the day.")
    parser.add_argument("job", nargs="+", type=to_job, help="'HOUR:MINUTE COMMAND'")
    parser.add_argument(
        "--show", type=int, metavar="N", help="show the next N times, and run nothing"
    )
    options = parser.parse_args()
    if options.show is not None:
        for schedule, command in options.job:
            at = time.time()
            for _ in range(options.show):
                at = schedule.after(at)
                print(f"{clock(at)}  {command}")
        return
    with default_loop() as loop:
        jobs = [Job(loop, schedule, command) for schedule, command in options.job]

        def on_signal(watcher: Signal, revents: int) -> None:
            if not any(job.timer.active for job in jobs):
                loop.stop()
            for job in jobs:
                job.timer.stop()

        for signum in (signal.SIGINT, signal.SIGTERM):
            watcher = loop.signal(signum, on_signal)
            watcher.start()
            # What keeps the loop running are the jobs.
            watcher.keepalive = False
        print(f"jobs: {len(jobs)}", flush=True)
        loop.start()


if __name__ == "__main__":
    main()
