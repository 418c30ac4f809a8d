"""The programs of docs/tutorial.md: each is run as its reader would run it.

Writes the programs into an empty directory and starts them with the interpreter that
runs the tests. Waits for what a program says, never for time to pass; one that says
nothing is killed after a while, and the test fails.
"""

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from documents import program
from running import LONG, Running, pauses_without_descriptors

PAGE = "docs/tutorial.md"
PROGRAMS = ("greet.py", "connect.py", "echo.py", "talk.py", "chat.py")


class Server(Running):
    """A program of the page that is running and listens on a port of its own."""

    def __init__(self, directory, name, *args, prefix=()):
        super().__init__(
            # -X dev: so that whatever is left open is told on stderr.
            [*prefix, sys.executable, "-X", "dev", name, "0", *map(str, args)],
            cwd=directory,
            stdin=subprocess.DEVNULL,
        )
        self.clients = contextlib.ExitStack()

    def __enter__(self):
        self.port = int(self.line().removeprefix("listening on port "))
        return self

    def __exit__(self, *exc_info):
        self.clients.close()
        super().__exit__(*exc_info)

    def connect(self, **options):
        return self.clients.enter_context(Client(self.port, **options))

    def join(self, name):
        """A client that has told its name and read that it has come."""
        client = self.connect()
        assert client.line() == "What is your name?"
        client.say(name)
        assert client.line() == f"* {name} has come"
        return client

    def wait(self, complaints=()):
        """The tests look at all that it has said themselves."""
        return super().wait(complaints)


