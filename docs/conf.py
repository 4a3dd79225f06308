"""Sphinx configuration."""

import importlib.metadata
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# An extension calls what Sphinx 10 will not have; neither is of this project.
warnings.filterwarnings("ignore", module="sphinx_autodoc_typehints")

project = "apsched"
author = "apsched contributors"
copyright = "2026, apsched contributors"  # noqa: A001  # the name that Sphinx reads
release = importlib.metadata.version("apsched")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "changes"]
nitpicky = True
# Names of the standard library, of dependencies, and of what is not public: nothing here describes them.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!apsched\.).*"),
    (r"py:.*", r"apsched\..*\b_.*"),
    (r"py:.*", r"apsched\.engine\..*"),
]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Cost", "params_style"), ("Source", "notes_style")]

# Kept empty so that the build needs no network; set it to link to the documentation of other projects.
intersphinx_mapping: dict[str, tuple[str, None]] = {}

html_theme = "furo"
html_title = f"apsched {release}"
html_static_path = ["_static"]
html_css_files = ["calm.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2f5a95", "color-brand-content": "#2f5a95"},
    "dark_css_variables": {"color-brand-primary": "#9dbef0", "color-brand-content": "#9dbef0"},
    "navigation_with_keys": True,
}


CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Cost|Source):$")


def as_restructured_text(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Turn what docstrings have of Markdown, code and tables, into what Sphinx reads."""
    lines[:] = [CODE.sub(r"``\1``", line) for line in lines]
    end = next((number for number, line in enumerate(lines) if SECTION.match(line)), len(lines))
    lines[:end] = [new for number in range(end) for new in converted(lines, number)]


def converted(lines: list[str], number: int) -> Iterator[str]:
    """Yield the lines that stand for one line of a docstring, which is before its first section."""
    line, before = lines[number], lines[number - 1] if number else ""
    if line.startswith("|"):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not before.startswith("|"):
            yield from (".. list-table::", "   :header-rows: 1", "")
        if not set(line) <= set("|- "):
            yield f"   * - {cells[0]}"
            yield from (f"     - {cell}" for cell in cells[1:])
    else:
        if line.startswith("    ") and not before and number and not inside_code(lines, number):
            yield from ("::", "")
        yield line


def inside_code(lines: list[str], number: int) -> bool:
    """Whether an indented line only goes on with a block of code."""
    earlier = next((line for line in reversed(lines[:number]) if line), "")
    return earlier.startswith("    ")


def list_fragments(app: Any, docname: str, source: list[str]) -> None:
    """Show what the next release brings, one file a change in docs/changes, on the page of changes."""
    if docname == "changelog":
        lines = []
        for category in ("security", "removed", "deprecated", "changed", "added", "fixed"):
            files = sorted(Path(app.srcdir, "changes").glob(f"*.{category}.md"))
            lines += [f"### {category.capitalize()}", ""] if files else []
            lines += ["* " + file.read_text(encoding="utf-8").strip().replace("\n", "\n  ") for file in files]
            lines.append("")
        source[0] = source[0].replace("<!-- fragments -->", "\n".join(lines))


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", as_restructured_text, priority=100)  # before napoleon
    app.connect("source-read", list_fragments)
