"""Job stores as users have written them for APScheduler 3, with the package name changed."""

from __future__ import annotations

import pickle
import sqlite3
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from apsched.job import Job
from apsched.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError


class DictStore(BaseJobStore):
    """Keeps pickled states in a dictionary, which may be that of another store."""

    def __init__(self, states: dict[str, bytes] | None = None) -> None:
        self.states = {} if states is None else states

    def lookup_job(self, job_id: str) -> Job | None:
        return self.restored(self.states[job_id]) if job_id in self.states else None

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return [job for job in self.get_all_jobs() if job.next_run_time is not None and job.next_run_time <= now]

    def get_next_run_time(self) -> datetime | None:
        times = [job.next_run_time for job in self.get_all_jobs() if job.next_run_time is not None]
        return times[0] if times else None

    def get_all_jobs(self) -> list[Job]:
        jobs = [self.restored(state) for state in self.states.values()]
        jobs.sort(key=lambda job: (0.0 if job.next_run_time is None else job.next_run_time.timestamp(), job.id))
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job: Job) -> None:
        if job.id in self.states:
            raise ConflictingIdError(job.id)
        self.states[job.id] = pickle.dumps(job.__getstate__())

    def update_job(self, job: Job) -> None:
        if job.id not in self.states:
            raise JobLookupError(job.id)
        self.states[job.id] = pickle.dumps(job.__getstate__())

    def remove_job(self, job_id: str) -> None:
        if self.states.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self.states.clear()

    def restored(self, state: bytes) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(pickle.loads(state))
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job


