"""What type checkers and editors find: the marker, the names, the documentation.

The types are for type checkers to test: tests/typing/, by `./dev lint`.
"""

import inspect
import re
from pathlib import Path

import pytest

import mood_event
from mood_event import Loop, Watcher, constants

PACKAGE = Path(mood_event.__file__).parent


@pytest.mark.parametrize("name", ["py.typed", "_ev.pyi"])
def test_package_has_what_type_checkers_ask_for(name):
    assert (PACKAGE / name).is_file()


def test_names_of_the_package_are_listed_without_those_of_constants():
    """Both lists are written out, as no type checker follows one made of the other."""
    listed = [name for name in mood_event.__all__ if name.startswith("EV")]
    assert listed == constants.__all__


def words(text):
    """The text in one line."""
    return " ".join(text.split())


@pytest.mark.parametrize("kind", Watcher.kinds)
def test_factory_is_documented_as_its_class(kind):
    """Editors show what is written there, so it is written twice, and the same."""
    cls = Watcher.kinds[kind]
    summary = inspect.getdoc(cls).partition("\n\n")[0]
    _, _, rest = inspect.getdoc(inspect.unwrap(cls.__init__)).partition("\n\n")
    # The loop is this one, and the watcher is new.
    rest, loops = re.subn(r"\n    loop: .*(\n        .*)*", "", rest)
    assert loops == 1
    rest = words(rest).replace("`loop`", "this loop")
    rest = rest.replace(
        ", or the watcher is active or pending, or is to change loops in the middle of "
        "one of its methods",
        "",
    )
    article = "an" if cls.__name__[0] in "AEI" else "a"
    assert words(getattr(Loop, kind).__doc__) == (
        f"Make {article} `{cls.__name__}` on this loop. {words(summary)} {rest}"
    )
