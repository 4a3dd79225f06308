"""Jobs are made of what users ask for, and what is wrong with it is said in one sentence."""
# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import signature
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from apsched.engine.make_job import Draft, JobMaker, first_times
from apsched.engine.plan import due_time
from apsched.engine.registry import JobRegistry
from apsched.exceptions import ConflictingIdError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.job import Job, JobDefaults
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def work(value: int = 0, *, flag: bool = False) -> None: ...


async def work_later() -> None: ...


@pytest.fixture
def maker() -> JobMaker:
    return JobMaker(JobDefaults(), BERLIN)


def make(maker: JobMaker, **parameters: Any) -> Draft:
    return maker.draft(T0, **{"func": work, **parameters})


# what is right


def test_a_callable_alone_makes_a_job_that_runs_once_now(maker: JobMaker) -> None:
    job = make(maker).job

    assert isinstance(job.trigger, DateTrigger)
    assert (job.next_run_time, job.next_nominal_time) == (T0, T0)
    assert (job.name, job.func, job.args, job.kwargs) == ("work", work, (), {})
    assert (job.executor, job.jobstore) == ("default", "default")


def test_a_job_without_an_id_gets_one_of_its_own(maker: JobMaker) -> None:
    found = {make(maker).job.id for _ in range(100)}

    assert len(found) == 100
    assert {len(job_id) for job_id in found} == {32}


def test_what_is_given_is_kept(maker: JobMaker) -> None:
    options: dict[str, Any] = {
        "id": "id",
        "name": "a name",
        "executor": "pool",
        "jobstore": "store",
        "misfire_grace_time": 2.5,
        "coalesce": False,
        "max_instances": 3,
        "overlap": "queue_all",
        "tags": {"team": "red"},
        "keep_runs": 0,
        "timeout": 1.5,
    }

    job = make(maker, args=[1], kwargs={"flag": True}, **options).job

    assert {name: getattr(job, name) for name in options} == options
    assert (job.args, job.kwargs) == ((1,), {"flag": True})


def test_arguments_are_copied(maker: JobMaker) -> None:
    args, kwargs, tags = [1], {"flag": True}, {"a": "b"}
    job = make(maker, args=args, kwargs=kwargs, tags=tags).job

    args.append(2)
    kwargs.clear()
    tags.clear()

    assert (job.args, job.kwargs, job.tags) == ((1,), {"flag": True}, {"a": "b"})


def test_options_that_are_not_given_are_the_defaults() -> None:
    defaults = JobDefaults(misfire_grace_time=9, coalesce=False, max_instances=4, overlap="allow", keep_runs=5)

    job = make(JobMaker(defaults, UTC)).job

    assert {field.name: getattr(job, field.name) for field in attrs.fields(JobDefaults)} == attrs.asdict(defaults)


def test_none_is_not_the_same_as_not_given() -> None:
    maker = JobMaker(JobDefaults(misfire_grace_time=9, keep_runs=5), UTC)

    job = make(maker, misfire_grace_time=None, keep_runs=None).job

    assert (job.misfire_grace_time, job.keep_runs) == (None, None)


def test_a_reference_is_resolved_when_the_job_is_made(maker: JobMaker) -> None:
    assert make(maker, func="json:dumps", args=[1]).job.func.__name__ == "dumps"  # type: ignore[union-attr]  # resolved


def test_a_reference_stays_where_the_callable_has_no_other(maker: JobMaker) -> None:
    job = make(maker, func="logging:root.info", args=["text"]).job
    assert (job.func, job.func_ref, job.name) == ("logging:root.info",) * 2 + ("RootLogger.info",)

    changed = maker.change(job, {"args": ["other text"]})
    assert (changed.func, changed.args) == ("logging:root.info", ("other text",))


