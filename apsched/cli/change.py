"""Change several jobs, one after the other, and tell how that went (layer 10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import click

from apsched.cli.desk import Desk
from apsched.cli.output import print_json, printable, warn
from apsched.exceptions import ApschedError
from apsched.jobstores.base import JobFilter

PARTLY = 3  # exit code
Done = tuple[str, Mapping[str, object]]
"""What is told of one that worked: a sentence for people, and the document for JSON."""


async def each(
    desk: Desk, ids: Sequence[str], change: Callable[[str], Awaitable[Done]], *, as_json: bool, key: str = "jobs"
) -> int:
    """
    Call *change* for each id, tell the nodes, and return the exit code.

    Args:
        desk: The open store.
        ids: What to change; twice the same is changed once.
        change: Changes one.
        as_json: Whether to print JSON.
        key: The name of the list in it.
    """
    documents: list[Mapping[str, object]] = []
    refused: list[dict[str, str]] = []
    for each_id in dict.fromkeys(ids):
        try:
            said, document = await change(each_id)
        except (ApschedError, ValueError, TypeError) as exc:
            refused.append({"id": each_id, "error": str(exc)})
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


async def chosen(desk: Desk, ids: Sequence[str], *, every: bool) -> Sequence[str]:
    """
    Return the ids that are given, or those of all jobs.

    Raises:
        UsageError: Neither is asked for, or both are.
    """
    if every == bool(ids):
        raise click.UsageError("name the jobs, or give --all.")
    return [job.id for job in await desk.store.select(JobFilter())] if every else ids
