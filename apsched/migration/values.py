"""Say what may stand in a job of APScheduler 3, and make it (layer 7).

Zones of pytz and dateutil come back as the zone that they name. A datetime in one of them keeps its instant, which with
pytz is decided by the offset that goes with the zone and not by what clocks show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from apsched._timezones import local_timezone, to_timezone
from apsched.migration.pickles import Maker, Name, Record, RefusedPickleError, read_pickle

ZONE_CLASSES: Final = ("zoneinfo:ZoneInfo", "backports.zoneinfo:ZoneInfo", "backports.zoneinfo._zoneinfo:ZoneInfo")


def read_state(data: object) -> Any:
    """
    Return what a pickle of APScheduler 3 holds, instances as records; `plain` makes values of these.

    Args:
        data: What stands where a store keeps the pickle.

    Raises:
        RefusedPickleError: It is none, holds something else, or is damaged.
    """
    if not isinstance(data, (bytes, memoryview)):
        raise RefusedPickleError(f"its state must be the bytes of a pickle, got a {type(data).__name__}")
    return read_pickle(bytes(data), MAKERS)


def zone_of(value: object) -> tzinfo:
    """
    Return the time zone that *value*, which was read, stands for.

    Raises:
        ValueError: It has no name that could be stored.
        TypeError: It is no zone.
    """
    return _zone_and_offset(value)[0]


def plain(value: Any) -> Any:
    """
    Return *value* with every record in it replaced by the value that it stands for.

    Raises:
        ValueError: There is none, as for an instance of APScheduler 3.
        RecursionError: It is nested too deep, or contains itself.
    """
    kind = type(value)
    if kind is Record:
        return _value_of(value)
    if kind is Name:
        raise ValueError(f"it holds {value.text.replace(':', '.')} itself, and only plain data is carried over")
    if kind is dict:
        return {plain(key): plain(each) for key, each in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(map(plain, value))
    return value


def _value_of(record: Record) -> Any:
    if record.name == "uuid:UUID":
        state = record.state
        if type(state) is dict and type(number := state.get("int")) is int:
            return UUID(int=number)
        raise ValueError("it has a uuid.UUID that is damaged")
    if record.name in _ZONES:
        return zone_of(record)
    raise ValueError(f"it holds an instance of {record.name.replace(':', '.')}, and only plain data is carried over")


# zones


def _zone_and_offset(value: object) -> tuple[tzinfo, timedelta | None]:
    """Return the zone, and the offset from UTC that decides about times in it, if one was kept with it."""
    if isinstance(value, Record) and value.name in _ZONES:
        zone, offset = _ZONES[value.name](*value.args)
        return zone, offset
    if isinstance(value, str | tzinfo):
        return to_timezone(value, "a time zone"), None
    raise TypeError(f"a time zone must be a zone of the standard library, pytz or dateutil, got {value!r}")


def _pytz(name: str, offset: int | None = None, *rest: Any) -> tuple[tzinfo, timedelta | None]:
    return to_timezone(name, "a time zone"), None if offset is None else timedelta(seconds=offset)


def _pytz_fixed(minutes: int) -> tuple[tzinfo, None]:
    return to_timezone(timezone(timedelta(minutes=minutes)), "a time zone"), None


def _utc(*args: Any) -> tuple[tzinfo, None]:
    return UTC, None


def _local(*args: Any) -> tuple[tzinfo, None]:
    return local_timezone(), None


def _dateutil_offset(name: Any, offset: timedelta | float) -> tuple[tzinfo, None]:
    seconds = offset if isinstance(offset, timedelta) else timedelta(seconds=offset)
    return to_timezone(timezone(seconds), "a time zone"), None


def _dateutil_file(*args: Any) -> tuple[tzinfo, None]:
    """Return the zone of a file; its name or path stands among the arguments, where depends on the release."""
    for name in args:
        if isinstance(name, str):
            return to_timezone(name.rpartition("zoneinfo/")[2], "a time zone of dateutil"), None
    raise ValueError("a time zone of dateutil has no name")


_ZONES: Final[Mapping[str, Maker]] = {
    "pytz:_UTC": _utc,
    "pytz:_p": _pytz,
    "pytz:FixedOffset": _pytz_fixed,
    "pytz:_FixedOffset": _pytz_fixed,
    "dateutil.tz.tz:tzutc": _utc,
    "dateutil.tz.tz:tzlocal": _local,
    "dateutil.tz.tz:tzoffset": _dateutil_offset,
    "dateutil.tz.tz:tzfile": _dateutil_file,
    "dateutil.tz._tzfile:_unpickle": _dateutil_file,
    "dateutil.zoneinfo:tzfile": _dateutil_file,
}


# values


def _made_datetime(data: Any, zone: Any = None) -> datetime:
    moment = datetime(_timestamp(data, 10))  # type: ignore[call-arg, arg-type]  # noqa: DTZ001  # as pickles of it do
    if zone is None:
        return moment
    found, offset = _zone_and_offset(zone)
    if offset is None:
        return moment.replace(tzinfo=found)
    return (moment - offset).replace(tzinfo=UTC).astimezone(found)


def _made_time(data: Any, zone: Any = None) -> time:
    moment = time(_timestamp(data, 6))  # type: ignore[arg-type]  # as pickles of it do
    return moment if zone is None else moment.replace(tzinfo=zone_of(zone))


def _made_date(data: Any) -> date:
    return date(_timestamp(data, 4))  # type: ignore[call-arg, arg-type]  # as pickles of it do


def _timestamp(data: Any, length: int) -> bytes:
    packed = data.encode("latin-1") if type(data) is str else data  # Python 2 had no bytes
    if type(packed) is not bytes or len(packed) != length:
        raise ValueError(f"it must be made of {length} bytes, got {data!r}")
    return packed


def _made_timezone(offset: Any, name: str | None = None) -> timezone:
    return timezone(offset) if offset else UTC


def _made_zone(key: Any, *from_cache: Any) -> ZoneInfo:
    if type(key) is not str:
        raise ValueError("it has no name")
    return ZoneInfo(key)


def _attribute(owner: Any, name: Any) -> Name:
    """Stand for `getattr`, by which pickles of a ZoneInfo name the function that makes it; there is no other use."""
    if type(owner) is Name and owner.text in ZONE_CLASSES and name == "_unpickle":
        return Name(f"{owner.text}._unpickle")
    raise RefusedPickleError("it calls getattr, and only plain data and APScheduler's own are read")


def _reconstructed(cls: Any, base: Any, state: Any) -> Record:
    """Stand for `copyreg._reconstructor`, by which the oldest protocols make an empty instance."""
    if type(cls) is not Name or cls.text not in RECORDS or state is not None:
        raise RefusedPickleError("it makes an instance of what is neither plain data nor APScheduler's own")
    return Record(cls.text)


def _never(name: str, *args: Any) -> Any:
    raise RefusedPickleError(f"it calls {name}, which plain data never does")


def _empty_dict(*args: Any) -> dict[Any, Any]:
    return dict(*args)


def _collected(kind: type[set[Any]] | type[frozenset[Any]], values: Iterable[Any] = ()) -> Any:
    return kind(values)


def _made_bytes(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise ValueError("only latin1 is used in pickles")
    return text.encode("latin-1")


def _made_decimal(text: Any) -> Decimal:
    if type(text) is not str:
        raise ValueError("it is no text")
    return Decimal(text)


def _first(first: Any, *rest: Any) -> Any:
    """Stand for `wrap_zone` of pytz_deprecation_shim, which wraps a zone."""
    return first


_FIELDS = "apscheduler.triggers.cron.fields"
_EXPRESSIONS = "apscheduler.triggers.cron.expressions"

RECORDS: Final = frozenset(
    [
        "apscheduler.triggers.date:DateTrigger",
        "apscheduler.triggers.interval:IntervalTrigger",
        "apscheduler.triggers.cron:CronTrigger",
        "apscheduler.triggers.calendarinterval:CalendarIntervalTrigger",
        "apscheduler.triggers.combining:AndTrigger",
        "apscheduler.triggers.combining:OrTrigger",
        *(f"{_FIELDS}:{name}Field" for name in ("Base", "Week", "DayOfMonth", "DayOfWeek", "Month")),
        *(
            f"{_EXPRESSIONS}:{name}Expression"
            for name in ("All", "Range", "MonthRange", "WeekdayRange", "WeekdayPosition", "LastDayOfMonth")
        ),
        *_ZONES,
        "dateutil.tz.tz:_ttinfo",
        "uuid:UUID",
    ]
)
"""What is kept as records: the classes of APScheduler 3, and what is made into a value when all of it is known."""


def _record(name: str, *args: Any) -> Record:
    return Record(name, args)


MAKERS: Final[Mapping[str, Maker]] = {
    **{name: partial(_record, name) for name in RECORDS},
    "datetime:datetime": _made_datetime,
    "datetime:date": _made_date,
    "datetime:time": _made_time,
    "datetime:timedelta": timedelta,
    "datetime:timezone": _made_timezone,
    "datetime:tzinfo": partial(_never, "datetime.tzinfo"),
    "decimal:Decimal": _made_decimal,
    "collections:OrderedDict": _empty_dict,
    "builtins:object": partial(_never, "object"),
    "builtins:set": partial(_collected, set),
    "builtins:frozenset": partial(_collected, frozenset),
    "builtins:bytes": lambda: b"",
    "builtins:getattr": _attribute,
    "copyreg:_reconstructor": _reconstructed,
    "_codecs:encode": _made_bytes,
    "pytz_deprecation_shim._impl:wrap_zone": _first,
    **{name: partial(_never, "a time zone's class") for name in ZONE_CLASSES},
    **{f"{name}._unpickle": _made_zone for name in ZONE_CLASSES},
    "dateutil.tz._tzfile:tzfile": partial(_never, "dateutil's tzfile"),
}
"""Every name that may stand in a pickle, and what makes a value of it."""
