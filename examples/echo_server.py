"""A TCP server that sends back whatever it receives.

    python echo_server.py --port 7007
    nc 127.0.0.1 7007

What a client does not take yet is buffered, and watched for with EV_WRITE only while
there is something to write. A client that sends and never reads is not read from any
more once its buffer is full. SIGINT and SIGTERM end the server.
"""

import argparse
import errno
import signal
import socket
from typing import Any

from mood_event import EV_READ, EV_WRITE, Io, Loop, Signal, Timer, default_loop

CHUNK = 1 << 16
# Of what a client has not taken: with more than this it has to read first.
FULL = 1 << 20


class Connection:
    """A client, and what it has still to get back."""

    def __init__(self, server: "Server", sock: socket.socket, address: Any) -> None:
        sock.setblocking(False)
        self.server = server
        self.sock = sock
        self.name = f"{address[0]}:{address[1]}"
        self.buffer = bytearray()
        self.ended = False
        self.bytes = 0
        self.io = server.loop.io(sock, EV_READ, self.on_ready)
        self.io.start()

    def on_ready(self, watcher: Io, revents: int) -> None:
        try:
            if revents & EV_READ:
                self.read()
            # Without waiting for EV_WRITE: nearly always there is room.
            if self.buffer:
                self.write()
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if self.ended and not self.buffer:
            self.close("end of file")
        else:
            self.watch()

    def read(self) -> None:
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        self.buffer += data
        # The client may have closed its half only, and wait for the rest.
        self.ended = not data

    def write(self) -> None:
        try:
            sent = self.sock.send(self.buffer)
        except BlockingIOError:
            return
        # As much as there was room for: the rest has to wait for EV_WRITE.
        del self.buffer[:sent]
        self.bytes += sent

    def watch(self) -> None:
        """Watch for what can be done now. It is never nothing: see on_ready."""
        events = EV_WRITE if self.buffer else 0
        if not self.ended and len(self.buffer) < FULL:
            events |= EV_READ
        if events != self.io.events:
            self.io.stop()
            self.io.set(self.sock, events)
            self.io.start()

    def close(self, why: str) -> None:
        # The watcher first: a descriptor must not be closed while it is watched.
        self.io.stop()
        self.sock.close()
        self.server.connections.discard(self)
        print(f"{self.name} closed after {self.bytes} bytes: {why}", flush=True)


class Server:
    """A listening socket, and its connections."""

    def __init__(self, loop: Loop, host: str, port: int) -> None:
        self.loop = loop
        self.connections: set[Connection] = set()
        self.sock = socket.create_server((host, port))
        self.sock.setblocking(False)
        self.io = loop.io(self.sock, EV_READ, self.on_connect)
        self.io.start()
        self.pause = loop.timer(0.0, 1.0, self.on_pause)

    def on_connect(self, watcher: Io, revents: int) -> None:
        while True:
            try:
                sock, address = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ECONNABORTED:
                    # The client has gone before we looked; the next one has not.
                    continue
                # Most likely EMFILE: whoever waits keeps the socket readable, so
                # trying again at once would be all that the loop does.
                print(f"cannot accept: {error.strerror}", flush=True)
                self.io.stop()
                self.pause.reset()
                return
            self.connections.add(Connection(self, sock, address))

    def on_pause(self, watcher: Timer, revents: int) -> None:
        watcher.stop()
        self.io.start()

    def close(self) -> None:
        self.pause.stop()
        self.io.stop()
        self.sock.close()
        for connection in list(self.connections):
            connection.close("the server ends")


def main() -> None:
    parser = argparse.ArgumentParser(description="A TCP echo server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7007, help="0: any free one")
    arguments = parser.parse_args()

    def on_signal(watcher: Signal, revents: int) -> None:
        print(f"ended by {signal.Signals(watcher.signum).name}", flush=True)
        loop.stop()

    with default_loop() as loop:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.signal(signum, on_signal).start()
        try:
            server = Server(loop, arguments.host, arguments.port)
        except OSError as error:
            parser.error(f"cannot listen: {error}")
        host, port = server.sock.getsockname()
        print(f"listening on {host}:{port}", flush=True)
        try:
            loop.start()
        finally:
            server.close()


if __name__ == "__main__":
    main()
