"""For any trigger, lateness, options and open runs each nominal time is recorded once and nothing starts too early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from apsched.engine.plan import CATCH_UP_LIMIT, due_time, plan
from apsched.job import OVERLAPS, Job
from apsched.run import Outcome, Plan, Run
from apsched.triggers.base import STEP_LIMIT, BaseTrigger
from apsched.triggers.combining import OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 10, 24, 12, tzinfo=UTC)  # clocks in Berlin go back half a day later
ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe"]
WALK_LIMIT = 3000  # nominal times that the oracle walks through
PLANS = 12  # plans in a row that must have caught up with the oracle's limit


class Walking(BaseTrigger):
    """A user's trigger with nothing but what it must have; its times depend on each other."""

    def __init__(self, step: timedelta, jitter: float | None = None) -> None:
        self.step = step
        self.jitter = jitter

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return now if previous_fire_time is None else previous_fire_time.astimezone(UTC) + self.step


jitters = st.none() | st.integers(1, 100) | st.floats(0.001, 90_000)
zones = st.sampled_from(ZONES)


@st.composite
def intervals(draw: st.DrawFn) -> BaseTrigger:
    seconds = draw(st.integers(1, 100_000) | st.floats(0.01, 1000))
    start = T0 + timedelta(seconds=draw(st.integers(-100_000, 100)))
    end = draw(st.none() | st.integers(0, 500_000))
    return IntervalTrigger(
        seconds=seconds,
        start_date=start,
        end_date=None if end is None else start + timedelta(seconds=end),
        timezone=draw(zones),
        jitter=draw(jitters),
    )


@st.composite
def crons(draw: st.DrawFn) -> BaseTrigger:
    fields: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"second": "*/7"},
                {"minute": "*/15"},
                {"minute": "0,1,59"},
                {"hour": "2", "minute": "*/15"},
                {"hour": "1-3", "minute": "30"},
                {"hour": "*/2"},
                {"day_of_week": "sun", "hour": "2", "minute": "30"},
                {"day": "last"},
            ]
        )
    )
    on_fold: Literal["first", "both"] = draw(st.sampled_from(["first", "both"]))
    return CronTrigger(**fields, timezone=draw(zones), jitter=draw(jitters), on_fold=on_fold)


triggers = st.one_of(
    intervals(),
    crons(),
    st.builds(lambda one, other, jitter: OrTrigger([one, other], jitter), intervals(), crons(), jitters),
    st.builds(lambda minutes, jitter: Walking(timedelta(minutes=minutes), jitter), st.integers(1, 600), jitters),
    st.builds(lambda seconds: DateTrigger(T0 + timedelta(seconds=seconds)), st.integers(0, 1000)),
)
latenesses = st.one_of(
    st.just(0.0), st.floats(0, 10), st.floats(0, 5000), st.floats(0, 400_000), st.integers(0, 20_000).map(float)
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Job, tuple[Run, ...], datetime]:
    """A due job, its open runs, and the time."""
    trigger = draw(triggers)
    nominal = trigger.get_next_fire_time(None, T0)
    assume(nominal is not None)
    assert nominal is not None
    due = due_time("job", trigger, nominal)
    if draw(st.integers(0, 4)) == 0:  # given by hand
        nominal = due = nominal.astimezone(UTC) + timedelta(seconds=draw(st.floats(-50, 50)))
    options: dict[str, Any] = {
        "misfire_grace_time": draw(st.none() | st.integers(1, 100) | st.floats(0.001, 100_000)),
        "coalesce": draw(st.booleans()),
        "max_instances": draw(st.integers(1, 4)),
        "overlap": draw(st.sampled_from(OVERLAPS)),
    }
    job = Job(
        id="job", name="job", func="m:f", trigger=trigger, next_nominal_time=nominal, next_run_time=due, **options
    )
    outcomes = draw(st.lists(st.sampled_from([Outcome.RUNNING, Outcome.PENDING]), max_size=4))
    open_runs = tuple(
        Run(
            job_id="job",
            nominal_time=nominal - timedelta(seconds=place + 1),
            due_time=nominal,
            outcome=outcome,
            epoch=1,
            node="other",
            claimed_at=nominal - timedelta(seconds=1),
        )
        for place, outcome in enumerate(outcomes)
    )
    return job, open_runs, due.astimezone(UTC) + timedelta(seconds=draw(latenesses))


def times_from(trigger: BaseTrigger, first: datetime) -> Iterator[datetime]:
    """Yield *first* and the fire times after it, in UTC; one by one, which is what the planner must not do."""
    moment: datetime | None = first
    for _ in range(WALK_LIMIT):
        if moment is None:
            return
        yield moment.astimezone(UTC)
        moment = trigger.get_next_fire_time(moment, moment)
    assume(False)  # too many for this oracle


def covered(runs: Sequence[Run], times: Sequence[datetime]) -> list[datetime]:
    """Return the nominal times that *runs* stand for, one by one."""
    found: list[datetime] = []
    for run in runs:
        last = run.nominal_time.astimezone(UTC)
        first = last if run.first_nominal_time is None else run.first_nominal_time.astimezone(UTC)
        stands_for = [moment for moment in times if first <= moment <= last]
        assert stands_for[0] == first
        assert stands_for[-1] == last
        assert run.count == (len(stands_for) if len(stands_for) <= STEP_LIMIT else None)
        found += stands_for
    return found


def due_of(job: Job, nominal: datetime) -> datetime:
    if job.next_nominal_time is not None and nominal == job.next_nominal_time and job.next_run_time is not None:
        return job.next_run_time
    return due_time(job.id, job.trigger, nominal)


