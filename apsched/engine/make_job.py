"""Make jobs of what users ask for, and change them (layer 6).

Nothing here waits or reads a clock; everything that is wrong is said at the call, before anything is stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from datetime import datetime, tzinfo
from inspect import Parameter, signature
from typing import Any

import attrs

from apsched import _plugins, _refs, _timezones
from apsched._undefined import Undefined, undefined
from apsched.engine.contradictions import check_options
from apsched.engine.plan import due_time
from apsched.exceptions import ConflictingIdError
from apsched.executors.base import Executor
from apsched.job import (
    NO_KWARGS,
    OPTION_CHECKS,
    Job,
    JobDefaults,
    check_alias,
    check_args,
    check_func,
    check_id,
    check_kwargs,
    check_name,
    check_requires,
    check_tags,
)
from apsched.jobstores.base import Merge
from apsched.retry import Retry
from apsched.triggers.base import BaseTrigger

DEFAULT_EXECUTOR = "default"
COROUTINE_EXECUTOR = "asyncio"  # where `default` sends coroutine functions
COMBINATIONS = ("and", "or")  # aliases of triggers that are made of others
NO_EXECUTORS: Mapping[str, Executor] = {}
WITHOUT_ZONE = (*COMBINATIONS, "after")  # and of those that have no zone of their own


@attrs.define(eq=False)
class Draft:
    """
    A job that is to be added, and how.

    Attributes:
        job: The job.
        is_timed: Whether its next run time was given and is not to be asked of the trigger.
        merge: What happens where its id is taken.
        by_default: The names of its options that are as in the defaults, since it was not told otherwise.
    """

    job: Job
    is_timed: bool
    merge: Merge
    by_default: Set[str] = frozenset()


class JobMaker:
    """
    Makes jobs.

    Args:
        defaults: Options of jobs that do not name their own.
        timezone: Zone of triggers that do not name their own.
        executors: Those of the scheduler, by alias.
    """

    def __init__(
        self, defaults: JobDefaults, timezone: tzinfo, executors: Mapping[str, Executor] = NO_EXECUTORS
    ) -> None:
        self.defaults = defaults
        self.timezone = timezone
        self._executors = executors

    def draft(
        self,
        now: datetime,
        /,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Any = None,
        kwargs: Any = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | Undefined | None = undefined,
        coalesce: bool | Undefined = undefined,
        max_instances: int | Undefined = undefined,
        next_run_time: datetime | str | Undefined | None = undefined,
        jobstore: str = "default",
        executor: str = DEFAULT_EXECUTOR,
        replace_existing: bool = False,
        *,
        overlap: str | Undefined = undefined,
        tags: Mapping[str, str] | None = None,
        keep_runs: int | Undefined | None = undefined,
        on_crash: str | Undefined = undefined,
        timeout: float | Undefined | None = undefined,
        retry: Retry | Mapping[str, Any] | Undefined | None = undefined,
        expect_success_within: float | Undefined | None = undefined,
        priority: int | Undefined = undefined,
        requires: str | Sequence[str] = (),
        on_conflict: str | None = None,
        **trigger_args: Any,
    ) -> Draft:
        """Make the job that the parameters of `add_job` describe; *now* is aware UTC."""
        given, func = func, _callable(func)
        call_args = () if args is None else check_args(args)
        call_kwargs = NO_KWARGS if kwargs is None else check_kwargs(kwargs)
        _refs.check_arguments(func, call_args, call_kwargs)
        made = self.trigger(trigger, trigger_args, JOB_OPTIONS).anchored(now)
        defaults = self.defaults
        job = Job(
            id=os.urandom(16).hex() if id is None else check_id(id),
            name=_refs.name_of(func) if name is None else check_name(name),
            func=_to_keep(given, func),
            trigger=made,
            args=call_args,
            kwargs=call_kwargs,
            executor=self._executor_for(check_alias(executor), func),
            misfire_grace_time=_option("misfire_grace_time", misfire_grace_time, defaults.misfire_grace_time),
            coalesce=_option("coalesce", coalesce, defaults.coalesce),
            max_instances=_option("max_instances", max_instances, defaults.max_instances),
            overlap=_option("overlap", overlap, defaults.overlap),
            tags=NO_KWARGS if tags is None else check_tags(tags),
            keep_runs=_option("keep_runs", keep_runs, defaults.keep_runs),
            on_crash=_option("on_crash", on_crash, defaults.on_crash),
            timeout=_option("timeout", timeout, defaults.timeout),
            retry=_option("retry", retry, defaults.retry),
            expect_success_within=_option(
                "expect_success_within", expect_success_within, defaults.expect_success_within
            ),
            priority=_option("priority", priority, defaults.priority),
            requires=check_requires(requires) if requires else (),
            jobstore=jobstore,
        )
        if next_run_time is undefined:
            job.next_nominal_time, job.next_run_time = first_times(job, now)
        else:
            job.next_nominal_time = job.next_run_time = self._moment("next_run_time", next_run_time)
        is_timed = next_run_time is not undefined
        options = {
            "misfire_grace_time": misfire_grace_time,
            "coalesce": coalesce,
            "max_instances": max_instances,
            "overlap": overlap,
            "keep_runs": keep_runs,
            "on_crash": on_crash,
            "timeout": timeout,
            "retry": retry,
            "expect_success_within": expect_success_within,
            "priority": priority,
        }
        by_default = {name for name, value in options.items() if value is undefined}
        check_options(job, options.keys() - by_default)
        return Draft(job, is_timed, _merge_for(on_conflict, replace_existing, is_timed), by_default)

    def give_defaults(self, job: Job, names: Set[str]) -> None:
        """Let the options of those names be as in the defaults."""
        for name in names:
            setattr(job, name, getattr(self.defaults, name))

    def trigger(
        self, trigger: BaseTrigger | str | None, trigger_args: Mapping[str, Any], options: Sequence[str] = ()
    ) -> BaseTrigger:
        """
        Return the trigger that `add_job` and `reschedule_job` were given, by itself or by alias and arguments.

        Args:
            trigger: A trigger, or the alias of one; None: once, now.
            trigger_args: Keywords that are no options of the verb.
            options: The verb's options, one of which may be misspelt among *trigger_args*.
        """
        if isinstance(trigger, BaseTrigger):
            if trigger_args:
                hint = next(filter(None, (_plugins.suggestion(name, options) for name in trigger_args)), "")
                raise TypeError(
                    f"trigger arguments go with the alias of a trigger, got {', '.join(trigger_args)} "
                    f"beside {trigger!r}{hint}"
                )
            return trigger
        if trigger is None:
            trigger = "date"
        if not isinstance(trigger, str):
            raise TypeError(
                f"trigger must be a trigger, the alias of one such as 'interval', or None for now, got {trigger!r}"
            )
        if trigger not in WITHOUT_ZONE:
            trigger_args = {"timezone": self.timezone, **trigger_args}
        make = _plugins.find("trigger", trigger)
        made: BaseTrigger = _plugins.call(make, trigger_args, f"trigger {trigger!r}", options)
        return made

    def change(self, job: Job, changes: Mapping[str, Any]) -> Job:
        """
        Return *job* with *changes* made, which are attributes of `Job`.

        Raises:
            AttributeError: There is no such attribute, or users may not change it.
            ValueError: A value is out of range, options contradict each other, or the arguments do not fit the
                callable.
            TypeError: A value is of the wrong type.
        """
        for name, value in changes.items():
            if name == "next_run_time":
                job.next_nominal_time = job.next_run_time = self._moment(name, value)
            elif name == "id":
                raise ValueError(f"the id of a job may not be changed, got id={value!r} for job {job.id!r}")
            elif name in OPTION_CHECKS:
                setattr(job, name, OPTION_CHECKS[name](value))
            else:
                known = ", ".join(sorted({*OPTION_CHECKS, "next_run_time"}))
                raise AttributeError(f"job {job.id!r} has no attribute {name!r} to modify; there are: {known}")
        if changes.keys() & {"func", "args", "kwargs"}:
            func = _callable(job.func)
            job.func = _to_keep(job.func, func)
            _refs.check_arguments(func, job.args, job.kwargs)
            if "func" in changes:
                if "name" not in changes:
                    job.name = _refs.name_of(func)
                job.executor = self._executor_for(
                    DEFAULT_EXECUTOR if job.executor == COROUTINE_EXECUTOR else job.executor, func
                )
        check_options(job, changes)
        job.quarantine = None
        return job

    def _executor_for(self, alias: str, func: Callable[..., Any]) -> str:
        if alias == DEFAULT_EXECUTOR and _refs.is_coroutine_callable(func):
            default = self._executors.get(DEFAULT_EXECUTOR)
            return DEFAULT_EXECUTOR if default is not None and default.takes_coroutines else COROUTINE_EXECUTOR
        return alias

    def _moment(self, name: str, value: object) -> datetime | None:
        return _timezones.to_datetime(value, self.timezone, name)


JOB_OPTIONS: Sequence[str] = tuple(
    name
    for name, parameter in signature(JobMaker.draft).parameters.items()
    if name not in ("self", "now") and parameter.kind is not Parameter.VAR_KEYWORD
)
"""What `add_job` takes besides the arguments of triggers."""


def tell_which(exc: Exception, number: int, jobs: Iterable[object], parameters: object) -> None:
    """
    Note on *exc* which of many jobs it is about, or raise what says more.

    Args:
        exc: What making the job has raised.
        number: Which one it was, from 1 on.
        jobs: All of them.
        parameters: Its parameters.

    Raises:
        TypeError: They are no mapping, or without a func, or name a job store.
    """
    place = f"job {number} of {len(jobs)}" if isinstance(jobs, Sized) else f"job {number}"
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"{place} must be a mapping of the parameters of add_job by name, got {parameters!r}; "
            "for example {'func': print, 'trigger': 'interval', 'hours': 1}"
        ) from None
    if "func" not in parameters:
        raise TypeError(f"{place} has no func; give it the callable or its reference as 'func'") from None
    if "jobstore" in parameters:
        raise TypeError(
            f"{place} must not name a job store of its own, got {parameters['jobstore']!r}; pass jobstore= for all"
        ) from None
    shown = [f"{name}={parameters[name]!r}" for name in ("id", "func", "trigger") if name in parameters]
    exc.add_note(f"{place}: {', '.join(shown)}")


def first_times(job: Job, now: datetime) -> tuple[datetime | None, datetime | None]:
    """
    Return the nominal and the due time of the first run from *now* on; (None, None) if there is none.

    Raises:
        ValueError: The trigger, which may be a user's, says something else than an aware datetime.
    """
    nominal = job.trigger.get_next_fire_time(None, now)
    if nominal is not None and (not isinstance(nominal, datetime) or nominal.tzinfo is None):
        raise ValueError(
            f"trigger must say aware datetimes or None, got {nominal!r} of {job.trigger!r}; give it a tzinfo"
        )
    return nominal, None if nominal is None else due_time(job.id, job.trigger, nominal)


def reschedule(job: Job, trigger: BaseTrigger, now: datetime) -> Job:
    """
    Give *job* another trigger, which counts from *now* (aware) on, and return it.

    Raises:
        ValueError: The trigger has no time to come, or an option of the job contradicts it.
    """
    job.trigger = trigger
    resume(job, now)
    if job.next_run_time is None:
        raise ValueError(f"the trigger of job {job.id!r} must have a time to come, got {trigger}, which has none")
    check_options(job, ())
    return job


def resume(job: Job, now: datetime) -> Job:
    """Let *job* run from its trigger's next time on, as seen from *now* (aware), if it has one, and return it."""
    job.next_nominal_time, job.next_run_time = first_times(job, now)
    job.quarantine = None
    return job


