"""Rows about Schedulers: what their callables return, raise and do."""
