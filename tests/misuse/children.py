"""Rows about Child watchers, and whose exit statuses are whose."""
