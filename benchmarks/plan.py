"""Which workloads run with which parameters.

Imported by bench.py and the tests.
"""

import resource
from typing import Any, NamedTuple

from results import C

# Those whose growth with the number of watchers is of interest.
GROWING = (C, "mood_event", "mood_event_1", "gevent_cython", "gevent_cffi")
QUICK = (C, "mood_event", "mood_event_1", "floor", "floor_batch")


class Job(NamedTuple):
    """A workload with its parameters, for all libraries or for those named."""

    workload: str
    params: "dict[str, Any]"
    libraries: "tuple[str, ...]" = ()

    def concerns(self, library: str) -> bool:
        return not self.libraries or library in self.libraries


def most_pairs() -> int:
    """How many socket pairs the limit on descriptors allows, up to 10000."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 10000
    return min(10000, (hard - 200) // 2)


def core() -> "list[Job]":
    """The cases that the targets for W1 to W3 are about."""
    return [
        Job("W1", {"n": 1000}),
        Job("W1", {"n": 1}),
        Job("W1", {"n": 1000, "mixed": True}),
        Job("W2", {"n": 1000, "active": 100}),
        Job("W2", {"n": 1000, "active": 100, "timers": True}),
        Job("W2", {"n": 1000, "active": 100, "registration": True}),
        Job("W3", {"n": 100000}),
        Job("W3", {"n": 10000, "reset": True}),
        Job("W3", {"n": 100000, "memory": True}),
    ]


def quick() -> "list[Job]":
    """As much as fits in two minutes."""
    return [job._replace(libraries=QUICK) for job in core()]


def full() -> "list[Job]":
    """Everything."""
    most = most_pairs()
    jobs = core()
    jobs += [
        Job("W2", {"n": most, "active": 100}),
        *(Job("W1", {"n": n}, GROWING) for n in (10, 100, 10000)),
        *(Job("W2", {"n": n, "active": 10}, GROWING) for n in (10, 100, 1000, most)),
        *(Job("W3", {"n": n}, GROWING) for n in (10, 100, 1000, 10000)),
        *(Job("W3", {"n": n, "reset": True}, GROWING) for n in (10, 100, 1000, 100000)),
        *(
            Job("W4", {"connections": connections, "size": size})
            for connections in (1, 50, 500)
            for size in (64, 4096)
        ),
        Job("W5", {}),
        Job("W6", {"what": "import"}),
        Job("W6", {"what": "loop"}),
    ]
    return jobs
