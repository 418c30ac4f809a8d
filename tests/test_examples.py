"""The examples and the demo: each is run as a user would run it.

Runs the files in examples/ with the interpreter that runs the tests. Waits for what a
program prints, never for time to pass; a program that says nothing is killed after a
while, and the test fails.
"""

import contextlib
import datetime
import errno
import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from running import LONG, Running, pauses_without_descriptors

from mood_event import EV_READ, EV_WRITE, EVRUN_NOWAIT

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ENDINGS = [signal.SIGINT, signal.SIGTERM]


def command(name, *args):
    # -X dev: so that whatever is left open is told on stderr.
    return [sys.executable, "-X", "dev", str(EXAMPLES / name), *map(str, args)]


class Program(Running):
    """An example that is running."""

    def __init__(self, name, *args, env=None):
        super().__init__(
            command(name, *args),
            stdin=subprocess.PIPE,
            # Lines in one piece, for those who share the pipe.
            env={**os.environ, "PYTHONUNBUFFERED": "", **(env or {})},
        )

    def address(self):
        host, port = self.find(r"listening on (\S+):(\d+)$").groups()
        return host, int(port)


def load(name):
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", EXAMPLES / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *args, env=None):
    return subprocess.run(
        command(name, *args),
        capture_output=True,
        text=True,
        timeout=LONG,
        env={**os.environ, **(env or {})},
        check=False,
    )


