"""Rows about Signals, and the functions that feed signals."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from misuse.table import Case, row
from mood_event import (
    EV_SIGNAL,
    EVFLAG_NOSIGMASK,
    EVFLAG_SIGNALFD,
    EVRUN_NOWAIT,
    Error,
    Loop,
    Signal,
    default_loop,
    feed_signal,
)

FLAGS = {"plain": 0, "signalfd": EVFLAG_SIGNALFD, "nosigmask": EVFLAG_NOSIGMASK}


def kill(signum: int) -> None:
    """Send a signal to this thread."""
    signal.pthread_kill(threading.get_ident(), signum)


def handlers() -> "dict[Any, Any]":
    """What the system does with each signal: its lines of /proc/self/status, too.

    Python knows its own handlers alone, and not what libev has put in their place.
    """
    found: dict[Any, Any] = {
        signum: signal.getsignal(signum) for signum in signal.valid_signals()
    }
    found["mask"] = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("SigBlk", "SigIgn", "SigCgt"):
                found[name] = value
    return found


@contextmanager
def handlers_stay(case: Case) -> Iterator[None]:
    """Assert that signals are handled as before, after the block."""
    before = handlers()
    with case.allows():
        yield
    assert handlers() == before


def wait(case: Case) -> None:
    """Run until something has been seen."""
    while not case.seen:
        case.run()


def bad_numbers() -> "list[int]":
    """Numbers that are no signals: two of them are the C library's own."""
    between = set(range(1, signal.NSIG)) - {int(n) for n in signal.valid_signals()}
    return [0, -1, 65, 10**6, 2**31 - 1, 2**31, 2**64, -(2**40), *sorted(between)]


# -- numbers --------------------------------------------------------------------------


@row(signum=[*bad_numbers(), int(signal.SIGKILL), int(signal.SIGSTOP)])
def number(case: Case, signum: int) -> None:
    if signum in (signal.SIGKILL, signal.SIGSTOP):
        says = f"signum must not be {signal.Signals(signum).name}"
    else:
        says = f"signum must be a valid signal, got {signum}"
    with handlers_stay(case):
        watcher = case.loop.signal(signal.SIGUSR1, case.record)
        for attempt in (
            lambda: Signal(signum, case.loop, case.ignore),
            lambda: case.loop.signal(signum, case.ignore),
            lambda: watcher.set(signum),
            lambda: watcher.__init__(signum, case.loop, case.ignore),
            lambda: feed_signal(signum),
            lambda: case.loop.feed_signal_event(signum),
        ):
            with case.raises(ValueError, says, watcher):
                attempt()
        watcher.start()
        kill(signal.SIGUSR1)
        wait(case)
        watcher.stop()
    assert case.seen == [(watcher, EV_SIGNAL)]


@row(bad=[None, "SIGUSR1", b"", 10.0, signal.SIG_IGN.__class__])
def no_number(case: Case, bad: Any) -> None:
    says = f"signum must be an int, got {bad!r}"
    watcher = case.loop.signal(signal.SIGUSR1, case.ignore)
    for attempt in (
        lambda: Signal(bad, case.loop, case.ignore),
        lambda: watcher.set(bad),
        lambda: watcher.__init__(bad, case.loop, case.ignore),
        lambda: feed_signal(bad),
        lambda: case.loop.feed_signal_event(bad),
    ):
        with case.raises(TypeError, says, watcher):
            attempt()


@row()
def set_while_active(case: Case) -> None:
    watcher = case.loop.signal(signal.SIGUSR1, case.record)
    watcher.start()
    for signum in (signal.SIGUSR1, signal.SIGUSR2):
        with case.raises(Error, "while it is active", watcher):
            watcher.set(signum)
    kill(signal.SIGUSR1)
    wait(case)
    assert case.seen == [(watcher, EV_SIGNAL)]
    watcher.stop()


# -- two loops ------------------------------------------------------------------------


