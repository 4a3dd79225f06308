"""Every error that apsched raises of its own (layer 0).

ApschedError
├── JobLookupError (KeyError)              no job of that id
├── ConflictingIdError (KeyError)          the id is taken
├── AliasLookupError (KeyError)            no executor or job store of that alias
├── TransientJobError (ValueError)         the job cannot be stored there
├── MaxInstancesReachedError               an executor of the APScheduler 3 kind has enough runs of the job
├── UnstorableError (ValueError)           a value is of a type that a serializer does not take
├── JobStoreUnavailableError               the server of a job store cannot be reached or refuses
├── JobStoreVersionError                   what a job store finds was written by another version
├── LeaseLostError                         the node was taken for dead
├── SchedulerStateError                    not now
│   ├── SchedulerAlreadyRunningError
│   └── SchedulerNotRunningError
├── RunLookupError (KeyError)              no run of that id that could be cancelled
├── RunFailedError                         result() of a run that did not succeed
├── ExecutorRefusedError                   the executor does not take the call
├── WorkerDiedError                        the process that ran a job ended under it
├── JobTimeoutError (TimeoutError)         a run took longer than the timeout of its job
├── RetryLater                             a job raises it to be attempted again
├── Cancel                                 a job raises it since there is nothing to do
└── MissingExtraError (ImportError)        pip install apsched[...]

Values of a wrong kind or size raise the built-in TypeError, ValueError and LookupError. This module is where programs
import errors from; `apsched` itself does not repeat them.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80  # characters

LONGEST = 100 * 366 * 86_400  # seconds; keeps the times that are computed with it inside the calendar


class ApschedError(Exception):
    """Base of all errors of this package."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError, a base of some below, would put quotes around the message


class JobLookupError(ApschedError, KeyError):
    """
    A job store has no job of the given id.

    Attributes:
        job_id: The id that was asked for.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(f"No job by the id of {job_id} was found")
        self.job_id = job_id


class ConflictingIdError(ApschedError, KeyError):
    """
    A job is added under an id that another job of the same store has.

    Attributes:
        job_id: The id that is taken.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"Job identifier ({job_id}) conflicts with an existing job; choose another id or pass replace_existing=True"
        )
        self.job_id = job_id


class TransientJobError(ApschedError, ValueError):
    """
    A job is added to a store that cannot keep it, or changed so that it cannot: a lambda, for example, in a database.

    Attributes:
        job_id: The id of the job.
    """

    def __init__(self, job_id: str, reason: str = "its callable cannot be found by a name") -> None:
        super().__init__(f"Job ({job_id}) cannot be kept in this job store: {reason}")
        self.job_id = job_id


class MaxInstancesReachedError(ApschedError):
    """
    A run is given to an executor of the APScheduler 3 kind while `max_instances` runs of its job are under way there.

    No executor of this package raises it: the scheduler does not give such a run out.
    """

    def __init__(self, job: Any) -> None:
        super().__init__(f'Job "{job.id}" has already reached its maximum number of instances ({job.max_instances})')


class JobStoreUnavailableError(ApschedError):
    """The server of a job store cannot be reached, does not answer in time, or refuses the credentials; try again."""


class JobStoreVersionError(ApschedError):
    """What a job store finds under its name was written by another version of apsched, or by something else."""


class LeaseLostError(ApschedError):
    """
    A node claims although others have taken it for dead: it may claim nothing under this id any more.

    Attributes:
        node: The id of the node.
    """

    def __init__(self, node: str) -> None:
        super().__init__(f"node {node} was taken for dead, or has not joined; it must join under a new id")
        self.node = node


class UnstorableError(ApschedError, ValueError):
    """
    A serializer is given what it cannot write.

    Attributes:
        path: Where in the whole it stands: `kwargs['options'][2].started`. A key of the outermost dictionary stands by
            its bare name; the whole itself is `value`.
        value: What stands there.
    """

    def __init__(self, path: str, value: object, problem: str) -> None:
        super().__init__(f"{path} cannot be stored, got {_shown(value)}: {problem}")
        self.path = path
        self.value = value


class SchedulerStateError(ApschedError, RuntimeError):
    """The scheduler is in a state in which the call makes no sense; the message says which call would."""


