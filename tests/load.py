"""A server and its clients, in a process each: what test_load.py puts under load.

The server runs a mood_event loop, and echoes. The clients are plain `selectors`, so
that nothing of the package is on their side: they know what they have sent, and what
must come back. Run by test_load.py, in scripts.

A connection says first who it is, and each has a stream of bytes of its own, so that
both sides see from a byte whether it belongs there. In some rounds the server is made
to wait (`Clients.duel`) until two connections have sent something: both are in its next
batch. The first that is called for closes the other, whose event is pending, and
accepts a new connection, which gets the number of the descriptor that was just closed.
"""

import contextlib
import json
import os
import random
import resource
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Optional, TextIO

from mood_event import EV_MINPRI, EV_READ, EV_WRITE, Loop

SEED = 20240229
PERIOD = 2**16
REPEATED = random.Random(SEED).randbytes(PERIOD) * 8
HEADER = struct.Struct("!Q")
BACKLOG = 256
# How many connect while the server waits: less than any system's backlog.
DUELS = 64
WAVE = 128
# More than the buffers of a connection take: the server has to wait until it can write.
LARGE = 300_000
PATIENCE = 60.0
# What a process may have open besides its connections.
SPARE = 100


def stream(identity: int, start: int, size: int) -> bytes:
    """A part of what a connection sends: who it is, and numbers by chance."""
    if start < HEADER.size:
        header = HEADER.pack(identity)[start : start + size]
        return header + stream(identity, HEADER.size, size - len(header))
    begin = (identity * 7919 + start) % PERIOD
    return REPEATED[begin : begin + size]


