"""The types that JSON has no form of its own for, as states that it has one for (layer 5).

Rule: what a state is turned into is of the type that the tag names, or an error is raised; nothing is guessed.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from apsched.serializers._refused import Refused

SIGN = "$"  # what a tag begins with
T = TypeVar("T")

ZONE_ADVICE = "a time zone is stored by its name: use ZoneInfo('Europe/Helsinki'), UTC or a fixed offset"


def checked(state: object, kind: type[T]) -> T:
    """
    Return *state* if it is of the type *kind*.

    Raises:
        TypeError: It is not.
    """
    if type(state) is not kind:
        raise TypeError(f"it must hold {kind.__name__}, got {type(state).__name__}")
    return state


def _list(state: object) -> list[Any]:
    return checked(state, list)


def _zone_to_state(zone: tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key not in (None, "local"):  # "local": what tzlocal calls a nameless one
        return zone.key
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        microseconds = offset // timedelta(microseconds=1)
        name = zone.tzname(None)
        return [microseconds] if name == timezone(offset).tzname(None) else [microseconds, name]
    raise Refused(zone, ZONE_ADVICE)


def _zone_from_state(state: Any) -> tzinfo | None:
    if state is None:
        return None
    if type(state) is str:
        return ZoneInfo(state)
    microseconds, *name = _list(state)
    return timezone(timedelta(microseconds=checked(microseconds, int)), *name)


def _own_zone(value: datetime | time) -> Any:
    try:
        return _zone_to_state(value.tzinfo)
    except Refused as exc:
        exc.steps.append(".tzinfo")
        raise


def _clock_to_state(value: datetime | time) -> Any:
    return [value.replace(tzinfo=None).isoformat(), _own_zone(value), value.fold]


def _datetime_from_state(state: Any) -> datetime:
    text, zone, fold = _list(state)
    return datetime.fromisoformat(text).replace(tzinfo=_zone_from_state(zone), fold=fold)


def _time_from_state(state: Any) -> time:
    text, zone, fold = _list(state)
    return time.fromisoformat(text).replace(tzinfo=_zone_from_state(zone), fold=fold)


def _timedelta_from_state(state: Any) -> timedelta:
    days, seconds, microseconds = (checked(part, int) for part in _list(state))
    return timedelta(days, seconds, microseconds)


def _zone_alone(state: Any) -> tzinfo:
    zone = _zone_from_state(state)
    if zone is None:
        raise TypeError("it must hold a zone, got none")
    return zone


TO_STATE: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("$bytes", lambda value: b64encode(value).decode("ascii")),
    datetime: ("$datetime", _clock_to_state),
    date: ("$date", date.isoformat),
    time: ("$time", _clock_to_state),
    timedelta: ("$timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    ZoneInfo: ("$zone", _zone_to_state),
    timezone: ("$zone", _zone_to_state),
    Decimal: ("$decimal", str),
    UUID: ("$uuid", str),
}
"""Type -> tag, and what turns a value into texts, numbers, None and lists of these. Containers are not here."""

CLOSED_TYPES: tuple[type, ...] = (type(None), bool, int, float, str, list, dict, tuple, set, frozenset, *TO_STATE)
"""What can be stored without being registered; not their subclasses."""

FROM_STATE: Mapping[str, Callable[[Any], Any]] = {
    "$bytes": lambda state: b64decode(checked(state, str), validate=True),
    "$datetime": _datetime_from_state,
    "$date": lambda state: date.fromisoformat(checked(state, str)),
    "$time": _time_from_state,
    "$timedelta": _timedelta_from_state,
    "$zone": _zone_alone,
    "$decimal": lambda state: Decimal(checked(state, str)),
    "$uuid": lambda state: UUID(checked(state, str)),
    "$float": lambda state: float(checked(state, str)),
    "$int": lambda state: int(checked(state, str), 16),
    "$tuple": lambda state: tuple(_list(state)),
    "$set": lambda state: set(_list(state)),
    "$frozenset": lambda state: frozenset(_list(state)),
    "$dict": lambda state: dict(_list(state)),
}
"""Tag -> what builds the value from its state; raises anything if the state is damaged."""
