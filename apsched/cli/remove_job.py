"""Remove jobs: `apsched remove` (layer 10)."""

from __future__ import annotations

import click

from apsched.cli.change import Done, change_each
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.settings import Settings


@click.command("remove", epilog=examples("apsched export nightly-report > kept.json", "apsched remove nightly-report"))
@click.argument("ids", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_jobs)
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], as_json: bool) -> int:
    """
    Remove jobs. Runs under way go on, pending ones are cancelled, the history stays.

    A job that a program declares at its start is there again after that start.
    """
    return change_each(settings, ids, _remove, as_json=as_json)


async def _remove(desk: Desk, job_id: str) -> Done:
    await desk.remove_job(job_id)
    return f"{job_id} is removed.", {"id": job_id}
