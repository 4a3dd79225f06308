"""Import the jobs of APScheduler 3: `apsched import` (layer 10)."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import anyio
import attrs
import click

from apsched.cli.options import JSON
from apsched.cli.output import instant, print_json, print_table, printable
from apsched.cli.stores import make_store
from apsched.migration import ImportedJob, ImportReport, import_jobs
from apsched.migration.importing import Fate

NOT_ALL = 3  # exit code


@click.command("import", short_help="Import the jobs of APScheduler 3.")
@click.option("--from", "source", required=True, metavar="URL|FILE", help="The store of APScheduler 3, or an export.")
@click.option("--to", "target", metavar="URL", help="The store to add to.  [default: beside the jobs in --from]")
@click.option("--table", metavar="NAME", help="Table, collection or key of the jobs in --from, if it is not the usual.")
@click.option("--schema", metavar="NAME", help="Schema of the table in --from.")
@click.option("--to-table", metavar="NAME", help="The same in --to.  [default: that of the job stores]")
@click.option("--to-schema", metavar="NAME", help="Schema of the tables in --to.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and do nothing.")
@click.option("--replace", is_flag=True, help="Replace jobs that are in --to already.")
@click.option("--no-imports", is_flag=True, help="Do not look for the callables of the jobs.")
@JSON
def command(
    source: str,
    target: str | None,
    table: str | None,
    schema: str | None,
    to_table: str | None,
    to_schema: str | None,
    dry_run: bool,
    replace: bool,
    no_imports: bool,
    as_json: bool,
) -> int:
    """
    Import the jobs of APScheduler 3, with their ids, next run times and pauses.

    Stop the old schedulers first. What is read stays as it is, and no pickle in it is run. Jobs that are in --to stay
    as they are there, so this can be repeated.

    Exit codes: 0 all jobs are there, 1 nothing was done, 2 wrong usage, 3 some jobs were refused.
    """
    if target is None and "://" not in source:
        raise click.UsageError("--to is needed where --from is a file.")
    report = anyio.run(
        partial(
            import_jobs,
            source,
            make_store(source if target is None else target, to_table, to_schema),
            table=table,
            schema=schema,
            replace=replace,
            dry_run=dry_run,
            imports=not no_imports,
        )
    )
    if as_json:
        print_json({"dry_run": report.is_dry_run, "jobs": [_document(job) for job in report.jobs]})
    else:
        _show(report)
    return NOT_ALL if report.of("refused") else 0


def _document(job: ImportedJob) -> dict[str, Any]:
    return {**attrs.asdict(job), "next_run_time": instant(job.next_run_time)}


def _show(report: ImportReport) -> None:
    if report.jobs:
        rows = ((job.id, job.trigger or "", _when(job), job.fate) for job in report.jobs)
        print_table(("job", "trigger", "next run", ""), rows)
        click.echo()
    for job in report.jobs:
        for note in (*job.remarks, *([f"refused: {job.problem}"] if job.problem else ())):
            click.echo(printable(f"{job.id}: {note}"))
    counts = ", ".join(f"{len(jobs)} {fate}" for fate in get_args(Fate) if (jobs := report.of(fate)))
    click.echo(f"{len(report.jobs)} jobs found: {counts or 'nothing to do'}.")
    if report.is_dry_run:
        click.echo("Nothing was changed: this was a dry run, which does not look at the jobs that are in --to.")


def _when(job: ImportedJob) -> str:
    if job.fate == "refused":
        return ""
    return "paused" if job.next_run_time is None else f"{job.next_run_time:%Y-%m-%d %H:%M:%S %Z}"
