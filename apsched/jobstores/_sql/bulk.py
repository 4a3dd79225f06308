"""Write many rows with one statement (layer 7).

Rule 1: one round trip however many rows: PostgreSQL takes arrays, MySQL and MariaDB a JSON document, or several where
one would be larger than they take; SQLite, which is in this process, takes the rows one by one.
"""

# ruff: noqa: S608  # statements consist of names in the source and of names of tables, which are quoted

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Literal, TypeAlias

import attrs
from sqlalchemy import Connection, Table
from sqlalchemy.engine.interfaces import Dialect

from apsched.jobstores._sql.rows import Columns, Values

Kind: TypeAlias = Literal["name", "text", "int", "bool", "bytes"]

CHUNK = 2000  # rows of one statement
LARGEST_DOCUMENT = 4 * 1024 * 1024  # characters, which drivers may double; servers take 16 MB (max_allowed_packet)
KINDS: dict[str, Kind] = {
    "id": "name",
    "job_id": "name",
    "executor": "name",
    "node": "name",
    "name": "name",
    "value": "name",
    "follows": "name",
    "outcome": "text",
    "quarantine": "text",
    "error": "text",
    "reason": "text",
    "notes": "text",
    "is_manual": "bool",
    "definition": "bytes",
    "retval": "bytes",
    "arguments": "bytes",
}  # all other columns are whole numbers


@attrs.frozen
class Change:
    """
    One statement over many rows of values; all of them are inserted, or each changes the row that has its key.

    Attributes:
        table: The table.
        columns: What the values are, in their order: the key, what is set, what only the guard speaks of.
        key: How many of the columns are the key; 0 to insert.
        is_set: How many of those after it are set; None for all.
        guard: A further condition, where `{name}` is the value of a column, and `t` the table.
    """

    table: Table
    columns: tuple[str, ...]
    key: int = 0
    is_set: int | None = None
    guard: str = ""

    @property
    def set_columns(self) -> tuple[str, ...]:
        """The columns that are set."""
        return self.columns[self.key :] if self.is_set is None else self.columns[self.key : self.key + self.is_set]


class Bulk(ABC):
    """How one kind of database is told of many rows."""

    def write(self, connection: Connection, change: Change, rows: Sequence[Values]) -> int:
        """Carry out *change* and return how many rows were written."""
        return self.write_columns(connection, change, columns_of(rows)) if rows else 0

    def write_columns(self, connection: Connection, change: Change, columns: Columns) -> int:
        """Carry out *change*, of whose columns each brings the values of all rows; see `write`."""
        count = len(columns[0])
        if count <= CHUNK:
            return self._write(connection, change, columns) if count else 0
        return sum(
            self._write(connection, change, [column[start : start + CHUNK] for column in columns])
            for start in range(0, count, CHUNK)
        )

    def write_both(self, connection: Connection, first: tuple[Change, Columns], second: tuple[Change, Columns]) -> None:
        """Carry out two changes of different tables, in one statement where that is possible."""
        self.write_columns(connection, *first)
        self.write_columns(connection, *second)

    def write_then(
        self, connection: Connection, change: Change, columns: Columns, then: str, unless: str
    ) -> int | None:
        """
        Carry out *change*, an update, and *then* as one statement, and return how many rows were written.

        Args:
            connection: The connection.
            change: The update.
            columns: Its values.
            then: A statement that sees what was before, and as `written` the rows that are written.
            unless: A condition about the values of the first column, `{keys}`.

        Returns:
            None if *unless* holds, or if this database cannot do so, or not with so many rows; then nothing was done.
        """
        return None

    @abstractmethod
    def _write(self, connection: Connection, change: Change, columns: Columns) -> int: ...


class _RowByRow(Bulk):
    """SQLite."""

    def _write(self, connection: Connection, change: Change, columns: Columns) -> int:
        statement, order = _row_statement(change, connection.dialect)
        if order is not None:
            columns = [columns[place] for place in order]
        return connection.exec_driver_sql(statement, list(zip(*columns, strict=True))).rowcount


