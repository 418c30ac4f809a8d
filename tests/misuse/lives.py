"""Rows about how objects begin and end: __init__, close, copies, deletion."""

import copy
import gc
import itertools
import pickle
import signal
import threading
import warnings
import weakref
from typing import Any

import mood_event
from misuse.kinds import (
    ARGUMENTS,
    KINDS,
    STATES,
    VALUES,
    WATCHER_ARGUMENTS,
    Use,
    bring,
    home,
    later,
    make,
    make_all,
    outcome,
    uses,
)
from misuse.table import Case, row
from mood_event import (
    EV_CUSTOM,
    EVRUN_NOWAIT,
    EVRUN_ONCE,
    Error,
    Loop,
    Scheduler,
    Watcher,
    fatal,
)
from mood_event._ffi import ffi

# -- __init__ -------------------------------------------------------------------------


@row(kind=KINDS)
def init_again(case: Case, kind: str) -> None:
    for state in ("unmade", "idle"):
        watcher = make(case, kind, state=state)
        for _ in range(2):
            watcher.__init__(*ARGUMENTS[kind](case), case.loop, case.record)
            with case.allows(case.loop):
                watcher.feed(EV_CUSTOM)
                case.loop.invoke()
        assert case.seen == [(watcher, EV_CUSTOM)] * 2
        case.seen.clear()


@row(kind=KINDS)
def init_again_too_early(case: Case, kind: str) -> None:
    for state, elsewhere in itertools.product(("active", "pending"), (False, True)):
        watcher = make(case, kind, state=state)
        # Child watchers have one loop only.
        loop = Loop() if elsewhere and kind != "child" else case.loop
        for _ in range(2):
            with case.raises(
                Error, f"cannot init a watcher while it is {state}", watcher
            ):
                watcher.__init__(*ARGUMENTS[kind](case), loop, case.record)
        watcher.stop()
        watcher.__init__(*ARGUMENTS[kind](case), loop, case.record)
        watcher.feed(EV_CUSTOM)
        loop.start(EVRUN_NOWAIT)
        assert case.seen.pop() == (watcher, EV_CUSTOM)
        if loop is not case.loop:
            loop.close()


@row(kind=KINDS, what=["callback", "data"])
def init_again_and_what_was_there_starts_it(case: Case, kind: str, what: str) -> None:
    class Starts:
        def __call__(self, watcher: Any, revents: int) -> None:
            pass

        def __del__(self) -> None:
            watcher.start()
            started.append(watcher)

    started: list[Any] = []
    for state in ("unmade", "idle"):
        watcher = make(case, kind, state=state)
        setattr(watcher, what, Starts())
        with case.allows():
            watcher.__init__(*ARGUMENTS[kind](case), case.loop, case.record)
        # PyPy comes to it later.
        for _ in range(10):
            gc.collect()
        assert started.pop() is watcher
        assert watcher.active
        watcher.feed(EV_CUSTOM)
        case.run()
        assert (watcher, EV_CUSTOM) in [(w, r & EV_CUSTOM) for w, r in case.seen]
        watcher.stop()
        assert not watcher.active
        case.seen.clear()


@row(kind=KINDS)
def init_again_that_fails(case: Case, kind: str) -> None:
    for state in STATES:
        watcher = make(case, kind, state=state)
        with case.raises(TypeError, "callback must be callable, got 3", watcher):
            watcher.__init__(*ARGUMENTS[kind](case), case.loop, 3)
        watcher.stop()


@row(kind=KINDS)
def init_again_in_a_batch(case: Case, kind: str) -> None:
    """The event that is delivered is over; the next one is pending still."""

    def callback(watcher: Any, revents: int) -> None:
        (other,) = (each for each in watchers if each is not watcher)
        with case.raises(Error, "while it is pending", other):
            other.__init__(*ARGUMENTS[kind](case), case.loop, case.record)
        other.callback = case.record
        watcher.__init__(*ARGUMENTS[kind](case), case.loop, case.record)
        watcher.feed(EV_CUSTOM)

    watchers = [make(case, kind, callback, "pending") for _ in range(2)]
    case.run()
    assert {watcher for watcher, _ in case.seen} == set(watchers)
    assert len(case.seen) == 2


