"""Sphinx configuration."""

import importlib.metadata

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

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Cost", "params_style"), ("Source", "notes_style")]

# Kept empty so that the build needs no network; set it to link to the documentation of other projects.
intersphinx_mapping: dict[str, tuple[str, None]] = {}

html_theme = "furo"
html_title = f"apsched {release}"
