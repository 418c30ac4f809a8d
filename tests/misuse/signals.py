"""Rows about Signals, and the functions that feed signals."""