@row(how=["subclass", "new", "failed"])
def init_never(case: Case, how: str) -> None:
    case.loop = mood_event.default_loop()
    for kind in KINDS:
        cls: Any = Watcher.kinds[kind]
        home(case, kind)
        if how == "new":
            watcher = cls.__new__(cls)
        elif how == "subclass":
            watcher = type("Forgetful", (cls,), {"__init__": lambda self: None})()
        else:
            watcher = type("Failing", (cls,), {"__init__": failing_init})(case.loop)
        for use in sorted(uses(case, watcher), key=lambda use: use.how == "set"):
            # The class itself has no words for it: only a subclass can forget.
            expect_refusal(case, use, AttributeError if how == "new" else Error)
        assert repr(watcher).endswith(" not initialised>")
        watcher = make(case, kind)
        with case.raises(TypeError, "must be", watcher):
            Watcher.__init__(watcher, watcher, case.ignore)


def failing_init(self: Any, loop: Any) -> None:
    """What a subclass may do: its base's __init__ has raised, and that is all."""
    try:
        Watcher.__init__(self, loop, 3)  # type: ignore[arg-type]
    except TypeError as error:
        if "callback must be callable" not in str(error):
            raise


def expect_refusal(case: Case, use: Use, kind: type[Exception]) -> None:
    """Assert that a use raises, but for setting what needs nothing but itself."""
    if use.how == "set":
        try:
            use.do()
        except kind:
            return
        assert use.name in ("callback", "data", "scheduler", "reschedule"), use
        return
    with case.raises(kind, ""):
        use.do()


@row(how=["new", "subclass", "failed"])
def loop_init_never(case: Case, how: str) -> None:
    if how == "new":
        loop = Loop.__new__(Loop)
    elif how == "subclass":
        loop = type("Forgetful", (Loop,), {"__init__": lambda self: None})()
    else:
        loop = type("Failing", (Loop,), {"__init__": failing_loop_init})()
    plain = how == "new"
    for use in uses(case, loop):
        if use.name == "default":
            assert use.do() is False
        elif use.name in ("slow_callback", "exception_handler"):
            # The class has it as well: until it is set, it is that one's.
            with case.allows():
                use.do()
        elif use.name in ("callback", "data") and use.how == "set":
            expect_refusal(case, use, AttributeError if plain else Error)
        elif use.name.rstrip("_") in KINDS:
            refused = {"child": Error}.get(use.name, TypeError if plain else Error)
            expect_refusal(case, use, refused)
        else:
            expect_refusal(case, use, AttributeError if plain else Error)
    assert repr(loop).endswith(" not initialised>")


def failing_loop_init(self: Any) -> None:
    """As failing_init."""
    try:
        Loop.__init__(self, "flags")  # type: ignore[arg-type]
    except TypeError as error:
        if "flags must be an int" not in str(error):
            raise


@row(closed=[False, True])
def loop_init_again(case: Case, closed: bool) -> None:
    loop = Loop()
    watcher = loop.timer(1e4, 0.0, case.ignore)
    watcher.start()
    if closed:
        loop.close()
    with case.raises(Error, "cannot init a loop again", loop, watcher):
        loop.__init__()  # type: ignore[misc]
    loop.close()


# -- watchers of one loop, and another ------------------------------------------------


@row(how=["class", "factory"])
def watcher_in_place_of_a_loop(case: Case, how: str) -> None:
    """It has a loop, but is none."""
    case.loop = mood_event.default_loop()
    for kind in KINDS:
        loop = home(case, kind)
        watcher = loop.timer(1e4, 0.0, case.ignore)
        arguments = ARGUMENTS[kind](case)
        with case.raises(TypeError, "loop must be a Loop, got <Timer", watcher):
            if how == "class":
                Watcher.kinds[kind](*arguments, watcher, case.ignore)
            else:
                getattr(Loop, kind)(watcher, *arguments, case.ignore)


@row(kind=KINDS)
def watcher_of_another_loop(case: Case, kind: str) -> None:
    """Its events come from its own loop alone, wherever they are asked for."""

    def callback(mine: Any, revents: int) -> None:
        watcher.stop()
        watcher.start()
        watcher.feed(EV_CUSTOM)
        assert watcher.pending

    watcher = make(case, kind, case.record)
    other = Loop()
    other.timer(0.0, 0.0, callback).start()
    with case.allows(case.loop):
        other.start()
        assert not case.seen
        watcher.stop()
        other.close()
    assert watcher.loop is case.loop


