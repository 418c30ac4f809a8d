"""Where an interrupt came to a function that delivers events.

Python can raise between any two bytecodes, in the name of a signal handler. What is
here reads from the traceback of a dispatching function whether the callback of the
event that it was at has been called.

Imported by _dispatch.py, when the first loop is made: it needs dis, which takes long
to import. It knows nothing of loops and watchers.
"""

from __future__ import annotations

import dis
import functools
import signal
import sys
from types import CodeType, TracebackType

__all__ = ["was_called", "window"]

# PyPy notes an instruction before it looks for signals, CPython afterwards.
_NOTED_BEFORE = sys.implementation.name == "pypy"

# So a function that has done its first instruction is at this one or further on.
_BEGUN = 1 if _NOTED_BEFORE else 0


@functools.cache
def window(code: CodeType) -> tuple[int, range]:
    """Where a dispatching function fetches an event, and where it calls for it."""
    # Without a loop, there is one event, which C has fetched: at any time.
    fetch, call, calls = -sys.maxsize, -1, range(0)
    for instruction in dis.get_instructions(code):
        if call >= 0:
            # CPython 3.11 and 3.12 note the last of what they cache with it.
            calls, call = range(call, instruction.offset), -1
        if instruction.opname == "FOR_ITER":
            fetch = instruction.offset
        elif instruction.argval == "_callback":
            call = -2
        elif call == -2 and instruction.opname.startswith("CALL"):
            call = instruction.offset
    return fetch, calls


def was_called(trace: TracebackType) -> bool:
    """Whether the callback of the event that the frame had fetched was called.

    CPython 3.9 and PyPy look for signals between any two instructions, the others
    at the end of a call, at a jump backwards, and at the first instruction of a
    function: of the callback, too, which has then not begun.
    """
    fetch, calls = window(trace.tb_frame.f_code)
    at, callee = trace.tb_lasti, trace.tb_next
    if at in calls:
        if _NOTED_BEFORE and (callee is None or _handles_signals(callee)):
            return False
        return callee is None or _has_begun(callee)
    return at > calls[-1] or at < fetch or (_NOTED_BEFORE and at == fetch)


def _has_begun(callee: TracebackType) -> bool:
    at = callee.tb_lasti
    return at >= _BEGUN and dis.opname[callee.tb_frame.f_code.co_code[at]] != "RESUME"


def _handles_signals(callee: TracebackType) -> bool:
    code = callee.tb_frame.f_code
    handlers = map(signal.getsignal, signal.valid_signals())
    return any(getattr(handler, "__code__", None) is code for handler in handlers)
