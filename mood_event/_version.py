"""The version of mood_event, in the one place where it is written down.

Read by pyproject.toml (the distribution's version), by build_ffi.py (compiled into the
extension module, so that the two can be compared at import) and by the package itself.
Imports nothing and computes nothing: the build reads it as text.
"""

__version__ = "0.1.0"