# -- close ----------------------------------------------------------------------------


@row(kind=KINDS)
def after_close_of_the_watcher(case: Case, kind: str) -> None:
    watchers = [make(case, kind, case.record, state) for state in STATES]
    case.loop.close()
    # The Cleanup that is active has been called, in time.
    assert {watcher for watcher, _ in case.seen} == (
        set(watchers[2:]) if kind == "cleanup" else set()
    )
    case.seen.clear()
    for watcher in watchers:
        for use in uses(case, watcher):
            # What libev need not know is as good as ever; a sweep is the other loop's.
            fine = use.how == "get" or use.name in ("set", "sweep")
            fine |= use.how == "set" and use.name not in ("priority", "keepalive")
            if fine:
                with case.allows(case.loop):
                    use.do()
            else:
                with case.raises(Error, "the loop is closed", watcher):
                    use.do()
        with case.raises(Error, "the loop is closed", watcher):
            watcher.__init__(*ARGUMENTS[kind](case), case.loop, case.record)
        assert not watcher.active
        assert not watcher.pending
        if kind != "child":
            watcher.__init__(*ARGUMENTS[kind](case), Loop(), case.record)
            bring(watcher, "pending")
            watcher.loop.start(EVRUN_NOWAIT)
            watcher.loop.close()
            assert case.seen.pop()[0] is watcher
    case.loop = None


# What is the loop's own, and nothing to libev.
KEPT = ("callback", "data", "slow_callback", "exception_handler")


@row(default=[False, True])
def after_close_of_the_loop(case: Case, default: bool) -> None:
    case.loop = loop = mood_event.default_loop() if default else Loop()
    case.run()
    loop.close()
    values = {"backend": 0, "pending": 0, "iteration": 0, "depth": 0}
    for use in uses(case, loop):
        if use.how == "get":
            with case.allows(loop):
                assert use.do() == values.get(use.name, getattr(loop, use.name))
        elif use.name in (*KEPT, "close"):
            with case.allows():
                use.do()
        else:
            says = "closed" if default or use.name != "child" else "default loop"
            with case.raises(Error, says):
                use.do()
    for function in (loop.__enter__, loop._after_fork):
        with case.allows(loop):
            function()
    case.loop = None
    if default:
        assert mood_event.default_loop() is not loop
        mood_event.default_loop().close()


def close_by_force(case: Case, says: str = "the loop is running") -> Any:
    """A callback that tries to close the loop, whatever it is called with."""

    def callback(*arguments: Any) -> Any:
        case.seen.append((None, 0))
        with case.raises(Error, says):
            case.loop.close()
        now = arguments[-1] if arguments else None
        return later(None, now) if isinstance(now, float) else None

    return callback


@row(
    where=[
        "callback",
        "batch",
        "nested",
        "invoke",
        "Watcher.invoke",
        "Loop.callback",
        "call_soon_threadsafe",
        "once",
        "prepare",
        "unraisablehook",
        "handler",
        "scheduler",
    ]
)
def close_inside(case: Case, where: str) -> None:
    loop = case.loop
    close = close_by_force(case)
    if where in ("callback", "batch"):
        for _ in range(1 if where == "callback" else 3):
            loop.timer(0.0, 0.0, close).start()
    elif where == "nested":
        loop.timer(0.0, 0.0, close).start()
        loop.idle(lambda watcher, revents: loop.start(EVRUN_NOWAIT)).feed(EV_CUSTOM)
    elif where in ("invoke", "Watcher.invoke"):
        idle = loop.idle(close)
        idle.feed(EV_CUSTOM)
        if where == "invoke":
            loop.invoke()
        else:
            loop.timer(0.0, 0.0, lambda timer, revents: idle.invoke(revents)).start()
    elif where == "Loop.callback":
        loop.callback = close
        case.run()
        loop.callback = None
    elif where == "call_soon_threadsafe":
        loop.call_soon_threadsafe(close)
    elif where == "once":
        loop.once(None, 0, 0.0, close)
    elif where == "prepare":
        loop.prepare(close).start()
        case.run()
        loop._queue.held[2].stop()
    elif where == "unraisablehook":
        import sys

        sys.unraisablehook = close
        loop.idle(lambda watcher, revents: 1 / 0).feed(EV_CUSTOM)
    elif where == "handler":
        signal.signal(signal.SIGUSR1, close)
        loop.timer(
            0.0, 0.0, lambda timer, revents: signal.raise_signal(signal.SIGUSR1)
        ).start()
    else:
        # It is asked again after it has triggered, inside a run.
        scheduler = loop.scheduler(lambda watcher, now: now)
        scheduler.start()
        scheduler.scheduler = close
    case.run()
    if where == "scheduler":
        loop._queue.held[2].stop()
    assert case.seen


