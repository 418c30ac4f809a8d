"""What the import refuses: subinterpreters, and a compiled module that is not there."""

import sys
from typing import Any

import pytest

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
    options = ()
    if sys.version_info >= (3, 13):
        # Their module warns that it is provisional.
        options = ("-W", "ignore")
    assert run_script(SUBINTERPRETER, options=options).stdout == "imported\n"


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
