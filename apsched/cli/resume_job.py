"""Resume jobs: `apsched resume` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import job_document, state_of
from apsched.cli.change import Done, chosen, each
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import next_run_text
from apsched.cli.settings import Settings
from apsched.engine.make_job import first_times
from apsched.job import Job


@click.command("resume", epilog=examples("apsched resume nightly-report", "apsched resume --all"))
@click.argument("ids", metavar="[JOB]...", nargs=-1, shell_complete=complete_jobs)
@click.option("--all", "every", is_flag=True, help="All jobs.")
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], every: bool, as_json: bool) -> int:
    """
    Resume paused jobs, from their next time on; what fell into the pause does not run.

    A quarantined job is tried again. A job that is neither stays as it is.
    """

    async def work(desk: Desk) -> int:
        def change(job: Job) -> Job:
            if state_of(job) == "scheduled":
                return job
            job.next_nominal_time, job.next_run_time = first_times(job, desk.now)
            if job.next_run_time is None:
                raise ValueError(f"job {job.id!r} has no time to come and cannot be resumed; remove it")
            job.quarantine = None
            return job

        async def resume(job_id: str) -> Done:
            job = await desk.store.update(job_id, change)
            return f"{job.id} {next_run_text(job, desk.zone)}.", job_document(job)

        return await each(desk, await chosen(desk, ids, every=every), resume, as_json=as_json)

    return at_desk(settings, work)
