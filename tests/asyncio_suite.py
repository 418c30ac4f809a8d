"""Python's own tests of selectors and asyncio, on the stock selector and on a Loop.

Run by `./dev test --asyncio`, imported by test_aio_suites.py:

    python tests/asyncio_suite.py [--on selector|loop] [--test GLOB] [FILE...]

Each file of tests is run as it is, in a process of its own, once per way: as Python
has it (stock), with mood_event.aio.Selector in the place of the default selector
(selector), and with mood_event.aio.EventLoop in the place of asyncio's event loop
(loop). Then the outcomes are compared, test by test. What differs is run again, both
ways: what then ends as it does with the stock selector is listed and does not count.
What differs by design is in `EXPLAINED`. Anything else, and an explanation of
nothing, is a failure.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import fnmatch
import gc
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import unittest
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Seconds. A test that takes longer hangs: faulthandler says where, and ends it all.
TEST_LIMIT = 60.0
FILE_LIMIT = 900.0

# How often what differs is run again, each way, if it is not more tests than these.
AGAIN = 4
FEW = 6

# So many tests of a file may hang or die before the others are given up.
DEADLY = 3

HERE = Path(__file__).resolve().parent

STOCK = "stock"
PACKAGE = "test.test_asyncio"
SELECTORS = "test.test_selectors"


class Explanation(NamedTuple):
    """Why tests end otherwise than with the stock selector."""

    test: str
    """A pattern of fnmatch for the tests' names."""

    kind: str
    """What becomes of them on a Loop: see Outcome."""

    words: str
    """What is then among the outcome's words."""

    reason: str


EXPLAINED: tuple[Explanation, ...] = (
    Explanation(
        f"{SELECTORS}.*.test_modify_unregister",
        "skipped",
        "",
        "it replaces private parts of the stock selectors, which it knows by name",
    ),
    Explanation(
        f"{SELECTORS}.EpollSelectorTestCase.test_above_fd_setsize",
        "failed",
        "!= 64",
        "of thousands that are ready, libev takes 64 from epoll, the next time more",
    ),
    Explanation(
        f"{SELECTORS}.EpollSelectorTestCase.test_register_file",
        "failed",
        "OSError not raised",
        "libev has a file on a disk always ready, where epoll has an error",
    ),
)


# -- the process that runs a file ----------------------------------------------------


def _swap_selector() -> None:
    import selectors

    from mood_event import aio

    for name in ("DefaultSelector", "EpollSelector"):
        setattr(selectors, name, aio.Selector)


def _swap_loop() -> None:
    import asyncio

    from mood_event import aio

    class SelectorEventLoop(aio.EventLoop):
        """Made as the stock one is: with a selector, which it then does not use."""

        def __init__(self, selector: Any = None) -> None:
            if selector is not None:
                selector.close()
            super().__init__()

    class DefaultEventLoopPolicy(aio.EventLoopPolicy):  # type: ignore[misc]
        """Makes these."""

        def new_event_loop(self) -> Any:
            return SelectorEventLoop()

    swapped = {"SelectorEventLoop": SelectorEventLoop, "EventLoop": SelectorEventLoop}
    for name, thing in swapped.items():
        # EventLoop is there from 3.13.
        if hasattr(asyncio, name):
            setattr(asyncio, name, thing)
    # set_event_loop_policy(None), which the tests call, takes it from there.
    asyncio.DefaultEventLoopPolicy = DefaultEventLoopPolicy  # type: ignore[misc]


SWAPS = {STOCK: lambda: None, "selector": _swap_selector, "loop": _swap_loop}


