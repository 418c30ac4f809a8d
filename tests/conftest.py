"""Fixtures of the whole suite: a loop, a pipe, and scripts in processes of their own.

Imported by pytest and by no test.
"""

import fcntl
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import pytest

import mood_event


@pytest.fixture(autouse=True)
def no_garbage_loops() -> Iterator[None]:
    """A loop that a test forgot to close is that test's error, not another's."""
    yield
    if sys.implementation.name == "cpython":
        gc.collect()
        # What is left is others', pytest's most of all, and would be looked through
        # after every test: a third of the time of all tests.
        gc.freeze()


@pytest.fixture
def loop(make_pipe: object) -> Iterator[mood_event.Loop]:
    """A loop, closed afterwards, and before the test's pipes are."""
    with mood_event.Loop() as loop:
        yield loop


@pytest.fixture
def default_loop(make_pipe: object) -> Iterator[mood_event.Loop]:
    """The default loop, closed afterwards, so that each test has a new one."""
    with mood_event.default_loop() as loop:
        yield loop


class Pipe(NamedTuple):
    """The two ends of a pipe, both non-blocking."""

    reader: int
    writer: int


@pytest.fixture
def make_pipe() -> Iterator[Callable[[], Pipe]]:
    """Make pipes, closed afterwards if the test has not."""
    fds: list[int] = []

    def make() -> Pipe:
        low = os.pipe()
        # High numbers, which no descriptor of a loop takes when a test has closed one.
        pipe = Pipe(*(fcntl.fcntl(fd, fcntl.F_DUPFD, 400) for fd in low))
        for fd in low:
            os.close(fd)
        for fd in pipe:
            os.set_blocking(fd, False)
        fds.extend(pipe)
        return pipe

    yield make
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            assert not _is_open(fd)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def pipe(make_pipe: Callable[[], Pipe]) -> Pipe:
    """A pipe."""
    return make_pipe()


@pytest.fixture(scope="session")
def quiet_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a file that nothing happens to.

    One for all: a directory for each test takes longer than most of these tests do.
    """
    path = tmp_path_factory.mktemp("quiet") / "file"
    path.write_text("text")
    return str(path)


@pytest.fixture
def events() -> "tuple[list[tuple[Any, int]], Callable[[Any, int], None]]":
    """A list, and a callback that appends (watcher, revents) to it."""
    seen: list[tuple[Any, int]] = []

    def callback(watcher: Any, revents: int) -> None:
        seen.append((watcher, revents))

    return seen, callback


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `sys.unraisablehook` is called with, in a list."""
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    return reported


@pytest.fixture
def handle() -> "Iterator[Callable[[int, Any], None]]":
    """Set Python's handlers of signals, which are taken back afterwards."""
    before: dict[int, Any] = {}

    def handle(signum: int, handler: Any) -> None:
        before.setdefault(signum, signal.getsignal(signum))
        signal.signal(signum, handler)

    yield handle
    for signum, handler in before.items():
        signal.signal(signum, handler)


class Result(NamedTuple):
    """What became of a script."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_script() -> Callable[..., Result]:
    """Run Python source in a process of its own: what can crash or fork.

    run_script(source, *args, options=(), env=None, stdin="", check=True) returns a
    Result; with `check` it asserts that the script ended with 0 and said nothing on
    stderr.
    """

    def run(
        source: str,
        *args: str,
        options: tuple[str, ...] = (),
        env: Optional["dict[str, str]"] = None,
        stdin: str = "",
        check: bool = True,
        timeout: float = 60.0,
    ) -> Result:
        process = subprocess.run(
            [
                sys.executable,
                "-X",
                "faulthandler",
                *options,
                "-c",
                textwrap.dedent(source),
                *args,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=str(Path(__file__).parent),
            check=False,
        )
        result = Result(process.returncode, process.stdout, process.stderr)
        if check:
            assert (result.returncode, result.stderr) == (0, ""), result
        return result

    return run


@pytest.fixture
def in_thread() -> Iterator[Callable[..., threading.Thread]]:
    """Start threads, joined afterwards; an exception in one fails the test."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def start(function: Callable[..., object], *args: Any) -> threading.Thread:
        def target() -> None:
            try:
                function(*args)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=target)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for error in errors:
        raise error
