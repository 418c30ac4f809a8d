"""The tools of python -m mood_event, run as a person runs them.

With real files, clocks and processes. Waits for what a tool or its command prints,
never for time to pass; a tool that says nothing is killed after a while, and the test
fails.
"""

import argparse
import ast
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running import LONG, Running

import mood_event
from mood_event.__main__ import TOOLS
from mood_event.tools import to_seconds, watch

ENDINGS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


class Tool(Running):
    """A tool that is running; what its command says comes with what it says."""

    def __init__(self, cwd, *args):
        typed = cwd / "typed"
        typed.write_text("for nobody")
        with typed.open() as stdin:
            super().__init__(
                # -X dev: so that whatever is left open is told on stderr.
                [
                    sys.executable,
                    "-X",
                    "dev",
                    "-m",
                    "mood_event",
                    *map(os.fspath, args),
                ],
                cwd=cwd,
                stdin=stdin,
                encoding="utf-8",
                errors="surrogateescape",
                # As where the locale has an encoding; with none Python is lenient.
                env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
            )


@pytest.fixture
def start(tmp_path):
    """Start tools, in a directory of their own."""
    with contextlib.ExitStack() as tools:

        def end(tool):
            # Its command is in a session of its own, and ends with it.
            if tool.process.poll() is None:
                tool.end()

        def start(*args):
            tool = tools.enter_context(Tool(tmp_path, *args))
            tools.callback(end, tool)
            return tool

        yield start


def python(source):
    """A command. What it says comes at once, and each line in one piece."""
    return [sys.executable, "-S", "-c", SAY + source]


SAY = f"""
import os, signal, sys, time

# So that none is left behind, with the pipe that the test reads, if a tool fails.
signal.alarm({int(LONG)})

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

"""


# What is told of a signal, and goes on until it ends itself.
STUBBORN = """
def told(signum, frame):
    say("got", signum)
    exec(sys.argv[1])

for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(signum, told)
say("ready", os.getpid())
while True:
    signal.pause()
"""


# -- all ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOOLS)
def test_tool_is_a_short_example_that_explains_itself(name):
    source = Path(TOOLS[name].__file__).read_text(encoding="utf-8")
    assert source.count("\n") < 60
    assert f"    python -m mood_event {name} " in TOOLS[name].__doc__
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "mood_event":
            assert {alias.name for alias in node.names} <= set(mood_event.__all__)
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")


@pytest.mark.parametrize("name", TOOLS)
def test_tool_has_its_documentation_as_help(start, name):
    tool = start(name, "--help")
    assert tool.wait() == 0
    assert f"usage: python -m mood_event {name} [-h]" in tool.output
    assert TOOLS[name].__doc__.strip() in tool.output


SAY_THIS = [sys.executable, "-c", "from mood_event.tools import say; say('this')"]


def test_what_a_tool_says_is_one_write():
    # Or its command, which may have the same stderr, writes in between.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        subprocess.run(SAY_THIS, check=True, stderr=theirs)
        assert ours.recv(100) == b"mood_event: this\n"


def test_what_a_tool_says_with_stderr_closed_is_not_said_on_stdout():
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *SAY_THIS]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout == b""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("1.5", 1.5),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("1ms", 0.001),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
    ],
)
def test_time_has_a_unit(text, seconds):
    assert to_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5 s",
        "1e3",
        "-1",
        "5min",
        "nan",
        "inf",
        "1.",
        "0",
        "0.9ms",
        "5\n",
        "9d9",
    ],
)
def test_time_that_is_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"^not a time"):
        to_seconds(text)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["watch"], "PATH"),
        (["every", "5"], "every: a command is missing"),
        (["every", "5", "--"], "every: a command is missing"),
        (["every", "--", "true"], "TIME"),
        (["every", "0", "--", "true"], "TIME: not a time"),
        (["every", "5", "true"], "unrecognized arguments: true"),
        (["supervise", "--"], "supervise: a command is missing"),
        (["supervise", "--delay", "x", "--", "true"], "--delay: not a time"),
        (["--json", "watch", "."], "--json is not for tools"),
        (["dance"], "dance"),
    ],
)
def test_command_line_that_makes_no_sense(start, args, says):
    tool = start(*args)
    assert tool.wait() == 2
    assert tool.output.startswith("usage: python -m mood_event")
    assert says in tool.output


# -- watch ----------------------------------------------------------------------------


