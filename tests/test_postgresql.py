"""docs/howto/postgresql.md: its two files, with a server of the tests' own.

The server is a PostgreSQL from Debian's packages, or whatever `initdb` is in PATH. It
runs in a temporary directory, listens on a unix socket in there, and as it refuses to
run as root, as another user.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest
from documents import program

from mood_event import EV_READ, EV_WRITE, Loop

PAGE = "docs/howto/postgresql.md"

LONG = 60.0


def binaries() -> "Path | None":
    """Where the server's programs are: Debian has them outside of PATH."""
    found = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).parent if found else versions[-1].parent if versions else None


BINARIES = binaries()

try:
    import psycopg.pq  # noqa: F401
except ImportError as error:
    # It is installed with the tests' requirements, and raises this without libpq.
    LIBPQ = str(error)
else:
    LIBPQ = ""


def can_hold_a_weak_reference() -> bool:
    """Whether ctypes can: psycopg has it hold one for each connection."""
    try:
        ctypes.py_object(weakref.ref(can_hold_a_weak_reference))
    except TypeError:
        return False
    return True


pytestmark = [
    # So it is not installed there.
    pytest.mark.skipif(
        not can_hold_a_weak_reference(),
        reason="psycopg needs more of ctypes than this PyPy has",
    ),
    pytest.mark.skipif(BINARIES is None, reason="there is no PostgreSQL server"),
    pytest.mark.skipif(bool(LIBPQ), reason=f"psycopg cannot be imported: {LIBPQ}"),
]


def owner() -> "dict[str, Any]":
    """Arguments for subprocess: whom the server runs as."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("there is no user to run a server as")


@pytest.fixture(scope="module")
def conninfo() -> Iterator[str]:
    """How to connect to a server that has nothing in it."""
    assert BINARIES is not None
    as_owner = owner()
    # Not pytest's directory: nobody else may enter that. The socket's path is short.
    directory = tempfile.mkdtemp(prefix="mood-pg-", dir="/tmp")
    if as_owner:
        os.chown(directory, as_owner["user"], as_owner["group"])
    data, log = f"{directory}/data", f"{directory}/log"

    def run(name: str, *arguments: str) -> None:
        process = subprocess.run(
            [str(BINARIES / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            cwd=directory,
            timeout=LONG,
            check=False,
            **as_owner,
        )
        if process.returncode:
            said = Path(log).read_text() if os.path.exists(log) else ""
            raise AssertionError(f"{name}: {process.stderr.decode()}\n{said}")

    try:
        run(
            "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"
        )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": directory,
            "fsync": "off",
            "shared_buffers": "8MB",
            "max_connections": "30",
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options)
        try:
            yield f"host={directory} user=test dbname=postgres"
        finally:
            run("pg_ctl", "stop", "-w", "-D", data, "-m", "immediate")
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def database() -> ModuleType:
    """The page's module."""
    module = ModuleType("database")
    exec(compile(program(PAGE, "database.py"), "database.py", "exec"), vars(module))
    return module


class Client:
    """A connection, the loop, and what came."""

    def __init__(self, loop: Loop, database: ModuleType, conninfo: str) -> None:
        self.loop = loop
        self.seen: list[Any] = []
        self.left = 0
        limit = loop.timer(LONG, 0.0, lambda watcher, revents: self.end("too slow"))
        limit.keepalive = False
        limit.start()
        self.connection = database.Connection(
            loop, conninfo, self.end, lambda *words: self.note(words)
        )

    def end(self, error: object) -> None:
        self.seen.append(("end", error))
        self.loop.stop()

    def note(self, what: object) -> None:
        self.seen.append(what)
        self.left -= 1
        if not self.left:
            self.loop.stop()

    def query(self, sql: str, *parameters: object, timeout: Any = None) -> None:
        self.connection.query(
            sql,
            parameters,
            lambda rows, error: self.note(error if rows is None else rows),
            timeout,
        )

    def run(self, count: int) -> "list[Any]":
        """Wait for as many answers and notifications; returns them."""
        self.left = count
        self.loop.start()
        seen, self.seen = self.seen, []
        return seen

    def ask(self, sql: str, *parameters: object, timeout: Any = None) -> Any:
        self.query(sql, *parameters, timeout=timeout)
        [answer] = self.run(1)
        return answer


