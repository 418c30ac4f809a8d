"""Adapter of uvloop. Loaded by worker.py."""

import uvloop

from ._asyncio import adapt

IMPORT = "import uvloop"
new_event_loop = uvloop.new_event_loop
Loop = adapt(new_event_loop)


def version() -> str:
    """The version of the installed distribution."""
    return uvloop.__version__