def test_watch_tells_what_has_changed(start, tmp_path):
    path, other = tmp_path / "watched", tmp_path / "other"
    tool = start("watch", "watched")

    def line():
        match = re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})?  watched: (.*)", tool.line()
        )
        assert match, tool.output
        return match[1]

    assert line() == "not there"
    other.write_text("abc")
    # In one step: it never has another size.
    other.rename(path)
    assert line() == "appeared, size 3"
    with path.open("a") as file:
        file.write("def")
    # What is written within one tick of the clock has one mtime.
    assert line().split(",")[0] == "size 6"
    os.utime(path, (1e9, 1e9))
    assert line() == "mtime"
    path.chmod(0o600)
    assert line() == "mode 100600"
    os.link(path, other)
    assert line() == "links 2"
    other.unlink()
    assert line() == "links 1"
    os.utime(path, (1.5e9, 1e9))
    assert line() == "atime or ctime"
    other.write_text("another")
    other.rename(path)
    assert re.match(r"replaced, size 7, mode \d+, mtime$", line())
    path.unlink()
    assert line() == "gone"
    assert tool.end() == 0


def test_watch_of_several_paths(start, tmp_path):
    # Not UTF-8, as a path may be.
    names = [b"first", b"second \xff"]
    paths = [os.path.join(os.fsencode(tmp_path), name) for name in names]
    for path in paths:
        with open(path, "wb"):
            pass
    tool = start("watch", "--interval", "1h", *map(os.fsdecode, paths))
    for path in paths:
        assert tool.line().endswith(f"  {os.fsdecode(path)}: size 0")
    for path in reversed(paths):
        os.unlink(path)
        assert tool.line().endswith(f"  {os.fsdecode(path)}: gone")


@pytest.mark.parametrize("signum", ENDINGS)
def test_watch_ends_with_a_signal(start, signum):
    tool = start("watch", ".")
    assert ".: size " in tool.line()
    assert tool.end(signum) == 0


def test_watch_ends_when_nobody_reads(tmp_path):
    path = tmp_path / "watched"
    path.touch()
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-m", "mood_event", "watch", path],
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        with os.fdopen(reader) as file:
            assert file.readline()
        # Its size: of times libev compares the seconds.
        path.write_text("changed")
        try:
            stderr = process.communicate(timeout=LONG)[1]
        finally:
            process.kill()
    assert (process.returncode, stderr) == (1, b"")


def test_watch_names_each_difference():
    old = os.stat_result([0o100644, 1, 2, 1, 4, 5, 6, 7, 8, 9])
    for position, value, says in [
        (0, 0o100600, "mode 100600"),
        (1, 10, "replaced"),
        (3, 2, "links 2"),
        (4, 10, "uid 10"),
        (5, 10, "gid 10"),
        (6, 10, "size 10"),
        (7, 10, "atime or ctime"),
        (8, 10, "mtime"),
        (9, 10, "atime or ctime"),
    ]:
        values = list(old)
        values[position] = value
        assert watch.difference(old, os.stat_result(values)) == says


# -- every ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "offset", "interval"),
    [(["1h"], 0.0, 3600.0), (["--offset", "7h", "1d"], 25200.0, 86400.0)],
)
def test_every_runs_at_multiples_of_a_time(run_script, arguments, offset, interval):
    result = run_script(
        f"""
        import os, signal
        from mood_event import Periodic, default_loop
        from mood_event.__main__ import main

        def look(watcher, revents):
            watcher.stop()
            [clock] = [w for w in loop.watchers() if isinstance(w, Periodic)]
            assert (clock.offset, clock.interval) == ({offset}, {interval}), clock
            assert clock.at % {interval} == {offset}, clock
            os.kill(os.getpid(), signal.SIGTERM)

        # The one that the tool takes.
        loop = default_loop()
        loop.prepare(look).start()
        print(main(["every", *{arguments}, "--", "false"]))
        """
    )
    assert result.stdout == "0\n"


def test_every_runs_a_command_again_and_again(start):
    source = "say('run', sys.argv[1:], repr(sys.stdin.read()))"
    tool = start("every", "20ms", "--", *python(source), "a b", "--", "-c", "--offset")
    for _ in range(3):
        line = tool.find("^run").string
        assert line == "run ['a b', '--', '-c', '--offset'] ''"
    assert tool.end() == 0
    assert "ended with" not in tool.output


