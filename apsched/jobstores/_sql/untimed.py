"""End runs whose nominal times somebody has damaged (layer 7)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, Table, func, not_, update

from apsched.jobstores._codec import EARLIEST, LATEST
from apsched.jobstores._sql.among import among
from apsched.run import Outcome

REASON = "its record in the store is damaged: its nominal time is none"


def end_untimed(connection: Connection, runs: Table, job_ids: Collection[str], outcome: Outcome, now: int) -> None:
    """
    Let those runs of *job_ids* have failed that are *outcome* and have no nominal time by which they could be named.

    SQLite keeps whatever somebody puts into a column; any database keeps numbers that are beyond the year 9999.
    """
    is_timed: ColumnElement[bool] = runs.c.nominal_time.between(EARLIEST, LATEST)
    if connection.dialect.name == "sqlite":
        is_timed = is_timed & (func.typeof(runs.c.nominal_time) == "integer")
    connection.execute(
        update(runs)
        .where(among(runs.c.job_id, list(job_ids), connection), runs.c.outcome == outcome.value, not_(is_timed))
        .values(outcome=Outcome.FAILED.value, finished_at=now, reason=REASON)
    )
