"""Results as text: a table for every case, and what became of the targets.

Imported by bench.py; as a program it prints the tables of a file of results, or the
targets alone as a table in Markdown, which docs/performance.md has:

    python benchmarks/report.py .cache/bench/results.json [--markdown]
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from results import C, Measurement, Results, ratio
from targets import LIBEVS_GROWTH, Verdict, find, verdicts

# The columns of ratios: a heading, the library, and its interpreter (the same as that
# of the row if it is empty).
PEERS = (
    ("C", C, "C"),
    ("mood.event", "mood_event_1", "CPython"),
    ("floor", "floor", ""),
    ("batch", "floor_batch", ""),
    ("asyncio", "asyncio", ""),
)


def title(one: Measurement) -> str:
    """What a table is about: `W2 event, n=1000, active=100 (ns)`."""
    return ", ".join([f"{one.workload} {one.case}", *_shown(one)]) + f" ({one.unit})"


def _shown(one: Measurement) -> "Iterator[str]":
    # What is true or a word has given the case its name.
    for name, value in one.params.items():
        if type(value) is int:
            yield f"{name}={value}"


def number(value: Optional[float]) -> str:
    """Three digits, as a person would write them."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def tables(results: Results) -> "Iterator[str]":
    """A line at a time."""
    for group in results.groups():
        peers = [_peer(results, group, *peer[1:]) for peer in PEERS]
        columns = [i for i, found in enumerate(peers) if any(found)]
        yield ""
        head = "".join(f"{'to ' + PEERS[i][0]:>14}" for i in columns)
        yield f"{title(group[0]):50}{'median':>9}{'quartiles':>17}{head}"
        for row, one in enumerate(group):
            ratios = "".join(
                f"{number(ratio(one, peers[i][row])):>14}" for i in columns
            )
            spread = f"{number(one.low)} - {number(one.high)}"
            name = f"  {one.library:15}{one.interpreter}"
            yield f"{name:50}{number(one.median):>9}{spread:>17}{ratios}".rstrip()


def _peer(
    results: Results, group: "list[Measurement]", library: str, interpreter: str
) -> "list[Optional[Measurement]]":
    """For every row, the one that it is compared with."""
    return [
        results.find(
            library,
            interpreter or one.interpreter,
            one.workload,
            one.case,
            **one.params,
        )
        for one in group
    ]


def target_table(results: Results) -> "Iterator[str]":
    """A line for each target of which there is something to say."""
    yield f"{'target':80}{'at most':>10}{'reached':>10}"
    missing = 0
    for verdict in verdicts(results):
        if verdict.reached is None:
            missing += 1
            continue
        against = f" : {verdict.against}" if verdict.against else ""
        words = f"{verdict.interpreter:13}{verdict.what}{against}"
        limit = f"{number(verdict.at_most)} {verdict.unit}"
        reached = f"{number(verdict.reached)} {verdict.unit}"
        met = "met" if verdict.met else "NOT MET"
        yield f"{words:80}{limit:>10}{reached:>10}  {met}"
    if missing:
        yield f"{missing} more were not measured in this run"


def markdown(results: Results) -> "Iterator[str]":
    """The targets, each with what the floor reaches, as a table."""
    yield "| on | what | next to | at most | reached | floor | |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for verdict in verdicts(results):
        if verdict.reached is None:
            continue
        yield (
            f"| {verdict.interpreter} | {verdict.what} | {verdict.against} "
            f"| {number(verdict.at_most)} {verdict.unit} "
            f"| {number(verdict.reached)} {verdict.unit} "
            f"| {number(_floor(results, verdict))} "
            f"| {'met' if verdict.met else 'not met'} |"
        )


def _floor(results: Results, verdict: Verdict) -> Optional[float]:
    """What the floor costs, where a target is a ratio to a peer: the better of two."""
    if verdict.against in ("", LIBEVS_GROWTH):
        return None
    library, _, interpreter = verdict.against.partition(" ")
    theirs = find(results, library, interpreter, verdict.what)
    if theirs is None:
        return None
    floors = (
        ratio(find(results, floor, verdict.interpreter, verdict.what), theirs)
        for floor in ("floor", "floor_batch")
    )
    return min((value for value in floors if value), default=None)


def show(results: Results) -> None:
    """Print everything."""
    for name, value in results.machine.items():
        if isinstance(value, dict):
            value = "".join(f"\n  {key}: {value[key]}" for key in value)
        print(f"{name}: {value}")
    for line in tables(results):
        print(line)
    print()
    for line in target_table(results):
        print(line)


if __name__ == "__main__":
    loaded = Results.load(Path(sys.argv[1]))
    if "--markdown" in sys.argv[2:]:
        print(*markdown(loaded), sep="\n")
    else:
        show(loaded)
