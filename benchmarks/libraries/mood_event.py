"""Adapter of mood_event, this repository's package. Loaded by worker.py."""

from typing import Any

import mood_event

from ._mood import adapt

IMPORT = "import mood_event"
Loop = adapt(mood_event)


def new_event_loop() -> Any:
    """An asyncio loop. It is imported late, as W6 times what the package imports."""
    from mood_event import aio

    return aio.new_event_loop()


def version() -> str:
    """The version of the installed package."""
    return mood_event.__version__
