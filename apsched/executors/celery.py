"""Run calls in Celery workers (layer 7)."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from apsched import _refs
from apsched.exceptions import ExecutorRefusedError, MissingExtraError
from apsched.executors._arguments import whole_number
from apsched.executors.base import Call, Executor
from apsched.serializers.json import JSONSerializer

try:
    from apsched.executors._celery_link import CeleryLink, check_app
    from apsched.executors._celery_task import register
except ModuleNotFoundError as exc:
    raise MissingExtraError("CeleryExecutor", "celery") from exc

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["CeleryExecutor", "register"]


class CeleryExecutor(Executor):
    """
    Runs calls in the workers of a Celery app, which calls `register` and has Redis as broker and result backend.

    A callable goes by its module and name, arguments and results as JSON of the closed types; nothing is pickled. A
    result of another type comes back as `Unstorable`. A coroutine function runs in an asyncio loop made for it. An
    exception comes back with the traceback in the worker as a note. Workers do not see the context variables of the
    call.

    A call that is given up before a worker has entered it is never entered. One that is given up later is revoked,
    which ends its process in a prefork pool; other pools let it go on, and what comes of it is dropped. A worker
    process that ends fails its call with WorkerDiedError, after at most half a minute, and no call is entered twice.
    While Redis is away new calls are refused, and those under way wait for it.

    Args:
        app: The app, or where it is found, `"myapp.celery:app"`.
        queue: The queue to send to; by default what the routes of the app say.
        max_concurrent: Most calls to give to the workers at a time, from 1 on; what they cannot take waits there.
        patience: Seconds, more than 0, that Redis may be away until calls that are under way fail.
        serializer: Knows the types that are registered besides the closed ones; the workers need its like.

    Raises:
        TypeError: An argument is of a wrong kind.
        ValueError: A number is too small, or the result backend of the app is not Redis.
        LookupError: There is no such app.
    """

    def __init__(
        self,
        app: Celery | str,
        queue: str | None = None,
        max_concurrent: int = 100,
        *,
        patience: float = 30.0,
        serializer: JSONSerializer | None = None,
    ) -> None:
        self._app: Celery = check_app(_refs.resolve(app) if isinstance(app, str) else app)
        if isinstance(patience, bool) or not isinstance(patience, (int, float)) or not patience > 0:
            raise ValueError(f"patience must be a number of seconds above 0, got {patience!r}")
        self.capacity: int = whole_number("max_concurrent", max_concurrent)
        self._queue = queue
        self._patience = patience
        self._serializer = JSONSerializer() if serializer is None else serializer
        self._link: CeleryLink | None = None

    async def __aenter__(self) -> Self:
        self._link = CeleryLink(self._app, self._queue, self._patience, self._serializer)
        self._link.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._link is not None:
            await self._link.close()

    async def execute(self, call: Call) -> Any:
        if self._link is None:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered")
        return await self._link.execute(call)
