"""Ask nodes to cancel runs that they have under way (layer 7).

Rule 1: the table has few rows, mostly none. A row counts as long as the run is under way under its epoch; whoever adds
one takes away those that do not.
Rule 2: whoever adds one locks the job first. So who lets a run wait again, and has locked its job too, sees the row if
it came first, or is seen by whoever adds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs
from sqlalchemy import ColumnElement, Connection, delete, exists, insert, select, tuple_

from apsched.jobstores._codec import JobCodec
from apsched.jobstores._sql.among import chunks
from apsched.jobstores._sql.rows import RUN_COLUMNS, Key, clip, key_of, run_of
from apsched.jobstores._sql.schema import Tables
from apsched.run import Outcome, Run

Reasons: TypeAlias = Mapping[tuple[Key, int], str]
"""(key, epoch) -> why the run is to be cancelled."""


class Cancellations:
    """
    What a store does to have runs cancelled, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads arguments.
    """

    def __init__(self, tables: Tables, codec: JobCodec) -> None:
        self._asked = tables.cancellations
        self._jobs = tables.jobs
        self._runs = tables.runs
        self._codec = codec

    def ask(self, connection: Connection, run: Run, reason: str) -> bool:
        """Ask for the end of a run; see `JobStore.ask_to_cancel`."""
        asked, runs = self._asked, self._runs
        job_id, nominal_time = key_of(run)
        connection.execute(select(self._jobs.c.id).where(self._jobs.c.id == job_id).with_for_update())
        is_held = (runs.c.outcome == Outcome.RUNNING.value) & (runs.c.epoch == run.epoch)
        query = select(runs.c.node).where(runs.c.job_id == job_id, runs.c.nominal_time == nominal_time, is_held)
        held = connection.execute(query.with_for_update(read=True)).first()
        if held is None:
            return False
        is_under_way = exists().where(
            runs.c.job_id == asked.c.job_id,
            runs.c.nominal_time == asked.c.nominal_time,
            runs.c.outcome == Outcome.RUNNING.value,
            runs.c.epoch == asked.c.epoch,
        )
        is_this = (asked.c.job_id == job_id) & (asked.c.nominal_time == nominal_time)
        connection.execute(delete(asked).where(is_this | ~is_under_way))
        values = {"job_id": job_id, "nominal_time": nominal_time, "epoch": run.epoch, "node": held.node}
        connection.execute(insert(asked).values(**values, reason=clip(reason)))
        return True

    def asked_of(self, connection: Connection, node: str) -> list[Run]:
        """Return the runs that a node is to cancel; see `JobStore.asked_to_cancel`."""
        reasons = self._reasons(connection, self._asked.c.node == node)
        if not reasons:
            return []
        runs = self._runs
        query = select(*(runs.c[name] for name in RUN_COLUMNS)).where(runs.c.outcome == Outcome.RUNNING.value)
        found: list[Run] = []
        for some in chunks(sorted(key for key, _ in reasons)):
            rows = connection.execute(query.where(tuple_(runs.c.job_id, runs.c.nominal_time).in_(some)))
            found += (run_of(row, self._codec) for row in rows)
        return [run for run in _with_reasons(found, reasons) if run.cancel_reason is not None]

    def wanted(self, connection: Connection) -> Collection[tuple[Key, int]]:
        """Return the keys and epochs of the runs of which somebody wants the end; some are past."""
        return self._reasons(connection).keys()

    def tell(self, connection: Connection, runs: Sequence[Run]) -> list[Run]:
        """Return *runs*, those that are to be cancelled with their `cancel_reason`."""
        if not any(run.outcome is Outcome.RUNNING for run in runs):
            return list(runs)
        return _with_reasons(runs, self._reasons(connection))

    def _reasons(self, connection: Connection, *where: ColumnElement[bool]) -> Reasons:
        asked = self._asked
        rows = connection.execute(
            select(asked.c.job_id, asked.c.nominal_time, asked.c.epoch, asked.c.reason).where(*where)
        )
        return {((row[0], row[1]), row[2]): row[3] for row in rows}


def _with_reasons(runs: Iterable[Run], reasons: Reasons) -> list[Run]:
    if not reasons:
        return list(runs)
    return [
        attrs.evolve(run, cancel_reason=reasons.get((key_of(run), run.epoch)))
        if run.outcome is Outcome.RUNNING
        else run
        for run in runs
    ]
