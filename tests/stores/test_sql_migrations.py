"""How tables of earlier releases are brought up to date by entering a store."""

# ruff: noqa: S608  # names of columns are put together here

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from apsched.job import Job
from apsched.jobstores import _sql
from apsched.jobstores._codec import JobCodec
from apsched.jobstores._sql.rows import JOB_COLUMNS, RUN_COLUMNS, Values, job_values, run_values
from apsched.jobstores._sql.schema import Tables
from apsched.jobstores.base import JobFilter
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.run import Outcome, Run
from apsched.testing.contract._values import FAR, FREE, LEASE, T0, ended, history, ids_of, make_job, make_run, take
from apsched.triggers.after import NEVER, After

NEW_COLUMNS = {"follows", "expects_success", "notes"}


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the tables of revision 0001, two jobs and their runs."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
    else:
        url = request.getfixturevalue(f"{request.param}_database")
    engine = sa.create_engine(sync_url(url))
    with engine.begin() as connection:
        upgrade_to("0001", connection)
        codec = JobCodec()
        jobs = [make_job("due"), make_job("later", due=FAR)]
        insert(connection, "apsched_jobs", JOB_COLUMNS, [job_values(job, codec) for job in jobs])
        runs = [
            make_run("later"),
            make_run("later", at=T0 - timedelta(hours=1), outcome=Outcome.SUCCEEDED, finished_at=T0),
            make_run("due", at=T0 - timedelta(hours=1), outcome=Outcome.RUNNING, epoch=1, node="old", claimed_at=T0),
        ]
        insert(connection, "apsched_runs", RUN_COLUMNS, [run_values(run, codec) for run in runs])
    engine.dispose()
    return url


def sync_url(url: str) -> sa.URL:
    drivers = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    parsed = sa.make_url(url)
    return parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername))


def upgrade_to(revision: str, connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(_sql.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, names=Tables("apsched_jobs").names, schema=None)
    command.upgrade(config, revision)


def insert(connection: sa.Connection, table: str, columns: Sequence[str], rows: Sequence[Values]) -> None:
    """Insert *rows*, without the columns that the revision does not have."""
    known = [name for name in columns if name not in NEW_COLUMNS]
    values = [dict(zip(columns, row, strict=True)) for row in rows]
    connection.execute(
        sa.text(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({', '.join(f':{name}' for name in known)})"), values
    )


async def test_tables_of_revision_1_go_on_with_their_jobs_and_runs(old_url: str) -> None:
    async with SQLAlchemyJobStore(old_url) as store:
        await store.join("a", LEASE, T0)

        assert ids_of(await store.select(JobFilter())) == ["due", "later"]
        assert await store.next_run_time(FREE, "a") == T0
        claimed = [plan.runs[0] for plan in await take(store)]
        assert sorted(run.job_id for run in claimed) == ["due", "later"]
        follower = make_job("follower", due=NEVER)
        follower.trigger = After("later")
        await store.add([follower])
        stored = await store.finish([ended(run) for run in claimed])
        assert [run.job_id for run in stored[2:]] == ["follower"]
        settled = await store.reap({}, abandon)
        assert [run.job_id for run in settled] == ["due"]
        assert len(await history(store)) == 5


def abandon(job: Job | None, run: Run) -> Run:
    run.outcome = Outcome.ABANDONED
    return run


async def test_nodes_may_bring_the_tables_up_to_date_at_once(old_url: str) -> None:
    async def enter(name: str) -> None:
        async with SQLAlchemyJobStore(old_url) as store:
            await store.add([make_job(name)])

    async with anyio.create_task_group() as tasks:
        for name in "abcd":
            tasks.start_soon(enter, name)

    async with SQLAlchemyJobStore(old_url) as store:
        assert len(await store.select(JobFilter())) == 6
        assert len(await history(store)) == 3


async def test_a_migration_that_was_interrupted_is_carried_through(old_url: str) -> None:
    engine = sa.create_engine(sync_url(old_url))
    with engine.begin() as connection:  # as MySQL leaves it, which commits each change of a table by itself
        connection.execute(sa.text("ALTER TABLE apsched_jobs ADD COLUMN expects_success SMALLINT"))
        connection.execute(sa.text("CREATE INDEX ix_apsched_jobs_expects ON apsched_jobs (expects_success, id)"))
    engine.dispose()

    async with SQLAlchemyJobStore(old_url) as store:
        await store.add([make_job("new", expect_success_within=60)])
        assert ids_of(await store.select(JobFilter(expects_success=True))) == ["new"]


async def test_a_database_that_was_brought_up_to_date_is_like_a_new_one(old_url: str) -> None:
    async with SQLAlchemyJobStore(old_url):
        pass
    engine = sa.create_engine(sync_url(old_url))
    new = Tables("new_jobs")
    new.metadata.create_all(engine)

    for table, other in zip(Tables("apsched_jobs").all, new.all, strict=True):
        assert shape_of(table.name, engine) == shape_of(other.name, engine)
    engine.dispose()


def shape_of(table: str, engine: sa.Engine) -> tuple[list[tuple[str, str]], dict[str, list[str | None]]]:
    """Return the columns of a table with their types, and its indexes with their columns."""
    inspector = sa.inspect(engine)
    columns = sorted((column["name"], str(column["type"])) for column in inspector.get_columns(table))
    indexes = inspector.get_indexes(table)
    return columns, {str(index["name"]).replace(table, "table"): index["column_names"] for index in indexes}