class _Arrays(Bulk):
    """PostgreSQL; a column whose values are all the same travels as one of them."""

    def _write(self, connection: Connection, change: Change, columns: Columns) -> int:
        same, values = _parameters(change, columns)
        return connection.exec_driver_sql(_array_statement(change, same, connection.dialect), values).rowcount

    def write_both(self, connection: Connection, first: tuple[Change, Columns], second: tuple[Change, Columns]) -> None:
        (one, columns), (other, other_columns) = first, second
        if not 0 < len(columns[0]) <= CHUNK or not 0 < len(other_columns[0]) <= CHUNK:
            super().write_both(connection, first, second)
            return
        same, values = _parameters(one, columns)
        other_same, other_values = _parameters(other, other_columns)
        statement = (
            f"WITH first AS ({_array_statement(one, same, connection.dialect)}) "
            f"{_array_statement(other, other_same, connection.dialect, len(one.columns))}"
        )
        connection.exec_driver_sql(statement, values + other_values)

    def write_then(
        self, connection: Connection, change: Change, columns: Columns, then: str, unless: str
    ) -> int | None:
        if not 0 < len(columns[0]) <= CHUNK:
            return None
        same, values = _parameters(change, columns)
        keys = f"CAST({'$1' if connection.dialect.paramstyle.startswith('numeric') else '%s'} AS text[])"
        statement = (
            f"WITH guard AS (SELECT {unless.replace('{keys}', keys)} AS holds), "
            f"written AS ({_array_statement(change, same, connection.dialect, 1)}"
            " AND NOT (SELECT holds FROM guard) RETURNING t.*), "
            f"after AS ({then}) SELECT (SELECT holds FROM guard), count(*) FROM written"
        )
        holds, written = connection.exec_driver_sql(statement, (sorted(set(columns[0])), *values)).one()
        return None if holds else int(written)


class _Document(Bulk):
    """MySQL and MariaDB; names and bytes travel as hexadecimal digits, which no collation touches."""

    def _write(self, connection: Connection, change: Change, columns: Columns) -> int:
        statement = _document_statement(change, connection.dialect)
        portable = [_portable(name, column) for name, column in zip(change.columns, columns, strict=True)]
        return self._send(connection, statement, list(zip(*portable, strict=True)))

    def _send(self, connection: Connection, statement: str, rows: Sequence[Values]) -> int:
        """Carry out *statement* with *rows*, in parts if one would be too large for the server."""
        document = json.dumps(rows)
        if len(document) > LARGEST_DOCUMENT and len(rows) > 1:
            half = len(rows) // 2
            return self._send(connection, statement, rows[:half]) + self._send(connection, statement, rows[half:])
        return connection.exec_driver_sql(statement, (document,)).rowcount


def bulk_of(connection: Connection) -> Bulk:
    """Return what goes with the database of *connection*."""
    return _BULKS[connection.dialect.name]


_BULKS: dict[str, Bulk] = {
    "sqlite": _RowByRow(),
    "postgresql": _Arrays(),
    "mysql": _Document(),
    "mariadb": _Document(),
}


def columns_of(rows: Sequence[Values]) -> Columns:
    """Return the values of *rows* column by column; no columns if there are none."""
    return list(map(list, zip(*rows, strict=True)))


def _parameters(change: Change, columns: Columns) -> tuple[frozenset[str], tuple[Any, ...]]:
    """
    Return which of the columns have one value throughout; and these values, then the other columns.

    Of the key all values are passed: a single one would lead the planner to an index of that column.
    """
    same: dict[str, Any] = {}
    arrays: list[list[Any]] = []
    for place, (name, column) in enumerate(zip(change.columns, columns, strict=True)):
        if place >= change.key and column.count(column[0]) == len(column):
            same[name] = column[0]
        else:
            arrays.append(column)
    if not arrays:
        same.pop(change.columns[0])
        arrays = [columns[0]]
    return frozenset(same), (*same.values(), *arrays)


def _kind(column: str) -> Kind:
    return KINDS.get(column, "int")


def _portable(name: str, column: list[Any]) -> list[Any]:
    match _kind(name):
        case "name":
            return [None if value is None else value.encode().hex() for value in column]
        case "bytes":
            return [None if value is None else value.hex() for value in column]
        case "bool":
            return [None if value is None else int(value) for value in column]
        case _:
            return column


