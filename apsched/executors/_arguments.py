"""Check what executors are constructed with (layer 7)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.context import BaseContext, ForkServerContext, SpawnContext
from typing import Any, cast

Context = SpawnContext | ForkServerContext


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


def initializer_of(options: Mapping[str, Any]) -> Callable[[], object] | None:
    """Return the `initializer` of *options* with its `initargs`; None if there is none."""
    initializer: Callable[..., object] | None = options.get("initializer")
    return None if initializer is None else partial(initializer, *options.get("initargs", ()))


def start_context_of(options: Mapping[str, Any]) -> Context:
    """
    Return the `mp_context` of *options*; the one that spawns if there is none.

    Raises:
        TypeError: It is no context of multiprocessing.
        ValueError: It forks: a child would inherit the locks that other threads hold, and wait for them for ever.
    """
    context = options.get("mp_context")
    if context is None:
        return multiprocessing.get_context("spawn")
    if not isinstance(context, BaseContext):
        raise TypeError(f"pool_kwargs['mp_context'] must be a context of multiprocessing or None, got {context!r}")
    method = context.get_start_method()
    if method not in {"spawn", "forkserver"}:
        raise ValueError(
            f"pool_kwargs['mp_context'] must start processes by 'spawn' or 'forkserver', got {method!r}; "
            f"use multiprocessing.get_context('spawn')"
        )
    return cast("Context", context)
