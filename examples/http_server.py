"""An HTTP/1.1 server of the files below a directory.

    python http_server.py --port 8080 some/directory
    curl -i http://127.0.0.1:8080/

It answers GET and HEAD, keeps connections alive, serves index.html for a directory,
and lets nobody out of its own. Each connection has a timer that every progress resets
and that closes it when there is none. SIGINT and SIGTERM end the server.
"""

import argparse
import email.utils
import mimetypes
import os
import re
import signal
import socket
import stat
from http import HTTPStatus
from io import FileIO
from typing import ClassVar, Optional
from urllib.parse import quote, unquote_to_bytes

from mood_event import EV_READ, EV_WRITE, Io, Loop, Timer, default_loop

CHUNK = 1 << 16
LONGEST_HEAD = 1 << 14
REQUEST = re.compile(r"([A-Z]+) (?:https?://[^/?# ]+)?(/[^\0-\x20]*) HTTP/1\.([01])")
HEADER = re.compile(r"([!#-'*+.^-z|~0-9A-Z-]+):([^\0\r\n]*)")


class Refused(Exception):
    """A request that is answered with another status than 200."""

    def __init__(self, status: HTTPStatus, *lines: str) -> None:
        self.status = status
        self.lines = lines


def parse(head: str) -> tuple[str, str, str, dict[str, str]]:
    """The method, the target, the minor version and the headers of a request."""
    first, *lines = head.split("\r\n")
    request = REQUEST.fullmatch(first)
    headers = [HEADER.fullmatch(line) for line in lines]
    fields = {match[1].lower(): match[2].strip().lower() for match in headers if match}
    if not request or None in headers or (request[3] == "1" and "host" not in fields):
        raise Refused(HTTPStatus.BAD_REQUEST)
    return request[1], request[2], request[3], fields


def find(root: str, names: list[str]) -> str:
    """The real path of a file below `root`, itself a real path, or raise Refused."""
    real = os.path.realpath(os.path.join(root, *names))
    # Symbolic links are followed, but not to the outside.
    if ".." in names or os.path.commonpath([root, real]) != root:
        raise Refused(HTTPStatus.FORBIDDEN)
    return real


def open_nonblocking(path: str, flags: int) -> int:
    """An opener: without it a FIFO would block the loop."""
    return os.open(path, flags | os.O_NONBLOCK)


def open_file(root: str, target: str) -> FileIO:
    """Open what the target of a request names, or raise Refused."""
    path = os.fsdecode(unquote_to_bytes(target.partition("?")[0].encode("latin-1")))
    if "\0" in path:
        raise Refused(HTTPStatus.BAD_REQUEST)
    names = [name for name in path.split("/") if name not in ("", ".")]
    real = find(root, names)
    if os.path.isdir(real):
        if not path.endswith("/"):
            # The page's relative links would lead elsewhere.
            place = "".join("/" + quote(os.fsencode(name)) for name in names)
            raise Refused(HTTPStatus.MOVED_PERMANENTLY, f"Location: {place}/")
        real = find(root, [*names, "index.html"])
    try:
        file = FileIO(real, opener=open_nonblocking)
    except PermissionError:
        raise Refused(HTTPStatus.FORBIDDEN) from None
    except OSError:
        raise Refused(HTTPStatus.NOT_FOUND) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Refused(HTTPStatus.FORBIDDEN)
    return file


