"""Rows about how objects begin and end: __init__, close, copies, deletion."""
