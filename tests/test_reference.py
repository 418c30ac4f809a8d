"""The reference is complete: docs/reference/ shows all that is public, and says it all.

The pages name the objects, Sphinx takes the text from the docstrings (docs/conf.py), so
the directives of the pages are read here, and the docstrings.
"""

import ast
import builtins
import inspect
import re
import subprocess
import sys
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from documents import ROOT, blocks

import mood_event
from mood_event import Loop, Watcher, aio, constants, loop, watchers
from mood_event._ffi import lib

REFERENCE = ROOT / "docs" / "reference"
TYPES = sorted(Watcher.kinds.values(), key=lambda cls: cls.__name__)
CLASSES = [Loop, Watcher, *TYPES]
FUNCTIONS = [
    name
    for name in mood_event.__all__
    if callable(getattr(mood_event, name))
    and not isinstance(getattr(mood_event, name), type)
]

_DIRECTIVE = re.compile(
    r"^\.\. (?:auto\w+|py:data):: (?:mood_event\.)?(\w+)\n((?:   :.*\n)*)", re.MULTILINE
)
_OF_AIO = re.compile(r"^\.\. auto(\w+):: mood_event\.aio\.(\w+)$", re.MULTILINE)
_SECTION = re.compile(r"^(Args|Returns|Raises):\n((?:    .*\n?)+)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \w+)*):(?= )", re.MULTILINE)
# What raises an exception for an argument, or hands on what C has refused.
_RAISES = re.compile(
    r"^ +raise\b|\b(?:to_\w+|check_open|refused|_configure|_check_\w+|_call|_refused"
    r"|_settle|_reset|_times|raise_kept)\(",
    re.MULTILINE,
)
# C's functions, as they are called: some have names of their own in a module.
_OF_C = {getattr(lib, name): name for name in dir(lib) if name.startswith("mood_")}
_IN_C = [
    name
    for module in (aio, loop, watchers)
    for name, value in vars(module).items()
    if isinstance(value, Hashable) and value in _OF_C
]
_CALLS_LIBEV = re.compile(rf"\blib\.(?:mood|ev)_|\b(?:{'|'.join(_IN_C)})\(")


class Documented(NamedTuple):
    """What a page says that Sphinx is to show."""

    page: str
    name: str
    options: "dict[str, str]"


def directives() -> Iterator[Documented]:
    for path in sorted(REFERENCE.glob("*.md")):
        for match in _DIRECTIVE.finditer(path.read_text(encoding="utf-8")):
            options = dict(re.findall(r"   :([\w-]+): ?(.*)", match[2]))
            yield Documented(path.name, match[1], options)


def options_of(cls: type) -> "dict[str, str]":
    [options] = [
        documented.options
        for documented in directives()
        if documented.name == cls.__name__
    ]
    return options


def public_members(cls: type) -> "dict[str, Any]":
    """The methods and properties that a class has, and those of its private bases."""
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is object or (base is Watcher and cls is not Watcher):
            continue
        for name, member in vars(base).items():
            if name[0] != "_" and (inspect.isfunction(member) or is_property(member)):
                members[name] = member
    return members


def is_property(member: object) -> bool:
    return isinstance(member, property)


def is_factory(cls: type, name: str) -> bool:
    return cls is Loop and name.rstrip("_") in Watcher.kinds


def sections(doc: str) -> "dict[str, str]":
    return dict(_SECTION.findall(doc))


def entries(doc: str, section: str) -> "list[str]":
    text = sections(doc).get(section, "")
    found = _ENTRY.findall(text)
    assert len(found) == len(re.findall(r"^    (?! )", text, re.MULTILINE)), text
    return found


def sources(member: Any) -> str:
    if is_property(member):
        functions = [f for f in (member.fget, member.fset) if f is not None]
    else:
        functions = [member]
    return "".join(
        inspect.getsource(inspect.unwrap(function)) for function in functions
    )


AIO = [getattr(aio, name) for name in aio.__all__]
AIO_MEMBERS = [
    pytest.param(member, id=f"{cls.__name__}.{name}")
    for cls in AIO
    if isinstance(cls, type)
    for name, member in vars(cls).items()
    if name[0] != "_" and inspect.isfunction(member)
]
MEMBERS = [
    pytest.param(cls, name, member, id=f"{cls.__name__}.{name}")
    for cls in CLASSES
    for name, member in public_members(cls).items()
]


def check_docstring(what: str, function: Any, doc: "str | None") -> None:
    """The rules for the docstring of a callable."""
    assert doc, f"{what} has no docstring"
    doc = inspect.cleandoc(doc)
    summary, *rest = doc.splitlines()
    assert summary.endswith("."), f"{what}: {summary!r} is no sentence"
    assert not rest or not rest[0], f"{what}: the first line is not by itself"
    parameters = [
        f"*{name}" if parameter.kind is parameter.VAR_POSITIONAL else name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
    ]
    assert entries(doc, "Args") == parameters, what
    check_raises(what, sources(function), doc)
    check_libev(what, sources(function), doc)


def check_raises(what: str, source: str, doc: str) -> None:
    said = entries(doc, "Raises")
    assert said or not _RAISES.search(source), f"{what} does not say what it raises"
    for names in said:
        for name in names.split(", "):
            exception = {**vars(builtins), "Error": mood_event.Error}[name]
            assert issubclass(exception, BaseException), f"{what}: {name}"


def check_libev(what: str, source: str, doc: str) -> None:
    lines = [line for line in doc.splitlines() if line.startswith("libev: ")]
    assert lines or not _CALLS_LIBEV.search(source), f"{what}: what is it in libev?"
    assert lines in ([], doc.splitlines()[-1:]), f"{what}: libev comes last"
    for line in lines:
        assert re.fullmatch(r"libev: ev_\w+(, ev_\w+)*", line), f"{what}: {line}"


