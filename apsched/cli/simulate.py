"""Say what would run between two times: `apsched simulate` (layer 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import attrs
import click

from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import clock_text, instant, print_json, print_table, zone_text
from apsched.cli.settings import Settings
from apsched.cli.texts import read_time
from apsched.clock import SystemClock
from apsched.engine.make_job import JobMaker
from apsched.engine.schedule_file import read_schedule
from apsched.job import Job, JobDefaults
from apsched.jobstores.base import JobFilter
from apsched.triggers.words import describe_for

LIMIT = 1_000_000  # nominal times that are looked at
LONGEST = timedelta(days=370)
BAR = 40  # columns
HOUR = timedelta(hours=1)


@attrs.frozen
class Load:
    """
    What would run.

    Attributes:
        by_job: Id -> how many times.
        by_hour: Beginning of an hour, aware UTC -> how many times.
        busiest: The second in which most begin, aware UTC, and how many these are; None if nothing runs.
    """

    by_job: Counter[str]
    by_hour: Counter[datetime]
    busiest: tuple[datetime, int] | None


@click.command(
    "simulate",
    short_help="Say what would run between two times.",
    epilog=examples(
        "apsched simulate --store sqlite:///jobs.db",
        "apsched simulate --from 2026-12-24 --to 2026-12-26",
        "apsched simulate schedule.toml --to +7d --json",
    ),
)
@click.argument("file", metavar="[FILE.toml]", required=False)
@click.option("--from", "begin", default="now", metavar="TIME", help="The beginning.  [default: now]")
@click.option("--to", "end", metavar="TIME", help="The end, not included.  [default: a day after the beginning]")
@JSON
@with_settings
def command(settings: Settings, file: str | None, begin: str, end: str | None, as_json: bool) -> int:
    """
    Say what the schedules of the jobs, in the store or in a schedule file, would run between two times.

    Nothing runs. Only triggers are asked: jitter, overlaps and grace times are left aside, and so are paused jobs.
    """
    zone, now = settings.zone, SystemClock().now()
    first = read_time(begin, zone, now, "--from") or now
    last = read_time(end, zone, now, "--to") or first + timedelta(days=1)
    if not first < last <= first + LONGEST:
        raise click.UsageError("--to must be later than --from, and at most a year.")
    jobs = _jobs_of_store(settings) if file is None else _jobs_of_file(Path(file), zone, now)
    load = simulate(jobs, first, last)
    if as_json:
        by_job = [{"id": job.id, "runs": load.by_job[job.id]} for job in jobs]
        hours = [
            {"hour": instant(hour.astimezone(zone)), "runs": count} for hour, count in sorted(load.by_hour.items())
        ]
        total = load.by_job.total()
        print_json({"from": instant(first), "to": instant(last), "total": total, "jobs": by_job, "hours": hours})
    else:
        _show(jobs, load, first, last, zone)
    return 0


def simulate(jobs: list[Job], begin: datetime, end: datetime) -> Load:
    """
    Return what *jobs* would run from *begin* to before *end*.

    Raises:
        ValueError: That is more than a million runs.
    """
    by_job: Counter[str] = Counter()
    by_second: Counter[int] = Counter()
    total = 0
    for job in jobs:
        for moment in _times(job, begin, end):
            total += 1
            if total > LIMIT:
                raise ValueError(f"more than {LIMIT} runs would come until {end:%Y-%m-%d %H:%M}; give an earlier --to")
            by_job[job.id] += 1
            by_second[int(moment.timestamp())] += 1
    by_hour: Counter[datetime] = Counter()
    for second, count in by_second.items():
        by_hour[_utc(second - second % 3600)] += count
    most = max(by_second.items(), key=lambda item: (item[1], -item[0]), default=None)
    return Load(by_job, by_hour, None if most is None else (_utc(most[0]), most[1]))


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _times(job: Job, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the nominal times of *job* in that time; what comes before its next one has been decided already."""
    upcoming, last = job.next_nominal_time, end.astimezone(UTC)
    if upcoming is None or job.quarantine is not None:
        return
    begin = begin.astimezone(UTC)
    moment: datetime | None = upcoming
    if upcoming.astimezone(UTC) < begin:
        moment = job.trigger.get_next_fire_time(None, begin)
    while moment is not None and moment.astimezone(UTC) < last:
        yield moment
        moment = job.trigger.get_next_fire_time(moment, moment)


def _jobs_of_store(settings: Settings) -> list[Job]:
    async def work(desk: Desk) -> list[Job]:
        return await desk.store.select(JobFilter())

    return at_desk(settings, work)


def _jobs_of_file(path: Path, zone: tzinfo, now: datetime) -> list[Job]:
    maker = JobMaker(JobDefaults(), zone)
    return [maker.draft(now, **parameters).job for parameters in read_schedule(path, timezone=zone)]


def _show(jobs: list[Job], load: Load, begin: datetime, end: datetime, zone: tzinfo) -> None:
    click.echo(f"From {clock_text(begin, zone)} to {clock_text(end, zone)}, {zone_text(begin, zone)}:")
    click.echo()
    counted = sorted(jobs, key=lambda job: (-load.by_job[job.id], job.id))
    rows = ((job.id, describe_for(job.trigger, zone, begin), str(load.by_job[job.id])) for job in counted)
    print_table(("job", "when", "runs"), rows)
    if not load.by_hour:
        click.echo("\nNothing would run.")
        return
    click.echo()
    most = max(load.by_hour.values())
    hour, final = min(load.by_hour), max(load.by_hour)
    while hour <= final:
        count = load.by_hour[hour]
        bar = "#" * -(-count * BAR // most)
        click.echo(f"{hour.astimezone(zone):%a %m-%d %H:%M}  {count:>7}  {bar}".rstrip())
        hour += HOUR
    if load.busiest is not None:
        moment, count = load.busiest
        click.echo(f"\n{load.by_job.total()} runs. Most begin at {clock_text(moment, zone)}: {count}.")
