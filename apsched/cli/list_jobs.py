"""List the jobs of a store: `apsched list` (layer 10)."""

from __future__ import annotations

import click

from apsched._documents import job_document, state_of
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import clock_text, distance, print_json, print_table, zone_text
from apsched.cli.settings import Settings
from apsched.cli.texts import read_tags
from apsched.job import Job
from apsched.jobstores.base import JobFilter
from apsched.triggers.words import describe_for


@click.command(
    "list", epilog=examples("apsched list --store sqlite:///jobs.db", "apsched list --tag team=billing --json")
)
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Only jobs with this tag; may be repeated.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many.  [default: all]")
@JSON
@with_settings
def command(settings: Settings, tags: tuple[str, ...], limit: int | None, as_json: bool) -> int:
    """List the jobs, the next one first and paused ones last."""

    async def work(desk: Desk) -> int:
        jobs = await desk.store.select(JobFilter(tags=read_tags(tags)), limit)
        if as_json:
            print_json({"jobs": [job_document(job) for job in jobs]})
        elif not jobs:
            click.echo("There are no jobs.")
        else:
            now = desk.now
            print_table(
                ("job", "when", "next run", ""),
                (
                    (
                        job.id,
                        describe_for(job.trigger, desk.zone, job.next_run_time or now),
                        "" if job.follows else clock_text(job.next_run_time, desk.zone),
                        distance(job.next_run_time, now) if _has_time(job) else _state(job),
                    )
                    for job in jobs
                ),
            )
            click.echo(
                f"\n{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}. Times are of {zone_text(now, desk.zone)}."
            )
        return 0

    return at_desk(settings, work)


def _state(job: Job) -> str:
    return "waiting" if state_of(job) == "scheduled" else state_of(job)


def _has_time(job: Job) -> bool:
    return state_of(job) == "scheduled" and job.follows is None
