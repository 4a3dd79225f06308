"""Cancel runs: `apsched cancel` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import run_document
from apsched.cli.change import Done, change_each
from apsched.cli.completion import complete_open_runs
from apsched.cli.desk import Desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.settings import Settings
from apsched.run import Outcome


@click.command(
    "cancel",
    epilog=examples("apsched runs --outcome pending --ids", "apsched cancel nightly-report@2026-11-21T03:00:00Z"),
)
@click.argument("ids", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_open_runs)
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], as_json: bool) -> int:
    """
    Cancel runs that are pending or under way.

    A run that is under way is ended by its node: a coroutine is cancelled, a worker process terminated; a thread cannot
    be ended and is let go.
    """
    return change_each(settings, ids, _cancel, as_json=as_json, key="runs")


async def _cancel(desk: Desk, run_id: str) -> Done:
    run = await desk.cancel_run(run_id)
    what = "is cancelled" if run.outcome is Outcome.CANCELLED else f"will be cancelled by its node, {run.node}"
    return f"{run_id} {what}.", run_document(run)
