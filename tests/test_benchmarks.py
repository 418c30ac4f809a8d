"""The benchmark suite: its workloads run, and its arithmetic is right.

Nothing is measured here: every workload runs with a tiny size on this interpreter.
"""

import contextlib
import importlib
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
MODULES = ("workloads", "results", "targets", "plan", "report", "libraries.mood_event")


@pytest.fixture(scope="module")
def bench():
    """The suite's modules. They are no package: each interpreter runs them as files."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        modules = [importlib.import_module(name) for name in MODULES]
        yield SimpleNamespace(
            **{module.__name__.split(".")[-1]: module for module in modules}
        )
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in set(sys.modules) - before:
            if getattr(sys.modules[name], "__file__", None) is not None and Path(
                sys.modules[name].__file__
            ).is_relative_to(BENCHMARKS):
                del sys.modules[name]


# -- workloads -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "params", "cases"),
    [
        ("W1", {"n": 1}, ["iteration"]),
        ("W1", {"n": 3}, ["callback"]),
        ("W1", {"n": 25, "mixed": True}, ["mixed"]),
        ("W2", {"n": 4, "active": 2}, ["event"]),
        ("W2", {"n": 4, "active": 2, "timers": True}, ["event + timer reset"]),
        ("W2", {"n": 4, "active": 2, "registration": True}, ["registration"]),
        ("W3", {"n": 5}, ["create + start + stop"]),
        ("W3", {"n": 60}, ["create + start + stop", "create", "start", "stop"]),
        ("W3", {"n": 5, "reset": True}, ["reset"]),
        ("W6", {"what": "loop"}, ["Loop()"]),
    ],
)
def test_workload_measures_its_cases(bench, monkeypatch, workload, params, cases):
    monkeypatch.setattr(bench.workloads, "ENOUGH", 50)
    run = bench.workloads.WORKLOADS[workload]
    with contextlib.closing(run(bench.mood_event, **params, seconds=0.0)) as samples:
        assert next(samples) == []
        for _ in range(2):
            sample = next(samples)
            assert [case.case for case in sample] == cases
            assert all(case.value > 0 for case in sample)


def test_every_case_of_asyncio_is_measured(bench):
    cases = {job.params["what"] for job in bench.plan.on_asyncio()}
    assert cases == set(bench.workloads.ASYNCIO)
    assert {job.workload for job in bench.plan.on_asyncio()} == {"asyncio"}
    assert all(job.environment for job in bench.plan.on_asyncio())
    assert not any(job.environment for job in bench.plan.core())


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    "what",
    [
        "echo",
        "streams",
        "call_soon",
        "call_later",
        "sleep",
        "yield",
        "add_reader",
        "add_writer",
    ],
)
def test_asyncio_is_measured_on_the_loop_of_the_library(bench, what, n):
    made = []

    def new_event_loop():
        made.append(bench.mood_event.new_event_loop())
        return made[-1]

    library = SimpleNamespace(new_event_loop=new_event_loop)
    samples = bench.workloads.on_asyncio(library, what, n, seconds=0.0, warmup=0.0)
    with contextlib.closing(samples):
        assert next(samples) == []
        for _ in range(2):
            [case] = next(samples)
            assert (case.case, case.unit) == (what, "us")
            assert case.value > 0
    assert made[0].is_closed()


def test_asyncio_needs_a_loop_for_it(bench):
    samples = bench.workloads.on_asyncio(SimpleNamespace(), "echo")
    with pytest.raises(bench.workloads.Unsupported, match="no loop for asyncio"):
        next(samples)


def test_memory_is_measured_once(bench):
    samples = list(bench.workloads.timers(bench.mood_event, n=20000, memory=True))
    assert [[case.case for case in sample] for sample in samples] == [[], ["memory"]]


def test_wake_measures_the_median_and_the_rest(bench):
    samples = bench.workloads.wake(bench.mood_event, count=5, pause=0.0)
    with contextlib.closing(samples):
        assert next(samples) == []
        median, p99 = next(samples)
    assert (median.case, p99.case) == ("median", "p99")
    assert 0 < median.value <= p99.value


def test_import_is_measured_in_a_process_of_its_own(bench):
    library = SimpleNamespace(IMPORT="import time")
    with contextlib.closing(bench.workloads.begin(library, "import")) as samples:
        assert next(samples) == []
        (case,) = next(samples)
    assert (case.case, case.unit) == ("import", "ms")
    assert case.value > 0


CLIENT = """\
#!{python}
import json, socket, sys

