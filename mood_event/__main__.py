"""python -m mood_event: versions, backends, how libev was built, and a self-check.

Run by a person, or by a bug report's author; imported by nothing. It uses public
names only, but for what `_ev` knows of its own build.
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable

import mood_event as ev
from mood_event._ffi import ffi, lib
from mood_event.loop import backend_names

# How long a watcher may take to be called, in seconds: it takes milliseconds.
PATIENCE = 10.0


def describe() -> "list[tuple[str, str]]":
    """What is installed, and how it was built, as pairs of name and value."""
    import _cffi_backend  # type: ignore[import-untyped]

    origin = ffi.string(lib.mood_libev_origin()).decode()
    debug = ", with asserts (MOOD_EVENT_DEBUG=1)" if lib.mood_debug() else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        ("mood_event", ev.__version__),
        ("libev", ".".join(map(str, ev.abi_version())) + f", {origin}{debug}"),
        ("cffi", str(_cffi_backend.__version__)),
        ("python", f"{python} on {platform.system()} {platform.machine()}"),
        ("supported", " ".join(backend_names(ev.supported_backends()))),
        ("recommended", " ".join(backend_names(ev.recommended_backends()))),
        (
            "embeddable",
            " ".join(backend_names(ev.embeddable_backends() & ev.supported_backends())),
        ),
    ]


def check_kind(kind: str, loop: ev.Loop) -> int:
    """Run one type of watcher until it is called.

    Args:
        kind: the name of the loop's factory method.
        loop: the default loop.

    Returns:
        The revents that it was called with; 0 if it was not.
    """
    received: list[int] = []

    def callback(watcher: Any, revents: int) -> None:
        received.append(revents)
        watcher.stop()
        loop.stop()

    watcher, trigger, undo = TRIGGERS[kind](loop, callback)
    timeout = loop.timer(PATIENCE, 0.0, lambda timer, revents: timer.loop.stop())
    timeout.keepalive = False
    timeout.start()
    watcher.start()
    try:
        trigger()
        while not received and timeout.active:
            loop.start()
    finally:
        timeout.stop()
        if watcher.active:
            watcher.stop()
        undo()
    return received[0] if received else 0


def _nothing() -> None:
    pass


def _io(loop: ev.Loop, callback: Any) -> Any:
    fds = os.pipe()
    watcher = loop.io(fds[0], ev.EV_READ, callback)
    return watcher, lambda: os.write(fds[1], b"."), lambda: [*map(os.close, fds)]


def _child(loop: ev.Loop, callback: Any) -> Any:
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    # Popen's own wait comes too late: the loop has waited for the process.
    return loop.child(process.pid, False, callback), _nothing, process.wait


def _stat(loop: ev.Loop, callback: Any) -> Any:
    directory = tempfile.TemporaryDirectory(prefix="mood-event-")
    path = os.path.join(directory.name, "watched")

    def change() -> None:
        with open(path, "w", encoding="ascii") as file:
            file.write("changed")

    return loop.stat(path, 0.2, callback), change, directory.cleanup


def _embed(loop: ev.Loop, callback: Any) -> Any:
    backends = ev.embeddable_backends() & ev.supported_backends()
    other = ev.Loop(backends & ev.recommended_backends() or backends)
    fds = os.pipe()
    other.io(fds[0], ev.EV_READ, lambda watcher, revents: watcher.stop()).start()

    def swept(watcher: ev.Embed, revents: int) -> None:
        watcher.sweep()
        callback(watcher, revents)

    def trigger() -> None:
        # Later: a new descriptor is swept for in any case.
        loop.once(None, 0, 0.01, lambda revents: os.write(fds[1], b"."))

    def undo() -> None:
        other.close()
        for fd in fds:
            os.close(fd)

    return loop.embed(other, swept), trigger, undo


def _cleanup(loop: ev.Loop, callback: Any) -> Any:
    # It is called when its loop is closed, and the default loop has more to do.
    closing = ev.Loop()
    return closing.cleanup(callback), closing.close, _nothing


def _async(loop: ev.Loop, callback: Any) -> Any:
    watcher = loop.async_(callback)
    return watcher, watcher.send, _nothing


# For each kind: a watcher, what makes something happen to it, and what to undo.
TRIGGERS: "dict[str, Callable[[ev.Loop, Any], Any]]" = {
    "io": _io,
    "timer": lambda loop, cb: (loop.timer(0.01, 0.0, cb), _nothing, _nothing),
    "periodic": lambda loop, cb: (
        loop.periodic(time.time() + 0.01, 0.0, cb),
        _nothing,
        _nothing,
    ),
    "scheduler": lambda loop, cb: (
        loop.scheduler(lambda watcher, now: now + 0.01, cb),
        _nothing,
        _nothing,
    ),
    "signal": lambda loop, cb: (
        loop.signal(signal.SIGUSR1, cb),
        lambda: os.kill(os.getpid(), signal.SIGUSR1),
        _nothing,
    ),
    "child": _child,
    "stat": _stat,
    "idle": lambda loop, cb: (loop.idle(cb), _nothing, _nothing),
    "prepare": lambda loop, cb: (loop.prepare(cb), _nothing, _nothing),
    "check": lambda loop, cb: (loop.check(cb), lambda: _wake(loop), _nothing),
    "embed": _embed,
    "fork": lambda loop, cb: (loop.fork(cb), loop.reset, _nothing),
    "cleanup": _cleanup,
    "async": _async,
}


def _wake(loop: ev.Loop) -> None:
    """Keep the loop from waiting: a Check is called after that alone."""
    loop.call_soon_threadsafe(_nothing)


def main() -> int:
    """Print the description and the self-check; returns the exit status."""
    for name, value in describe():
        print(f"{name:<12} {value}")
    print()
    failed = 0
    with ev.default_loop() as loop:
        for kind in ev.Watcher.kinds:
            started = time.perf_counter()
            revents = check_kind(kind, loop)
            milliseconds = 1000.0 * (time.perf_counter() - started)
            verdict = f"ok {milliseconds:8.1f} ms" if revents else "NOT CALLED"
            print(f"{kind:<12} {verdict}")
            failed += not revents
    print()
    print(f"{failed} of the watcher types do not work" if failed else "all is well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
