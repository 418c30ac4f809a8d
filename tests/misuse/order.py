"""Rows about calls out of order: priorities, stop, ref and unref, suspend, resume."""
