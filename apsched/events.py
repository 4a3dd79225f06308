"""Say what listeners are told: the event codes and classes of APScheduler 3, and what goes beyond them (layer 4).

* `EVENT_SCHEDULER_STARTED`, also `EVENT_SCHEDULER_START` (`SchedulerEvent`): the scheduler has started
* `EVENT_SCHEDULER_SHUTDOWN` (`SchedulerEvent`): it has shut down
* `EVENT_SCHEDULER_PAUSED` (`SchedulerEvent`): it claims nothing until it is resumed
* `EVENT_SCHEDULER_RESUMED` (`SchedulerEvent`): it claims again
* `EVENT_EXECUTOR_ADDED` (`SchedulerEvent`): an executor was added; `alias`
* `EVENT_EXECUTOR_REMOVED` (`SchedulerEvent`): an executor was removed; `alias`
* `EVENT_JOBSTORE_ADDED` (`SchedulerEvent`): a store was added; `alias`
* `EVENT_JOBSTORE_REMOVED` (`SchedulerEvent`): a store was removed; `alias`
* `EVENT_ALL_JOBS_REMOVED` (`SchedulerEvent`): all jobs of a store, or of all, were removed; `alias`
* `EVENT_JOB_ADDED` (`JobEvent`): a job is in its store
* `EVENT_JOB_REMOVED` (`JobEvent`): a job was removed, or its trigger is finished
* `EVENT_JOB_MODIFIED` (`JobEvent`): a job was changed, paused, resumed or rescheduled
* `EVENT_JOB_EXECUTED` (`JobExecutionEvent`): a run succeeded; `retval`
* `EVENT_JOB_ERROR` (`JobExecutionEvent`): a run failed; `exception`, `traceback`
* `EVENT_JOB_MISSED` (`JobExecutionEvent`): a run was too late
* `EVENT_JOB_SUBMITTED` (`JobSubmissionEvent`): runs were given to their executor
* `EVENT_JOB_MAX_INSTANCES` (`JobSubmissionEvent`): a run was skipped for another one
* `EVENT_JOB_COALESCED` (`JobExecutionEvent`): nominal times stand behind a later one
* `EVENT_JOB_CANCELLED` (`JobExecutionEvent`): a run was cancelled
* `EVENT_JOB_QUARANTINED` (`JobEvent`): no run can be made of a job; `detail`
* `EVENT_CLOCK_JUMPED` (`SchedulerEvent`): the wall clock was moved by more than two seconds; `detail`
* `EVENT_JOBSTORE_FAILED` (`SchedulerEvent`): a store cannot be used; `alias`, `detail`
* `EVENT_JOBSTORE_RECOVERED` (`SchedulerEvent`): it can be used again; `alias`
* `EVENT_JOB_ABANDONED` (`JobExecutionEvent`): the node of a run died, and it is not run again
* `EVENT_NODE_LOST` (`SchedulerEvent`): another node was taken for dead; `alias`, `detail`
* `EVENT_LEASE_LOST` (`SchedulerEvent`): this node was taken for dead; it goes on under a new id; `alias`, `detail`
* `EVENT_LOOP_BLOCKED` (`SchedulerEvent`): something has blocked the event loop, which goes on now; `detail`
* `EVENT_JOB_RETRYING` (`JobExecutionEvent`): an attempt has failed, and another one follows at `run.due_time`;
  `exception`
* `EVENT_JOB_OVERDUE` (`JobEvent`): a job has not succeeded for as long as its `expect_success_within`; `detail`
* `EVENT_ALL`: all of these
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from apsched.run import Outcome, Run

EVENT_SCHEDULER_STARTED = EVENT_SCHEDULER_START = 2**0
EVENT_SCHEDULER_SHUTDOWN = 2**1
EVENT_SCHEDULER_PAUSED = 2**2
EVENT_SCHEDULER_RESUMED = 2**3
EVENT_EXECUTOR_ADDED = 2**4
EVENT_EXECUTOR_REMOVED = 2**5
EVENT_JOBSTORE_ADDED = 2**6
EVENT_JOBSTORE_REMOVED = 2**7
EVENT_ALL_JOBS_REMOVED = 2**8
EVENT_JOB_ADDED = 2**9
EVENT_JOB_REMOVED = 2**10
EVENT_JOB_MODIFIED = 2**11
EVENT_JOB_EXECUTED = 2**12
EVENT_JOB_ERROR = 2**13
EVENT_JOB_MISSED = 2**14
EVENT_JOB_SUBMITTED = 2**15
EVENT_JOB_MAX_INSTANCES = 2**16
EVENT_JOB_COALESCED = 2**17
EVENT_JOB_CANCELLED = 2**18
EVENT_JOB_QUARANTINED = 2**19
EVENT_CLOCK_JUMPED = 2**20
EVENT_JOBSTORE_FAILED = 2**21
EVENT_JOBSTORE_RECOVERED = 2**22
EVENT_JOB_ABANDONED = 2**23
EVENT_NODE_LOST = 2**24
EVENT_LEASE_LOST = 2**25
EVENT_LOOP_BLOCKED = 2**26
EVENT_JOB_RETRYING = 2**27
EVENT_JOB_OVERDUE = 2**28
EVENT_ALL = 2**29 - 1

NAMES: dict[int, str] = {
    value: name
    for name, value in list(globals().items())
    if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START")
}
"""Code -> name of the constant."""

OUTCOMES: dict[int, Outcome] = {
    EVENT_JOB_EXECUTED: Outcome.SUCCEEDED,
    EVENT_JOB_ERROR: Outcome.FAILED,
    EVENT_JOB_MISSED: Outcome.MISSED,
    EVENT_JOB_COALESCED: Outcome.COALESCED,
    EVENT_JOB_CANCELLED: Outcome.CANCELLED,
    EVENT_JOB_ABANDONED: Outcome.ABANDONED,
    EVENT_JOB_RETRYING: Outcome.PENDING,
}
"""Code of a `JobExecutionEvent` -> what became of the run."""


@attrs.frozen(eq=False)
class SchedulerEvent:
    """
    Something happened to the scheduler or a part of it.

    Attributes:
        code: One of the `EVENT_` constants.
        alias: Alias of the store or executor that it is about, or None.
        detail: One sentence that says more, or None (clock jumps, store failures, blocks).
    """

    code: int
    alias: str | None = None
    detail: str | None = attrs.field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """The name of the code's constant."""
        return NAMES.get(self.code, str(self.code))


