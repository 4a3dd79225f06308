"""How the SQL store keeps what waits, follows and is to be cancelled, as far as the contract does not say it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from apsched.exceptions import JobStoreUnavailableError, TransientJobError
from apsched.job import Job
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.run import Outcome
from apsched.testing.contract._values import (
    FREE,
    LEASE,
    T0,
    TICK,
    claim,
    ended,
    get_job,
    history,
    make_job,
    outcomes_of,
    quarantine,
    setting,
    take,
    take_one,
)
from apsched.triggers.after import NEVER, After

RUNNING, PENDING, SUCCEEDED = Outcome.RUNNING, Outcome.PENDING, Outcome.SUCCEEDED


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLAlchemyJobStore]:
    async with SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.db'}") as store:
        for node in "ab":
            await store.join(node, LEASE, T0)
        yield store


@pytest.fixture
def raw(store: SQLAlchemyJobStore, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database, past the store."""
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        yield connection


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SQLAlchemyJobStore]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'any.db'}"
    else:
        url = request.getfixturevalue(f"{request.param}_database")
    async with SQLAlchemyJobStore(url) as store:
        await store.join("a", LEASE, T0)
        yield store


@contextmanager
def statements() -> Generator[list[str]]:
    """Note what is sent to databases."""
    noted: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        noted.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)


def make_follower(job_id: str = "second", **options: Any) -> Job:
    return attrs.evolve(make_job(job_id, due=NEVER, **options), trigger=After("first", "any"))


async def test_a_run_ends_together_with_what_follows_it_or_not_at_all(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection
) -> None:
    await store.add([make_job("first"), make_follower()])
    run = ended(await take_one(store))
    raw.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON apsched_runs WHEN NEW.job_id = 'second' "
        "BEGIN SELECT RAISE(FAIL, 'the disk is full'); END"
    )

    with pytest.raises(JobStoreUnavailableError):
        await store.finish([run])

    assert outcomes_of(await history(store)) == [RUNNING]
    raw.execute("DROP TRIGGER refuse")
    assert [made.job_id for made in await store.finish([run])] == ["first", "second"]
    assert await store.finish([run]) == [run]
    assert len(await history(store, "second")) == 1


async def test_what_was_forgotten_is_not_followed_again(store: SQLAlchemyJobStore, raw: sqlite3.Connection) -> None:
    await store.add([make_job("first"), make_follower()])
    run = ended(await take_one(store))
    await store.finish([run])
    raw.execute("DELETE FROM apsched_runs WHERE job_id = 'second'")

    assert await store.finish([run]) == [run]


async def test_where_no_job_follows_the_end_of_a_batch_takes_as_many_statements_as_without(
    any_store: SQLAlchemyJobStore,
) -> None:
    await any_store.add([make_job(str(number)) for number in range(20)])
    runs = [ended(plan.runs[0]) for plan in await take(any_store)]

    with statements() as noted:
        await any_store.finish(runs)

    most = {"postgresql": 1, "mysql": 3, "sqlite": 4}  # of SQLite, BEGIN is one
    assert len(noted) <= most[any_store._url.get_backend_name()]


async def test_a_follower_elsewhere_costs_the_end_of_a_batch_nothing_on_postgresql(postgresql_database: str) -> None:
    async with SQLAlchemyJobStore(postgresql_database) as store:
        await store.join("a", LEASE, T0)
        await store.add([make_job("other"), make_follower()])
        runs = [ended(plan.runs[0]) for plan in await take(store)]

        with statements() as noted:
            assert len(await store.finish(runs)) == 1

        assert len(noted) == 1


async def test_to_ask_for_cancellations_takes_one_statement(any_store: SQLAlchemyJobStore) -> None:
    await any_store.add([make_job()])
    await take_one(any_store)

    with statements() as noted:
        assert await any_store.asked_to_cancel("a") == []

    assert len(noted) == 1


async def test_wishes_to_cancel_that_are_past_are_forgotten(any_store: SQLAlchemyJobStore) -> None:
    await any_store.add([make_job("first"), make_job("second")])
    first, second = [plan.runs[0] for plan in await take(any_store)]
    await any_store.ask_to_cancel(first, "it takes too long")
    await any_store.finish([ended(first)])

    await any_store.ask_to_cancel(second, "so does this")

    def count(connection: sa.Connection) -> int:
        counted = sa.select(sa.func.count()).select_from(any_store._tables.cancellations)
        return connection.execute(counted).scalar_one()

    assert await any_store._transactions.run(count) == 1
    assert [run.cancel_reason for run in await history(any_store)] == ["so does this", None]


async def test_a_follower_that_was_quarantined_waits_again_when_a_node_joins(store: SQLAlchemyJobStore) -> None:
    await store.add([make_job("first")])
    await take(store, plan=quarantine)
    await store.add([make_follower()])
    await store.update("second", setting(quarantine="it cannot run"))

    await store.join("c", LEASE, T0)

    assert (await get_job(store, "second")).quarantine is None
    assert [plan.job.id for plan in await take(store, NEVER - TICK, plan=claim)] == ["first"]
    assert await store.next_run_time(FREE, "a") != NEVER


async def test_a_follower_that_one_node_cannot_run_follows_for_others(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection
) -> None:
    await store.add([make_job("first"), make_follower()])
    raw.execute("UPDATE apsched_jobs SET quarantine = 'node a could not run it', state = 3 WHERE id = 'second'")

    stored = await store.finish([ended(await take_one(store))])

    assert [run.job_id for run in stored] == ["first", "second"]


async def test_a_follower_that_cannot_be_read_does_not_follow_and_holds_up_nothing(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection
) -> None:
    await store.add([make_job("first"), make_follower()])
    raw.execute("UPDATE apsched_jobs SET definition = '{' WHERE id = 'second'")

    stored = await store.finish([ended(await take_one(store))])

    assert outcomes_of(stored) == [SUCCEEDED]


@pytest.mark.parametrize("name", ["x" * 192, "a\0b", "\ud800"])
async def test_a_job_can_follow_only_what_can_be_an_id(store: SQLAlchemyJobStore, name: str) -> None:
    job = attrs.evolve(make_job(due=NEVER), trigger=After(name))

    with pytest.raises(TransientJobError, match="the job that it follows must consist of"):
        await store.add([job])


async def test_a_run_that_waits_and_was_damaged_keeps_no_loop_busy(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection
) -> None:
    await store.add([make_job(due=None)])
    await store.add([make_follower()])
    raw.execute(
        "INSERT INTO apsched_runs (job_id, nominal_time, outcome, due_time, count, is_manual, epoch) "
        "VALUES ('job', 1, 'pending', 9223372036854775807, 1, 0, 0), ('job', 2, 'pending', 'soon', 1, 0, 0)"
    )

    assert await take(store) == []
    assert await store.next_run_time(FREE, "a") is None
