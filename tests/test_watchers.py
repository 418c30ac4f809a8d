"""What all watchers have in common, held against every type.

KINDS tells how to make a watcher of each type that nothing happens to by itself.
test_loop.py takes it from here; what a type has of its own is in the file of that type.
"""

import copy
import gc
import inspect
import os
import pickle
import re
import signal
import weakref
from typing import Any, Callable, NamedTuple

import pytest

import mood_event
from mood_event import (
    EV_CUSTOM,
    EV_ERROR,
    EV_MAXPRI,
    EV_MINPRI,
    EV_READ,
    EV_WRITE,
    EVRUN_NOWAIT,
    Error,
    Loop,
    Watcher,
    _dispatch,
    fatal,
)
from mood_event._ffi import ffi

pytestmark = pytest.mark.core


class Place(NamedTuple):
    """What watchers can watch: nothing of it changes by itself."""

    fd: int
    path: str
    other: Loop


class Kind(NamedTuple):
    """How to make a watcher of one type."""

    cls: Any
    arguments: Callable[[Place], tuple[Any, ...]]
    parameters: str = ""
    read_only: str = ""
    details: str = ""


def later(scheduler, now):
    return now + 1e4


KINDS = {
    "io": Kind(
        mood_event.Io,
        lambda place: (place.fd, EV_READ),
        "fd events",
        "fd events",
        r"fd=\d+ READ",
    ),
    "timer": Kind(
        mood_event.Timer,
        lambda place: (1e4, 0.0),
        "after repeat",
        "remaining",
        "remaining=10000 repeat=0",
    ),
    "periodic": Kind(
        mood_event.Periodic,
        lambda place: (mood_event.time() + 1e4, 0.0),
        "offset interval",
        "at",
        r"offset=\S+ interval=0 at=[0-9.]+",
    ),
    "scheduler": Kind(
        mood_event.Scheduler,
        lambda place: (later,),
        "scheduler",
        "at",
        "scheduler=later at=[0-9.]+",
    ),
    "signal": Kind(
        mood_event.Signal,
        lambda place: (signal.SIGUSR2,),
        "signum",
        "signum",
        "SIGUSR2",
    ),
    # Not a child of its own, so there is nothing to reap.
    "child": Kind(
        mood_event.Child,
        lambda place: (os.getpid(), False),
        "pid trace",
        "pid",
        r"pid=\d+",
    ),
    "stat": Kind(
        mood_event.Stat,
        lambda place: (place.path, 0.0),
        "path interval",
        "path interval attr prev",
        "'.*'",
    ),
    "idle": Kind(mood_event.Idle, lambda place: ()),
    "prepare": Kind(mood_event.Prepare, lambda place: ()),
    "check": Kind(mood_event.Check, lambda place: ()),
    "embed": Kind(
        mood_event.Embed,
        lambda place: (place.other,),
        "other",
        "other",
        "other=<Loop .*>",
    ),
    "fork": Kind(mood_event.Fork, lambda place: ()),
    "cleanup": Kind(mood_event.Cleanup, lambda place: ()),
    "async": Kind(mood_event.Async, lambda place: (), "", "sent"),
}

WITHOUT_CALLBACK = ("scheduler", "embed")
WITH_SET = ("io", "timer", "periodic", "signal", "child", "stat", "embed")

# Values that no C int can be made of, and what they raise.
NO_C_INT = [
    (1.0, TypeError),
    ("1", TypeError),
    (None, TypeError),
    (2**31, OverflowError),
    (-(2**31) - 1, OverflowError),
]

# What needs no argument, of any type.
PLAIN_METHODS = ("start", "stop", "clear", "reset", "send", "sweep", "stat")


def embeddable_loop():
    """A loop that can be embedded."""
    return Loop(mood_event.embeddable_backends() & mood_event.supported_backends())


def ignore(watcher, revents):
    """A callback that does nothing."""


def survivors(references, collections=5):
    """The names of those, in a dict of weak references, that are not collected.

    PyPy may need more than one collection, but for a watcher that nothing holds it
    takes one. Each goes through all that pytest has, so that the watchers of all types
    are looked at together.
    """
    for _ in range(collections):
        gc.collect()
        left = [name for name, reference in references.items() if reference()]
        if not left:
            break
    return left


def collected(reference):
    """Whether what is referred to is gone."""
    return not survivors({"it": reference})


def held(reference):
    """Whether what is referred to is still there."""
    return bool(survivors({"it": reference}, 2))


@pytest.fixture
def place(pipe, quiet_file):
    """What watchers can watch."""
    with embeddable_loop() as other:
        yield Place(pipe.reader, quiet_file, other)


