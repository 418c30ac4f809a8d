"""Rows about Child watchers, and whose exit statuses are whose."""

import os
import signal
import subprocess
import sys
from typing import Any, Callable

from misuse.table import Case, row
from mood_event import EV_CHILD, EVRUN_NOWAIT, Child, Error, Loop, default_loop

OFF_THE_DEFAULT = "Child watchers are only supported in the 'default loop'"


def use_default(case: Case) -> None:
    """Have the case use the default loop."""
    case.loop = default_loop()


def fork(status: int = 0, gate: int = -1) -> int:
    """A child that ends with a status, once there is something to read at the gate."""
    pid = os.fork()
    if not pid:
        if gate >= 0:
            os.set_blocking(gate, True)
            os.read(gate, 1)
        os._exit(status)
    return pid


def statuses(case: Case) -> "list[tuple[int, int]]":
    """The children that were told of, and how they ended."""
    return [(watcher.rpid, os.WEXITSTATUS(watcher.rstatus)) for watcher, _ in case.seen]


def run_until_seen(case: Case, count: int) -> None:
    """Run until so many events have been seen."""
    while len(case.seen) < count:
        case.run()


def is_gone(pid: int) -> bool:
    """Whether a process is not, or not any more, a child whose status is there."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


# -- arguments ------------------------------------------------------------------------


@row()
def off_the_default_loop(case: Case) -> None:
    # There is no default loop yet, and then there is.
    for _ in range(2):
        for pid in (0, 1, os.getpid()):
            for attempt in (
                lambda pid=pid: Child(pid, False, case.loop, case.ignore),
                lambda pid=pid: case.loop.child(pid, True, case.ignore),
            ):
                with case.raises(Error, OFF_THE_DEFAULT):
                    attempt()
        watcher = default_loop().child(1, False, case.ignore)
        with case.raises(Error, OFF_THE_DEFAULT, watcher):
            watcher.__init__(1, False, case.loop, case.ignore)
    default_loop().close()


@row()
def on_what_was_the_default_loop(case: Case) -> None:
    former = default_loop()
    watcher = former.child(1, False, case.ignore)
    watcher.start()
    former.close()
    use_default(case)
    for method in ("start", "stop", "clear"):
        with case.raises(Error, "the loop is closed", watcher):
            getattr(watcher, method)()
    with case.raises(Error, "the loop is closed"):
        former.child(1, False, case.ignore)


@row(pid=[-1, -2, -(2**31)])
def negative(case: Case, pid: int) -> None:
    use_default(case)
    watcher = case.loop.child(1, False, case.ignore)
    for attempt in (
        lambda: Child(pid, False, case.loop, case.ignore),
        lambda: watcher.set(pid, False),
        lambda: watcher.__init__(pid, False, case.loop, case.ignore),
    ):
        with case.raises(ValueError, f"pid must be >= 0, got {pid}", watcher):
            attempt()


@row(pid=[2**31, 2**64, -(2**31) - 1])
def huge(case: Case, pid: int) -> None:
    use_default(case)
    watcher = case.loop.child(1, False, case.ignore)
    for attempt in (
        lambda: Child(pid, False, case.loop, case.ignore),
        lambda: watcher.set(pid, False),
    ):
        with case.raises(OverflowError, f"pid must fit in a C int, got {pid}", watcher):
            attempt()


@row(pid=[None, "1", 1.0, b"1"])
def no_number(case: Case, pid: Any) -> None:
    use_default(case)
    watcher = case.loop.child(1, False, case.ignore)
    for attempt in (
        lambda: Child(pid, False, case.loop, case.ignore),
        lambda: watcher.set(pid, False),
    ):
        with case.raises(TypeError, f"pid must be an int, got {pid!r}", watcher):
            attempt()


@row()
def set_while_active(case: Case) -> None:
    use_default(case)
    pid = fork(3)
    watcher = case.loop.child(pid, False, case.record)
    watcher.start()
    for other in (0, 1, pid):
        with case.raises(Error, "while it is active", watcher):
            watcher.set(other, True)
    run_until_seen(case, 1)
    assert statuses(case) == [(pid, 3)]
    watcher.stop()


NOT_OURS: dict[str, Callable[[], int]] = {
    "init": lambda: 1,
    "parent": os.getppid,
    "itself": os.getpid,
    "nobody": lambda: 2**31 - 1,
}


@row(whose=list(NOT_OURS), trace=[False, True])
def not_ours(case: Case, whose: str, trace: bool) -> None:
    use_default(case)
    pid, ours = NOT_OURS[whose](), fork(4)
    watcher = case.loop.child(pid, trace, case.record)
    with case.allows():
        watcher.start()
        os.kill(os.getpid(), signal.SIGCHLD)
        for _ in range(3):
            case.run()
    assert (watcher.active, watcher.rpid, case.seen) == (True, 0, [])
    # It is in nobody's way.
    other = case.loop.child(ours, False, case.record)
    other.start()
    run_until_seen(case, 1)
    assert (case.seen, statuses(case)) == ([(other, EV_CHILD)], [(ours, 4)])
    watcher.stop()
    other.stop()
    assert case.loop.start() is False


# -- many -----------------------------------------------------------------------------


@row(who=["each", "any", "both"])
def two_hundred_at_once(case: Case, who: str) -> None:
    use_default(case)
    reader, writer = case.pipe()
    told: list[tuple[int, int]] = []

    def tell(watcher: Child, revents: int) -> None:
        assert revents == EV_CHILD
        told.append((watcher.rpid, os.WEXITSTATUS(watcher.rstatus)))
        if len(told) == 200 * times:
            case.loop.stop()

    children = [(fork(number, reader), number) for number in range(200)]
    times = {"each": 1, "any": 1, "both": 2}[who]
    watchers = []
    if who != "any":
        watchers += [case.loop.child(pid, False, tell) for pid, _ in children]
    if who != "each":
        watchers.append(case.loop.child(0, False, tell))
    with case.allows():
        for watcher in watchers:
            watcher.start()
        os.write(writer, bytes(200))
        case.loop.start()
        for _ in range(3):
            case.run()
    assert sorted(told) == sorted(children * times)
    assert all(is_gone(pid) for pid, _ in children)
    for watcher in watchers:
        watcher.stop()
    assert case.loop.start() is False


@row()
def two_hundred_that_ended_before(case: Case) -> None:
    use_default(case)
    children = {fork(number): number for number in range(200)}

    def tell(watcher: Child, revents: int) -> None:
        case.record(watcher, revents)
        watcher.stop()

    with case.allows():
        for pid in children:
            case.loop.child(pid, False, tell).start()
        assert case.loop.start() is False
    assert sorted(statuses(case)) == sorted(children.items())


# -- whose they are -------------------------------------------------------------------


def run_status(status: int) -> int:
    """What subprocess.run says of a program that ends with a status."""
    return subprocess.run(["sh", "-c", f"exit {status}"], check=False).returncode


def popen_status(status: int) -> int:
    """The same, for one that has ended when it is waited for."""
    with subprocess.Popen(
        ["sh", "-c", f"exit {status}"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        # It ends, or is about to.
        assert process.stdout.read() == b""
        return process.wait()


def waitpid_status(status: int) -> int:
    """The same, for os.waitpid."""
    pid = fork(status)
    waited, raw = os.waitpid(pid, 0)
    assert waited == pid
    return os.WEXITSTATUS(raw)


WAITERS = [run_status, popen_status, waitpid_status]


@row(waiter=WAITERS)
def others_keep_their_own(case: Case, waiter: Callable[[int], int]) -> None:
    use_default(case)
    reader, writer = case.pipe()

    def during(timer: Any, revents: int) -> None:
        assert waiter(13) == 13
        os.write(writer, b"x")

    with case.allows():
        assert waiter(11) == 11
        case.run()
        assert waiter(12) == 12
        pid = fork(99, reader)
        watcher = case.loop.child(pid, False, case.record)
        watcher.start()
        case.run()
        case.loop.timer(0.0, 0.0, during).start()
        run_until_seen(case, 1)
        assert statuses(case) == [(pid, 99)]
        assert waiter(14) == 14
        watcher.stop()
        assert waiter(15) == 15
        case.loop.close()
        assert waiter(16) == 16
    case.loop = None


@row(kind=["popen", "fork"])
def other_that_ends_while_the_loop_runs(case: Case, kind: str) -> None:
    use_default(case)
    reader, writer = case.pipe()
    pid = fork(99, reader)
    watcher = case.loop.child(pid, False, case.record)
    watcher.start()
    process = None
    if kind == "popen":
        process = subprocess.Popen(["sh", "-c", "exit 21"])
        other = process.pid
    else:
        other = fork(21)
    seen: list[int] = []

    def signalled(signal_watcher: Any, revents: int) -> None:
        seen.append(revents)
        if len(seen) == 1:
            os.write(writer, b"x")

    # The first SIGCHLD is the other's, and the loop has looked for its own by then.
    chld = case.loop.signal(signal.SIGCHLD, signalled)
    with case.allows():
        chld.start()
        run_until_seen(case, 1)
    assert statuses(case) == [(pid, 99)]
    watcher.stop()
    chld.stop()
    if process is not None:
        assert process.wait() == 21
    else:
        assert os.WEXITSTATUS(os.waitpid(other, 0)[1]) == 21


@row()
def own_that_somebody_else_reaps(case: Case) -> None:
    # It is never told of, then, and stays active: its status is somebody else's.
    use_default(case)
    pid, other = fork(5), fork(6)
    watcher = case.loop.child(pid, False, case.record)
    second = case.loop.child(other, False, case.record)
    with case.allows():
        watcher.start()
        second.start()
        assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 5
        run_until_seen(case, 1)
        for _ in range(3):
            case.run()
    assert statuses(case) == [(other, 6)]
    assert (watcher.active, watcher.rpid, watcher.rstatus) == (True, 0, 0)
    watcher.stop()
    second.stop()
    assert case.loop.start() is False


@row()
def popen_that_is_watched(case: Case) -> None:
    # The watcher takes the status: subprocess makes 0 of a child that is gone.
    use_default(case)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "raise SystemExit(7)"], stdin=subprocess.DEVNULL
    )
    watcher = case.loop.child(process.pid, False, case.record)
    with case.allows():
        watcher.start()
        run_until_seen(case, 1)
        assert process.wait() == 0
    assert statuses(case) == [(process.pid, 7)]
    watcher.stop()


@row()
def sigchld_is_ignored(case: Case) -> None:
    # Then the system keeps no status, but from the start of a watcher on it does.
    use_default(case)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    reader, writer = case.pipe()
    watcher = case.loop.child(fork(8, reader), False, case.record)
    with case.allows():
        watcher.start()
        os.write(writer, b"x")
        run_until_seen(case, 1)
    assert statuses(case) == [(watcher.pid, 8)]
    watcher.stop()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@row()
def in_the_childs_child(case: Case) -> None:
    # After a fork, the parent's children are not the child's.
    use_default(case)
    reader, writer = case.pipe()
    pid = fork(9, reader)
    watcher = case.loop.child(pid, False, case.record)
    watcher.start()
    forked = os.fork()
    if not forked:
        for _ in range(3):
            case.loop.start(EVRUN_NOWAIT)
        os._exit(10 if watcher.active and not case.seen else 1)
    with case.allows():
        assert os.WEXITSTATUS(os.waitpid(forked, 0)[1]) == 10
        os.write(writer, b"x")
        run_until_seen(case, 1)
    assert statuses(case) == [(pid, 9)]
    watcher.stop()


@row()
def loop_closed_with_active_ones(case: Case) -> None:
    use_default(case)
    pid = fork(17)
    with case.allows():
        for watched in (pid, 0, os.getpid()):
            case.loop.child(watched, True, case.record).start()
        case.loop.close()
    # Nobody has taken it, and nobody will.
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 17
    assert case.seen == []
    with Loop() as other:
        watcher = other.signal(signal.SIGCHLD, case.record)
        watcher.start()
        watcher.stop()
    use_default(case)
