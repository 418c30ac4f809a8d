"""The module: its names, constants and functions, the default loop, and how it is laid
out.

Imports of the package's modules are read from their source, not made.
"""

import ast
import gc
import inspect
import re
import signal
import time as _time
import warnings
import weakref
from pathlib import Path

import pytest

import mood_event
from mood_event import Error, Loop, default_loop, fatal, feed_signal, sleep

# libev's ABI: these numbers are the same in every libev 4.
CONSTANTS = {
    "EV_READ": 0x01,
    "EV_IO": 0x01,
    "EV_WRITE": 0x02,
    "EV_TIMER": 0x100,
    "EV_PERIODIC": 0x200,
    "EV_SIGNAL": 0x400,
    "EV_CHILD": 0x800,
    "EV_STAT": 0x1000,
    "EV_IDLE": 0x2000,
    "EV_PREPARE": 0x4000,
    "EV_CHECK": 0x8000,
    "EV_EMBED": 0x10000,
    "EV_FORK": 0x20000,
    "EV_CLEANUP": 0x40000,
    "EV_ASYNC": 0x80000,
    "EV_CUSTOM": 0x1000000,
    "EV_ERROR": -0x80000000,  # a C int
    "EV_MINPRI": -2,
    "EV_MAXPRI": 2,
    "EVFLAG_AUTO": 0,
    "EVFLAG_NOENV": 0x1000000,
    "EVFLAG_FORKCHECK": 0x2000000,
    "EVFLAG_NOINOTIFY": 0x100000,
    "EVFLAG_SIGNALFD": 0x200000,
    "EVFLAG_NOSIGMASK": 0x400000,
    "EVFLAG_NOTIMERFD": 0x800000,
    "EVBACKEND_SELECT": 0x01,
    "EVBACKEND_POLL": 0x02,
    "EVBACKEND_EPOLL": 0x04,
    "EVBACKEND_KQUEUE": 0x08,
    "EVBACKEND_DEVPOLL": 0x10,
    "EVBACKEND_PORT": 0x20,
    "EVBACKEND_LINUXAIO": 0x40,
    "EVBACKEND_IOURING": 0x80,
    "EVBACKEND_ALL": 0xFF,
    "EVBACKEND_MASK": 0xFFFF,
    "EVRUN_NOWAIT": 1,
    "EVRUN_ONCE": 2,
    "EVBREAK_ONE": 1,
    "EVBREAK_ALL": 2,
}

FUNCTIONS = (
    "abi_version",
    "default_loop",
    "embeddable_backends",
    "fatal",
    "feed_signal",
    "recommended_backends",
    "sleep",
    "supported_backends",
    "time",
)

CLASSES = (
    "Async",
    "Check",
    "Child",
    "Cleanup",
    "Embed",
    "Error",
    "Fork",
    "Idle",
    "Io",
    "Loop",
    "Periodic",
    "Prepare",
    "Scheduler",
    "Signal",
    "Stat",
    "Timer",
    "Watcher",
)

BACKENDS = [
    name
    for name in CONSTANTS
    if name.startswith("EVBACKEND_") and name not in ("EVBACKEND_ALL", "EVBACKEND_MASK")
]

# NaN and infinity in their guises: no libev call may see them.
NOT_FINITE = [float("nan"), float("inf"), float("-inf"), 10**400]


def unsupported_backend():
    """A backend that this system does not have."""
    supported = mood_event.supported_backends()
    return next(CONSTANTS[n] for n in BACKENDS if not CONSTANTS[n] & supported)


# -- names ----------------------------------------------------------------------------


def test_all_lists_every_public_name_once():
    assert sorted(mood_event.__all__) == sorted(
        [*CONSTANTS, *FUNCTIONS, *CLASSES, "__version__"]
    )


def test_star_import_brings_all_of_them():
    scope = {}
    exec("from mood_event import *", scope)
    del scope["__builtins__"]
    assert scope == {name: getattr(mood_event, name) for name in mood_event.__all__}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constant_has_libevs_value(name):
    value = getattr(mood_event, name)
    assert (type(value), value) == (int, CONSTANTS[name])


def test_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", mood_event.__version__)
    source = (Path(mood_event.__file__).parent / "_version.py").read_text()
    assert f'__version__ = "{mood_event.__version__}"' in source


