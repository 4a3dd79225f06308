"""Say what a job is, and check what users ask of one (layer 2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from inspect import isclass, ismethod
from typing import Any, Literal, Protocol, get_args

import attrs

from apsched import _refs
from apsched.exceptions import LONGEST, SchedulerStateError, TransientJobError
from apsched.retry import Retry
from apsched.triggers.after import After
from apsched.triggers.base import BaseTrigger

Overlap = Literal["skip", "queue_one", "queue_all", "cancel_running", "allow"]
"""What a nominal time does that comes while `max_instances` runs of its job are under way."""

OVERLAPS: tuple[str, ...] = get_args(Overlap)

OnCrash = Literal["rerun", "abandon"]
"""What becomes of a run whose node dies while it is under way."""

ON_CRASH: tuple[str, ...] = get_args(OnCrash)

NO_KWARGS: Mapping[str, Any] = {}  # one for all jobs without keyword arguments


class JobFace(Protocol):
    """What the handle methods of a job call: the blocking verbs of the scheduler that gave the job out."""

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job: ...
    def reschedule_job(
        self, job_id: str, jobstore: str | None = None, trigger: Any = None, **trigger_args: Any
    ) -> Job: ...
    def pause_job(self, job_id: str, jobstore: str | None = None) -> Job: ...
    def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None: ...
    def remove_job(self, job_id: str, jobstore: str | None = None) -> None: ...


@attrs.define(eq=False, kw_only=True, repr=False, str=False)
class Job:
    """
    What runs when: a callable, its arguments, a trigger and options.

    A value to the core. The memory store keeps the job that it is given and moves its `next_run_time` on, so that a job
    at hand shows what comes next. Change jobs through `modify_job` and its sisters, not by setting attributes. Two jobs
    are equal if they have the same id.

    Attributes:
        id: Unique in its store.
        name: For people; by default that of the callable.
        func: The callable, or its reference `"package.module:qualified.name"`, which is resolved when a run starts.
        trigger: Says the nominal times.
        args: Positional arguments of the callable.
        kwargs: Keyword arguments of the callable.
        executor: Alias of the executor that runs it.
        misfire_grace_time: How many seconds after its due time a run may still start, more than 0; None: any number.
        coalesce: Whether of several nominal times that are due at once only the last runs.
        max_instances: How many runs of the job may be under way at a time, at least 1.
        overlap: What a nominal time beyond that does: `"skip"` (recorded as skipped), `"queue_one"` (waits, unless one
            waits already), `"queue_all"` (waits), `"cancel_running"` (runs, and those under way are cancelled),
            `"allow"` (runs).
        tags: Names and values to find jobs by.
        keep_runs: How many finished runs the history keeps; None: what the store keeps by default.
        on_crash: What becomes of a run whose node dies: `"rerun"` (another node starts it again: at least once) or
            `"abandon"` (it is recorded as abandoned: at most once).
        timeout: How many seconds a run may take from the moment that the callable is entered, more than 0; None: any
            number.
        retry: When a run that has failed is attempted again; None: never.
        expect_success_within: After how many seconds without a run that succeeded the job counts as overdue, more than
            0; None: never.
        priority: From -10 to 10. Where more jobs are due than may run, those of the highest priority come first, and
            among these the earliest.
        requires: Words for what a node must have to run it, all of them; see `capabilities` of the scheduler.
        next_run_time: When the job is due next, aware; None if it is paused; the year 9999 if it waits for another job.
        next_nominal_time: The nominal time of that, before jitter.
        quarantine: Why no run can be made of it, one sentence; None if all is well.
        is_pending: Whether it waits for the scheduler to start and is in no store yet.
        jobstore: Alias of the store that has it.
    """

    id: str
    name: str
    func: Callable[..., Any] | str
    trigger: BaseTrigger
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = NO_KWARGS
    executor: str = "default"
    misfire_grace_time: float | None = None
    coalesce: bool = True
    max_instances: int = 1
    overlap: Overlap = "skip"
    tags: Mapping[str, str] = NO_KWARGS
    keep_runs: int | None = None
    on_crash: OnCrash = "rerun"
    timeout: float | None = None
    retry: Retry | None = None
    expect_success_within: float | None = None
    priority: int = 0
    requires: tuple[str, ...] = ()
    next_run_time: datetime | None = None
    next_nominal_time: datetime | None = None
    quarantine: str | None = None
    is_pending: bool = False
    jobstore: str | None = None
    _face: JobFace | None = None

    @property
    def func_ref(self) -> str | None:
        """`"package.module:qualified.name"` of the callable; None if it has no importable name."""
        return self.func if isinstance(self.func, str) else _refs.ref_of(self.func)

    @property
    def lane(self) -> str:
        """The text by which stores sort due jobs: the alias of the executor, and what else decides who takes it."""
        if not self.priority and not self.requires:
            return self.executor
        return f"{self.executor}|{self.priority}|{','.join(self.requires)}"

    @property
    def follows(self) -> str | None:
        """The id of the job whose runs it follows; None if its trigger is no `After`."""
        return self.trigger.job if isinstance(self.trigger, After) else None

    @property
    def pending(self) -> bool:
        """The name of `is_pending` in APScheduler 3."""
        return self.is_pending

    def modify(self, **changes: Any) -> Job:
        """
        Change any attributes but the id, and return this job; see `modify_job`. Blocks.

        Args:
            **changes: Attributes and their new values.

        Raises:
            JobLookupError: The job is gone from its store.
            SchedulerStateError: A blocking scheduler has not given the job out; use the verb of yours.
            AttributeError: There is no such attribute, or it may not be changed.
            ValueError: A value is out of range.
            TypeError: A value is of the wrong type.
        """
        return self._take(self._verbs("modify_job").modify_job(self.id, self.jobstore, **changes))

    def reschedule(self, trigger: Any, **trigger_args: Any) -> Job:
        """
        Give it another trigger, and return this job; see `reschedule_job`. Blocks.

        Args:
            trigger: A trigger, or the alias of one, which is made of *trigger_args*.
            **trigger_args: Arguments of the trigger.

        Raises:
            JobLookupError: The job is gone from its store.
            SchedulerStateError: A blocking scheduler has not given the job out; use the verb of yours.
            LookupError: The alias of the trigger is not known.
            ValueError: The trigger has no time left, or a value is out of range.
            TypeError: A value is of the wrong type.
        """
        return self._take(self._verbs("reschedule_job").reschedule_job(self.id, self.jobstore, trigger, **trigger_args))

    def pause(self) -> Job:
        """
        Let it not run until it is resumed, and return this job. Blocks.

        Raises:
            JobLookupError: The job is gone from its store.
            SchedulerStateError: A blocking scheduler has not given the job out; use the verb of yours.
        """
        return self._take(self._verbs("pause_job").pause_job(self.id, self.jobstore))

    def resume(self) -> Job | None:
        """
        Let it run again. Blocks.

        Returns:
            This job, or None if its trigger has no time left, in which case it is removed.

        Raises:
            JobLookupError: The job is gone from its store.
            SchedulerStateError: A blocking scheduler has not given the job out; use the verb of yours.
        """
        job = self._verbs("resume_job").resume_job(self.id, self.jobstore)
        return None if job is None else self._take(job)

    def remove(self) -> None:
        """
        Remove it from its store. Blocks.

        Raises:
            JobLookupError: The job is gone from its store.
            SchedulerStateError: A blocking scheduler has not given the job out; use the verb of yours.
        """
        self._verbs("remove_job").remove_job(self.id, self.jobstore)

    def become_handle_of(self, face: JobFace) -> None:
        """Let the methods above use the verbs of *face*."""
        self._face = face

    def copy(self) -> Job:
        """Return a job of the same values."""
        return attrs.evolve(self)

    def become(self, other: Job) -> None:
        """Take over every value of *other*."""
        for name in _FIELDS:
            setattr(self, name, getattr(other, name))

    def __getstate__(self) -> dict[str, Any]:
        """
        Return the values under the names that they have in APScheduler 3, and those that it does not know.

        For job stores that pickle jobs; nothing else of a job is pickled.

        Raises:
            TransientJobError: The callable has no importable name.
        """
        func: Any = self.func
        args = self.args
        if ismethod(func) and not isclass(func.__self__):
            func, args = func.__func__, (func.__self__, *args)
        ref = func if isinstance(func, str) else _refs.ref_of(func)
        if ref is None:
            raise TransientJobError(
                self.id, f"its callable must have an importable name, got {func!r}; define it at module level"
            )
        return {"version": STATE_VERSION, **{name: getattr(self, name) for name in STATE}, "func": ref, "args": args}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """
        Take the values that `__getstate__` returned, or that of APScheduler 3 did.

        A callable that is not found is left to be found when a run starts, so that a store loses no job for it.

        Raises:
            ValueError: They are of a later version.
        """
        if (version := state.get("version", 1)) > STATE_VERSION:
            raise ValueError(f"the state of a job must be of version {STATE_VERSION}, got {version!r}; update apsched")
        values = {name: state[name] for name in STATE if name in state}
        values.setdefault("next_nominal_time", values.get("next_run_time"))
        with suppress(LookupError):
            values["func"] = _refs.resolve(values["func"])
        values["args"] = tuple(values.get("args", ()))
        self.become(Job(**values))

    @property
    def _jobstore_alias(self) -> str | None:
        """The name of `jobstore` in APScheduler 3."""
        return self.jobstore

    @_jobstore_alias.setter
    def _jobstore_alias(self, alias: str | None) -> None:
        self.jobstore = alias

    @property
    def _scheduler(self) -> JobFace | None:
        """What APScheduler 3 calls the scheduler of the handle methods."""
        return self._face

    @_scheduler.setter
    def _scheduler(self, scheduler: JobFace | None) -> None:
        self._face = scheduler

    def _take(self, other: Job) -> Job:
        if other is not self:
            self.become(other)
        return self

    def _verbs(self, verb: str) -> JobFace:
        if self._face is None:
            raise SchedulerStateError(
                f"job {self.id!r} was not given out by a blocking scheduler; "
                f"use await scheduler.{verb}({self.id!r}, ...)"
            )
        return self._face

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Job) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Job (id={self.id} name={self.name})>"

    def __str__(self) -> str:
        if self.is_pending and self.next_run_time is not None:
            status = "pending"
        elif self.quarantine is not None:
            status = f"quarantined: {self.quarantine}"
        elif self.next_run_time is None:
            status = "paused"
        elif self.follows is not None:
            status = "waiting"
        else:
            status = f"next run at: {self.next_run_time:%Y-%m-%d %H:%M:%S %Z}"
        return f"{self.name} (trigger: {self.trigger}, {status})"


_FIELDS = tuple(field.name for field in attrs.fields(Job))

STATE_VERSION = 1
STATE: tuple[str, ...] = tuple(
    name for name in _FIELDS if name not in ("quarantine", "is_pending", "jobstore") and not name.startswith("_")
)
"""Attributes in the state of a job."""


@attrs.frozen(kw_only=True)
class JobDefaults:
    """
    Options of jobs that do not name their own; the meanings are those of the attributes of `Job`.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value is out of range.
    """

    misfire_grace_time: float | None = None
    coalesce: bool = True
    max_instances: int = 1
    overlap: Overlap = "skip"
    keep_runs: int | None = None
    on_crash: OnCrash = "rerun"
    timeout: float | None = None
    retry: Retry | None = None
    expect_success_within: float | None = None
    priority: int = 0

    def __attrs_post_init__(self) -> None:
        for name in _DEFAULTS:
            object.__setattr__(self, name, OPTION_CHECKS[name](getattr(self, name)))

    @classmethod
    def of(cls, value: JobDefaults | Mapping[str, Any] | None) -> JobDefaults:
        """
        Return *value* as defaults.

        Raises:
            TypeError: An option is unknown or of the wrong type.
            ValueError: An option is out of range.
        """
        if value is None:
            return cls()
        if isinstance(value, JobDefaults):
            return value
        for name in value:
            if name not in _DEFAULTS:
                raise TypeError(f"job_defaults has no option {name!r}; there are: {', '.join(_DEFAULTS)}")
        return cls(**value)


_DEFAULTS = tuple(field.name for field in attrs.fields(JobDefaults))


def check_id(value: object) -> str:
    """Return *value* if it can be the id of a job."""
    if not isinstance(value, str):
        raise TypeError(f"id must be a text of 1 to 191 characters, got {value!r}")
    if not 1 <= len(value) <= 191:
        raise ValueError(f"id must be a text of 1 to 191 characters, got {len(value)} characters: {value[:50]!r}")
    return value


def check_name(value: object) -> str:
    """Return *value* if it can be the name of a job."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"name must be a text of at least 1 character, got {value!r}")
    return value


