"""The functions of `apscheduler.util`, for classes that were written for APScheduler 3 and import them (layer 0).

Nothing in this package uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from inspect import isclass, ismethod
from typing import Any

from apsched import _refs, _timezones
from apsched._undefined import undefined

__all__ = [
    "UTC",
    "asbool",
    "asdate",
    "asint",
    "astimezone",
    "check_callable_args",
    "convert_to_datetime",
    "datetime_ceil",
    "datetime_repr",
    "datetime_to_utc_timestamp",
    "datetime_utc_add",
    "get_callable_name",
    "iscoroutinefunction_partial",
    "localize",
    "maybe_ref",
    "normalize",
    "obj_to_ref",
    "ref_to_obj",
    "timedelta_seconds",
    "timezone_repr",
    "undefined",
    "utc_timestamp_to_datetime",
]

TRUE = ("true", "yes", "on", "y", "t", "1")
FALSE = ("false", "no", "off", "n", "f", "0")


# values


def asint(text: str | float | None) -> int | None:
    """Return *text* as a whole number; None for None."""
    return None if text is None else int(text)


def asbool(obj: object) -> bool:
    """
    Return *obj* as a truth value; a text is one of true, yes, on, y, t, 1 and false, no, off, n, f, 0.

    Raises:
        ValueError: It is another text.
    """
    if not isinstance(obj, str):
        return bool(obj)
    word = obj.strip().lower()
    if word not in TRUE + FALSE:
        raise ValueError(f"a truth value must be one of {', '.join(TRUE + FALSE)}, got {obj!r}")
    return word in TRUE


# times


def astimezone(obj: tzinfo | str | None) -> tzinfo | None:
    """
    Return the time zone of that name; zones of pytz and dateutil become their `ZoneInfo`; None for None.

    Raises:
        ValueError: There is no such zone.
        TypeError: It is neither text nor a zone.
    """
    return None if obj is None else _timezones.to_timezone(obj, "the time zone")


def asdate(obj: date | str) -> date:
    """Return the date in an ISO text; anything else as it is."""
    return date.fromisoformat(obj) if isinstance(obj, str) else obj


def convert_to_datetime(input: date | str | None, tz: tzinfo | str | None, arg_name: str) -> datetime | None:
    """
    Return the aware time that *input* says; None for None.

    Args:
        input: A date, a datetime or a text such as `"2026-01-31 08:30:00"`.
        tz: The zone of an input that does not say its own; None: that of this machine.
        arg_name: Begins the message of an error.

    Raises:
        ValueError: There is no such time or zone.
        TypeError: It is of another type.
    """
    zone = _timezones.local_timezone() if tz is None else _timezones.to_timezone(tz, "the time zone")
    return _timezones.to_datetime(input, zone, arg_name)


def datetime_to_utc_timestamp(timeval: datetime | None) -> float | None:
    """Return the seconds from 1970 to *timeval*, a naive one taken as UTC; None for None."""
    if timeval is None:
        return None
    return (timeval.replace(tzinfo=UTC) if timeval.tzinfo is None else timeval).timestamp()


def utc_timestamp_to_datetime(timestamp: float | None) -> datetime | None:
    """Return the time in UTC that is so many seconds after 1970; None for None."""
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


def timedelta_seconds(delta: timedelta) -> float:
    """Return *delta* in seconds."""
    return delta.total_seconds()


def datetime_utc_add(dateval: datetime, tdelta: timedelta) -> datetime:
    """Return the time when *tdelta* has elapsed since *dateval*, in its zone."""
    return dateval + tdelta if dateval.tzinfo is None else (dateval.astimezone(UTC) + tdelta).astimezone(dateval.tzinfo)


def datetime_ceil(dateval: datetime) -> datetime:
    """Return *dateval*, or the next whole second."""
    return datetime_utc_add(dateval, timedelta(microseconds=-dateval.microsecond % 1_000_000))


def datetime_repr(dateval: datetime | None) -> str:
    """Return `2026-01-31 08:30:00 CET`, or `None`."""
    return "None" if dateval is None else f"{dateval:%Y-%m-%d %H:%M:%S %Z}"


def timezone_repr(timezone: tzinfo) -> str:
    """Return the name of a zone, or its offset."""
    return _timezones.timezone_text(timezone)


def normalize(dt: datetime) -> datetime:
    """Return the same instant as clocks in its zone show it, which is another time if they never show that one."""
    return dt.astimezone(UTC).astimezone(dt.tzinfo)


def localize(dt: datetime, tzinfo: tzinfo) -> datetime:
    """Return the instant at which clocks in that zone show *dt*, which is naive."""
    return _timezones.at_wall_time(dt, _timezones.to_timezone(tzinfo, "the time zone"))


# callables


def get_callable_name(func: Callable[..., Any]) -> str:
    """
    Return the name of a callable for people.

    Raises:
        TypeError: It is not callable.
    """
    return _refs.name_of(func)


def obj_to_ref(obj: Callable[..., Any]) -> str:
    """
    Return the text by which `ref_to_obj` finds a function, a method or a class.

    For the method of an instance, it is that of the function, which takes the instance as its first argument.

    Raises:
        TypeError: It is not callable.
        ValueError: It has no name by which it is found: lambdas, nested functions, partials.
    """
    name = _refs.name_of(obj)
    ref = _refs.ref_of(obj.__func__ if ismethod(obj) and not isclass(obj.__self__) else obj)
    if ref is None:
        raise ValueError(f"{name} cannot be found by a name; define it at the top level of a module")
    return ref


def ref_to_obj(ref: str) -> Any:
    """
    Return what a text `"package.module:qualified.name"` leads to.

    Raises:
        TypeError: It is no text.
        ValueError: It is not of that form.
        LookupError: It leads to nothing.
    """
    return _refs.resolve(ref)


def maybe_ref(ref: Any) -> Any:
    """Return what *ref* leads to if it is text, and else *ref* itself."""
    return _refs.resolve(ref) if isinstance(ref, str) else ref


def check_callable_args(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """
    Check that *func* can be called with these arguments.

    Raises:
        ValueError: It cannot.
    """
    _refs.check_arguments(func, args, kwargs)


def iscoroutinefunction_partial(f: Callable[..., Any]) -> bool:
    """Tell whether calling *f*, which may be a partial, gives a coroutine."""
    return _refs.is_coroutine_callable(f)
