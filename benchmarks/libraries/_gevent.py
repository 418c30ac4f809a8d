"""The adapter's Loop for gevent's two libev loops, which have one interface.

Imported by gevent_cython.py and gevent_cffi.py.
"""

from functools import partial
from importlib import metadata
from typing import Any

from . import Handle, Loop

READ = 1


def version() -> str:
    """The version of the installed distribution."""
    return metadata.version("gevent")


def adapt(module: Any) -> "type[Loop]":
    """The Loop class for gevent.libev.corecext or gevent.libev.corecffi."""

    class GeventLoop(Loop):
        def __init__(self) -> None:
            self.loop = module.loop(default=False)
            self.stop = self.loop.break_

        def run(self) -> None:
            self.loop.run()

        def poll(self) -> None:
            self.loop.run(nowait=True)

        def close(self) -> None:
            self.loop.destroy()

        def idle(self, callback: Any) -> Handle:
            watcher = self.loop.idle()
            return Handle(watcher, partial(watcher.start, callback), watcher.stop)

        def reader(self, fd: int, callback: Any) -> Handle:
            watcher = self.loop.io(fd, READ)
            return Handle(watcher, partial(watcher.start, callback), watcher.stop)

        def timer(self, after: float, repeat: float, callback: Any) -> Handle:
            watcher = self.loop.timer(after, repeat)
            return Handle(
                watcher,
                partial(watcher.start, callback),
                watcher.stop,
                partial(watcher.again, callback),
            )

        def sender(self, callback: Any) -> Any:
            self.waker = self.loop.async_()
            self.waker.start(callback)
            return self.waker.send

        def register(self, watchers: Any, fds: Any, callbacks: Any) -> None:
            for watcher, fd, callback in zip(watchers, fds, callbacks):
                watcher.stop()
                watcher.fd = fd
                watcher.start(callback)

        def create_timers(self, timers: Any, after: float, callback: Any) -> None:
            loop = self.loop
            for i in range(len(timers)):
                timers[i] = loop.timer(after, 0.0)

        def start_timers(self, timers: Any, after: float, callback: Any) -> None:
            for timer in timers:
                timer.start(callback)

        def stop_timers(self, timers: Any) -> None:
            for timer in timers:
                timer.stop()

        def create_repeating(self, timers: Any, repeat: float, callback: Any) -> None:
            loop = self.loop
            for i in range(len(timers)):
                timers[i] = loop.timer(repeat, repeat)
                timers[i].start(callback)

        def reset_timers(self, timers: Any, callback: Any) -> None:
            for timer in timers:
                timer.again(callback)

    return GeventLoop
