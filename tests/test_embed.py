"""Embed watchers: a loop within a loop."""

import os
import threading

import pytest

import mood_event
from mood_event import (
    EV_CUSTOM,
    EV_EMBED,
    EV_READ,
    EV_TIMER,
    EVBACKEND_SELECT,
    EVRUN_NOWAIT,
    Embed,
    Error,
    Loop,
    fatal,
)


def ignore(watcher, revents):
    """A callback that does nothing."""


def embeddable_loop():
    """A loop that can be embedded."""
    return Loop(mood_event.embeddable_backends() & mood_event.supported_backends())


@pytest.fixture
def other():
    """A loop to embed."""
    with embeddable_loop() as other:
        yield other


@pytest.fixture(params=["default", EVBACKEND_SELECT])
def outer(request):
    """A loop to embed in: one that could be embedded itself, and one that could not."""
    flags = 0 if request.param == "default" else request.param
    with Loop(flags) as loop:
        yield loop


def test_embed_without_callback_sweeps_by_itself(outer, other, pipe, events):
    seen, callback = events
    io = other.io(pipe.reader, EV_READ, callback)
    io.start()
    embed = outer.embed(other)
    assert (embed.other, embed.callback) == (other, None)
    embed.start()
    outer.start(EVRUN_NOWAIT)
    assert seen == []
    os.write(pipe.writer, b"x")
    while not seen:
        outer.start(EVRUN_NOWAIT)
    assert seen[0] == (io, EV_READ)


def test_embed_with_callback_leaves_the_sweep_to_it(outer, other, pipe, events):
    seen, callback = events
    embeds = []

    def needs_attention(watcher, revents):
        embeds.append((watcher, revents))
        if len(embeds) == 2:
            assert watcher.sweep() is None
            io.stop()

    io = other.io(pipe.reader, EV_READ, callback)
    io.start()
    embed = outer.embed(other, needs_attention)
    assert embed.callback is needs_attention
    embed.start()
    # libev runs the embedded loop itself when that has a new descriptor to watch.
    outer.start(EVRUN_NOWAIT)
    os.write(pipe.writer, b"x")
    while len(embeds) < 2:
        assert seen == []
        outer.start(EVRUN_NOWAIT)
    assert seen == [(io, EV_READ)]
    assert embeds == [(embed, EV_EMBED)] * 2


def test_embed_callback_can_be_set_and_taken_back(outer, other, pipe, events):
    seen, callback = events
    io = other.io(pipe.reader, EV_READ, callback)
    io.start()
    embed = outer.embed(other, ignore)
    embed.start()
    outer.start(EVRUN_NOWAIT)
    os.write(pipe.writer, b"x")
    for _ in range(3):
        outer.start(EVRUN_NOWAIT)
    assert seen == []
    embed.callback = None
    assert embed.callback is None
    while not seen:
        outer.start(EVRUN_NOWAIT)
    assert seen[0] == (io, EV_READ)


def test_embed_runs_watchers_that_the_embedded_loop_starts_later(outer, other, pipe):
    seen = []

    def first(watcher, revents):
        seen.append("first")
        watcher.stop()
        other.io(pipe.writer, mood_event.EV_WRITE, second).start()

    def second(watcher, revents):
        seen.append("second")
        watcher.stop()
        embed.stop()

    os.write(pipe.writer, b"x")
    embed = outer.embed(other)
    embed.start()
    outer.start(EVRUN_NOWAIT)
    other.io(pipe.reader, EV_READ, first).start()
    assert outer.start() is False
    assert seen == ["first", "second"]


def test_embed_sweep_runs_the_embedded_loop_once(outer, other, events):
    seen, callback = events
    timer = other.timer(0.0, 0.0, callback)
    timer.start()
    embed = outer.embed(other)
    assert embed.sweep() is None
    assert seen == [(timer, EV_TIMER)]
    embed.sweep()
    assert len(seen) == 1


