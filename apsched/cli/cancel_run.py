"""Cancel runs that wait: `apsched cancel` (layer 10)."""

from __future__ import annotations

import attrs
import click

from apsched._documents import run_document
from apsched.cli.change import Done, each
from apsched.cli.completion import complete_open_runs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.settings import Settings
from apsched.exceptions import RunLookupError
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run, parse_run_id


@click.command(
    "cancel",
    epilog=examples("apsched runs --outcome pending --ids", "apsched cancel nightly-report@2026-11-21T03:00:00Z"),
)
@click.argument("ids", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_open_runs)
@JSON
@with_settings
def command(settings: Settings, ids: tuple[str, ...], as_json: bool) -> int:
    """
    Cancel runs that are pending.

    A run that is under way can be cancelled by its own node only, with the verb cancel_run.
    """

    async def work(desk: Desk) -> int:
        async def cancel(run_id: str) -> Done:
            run = await _found(desk, run_id)
            cancelled = attrs.evolve(
                run, outcome=Outcome.CANCELLED, finished_at=desk.now, reason="cancelled by hand, from a shell"
            )
            if run.outcome is not Outcome.PENDING or not await desk.store.finish([cancelled]):
                raise RunLookupError(run_id, _why_not(await _found(desk, run_id)))
            return f"{run_id} is cancelled.", run_document(cancelled)

        return await each(desk, ids, cancel, as_json=as_json, key="runs")

    return at_desk(settings, work)


async def _found(desk: Desk, run_id: str) -> Run:
    job_id, moment = parse_run_id(run_id)
    for run in await desk.store.runs(RunFilter(job_id=job_id, since=moment, until=moment), 1):
        return run
    raise RunLookupError(run_id)


def _why_not(run: Run) -> str:
    if run.outcome.is_final:
        return f"it has ended with the outcome {run.outcome.value!r}"
    return f"it is under way on node {run.node}; cancel it there"
