"""Read time zones and points in time (layer 0).

Rule 1: whatever leaves this module is aware and in a zone that `timezone_text` can name, so that it can be stored.
Rule 2: a wall-clock time that does not exist (DST gap) is the first instant after the gap; one that exists twice (fold)
is the first of the two.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from difflib import get_close_matches
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import tzlocal

__all__ = ["UTC", "at_wall_time", "local_timezone", "timezone_text", "to_datetime", "to_timezone"]

logger = logging.getLogger("apsched.timezones")

_OFFSET: Final = re.compile(r"(?:UTC)?([+-])(\d\d):?(\d\d)(?::(\d\d))?", re.ASCII)
_TEXT: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{1,2}):(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,6}))?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_PROBES: Final = [
    datetime(2000, month, 1, tzinfo=UTC) for month in (1, 4, 7, 10)
]  # a zone with DST shows it at one of these


def to_timezone(value: object, subject: str) -> tzinfo:
    """
    Return the time zone that *value* says.

    Args:
        value: An IANA name such as `"Europe/Helsinki"`, an offset such as `"+02:00"`, or a `tzinfo`. Zones of pytz and
            dateutil become their `ZoneInfo` or fixed offset.
        subject: What the value is for; begins the message of an error.

    Raises:
        ValueError: There is no zone of that name, or the `tzinfo` has no name by which it could be stored.
        TypeError: The value is neither text nor a `tzinfo`.
    """
    if value is UTC:  # the most common one, asked for with each trigger
        return UTC
    if isinstance(value, str):
        return _zone_of_text(value, subject)
    if isinstance(value, tzinfo):
        return value if _is_named(value) else _zone_of_foreign(value, subject)
    raise TypeError(
        f"{subject} must be a time zone name such as 'Europe/Helsinki' or a tzinfo, got {value!r}; pass one of these"
    )


def _is_named(zone: tzinfo) -> bool:
    if isinstance(zone, ZoneInfo):
        return zone.key not in (None, "local")  # "local" is what tzlocal calls a zone that it read from a nameless file
    return isinstance(zone, timezone)


def _zone_of_text(text: str, subject: str) -> tzinfo:
    if text == "UTC":
        return UTC
    if match := _OFFSET.fullmatch(text):
        sign, hours, minutes, seconds = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
        if offset < timedelta(days=1) and int(minutes) < 60:
            return _fixed(-offset if sign == "-" else offset)
    try:
        return ZoneInfo(text)
    except (LookupError, ValueError, OSError):
        raise ValueError(
            f"{subject} must be a time zone name or an offset such as '+02:00', got {text!r}; {_advice(text)}"
        ) from None


def _fixed(offset: timedelta) -> timezone:
    return timezone(offset) if offset else UTC


def _advice(text: str) -> str:
    by_key: dict[str, str] = {}
    for name in sorted(available_timezones()):
        by_key.setdefault(name.rpartition("/")[2].lower(), name)
        by_key[name.lower()] = name
    near = get_close_matches(text.strip().lower().replace(" ", "_"), by_key, n=3, cutoff=0.7)
    if not near:
        return "use an IANA name such as 'Europe/Helsinki'"
    return "the nearest names are " + ", ".join(dict.fromkeys(repr(by_key[key]) for key in near))


def _zone_of_foreign(value: tzinfo, subject: str) -> tzinfo:
    for name in (getattr(value, "zone", None), _name_of_file(getattr(value, "_filename", None))):
        if isinstance(name, str) and name:
            return _zone_of_text(name, subject)
    if type(value).__name__ == "tzlocal":  # dateutil's
        return local_timezone()
    offsets = {probe.replace(tzinfo=value).utcoffset() for probe in _PROBES}
    if len(offsets) == 1 and (offset := offsets.pop()) is not None:
        return _fixed(offset)
    raise ValueError(
        f"{subject} must be a time zone that can be stored by its name, got {value!r}; "
        f"use a name such as 'Europe/Helsinki' or its ZoneInfo"
    )


def _name_of_file(filename: object) -> str | None:
    """Return the zone name in dateutil's file name: `/usr/share/zoneinfo/Europe/Helsinki` or only the name."""
    if not isinstance(filename, str):
        return None
    name = filename.rpartition("/zoneinfo/")[2]
    return name if name in available_timezones() else None


