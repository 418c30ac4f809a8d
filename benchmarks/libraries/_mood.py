"""The adapter's Loop for every library with mood.event's interface.

Imported by the adapters of those libraries, which differ in the module alone.
"""

from typing import Any

from . import Handle, Loop


def adapt(module: Any) -> "type[Loop]":
    """The Loop class for a module with Loop and Async in it."""
    async_type = module.Async
    read, nowait = module.EV_READ, module.EVRUN_NOWAIT

    class MoodLoop(Loop):
        def __init__(self) -> None:
            self.loop = module.Loop()
            self.stop = self.loop.stop

        def run(self) -> None:
            self.loop.start()

        def poll(self) -> None:
            self.loop.start(nowait)

        def close(self) -> None:
            # mood.event 1.1.1 has no close: a loop ends when it is garbage.
            getattr(self.loop, "close", int)()

        def idle(self, callback: Any) -> Handle:
            watcher = self.loop.idle(callback)
            return Handle(watcher, watcher.start, watcher.stop)

        def reader(self, fd: int, callback: Any) -> Handle:
            watcher = self.loop.io(fd, read, callback)
            return Handle(watcher, watcher.start, watcher.stop)

        def timer(self, after: float, repeat: float, callback: Any) -> Handle:
            watcher = self.loop.timer(after, repeat, callback)
            return Handle(watcher, watcher.start, watcher.stop, watcher.reset)

        def sender(self, callback: Any) -> Any:
            self.waker = async_type(self.loop, callback)
            self.waker.start()
            return self.waker.send

        def register(self, watchers: Any, fds: Any, callbacks: Any) -> None:
            for watcher, fd in zip(watchers, fds):
                watcher.stop()
                watcher.set(fd, read)
                watcher.start()

        def create_timers(self, timers: Any, after: float, callback: Any) -> None:
            new = self.loop.timer
            for i in range(len(timers)):
                timers[i] = new(after, 0.0, callback)

        def start_timers(self, timers: Any, after: float, callback: Any) -> None:
            for timer in timers:
                timer.start()

        def stop_timers(self, timers: Any) -> None:
            for timer in timers:
                timer.stop()

        def create_repeating(self, timers: Any, repeat: float, callback: Any) -> None:
            new = self.loop.timer
            for i in range(len(timers)):
                timers[i] = new(repeat, repeat, callback)
                timers[i].start()

        def reset_timers(self, timers: Any, callback: Any) -> None:
            for timer in timers:
                timer.reset()

    return MoodLoop
