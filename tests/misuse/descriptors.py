"""Rows about descriptors: Io watchers, and what else takes one."""

import errno
import os

from misuse.table import CLOSES_DESCRIPTORS, Case, row
from mood_event import EV_READ, Io


@row(fd=[-1, -(2**31)])
def negative(case: Case, fd: int) -> None:
    with case.raises(ValueError, f"fd must be >= 0, got {fd}"):
        case.loop.io(fd, EV_READ, case.ignore)


@row(builds=CLOSES_DESCRIPTORS)
def closed_before_start(case: Case) -> None:
    reader, _ = case.pipe()
    watcher = Io(reader, EV_READ, case.loop, case.ignore)
    os.close(reader)
    with case.raises(OSError, os.strerror(errno.EBADF), watcher):
        watcher.start()
    with case.raises(OSError, os.strerror(errno.EBADF), watcher):
        watcher.start()
