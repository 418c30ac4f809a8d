"""python -m mood_event: what it says, and when it fails."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

import mood_event
from mood_event import __main__ as program


def test_main_describes_the_build_and_checks_every_type(run_script: Any) -> None:
    result = run_script(
        "import runpy; runpy.run_module('mood_event', run_name='__main__')"
    )
    lines = result.stdout.splitlines()
    values = dict(line.split(None, 1) for line in lines if line)
    assert values["mood_event"] == mood_event.__version__
    assert values["libev"].startswith("{}.{}, ".format(*mood_event.abi_version()))
    assert "select" in values["supported"].split()
    assert set(values["embeddable"].split()) <= set(values["supported"].split())
    for kind in mood_event.Watcher.kinds:
        assert values[kind].startswith("ok "), kind
    assert lines[-1] == "all is well"


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_main_ends_in_silence_when_nobody_reads(option: "list[str]") -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "mood_event", *option],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


def test_main_says_the_same_as_json() -> None:
    commands = [
        [sys.executable, "-m", "mood_event", *more] for more in ([], ["--json"])
    ]
    columns, text = (
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        for command in commands
    )
    said = json.loads(text.stdout)
    checks = said.pop("checks")
    assert said.pop("ok") is True
    assert list(checks) == list(mood_event.Watcher.kinds)
    for check in checks.values():
        assert (check["ok"], check["error"]) == (True, None)
        assert check["milliseconds"] >= 0.0
    lines = columns.stdout.splitlines()
    for line, (name, value) in zip(lines, said.items()):
        words = value if isinstance(value, str) else " ".join(value)
        assert line == f"{name:<12} {words}"
    # One blank line, and the checks after it.
    assert lines[len(said)] == ""


def test_main_has_a_trigger_for_every_type() -> None:
    assert set(program.TRIGGERS) == set(mood_event.Watcher.kinds)


def test_main_tells_which_type_does_not_work(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def never(loop: mood_event.Loop, callback: Any) -> Any:
        return loop.timer(1e6, 0.0, callback), program._nothing, program._nothing

    monkeypatch.setattr(program, "PATIENCE", 0.01)
    monkeypatch.setattr(mood_event.Watcher, "kinds", {"timer": mood_event.Timer})
    monkeypatch.setitem(program.TRIGGERS, "timer", never)
    assert program.main() == 1
    out = capsys.readouterr().out
    assert "timer        NOT CALLED" in out
    assert "1 of the watcher types do not work" in out


@pytest.mark.parametrize("as_json", [False, True])
def test_main_tells_which_check_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, as_json: bool
) -> None:
    def fails(loop: mood_event.Loop, callback: Any) -> Any:
        raise OSError(24, os.strerror(24))

    monkeypatch.setitem(program.TRIGGERS, "io", fails)
    assert program.main(["--json"] if as_json else []) == 1
    out = capsys.readouterr().out
    error = f"OSError: [Errno 24] {os.strerror(24)}"
    if as_json:
        said = json.loads(out)
        assert said["ok"] is False
        failed = [kind for kind, check in said["checks"].items() if not check["ok"]]
        assert failed == ["io"]
        assert said["checks"]["io"]["error"] == error
    else:
        assert f"\nio           {error}\n" in out
        assert "\ntimer        ok " in out
        assert out.endswith("\n1 of the watcher types do not work\n")


def test_main_explains_itself(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m mood_event [-h] [--json] TOOL ...\n")
    for name in program.TOOLS:
        assert f"\n    {name} " in out or f"\n    {name}\n" in out
