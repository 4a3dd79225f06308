"""How instances of a class that a user registers become states, and states instances (layer 5)."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from apsched.serializers._tags import CLOSED_TYPES, checked


@attrs.frozen
class RegisteredType:
    """
    A class that may be stored.

    Attributes:
        cls: The class; instances of its subclasses are others.
        name: Stands for it in what is stored.
        to_state: Instance -> a value of the types that can be stored.
        from_state: What *to_state* gave -> an equal instance.
        is_by_field: Whether a state is a dictionary of attributes by name.
    """

    cls: type
    name: str
    to_state: Callable[[Any], Any]
    from_state: Callable[[Any], Any]
    is_by_field: bool = False


def register(
    cls: type, name: str | None, to_state: Callable[[Any], Any] | None, from_state: Callable[[Any], Any] | None
) -> RegisteredType:
    """Return how *cls* is stored; the parameters are those of `register_type`."""
    if not isinstance(cls, type):
        raise TypeError(f"cls must be a class, got {cls!r}")
    if name is None:
        name = cls.__name__
    if not isinstance(name, str) or not name:
        raise TypeError(f"name must be a text of at least 1 character, got {name!r}")
    if (to_state is None) != (from_state is None):
        raise TypeError(f"to_state and from_state of {name} must be given both or not at all")
    if to_state is not None and from_state is not None:
        return RegisteredType(cls, name, to_state, from_state)
    if issubclass(cls, enum.Flag):
        return RegisteredType(cls, name, lambda member: member.value, cls)
    if issubclass(cls, enum.Enum):
        return RegisteredType(cls, name, lambda member: member.name, lambda state: cls[checked(state, str)])
    fields = _fields_of(cls)
    if fields is None or issubclass(cls, CLOSED_TYPES):
        raise TypeError(
            f"{name} must be an enumeration, an attrs class or a dataclass to be registered without more, got {cls!r}; "
            f"pass to_state and from_state"
        )
    return _by_field(cls, name, fields)


def _fields_of(cls: type) -> Mapping[str, str | None] | None:
    """Return the fields of *cls*, each with the parameter that sets it (None if none does); None if it has none."""
    if "__attrs_attrs__" in vars(cls):  # not those of a base class: a subclass may keep more than these
        return {field.name: field.alias if field.init else None for field in attrs.fields(cls)}
    if "__dataclass_fields__" in vars(cls):
        return {field.name: field.name if field.init else None for field in dataclasses.fields(cls)}
    return None


def _by_field(cls: type, name: str, fields: Mapping[str, str | None]) -> RegisteredType:
    def to_state(instance: Any) -> dict[str, Any]:
        return {field: getattr(instance, field) for field in fields}

    def from_state(state: Any) -> Any:
        values: dict[str, Any] = checked(state, dict)
        if unknown := values.keys() - fields.keys():
            raise ValueError(f"{name} has no field {min(unknown)!r}")
        given = {field: parameter for field, parameter in fields.items() if field in values}
        instance = cls(**{parameter: values[field] for field, parameter in given.items() if parameter is not None})
        for field, parameter in given.items():
            if parameter is None:
                object.__setattr__(instance, field, values[field])  # the class may be frozen
        return instance

    return RegisteredType(cls, name, to_state, from_state, is_by_field=True)
