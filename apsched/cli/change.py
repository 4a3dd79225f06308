"""Change several jobs or runs, one after the other, and tell how that went (layer 10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs
import click

from apsched.cli.desk import Desk, at_desk
from apsched.cli.output import print_json, printable, warn
from apsched.cli.settings import Settings
from apsched.exceptions import ApschedError
from apsched.jobstores.base import JobFilter

PARTLY = 3  # exit code
Done = tuple[str, Mapping[str, object]]
"""What is told of one that worked: a sentence for people, and the document for JSON."""


def change_each(
    settings: Settings,
    ids: Sequence[str] | None,
    change: Callable[[Desk, str], Awaitable[Done]],
    *,
    as_json: bool,
    key: str = "jobs",
) -> int:
    """
    Call *change* for each id at the store that the settings name, tell the nodes once, and return the exit code.

    Args:
        settings: Which store is meant.
        ids: What to change; twice the same is changed once; None: all jobs.
        change: Changes one.
        as_json: Whether to print JSON.
        key: The name of the list in it.
    """

    async def work(desk: Desk) -> int:
        chosen = [job.id for job in await desk.store.select(JobFilter())] if ids is None else dict.fromkeys(ids)
        quiet = attrs.evolve(desk, tells_nodes=False)
        documents: list[Mapping[str, object]] = []
        refused: list[dict[str, str]] = []
        for each in chosen:
            try:
                said, document = await change(quiet, each)
            except (ApschedError, ValueError, TypeError) as exc:
                refused.append({"id": each, "error": str(exc)})
                warn(str(exc))
            else:
                documents.append(document)
                if not as_json:
                    click.echo(printable(said))
        if documents:
            await desk.tell_nodes()
        if as_json:
            print_json({key: documents, "refused": refused})
        if not refused:
            return 0
        return PARTLY if documents else 1

    return at_desk(settings, work)


def chosen_jobs(ids: Sequence[str], *, every: bool) -> Sequence[str] | None:
    """
    Return the ids that are given, or None for all jobs.

    Raises:
        UsageError: Neither is asked for, or both are.
    """
    if every == bool(ids):
        raise click.UsageError("name the jobs, or give --all.")
    return None if every else ids