def allowed(connections: int) -> int:
    """How many connections this machine lets a process have; raises the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted - SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - SPARE


# -- the server ------------------------------------------------------------------------


class Connection:
    """One end of a connection, in the server."""

    __slots__ = (
        "alive",
        "fd",
        "identity",
        "reader",
        "received",
        "sent",
        "sock",
        "unsent",
        "writer",
    )

    def __init__(self, sock: socket.socket, reader: Any, writer: Any) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.reader = reader
        self.writer = writer
        self.alive = True
        self.identity: Optional[int] = None
        self.received = self.sent = 0
        self.unsent = b""


class Server:
    """Echoes what it receives, and looks at every event whether it is right."""

    def __init__(self, control: socket.socket, listeners: list[socket.socket]) -> None:
        # debug: an exception in a callback is the end.
        self.loop = Loop(debug=True)
        self.control = control
        self.lines = control.makefile("rw")
        self.commander = self.loop.io(control, EV_READ, self.commanded)
        self.commander.start()
        self.listeners = {}
        for listener in listeners:
            listener.setblocking(False)
            # After the connections, whose places the first of the new ones are for.
            watcher = self.loop.io(listener, EV_READ, self.accepting, None, EV_MINPRI)
            watcher.data = listener
            watcher.start()
            self.listeners[listener.family] = listener
        self.by_fd: dict[int, Connection] = {}
        self.by_identity: dict[int, Connection] = {}
        self.rivals: dict[int, int] = {}
        self.closed_in: dict[int, int] = {}
        self.ledger: dict[int, tuple[int, int, str]] = {}
        self.wrong: list[str] = []
        self.counts = dict.fromkeys(
            (
                "events",
                "errors",
                "closed while pending",
                "writers closed while pending",
                "same descriptor in the batch",
                "same descriptor and watcher in the batch",
                "stopped by backpressure",
            ),
            0,
        )

    # -- what happens

    def commanded(self, watcher: Any, revents: int) -> None:
        command, *arguments = json.loads(self.lines.readline())
        if command == "duel":
            for one, other in arguments:
                self.rivals[one] = other
                self.rivals[other] = one
                if one % 2:
                    # Both its watchers will be pending.
                    self.by_identity[one].writer.start()
                    self.by_identity[other].writer.start()
            self.answer("waiting")
            # Everything is sent meanwhile, for one batch to have it.
            self.lines.readline()
        elif command == "synchronise":
            self.answer("synchronised")
        else:
            self.loop.stop()

    def answer(self, word: str) -> None:
        self.lines.write(word + "\n")
        self.lines.flush()

    def accepting(self, watcher: Any, revents: int) -> None:
        while self.accept(watcher.data):
            pass

    def accept(
        self, listener: socket.socket, watcher: Any = None
    ) -> Optional[Connection]:
        """Accept a connection, to be watched by `watcher` if there is one."""
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return None
        sock.setblocking(False)
        if watcher is None:
            watcher = self.loop.io(sock, EV_READ, self.readable)
        else:
            watcher.set(sock, EV_READ)
        writer = self.loop.io(sock, EV_WRITE, self.writable)
        connection = Connection(sock, watcher, writer)
        watcher.data = writer.data = connection
        watcher.start()
        self.by_fd[connection.fd] = connection
        if self.closed_in.get(connection.fd) == self.loop.iteration:
            self.counts["same descriptor in the batch"] += 1
        return connection

    def is_right(self, watcher: Any, revents: int, expected: int) -> bool:
        """Whether this is an event of the connection that has the descriptor now."""
        self.counts["events"] += 1
        connection = watcher.data
        right = (
            connection.alive
            and self.by_fd.get(watcher.fd) is connection
            and connection.sock.fileno() == watcher.fd
            and revents == expected
        )
        if not right:
            self.wrong.append(f"{connection.identity}: {watcher!r}, {revents:#x}")
        return right

    def readable(self, watcher: Any, revents: int) -> None:
        connection = watcher.data
        if not self.is_right(watcher, revents, EV_READ):
            return
        try:
            data = connection.sock.recv(2**16)
        except BlockingIOError:
            self.wrong.append(f"{connection.identity}: readable, but nothing to read")
            return
        except ConnectionError:
            self.counts["errors"] += 1
            self.close(connection, "reset")
            return
        if not data:
            self.close(connection, "ended")
            return
        self.receive(connection, data)
        rival = self.rivals.pop(connection.identity, None)
        if rival is not None:
            del self.rivals[rival]
            self.replace(self.by_identity[rival])

    def receive(self, connection: Connection, data: bytes) -> None:
        if connection.identity is None:
            # The clients wait for the echo of the header before they go on.
            (connection.identity,) = HEADER.unpack(data)
            self.by_identity[connection.identity] = connection
        expected = stream(connection.identity, connection.received, len(data))
        if data != expected:
            self.wrong.append(f"{connection.identity}: received another's bytes")
        connection.received += len(data)
        self.send(connection, data)

    def send(self, connection: Connection, data: bytes) -> None:
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self.counts["errors"] += 1
            self.close(connection, "reset")
            return
        connection.sent += sent
        unsent = data[sent:]
        if unsent and not connection.unsent:
            self.counts["stopped by backpressure"] += 1
            connection.reader.stop()
            connection.writer.start()
        elif not unsent and connection.unsent:
            connection.writer.stop()
            connection.reader.start()
        connection.unsent = unsent

    def writable(self, watcher: Any, revents: int) -> None:
        if not self.is_right(watcher, revents, EV_WRITE):
            return
        connection = watcher.data
        if connection.unsent:
            self.send(connection, connection.unsent)
        else:
            watcher.stop()

    def replace(self, connection: Connection) -> None:
        """Close a connection, and take a new one in its place."""
        self.counts["closed while pending"] += connection.reader.pending
        self.counts["writers closed while pending"] += connection.writer.pending
        listener = self.listeners[connection.sock.family]
        again = connection.reader if connection.fd % 2 else None
        self.close(connection, "replaced")
        new = self.accept(listener, again)
        if new is not None and again is not None and new.fd == connection.fd:
            self.counts["same descriptor and watcher in the batch"] += 1

    def close(self, connection: Connection, why: str) -> None:
        connection.reader.stop()
        connection.writer.stop()
        connection.alive = False
        connection.sock.close()
        del self.by_fd[connection.fd]
        self.closed_in[connection.fd] = self.loop.iteration
        if connection.identity is None:
            self.wrong.append(f"a connection has {why} before it said who it is")
            return
        del self.by_identity[connection.identity]
        seen = (connection.received, connection.sent, why)
        self.ledger[connection.identity] = seen

    def run(self) -> None:
        self.loop.start()
        left = sorted(self.by_fd)
        self.loop.close()
        report = {
            "counts": self.counts,
            "ledger": self.ledger,
            "wrong": self.wrong,
            "left": left,
        }
        self.answer(json.dumps(report))
        self.lines.close()


def serve(control: int, listeners: list[int]) -> None:
    """The server's process: it has these descriptors from the clients'."""
    Server(
        socket.socket(fileno=control), [socket.socket(fileno=fd) for fd in listeners]
    ).run()


# -- the clients -----------------------------------------------------------------------


class Client:
    """The other end of a connection.

    Attributes:
        last: how many bytes it has sent last.
        may: the fate that it has if the server ends it now; "": it must not.
        fate: what became of it; "": it is there.
    """

    __slots__ = (
        "fate",
        "identity",
        "last",
        "may",
        "received",
        "sent",
        "sock",
        "unsent",
    )

    def __init__(self, identity: int, sock: socket.socket) -> None:
        self.identity = identity
        self.sock = sock
        self.sent = self.received = self.last = 0
        self.unsent = b""
        self.may = self.fate = ""


class Clients:
    """All the connections, from this side."""

    def __init__(self, lines: TextIO, listeners: list[socket.socket]) -> None:
        self.lines = lines
        self.listeners = listeners
        self.random = random.Random(SEED)
        self.selector = selectors.DefaultSelector()
        self.living: dict[int, Client] = {}
        self.gone: list[Client] = []
        # Those whose bytes, or whose end, have not all come.
        self.waiting: set[Client] = set()
        self.wrong: list[str] = []

    # -- one connection

    def connect(self, family: int) -> Client:
        listener = self.listeners[family]
        sock = socket.socket(listener.family)
        sock.connect(listener.getsockname())
        sock.setblocking(False)
        client = Client(len(self.living) + len(self.gone), sock)
        self.living[client.identity] = client
        self.selector.register(sock, selectors.EVENT_READ, client)
        return client

    def say(self, client: Client, size: int) -> None:
        """Send the next part of the stream, and wait for its echo."""
        client.unsent = stream(client.identity, client.sent, size)
        client.last = size
        self.waiting.add(client)
        self.flush(client)

    def flush(self, client: Client) -> None:
        all_of_it = not client.unsent
        with contextlib.suppress(BlockingIOError):
            sent = client.sock.send(client.unsent)
            client.sent += sent
            client.unsent = client.unsent[sent:]
            all_of_it = not client.unsent
        mask = selectors.EVENT_READ | (0 if all_of_it else selectors.EVENT_WRITE)
        if self.selector.get_key(client.sock).events != mask:
            self.selector.modify(client.sock, mask, client)

    def read(self, client: Client) -> None:
        try:
            data = client.sock.recv(PERIOD)
        except ConnectionError:
            data = b""
        if not data:
            if not client.may:
                self.wrong.append(f"{client.identity}: ended by the server")
            self.drop(client, client.may or "lost")
            return
        if data != stream(client.identity, client.received, len(data)):
            self.wrong.append(f"{client.identity}: got other bytes than it had sent")
        client.received += len(data)
        if client.received == client.sent and not client.unsent:
            self.waiting.discard(client)

    def drop(self, client: Client, fate: str) -> None:
        client.fate = fate
        self.selector.unregister(client.sock)
        client.sock.close()
        self.waiting.discard(client)
        del self.living[client.identity]
        self.gone.append(client)

    def reset(self, client: Client, fate: str) -> None:
        """Close it so that the other end has an error, where the family knows that."""
        linger = struct.pack("ii", 1, 0)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.drop(client, fate)

    # -- all of them

    def poll(self, timeout: float) -> None:
        events = self.selector.select(timeout)
        assert events or not timeout, (len(self.waiting), "wait, and nothing comes")
        for key, mask in events:
            if mask & selectors.EVENT_WRITE:
                self.flush(key.data)
            if mask & selectors.EVENT_READ:
                self.read(key.data)

    def settle(self) -> None:
        while self.waiting:
            self.poll(PATIENCE)

    def fill(self, count: int) -> None:
        """Connect until there are so many."""
        while len(self.living) < count:
            for _ in range(min(WAVE, count - len(self.living))):
                # A quarter of them is TCP, the rest has no ports to run out of.
                family = int(self.random.random() < 0.25)
                self.say(self.connect(family), HEADER.size)
            self.settle()

    def echo(self, resets: int) -> None:
        """Everybody sends something; some are gone before it has come back."""
        order = list(self.living.values())
        self.random.shuffle(order)
        victims = set(self.random.sample(order, resets))
        for begin in range(0, len(order), WAVE):
            wave = order[begin : begin + WAVE]
            for client in wave:
                large = self.random.random() < 0.01
                small = self.random.choice((1, 100, 1000, 4000))
                self.say(client, LARGE if large else small)
            for client in victims.intersection(wave):
                self.reset(client, "reset in traffic")
            self.poll(0)
        self.settle()

    def fall_silent(self, resets: int) -> None:
        """Some are reset of which everything has come back."""
        for client in self.random.sample(list(self.living.values()), resets):
            self.reset(client, "reset")

    def duel(self, count: int) -> None:
        """Of each of so many pairs the server closes one, and takes another for it."""
        by_family: dict[int, list[Client]] = {}
        for client in self.living.values():
            by_family.setdefault(client.sock.family, []).append(client)
        pairs = []
        for clients in by_family.values():
            self.random.shuffle(clients)
            share = round(count * len(clients) / len(self.living))
            pairs += list(zip(clients[: 2 * share : 2], clients[1 : 2 * share : 2]))
        for begin in range(0, len(pairs), DUELS):
            self.duel_at_once(pairs[begin : begin + DUELS])

    def duel_at_once(self, pairs: list[tuple[Client, Client]]) -> None:
        names = [(one.identity, other.identity) for one, other in pairs]
        assert self.ask("duel", *names) == "waiting"
        new = []
        for pair in pairs:
            for client in pair:
                client.may = "replaced"
                self.say(client, self.random.randrange(1, 1000))
            new.append(self.connect(int(pair[0].sock.family == socket.AF_INET)))
        self.tell("go on")
        self.settle()
        for pair in pairs:
            if [client.fate for client in pair].count("replaced") != 1:
                self.wrong.append(f"not one of {[c.identity for c in pair]} was closed")
            for client in pair:
                client.may = ""
        # What the new ones send is in no batch before the next.
        assert self.ask("synchronise") == "synchronised"
        for client in new:
            self.say(client, HEADER.size)
        self.settle()

    def end(self) -> None:
        """Say that nothing more comes, and wait for the server to say the same."""
        for client in self.living.values():
            client.may = "ended"
            client.sock.shutdown(socket.SHUT_WR)
            self.waiting.add(client)
        self.settle()

    def tell(self, command: str, *arguments: object) -> None:
        self.lines.write(json.dumps([command, *arguments]) + "\n")
        self.lines.flush()

    def ask(self, command: str, *arguments: object) -> str:
        self.tell(command, *arguments)
        return self.lines.readline().strip()

    # -- the account

    def account(self, ledger: dict[str, tuple[int, int, str]]) -> None:
        """Compare what both sides have counted, for each connection that there was."""
        for client in self.gone:
            received, sent, why = ledger.pop(str(client.identity), (-1, -1, "unknown"))
            chain = (client.sent, received, sent, client.received)
            if client.fate == "reset in traffic":
                # Bytes were on their way, in each direction.
                right = list(chain) == sorted(chain, reverse=True) and received >= 0
            elif client.fate == "replaced":
                chain = (client.sent - client.last, *chain[1:])
                right = len(set(chain)) == 1
            else:
                right = len(set(chain)) == 1
            reasons = {"replaced": ("replaced",), "ended": ("ended",)}
            if not right or why not in reasons.get(client.fate, ("ended", "reset")):
                self.wrong.append(f"{client.identity}: {client.fate}, {why}: {chain}")
        if ledger:
            self.wrong.append(f"nobody was {sorted(ledger)}")


@contextlib.contextmanager
def listening() -> Iterator[list[socket.socket]]:
    """Listeners of two families."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(os.path.join(directory, "socket"))
        internet = stack.enter_context(socket.socket(socket.AF_INET))
        internet.bind(("127.0.0.1", 0))
        for listener in (local, internet):
            listener.listen(BACKLOG)
        yield [local, internet]