def check_func(value: object) -> Callable[..., Any] | str:
    """Return *value* if it can be called or names something that may be."""
    if isinstance(value, str):
        if ":" not in value:
            raise ValueError(f"func must be a callable or a text 'package.module:qualified.name', got {value!r}")
        return value
    if not callable(value):
        raise TypeError(f"func must be a callable or a text 'package.module:qualified.name', got {value!r}")
    return value


def check_args(value: object) -> tuple[Any, ...]:
    """Return *value* as the positional arguments of a job."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"args must be a list or tuple of positional arguments, got {value!r}")
    return tuple(value)


def check_kwargs(value: object) -> Mapping[str, Any]:
    """Return *value* as the keyword arguments of a job."""
    if not value and (value is None or isinstance(value, Mapping)):
        return NO_KWARGS
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"kwargs must be a mapping of names to keyword arguments, got {value!r}")
    return dict(value)


def check_alias(value: object) -> str:
    """Return *value* if it can be the alias of an executor or a store."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"executor must be the alias of an executor, a text, got {value!r}")
    return value


def check_misfire_grace_time(value: object) -> float | None:
    """Return *value* if it is a number of seconds above 0, or None."""
    return _check_seconds("misfire_grace_time", value, "lateness")


def check_coalesce(value: object) -> bool:
    """Return *value* as a truth value."""
    if not isinstance(value, (bool, int)):
        raise TypeError(f"coalesce must be True or False, got {value!r}")
    return bool(value)


