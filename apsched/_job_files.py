"""Write jobs to files and read them again (layer 7).

A file holds JSON, `{"version": 2, "jobs": [...]}`. Of each job it has the id, the times and what job stores keep as its
definition. Version 1 is that of APScheduler 3, which has pickles within; they are read without being run.

Rule 1: a file is written when all its jobs could be, and read before the first job is added.
Rule 2: nothing is guessed: what is missing, damaged or not known is said, with the job and the field.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from apsched import _refs
from apsched.engine.make_job import CONFLICTS, Draft
from apsched.engine.registry import JobRegistry
from apsched.exceptions import SchedulerNotRunningError, TransientJobError
from apsched.job import Job, check_id
from apsched.jobstores._codec import OPTIONS, JobCodec, to_micros
from apsched.jobstores.base import JobFilter

VERSION = 2
VERSION_OF_3X = 1
HEAD = b"1:json:"  # before the definitions of the codec; the files say it once, by their version
TIMES = ("next_run_time", "next_nominal_time")
FIELDS = ("id", *TIMES, "func", "trigger", "args", "kwargs", *OPTIONS)
TOLD = 5  # jobs that an error names at most

File: TypeAlias = str | os.PathLike[str] | TextIO
Maker: TypeAlias = Callable[[Mapping[str, Any]], Job]

logger: logging.Logger = logging.getLogger("apsched.jobs")


class JobFiles(JobRegistry):
    """The verbs that export and import jobs."""

    async def export_jobs(self, outfile: File, jobstore: str | None = None) -> None:
        """
        Write jobs to a JSON file, for `import_jobs`: their callables by name, times, options and being paused.

        The history is not written. Blocks while the file is written.

        Args:
            outfile: A path, whose file is overwritten, or a file that is open for writing text.
            jobstore: Alias of a store; None: all stores.

        Raises:
            SchedulerNotRunningError: The scheduler is not running, so its stores are not open.
            AliasLookupError: There is no such store.
            ValueError: Jobs cannot be written, a lambda for example; the message says which, and nothing is written.
            OSError: The file cannot be written.
            TypeError: *outfile* is neither a path nor a file.
        """
        if not self._is_started:
            raise SchedulerNotRunningError(
                "export_jobs() reads the job stores, which open at the start; start it first"
            )
        jobs = [job for alias in self._aliases(jobstore) for job in await self._store(alias).select(JobFilter())]
        _write(outfile, to_text(jobs))

    async def import_jobs(
        self, infile: File, jobstore: str = "default", *, replace_existing: bool = False
    ) -> list[Job]:
        """
        Add the jobs of a file that `export_jobs` has written, here or in APScheduler 3, to one store: all or none.

        They go on as they were: a next run time that has passed makes a late run, and a paused job stays paused. The
        modules of their callables are imported, so import only files that you trust. Blocks while the file is read.

        Args:
            infile: A path, or a file that is open for reading.
            jobstore: Alias of the store.
            replace_existing: Whether jobs of the file take the place of those of the same id.

        Returns:
            The jobs as they are kept, in the order of the file.

        Raises:
            ConflictingIdError: An id is taken, and *replace_existing* is not set.
            TransientJobError: The store cannot keep a job.
            AliasLookupError: There is no such store, or no executor that a job names.
            ValueError: The file holds something else or is damaged, or the callable of a job is not found or does not
                take its arguments; the message says which job, and what.
            OSError: The file cannot be read.
        """
        merge = CONFLICTS["reset" if replace_existing else "error"]
        jobs = from_text(*_read(infile))
        for job in jobs:
            job.jobstore = jobstore
        return await self._add(jobstore, [Draft(job, is_timed=True, merge=merge) for job in jobs])


def to_text(jobs: Sequence[Job]) -> str:
    """
    Return what a file of *jobs* holds.

    Raises:
        ValueError: Some cannot be written.
    """
    codec = JobCodec()
    entries, problems = [], []
    for job in jobs:
        try:
            definition = json.loads(codec.encode(job).removeprefix(HEAD))
        except TransientJobError as exc:
            problems.append(f"job {job.id!r}: {exc.__cause__}")
            continue
        times = {name: moment and moment.isoformat() for name in TIMES for moment in [getattr(job, name)]}
        entries.append({"id": job.id, **times, **definition})
    if problems:
        more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise ValueError(
            f"{len(problems)} of {len(jobs)} jobs cannot be exported, and no file is written: "
            + "; ".join(problems[:TOLD])
            + more
        )
    return json.dumps({"version": VERSION, "jobs": entries}, indent=1, ensure_ascii=False) + "\n"


def from_text(text: str | bytes, source: str) -> list[Job]:
    """
    Return the jobs that `to_text` wrote.

    Args:
        text: What the file holds.
        source: Its name; begins the message of an error.

    Raises:
        ValueError: It holds something else or is damaged, or the callable of a job is not found or does not take its
            arguments.
    """
    entries, make = _entries(text, source)
    jobs: dict[str, Job] = {}
    for number, entry in enumerate(entries, 1):
        place = f"{source}, job {number} of {len(entries)}"
        if not isinstance(entry, dict):
            raise ValueError(f"{place} must be an object with an id, a func and a trigger, got {entry!r:.80}")
        try:
            job = make(entry)
            if not isinstance(job.func, str):
                _refs.check_arguments(job.func, job.args, job.kwargs)
        except (LookupError, TypeError, ValueError) as exc:
            raise ValueError(f"{place} ({entry.get('id')!r}) cannot be imported: {exc}") from exc
        if jobs.setdefault(job.id, job) is not job:
            raise ValueError(f"{place} has the id {job.id!r}, which an earlier job of the file has; give it another")
    return list(jobs.values())


def _entries(text: str | bytes, source: str) -> tuple[list[Any], Maker]:
    """Return what the file holds of each job, and what makes the job of it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{source} is not a file that export_jobs has written: {exc}") from exc
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
        raise ValueError(f"{source} is not a file that export_jobs has written: it has no list of jobs")
    version = document.get("version")
    if version not in (VERSION, VERSION_OF_3X):
        raise ValueError(f"{source} is of version {version!r}, and this release reads up to {VERSION}; update apsched")
    return document["jobs"], partial(_job, JobCodec()) if version == VERSION else _job_of_3x


