"""Keep jobs and runs in MongoDB (layer 7).

Works on a single server, where only the change of one document is atomic; a replica set adds safety and wake-ups.

Rule 1: a job and its open runs are one document, so whatever is decided about them is one atomic change of it.
Rule 2: a run that has ended is closed in that document first (that decides), written to the history second, and taken
out of the document third. Whatever a node leaves half-done that dies in between, any other one goes on with.
Rule 3: reading follows the same way: documents first, the history second. So no run is ever missed.
Rule 4: runs of jobs that follow others are put into their documents between the first two of these steps.

How claims, ends, lists, the history and nodes are kept is in `_mongodb/`, one file each.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar, TypeVarTuple

from apsched import _plugins
from apsched._bridge import Bridged
from apsched._mongodb_clients import MongoLink, MongoSource, told_in_words
from apsched.clock import SystemClock
from apsched.exceptions import ConflictingIdError, JobLookupError, JobStoreUnavailableError, TransientJobError
from apsched.job import Job
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores._codec import JobCodec, from_micros
from apsched.jobstores._mongodb import cancelling, claiming, finishing, history, listing, nodes
from apsched.jobstores._mongodb.deciding import Collections
from apsched.jobstores._mongodb.documents import Documents, is_storable
from apsched.jobstores._mongodb.schema import Names, prepare
from apsched.jobstores._unfit import Unfit
from apsched.jobstores.base import AfterCrash, Beat, Change, JobFilter, Merge, Node, RunFilter
from apsched.notifiers.base import Notifier
from apsched.run import Plan, Planner, Run
from apsched.serializers.base import Serializer

__all__ = ["ConflictingIdError", "JobLookupError", "MongoDBJobStore", "TransientJobError"]  # as in APScheduler 3

T = TypeVar("T")
Args = TypeVarTuple("Args")


class MongoDBJobStore(Bridged, BlockingMethods):
    """
    A job store in a MongoDB database, which other processes may share.

    A change of one job is one transaction. Jobs that are added together are seen one by one, and taken back if one of
    them is refused; `clear` and `prune` go in steps. A process that dies in between leaves what it has done by then.

    Args:
        database: The name of the database; None: the one that *url* names, else `apsched`.
        collection: The name of the collection of jobs; those of runs, nodes and signals are named after it.
        client: A `motor` client, a `pymongo.AsyncMongoClient`, a `pymongo.MongoClient` (works in threads), or a
            reference to one. It is not closed. A client that is awaited belongs to one event loop: use it in no other.
        pickle_protocol: The protocol where *serializer* is `"pickle"`; None: the highest.
        url: The address, `mongodb://user:password@host:port/?options`; by default the host and port among
            *connect_args*, or this machine.
        serializer: How jobs are written: `"json"`, `"cbor"`, `"pickle"`, or a serializer.
        allowed_modules: Modules in which callables of jobs must be defined; None: any.
        keep_runs: How many finished runs are kept of each job that does not name a number of its own, from 0 on.
        timeout: Seconds that a call to the server may take, more than 0.
        **connect_args: What a client takes: host, port, username, password, tls...

    Raises:
        MissingExtraError: pymongo is not installed.
        TypeError: An argument is of the wrong type, or two of them name the server.
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        database: str | None = None,
        collection: str = "jobs",
        client: Any = None,
        pickle_protocol: int | None = None,
        *,
        url: str | None = None,
        serializer: Serializer | str = "json",
        allowed_modules: Collection[str] | None = None,
        keep_runs: int = 100,
        timeout: float = 5.0,
        **connect_args: Any,
    ) -> None:
        super().__init__()
        for name, value in (("database", database), ("collection", collection)):
            if value is not None and (not isinstance(value, str) or not value):
                raise TypeError(f"{name} must be a text of at least 1 character, got {value!r}")
        if isinstance(keep_runs, bool) or not isinstance(keep_runs, int) or keep_runs < 0:
            raise ValueError(f"keep_runs must be a whole number from 0 on, got {keep_runs!r}")
        if serializer == "pickle" and pickle_protocol is not None:
            serializer = _plugins.find("serializer", "pickle")(pickle_protocol)
        self._documents = Documents(JobCodec(serializer, allowed_modules))
        self._notifier_args = {"client": client, "url": url, "timeout": timeout, **connect_args}
        self._source = MongoSource(url, client, timeout, connect_args)
        self._database = database or self._source.database or "apsched"
        self._names = Names.of(collection)
        self._keep_runs = keep_runs
        self._clock = SystemClock()
        self._crowd = claiming.Crowd()
        self._unfit = Unfit()
        self._at: Collections | None = None
        self._is_replicated = False

    def __repr__(self) -> str:
        return f"<MongoDBJobStore ({self._database}.{self._names.jobs} at {self._source})>"

    async def _open(self) -> None:
        with told_in_words(self._source):
            link = self._source.open()
            self._at = self._collections(link)
            self._is_replicated = await link.is_replicated()
            await prepare(link, self._database, self._names)

    async def _close(self) -> None:
        at, self._at = self._at, None
        if at is not None:
            await at.link.close()

    def _collections(self, link: MongoLink) -> Collections:
        return Collections(
            link=link,
            documents=self._documents,
            jobs=link.collection(self._database, self._names.jobs),
            runs=link.collection(self._database, self._names.runs),
            nodes=link.collection(self._database, self._names.nodes),
            tidy_jobs=link.collection(self._database, self._names.jobs, is_durable=False),
            tidy_runs=link.collection(self._database, self._names.runs, is_durable=False),
            keep_runs=self._keep_runs,
        )

    async def _call(self, func: Callable[[Collections, *Args], Awaitable[T]], *args: *Args) -> T:
        if self._at is None:
            raise JobStoreUnavailableError(f"{self!r} is not open; enter it first")
        with told_in_words(self._source):
            return await self._bridge.call(func, self._at, *args)

    # jobs

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        return await self._call(listing.add, jobs, merge) if jobs else []

    async def update(self, job_id: str, change: Change) -> Job:
        self._check_id(job_id)
        return await self._call(listing.update, job_id, change)

    async def remove(self, job_id: str) -> None:
        self._check_id(job_id)
        await self._call(listing.remove, job_id, self._clock.now())

    async def clear(self) -> None:
        await self._call(listing.clear, self._clock.now())

    async def get(self, job_id: str) -> Job | None:
        return await self._call(listing.get, job_id) if is_storable(job_id) else None

    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        if after is not None:
            self._check_id(after)
        if not all(is_storable(name) and is_storable(value) for name, value in where.tags.items()):
            return []
        return await self._call(listing.select, where, limit, after)

    # claims

    async def lanes(self) -> list[str]:
        return await self._call(listing.lanes)

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        moment = await self._call(claiming.next_moment, self._unfit, slots, owner)
        return None if moment is None else from_micros(moment)

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        return await self._call(claiming.take_due, self._crowd, self._unfit, now, slots, plan, owner)

    async def claimed(self, owner: str) -> list[Plan]:
        return await self._call(claiming.claimed, owner)

    async def add_run(self, run: Run) -> Run:
        self._check_id(run.job_id)
        return await self._call(listing.add_run, run)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        return await self._call(finishing.finish, runs, self._clock.now())

    async def report(self, runs: Sequence[Run]) -> None:
        await self._call(finishing.report, runs)

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        return await self._call(cancelling.ask, run, reason)

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        return await self._call(cancelling.asked, owner)

    # history

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        if not is_storable(where.job_id or "") or not is_storable(where.node or ""):
            return []
        return await self._call(history.runs, where, limit, after)

    async def prune(self, before: datetime, limit: int) -> int:
        return await self._call(history.prune, before, limit)

    # nodes

    async def join(self, node: str, lease: float, now: datetime) -> None:
        await self._call(nodes.join, node, lease, now)
        self._unfit.forget()

    async def leave(self, node: str) -> None:
        await self._call(nodes.leave, node)

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._pulse(node)

    @asynccontextmanager
    async def _pulse(self, node: str) -> AsyncGenerator[Beat]:
        async with self._source.open_apart() as link:
            at = self._collections(link)

            async def beat() -> bool:
                with told_in_words(self._source):
                    return await nodes.beat(at, node, self._clock.now())

            yield beat

    async def nodes(self) -> list[Node]:
        return await self._call(nodes.nodes)

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        return await self._call(nodes.reap, dead, after_crash, self._clock.now())

    def notifier(self) -> Notifier | None:
        if not self._is_replicated:
            return None
        made: Notifier = _plugins.find("notifier", "mongodb")(
            self._database, self._names.signals, **self._notifier_args
        )
        return made

    def _check_id(self, job_id: str) -> None:
        if not is_storable(job_id):
            raise JobLookupError(job_id)
