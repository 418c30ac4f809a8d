"""What mood_event is to reach, against which peer, as ratios in one run.

Imported by report.py and the tests. A line of RATIOS is: our interpreter, the peer and
its interpreter, a case with its parameters, and how much of the peer's cost ours may be
at most. A line of LIMITS has no peer, but a value. A line of GROWTH has the smaller n:
from there to the largest one that was measured, our cost may grow by so much of what
libev's own does.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import plan
from results import C, Results, growth, ratio

OURS = "mood_event"

RATIOS = """
CPython 3.10 | mood_event_1 CPython 3.10  | W1 callback n=1000                 | 2.4
CPython 3.10 | mood_event_1 CPython 3.10  | W1 iteration n=1                   | 1.8
CPython 3.10 | mood_event_1 CPython 3.10  | W2 event n=1000 active=100         | 1.10
CPython 3.10 | mood_event_1 CPython 3.10  | W2 event + timer reset n=1000      | 1.25
CPython 3.10 | mood_event_1 CPython 3.10  | W2 registration n=1000             | 2.0
CPython 3.10 | mood_event_1 CPython 3.10  | W3 create + start + stop n=100000  | 3.0
CPython 3.10 | mood_event_1 CPython 3.10  | W3 reset n=10000                   | 3.0
CPython 3.10 | mood_event_1 CPython 3.10  | W3 memory n=100000                 | 2.2
CPython 3.10 | mood_event_1 CPython 3.10  | W4 cpu connections=50 size=64      | 1.05
CPython 3.10 | mood_event_1 CPython 3.10  | W5 median                          | 1.15
CPython 3.13 | gevent_cython CPython 3.13 | W1 callback n=1000                 | 1.0
CPython 3.13 | gevent_cython CPython 3.13 | W1 iteration n=1                   | 1.0
CPython 3.13 | gevent_cython CPython 3.13 | W2 event n=1000 active=100         | 1.0
CPython 3.13 | gevent_cython CPython 3.13 | W2 event + timer reset n=1000      | 1.0
CPython 3.13 | gevent_cython CPython 3.13 | W4 cpu connections=50 size=64      | 1.0
CPython 3.13 | gevent_cffi CPython 3.13   | W1 callback n=1000                 | 0.2
CPython 3.13 | gevent_cffi CPython 3.13   | W1 iteration n=1                   | 0.2
CPython 3.13 | gevent_cffi CPython 3.13   | W3 create + start + stop n=100000  | 0.2
CPython 3.13 | gevent_cffi CPython 3.13   | W3 reset n=10000                   | 0.2
PyPy         | mood_event_1 CPython 3.10  | W1 callback n=1000                 | 0.4
PyPy         | mood_event_1 CPython 3.10  | W2 event n=1000 active=100         | 0.9
PyPy         | mood_event_1 CPython 3.10  | W2 registration n=1000             | 0.9
PyPy         | mood_event_1 CPython 3.10  | W3 create + start + stop n=100000  | 1.0
PyPy         | mood_event_1 CPython 3.10  | W3 reset n=10000                   | 0.8
PyPy         | mood_event_1 CPython 3.10  | W4 cpu connections=50 size=64      | 1.0
PyPy         | gevent_cffi PyPy           | W1 callback n=1000                 | 1.0
PyPy         | gevent_cffi PyPy           | W1 iteration n=1                   | 1.0
PyPy         | gevent_cffi PyPy           | W2 event n=1000 active=100         | 1.0
PyPy         | gevent_cffi PyPy           | W2 event + timer reset n=1000      | 1.0
PyPy         | gevent_cffi PyPy           | W2 registration n=1000             | 1.0
PyPy         | gevent_cffi PyPy           | W3 create + start + stop n=100000  | 1.0
PyPy         | gevent_cffi PyPy           | W3 reset n=10000                   | 1.0
PyPy         | gevent_cffi PyPy           | W3 memory n=100000                 | 1.0
PyPy         | gevent_cffi PyPy           | W4 cpu connections=50 size=64      | 1.0
PyPy         | gevent_cffi PyPy           | W5 median                          | 1.0
PyPy         | gevent_cffi PyPy           | W6 import                          | 1.0
PyPy         | gevent_cffi PyPy           | W6 Loop()                          | 1.0
"""

# asyncio on ours, next to its own selector on the same interpreter, in every case.
ASYNCIO_AT_MOST = 1 / 0.97

LIMITS = """
CPython 3.10 | W6 import | 10 ms
CPython 3.13 | W6 import | 10 ms
CPython 3.10 | W6 Loop() | 6 us
CPython 3.13 | W6 Loop() | 6 us
PyPy         | W6 Loop() | 6 us
"""

GROWTH = """
W1 callback               | n=1000 | 1.0
W2 event active=10        | n=1000 | 1.0
W3 create + start + stop  | n=1000 | 1.0
W3 reset                  | n=1000 | 1.0
"""

# What a growth is compared with, in place of a peer.
LIBEVS_GROWTH = "growth of libev"

INTERPRETERS = ("CPython 3.10", "CPython 3.13", "PyPy")


class Verdict(NamedTuple):
    """A target, and what became of it; `reached` is None if it was not measured."""

    interpreter: str
    what: str
    against: str
    at_most: float
    unit: str
    reached: Optional[float]

    @property
    def met(self) -> Optional[bool]:
        return None if self.reached is None else self.reached <= self.at_most


def verdicts(results: Results) -> "list[Verdict]":
    """All of the targets."""
    return [
        *(_ratio_verdict(results, *line) for line in _lines(RATIOS)),
        *(
            _ratio_verdict(
                results, interpreter, f"asyncio {interpreter}", what, ASYNCIO_AT_MOST
            )
            for interpreter in INTERPRETERS
            for what in asyncio_cases()
        ),
        *(_limit_verdict(results, *line) for line in _lines(LIMITS)),
        *(
            _growth_verdict(results, interpreter, *line)
            for line in _lines(GROWTH)
            for interpreter in INTERPRETERS
        ),
    ]


def _lines(table: str) -> "Iterator[list[str]]":
    for line in table.strip().splitlines():
        yield [field.strip() for field in line.split("|")]


def parse_case(text: str) -> "tuple[str, str, dict[str, int]]":
    """`W2 event active=10`: the workload, the case and the parameters."""
    workload, *words = text.split()
    case = " ".join(word for word in words if "=" not in word)
    pairs = (word.split("=") for word in words if "=" in word)
    return workload, case, {name: int(value) for name, value in pairs}


def find(results: Results, library: str, interpreter: str, what: str) -> Any:
    """The measurement of a case that is written as the targets are; or None."""
    workload, case, params = parse_case(what)
    return results.find(library, interpreter, workload, case, **params)


def asyncio_cases() -> "list[str]":
    """The cases of the workload asyncio, as they are written here."""
    return [
        f"{job.workload} {job.params['what']} n={job.params['n']}"
        for job in plan.on_asyncio()
    ]


def _ratio_verdict(
    results: Results, interpreter: str, peer: str, what: str, at_most: Any
) -> Verdict:
    ours = find(results, OURS, interpreter, what)
    theirs = find(results, *peer.split(maxsplit=1), what)
    return Verdict(interpreter, what, peer, float(at_most), "x", ratio(ours, theirs))


def _limit_verdict(
    results: Results, interpreter: str, what: str, limit: str
) -> Verdict:
    value, unit = limit.split()
    ours = find(results, OURS, interpreter, what)
    reached = ours.median if ours else None
    return Verdict(interpreter, what, "", float(value), unit, reached)


def _growth_verdict(
    results: Results, interpreter: str, what: str, smaller: str, at_most: str
) -> Verdict:
    workload, case, params = parse_case(what)
    least = int(smaller.split("=")[1])
    sizes = [
        one.params["n"]
        for one in results
        if (one.workload, one.case, one.library) == (workload, case, OURS)
        and one.params["n"] > least
        and one.params.items() >= params.items()
    ]
    reached = None
    if sizes:
        both = [least, max(sizes)]
        ours, libevs = (
            growth(
                results.find(library, on, workload, case, **{**params, "n": n})
                for n in both
            )
            for library, on in ((OURS, interpreter), (C, "C"))
        )
        if ours and libevs:
            reached = ours / libevs
        what = f"{what} n={least}..{both[1]}"
    return Verdict(interpreter, what, LIBEVS_GROWTH, float(at_most), "x", reached)