class Connection:
    """A client: it is either read from or, while there is an answer, written to."""

    connections: ClassVar["set[Connection]"] = set()

    def __init__(
        self, loop: Loop, sock: socket.socket, root: str, timeout: float
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.root = root
        self.input = b""
        self.output = bytearray()
        self.file: Optional[FileIO] = None
        self.left = 0  # of the file, still to be read
        self.keep = True
        self.lingers = False
        self.connections.add(self)
        self.io = loop.io(sock, EV_READ, self.on_ready)
        self.io.start()
        self.timer = loop.timer(0.0, timeout, self.on_timeout)
        self.timer.reset()

    def is_busy(self) -> bool:
        return bool(self.output or self.file)

    def on_ready(self, watcher: Io, revents: int) -> None:
        try:
            if revents & EV_READ:
                data = self.sock.recv(CHUNK)
                if not data:
                    self.close()
                    return
                self.input += data
            self.go_on()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        # The next request may be here already. Until it has been answered nothing is
        # read: no client makes the server store more than it can use.
        waits = self.is_busy() or b"\r\n\r\n" in self.input
        events = EV_WRITE if waits else EV_READ
        if events != self.io.events:
            self.io.stop()
            self.io.set(self.sock, events)
            self.io.start()

    def go_on(self) -> None:
        if self.lingers:
            self.input = b""
            return
        self.timer.reset()
        if not self.is_busy():
            self.answer()
        if self.is_busy():
            self.send()
        if not self.is_busy() and not self.keep:
            # To close while there is something to read would be a reset, and could
            # cost the client the answer: let it close first.
            self.sock.shutdown(socket.SHUT_WR)
            self.lingers = True
            self.input = b""

    def answer(self) -> None:
        """Begin to answer a request, if there is a whole one."""
        head, end, rest = self.input.partition(b"\r\n\r\n")
        if not end and len(head) <= LONGEST_HEAD:
            return
        self.input, self.keep = rest, False
        method, target, lines = "-", "-", []
        try:
            if len(head) > LONGEST_HEAD:
                raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            method, target, minor, fields = parse(head.decode("latin-1"))
            # A body is not read, so what comes after it cannot be understood.
            if fields.keys().isdisjoint(("content-length", "transfer-encoding")):
                wish = fields.get("connection", "" if minor == "1" else "close")
                self.keep = "close" not in wish
            if method not in ("GET", "HEAD"):
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET, HEAD")
            self.file = open_file(self.root, target)
            status, body = HTTPStatus.OK, b""
            self.left = length = os.fstat(self.file.fileno()).st_size
            guess, encoding = mimetypes.guess_type(self.file.name)
            content_type = (not encoding and guess) or "application/octet-stream"
        except Refused as refused:
            status, lines = refused.status, [*refused.lines]
            body = f"{status.value} {status.phrase}\n".encode()
            length, content_type = len(body), "text/plain"
        lines += [
            f"Date: {email.utils.formatdate(usegmt=True)}",
            f"Content-Type: {content_type}",
            f"Content-Length: {length}",
            f"Connection: {'keep-alive' if self.keep else 'close'}",
        ]
        first = f"HTTP/1.1 {status.value} {status.phrase}"
        self.output += "\r\n".join([first, *lines, "", ""]).encode("latin-1")
        if method != "HEAD":
            self.output += body
        elif self.file:
            self.left = 0
        print(f"{method} {target!a} {status.value} {length}", flush=True)

    def send(self) -> None:
        """Send some of it, not all: then it is the other connections' turn."""
        if self.file and len(self.output) < CHUNK:
            data = self.file.read(min(CHUNK, self.left))
            self.output += data
            self.left -= len(data)
            if self.left and not data:
                raise OSError("the file has become shorter than its Content-Length")
            if not self.left:
                self.file.close()
                self.file = None
        del self.output[: self.sock.send(self.output)]

    def on_timeout(self, watcher: Timer, revents: int) -> None:
        self.close()

    def close(self) -> None:
        self.timer.stop()
        self.io.stop()
        self.sock.close()
        if self.file:
            self.file.close()
        self.connections.discard(self)


def main() -> None:
    parser = argparse.ArgumentParser(description="A static HTTP/1.1 server.")
    parser.add_argument("directory", nargs="?", default=".")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    parser.add_argument("--timeout", type=float, default=30.0, help="idle seconds")
    parser.add_argument("--connections", type=int, default=100, help="at most")
    options = parser.parse_args()
    root = os.path.realpath(options.directory)

    def on_connect(watcher: Io, revents: int) -> None:
        # One at a time: if there are more, the loop calls again.
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if len(Connection.connections) < options.connections:
            Connection(watcher.loop, sock, root, options.timeout)
        else:
            # There must be descriptors left for accept, or it would fail forever.
            sock.close()

    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as error:
        parser.error(f"cannot listen: {error}")
    listener.setblocking(False)
    with listener, default_loop() as loop:
        loop.io(listener, EV_READ, on_connect).start()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.signal(signum, lambda watcher, revents: watcher.loop.stop()).start()
        host, port = listener.getsockname()
        print(f"listening on {host}:{port}", flush=True)
        loop.start()
        for connection in list(Connection.connections):
            connection.close()


if __name__ == "__main__":
    main()
