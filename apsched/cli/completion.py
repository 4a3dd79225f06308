"""Complete the ids of jobs and runs on a command line (layer 10).

Rule 1: a shell asks while somebody types, so whatever goes wrong or takes long gives no ids, and no message.
Rule 2: nothing of stores is imported until somebody asks.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from apsched.cli.options import settings_in

if TYPE_CHECKING:
    from apsched.engine.desk import Desk

PATIENCE = 2.0  # seconds
MOST = 1000  # jobs or runs that are read


def complete_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of jobs that begin with *incomplete*, each with its schedule in words."""
    from apsched.jobstores.base import JobFilter
    from apsched.triggers.words import describe

    async def find(desk: Desk) -> Mapping[str, str | None]:
        return {job.id: describe(job.trigger) for job in await desk.store.select(JobFilter(), MOST)}

    return _ask(ctx, find, incomplete)


def complete_open_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of runs that begin with *incomplete* and have not ended."""
    from apsched.jobstores.base import RunFilter
    from apsched.run import Outcome

    async def find(desk: Desk) -> Mapping[str, str | None]:
        where = RunFilter(outcomes=(Outcome.PENDING, Outcome.RUNNING))
        return dict.fromkeys(run.id for run in await desk.store.runs(where, MOST))

    return _ask(ctx, find, incomplete)


def _ask(
    ctx: click.Context, find: Callable[[Desk], Awaitable[Mapping[str, str | None]]], incomplete: str
) -> list[CompletionItem]:
    """Let *find* look into the store that the command line names, as far as that is written."""
    import anyio

    from apsched.cli.desk import open_desk

    found: dict[str, str | None] = {}

    async def main() -> None:
        with anyio.move_on_after(PATIENCE):
            async with open_desk(settings_in(ctx)) as desk:
                found.update(await find(desk))

    level = logging.root.manager.disable
    logging.disable()
    with suppress(Exception):
        anyio.run(main)
    logging.disable(level)
    return [CompletionItem(each, help=words) for each, words in found.items() if each.startswith(incomplete)]
