"""Ask for the rows of many keys (layer 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ARRAY, ColumnElement, Connection, Text, any_, bindparam

T = TypeVar("T")

CHUNK = 500  # keys of one statement


def among(column: ColumnElement[Any], values: Sequence[str], connection: Connection) -> ColumnElement[bool]:
    """
    Return the condition that *column* is one of *values*.

    PostgreSQL takes them as one array: a list would make another statement, to be planned anew, of each length.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))
    return column.in_(values)


def among_these(column: ColumnElement[Any], name: str, dialect: str) -> ColumnElement[bool]:
    """Return the same condition for a *dialect* of SQL, of values that are given as the parameter *name*."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(Text)))
    return column.in_(bindparam(name, expanding=True))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Part *items* into what one statement takes."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
