"""Adapter of mood_event, this repository's package. Loaded by worker.py."""

import mood_event

from ._mood import adapt

IMPORT = "import mood_event"
Loop = adapt(mood_event)


def version() -> str:
    """The version of the installed package."""
    return mood_event.__version__