# -- the pages -----------------------------------------------------------------------


def test_each_public_name_is_on_one_page() -> None:
    named = sorted(documented.name for documented in directives())
    assert named == sorted(mood_event.__all__)


def test_each_public_name_of_aio_is_on_its_page() -> None:
    text = (REFERENCE / "aio.md").read_text(encoding="utf-8")
    named = _OF_AIO.findall(text)
    assert sorted(name for _, name in named) == sorted(aio.__all__)
    for directive, name in named:
        is_class = isinstance(getattr(aio, name), type)
        assert directive == ("class" if is_class else "function"), name


def test_each_page_is_in_the_table_of_contents() -> None:
    index = (REFERENCE / "index.md").read_text(encoding="utf-8")
    toctree = index[index.index("{toctree}") :]
    pages = {path.stem for path in REFERENCE.glob("*.md")} - {"index"}
    assert set(re.findall(r"^(\w+)$", toctree, re.MULTILINE)) == pages
    for page in pages:
        assert f"({page}.md)" in index, page


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_page_of_a_class_has_an_example_and_the_pitfalls(cls: type) -> None:
    [page] = [d.page for d in directives() if d.name == cls.__name__]
    assert page == f"{cls.__name__.lower()}.md"
    text = (REFERENCE / page).read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[:2] == ["Example", "The class"]
    assert headings[-1] == "Pitfalls"
    of_page = blocks(REFERENCE / page)
    assert [block.language for block in of_page[:2]] == ["python", "text"]
    assert of_page[1].comment == "output"


@pytest.mark.parametrize(("cls", "name", "member"), MEMBERS)
def test_member_is_on_the_page_of_its_class(cls: type, name: str, member: Any) -> None:
    options = options_of(cls)
    if name not in vars(cls):
        # Of a private base, which has no page.
        assert options.get("inherited-members") == "Watcher"
    if name in options.get("exclude-members", "").split(", "):
        others = {n: m for n, m in public_members(cls).items() if n != name}
        [alias] = [n for n, other in others.items() if other is member]
        assert name in (inspect.getdoc(member) or "") or is_factory(cls, alias)


def test_page_of_the_terminal_has_every_option(tmp_path: Path) -> None:
    text = (REFERENCE / "terminal.md").read_text(encoding="utf-8")
    for tool in ((), ("watch",), ("every",), ("supervise",)):
        process = subprocess.run(
            [sys.executable, "-m", "mood_event", *tool, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            # Not where the sources may be, which would be imported.
            cwd=tmp_path,
            check=True,
        )
        options = set(
            re.findall(r"^ +(?:-\w, )?(--[\w-]+)", process.stdout, re.MULTILINE)
        )
        assert "--help" in options
        assert sorted(option for option in options if option not in text) == []


# -- the docstrings ------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "name", "member"), MEMBERS)
def test_docstring_of_a_member_says_it_all(cls: type, name: str, member: Any) -> None:
    what = f"{cls.__name__}.{name}"
    if is_factory(cls, name):
        made = Watcher.kinds[name.rstrip("_")].__name__
        assert re.match(rf"Make an? `{made}` on this loop\.", member.__doc__), what
    elif is_property(member):
        doc = inspect.cleandoc(member.__doc__)
        assert ("(read only)" in doc) == (member.fset is None), what
        check_raises(what, sources(member), doc)
        check_libev(what, sources(member), doc)
    else:
        check_docstring(what, member, member.__doc__)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_docstring_of_a_class_says_it_all(cls: type) -> None:
    doc = vars(cls)["__doc__"]
    assert doc.splitlines()[0].endswith((".", "?")), cls
    init = cls.__init__  # type: ignore[misc]
    check_docstring(f"{cls.__name__}.__init__", init, init.__doc__)
    if cls in TYPES:
        # What the callback receives, by name.
        bits = re.findall(r"\bEV_\w+", doc)
        assert bits, cls
        assert all(hasattr(mood_event, bit) for bit in bits)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_of_a_function_says_it_all(name: str) -> None:
    function = getattr(mood_event, name)
    check_docstring(name, function, function.__doc__)


@pytest.mark.parametrize("value", AIO, ids=lambda value: value.__name__)
def test_docstring_of_aio_says_it_all(value: Any) -> None:
    if isinstance(value, type):
        assert (value.__doc__ or "").splitlines()[0].endswith(".")
        value = vars(value)["__init__"]
    check_docstring(value.__qualname__, value, value.__doc__)


@pytest.mark.parametrize("member", AIO_MEMBERS)
def test_docstring_of_a_member_of_aio_says_it_all(member: Any) -> None:
    check_docstring(member.__qualname__, member, member.__doc__)


def test_exception_has_a_docstring() -> None:
    assert mood_event.Error.__doc__


def test_each_constant_has_a_docstring() -> None:
    tree = ast.parse(inspect.getsource(constants))
    documented = []
    for statement, after in zip(tree.body, tree.body[1:]):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            documented.append(statement.target.id)
            assert isinstance(after.value.value, str)
    assert sorted(documented) == sorted(constants.__all__)


def test_names_in_backticks_exist() -> None:
    """`Loop.start` in a docstring is a link, or code that somebody has mistyped."""
    for cls, name, member in (parameter.values for parameter in MEMBERS):
        for owner, attribute in re.findall(r"`([A-Z]\w+)\.(\w+)", member.__doc__ or ""):
            found = getattr(mood_event, str(owner))
            is_there = hasattr(found, str(attribute)) or attribute == "debug"
            assert is_there, f"{cls}.{name}: {owner}.{attribute}"
