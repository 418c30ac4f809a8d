"""Python's interface to libev: an event loop, and watchers that call back.

The public names, and nothing else: see loop.py for the loop, watchers.py for the
watchers, constants.py for libev's constants.
"""

from mood_event._version import __version__
from mood_event.constants import *  # noqa: F403 (one list of names, in constants.py)
from mood_event.constants import __all__ as _constants
from mood_event.errors import Error
from mood_event.loop import (
    Loop,
    abi_version,
    default_loop,
    embeddable_backends,
    fatal,
    feed_signal,
    recommended_backends,
    sleep,
    supported_backends,
    time,
)
from mood_event.watchers import (
    Async,
    Check,
    Child,
    Cleanup,
    Embed,
    Fork,
    Idle,
    Io,
    Periodic,
    Prepare,
    Scheduler,
    Signal,
    Stat,
    Timer,
    Watcher,
)

__all__ = [
    "Async",
    "Check",
    "Child",
    "Cleanup",
    "Embed",
    "Error",
    "Fork",
    "Idle",
    "Io",
    "Loop",
    "Periodic",
    "Prepare",
    "Scheduler",
    "Signal",
    "Stat",
    "Timer",
    "Watcher",
    "__version__",
    "abi_version",
    "default_loop",
    "embeddable_backends",
    "fatal",
    "feed_signal",
    "recommended_backends",
    "sleep",
    "supported_backends",
    "time",
    *_constants,
]
