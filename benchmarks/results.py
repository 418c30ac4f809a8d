"""What was measured: samples, their medians and ratios, and the file they are kept in.

Imported by bench.py, report.py, plot.py and the tests. It must not run anything.
"""

import json
import operator
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Optional

C = "libev"


class Measurement(NamedTuple):
    """All samples of one case on one library and interpreter."""

    workload: str
    case: str
    params: "dict[str, Any]"
    unit: str
    library: str
    interpreter: str
    samples: "list[float]"

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        """A quarter of the samples is below."""
        return _quartiles(self.samples)[0]

    @property
    def high(self) -> float:
        """A quarter of the samples is above."""
        return _quartiles(self.samples)[1]

    def to_json(self) -> "dict[str, Any]":
        spread = {"median": self.median, "low": self.low, "high": self.high}
        # No clock is more exact than six digits.
        samples = [float(f"{one:.6g}") for one in self.samples]
        return {**self._asdict(), "samples": samples, **spread}


def _quartiles(samples: "list[float]") -> "tuple[float, float]":
    if len(samples) == 1:
        return samples[0], samples[0]
    first, _, third = statistics.quantiles(samples, n=4, method="inclusive")
    return first, third


class Results:
    """The measurements of a run, in the order in which they were begun."""

    def __init__(self, machine: "Optional[dict[str, Any]]" = None) -> None:
        self.machine: dict[str, Any] = machine or {}
        self._by_key: dict[Any, Measurement] = {}

    def __iter__(self) -> Any:
        return iter(self._by_key.values())

    def add(self, measurement: Measurement) -> None:
        """Add samples to those that there are of the same thing."""
        params = tuple(sorted(measurement.params.items()))
        key = measurement._replace(params=params, unit="", samples=())  # type: ignore
        known = self._by_key.setdefault(key, measurement._replace(samples=[]))
        known.samples.extend(measurement.samples)

    def find(
        self,
        library: str,
        interpreter: str,
        workload: str,
        case: str,
        **params: Any,
    ) -> Optional[Measurement]:
        """The first one whose interpreter begins so, and that has these parameters."""
        for found in self:
            if (
                (found.library, found.workload, found.case) == (library, workload, case)
                and found.interpreter.startswith(interpreter)
                and all(found.params.get(name) == params[name] for name in params)
            ):
                return found
        return None

    def groups(self) -> "list[list[Measurement]]":
        """What belongs in one table: the same case, with the same parameters."""
        groups: dict[Any, list[Measurement]] = {}
        for one in self:
            key = (one.workload, one.case, *sorted(one.params.items()))
            groups.setdefault(key, []).append(one)
        return list(groups.values())

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "machine": self.machine,
            "measurements": [measurement.to_json() for measurement in self],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Results":
        content = json.loads(path.read_text(encoding="utf-8"))
        results = cls(content["machine"])
        for row in content["measurements"]:
            results.add(
                Measurement(**{name: row[name] for name in Measurement._fields})
            )
        return results


def ratio(one: Optional[Measurement], other: Optional[Measurement]) -> Optional[float]:
    """How many times as much as the other, if there are both.

    The median of the ratios of those samples that were taken in the same turn: a
    machine that is slower for a while is so for both of them. Without such pairs, the
    ratio of the medians.
    """
    if one is None or other is None or not other.median:
        return None
    is_paired = one.params == other.params and len(one.samples) == len(other.samples)
    if not (is_paired and all(other.samples)):
        return one.median / other.median
    return statistics.median(map(operator.truediv, one.samples, other.samples))


def growth(measurements: "Iterable[Optional[Measurement]]") -> Optional[float]:
    """By how much the cost grows from the first to the last."""
    several = list(measurements)
    return ratio(several[-1], several[0]) if several else None