@pytest.mark.parametrize("func", [work_later, partial(work_later)])
def test_coroutine_functions_go_to_the_executor_for_them(maker: JobMaker, func: Any) -> None:
    assert make(maker, func=func).job.executor == "asyncio"
    assert make(maker, func=func, executor="pool").job.executor == "pool"


def test_coroutine_functions_stay_with_a_default_executor_that_takes_them() -> None:
    maker = JobMaker(JobDefaults(), BERLIN, {"default": AsyncIOExecutor()})
    assert make(maker, func=work_later).job.executor == "default"


def test_a_trigger_of_an_alias_is_in_the_zone_of_the_scheduler(maker: JobMaker) -> None:
    trigger = make(maker, trigger="cron", hour=3).job.trigger

    assert isinstance(trigger, CronTrigger)
    assert trigger.timezone is BERLIN


def test_a_trigger_may_have_a_zone_of_its_own(maker: JobMaker) -> None:
    job = make(maker, trigger="cron", hour=3, timezone="UTC").job

    assert job.next_run_time == datetime(2026, 7, 2, 3, tzinfo=UTC)


def test_a_trigger_is_taken_as_it_is(maker: JobMaker) -> None:
    trigger = IntervalTrigger(hours=1, start_date=T0)

    assert make(maker, trigger=trigger).job.trigger is trigger


def test_an_interval_counts_from_when_the_job_is_made(maker: JobMaker) -> None:
    job = make(maker, trigger="interval", hours=1).job

    assert job.next_run_time == T0 + timedelta(hours=1)
    assert job.trigger.get_next_fire_time(None, T0 + timedelta(hours=9)) == T0 + timedelta(hours=9)


def test_a_combination_of_triggers_is_made_by_alias(maker: JobMaker) -> None:
    members = [IntervalTrigger(hours=2, start_date=T0), IntervalTrigger(hours=3, start_date=T0)]

    job = make(maker, trigger="and", triggers=members).job

    assert job.trigger.get_next_fire_time(T0, T0) == T0 + timedelta(hours=6)


def test_the_first_run_is_due_after_its_jitter(maker: JobMaker) -> None:
    job = make(maker, trigger="interval", hours=1, jitter=600).job

    assert job.next_nominal_time == T0 + timedelta(hours=1)
    assert job.next_run_time == due_time(job.id, job.trigger, job.next_nominal_time)
    assert job.next_run_time > job.next_nominal_time


def test_a_trigger_that_is_over_gives_no_time(maker: JobMaker) -> None:
    draft = make(maker, trigger="cron", hour=3, end_date="2020-01-01")

    assert (draft.job.next_run_time, draft.is_timed) == (None, False)
    assert first_times(draft.job, T0) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (T0 + timedelta(days=1), T0 + timedelta(days=1)),
        ("2026-07-01 15:00:00", datetime(2026, 7, 1, 15, tzinfo=BERLIN)),
        (datetime(2026, 7, 1, 15), datetime(2026, 7, 1, 15, tzinfo=BERLIN)),  # noqa: DTZ001  what is tested
        (None, None),
    ],
)
def test_a_next_run_time_that_is_given_is_taken(maker: JobMaker, value: Any, expected: datetime | None) -> None:
    draft = make(maker, trigger="interval", hours=1, jitter=600, next_run_time=value)

    assert (draft.job.next_run_time, draft.job.next_nominal_time) == (expected, expected)
    assert draft.is_timed


# what is wrong