def test_embed_set_embeds_another_loop(outer, other, pipe, events):
    seen, callback = events
    with embeddable_loop() as third:
        embed = outer.embed(other)
        embed.start()
        embed.stop()
        assert embed.set(third) is None
        assert embed.other is third
        embed.start()
        io = third.io(pipe.reader, EV_READ, callback)
        io.start()
        os.write(pipe.writer, b"x")
        while not seen:
            outer.start(EVRUN_NOWAIT)
        assert seen[0] == (io, EV_READ)
        outer.close()


@pytest.mark.parametrize("method", ["Embed", "set", "init"])
def test_embed_refuses_what_cannot_be_embedded(outer, other, method):
    def attempt(bad):
        if method == "Embed":
            Embed(bad, outer)
        elif method == "set":
            embed.set(bad)
        else:
            embed.__init__(bad, outer)

    embed = outer.embed(other)
    for bad in (None, 5, "loop", object(), Loop):
        with pytest.raises(TypeError, match="other must be a Loop"):
            attempt(bad)
    with Loop(EVBACKEND_SELECT) as plain:
        with pytest.raises(Error) as caught:
            attempt(plain)
        assert str(caught.value) == "'other' must be embeddable"
    closed = embeddable_loop()
    closed.close()
    with pytest.raises(Error, match="other is closed"):
        attempt(closed)
    assert embed.other is other


def test_embed_refuses_a_loop_in_itself(other):
    with pytest.raises(Error, match="in itself"):
        Embed(other, other)
    with embeddable_loop() as second, embeddable_loop() as third:
        embed = second.embed(third)
        with pytest.raises(Error, match="in itself"):
            embed.set(second)
        embed.start()
        other.embed(second).start()
        for inner in (third, second):
            with pytest.raises(Error, match="in itself"):
                inner.embed(other)
        # It was made when nothing was wrong with it yet.
        embed.stop()
        back = third.embed(other)
        embed.start()
        with pytest.raises(Error, match="in itself"):
            back.start()
        assert not back.active


def test_embed_start_refuses_a_loop_that_was_closed_since(outer):
    other = embeddable_loop()
    embed = outer.embed(other)
    other.close()
    with pytest.raises(Error, match="closed"):
        embed.start()
    assert not embed.active
    with pytest.raises(Error, match="closed"):
        embed.sweep()
    assert outer.start() is False


def test_embed_is_stopped_when_the_embedded_loop_is_closed(outer, events):
    _, callback = events
    other = embeddable_loop()
    embeds = [outer.embed(other), outer.embed(other, callback)]
    for embed in embeds:
        embed.start()
    outer.start(EVRUN_NOWAIT)
    other.close()
    assert [embed.active for embed in embeds] == [False, False]
    assert outer.start() is False
    assert embeds[0].other is other


def test_embed_is_stopped_when_its_own_loop_is_closed(other, pipe, events):
    seen, callback = events
    with Loop() as outer:
        embed = outer.embed(other)
        embed.start()
        outer.start(EVRUN_NOWAIT)
    assert not embed.active
    io = other.io(pipe.reader, EV_READ, callback)
    io.start()
    os.write(pipe.writer, b"x")
    other.start(EVRUN_NOWAIT)
    assert seen == [(io, EV_READ)]


def test_embed_start_twice_and_restart(outer, other, pipe, events):
    seen, callback = events
    embed = outer.embed(other)
    embed.start()
    embed.start()
    embed.stop()
    assert outer.start() is False
    embed.start()
    io = other.io(pipe.reader, EV_READ, callback)
    io.start()
    os.write(pipe.writer, b"x")
    while not seen:
        outer.start(EVRUN_NOWAIT)
    assert seen[0] == (io, EV_READ)


def test_embed_other_is_kept(outer):
    embed = outer.embed(embeddable_loop())
    embed.start()
    outer.start(EVRUN_NOWAIT)
    assert repr(embed.other).startswith("<Loop ")
    embed.other.close()


# -- exceptions -----------------------------------------------------------------------


def ready(other, pipe, callback):
    """Make an event of the embedded loop that calls back."""
    os.write(pipe.writer, b"x")
    other.io(pipe.reader, EV_READ, callback).start()