def test_error_is_an_exception():
    assert issubclass(Error, Exception)
    assert not issubclass(Error, (OSError, ValueError, TypeError))
    assert str(Error("text")) == "text"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_stored_on_a_class_is_no_method(name):
    function = getattr(mood_event, name)

    class Program:
        stored = function

    assert Program().stored is function
    assert Program.stored is function


def test_function_on_a_class_can_be_called(default_loop):
    class Program:
        make_loop = mood_event.default_loop
        now = mood_event.time
        decorate = mood_event.fatal

    program = Program()
    assert program.make_loop() is default_loop
    assert program.now() > 0.0
    assert program.decorate(unsupported_backend) is unsupported_backend


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_tells_about_itself(name):
    function = getattr(mood_event, name)
    assert callable(function)
    assert (function.__name__, function.__doc__ is None) == (name, False)
    assert name in repr(function)
    assert len(inspect.signature(function).parameters) == {
        "default_loop": 6,
        "fatal": 1,
        "feed_signal": 1,
        "sleep": 1,
    }.get(name, 0)


# -- libev ----------------------------------------------------------------------------


def test_abi_version_is_libevs():
    major, minor = mood_event.abi_version()
    assert (major, minor) >= (4, 33)


def test_backends_are_sets_of_known_bits():
    supported = mood_event.supported_backends()
    recommended = mood_event.recommended_backends()
    assert supported & mood_event.EVBACKEND_SELECT
    assert recommended
    assert recommended & ~supported == 0
    for backends in (supported, recommended, mood_event.embeddable_backends()):
        assert 0 < backends <= mood_event.EVBACKEND_ALL


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_that_is_recommended_makes_a_loop(name):
    backend = CONSTANTS[name]
    if backend & mood_event.recommended_backends():
        with Loop(backend) as loop:
            assert loop.backend == backend
    elif not backend & mood_event.supported_backends():
        with pytest.raises(Error, match="could not create loop, bad 'flags'"):
            Loop(backend)


@pytest.mark.parametrize(
    "name",
    [
        "abi_version",
        "supported_backends",
        "recommended_backends",
        "embeddable_backends",
        "time",
    ],
)
def test_function_takes_no_arguments(name):
    with pytest.raises(TypeError):
        getattr(mood_event, name)(1)


def test_time_is_the_time_of_day():
    # gettimeofday, which libev may use, knows microseconds.
    before = _time.time() - 1e-5
    now = mood_event.time()
    assert type(now) is float
    assert before <= now <= _time.time() + 1e-5


def test_sleep_blocks_for_the_interval():
    # "it might return a bit earlier"
    before = _time.monotonic()
    assert sleep(0.05) is None
    assert _time.monotonic() - before >= 0.049


@pytest.mark.parametrize("interval", [0, 0.0, -1, -0.5, -1e9, False])
def test_sleep_returns_at_once_without_an_interval(interval):
    assert sleep(interval) is None


@pytest.mark.parametrize("bad", ["1", None, b"1", [], 1j])
def test_sleep_refuses_what_is_no_number(bad):
    with pytest.raises(TypeError, match="interval"):
        sleep(bad)


@pytest.mark.parametrize("bad", NOT_FINITE)
def test_sleep_refuses_what_is_not_finite(bad):
    with pytest.raises(ValueError, match="interval must be finite"):
        sleep(bad)


@pytest.mark.parametrize("function", [sleep, feed_signal])
def test_function_takes_one_positional_argument(function):
    parameter = next(iter(inspect.signature(function).parameters))
    for arguments, keywords in [((), {}), ((), {parameter: 0}), ((0, 0), {})]:
        with pytest.raises(TypeError):
            function(*arguments, **keywords)


@pytest.mark.parametrize("interval", [86401, 1e300])
def test_sleep_of_more_than_a_day_warns_and_a_signal_ends_it(interval):
    ticks = []
    before = signal.signal(signal.SIGALRM, lambda *arguments: ticks.append(arguments))
    # Again and again: the first may come before the thread sleeps.
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with pytest.warns(RuntimeWarning, match="more than a day") as caught:
            sleep(interval)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert ticks
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("bad", ["10", None, 10.0, b"10"])
def test_feed_signal_refuses_what_is_no_int(bad):
    with pytest.raises(TypeError, match="signum"):
        feed_signal(bad)


