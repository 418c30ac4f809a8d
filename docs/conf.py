"""How Sphinx makes the documentation: `./dev docs`.

Read by Sphinx, and imported by nothing. The reference comes from the docstrings of the
installed package.
"""

from __future__ import annotations

import collections.abc
import inspect
import re
import types
import typing
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

import mood_event
from mood_event import Watcher, _dispatch, aio, constants, loop, watchers

project = "mood_event"
author = "the mood_event authors"
copyright = author
version = release = mood_event.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# Docstrings have single backticks around names; most of them are names of ours.
default_role = "py:obj"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autoclass_content = "both"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
add_module_names = False
toc_object_entries_show_parents = "hide"

doctest_global_setup = "from mood_event import *\nimport mood_event"

html_theme = "furo"
html_title = f"mood_event {version}"
html_static_path = ["static"]
html_css_files = ["mood_event.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#8a3d12",
        "color-brand-content": "#8a3d12",
    },
    "dark_css_variables": {
        "color-brand-primary": "#f0a070",
        "color-brand-content": "#f0a070",
    },
}

# The package's modules leave these out at run time: they take long to import.
for module in (_dispatch, aio, loop, watchers):
    for source in (typing, types, collections.abc):
        for name in source.__all__:
            module.__dict__.setdefault(name, getattr(source, name))
# A type variable says nothing to a reader.
_of_fatal = inspect.unwrap(mood_event.fatal).__annotations__
_of_fatal["callback"] = _of_fatal["return"] = "Callable"
_of_run = aio.run.__annotations__
_of_run.update(main="Coroutine", **{"return": "Any"})

# Nor do overloads, which are for type checkers.
for module in (_dispatch, aio, loop, watchers):
    analyzer = ModuleAnalyzer.for_module(module.__name__)
    analyzer.analyze()
    analyzer.overloads.clear()

# -- docstrings ------------------------------------------------------------------------

_GOOGLE = Config(napoleon_use_rtype=False)
_LIBEV = re.compile(r"^libev: (.*)$")
_CONSTANT = re.compile(r"(?<![`\w*])EV[A-Z]*_[A-Z]+(?![`\w*])")
_CALL = re.compile(r"(?<=alled as )(\w+\([^)]*\))")
_NAME = re.compile(r"(?<!`)`(\w+)`(?!`)")
_OF_CONSTANTS = ModuleAnalyzer.for_module(constants.__name__).find_attr_docs()


def _is_factory(name: str) -> bool:
    """Whether this is one of the loop's methods that make a watcher."""
    owner, _, kind = name.rpartition(".")
    return owner.endswith(".Loop") and kind.rstrip("_") in Watcher.kinds


def _inherited(cls: Any) -> list[str]:
    """The names of what a watcher type has from `Watcher` alone."""
    if not isinstance(cls, type) or not issubclass(cls, Watcher) or cls is Watcher:
        return []
    return [
        name
        for name, member in vars(Watcher).items()
        if name[0] != "_"
        and isinstance(member, (types.FunctionType, property))
        and getattr(cls, name) is member
    ]


def _present_line(line: str, inherited: list[str]) -> str:
    """A line of a docstring as reST, with links where there can be some."""
    match = _LIBEV.match(line)
    if match:
        return ":libev: " + ", ".join(f"``{name}``" for name in match[1].split(", "))
    if line.lstrip().startswith((">>>", "...")):
        return line
    line = _CALL.sub(r"``\1``", _CONSTANT.sub(r"`\g<0>`", line))
    return _NAME.sub(
        lambda name: (
            name[0].replace("`", "`~Watcher.", 1) if name[1] in inherited else name[0]
        ),
        line,
    )


def _present(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Make reST of a docstring. Docstrings are for editors and pydoc, too."""
    if what == "data":
        lines[:] = _OF_CONSTANTS["", name.rpartition(".")[2]]
    if _is_factory(name):
        # What the class says is not to be said twice.
        lines[:] = lines[: lines.index("Args:") if "Args:" in lines else None]
    inherited = _inherited(getattr(mood_event, name.split(".")[1]))
    presented = [
        _present_line(line, inherited)
        for line in lines
        if line != "Configure the watcher."
    ]
    if what == "class" and "Args:" in lines and inherited:
        # Of a class's two docstrings, this is the one of __init__.
        links = ", ".join(f"`~Watcher.{name}`" for name in inherited)
        presented.append(f":inherited: {links}")
    # As a property, it would take what is before a colon for a type.
    kind = "method" if what in ("property", "attribute", "data") else what
    lines[:] = GoogleDocstring(presented, _GOOGLE, app, kind, name, obj).lines()


class _Links(SphinxPostTransform):
    """Makes links of the names of ours that pages have in code, such as `Loop.start`.

    Names without a dot that begin with a small letter are links with `()` alone.
    """

    # After the names that are links already have become some.
    default_priority = 20
    _name = re.compile(r"([A-Z][\w.]*|\w+(?=\()|\w+\.\w+)(\(\))?")

    def run(self, **kwargs: Any) -> None:
        """Called by Sphinx, once for each page."""
        objects = self.env.get_domain("py").objects  # type: ignore[attr-defined]
        for literal in list(self.document.findall(nodes.literal)):
            match = self._name.fullmatch(literal.astext())
            target = match and objects.get(f"{project}.{match[1]}")
            if not target or isinstance(literal.parent, nodes.reference):
                continue
            builder = self.app.builder
            link = make_refnode(
                builder,
                self.env.docname,
                target.docname,
                target.node_id,
                literal.deepcopy(),
            )
            literal.replace_self(link)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _present)
    app.add_post_transform(_Links)
