"""What callers do wrong: a table of rows, each run in a process of its own.

A row is a function that does something bad to a loop, and says with `Case.raises`
which exception comes of it. For each row the process must live, the exception must be
that one, the objects must be as they were, `Loop.verify` must be content, and the loop
must work: see `Case` in table.py. tests/test_misuse.py, the importer of all this, runs
all rows through server.py.
"""

MODULES = (
    "descriptors",
    "times",
    "schedulers",
    "signals",
    "children",
    "embedding",
    "order",
    "lives",
    "threads",
)
