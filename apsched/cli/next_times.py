"""Say a schedule in words, and when it comes next: `apsched next` (layer 10).

Nothing but triggers is imported as long as no job is asked for.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import click

from apsched.cli.completion import complete_jobs
from apsched.cli.options import JSON, examples, no_store, with_settings
from apsched.cli.output import clock_text, distance, instant, print_json, printable, zone_text
from apsched.cli.settings import Settings
from apsched.cli.texts import read_time
from apsched.clock import SystemClock
from apsched.exceptions import JobLookupError
from apsched.triggers.base import BaseTrigger
from apsched.triggers.clock_changes import remarks
from apsched.triggers.texts import read_trigger
from apsched.triggers.upcoming import times_from
from apsched.triggers.words import describe

NO_SCHEDULE = "no schedule, such as '0 3 * * *' or 'every 5 minutes'"


@click.command(
    "next",
    epilog=examples(
        "apsched next '0 3 * * mon-fri'",
        "apsched next '30 2 * * *' --timezone Europe/Helsinki",
        "apsched next 'every 90 minutes' --from '2026-12-24 18:00' -n 3",
        "apsched next nightly-report --store sqlite:///jobs.db",
    ),
)
@click.argument("text", metavar="SCHEDULE|JOB", shell_complete=complete_jobs)
@click.option("--count", "-n", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many times.")
@click.option("--from", "start", metavar="TIME", help="The first time to look at.  [default: now]")
@JSON
@with_settings
def command(settings: Settings, text: str, count: int, start: str | None, as_json: bool) -> int:
    """
    Say in words when a schedule comes, and its next times.

    SCHEDULE is a line of a crontab (5 fields, or 6 with seconds first, or @daily and the like), or an interval: "every
    5 minutes", "90s", "1h30m". JOB is the id of a job in the store.

    It tells what becomes of it when clocks change within a year.
    """
    zone, now = settings.zone, SystemClock().now()
    begin = read_time(start, zone, now, "--from")
    trigger = read_trigger(text, zone)
    if trigger is None:
        name, trigger, times = _of_job(settings, text, begin, count)
    else:
        name, trigger = text, trigger.anchored(begin or now)
        times = times_from(trigger, begin or now, count)
    _print(name, trigger, times, begin or now, zone, as_json)
    return 0


def _of_job(
    settings: Settings, job_id: str, begin: datetime | None, count: int
) -> tuple[str, BaseTrigger, list[datetime]]:
    if not settings.names_store:
        raise click.UsageError(f"{printable(job_id)!r} is {NO_SCHEDULE}; if it is a job: {no_store().message}")
    from apsched.cli.desk import Desk, at_desk
    from apsched.engine.explain import next_times
    from apsched.job import Job

    async def work(desk: Desk) -> Job:
        return await desk.job(job_id)

    try:
        job = at_desk(settings, work)
    except JobLookupError:
        raise ValueError(f"{printable(job_id)!r} is {NO_SCHEDULE}, nor the id of a job in the store") from None
    times = next_times(job, count) if begin is None else times_from(job.trigger, begin, count)
    return job_id, job.trigger, times


def _print(
    name: str, trigger: BaseTrigger, times: list[datetime], begin: datetime, zone: tzinfo, as_json: bool
) -> None:
    own = getattr(trigger, "timezone", zone)
    words, found = describe(trigger), remarks(trigger, begin, own)
    if as_json:
        said = {"schedule": name, "words": words, "trigger": str(trigger), "timezone": str(own)}
        print_json({**said, "next_times": [instant(moment) for moment in times], "remarks": found})
        return
    click.echo(f"{words[:1].upper()}{words[1:]}, in {zone_text(begin, own)}.")
    click.echo()
    for moment in times:
        shown = moment.astimezone(zone)
        click.echo(f"{shown:%a} {clock_text(moment, zone)} {shown:%Z}  {distance(moment, begin)}")
    if not times:
        click.echo("It does not come any more.")
    for remark in found:
        click.echo(f"\n{remark}")
