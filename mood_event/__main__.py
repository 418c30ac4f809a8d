"""python -m mood_event: versions, backends, how libev was built, and a self-check.

And the tools of mood_event/tools/. Run by a person, or by a bug report's author;
imported by nothing. It uses public names only, but for what `_ev` knows of its own
build.
"""

import argparse
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, Callable

import mood_event as ev
from mood_event._ffi import ffi, lib
from mood_event.loop import backend_names
from mood_event.tools import every, supervise, watch

# How long a watcher may take to be called, in seconds: it takes milliseconds.
PATIENCE = 10.0


def describe() -> "dict[str, Any]":
    """What is installed, and how it was built: text, and lists of backends."""
    import _cffi_backend  # type: ignore[import-untyped]

    origin = ffi.string(lib.mood_libev_origin()).decode()
    debug = ", with asserts (MOOD_EVENT_DEBUG=1)" if lib.mood_debug() else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    supported = ev.supported_backends()
    return {
        "mood_event": ev.__version__,
        "libev": ".".join(map(str, ev.abi_version())) + f", {origin}{debug}",
        "cffi": str(_cffi_backend.__version__),
        "python": f"{python} on {platform.system()} {platform.machine()}",
        "supported": backend_names(supported),
        "recommended": backend_names(ev.recommended_backends()),
        "embeddable": backend_names(ev.embeddable_backends() & supported),
    }


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


def check(kind: str, loop: ev.Loop) -> "dict[str, Any]":
    """Check one type of watcher; returns what to tell of it.

    Args:
        kind: the name of the loop's factory method.
        loop: the default loop.
    """
    error = ""
    started = time.perf_counter()
    try:
        if not check_kind(kind, loop):
            error = "NOT CALLED"
    except Exception as exc:
        # A bug report is to tell of the other types as well.
        error = f"{type(exc).__name__}: {exc}"
    milliseconds = round(1000.0 * (time.perf_counter() - started), 1)
    return {"ok": not error, "milliseconds": milliseconds, "error": error or None}


def report(as_json: bool) -> int:
    """Print the description and the self-check; returns the exit status.

    Args:
        as_json: one JSON object, in place of aligned columns.
    """

    def say(line: str = "") -> None:
        if not as_json:
            # At once: should a check crash, its predecessors are there.
            print(line, flush=True)

    facts = describe()
    checks: dict[str, dict[str, Any]] = {}
    for name, value in facts.items():
        say(f"{name:<12} {value if isinstance(value, str) else ' '.join(value)}")
    say()
    with ev.default_loop() as loop:
        for kind in ev.Watcher.kinds:
            checks[kind] = result = check(kind, loop)
            verdict = result["error"] or f"ok {result['milliseconds']:8.1f} ms"
            say(f"{kind:<12} {verdict}")
    failed = sum(not result["ok"] for result in checks.values())
    say()
    say(f"{failed} of the watcher types do not work" if failed else "all is well")
    if as_json:
        print(json.dumps({**facts, "checks": checks, "ok": not failed}, indent=2))
    return 1 if failed else 0


DESCRIPTION = """\
Say what is installed and how it was built, and try every type of watcher once: the exit
status is 1 if one does not work. Or run a tool, of which TOOL --help tells all.
"""

TOOLS = {"watch": watch, "every": every, "supervise": supervise}
# What comes after "--" is these tools' command, whatever it looks like.
HAVE_COMMAND = ("every", "supervise")


def make_parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m mood_event", description=DESCRIPTION, formatter_class=plain
    )
    parser.add_argument(
        "--json", action="store_true", help="say it as one JSON object, for bug reports"
    )
    tools = parser.add_subparsers(dest="tool", metavar="TOOL", title="tools")
    for name, tool in TOOLS.items():
        doc = str(tool.__doc__)
        summary = doc.partition("\n")[0]
        tool.add_arguments(
            tools.add_parser(name, help=summary, description=doc, formatter_class=plain)
        )
    return parser


def main(arguments: Sequence[str] = ()) -> int:
    """Do what the command line says; returns the exit status.

    Args:
        arguments: the command line, without the program's name.

    Raises:
        SystemExit: it makes no sense, or asks for help.
    """
    own, command = list(arguments), []
    # argparse would take a second "--" away, which is the command's own.
    if own[:1] and own[0] in HAVE_COMMAND and "--" in own:
        cut = own.index("--")
        own, command = own[:cut], own[cut + 1 :]
    parser = make_parser()
    options = parser.parse_args(own, argparse.Namespace(command=command))
    if options.json and options.tool is not None:
        parser.error("--json is not for tools")
    if options.tool in HAVE_COMMAND and not command:
        parser.error(f"{options.tool}: a command is missing: ... -- CMD...")
    stdout: Any = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        # A path can have any bytes in it.
        stdout.reconfigure(errors="surrogateescape")
    try:
        if options.tool is None:
            return report(options.json)
        return int(TOOLS[options.tool].run(options))
    except BrokenPipeError:
        # Who read has had enough. What is still buffered would be an error as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