@pytest.fixture
def connect(
    loop: Loop, database: ModuleType, conninfo: str
) -> "Iterator[Callable[..., Client]]":
    """Make clients on one loop."""
    clients: list[Client] = []

    def make(where: str = conninfo) -> Client:
        clients.append(Client(loop, database, where))
        return clients[-1]

    yield make
    for client in clients:
        client.connection.close()


def test_program_of_page_says_what_the_page_shows(
    conninfo: str, tmp_path: Path
) -> None:
    for name in ("database.py", "program.py"):
        (tmp_path / name).write_text(program(PAGE, name), encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-X", "dev", "program.py", conninfo],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG,
        cwd=tmp_path,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    page = (Path(__file__).resolve().parent.parent / PAGE).read_text(encoding="utf-8")
    assert f"```text\n{process.stdout}```" in page


def test_queries_are_answered_in_their_order(connect: Any) -> None:
    client = connect()
    for number in range(5):
        client.query("SELECT $1::int, $2::text", number, None)
    assert client.run(5) == [[(str(number), None)] for number in range(5)]


def test_mistake_is_an_exception_and_the_connection_goes_on(connect: Any) -> None:
    from psycopg import errors

    client = connect()
    assert type(client.ask("SELECT 1 / $1::int", 0)) is errors.DivisionByZero
    assert type(client.ask("SELEKT")) is errors.SyntaxError
    assert client.ask("SELECT 1") == [("1",)]


def test_more_than_a_socket_takes_goes_both_ways(connect: Any) -> None:
    client = connect()
    text = "0123456789abcdef" * (1 << 17)
    assert client.ask("SELECT 1") == [("1",)]
    client.query("SELECT length($1), $1", text)
    # Not all of it could be sent at once.
    assert client.connection.io.events == EV_READ | EV_WRITE
    assert client.run(1) == [[(str(len(text)), text)]]
    # And the loop does not spin: it waits for what is to be read alone.
    assert client.connection.io.events == EV_READ


def test_notifications_come_with_a_query_and_without_one(connect: Any) -> None:
    listener, other = connect(), connect()
    assert listener.ask("LISTEN news") == []
    listener.query("SELECT pg_notify('news', 'its own')")
    assert sorted(map(repr, listener.run(2))) == ["('news', 'its own')", "[('',)]"]
    other.query("SELECT pg_notify('news', 'of ' || n) FROM generate_series(1, 3) n")
    assert listener.run(3) == [("news", f"of {number}") for number in (1, 2, 3)]


def test_query_is_cancelled_after_its_time_and_the_next_one_is_not(
    connect: Any,
) -> None:
    from psycopg import errors

    client = connect()
    client.query("SELECT pg_sleep(600)", timeout=0.05)
    client.query("SELECT pg_sleep(0.1), 'next'", timeout=LONG)
    cancelled, rows = client.run(2)
    assert type(cancelled) is errors.QueryCanceled
    assert rows == [("", "next")]
    assert not client.connection.timer.active


def test_cancellation_that_is_late_does_not_hit_the_next_query(
    loop: Loop, database: ModuleType, conninfo: str
) -> None:
    answered = threading.Event()
    seen: list[Any] = []

    class Late(database.Connection):  # type: ignore[name-defined,misc]
        def cancel(self, cancel: Any) -> None:
            assert answered.wait(LONG)
            super().cancel(cancel)

    def on_answer(rows: Any, error: Any) -> None:
        seen.append(error or rows)
        answered.set()
        if len(seen) == 2:
            connection.close()

    connection = Late(loop, conninfo, seen.append)
    connection.query("SELECT pg_sleep(0.1), 'first'", [], on_answer, 0.01)
    connection.query("SELECT pg_sleep(0.1), 'second'", [], on_answer)
    loop.start()
    assert seen == [[("", "first")], [("", "second")]]


def test_hosts_are_tried_one_after_the_other(
    connect: Any, loop: Loop, conninfo: str
) -> None:
    # When libpq closes its first socket, and opens one to the next host, that gets
    # another number: a lower one is free by then.
    spare = os.open(os.devnull, os.O_RDONLY)

    def make_room(watcher: Any, revents: int) -> None:
        os.close(spare)
        watcher.stop()

    loop.prepare(make_room).start()
    directory = conninfo.split()[0].partition("=")[2]
    hosts = conninfo.replace(directory, f"{directory}/no,127.0.0.1,{directory}")
    client = connect(f"{hosts} port=5432,1,5432")
    first = client.connection.io.fd
    assert client.ask("SELECT 1") == [("1",)]
    assert client.connection.io.fd == spare != first


def test_server_that_is_not_there_ends_the_connection(
    connect: Any, tmp_path: Path
) -> None:
    client = connect("host=127.0.0.1 port=1 dbname=postgres")
    client.query("SELECT 1")
    waiting, (end, error) = client.run(2)
    assert end == "end"
    assert waiting is error
    assert "refused" in str(error)


def test_server_that_says_nothing_is_given_up(loop: Loop, database: ModuleType) -> None:
    ends: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        database.Connection(
            loop, f"hostaddr={host} port={port}", ends.append, timeout=0.05
        )
        loop.start()
    assert list(map(str, ends)) == ["no connection in time"]


@pytest.mark.parametrize("is_busy", [False, True])
def test_connection_that_is_lost_ends(connect: Any, is_busy: bool) -> None:
    from psycopg import errors

    client, other = connect(), connect()
    [(pid,)] = client.ask("SELECT pg_backend_pid()")
    if is_busy:
        client.query("SELECT pg_sleep(600)")
        # Sent, and not only queued.
        assert client.connection.current is not None
    other.query("SELECT pg_terminate_backend($1)", pid)
    *failed, (end, error) = client.run(-1)
    assert end == "end"
    assert isinstance(error, errors.OperationalError)
    assert [isinstance(exc, errors.OperationalError) for exc in failed] == (
        [True] if is_busy else []
    )


def test_many_connections_share_a_loop(connect: Any) -> None:
    clients = [connect() for _ in range(8)]
    total = 0

    def answered(rows: Any, error: Any) -> None:
        nonlocal total
        total += int(rows[0][0])
        if total == 8 * 45:
            clients[0].loop.stop()

    for client in clients:
        for number in range(10):
            client.connection.query("SELECT $1::int", [number], answered)
    clients[0].loop.start()
    assert total == 8 * 45
    assert [client.seen for client in clients] == [[]] * 8


def test_close_for_a_notification_forgets_the_rest(
    connect: Any, loop: Loop, database: ModuleType, conninfo: str
) -> None:
    seen: list[Any] = []

    def on_notify(channel: str, payload: str) -> None:
        seen.append((channel, payload))
        connection.close()

    connection = database.Connection(loop, conninfo, seen.append, on_notify)
    tell = "SELECT pg_notify('news', n::text) FROM generate_series(1, 3) n"
    connection.query("LISTEN news", [], lambda rows, error: None)
    connection.query(tell, [], lambda rows, error: None)
    assert loop.start() is False
    assert seen == [("news", "1")]


def test_close_in_a_callback_leaves_nothing_to_wait_for(
    loop: Loop, database: ModuleType, conninfo: str
) -> None:
    seen: list[Any] = []

    def answered(rows: Any, error: Any) -> None:
        seen.append(rows)
        connection.close()

    connection = database.Connection(loop, conninfo, seen.append)
    for _ in range(3):
        connection.query("SELECT 1", [], answered)
    assert loop.start() is False
    assert seen == [[("1",)]]
