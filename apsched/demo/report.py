"""Show the history when the demo has run, and judge whether all went as planned (layer 10)."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from statistics import quantiles

import attrs

from apsched.demo.board import what_came_of
from apsched.demo.screen import PLACES, Cell, Column, Screen, cut, number, outcome_cell, time_until
from apsched.job import Job
from apsched.run import Outcome, Run

MAY_FAIL = "may"  # the tag, with the value `fail`, of jobs of which failures are part of the plan
EXAMPLES = 2  # runs of each outcome but success that are shown
LATEST = 8  # runs and starts that are shown
COUNTABLE = 1000  # nominal times; a record for more does not know for how many


@attrs.frozen
class History:
    """
    What the demo leaves.

    Attributes:
        jobs: The jobs as they were when the scheduler started.
        changed: Ids of jobs whose schedule is another one than at the start before.
        runs: All records, of earlier starts too, the latest nominal time first.
        node: The id of this start.
        began: When this start could claim runs, aware.
        until: Records are complete up to this instant, aware.
        outage: When the pretended outage began and ended, aware.
        zone: In which times are shown.
    """

    jobs: Sequence[Job]
    changed: Collection[str]
    runs: Sequence[Run]
    node: str
    began: datetime
    until: datetime
    outage: tuple[datetime, datetime]
    zone: tzinfo

    def of(self, job: Job) -> list[Run]:
        """Return the records of one job."""
        return [run for run in self.runs if run.job_id == job.id]

    @property
    def since(self) -> datetime | None:
        """From which nominal time on records are checked: the first one of the start before this one, if there is."""
        starts = find_starts(self.runs)[-2:]
        return min((run.nominal_time for start in starts for run in start.runs if run.epoch == 1), default=None)

    def was_held_up(self, run: Run) -> bool:
        """Whether *run* was due when no scheduler looked, or was under way on a node that died."""
        begin, end = self.outage
        return run.due_time < self.began or begin <= run.due_time <= end or run.epoch > 1


def first_of(run: Run) -> datetime:
    """Return the first nominal time that a record stands for."""
    return run.first_nominal_time or run.nominal_time


@attrs.frozen
class Start:
    """
    One start of the demo.

    Attributes:
        node: Its id.
        runs: Those that it was the last one to claim, at least one.
    """

    node: str
    runs: Sequence[Run]

    @property
    def begin(self) -> datetime:
        """When it claimed the first of them, aware."""
        return min(run.claimed_at for run in self.runs if run.claimed_at is not None)

    @property
    def end(self) -> datetime:
        """When it started or ended the last of them, aware."""
        moments = (moment for run in self.runs for moment in (run.claimed_at, run.finished_at))
        return max(moment for moment in moments if moment is not None)


def find_starts(runs: Iterable[Run]) -> list[Start]:
    """Return the starts of the demo that have claimed *runs*, the first one first."""
    claimed: dict[str, list[Run]] = {}
    for run in runs:
        if run.node is not None and run.claimed_at is not None:
            claimed.setdefault(run.node, []).append(run)
    return sorted((Start(node, found) for node, found in claimed.items()), key=lambda start: start.begin)


def nominal_times(runs: Iterable[Run]) -> str:
    """Return for how many nominal times *runs* stand."""
    counts = [run.count for run in runs]
    known = sum(count or COUNTABLE for count in counts)
    return f"more than {known}" if None in counts else str(known)


def find_gap(history: History, job: Job) -> str | None:
    """
    Return what is wrong with the records of a job: each must begin with the nominal time that follows the last one.

    So each nominal time has one record, the time between this start of the demo and the one before included.
    """
    since = job.next_nominal_time if job.id in history.changed else history.since
    runs = [run for run in reversed(history.of(job)) if since is None or first_of(run) >= since]
    following = first_of(runs[0]) if runs else job.next_nominal_time
    for run in runs:
        if following is None or first_of(run) != following:
            return f"a record of the nominal time {first_of(run)} where that of {following} was to come"
        following = job.trigger.get_next_fire_time(run.nominal_time, run.nominal_time)
    if following is not None and following <= history.until:
        return f"no record of the nominal time {following}"
    return None


def find_faults(history: History) -> list[str]:
    """Return what did not go as planned, a sentence each."""
    faults = []
    for job in history.jobs:
        if gap := find_gap(history, job):
            faults.append(f"job {job.id!r} has {gap}")
        failed = [run for run in history.of(job) if run.outcome is Outcome.FAILED]
        if failed and job.tags.get(MAY_FAIL) != "fail":
            faults.append(f"job {job.id!r} failed {len(failed)} times, last with {what_came_of(failed[0])}")
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
        sums = [sum(run.count or COUNTABLE for run in runs if run.outcome is outcome) for outcome in OUTCOMES]
        return [Cell(job.id), *(Cell(number(value)) for value in sums), Cell(str(job.trigger), "dim")]

    until = history.until.astimezone(history.zone)
    rest = f"  {nominal_times(history.runs)} recorded; checked: one record for each, up to {until:%H:%M:%S}"
    return [*screen.heading("Nominal times", rest), *screen.table(BY_JOB, map(row, history.jobs))]


STARTS = (
    Column("from", 8),
    Column("to", 8),
    Column("runs", 5, is_right=True),
    Column("again", 5, is_right=True),
    Column("by the node", 0),
)


def start_table(screen: Screen, history: History) -> list[str]:
    """Return the latest starts of the demo on this store, and the time between them; nothing of a first one."""
    starts = find_starts(history.runs)[-LATEST:]
    if len(starts) < 2:
        return []
    rows = [start_row(history, starts[0])]
    for before, start in pairwise(starts):
        idle = time_until(start.begin, before.end)
        rows.append([Cell(""), Cell(""), Cell(""), Cell(""), Cell(f"no node for {idle}", "dim")])
        rows.append(start_row(history, start))
    rest = "  host:process:start; again: runs that were under way on a node that died"
    return [*screen.heading("Starts on this store", rest), *screen.table(STARTS, rows)]


def start_row(history: History, start: Start) -> list[Cell]:
    """Return the row of a start."""
    times = (f"{moment.astimezone(history.zone):%H:%M:%S}" for moment in (start.begin, start.end))
    again = sum(run.epoch > 1 for run in start.runs)
    this = ", this one" if start.node == history.node else ""
    return [*map(Cell, times), Cell(str(len(start.runs))), Cell(number(again), "odd"), Cell(start.node + this)]


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
        Cell(what_came_of(run)),
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


def rerun_table(screen: Screen, history: History) -> list[str]:
    """Return the latest runs that were under way when their node died; nothing if there are none."""
    again = [run for run in history.runs if run.deaths][:LATEST]
    if not again:
        return []
    heading = screen.heading("Under way when their node was killed, and run again", "  on_crash='rerun'")
    return [*heading, *screen.table(RUNS, (run_row(run, history.zone) for run in again))]


def reason_rows(run: Run, zone: tzinfo, width: int) -> Iterator[list[Cell]]:
    """Iterate over the row of a run and those that the rest of its reason takes."""
    times = "" if run.count == 1 else f"{nominal_times([run])} nominal times: "
    first, *rest = textwrap.wrap(times + what_came_of(run), width) or [""]
    yield [*run_row(run, zone)[:3], Cell(first)]
    for line in rest:
        yield [Cell(""), Cell(""), Cell(""), Cell(line)]


LATENESS = (
    Column("runs in", 25),
    Column("runs", 5, is_right=True),
    Column("median", 8, is_right=True),
    Column("p95", 8, is_right=True),
    Column("max", 8, is_right=True),
)


def lateness_table(screen: Screen, history: History) -> list[str]:
    """Return how long after they were due the runs of this start started, by where they ran."""
    places = {job.id: PLACES.get(job.executor, job.executor) for job in history.jobs}
    groups: dict[str, list[float]] = {}
    for run in history.runs:
        if run.lateness is not None and run.node == history.node:
            group = "any, held up by an outage" if history.was_held_up(run) else places[run.job_id]
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
