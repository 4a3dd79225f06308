"""Find what is wrong in a store, and say what to do: `apsched doctor` (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs
import click

from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import print_json, print_table
from apsched.cli.settings import Settings
from apsched.doctor import Finding, examine
from apsched.triggers.texts import read_length

FOUND = 1  # exit code: something is wrong


@click.command(
    "doctor",
    short_help="Find what is wrong in a store, and say what to do.",
    epilog=examples("apsched doctor --store postgresql://user:password@host/app", "apsched doctor --grace 10m --json"),
)
@click.option(
    "--grace", default="1m", show_default=True, metavar="LENGTH", help="How long a job or a run may wait for its turn."
)
@JSON
@with_settings
def command(settings: Settings, grace: str, as_json: bool) -> int:
    """
    Find jobs that no node can run or has taken, runs that nobody ends, and nodes that are silent; change nothing.

    The exit code is 0 if all is well, and 1 if something was found.
    """
    patience = _patience(grace)

    async def work(desk: Desk) -> int:
        findings = await examine(desk.store, desk.now, grace=patience)
        if as_json:
            print_json({"findings": [attrs.asdict(finding) for finding in findings]})
        elif not findings:
            click.echo("Nothing is wrong.")
        else:
            _print(findings)
        return FOUND if findings else 0

    return at_desk(settings, work)


def _patience(text: str) -> timedelta:
    try:
        return read_length(text)
    except ValueError as exc:
        raise click.BadParameter(f"{exc}.", param_hint="--grace") from None


def _print(findings: Sequence[Finding]) -> None:
    print_table(
        ("found", "job, run or node", "what is wrong", "what to do"),
        ((finding.what, finding.id, finding.detail, finding.advice) for finding in findings),
    )
    click.echo(f"\n{len(findings)} {'thing is' if len(findings) == 1 else 'things are'} wrong.")