def check_max_instances(value: object) -> int:
    """Return *value* if it is a whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_instances must be a whole number from 1 on, got {value!r}")
    if value < 1:
        raise ValueError(f"max_instances must be a whole number from 1 on, got {value!r}")
    return value


def check_overlap(value: object) -> Overlap:
    """Return *value* if it is one of the overlap policies."""
    if value not in OVERLAPS:
        raise ValueError(f"overlap must be one of {', '.join(OVERLAPS)}, got {value!r}")
    return value  # type: ignore[return-value]  # it is one of the literals


def check_tags(value: object) -> Mapping[str, str]:
    """Return *value* as tags."""
    if not value and (value is None or isinstance(value, Mapping)):
        return NO_KWARGS
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for item in value.items() for part in item):
        raise TypeError(f"tags must be a mapping of texts to texts, got {value!r}")
    return dict(value)


def check_keep_runs(value: object) -> int | None:
    """Return *value* if it is a whole number from 0 on, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"keep_runs must be None or a whole number from 0 on, got {value!r}")
    return value


def check_on_crash(value: object) -> OnCrash:
    """Return *value* if it says what becomes of a run whose node dies."""
    if value not in ON_CRASH:
        raise ValueError(f"on_crash must be one of {', '.join(ON_CRASH)}, got {value!r}")
    return value  # type: ignore[return-value]  # it is one of the literals


