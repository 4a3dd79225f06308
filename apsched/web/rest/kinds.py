"""Describe kinds of JSON values by JSON Schema, and check values against them (layer 10).

A kind is a type hint: `str`, `int`, `float`, `bool`, `None`, `Any`, `list[...]`, `dict[str, ...]`, `Literal[...]`, a
`TypedDict`, unions of those, and `Annotated[kind, (name, value), ...]` with more of the schema. Of a `TypedDict`, what
its docstring says under `Attributes:` are the descriptions of its fields.

Rule 1: the schema and the check of a kind are in this module and nowhere else, so that they agree.
"""

from __future__ import annotations

import json
import re
from datetime import tzinfo
from functools import cache
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from apsched import _timezones
from apsched.web.refusals import RefusedError

REFERENCE = "#/components/schemas/"
SHOWN = 80  # characters of a value that is refused

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
_FIELD = re.compile(r"^    (\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def schema_of(kind: Any, named: dict[str, Any]) -> dict[str, Any]:
    """
    Return the JSON Schema of *kind*.

    Args:
        kind: The kind.
        named: Gets the schemas of the `TypedDict`s in it, which the schema refers to by their names.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if origin is Annotated:
        return {**schema_of(inner[0], named), **dict(inner[1:])}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": schema_of(inner[0], named)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1], named)}
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(each, named) for each in inner]}
    if kind.__name__ not in named:
        named[kind.__name__] = {}  # a kind may hold itself
        named[kind.__name__] = _schema_of_fields(kind, named)
    return {"$ref": REFERENCE + kind.__name__}


def _schema_of_fields(kind: Any, named: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": summary_of(kind),
        "properties": {field.name: field.schema(named) for field in fields_of(kind)},
        "required": [field.name for field in fields_of(kind) if field.is_required],
        "additionalProperties": False,
    }


@attrs.frozen
class Field:
    """A field of a `TypedDict`."""

    name: str
    kind: Any
    is_required: bool
    description: str

    def schema(self, named: dict[str, Any]) -> dict[str, Any]:
        """Return its schema, with its description."""
        schema = schema_of(self.kind, named)
        return {**schema, "description": self.description}


@cache
def fields_of(kind: Any) -> tuple[Field, ...]:
    """Return the fields of a `TypedDict`."""
    found = []
    _, _, attributes = (getdoc(kind) or "").partition("Attributes:\n")
    described = {name: " ".join(text.split()) for name, text in _FIELD.findall(attributes)}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        is_marked = get_origin(hint) is NotRequired
        is_required = kind.__total__ and not is_marked
        found.append(Field(name, get_args(hint)[0] if is_marked else hint, is_required, described[name]))
    return tuple(found)


def summary_of(thing: Any) -> str:
    """Return the first sentences of the docstring of *thing*, up to an empty line."""
    return " ".join((getdoc(thing) or "").partition("\n\n")[0].split())


def fit(value: Any, kind: Any, name: str, zone: tzinfo) -> Any:
    """
    Return *value*, read from JSON, as one of *kind*; instants as aware datetimes.

    Args:
        value: The value.
        kind: The kind.
        name: What it is; begins the message of an error.
        zone: Of times that do not say their own.

    Raises:
        RefusedError: It is of another kind.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return _fit_annotated(value, kind, name, zone)
    if origin in (Union, UnionType):
        return _fit_one_of(value, kind, name, zone)
    if origin is list and isinstance(value, list):
        return [fit(each, inner[0], f"{name}[{number}]", zone) for number, each in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {_text(key, f"a name in {name}"): fit(value[key], inner[1], f"{name}.{key}", zone) for key in value}
    if is_typeddict(kind) and isinstance(value, dict):
        return _fit_fields(value, kind, name, zone)
    if origin is Literal and isinstance(value, str) and value in inner:
        return value
    if isinstance(kind, type) and kind in _PLAIN and _is_plain(value, kind):
        return _text(value, name) if isinstance(value, str) else int(value) if kind is int else value
    raise _wrong(value, kind, name)


def _is_plain(value: Any, kind: Any) -> bool:
    if kind in (int, float) and not isinstance(value, bool):
        return isinstance(value, int) or (isinstance(value, float) and (kind is float or value.is_integer()))
    return isinstance(value, kind)


def _text(value: str, name: str) -> str:
    """Return *value* if databases and JSON take it as text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RefusedError(422, f"{name} must be text that UTF-8 can write, got {_shown(value)}.") from None
    if "\0" in value:
        raise RefusedError(422, f"{name} must be text without the character NUL, got {_shown(value)}.")
    return value


def _fit_annotated(value: Any, annotated: Any, name: str, zone: tzinfo) -> Any:
    kind, *more = get_args(annotated)
    schema = dict(more)
    if kind in (int, float) and not _is_plain(value, kind):
        raise _wrong(value, annotated, name)
    found = fit(value, kind, name, zone)
    if schema.get("format") == "date-time":
        try:
            return _timezones.to_datetime(found, zone, name)
        except ValueError as exc:
            raise RefusedError(422, f"{exc}.") from None
    least, most = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    if isinstance(found, (int, float)) and not least <= found <= most:
        raise _wrong(value, annotated, name)
    return found


def _fit_one_of(value: Any, union: Any, name: str, zone: tzinfo) -> Any:
    kinds = [kind for kind in get_args(union) if kind is not NoneType]
    if value is None and NoneType in get_args(union):
        return None
    if len(kinds) == 1 and value is not None:
        return fit(value, kinds[0], name, zone)
    for kind in kinds:
        try:
            return fit(value, kind, name, zone)
        except RefusedError:
            continue
    raise _wrong(value, union, name)


def _fit_fields(value: dict[str, Any], kind: Any, name: str, zone: tzinfo) -> dict[str, Any]:
    fields = {field.name: field for field in fields_of(kind)}
    for key in value:
        if key not in fields:
            known = ", ".join(fields) or "none"
            raise RefusedError(422, f"{name} has no {_shown(key)}; there are: {known}.")
    if missing := [field.name for field in fields.values() if field.is_required and field.name not in value]:
        raise RefusedError(422, f"{name} must have {', '.join(missing)}.")
    return {key: fit(each, fields[key].kind, key, zone) for key, each in value.items()}


def _wrong(value: Any, kind: Any, name: str) -> RefusedError:
    return RefusedError(422, f"{name} must be {words_of(kind)}, got {_shown(value)}.")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def words_of(kind: Any) -> str:
    """Return what *kind* takes in words, for errors."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        schema = dict(inner[1:])
        if "format" in schema:
            return "a time such as '2026-01-31T08:30:00+02:00'"
        limits = [f"from {schema['minimum']}"] if "minimum" in schema else []
        limits += [f"to {schema['maximum']}"] if "maximum" in schema else []
        return " ".join([words_of(inner[0]), *limits])
    if isinstance(kind, type) and kind in _WORDS:
        return _WORDS[kind]
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin in (Union, UnionType):
        return " or ".join(words_of(each) for each in inner)
    return "a list" if origin is list else "an object"
