"""Show the history when the demo has run, and judge whether all went as planned (layer 10)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from statistics import quantiles

import attrs

from apsched.demo.board import why
from apsched.demo.screen import PLACES, Cell, Column, Screen, cut, number, outcome_cell
from apsched.job import Job
from apsched.run import Outcome, Run

MAY_FAIL = "may"  # the tag, with the value `fail`, of jobs of which failures are part of the plan
EXAMPLES = 2  # runs of each outcome but success that are shown
LATEST = 8  # runs that are shown


@attrs.frozen
class History:
    """
    What the demo leaves.

    Attributes:
        jobs: The jobs as they were when the scheduler started.
        runs: All records, the latest nominal time first.
        until: Records are complete up to this instant, aware.
        outage: When the pretended outage began and ended, aware.
        zone: In which times are shown.
    """

    jobs: Sequence[Job]
    runs: Sequence[Run]
    until: datetime
    outage: tuple[datetime, datetime]
    zone: tzinfo

    def of(self, job: Job) -> list[Run]:
        """Return the records of one job."""
        return [run for run in self.runs if run.job_id == job.id]

    def records_of(self, job: Job, nominal: datetime) -> int:
        """Return how many records answer for a nominal time."""
        return sum((run.first_nominal_time or run.nominal_time) <= nominal <= run.nominal_time for run in self.of(job))

    def fell_into_outage(self, run: Run) -> bool:
        """Whether *run* was due when the scheduler did not look."""
        begin, end = self.outage
        return begin <= run.due_time <= end


def nominal_times(job: Job, until: datetime) -> Iterator[datetime]:
    """Iterate over the nominal times of *job*, from the one that comes next, up to and with *until*."""
    moment = job.next_nominal_time
    while moment is not None and moment <= until:
        yield moment
        moment = job.trigger.get_next_fire_time(moment, moment)


def find_faults(history: History) -> list[str]:
    """Return what did not go as planned, a sentence each."""
    faults = []
    for job in history.jobs:
        faults += [
            f"job {job.id!r} has {records} records of the nominal time {moment} in place of one"
            for moment in nominal_times(job, history.until)
            if (records := history.records_of(job, moment)) != 1
        ]
        failed = [run for run in history.of(job) if run.outcome is Outcome.FAILED]
        if failed and job.tags.get(MAY_FAIL) != "fail":
            faults.append(f"job {job.id!r} failed {len(failed)} times, last with {why(failed[0])}")
        if job.quarantine is not None:
            faults.append(f"job {job.id!r} is quarantined: {job.quarantine}")
    if not any(run.outcome is Outcome.SUCCEEDED for run in history.runs):
        faults.append("no run succeeded")
    return faults


OUTCOMES = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED, Outcome.MISSED, Outcome.COALESCED)
BY_JOB = (
    Column("job", 11),
    *(Column(outcome.value, 9, is_right=True) for outcome in OUTCOMES),
    Column("trigger", 0, from_width=100),
)


def job_table(screen: Screen, history: History) -> list[str]:
    """Return, for each job, how many nominal times had which outcome."""

    def row(job: Job) -> list[Cell]:
        runs = history.of(job)
        sums = [sum(run.count or 0 for run in runs if run.outcome is outcome) for outcome in OUTCOMES]
        return [Cell(job.id), *(Cell(number(value)) for value in sums), Cell(str(job.trigger), "dim")]

    recorded = sum(run.count or 0 for run in history.runs)
    checked = sum(1 for job in history.jobs for _ in nominal_times(job, history.until))
    until = history.until.astimezone(history.zone)
    rest = f"  {recorded} recorded; checked for one record each: the {checked} up to {until:%H:%M:%S}"
    return [*screen.heading("Nominal times", rest), *screen.table(BY_JOB, map(row, history.jobs))]


RUNS = (
    Column("nominal", 12),
    Column("job", 11),
    Column("outcome", 9),
    Column("late ms", 7, is_right=True),
    Column("took s", 6, is_right=True),
    Column("what came of it", 0),
)


def run_row(run: Run, zone: tzinfo) -> list[Cell]:
    """Return the row of a run."""
    return [
        Cell(f"{run.nominal_time.astimezone(zone):%H:%M:%S.%f}"[:12]),
        Cell(run.job_id),
        outcome_cell(run),
        Cell("" if run.lateness is None else f"{run.lateness * 1000:.1f}"),
        Cell("" if run.duration is None else f"{run.duration:.3f}"),
        Cell(why(run)),
    ]


def latest_table(screen: Screen, history: History) -> list[str]:
    """Return the runs that came last."""
    return [
        *screen.heading("The latest runs", "  get_runs(limit=...)"),
        *screen.table(RUNS, (run_row(run, history.zone) for run in history.runs[:LATEST])),
    ]


REASONS = (*RUNS[:3], Column("why", 0))


def reason_table(screen: Screen, history: History) -> list[str]:
    """Return runs that did not succeed, with why: some of each outcome."""
    found: dict[Outcome, list[Run]] = {}
    for run in history.runs:
        if run.outcome is not Outcome.SUCCEEDED:
            found.setdefault(run.outcome, []).append(run)
    shown = [run for runs in found.values() for run in runs[:EXAMPLES]]
    left = sum(map(len, found.values())) - len(shown)
    rows = [row for run in shown for row in reason_rows(run, history.zone, screen.width - 38)]
    return [
        *screen.heading("What did not run, or failed, and why", "  get_runs(outcome=...)"),
        *screen.table(REASONS, rows),
        *([screen.styled(f"and {left} more", "dim")] if left else []),
    ]


def reason_rows(run: Run, zone: tzinfo, width: int) -> Iterator[list[Cell]]:
    """Iterate over the row of a run and those that the rest of its reason takes."""
    times = "" if run.count == 1 else f"{run.count} nominal times: "
    first, *rest = textwrap.wrap(times + why(run), width) or [""]
    yield [*run_row(run, zone)[:3], Cell(first)]
    for line in rest:
        yield [Cell(""), Cell(""), Cell(""), Cell(line)]


LATENESS = (
    Column("runs in", 24),
    Column("runs", 5, is_right=True),
    Column("median", 8, is_right=True),
    Column("p95", 8, is_right=True),
    Column("max", 8, is_right=True),
)


def lateness_table(screen: Screen, history: History) -> list[str]:
    """Return how long after they were due the runs started, by where they ran."""
    places = {job.id: PLACES.get(job.executor, job.executor) for job in history.jobs}
    groups: dict[str, list[float]] = {}
    for run in history.runs:
        if run.lateness is not None:
            held_up = history.fell_into_outage(run)
            group = "any, due in the outage" if held_up else places[run.job_id]
            groups.setdefault(group, []).append(run.lateness * 1000)
    rest = "  milliseconds from due to started; processes are started first"
    rows = [lateness_row(group, groups[group]) for group in sorted(groups)]
    return [*screen.heading("Lateness", rest), *screen.table(LATENESS, rows)]


def lateness_row(group: str, values: list[float]) -> list[Cell]:
    """Return a row of the lateness table; *values* are milliseconds, at least one."""
    cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 19
    return [Cell(group), Cell(str(len(values))), *(Cell(f"{value:.1f}") for value in (cuts[9], cuts[18], max(values)))]


def summary_lines(screen: Screen, summary: Mapping[str, object]) -> list[str]:
    """Return what the process job made of the access log."""
    width = max(map(len, summary), default=0)
    lines = [cut(f"{name:{width}}  {value}", screen.width) for name, value in summary.items()]
    return [*screen.heading("What summary.json says"), *lines]
