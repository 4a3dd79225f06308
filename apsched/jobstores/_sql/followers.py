"""Let jobs follow runs that end (layer 7).

Rule 1: what follows a run is stored by the transaction that stores its end, and by no other: only for runs which were
not final before.
Rule 2: next to nothing is spent where no job follows another, which is asked by the first entry of an index.
"""

# ruff: noqa: S608  # statements consist of names in the source and of names of tables, which are quoted

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.engine.interfaces import Dialect

from apsched.job import Job
from apsched.jobstores._codec import JobCodec
from apsched.jobstores._sql.among import among, chunks
from apsched.jobstores._sql.bulk import Change, bulk_of
from apsched.jobstores._sql.jobs import Jobs
from apsched.jobstores._sql.rows import RUN_COLUMNS, Key, job_of, key_of, run_values
from apsched.jobstores._sql.schema import State, Tables
from apsched.run import FOLLOWED, Run, following


class Followers:
    """
    What a store does for jobs that follow others, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads jobs.
        jobs: The jobs of the same store.
    """

    def __init__(self, tables: Tables, codec: JobCodec, jobs: Jobs) -> None:
        self._jobs = jobs
        self._table = tables.jobs
        self._runs = tables.runs
        self._codec = codec
        self._insert = Change(tables.runs, RUN_COLUMNS)
        follows = tables.jobs.c.follows
        # in order, since a planner that knows nothing yet of the column might walk through all jobs to find any
        self._first = select(follows).where(follows.is_not(None)).order_by(follows).limit(1)

    def of(self, connection: Connection, runs: Iterable[Run]) -> list[Job]:
        """Return the jobs that follow the jobs of *runs*; none of them goes before the transaction ends."""
        ids = sorted({run.job_id for run in runs if run.outcome in FOLLOWED["any"]})
        if not ids or connection.execute(self._first).first() is None:
            return []
        jobs = self._table
        query = select(*self._jobs.columns, jobs.c.state).order_by(jobs.c.id)
        query = query.with_for_update(read=True, key_share=True)
        found: list[Job] = []
        for some in chunks(ids):
            for row in connection.execute(query.where(among(jobs.c.follows, some, connection))):
                job = job_of(row, self._codec, resolve=False)
                if row.state == State.MARKED.value:  # other nodes can run it
                    job.quarantine = None
                found.append(job)
        return found

    def queue(self, connection: Connection, jobs: Sequence[Job], runs: Iterable[Run]) -> list[Run]:
        """
        Let *jobs* wait for their turn where they follow one of *runs*, and return what waits now.

        Args:
            connection: The connection.
            jobs: What `of` has returned.
            runs: They end in this transaction.
        """
        made: dict[Key, Run] = {}
        for run in runs:
            for job in jobs:
                if (pending := following(job, run)) is not None:
                    made[key_of(pending)] = pending
        for key in self._taken(connection, sorted(made)):
            del made[key]
        rows = [run_values(made[key], self._codec) for key in sorted(made)]
        bulk_of(connection).write(connection, self._insert, rows)
        return list(made.values())

    def _taken(self, connection: Connection, keys: Sequence[Key]) -> list[Key]:
        runs = self._runs
        query = select(runs.c.job_id, runs.c.nominal_time)
        return [
            (row[0], row[1])
            for some in chunks(keys)
            for row in connection.execute(query.where(tuple_(runs.c.job_id, runs.c.nominal_time).in_(some)))
        ]

    def condition(self, dialect: Dialect) -> str:
        """Return the condition, for PostgreSQL, that a job follows one of the jobs `{keys}`."""
        jobs = dialect.identifier_preparer.format_table(self._table)
        return (
            f"CASE WHEN (SELECT follows FROM {jobs} WHERE follows IS NOT NULL ORDER BY follows LIMIT 1) IS NULL"
            " THEN false ELSE EXISTS (SELECT 1 FROM unnest({keys}) AS k (id)"
            f" WHERE (SELECT min(f.id) FROM {jobs} AS f WHERE f.follows = k.id) IS NOT NULL) END"
        )
