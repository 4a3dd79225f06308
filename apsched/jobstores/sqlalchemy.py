"""Keep jobs and runs in a SQL database, by SQLAlchemy (layer 7)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from operator import attrgetter
from types import TracebackType
from typing import Any, Self, TypeVar

from apsched import _plugins, _refs
from apsched.clock import SystemClock
from apsched.exceptions import JobLookupError, JobStoreUnavailableError, MissingExtraError

try:
    from sqlalchemy import URL, Connection, Engine, MetaData, inspect
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
except ImportError as exc:
    raise MissingExtraError("SQLAlchemyJobStore", "sqlite") from exc

from apsched.job import Job
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores._codec import JobCodec, from_micros, to_micros
from apsched.jobstores._sql.among import chunks
from apsched.jobstores._sql.cancellations import Cancellations
from apsched.jobstores._sql.claims import Claims, Look
from apsched.jobstores._sql.engines import (
    AnyEngine,
    check_database,
    hide_password,
    make_engine,
    make_sibling,
    parse_url,
    sync_engine_of,
)
from apsched.jobstores._sql.followers import Followers
from apsched.jobstores._sql.history import History
from apsched.jobstores._sql.jobs import Jobs
from apsched.jobstores._sql.migrate import check_tables, find_revision, migrate
from apsched.jobstores._sql.nodes import Nodes
from apsched.jobstores._sql.pruning import Pruning, Rule
from apsched.jobstores._sql.rows import Values, is_storable, job_values
from apsched.jobstores._sql.runs import Runs
from apsched.jobstores._sql.schema import REVISION, Tables
from apsched.jobstores._sql.transactions import Transactions, Work, make_transactions
from apsched.jobstores._unfit import Unfit
from apsched.jobstores.base import AfterCrash, Beat, Change, JobFilter, Merge, Node, RunFilter
from apsched.notifiers.base import Notifier
from apsched.run import Plan, Planner, Run
from apsched.serializers.base import Serializer
from apsched.serializers.pickle import PickleSerializer

__all__ = ["SQLAlchemyJobStore"]

T = TypeVar("T")

MANY = 10_000  # rows that a transaction may touch of which nobody knows how many there are

clock: SystemClock = SystemClock()


class SQLAlchemyJobStore(BlockingMethods):
    """
    Keeps jobs and runs in SQLite, PostgreSQL, MySQL (from 8.0.14 on) or MariaDB (from 10.6 on).

    Any number of schedulers on any number of machines may share a database; on SQLite, those of one machine. The tables
    are made, and brought up to date, when a store is entered.

    Args:
        url: `sqlite:///jobs.db`, `postgresql://user:password@host/database`, `mysql://...` or `mariadb://...`. Where it
            names no driver, we choose: asyncpg (psycopg if only that is installed) or asyncmy. Drivers that know no
            asyncio, such as psycopg2 and pymysql, work in threads.
        engine: An engine of yours instead, sync or async, or a reference `package.module:name`. It is not closed.
            Whatever its isolation level, the store works at READ COMMITTED.
        tablename: The table of jobs. The others are called after it: with `apsched_jobs` go `apsched_runs`,
            `apsched_nodes`, `apsched_tags`, `apsched_cancellations` and `apsched_schema`, with any other name x go
            `x_runs` and so on.
        metadata: Where the tables are entered, for migrations of yours.
        pickle_protocol: Version of the pickles, with `serializer="pickle"`.
        tableschema: The schema of the tables, which must exist; None for the default one.
        engine_options: Further arguments of `sqlalchemy.create_engine`, with *url*.
        serializer: How definitions, arguments and results are written: `"json"`, `"cbor"`, `"pickle"`, or a serializer.
        allowed_modules: Names of modules: only callables defined in one of them, or below, can be stored and run. None
            for any.
        create_tables: Whether to make tables, or to bring them up to date. If not, they must be there.
        keep_runs: How many finished runs are kept at least of a job that does not name a number, from 0 on.
        timeout: Seconds within which the server must have answered, more than 0; more for what touches many rows.

    Raises:
        ValueError: An argument is out of range, neither *url* nor *engine* is given or both are, or the URL is that of
            a database in memory.
        MissingExtraError: The driver is not installed; comes when the store is entered.
        JobStoreVersionError: The tables are of another version, or not ours; comes when the store is entered.
        JobStoreUnavailableError: The server cannot be reached, refuses, or does not answer; comes from any method.
    """

    def __init__(
        self,
        url: str | URL | None = None,
        engine: AnyEngine | str | None = None,
        tablename: str = "apsched_jobs",
        metadata: MetaData | str | None = None,
        pickle_protocol: int | None = None,
        tableschema: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
        *,
        serializer: Serializer | str = "json",
        allowed_modules: Collection[str] | None = None,
        create_tables: bool = True,
        keep_runs: int = 100,
        timeout: float = 5.0,
    ) -> None:
        if (url is None) == (engine is None):
            raise ValueError(
                f"SQLAlchemyJobStore must have either url or engine, got {'neither' if url is None else 'both'}"
            )
        if not isinstance(tablename, str) or not tablename:
            raise ValueError(f"tablename must be the name of a table, got {tablename!r}")
        if isinstance(keep_runs, bool) or not isinstance(keep_runs, int) or keep_runs < 0:
            raise ValueError(f"keep_runs must be a whole number from 0 on, got {keep_runs!r}")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds, more than 0, got {timeout!r}")
        if serializer == "pickle" and pickle_protocol is not None:
            serializer = PickleSerializer(pickle_protocol)
        self._given_engine = _engine_of(engine)
        self._url = parse_url(url) if url is not None else sync_engine_of(self._given_engine).url
        self._engine_options = dict(engine_options or {})
        self._creates_tables = create_tables
        self._keep_runs = keep_runs
        self._timeout = timeout
        self._tables = Tables(
            tablename, tableschema, _refs.resolve(metadata) if isinstance(metadata, str) else metadata
        )
        self._codec = JobCodec(serializer, allowed_modules)
        self._jobs = Jobs(self._tables, self._codec)
        self._followers = Followers(self._tables, self._codec, self._jobs)
        self._cancellations = Cancellations(self._tables, self._codec)
        self._runs = Runs(self._tables, self._codec, self._jobs, self._followers, self._cancellations)
        self._unfit = Unfit()
        self._claims = Claims(self._tables, self._codec, self._jobs, self._runs, self._unfit)
        self._nodes = Nodes(self._tables, self._codec, self._jobs, self._cancellations, self._followers)
        self._history = History(self._tables, self._codec, self._cancellations)
        self._pruning = Pruning(self._tables)
        self._opened: Transactions | None = None
        self._pruned_to: tuple[Rule, str] | None = None  # where the last call of prune has stopped

    def __repr__(self) -> str:
        return f"<SQLAlchemyJobStore (url={hide_password(self._url)} tablename={self._tables.names.jobs})>"

    async def __aenter__(self) -> Self:
        transactions = self._make_transactions(self._given_engine)
        await transactions.__aenter__()
        try:
            await self._prepare(transactions)
        except BaseException:
            await transactions.__aexit__(None, None, None)
            raise
        self._opened = transactions
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.__aexit__(exc_type, exc, traceback)

    def notifier(self) -> Notifier | None:
        if self._url.get_driver_name() != "asyncpg" and not (
            self._url.get_backend_name() == "postgresql" and self._given_engine is None and find_spec("asyncpg")
        ):
            return None
        kind = _plugins.find("notifier", "postgresql")
        schema = f"{self._tables.schema}." if self._tables.schema else ""
        notifier: Notifier = kind(
            self._url.set(drivername="postgresql").render_as_string(hide_password=False),
            channel=f"{schema}{self._tables.names.jobs}",
            timeout=self._timeout,
        )
        return notifier

    # jobs

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        rows = self._rows_of(jobs)
        return await self._run(partial(self._jobs.add, jobs=jobs, rows=rows, merge=merge), len(jobs)) if jobs else []

    async def add_in(self, connection: Any, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        rows = self._rows_of(jobs)
        add = partial(self._add_checked, jobs=jobs, rows=rows, merge=merge)
        if isinstance(connection, AsyncConnection):
            return await connection.run_sync(add)
        if isinstance(connection, Connection):
            return add(connection)
        raise TypeError(f"connection must be a Connection or an AsyncConnection of SQLAlchemy, got {connection!r}")

    def _add_checked(
        self, connection: Connection, jobs: Sequence[Job], rows: Sequence[Values], merge: Merge | None
    ) -> list[Job]:
        name = self._tables.names.jobs
        if not inspect(connection).has_table(name, self._tables.schema):
            place = hide_password(connection.engine.url)
            raise ValueError(
                f"connection must lead to the database of this job store, got one to {place}, which has no table "
                f"{name!r}; connect to {hide_password(self._url)}"
            )
        return self._jobs.add(connection, jobs, rows, merge)

    def _rows_of(self, jobs: Sequence[Job]) -> list[Values]:
        return [job_values(job, self._codec) for job in jobs]

    async def update(self, job_id: str, change: Change) -> Job:
        self._check_id(job_id)
        return await self._run(partial(self._jobs.update, job_id=job_id, change=change))

    async def remove(self, job_id: str) -> None:
        self._check_id(job_id)
        await self._run(partial(self._jobs.remove, job_id=job_id, now=_now()))

    async def clear(self) -> None:
        await self._run(partial(self._jobs.clear, now=_now()), rows=MANY)

    async def get(self, job_id: str) -> Job | None:
        return await self._query(partial(self._jobs.get, job_id=job_id)) if is_storable(job_id) else None

    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        if after is not None:
            self._check_id(after)
        if not all(is_storable(name) and is_storable(value) for name, value in where.tags.items()):
            return []
        return await self._query(partial(self._jobs.select, where=where, limit=limit, after=after))

    # claims

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        moment = await self._query(partial(self._claims.next_due, slots=slots, owner=owner))
        return None if moment is None else from_micros(moment)

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        look = Look(now, slots, plan, owner)
        return await self._run(partial(self._claims.take_due, look=look))

    async def lanes(self) -> list[str]:
        return await self._query(self._jobs.lanes)

    async def claimed(self, owner: str) -> list[Plan]:
        return await self._query(partial(self._claims.claimed, owner=owner))

    async def add_run(self, run: Run) -> Run:
        self._check_id(run.job_id)
        return await self._run(partial(self._runs.add, run=run))

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        if not runs:
            return []
        ordered = sorted(runs, key=attrgetter("job_id"))  # so that no two of these transactions wait for each other
        columns = self._runs.end_columns(ordered)
        if self._url.get_backend_name() == "postgresql" and all(run.outcome.is_final for run in runs):
            at_once = partial(self._runs.finish_at_once, runs=ordered, columns=columns)
            stored = await self._query(at_once, len(runs))  # it may be repeated even if it was carried out
            if stored is not None:
                return stored
        return await self._run(partial(self._runs.finish, runs=ordered, columns=columns, now=_now()), len(runs))

    async def report(self, runs: Sequence[Run]) -> None:
        if not runs:
            return
        work = partial(self._runs.report, runs=sorted(runs, key=attrgetter("job_id")))
        if self._url.get_backend_name() == "sqlite":  # it is told row by row
            await self._run(work, len(runs))
        else:
            await self._query(work, len(runs))

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        return is_storable(run.job_id) and await self._run(partial(self._cancellations.ask, run=run, reason=reason))

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        return await self._query(partial(self._cancellations.asked_of, node=owner))

    # history

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        if not is_storable(where.job_id or "") or not is_storable(where.node or ""):
            return []
        return await self._query(partial(self._history.runs, where=where, limit=limit, after=after))

    async def prune(self, before: datetime, limit: int) -> int:
        rules = await self._query(partial(self._rules, before=to_micros(before)))
        after = ""
        if self._pruned_to is not None and self._pruned_to[0] in rules:
            last, after = self._pruned_to
            rules = rules[rules.index(last) :]
        forgotten = 0
        for rule in rules:
            place: str | None = after
            while place is not None:
                old, following = await self._query(partial(self._pruning.look, rule=rule, after=place))
                for some in chunks(old):
                    forget = partial(self._pruning.forget, jobs=some, rule=rule, limit=limit - forgotten)
                    forgotten += await self._run(forget, MANY)
                    if forgotten >= limit:
                        self._pruned_to = (rule, place)
                        return forgotten
                place = following
            after = ""
        self._pruned_to = None
        await self._run(self._jobs.forget_retired)
        return forgotten

    def _rules(self, connection: Connection, before: int) -> list[Rule]:
        rules = [Rule(keep, None) for keep in sorted(self._pruning.own_numbers(connection))]
        if self._pruning.has_older(connection, before):
            rules.append(Rule(self._keep_runs, before))
        return rules

    # nodes

    async def join(self, node: str, lease: float, now: datetime) -> None:
        await self._run(partial(self._nodes.join, node=node, lease=lease, now=to_micros(now)), MANY)
        self._unfit.forget()

    async def leave(self, node: str) -> None:
        await self._run(partial(self._nodes.leave, node=node))

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._pulse(node)

    @asynccontextmanager
    async def _pulse(self, node: str) -> AsyncGenerator[Beat]:
        given = None if self._given_engine is None else make_sibling(self._given_engine)
        async with self._make_transactions(given, is_ours=True) as transactions:

            async def beat() -> bool:
                return await transactions.query(partial(self._nodes.beat, node=node, now=_now()))

            yield beat

    async def nodes(self) -> list[Node]:
        return await self._query(self._nodes.nodes)

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        return await self._run(partial(self._nodes.reap, dead=dead, after_crash=after_crash, now=_now()))

    # transactions

    def _make_transactions(self, engine: AnyEngine | None, *, is_ours: bool = False) -> Transactions:
        if engine is None:
            engine, is_ours = make_engine(self._url, self._engine_options, self._timeout), True
        return make_transactions(engine, is_ours=is_ours, timeout=self._timeout)

    async def _prepare(self, transactions: Transactions) -> None:
        if not self._creates_tables:
            await transactions.query(partial(check_tables, tables=self._tables))
        elif await transactions.query(partial(find_revision, tables=self._tables)) != REVISION:
            await transactions.run(partial(migrate, tables=self._tables), patience=60 / self._timeout)

    async def _run(self, work: Work[T], rows: int = 1) -> T:
        return await self._transactions.run(work, patience=1 + rows / 1000)

    async def _query(self, work: Work[T], rows: int = 1) -> T:
        return await self._transactions.query(work, patience=1 + rows / 1000)

    @property
    def _transactions(self) -> Transactions:
        if self._opened is None:
            raise JobStoreUnavailableError(f"{self!r} is not open; enter it, or let a scheduler do so")
        return self._opened

    def _check_id(self, job_id: str) -> None:
        if not is_storable(job_id):
            raise JobLookupError(job_id)


def _now() -> int:
    return to_micros(clock.now())


def _engine_of(engine: AnyEngine | str | None) -> Any:
    """Return *engine*, or what it refers to, if that is one of a database that can be shared."""
    found = _refs.resolve(engine) if isinstance(engine, str) else engine
    if found is not None:
        if not isinstance(found, (Engine, AsyncEngine)):
            raise TypeError(f"engine must be an engine of SQLAlchemy, sync or async, got {found!r}")
        check_database(sync_engine_of(found).url)
    return found