@row(flags=list(FLAGS))
def in_two_loops(case: Case, flags: str) -> None:
    case.loop = Loop(FLAGS[flags])
    other = Loop(FLAGS[flags])
    # Whoever blocks it, the other way of libev's would not get it.
    signal.signal(signal.SIGUSR1, lambda *arguments: None)
    with handlers_stay(case):
        first = case.loop.signal(signal.SIGUSR1, case.record)
        second = other.signal(signal.SIGUSR1, case.record)
        first.start()
        for _ in range(2):
            with case.raises(Error, "another loop watches this signal", first, second):
                second.start()
        kill(signal.SIGUSR1)
        wait(case)
        assert case.seen.pop() == (first, EV_SIGNAL)
        first.stop()
        second.start()
        with case.raises(Error, "another loop watches this signal", first, second):
            first.start()
        kill(signal.SIGUSR1)
        while not case.seen:
            other.start(EVRUN_NOWAIT)
        assert case.seen == [(second, EV_SIGNAL)]
        other.close()
        first.start()
        first.stop()


@row()
def in_two_loops_and_stopped_in_the_wrong_one(case: Case) -> None:
    with handlers_stay(case):
        other = Loop()
        first = case.loop.signal(signal.SIGUSR1, case.record)
        second = other.signal(signal.SIGUSR1, case.record)
        first.start()
        with case.raises(Error, "another loop", first):
            second.start()
        with case.allows(first):
            second.stop()
            other.close()
        kill(signal.SIGUSR1)
        wait(case)
        assert case.seen == [(first, EV_SIGNAL)]
        first.stop()


@row(flags=list(FLAGS))
def loop_closed_with_active_ones(case: Case, flags: str) -> None:
    called: list[int] = []
    signal.signal(signal.SIGUSR1, lambda signum, frame: called.append(signum))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    with handlers_stay(case):
        loop = Loop(FLAGS[flags])
        for signum in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            loop.signal(signum, case.record).start()
        loop.close()
    kill(signal.SIGUSR1)
    kill(signal.SIGUSR2)
    assert (called, case.seen) == ([signal.SIGUSR1], [])
    # Another loop can have them now.
    watcher = case.loop.signal(signal.SIGUSR1, case.record)
    watcher.start()
    kill(signal.SIGUSR1)
    wait(case)
    assert (called, case.seen) == ([signal.SIGUSR1], [(watcher, EV_SIGNAL)])
    watcher.stop()


@row(flags=list(FLAGS))
def loop_closed_with_a_pending_one(case: Case, flags: str) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with handlers_stay(case):
        loop = Loop(FLAGS[flags])
        watcher = loop.signal(signal.SIGUSR1, case.record)
        watcher.start()
        kill(signal.SIGUSR1)
        feed_signal(signal.SIGUSR1)
        watcher.feed(EV_SIGNAL)
        loop.close()
    with case.raises(Error, "the loop is closed", watcher):
        watcher.start()
    with case.raises(Error, "the loop is closed", watcher):
        loop.feed_signal_event(signal.SIGUSR1)
    assert case.seen == []


@row()
def sigchld_in_two_loops(case: Case) -> None:
    with handlers_stay(case):
        child = default_loop().child(os.getpid(), False, case.ignore)
        child.start()
        watcher = case.loop.signal(signal.SIGCHLD, case.record)
        with case.raises(Error, "another loop watches this signal", watcher, child):
            watcher.start()
        child.stop()
        watcher.start()
        with case.raises(Error, "another loop watches this signal", watcher, child):
            child.start()
        kill(signal.SIGCHLD)
        wait(case)
        assert case.seen == [(watcher, EV_SIGNAL)]
        watcher.stop()
        default_loop().close()


# -- fed ------------------------------------------------------------------------------


