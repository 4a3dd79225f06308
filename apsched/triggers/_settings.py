"""Check, store and restore what triggers are given (layer 1).

Rule: a stored class is instantiated only if it is a trigger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from inspect import isclass
from typing import Any, Final

from apsched import _refs
from apsched._timezones import UTC, local_timezone, to_timezone
from apsched.triggers.base import BaseTrigger

VERSION: Final = 1  # of every built-in trigger's state
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def zone_for(timezone: object, *moments: object) -> tzinfo:
    """
    Return the zone of a trigger: *timezone* if given, else that of the first aware datetime, else the local one.

    Raises:
        ValueError: There is no such time zone.
        TypeError: *timezone* is neither text nor a tzinfo.
    """
    if timezone is not None:
        return to_timezone(timezone, "timezone")
    for moment in moments:
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            with suppress(ValueError):  # a zone without a name cannot be stored; the instant is kept all the same
                return to_timezone(moment.tzinfo, "timezone")
    return local_timezone()


def check_jitter(value: float | None) -> float | None:
    """
    Return *value* if it is a jitter: None or seconds.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, infinite or not a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"jitter must be None or a number of seconds, got {value!r}; pass a number")
    if not 0 <= value < float("inf"):
        raise ValueError(f"jitter must be None or at least 0 seconds and finite, got {value!r}; pass such a number")
    return value


def check_order(start: Any, end: Any) -> None:
    """
    Check that *end*, if given, is not before *start*, if given.

    Raises:
        ValueError: It is.
    """
    if start is not None and end is not None and end < start:
        raise ValueError(f"end_date must not be before start_date ({start}), got {str(end)!r}; give a later one")


def check_aware(moment: datetime, subject: str) -> None:
    """
    Check that *moment* says its zone.

    Raises:
        ValueError: It is naive.
    """
    if moment.tzinfo is None:
        raise naive(subject, moment)


def naive(subject: str, moment: datetime) -> ValueError:
    """Return what to raise where *moment* is naive."""
    return ValueError(f"{subject} must be aware, got {moment!r}; give it a tzinfo")


def deciding(previous: datetime | None, now: datetime) -> datetime:
    """
    Return which of the two decides about the next fire time.

    Raises:
        ValueError: It is naive.
    """
    if previous is None:
        check_aware(now, "now")
        return now
    check_aware(previous, "previous_fire_time")
    return previous


def is_same_but_for_start(one: BaseTrigger, other: BaseTrigger) -> bool:
    """Return whether two triggers that have a start fire alike; two starts that were not given may differ."""
    if type(one) is not type(other):
        return False
    mine, others = one.__getstate__(), other.__getstate__()
    if not (mine["start_date_given"] or others["start_date_given"]):
        mine["start_date"] = others["start_date"] = None
    return mine == others


def check_version(state: Mapping[str, Any], trigger: BaseTrigger) -> None:
    """
    Check that this release can read *state*.

    Raises:
        ValueError: A newer release wrote it.
    """
    if (version := state["version"]) > VERSION:
        raise ValueError(
            f"the stored state of {type(trigger).__name__} must be of version {VERSION} or older, got {version!r}; "
            f"update apsched in this process"
        )


def moment_repr(moment: datetime) -> str:
    """Return *moment* as the text of a trigger shows it: `2026-01-31 08:30:00 CET`."""
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z")


def moment_from_text(text: str | None, timezone: tzinfo) -> datetime | None:
    """Return the instant of an ISO text that `datetime.isoformat` wrote, in *timezone*."""
    return None if text is None else datetime.fromisoformat(text).astimezone(timezone)


def trigger_to_state(trigger: BaseTrigger) -> list[Any]:
    """
    Return `["module:Class", state]`, from which `trigger_from_state` builds the same trigger.

    Raises:
        ValueError: Its class cannot be imported by name.
    """
    ref = _refs.ref_of(type(trigger))
    if ref is None:
        raise ValueError(
            f"a trigger's class must be importable by its name to be stored, got {type(trigger)!r}; "
            f"define it at module level"
        )
    return [ref, trigger.__getstate__()]


def trigger_from_state(stored: Sequence[Any]) -> BaseTrigger:
    """
    Build the trigger that `trigger_to_state` stored.

    Raises:
        LookupError: Its class is not found.
        ValueError: The reference does not lead to a trigger class.
    """
    ref, state = stored
    found = _refs.resolve(ref)
    if not (isclass(found) and issubclass(found, BaseTrigger)):
        raise ValueError(f"a stored trigger must be of a subclass of BaseTrigger, got {ref!r}; remove or correct it")
    return found.from_state(state)