@pytest.fixture(params=KINDS)
def name(request):
    """The name of a type's factory: each in turn."""
    return request.param


@pytest.fixture
def kind(name):
    """How to make a watcher of the type."""
    return KINDS[name]


@pytest.fixture
def home(name, request):
    """A loop that takes the type."""
    return request.getfixturevalue("default_loop" if name == "child" else "loop")


@pytest.fixture
def make(kind, home, place):
    """Make a watcher of the type."""

    def make(callback=ignore, data=None, priority=0, cls=kind.cls):
        return cls(*kind.arguments(place), home, callback, data, priority)

    return make


@pytest.fixture
def make_each(loop, default_loop, place):
    """Make a watcher of every type with a function that changes it.

    Returns weak references to them, by the names of the types.
    """

    def make_each(change=lambda watcher: None, callback=ignore):
        references = {}
        for name, kind in KINDS.items():
            home = default_loop if name == "child" else loop
            watcher = kind.cls(*kind.arguments(place), home, callback, name)
            change(watcher)
            references[name] = weakref.ref(watcher)
        return references

    return make_each


def test_kinds_are_all_types_there_are():
    assert {name: kind.cls for name, kind in KINDS.items()} == Watcher.kinds


# -- making ---------------------------------------------------------------------------


def test_constructor_takes_the_specifications_parameters(kind, name):
    optional = {"data": None, "priority": 0}
    if name in WITHOUT_CALLBACK:
        optional["callback"] = None
    names = [*kind.parameters.split(), "loop", "callback", "data", "priority"]
    parameters = inspect.signature(kind.cls).parameters
    assert {
        key: parameter.default if key in optional else inspect.Parameter.empty
        for key, parameter in parameters.items()
    } == {key: optional.get(key, inspect.Parameter.empty) for key in names}
    assert list(parameters) == names
    assert {parameter.kind for parameter in parameters.values()} == {
        inspect.Parameter.POSITIONAL_OR_KEYWORD
    }


def test_constructor_takes_keywords(kind, home, place):
    arguments = dict(zip(kind.parameters.split(), kind.arguments(place)))
    data = object()
    watcher = kind.cls(
        **arguments, loop=home, callback=ignore, data=data, priority=EV_MAXPRI
    )
    assert (watcher.loop, watcher.callback) == (home, ignore)
    assert (watcher.data, watcher.priority) == (data, EV_MAXPRI)


def test_constructor_leaves_data_and_priority_at_their_defaults(kind, home, place):
    watcher = kind.cls(*kind.arguments(place), home, ignore)
    assert (watcher.data, watcher.priority) == (None, 0)
    assert (watcher.active, watcher.pending) == (False, False)


def test_constructor_refuses_unknown_arguments(kind, home, place):
    arguments = kind.arguments(place)
    with pytest.raises(TypeError):
        kind.cls(*arguments, home, ignore, None, 0, None)
    with pytest.raises(TypeError):
        kind.cls(*arguments, home, ignore, unknown=1)
    with pytest.raises(TypeError):
        kind.cls(*arguments)


def test_constructor_refuses_what_is_no_loop(kind, place):
    for bad in (None, 5, object(), "loop", Loop):
        with pytest.raises(TypeError, match="loop must be a Loop"):
            kind.cls(*kind.arguments(place), bad, ignore)


def test_constructor_refuses_a_loop_that_is_not_initialised(kind, place):
    class Lazy(Loop):
        def __init__(self):
            pass

    with pytest.raises(Error):
        kind.cls(*kind.arguments(place), Lazy(), ignore)


def test_constructor_refuses_a_closed_loop(kind, home, place):
    arguments = kind.arguments(place)
    home.close()
    with pytest.raises(Error, match="closed"):
        kind.cls(*arguments, home, ignore)


def test_constructor_refuses_what_is_not_callable(make):
    for bad in (5, "callback", object()):
        with pytest.raises(TypeError, match="callback must be callable"):
            make(bad)


def test_constructor_takes_no_callback_where_the_specification_says_so(name, make):
    if name in WITHOUT_CALLBACK:
        assert make(None).callback is None
    else:
        with pytest.raises(TypeError, match="callback must be callable"):
            make(None)


# -- starting and stopping ------------------------------------------------------------


def test_start_activates_and_stop_deactivates(make):
    watcher = make()
    assert watcher.active is False
    assert watcher.start() is None
    assert watcher.active is True
    assert watcher.stop() is None
    assert watcher.active is False