class ObjectStore(DictStore):
    """Keeps the very jobs that it is given, in order, as the memory store of APScheduler 3 does."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    def lookup_job(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    def get_all_jobs(self) -> list[Job]:
        return sorted(self.jobs.values(), key=lambda job: (str(job.next_run_time or "paused"), job.id))

    def add_job(self, job: Job) -> None:
        if job.id in self.jobs:
            raise ConflictingIdError(job.id)
        self.jobs[job.id] = job

    def update_job(self, job: Job) -> None:
        if job.id not in self.jobs:
            raise JobLookupError(job.id)
        self.jobs[job.id] = job

    def remove_job(self, job_id: str) -> None:
        if job_id not in self.jobs:
            raise JobLookupError(job_id)
        del self.jobs[job_id]

    def remove_all_jobs(self) -> None:
        self.jobs.clear()


class TableStore(BaseJobStore):
    """
    Keeps pickled states in a table, which has the columns of APScheduler 3's own store.

    Removes, as that does, what it cannot restore.
    """

    def __init__(self, url: str, tablename: str = "jobs") -> None:
        super().__init__()
        self.engine = sa.create_engine(url)
        self.jobs_t = sa.Table(
            tablename,
            sa.MetaData(),
            sa.Column("id", sa.Unicode(191), primary_key=True),
            sa.Column("next_run_time", sa.Float(25), index=True),
            sa.Column("job_state", sa.LargeBinary, nullable=False),
        )

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self.jobs_t.create(self.engine, checkfirst=True)

    def shutdown(self) -> None:
        self.engine.dispose()

    def lookup_job(self, job_id: str) -> Job | None:
        jobs = self._get_jobs(self.jobs_t.c.id == job_id)
        return jobs[0] if jobs else None

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return self._get_jobs(self.jobs_t.c.next_run_time <= now.timestamp())

    def get_next_run_time(self) -> datetime | None:
        with self.engine.begin() as connection:
            found = connection.execute(sa.select(sa.func.min(self.jobs_t.c.next_run_time))).scalar()
        return None if found is None else datetime.fromtimestamp(found, UTC)

    def get_all_jobs(self) -> list[Job]:
        jobs = self._get_jobs()
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job: Job) -> None:
        with self.engine.begin() as connection:
            try:
                connection.execute(self.jobs_t.insert().values(id=job.id, **self._values(job)))
            except sa.exc.IntegrityError:
                raise ConflictingIdError(job.id) from None

    def update_job(self, job: Job) -> None:
        self._change(self.jobs_t.update().values(**self._values(job)), job.id)

    def remove_job(self, job_id: str) -> None:
        self._change(self.jobs_t.delete(), job_id)

    def remove_all_jobs(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.jobs_t.delete())

    def _change(self, statement: Any, job_id: str) -> None:
        with self.engine.begin() as connection:
            if connection.execute(statement.where(self.jobs_t.c.id == job_id)).rowcount == 0:
                raise JobLookupError(job_id)

    def _values(self, job: Job) -> dict[str, Any]:
        moment = None if job.next_run_time is None else job.next_run_time.timestamp()
        return {"next_run_time": moment, "job_state": pickle.dumps(job.__getstate__())}

    def _get_jobs(self, *conditions: Any) -> list[Job]:
        jobs = []
        lost = set()
        rows = sa.select(self.jobs_t.c.id, self.jobs_t.c.job_state).order_by(self.jobs_t.c.next_run_time)
        with self.engine.begin() as connection:
            for row in connection.execute(rows.where(*conditions)):
                try:
                    job = Job.__new__(Job)
                    job.__setstate__({**pickle.loads(row.job_state), "jobstore": self})
                    job._scheduler = self._scheduler
                    job._jobstore_alias = self._alias
                    jobs.append(job)
                except Exception:
                    self._logger.exception("cannot restore job %s: removing it", row.id)
                    lost.add(row.id)
            connection.execute(self.jobs_t.delete().where(self.jobs_t.c.id.in_(lost)))
        return jobs


class TellingStore(TableStore):
    """Notes what is done, around what its base does."""

    def __init__(self, url: str, tablename: str = "jobs") -> None:
        super().__init__(url, tablename)
        self.told: list[tuple[str, str]] = []

    def add_job(self, job: Job) -> None:
        super().add_job(job)
        self.told.append(("added", job.id))

    def update_job(self, job: Job) -> None:
        super().update_job(job)
        self.told.append(("updated", job.id))

    def remove_job(self, job_id: str) -> None:
        super().remove_job(job_id)
        self.told.append(("removed", job_id))


class ColumnStore(DictStore):
    """Keeps what APScheduler 3 knows of a job in columns of SQLite, through a connection of one thread."""

    def __init__(self, path: str) -> None:
        self.path = path

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, name TEXT, func TEXT, run_at TEXT, rest BLOB)"
        )

    def shutdown(self) -> None:
        self.connection.close()

    def lookup_job(self, job_id: str) -> Job | None:
        jobs = [job for job in self.get_all_jobs() if job.id == job_id]
        return jobs[0] if jobs else None

    def get_all_jobs(self) -> list[Job]:
        rows = self.connection.execute("SELECT id, name, func, run_at, rest FROM jobs ORDER BY run_at IS NULL, run_at")
        return [self.read(*row) for row in rows]

    def add_job(self, job: Job) -> None:
        try:
            self.connection.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", (job.id, *self.write(job)))
        except sqlite3.IntegrityError:
            raise ConflictingIdError(job.id) from None

    def update_job(self, job: Job) -> None:
        statement = "UPDATE jobs SET name = ?, func = ?, run_at = ?, rest = ? WHERE id = ?"
        if self.connection.execute(statement, (*self.write(job), job.id)).rowcount == 0:
            raise JobLookupError(job.id)

    def remove_job(self, job_id: str) -> None:
        if self.connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,)).rowcount == 0:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self.connection.execute("DELETE FROM jobs")

    def write(self, job: Job) -> tuple[Any, ...]:
        names = ("trigger", "executor", "args", "kwargs", "misfire_grace_time", "coalesce", "max_instances")
        rest = tuple(getattr(job, name) for name in names)
        moment = None if job.next_run_time is None else job.next_run_time.astimezone(UTC).isoformat()
        return job.name, job.func_ref, moment, pickle.dumps(rest)

    def read(self, job_id: str, name: str, func: str, moment: str | None, rest: bytes) -> Job:
        names = ("trigger", "executor", "args", "kwargs", "misfire_grace_time", "coalesce", "max_instances")
        state = dict(zip(names, pickle.loads(rest), strict=True))
        at = None if moment is None else datetime.fromisoformat(moment)
        job = Job.__new__(Job)
        job.__setstate__({"version": 1, "id": job_id, "name": name, "func": func, "next_run_time": at, **state})
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job