class Client:
    """Somebody who connects."""

    def __init__(self, port, receive_buffer=None):
        self.sock = socket.socket()
        self.sock.settimeout(LONG)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def say(self, text):
        self.send(text.encode() + b"\n")

    def line(self):
        line = self.file.readline()
        assert line.endswith(b"\n"), line
        return line[:-1].decode()

    def rest(self):
        return self.file.read()

    def break_off(self):
        """Close with an RST in place of a FIN, as a machine that crashed would."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.file.close()
        self.sock.close()


@pytest.fixture
def directory(tmp_path):
    for name in PROGRAMS:
        (tmp_path / name).write_text(program(PAGE, name), encoding="utf-8")
    return tmp_path


def test_greet_says_hello_and_closes(directory):
    with Server(directory, "greet.py") as server:
        for _ in range(3):
            client = server.connect()
            port = client.sock.getsockname()[1]
            assert client.rest() == b"hello, port %d\n" % port
        server.process.send_signal(signal.SIGINT)
        server.wait()
        assert "KeyboardInterrupt" in server.output


def connect(directory, server, text):
    """What connect.py shows to somebody who types a text and then Ctrl-D."""
    process = subprocess.run(
        [sys.executable, "-X", "dev", "connect.py", str(server.port)],
        cwd=directory,
        input=text,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def test_connect_talks_to_a_server(directory):
    with Server(directory, "echo.py") as server:
        for text in ("", "hello\n", "x" * 300_000):
            assert connect(directory, server, text) == text
    with Server(directory, "greet.py") as server:
        assert connect(directory, server, "").startswith("hello, port ")


def test_echo_sends_back_what_comes(directory):
    data = bytes(range(256)) * 40_000
    with Server(directory, "echo.py") as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.say("hello")
        for client in clients:
            assert client.line() == "hello"
        # More than the kernel's buffers hold, so that the server has to wait.
        sender = threading.Thread(target=clients[0].send, args=[data])
        sender.start()
        assert clients[0].file.read(len(data)) == data
        sender.join()
        clients[1].break_off()
        assert "reset" in server.line()
        # The other half goes on: all that was sent comes back.
        clients[2].send(b"last words")
        clients[2].sock.shutdown(socket.SHUT_WR)
        assert clients[2].rest() == b"last words"
        assert server.line() == "a client has left: goodbye"


def test_echo_does_not_read_from_who_does_not_read(directory):
    with Server(directory, "echo.py") as server:
        client, clock = server.connect(), server.connect()
        # Between two answers the server has looked for all that can be read.
        client.sock.setblocking(False)
        sent = refused = 0
        while refused < 50:
            # Far more than the kernel's buffers hold, and the server.
            assert sent < 100_000_000
            try:
                sent += client.sock.send(bytes(65536))
                refused = 0
            except BlockingIOError:
                refused += 1
                clock.say("still there?")
                assert clock.line() == "still there?"
        client.sock.settimeout(LONG)
        client.sock.shutdown(socket.SHUT_WR)
        assert len(client.rest()) == sent


def test_talk_sends_lines_to_everybody(directory):
    with Server(directory, "talk.py") as server:
        first, second = server.connect(), server.connect()
        # So that both are known before the first one says something.
        second.say("I am here")
        assert first.line() == second.line() == "guest 2: I am here"
        first.send(b"hel")
        second.say("I was first")
        assert first.line() == second.line() == "guest 2: I was first"
        first.send(b"lo\nand goodbye\n")
        for client in (first, second):
            assert client.line() == "guest 1: hello"
            assert client.line() == "guest 1: and goodbye"


@pytest.fixture
def chat(directory):
    with Server(directory, "chat.py") as server:
        yield server
        assert server.end() == 0
        assert "Traceback" not in server.output
        assert "Warning" not in server.output


def test_chat_is_heard_by_all_others(chat):
    clients = {}
    for name in ("ann", "bob", "cyd"):
        newcomer = chat.join(name)
        for client in clients.values():
            assert client.line() == f"* {name} has come"
        clients[name] = newcomer
    for speaker in clients:
        clients[speaker].say(f"I am {speaker}")
        for name in clients:
            if name != speaker:
                assert clients[name].line() == f"{speaker}: I am {speaker}"


def test_chat_puts_lines_together(chat):
    ann, bob = chat.join("ann"), chat.join("bob")
    ann.line()
    ann.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in "grüße\n".encode():
        # One by one: the answer of somebody else shows that each has arrived.
        ann.send(bytes([byte]))
        bob.say("still there?")
        assert ann.line() == "bob: still there?"
    assert bob.line() == "ann: grüße"
    ann.send(b"one\r\n\ntwo\n\xff\x1b[2J\nrest")
    assert [bob.line() for _ in range(3)] == [
        "ann: one",
        "ann: two",
        "ann: \N{REPLACEMENT CHARACTER}[2J",
    ]


def test_chat_takes_each_name_once(chat):
    ann = chat.join("ann")
    other = chat.connect()
    assert other.line() == "What is your name?"
    other.send(b"ann\n \n")
    assert other.line() == "Please choose another name."
    assert other.line() == "Please choose another name."
    # Nobody who has no name yet hears what is said.
    ann.say("who is it?")
    other.say("eve")
    assert ann.line() == "* eve has come"
    assert other.line() == "* eve has come"
    other.say("me")
    assert ann.line() == "eve: me"


def test_chat_pauses_without_descriptors(chat):
    # Not before it runs: it needs some itself.
    ann = chat.join("ann")
    pauses_without_descriptors(chat, ("127.0.0.1", chat.port))
    chat.join("bob")
    assert ann.line() == "* bob has come"


def test_chat_throws_out_who_sends_a_line_without_an_end(chat):
    ann, eve = chat.join("ann"), chat.join("eve")
    ann.line()
    eve.send(b"x" * 1001)
    assert ann.line() == "* eve has left: a line without an end"
    assert eve.rest() == b""


def test_chat_goes_on_when_clients_break_off(chat):
    ann = chat.join("ann")
    for name in ("bob", "cyd", "dan"):
        client = chat.join(name)
        assert ann.line() == f"* {name} has come"
        client.send(b"half a li")
        client.break_off()
        assert ann.line() == f"* {name} has left: Connection reset by peer"
    bob = chat.join("bob")
    assert ann.line() == "* bob has come"
    bob.file.close()
    bob.sock.close()
    assert ann.line() == "* bob has left: goodbye"


def test_chat_throws_out_who_does_not_read(chat):
    ann, bob = chat.join("ann"), chat.join("bob")
    slow = chat.connect(receive_buffer=4096)
    slow.say("slow")
    for client in (ann, bob):
        while client.line() != "* slow has come":
            pass
    text = "x" * 900
    # Bob reads all of it before there is more, so that he is never slow.
    for _ in range(1000):
        ann.send(b"".join([text.encode() + b"\n"] * 50) + b"that is it\n")
        lines = []
        while "that is it" not in (lines or [""])[-1]:
            lines.append(bob.line())
        spoken = [line for line in lines if not line.startswith("*")]
        assert spoken == [f"ann: {text}"] * 50 + ["ann: that is it"]
        left = [line for line in lines if line.startswith("*")]
        if left:
            break
    assert left == ["* slow has left: too slow"]
    # What the kernel had of it already, and no more.
    assert b"What is your name?" in slow.rest()


def test_chat_throws_out_who_says_nothing(directory):
    with Server(directory, "chat.py", "--patience", 0.5) as server:
        begin = time.monotonic()
        silent = server.connect()
        assert silent.rest() == b"What is your name?\n"
        # Not exact: the timer counts from the loop's time.
        assert time.monotonic() - begin > 0.4
        assert server.line() == "None has left: nothing was said"
        assert server.end() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_chat_says_goodbye(directory, signum):
    with Server(directory, "chat.py", "--grace", 10_000) as server:
        ann, bob = server.join("ann"), server.join("bob")
        nameless = server.connect()
        assert nameless.line() == "What is your name?"
        bob.send(b"hello\nhalf a li")
        assert [ann.line() for _ in range(2)] == ["* bob has come", "bob: hello"]
        assert server.end(signum) == 0
        for client in (ann, bob):
            assert client.rest() == b"* the server ends, goodbye\n"
        assert nameless.rest() == b""
        assert server.output.count(" has left: goodbye") == 3
        assert "Traceback" not in server.output
        assert "Warning" not in server.output


@pytest.fixture
def patient(directory):
    """A chat server that has a client who does not read, and lets it stay."""
    path = directory / "chat.py"
    source = path.read_text(encoding="utf-8")
    changed = source.replace("MOST_OUTPUT = 256 * 1024", "MOST_OUTPUT = 1 << 30")
    assert changed != source
    path.write_text(changed, encoding="utf-8")

    @contextlib.contextmanager
    def patient(grace):
        with Server(directory, "chat.py", "--grace", grace) as server:
            ann, bob = server.join("ann"), server.join("bob")
            slow = server.connect(receive_buffer=4096)
            slow.say("slow")
            while bob.line() != "* slow has come":
                pass
            # More than the kernel keeps. Bob has it all, so it is there for the other.
            lines = (b"x" * 900 + b"\n") * 10_000 + b"that is it\n"
            sender = threading.Thread(target=ann.send, args=[lines])
            sender.start()
            while bob.line() != "ann: that is it":
                pass
            sender.join()
            yield server
            assert "slow has left: the server has ended" in server.output
            assert "Traceback" not in server.output
            assert "Warning" not in server.output

    return patient


def test_chat_takes_a_second_signal_for_an_order(patient):
    with patient(grace=10_000) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.line() == "ended by SIGTERM"
        assert server.end(signal.SIGINT) == 0
        assert "ended by SIGINT" in server.output


def test_chat_does_not_wait_for_ever_for_who_does_not_read(patient):
    with patient(grace=0.5) as server:
        begin = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - begin > 0.4


def test_chat_goes_on_when_there_are_too_many_clients(directory):
    prefix = ["sh", "-c", 'ulimit -n 24 && exec "$@"', "sh"]
    with Server(directory, "chat.py", prefix=prefix) as server:
        clients = [server.connect() for _ in range(30)]
        assert server.line() == "cannot accept: Too many open files"
        for client in clients[:20]:
            client.__exit__()
        # In the second after that, those who had to wait are let in.
        assert clients[-1].line() == "What is your name?"
        assert server.end() == 0
        assert "Traceback" not in server.output
