"""Draw when jobs run in the hours to come: a lane each, on one scale of time (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import attrs
from markupsafe import Markup

WINDOW = timedelta(hours=24)
JOINED = timedelta(minutes=20)  # times that are no further apart become one bar
EVERY, SIXTH = 3, 6  # hours between two lines, and between two labels where there is little room


@attrs.frozen(kw_only=True)
class Tick:
    """
    A line of the scale.

    Attributes:
        percent: Where, from 0 to 100.
        label: What stands below it.
        is_midnight: Whether a day begins there.
        is_sixth: Whether its label stays where there is little room.
    """

    percent: float
    label: str
    is_midnight: bool
    is_sixth: bool


def ticks(now: datetime, zone: tzinfo) -> list[Tick]:
    """Return the lines of the scale, at whole hours of *zone*; labels too near to the ends are left out."""
    found = []
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour <= now + WINDOW:
        hour += timedelta(minutes=15)  # some zones differ by quarters of an hour
        local, percent = hour.astimezone(zone), _percent(hour, now)
        if local.minute == 0 and local.hour % EVERY == 0 and 0 <= percent <= 100:
            label = f"{local:%a}" if local.hour == 0 else f"{local:%H:%M}"
            shown = label if 2 < percent < 98 else ""
            found.append(
                Tick(percent=percent, label=shown, is_midnight=local.hour == 0, is_sixth=local.hour % SIXTH == 0)
            )
    return found


def lane(times: Sequence[datetime], now: datetime, takes: float, zone: tzinfo, *, has_more: bool) -> Markup:
    """
    Return the picture of one job.

    Args:
        times: When it runs, the next one first.
        now: Where the scale begins.
        takes: For how many seconds it usually runs; a run of which one sees the length is drawn as long as it is.
        zone: Of the times that are told when one points at something.
        has_more: Whether it goes on like this after the last one of *times*.
    """
    marks = []
    for first, last, count in _joined(times):
        end = last + timedelta(seconds=takes)
        if has_more and last is times[-1]:
            end = now + WINDOW
        left, right = max(_percent(first, now), 0), min(_percent(end, now), 100)
        told = f"{first.astimezone(zone):%a %H:%M}"
        if count > 1:
            told += f" to {last.astimezone(zone):%a %H:%M}: {count}{' or more' if has_more else ''} times"
        if right - left < 0.9:
            mark = Markup('<circle cx="{:.2f}%" cy="50%" r="4.5" class="dot"><title>{}</title></circle>').format(
                left, told
            )
        else:
            mark = Markup(
                '<rect x="{:.2f}%" y="7" width="{:.2f}%" height="10" rx="5" class="{}"><title>{}</title></rect>'
            ).format(left, right - left, "often" if count > 1 else "long", told)
        marks.append(mark)
    return Markup("").join(marks)


def _joined(times: Sequence[datetime]) -> list[tuple[datetime, datetime, int]]:
    """Return (first, last, how many) of times that stand close together."""
    groups: list[tuple[datetime, datetime, int]] = []
    for moment in times:
        if groups and (moment - groups[-1][1]) <= JOINED:
            first, _, count = groups[-1]
            groups[-1] = (first, moment, count + 1)
        else:
            groups.append((moment, moment, 1))
    return groups


def _percent(moment: datetime, now: datetime) -> float:
    return (moment.astimezone(UTC) - now.astimezone(UTC)) / WINDOW * 100