@pytest.mark.parametrize(
    "bad", [0, -1, signal.NSIG, 10**6, 2**40, signal.SIGKILL, signal.SIGSTOP]
)
def test_feed_signal_refuses_what_is_no_signal(bad):
    with pytest.raises(ValueError, match="signum"):
        feed_signal(bad)


def test_feed_signal_that_nobody_watches_is_ignored(loop):
    for signum in (signal.SIGUSR1, signal.SIGTERM, int(signal.SIGUSR2)):
        assert feed_signal(signum) is None
    assert loop.start() is False


# -- the default loop -----------------------------------------------------------------


def test_default_loop_is_one_object(default_loop):
    assert mood_event.default_loop() is default_loop
    assert isinstance(default_loop, Loop)
    assert default_loop.default is True


def test_default_loop_takes_arguments_by_position():
    def callback(loop):
        loop.invoke()

    backend = mood_event.EVBACKEND_SELECT
    with default_loop(backend, callback, "data", 0.25, 0.5) as loop:
        assert (loop.backend, loop.callback, loop.data) == (backend, callback, "data")
        assert (loop.io_interval, loop.timeout_interval) == (0.25, 0.5)


def test_default_loop_takes_arguments_by_keyword():
    with default_loop(
        timeout_interval=0.5, io_interval=0.25, data="data", callback=None, flags=0
    ) as loop:
        assert (loop.callback, loop.data) == (None, "data")
        assert (loop.io_interval, loop.timeout_interval) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"flags": "0"}, TypeError),
        ({"flags": -1}, OverflowError),
        ({"callback": 5}, TypeError),
        ({"io_interval": "0"}, TypeError),
        ({"io_interval": -1.0}, ValueError),
        ({"timeout_interval": float("nan")}, ValueError),
        ({"unknown": 1}, TypeError),
        ({"flags": unsupported_backend()}, Error),
    ],
)
def test_default_loop_that_fails_can_be_tried_again(arguments, error):
    with pytest.raises(error):
        default_loop(**arguments)
    with default_loop(data="again") as loop:
        assert loop.data == "again"


class Strange:
    """Data that cannot be compared."""

    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = None


@pytest.mark.parametrize(
    "arguments",
    [
        {"flags": mood_event.EVBACKEND_SELECT},
        {"callback": unsupported_backend},
        {"data": "other"},
        {"data": Strange()},
        {"io_interval": 1.0},
        {"timeout_interval": 1.0},
    ],
)
def test_default_loop_ignores_later_arguments_with_a_warning(default_loop, arguments):
    backend = default_loop.backend
    with pytest.warns(RuntimeWarning, match="arguments are ignored") as caught:
        assert mood_event.default_loop(**arguments) is default_loop
    assert [warning.filename for warning in caught] == [__file__]
    assert (default_loop.backend, default_loop.callback) == (backend, None)
    assert default_loop.data is None
    assert (default_loop.io_interval, default_loop.timeout_interval) == (0.0, 0.0)


def test_default_loop_does_not_warn_without_arguments(default_loop):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mood_event.default_loop() is default_loop


def test_default_loop_survives_that_nobody_refers_to_it(request):
    reference = weakref.ref(default_loop(data="kept"))
    request.addfinalizer(lambda: default_loop().close())
    gc.collect()
    assert reference() is not None
    assert default_loop().data == "kept"


def test_default_loop_is_another_one_after_close():
    with default_loop(data="first") as first:
        pass
    with default_loop(data="second") as second:
        assert second is not first
        assert second.data == "second"
        # The first one is of no consequence any more.
        first.close()
        assert default_loop() is second


def test_default_loop_is_none_of_the_others(loop, default_loop):
    assert loop is not default_loop
    assert loop.default is False


# -- fatal ----------------------------------------------------------------------------


class Callbacks:
    """Callables of every sort, which raise."""

    def method(self, watcher, revents):
        raise ZeroDivisionError

    def __call__(self, watcher, revents):
        raise ZeroDivisionError

    @fatal
    def decorated(self, watcher, revents):
        raise ZeroDivisionError

    @staticmethod
    @fatal
    def static(watcher, revents):
        raise ZeroDivisionError


