"""Name parameters of tests alike in every process, so that several can share a run."""

from __future__ import annotations

import re

from apsched.exceptions import _shown


def stable(value: object) -> str:
    """Return a short text for *value* without its place in memory, and for a set its size alone."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__} of {len(value)}"
    return re.sub(r"\.*[^ .]* at 0x[0-9a-f]+", "", str(value) if isinstance(value, str) else _shown(value))
