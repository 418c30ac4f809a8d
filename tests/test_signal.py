"""Signal watchers: delivery, and what is left of the program's own signal handling.

What replaces handlers for good is in scripts.
"""

import os
import signal
import threading

import pytest

from mood_event import (
    EV_SIGNAL,
    EVFLAG_NOSIGMASK,
    EVFLAG_SIGNALFD,
    EVRUN_NOWAIT,
    Error,
    Loop,
    Signal,
    feed_signal,
)

FLAGS = [0, EVFLAG_SIGNALFD, EVFLAG_NOSIGMASK]


def ignore(watcher, revents):
    """A callback that does nothing."""


def not_called(signum, frame):
    """A handler that must not be called."""
    raise AssertionError(signum)


@pytest.fixture(autouse=True)
def same_signals_afterwards():
    """Whatever a test does, the process has its handlers and its mask again."""

    def state():
        numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGCHLD)
        return (
            [signal.getsignal(number) for number in numbers],
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        )

    before = state()
    yield
    assert state() == before


def kill(signum):
    """Send a signal to this process."""
    os.kill(os.getpid(), signum)


# -- delivery -------------------------------------------------------------------------


@pytest.mark.core
def test_signal_that_is_sent_is_delivered_by_the_loop(loop, handle):
    seen = []

    def callback(watcher, revents):
        seen.append((watcher, revents, threading.current_thread()))
        watcher.stop()

    handle(signal.SIGUSR1, not_called)
    watcher = loop.signal(signal.SIGUSR1, callback)
    watcher.start()
    kill(signal.SIGUSR1)
    assert seen == []
    assert loop.start() is False
    assert seen == [(watcher, EV_SIGNAL, threading.main_thread())]


@pytest.mark.core
def test_signal_sent_many_times_may_be_one_event(loop, events):
    seen, callback = events
    watcher = loop.signal(signal.SIGUSR1, callback)
    watcher.start()
    for _ in range(10):
        kill(signal.SIGUSR1)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    loop.start(EVRUN_NOWAIT)
    assert 1 <= len(seen) <= 10
    assert set(seen) == {(watcher, EV_SIGNAL)}


@pytest.mark.core
def test_signal_is_told_to_all_its_watchers(loop, events):
    seen, callback = events
    watchers = [loop.signal(signal.SIGUSR1, callback) for _ in range(3)]
    other = loop.signal(signal.SIGUSR2, callback)
    for watcher in (*watchers, other):
        watcher.start()
    kill(signal.SIGUSR1)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_SIGNAL) for watcher in watchers]
    watchers[1].stop()
    del seen[:]
    kill(signal.SIGUSR1)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    assert seen == [(watchers[0], EV_SIGNAL), (watchers[2], EV_SIGNAL)]


@pytest.mark.core
def test_signal_feed_signal_is_a_signal(loop, in_thread, events):
    seen, callback = events
    watcher = loop.signal(signal.SIGUSR1, callback)
    watcher.start()
    feed_signal(signal.SIGUSR2)
    feed_signal(signal.SIGUSR1)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    in_thread(feed_signal, signal.SIGUSR1).join()
    while len(seen) == 1:
        loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_SIGNAL)] * 2


@pytest.mark.core
def test_signal_feed_signal_wakes_the_loop(loop, in_thread):
    running = threading.Event()

    def callback(watcher, revents):
        watcher.stop()

    def feed():
        running.wait()
        feed_signal(signal.SIGUSR1)

    def once_running(watcher, revents):
        watcher.stop()
        running.set()

    loop.signal(signal.SIGUSR1, callback).start()
    loop.prepare(once_running).start()
    in_thread(feed)
    assert loop.start() is False


@pytest.mark.core
def test_signal_of_the_keyboard_is_the_watchers(loop, events):
    seen, callback = events
    watcher = loop.signal(signal.SIGINT, callback)
    watcher.start()
    kill(signal.SIGINT)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_SIGNAL)]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("blocked", [False, True])
def test_signal_flags_deliver_and_restore_the_mask(flags, blocked, handle, events):
    seen, callback = events
    handle(signal.SIGUSR1, not_called)
    numbers = {signal.SIGUSR1} if blocked else set()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with Loop(flags) as loop:
            watcher = loop.signal(signal.SIGUSR1, callback)
            for _ in range(2):
                watcher.start()
                if not flags & EVFLAG_SIGNALFD and blocked:
                    # The program's mask is its own: it may want to fetch them.
                    feed_signal(signal.SIGUSR1)
                else:
                    # For this thread: one that is just ending has another mask.
                    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
                while not seen:
                    loop.start(EVRUN_NOWAIT)
                assert seen.pop() == (watcher, EV_SIGNAL)
                watcher.stop()
                assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
            watcher.start()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- arguments ------------------------------------------------------------------------


@pytest.mark.core
def test_signal_set_watches_another(loop, events):
    seen, callback = events
    watcher = loop.signal(signal.SIGUSR1, callback)
    assert watcher.signum == signal.SIGUSR1
    watcher.start()
    watcher.stop()
    watcher.set(signal.SIGUSR2)
    assert watcher.signum == signal.SIGUSR2
    assert type(watcher.signum) is int
    watcher.start()
    kill(signal.SIGUSR2)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_SIGNAL)]


@pytest.mark.core
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (signal.NSIG, ValueError),
        (1000, ValueError),
        (2**40, ValueError),
        (signal.SIGKILL, ValueError),
        (signal.SIGSTOP, ValueError),
        ("SIGUSR1", TypeError),
        (None, TypeError),
        (10.0, TypeError),
    ],
)
def test_signal_refuses_what_is_no_signal(loop, bad, error):
    watcher = loop.signal(signal.SIGUSR1, ignore)
    for attempt in (
        lambda: Signal(bad, loop, ignore),
        lambda: watcher.__init__(bad, loop, ignore),
        lambda: watcher.set(bad),
    ):
        with pytest.raises(error, match="signum"):
            attempt()
        assert watcher.signum == signal.SIGUSR1


