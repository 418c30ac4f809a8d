"""What a callback is called, and where it is, for a person to find it.

Imported when a watcher is represented (watchers.py), and when a callback was slow
(_slow.py), but not with the package: functools and types take long to import. It
imports none of its modules.
"""

from __future__ import annotations

from functools import partial
from types import CodeType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["name_of", "place_of"]

# Not known to be generic, for type checkers.
_PARTIAL: Any = partial

# A decorator can be made to wrap itself.
_DEEPEST = 100


def name_of(callback: object) -> str:
    """The qualified name of a callable, `Server.on_readable`.

    Of an object that is called it is that of its type's method.
    """
    target = _unwrapped(callback)
    try:
        name = target.__qualname__
    except Exception:
        # An object of the program's own type can raise what it likes.
        name = None
    return name if isinstance(name, str) else f"{type(target).__qualname__}.__call__"


def place_of(callback: object) -> str:
    """Where a callable is defined, `/srv/server.py:12`; empty: not in Python."""
    target = _unwrapped(callback)
    is_class = isinstance(target, type)
    method = target.__init__ if is_class else type(target).__call__
    return _defined(target) or _defined(_unwrapped(method))


def _defined(function: Any) -> str:
    # A program's own type can have an attribute of this name, and anything in it.
    kind: Any = function.__class__
    code = function.__code__ if hasattr(kind, "__code__") else None
    if isinstance(code, CodeType):
        return f"{code.co_filename}:{code.co_firstlineno}"
    return ""


def _unwrapped(callback: Any) -> Any:
    """What the program wrote, inside of partials, bound methods and decorators."""
    for _ in range(_DEEPEST):
        if isinstance(callback, _PARTIAL):
            callback = callback.func
        elif isinstance(callback, MethodType):
            # What Loop.once has called is a method of its own.
            kept = getattr(callback.__self__, "__dict__", {})
            callback = kept.get("__mood_target__", callback.__func__)
        else:
            wrapped = getattr(callback, "__dict__", {}).get("__wrapped__")
            if not callable(wrapped):
                break
            callback = wrapped
    return callback
