"""Give an executor its threads while it is entered (layer 7)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from apsched import _eventloop
from apsched._eventloop import EventLoop
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._threads import Threads
from apsched.executors.base import Call, Ending, Executor


class ThreadedExecutor(Executor):
    """The part that the executors with threads have in common; each entering makes new ones."""

    can_submit = True
    _threads: Threads | None = None

    @property
    def stuck(self) -> int:
        """How many calls were given up and have not ended yet."""
        return 0 if self._threads is None else self._threads.stuck

    async def __aenter__(self) -> Self:
        self._threads = self._make_threads(_eventloop.current())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._threads is not None:
            await self._threads.close()

    async def execute(self, call: Call) -> Any:
        return await self._open_threads().execute(call)

    def submit(self, call: Call, end: Ending) -> Callable[[], bool]:
        return self._open_threads().submit(call, end)

    def _open_threads(self) -> Threads:
        if self._threads is None:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered")
        return self._threads

    @abstractmethod
    def _make_threads(self, loop: EventLoop) -> Threads: ...
