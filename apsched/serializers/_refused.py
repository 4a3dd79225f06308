"""Carry what cannot be stored, and where it stands, to where that is told (layer 5)."""

from __future__ import annotations

import re

from apsched.exceptions import UnstorableError

_TOP = re.compile(r"\['([^\W\d]\w*)'\]")


class Refused(Exception):  # noqa: N818  # not seen outside of this folder
    """
    A value that cannot be stored, on its way up from the depth in which it was found.

    Attributes:
        steps: The way to it, the last step first; each container that it passes adds its own.
    """

    def __init__(self, value: object, problem: str) -> None:
        super().__init__(problem)
        self.value = value
        self.problem = problem
        self.steps: list[str] = []

    def error(self) -> UnstorableError:
        """Return what users are to see."""
        steps = self.steps[::-1]
        path = "".join(steps if len(steps) <= 10 else [*steps[:9], "..."]) or "value"
        if top := _TOP.match(path):
            path = top[1] + path[top.end() :]
        elif path != "value":
            path = "value" + path
        return UnstorableError(path, self.value, self.problem)
