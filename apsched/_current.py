"""Hold the run and job that the calling code belongs to (layer 0); apart, so that worker processes import no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

current: ContextVar[Any] = ContextVar("apsched_current_run", default=None)
"""A run; in a worker process the arguments of one, as far as they are sent there; None outside of runs."""

job_of_current: ContextVar[Any] = ContextVar("apsched_current_job", default=None)
"""Its job; None in worker processes, and outside of runs."""

reporting = threading.Lock()
"""Held by whoever changes what a run tells of itself, which several threads may do."""

on_progress: Callable[[float | None, str | None], object] | None = None
"""In a worker process: gets what the run there tells of its progress."""
