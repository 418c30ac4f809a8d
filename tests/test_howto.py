"""The programs of docs/howto/ that do not end by themselves, or take arguments.

Each is run as its reader would run it, with the interpreter that runs the tests. Waits
for what a program says, never for time to pass.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from documents import ROOT, blocks, program
from running import LONG, Running


def run(path, *args, prefix=()):
    return subprocess.run(
        # -X dev: so that whatever is left open is told on stderr.
        [*prefix, sys.executable, "-X", "dev", str(path), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


# -- children ------------------------------------------------------------------------


@pytest.fixture
def run_py(tmp_path):
    path = tmp_path / "run.py"
    path.write_text(program("docs/howto/children.md", "run.py"), encoding="utf-8")
    return path


def test_run_tells_how_commands_ended(run_py):
    result = run(
        run_py, LONG, "echo hello; echo oops >&2; exit 3", "kill -9 $$", "true"
    )
    assert (result.returncode, result.stderr) == (0, "")
    for text in (
        "echo hello; echo oops >&2; exit 3: status 3\n"
        "    stdout: hello\n"
        "    stderr: oops\n",
        "kill -9 $$: SIGKILL\n",
        "true: status 0\n",
    ):
        assert text in result.stdout
    assert result.stdout.count("\n") == 5


def test_run_has_all_that_a_command_printed(run_py):
    # More than a pipe holds, and at the end of the process it is still full.
    command = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end"
    result = run(run_py, LONG, command)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        f"{command}: status 0\n    stdout: {'x' * 1_000_000}\n    stdout: end\n"
    )


def test_run_ends_what_takes_too_long(run_py, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    command = f"sleep 1000 >{fifo}; true"
    begin = time.monotonic()
    result = run(run_py, 0.5, command)
    assert time.monotonic() - begin > 0.5
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{command}: SIGTERM (too late)\n"
    # Not the shell alone has ended: nobody has the pipe any more.
    os.close(writer)
    assert select.select([reader], [], [], LONG)[0] == [reader]
    os.close(reader)


def test_run_kills_what_does_not_end(run_py):
    source = run_py.read_text(encoding="utf-8")
    assert "GRACE = 2.0" in source
    run_py.write_text(source.replace("GRACE = 2.0", "GRACE = 0.2"), encoding="utf-8")
    # That a signal is ignored is inherited, and from its first moment on.
    prefix = ["sh", "-c", 'trap "" TERM && exec "$@"', "sh"]
    result = run(run_py, 0.2, "sleep 1000", prefix=prefix)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "sleep 1000: SIGKILL (too late)\n"


def test_run_does_not_wait_for_who_keeps_its_pipes_open(run_py, tmp_path):
    pid_file = tmp_path / "pid"
    command = f"sleep 1000 & echo $! >{pid_file}; echo started"
    result = run(run_py, 0.5, command)
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{command}: status 0\n    stdout: started\n"


# -- waking the loop -------------------------------------------------------------------


@pytest.fixture
def pool_py(tmp_path):
    [block] = [
        block
        for block in blocks(ROOT / "docs/howto/wake.md")
        if "\nclass Pool:\n" in block.text
    ]
    path = tmp_path / "pool.py"
    path.write_text(block.text, encoding="utf-8")
    return path


def test_pool_counts_nothing_that_cannot_be_submitted(pool_py):
    with pool_py.open("a", encoding="utf-8") as file:
        file.write(
            "with Loop() as loop:\n"
            "    pool = Pool(loop, 1)\n"
            "    pool.close()\n"
            "    try:\n"
            "        pool.run(on_done, digest, b'too late')\n"
            "    except RuntimeError:\n"
            "        print('refused', pool.running, loop.start())\n"
        )
    result = run(pool_py)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\nrefused 0 False\n")


def test_pool_can_be_one_of_processes(pool_py):
    in_threads = run(pool_py)
    source = pool_py.read_text(encoding="utf-8")
    for old, new in (
        ("import hashlib\n", "import hashlib\nimport multiprocessing\n"),
        # The page's functions are in no module that another process could import.
        (
            "ThreadPoolExecutor(threads)",
            "ProcessPoolExecutor(threads, multiprocessing.get_context('fork'))",
        ),
    ):
        assert old in source
        source = source.replace(old, new)
    pool_py.write_text(source, encoding="utf-8")
    in_processes = run(pool_py)
    assert in_threads.stdout.count("\n") == 3
    for result in (in_threads, in_processes):
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == in_threads.stdout


# -- SIGTERM -------------------------------------------------------------------------


class Jobs(Running):
    """jobs.py, running."""

    def __init__(self, directory, grace):
        path = directory / "jobs.py"
        source = program("docs/howto/sigterm.md", "jobs.py")
        assert "GRACE = 20.0" in source
        path.write_text(source.replace("GRACE = 20.0", f"GRACE = {grace}"))
        super().__init__(
            [sys.executable, "-X", "dev", str(path)], stdin=subprocess.PIPE
        )

    def begin(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        assert self.line() == f"begun: {seconds}"

    def answer(self, signum):
        """Send a signal; returns the line that it is answered with."""
        self.process.send_signal(signum)
        return self.line() + "\n"

    def finish(self):
        """The exit status, and what was said up to the end."""
        before = len(self.output)
        status = self.wait(complaints=())
        return status, self.output[before:]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_jobs_are_finished_before_the_end(tmp_path, signum):
    with Jobs(tmp_path, grace=10_000) as jobs:
        jobs.begin(1.0)
        jobs.begin(1.1)
        said = jobs.answer(signum)
        # This one comes too late.
        jobs.process.stdin.write("0.0\n")
        jobs.process.stdin.flush()
        status, rest = jobs.finish()
        said += rest
        assert status == 0
        assert re.search("^ending, . jobs are under way$", said, re.M)
        assert re.findall("^done: (.*)$", said, re.M) == ["1.0", "1.1"]
        assert "begun" not in said


def test_jobs_end_at_once_when_there_are_none(tmp_path):
    with Jobs(tmp_path, grace=10_000) as jobs:
        jobs.begin(0.0)
        assert jobs.process.stdout.readline() == "done: 0.0\n"
        assert jobs.answer(signal.SIGTERM) == "ending, 0 jobs are under way\n"
        assert jobs.finish() == (0, "")


def test_jobs_are_given_up_when_the_time_is_over(tmp_path):
    with Jobs(tmp_path, grace=0.3) as jobs:
        jobs.begin(1000.0)
        begin = time.monotonic()
        assert jobs.answer(signal.SIGTERM) == "ending, 1 jobs are under way\n"
        assert jobs.finish() == (-signal.SIGTERM, "given up: 1000.0\n")
        assert time.monotonic() - begin > 0.2


def test_jobs_are_given_up_at_a_second_signal(tmp_path):
    with Jobs(tmp_path, grace=10_000) as jobs:
        jobs.begin(1000.0)
        assert jobs.answer(signal.SIGTERM) == "ending, 1 jobs are under way\n"
        jobs.process.send_signal(signal.SIGINT)
        assert jobs.finish() == (-signal.SIGTERM, "given up: 1000.0\n")


def test_jobs_end_with_their_input(tmp_path):
    with Jobs(tmp_path, grace=10_000) as jobs:
        jobs.begin(0.2)
        jobs.process.stdin.close()
        assert jobs.finish() == (0, "done: 0.2\n")