class SchedulerAlreadyRunningError(SchedulerStateError):
    """`start()` or `configure()` is called on a scheduler that runs."""

    def __init__(self, message: str = "Scheduler is already running") -> None:
        super().__init__(message)


class SchedulerNotRunningError(SchedulerStateError):
    """A call that needs a running scheduler comes before its start or after its shutdown."""

    def __init__(self, message: str = "Scheduler is not running") -> None:
        super().__init__(message)


class RunLookupError(ApschedError, KeyError):
    """
    There is no run of the given id, or none that can be cancelled: it has ended; the message says which.

    Attributes:
        run_id: The id that was asked for.
    """

    def __init__(self, run_id: str, reason: str | None = None) -> None:
        if reason is None:
            super().__init__(f"no run has the id {run_id!r}; get_runs() lists the runs that are kept")
        else:
            super().__init__(f"run {run_id!r} cannot be cancelled: {reason}")
        self.run_id = run_id


class RunFailedError(ApschedError):
    """
    The result of a run is asked for that did not succeed and whose exception is not at hand.

    Attributes:
        run_id: The id of the run.
        outcome: The word for how it ended, for example `"cancelled"`.
        traceback: The traceback, as text, of what it raised on another node; None if it raised nothing.
    """

    def __init__(self, run_id: str, outcome: str, reason: str | None, *, traceback: str | None = None) -> None:
        why = (f" ({reason})" if reason else "") + (f"\n{traceback}" if traceback else "")
        super().__init__(f"run {run_id} has no result: it {outcome}{why}")
        self.run_id = run_id
        self.outcome = outcome
        self.traceback = traceback


class WorkerDiedError(ApschedError):
    """
    The worker process that ran a job ended before the job did.

    Attributes:
        exit_code: What the process returned; negative: minus the number of the signal that ended it.
    """

    def __init__(self, message: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class JobTimeoutError(ApschedError, TimeoutError):
    """
    A run took longer than the `timeout` of its job.

    Attributes:
        timeout: That, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(f"it took longer than its timeout of {timeout:g} s")
        self.timeout = timeout

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.timeout,)


class RetryLater(ApschedError):  # noqa: N818  # it is raised to ask for something
    """
    Raised by a job's callable: this attempt has not succeeded, make another one later.

    The run waits for that as after any other exception, but with the delay named here. `max_attempts` and `give_up_at`
    of the job's `Retry` hold; a job without one may ask for any number of attempts.

    Attributes:
        seconds: After how many seconds, from 0 on.
        reason: Why, for people; or None.

    Raises:
        ValueError: *seconds* is out of range.
    """

    def __init__(self, seconds: float, reason: str | None = None) -> None:
        if not 0 <= seconds <= LONGEST:
            raise ValueError(f"seconds of RetryLater must be from 0 to 100 years, got {seconds!r}")
        super().__init__(reason or f"asked for another attempt in {seconds:g} s")
        self.seconds = seconds
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seconds, self.reason)


class Cancel(ApschedError):  # noqa: N818  # it is raised to ask for something
    """
    Raised by a job's callable: there is nothing to do. The run counts as cancelled and is not attempted again.

    Attributes:
        reason: Why, for people; one sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


class MissingExtraError(ApschedError, ImportError):
    """
    A part of apsched needs a package that is not installed.

    Attributes:
        extra: The name of the extra that brings it.
    """

    def __init__(self, subject: str, extra: str) -> None:
        super().__init__(f"{subject} needs a package that is not installed; pip install 'apsched[{extra}]'")
        self.extra = extra


class ExecutorRefusedError(ApschedError):
    """An executor does not take a call, for example because it is closing; the run goes back to its store."""


class AliasLookupError(ApschedError, KeyError):
    """
    No executor or job store of this scheduler has the given alias.

    Attributes:
        alias: The alias that was asked for.
    """

    def __init__(self, kind: str, alias: str, known: Iterable[str], advice: str | None = None) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"No such {kind}: {alias}; there are: {listed}" + (f"; {advice}" if advice else ""))
        self.alias = alias


def _shown(value: object) -> str:  # pyright: ignore[reportUnusedFunction]  # the serializers show values so, too
    """Return a text of at most some hundred characters for *value*, whatever its own `repr` does."""
    try:
        return _SHORT.repr(value)
    except Exception:  # a number may have more digits than Python converts, and a class of the user may do anything
        return f"<{type(value).__qualname__} object>"