def test_embedded_callback_that_raises_is_reported(outer, other, pipe, unraisable):
    def fail(watcher, revents):
        watcher.stop()
        raise ZeroDivisionError

    ready(other, pipe, fail)
    embed = outer.embed(other)
    embed.start()
    while not unraisable:
        assert outer.start(EVRUN_NOWAIT) is True
    assert [(r.exc_type, r.object) for r in unraisable] == [(ZeroDivisionError, fail)]
    assert embed.active


@pytest.mark.parametrize("exception", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("sweeps", [False, True])
def test_embedded_callback_that_is_fatal_ends_the_outer_run(
    outer, other, pipe, unraisable, exception, sweeps
):
    @fatal
    def fail(watcher, revents):
        watcher.stop()
        raise exception("raised")

    ready(other, pipe, fail)
    callback = fatal(lambda watcher, revents: watcher.sweep()) if sweeps else None
    outer.embed(other, callback).start()
    with pytest.raises(exception, match="raised") as caught:
        outer.start()
    assert caught.traceback[-1].name == "fail"
    assert (unraisable, outer.depth, other.depth) == ([], 0, 0)
    # It was raised, and neither loop has it still.
    assert outer.start(EVRUN_NOWAIT) is True
    assert other.start(EVRUN_NOWAIT) is False


def test_embed_sweep_raises_what_is_fatal_in_the_embedded_loop(outer, other):
    @fatal
    def fail(watcher, revents):
        raise ZeroDivisionError

    other.timer(0.0, 0.0, fail).start()
    embed = outer.embed(other)
    with pytest.raises(ZeroDivisionError):
        embed.sweep()
    embed.sweep()


# -- threads --------------------------------------------------------------------------


def test_embed_refuses_a_loop_that_another_thread_runs(outer, other, in_thread):
    running, done = (
        threading.Event(),
        other.async_(lambda watcher, revents: other.stop()),
    )
    done.start()

    def tell(watcher, revents):
        watcher.stop()
        running.set()

    other.prepare(tell).start()
    embed = outer.embed(other)
    thread = in_thread(other.start)
    running.wait()
    try:
        for method in (embed.start, embed.sweep):
            with pytest.raises(Error, match="another thread runs the loop"):
                method()
        assert not embed.active
    finally:
        done.send()
    thread.join()
    embed.start()
    assert embed.active


def test_embedded_loop_has_what_a_prepare_watcher_starts_on_it(outer, other, pipe):
    """libev looks at it last, so that it does not wait for the next iteration."""
    seen = []
    io = other.io(pipe.reader, EV_READ, lambda watcher, revents: seen.append(revents))
    outer.embed(other).start()
    outer.start(EVRUN_NOWAIT)
    os.write(pipe.writer, b"x")
    prepare = outer.prepare(lambda watcher, revents: io.start())
    prepare.start()
    outer.start(EVRUN_NOWAIT)
    assert EV_READ in seen


def test_embed_stopped_by_a_fork_watcher_stays_stopped(outer, other):
    embed = outer.embed(other)
    embed.start()
    # Before the embedding itself follows the fork.
    fork = outer.fork(lambda watcher, revents: embed.stop(), None, 1)
    fork.start()
    outer.reset()
    assert outer.start(EVRUN_NOWAIT)
    assert not embed.active
    fork.stop()
    assert not outer.start(EVRUN_NOWAIT)


@pytest.mark.parametrize("keepalive", [True, False])
def test_embed_stopped_by_the_embedded_loop_at_a_fork_stays_stopped(
    outer, other, keepalive
):
    seen = []

    def stop(watcher, revents):
        seen.append(embed.active)
        watcher.stop()
        embed.stop()

    prepare = other.prepare(stop)
    embed = outer.embed(other)
    embed.keepalive = keepalive
    embed.start()
    outer.start(EVRUN_NOWAIT)
    prepare.start()
    outer.reset()
    assert not outer.start(EVRUN_NOWAIT)
    assert seen == [True]
    assert not embed.active


@pytest.mark.parametrize("keepalive", [True, False])
def test_embed_goes_on_after_a_fork(outer, other, pipe, keepalive):
    seen = []
    io = other.io(pipe.reader, EV_READ, lambda watcher, revents: seen.append("io"))
    io.start()
    embed = outer.embed(other)
    embed.keepalive = keepalive
    embed.start()
    outer.start(EVRUN_NOWAIT)
    outer.reset()
    assert outer.start(EVRUN_NOWAIT) is keepalive
    os.write(pipe.writer, b"x")
    while not seen:
        assert outer.start(EVRUN_NOWAIT) is keepalive


@pytest.mark.core
def test_embed_that_does_not_keep_the_loop_running_follows_a_fork(outer, other):
    """The debug build counts references in between."""
    embed = outer.embed(other)
    embed.keepalive = False
    embed.start()
    assert not outer.start(EVRUN_NOWAIT)
    outer.reset()
    assert not outer.start(EVRUN_NOWAIT)
    outer.verify()
    embed.keepalive = True
    assert outer.start(EVRUN_NOWAIT)


def test_embed_keeps_an_event_that_the_embedded_loop_feeds_at_a_fork(outer, other):
    seen = []
    embed = outer.embed(other, lambda watcher, revents: seen.append(revents))
    embed.start()
    outer.start(EVRUN_NOWAIT)
    prepare = other.prepare(lambda watcher, revents: embed.feed(EV_CUSTOM))
    prepare.start()
    outer.reset()
    outer.start(EVRUN_NOWAIT)
    assert EV_CUSTOM in seen


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_embedded_callback_that_is_fatal_at_a_fork_ends_the_outer_run(
    outer, other, error
):
    @fatal
    def fail(watcher, revents):
        watcher.stop()
        raise error

    outer.embed(other).start()
    outer.start(EVRUN_NOWAIT)
    other.prepare(fail).start()
    outer.reset()
    with pytest.raises(error):
        outer.start(EVRUN_NOWAIT)
    assert outer.start(EVRUN_NOWAIT)


def test_what_is_fatal_in_an_embedded_loop_that_nobody_runs_is_raised_once(
    outer, other
):
    outer.embed(other).start()
    outer.start(EVRUN_NOWAIT)
    watcher = other.prepare(lambda watcher, revents: 1 / 0)
    other.debug = True
    with pytest.raises(ZeroDivisionError):
        watcher.invoke(EV_CUSTOM)
    assert outer.start(EVRUN_NOWAIT)


def test_embedded_loop_may_catch_what_is_fatal_in_it(outer, other):
    caught = []

    def catch(watcher, revents):
        watcher.stop()
        with pytest.raises(ZeroDivisionError) as info:
            failing.invoke(EV_CUSTOM)
        caught.append(info.type)

    failing = other.check(fatal(lambda watcher, revents: 1 / 0))
    outer.embed(other).start()
    outer.start(EVRUN_NOWAIT)
    other.prepare(catch).start()
    # libev runs the embedded loop.
    outer.reset()
    assert outer.start(EVRUN_NOWAIT)
    assert caught == [ZeroDivisionError]


@pytest.mark.parametrize("method", ["start", "invoke"])
def test_embedded_callback_that_runs_the_outer_loop_gets_each_event_once(
    outer, other, method
):
    """While libev runs the embedded loop, the outer one is being collected."""
    seen = []

    def called(watcher, revents):
        seen.append(watcher.data)
        if watcher.data == "first":
            last.feed(EV_CUSTOM)

    def nest(watcher, revents):
        watcher.stop()
        second.feed(EV_CUSTOM)
        first.feed(EV_CUSTOM)
        outer.start(EVRUN_NOWAIT) if method == "start" else outer.invoke()

    first, second, last = (
        outer.check(called, name) for name in ("first", "second", "last")
    )
    outer.embed(other).start()
    outer.start(EVRUN_NOWAIT)
    other.prepare(nest).start()
    outer.reset()
    outer.start(EVRUN_NOWAIT)
    assert seen == ["first", "last", "second"]
