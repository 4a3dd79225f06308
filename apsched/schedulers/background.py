"""A scheduler beside the rest of the program (layer 9)."""

from __future__ import annotations

from apsched.schedulers.base import BaseScheduler


class BackgroundScheduler(BaseScheduler):
    """Runs in a thread of its own; `start` returns at once. The thread ends with the program unless `daemon=False`."""
