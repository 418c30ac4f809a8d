"""Run the benchmarks: `./dev bench`, or this with interpreters that have the libraries.

    python benchmarks/bench.py [--quick] [--plot] [--rounds R] [--samples S]
        [--library NAME]... [--python PATH]... [--output FILE] [WORKLOAD...]

It compiles the C programs, finds out which library is there on which interpreter, and
lets all of these contenders take turns: for each workload a process each, then a sample
of each, then the next of each. What disturbs the machine for a while so disturbs all of
them. A round has new processes for everything. Needs the standard library alone, except
for --plot, which needs matplotlib.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Optional

import plan
import report
from floor.build import ROOT, libev_source
from libraries import ADAPTERS
from results import C, Measurement, Results

HERE = Path(__file__).resolve().parent
BUILT = ROOT / ".cache" / "bench"
# A process that says nothing for so long has hung.
PATIENCE = 120.0
WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "asyncio")


def say(words: str) -> None:
    """A line about what is going on; the results go to stdout."""
    print(f"bench: {words}", file=sys.stderr, flush=True)


# -- the C programs --------------------------------------------------------------------

FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")


def compile_native() -> None:
    """Compile what is older than its source, the way the package compiles libev."""
    libev = libev_source()
    _compile(
        "bench",
        [f"-I{ROOT / 'libev'}", "-isystem", str(libev)],
        ["-DNDEBUG", "-fno-strict-aliasing", "-lm", "-pthread"],
        depends=[ROOT / "libev/config.h", libev / "ev.c"],
    )
    _compile("load", [], [], depends=[])


def _compile(
    name: str, includes: "list[str]", last: "list[str]", depends: "list[Path]"
) -> None:
    source, target = HERE / "native" / f"{name}.c", BUILT / name
    shared = HERE / "native" / "common.h"
    newest = max(path.stat().st_mtime for path in [source, shared, *depends])
    if target.exists() and target.stat().st_mtime > newest:
        return
    say(f"compiling {source.relative_to(ROOT)}")
    BUILT.mkdir(parents=True, exist_ok=True)
    command = [*_compiler(), *FLAGS, *includes, str(source), "-o", str(target), *last]
    subprocess.run(command, check=True)


def _compiler() -> "list[str]":
    return shlex.split(os.environ.get("CC", "cc"))


# -- the contenders --------------------------------------------------------------------


class Contender(NamedTuple):
    """A library on an interpreter, and the command that runs a workload on it."""

    library: str
    interpreter: str
    version: str
    command: "list[str]"

    def arguments(self, workload: str, params: "dict[str, Any]") -> "list[str]":
        """The command for one workload, which gives a sample for each line it reads."""
        if self.library == C:
            values = [f"{name}={_plain(params[name])}" for name in params]
            return [*self.command, workload, *values, "samples=0"]
        return [*self.command, workload, json.dumps(params), "-"]


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def contenders(libraries: "list[str]", pythons: "list[str]") -> "list[Contender]":
    """Every one of these libraries on every one of these interpreters that has it."""
    commands = [
        (library, python, [python, str(HERE / "worker.py"), library])
        for library in libraries
        for python in pythons
        if library != C
    ]
    if C in libraries:
        commands.insert(0, (C, "C", [str(BUILT / "bench")]))
    found = []
    for library, where, command in commands:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["it says nothing"])[-1]
            say(f"left out: {library} on {where}: {reason}")
            continue
        answer = json.loads(result.stdout)
        found.append(
            Contender(library, answer["interpreter"], answer["version"], command)
        )
        say(" ".join(found[-1][:3]))
    return found


# -- running ---------------------------------------------------------------------------


class Running:
    """A contender's process, ready to give samples of one job."""

    def __init__(self, contender: Contender, job: plan.Job, hidden: "dict[str, Any]"):
        self.contender, self.job = contender, job
        self.process = subprocess.Popen(
            contender.arguments(job.workload, {**job.params, **hidden}),
            env={**os.environ, **job.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # None once there is no more to be had of it.
        self.head: Any = self._read()
        self.over = self.head is None or "unsupported" in self.head

    def _read(self) -> Any:
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        watchdog.cancel()
        return json.loads(line) if line else None

    def sample(self) -> "list[Measurement]":
        """One sample of every case that the workload measures."""
        if self.over:
            return []
        # If it has died there is nothing to read either, and end() tells of it.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        cases = self._read()
        self.over = not cases
        return [
            Measurement(
                self.job.workload,
                case["case"],
                self.job.params,
                case["unit"],
                self.contender.library,
                self.contender.interpreter,
                [case["value"]],
            )
            for case in cases or []
        ]

    def end(self) -> None:
        """Let it go, and say if it has failed."""
        self.process.communicate()
        if self.process.returncode:
            say(
                f"{self.contender.library} on {self.contender.interpreter} failed in "
                f"{self.job.workload} {self.job.params}"
            )


def run_job(
    job: plan.Job,
    field: "list[Contender]",
    samples: int,
    hidden: "dict[str, Any]",
    results: Results,
) -> None:
    """Let the contenders that the job concerns take turns."""
    # One after the other: each of them calibrates itself. Those on one interpreter are
    # neighbours, as they are compared most: the machine may change its pace any time.
    running = [
        Running(each, job, hidden)
        for each in sorted(field, key=lambda each: each.interpreter)
        if job.concerns(each.library)
    ]
    for _ in range(samples):
        # And none is always after the other.
        running.reverse()
        for each in running:
            for measurement in each.sample():
                results.add(measurement)
    for each in running:
        each.end()


def hidden_params(job: plan.Job, seconds: Optional[float]) -> "dict[str, Any]":
    """What a workload has to be told, but makes no other case of it."""
    if job.workload == "W4":
        return {"load": str(BUILT / "load")}
    return (
        {"seconds": seconds} if seconds and job.workload in ("W1", "W2", "W3") else {}
    )


def machine(field: "list[Contender]") -> "dict[str, Any]":
    """Where the results are from."""
    compiler = subprocess.run(
        [*_compiler(), "--version"], capture_output=True, text=True, check=False
    )
    libraries: dict[str, str] = {}
    for each in field:
        where = "" if each.library == C else f" on {each.interpreter}"
        libraries[f"{each.library}{where}"] = each.version
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "compiler": (compiler.stdout.splitlines() or ["unknown"])[0],
        "libev": libraries.get(C, ""),
        "interpreters": sorted({each.interpreter for each in field} - {"C"}),
        "libraries": libraries,
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor()


# -- the command -----------------------------------------------------------------------


def parse(arguments: "Iterable[str]") -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", allow_abbrev=False)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--quick", action="store_true", help="W1 to W3, two minutes")
    parser.add_argument("--plot", action="store_true", help="draw docs/performance/")
    parser.add_argument("--rounds", type=int, help="of new processes")
    parser.add_argument("--samples", type=int, default=5, help="a process")
    parser.add_argument("--library", action="append", choices=(C, *ADAPTERS))
    parser.add_argument("--python", action="append", metavar="PATH")
    parser.add_argument("--output", type=Path, default=BUILT / "results.json")
    options = parser.parse_args(list(arguments))
    for workload in options.workloads:
        if workload not in WORKLOADS:
            parser.error(f"there is no workload {workload}: {', '.join(WORKLOADS)}")
    return options


def main(arguments: "Iterable[str]") -> None:
    """Run it all, print the tables, keep the results."""
    options = parse(arguments)
    compile_native()
    # libev itself is in every run: all ratios are to it.
    wanted = (C, *(options.library or ADAPTERS))
    if options.quick and not options.library:
        wanted = plan.QUICK
    libraries = [library for library in (C, *ADAPTERS) if library in wanted]
    field = contenders(libraries, options.python or [sys.executable])
    jobs = [
        job
        for job in (plan.quick() if options.quick else plan.full())
        if job.workload in (options.workloads or WORKLOADS)
    ]
    rounds = options.rounds or (1 if options.quick else 5)
    results = Results({**machine(field), "rounds": rounds, "samples": options.samples})
    for turn in range(rounds):
        for place, job in enumerate(jobs, 1):
            say(
                f"round {turn + 1} of {rounds}, {place} of {len(jobs)}: "
                f"{job.workload} {job.params}"
            )
            hidden = hidden_params(job, 0.05 if options.quick else None)
            run_job(job, field, options.samples, hidden, results)
            # What there is by now is not lost if the rest is.
            results.save(options.output)
    report.show(results)
    say(f"the results are in {options.output}")
    if options.plot:
        import plot

        plot.draw(results, ROOT / "docs/performance")


if __name__ == "__main__":
    main(sys.argv[1:])
