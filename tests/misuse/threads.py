"""Rows about threads: Async.send, two starts, and what a wrong thread calls."""
