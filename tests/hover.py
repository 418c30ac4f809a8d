"""What an editor shows of a name: the signature and the documentation that it has.

Run by `./dev lint` in the environment that jedi is in. Editors read the source, so what
is made at run time is not there for them: each method of the package, read from its
source, is compared with the one that Python has.
"""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import jedi

import mood_event
from mood_event import aio

TIMER = (
    "timer(after: float, repeat: float, callback: Callable[[Timer, int], object], "
    "data: Any=None, priority: int=0, /) -> Timer"
)


def names() -> Iterator[tuple[str, Any]]:
    """What is documented, by what a program writes for it."""
    for name in mood_event.__all__:
        value = getattr(mood_event, name)
        if not callable(value):
            continue
        yield f"mood_event.{name}", value
        of_ours = isinstance(value, type) and not issubclass(value, Exception)
        for attribute in dir(value) if of_ours else ():
            member = inspect.getattr_static(value, attribute)
            # The other name of async_ is none that a program can write.
            if attribute[0] != "_" and attribute != "async" and callable(member):
                yield f"mood_event.{name}.{attribute}", member
    for name in aio.__all__:
        value = getattr(aio, name)
        yield f"mood_event.aio.{name}", value
        # Those that it has of asyncio and selectors are for these to document.
        for attribute, member in vars(value).items():
            if isinstance(value, type) and attribute[0] != "_" and callable(member):
                yield f"mood_event.aio.{name}.{attribute}", member


def hover(text: str) -> Any:
    """What there is to show for the last name of an expression."""
    script = jedi.Script(
        f"import mood_event.aio\n{text}", environment=jedi.InterpreterEnvironment()
    )
    return script.help(2, len(text))[0]


def problem(text: str, value: Any) -> str:
    """What is not shown as it should be; "" if nothing is."""
    shown = hover(text)
    if shown.docstring(raw=True) != inspect.getdoc(value):
        return f"{text}: the documentation differs: {shown.docstring(raw=True)!r}"
    if isinstance(value, type):
        return ""
    parameters = [parameter.name for parameter in shown.get_signatures()[0].params]
    expected = list(inspect.signature(value).parameters)
    if parameters != expected:
        return f"{text}: the parameters differ: {parameters}"
    return ""


def main() -> int:
    """Compare, and print what differs.

    Returns:
        The exit status.
    """
    problems = [problem(text, value) for text, value in names()]
    shown = hover("mood_event.Loop().timer").get_signatures()[0].to_string()
    if shown != TIMER:
        problems.append(f"mood_event.Loop.timer: shown as {shown}")
    count = sum(map(bool, problems))
    print(*filter(None, problems), f"{count} of {len(problems)} names differ", sep="\n")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