def check_timeout(value: object) -> float | None:
    """Return *value* if it is a number of seconds above 0, or None."""
    return _check_seconds("timeout", value, "duration")


def check_expect_success_within(value: object) -> float | None:
    """Return *value* if it is a number of seconds above 0, or None."""
    return _check_seconds("expect_success_within", value, "time")


def check_priority(value: object) -> int:
    """Return *value* if it is a whole number from -10 to 10."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"priority must be a whole number from -10 to 10, got {value!r}")
    if not -10 <= value <= 10:
        raise ValueError(f"priority must be a whole number from -10 to 10, got {value!r}")
    return value


def check_requires(value: object) -> tuple[str, ...]:
    """Return *value* as the words that a node must have, each once, in order."""
    return check_words("requires", value)


def check_words(name: str, value: object) -> tuple[str, ...]:
    """Return *value*, a word or several, each once, in order; *name* is what it is called in messages."""
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, Iterable):
        raise TypeError(f"{name} must be a word or several, got {value!r}")
    known: set[str] = set()
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"{name} must be a word or several, got {value!r}")
        if not _WORD.fullmatch(word):
            raise ValueError(f"{name} must be words of letters, digits, '-', '_', '.', ':' and '/', got {word!r}")
        known.add(word)
    return tuple(sorted(known))


def parse_lane(name: str) -> tuple[str, int, tuple[str, ...]]:
    """Return the alias of the executor, the priority and the requirements of the jobs in a lane; see `Job.lane`."""
    found = _LANE.fullmatch(name)
    if found is None:
        return name, 0, ()
    return found[1], int(found[2]), tuple(filter(None, found[3].split(",")))


_WORD = re.compile(r"[\w./:-]{1,50}")
_LANE = re.compile(r"(.+)\|(-?\d{1,2})\|([\w./:,-]*)", re.DOTALL)


def _check_seconds(name: str, value: object, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be None or a number of seconds, got {value!r}")
    if not value > 0:
        raise ValueError(f"{name} must be None or more than 0 seconds, got {value!r}")
    if value > LONGEST:
        raise ValueError(f"{name} must be None, for any {what}, or at most 100 years, got {value!r}")
    return value


def check_trigger(value: object) -> BaseTrigger:
    """Return *value* if it is a trigger."""
    if not isinstance(value, BaseTrigger):
        raise TypeError(f"trigger must be a trigger, or the alias of one with its arguments, got {value!r}")
    return value


OPTION_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "name": check_name,
    "func": check_func,
    "args": check_args,
    "kwargs": check_kwargs,
    "executor": check_alias,
    "misfire_grace_time": check_misfire_grace_time,
    "coalesce": check_coalesce,
    "max_instances": check_max_instances,
    "overlap": check_overlap,
    "tags": check_tags,
    "keep_runs": check_keep_runs,
    "on_crash": check_on_crash,
    "timeout": check_timeout,
    "retry": Retry.of,
    "priority": check_priority,
    "requires": check_requires,
    "expect_success_within": check_expect_success_within,
    "trigger": check_trigger,
}
"""How each option that `modify_job` takes is checked: the value comes back in the form in which a job keeps it."""
