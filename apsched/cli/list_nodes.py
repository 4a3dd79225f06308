"""List the schedulers on a store: `apsched nodes` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import node_document
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import clock_text, distance, length, print_json, print_table, zone_text
from apsched.cli.settings import Settings
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome

COUNTED = 10_000  # runs under way


@click.command("nodes", epilog=examples("apsched nodes --store postgresql://user:password@host/app"))
@JSON
@with_settings
def command(settings: Settings, as_json: bool) -> int:
    """
    List the nodes: the schedulers that work on the store now.

    A node whose last sign of life is older than its lease is taken for dead by the others.
    """

    async def work(desk: Desk) -> int:
        nodes = await desk.store.nodes()
        runs = await desk.store.runs(RunFilter(outcomes=(Outcome.RUNNING,)), COUNTED)
        under_way = {node.id: sum(run.node == node.id for run in runs) for node in nodes}
        if as_json:
            print_json({"nodes": [node_document(node, under_way[node.id]) for node in nodes]})
        elif not nodes:
            click.echo("There are no nodes: nobody runs these jobs now.")
        else:
            now = desk.now
            print_table(
                ("node", "started", "last sign", "lease", "running", ""),
                (
                    (
                        node.id,
                        clock_text(node.started_at, desk.zone),
                        distance(min(node.seen_at, now), now),
                        length(node.lease),
                        str(under_way[node.id]),
                        "dead" if node.is_dead else "",
                    )
                    for node in nodes
                ),
            )
            click.echo(f"\nTimes are of {zone_text(now, desk.zone)}.")
        return 0

    return at_desk(settings, work)
