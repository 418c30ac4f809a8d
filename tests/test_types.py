"""What type checkers and editors find: the documentation."""

import inspect
import re

import pytest

from mood_event import Loop, Watcher


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
    rest = rest.replace(", or the watcher is active or pending", "")
    article = "an" if cls.__name__[0] in "AEI" else "a"
    assert words(getattr(Loop, kind).__doc__) == (
        f"Make {article} `{cls.__name__}` on this loop. {words(summary)} {rest}"
    )
