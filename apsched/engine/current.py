"""Tell a job's callable which run, and which job, it is part of (layer 6)."""

from __future__ import annotations

from apsched._current import current, job_of_current
from apsched.exceptions import SchedulerStateError
from apsched.job import Job
from apsched.run import Outcome, Run


def current_run() -> Run:
    """
    Return the run that the calling code belongs to.

    Works in coroutine functions, in threads and in worker processes of the built-in executors. `cancelled` of the run
    becomes True when nobody waits for it any more; in a worker process, which is ended then, it does not.

    Raises:
        SchedulerStateError: The calling code is not part of a run.
    """
    run: Run | dict[str, object] | None = current.get()
    if run is None:
        raise SchedulerStateError("current_run() was called outside of a run; call it from a job's callable")
    if isinstance(run, Run):
        return run
    made = Run(outcome=Outcome.RUNNING, **run)  # type: ignore[arg-type]  # what _process_runner.py sends
    current.set(made)
    return made


def current_job() -> Job:
    """
    Return the job whose run the calling code belongs to, as it was when the run was claimed.

    Works where `current_run` does, but for worker processes, middleware and what it calls included. To change the job,
    use the verbs of its scheduler.

    Raises:
        SchedulerStateError: The calling code is not part of a run, or is in a worker process, which gets the run alone.
    """
    job: Job | None = job_of_current.get()
    if job is not None:
        return job
    if current.get() is None:
        raise SchedulerStateError("current_job() was called outside of a run; call it from a job's callable")
    raise SchedulerStateError(
        "current_job() was called in a worker process, which gets the run alone; use current_run() there, which has "
        "the job's id"
    )
