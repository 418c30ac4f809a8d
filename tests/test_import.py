"""What the import costs, and what it refuses."""

import sys
import types
from typing import Any

import pytest

from mood_event import _ffi

SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

source = '''
import sys
sys.path[:] = {path!r}
try:
    import mood_event
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    raise AssertionError("imported")
'''.format(path=sys.path)
identifier = interpreters.create()
failure = interpreters.run_string(identifier, source)
assert failure is None, failure
interpreters.destroy(identifier)
import mood_event
print("imported")
"""


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="PyPy has no subinterpreters"
)
def test_import_in_a_subinterpreter_is_refused(run_script: Any) -> None:
    # What others' .pth files say in there, and that the module is provisional, is
    # none of ours.
    result = run_script(SUBINTERPRETER, check=False)
    assert (result.returncode, result.stdout) == (0, "imported\n"), result


def test_refusal_of_a_subinterpreter_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    current = types.SimpleNamespace(get_current=lambda: 1, get_main=lambda: 0)
    monkeypatch.setitem(sys.modules, "_interpreters", current)
    with pytest.raises(ImportError, match="subinterpreter"):
        _ffi.refuse_subinterpreter()


def test_missing_compiled_module_is_an_error_that_tells_the_remedy(
    run_script: Any,
) -> None:
    result = run_script(
        """
        import sys
        sys.modules["mood_event._ev"] = None
        try:
            import mood_event
        except ImportError as error:
            print(error)
        """
    )
    assert "cannot be imported" in result.stdout
    assert "pip install" in result.stdout


def test_import_leaves_out_what_takes_long(run_script: Any) -> None:
    """These take several times as long as the package: see docs/performance.md."""
    result = run_script(
        """
        import sys
        before = set(sys.modules)
        import mood_event
        imported = set(sys.modules) - before
        print(*sorted(imported & {
            "collections", "dis", "enum", "functools", "inspect", "re", "signal",
            "threading", "traceback", "typing", "warnings", "weakref",
        }))
        """,
        env={"PYTHONDEVMODE": ""},
    )
    assert result.stdout == "\n"
