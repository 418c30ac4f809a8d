"""Python's own tests of selectors and asyncio, those that take seconds, on a Loop.

What does not pass there is run on the stock selector as well. All of them, and both
ways: `./dev test --asyncio`.
"""

import os
import sys
import textwrap

import asyncio_suite
import pytest

LACK = asyncio_suite.missing()

# Without what takes long, and what has event loops of its own, or none.
QUICK = [
    ("selector", "test.test_selectors", "*.EpollSelectorTestCase.*"),
    ("selector", "test.test_asyncio.test_streams", "*"),
    ("loop", "test.test_asyncio.test_streams", "*"),
    ("loop", "test.test_asyncio.test_base_events", "*.*WithSelectorTests.*"),
    ("loop", "test.test_asyncio.test_buffered_proto", "*"),
    ("loop", "test.test_asyncio.test_events", "*.EPollEventLoopTests.*"),
    ("loop", "test.test_asyncio.test_sendfile", "*.EPollEventLoopTests.*"),
    ("loop", "test.test_asyncio.test_server", "*"),
    ("loop", "test.test_asyncio.test_sock_lowlevel", "*.EPollEventLoopTests.*"),
    ("loop", "test.test_asyncio.test_subprocess", "*.*ThreadedWatcherTests.*std*"),
    ("loop", "test.test_asyncio.test_unix_events", "*.SelectorEventLoop*"),
]


@pytest.mark.skipif(bool(LACK), reason=LACK)
@pytest.mark.parametrize(("way", "name", "pattern"), QUICK)
def test_python_s_own_tests_end_as_on_the_stock_selector(way, name, pattern):
    ours = asyncio_suite.run(way, name, [pattern])
    doubtful = [test for test in ours if ours[test].kind != "passed"]
    assert len(doubtful) < len(ours), ours
    stock = asyncio_suite.run("stock", name, doubtful) if doubtful else {}
    differences = asyncio_suite.compare(
        way, name, stock, {test: ours[test] for test in doubtful}
    )
    differing = [d for d in differences if d.verdict == "differs"]
    assert not differing, "\n".join(map(str, differing))


# -- what runs and compares them -----------------------------------------------------


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The name of a file of tests, some of which fail, die or vary on a Loop."""
    (tmp_path / "example_of_tests.py").write_text(
        textwrap.dedent(
            """\
            import asyncio, gc, os, selectors, unittest

            made = asyncio.SelectorEventLoop(), asyncio.new_event_loop()
            SELECTORS = {type(loop._selector) for loop in made}
            LOOPS = {hasattr(loop, "ev_loop") for loop in made}
            for loop in made:
                loop.close()
            IS_OURS = {each.__module__ for each in SELECTORS} == {"mood_event.aio"}

            class Untidy:
                def __del__(self):
                    raise ZeroDivisionError

            class TheirTests(unittest.TestCase):
                def test_dies(self):
                    if IS_OURS:
                        os._exit(3)

                def test_fails(self):
                    self.assertFalse(IS_OURS)

                def test_skips(self):
                    is_default = SELECTORS == {selectors.DefaultSelector}
                    self.skipTest(f"{IS_OURS} {is_default} {LOOPS}")

                def test_tells_nobody(self):
                    if IS_OURS:
                        Untidy()
                        gc.collect()

                def test_varies(self):
                    if IS_OURS and not os.path.exists(SEEN):
                        os.mkdir(SEEN)
                        self.fail()
            """
        ).replace("SEEN", repr(str(tmp_path / "seen")))
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr(asyncio_suite, "AGAIN", 2)
    return "example_of_tests"


@pytest.mark.skipif(bool(LACK), reason=LACK)
def test_what_differs_is_found(example):
    stock, ours = (asyncio_suite.run(way, example) for way in ("stock", "loop"))
    assert [o.kind for o in stock.values()].count("passed") == len(stock) - 1 == 4
    found = asyncio_suite.compare("loop", example, stock, ours)
    assert [(d.test.rpartition(".")[2], d.ours.kind, d.verdict) for d in found] == [
        ("test_dies", "unfinished", "differs"),
        ("test_fails", "failed", "differs"),
        ("test_tells_nobody", "unraisable", "differs"),
        ("test_varies", "failed", "varies"),
    ]
    dies, fails, tells_nobody, _ = map(str, found)
    assert "status 3" in dies
    assert "AssertionError" in fails
    assert "on stock: 3 passed; on loop: 3 failed" in fails
    assert "ZeroDivisionError" in tells_nobody


@pytest.mark.skipif(bool(LACK), reason=LACK)
@pytest.mark.parametrize(
    ("way", "swapped"),
    [
        ("stock", "False True {False}"),
        ("selector", "True True {False}"),
        ("loop", "True False {True}"),
    ],
)
def test_each_way_has_its_event_loops(example, way, swapped):
    (outcome,) = asyncio_suite.run(way, example, ["*.test_skips"]).values()
    assert outcome == ("skipped", swapped)


def test_what_differs_everywhere_is_not_run_again(example, monkeypatch):
    monkeypatch.setattr(asyncio_suite, "FEW", 2)
    monkeypatch.setattr(asyncio_suite, "run", None)
    passed, failed = (asyncio_suite.Outcome(kind, "") for kind in ("passed", "failed"))
    tests = ["first", "second", "third"]
    found = asyncio_suite.compare(
        "loop", example, dict.fromkeys(tests, passed), dict.fromkeys(tests, failed)
    )
    assert [(d.test, d.verdict) for d in found] == [(t, "differs") for t in tests]


@pytest.mark.skipif(bool(LACK), reason=LACK)
def test_a_file_whose_tests_die_is_given_up(example, monkeypatch):
    monkeypatch.setattr(asyncio_suite, "DEADLY", 1)
    outcomes = asyncio_suite.run("loop", example)
    assert [test.rpartition(".")[2] for test in outcomes] == ["test_dies"]


def test_an_explanation_of_nothing_is_told():
    explained = [explanation.test for explanation in asyncio_suite.EXPLAINED]
    assert asyncio_suite.unused(["test.test_selectors"], []) == explained
    assert asyncio_suite.unused(["test.test_asyncio.test_events"], []) == []
