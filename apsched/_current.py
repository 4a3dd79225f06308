"""Hold the run that the calling code belongs to (layer 0); apart, since worker processes should not import more."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

current: ContextVar[Any] = ContextVar("apsched_current_run", default=None)
"""A run; in a worker process the arguments of one, as far as they are sent there; None outside of runs."""