class _Recording(unittest.TestResult):
    """Writes a line of JSON for each test that starts, and for what becomes of it."""

    def __init__(self, report: Any) -> None:
        super().__init__()
        self._report = report
        self._pid = os.getpid()
        self._test = ""
        self._unraisable: list[str] = []
        sys.unraisablehook = self._take_unraisable

    def _take_unraisable(self, unraisable: Any) -> None:
        sys.__unraisablehook__(unraisable)
        self._unraisable.append(f"{unraisable.object!r}: {unraisable.exc_value!r}\n")

    def write(self, test: str, kind: str, words: str = "") -> None:
        """Write what has become of a test."""
        # Some tests fork.
        if os.getpid() == self._pid:
            print(json.dumps([test, kind, words]), file=self._report, flush=True)

    def write_unraisable(self) -> None:
        """Write what has come since the last time."""
        if self._unraisable:
            self.write(self._test, "unraisable", "".join(self._unraisable))
            self._unraisable.clear()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.write_unraisable()
        self._test = test.id()
        self.write(self._test, "unfinished")
        faulthandler.dump_traceback_later(TEST_LIMIT, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self.write_unraisable()

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.write(test.id(), "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.write(test.id(), "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.write(test.id(), "failed", "".join(traceback.format_exception(*err)))

    addError = addFailure

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.addFailure(test, err)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.write(test.id(), "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self.write(test.id(), "unexpected success")


def _cases(suite: Any) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _cases(test)
        else:
            yield test


def _run_here(
    way: str, name: str, patterns: list[str], done: list[str], report: str
) -> None:
    """Run one file's tests in this process."""
    # They find no module of ours in the place of Python's.
    sys.path[:] = [path for path in sys.path if path != str(HERE)]
    # A shell has what it runs in the background ignore SIGINT, and Python leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    SWAPS[way]()
    from test import support

    # None that needs a network.
    support.use_resources = ["cpu", "walltime"]
    with open(report, "a", encoding="utf-8") as output:
        result = _Recording(output)
        try:
            found = unittest.defaultTestLoader.loadTestsFromName(name)
        except unittest.SkipTest as skip:
            # A file for another platform.
            result.write(name, "skipped", str(skip))
            return
        tests = unittest.TestSuite(
            test
            for test in _cases(found)
            if test.id() not in done and _is_chosen(test.id(), patterns)
        )
        tests.run(result)
        # Also what came after the last test.
        gc.collect()
        result.write_unraisable()


# -- one run of a file, and what became of its tests ---------------------------------


class Outcome(NamedTuple):
    """What became of a test."""

    kind: str
    """passed, skipped, failed, expected failure, unexpected success, or unfinished;
    unraisable: it has passed but for an exception that nobody could be given."""

    words: str
    """The traceback, or why it was skipped."""


def _is_chosen(test: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns)


# A test may have several, of which the worst counts.
WORSE = ("unfinished", "passed", "unraisable", "failed")


def _rank(kind: str) -> int:
    return WORSE.index(kind if kind in WORSE else "passed")


def _read(report: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for line in report.read_text(encoding="utf-8").splitlines():
        test, *outcome = json.loads(line)
        new, old = Outcome(*outcome), outcomes.get(test, Outcome("unfinished", ""))
        if new.kind == old.kind:
            outcomes[test] = Outcome(new.kind, old.words + new.words)
        elif test not in outcomes or _rank(new.kind) >= _rank(old.kind):
            outcomes[test] = new
    return outcomes


def run(way: str, name: str, patterns: Iterable[str] = ("*",)) -> dict[str, Outcome]:
    """Run a file's tests, in one process, or more where a test ends the process.

    Args:
        way: stock, selector or loop.
        name: the file's module.
        patterns: of fnmatch, for the names of the tests.

    Returns:
        The outcomes by the names of the tests; under the file's name, what has become
        of it as a whole: skipped, or ended by something else than a test.
    """
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as place:
        report, said = Path(place, "report"), Path(place, "said")
        while True:
            report.write_text("", encoding="utf-8")
            orders = [way, name, list(patterns), list(outcomes), str(report)]
            status = _run_there(orders, Path(place), said)
            new = _read(report)
            outcomes.update(new)
            if status == 0:
                return outcomes
            words = f"status {status}\n" + said.read_text(errors="replace")[-4000:]
            lost = [test for test in new if new[test].kind == "unfinished"]
            for test in lost or [name]:
                outcomes[test] = Outcome("unfinished", words)
            died = sum(outcome.kind == "unfinished" for outcome in outcomes.values())
            if not lost or died == DEADLY:
                return outcomes


def _run_there(orders: list[Any], place: Path, said: Path) -> int | None:
    """Run a file's tests in another process; returns its status, None: it hung."""
    (place / "orders").write_text(json.dumps(orders), encoding="utf-8")
    work = place / "work"
    work.mkdir(exist_ok=True)
    # As Python's own runner of its tests shows warnings.
    options = ["-X", "faulthandler", "-W", "default"]
    with said.open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                *options,
                str(HERE / "asyncio_suite.py"),
                "--orders",
                str(place / "orders"),
            ],
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return process.wait(FILE_LIMIT)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # And what it has left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# -- the comparison ------------------------------------------------------------------


class Difference(NamedTuple):
    """A test that ended otherwise."""

    test: str
    stock: Outcome
    ours: Outcome
    verdict: str
    """explained, varies, or differs."""

    reason: str

    def __str__(self) -> str:
        text = f"{self.test}: {self.stock.kind} -> {self.ours.kind}"
        if self.ours.kind == "skipped":
            text += f" ({self.ours.words})"
        text += f"\n  {self.verdict}: {self.reason}"
        if self.verdict != "explained":
            words = "\n".join(o.words for o in (self.stock, self.ours) if o.words)
            text += "\n    " + words.replace("\n", "\n    ")
        return text


NONE = Outcome("not there", "")


def _explanation(test: str, ours: Outcome) -> Explanation | None:
    for explanation in EXPLAINED:
        if (
            fnmatch.fnmatchcase(test, explanation.test)
            and explanation.kind == ours.kind
            and explanation.words in ours.words
        ):
            return explanation
    return None


def _judge(way: str, name: str, test: str, stock: Outcome, ours: Outcome) -> Difference:
    kinds: dict[str, list[str]] = {STOCK: [stock.kind], way: [ours.kind]}
    # After the others of its file, and alone; what hangs takes too long for more.
    rounds = [[test]] if ours.kind == "unfinished" else [["*"], *[[test]] * (AGAIN - 1)]
    for patterns in rounds:
        for each, seen in kinds.items():
            seen.append(run(each, name, patterns).get(test, NONE).kind)
    counts = {each: collections.Counter(seen) for each, seen in kinds.items()}
    reason = "; ".join(
        f"on {each}: " + ", ".join(f"{n} {kind}" for kind, n in counted.items())
        for each, counted in counts.items()
    )
    usual = counts[STOCK].most_common(1)[0][0]
    again = set(kinds[way][1:])
    varies = usual in again and again <= set(kinds[STOCK])
    return Difference(test, stock, ours, "varies" if varies else "differs", reason)


def compare(
    way: str, name: str, stock: dict[str, Outcome], ours: dict[str, Outcome]
) -> list[Difference]:
    """What became of each test that did not end the same way.

    Args:
        way: how `ours` was run.
        name: the file's module.
        stock: what `run` returned on the stock selector.
        ours: and that way.
    """
    differences = []
    for test in sorted({*stock, *ours}):
        pair = stock.get(test, NONE), ours.get(test, NONE)
        if pair[0].kind != pair[1].kind:
            explanation = _explanation(test, pair[1])
            verdict = ("explained", explanation.reason) if explanation else ("", "")
            differences.append(Difference(test, *pair, *verdict))
    suspects = [d for d in differences if not d.verdict]
    if len(suspects) > FEW:
        judged = [d._replace(verdict="differs", reason="so many do") for d in suspects]
    else:
        judged = [_judge(way, name, *d[:3]) for d in suspects]
    return sorted([*judged, *(d for d in differences if d.verdict)])


def unused(names: Iterable[str], differences: Iterable[Difference]) -> list[str]:
    """The explanations of nothing, if the tests of all of these files were run."""
    explained = {d.test for d in differences if d.verdict == "explained"}
    return [
        explanation.test
        for explanation in EXPLAINED
        if any(explanation.test.startswith(f"{name}.") for name in names)
        and not any(fnmatch.fnmatchcase(test, explanation.test) for test in explained)
    ]


# -- all of it -------------------------------------------------------------------------


def missing() -> str:
    """What this Python lacks of its own tests; "" if they are there."""
    for name in (PACKAGE, SELECTORS):
        try:
            spec = importlib.util.find_spec(name)
        except ImportError:
            spec = None
        if spec is None:
            return f"this Python has no {name}"
    return ""


def files() -> list[str]:
    """The modules of all files of tests."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    (directory,) = spec.submodule_search_locations or ()
    found = sorted(path.stem for path in Path(directory).glob("test_*.py"))
    return [SELECTORS, *(f"{PACKAGE}.{stem}" for stem in found)]


def ways_of(name: str) -> list[str]:
    """The ways, but the stock one, to run a file's tests."""
    return ["selector"] if name == SELECTORS else ["selector", "loop"]


def _say(*words: object) -> None:
    print(*words, flush=True)


def _count(outcomes: Iterable[Outcome]) -> str:
    counts = collections.Counter(outcome.kind for outcome in outcomes)
    return ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))


def main(arguments: list[str] | None = None) -> int:
    """Run and compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=sorted({*SWAPS} - {STOCK}))
    parser.add_argument("--test", metavar="GLOB", default="*")
    parser.add_argument("--orders", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("files", metavar="FILE", nargs="*")
    options = parser.parse_args(arguments)
    if options.orders:
        _run_here(*json.loads(options.orders.read_text(encoding="utf-8")))
        return 0
    lack = missing()
    if lack:
        parser.error(lack)
    names = {name.rpartition(".")[2]: name for name in files()}
    for stem in options.files:
        if stem not in names:
            parser.error(f"there is no {stem}; there are {', '.join(names)}")
    names = {stem: names[stem] for stem in options.files or names}
    differences: list[Difference] = []
    totals: collections.Counter[str] = collections.Counter()
    for name in names.values():
        stock = run(STOCK, name, [options.test])
        _say(f"{name}: {_count(stock.values()) or 'nothing'}")
        totals[STOCK] += len(stock)
        totals["failures"] += sum(o.kind == "failed" for o in stock.values())
        for way in ways_of(name):
            if options.on not in (None, way):
                continue
            found = compare(way, name, stock, run(way, name, [options.test]))
            for difference in found:
                _say(f"{way}: {difference}")
            differences += found
            totals[way] += len(stock)
            totals[f"{way} same"] += len(stock) - len(found)
    verdicts = collections.Counter(d.verdict for d in differences)
    failed = verdicts["differs"]
    if options.test == "*" and options.on is None:
        for pattern in unused(names.values(), differences):
            _say(f"{pattern}: is explained, and does not differ")
            failed += 1
    for way in ("selector", "loop"):
        _say(f"on our {way}: {totals[f'{way} same']} of {totals[way]} the same")
    _say(
        f"{totals[STOCK]} tests, of which {totals['failures']} fail as it is: "
        f"{verdicts['explained']} explained, {verdicts['varies']} vary, "
        f"{verdicts['differs']} differ"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
