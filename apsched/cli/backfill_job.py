"""Make up for nominal times that have no record: `apsched backfill` (layer 10)."""

from __future__ import annotations

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from apsched._documents import backfill_document
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import clock_text, print_json, printable
from apsched.cli.settings import Settings
from apsched.cli.texts import read_time
from apsched.engine.backfill import BackfillReport
from apsched.run import Run

SHOWN = 10  # nominal times and failures that are told to people at most


@click.command(
    "backfill",
    short_help="Run a job for nominal times of the past that have no record.",
    epilog=examples(
        "apsched backfill nightly-report --from 2026-11-01 --to 2026-11-08 --dry-run",
        "apsched backfill nightly-report --from -7d --parallel 4",
    ),
)
@click.argument("job_id", metavar="JOB", shell_complete=complete_jobs)
@click.option("--from", "begin", required=True, metavar="TIME", help="The first nominal time at the earliest.")
@click.option("--to", "end", default="now", metavar="TIME", help="The last one at the latest.  [default: now]")
@click.option("--parallel", type=click.IntRange(1), default=1, show_default=True, help="How many runs at a time.")
@click.option("--dry-run", is_flag=True, help="Only tell the nominal times.")
@JSON
@with_settings
def command(settings: Settings, job_id: str, begin: str, end: str, parallel: int, dry_run: bool, as_json: bool) -> int:
    """
    Run a job for the nominal times that have no record, oldest first, and wait until that is done.

    The runs are started by the nodes of the store, one of which must be up. What has a record is left as it is, so that
    an interrupted backfill can be started again. The exit code is 1 if a run did not succeed.
    """

    async def work(desk: Desk) -> BackfillReport:
        first = read_time(begin, desk.zone, desk.now, "--from") or desk.now
        last = read_time(end, desk.zone, desk.now, "--to") or desk.now
        console = Console(stderr=True)
        is_quiet = as_json or dry_run or not console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=is_quiet) as progress:
            bar = progress.add_task(printable(job_id), total=None)

            def show(run: Run, done: int, total: int) -> None:
                progress.update(bar, completed=done, total=total)

            return await desk.backfill(job_id, first, last, max_parallel=parallel, dry_run=dry_run, on_run=show)

    report = at_desk(settings, work)
    if as_json:
        print_json(backfill_document(report, dry_run=dry_run))
    elif dry_run:
        _tell_times(report, settings)
    else:
        _tell(report)
    return 0 if report.is_ok else 1


def _tell_times(report: BackfillReport, settings: Settings) -> None:
    click.echo(f"{len(report.nominal_times)} nominal times; those that have a record are left as they are.")
    for moment in report.nominal_times[:SHOWN]:
        click.echo(clock_text(moment, settings.zone))
    if len(report.nominal_times) > SHOWN:
        click.echo(f"... and {len(report.nominal_times) - SHOWN} more")


def _tell(report: BackfillReport) -> None:
    made = len(report.nominal_times) - report.recorded
    parts = ", ".join(f"{count} {outcome.value}" for outcome, count in sorted(report.outcomes.items()))
    click.echo(f"{made} runs made up for" + (f": {parts}" if parts else "") + f"; {report.recorded} had a record.")
    for run in report.failed[:SHOWN]:
        click.echo(printable(f"{run.id} {run.outcome.value}: {run.why or 'no reason is known'}"))
    if len(report.failed) > SHOWN:
        click.echo(f"... and {len(report.failed) - SHOWN} more that did not succeed")