def test_start_twice_is_as_once(make, home):
    watcher = make()
    watcher.start()
    watcher.start()
    assert watcher.active
    watcher.stop()
    assert not watcher.active
    assert home.start(EVRUN_NOWAIT) is False


def test_stop_twice_is_as_once(make, home):
    watcher = make()
    watcher.stop()
    watcher.start()
    watcher.stop()
    watcher.stop()
    assert not watcher.active
    watcher.start()
    assert watcher.active


def test_stop_clears_the_pending_event(make, home, events):
    seen, callback = events
    watcher = make(callback)
    for start in (False, True):
        if start:
            watcher.start()
        watcher.feed(EV_CUSTOM)
        watcher.stop()
        assert (watcher.active, watcher.pending, home.pending) == (False, False, 0)
    home.start(EVRUN_NOWAIT)
    assert seen == []


def test_active_watcher_keeps_the_loop_running(name, make, home):
    watcher = make()
    assert home.start(EVRUN_NOWAIT) is False
    watcher.start()
    # Closing the loop is nothing to wait for.
    assert home.start(EVRUN_NOWAIT) is (name != "cleanup")


def test_verify_finds_nothing_wrong_with_active_watchers(make, home):
    watchers = [make() for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    home.verify()
    watchers[1].stop()
    home.verify()
    home.start(EVRUN_NOWAIT)
    home.verify()


def test_many_watchers_start_and_stop_in_any_order(make, home, events):
    seen, callback = events
    watchers = [make(callback, number) for number in range(100)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers[::3] + watchers[1::3]:
        watcher.stop()
    assert [w.data for w in watchers if w.active] == list(range(2, 100, 3))
    for watcher in watchers[::2]:
        watcher.start()
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    home.start(EVRUN_NOWAIT)
    assert sorted(w.data for w, revents in seen if revents & EV_CUSTOM) == list(
        range(100)
    )


# -- events ---------------------------------------------------------------------------


def test_feed_makes_pending_and_the_loop_delivers(make, home, events):
    seen, callback = events
    watcher = make(callback)
    assert watcher.feed(EV_CUSTOM) is None
    assert (watcher.pending, watcher.active, home.pending) == (True, False, 1)
    home.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM)]
    assert (watcher.pending, home.pending) == (False, 0)
    home.start(EVRUN_NOWAIT)
    assert len(seen) == 1


def test_feed_twice_is_one_event_with_both_masks(make, home, events):
    seen, callback = events
    watcher = make(callback)
    watcher.feed(EV_CUSTOM)
    watcher.feed(EV_READ)
    watcher.feed(EV_WRITE)
    assert home.pending == 1
    home.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM | EV_READ | EV_WRITE)]


def test_feed_of_an_error_raises_it_and_stops_the_watcher(make, home, events):
    seen, callback = events
    watcher = make(callback)
    watcher.start()
    watcher.feed(EV_ERROR)
    with pytest.raises(Error, match=type(watcher).__name__):
        home.start()
    assert not any(revents & EV_ERROR for _, revents in seen)
    assert (watcher.active, watcher.pending) == (False, False)


def test_clear_returns_the_pending_events(make, home, events):
    seen, callback = events
    watcher = make(callback)
    assert watcher.clear() == 0
    watcher.feed(EV_CUSTOM)
    watcher.feed(EV_READ)
    assert watcher.clear() == EV_CUSTOM | EV_READ
    assert (watcher.pending, home.pending, watcher.clear()) == (False, 0, 0)
    home.start(EVRUN_NOWAIT)
    assert seen == []


def test_clear_leaves_an_active_watcher_active(make):
    watcher = make()
    watcher.start()
    watcher.feed(EV_CUSTOM)
    assert watcher.clear() == EV_CUSTOM
    assert watcher.active


def test_invoke_calls_the_callback_at_once(make, home, events):
    seen, callback = events
    watcher = make(callback)
    watcher.feed(EV_CUSTOM)
    assert watcher.invoke(EV_READ) is None
    assert seen == [(watcher, EV_READ)]
    assert watcher.pending


def test_invoke_reports_a_plain_exception(make, home, unraisable):
    def fail(watcher, revents):
        raise ZeroDivisionError("plain")

    assert make(fail).invoke(EV_CUSTOM) is None
    assert [(r.exc_type, r.object) for r in unraisable] == [(ZeroDivisionError, fail)]


