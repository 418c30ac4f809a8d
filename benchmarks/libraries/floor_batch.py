"""Adapter of the floor with one call into Python per iteration. Loaded by worker.py."""

from floor import build

from ._floor import make, version
from ._mood import adapt

__all__ = ["IMPORT", "Loop", "version"]

IMPORT = f"import sys; sys.path.insert(0, {str(build.BUILT)!r}); import {build.MODULE}"
Loop = adapt(make(batch=True))
