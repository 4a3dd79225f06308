"""Let log records say to which run they belong (layer 4).

Rule 1: records of `apsched.*` about a run or a job carry these fields always; they are passed as `extra`, so that they
cost nothing where no record is made.
Rule 2: records of a job's own code get them by `RunFilter`, from a context variable; nothing of `logging` is replaced.
"""

from __future__ import annotations

import logging
from typing import Any

from apsched._current import current
from apsched.run import Outcome, Run

FIELDS: tuple[str, ...] = ("job_id", "run_id", "nominal_time", "attempt", "node")
"""The attributes that a record about a run has; one of `apsched.*` also `jobstore`, if known, and `outcome`."""


class RunFilter(logging.Filter):
    """
    Gives each record that is made inside a run the attributes of `FIELDS`; lets every record pass.

    To be added to handlers: a filter of a logger does not see what the loggers below it hand up.

        handler.addFilter(RunFilter())

    A record that has such an attribute keeps it, and one that is made outside of runs gets none. It works where
    `current_run()` does: in coroutine functions, threads, and worker processes in which logging is set up.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        known: Run | dict[str, Any] | None = current.get()
        if known is not None:
            run = known if isinstance(known, Run) else Run(outcome=Outcome.RUNNING, **known)
            attributes = vars(record)
            for name, value in _fields(run).items():
                attributes.setdefault(name, value)
        return True


def of_run(run: Run, jobstore: str | None = None) -> dict[str, Any]:
    """Return the fields of a record about *run*, of the store with the alias *jobstore*; for `extra`."""
    return {**_fields(run), "outcome": run.outcome.value, **({} if jobstore is None else {"jobstore": jobstore})}


def of_job(job_id: str, jobstore: str | None) -> dict[str, Any]:
    """Return the fields of a record about a job, of the store with the alias *jobstore*; for `extra`."""
    return {"job_id": job_id} if jobstore is None else {"job_id": job_id, "jobstore": jobstore}


def _fields(run: Run) -> dict[str, Any]:
    return {
        "job_id": run.job_id,
        "run_id": run.id,
        "nominal_time": run.nominal_time.isoformat(),
        "attempt": run.attempt,
        "node": run.node,
    }