@pytest.mark.core
def test_signal_takes_every_number_there_is(loop, events):
    seen, callback = events
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    for signum in sorted(numbers):
        watcher = loop.signal(signum, callback)
        watcher.start()
        feed_signal(signum)
        while not seen:
            loop.start(EVRUN_NOWAIT)
        assert seen.pop() == (watcher, EV_SIGNAL)
        assert watcher.signum == signum
        watcher.stop()


@pytest.mark.core
def test_signal_repr_tells_the_signal(loop):
    for signum in sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}):
        name = getattr(signum, "name", str(int(signum)))
        assert name in repr(loop.signal(signum, ignore))


@pytest.mark.core
def test_signal_start_is_refused_in_a_second_loop(loop, events):
    seen, callback = events
    first = loop.signal(signal.SIGUSR1, callback)
    first.start()
    with Loop() as other:
        second = other.signal(signal.SIGUSR1, callback)
        for _ in range(2):
            with pytest.raises(Error, match="another loop watches this signal"):
                second.start()
            assert not second.active
        # Another signal is free, and so is this one when the first has stopped.
        other.signal(signal.SIGUSR2, callback).start()
        first.stop()
        second.start()
        with pytest.raises(Error, match="another loop watches this signal"):
            first.start()
        kill(signal.SIGUSR1)
        while not seen:
            other.start(EVRUN_NOWAIT)
        assert seen == [(second, EV_SIGNAL)]
    first.start()
    assert first.active


# -- the program's own handlers -------------------------------------------------------


@pytest.mark.core
def test_signal_stop_restores_a_python_handler(loop, handle, events):
    seen, callback = events
    called = []

    def handler(signum, frame):
        called.append(signum)

    handle(signal.SIGUSR1, handler)
    watchers = [loop.signal(signal.SIGUSR1, callback) for _ in range(2)]
    for count in (1, 2):
        for watcher in watchers:
            watcher.start()
        watchers[0].stop()
        kill(signal.SIGUSR1)
        while len(seen) < count:
            loop.start(EVRUN_NOWAIT)
        assert len(called) == count - 1
        watchers[1].stop()
        assert signal.getsignal(signal.SIGUSR1) is handler
        kill(signal.SIGUSR1)
        assert called == [signal.SIGUSR1] * count


@pytest.mark.core
def test_signal_close_restores_a_python_handler(handle):
    called = []
    handle(signal.SIGUSR1, lambda *arguments: called.append(arguments[0]))
    with Loop() as loop:
        loop.signal(signal.SIGUSR1, ignore).start()
        loop.signal(signal.SIGUSR1, ignore).start()
    kill(signal.SIGUSR1)
    assert called == [signal.SIGUSR1]


@pytest.mark.core
def test_signal_stop_leaves_what_the_program_put_there_meanwhile(loop, handle):
    called = []
    handle(signal.SIGUSR1, not_called)
    watcher = loop.signal(signal.SIGUSR1, ignore)
    watcher.start()
    handle(signal.SIGUSR1, lambda *arguments: called.append(arguments[0]))
    watcher.stop()
    kill(signal.SIGUSR1)
    assert called == [signal.SIGUSR1]


PRELUDE = """
import os, signal
from mood_event import EVFLAG_SIGNALFD, EVRUN_NOWAIT, Loop, default_loop

def kill(signum):
    os.kill(os.getpid(), signum)

seen = []
def callback(watcher, revents):
    seen.append(watcher.signum)
"""


@pytest.mark.core
@pytest.mark.parametrize("flags", ["0", "EVFLAG_SIGNALFD"])
def test_signal_stop_restores_that_it_is_ignored(run_script, flags):
    run_script(
        PRELUDE
        + f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with Loop({flags}) as loop:
    watcher = loop.signal(signal.SIGTERM, callback)
    watcher.start()
    if not {flags}:
        kill(signal.SIGTERM)
        while not seen:
            loop.start(EVRUN_NOWAIT)
    watcher.stop()
    kill(signal.SIGTERM)
    watcher.start()
kill(signal.SIGTERM)
"""
    )


@pytest.mark.core
def test_signal_stop_restores_the_default(run_script):
    result = run_script(
        PRELUDE
        + """
with Loop() as loop:
    watcher = loop.signal(signal.SIGTERM, callback)
    watcher.start()
    kill(signal.SIGTERM)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    watcher.stop()
    print("alive", flush=True)
    kill(signal.SIGTERM)
    print("still alive", flush=True)
""",
        check=False,
    )
    assert result == (-signal.SIGTERM, "alive\n", "")


@pytest.mark.core
def test_signal_stop_restores_keyboard_interrupts(run_script):
    run_script(
        PRELUDE
        + """
with Loop() as loop:
    watcher = loop.signal(signal.SIGINT, callback)
    watcher.start()
    kill(signal.SIGINT)
    while not seen:
        loop.start(EVRUN_NOWAIT)
    watcher.stop()
    try:
        kill(signal.SIGINT)
        for _ in range(100): pass
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
"""
    )


@pytest.mark.core
def test_signal_watchers_may_be_active_when_the_program_ends(run_script):
    run_script(
        PRELUDE
        + """
loop = default_loop()
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
    loop.signal(signum, callback).start()
Loop(EVFLAG_SIGNALFD).signal(signal.SIGUSR1, callback).start()
loop.start(EVRUN_NOWAIT)
"""
    )
