"""libev's constants: read from C, never retyped. Imported by every module."""

from __future__ import annotations

from mood_event._ffi import lib

# See _dispatch.py: it takes long to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "EVBACKEND_ALL",
    "EVBACKEND_DEVPOLL",
    "EVBACKEND_EPOLL",
    "EVBACKEND_IOURING",
    "EVBACKEND_KQUEUE",
    "EVBACKEND_LINUXAIO",
    "EVBACKEND_MASK",
    "EVBACKEND_POLL",
    "EVBACKEND_PORT",
    "EVBACKEND_SELECT",
    "EVBREAK_ALL",
    "EVBREAK_ONE",
    "EVFLAG_AUTO",
    "EVFLAG_FORKCHECK",
    "EVFLAG_NOENV",
    "EVFLAG_NOINOTIFY",
    "EVFLAG_NOSIGMASK",
    "EVFLAG_NOTIMERFD",
    "EVFLAG_SIGNALFD",
    "EVRUN_NOWAIT",
    "EVRUN_ONCE",
    "EV_ASYNC",
    "EV_CHECK",
    "EV_CHILD",
    "EV_CLEANUP",
    "EV_CUSTOM",
    "EV_EMBED",
    "EV_ERROR",
    "EV_FORK",
    "EV_IDLE",
    "EV_IO",
    "EV_MAXPRI",
    "EV_MINPRI",
    "EV_PERIODIC",
    "EV_PREPARE",
    "EV_READ",
    "EV_SIGNAL",
    "EV_STAT",
    "EV_TIMER",
    "EV_WRITE",
]

# Event bits: what a callback receives, and what an Io watches.
EV_READ: Final[int] = lib.EV_READ
EV_WRITE: Final[int] = lib.EV_WRITE
EV_IO: Final[int] = lib.EV_IO
EV_TIMER: Final[int] = lib.EV_TIMER
EV_PERIODIC: Final[int] = lib.EV_PERIODIC
EV_SIGNAL: Final[int] = lib.EV_SIGNAL
EV_CHILD: Final[int] = lib.EV_CHILD
EV_STAT: Final[int] = lib.EV_STAT
EV_IDLE: Final[int] = lib.EV_IDLE
EV_PREPARE: Final[int] = lib.EV_PREPARE
EV_CHECK: Final[int] = lib.EV_CHECK
EV_EMBED: Final[int] = lib.EV_EMBED
EV_FORK: Final[int] = lib.EV_FORK
EV_CLEANUP: Final[int] = lib.EV_CLEANUP
EV_ASYNC: Final[int] = lib.EV_ASYNC
EV_CUSTOM: Final[int] = lib.EV_CUSTOM
EV_ERROR: Final[int] = lib.EV_ERROR

# The range of priorities.
EV_MINPRI: Final[int] = lib.EV_MINPRI
EV_MAXPRI: Final[int] = lib.EV_MAXPRI

# Flags of Loop and default_loop.
EVFLAG_AUTO: Final[int] = lib.EVFLAG_AUTO
EVFLAG_NOENV: Final[int] = lib.EVFLAG_NOENV
EVFLAG_FORKCHECK: Final[int] = lib.EVFLAG_FORKCHECK
EVFLAG_NOINOTIFY: Final[int] = lib.EVFLAG_NOINOTIFY
EVFLAG_SIGNALFD: Final[int] = lib.EVFLAG_SIGNALFD
EVFLAG_NOSIGMASK: Final[int] = lib.EVFLAG_NOSIGMASK
EVFLAG_NOTIMERFD: Final[int] = lib.EVFLAG_NOTIMERFD

# Backends: flags as well.
EVBACKEND_SELECT: Final[int] = lib.EVBACKEND_SELECT
EVBACKEND_POLL: Final[int] = lib.EVBACKEND_POLL
EVBACKEND_EPOLL: Final[int] = lib.EVBACKEND_EPOLL
EVBACKEND_KQUEUE: Final[int] = lib.EVBACKEND_KQUEUE
EVBACKEND_DEVPOLL: Final[int] = lib.EVBACKEND_DEVPOLL
EVBACKEND_PORT: Final[int] = lib.EVBACKEND_PORT
EVBACKEND_LINUXAIO: Final[int] = lib.EVBACKEND_LINUXAIO
EVBACKEND_IOURING: Final[int] = lib.EVBACKEND_IOURING
EVBACKEND_ALL: Final[int] = lib.EVBACKEND_ALL
EVBACKEND_MASK: Final[int] = lib.EVBACKEND_MASK

# Flags of Loop.start.
EVRUN_NOWAIT: Final[int] = lib.EVRUN_NOWAIT
EVRUN_ONCE: Final[int] = lib.EVRUN_ONCE

# What Loop.stop stops.
EVBREAK_ONE: Final[int] = lib.EVBREAK_ONE
EVBREAK_ALL: Final[int] = lib.EVBREAK_ALL