@lru_cache(256)
def _row_statement(change: Change, dialect: Dialect) -> tuple[str, tuple[int, ...] | None]:
    """Return the statement of one row, and which values it takes in which order; None for all as they come."""
    table = dialect.identifier_preparer.format_table(change.table)
    if not change.key:
        places = ", ".join("?" for _ in change.columns)
        return f"INSERT INTO {table} ({', '.join(change.columns)}) VALUES ({places})", None
    order: list[int] = []

    def take(column: str) -> str:
        order.append(change.columns.index(column))
        return "?"

    sets = ", ".join(f"{name} = {take(name)}" for name in change.set_columns)
    conditions = [f"t.{name} = {take(name)}" for name in change.columns[: change.key]]
    if change.guard:
        conditions.append(_guard(change.guard, take))
    return f"UPDATE {table} AS t SET {sets} WHERE {' AND '.join(conditions)}", tuple(order)


def _guard(guard: str, value: Callable[[str], str]) -> str:
    """Return *guard* with the value of each column that it speaks of, asked for in this order."""
    return re.sub(r"\{(\w+)\}", lambda found: value(found[1]), guard)


@lru_cache(256)
def _array_statement(change: Change, same: frozenset[str], dialect: Dialect, before: int = 0) -> str:
    """
    Return the statement.

    Args:
        change: What it does.
        same: The columns that come as one value.
        dialect: The database.
        before: How many parameters stand before its own.
    """
    table = dialect.identifier_preparer.format_table(change.table)
    types = {"name": "text", "text": "text", "int": "bigint", "bool": "boolean", "bytes": "bytea"}
    is_numbered = dialect.paramstyle.startswith("numeric")
    places = count(before + 1)

    def take(column: str, form: str) -> str:
        return f"CAST({f'${next(places)}' if is_numbered else '%s'} AS {types[_kind(column)]}{form})"

    values = {name: take(name, "") for name in change.columns if name in same}
    given = [name for name in change.columns if name not in same]
    arrays = ", ".join(take(name, "[]") for name in given)
    columns = ", ".join(f"{values[name]} AS {name}" if name in same else f"u.{name}" for name in change.columns)
    source = f"SELECT {columns} FROM unnest({arrays}) AS u ({', '.join(given)})"
    if not change.key:
        return f"INSERT INTO {table} ({', '.join(change.columns)}) {source}"
    sets = ", ".join(f"{name} = d.{name}" for name in change.set_columns)
    if change.guard:  # made to depend on the key too, or the planner would first look for all rows that meet it
        guard = f"CASE WHEN d.{change.columns[0]} IS NOT NULL THEN {change.guard} END"
        change = attrs.evolve(change, guard=guard)
    conditions = _match(change, _array_value)
    return f"UPDATE {table} AS t SET {sets} FROM ({source}) AS d WHERE {conditions}"


@lru_cache(256)
def _document_statement(change: Change, dialect: Dialect) -> str:
    table = dialect.identifier_preparer.format_table(change.table)
    types = {"name": "TEXT", "text": "LONGTEXT", "int": "BIGINT", "bool": "TINYINT", "bytes": "LONGTEXT"}
    fields = ", ".join(f"{name} {types[_kind(name)]} PATH '$[{place}]'" for place, name in enumerate(change.columns))
    source = f"JSON_TABLE(%s, '$[*]' COLUMNS ({fields})) AS d"
    if not change.key:
        values = ", ".join(map(_document_value, change.columns))
        return f"INSERT INTO {table} ({', '.join(change.columns)}) SELECT {values} FROM {source}"
    sets = ", ".join(f"t.{name} = {_document_value(name)}" for name in change.set_columns)
    return f"UPDATE {table} AS t JOIN {source} ON {_match(change, _document_value)} SET {sets}"


def _array_value(column: str) -> str:
    return f"d.{column}"


def _document_value(column: str) -> str:
    return f"UNHEX(d.{column})" if _kind(column) in {"name", "bytes"} else f"d.{column}"


def _match(change: Change, value: Callable[[str], str]) -> str:
    conditions = [f"t.{name} = {value(name)}" for name in change.columns[: change.key]]
    if change.guard:
        conditions.append(_guard(change.guard, value))
    return " AND ".join(conditions)