@pytest.mark.parametrize(
    ("decorate", "exception"),
    [
        (fatal, ZeroDivisionError),
        (lambda function: function, KeyboardInterrupt),
        (lambda function: function, SystemExit),
        (lambda function: function, GeneratorExit),
    ],
)
def test_invoke_raises_what_is_fatal(make, home, unraisable, decorate, exception):
    @decorate
    def fail(watcher, revents):
        raise exception("fatal")

    watcher = make(fail)
    with pytest.raises(exception) as caught:
        watcher.invoke(EV_CUSTOM)
    assert caught.traceback[-1].name == "fail"
    assert unraisable == []
    # It was raised: nothing is left of it.
    assert home.start(EVRUN_NOWAIT) is False


def test_invoke_of_what_is_fatal_breaks_the_run_even_if_caught(make, home):
    calls = []

    @fatal
    def fail(watcher, revents):
        raise ZeroDivisionError

    watcher = make(fail)

    def outer(idle, revents):
        calls.append(home.depth)
        if len(calls) == 3:
            home.stop()
        with pytest.raises(ZeroDivisionError):
            watcher.invoke(EV_CUSTOM)

    home.idle(outer).start()
    assert home.start() is True
    assert calls == [1]


def test_invoke_of_an_error_stops_the_watcher_and_raises(make, events):
    seen, callback = events
    watcher = make(callback)
    watcher.start()
    with pytest.raises(Error, match=type(watcher).__name__):
        watcher.invoke(EV_ERROR)
    assert (watcher.active, seen) == (False, [])


def test_revents_must_be_a_c_int(make, events):
    seen, callback = events
    watcher = make(callback)
    for method in (watcher.feed, watcher.invoke):
        for bad, error in NO_C_INT:
            with pytest.raises(error, match="revents"):
                method(bad)
    assert (watcher.pending, seen) == (False, [])


def test_revents_is_positional_only(make):
    watcher = make()
    for method in (watcher.feed, watcher.invoke):
        with pytest.raises(TypeError):
            method(revents=EV_CUSTOM)
        with pytest.raises(TypeError):
            method()


def test_watchers_of_two_loops_are_delivered_each_by_its_own(
    kind, home, place, make, events
):
    seen, callback = events
    watcher = make(callback)
    with Loop() as other:
        stranger = other.idle(callback)
        stranger.feed(EV_READ)
        watcher.feed(EV_CUSTOM)
        other.start(EVRUN_NOWAIT)
        assert seen == [(stranger, EV_READ)]
        home.start(EVRUN_NOWAIT)
        assert seen[1:] == [(watcher, EV_CUSTOM)]


# -- attributes -----------------------------------------------------------------------


def test_loop_is_the_loop_and_read_only(make, home):
    watcher = make()
    assert watcher.loop is home
    with pytest.raises(AttributeError):
        watcher.loop = home


def test_read_only_attributes_refuse_to_be_written(kind, make):
    watcher = make()
    for attribute in ["loop", "active", "pending", *kind.read_only.split()]:
        value = getattr(watcher, attribute)
        with pytest.raises(AttributeError):
            setattr(watcher, attribute, value)


def test_attributes_refuse_to_be_deleted(kind, make):
    watcher = make()
    attributes = [name for name in dir(kind.cls) if not name.startswith("_")]
    assert {"callback", "data", "priority", "keepalive", "loop"} <= set(attributes)
    for attribute in attributes:
        with pytest.raises((AttributeError, TypeError)):
            delattr(watcher, attribute)
    assert watcher.callback is ignore


def test_callback_can_be_replaced(make, home, events):
    seen, callback = events
    watcher = make()
    assert watcher.callback is ignore
    watcher.callback = callback
    assert watcher.callback is callback
    watcher.feed(EV_CUSTOM)
    home.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM)]


def test_callback_must_be_callable(make):
    watcher = make()
    for bad in (5, "callback", object()):
        with pytest.raises(TypeError, match="callback must be callable"):
            watcher.callback = bad
    assert watcher.callback is ignore


def test_callback_none_is_for_those_that_need_none(name, make):
    watcher = make()
    if name in WITHOUT_CALLBACK:
        watcher.callback = None
        assert watcher.callback is None
    else:
        with pytest.raises(TypeError, match="callback must be callable"):
            watcher.callback = None


def test_data_is_any_object(make):
    data = object()
    watcher = make(data=data)
    assert watcher.data is data
    watcher.data = watcher
    assert watcher.data is watcher
    watcher.data = None
    assert watcher.data is None


class Two:
    """An integer that is no int."""

    def __index__(self):
        return 2


