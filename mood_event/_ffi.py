"""The only importer of the compiled module `_ev`.

Imported by every module that calls into C. It checks that `_ev` was built for
this very version of the package, so that a stale build is an error with a remedy
and not a crash later on. It must never import another module of the package but
`_version`.
"""

from __future__ import annotations

from mood_event._version import __version__

# See _dispatch.py: it takes long to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def refuse_subinterpreter() -> None:
    """C calls the functions of one interpreter, so there can be only one.

    Raises:
        ImportError: this is a subinterpreter.
    """
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters: Any = __import__(name)
        except ImportError:
            # Not this version's name for it; PyPy has neither.
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError("mood_event cannot be used in a subinterpreter")
        return


refuse_subinterpreter()

try:
    from mood_event import _ev
except ImportError as error:
    raise ImportError(
        f"mood_event's compiled module cannot be imported ({error}). If this is a "
        "source checkout, build it: python -m pip install --editable ."
    ) from error

__all__ = ["ffi", "lib"]

ffi = _ev.ffi
lib = _ev.lib


def check_version(compiled: str) -> None:
    """Compare the version that `_ev` was built for with the package's.

    Args:
        compiled: the version compiled into `_ev`.

    Raises:
        ImportError: the two differ.
    """
    if compiled != __version__:
        raise ImportError(
            f"mood_event is version {__version__}, its compiled module was built for "
            f"{compiled}. Install it again: python -m pip install --force-reinstall "
            "--no-deps mood-event-cffi"
        )


check_version(ffi.string(lib.mood_version()).decode("ascii"))