def read_all(sock):
    """All that comes up to the end."""
    chunks = []
    while True:
        chunk = sock.recv(1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def read_exactly(sock, size):
    data = sock.recv(size, socket.MSG_WAITALL)
    assert len(data) == size
    return data


# -- all -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_explains_itself(name):
    result = run(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: {name}")
    assert f"    python {name}" in (EXAMPLES / name).read_text()


def test_demo_sees_every_kind_of_event(tmp_path):
    result = subprocess.run(
        command("demo.py"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), result
    for kind in ("Io", "Timer", "Periodic", "Signal", "Child", "Stat", "Async"):
        line = re.search(rf"^{kind} +([\d,]+) +[\d.]+ s", result.stdout, re.M)
        assert line, (kind, result.stdout)
        assert int(line[1].replace(",", "")) >= 1
    assert "20,000 messages," in result.stdout
    assert "echoed on 100 connections" in result.stdout
    assert "Every byte came back equal" in result.stdout


# -- echo_server -----------------------------------------------------------------------


@pytest.fixture
def echo():
    with Program("echo_server.py", "--port", 0) as program:
        program.server = program.address()
        yield program
        assert program.end() == 0


def test_echo_server_sends_back_what_it_receives(echo):
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(echo.server, LONG))
            for _ in range(3)
        ]
        for turn in range(3):
            texts = [b"%d from %d" % (turn, number) for number in range(3)]
            for client, text in zip(clients, texts):
                client.sendall(text)
            for client, text in zip(clients, texts):
                assert read_exactly(client, len(text)) == text


def test_echo_server_copes_with_a_client_that_reads_late(echo, in_thread):
    # More than the kernel's buffers and the server's hold.
    data = os.urandom(1 << 20) * 16

    def send():
        client.sendall(data)
        # Only this half: what is on its way still has to come.
        client.shutdown(socket.SHUT_WR)

    with socket.create_connection(echo.server, LONG) as client:
        in_thread(send)
        assert read_all(client) == data
    assert echo.find(r"closed after (\d+) bytes: end of file")[1] == str(len(data))


def test_echo_server_reads_no_more_than_it_can_hold(loop, capsys):
    server = load("echo_server")
    owner = types.SimpleNamespace(loop=loop, connections=set())
    ours, its = socket.socketpair()
    with ours:
        ours.setblocking(False)
        connection = server.Connection(owner, its, ("a socket", 0))
        sent, received = bytearray(), bytearray()
        while connection.io.events & EV_READ:
            assert len(sent) < 100 * server.FULL
            data = os.urandom(10_000)
            with contextlib.suppress(BlockingIOError):
                sent += data[: ours.send(data)]
            loop.start(EVRUN_NOWAIT)
        assert connection.io.events == EV_WRITE
        assert server.FULL <= len(connection.buffer) < server.FULL + server.CHUNK
        # The end of what comes is not the end of what is to be sent.
        ours.shutdown(socket.SHUT_WR)
        while connection.io.active:
            with contextlib.suppress(BlockingIOError):
                received += ours.recv(10_000)
            loop.start(EVRUN_NOWAIT)
        ours.setblocking(True)
        received += read_all(ours)
    assert received == sent
    assert capsys.readouterr().out.endswith("bytes: end of file\n")


def test_echo_server_survives_a_reset(echo):
    with socket.create_connection(echo.server, LONG) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    echo.find(r"closed after 1 bytes: ")
    with socket.create_connection(echo.server, LONG) as client:
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"


def test_echo_server_pauses_without_descriptors(echo):
    for byte in (b"x", b"y"):
        with socket.create_connection(echo.server, LONG) as client:
            client.sendall(byte)
            assert read_exactly(client, 1) == byte
            # Not before it runs: it needs some itself.
            if byte == b"x":
                pauses_without_descriptors(echo, echo.server)


@pytest.mark.parametrize("signum", ENDINGS)
def test_echo_server_ends_by_a_signal(signum):
    with Program("echo_server.py", "--port", 0) as program:
        with socket.create_connection(program.address(), LONG) as client:
            client.sendall(b"x")
            read_exactly(client, 1)
            assert program.end(signum) == 0
            assert client.recv(1) == b""
        assert f"ended by {signum.name}" in program.output


@pytest.mark.parametrize("name", ["echo_server.py", "http_server.py"])
def test_server_says_that_its_port_is_taken(name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(name, "--port", taken.getsockname()[1])
    assert result.returncode == 2
    assert "cannot listen" in result.stderr
    assert "Traceback" not in result.stderr


# -- http_server -----------------------------------------------------------------------

LARGE = b"0123456789abcdef" * (1 << 19)


@pytest.fixture
def site(tmp_path):
    """A directory to serve, next to a secret."""
    site = tmp_path / "site"
    (site / "sub dir").mkdir(parents=True)
    (site / "empty").mkdir()
    (site / "index.html").write_text("<p>home</p>")
    (site / "sub dir" / "index.html").write_text("<p>below</p>")
    (site / "style.css").write_text("p {}")
    (site / "data.tar.gz").write_bytes(b"packed")
    (site / "nothing").touch()
    (site / "\u00fc").write_text("umlaut")
    (site / "large").write_bytes(LARGE)
    os.mkfifo(site / "fifo")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site2").mkdir()
    (tmp_path / "site2" / "secret").write_text("secret")
    (site / "out").symlink_to("../secret")
    (site / "inside").symlink_to("style.css")
    (site / "trap").mkdir()
    (site / "trap" / "index.html").symlink_to("../../secret")
    return site


@pytest.fixture
def web(site):
    with Program("http_server.py", "--port", 0, site) as program:
        program.server = program.address()
        yield program
        assert program.end() == 0


@pytest.fixture
def browser(web):
    with contextlib.closing(http.client.HTTPConnection(*web.server, LONG)) as browser:
        yield browser


def ask(browser, method, target, **kwargs):
    browser.request(method, target, **kwargs)
    response = browser.getresponse()
    return response.status, response.headers, response.read()


def talk(server, request):
    """Send bytes, and read all that comes until the server closes."""
    with socket.create_connection(server, LONG) as sock:
        sock.sendall(request)
        return read_all(sock)


def test_http_server_serves_files_on_one_connection(browser):
    sockets = set()
    for target, content_type, body in [
        ("/", "text/html", b"<p>home</p>"),
        ("/index.html?a=b", "text/html", b"<p>home</p>"),
        ("/sub%20dir/", "text/html", b"<p>below</p>"),
        ("//sub%20dir//./index.html", "text/html", b"<p>below</p>"),
        ("/style.css", "text/css", b"p {}"),
        ("/inside", "text/css", b"p {}"),
        ("/data.tar.gz", "application/octet-stream", b"packed"),
        ("/nothing", "application/octet-stream", b""),
        ("/%C3%BC", "application/octet-stream", b"umlaut"),
    ]:
        status, headers, data = ask(browser, "GET", target)
        assert (status, data) == (200, body), target
        if target != "/inside":
            assert headers["Content-Type"] == content_type, target
        assert headers["Content-Length"] == str(len(body))
        assert headers["Connection"] == "keep-alive"
        sockets.add(browser.sock)
    assert len(sockets) == 1


def test_http_server_answers_head_without_a_body(browser):
    for _ in range(2):
        status, headers, data = ask(browser, "HEAD", "/large")
        assert (status, data) == (200, b"")
        assert headers["Content-Length"] == str(len(LARGE))
    assert ask(browser, "HEAD", "/missing")[::2] == (404, b"")
    assert ask(browser, "GET", "/style.css")[::2] == (200, b"p {}")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/missing", 404),
        ("/style.css/more", 404),
        ("/empty/", 404),
        ("/" + "x" * 5000, 404),
        ("/../secret", 403),
        ("/sub%20dir/../../secret", 403),
        ("/%2e%2e/secret", 403),
        ("/..%2fsecret", 403),
        ("/..%2fsite2/secret", 403),
        ("/out", 403),
        ("/trap/", 403),
        ("/fifo", 403),
        ("/%00", 400),
    ],
)
def test_http_server_refuses_a_target(browser, target, status):
    assert ask(browser, "GET", target)[0] == status
    assert b"secret" not in ask(browser, "GET", target)[2]
    # The connection is as good as before.
    assert ask(browser, "GET", "/style.css")[::2] == (200, b"p {}")