def replace(old: Job, new: Job) -> Job:
    """
    Let *new* take the place of *old*: it stays paused, and with the same schedule what comes next stays.

    Of a quarantined job whose times are lost nobody knows whether it was paused, so the new one is not.
    """
    if old.next_run_time is None and old.quarantine is None:
        return attrs.evolve(new, next_nominal_time=None, next_run_time=None)
    if None in (old.next_run_time, old.next_nominal_time) or not new.trigger.is_same_schedule(old.trigger):
        return new
    return attrs.evolve(
        new, trigger=old.trigger, next_nominal_time=old.next_nominal_time, next_run_time=old.next_run_time
    )


def reset(old: Job, new: Job) -> Job:
    """Let *new* take the place of *old*, as if that had never been."""
    return new


def refuse(old: Job, new: Job) -> Job:
    """Let nothing take the place of *old*."""
    raise ConflictingIdError(new.id)


CONFLICTS: Mapping[str, Merge] = {"error": refuse, "replace": replace, "reset": reset}
"""What `on_conflict` may be, and what then becomes of the two jobs."""


def _merge_for(on_conflict: str | None, replace_existing: bool, is_timed: bool) -> Merge:
    if on_conflict is None:
        on_conflict = "replace" if replace_existing else "error"
    try:
        merge = CONFLICTS[on_conflict]
        return reset if merge is replace and is_timed else merge
    except (KeyError, TypeError):
        raise ValueError(f"on_conflict must be one of {', '.join(CONFLICTS)}, got {on_conflict!r}") from None


def _callable(func: object) -> Callable[..., Any]:
    checked = check_func(func)
    if not isinstance(checked, str):
        return checked
    found = _refs.resolve(checked)
    if not callable(found):
        raise TypeError(f"func must lead to a callable, got {checked!r}, which is {found!r}")
    return found  # type: ignore[no-any-return]  # it is callable


def _to_keep(given: Callable[..., Any] | str, func: Callable[..., Any]) -> Callable[..., Any] | str:
    """Return *func*, or the reference by which it was *given* where that is the only one: that of a method, say."""
    return given if isinstance(given, str) and _refs.ref_of(func) is None else func


def _option(name: str, value: Any, default: Any) -> Any:
    return default if value is undefined else OPTION_CHECKS[name](value)
