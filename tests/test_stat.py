"""Stat watchers: changes of a path, and what `attr` and `prev` say of it."""

import math
import os
from pathlib import Path

import pytest

from mood_event import (
    EV_CUSTOM,
    EV_STAT,
    EVFLAG_NOINOTIFY,
    EVRUN_NOWAIT,
    Loop,
    Stat,
)

# What libev takes for less is its own shortest interval, about a tenth of a second:
# where the system does not tell of changes, that is what the tests wait for.
INTERVAL = 0.1

FIELDS = [
    "st_mode",
    "st_ino",
    "st_dev",
    "st_nlink",
    "st_uid",
    "st_gid",
    "st_size",
    "st_rdev",
    "st_blocks",
    "st_blksize",
    "st_atime_ns",
    "st_mtime_ns",
    "st_ctime_ns",
]


def ignore(watcher, revents):
    """A callback that does nothing."""


def stop(watcher, revents):
    """A callback that ends the run."""
    assert revents == EV_STAT
    watcher.loop.stop()


def fields(result):
    """What os.stat_result tells, without the floats made of it."""
    return {name: getattr(result, name) for name in FIELDS}


@pytest.fixture(params=[0, EVFLAG_NOINOTIFY])
def loop(request):
    """A loop that is told of changes, and one that has to look."""
    with Loop(request.param) as loop:
        yield loop


@pytest.fixture
def path(tmp_path):
    """A file."""
    path = tmp_path / "file"
    path.write_bytes(b"text")
    return path


def test_stat_tells_a_change(loop, path):
    watcher = loop.stat(str(path), INTERVAL, stop)
    watcher.start()
    loop.start(EVRUN_NOWAIT)
    before = os.lstat(path)
    path.write_bytes(b"some more text")
    assert loop.start() is True
    # It may have been looked at in between the truncation and the writing.
    while watcher.attr.st_size != 14:
        loop.start()
    watcher.stop()
    assert watcher.attr.st_ino == watcher.prev.st_ino == before.st_ino
    assert watcher.prev.st_size in (0, 4)


def test_stat_tells_that_a_path_disappears(loop, path):
    watcher = loop.stat(str(path), INTERVAL, stop)
    watcher.start()
    before = fields(os.lstat(path))
    assert fields(watcher.attr) == before
    path.unlink()
    while watcher.attr.st_nlink:
        assert loop.start() is True
    assert watcher.prev.st_ino == before["st_ino"]
    assert watcher.prev.st_nlink == 1


def test_stat_tells_that_a_path_appears(loop, tmp_path):
    path = tmp_path / "new"
    watcher = loop.stat(str(path), INTERVAL, stop)
    watcher.start()
    assert watcher.attr.st_nlink == 0
    path.write_bytes(b"text")
    while watcher.attr.st_size != 4:
        assert loop.start() is True
    assert fields(watcher.attr) == fields(os.lstat(path))
    watcher.stop()


def test_stat_tells_that_a_path_is_replaced(loop, path):
    other = path.with_name("other")
    other.write_bytes(b"other text")
    watcher = loop.stat(str(path), INTERVAL, stop)
    watcher.start()
    old, new = os.lstat(path).st_ino, os.lstat(other).st_ino
    other.rename(path)
    assert loop.start() is True
    while watcher.attr.st_ino != new:
        assert loop.start() is True
    assert old != new
    assert watcher.attr.st_size == 10


@pytest.mark.core
def test_stat_attr_is_what_lstat_says(path):
    os.utime(path, ns=(1_500_000_000_123_456_789, 1_600_000_000_987_654_321))
    with Loop() as loop:
        for target in (path, path.parent, "/dev/null", "/"):
            watcher = loop.stat(str(target), 0.0, ignore)
            watcher.start()
            expected = os.lstat(target)
            result = watcher.attr
            assert type(result) is os.stat_result
            assert fields(result) == fields(expected)
            assert result[:7] == expected[:7]
            assert [int(second) for second in result[7:10]] == list(expected[7:10])
            for name in ("st_atime", "st_mtime", "st_ctime"):
                expected_time = pytest.approx(getattr(expected, name), abs=1e-6)
                assert getattr(result, name) == expected_time
            watcher.stop()


@pytest.mark.core
def test_stat_does_not_follow_links(path):
    link = path.with_name("link")
    link.symlink_to(path)
    with Loop() as loop:
        watcher = loop.stat(str(link), 0.0, ignore)
        watcher.start()
        assert watcher.attr.st_ino == os.lstat(link).st_ino != os.stat(link).st_ino


@pytest.mark.core
def test_stat_attr_before_start_is_empty(path):
    with Loop() as loop:
        watcher = loop.stat(str(path), 0.0, ignore)
        for result in (watcher.attr, watcher.prev):
            assert set(fields(result).values()) == {0}
            assert set(result) == {0}