def started(made: Plan) -> list[Run]:
    return [run for run in made.runs if run.outcome is Outcome.RUNNING]


@given(situations())
def test_each_due_nominal_time_is_covered_by_exactly_one_record(
    situation: tuple[Job, tuple[Run, ...], datetime],
) -> None:
    job, open_runs, now = situation
    assert job.next_nominal_time is not None
    times = []
    for moment in times_from(job.trigger, job.next_nominal_time):
        times.append(moment)
        if moment > now:
            break
    runs: list[Run] = []

    for _ in range(PLANS):
        made = plan(job, open_runs, now, "node")
        runs += made.runs
        job = attrs.evolve(job, next_nominal_time=made.next_nominal_time, next_run_time=made.next_run_time)
        if job.next_run_time is None or job.next_run_time > now:
            break
    else:
        raise AssertionError(f"{PLANS} plans in a row have not caught up")

    expected = [moment for moment in times if job.next_nominal_time is None or moment < job.next_nominal_time]
    assert covered(runs, times) == expected
    assert all(due_time(job.id, job.trigger, moment) > now for moment in times[len(expected) :])


@given(situations())
def test_what_comes_next_is_what_the_trigger_says_after_the_last_record(
    situation: tuple[Job, tuple[Run, ...], datetime],
) -> None:
    job, open_runs, now = situation

    made = plan(job, open_runs, now, "node")

    last = max((run.nominal_time for run in made.runs), key=datetime.timestamp)
    following = job.trigger.get_next_fire_time(last, now)
    assert made.next_nominal_time == following
    assert made.removes_job is (following is None)
    assert made.next_run_time == (None if following is None else due_time(job.id, job.trigger, following))


@given(situations())
def test_no_more_runs_are_started_than_max_instances_allows(
    situation: tuple[Job, tuple[Run, ...], datetime],
) -> None:
    job, open_runs, now = situation
    running = [run for run in open_runs if run.outcome is Outcome.RUNNING]

    made = plan(job, open_runs, now, "node")

    if job.overlap == "cancel_running":
        assert set(made.cancel) <= set(running)
        running = [run for run in running if run not in made.cancel]
    else:
        assert made.cancel == ()
    if job.overlap != "allow":
        assert not started(made) or len(started(made)) + len(running) <= job.max_instances


@given(situations())
def test_of_coalesced_times_at_most_one_runs(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    job, open_runs, now = situation
    assume(job.coalesce)

    made = plan(job, open_runs, now, "node")

    assert sum(run.outcome in (Outcome.RUNNING, Outcome.PENDING) for run in made.runs) <= 1


@given(situations())
def test_nominal_times_of_a_plan_strictly_increase(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    made = plan(*situation, "node")

    assert made.runs
    assert all(
        earlier.nominal_time.timestamp() < (later.first_nominal_time or later.nominal_time).timestamp()
        for earlier, later in pairwise(made.runs)
    )


@given(situations())
def test_no_run_is_started_before_it_is_due_or_too_late(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    job, open_runs, now = situation

    for run in started(plan(job, open_runs, now, "node")):
        assert run.nominal_time <= run.due_time <= now
        assert run.due_time == due_of(job, run.nominal_time)
        if job.misfire_grace_time is not None:
            assert now - run.due_time <= timedelta(seconds=job.misfire_grace_time)


@given(situations())
def test_only_what_is_too_late_or_too_far_behind_is_missed(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    job, open_runs, now = situation
    made = plan(job, open_runs, now, "node")

    for run in made.runs:
        if run.outcome is Outcome.MISSED and "misfire_grace_time" in (run.reason or ""):
            assert job.misfire_grace_time is not None
            assert now - run.due_time > timedelta(seconds=job.misfire_grace_time)
        elif run.outcome is Outcome.MISSED:
            assert not job.coalesce
            assert (run.first_nominal_time or run.nominal_time) < made.runs[-1].nominal_time


@given(situations())
def test_no_plan_makes_more_runs_than_are_caught_up_with(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    made = plan(*situation, "node")
    closed = [run for run in made.runs if run.outcome not in (Outcome.RUNNING, Outcome.PENDING)]

    assert len(made.runs) - len(closed) <= CATCH_UP_LIMIT
    assert len(closed) <= 3


@given(situations())
def test_what_was_not_started_is_waiting_or_says_why(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    _, _, now = situation

    for run in plan(*situation, "node").runs:
        if run.outcome is Outcome.RUNNING:
            assert (run.epoch, run.node, run.claimed_at, run.reason) == (1, "node", now, None)
        elif run.outcome is Outcome.PENDING:
            assert (run.epoch, run.node, run.claimed_at, run.finished_at) == (0, None, None, None)
        else:
            assert (run.epoch, run.node, run.finished_at) == (0, None, now)
            assert run.reason


@given(situations())
def test_a_plan_depends_on_its_arguments_alone(situation: tuple[Job, tuple[Run, ...], datetime]) -> None:
    job, open_runs, now = situation
    before = attrs.asdict(job, recurse=False)

    first, second = (plan(job, open_runs, now, "node") for _ in range(2))

    assert attrs.asdict(job, recurse=False) == before
    assert values(first) == values(second)


def values(made: Plan) -> list[Any]:
    """Return all that is in a plan; runs are compared by identity."""
    return [
        attrs.astuple(attrs.evolve(made, runs=(), cancel=()), recurse=False),
        [attrs.astuple(run, recurse=False) for run in (*made.runs, *made.cancel)],
    ]
