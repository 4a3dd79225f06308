"""Add runs and end them (layer 7)."""

# ruff: noqa: S608  # statements consist of names in the source and of names of tables, which are quoted

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs
from sqlalchemy import Connection, select, tuple_
from sqlalchemy.engine.interfaces import Dialect

from apsched.exceptions import JobLookupError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec, from_micros, to_micros
from apsched.jobstores._sql.among import chunks
from apsched.jobstores._sql.bulk import Change, bulk_of, columns_of
from apsched.jobstores._sql.cancellations import Cancellations
from apsched.jobstores._sql.followers import Followers
from apsched.jobstores._sql.jobs import ORPHANED, Jobs
from apsched.jobstores._sql.rows import (
    RUN_COLUMNS,
    Columns,
    Key,
    Values,
    clip,
    key_of,
    micros_of_all,
    notes_of_all,
    run_of,
    run_values,
)
from apsched.jobstores._sql.schema import OPEN, State, Tables
from apsched.run import FOLLOWED, Outcome, Run

# the key of a run, and what its end changes; then, if there is anything of it, what it tells; and what must still hold
END_COLUMNS = ("job_id", "nominal_time", "outcome", "started_at", "finished_at", "retval", "error", "reason")
TOLD_COLUMNS = ("due_time", "notes")
HELD_COLUMNS = ("epoch", "node")
# CASE, since from a plain condition planners would conclude to walk through all open runs instead of looking up keys
IS_HELD = (
    "t.epoch = {epoch} AND CASE t.outcome WHEN 'running' THEN t.node = {node}"
    " WHEN 'pending' THEN {outcome} = 'cancelled' ELSE {epoch} < 0 END"
)
OPEN_TEXT = ", ".join(f"'{outcome.value}'" for outcome in OPEN)
OUTCOME, FINISHED_AT, REASON, EPOCH, NODE = 2, 4, 7, -2, -1  # places in such a row

Claim: TypeAlias = tuple[str, int, str | None]
"""Outcome, epoch and node of a run in the store."""