@row(how=["start", "reset"])
def close_in_a_scheduler(case: Case, how: str) -> None:
    """Outside of a run."""
    says = "Loop.close: a Scheduler's callable must not change the loop"
    scheduler = Scheduler(close_by_force(case, says), case.loop)
    getattr(scheduler, how)()
    assert len(case.seen) == 1
    scheduler.stop()


@row(how=["close", "exit", "del"])
def close_twice(case: Case, how: str) -> None:
    loop = Loop()
    watcher = loop.cleanup(case.record)
    watcher.start()
    loop.close()
    with case.allows(loop, watcher):
        if how == "close":
            loop.close()
        elif how == "exit":
            loop.__exit__(None, None, None)
        else:
            loop.__del__()
    assert len(case.seen) == 1


@row(how=["running", "nested", "cleanup", "del"])
def close_within_close(case: Case, how: str) -> None:
    class Closes:
        """Data that closes its loop when it goes."""

        def __del__(self) -> None:
            case.seen.append((None, 0))
            loop.close()

    def cleanup(watcher: Any, revents: int) -> None:
        case.seen.append((watcher, revents))
        if how == "nested":
            loop.start(EVRUN_NOWAIT)
        with case.raises(Error, "Loop.close: the loop is running"):
            loop.close()

    loop = Loop()
    if how == "del":
        loop.timer(1e4, 0.0, case.ignore, Closes()).start()
        loop.cleanup(case.ignore, Closes()).start()
        loop.idle(case.ignore, Closes()).feed(EV_CUSTOM)
    else:
        loop.cleanup(cleanup).start()
    if how == "running":
        loop.data = [loop.cleanup(case.ignore) for _ in range(3)]
        for watcher in loop.data:
            watcher.start()
    with case.allows():
        loop.close()
        loop.close()
    loop.data = None
    gc.collect()
    gc.collect()
    assert case.seen
    with case.raises(Error, "the loop is closed", loop):
        loop.start()


@row(count=[1, 1000])
def close_with_watchers_of_all_kinds(case: Case, count: int) -> None:
    """Active, and pending as well, and with what other threads asked for."""
    case.loop = loop = mood_event.default_loop()
    watchers: list[Any] = []
    while len(watchers) < count:
        if count == 1:
            watchers.extend(make_all(case))
        else:
            # Without more pipes and loops than descriptors.
            watchers.extend(
                make(case, kind) for kind in KINDS if kind not in ("embed", "io")
            )
    if count > 1:
        watchers.extend(make_all(case))
    for number, watcher in enumerate(watchers):
        watcher.callback = case.record
        watcher.start()
        if number % 3 == 0:
            watcher.feed(EV_CUSTOM)
        if number % 5 == 0:
            watcher.keepalive = False
        if number % 7 == 0 and watcher.active:
            watcher.data = watchers
    loop.call_soon_threadsafe(case.ignore)
    loop.verify()
    with case.allows():
        loop.close()
    kinds = {type(watcher).__name__ for watcher, _ in case.seen}
    assert kinds == {"Cleanup"}
    for watcher in watchers:
        assert not watcher.active
        assert not watcher.pending
    case.loop = None


@row()
def close_after_a_fatal_exception(case: Case) -> None:
    """What it has kept from being delivered is dropped."""

    @fatal
    def fail(watcher: Any, revents: int) -> None:
        raise ZeroDivisionError

    loop = case.loop
    watchers = [loop.timer(0.0, 0.0, fail) for _ in range(10)]
    for watcher in watchers:
        watcher.feed(EV_CUSTOM)
    try:
        loop.start()
    except ZeroDivisionError:
        assert loop.pending == 9
    with case.allows():
        loop.close()
    assert not any(watcher.pending for watcher in watchers)
    case.loop = None


