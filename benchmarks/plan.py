"""Which workloads run with which parameters.

Imported by bench.py and the tests.
"""

import resource
from typing import Any, NamedTuple

from results import C

# Those whose growth with the number of watchers is of interest.
GROWING = (C, "mood_event", "mood_event_1", "gevent_cython", "gevent_cffi")
# asyncio reads into 256 KiB. Whether glibc asks the system for them each time depends
# on what happens to lie where in memory, and is most of a round trip if it does.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "16777216",
}
ASYNCIO = ("mood_event", "uvloop", "asyncio")
QUICK = (C, "mood_event", "mood_event_1", "floor", "floor_batch")


class Job(NamedTuple):
    """A workload with its parameters, for all libraries or for those named."""

    workload: str
    params: "dict[str, Any]"
    libraries: "tuple[str, ...]" = ()

    @property
    def environment(self) -> "dict[str, str]":
        """The environment variables that its processes need."""
        return KEEP_MEMORY if self.workload == "asyncio" else {}

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


def on_asyncio() -> "list[Job]":
    """asyncio on its own selector, on this package's, and on uvloop."""
    return [
        Job("asyncio", {"what": what, "n": n}, ASYNCIO)
        for what, *numbers in (
            ("echo", 1, 100),
            ("streams", 1, 100),
            ("call_soon", 1, 100),
            ("call_later", 1, 100),
            ("sleep", 1000),
            ("yield", 1, 100),
            ("add_reader", 1, 100),
            ("add_writer", 1, 100),
        )
        for n in numbers
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
        *on_asyncio(),
    ]
    return jobs
