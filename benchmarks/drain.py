"""Measure how fast one node drains a store in which very many jobs are due.

No-op jobs with a date trigger that has passed are in the store when the clock starts; it stops when the last callable
has returned and, for this project, every outcome is stored. Every server keeps what it commits (fsync is on). The
floor writes the same rows to the same tables with bare asyncpg: claim 500 by SKIP LOCKED, insert their runs and retire
the jobs, store the outcomes and delete the jobs. PgQueuer and procrastinate drain no-op tasks. procrastinate and
4.0.0a6 get fewer, since a job of theirs costs milliseconds.

    python benchmarks/drain.py [--quick] [--rounds 3] [--ours] [--json FILE]
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from typing import Any

import _peers
from _peers import BARE, OURS, PGQUEUER, PROCRASTINATE, V3, V4
from _servers import SERVERS, Databases, Statements, make_store

PASSED = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 500
KEYS = ("us", "add_us", "statements", "transactions")

ended = 0  # calls of the no-op jobs


def noop() -> None:
    """Be a job in a thread."""
    global ended  # noqa: PLW0603  # stores find callables by name, so the count is a module's
    ended += 1


async def anoop() -> None:
    """Be a job in the event loop."""
    noop()


def result(jobs: int, seconds: float, **more: Any) -> dict[str, Any]:
    """Return what was measured."""
    if ended != jobs:
        raise RuntimeError(f"{ended} calls of {jobs} jobs")
    return {"python": platform.python_version(), "us": seconds / jobs * 1e6, **more}


async def until(is_over: Callable[[], Awaitable[bool]]) -> None:
    """Return when *is_over* says so, without waking the loop often before."""
    while not await is_over():  # noqa: ASYNC110  # what is measured is not to wake anybody
        await asyncio.sleep(0.01)


# this project


def ours(server: str, kind: str, jobs: int, url: str) -> dict[str, Any]:
    """Measure AsyncScheduler."""
    from apsched.async_scheduler import AsyncScheduler

    func = anoop if kind == "coroutines" else noop

    statements = Statements(server)

    async def main() -> dict[str, Any]:
        stores = {"default": make_store(server, url)}
        async with AsyncScheduler(jobstores=stores, timezone="UTC", start_paused=True) as scheduler:
            started = time.perf_counter()
            await scheduler.add_jobs({"func": func, "trigger": "date", "run_date": PASSED} for _ in range(jobs))
            added = time.perf_counter()
            statements.count = statements.transactions = 0
            await scheduler.resume()

            async def is_over() -> bool:
                if ended < jobs:
                    return False
                health = await scheduler.health()
                return not health.runs_under_way and not health.jobstores["default"].unrecorded

            await until(is_over)
            seconds = time.perf_counter() - added
            counts = statements.counts(jobs)
            kept = await scheduler.get_runs(limit=jobs + 1)
            if len(kept) != jobs or {run.outcome.value for run in kept} != {"succeeded"}:
                raise RuntimeError(f"{len(kept)} runs of {jobs}")
            return result(jobs, seconds, add_us=(added - started) / jobs * 1e6, **counts)

    return asyncio.run(main())


# peers


def v3_store(server: str, url: str) -> Any:
    """Make the store of 3.11.3."""
    if server == "redis":
        from apscheduler.jobstores.redis import RedisJobStore

        _, _, address = url.partition("://")
        place, _, db = address.partition("/")
        host, _, port = place.partition(":")
        return RedisJobStore(host=host, port=int(port), db=int(db or 0))
    if server == "mongodb":
        from apscheduler.jobstores.mongodb import MongoDBJobStore
        from pymongo import MongoClient

        return MongoDBJobStore(client=MongoClient(url))
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

    driver = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql", "sqlite": "sqlite"}[server]
    return SQLAlchemyJobStore(url=f"{driver}:{url.partition(':')[2]}")


def v3(server: str, kind: str, jobs: int, url: str) -> dict[str, Any]:
    """Measure BackgroundScheduler."""
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    scheduler.add_jobstore(v3_store(server, url))
    scheduler.start(paused=True)
    began = time.perf_counter()
    for _ in range(jobs):
        scheduler.add_job(noop, "date", run_date=PASSED)
    added = time.perf_counter()
    scheduler.resume()
    while ended < jobs or scheduler.get_jobs():
        time.sleep(0.05)
    seconds = time.perf_counter() - added
    scheduler.shutdown()
    return result(jobs, seconds, add_us=(added - began) / jobs * 1e6)


def v4(server: str, kind: str, jobs: int, url: str) -> dict[str, Any]:
    """Measure the asynchronous scheduler of 4.0 on PostgreSQL."""
    from apscheduler import AsyncScheduler
    from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
    from apscheduler.triggers.date import DateTrigger
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main() -> dict[str, Any]:
        engine = create_async_engine(f"postgresql+asyncpg:{url.partition(':')[2]}")
        async with AsyncScheduler(SQLAlchemyDataStore(engine)) as scheduler:
            await scheduler.configure_task("drain", func=anoop, max_running_jobs=None, misfire_grace_time=None)
            for number in range(jobs):
                await scheduler.add_schedule("drain", DateTrigger(PASSED), id=str(number))
            began = time.perf_counter()
            await scheduler.start_in_background()

            async def is_over() -> bool:
                return ended == jobs

            await until(is_over)
            seconds = time.perf_counter() - began
            await scheduler.stop()
            await scheduler.wait_until_stopped()
        await engine.dispose()
        return result(jobs, seconds)

    return asyncio.run(main())


def pgqueuer(server: str, kind: str, jobs: int, url: str) -> dict[str, Any]:
    """Measure PgQueuer."""
    import asyncpg
    from pgqueuer import AsyncpgDriver, PgQueuer
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    async def main() -> dict[str, Any]:
        connection = await asyncpg.connect(url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.enqueue(["drain"] * jobs, [None] * jobs, [0] * jobs)
        app = PgQueuer.from_asyncpg_connection(connection)

        @app.entrypoint("drain")
        async def drain(job: object) -> None:
            noop()

        began = time.perf_counter()
        await app.qm.run(batch_size=BATCH, mode=QueueExecutionMode.drain)
        return result(jobs, time.perf_counter() - began)

    return asyncio.run(main())


def procrastinate(server: str, kind: str, jobs: int, url: str) -> dict[str, Any]:
    """Measure procrastinate."""
    import procrastinate as package

    app = package.App(connector=package.PsycopgConnector(conninfo=url))

    @app.task(name="drain")
    async def drain() -> None:
        noop()

    async def main() -> dict[str, Any]:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await drain.batch_defer_async(*({} for _ in range(jobs)))
            began = time.perf_counter()
            await app.run_worker_async(wait=False, concurrency=100, install_signal_handlers=False)
            return result(jobs, time.perf_counter() - began)

    return asyncio.run(main())


# the floor

FLOOR_CLAIM = """
SELECT id, due_time, definition FROM apsched_jobs WHERE executor = 'asyncio' AND due_time <= $1
ORDER BY due_time LIMIT $2 FOR UPDATE SKIP LOCKED
"""
FLOOR_INSERT = """
INSERT INTO apsched_runs (job_id, nominal_time, outcome, due_time, is_manual, epoch, node, claimed_at)
SELECT id, due, 'running', due, false, 1, 'node', $3 FROM unnest($1::text[], $2::bigint[]) AS new (id, due)
"""
FLOOR_RETIRE = "UPDATE apsched_jobs SET due_time = NULL, next_run_time = NULL, state = 2 WHERE id = ANY($1::text[])"
FLOOR_FINISH = """
UPDATE apsched_runs SET outcome = 'succeeded', started_at = $3, finished_at = $3
FROM unnest($1::text[], $2::bigint[]) AS new (id, due)
WHERE job_id = id AND nominal_time = due AND epoch = 1 AND CASE outcome WHEN 'running' THEN node = 'node' END
"""
FLOOR_DELETE = "DELETE FROM apsched_jobs WHERE id = ANY($1::text[])"
FLOOR_COLUMNS = ("id", "executor", "next_run_time", "next_nominal_time", "due_time", "definition")


def bare(server: str, kind: str, jobs: int, url: str) -> dict[str, Any]:
    """Measure the row writes alone."""
    import asyncpg

    async def main() -> dict[str, Any]:
        async with make_store(server, url):
            pass  # it has made the tables
        connection = await asyncpg.connect(url)
        due = int(PASSED.timestamp() * 1e6)
        records = [(f"{number:032x}", "asyncio", due, due, due, b"x" * 300) for number in range(jobs)]
        await connection.copy_records_to_table("apsched_jobs", records=records, columns=FLOOR_COLUMNS)
        for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"):  # as the store does
            await connection.execute(f"SET {name} = off")
        began = time.perf_counter()
        while True:
            async with connection.transaction():
                rows = await connection.fetch(FLOOR_CLAIM, due + 1, BATCH)
                ids, times = [row["id"] for row in rows], [row["due_time"] for row in rows]
                await connection.execute(FLOOR_INSERT, ids, times, due)
                await connection.execute(FLOOR_RETIRE, ids)
            if not rows:
                break
            for _ in rows:
                await anoop()
            async with connection.transaction():
                await connection.execute(FLOOR_FINISH, ids, times, due)
                await connection.execute(FLOOR_DELETE, ids)
        seconds = time.perf_counter() - began
        await connection.close()
        return result(jobs, seconds)

    return asyncio.run(main())


WORK = {"ours": ours, "v3": v3, "v4": v4, "pgqueuer": pgqueuer, "procrastinate": procrastinate, "bare": bare}


def plan(options: Any) -> list[dict[str, Any]]:
    """Return what is to be measured."""
    jobs = 2000 if options.quick else 10_000
    measurements = []
    for server in SERVERS:
        every = {"server": server, "jobs": jobs}
        measurements += [{"product": OURS, "case": "ours", "kind": kind, **every} for kind in ("coroutines", "threads")]
        if not options.ours:
            measurements.append({"product": V3, "case": "v3", "kind": "threads", **every})
    for product, case, number in (
        (BARE, "bare", jobs),
        (PGQUEUER, "pgqueuer", jobs),
        (PROCRASTINATE, "procrastinate", jobs // 5),
        (V4, "v4", jobs // 20),
    ):
        if product == BARE or not options.ours:
            measurements.append(
                {"product": product, "case": case, "server": "postgresql", "kind": "coroutines", "jobs": number}
            )
    return measurements


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Return the targets and what became of them."""
    lines = []
    for row in (row for row in rows if row["product"] == OURS):
        of = {
            product: _peers.pick(rows, product=product, server=row["server"])
            for product in (V3, V4, PGQUEUER, PROCRASTINATE, BARE)
        }
        name = f"{row['server']}, {row['kind']}, {row['us']:.0f} us a job"
        if "statements" in row:
            per_batch = f"{row['statements']:.1f} statements and {row['transactions']:.1f} transactions for 500 jobs"
            lines.append(f"{name}: {per_batch}")
        wanted = {V3: 10.0 if row["server"] == "postgresql" else 5.0, V4: 50.0, PGQUEUER: 1.0, PROCRASTINATE: 1.0}
        for product, limit in wanted.items():
            faster = _peers.ratio(of[product], row, "us")
            if faster is not None:
                lines.append(_peers.verdict(f"{name}: times faster than {product}", faster, limit, at_least=True))
        if of[BARE] is not None:
            lines.append(
                _peers.verdict(
                    f"{name}: speed as part of the bare floor's",
                    _peers.ratio(of[BARE], row, "us"),
                    0.5,
                    at_least=True,
                )
            )
    return lines


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure how fast one node drains a store.", rounds=3)
    with ExitStack() as stack:
        around: Callable[[Mapping[str, Any]], AbstractContextManager[Mapping[str, Any]]] = Databases(stack).database
        rows = _peers.interleave(__file__, plan(options), options.rounds, KEYS, around=around)
    _peers.report(options.json, "drain", rows, judge(rows))


if __name__ == "__main__" and not _peers.work(WORK):
    main()