@cache
def _warn_nameless(reason: str) -> None:
    logger.warning(
        "The local time zone has no name that could be stored (%s); using UTC. Set the environment variable TZ or pass "
        "timezone=, for example 'Europe/Helsinki'",
        reason,
    )


def local_timezone() -> tzinfo:
    """
    Return the time zone of this machine.

    UTC, with one warning, if it has no IANA name: a schedule could not be stored in a nameless zone. Never raises.
    """
    try:
        zone = tzlocal.get_localzone()
    except Exception as exc:  # TZ or /etc may hold anything; a scheduler has to start on such a machine, too
        _warn_nameless(str(exc))
        return UTC
    if _is_named(zone):
        return zone
    _warn_nameless(f"found one of the type {type(zone).__name__}")
    return UTC


def timezone_text(tz: tzinfo) -> str:
    """
    Return the text from which `to_timezone` makes the same zone: an IANA name, `UTC` or an offset such as `+02:00`.

    Raises:
        ValueError: The zone has no name.
    """
    if isinstance(tz, ZoneInfo) and _is_named(tz):
        return tz.key
    if isinstance(tz, timezone):
        return str(timezone(tz.utcoffset(None))).removeprefix("UTC") or "UTC"
    return timezone_text(to_timezone(tz, "the time zone"))


def to_datetime(value: object, timezone: tzinfo, subject: str) -> datetime | None:
    """
    Return the instant that *value* says.

    Args:
        value: None; a date, for its midnight; a datetime; or text: `YYYY-M-D`, `YYYY-M-D H:M:S`, the latter with
            `.f` (up to six digits of a second) and `Z` or `+hh:mm` behind it if wanted, and `T` or a space within.
        timezone: The zone of a value that does not say its own.
        subject: What the value is for; begins the message of an error.

    Returns:
        An aware datetime, in its own zone if it says one; None for None.

    Raises:
        ValueError: The text is not of these forms, or no such date exists.
        TypeError: The value is of another type.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = _read(value, subject)
    if isinstance(value, datetime):
        return at_wall_time(value, timezone) if value.tzinfo is None else _in_named_zone(value, timezone)
    if isinstance(value, date):
        return at_wall_time(datetime.combine(value, time.min), timezone)
    raise TypeError(
        f"{subject} must be a date, a datetime or text such as '2026-01-31 08:30:00', got {value!r}; pass one of these"
    )


def _read(text: str, subject: str) -> datetime:
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{subject} must be text of the form 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS', got {text!r}; "
            f"'.ffffff' and 'Z' or '+hh:mm' may follow the seconds"
        )
    fields = match.groupdict()
    zone, fraction = fields.pop("zone"), fields.pop("fraction") or ""
    tz = None if zone is None else _zone_of_text(zone.replace("Z", "UTC"), f"the offset of {subject}")
    try:
        return datetime(
            **{name: int(number or 0) for name, number in fields.items()},
            microsecond=int(fraction.ljust(6, "0")),
            tzinfo=tz,
        )
    except ValueError as exc:
        raise ValueError(f"{subject} must be a time that exists in the calendar, got {text!r}; {exc}") from None


def _in_named_zone(moment: datetime, fallback: tzinfo) -> datetime:
    try:
        zone = to_timezone(moment.tzinfo, "the time zone")
    except ValueError:
        return moment.astimezone(fallback)  # the instant is what counts; its nameless zone cannot be stored
    if zone is moment.tzinfo:
        return _out_of_gap(moment, zone)
    return moment.astimezone(zone)


def at_wall_time(wall: datetime, timezone: tzinfo) -> datetime:
    """
    Return the instant at which clocks in *timezone* show *wall*.

    Args:
        wall: Naive; its `fold` is heeded only where the time exists twice.
        timezone: A zone as `to_timezone` returns it.

    Returns:
        An aware datetime in that zone; if clocks never show that time, the first instant after the gap.
    """
    return _out_of_gap(wall.replace(tzinfo=timezone), timezone)


def _out_of_gap(moment: datetime, timezone: tzinfo) -> datetime:
    before = moment.replace(fold=0).utcoffset()
    after = moment.replace(fold=1).utcoffset()
    if before is None or after is None or before >= after:
        return moment
    # The clocks jump somewhere between these two readings of the time that they skip.
    whole = moment.replace(tzinfo=UTC, microsecond=0)
    low, high = whole - after, whole - before
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) // 2).replace(microsecond=0)
        if middle.astimezone(timezone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.astimezone(timezone)