def _job(codec: JobCodec, entry: Mapping[str, Any]) -> Job:
    if unknown := entry.keys() - set(FIELDS):
        raise ValueError(f"it has no field {', '.join(sorted(unknown))}; there are: {', '.join(FIELDS)}")
    definition = {name: value for name, value in entry.items() if name not in ("id", *TIMES)}
    job_id = check_id(entry.get("id"))
    run_time = _moment(entry, "next_run_time")
    nominal_time = _moment(entry, "next_nominal_time") if "next_nominal_time" in entry else run_time
    data = HEAD + json.dumps(definition, ensure_ascii=False).encode("utf-8", "surrogatepass")
    job = codec.decode(job_id, data, nominal_time, run_time, None, resolve=True)
    if job.quarantine is not None:
        raise ValueError(job.quarantine)
    return job


def _job_of_3x(entry: Mapping[str, Any]) -> Job:
    from apsched.migration.exported import stored_jobs
    from apsched.migration.jobs import convert

    (stored,) = stored_jobs([entry])
    found = convert(stored, imports=True)
    if found.job is None:
        raise ValueError(found.problem)
    found.job.func = _refs.resolve(str(found.job.func))
    for remark in found.remarks:
        logger.info("job %r of APScheduler 3: %s", found.id, remark)
    return found.job


def _moment(entry: Mapping[str, Any], name: str) -> int | None:
    """Return microseconds."""
    if name not in entry:
        raise ValueError(f"it has no {name}; give it the time with its offset, or null for a paused job")
    text = entry[name]
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"its {name} must be text such as '2026-01-31T08:30:00+02:00' or null, got {text!r:.80}")
    return to_micros(moment)


def _write(outfile: File, text: str) -> None:
    if isinstance(outfile, (str, os.PathLike)):
        Path(outfile).write_text(text, encoding="utf-8")
    elif hasattr(outfile, "write"):
        outfile.write(text)
    else:
        raise TypeError(f"outfile must be a path or a file that is open for writing text, got {outfile!r}")


def _read(infile: File) -> tuple[str | bytes, str]:
    """Return what the file holds, and its name."""
    if isinstance(infile, (str, os.PathLike)):
        return Path(infile).read_bytes(), os.fspath(infile)
    if not hasattr(infile, "read"):
        raise TypeError(f"infile must be a path or a file that is open for reading, got {infile!r}")
    return infile.read(), str(getattr(infile, "name", "the file"))
