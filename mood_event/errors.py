"""The package's exception. Imported by every module; imports none."""

__all__ = ["Error"]


class Error(Exception):
    """A loop or a watcher is in no state for what was asked of it.

    Wrong arguments raise TypeError, ValueError or OverflowError, and descriptors
    OSError, as everywhere in Python.
    """