def test_http_server_refuses_a_file_that_it_may_not_read(site, monkeypatch):
    # Not by chmod, which root would not be refused by.
    def refuse(path, flags):
        raise PermissionError(errno.EACCES, "no", path)

    server = load("http_server")
    monkeypatch.setattr(server, "open_nonblocking", refuse)
    with pytest.raises(server.Refused) as refused:
        server.open_file(str(site), "/style.css")
    assert refused.value.status == 403


def test_http_server_leads_to_the_directory(browser):
    status, headers, _ = ask(browser, "GET", "/sub%20dir?x")
    assert (status, headers["Location"]) == (301, "/sub%20dir/")
    # Or else the answer could lead to another host.
    status, headers, _ = ask(browser, "GET", "//sub%20dir")
    assert (status, headers["Location"]) == (301, "/sub%20dir/")


def test_http_server_refuses_other_methods(browser):
    status, headers, _ = ask(browser, "DELETE", "/style.css")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    # The body is not read as if it were requests, and the answer comes in spite of it.
    body = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n" * 30000
    status, headers, _ = ask(browser, "POST", "/style.css", body=body)
    assert (status, headers["Connection"]) == (405, "close")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /style.css\r\n\r\n", 400),
        (b"GET style.css HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA:" + b" " * 15000 + b"\0\r\n\r\n", 400),
        (b"x" * 20000, 431),
    ],
)
def test_http_server_refuses_a_bad_request(web, request_, status):
    answer = talk(web.server, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /style.css HTTP/1.0\r\n\r\n",
        b"GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n",
        b"GET http://x/style.css HTTP/1.0\r\nHost: x\r\n\r\n",
    ],
)
def test_http_server_closes_when_asked_to(web, request_):
    head, _, body = talk(web.server, request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close" in head
    assert body == b"p {}"


def test_http_server_answers_pipelined_requests_in_order(web):
    request = b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    names = [b"style.css", b"missing", b"large", b"index.html"] * 3
    requests = [request % (name, b"") for name in names]
    requests.append(request % (b"nothing", b"Connection: close\r\n"))
    answer = talk(web.server, b"".join(requests))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [
        *[b"200", b"404", b"200", b"200"] * 3,
        b"200",
    ]
    assert answer.count(LARGE) == 3
    assert answer.endswith(b"\r\n\r\n")


def test_http_server_takes_a_request_in_pieces(web):
    with socket.create_connection(web.server, LONG) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /style.css HTTP/1.0\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert read_all(sock).endswith(b"\r\n\r\np {}")


def test_http_server_serves_another_while_one_reads_slowly(web, browser):
    with socket.create_connection(web.server, LONG) as sock:
        sock.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        start = read_exactly(sock, 10)
        assert ask(browser, "GET", "/style.css")[::2] == (200, b"p {}")
        answer = start + read_all(sock)
    assert answer.partition(b"\r\n\r\n")[2] == LARGE


def test_http_server_closes_when_nothing_comes(site):
    with Program("http_server.py", "--port", 0, "--timeout", 0.2, site) as program:
        server = program.address()
        with contextlib.closing(http.client.HTTPConnection(*server, LONG)) as browser:
            assert ask(browser, "GET", "/style.css")[0] == 200
            assert browser.sock.recv(1) == b""
        with socket.create_connection(server, LONG) as sock:
            sock.sendall(b"GET / HT")
            begin = time.monotonic()
            assert sock.recv(1) == b""
            # Not exact: the timer counts from the loop's time.
            assert time.monotonic() - begin > 0.1
        assert program.end() == 0


def test_http_server_has_a_limit_of_connections(site):
    with Program("http_server.py", "--port", 0, "--connections", 1, site) as program:
        server = program.address()
        with contextlib.closing(http.client.HTTPConnection(*server, LONG)) as browser:
            assert ask(browser, "GET", "/style.css")[0] == 200
            assert talk(server, b"") == b""
            assert ask(browser, "GET", "/style.css")[0] == 200
        assert program.end() == 0


@pytest.mark.parametrize("signum", ENDINGS)
def test_http_server_ends_by_a_signal(site, signum):
    with Program("http_server.py", "--port", 0, site) as program:
        sock = socket.create_connection(program.address(), LONG)
        with sock:
            sock.sendall(b"GET /large HTTP/1.0\r\n\r\n")
            read_exactly(sock, 10)
            assert program.end(signum) == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_http_server_works_with_curl(web, tmp_path):
    def curl(*args):
        return subprocess.run(
            ["curl", "-sS", "--noproxy", "*", *args],
            stdout=subprocess.PIPE,
            timeout=LONG,
            check=True,
        ).stdout

    url = "http://{}:{}".format(*web.server)
    assert curl(f"{url}/large") == LARGE
    assert curl("-I", f"{url}/style.css").startswith(b"HTTP/1.1 200 OK\r\n")
    assert curl("-L", f"{url}/sub%20dir") == b"<p>below</p>"
    said = curl(
        *("-w", "%{http_code} %{num_connects}\n", "--path-as-is"),
        *("-o", str(tmp_path / "a"), f"{url}/"),
        *("-o", str(tmp_path / "b"), f"{url}/../secret"),
    )
    # The second one on the connection of the first.
    assert said == b"200 1\n403 0\n"


# -- supervisor ------------------------------------------------------------------------

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
sys.stdin.read()
"""
OBEDIENT = STUBBORN.replace("SIG_IGN", "SIG_DFL")


@pytest.fixture
def script(tmp_path):
    """Make the command of a Python program."""

    def script(source):
        path = tmp_path / f"{hashlib.sha256(source.encode()).hexdigest()}.py"
        path.write_text(source)
        return f"'{sys.executable}' '{path}'"

    return script


def test_supervisor_starts_again_with_growing_pauses():
    # A longest pause that no `sh` lasts for.
    with Program(
        *("supervisor.py", "--pause", 0.01, "--longest-pause", 1000, "sh -c 'exit 3'")
    ) as program:
        pids = set()
        for pause in ("0.01", "0.02", "0.04", "0.08"):
            pid = program.find(r"\[1\]: pid (\d+) started$")[1]
            assert program.line() == f"[1]: pid {pid} ended with status 3"
            assert program.line() == f"[1]: starts again in {pause} s"
            pids.add(pid)
        assert len(pids) == 4
        assert program.end() == 0


def test_supervisor_tries_again_what_cannot_be_started():
    with Program("supervisor.py", "--pause", 0.01, "/nonexistent/program") as program:
        for _ in range(2):
            assert "cannot be started" in program.line()
            assert "starts again" in program.line()
        assert program.end() == 0


@pytest.mark.parametrize("signum", ENDINGS)
def test_supervisor_ends_all(script, signum):
    with Program("supervisor.py", *[script(OBEDIENT)] * 3) as program:
        for _ in range(3):
            program.find("^ready$")
        assert program.end(signum) == 0
        assert program.output.count("gets SIGTERM") == 3
        assert program.output.count("ended by SIGTERM") == 3
        assert "starts again" not in program.output


def test_supervisor_kills_after_the_grace_time(script):
    with Program(
        "supervisor.py", "--grace", 0.2, script(STUBBORN), script(OBEDIENT)
    ) as program:
        for _ in range(2):
            program.find("^ready$")
        assert program.end() == 0
        order = re.findall(r"\[(.)\]: pid \d+ (gets \w+|ended .*)", program.output)
        assert order == [
            ("1", "gets SIGTERM"),
            ("2", "gets SIGTERM"),
            ("2", "ended by SIGTERM"),
            ("1", "gets SIGKILL"),
            ("1", "ended by SIGKILL"),
        ]


def test_supervisor_kills_when_asked_twice(script):
    with Program("supervisor.py", "--grace", 10000, script(STUBBORN)) as program:
        program.find("^ready$")
        program.process.send_signal(signal.SIGTERM)
        program.find("gets SIGTERM")
        assert program.end(signal.SIGINT) == 0
        assert "ended by SIGKILL" in program.output


# -- tail ------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def follow(log, *args):
    # The interval: for filesystems that do not tell of changes.
    return Program("tail.py", "--interval", 0.1, *args, log)


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_tail_shows_what_is_added(log):
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    with follow(log, "-n", 2) as program:
        assert [program.line() for _ in range(2)] == ["line 98", "line 99"]
        for number in range(3):
            append(log, f"more {number}\n")
            assert program.line() == f"more {number}"
        append(log, "x" * 300_000 + "\n")
        assert program.line() == "x" * 300_000
        assert program.end() == 0


def test_tail_notices_truncation(log):
    log.write_text("some line\n")
    with follow(log) as program:
        assert program.line() == "some line"
        log.write_text("new\n")
        assert program.line() == f"tail: {log}: truncated"
        assert program.line() == "new"
        assert program.end() == 0


def test_tail_notices_another_file_in_its_place(log, tmp_path):
    log.write_text("old\n")
    with follow(log) as program:
        assert program.line() == "old"
        new = tmp_path / "new"
        # Longer and shorter than the old one: its size does not matter.
        for text in ("a new and longer one\n", "short\n"):
            new.write_text(text)
            append(log, "the last line\n")
            new.replace(log)
            assert program.line() == "the last line"
            assert program.line() == f"tail: {log}: a new file"
            assert program.line() == text.strip()
        assert program.end() == 0


def test_tail_waits_for_a_file_that_does_not_exist(log):
    with follow(log) as program:
        assert program.line() == f"tail: {log}: waiting for it"
        log.write_text("first\n")
        assert program.line() == f"tail: {log}: a new file"
        assert program.line() == "first"
        log.unlink()
        assert program.find(r": (.*)$")[1].startswith(f"{log}: No such file")
        log.write_text("second\n")
        assert program.line() == f"tail: {log}: a new file"
        assert program.line() == "second"
        assert program.end(signal.SIGINT) == 0


def test_tail_follows_a_symbolic_link(log, tmp_path):
    log.write_text("one\n")
    link = tmp_path / "link"
    link.symlink_to(log)
    with follow(link) as program:
        assert program.line() == "one"
        append(log, "two\n")
        assert program.line() == "two"
        assert program.end() == 0


def test_tail_ends_when_nobody_reads(log):
    log.write_text("one\n")
    with subprocess.Popen(
        command("tail.py", "--interval", 0.1, log),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"one\n"
        process.stdout.close()
        append(log, "two\n")
        assert process.stderr.read() == b""
        assert process.wait(LONG) == 1


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "text", ["", "\n", "a", "a\n", "\n\n", "ab\ncd", "ab\ncd\n", "a\n\nbcd\ne\n\n"]
)
def test_tail_finds_the_last_lines(monkeypatch, tmp_path, chunk, text):
    tail = load("tail")
    monkeypatch.setattr(tail, "CHUNK", chunk)
    path = tmp_path / "text"
    path.write_text(text)
    lines = text.splitlines(keepends=True)
    for number in range(len(lines) + 2):
        with tail.FileIO(str(path)) as file:
            tail.seek_lines(file, number)
            expected = "".join(lines[max(0, len(lines) - number) :])
            assert file.read().decode() == expected, number


# -- cron ------------------------------------------------------------------------------

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
SPRING = "2024-03-31"  # 02:00 CET is 03:00 CEST: 01:00 UTC
AUTUMN = "2024-10-27"  # 03:00 CEST is 02:00 CET: 01:00 UTC


@pytest.fixture(scope="module")
def cron():
    return load("cron")


@pytest.fixture
def set_zone():
    """Set the local time zone, until the end of the test."""
    before = os.environ.get("TZ")

    def set_zone(zone):
        os.environ["TZ"] = zone
        time.tzset()

    yield set_zone
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def utc(text):
    """Seconds since the epoch of a date and time in UTC."""
    return datetime.datetime.fromisoformat(f"{text}+00:00").timestamp()


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        # A usual day, and the days whose length the change makes another.
        ("07:30", "2024-01-15 06:29", "2024-01-15 06:30"),
        ("07:30", "2024-01-15 06:30", "2024-01-16 06:30"),
        ("7:30", f"{SPRING} 05:29", f"{SPRING} 05:30"),
        ("07:30", "2024-03-30 06:30", f"{SPRING} 05:30"),
        ("07:30", f"{SPRING} 05:30", "2024-04-01 05:30"),
        ("07:30", "2024-10-26 05:30", f"{AUTUMN} 06:30"),
        ("0:00", "2024-03-30 23:00", f"{SPRING} 22:00"),
        ("00:00", "2024-10-26 22:00", f"{AUTUMN} 23:00"),
        # A time that the clock skips: as much later, and once.
        ("02:30", "2024-03-30 12:00", f"{SPRING} 01:30"),
        ("02:30", f"{SPRING} 01:00", f"{SPRING} 01:30"),
        ("02:30", f"{SPRING} 01:30", "2024-04-01 00:30"),
        # A time that comes twice: the first one, and once.
        ("02:30", "2024-10-26 12:00", f"{AUTUMN} 00:30"),
        ("02:30", f"{AUTUMN} 00:30", "2024-10-28 01:30"),
        ("02:30", f"{AUTUMN} 01:00", "2024-10-28 01:30"),
        ("02:30", f"{AUTUMN} 01:30", "2024-10-28 01:30"),
        # Without an hour there is no gap, and no doubling.
        ("*:30", f"{SPRING} 00:30", f"{SPRING} 01:30"),
        ("*:30", f"{AUTUMN} 00:30", f"{AUTUMN} 01:30"),
        ("*:30", f"{AUTUMN} 01:30", f"{AUTUMN} 02:30"),
        ("*:*/20", f"{SPRING} 00:40", f"{SPRING} 01:00"),
        ("*:*/20", f"{SPRING} 00:20:01.500", f"{SPRING} 00:40"),
        ("*:*", f"{AUTUMN} 00:59:59.900", f"{AUTUMN} 01:00"),
        ("*:*", f"{AUTUMN} 01:00", f"{AUTUMN} 01:01"),
    ],
)
def test_cron_finds_the_next_time_in_berlin(cron, set_zone, text, now, expected):
    set_zone(BERLIN)
    assert cron.Schedule.parse(text).after(utc(now)) == utc(expected)


@pytest.mark.parametrize(
    "zone",
    [
        BERLIN,
        "UTC0",
        # Midnight itself is skipped; half an hour is, on the other half of the earth;
        # the clock goes forward from before midnight until after it.
        "XXT3XXS,M10.3.0/0,M2.3.0/0",
        "XXT-10:30XXS-11,M10.1.0,M4.1.0",
        "XXT3XXS,M10.3.0/23:30,M2.3.0/23:30",
    ],
)
@pytest.mark.parametrize("text", ["00:15", "02:30", "23:45", "*:15"])
def test_cron_misses_no_time_in_a_year(cron, set_zone, zone, text):
    set_zone(zone)
    schedule = cron.Schedule.parse(text)
    at = utc("2024-01-01 12:00")
    times = []
    while at < utc("2025-01-01 12:00"):
        previous, at = at, schedule.after(at)
        assert at > previous
        assert schedule.after(at - 0.001) == at
        times.append(at)
    if text.startswith("*"):
        # On the hour's own terms: an hour apart, or less where half an hour goes.
        assert {b - a for a, b in zip(times, times[1:])} <= {1800.0, 3600.0, 5400.0}
        assert all(time.localtime(at).tm_min == 15 for at in times)
        return
    # Once a day, and at most twice a year at another time.
    assert len(times) in (366, 367)
    assert all(22 * 3600 <= b - a <= 26 * 3600 for a, b in zip(times, times[1:]))
    strange = [at for at in times if time.strftime("%H:%M", time.localtime(at)) != text]
    assert len(strange) <= 1


@pytest.mark.parametrize(
    "text", ["", "7", "24:00", "12:60", "*", "*:*/0", "7:*", "7:*/5", "1:2:3", "-1:00"]
)
def test_cron_refuses_what_is_no_time(cron, text):
    with pytest.raises(ValueError, match=r"no |needs"):
        cron.Schedule.parse(text)
    result = run("cron.py", f"{text} true")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_cron_shows_the_next_times():
    result = run("cron.py", "--show", 2, "12:05 some command", env={"TZ": BERLIN})
    assert (result.returncode, result.stderr) == (0, "")
    pattern = r"(\d{4}-\d\d-\d\d) 12:05:00 CES?T  some command\n"
    assert re.fullmatch(f"(?:{pattern}){{2}}", result.stdout)
    first, second = map(datetime.date.fromisoformat, re.findall(pattern, result.stdout))
    assert second - first == datetime.timedelta(days=1)


def test_cron_runs_a_command_and_sees_its_end(cron, default_loop, tmp_path, capsys):
    class Soon:
        """At once, and then as often as it can."""

        def after(self, now):
            return now + 0.01

    class Job(cron.Job):
        def say(self, what):
            said.append(what)
            super().say(what)
            if what.startswith("skipped"):
                # Now it may end.
                os.write(writer, b"\n")
                self.timer.stop()

    said = []
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    try:
        Job(default_loop, Soon(), f"read line <'{fifo}'; exit 7")
        default_loop.start()
    finally:
        os.close(writer)
        os.close(reader)
    pid = re.fullmatch(r"started as pid (\d+)", said[0])[1]
    assert said[1:] == ["skipped, since it is still running", f"pid {pid} ended with 7"]
    assert capsys.readouterr().out.count(f"exit 7: {said[0]}\n") == 1


@pytest.mark.parametrize("signum", ENDINGS)
def test_cron_ends_by_a_signal(signum):
    with Program("cron.py", "00:00 true", "*:*/7 true") as program:
        assert program.line() == "jobs: 2"
        assert program.end(signum) == 0


# -- health ----------------------------------------------------------------------------


def health(*command):
    return Program("health.py", "--port", 0, "--every", 0.05, "--", *command)


def told(server):
    with socket.create_connection(server, LONG) as client:
        line = read_all(client).decode()
    checks, last = re.fullmatch(r"(\d+) checks, the last one: (.*)\n", line).groups()
    return int(checks), last


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (["true"], r"[\d:]+ well"),
        (["sh", "-c", "exit 3"], r"[\d:]+ failed: 3"),
        (["sh", "-c", "kill -9 $$"], r"[\d:]+ failed: -9"),
        (["/nothing/there"], r"[\d:]+ cannot be run: No such file or directory"),
    ],
)
def test_health_tells_how_checks_ended(command, how):
    with health(*command) as program:
        server = program.address()
        checks = 0
        while checks < 2:
            checks, last = told(server)
        assert re.fullmatch(how, last)
        assert program.end() == 0
        assert program.output.endswith("ended by SIGTERM\n")


@pytest.mark.parametrize("signum", ENDINGS)
def test_health_ends_with_a_check_that_is_going_on(tmp_path, signum):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with health("sh", "-c", f"exec sleep 1000 >{fifo}") as program:
        server = program.address()
        # Opened for writing: the check has begun.
        with fifo.open("rb") as reader:
            assert told(server) == (0, "not checked yet")
            assert program.end(signum) == 0
            assert program.output.endswith(f"ended by {signum.name}\n")
            assert reader.read() == b""


# -- workers ---------------------------------------------------------------------------


def test_workers_compute_sums(tmp_path):
    sums = {}
    for number in range(20):
        path = tmp_path / f"file {number}"
        path.write_bytes(os.urandom(number * 100_000))
        sums[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    result = run("workers.py", "--threads", 3, *sums)
    assert result.returncode == 0
    lines = [line.split("  ", 1) for line in result.stdout.splitlines()]
    assert {path: digest for digest, path in lines} == sums
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    progress = result.stderr.splitlines()
    assert [line.split(" files")[0] for line in progress] == [
        f"{done} of 20" for done in range(1, 21)
    ]
    assert progress[-1] == f"20 of 20 files, {total} bytes"


def test_workers_go_on_after_an_error(tmp_path):
    (tmp_path / "empty").touch()
    result = run("workers.py", tmp_path / "missing", tmp_path, tmp_path / "empty")
    assert result.returncode == 1
    assert result.stdout == f"{hashlib.sha256().hexdigest()}  {tmp_path / 'empty'}\n"
    assert f"{tmp_path / 'missing'}: No such file" in result.stderr
    assert f"{tmp_path}: Is a directory" in result.stderr
    assert "3 of 3 files, 0 bytes" in result.stderr


@pytest.mark.parametrize("signum", ENDINGS)
def test_workers_end_by_a_signal(tmp_path, signum):
    (tmp_path / "empty").touch()
    # One that has no end.
    with Program("workers.py", tmp_path / "empty", "/dev/zero") as program:
        program.find("1 of 2 files, 0 bytes")
        assert program.end(signum) == 1
        assert f"ended by {signum.name}" in program.output
