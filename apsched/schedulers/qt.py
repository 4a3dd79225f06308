"""A scheduler for Qt programs (layer 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from apsched.async_scheduler import AsyncScheduler
from apsched.executors.qt import QtLoop
from apsched.schedulers._framework import FrameworkScheduler


class QtScheduler(FrameworkScheduler[QtLoop]):
    """
    Runs plain functions in threads, and those of jobs with `executor="qt-gui"` in the thread of the user interface.

    It keeps time in a thread of its own, where coroutine functions are awaited, in an asyncio loop. It may be started
    before the application exists: jobs of the user interface wait for it.
    """

    _executors_of_framework: ClassVar[Mapping[str, str]] = {"qt-gui": "qt-gui"}

    def _make_core(self, **options: Any) -> AsyncScheduler:
        self._loop = QtLoop()
        return super()._make_core(**options)
