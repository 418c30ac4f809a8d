"""What a workload asks of a library; the adapters beside this file answer.

Imported by the adapters and by workloads.py, in the interpreter that is measured. It
must not import any of the libraries: worker.py loads one adapter, and that one alone.

An adapter is a module with three things in it: IMPORT, the statement that imports the
library (for the import times), `version()`, and a `Loop`; and `new_event_loop()`, if
asyncio runs on the library. The Loop's methods come in two kinds. Those for one watcher
return the library's own functions, bound, so that a callback that stops a watcher calls
the library and no adapter. Those for many watchers are the loops that the clock is
around, written as the library's users would write them.

A callback is called with what the library passes, (watcher, revents) or nothing, so
workloads give theirs defaults for both.
"""

import socket
from typing import Any, Callable, NamedTuple, Optional

ADAPTERS = (
    "mood_event",
    "mood_event_1",
    "gevent_cython",
    "gevent_cffi",
    "uvloop",
    "asyncio",
    "floor",
    "floor_batch",
)

CHUNK = 1 << 16


class Unsupported(Exception):
    """The library has nothing that could do this."""


class Handle(NamedTuple):
    """A watcher, and its functions."""

    watcher: Any
    start: Callable[[], Any]
    stop: Callable[[], Any]
    reset: Optional[Callable[[], Any]] = None


class Loop:
    """An event loop of the library. What an adapter does not define it cannot do."""

    stop: Callable[[], Any]

    def run(self) -> None:
        """Run until `stop` is called."""
        raise Unsupported

    def poll(self) -> None:
        """One iteration, without waiting."""
        raise Unsupported

    def close(self) -> None:
        """Give the loop's resources back."""
        raise Unsupported

    # -- one watcher, not started yet --

    def idle(self, callback: Callable[..., Any]) -> Handle:
        """A watcher that is ready in every iteration."""
        raise Unsupported("there is no watcher that is always ready")

    def reader(self, fd: int, callback: Callable[..., Any]) -> Handle:
        """A watcher for a readable descriptor."""
        raise Unsupported

    def timer(
        self, after: float, repeat: float, callback: Callable[..., Any]
    ) -> Handle:
        """A timer; its `reset` makes it count anew from now."""
        raise Unsupported

    def sender(self, callback: Callable[..., Any]) -> Callable[[], Any]:
        """What another thread calls to have the callback called in the loop's."""
        raise Unsupported

    # -- many watchers --

    def register(self, watchers: Any, fds: Any, callbacks: Any) -> None:
        """Stop, set and start every one of these readers."""
        raise Unsupported

    def create_timers(self, timers: Any, after: float, callback: Any) -> None:
        """Fill the list `timers` with timers that do not repeat."""
        raise Unsupported

    def start_timers(self, timers: Any, after: float, callback: Any) -> None:
        """Start them all."""
        raise Unsupported

    def stop_timers(self, timers: Any) -> None:
        """Stop them all."""
        raise Unsupported

    def create_repeating(self, timers: Any, repeat: float, callback: Any) -> None:
        """Fill the list `timers` with timers that do repeat, and start them."""
        raise Unsupported

    def reset_timers(self, timers: Any, callback: Any) -> None:
        """Make them all count anew."""
        raise Unsupported

    # -- a server --

    def serve_echo(self, listener: socket.socket) -> None:
        """Accept connections while the loop runs, and send back what they send."""

        def accept(watcher: Any = None, revents: int = 0) -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    return
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._echo(connection)

        self._keep(self.reader(listener.fileno(), accept)).start()

    def _echo(self, connection: socket.socket) -> None:
        recv, send = connection.recv, connection.send

        def readable(watcher: Any = None, revents: int = 0) -> None:
            data = recv(CHUNK)
            if data:
                # The client waits for the answer before it sends again, so there is
                # always room for it.
                send(data)
            else:
                handle.stop()
                connection.close()

        handle = self._keep(self.reader(connection.fileno(), readable))
        handle.start()

    def _keep(self, handle: Handle) -> Handle:
        """Some libraries collect an active watcher that nobody refers to."""
        self.__dict__.setdefault("kept", []).append(handle)
        return handle
