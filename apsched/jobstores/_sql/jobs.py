"""Add, change, remove and find jobs (layer 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update

from apsched.exceptions import ConflictingIdError, JobLookupError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec
from apsched.jobstores._sql.among import among, chunks
from apsched.jobstores._sql.bulk import Change, bulk_of
from apsched.jobstores._sql.rows import JOB_COLUMNS, Values, job_of, job_values, tag_values
from apsched.jobstores._sql.schema import IS_SPECIAL, OPEN, State, Tables, outcome_in
from apsched.jobstores.base import Change as JobChange
from apsched.jobstores.base import JobFilter, Merge
from apsched.run import Outcome

ORPHANED = "its job was removed before it could start"  # as the memory store says


class Jobs:
    """
    What a store does with jobs, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads and writes the definitions.
    """

    def __init__(self, tables: Tables, codec: JobCodec) -> None:
        jobs, tags = tables.jobs, tables.tags
        self._jobs = jobs
        self._tags = tags
        self._runs = tables.runs
        self._codec = codec
        self.columns: tuple[Any, ...] = (
            jobs.c.id,
            jobs.c.next_run_time,
            jobs.c.next_nominal_time,
            jobs.c.quarantine,
            jobs.c.definition,
        )
        self.is_listed: ColumnElement[bool] = or_(jobs.c.state.is_(None), jobs.c.state != State.RETIRED.value)
        self._insert = Change(jobs, JOB_COLUMNS)
        self._replace = Change(jobs, JOB_COLUMNS, key=1)
        self._insert_tags = Change(tags, ("job_id", "name", "value"))

    def add(
        self, connection: Connection, jobs: Sequence[Job], rows: Sequence[Values], merge: Merge | None
    ) -> list[Job]:
        """Add *jobs*, whose rows are *rows*; see `JobStore.add`."""
        known = self._lock(connection, [job.id for job in jobs])
        inserts: list[Values] = []
        updates: list[Values] = []
        kept: list[Job] = []
        for job, row in zip(jobs, rows, strict=True):
            old = known.get(job.id)
            if old is None:
                inserts.append(row)
                kept.append(job)
            elif old.state == State.RETIRED.value:
                updates.append(row)
                kept.append(job)
            elif merge is None:
                raise ConflictingIdError(job.id)
            else:
                merged = self._merge(old, job, merge)
                updates.append(job_values(merged, self._codec))
                kept.append(merged)
        bulk = bulk_of(connection)
        bulk.write(connection, self._insert, sorted(inserts, key=_first))
        bulk.write(connection, self._replace, sorted(updates, key=_first))
        self.forget_tags(connection, [row[0] for row in updates])
        self._write_tags(connection, kept)
        return kept

    def update(self, connection: Connection, job_id: str, change: JobChange) -> Job:
        """Change one job; see `JobStore.update`."""
        row = self._lock(connection, [job_id]).get(job_id)
        if row is None or row.state == State.RETIRED.value:
            raise JobLookupError(job_id)
        old = job_of(row, self._codec, resolve=False)
        tags = dict(old.tags)
        changed = change(old)
        bulk_of(connection).write(connection, self._replace, [job_values(changed, self._codec)])
        if changed.tags != tags:
            self.forget_tags(connection, [job_id])
            self._write_tags(connection, [changed])
        return changed

    def remove(self, connection: Connection, job_id: str, now: int) -> None:
        """Remove one job; see `JobStore.remove`."""
        if not connection.execute(delete(self._jobs).where(self._jobs.c.id == job_id, self.is_listed)).rowcount:
            raise JobLookupError(job_id)
        self.forget_tags(connection, [job_id])
        self._cancel_pending(connection, now, self._runs.c.job_id == job_id)

    def clear(self, connection: Connection, now: int) -> None:
        """Remove all jobs; see `JobStore.clear`."""
        connection.execute(delete(self._jobs))
        connection.execute(delete(self._tags))
        self._cancel_pending(connection, now)

    def get(self, connection: Connection, job_id: str) -> Job | None:
        """Return one job; see `JobStore.get`."""
        row = connection.execute(select(*self.columns).where(self._jobs.c.id == job_id, self.is_listed)).first()
        return None if row is None else job_of(row, self._codec, resolve=False)

    def select(self, connection: Connection, where: JobFilter, limit: int | None, after: str | None) -> list[Job]:
        """Return jobs; see `JobStore.select`."""
        jobs = self._jobs
        query = select(*self.columns).where(self.is_listed, *self._conditions(where))
        if after is not None:
            query = query.where(self._comes_after(connection, after))
        query = query.order_by(jobs.c.next_run_time.is_(None), jobs.c.next_run_time, jobs.c.id).limit(limit)
        return [job_of(row, self._codec, resolve=False) for row in connection.execute(query)]

    def lanes(self, connection: Connection) -> list[str]:
        """
        Return the lanes of the jobs; see `JobStore.lanes`.

        Cost:
            One step in an index each: MySQL and MariaDB hop from one to the next by themselves, the others are led.
        """
        lane = self._jobs.c.executor
        if connection.dialect.name in ("mysql", "mariadb"):
            return list(connection.execute(select(lane).group_by(lane)).scalars())
        hops = select(func.min(lane).label("lane")).where(IS_SPECIAL, lane > "").cte("hops", recursive=True)
        following = select(func.min(lane)).where(IS_SPECIAL, lane > hops.c.lane).correlate(hops).scalar_subquery()
        hops = hops.union_all(select(following).where(hops.c.lane.is_not(None)))
        return list(connection.execute(select(hops.c.lane).where(hops.c.lane.is_not(None))).scalars())

    def lock_shared(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        """Return which of *ids* are there, retired or not; none of these goes before the transaction ends."""
        column = self._jobs.c.id
        query = select(column).order_by(column).with_for_update(read=True, key_share=True)
        return {
            found
            for some in chunks(sorted(set(ids)))
            for found in connection.execute(query.where(among(column, some, connection))).scalars()
        }

    def forget_retired(self, connection: Connection, ids: Sequence[str] | None = None) -> None:
        """Delete the retired jobs (of those *ids*) of which no run is open."""
        runs = self._runs
        # counted, since a join may be planned while there are no runs and then kept, when it walks through all of them
        count = select(func.count()).select_from(runs).where(runs.c.job_id == self._jobs.c.id, outcome_in(OPEN))
        for dialect in ("mysql", "mariadb"):  # which may take the index of outcomes, with all that is deleted in it
            count = count.with_hint(runs, "FORCE INDEX (PRIMARY)", dialect)
        open_runs = count.correlate(self._jobs).scalar_subquery()
        ended = delete(self._jobs).where(self._jobs.c.state == State.RETIRED.value, open_runs == 0)
        if ids is None:
            connection.execute(ended)
            return
        for some in chunks(sorted(set(ids))):
            connection.execute(ended.where(among(self._jobs.c.id, some, connection)))

    def forget_tags(self, connection: Connection, ids: Sequence[str]) -> None:
        """Find the jobs *ids* by no tag any more; what their definitions say stays."""
        for some in chunks(sorted(ids)):
            connection.execute(delete(self._tags).where(among(self._tags.c.job_id, some, connection)))

    def _lock(self, connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
        """Return the rows of the jobs, retired ones too, which nobody else can change until the transaction ends."""
        jobs = self._jobs
        query = select(*self.columns, jobs.c.state).order_by(jobs.c.id).with_for_update()
        found: dict[str, Any] = {}
        for some in chunks(sorted(ids)):
            rows = connection.execute(query.where(among(jobs.c.id, some, connection))).all()
            found.update((row.id, row) for row in rows)
        return found

    def _merge(self, row: Any, job: Job, merge: Merge) -> Job:
        return merge(job_of(row, self._codec, resolve=False), job.copy())

    def _write_tags(self, connection: Connection, jobs: Iterable[Job]) -> None:
        rows = sorted(row for job in jobs if job.tags for row in tag_values(job))
        bulk_of(connection).write(connection, self._insert_tags, rows)

    def _cancel_pending(self, connection: Connection, now: int, *where: ColumnElement[bool]) -> None:
        ended = {"outcome": Outcome.CANCELLED.value, "finished_at": now, "reason": ORPHANED}
        is_pending = outcome_in([Outcome.PENDING])
        connection.execute(update(self._runs).where(outcome_in(OPEN), is_pending, *where).values(ended))

    def _conditions(self, where: JobFilter) -> Iterator[ColumnElement[bool]]:
        jobs, tags = self._jobs, self._tags
        if where.is_quarantined is not None:
            yield jobs.c.quarantine.is_not(None) if where.is_quarantined else jobs.c.quarantine.is_(None)
        if where.expects_success is not None:
            yield jobs.c.expects_success == 1 if where.expects_success else jobs.c.expects_success.is_(None)
        for name, value in where.tags.items():
            yield exists().where(tags.c.job_id == jobs.c.id, tags.c.name == name, tags.c.value == value)

    def _comes_after(self, connection: Connection, job_id: str) -> ColumnElement[bool]:
        jobs = self._jobs
        place = connection.execute(select(jobs.c.next_run_time).where(jobs.c.id == job_id, self.is_listed)).first()
        if place is None:
            raise JobLookupError(job_id)
        moment = place.next_run_time
        if moment is None:
            return and_(jobs.c.next_run_time.is_(None), jobs.c.id > job_id)
        return or_(
            jobs.c.next_run_time.is_(None),
            jobs.c.next_run_time > moment,
            and_(jobs.c.next_run_time == moment, jobs.c.id > job_id),
        )


def _first(row: Values) -> Any:
    return row[0]