def test_priority_is_clamped(make, home, events):
    seen, callback = events
    for given, clamped in [
        (-(2**31), EV_MINPRI),
        (EV_MINPRI - 1, EV_MINPRI),
        (EV_MINPRI, EV_MINPRI),
        (-1, -1),
        (0, 0),
        (True, 1),
        (Two(), 2),
        (EV_MAXPRI, EV_MAXPRI),
        (EV_MAXPRI + 1, EV_MAXPRI),
        (2**31 - 1, EV_MAXPRI),
    ]:
        watcher = make(callback, priority=given)
        assert watcher.priority == clamped
        watcher.priority = 0
        watcher.priority = given
        assert watcher.priority == clamped
        watcher.feed(EV_CUSTOM)
        home.start(EVRUN_NOWAIT)
        assert seen.pop() == (watcher, EV_CUSTOM)


def test_priority_must_be_a_c_int(make):
    watcher = make(priority=1)
    for bad, error in NO_C_INT:
        with pytest.raises(error, match="priority"):
            make(priority=bad)
        with pytest.raises(error, match="priority"):
            watcher.priority = bad
    assert watcher.priority == 1


@pytest.mark.parametrize("method", ["start", "feed"])
def test_priority_is_refused_while_active_or_pending(make, method):
    watcher = make(priority=1)
    getattr(watcher, method)(*[EV_CUSTOM] * (method == "feed"))
    with pytest.raises(Error, match="active" if method == "start" else "pending"):
        watcher.priority = 2
    assert watcher.priority == 1
    watcher.stop()
    watcher.priority = 2
    assert watcher.priority == 2


def test_priority_decides_who_comes_first(make, home, events):
    seen, callback = events
    for priority in (0, 2, -2, 1, -1):
        make(callback, priority=priority).feed(EV_CUSTOM)
    home.start(EVRUN_NOWAIT)
    assert [watcher.priority for watcher, _ in seen] == [2, 1, 0, -1, -2]


# -- keepalive ------------------------------------------------------------------------


def keeps_running(loop):
    """What `start` says of active watchers; and libev agrees that there is none.

    With a reference too few, libev runs for ever: `unref` knows it before.
    """
    running = loop.start(EVRUN_NOWAIT)
    if not running:
        with pytest.raises(Error):
            loop.unref()
    return running


def test_keepalive_false_before_start_lets_the_loop_end(make, home):
    watcher = make()
    assert watcher.keepalive is True
    watcher.keepalive = False
    assert watcher.keepalive is False
    watcher.start()
    watcher.start()
    assert not keeps_running(home)
    assert watcher.active
    watcher.stop()
    watcher.stop()
    assert not keeps_running(home)
    watcher.start()
    assert not keeps_running(home)


def test_keepalive_can_change_while_active(name, make, home):
    watcher = make()
    watcher.start()
    for keepalive in (False, False, True, True, False, True):
        watcher.keepalive = keepalive
        assert watcher.keepalive is keepalive
        assert keeps_running(home) is (keepalive and name != "cleanup")
    watcher.stop()
    assert not keeps_running(home)


def test_keepalive_of_one_leaves_the_other_alone(make, home):
    for keepalive in (False, True):
        watcher = make()
        watcher.keepalive = keepalive
        watcher.start()
        other = home.timer(1e4, 0.0, ignore)
        other.start()
        assert home.start(EVRUN_NOWAIT) is True
        watcher.stop()
        assert home.start(EVRUN_NOWAIT) is True
        other.stop()
        assert not keeps_running(home)


def test_keepalive_is_a_truth_value(make):
    watcher = make()
    watcher.keepalive = ""
    assert watcher.keepalive is False
    watcher.keepalive = "yes"
    assert watcher.keepalive is True


def test_keepalive_false_of_a_fed_watcher_is_no_reference(make, home, events):
    seen, callback = events
    watcher = make(callback)
    watcher.keepalive = False
    watcher.feed(EV_CUSTOM)
    assert not keeps_running(home)
    assert seen == [(watcher, EV_CUSTOM)]


# -- lifetime -------------------------------------------------------------------------


def start(watcher):
    watcher.start()


def feed(watcher):
    watcher.feed(EV_CUSTOM)


def test_active_watchers_are_held_and_then_released(make_each):
    references = make_each(start)
    assert survivors(references, 2) == list(KINDS)
    for reference in references.values():
        reference().stop()
    assert survivors(references) == []


def test_pending_watchers_are_held_and_then_released(make_each, loop, default_loop):
    seen = []
    references = make_each(
        feed, lambda watcher, revents: seen.append((watcher.data, revents))
    )
    assert survivors(references, 2) == list(KINDS)
    loop.start(EVRUN_NOWAIT)
    default_loop.start(EVRUN_NOWAIT)
    assert sorted(seen) == [(name, EV_CUSTOM) for name in sorted(KINDS)]
    assert survivors(references) == []