@attrs.frozen(eq=False)
class JobEvent(SchedulerEvent):
    """
    Something happened to a job.

    Attributes:
        job_id: The id of the job.
        jobstore: Alias of its store.
    """

    job_id: str  # pyright: ignore[reportGeneralTypeIssues]  # attrs puts what is declared again, as alias is, last
    jobstore: str  # pyright: ignore[reportGeneralTypeIssues]
    alias: str | None = attrs.field(default=None, kw_only=True)


@attrs.frozen(eq=False)
class JobSubmissionEvent(JobEvent):
    """
    Runs were given to their executor, or would have been but for runs of the job that are under way.

    Attributes:
        scheduled_run_times: Their nominal times, aware.
        runs: The runs.
    """

    scheduled_run_times: list[datetime]
    runs: tuple[Run, ...] = attrs.field(default=(), kw_only=True)


def _run_of(event: JobExecutionEvent) -> Run:
    return Run(
        job_id=event.job_id,
        nominal_time=event.scheduled_run_time,
        due_time=event.scheduled_run_time,
        outcome=OUTCOMES[event.code],
        retval=event.retval,
        error=event.traceback,
    )


@attrs.frozen(eq=False)
class JobExecutionEvent(JobEvent):
    """
    The outcome of a run was stored.

    Attributes:
        scheduled_run_time: The nominal time, aware.
        retval: What the callable returned.
        exception: What it raised; None if it did not, or if that happened on another node.
        traceback: The traceback of that, as text.
        run: The run; where it is not given, one that is made of the other attributes.
    """

    scheduled_run_time: datetime
    retval: Any = None
    exception: BaseException | None = None
    traceback: str | None = None
    run: Run = attrs.field(default=attrs.Factory(_run_of, takes_self=True), kw_only=True)
