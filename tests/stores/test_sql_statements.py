"""How many statements the SQL store sends to a server: that is what a batch costs first of all."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, event, func, select

from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.contract._values import LEASE, T0, claim_last, ended, make_job, take


@pytest.mark.parametrize("size", [1, 300])
async def test_a_batch_is_claimed_by_three_statements_and_ended_by_one_on_postgresql(
    postgresql_database: str, size: int
) -> None:
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *others: object) -> None:
        sent.append(statement)

    store = SQLAlchemyJobStore(url=postgresql_database)

    def count_jobs(connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(store._tables.jobs)).scalar_one()

    async with store:
        await store.join("a", LEASE, T0)
        await store.add([make_job(str(number)) for number in range(size)])
        event.listen(Engine, "before_cursor_execute", note)
        try:
            plans = await take(store, plan=claim_last)
            assert (len(plans), len(sent)) == (size, 3)

            sent.clear()
            assert len(await store.finish([ended(plan.runs[0]) for plan in plans])) == size
            assert len(sent) == 1
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert await store._query(count_jobs) == 0  # not even retired ones