def test_cleared_watchers_are_released(make_each):
    def feed_and_clear(watcher):
        feed(watcher)
        assert watcher.clear() == EV_CUSTOM

    assert survivors(make_each(feed_and_clear)) == []


def test_watchers_that_were_never_started_are_released(make_each):
    assert survivors(make_each()) == []


@pytest.mark.parametrize("change", [start, feed])
def test_closing_the_loop_releases_its_watchers(make_each, loop, default_loop, change):
    references = make_each(change)
    loop.close()
    default_loop.close()
    assert survivors(references) == []


def test_watchers_that_refer_to_themselves_are_released(make_each):
    def tie(watcher):
        watcher.data = watcher
        watcher.callback = lambda *arguments, watcher=watcher: None
        watcher.start()
        watcher.stop()

    assert survivors(make_each(tie)) == []


# -- __init__ again -------------------------------------------------------------------


def test_init_again_reconfigures(kind, make, home, place, events):
    seen, callback = events
    watcher = make(data="old", priority=1)
    watcher.start()
    watcher.stop()
    watcher.keepalive = False
    watcher.__init__(*kind.arguments(place), home, callback, "new", 2)
    assert (watcher.data, watcher.priority, watcher.keepalive) == ("new", 2, True)
    watcher.start()
    watcher.feed(EV_CUSTOM)
    home.start(EVRUN_NOWAIT)
    assert [w for w, revents in seen if revents & EV_CUSTOM] == [watcher]


@pytest.mark.parametrize("method", ["start", "feed"])
def test_init_again_is_refused_while_active_or_pending(kind, make, home, place, method):
    watcher = make(data="old")
    getattr(watcher, method)(*[EV_CUSTOM] * (method == "feed"))
    with pytest.raises(Error, match="active" if method == "start" else "pending"):
        watcher.__init__(*kind.arguments(place), home, ignore, "new")
    assert watcher.data == "old"
    assert (watcher.active, watcher.pending) == (method == "start", method == "feed")


def test_init_again_that_fails_changes_nothing(kind, make, home, place):
    watcher = make(data="old", priority=1)
    for arguments in [(home, 5), (None, ignore), (home, ignore, "new", "1")]:
        with pytest.raises(TypeError):
            watcher.__init__(*kind.arguments(place), *arguments)
    assert (watcher.loop, watcher.callback) == (home, ignore)
    assert (watcher.data, watcher.priority) == ("old", 1)
    watcher.start()
    assert watcher.active


def test_init_again_can_move_to_another_loop(name, kind, make, home, place, events):
    if name == "child":
        # There is one default loop at a time.
        home.close()
        home = mood_event.default_loop()
    seen, callback = events
    watcher = make(callback) if name != "child" else None
    with home if name == "child" else Loop() as other:
        if watcher is None:
            watcher = kind.cls(*kind.arguments(place), other, callback)
        watcher.__init__(*kind.arguments(place), other, callback)
        assert watcher.loop is other
        watcher.start()
        watcher.feed(EV_CUSTOM)
        other.start(EVRUN_NOWAIT)
        assert [w for w, revents in seen if revents & EV_CUSTOM] == [watcher]


def test_init_again_within_its_last_event_takes_another_slot(loop):
    """libev has stopped the timer, but its event is still being delivered."""
    seen = []

    def again(timer, revents):
        timer.__init__(0.0, 0.0, loop, lambda timer, revents: seen.append(timer))
        timer.start()

    timer = loop.timer(0.0, 0.0, again)
    timer.start()
    other = loop.timer(0.0, 0.0, ignore)
    other.start()
    loop.start(EVRUN_NOWAIT)
    assert timer.active
    assert timer in loop._queue.held
    loop.start(EVRUN_NOWAIT)
    assert (seen, timer.active) == ([timer], False)
    assert timer not in loop._queue.held


def test_init_again_within_its_own_schedulers_callable_is_refused(loop):
    def again(scheduler, now):
        with pytest.raises(Error, match="must not change the loop"):
            scheduler.__init__(later, loop)
        return now + 1e4

    scheduler = loop.scheduler(again)
    scheduler.start()
    assert scheduler.active
    assert scheduler.scheduler is again


# -- the struct -----------------------------------------------------------------------


@pytest.fixture
def unmade(make):
    """A watcher whose struct an interrupt has left allocated, but not initialised."""
    watcher = make(priority=1)
    watcher._ptr = ffi.new(watcher._struct)
    return watcher


def test_watcher_without_a_struct_is_as_any_other(make):
    watcher = make(priority=1)
    assert (watcher.active, watcher.pending, watcher.clear()) == (False, False, 0)
    watcher.stop()
    assert (watcher.priority, watcher.keepalive) == (1, True)


