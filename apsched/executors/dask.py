"""Run calls on a Dask cluster (layer 7)."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from apsched.exceptions import ExecutorRefusedError, MissingExtraError
from apsched.executors._arguments import whole_number
from apsched.executors.base import Call, Executor

try:
    from apsched.executors._dask_cluster import DaskCluster
except ModuleNotFoundError as exc:
    raise MissingExtraError("DaskExecutor", "dask") from exc

__all__ = ["DaskExecutor"]


class DaskExecutor(Executor):
    """
    Runs calls on the workers of a Dask cluster, which must have the same version of this package.

    Callables, arguments and results are pickled by cloudpickle, so whoever can reach the cluster can run anything there
    and here. A coroutine function runs in an asyncio loop made for it, in a thread of its worker. An exception comes
    back with the traceback on the worker as a note. Workers do not see the context variables of the call.

    A worker asks before it enters a call. A call that is given up before is never entered. One that is given up later
    is cancelled, within half a second, if it is a coroutine function; a plain function goes on in its thread, and what
    comes of it is dropped. A worker that ends fails what it had entered with WorkerDiedError; Dask does not run that
    again. So does a connection that breaks; what was not entered is refused, and so are new calls until the connection,
    which is tried once a second, is there again. That holds for a cluster that is away at the start, too.

    Args:
        address: That of the scheduler of the cluster, `"tcp://host:8786"`.
        max_concurrent: Most calls to give to the cluster at a time, from 1 on; those beyond its threads wait there.
        client_kwargs: Further arguments of `distributed.Client`, such as `security`.

    Raises:
        TypeError: An argument is of a wrong kind.
        ValueError: *max_concurrent* is less than 1.
    """

    def __init__(self, address: str, max_concurrent: int = 100, client_kwargs: Mapping[str, Any] | None = None) -> None:
        if not isinstance(address, str):
            raise TypeError(f"address must be a text such as 'tcp://host:8786', got {address!r}")
        if client_kwargs is not None and not isinstance(client_kwargs, Mapping):
            raise TypeError(f"client_kwargs must be a mapping or None, got {client_kwargs!r}")
        self.capacity: int = whole_number("max_concurrent", max_concurrent)
        self._address = address
        self._options = dict(client_kwargs or {})
        self._cluster: DaskCluster | None = None

    async def __aenter__(self) -> Self:
        self._cluster = DaskCluster(self._address, self._options)
        await self._cluster.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            await self._cluster.close()

    async def execute(self, call: Call) -> Any:
        if self._cluster is None:
            raise ExecutorRefusedError("the executor takes no calls: it was not entered")
        return await self._cluster.execute(call)
