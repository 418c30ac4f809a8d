"""Print a line for each change of a file or directory, until SIGINT, SIGTERM or SIGHUP.

    python -m mood_event watch /etc/hosts /var/log

A line is the time, the path and what has changed: "appeared", "gone", "replaced" (by
another file), "mtime", or a new size, mode, uid, gid or number of links. The first line
of a path says what there is when the tool starts; a path need not exist. Of a symbolic
link it is the link that is watched, and of a directory its list of entries. Changes
that come close together can be one line. Of times only the seconds are compared: what
changes nothing else, twice within a second, is one change. The exit status is 0.
"""

import argparse
import os
from datetime import datetime

from mood_event import Stat, default_loop, fatal
from mood_event.tools import start_endings, to_seconds

SAYS = {"ino": "replaced", "size": "size {}", "mode": "mode {:o}", "uid": "uid {}"}
SAYS.update({"gid": "gid {}", "nlink": "links {}", "mtime": "mtime"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "between two looks, where the system does not tell of changes itself"
    parser.add_argument("--interval", type=to_seconds, metavar="TIME", help=text)
    parser.add_argument("path", nargs="+", metavar="PATH", help="a file or directory")


def difference(old: os.stat_result, new: os.stat_result) -> str:
    # What is not there has no links.
    if not old.st_nlink or not new.st_nlink:
        return f"appeared, size {new.st_size}" if new.st_nlink else "gone"
    pairs = [(getattr(old, f"st_{name}"), getattr(new, f"st_{name}")) for name in SAYS]
    words = [says.format(b) for says, (a, b) in zip(SAYS.values(), pairs) if a != b]
    return ", ".join(words) or "atime or ctime"


def say(watcher: Stat, what: str) -> None:
    now = datetime.fromtimestamp(watcher.loop.now()).isoformat(" ", "milliseconds")
    print(f"{now}  {watcher.data}: {what}", flush=True)


@fatal  # Or it would go on when nobody reads any more.
def on_change(watcher: Stat, revents: int) -> None:
    say(watcher, difference(watcher.prev, watcher.attr))


def run(options: argparse.Namespace) -> int:
    with default_loop() as loop:
        start_endings(loop, lambda watcher, revents: watcher.loop.stop())
        for path in options.path:
            absolute, interval = os.path.abspath(path), options.interval or 0.0
            watcher = loop.stat(absolute, interval, on_change, path)
            watcher.start()
            size = f"size {watcher.attr.st_size}"
            say(watcher, size if watcher.attr.st_nlink else "not there")
        loop.start()
    return 0
