"""Turn triggers into what a definition holds, and back (layer 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from inspect import isclass
from typing import Any

from apsched import _refs
from apsched._plugins import TRIGGERS
from apsched.jobstores._callables import Callables
from apsched.triggers.base import BaseTrigger
from apsched.triggers.combining import BaseCombiningTrigger

ALIASES: Mapping[str, str] = {ref: alias for alias, ref in TRIGGERS.items()}


def trigger_to_document(trigger: BaseTrigger, callables: Callables) -> dict[str, Any]:
    """
    Return `{"type": alias or "module:Class", "state": ...}`; the aliases are those of the built-in triggers.

    Raises:
        ValueError: Its class has no importable name; or it, or a trigger or function within, is not allowed.
    """
    cls = type(trigger)
    ref = _refs.ref_of(cls)
    if ref is None:
        raise ValueError(
            f"the class of its trigger must be importable by its name, got {cls.__module__}.{cls.__qualname__}; "
            f"define it at module level"
        )
    try:
        state = trigger.__getstate__()
    except Exception as exc:  # it may be the user's
        raise ValueError(
            f"its trigger {cls.__qualname__} must be able to return its state, and raised {type(exc).__name__}: {exc}"
        ) from exc
    if ref not in ALIASES:
        callables.check_ref(ref)
    if callables.are_limited:
        _check_within(state, callables)
    return {"type": ALIASES.get(ref, ref), "state": state}


def trigger_from_document(document: Any, callables: Callables) -> BaseTrigger:
    """
    Build the trigger that `trigger_to_document` wrote.

    Raises:
        ValueError: The document is damaged; or a class is not found or not allowed; or the state makes no trigger.
    """
    if type(document) is not dict or type(document.get("type")) is not str or "state" not in document:
        raise ValueError("its trigger is damaged: it must have a type and a state")
    kind, state = document["type"], document["state"]
    ref = TRIGGERS.get(kind, kind)
    if ":" not in ref:
        raise ValueError(f"it has a trigger of the unknown type {kind!r}; a newer release may have written it")
    found = _refs.resolve(ref) if ref in ALIASES else callables.resolve(ref)
    if not (isclass(found) and issubclass(found, BaseTrigger)):
        raise ValueError(f"the type of its trigger must be a subclass of BaseTrigger, got {ref!r}")
    if callables.are_limited:
        _check_within(state, callables)
    try:
        return found.from_state(state)
    except Exception as exc:  # of damaged states, and of classes of the user, anything may come
        raise ValueError(f"its trigger {kind!r} cannot be built of what is stored ({exc})") from exc


def zone_of(trigger: BaseTrigger) -> tzinfo:
    """Return the zone in which *trigger* answers: its own, that of its first member that has one, or UTC."""
    zone = getattr(trigger, "timezone", None)
    if isinstance(zone, tzinfo):
        return zone
    if isinstance(trigger, BaseCombiningTrigger):
        return zone_of(trigger.triggers[0])
    return UTC


def _check_within(state: Any, callables: Callables) -> None:
    """Check the classes and functions that are named within the state of a trigger, before it is built."""
    for ref, inner in _named_in(state):
        if ref not in ALIASES:
            callables.resolve(ref)
        if inner is not None:
            _check_within(inner, callables)


def _named_in(state: Any) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the references in *state*, each with the state of the trigger that it stands for (a function: None)."""
    try:
        for ref, inner in _pairs(state.get("triggers")):
            yield _text(ref), dict(inner)
        for kind, value in _pairs(state.get("exclude")):
            if _text(kind) == "trigger":
                ((ref, inner),) = _pairs([value])
                yield _text(ref), dict(inner)
            elif kind == "callable":
                yield _text(value), None
    except (AttributeError, TypeError) as exc:
        raise ValueError("its trigger is damaged: what it is made of is not as it is written") from exc


def _pairs(value: Any) -> list[list[Any]]:
    pairs: list[Any] = [] if value is None else value
    if type(pairs) is not list or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise TypeError(value)
    return pairs


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(value)
    return value
