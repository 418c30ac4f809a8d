"""The adapter's Loop for asyncio's loops: asyncio.py and uvloop.py import it.

These loops have other notions than libev. A timer is made and started by one call, so
all of it counts as starting; it does not repeat, so resetting is cancelling and making
another. There is nothing that is always ready: handles that rearm themselves by
call_soon are something else than idle watchers.
"""

import asyncio
import socket
from functools import partial
from typing import Any, Callable

from . import Handle, Loop


class Echo(asyncio.Protocol):
    """A connection of the echo server."""

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.write(data)


class _Timer:
    """As much of a repeating timer as resetting needs."""

    def __init__(self, call_later: Any, repeat: float, callback: Any) -> None:
        self.again = partial(call_later, repeat, callback)
        self.handle: Any = None

    def start(self) -> None:
        self.handle = self.again()

    def stop(self) -> None:
        self.handle.cancel()

    def reset(self) -> None:
        if self.handle is not None:
            self.handle.cancel()
        self.handle = self.again()


def adapt(new_event_loop: Callable[[], Any]) -> "type[Loop]":
    """The Loop class for the loops that a function makes."""

    class AsyncioLoop(Loop):
        def __init__(self) -> None:
            self.loop = new_event_loop()
            self.stop = self.loop.stop

        def run(self) -> None:
            self.loop.run_forever()

        def poll(self) -> None:
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

        def close(self) -> None:
            self.loop.close()

        def reader(self, fd: int, callback: Any) -> Handle:
            return Handle(
                fd,
                partial(self.loop.add_reader, fd, callback),
                partial(self.loop.remove_reader, fd),
            )

        def timer(self, after: float, repeat: float, callback: Any) -> Handle:
            timer = _Timer(self.loop.call_later, repeat, callback)
            return Handle(timer, timer.start, timer.stop, timer.reset)

        def sender(self, callback: Any) -> Any:
            return partial(self.loop.call_soon_threadsafe, callback)

        def register(self, watchers: Any, fds: Any, callbacks: Any) -> None:
            add_reader, remove_reader = self.loop.add_reader, self.loop.remove_reader
            for fd, callback in zip(fds, callbacks):
                remove_reader(fd)
                add_reader(fd, callback)

        def create_timers(self, timers: Any, after: float, callback: Any) -> None:
            pass

        def start_timers(self, timers: Any, after: float, callback: Any) -> None:
            call_later = self.loop.call_later
            for i in range(len(timers)):
                timers[i] = call_later(after, callback)

        def stop_timers(self, timers: Any) -> None:
            for timer in timers:
                timer.cancel()

        def create_repeating(self, timers: Any, repeat: float, callback: Any) -> None:
            for i in range(len(timers)):
                timers[i] = _Timer(self.loop.call_later, repeat, callback)
                timers[i].start()

        def reset_timers(self, timers: Any, callback: Any) -> None:
            for timer in timers:
                timer.reset()

        def serve_echo(self, listener: socket.socket) -> None:
            serving = self.loop.create_server(Echo, sock=listener)
            self.kept = self.loop.run_until_complete(serving)

    return AsyncioLoop
