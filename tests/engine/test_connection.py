"""Adding a job in a transaction of the program."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import SchedulerNotRunningError
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.clock import VirtualClock


def work() -> None:
    """Do nothing."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


def orders(url: str) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table orders (id integer)"))
    return engine


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_job_is_added_in_a_transaction_of_the_program(url: str, is_kept: bool) -> None:
    async with AsyncScheduler(jobstores={"default": SQLAlchemyJobStore(url)}) as scheduler:
        engine = orders(url)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("insert into orders values (1)"))
            await scheduler.add_job(work, "interval", hours=1, id="job", connection=connection)
            if is_kept:
                connection.commit()
        engine.dispose()

        assert (await scheduler.get_job("job") is not None) is is_kept


async def test_a_connection_is_refused_by_a_store_in_memory(scheduler: AsyncScheduler) -> None:
    with pytest.raises(TypeError, match="MemoryJobStore cannot add jobs by a connection of yours"):
        await scheduler.add_job(work, connection=object())


async def test_a_connection_is_of_no_use_before_the_start(clock: VirtualClock) -> None:
    with pytest.raises(SchedulerNotRunningError, match="before the start jobs are in no store"):
        await AsyncScheduler(clock=clock).add_job(work, connection=object())
