"""Hold the scripts that run in Redis (layer 7)."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import attrs


@attrs.frozen
class Script:
    """
    A Lua script.

    Attributes:
        name: That of its file.
        text: All of it, the part that it shares with the others first.
        digest: What Redis knows it by once it has run.
        is_repeatable: Whether running it twice does what running it once does, and answers the same.
    """

    name: str
    text: str
    digest: str
    is_repeatable: bool


REPEATABLE = frozenset(
    {
        "ask",
        "asked",
        "claimed",
        "enter",
        "fetch",
        "finish",
        "indexed",
        "join",
        "lanes",
        "leave",
        "next",
        "nodes",
        "reap",
        "release",
        "report",
        "running",
        "runs",
        "select",
    }
)


@cache
def script(name: str) -> Script:
    """Return the script of that name."""
    folder = files("apsched.jobstores._redis") / "scripts"
    text = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name))
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, digest, name in REPEATABLE)
