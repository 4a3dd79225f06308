"""Compare values by type and content, all through."""

from __future__ import annotations

from datetime import datetime, time, timezone, tzinfo
from decimal import Decimal
from typing import Any


def exact(value: Any) -> Any:
    """Return what is equal for values that are the same: `True` is not `1`, `nan` is `nan`, and a fold counts."""
    kind = type(value)
    if isinstance(value, (list, tuple)):
        return kind, tuple(exact(item) for item in value)
    if isinstance(value, dict):
        return kind, tuple((exact(key), exact(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(exact(item) for item in value)
    if isinstance(value, (datetime, time)):
        return kind, value.replace(tzinfo=None).isoformat(), value.fold, exact_zone(value.tzinfo)
    if isinstance(value, tzinfo):
        return exact_zone(value)
    return kind, repr(value) if isinstance(value, (float, Decimal)) else value


def exact_zone(zone: tzinfo | None) -> Any:
    if isinstance(zone, timezone):
        return timezone, zone.utcoffset(None), zone.tzname(None)
    return type(zone), zone
