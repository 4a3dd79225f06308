"""Keep jobs and runs in Redis (layer 7).

Rule 1: a transaction is one Lua script. Where Python decides in between (`plan`, `merge`, `change`, `after_crash`) it
is two: the second one writes only what still stands as the first one read it. Every state of a job has a revision,
which any change of the job, and any open run that is added, replaces; a run under way is guarded by its claim.

How jobs, claims, ends, the history and nodes are kept is in `_redis/`, one file each; the scripts, and what the keys
hold, are in `_redis/scripts/`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar, TypeVarTuple

from apsched import _plugins
from apsched._bridge import Bridged
from apsched._redis_clients import Client, RedisClients
from apsched.exceptions import ConflictingIdError, JobLookupError, JobStoreUnavailableError, TransientJobError
from apsched.job import Job
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores._codec import JobCodec
from apsched.jobstores._redis import claiming, finishing, history, listing, nodes
from apsched.jobstores._redis.connection import Connection
from apsched.jobstores._redis.entering import enter
from apsched.jobstores._redis.rows import name_of
from apsched.jobstores._redis.server import Server
from apsched.jobstores._unfit import Unfit
from apsched.jobstores.base import AfterCrash, Beat, Change, JobFilter, Merge, Node, RunFilter
from apsched.notifiers.base import Notifier
from apsched.run import Plan, Planner, Run
from apsched.serializers.base import Serializer
from apsched.serializers.pickle import PickleSerializer

__all__ = ["ConflictingIdError", "JobLookupError", "RedisJobStore", "TransientJobError"]  # as in APScheduler 3

T = TypeVar("T")
Args = TypeVarTuple("Args")


class RedisJobStore(Bridged, BlockingMethods):
    """
    A job store in Redis 6.2 or later, or in what speaks its protocol and runs its scripts.

    All keys begin with one hash tag, `{jobs_key}:`, so a cluster will do; nodes share jobs if they name the same one.
    What Redis loses, for example at a power cut between two writes of its append-only file or at a failover, is lost
    here; a warning tells on entering if the server is set up to lose more than that.

    `clear` and `prune` go in steps of some hundred, and listings page by page: each step is a transaction.

    Args:
        db: The number of the database.
        jobs_key: What the keys begin with.
        run_times_key: Is taken because APScheduler 3 has it, and has no meaning.
        pickle_protocol: That of `serializer="pickle"`, and only allowed with it.
        url: `redis://user:password@host:6379/0`, `rediss://...` or `unix://...`, instead of *connect_args*.
        client: A `redis.asyncio.Redis` whose settings are taken over and which itself is left alone. For a cluster and
            for Sentinel: a function that makes a client, since a store needs several.
        serializer: Writes jobs, arguments and results; a serializer or the alias of one.
        allowed_modules: Modules in which, or below which, callables of jobs must be defined; None: any.
        keep_runs: How many finished runs are kept of each job that does not name a number of its own, from 0 on.
        timeout: Seconds that one call to the server may take, more than 0.
        **connect_args: Further arguments of `redis.asyncio.Redis`, such as *host*, *port* and *password*.

    Raises:
        MissingExtraError: The package redis, or that of the serializer, is not installed.
        ValueError: A value is out of range, or two contradict each other.
        TypeError: A value is of the wrong type.
        LookupError: There is no such serializer.
    """

    def __init__(
        self,
        db: int = 0,
        jobs_key: str = "apsched.jobs",
        run_times_key: str | None = None,
        pickle_protocol: int | None = None,
        *,
        url: str | None = None,
        client: Client | Callable[[], Client] | None = None,
        serializer: Serializer | str = "json",
        allowed_modules: Collection[str] | None = None,
        keep_runs: int = 100,
        timeout: float = 5.0,
        **connect_args: Any,
    ) -> None:
        super().__init__()
        if not isinstance(jobs_key, str) or not jobs_key or set(jobs_key) & {"{", "}"}:
            raise ValueError(f"jobs_key must be a text of at least 1 character without braces, got {jobs_key!r}")
        if isinstance(keep_runs, bool) or not isinstance(keep_runs, int) or keep_runs < 0:
            raise ValueError(f"keep_runs must be a whole number from 0 on, got {keep_runs!r}")
        if pickle_protocol is not None:
            if serializer != "pickle":
                raise ValueError(
                    f"pickle_protocol must be None unless serializer is 'pickle', got {pickle_protocol!r} "
                    f"and serializer={serializer!r}; leave it out"
                )
            serializer = PickleSerializer(protocol=pickle_protocol)
        if db:
            connect_args["db"] = db
        self._clients = RedisClients(url, client, timeout, connect_args)
        self._notifier_args = {"url": url, "client": client, "timeout": timeout, **connect_args}
        self._codec = JobCodec(serializer, allowed_modules)
        self._tag = f"{{{jobs_key}}}"
        self._keep_runs = keep_runs
        self._timeout = timeout
        self._unfit = Unfit()
        self._at: Server | None = None

    async def _open(self) -> None:
        connection = Connection(self._clients, self._tag, self._timeout)
        self._at = Server(connection, self._codec, self._keep_runs, self._clients.place, self._timeout, self._unfit)
        await enter(connection, self._clients.place, self._tag)

    async def _close(self) -> None:
        at, self._at = self._at, None
        if at is not None:
            await at.connection.close()

    async def _call(self, func: Callable[[Server, *Args], Awaitable[T]], *args: *Args) -> T:
        if self._at is None:
            raise JobStoreUnavailableError(f"the job store on Redis at {self._clients.place} is not open; enter it")
        return await self._bridge.call(func, self._at, *args)

    # jobs

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        return await self._call(listing.add, jobs, merge)

    async def update(self, job_id: str, change: Change) -> Job:
        return await self._call(listing.update, job_id, change)

    async def remove(self, job_id: str) -> None:
        await self._call(listing.remove, job_id)

    async def clear(self) -> None:
        await self._call(listing.clear)

    async def get(self, job_id: str) -> Job | None:
        return await self._call(listing.get, job_id)

    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        return await self._call(listing.select, where, limit, after)

    # claims

    async def lanes(self) -> list[str]:
        return await self._call(listing.lanes)

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        return await self._call(claiming.next_run_time, slots, owner)

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        return await self._call(claiming.take_due, now, slots, plan, owner)

    async def claimed(self, owner: str) -> list[Plan]:
        return await self._call(claiming.claimed, owner)

    async def add_run(self, run: Run) -> Run:
        return await self._call(listing.add_run, run)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        return await self._call(finishing.finish, runs)

    async def report(self, runs: Sequence[Run]) -> None:
        await self._call(finishing.report, runs)

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        return await self._call(finishing.ask_to_cancel, run, reason)

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        return await self._call(finishing.asked_to_cancel, owner)

    # history

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        return await self._call(history.runs, where, limit, after)

    async def prune(self, before: datetime, limit: int) -> int:
        return await self._call(history.prune, before, limit)

    # nodes

    async def join(self, node: str, lease: float, now: datetime) -> None:
        await self._call(nodes.join, node, lease, now)

    async def leave(self, node: str) -> None:
        await self._call(nodes.leave, node)

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._pulse(name_of(node))

    @asynccontextmanager
    async def _pulse(self, name: bytes) -> AsyncGenerator[Beat]:
        connection = Connection(self._clients, self._tag, self._timeout)

        async def beat() -> bool:
            return bool(await connection.run("beat", name))

        try:
            yield beat
        finally:
            await connection.close()

    async def nodes(self) -> list[Node]:
        return await self._call(nodes.nodes)

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        return await self._call(nodes.reap, dead, after_crash)

    def notifier(self) -> Notifier | None:
        if not self._clients.can_listen:
            return None
        made: Notifier = _plugins.find("notifier", "redis")(channel=f"{self._tag}:hints", **self._notifier_args)
        return made
