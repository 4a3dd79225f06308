"""Name parameters of tests alike in every process, so that several can share a run."""

from __future__ import annotations

import re

from apsched.exceptions import _shown


def stable(value: object) -> str:
    """Return a short text for *value* without places in memory and without what is in sets, whose order varies."""
    text = value if isinstance(value, str) else _shown(value)
    return re.sub(r"\{[^{}:]+\}", "{...}", re.sub(r"\.*[^ .]* at 0x[0-9a-f]+", "", text))
