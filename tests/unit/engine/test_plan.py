"""Every sentence of what becomes of due jobs: lateness, coalescing, overlap, catching up and jitter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from apsched.engine.plan import CATCH_UP_LIMIT, due_time, make_planner, plan
from apsched.job import Job
from apsched.run import Outcome, Plan, Run
from apsched.triggers.base import BaseTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
BERLIN = ZoneInfo("Europe/Berlin")

RUNNING, PENDING = Outcome.RUNNING, Outcome.PENDING
MISSED, SKIPPED, COALESCED = Outcome.MISSED, Outcome.SKIPPED, Outcome.COALESCED


class Walking(BaseTrigger):
    """A user's trigger: what it does not compute, its base class walks to."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return (previous_fire_time or now) + timedelta(minutes=7)


class Broken(BaseTrigger):
    """A user's trigger that does not work."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        raise ZeroDivisionError("division by zero")


def every(seconds: float, **options: Any) -> IntervalTrigger:
    return IntervalTrigger(seconds=seconds, start_date=T0, timezone="UTC", **options)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def make_job(trigger: BaseTrigger | None = None, *, due: datetime | None = None, **options: Any) -> Job:
    trigger = every(10) if trigger is None else trigger
    nominal = T0 if due is None else due
    due = due_time("job", trigger, nominal) if due is None else due
    return Job(
        id="job", name="job", func="m:f", trigger=trigger, next_nominal_time=nominal, next_run_time=due, **options
    )


def make_run(outcome: Outcome = RUNNING, *, before: float = 10) -> Run:
    moment = after(-before)
    claim: dict[str, Any] = {"epoch": 1, "node": "other", "claimed_at": moment} if outcome is RUNNING else {}
    return Run(job_id="job", nominal_time=moment, due_time=moment, outcome=outcome, **claim)


def outcomes(made: Plan) -> list[Outcome]:
    return [run.outcome for run in made.runs]


def shown(runs: Sequence[Run]) -> list[tuple[str, float, float, int | None]]:
    """Return outcome, first and last nominal time in seconds after T0, and count of each record."""
    return [
        (
            run.outcome.value,
            ((run.first_nominal_time or run.nominal_time) - T0).total_seconds(),
            (run.nominal_time - T0).total_seconds(),
            run.count,
        )
        for run in runs
    ]


# one nominal time


def test_a_due_job_is_claimed_and_moves_on() -> None:
    made = plan(make_job(), (), after(1), "node")

    (run,) = made.runs
    assert (run.job_id, run.nominal_time, run.due_time, run.outcome) == ("job", T0, T0, RUNNING)
    assert (run.epoch, run.node, run.claimed_at, run.is_manual) == (1, "node", after(1), False)
    assert (made.next_nominal_time, made.next_run_time, made.removes_job) == (after(10), after(10), False)
    assert (made.cancel, made.quarantine) == ((), None)


def test_a_finished_trigger_removes_the_job() -> None:
    made = plan(make_job(DateTrigger(T0)), (), T0, "node")

    assert outcomes(made) == [RUNNING]
    assert (made.next_nominal_time, made.next_run_time, made.removes_job) == (None, None, True)


def test_a_finished_trigger_removes_the_job_after_a_catch_up_too() -> None:
    made = plan(make_job(every(10, end_date=after(25))), (), after(1000), "node")

    assert shown(made.runs) == [("coalesced", 0, 10, 2), ("running", 20, 20, 1)]
    assert (made.next_run_time, made.removes_job) == (None, True)


def test_a_job_that_is_paused_is_no_matter_for_a_plan() -> None:
    job = attrs.evolve(make_job(), next_run_time=None, next_nominal_time=None)

    with pytest.raises(ValueError, match="'job', which is paused"):
        plan(job, (), T0, "node")


# lateness


def test_without_a_grace_time_a_run_may_be_any_time_late() -> None:
    made = plan(make_job(DateTrigger(T0)), (), T0 + timedelta(days=3650), "node")

    assert outcomes(made) == [RUNNING]


@pytest.mark.parametrize(("late", "expected"), [(5.0, RUNNING), (4.999999, RUNNING), (5.000001, MISSED), (9.0, MISSED)])
def test_a_run_may_be_as_late_as_the_grace_time_and_no_later(late: float, expected: Outcome) -> None:
    made = plan(make_job(misfire_grace_time=5), (), after(late), "node")

    assert outcomes(made) == [expected]
    assert made.next_run_time == after(10)


def test_a_missed_run_says_how_late_it_was_and_what_was_allowed() -> None:
    (run,) = plan(make_job(misfire_grace_time=5), (), after(7.5), "node").runs

    assert run.reason == "7.500 s late, and misfire_grace_time allows 5 s"
    assert (run.finished_at, run.claimed_at, run.node, run.epoch) == (after(7.5), None, None, 0)


def test_a_missed_last_run_removes_the_job_all_the_same() -> None:
    made = plan(make_job(DateTrigger(T0), misfire_grace_time=5), (), after(60), "node")

    assert (outcomes(made), made.removes_job) == ([MISSED], True)


def test_lateness_counts_from_the_due_time_and_not_from_the_nominal_one() -> None:
    job = make_job(every(100, jitter=90), misfire_grace_time=1)
    due = job.next_run_time
    assert due is not None
    assert due > after(1)

    assert outcomes(plan(job, (), due + timedelta(seconds=1), "node")) == [RUNNING]
    assert outcomes(plan(job, (), due + timedelta(seconds=1) + TICK, "node")) == [MISSED]


# coalescing


def test_of_several_due_times_only_the_last_runs() -> None:
    made = plan(make_job(), (), after(35), "node")

    assert shown(made.runs) == [("coalesced", 0, 20, 3), ("running", 30, 30, 1)]
    assert made.runs[0].reason == "stood behind the nominal time 2026-07-01T12:00:30+00:00, which runs for it"
    assert made.next_run_time == after(40)


def test_coalesced_times_are_missed_together_if_the_last_is_too_late() -> None:
    made = plan(make_job(misfire_grace_time=3), (), after(35), "node")

    assert shown(made.runs) == [("missed", 0, 30, 4)]
    assert made.next_run_time == after(40)


def test_coalesced_times_run_if_the_last_is_in_time() -> None:
    made = plan(make_job(misfire_grace_time=5), (), after(35), "node")

    assert shown(made.runs) == [("coalesced", 0, 20, 3), ("running", 30, 30, 1)]


def test_of_a_single_coalesced_time_the_record_names_that_time_alone() -> None:
    record, _ = plan(make_job(), (), after(15), "node").runs

    assert (record.nominal_time, record.first_nominal_time, record.count) == (T0, None, 1)


def test_years_behind_are_coalesced_at_once_and_the_count_is_left_open() -> None:
    made = plan(make_job(every(1)), (), T0 + timedelta(days=3650, seconds=0.5), "node")

    assert outcomes(made) == [COALESCED, RUNNING]
    assert (made.runs[0].first_nominal_time, made.runs[0].count) == (T0, None)
    assert made.next_run_time == T0 + timedelta(days=3650, seconds=1)


def test_what_a_trigger_walks_to_in_steps_is_coalesced_over_several_plans() -> None:
    job = make_job(Walking())
    now = T0 + timedelta(minutes=7) * 2500
    made = []

    while job.next_run_time is not None and job.next_run_time <= now:
        made.append(plan(job, (), now, "node"))
        job = attrs.evolve(job, next_nominal_time=made[-1].next_nominal_time, next_run_time=made[-1].next_run_time)

    assert [outcomes(one) for one in made] == [[COALESCED], [COALESCED], [COALESCED, RUNNING]]
    assert made[-1].runs[-1].nominal_time == now


# catching up


def test_without_coalescing_as_many_as_may_run_at_once_are_started_and_the_rest_waits() -> None:
    made = plan(make_job(coalesce=False, max_instances=2), (), after(35), "node")

    assert shown(made.runs) == [
        ("running", 0, 0, 1),
        ("running", 10, 10, 1),
        ("pending", 20, 20, 1),
        ("pending", 30, 30, 1),
    ]
    assert [run.epoch for run in made.runs] == [1, 1, 0, 0]
    assert made.next_run_time == after(40)


def test_without_coalescing_what_is_too_late_is_missed_in_one_record() -> None:
    made = plan(make_job(coalesce=False, max_instances=9, misfire_grace_time=15), (), after(35), "node")

    assert shown(made.runs) == [("missed", 0, 10, 2), ("running", 20, 20, 1), ("running", 30, 30, 1)]


def test_without_coalescing_a_time_that_is_late_by_exactly_the_grace_time_runs() -> None:
    job = make_job(coalesce=False, max_instances=9, misfire_grace_time=15)

    assert shown(plan(job, (), after(35), "node").runs)[0] == ("missed", 0, 10, 2)
    assert shown(plan(job, (), after(35) + TICK, "node").runs)[0] == ("missed", 0, 20, 3)


def test_without_coalescing_all_are_missed_if_all_are_too_late() -> None:
    made = plan(make_job(coalesce=False, misfire_grace_time=3), (), after(35), "node")

    assert shown(made.runs) == [("missed", 0, 30, 4)]


def test_no_more_than_the_latest_1000_are_caught_up_with_and_the_older_ones_are_one_record() -> None:
    made = plan(make_job(every(1), coalesce=False), (), after(1500), "node")

    assert shown(made.runs)[:2] == [("missed", 0, 500, 501), ("running", 501, 501, 1)]
    assert outcomes(made).count(PENDING) == CATCH_UP_LIMIT - 1
    assert made.runs[-1].nominal_time == after(1500)
    assert made.runs[0].reason == "further behind than the 1000 nominal times that are caught up with"


def test_exactly_1000_are_all_caught_up_with() -> None:
    made = plan(make_job(every(1), coalesce=False), (), after(999), "node")

    assert outcomes(made) == [RUNNING] + [PENDING] * 999


def test_years_behind_are_caught_up_with_in_bounded_work() -> None:
    trigger = CronTrigger(second="*/10", timezone="Europe/Berlin")

    made = plan(make_job(trigger, coalesce=False), (), T0 + timedelta(days=1000), "node")

    assert shown(made.runs[:1]) == [("missed", 0, 86_400_000 - 10_000, None)]
    assert len(made.runs) == 1 + CATCH_UP_LIMIT


def test_a_trigger_that_only_walks_keeps_its_steps_while_catching_up() -> None:
    made = plan(make_job(Walking(), coalesce=False), (), T0 + timedelta(days=30), "node")

    moments = [run.nominal_time for run in made.runs]
    assert {later - earlier for earlier, later in pairwise(moments)} == {timedelta(minutes=7)}
    assert shown(made.runs[:1]) == [("missed", 0, 0, 1)]
    assert made.next_nominal_time == T0 + 1001 * timedelta(minutes=7)


# overlap


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "queue_all", "cancel_running", "allow"])
def test_while_an_instance_is_free_every_overlap_policy_runs_the_job(overlap: str) -> None:
    made = plan(make_job(overlap=overlap, max_instances=2), (make_run(),), T0, "node")

    assert (outcomes(made), made.cancel) == ([RUNNING], ())


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", SKIPPED),
        ("queue_one", PENDING),
        ("queue_all", PENDING),
        ("cancel_running", RUNNING),
        ("allow", RUNNING),
    ],
)
def test_while_no_instance_is_free_the_overlap_policy_decides(overlap: str, expected: Outcome) -> None:
    under_way = make_run()

    made = plan(make_job(overlap=overlap), (under_way,), T0, "node")

    assert outcomes(made) == [expected]
    assert made.cancel == ((under_way,) if overlap == "cancel_running" else ())
    assert made.next_run_time == after(10)


@pytest.mark.parametrize(
    ("overlap", "expected"), [("skip", SKIPPED), ("queue_one", SKIPPED), ("queue_all", PENDING), ("allow", RUNNING)]
)
def test_behind_a_run_that_waits_the_overlap_policy_decides(overlap: str, expected: Outcome) -> None:
    open_runs = (make_run(before=20), make_run(PENDING, before=10))

    assert outcomes(plan(make_job(overlap=overlap), open_runs, T0, "node")) == [expected]


def test_nothing_overtakes_what_waits_in_a_queue() -> None:
    job = make_job(overlap="queue_all", max_instances=2)

    assert outcomes(plan(job, (make_run(PENDING),), T0, "node")) == [PENDING]


def test_a_skipped_run_names_what_stood_in_its_way() -> None:
    (run,) = plan(make_job(), (make_run(before=10),), after(2), "node").runs

    assert run.reason == "run job@2026-07-01T11:59:50Z has been under way on node other for 12.000 s"
    assert run.finished_at == after(2)


def test_a_skipped_run_names_the_waiting_run_if_none_is_under_way() -> None:
    handed_back = attrs.evolve(make_run(before=10), outcome=PENDING)

    (run,) = plan(make_job(max_instances=2), (handed_back,), T0, "node").runs

    assert run.reason == "run job@2026-07-01T11:59:50Z waits for its turn"


def test_several_due_times_without_a_free_instance_are_skipped_in_one_record() -> None:
    made = plan(make_job(coalesce=False), (make_run(),), after(35), "node")

    assert shown(made.runs) == [("skipped", 0, 30, 4)]


def test_queue_one_queues_one_of_several_due_times_and_skips_the_others() -> None:
    made = plan(make_job(coalesce=False, overlap="queue_one"), (make_run(),), after(35), "node")

    assert shown(made.runs) == [("pending", 0, 0, 1), ("skipped", 10, 30, 3)]


def test_queue_all_queues_each_of_several_due_times() -> None:
    made = plan(make_job(coalesce=False, overlap="queue_all"), (make_run(),), after(35), "node")

    assert outcomes(made) == [PENDING] * 4


def test_allow_starts_each_of_several_due_times() -> None:
    made = plan(make_job(coalesce=False, overlap="allow"), (make_run(),), after(35), "node")

    assert outcomes(made) == [RUNNING] * 4


def test_cancel_running_runs_the_last_of_several_due_times_for_all() -> None:
    open_runs = (make_run(before=20), make_run(before=10))

    made = plan(make_job(coalesce=False, overlap="cancel_running", max_instances=2), open_runs, after(35), "node")

    assert shown(made.runs) == [("coalesced", 0, 20, 3), ("running", 30, 30, 1)]
    assert made.cancel == open_runs


def test_a_run_that_waits_is_claimed_by_nobody() -> None:
    (run,) = plan(make_job(overlap="queue_all"), (make_run(),), T0, "node").runs

    assert (run.epoch, run.node, run.claimed_at, run.finished_at, run.reason) == (0, None, None, None, None)


# jitter


def test_without_jitter_a_nominal_time_is_due_at_once() -> None:
    assert due_time("job", every(10), T0) == T0


def test_jitter_is_derived_from_the_job_and_the_nominal_time() -> None:
    trigger = every(100, jitter=90)
    delays = {due_time(job, trigger, moment) - moment for job in "abc" for moment in (T0, after(100), after(200))}

    assert len(delays) == 9
    assert due_time("a", trigger, T0) == due_time("a", every(100, jitter=90), T0.astimezone(BERLIN))


def test_jitter_is_bounded_and_spread() -> None:
    trigger = every(100, jitter=50)
    delays = [(due_time("job", trigger, after(n * 100)) - after(n * 100)).total_seconds() for n in range(1000)]

    assert 0 <= min(delays) < 1
    assert 49 < max(delays) <= 50


def test_jitter_never_makes_a_run_due_after_the_next_nominal_time() -> None:
    trigger = every(10, jitter=3600)
    moments = [after(n * 10) for n in range(1000)]

    assert all(due_time("job", trigger, moment) <= following for moment, following in pairwise(moments))


def test_jitter_of_the_last_nominal_time_is_bounded_by_itself_alone() -> None:
    trigger = every(10, end_date=T0, jitter=3600)

    assert after(10) < due_time("job 2", trigger, T0) <= after(3600)


def test_jitter_keeps_the_zone_of_the_nominal_time() -> None:
    moment = T0.astimezone(BERLIN)

    assert due_time("job", every(100, jitter=50), moment).tzinfo is BERLIN


def test_jitter_never_moves_the_schedule() -> None:
    job = make_job(every(10, jitter=9))
    for n in range(100):
        assert job.next_run_time is not None
        made = plan(job, (), job.next_run_time, "node")
        assert [run.nominal_time for run in made.runs] == [after(10 * n)]
        job = attrs.evolve(job, next_nominal_time=made.next_nominal_time, next_run_time=made.next_run_time)


def test_a_nominal_time_whose_jitter_is_not_over_waits_for_the_next_plan() -> None:
    trigger = every(10, jitter=10)
    late = next(n for n in range(10, 99) if due_time("job", trigger, after(10 * n)) > after(10 * n + 5))

    made = plan(make_job(trigger), (), after(10 * late + 5), "node")

    assert made.runs[-1].nominal_time == after(10 * late - 10)
    assert made.next_nominal_time == after(10 * late)
    assert made.next_run_time == due_time("job", trigger, after(10 * late))


# a next run time that was given by hand


def test_a_next_run_time_beside_the_grid_runs_and_the_grid_goes_on() -> None:
    made = plan(make_job(due=after(3)), (), after(4), "node")

    assert shown(made.runs) == [("running", 3, 3, 1)]
    assert made.next_run_time == after(10)


def test_a_next_run_time_beside_the_grid_is_counted_with_the_grid() -> None:
    made = plan(make_job(due=after(3)), (), after(35), "node")

    assert shown(made.runs) == [("coalesced", 3, 20, 3), ("running", 30, 30, 1)]


def test_a_next_run_time_beside_the_grid_is_caught_up_with_like_the_grid() -> None:
    made = plan(make_job(every(1), due=after(0.5), coalesce=False), (), after(1000), "node")

    assert shown(made.runs)[:2] == [("missed", 0.5, 0.5, 1), ("running", 1, 1, 1)]
    assert len(made.runs) == 1 + CATCH_UP_LIMIT


@pytest.mark.parametrize("open_runs", [(), (make_run(),)])
def test_a_next_run_time_that_was_given_has_no_jitter(open_runs: tuple[Run, ...]) -> None:
    job = make_job(every(100, jitter=90), due=after(3), overlap="allow")

    (run,) = plan(job, open_runs, after(3), "node").runs

    assert run.due_time == after(3)


def test_lateness_to_a_next_run_time_that_was_given_has_no_jitter() -> None:
    job = make_job(every(100, jitter=90), due=after(3), misfire_grace_time=2)

    (run,) = plan(job, (), after(6), "node").runs

    assert run.reason == "3.000 s late, and misfire_grace_time allows 2 s"


# the end of DST: clocks show an hour twice

FOLD = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)  # the first time


def make_job_at_the_fold(**options: Any) -> Job:
    return make_job(CronTrigger(minute="*/15", timezone=BERLIN), due=FOLD, **options)


def test_times_that_clocks_show_twice_are_counted_once_each() -> None:
    made = plan(make_job_at_the_fold(), (), datetime(2026, 10, 25, 1, 20, tzinfo=UTC), "node")

    assert [(run.outcome, run.nominal_time.astimezone(UTC).strftime("%H:%M"), run.count) for run in made.runs] == [
        (COALESCED, "01:00", 3),
        (RUNNING, "01:15", 1),
    ]
    assert made.runs[0].first_nominal_time == FOLD


def test_times_that_clocks_show_twice_are_caught_up_with() -> None:
    job = make_job_at_the_fold(coalesce=False, max_instances=9)

    made = plan(job, (), datetime(2026, 10, 25, 1, 20, tzinfo=UTC), "node")

    assert [run.nominal_time.astimezone(UTC).strftime("%H:%M") for run in made.runs] == [
        "00:30",
        "00:45",
        "01:00",
        "01:15",
    ]


# planners


def test_a_planner_plans_for_the_executors_of_the_node() -> None:
    job = make_job(executor="pool")

    assert outcomes(make_planner({"pool"})(job, (), T0, "node")) == [RUNNING]


def test_a_planner_quarantines_a_job_of_an_executor_that_the_node_lacks() -> None:
    made = make_planner({"default"})(make_job(executor="pool"), (), T0, "node")

    assert made.quarantine == "no executor has the alias 'pool' on node node"
    assert (made.runs, made.removes_job) == ((), False)


def test_a_planner_quarantines_a_job_whose_trigger_raises() -> None:
    made = make_planner({"default"})(make_job(Broken(), due=T0), (), T0, "node")

    assert made.quarantine is not None
    assert "raised ZeroDivisionError: division by zero" in made.quarantine
    assert (made.runs, made.removes_job) == ((), False)
