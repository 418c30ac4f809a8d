"""Adapter of gevent.libev.corecffi. Loaded by worker.py."""

from gevent.libev import corecffi

from ._gevent import adapt, version

__all__ = ["IMPORT", "Loop", "version"]

IMPORT = "from gevent.libev import corecffi"
Loop = adapt(corecffi)