@row()
def close_in_another_thread(case: Case) -> None:
    """While no thread runs it, any thread may close it."""
    watchers = make_all(case, "active")
    thread = threading.Thread(target=case.loop.close)
    thread.start()
    thread.join()
    assert not any(watcher.active for watcher in watchers)
    with case.raises(Error, "the loop is closed", *watchers):
        case.loop.start()
    case.loop = None


# -- copies, references ---------------------------------------------------------------

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy_in_a_list": lambda thing: copy.deepcopy([thing]),
    "reduce": lambda thing: thing.__reduce__(),
    **{
        f"pickle{protocol}": lambda thing, protocol=protocol: pickle.dumps(
            thing, protocol
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@row(how=COPIES)
def copied(case: Case, how: str) -> None:
    case.loop = mood_event.default_loop()
    for state in STATES:
        watchers = make_all(case, state)
        for thing in (*watchers, case.loop):
            with case.raises(TypeError, "cannot copy or pickle", thing):
                COPIES[how](thing)
        for watcher in watchers:
            watcher.stop()
    case.loop.close()
    for thing in (*watchers, case.loop):
        with case.raises(TypeError, "cannot copy or pickle", thing):
            COPIES[how](thing)
    case.loop = None


@row(kind=KINDS)
def weak_reference(case: Case, kind: str) -> None:
    """It says nothing while the watcher works, and something afterwards."""

    def gone(reference: Any) -> None:
        case.seen.append((reference, 0))
        # In the middle of whatever made it garbage.
        case.loop.timer(1e4, 0.0, case.ignore).start()
        case.loop.verify()

    watcher = make(case, kind, state="active")
    reference = weakref.ref(watcher, gone)
    proxy = weakref.proxy(watcher)
    proxy.data = "through the proxy"
    del watcher
    gc.collect()
    with case.allows(case.loop):
        assert reference().data == proxy.data
        assert not case.seen
    proxy.stop()
    for _ in range(5):
        gc.collect()
    assert case.seen == [(reference, 0)]
    with case.raises(ReferenceError, "", case.loop):
        proxy.start()


@row(kind=KINDS)
def weak_reference_to_the_loop(case: Case, kind: str) -> None:
    """A watcher may have one in place of its loop."""
    home(case, kind)
    proxy = weakref.proxy(case.loop)
    watcher = Watcher.kinds[kind](*ARGUMENTS[kind](case), proxy, case.record)
    watcher.feed(EV_CUSTOM)
    with case.allows():
        watcher.loop.start(EVRUN_NOWAIT)
    assert case.seen == [(watcher, EV_CUSTOM)]


@row(kind=KINDS)
def represented(case: Case, kind: str) -> None:
    def callback(watcher: Any, revents: int) -> None:
        case.seen.append((repr(watcher), 0))

    name = Watcher.kinds[kind].__name__
    for state in STATES:
        watcher = make(case, kind, callback, state)
        with case.allows(watcher, case.loop):
            words = repr(watcher)
        assert words.startswith(f"<{name}"), words
        # An Embed shows its other loop, and how many are active there.
        assert words.endswith(" active>") is (state == "active"), words
        assert words.endswith(" pending>") is (state == "pending"), words
        if state == "pending":
            watcher.start()
            assert repr(watcher).endswith(" active pending>")
            case.run()
            assert case.seen.pop()[0].endswith(" active>")
            case.seen.clear()
        watcher.stop()
    case.loop.close()
    with case.allows(watcher):
        assert repr(watcher).startswith(f"<{name}")
    case.loop = None


@row()
def loop_represented(case: Case) -> None:
    def callback(watcher: Any, revents: int) -> None:
        case.seen.append((repr(case.loop), 0))

    case.loop.idle(callback).feed(EV_CUSTOM)
    with case.allows():
        case.run()
    assert case.seen.pop()[0].startswith("<Loop ")
    case.loop.close()
    assert repr(case.loop) == "<Loop closed>"
    case.loop = None


# -- attributes -----------------------------------------------------------------------


@row(kind=KINDS)
def attribute_that_is_read_only(case: Case, kind: str) -> None:
    for state in STATES:
        watcher = make(case, kind, state=state)
        for thing in (watcher, case.loop):
            for use in uses(case, thing):
                prop = getattr(type(thing), use.name)
                if use.how == "call":
                    continue
                with case.raises(AttributeError, "", watcher):
                    delattr(thing, use.name)
                if prop.fset is None:
                    with case.raises(AttributeError, "", watcher):
                        setattr(thing, use.name, use.do())
        watcher.stop()


BAD: dict[str, list[Any]] = {
    "callback": [3, "callback", [], 0.0],
    "priority": [1.0, "1", None, []],
    "repeat": ["1", None, 1j, []],
    "offset": ["1", None, 1j, []],
    "interval": ["1", None, 1j, []],
    "scheduler": [3, "scheduler", None, 0.0],
    "reschedule": [3, "scheduler", None, 0.0],
    "rpid": [1.0, "1", None, []],
    "rstatus": [1.0, "1", None, []],
    "io_interval": ["1", None, 1j, []],
    "timeout_interval": ["1", None, 1j, []],
    "slow_callback": ["1", 1j, []],
    "exception_handler": [3, "handler", [], 0.0],
}


class Undecided:
    """What is neither true nor false."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError


@row(kind=KINDS)
def attribute_set_to_what_it_cannot_be(case: Case, kind: str) -> None:
    for state in STATES:
        watcher = make(case, kind, state=state)
        for thing in (watcher, case.loop):
            for use in uses(case, thing):
                if use.how != "set" or use.name == "data":
                    continue
                if use.name == "keepalive":
                    with case.raises(ZeroDivisionError, "", watcher):
                        thing.keepalive = Undecided()
                    continue
                for bad in BAD[use.name]:
                    with case.raises(TypeError, " must be ", watcher):
                        setattr(thing, use.name, bad)
        watcher.stop()


@row()
def data_of_any_kind(case: Case) -> None:
    """Also what refuses to be compared, printed or hashed."""

    class Unfriendly:
        """Raises wherever Python asks for something."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        def __bool__(self) -> bool:
            raise ZeroDivisionError

        def __repr__(self) -> str:
            raise ZeroDivisionError

    unfriendly = Unfriendly()
    for thing in (*make_all(case, "active"), case.loop):
        thing.data = unfriendly
        with case.allows():
            repr(thing)
            assert thing.data is unfriendly
        thing.data = thing
        thing.data = None


# -- methods of others ----------------------------------------------------------------

REFUSALS = (AttributeError, TypeError, Error)


@row(kind=KINDS)
def method_of_another_type(case: Case, kind: str) -> None:
    """Called with a watcher that has no such method, or with no watcher at all."""
    cls = Watcher.kinds[kind]
    watchers = [
        watcher
        for state in ("unmade", "idle", "active")
        for watcher in make_all(case, state)
    ]
    with case.allows():
        for use in uses(case, make(case, kind)):
            found = getattr(cls, use.name)
            arguments: tuple[Any, ...] = ()
            if use.how == "call":
                arguments = {"set": ARGUMENTS[kind](case)}.get(use.name, ())
                arguments = arguments or WATCHER_ARGUMENTS.get(use.name, ())
            else:
                found = getattr(found, f"f{use.how}")
                arguments = (VALUES[use.name],) if use.how == "set" else ()
            for nobody in (object(), None, 3, "timer"):
                error = outcome(found, nobody, *arguments)
                assert isinstance(error, REFUSALS), (use, nobody, error)
            if use.name in vars(Watcher):
                # All have it, and do with it what they do.
                continue
            for watcher in watchers:
                if not isinstance(watcher, cls):
                    error = outcome(found, watcher, *arguments)
                    assert error is None or isinstance(error, REFUSALS), error
        case.run()
    for watcher in watchers:
        watcher.stop()


@row()
def method_of_a_loop(case: Case) -> None:
    """Called with what is no loop."""
    watchers = make_all(case, "active")
    with case.allows(case.loop, *watchers):
        for use in uses(case, case.loop):
            found = getattr(Loop, use.name)
            if use.how == "call":
                for nobody in (object(), None, 3, "loop", *watchers, Loop):
                    assert isinstance(outcome(found, nobody), REFUSALS), use


# -- what is private ------------------------------------------------------------------


def slots(cls: type[Any]) -> list[str]:
    """The names of what an instance of a watcher type keeps."""
    return [
        name
        for base in cls.__mro__
        for name in vars(base).get("__slots__", ())
        if name != "__weakref__"
    ]


SLOTS = sorted({name for cls in Watcher.kinds.values() for name in slots(cls)})

# What a subclass may keep under the same name, not knowing that it is taken.
STRANGERS = [None, 0, -1, 7, 1000, object()]


def spoil(thing: Any, name: str, how: str, number: int) -> None:
    """Take one of an object's own attributes away, or put something else there."""
    if how == "replaced":
        setattr(thing, name, STRANGERS[number % len(STRANGERS)])
    elif hasattr(thing, name):
        delattr(thing, name)


def churn() -> None:
    """Overwrite what memory has been given back.

    Once for all that a row has spoilt: a collection takes PyPy longer than the rest.
    """
    gc.collect()
    for size in range(32, 640, 16):
        for _ in range(20):
            ffi.new("char[]", b"\xff" * size)


def use_up(case: Case, things: list[Any]) -> None:
    """Do everything with what is spoilt, and run the loop in between."""
    for thing in things:
        for use in uses(case, thing):
            if use.name != "close":
                outcome(use.do)
        outcome(repr, thing)
        outcome(case.loop.start, EVRUN_NOWAIT)
    outcome(case.loop.verify)


@row(name=SLOTS, how=["deleted", "replaced"], stderr=".*")
def slot_of_a_watcher(case: Case, name: str, how: str) -> None:
    """All that can follow is an exception."""
    # Loops are left open, as nothing can close them.
    warnings.simplefilter("ignore")
    states = ["active"] * len(STRANGERS) if how == "replaced" else STATES
    kinds = [kind for kind in KINDS if name in slots(Watcher.kinds[kind])]
    loops: list[Loop] = []
    spoilt: list[list[Any]] = []
    with case.allows():
        for kind in kinds:
            case.loop = None
            watchers = [make(case, kind, state=state) for state in states]
            for number, watcher in enumerate(watchers):
                spoil(watcher, name, how, number)
            loops.append(case.loop)
            spoilt.append(watchers)
        churn()
        for kind, case.loop, watchers in zip(kinds, loops, spoilt):
            use_up(case, watchers)
            if name != "_memory":
                # By this one __init__ knows whether it is called again.
                for watcher in watchers:
                    arguments = ARGUMENTS[kind](case)
                    outcome(watcher.__init__, *arguments, case.loop, case.ignore)
        churn()
        for case.loop, watchers in zip(loops, spoilt):
            use_up(case, watchers)
            watchers.clear()
        watcher = None
        churn()
        for loop in loops:
            outcome(loop.start, EVRUN_NOWAIT)
            outcome(loop.close)
            outcome(loop.close)
    case.loop = None
    case.reported.clear()


def own_attributes(loop: Loop) -> list[str]:
    """The names of what a loop keeps, on itself or on its class at first."""
    return sorted(
        name
        for name in {*vars(loop), *vars(Loop)}
        if not name.startswith("__")
        and not callable(value := getattr(Loop, name, None))
        and not isinstance(value, property)
    )


@row(how=["deleted", "replaced"], started=[False, True], stderr=".*")
def attribute_of_a_loop(case: Case, how: str, started: bool) -> None:
    """All that can follow is an exception."""
    warnings.simplefilter("ignore")
    names = own_attributes(Loop())
    assert {"_queue", "_c", "_wakeup", "debug"} <= set(names)
    spoilt: list[tuple[Loop, list[Any]]] = []
    with case.allows():
        for name, number in itertools.product(
            names, range(len(STRANGERS) if how == "replaced" else 1)
        ):
            case.loop = Loop()
            watchers = [case.loop.timer(0.0, 1e-6, case.ignore) for _ in range(3)]
            for watcher in watchers:
                watcher.start()
            case.loop.call_soon_threadsafe(case.ignore)
            if started:
                # It has all that it gets when it runs.
                case.loop.start(EVRUN_ONCE)
            outcome(spoil, case.loop, name, how, number)
            spoilt.append((case.loop, watchers))
        churn()
        for case.loop, watchers in spoilt:
            use_up(case, [case.loop, *watchers])
            outcome(case.loop.close)
            for watcher in watchers:
                outcome(watcher.stop)
                outcome(watcher.start)
    case.loop = None
    case.reported.clear()
