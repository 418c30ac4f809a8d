"""Rows about times: what Timers, Periodics, Stats, intervals and sleep are given."""