@contextlib.contextmanager
def serving(listeners: list[socket.socket]) -> Iterator[TextIO]:
    """A server; what is said to it, and what it says."""
    ours, theirs = socket.socketpair()
    fds = [sock.fileno() for sock in (theirs, *listeners)]
    process = subprocess.Popen(
        [
            *(sys.executable, "-X", "faulthandler"),
            *("-c", f"import load; load.serve({fds[0]}, {fds[1:]})"),
        ],
        pass_fds=fds,
    )
    try:
        theirs.close()
        ours.settimeout(PATIENCE)
        with ours, ours.makefile("rw") as lines:
            yield lines
        status = process.wait(PATIENCE)
        assert not status, status
    finally:
        process.kill()
        process.wait()


def main(count: int, rounds: int, seconds: float) -> None:
    """So many connections, for so many rounds and seconds at least; print a report."""
    count = allowed(count)
    tenth = count // 10
    third = tenth // 3
    with listening() as listeners, serving(listeners) as lines:
        clients = Clients(lines, listeners)
        began = time.monotonic()
        clients.fill(count)
        done = 0
        while done < rounds or time.monotonic() - began < seconds:
            clients.echo(third)
            clients.fall_silent(third)
            clients.fill(count)
            clients.duel(tenth - 2 * third)
            done += 1
        clients.end()
        report = json.loads(clients.ask("finish"))
    clients.account(report["ledger"])
    fates = [client.fate for client in clients.gone]
    json.dump(
        {
            "connections": count,
            "rounds": done,
            "seconds": round(time.monotonic() - began, 1),
            "bytes": sum(client.sent for client in clients.gone),
            "fates": {fate: fates.count(fate) for fate in sorted(set(fates))},
            "events": report["counts"],
            "wrong": [*report["wrong"], *clients.wrong, *report["left"]],
            "seed": SEED,
        },
        sys.stdout,
    )