class Runs:
    """
    What a store does with single runs, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads and writes arguments and results.
        jobs: The jobs of the same store.
        followers: Those of the same store.
        cancellations: Those of the same store.
    """

    def __init__(
        self, tables: Tables, codec: JobCodec, jobs: Jobs, followers: Followers, cancellations: Cancellations
    ) -> None:
        self._table = tables.runs
        self._jobs_table = tables.jobs
        self._codec = codec
        self._jobs = jobs
        self._followers = followers
        self._cancellations = cancellations
        self._columns = [tables.runs.c[name] for name in RUN_COLUMNS]
        self._insert = Change(tables.runs, RUN_COLUMNS)
        self._report = Change(
            tables.runs,
            ("job_id", "nominal_time", "notes", "epoch"),
            key=2,
            is_set=1,
            guard="t.epoch = {epoch} AND t.outcome = 'running'",
        )
        self._end = self._make_end(END_COLUMNS)
        self._end_and_tell = self._make_end(END_COLUMNS + TOLD_COLUMNS)

    def add(self, connection: Connection, run: Run) -> Run:
        """Queue a run; see `JobStore.add_run`."""
        jobs, runs = self._jobs_table, self._table
        job = select(jobs.c.id).where(jobs.c.id == run.job_id, self._jobs.is_listed).with_for_update()
        if connection.execute(job).first() is None:
            raise JobLookupError(run.job_id)
        moment = free = to_micros(run.nominal_time)
        if not run.is_manual:
            is_it = (runs.c.job_id == run.job_id) & (runs.c.nominal_time == moment)
            known = connection.execute(select(*self._columns).where(is_it)).first()
            if known is not None:
                return run_of(known, self._codec)
        taken = select(runs.c.nominal_time).where(runs.c.job_id == run.job_id, runs.c.nominal_time >= moment)
        for other in connection.execute(taken.order_by(runs.c.nominal_time)).scalars():
            if other != free:
                break
            free += 1
        if free != moment:
            run = attrs.evolve(run, nominal_time=from_micros(free))
        bulk_of(connection).write(connection, self._insert, [run_values(run, self._codec)])
        return run

    def report(self, connection: Connection, runs: Sequence[Run]) -> None:
        """Store what runs tell of themselves; see `JobStore.report`."""
        rows = [(*key_of(run), notes, run.epoch) for run, notes in zip(runs, notes_of_all(runs), strict=True)]
        bulk_of(connection).write(connection, self._report, rows)

    def end_columns(self, runs: Sequence[Run]) -> Columns:
        """Return what `finish` needs of *runs*, column by column; due times and notes only if they may have changed."""
        notes = notes_of_all(runs)
        is_told = any(notes) or any(run.outcome is Outcome.PENDING for run in runs)
        return [
            [run.job_id for run in runs],
            [to_micros(run.nominal_time) for run in runs],
            [run.outcome.value for run in runs],
            micros_of_all([run.started_at for run in runs]),
            micros_of_all([run.finished_at for run in runs]),
            [None if run.retval is None else self._codec.encode_result(run.retval) for run in runs],
            [None if run.error is None else clip(run.error) for run in runs],
            [None if run.reason is None else clip(run.reason) for run in runs],
            *([micros_of_all([run.due_time for run in runs]), notes] if is_told else ()),
            [run.epoch for run in runs],
            [run.node for run in runs],
        ]

    def finish(self, connection: Connection, runs: Sequence[Run], columns: Columns, now: int) -> list[Run]:
        """Store how *runs* ended, which are in the order of their jobs, from their *columns*; see `JobStore.finish`."""
        if any(run.outcome is Outcome.PENDING for run in runs):
            runs, columns = self._that_may_wait(connection, runs, columns, now)
            if not runs:
                return []
        if (stored := self.finish_at_once(connection, runs, columns)) is not None:
            return stored
        followers = self._followers.of(connection, runs)
        ending = self._ending(connection, runs, followers) if followers else ()
        written = bulk_of(connection).write_columns(connection, self._change_of(columns), columns)
        stored = self._stored(connection, runs, columns, written)
        self._jobs.forget_retired(connection, [run.job_id for run in stored if run.outcome.is_final])
        return stored + self._followers.queue(connection, followers, ending)

    def finish_at_once(self, connection: Connection, runs: Sequence[Run], columns: Columns) -> list[Run] | None:
        """
        Do the same with one statement, on PostgreSQL, for runs which are final or whose jobs are known to be there.

        Returns:
            None if one statement cannot do it, for one because jobs follow; then nothing was done.
        """
        dialect = connection.dialect
        if dialect.name != "postgresql":
            return None
        then, unless = self._forget(dialect), self._followers.condition(dialect)
        written = bulk_of(connection).write_then(connection, self._change_of(columns), columns, then, unless)
        return None if written is None else self._stored(connection, runs, columns, written)

    def _make_end(self, columns: tuple[str, ...]) -> Change:
        return Change(self._table, columns + HELD_COLUMNS, key=2, is_set=len(columns) - 2, guard=IS_HELD)

    def _change_of(self, columns: Columns) -> Change:
        return self._end if len(columns) == len(self._end.columns) else self._end_and_tell

    def _stored(self, connection: Connection, runs: Sequence[Run], columns: Columns, written: int) -> list[Run]:
        """Return those of *runs* that are stored, of which so many were *written* just now."""
        if written == len(runs):
            return list(runs)
        rows = list(zip(*columns, strict=True))  # claims were lost, or these runs were stored before
        states = self.states(connection, [_key(row) for row in rows])
        held = [states.get(_key(row)) == (row[OUTCOME], row[EPOCH], row[NODE]) for row in rows]
        return [run for run, is_held in zip(runs, held, strict=True) if is_held]

    def _ending(self, connection: Connection, runs: Sequence[Run], followers: Sequence[Job]) -> list[Run]:
        """Return those of *runs* which *followers* may follow and whose claims hold; they end in this transaction."""
        followed = {job.follows for job in followers}
        ending = [run for run in runs if run.job_id in followed and run.outcome in FOLLOWED["any"]]
        states = self.states(connection, map(key_of, ending), is_locking=True)
        return [run for run in ending if _is_held(run, states.get(key_of(run)))]

    def _forget(self, dialect: Dialect) -> str:
        """Return what `Jobs.forget_retired` does, as a part of the statement that ends runs, which sees them open."""
        jobs, runs = map(dialect.identifier_preparer.format_table, (self._jobs_table, self._table))
        return (
            f"DELETE FROM {jobs} AS j USING (SELECT job_id, count(*) AS ended FROM written"
            f" WHERE outcome NOT IN ({OPEN_TEXT}) GROUP BY job_id) AS w"
            f" WHERE j.id = w.job_id AND CASE WHEN j.state = {State.RETIRED.value} THEN w.ended ="
            f" (SELECT count(*) FROM {runs} AS r WHERE r.job_id = j.id AND r.outcome IN ({OPEN_TEXT})) END"
        )

    def states(self, connection: Connection, keys: Iterable[Key], *, is_locking: bool = False) -> dict[Key, Claim]:
        """Return outcome, epoch and node of those of the runs *keys* that there are; locked if that is wanted."""
        table = self._table
        query = select(table.c.job_id, table.c.nominal_time, table.c.outcome, table.c.epoch, table.c.node)
        if is_locking:
            query = query.order_by(table.c.job_id, table.c.nominal_time).with_for_update()
        found: dict[Key, Claim] = {}
        for some in chunks(sorted(keys)):
            rows = connection.execute(query.where(tuple_(table.c.job_id, table.c.nominal_time).in_(some)))
            found.update(((row[0], row[1]), (row[2], row[3], row[4])) for row in rows)
        return found

    def _that_may_wait(
        self, connection: Connection, runs: Sequence[Run], columns: Columns, now: int
    ) -> tuple[Sequence[Run], Columns]:
        """Return *runs* and their *columns* without those that are handed back and that somebody wants cancelled."""
        rows = self._cancel_orphans(connection, list(zip(*columns, strict=True)), now)
        wanted = self._cancellations.wanted(connection)  # asked when the jobs are locked: see Rule 2 there
        kept = [
            (run, row)
            for run, row in zip(runs, rows, strict=True)
            if run.outcome is not Outcome.PENDING or (key_of(run), run.epoch) not in wanted
        ]
        return [run for run, _ in kept], columns_of([row for _, row in kept])

    def _cancel_orphans(self, connection: Connection, rows: Sequence[Values], now: int) -> list[Values]:
        """Let runs that are handed back be cancelled if their jobs are gone."""
        pending = Outcome.PENDING.value
        jobs = self._jobs.lock_shared(connection, [row[0] for row in rows if row[OUTCOME] == pending])
        return [_cancelled(row, now) if row[OUTCOME] == pending and row[0] not in jobs else row for row in rows]


def _cancelled(row: Values, now: int) -> Values:
    changed = list(row)
    changed[OUTCOME], changed[FINISHED_AT], changed[REASON] = Outcome.CANCELLED.value, now, ORPHANED
    return tuple(changed)


def _is_held(run: Run, claim: Claim | None) -> bool:
    """Whether *run*, which is final, may take the place of what is in the store; as `IS_HELD` says it."""
    if claim is None:
        return False
    outcome, epoch, node = claim
    if epoch != run.epoch:
        return False
    if outcome == Outcome.RUNNING.value:
        return node == run.node
    return outcome == Outcome.PENDING.value and run.outcome is Outcome.CANCELLED


def _key(row: Values) -> Key:
    return (row[0], row[1])
