"""Run one workload on one library, in this interpreter.

    python worker.py LIBRARY [WORKLOAD [PARAMETERS [SAMPLES]]]

LIBRARY is a module of libraries/, WORKLOAD a key of workloads.WORKLOADS, PARAMETERS a
JSON object. Prints one line of JSON: the library's version, the interpreter, and every
case with its samples; or `unsupported`, with the reason. Without a workload it prints
the first two only, which tells whether the library is there.

With - for SAMPLES it prints that line, without cases, when it is ready, and then for
every line that it reads one sample: so bench.py lets the contenders take turns. No
module imports it.
"""

import contextlib
import importlib
import itertools
import json
import platform
import sys
from collections.abc import Iterable
from typing import Any

import workloads
from libraries import Unsupported
from workloads import Case


def interpreter() -> str:
    """What the results call this interpreter."""
    name, version = platform.python_implementation(), platform.python_version()
    if name == "PyPy":
        release = ".".join(map(str, sys.pypy_version_info[:3]))  # type: ignore
        return f"PyPy {release} (Python {version})"
    return f"{name} {version}"


def main(
    name: str, workload: str = "", parameters: str = "{}", times: str = "5"
) -> None:
    """Measure, and print."""
    library: Any = importlib.import_module(f"libraries.{name}")
    result: dict[str, Any] = {
        "library": name,
        "version": library.version(),
        "interpreter": interpreter(),
    }
    if not workload:
        say(result)
        return
    samples = workloads.WORKLOADS[workload](library, **json.loads(parameters))
    try:
        next(samples)
    except Unsupported as reason:
        say({**result, "unsupported": str(reason) or "nothing of the kind"})
        return
    with contextlib.closing(samples):
        if times == "-":
            say(result)
            for _ in sys.stdin:
                say([case._asdict() for case in next(samples, [])])
        else:
            cases = itertools.chain(*itertools.islice(samples, int(times)))
            say({**result, "cases": collected(cases)})


def collected(cases: "Iterable[Case]") -> "list[dict[str, Any]]":
    """The cases, each with the list of its samples."""
    by_name: dict[str, dict[str, Any]] = {}
    for case, unit, value in cases:
        row = by_name.setdefault(case, {"case": case, "unit": unit, "samples": []})
        row["samples"].append(value)
    return list(by_name.values())


def say(words: Any) -> None:
    """A line of JSON, at once."""
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
