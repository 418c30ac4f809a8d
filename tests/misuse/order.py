"""Rows about priorities, stop, ref and unref, suspend and resume: calls out of order."""