port, connections, size = map(int, sys.argv[1:4])
print("start", flush=True)
for _ in range(connections):
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"x" * size)
        missing = size
        while missing:
            missing -= len(sock.recv(missing))
print(json.dumps({{"requests": connections, "seconds": 0.5}}), flush=True)
"""


def test_echo_serves_the_client_it_is_given(bench, tmp_path):
    client = tmp_path / "client"
    client.write_text(CLIENT.format(python=sys.executable), encoding="utf-8")
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    samples = bench.workloads.echo(
        bench.mood_event, load=str(client), connections=3, size=100000
    )
    with contextlib.closing(samples):
        assert next(samples) == []
        rate, cpu = next(samples)
    assert (rate.case, rate.value) == ("rate", 6.0)
    assert cpu.case == "cpu"


# -- results ---------------------------------------------------------------------------


def measurement(bench, library, interpreter, samples, case="callback", **params):
    return bench.results.Measurement(
        "W1", case, params or {"n": 1000}, "ns", library, interpreter, samples
    )


def test_samples_of_the_same_thing_are_put_together(bench):
    results = bench.results.Results()
    results.add(measurement(bench, "mood_event", "PyPy 7.3", [4.0, 1.0]))
    results.add(measurement(bench, "mood_event", "PyPy 7.3", [2.0, 3.0, 100.0]))
    results.add(measurement(bench, "mood_event", "PyPy 7.3", [7.0], n=10))
    one, other = results
    assert (one.low, one.median, one.high) == (2.0, 3.0, 4.0)
    assert (other.low, other.median, other.high) == (7.0, 7.0, 7.0)
    assert results.find("mood_event", "PyPy", "W1", "callback", n=10) == other
    assert results.find("mood_event", "CPython", "W1", "callback") is None


def test_ratio_is_the_median_of_those_of_the_turns(bench):
    # By their medians ours took three times as long: most of its samples are from when
    # the machine was slow.
    ours = measurement(bench, "mood_event", "CPython 3.10.1", [10.0, 30.0, 33.0])
    theirs = measurement(bench, "asyncio", "CPython 3.10.1", [10.0, 10.0, 30.0])
    assert bench.results.ratio(ours, theirs) == pytest.approx(1.1)
    assert bench.results.ratio(ours, None) is None


def test_ratio_of_samples_that_are_no_pairs_is_that_of_the_medians(bench):
    ours = measurement(bench, "mood_event", "CPython 3.10.1", [10.0, 30.0, 90.0])
    theirs = measurement(bench, "mood_event_1", "CPython 3.10.1", [20.0])
    assert bench.results.ratio(ours, theirs) == 1.5
    assert bench.results.growth([ours, theirs]) == pytest.approx(2 / 3)
    other = measurement(bench, "mood_event", "CPython 3.10.1", [2.0, 6.0, 1.0], n=10)
    assert bench.results.ratio(ours, other) == 15.0


def test_results_are_read_as_they_were_written(bench, tmp_path):
    results = bench.results.Results({"cpu": "slow"})
    results.add(measurement(bench, "libev", "C", [1.0, 2.0]))
    path = tmp_path / "directory" / "results.json"
    results.save(path)
    read = bench.results.Results.load(path)
    assert read.machine == results.machine
    assert list(read) == list(results)


# -- targets ---------------------------------------------------------------------------


def test_every_target_is_about_something_that_is_run(bench):
    tables = (bench.targets.RATIOS, bench.targets.LIMITS, bench.targets.GROWTH)
    cases = [
        next(field for field in line.split("|") if field.strip()[:1] == "W")
        for table in tables
        for line in table.strip().splitlines()
    ]
    assert len(cases) == 37 + 5 + 4
    for case in cases:
        workload, _, params = bench.targets.parse_case(case)
        assert any(
            job.workload == workload and job.params.items() >= params.items()
            for job in bench.plan.full()
        ), case


def test_nothing_is_said_of_what_was_not_measured(bench):
    verdicts = bench.targets.verdicts(bench.results.Results())
    assert {verdict.met for verdict in verdicts} == {None}


def verdict(bench, results, interpreter, against):
    (found,) = [
        verdict
        for verdict in bench.targets.verdicts(results)
        if verdict.interpreter == interpreter
        and verdict.against == against
        and verdict.reached is not None
    ]
    return found


@pytest.mark.parametrize(("ours", "met"), [(239.0, True), (241.0, False)])
def test_target_is_met_up_to_its_limit(bench, ours, met):
    results = bench.results.Results()
    results.add(measurement(bench, "mood_event_1", "CPython 3.10.13", [100.0]))
    results.add(measurement(bench, "mood_event", "CPython 3.10.13", [ours]))
    found = verdict(bench, results, "CPython 3.10", "mood_event_1 CPython 3.10")
    assert found.reached == ours / 100
    assert found.met is met


@pytest.mark.parametrize(("ours", "met"), [(103.0, True), (104.0, False)])
def test_asyncio_is_compared_with_its_own_selector(bench, ours, met):
    results = bench.results.Results()
    for library, interpreter, value in [
        ("asyncio", "CPython 3.10.13", 10.0),
        ("asyncio", "PyPy 7.3.11", 100.0),
        ("mood_event", "PyPy 7.3.11", ours),
        ("uvloop", "PyPy 7.3.11", 1.0),
    ]:
        params = {"what": "echo", "n": 1}
        results.add(
            bench.results.Measurement(
                "asyncio", "echo", params, "us", library, interpreter, [value]
            )
        )
    found = verdict(bench, results, "PyPy", "asyncio PyPy")
    assert found.what == "asyncio echo n=1"
    assert found.reached == ours / 100
    assert found.met is met


def test_growth_is_compared_with_that_of_libev(bench):
    results = bench.results.Results()
    for n, libev, ours in [(10, 99, 1), (1000, 4, 100), (10000, 5, 120)]:
        results.add(measurement(bench, "libev", "C", [libev], n=n))
        results.add(measurement(bench, "mood_event", "PyPy 7.3.11", [ours], n=n))
    found = verdict(bench, results, "PyPy", "growth of libev")
    assert found.what == "W1 callback n=1000..10000"
    assert found.reached == pytest.approx(1.2 / 1.25)
    assert found.met


def test_tables_say_what_was_measured(bench):
    results = bench.results.Results()
    results.add(measurement(bench, "libev", "C", [5.0]))
    results.add(measurement(bench, "mood_event", "CPython 3.13.0", [123.4]))
    text = "\n".join(bench.report.tables(results))
    assert "W1 callback, n=1000 (ns)" in text
    assert "mood_event     CPython 3.13.0" in text
    assert "24.7" in text
    assert "n=1000" not in "\n".join(bench.report.target_table(results))


def test_targets_in_markdown_have_the_floor_beside_them(bench):
    results = bench.results.Results()
    for library, interpreter, n, value in [
        ("libev", "C", 1000, 4.0),
        ("libev", "C", 10000, 4.0),
        ("mood_event_1", "CPython 3.10.13", 1000, 100.0),
        ("mood_event", "CPython 3.10.13", 1000, 250.0),
        ("mood_event", "CPython 3.10.13", 10000, 250.0),
        ("floor", "CPython 3.10.13", 1000, 400.0),
        ("floor_batch", "CPython 3.10.13", 1000, 210.0),
    ]:
        results.add(measurement(bench, library, interpreter, [value], n=n))
    lines = list(bench.report.markdown(results))
    assert lines[2:] == [
        "| CPython 3.10 | W1 callback n=1000 | mood_event_1 CPython 3.10 "
        "| 2.40 x | 2.50 x | 2.10 | not met |",
        "| CPython 3.10 | W1 callback n=1000..10000 | growth of libev "
        "| 1.00 x | 1.00 x |  | met |",
    ]


def test_quick_run_is_about_dispatch_pipes_and_timers(bench):
    assert {job.workload for job in bench.plan.quick()} == {"W1", "W2", "W3"}
    assert all(not job.concerns("asyncio") for job in bench.plan.quick())
    assert all(job.concerns("mood_event") for job in bench.plan.full())
