"""The page of the load by hour: the last seven days, and the next (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

import attrs
from starlette.requests import Request
from starlette.responses import Response

from apsched.web.load import HOUR, HourLoad, past, planned
from apsched.web.state import Web
from apsched.web.templating import page
from apsched.web.words import query

DAYS = 7
LEVELS = 5  # shades


@attrs.frozen(kw_only=True)
class Cell:
    """
    An hour in the picture.

    Attributes:
        hour: On the clock, from 0 to 23.
        level: How dark it is, from 0 to 5.
        failed: Whether a run failed.
        told: What is in it, for people.
        href: Where its runs are; "" if there are none.
    """

    hour: int
    level: int
    failed: bool
    told: str
    href: str


@attrs.frozen(kw_only=True)
class Day:
    """A row of the picture."""

    date: date
    cells: Sequence[Cell | None]
    count: int


async def load(request: Request) -> Response:
    """Show how much ran, and will run, in each hour."""
    web = Web.of(request)
    backend, zone, now = web.backend, web.zone, web.backend.now
    this_hour = _hour_of(now, zone)
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    first = (midnight - timedelta(days=DAYS - 1)).astimezone(UTC)
    last = (midnight + timedelta(days=DAYS)).astimezone(UTC)
    done = await past(backend, _hours(first, this_hour))
    coming = await planned(backend, _hours(this_hour, last - HOUR))
    return page(
        request,
        "load.html",
        past=_days(done, zone, leads_to_runs=True),
        planned=_days(coming, zone, leads_to_runs=False),
        hours=range(24),
        is_rough=any(each.is_rough for each in (*done, *coming)),
    )


def _hour_of(moment: datetime, zone: tzinfo) -> datetime:
    """Return when the hour on the clocks of *zone* began, in UTC."""
    local = moment.astimezone(zone)
    return (local - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)).astimezone(
        UTC
    )


def _hours(first: datetime, last: datetime) -> list[datetime]:
    count = int((last - first) / HOUR) + 1
    return [first + number * HOUR for number in range(count)]


def _days(loads: Sequence[HourLoad], zone: tzinfo, *, leads_to_runs: bool) -> list[Day]:
    most = max((each.count for each in loads), default=0)
    rows: dict[date, dict[int, Cell]] = {}
    counts: dict[date, int] = {}
    for each in loads:
        local = each.start.astimezone(zone)
        row = rows.setdefault(local.date(), {})
        counts[local.date()] = counts.get(local.date(), 0) + each.count
        row[local.hour] = _cell(each, local, most, leads_to_runs=leads_to_runs)
    return [
        Day(date=day, cells=[cells.get(hour) for hour in range(24)], count=counts[day]) for day, cells in rows.items()
    ]


def _cell(load: HourLoad, local: datetime, most: int, *, leads_to_runs: bool) -> Cell:
    told = f"{local:%a %H:%M}: {load.count}{' or more' if load.is_rough and load.count else ''} "
    told += "run" if load.count == 1 else "runs"
    if load.failed:
        told += f", {load.failed} failed"
    href = ""
    if leads_to_runs and load.count:
        end = load.start + HOUR - timedelta(seconds=1)
        href = "runs?" + query({"since": load.start.isoformat(), "until": end.isoformat()})
    level = 0 if not load.count else 1 + int((LEVELS - 1) * load.count / most)
    return Cell(hour=local.hour, level=level, failed=bool(load.failed), told=told, href=href)
