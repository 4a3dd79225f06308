"""What APScheduler 3 has written, as it was recorded."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import sqlalchemy

from apsched.job import Job
from apsched.migration import FoundJob
from apsched.migration.jobs import StoredJob, convert
from apsched.migration.values import read_state

DATA = Path(__file__).parent / "data"
PICKLES = ("3.6.3", "3.8.1", "3.11.3-protocol-0", "3.11.3-protocol-5")
EXPORT = DATA / "3.11.3-export.json"
NOW = datetime(2031, 1, 6, 10, 30, 15, 123456, tzinfo=UTC)  # when the jobs were added


@cache
def jobs_of(name: str) -> dict[str, Any]:
    """Return the recorded jobs by id: trigger, times and pickle."""
    document: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return document


def state_of(name: str, job_id: str) -> bytes:
    """Return the pickle of a recorded job."""
    return b64decode(jobs_of(name)[job_id]["pickle"])


def found(state: bytes, job_id: str = "job", *, is_scheduled: bool = True, imports: bool = True) -> FoundJob:
    """Return what becomes of a job of that state."""
    stored = StoredJob(id=job_id, read=partial(read_state, state), is_scheduled=is_scheduled)
    return convert(stored, imports=imports)


def converted(name: str, job_id: str) -> Job:
    """Return a recorded job as it is here."""
    result = found(state_of(name, job_id), job_id)
    assert result.job is not None, result.problem
    return result.job


def fire_times(job: Job, count: int) -> list[str]:
    """Return when *job* is due, its next run and those after it, in UTC and before jitter."""
    if job.next_run_time is None or job.next_nominal_time is None:
        return []
    times, moment = [job.next_run_time], job.next_nominal_time
    while len(times) < count and (following := job.trigger.get_next_fire_time(moment, moment)) is not None:
        times.append(following)
        moment = following
    return [moment.astimezone(UTC).isoformat() for moment in times]


def are_jittered(ours: Iterable[str], theirs: Iterable[str], jitter: float) -> bool:
    """Whether *theirs* are at most *jitter* seconds after *ours*."""
    pairs = zip(map(datetime.fromisoformat, ours), map(datetime.fromisoformat, theirs), strict=True)
    return all(timedelta(0) <= later - earlier <= timedelta(seconds=jitter) for earlier, later in pairs)


def write_table(path: Path, states: dict[str, bytes], name: str = "apscheduler_jobs") -> str:
    """Write a table as APScheduler 3 has it into a SQLite file, and return the file's URL."""
    url = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(url)
    table = sqlalchemy.Table(
        name,
        sqlalchemy.MetaData(),
        sqlalchemy.Column("id", sqlalchemy.Unicode(191), primary_key=True),
        sqlalchemy.Column("next_run_time", sqlalchemy.Float(25), index=True),
        sqlalchemy.Column("job_state", sqlalchemy.LargeBinary, nullable=False),
    )
    with engine.begin() as connection:
        table.create(connection)
        rows = [{"id": job_id, "next_run_time": 1e9, "job_state": state} for job_id, state in states.items()]
        connection.execute(table.insert(), rows)
    engine.dispose()
    return url
