"""Resume jobs: `apsched resume` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import job_document, state_of
from apsched.cli.change import Done, change_each, chosen_jobs
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import next_run_text
from apsched.cli.settings import Settings


@click.command(
    "resume",
    short_help="Resume paused jobs, from their next time on.",
    epilog=examples("apsched resume nightly-report", "apsched resume --all"),
)
@click.argument("ids", metavar="[JOB]...", nargs=-1, shell_complete=complete_jobs)
@click.option("--all", "every", is_flag=True, help="All jobs.")
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], every: bool, as_json: bool) -> int:
    """
    Resume paused jobs, from their next time on; what fell into the pause does not run.

    A quarantined job is tried again. A job that is neither stays as it is.
    """
    return change_each(settings, chosen_jobs(ids, every=every), _resume, as_json=as_json)


async def _resume(desk: Desk, job_id: str) -> Done:
    job = await desk.job(job_id)
    if state_of(job) != "scheduled":
        job = await desk.resume_job(job_id)
    return f"{job.id} {next_run_text(job, desk.zone)}.", job_document(job)
