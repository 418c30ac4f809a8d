"""Adapter of the standard library's asyncio. Loaded by worker.py."""

import asyncio
import platform

from ._asyncio import adapt

IMPORT = "import asyncio"
new_event_loop = asyncio.new_event_loop
Loop = adapt(new_event_loop)


def version() -> str:
    """The interpreter's: it comes with it."""
    return platform.python_version()
