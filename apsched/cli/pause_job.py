"""Pause jobs: `apsched pause` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import job_document
from apsched.cli.change import Done, change_each, chosen_jobs
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.settings import Settings


@click.command("pause", epilog=examples("apsched pause nightly-report", "apsched pause --all"))
@click.argument("ids", metavar="[JOB]...", nargs=-1, shell_complete=complete_jobs)
@click.option("--all", "every", is_flag=True, help="All jobs.")
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Pause jobs: they do not run until they are resumed. Runs under way go on."""
    return change_each(settings, chosen_jobs(ids, every=every), _pause, as_json=as_json)


async def _pause(desk: Desk, job_id: str) -> Done:
    job = await desk.pause_job(job_id)
    return f"{job.id} is paused.", job_document(job)
