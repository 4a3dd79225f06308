"""Write jobs to a file: `apsched export` (layer 10)."""

from __future__ import annotations

from pathlib import Path

import click

from apsched._job_files import to_text
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import examples, with_settings
from apsched.cli.settings import Settings
from apsched.jobstores.base import JobFilter


@click.command(
    "export",
    short_help="Write jobs to a file, as JSON.",
    epilog=examples("apsched export > jobs.json", "apsched export nightly-report --out kept.json"),
)
@click.argument("ids", metavar="[JOB]...", nargs=-1, shell_complete=complete_jobs)
@click.option("--out", metavar="FILE", help="Where to.  [default: standard output]")
@with_settings
def command(settings: Settings, ids: tuple[str, ...], out: str | None) -> int:
    """
    Write jobs as JSON, all or those that are named, for "apsched add --from" and import_jobs.

    Callables are written by name, and times, options and pauses with them. The history is not written.
    """

    async def work(desk: Desk) -> str:
        jobs = [await desk.job(job_id) for job_id in ids] if ids else await desk.store.select(JobFilter())
        return to_text(jobs)

    text = at_desk(settings, work)
    if out is None:
        click.echo(text, nl=False)
    else:
        Path(out).write_text(text, encoding="utf-8")
    return 0
