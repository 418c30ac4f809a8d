"""How Sphinx makes the documentation: `./dev docs`.

Read by Sphinx, and imported by nothing. The reference comes from the docstrings of the
installed package.
"""

from __future__ import annotations

import collections.abc
import os
import re
import types
import typing
from typing import Any

import mood_event
from mood_event import _dispatch, loop, watchers

project = "mood_event"
author = "the mood_event authors"
copyright = author
version = release = mood_event.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
]

# Without a network, names of the standard library are no links, and that is all.
intersphinx_mapping: dict[str, Any] = {}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# Docstrings have single backticks around names; most of them are names of ours.
default_role = "py:obj"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_class_signature = "separated"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"
napoleon_use_rtype = False
napoleon_use_ivar = True

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
for module in (_dispatch, loop, watchers):
    for source in (typing, types, collections.abc):
        for name in source.__all__:
            module.__dict__.setdefault(name, getattr(source, name))

_LIBEV = re.compile(r"^libev: (.*)$")


def _field_of_libev(app: Any, what: str, name: str, obj: Any, options: Any, lines: Any):
    """Make the last line of a docstring, the function of libev behind it, a field."""
    for index, line in enumerate(lines):
        match = _LIBEV.match(line)
        if match:
            functions = ", ".join(
                f"``{function}``" for function in match[1].split(", ")
            )
            lines[index] = f":libev: {functions}"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _field_of_libev)
    os.environ.setdefault("PYTHONWARNINGS", "default")
