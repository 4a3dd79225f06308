"""See which threads there are."""

from __future__ import annotations

import threading


def threads() -> set[threading.Thread]:
    """Return all threads but those that trio keeps idle for some seconds after an earlier test."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}