def test_every_does_not_let_runs_overlap(start, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    source = (
        "say('begin', os.getpid())\n"
        "with open('fifo') as file:\n"
        "    file.read()\n"
        "say('end')"
    )
    tool = start("every", "20ms", "--", *python(source))
    for _ in range(2):
        pid = tool.find(r"^begin (\d+)$")[1]
        for _ in range(3):
            line = tool.line()
            assert line == f"mood_event: pid {pid} is still running: skipped"
        # It waits for this.
        (tmp_path / "fifo").write_text("")
        tool.find("^end$")
    # The one that has begun by now, or begins yet.
    tool.process.send_signal(signal.SIGTERM)
    assert tool.wait() == 0


def test_every_tells_of_runs_that_fail(start):
    tool = start("every", "20ms", "--", *python("sys.exit(3)"))
    for _ in range(2):
        tool.find(r"^mood_event: pid \d+ ended with status 3$")
    assert tool.end() == 0
    tool = start("every", "20ms", "--", "./missing")
    for _ in range(2):
        assert "No such file or directory: './missing'" in tool.line()
    assert tool.end() == 0


@pytest.mark.parametrize("signum", ENDINGS)
def test_every_passes_a_signal_on_and_waits(start, signum):
    tool = start("every", "20ms", "--", *python(STUBBORN), "sys.exit()")
    tool.find("^ready")
    assert tool.end(signum) == 0
    output = tool.output[tool.output.index("got") :]
    assert output == f"got {signum.value}\n"


def test_every_kills_when_it_is_told_twice(start):
    tool = start("every", "20ms", "--", *python(STUBBORN), "pass")
    pid = tool.find(r"^ready (\d+)$")[1]
    tool.process.send_signal(signal.SIGTERM)
    tool.find("^got 15$")
    assert tool.end(signal.SIGINT) == 0
    assert tool.output.endswith(f"\nmood_event: pid {pid} ended by signal 9\n")


# -- supervise ------------------------------------------------------------------------


def test_supervise_starts_again_after_a_growing_delay(start):
    source = "say('begin', time.monotonic()); sys.exit(3)"
    command = ["supervise", "--delay", "50ms", "--max-delay", "1h", "--"]
    tool = start(*command, *python(source))
    last, begun = 0.0, []
    for number in range(4):
        begun.append(float(tool.find(r"^begin (\S+)$")[1]))
        delay = 0.05 * 2**number
        line = (
            rf"^mood_event: pid \d+ ended with status 3: starts again in {delay:g} s$"
        )
        tool.find(line)
        if number:
            assert begun[-1] - begun[-2] >= last
        last = delay
    assert tool.end() == 0


def test_supervise_delays_no_longer_than_it_may(start):
    source = "os.kill(os.getpid(), signal.SIGKILL)"
    command = ["supervise", "--delay", "2h", "--max-delay", "1h", "--"]
    tool = start(*command, *python(source))
    tool.find(r"^mood_event: pid \d+ ended by signal 9: starts again in 3600 s$")
    # It is not running now.
    assert tool.end() == 0


def test_supervise_does_not_delay_what_has_lasted(start):
    # To start an interpreter takes longer than that.
    command = ["supervise", "--delay", "1h", "--max-delay", "1ms", "--"]
    tool = start(*command, *python("say('run', sys.argv[1:])"), "--", "x")
    for _ in range(3):
        tool.find(r"^run \['--', 'x'\]$")
        tool.find(r"^mood_event: pid \d+ ended with status 0: starts again in 0 s$")


def test_supervise_tries_again_what_cannot_be_started(start, tmp_path):
    tool = start("supervise", "--delay", "20ms", "--", "./program")
    for delay in ("0.02", "0.04"):
        line = tool.line()
        assert "No such file or directory: './program'" in line
        assert line.endswith(f": starts again in {delay} s")
    program = tmp_path / "new"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o700)
    program.rename(tmp_path / "program")
    tool.find("^here$")
    tool.find("ended with status 0")


@pytest.mark.parametrize("signum", ENDINGS)
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("sys.exit()", 0),
        ("sys.exit(5)", 5),
        # As if it had not handled it.
        ("signal.signal(signum, signal.SIG_DFL); os.kill(os.getpid(), signum)", 0),
        ("os.kill(os.getpid(), signal.SIGUSR1)", 128 + signal.SIGUSR1),
    ],
)
def test_supervise_ends_as_its_command_does(start, signum, answer, status):
    tool = start("supervise", "--", *python(STUBBORN), answer)
    tool.find("^ready")
    assert tool.end(signum) == status
    assert tool.output.endswith(f"\ngot {signum.value}\n")


def test_supervise_kills_when_it_is_told_twice(start):
    tool = start("supervise", "--", *python(STUBBORN), "pass")
    tool.find("^ready")
    tool.process.send_signal(signal.SIGHUP)
    tool.find("^got 1$")
    assert tool.end(signal.SIGHUP) == 128 + signal.SIGKILL


def test_supervise_passes_a_signal_on_to_the_commands_own_children(start):
    source = """
import subprocess
signal.signal(signal.SIGTERM, lambda *arguments: None)
sys.exit(subprocess.Popen(sys.argv[1:]).wait())
"""
    inner = [*python(STUBBORN), "sys.exit(7)"]
    tool = start("supervise", "--", *python(source), *inner)
    tool.find("^ready")
    assert tool.end() == 7
    assert "got 15" in tool.output
