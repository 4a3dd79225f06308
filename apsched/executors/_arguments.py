"""Check what executors are constructed with (layer 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def whole_number(name: str, value: object) -> int:
    """
    Return *value*, a whole number from 1 on, as an int.

    Its decimal text is taken as well: that is what configuration files hold.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is less than 1.
    """
    number = value
    if isinstance(value, str) and value.isdecimal():
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name} must be a whole number from 1 on, got {value!r}")
    if number < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}")
    return number


def pool_options(value: Mapping[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """
    Return a copy of *value*, the `pool_kwargs` of 3.x, checked as far as all pools have it in common.

    Raises:
        TypeError: It is no mapping, has an unknown key, or an entry is of a wrong kind.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"pool_kwargs must be a mapping or None, got {value!r}")
    for key in value:
        if key not in known:
            raise TypeError(f"pool_kwargs has the unknown key {key!r}; there are: {', '.join(known)}")
    initializer = value.get("initializer")
    if initializer is not None and not callable(initializer):
        raise TypeError(f"pool_kwargs['initializer'] must be a callable or None, got {initializer!r}")
    return dict(value)
