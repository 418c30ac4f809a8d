"""python -m mood_event: what it says, and when it fails."""

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