def test_watcher_that_was_never_started_cannot_be_stopped_after_close(make, home):
    watcher = make()
    home.close()
    with pytest.raises(Error, match="the loop is closed"):
        watcher.stop()


def test_struct_that_was_not_initialised_is_when_the_watcher_starts(unmade, home):
    unmade.start()
    assert (unmade.active, unmade.priority, unmade.keepalive) == (True, 1, True)
    unmade.stop()
    assert unmade not in home._queue.held


@pytest.mark.parametrize("method", ["stop", "clear"])
def test_struct_that_was_not_initialised_gives_its_slot_back(unmade, home, method):
    home._queue.take(unmade)
    getattr(unmade, method)()
    assert (unmade.active, unmade.pending) == (False, False)
    assert unmade not in home._queue.held


def test_struct_that_was_not_initialised_is_when_it_is_needed(unmade, events, home):
    unmade.feed(EV_CUSTOM)
    assert (unmade.pending, unmade.priority, unmade.keepalive) == (True, 1, True)
    assert unmade.clear() == EV_CUSTOM


def test_start_within_start(make, home, monkeypatch):
    """A `__del__` that the collector calls, or a signal's handler, can do that."""
    new_slot = _dispatch.Queue.new_slot
    started = []

    def start(queue):
        slot = new_slot(queue)
        if not started:
            started.append(True)
            watcher.start()
        return slot

    watcher = make()
    home._queue.free.clear()
    monkeypatch.setattr(_dispatch.Queue, "new_slot", start)
    watcher.start()
    assert started
    assert watcher.active
    assert home._queue.held[watcher._slot] is watcher
    assert home._queue.held.count(watcher) == 1
    watcher.stop()
    assert not watcher.active
    assert watcher not in home._queue.held


def test_slot_of_a_struct_that_was_not_initialised_is_swept(unmade, home):
    home._queue.take(unmade)
    home._queue.sweep()
    assert unmade not in home._queue.held


@pytest.mark.parametrize("name", ["timer", "periodic", "scheduler"], indirect=True)
def test_struct_that_was_not_initialised_is_at_a_reset(unmade):
    unmade.reset()
    unmade.stop()


def test_attribute_that_a_subclass_does_not_have_is_missing(make, kind):
    class Mine(kind.cls):
        def __init__(self, *arguments):
            super().__init__(*arguments)

    with pytest.raises(AttributeError, match="nothing"):
        _ = make(cls=Mine).nothing


# -- set ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_SET, indirect=True)
def test_set_is_refused_while_active(kind, make, place):
    watcher = make()
    watcher.start()
    with pytest.raises(Error, match="active"):
        watcher.set(*kind.arguments(place))
    watcher.stop()
    assert watcher.set(*kind.arguments(place)) is None


@pytest.mark.parametrize("name", WITH_SET, indirect=True)
def test_set_is_allowed_while_pending(kind, make, home, place, events):
    seen, callback = events
    watcher = make(callback)
    watcher.feed(EV_CUSTOM)
    watcher.set(*kind.arguments(place))
    assert watcher.pending
    home.start(EVRUN_NOWAIT)
    assert seen == [(watcher, EV_CUSTOM)]


@pytest.mark.parametrize("name", WITH_SET, indirect=True)
def test_set_is_positional_only(kind, make, place):
    watcher = make()
    arguments = kind.arguments(place)
    with pytest.raises(TypeError):
        watcher.set(**dict(zip(kind.parameters.split(), arguments)))
    with pytest.raises(TypeError):
        watcher.set(*arguments, None)


# -- the closed loop ------------------------------------------------------------------


def test_closed_loop_makes_every_method_raise_error(kind, make, home):
    watcher = make()
    watcher.start()
    watcher.feed(EV_CUSTOM)
    home.close()
    methods = [method for method in PLAIN_METHODS if hasattr(kind.cls, method)]
    assert {"start", "stop", "clear"} <= set(methods)
    for method in methods:
        if method != "sweep":  # which is the other loop's affair
            with pytest.raises(Error, match="closed"):
                getattr(watcher, method)()
    for method in ("feed", "invoke"):
        with pytest.raises(Error, match="closed"):
            getattr(watcher, method)(EV_CUSTOM)
    for attribute, value in [("priority", 1), ("keepalive", False)]:
        with pytest.raises(Error, match="closed"):
            setattr(watcher, attribute, value)


