"""Run every call right in the event loop, to follow it in a debugger (layer 7)."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from apsched.exceptions import ExecutorRefusedError
from apsched.executors._calling import is_awaitable
from apsched.executors.base import Call, Executor


class DebugExecutor(Executor):
    """
    Calls plain functions in the thread of the event loop, which stands still meanwhile; awaits coroutine functions.

    For debuggers and tests. Its capacity is 1.
    """

    capacity = 1

    def __init__(self) -> None:
        self._is_entered = False

    async def __aenter__(self) -> Self:
        self._is_entered = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_entered = False

    async def execute(self, call: Call) -> Any:
        if not self._is_entered:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered, or left")
        call.started()
        value = call.func(*call.args, **call.kwargs)
        return await value if is_awaitable(value) else value
