"""See what becomes of calls that an engine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from apsched.exceptions import ExecutorRefusedError
from apsched.executors.base import Executor
from apsched.testing import _callables as these
from apsched.testing.contract.executor import make_call
from tests.engines.calls import PATIENCE


class Outcomes:
    """Calls under way in tasks of their own, and the errors that they end with."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.errors: list[Exception] = []

    async def execute(self, func: Callable[..., Any], path: Path) -> None:
        try:
            await self._executor.execute(make_call(func, str(path)))
        except Exception as exc:
            self.errors.append(exc)


async def until_taken(executor: Executor) -> None:
    """Return when a call is taken again."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                assert await executor.execute(make_call(these.add_one, 1)) == 2
            except ExecutorRefusedError:
                await anyio.sleep(0.1)
            else:
                return
