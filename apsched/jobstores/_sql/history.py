"""Find runs (layer 7)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, false, or_, select

from apsched.jobstores._codec import JobCodec, to_micros
from apsched.jobstores._sql.cancellations import Cancellations
from apsched.jobstores._sql.rows import OUTCOMES, RUN_COLUMNS, clip, run_of
from apsched.jobstores._sql.schema import COMMON, OPEN, Tables, outcome_in
from apsched.jobstores.base import RunFilter
from apsched.run import Run

logger = logging.getLogger("apsched.jobstores")


class History:
    """
    What a store does with the runs of the past, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads arguments and results.
        cancellations: Those of the same store.
    """

    def __init__(self, tables: Tables, codec: JobCodec, cancellations: Cancellations) -> None:
        self._runs = tables.runs
        self._codec = codec
        self._cancellations = cancellations

    def runs(self, connection: Connection, where: RunFilter, limit: int, after: Run | None) -> list[Run]:
        """Return runs; see `JobStore.runs`."""
        runs = self._runs
        query = select(*(runs.c[name] for name in RUN_COLUMNS)).where(*self._conditions(where))
        if after is not None:
            moment = to_micros(after.nominal_time)
            is_before = or_(runs.c.nominal_time < moment, runs.c.job_id < clip(after.job_id))
            query = query.where(runs.c.nominal_time <= moment, is_before)
        query = query.order_by(runs.c.nominal_time.desc(), runs.c.job_id.desc()).limit(limit)
        found = [run_of(row, self._codec) for row in connection.execute(query) if _has_outcome(row)]
        return self._cancellations.tell(connection, found)

    def _conditions(self, where: RunFilter) -> Iterator[ColumnElement[bool]]:
        runs = self._runs
        if where.job_id is not None:
            yield runs.c.job_id == where.job_id
        if where.node is not None:
            yield runs.c.node == where.node
        if where.since is not None:
            yield runs.c.nominal_time >= to_micros(where.since)
        if where.until is not None:
            yield runs.c.nominal_time <= to_micros(where.until)
        if where.outcomes is not None:
            yield outcome_in(where.outcomes) if where.outcomes else false()
            if where.outcomes and not set(where.outcomes) & set(COMMON):
                yield ~outcome_in(COMMON)  # says no more than the line before, but that there is an index for it
            if where.outcomes and set(where.outcomes) <= set(OPEN):
                yield outcome_in(OPEN)


def _has_outcome(row: Sequence[Any]) -> bool:
    if row[2] in OUTCOMES:
        return True
    logger.warning("a run of job %r cannot be read and is left out: its outcome is %r", row[0], row[2])
    return False