def in_a_thread(function: Any, *arguments: Any) -> None:
    """Call in another thread, and wait for it."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


@row(when=["never", "before", "after", "closed"])
def fed_that_nobody_watches(case: Case, when: str) -> None:
    numbers = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    loop = case.loop if when != "closed" else Loop()
    # The C library takes two signals for itself with the first thread.
    in_a_thread(int)
    with handlers_stay(case):
        if when != "never":
            watcher = loop.signal(signal.SIGUSR1, case.record)
            watcher.start()
            case.run()
            if when == "after":
                watcher.stop()
            if when == "closed":
                loop.close()
        for signum in numbers:
            if when == "before" and signum == signal.SIGUSR1:
                continue
            feed_signal(signum)
            case.loop.feed_signal_event(signum)
            in_a_thread(feed_signal, signum)
        for _ in range(3):
            case.run()
        if when == "before":
            watcher.stop()
    assert case.seen == []


@row()
def fed_to_the_wrong_loop(case: Case) -> None:
    other = Loop()
    watcher = other.signal(signal.SIGUSR1, case.record)
    watcher.start()
    with case.allows(watcher):
        case.loop.feed_signal_event(signal.SIGUSR1)
        case.run()
        other.start(EVRUN_NOWAIT)
    assert case.seen == []
    # This one goes to the loop that watches it, from anywhere.
    in_a_thread(feed_signal, signal.SIGUSR1)
    case.run()
    assert case.seen == []
    while not case.seen:
        other.start(EVRUN_NOWAIT)
    assert case.seen == [(watcher, EV_SIGNAL)]
    other.close()


@row()
def fed_and_stopped_before_it_is_told(case: Case) -> None:
    with handlers_stay(case):
        watcher = case.loop.signal(signal.SIGUSR1, case.record)
        watcher.start()
        feed_signal(signal.SIGUSR1)
        case.loop.feed_signal_event(signal.SIGUSR1)
        watcher.stop()
        for _ in range(3):
            case.run()
    assert case.seen == []


# -- the program's own handlers -------------------------------------------------------


@row(flags=["plain", "nosigmask"])
def handler_changed_while_active(case: Case, flags: str) -> None:
    case.loop = Loop(FLAGS[flags])
    called: list[int] = []
    watcher = case.loop.signal(signal.SIGUSR1, case.record)
    watcher.start()
    signal.signal(signal.SIGUSR1, lambda signum, frame: called.append(signum))
    with handlers_stay(case):
        kill(signal.SIGUSR1)
        for _ in range(3):
            case.run()
        assert (called, case.seen) == ([signal.SIGUSR1], [])
        # The watcher can still be fed, and leaves the handler alone.
        feed_signal(signal.SIGUSR1)
        wait(case)
        watcher.stop()
        kill(signal.SIGUSR1)
        assert called == [signal.SIGUSR1] * 2
    assert case.seen == [(watcher, EV_SIGNAL)]


@row(handler=[signal.SIG_IGN, signal.SIG_DFL])
def handler_taken_away_while_active(case: Case, handler: Any) -> None:
    watcher = case.loop.signal(signal.SIGURG, case.record)
    watcher.start()
    signal.signal(signal.SIGURG, handler)
    with handlers_stay(case):
        # Which nobody minds, by default.
        kill(signal.SIGURG)
        for _ in range(3):
            case.run()
        watcher.stop()
        kill(signal.SIGURG)
    assert case.seen == []
    assert signal.getsignal(signal.SIGURG) == handler


@row()
def handler_changed_by_the_callback(case: Case) -> None:
    called: list[int] = []

    def callback(watcher: Signal, revents: int) -> None:
        case.record(watcher, revents)
        signal.signal(signal.SIGUSR1, lambda signum, frame: called.append(signum))
        kill(signal.SIGUSR1)
        watcher.stop()
        kill(signal.SIGUSR1)

    watcher = case.loop.signal(signal.SIGUSR1, callback)
    with case.allows():
        watcher.start()
        kill(signal.SIGUSR1)
        assert case.loop.start() is False
    assert case.seen == [(watcher, EV_SIGNAL)]
    assert called == [signal.SIGUSR1] * 2


@row()
def all_of_them(case: Case) -> None:
    numbers = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    with handlers_stay(case):
        watchers = [case.loop.signal(signum, case.record) for signum in numbers]
        for watcher in watchers:
            watcher.start()
        for signum in numbers:
            feed_signal(signum)
        while len(case.seen) < len(numbers):
            case.run()
        for watcher in watchers:
            watcher.stop()
    assert {watcher for watcher, _ in case.seen} == set(watchers)


@row()
def thousand_of_one(case: Case) -> None:
    with handlers_stay(case):
        watchers = [case.loop.signal(signal.SIGUSR1, case.record) for _ in range(1000)]
        for watcher in watchers:
            watcher.start()
            watcher.start()
        kill(signal.SIGUSR1)
        wait(case)
        for watcher in watchers:
            watcher.stop()
            watcher.stop()
    assert [watcher for watcher, _ in case.seen] == watchers