class Slotted:
    """A callable that takes no attributes."""

    __slots__ = ()

    def __call__(self, watcher, revents):
        raise ZeroDivisionError


def plain(watcher, revents):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "callback",
    [
        fatal(lambda watcher, revents: 1 / 0),
        fatal(Callbacks().method),
        fatal(Callbacks()),
        fatal(Slotted()),
        Callbacks().decorated,
        Callbacks().static,
        Callbacks.static,
        fatal(divmod),  # TypeError: of a watcher and an int
    ],
)
def test_fatal_makes_start_raise(loop, unraisable, callback):
    loop.timer(0.0, 0.0, callback).start()
    with pytest.raises((ZeroDivisionError, TypeError)):
        loop.start()
    assert unraisable == []


def test_fatal_returns_the_function_itself():
    def function(watcher, revents):
        pass

    assert fatal(function) is function
    callbacks = Callbacks()
    assert fatal(callbacks) is callbacks


@pytest.mark.parametrize("original", [Callbacks().method, Slotted(), divmod])
def test_fatal_of_what_takes_no_attributes_calls_it(original):
    wrapped = fatal(original)
    assert callable(wrapped)
    if original is divmod:
        assert wrapped(7, 2) == (3, 1)
    else:
        with pytest.raises(ZeroDivisionError):
            wrapped(None, 0)


def test_fatal_of_a_bound_method_leaves_the_others_alone(loop, unraisable):
    callbacks = Callbacks()
    fatal(callbacks.method)
    loop.timer(0.0, 0.0, callbacks.method).start()
    assert loop.start() is False
    assert [report.exc_type for report in unraisable] == [ZeroDivisionError]


@pytest.mark.parametrize("bad", [None, 5, "function", object()])
def test_fatal_refuses_what_is_not_callable(bad):
    with pytest.raises(TypeError, match="callable"):
        fatal(bad)


# -- the layout -----------------------------------------------------------------------

# Each may import those after it; the others may be imported by all.
ORDER = [
    "aio",
    "__init__",
    "loop",
    "_slow",
    "watchers",
    "_dispatch",
    "_interrupts",
    "_ffi",
]
BELOW = {"errors": [], "constants": ["_ffi"], "_version": [], "_naming": []}


def imported(path):
    """The package's modules that a module imports when it runs, wherever in it."""
    names = set()
    tree = ast.parse(path.read_text())
    for_checkers = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_checkers:
            continue
        if isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not read here"
            full = [node.module]
            if node.module == "mood_event":
                full = [f"mood_event.{alias.name}" for alias in node.names]
        else:
            continue
        names.update(
            ([*name.split("."), "__init__"])[1]
            for name in full
            if name.split(".")[0] == "mood_event"
        )
    return names


@pytest.mark.parametrize("module", [*ORDER, *BELOW])
def test_imports_go_one_way(module):
    allowed = BELOW.get(module)
    if allowed is None:
        allowed = [*ORDER[ORDER.index(module) + 1 :], *BELOW]
    if module == "_ffi":
        allowed = ["_ev", "_version"]
    path = Path(mood_event.__file__).parent / f"{module}.py"
    assert imported(path) <= set(allowed)


def test_imports_of_every_module_are_known():
    modules = {path.stem for path in Path(mood_event.__file__).parent.glob("*.py")}
    assert modules - {"__main__"} == {*ORDER, *BELOW}


def test_compiled_module_has_one_importer():
    for path in Path(mood_event.__file__).parent.glob("*.py"):
        if path.stem != "_ffi":
            assert "_ev" not in imported(path)


def test_check_version_takes_the_packages_version_only():
    from mood_event import _ffi

    assert _ffi.check_version(mood_event.__version__) is None
    with pytest.raises(ImportError, match=r"built for 0\.0\.0\."):
        _ffi.check_version("0.0.0")


def test_import_without_the_compiled_module_says_what_to_do(run_script):
    run_script(
        """
        import sys
        sys.modules["mood_event._ev"] = None
        try:
            import mood_event
        except ImportError as error:
            assert "cannot be imported" in str(error), error
            assert "pip install" in str(error), error
        else:
            raise AssertionError("imported")
        """
    )
