"""Tell *not given* from None (layer 0)."""

from __future__ import annotations

import enum
from typing import Final


class Undefined(enum.Enum):
    """The type of `undefined`."""

    undefined = enum.auto()

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


undefined: Final = Undefined.undefined
"""Default of parameters that were not given, where None means something."""
