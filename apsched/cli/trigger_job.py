"""Run jobs now: `apsched trigger` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import run_document
from apsched.cli.change import Done, each
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.settings import Settings
from apsched.run import Outcome, Run


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

    async def work(desk: Desk) -> int:
        async def trigger(job_id: str) -> Done:
            await desk.job(job_id)
            now = desk.now
            run = Run(job_id=job_id, nominal_time=now, due_time=now, outcome=Outcome.PENDING, is_manual=True)
            run = await desk.store.add_run(run)
            return f"{run.id} waits for a node.", run_document(run)

        return await each(desk, ids, trigger, as_json=as_json, key="runs")

    return at_desk(settings, work)
