"""The pictures of the dashboard, as values."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apsched.run import Outcome, Run
from apsched.web.charts.lanes import lane, ticks
from apsched.web.charts.spark import BARS, sparkline
from apsched.web.charts.steps import steps
from apsched.web.words import clock, length, relative

NOW = datetime(2026, 3, 28, 9, 41, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def run_of(outcome: Outcome, took: float | None = None, minutes_ago: int = 1) -> Run:
    begun = NOW - timedelta(minutes=minutes_ago)
    started = None if took is None else begun
    finished = None if took is None else begun + timedelta(seconds=took)
    return Run(
        job_id="job", nominal_time=begun, due_time=begun, outcome=outcome, started_at=started, finished_at=finished
    )


def marks(times: list[datetime], **options: object) -> list[tuple[str, float]]:
    given = {"now": NOW, "takes": 0.0, "zone": UTC, "has_more": False, **options}
    drawn = lane(times, **given)  # type: ignore[arg-type]
    found = re.findall(r'<(\w+) (?:cx|x)="([\d.]+)%"', drawn)
    return [(name, float(place)) for name, place in found]


def test_the_bars_of_a_job_are_as_high_as_its_runs_are_long_and_the_latest_stands_at_the_end() -> None:
    drawn = sparkline([run_of(Outcome.SUCCEEDED, 4.0), run_of(Outcome.FAILED, 1.0), run_of(Outcome.MISSED)], UTC, NOW)
    bars = re.findall(r'<rect x="(\d+)" y="\d+" width="4" height="(\d+)" rx="1" class="k-(\w+)">', drawn)
    assert bars == [("195", "22", "ok"), ("190", "14", "bad"), ("185", "3", "warn")]
    assert 'aria-label="the last 3 runs: 1 succeeded, 1 failed, 1 missed"' in drawn
    assert 'aria-label="no runs yet"' in sparkline([], UTC, NOW)
    assert len(sparkline([run_of(Outcome.SUCCEEDED, 0.0)] * BARS, UTC, NOW)) < 8000


def test_times_that_stand_close_together_become_one_bar() -> None:
    far = [NOW + timedelta(hours=hours) for hours in (6, 12)]
    assert marks(far) == [("circle", 25.0), ("circle", 50.0)]
    close = [NOW + timedelta(hours=6, minutes=10 * number) for number in range(7)]
    assert marks(close) == [("rect", 25.0)]
    assert marks(close[:1], takes=7200.0) == [("rect", 25.0)]  # a run of two hours is seen as long as it is
    assert 'width="75.00%"' in lane(close, NOW, 0.0, UTC, has_more=True)  # and so on


def test_the_scale_has_lines_at_the_hours_of_the_zone_also_when_a_day_has_23() -> None:
    labels = [tick.label for tick in ticks(NOW, BERLIN)]
    assert labels == ["12:00", "15:00", "18:00", "21:00", "Sun", "03:00", "06:00", "09:00"]
    hours = [tick.percent * 0.24 for tick in ticks(NOW, BERLIN)]
    assert round(hours[5] - hours[4], 3) == 2  # the clocks go forward at 02:00
    assert next(tick.label for tick in ticks(NOW, ZoneInfo("Asia/Kolkata"))) == "18:00"


def test_a_run_is_drawn_step_by_step_as_far_as_it_has_come() -> None:
    run = run_of(Outcome.SUCCEEDED, 30.0)
    run.claimed_at = run.due_time
    assert [(step.name, step.seconds) for step in steps(run, NOW)] == [("waited", 0), ("got ready", 0), ("ran", 30)]
    assert round(sum(step.width for step in steps(run, NOW)), 6) == 100
    run.finished_at = None
    run.outcome = Outcome.RUNNING
    assert steps(run, NOW)[-1].seconds is None
    assert [step.name for step in steps(run_of(Outcome.MISSED), NOW)] == ["waited"]


def test_times_and_lengths_are_short_words() -> None:
    assert [length(seconds) for seconds in (None, 0.0123, 3.44, 59.6, 60, 5025, 90_000)] == [
        "",
        "12 ms",
        "3.4 s",
        "1 min",
        "1 min",
        "1 h 23 min",
        "1 d 1 h",
    ]
    assert [relative(NOW + timedelta(seconds=each), NOW) for each in (0.4, 59, 3600, -90, -200_000)] == [
        "now",
        "in 59 s",
        "in 1 h",
        "1 min ago",
        "2 d ago",
    ]
    assert [clock(NOW + timedelta(hours=each), BERLIN, NOW) for each in (1, 24, -24, 72, 1000, 9000)] == [
        "11:41",
        "tomorrow 11:41",
        "yesterday 10:41",
        "Tue 11:41",
        "9 May 03:41",
        "7 Apr 2027 11:41",
    ]
