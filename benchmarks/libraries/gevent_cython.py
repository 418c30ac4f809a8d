"""Adapter of gevent.libev.corecext. Loaded by worker.py."""

from gevent.libev import corecext

from ._gevent import adapt, version

__all__ = ["IMPORT", "Loop", "version"]

IMPORT = "from gevent.libev import corecext"
Loop = adapt(corecext)
