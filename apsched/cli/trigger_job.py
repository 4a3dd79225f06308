"""Run jobs now: `apsched trigger` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import run_document
from apsched.cli.change import Done, change_each
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.settings import Settings


@click.command("trigger", epilog=examples("apsched trigger nightly-report", "apsched runs nightly-report --limit 1"))
@click.argument("ids", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_jobs)
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], as_json: bool) -> int:
    """
    Run jobs now, once; their schedules stay as they are.

    This queues a run, which a node of the store starts: at once if it has a free slot and hears of it, and otherwise
    when it looks the next time. A paused job runs too.
    """
    return change_each(settings, ids, _trigger, as_json=as_json, key="runs")


async def _trigger(desk: Desk, job_id: str) -> Done:
    run = await desk.run_job(job_id)
    return f"{run.id} waits for a node.", run_document(run)