def test_closed_loop_leaves_attributes_readable(kind, make, home):
    watcher = make(data="data", priority=1)
    watcher.start()
    watcher.feed(EV_CUSTOM)
    home.close()
    assert (watcher.active, watcher.pending) == (False, False)
    assert (watcher.loop, watcher.callback) == (home, ignore)
    assert (watcher.data, watcher.priority, watcher.keepalive) == ("data", 1, True)
    for attribute in kind.read_only.split():
        getattr(watcher, attribute)
    assert repr(watcher).startswith(f"<{kind.cls.__name__}")


def test_watchers_outlive_their_loops(place):
    def make_and_forget(kind):
        is_child = kind.cls is mood_event.Child
        loop = mood_event.default_loop() if is_child else Loop()
        watcher = kind.cls(*kind.arguments(place), loop, ignore)
        watcher.start()
        loop.close()
        return watcher

    watchers = {name: make_and_forget(kind) for name, kind in KINDS.items()}
    loops = {name: weakref.ref(watcher.loop) for name, watcher in watchers.items()}
    assert survivors(loops, 1) == list(KINDS)
    for name, watcher in watchers.items():
        assert loops[name]() is watcher.loop
    watchers.clear()
    del watcher
    assert survivors(loops) == []


# -- subclasses -----------------------------------------------------------------------


def test_subclass_that_calls_init_works(kind, home, place, events):
    seen, _ = events

    class Mine(kind.cls):
        def __init__(self, *arguments):
            super().__init__(*arguments, self.called, "data", 1)
            self.mine = True

        def called(self, watcher, revents):
            seen.append((watcher, revents, self.mine))

    watcher = Mine(*kind.arguments(place), home)
    assert (watcher.data, watcher.priority) == ("data", 1)
    watcher.start()
    watcher.feed(EV_CUSTOM)
    home.start(EVRUN_NOWAIT)
    custom = [event for event in seen if event[1] & EV_CUSTOM]
    assert custom == [(watcher, EV_CUSTOM, True)]
    assert repr(watcher).startswith("<Mine")


def test_subclass_may_have_slots_of_its_own(kind, make):
    class Mine(kind.cls):
        __slots__ = ("mine",)

    watcher = make(cls=Mine)
    watcher.mine = 5
    assert watcher.mine == 5
    with pytest.raises(AttributeError):
        watcher.other = 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = watcher.nothing


def test_subclass_that_overrides_methods_is_still_stopped_by_close(kind, make, home):
    class Mine(kind.cls):
        def stop(self):
            raise AssertionError("called by close")

    watcher = make(cls=Mine)
    watcher.start()
    home.close()
    assert not watcher.active


def test_subclass_that_skips_init_raises_error_for_everything(name, kind, place):
    class Mine(kind.cls):
        def __init__(self):
            pass

    watcher = Mine()
    assert repr(watcher) == "<Mine not initialised>"
    arguments = {"feed": (EV_CUSTOM,), "invoke": (EV_CUSTOM,)}
    if name in WITH_SET:
        arguments["set"] = kind.arguments(place)
    # Methods are called, other attributes are read.
    for attribute in [name for name in dir(kind.cls) if not name.startswith("_")]:
        if attribute == "kinds":
            continue
        with pytest.raises(Error, match="not initialised"):
            getattr(watcher, attribute)(*arguments.get(attribute, ()))
    for attribute, value in [("priority", 1), ("keepalive", False)]:
        with pytest.raises(Error, match="not initialised"):
            setattr(watcher, attribute, value)
    assert watcher == watcher
    del watcher
    gc.collect()


# -- identity -------------------------------------------------------------------------


def test_watcher_can_neither_be_copied_nor_pickled(make):
    watcher = make()
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot"):
            duplicate(watcher)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot"):
            pickle.dumps(watcher, protocol)


def test_watcher_is_equal_to_itself_only(make):
    watcher, other = make(), make()
    assert watcher == watcher
    assert watcher != other
    assert {watcher: 1, other: 2} == {other: 2, watcher: 1}
    assert len({watcher, other, watcher}) == 2


def test_repr_tells_the_type_and_the_state(kind, make):
    watcher = make()
    words = " ".join(filter(None, [kind.cls.__name__, kind.details, "callback=ignore"]))
    assert re.fullmatch(f"<{words}>", repr(watcher))
    watcher.feed(EV_CUSTOM)
    assert re.fullmatch(f"<{words} pending>", repr(watcher))
    watcher.stop()
    watcher.start()
    assert re.fullmatch(f"<{words} active>".replace("=10000", r"=\S+"), repr(watcher))
    watcher.feed(EV_CUSTOM)
    assert repr(watcher).endswith(" active pending>")