WRONG: Mapping[str, tuple[dict[str, Any], type[Exception], str]] = {
    "func of a wrong type": ({"func": 3}, TypeError, "func must be a callable or a text 'package.module:qualified.name', got 3"),
    "func without a colon": ({"func": "a.b"}, ValueError, "func must be a callable or a text 'package.module:qualified.name', got 'a.b'"),
    "func that is not there": ({"func": "json:nope"}, LookupError, "the reference 'json:nope' leads to nothing: 'json' has no 'nope'; define it there, or name something else"),
    "func that is no function": ({"func": "os:sep"}, TypeError, "func must lead to a callable, got 'os:sep', which is '/'"),
    "args that are text": ({"args": "abc"}, TypeError, "args must be a list or tuple of positional arguments, got 'abc'"),
    "args that do not fit": ({"args": (1, 2)}, ValueError, "the arguments for work must fit its signature, got args=(1, 2) and kwargs={}; positional arguments: 2 given, 1 taken"),
    "kwargs that are a list": ({"kwargs": [1]}, TypeError, "kwargs must be a mapping of names to keyword arguments, got [1]"),
    "kwargs without names": ({"kwargs": {1: 2}}, TypeError, "kwargs must be a mapping of names to keyword arguments, got {1: 2}"),
    "kwargs that do not fit": ({"kwargs": {"flg": 1}}, ValueError, "the arguments for work must fit its signature, got args=() and kwargs={'flg': 1}; unknown: flg"),
    "empty id": ({"id": ""}, ValueError, "id must be a text of 1 to 191 characters, got 0 characters: ''"),
    "long id": ({"id": "x" * 192}, ValueError, f"id must be a text of 1 to 191 characters, got 192 characters: '{'x' * 50}'"),
    "id of a wrong type": ({"id": 3}, TypeError, "id must be a text of 1 to 191 characters, got 3"),
    "empty name": ({"name": ""}, TypeError, "name must be a text of at least 1 character, got ''"),
    "executor of a wrong type": ({"executor": 3}, TypeError, "executor must be the alias of an executor, a text, got 3"),
    "no grace": ({"misfire_grace_time": 0}, ValueError, "misfire_grace_time must be None or more than 0 seconds, got 0"),
    "grace that is no number": ({"misfire_grace_time": float("nan")}, ValueError, "misfire_grace_time must be None or more than 0 seconds, got nan"),
    "endless grace": ({"misfire_grace_time": float("inf")}, ValueError, "misfire_grace_time must be None, for any lateness, or at most 100 years, got inf"),
    "grace of a wrong type": ({"misfire_grace_time": "1"}, TypeError, "misfire_grace_time must be None or a number of seconds, got '1'"),
    "grace that is a truth value": ({"misfire_grace_time": True}, TypeError, "misfire_grace_time must be None or a number of seconds, got True"),
    "coalesce of a wrong type": ({"coalesce": "latest"}, TypeError, "coalesce must be True or False, got 'latest'"),
    "no instances": ({"max_instances": 0}, ValueError, "max_instances must be a whole number from 1 on, got 0"),
    "half an instance": ({"max_instances": 0.5}, TypeError, "max_instances must be a whole number from 1 on, got 0.5"),
    "unknown overlap": ({"overlap": "wait"}, ValueError, "overlap must be one of skip, queue_one, queue_all, cancel_running, allow, got 'wait'"),
    "overlap of a wrong type": ({"overlap": []}, ValueError, "overlap must be one of skip, queue_one, queue_all, cancel_running, allow, got []"),
    "tags that are no texts": ({"tags": {"a": 1}}, TypeError, "tags must be a mapping of texts to texts, got {'a': 1}"),
    "negative keep_runs": ({"keep_runs": -1}, ValueError, "keep_runs must be None or a whole number from 0 on, got -1"),
    "unknown on_conflict": ({"on_conflict": "ignore"}, ValueError, "on_conflict must be one of error, replace, reset, got 'ignore'"),
    "next_run_time of a wrong type": ({"next_run_time": 5}, TypeError, "next_run_time must be a date, a datetime or text such as '2026-01-31 08:30:00', got 5; pass one of these"),
    "trigger of a wrong type": ({"trigger": 5}, TypeError, "trigger must be a trigger, the alias of one such as 'interval', or None for now, got 5"),
    "unknown trigger": ({"trigger": "intervall"}, LookupError, "no trigger has the alias 'intervall'; there are: after, and, calendarinterval, cron, date, interval, or; did you mean 'interval'?"),
    "unknown argument of a trigger": ({"trigger": "date", "hour": 3}, TypeError, "trigger 'date' has no argument 'hour'; there are: run_date, timezone, exclude"),
    "misspelt option": ({"max_instance": 3}, TypeError, "trigger 'date' has no argument 'max_instance'; did you mean 'max_instances'? there are: run_date, timezone, exclude"),
    "missing argument of a trigger": ({"trigger": "or"}, TypeError, "trigger 'or' must have the argument 'triggers', got none; there are: triggers, jitter, exclude"),
    "arguments beside a trigger": ({"trigger": DateTrigger(T0), "hour": 3}, TypeError, "trigger arguments go with the alias of a trigger, got hour beside <DateTrigger (run_date='2026-07-01 12:00:00 UTC')>"),
    "misspelt argument of a trigger": ({"trigger": "cron", "hours": 3}, TypeError, f"trigger 'cron' has no argument 'hours'; did you mean 'hour'? there are: {', '.join(signature(CronTrigger).parameters)}"),
    "argument of no trigger": ({"trigger": "date", "now": 3}, TypeError, "trigger 'date' has no argument 'now'; there are: run_date, timezone, exclude"),
    "misspelt option beside a trigger": ({"trigger": DateTrigger(T0), "tag": {}}, TypeError, "trigger arguments go with the alias of a trigger, got tag beside <DateTrigger (run_date='2026-07-01 12:00:00 UTC')>; did you mean 'tags'?"),
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_sentence(
    maker: JobMaker, parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        make(maker, **parameters)

    assert type(caught.value) is error
    assert str(caught.value) == message


def test_what_a_trigger_itself_raises_is_not_covered_up(maker: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky(DateTrigger):
        def __init__(self, **options: Any) -> None:
            raise TypeError("not today")

    monkeypatch.setattr("apsched._plugins.find", lambda kind, alias: Picky)

    with pytest.raises(TypeError, match=r"^not today$"):
        make(maker, trigger="picky")


# where the id is taken


def merged(maker: JobMaker, old: Job, **parameters: Any) -> Job:
    draft = make(maker, id="job", **parameters)
    return draft.merge(old, draft.job)


def make_old(maker: JobMaker, **changes: Any) -> Job:
    """Return a job that runs every hour and did so five times."""
    job = maker.draft(T0 - timedelta(hours=5, minutes=30), work, "interval", hours=1, id="job").job
    moment = T0 + timedelta(minutes=30)
    return attrs.evolve(job, next_run_time=moment, next_nominal_time=moment, **changes)


def test_a_taken_id_is_refused(maker: JobMaker) -> None:
    with pytest.raises(ConflictingIdError, match="job"):
        merged(maker, make_old(maker))


@pytest.mark.parametrize("how", [{"replace_existing": True}, {"on_conflict": "replace"}])
def test_replacing_keeps_what_comes_next_if_the_schedule_is_the_same(maker: JobMaker, how: dict[str, Any]) -> None:
    old = make_old(maker)

    kept = merged(maker, old, trigger="interval", hours=1, name="new", **how)

    assert (kept.name, kept.trigger) == ("new", old.trigger)
    assert (kept.next_run_time, kept.next_nominal_time) == (old.next_run_time, old.next_nominal_time)


def test_replacing_takes_another_schedule(maker: JobMaker) -> None:
    kept = merged(maker, make_old(maker), trigger="interval", hours=2, replace_existing=True)

    assert kept.next_run_time == T0 + timedelta(hours=2)


def test_replacing_leaves_a_paused_job_paused(maker: JobMaker) -> None:
    old = attrs.evolve(make_old(maker), next_run_time=None, next_nominal_time=None)

    kept = merged(maker, old, trigger="interval", hours=2, replace_existing=True)

    assert (kept.next_run_time, kept.next_nominal_time) == (None, None)


def test_replacing_a_quarantined_job_does_not_pause_it(maker: JobMaker) -> None:
    old = attrs.evolve(make_old(maker), next_run_time=None, next_nominal_time=None, quarantine="it cannot be read")

    kept = merged(maker, old, trigger="interval", hours=1, replace_existing=True)

    assert (kept.next_run_time, kept.quarantine) == (T0 + timedelta(hours=1), None)


def test_replacing_a_quarantined_job_keeps_what_comes_next_if_the_schedule_is_the_same(maker: JobMaker) -> None:
    old = make_old(maker, quarantine="its module is missing")

    kept = merged(maker, old, trigger="interval", hours=1, replace_existing=True)

    assert (kept.next_run_time, kept.quarantine) == (old.next_run_time, None)


def test_a_next_run_time_that_is_given_is_taken_by_the_job_that_replaces(maker: JobMaker) -> None:
    old = attrs.evolve(make_old(maker), next_run_time=None, next_nominal_time=None)

    kept = merged(maker, old, trigger="interval", hours=1, replace_existing=True, next_run_time=T0)

    assert kept.next_run_time == T0


def test_resetting_forgets_what_was(maker: JobMaker) -> None:
    old = attrs.evolve(make_old(maker), next_run_time=None, next_nominal_time=None)

    kept = merged(maker, old, trigger="interval", hours=1, on_conflict="reset")

    assert kept.next_run_time == T0 + timedelta(hours=1)


# changes


def test_a_job_is_changed(maker: JobMaker) -> None:
    job = maker.change(make(maker).job, {"name": "changed", "max_instances": 3, "next_run_time": "2026-07-02"})

    assert (job.name, job.max_instances) == ("changed", 3)
    assert job.next_run_time == job.next_nominal_time == datetime(2026, 7, 2, tzinfo=BERLIN)


def test_a_change_ends_a_quarantine(maker: JobMaker) -> None:
    job = attrs.evolve(make(maker).job, quarantine="it cannot run")

    assert maker.change(job, {"name": "changed"}).quarantine is None


def test_another_callable_brings_its_name_and_executor(maker: JobMaker) -> None:
    job = maker.change(make(maker).job, {"func": work_later})
    assert (job.name, job.executor) == ("work_later", "asyncio")

    job = maker.change(job, {"func": work, "name": "given"})
    assert (job.name, job.executor) == ("given", "default")


CHANGES: Mapping[str, tuple[dict[str, Any], type[Exception], str]] = {
    "the id": ({"id": "other"}, ValueError, "the id of a job may not be changed, got id='other' for job 'job'"),
    "something unknown": ({"max_instance": 3}, AttributeError, "job 'job' has no attribute 'max_instance' to modify; there are: args, coalesce, executor, "),
    "a value out of range": ({"max_instances": 0}, ValueError, "max_instances must be a whole number from 1 on, got 0"),
    "arguments that do not fit": ({"args": [1, 2]}, ValueError, "the arguments for work must fit its signature"),
    "a callable that does not take the arguments": ({"func": work_later, "args": [1]}, ValueError, "the arguments for work_later must fit its signature"),
    "no trigger": ({"trigger": "interval"}, TypeError, "trigger must be a trigger, or the alias of one with its arguments, got 'interval'"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "message"), CHANGES.values(), ids=CHANGES)
def test_a_wrong_change_is_refused(
    maker: JobMaker, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        maker.change(make(maker, id="job").job, changes)

    assert type(caught.value) is error
    assert str(caught.value).startswith(message)


def test_a_draft_takes_the_parameters_of_add_job() -> None:
    def parameters(function: Callable[..., object]) -> list[tuple[str, object]]:
        known = signature(function).parameters.items()
        return [(name, value.default) for name, value in known if name not in ("self", "now", "connection")]

    assert parameters(JobMaker.draft) == parameters(JobRegistry.add_job)
