"""List the history: `apsched runs` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import run_document
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import print_json, printable, printable_lines, zone_text
from apsched.cli.settings import Settings
from apsched.cli.show_job import show_runs
from apsched.cli.texts import read_time
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run


@click.command(
    "runs",
    epilog=examples(
        "apsched runs --since -12h --outcome failed --outcome missed", "apsched runs nightly-report --limit 3 --errors"
    ),
)
@click.argument("job_id", metavar="[JOB]", required=False, shell_complete=complete_jobs)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([each.value for each in Outcome]),
    help="Only these; may be repeated.",
)
@click.option("--since", metavar="TIME", help="Only nominal times from this on: '2026-11-20 18:00', or -12h.")
@click.option("--until", metavar="TIME", help="Only nominal times up to this.")
@click.option("--node", metavar="ID", help="Only runs that this node claimed.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N", help="At most so many."
)
@click.option("--errors", is_flag=True, help="Print the tracebacks too.")
@click.option("--log", is_flag=True, help="Print what they have logged too.")
@click.option("--ids", is_flag=True, help="Print the ids of the runs only, one a line.")
@JSON
@with_settings
def command(
    settings: Settings,
    job_id: str | None,
    outcomes: tuple[str, ...],
    since: str | None,
    until: str | None,
    node: str | None,
    limit: int,
    errors: bool,
    log: bool,
    ids: bool,
    as_json: bool,
) -> int:
    """List runs, the latest first, of one job or of all."""

    async def work(desk: Desk) -> int:
        where = RunFilter(
            job_id=job_id,
            outcomes=frozenset(map(Outcome, outcomes)) if outcomes else None,
            since=read_time(since, desk.zone, desk.now, "--since"),
            until=read_time(until, desk.zone, desk.now, "--until"),
            node=node,
        )
        runs = await desk.store.runs(where, limit)
        if as_json:
            print_json({"runs": [run_document(run) for run in runs]})
        elif ids:
            click.echo("".join(f"{printable(run.id)}\n" for run in runs), nl=False)
        elif not runs:
            click.echo("There are no such runs.")
        else:
            show_runs(runs, desk)
            more = f" There may be more: --limit is {limit}." if len(runs) == limit else ""
            click.echo(f"\nTimes are of {zone_text(desk.now, desk.zone)}.{more}")
            for run in runs:
                _tell_more(run, errors=errors, log=log)
        return 0

    return at_desk(settings, work)


def _tell_more(run: Run, *, errors: bool, log: bool) -> None:
    for attempt in run.attempts if errors else ():
        if attempt.error:
            click.echo(f"\n{printable(run.id)}, attempt {attempt.number}:\n{printable_lines(attempt.error)}")
    if errors and run.error:
        click.echo(f"\n{printable(run.id)}:\n{printable_lines(run.error)}")
    if log and run.report is not None and run.report.log:
        click.echo(f"\n{printable(run.id)} has logged:\n{printable_lines(run.report.log)}")
