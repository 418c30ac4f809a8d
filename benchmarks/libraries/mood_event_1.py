"""Adapter of mood.event 1.1.1, the C extension. Loaded by worker.py."""

from importlib import metadata

import mood.event

from ._mood import adapt

IMPORT = "import mood.event"
Loop = adapt(mood.event)


def version() -> str:
    """The version of the installed distribution."""
    return metadata.version("mood.event")
