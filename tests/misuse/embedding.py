"""Rows about Embed watchers."""