@pytest.mark.core
def test_stat_method_looks_now_and_takes_the_change(path, events):
    seen, callback = events
    with Loop(EVFLAG_NOINOTIFY) as loop:
        watcher = loop.stat(str(path), 1e4, callback)
        watcher.start()
        path.write_bytes(b"some more text")
        assert watcher.attr.st_size == 4
        assert watcher.stat() is None
        assert (watcher.attr.st_size, watcher.pending) == (14, False)
        loop.start(EVRUN_NOWAIT)
        assert seen == []
        path.unlink()
        watcher.stat()
        assert watcher.attr.st_nlink == 0


@pytest.mark.core
def test_stat_method_works_without_start(path):
    with Loop() as loop:
        watcher = loop.stat(str(path), 0.0, ignore)
        watcher.stat()
        assert fields(watcher.attr) == fields(os.lstat(path))
        assert not watcher.active


@pytest.mark.core
def test_stat_set_watches_another_path(tmp_path, events):
    seen, callback = events
    paths = [tmp_path / name for name in ("first", "second")]
    for number, path in enumerate(paths):
        path.write_bytes(bytes(number + 1))
    with Loop() as loop:
        watcher = loop.stat(str(paths[0]), 1.0, callback)
        watcher.start()
        assert watcher.attr.st_size == 1
        watcher.stop()
        watcher.set(paths[1], 2.5)
        assert (watcher.path, watcher.interval) == (str(paths[1]), 2.5)
        watcher.start()
        assert watcher.attr.st_size == 2
        watcher.feed(EV_CUSTOM)
        loop.start(EVRUN_NOWAIT)
        assert seen == [(watcher, EV_CUSTOM)]


@pytest.mark.core
def test_stat_takes_every_sort_of_path(path):
    sorts = [
        (str(path), str(path)),
        (os.fsencode(path), os.fsencode(path)),
        (path, str(path)),
        (Path(path), str(path)),
    ]
    with Loop() as loop:
        for given, expected in sorts:
            watcher = loop.stat(given, 0.0, ignore)
            assert (watcher.path, type(watcher.path)) == (expected, type(expected))
            watcher.start()
            assert watcher.attr.st_size == 4
            watcher.stop()
            assert repr(watcher) == f"<Stat {expected!r} callback=ignore>"


@pytest.mark.core
@pytest.mark.parametrize("name", ["späte Grüße", b"\xff\xfe bytes"])
def test_stat_takes_names_that_are_not_ascii(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(b"text")
    with Loop() as loop:
        for given in (path, os.fsdecode(path)):
            watcher = loop.stat(given, 0.0, ignore)
            watcher.start()
            assert (watcher.path, watcher.attr.st_size) == (given, 4)


@pytest.mark.core
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("with\0nul", ValueError),
        (b"with\0nul", ValueError),
        (Path("with\0nul"), ValueError),
        (None, TypeError),
        (5, TypeError),
        (["path"], TypeError),
    ],
)
def test_stat_refuses_what_is_no_path(path, bad, error):
    with Loop() as loop:
        watcher = loop.stat(str(path), 1.0, ignore)
        for attempt in (
            lambda: Stat(bad, 0.0, loop, ignore),
            lambda: watcher.__init__(bad, 0.0, loop, ignore),
            lambda: watcher.set(bad, 0.0),
        ):
            with pytest.raises(error, match="path"):
                attempt()
            assert (watcher.path, watcher.interval) == (str(path), 1.0)


@pytest.mark.core
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (-1.0, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("1", TypeError),
        (None, TypeError),
    ],
)
def test_stat_refuses_bad_intervals(path, bad, error):
    with Loop() as loop:
        watcher = loop.stat(str(path), 1.0, ignore)
        for attempt in (
            lambda: Stat("/", bad, loop, ignore),
            lambda: watcher.__init__("/", bad, loop, ignore),
            lambda: watcher.set("/", bad),
        ):
            with pytest.raises(error, match="interval"):
                attempt()
            assert (watcher.path, watcher.interval) == (str(path), 1.0)


@pytest.mark.core
def test_stat_interval_is_what_was_asked_for(path):
    with Loop() as loop:
        for interval in (0.0, 0.001, 1, 1e9):
            watcher = loop.stat(str(path), interval, ignore)
            assert watcher.interval == interval
            watcher.stop()


@pytest.mark.core
def test_stat_many_watchers_of_one_path(path):
    seen = []

    def callback(watcher, revents):
        seen.append(watcher.data)
        watcher.stop()

    with Loop() as loop:
        for number in range(5):
            loop.stat(str(path), INTERVAL, callback, number).start()
        path.unlink()
        assert loop.start() is False
    assert sorted(seen) == [0, 1, 2, 3, 4]
