"""Follow the runs of a store: `apsched tail` (layer 10)."""

from __future__ import annotations

from datetime import datetime, timedelta

import anyio
import click

from apsched._documents import run_document
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import clock_text, length, outcome_text, print_json, printable
from apsched.cli.settings import Settings
from apsched.cli.show_job import why
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run, parse_run_id

PAGE = 500  # runs that are read at a time
WINDOW = timedelta(minutes=2)  # how late a run may be that begins and ends between two looks
CLOCK_DIFFERENCE = timedelta(seconds=5)  # between this machine and the nodes
OPEN = (Outcome.PENDING, Outcome.RUNNING)


@click.command(
    "tail",
    short_help="Print runs as they are claimed and as they end.",
    epilog=examples("apsched tail", "apsched tail nightly-report --json"),
)
@click.argument("job_id", metavar="[JOB]", required=False, shell_complete=complete_jobs)
@click.option(
    "--every", type=click.FloatRange(0.05), default=1.0, show_default=True, metavar="SECONDS", help="How often to look."
)
@click.option(
    "--last",
    type=click.IntRange(0, PAGE),
    default=10,
    show_default=True,
    metavar="N",
    help="Begin with so many past runs.",
)
@click.option("--seconds", type=click.FloatRange(0), metavar="N", help="End after so long.  [default: at Ctrl-C]")
@JSON
@with_settings
def command(
    settings: Settings, job_id: str | None, every: float, last: int, seconds: float | None, as_json: bool
) -> int:
    """
    Print runs as they are claimed and as they end, of one job or of all, until Ctrl-C.

    It asks the store now and then, so a run that is over within that time is printed once. With --json, each line is
    the JSON of a run.
    """

    async def work(desk: Desk) -> int:
        follower = Follower(desk, job_id)
        with anyio.move_on_after(seconds):
            for run in await follower.past(last):
                _print(run, desk, as_json)
            while True:
                await anyio.sleep(every)
                for run in await follower.news():
                    _print(run, desk, as_json)
        return 0

    return at_desk(settings, work)


class Follower:
    """
    Finds what is new in the history of a store.

    Args:
        desk: The open store.
        job_id: Only runs of this job; None: of all.
    """

    def __init__(self, desk: Desk, job_id: str | None) -> None:
        self._desk = desk
        self._job_id = job_id
        self._start = desk.now - CLOCK_DIFFERENCE
        self._told: dict[str, tuple[datetime, Outcome, int]] = {}  # id -> what was told of it last

    async def past(self, count: int) -> list[Run]:
        """Return the last *count* runs, the earliest first; runs that have not ended are followed from now on."""
        open_runs = await self._runs(RunFilter(job_id=self._job_id, outcomes=OPEN))
        runs = await self._desk.store.runs(RunFilter(job_id=self._job_id), count) if count else []
        recent = await self._runs(RunFilter(job_id=self._job_id, since=self._desk.now - WINDOW))
        for run in (*recent, *open_runs, *runs):
            self._note(run)
        return runs[::-1]

    async def news(self) -> list[Run]:
        """Return the runs that are new or have changed, the earliest first."""
        since = self._desk.now - WINDOW
        seen = await self._runs(RunFilter(job_id=self._job_id, since=since))
        seen += await self._runs(RunFilter(job_id=self._job_id, outcomes=OPEN, until=since))
        known = {run.id for run in seen}
        for key, (moment, outcome, _) in self._told.items():
            if not outcome.is_final and key not in known:
                job_id, _ = parse_run_id(key)
                seen += await self._desk.store.runs(RunFilter(job_id=job_id, since=moment, until=moment), 1)
        found = {
            run.id: run for run in sorted(seen, key=lambda run: run.nominal_time.timestamp()) if self._is_news(run)
        }
        for run in found.values():
            self._note(run)
        self._told = {key: told for key, told in self._told.items() if not told[1].is_final or told[0] >= since}
        return list(found.values())

    async def _runs(self, where: RunFilter) -> list[Run]:
        runs: list[Run] = []
        while page := await self._desk.store.runs(where, PAGE, runs[-1] if runs else None):
            runs += page
            if len(page) < PAGE:
                break
        return runs

    def _is_news(self, run: Run) -> bool:
        told = self._told.get(run.id)
        if told is None:
            return not run.outcome.is_final or (run.finished_at or run.nominal_time) >= self._start
        return (run.outcome, run.epoch) != told[1:]

    def _note(self, run: Run) -> None:
        self._told[run.id] = (run.nominal_time, run.outcome, run.epoch)


def _print(run: Run, desk: Desk, as_json: bool) -> None:
    if as_json:
        print_json(run_document(run), indent=None)
        return
    outcome = outcome_text(run.outcome.value, 9)
    took = f" in {length(run.duration)}" if run.duration is not None else ""
    said = f": {why(run)}" if why(run) else ""
    click.echo(f"{clock_text(run.nominal_time, desk.zone)}  {outcome}  {printable(run.job_id)}{took}{printable(said)}")
