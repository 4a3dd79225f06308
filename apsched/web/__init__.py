"""
Show and operate a scheduler in a browser (layer 10).

Raises MissingExtraError where what it needs is not installed.
"""

from __future__ import annotations

from importlib.util import find_spec

from apsched.exceptions import MissingExtraError

if not all(map(find_spec, ("jinja2", "starlette"))):
    raise MissingExtraError("the dashboard", "dashboard")
