"""Say what the tables of a SQLAlchemy job store look like (layer 7).

Rule 1: an instant is a whole number of microseconds since 1970 UTC, in every database.
Rule 2: ids are compared byte by byte: case, accents and spaces at the end count.
Rule 3: what changes here needs a migration, and `REVISION` names the newest one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import attrs
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    literal_column,
)
from sqlalchemy.dialects.mysql import LONGBLOB, MEDIUMTEXT, VARBINARY
from sqlalchemy.engine.interfaces import Dialect

from apsched.run import Outcome

REVISION = "0002"
LONGEST_NAME = 191  # characters of ids, aliases and tags; 4 bytes each, so that two fit an index of MySQL
LONGEST_TEXT = 65_536  # characters of tracebacks and reasons

OPEN = (Outcome.PENDING, Outcome.RUNNING)
COMMON = (Outcome.SUCCEEDED, *OPEN)  # outcomes of which an index by outcome would hold nearly every run

OPTIONS: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


class State(enum.IntEnum):
    """What is special about a job, apart from being paused; of all others the column is null."""

    QUARANTINED = 1
    RETIRED = 2  # it has ended, and is kept until its last run has
    MARKED = 3  # some node cannot run it; it is looked at all the same, since others may


class _Utf8(TypeDecorator[str]):
    """Text as bytes: collations of MySQL and MariaDB that compare byte by byte still ignore spaces at the end."""

    impl = VARBINARY(4 * LONGEST_NAME)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else value.encode(errors="replace")

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return value.decode(errors="replace") if isinstance(value, bytes) else value


class _Bytes(LargeBinary):
    """Bytes as drivers give and take them; what somebody else put into the column makes no query fail."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        return None


NAME = (
    String(LONGEST_NAME)
    .with_variant(String(LONGEST_NAME, collation="C"), "postgresql")
    .with_variant(_Utf8(), "mysql", "mariadb")
)
WORD = String(16)
LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
BYTES = _Bytes().with_variant(LONGBLOB(), "mysql", "mariadb")

IS_SPECIAL: ColumnElement[bool] = literal_column("replace(executor, '|', '')", String) != literal_column(
    "executor", String
)
"""That the lane of a job is more than the alias of an executor; the same words make the index of them."""


def outcome_in(outcomes: Iterable[Outcome]) -> ColumnElement[bool]:
    """Return the condition of *outcomes*, written out: a database uses a partial index only if it can see them."""
    return literal_column("outcome", WORD).in_([literal_column(f"'{outcome.value}'") for outcome in outcomes])


@attrs.frozen
class TableNames:
    """How the tables of one store are called."""

    jobs: str
    runs: str
    nodes: str
    tags: str
    cancellations: str
    version: str

    @classmethod
    def after(cls, jobs: str) -> TableNames:
        """Return the names that go with a table of jobs called *jobs*."""
        stem = "apsched" if jobs == "apsched_jobs" else jobs
        kinds = ("runs", "nodes", "tags", "cancellations", "schema")
        return cls(jobs, *(f"{stem}_{kind}" for kind in kinds))


class Tables:
    """
    The tables of one store.

    Args:
        name: The table of jobs; the others are called after it.
        schema: The schema of all of them; None for the default one.
        metadata: Where they are entered; None for a collection of their own.

    Attributes:
        names: How they are called.
        jobs: One row a job. `due_time` says when to look at it; null while it is paused, quarantined or retired, and if
            it waits for another job, whose id is then in `follows`. `executor` is its lane, of which the alias of the
            executor is the first part, and mostly all. `expects_success` is 1 or null.
        runs: One row a run.
        nodes: One row a node.
        tags: One row a tag of a job, to find jobs by.
        cancellations: One row a run that somebody wants cancelled; a row says nothing any more when its epoch is past
            or the run has ended. A table of its own, since a column would cost every run an entry in an index.
    """

    def __init__(self, name: str, schema: str | None = None, metadata: MetaData | None = None) -> None:
        self.names: TableNames = TableNames.after(name)
        self.schema = schema
        self.metadata: MetaData = MetaData() if metadata is None else metadata
        self.jobs: Table = self._jobs()
        self.runs: Table = self._runs()
        self.nodes: Table = self._nodes()
        self.tags: Table = self._tags()
        self.cancellations: Table = self._cancellations()

    @property
    def all(self) -> tuple[Table, ...]:
        """All of them."""
        return (self.jobs, self.runs, self.nodes, self.tags, self.cancellations)

    def _jobs(self) -> Table:
        name = self.names.jobs
        return Table(
            name,
            self.metadata,
            Column("id", NAME, primary_key=True),
            Column("executor", NAME, nullable=False),
            Column("next_run_time", BigInteger),
            Column("next_nominal_time", BigInteger),
            Column("due_time", BigInteger),
            Column("state", SmallInteger),
            Column("quarantine", LONG_TEXT),
            Column("max_instances", Integer),
            Column("keep_runs", BigInteger),
            Column("definition", BYTES, nullable=False),
            Column("follows", NAME),
            Column("expects_success", SmallInteger),
            _partial(f"ix_{name}_due", ["executor", "due_time"], literal_column("due_time").is_not(None)),
            _partial(f"ix_{name}_lanes", ["executor"], IS_SPECIAL).ddl_if(callable_=_has_partial),
            _partial(f"ix_{name}_state", ["state", "id"], literal_column("state").is_not(None)),
            _partial(f"ix_{name}_keep", ["keep_runs", "id"], literal_column("keep_runs").is_not(None)),
            _partial(f"ix_{name}_follows", ["follows", "id"], literal_column("follows").is_not(None)),
            _partial(f"ix_{name}_expects", ["expects_success", "id"], literal_column("expects_success").is_not(None)),
            schema=self.schema,
            **OPTIONS,
        )

    def _runs(self) -> Table:
        name = self.names.runs
        return Table(
            name,
            self.metadata,
            Column("job_id", NAME, primary_key=True),
            Column("nominal_time", BigInteger, primary_key=True, autoincrement=False),
            Column("outcome", WORD, nullable=False),
            Column("due_time", BigInteger, nullable=False),
            Column("first_nominal_time", BigInteger),
            Column("count", BigInteger),
            Column("is_manual", Boolean, nullable=False),
            Column("epoch", Integer, nullable=False),
            Column("node", NAME),
            Column("claimed_at", BigInteger),
            Column("started_at", BigInteger),
            Column("finished_at", BigInteger),
            Column("retval", BYTES),
            Column("error", LONG_TEXT),
            Column("reason", LONG_TEXT),
            Column("arguments", BYTES),
            Column("notes", LONG_TEXT),
            _partial(f"ix_{name}_open", ["job_id", "nominal_time"], outcome_in(OPEN)).ddl_if(callable_=_has_partial),
            _partial(f"ix_{name}_waiting", ["due_time", "job_id"], outcome_in([Outcome.PENDING])).ddl_if(
                callable_=_has_partial
            ),
            _partial(f"ix_{name}_outcome", ["outcome", "nominal_time", "job_id"], ~outcome_in(COMMON)),
            Index(f"ix_{name}_time", "nominal_time", "job_id"),
            schema=self.schema,
            **OPTIONS,
        )

    def _nodes(self) -> Table:
        return Table(
            self.names.nodes,
            self.metadata,
            Column("id", NAME, primary_key=True),
            Column("beat", BigInteger, nullable=False),
            Column("lease", Double, nullable=False),
            Column("started_at", BigInteger, nullable=False),
            Column("seen_at", BigInteger, nullable=False),
            Column("is_dead", Boolean, nullable=False),
            schema=self.schema,
            **OPTIONS,
        )

    def _tags(self) -> Table:
        name = self.names.tags
        return Table(
            name,
            self.metadata,
            Column("job_id", NAME, primary_key=True),
            Column("name", NAME, primary_key=True),
            Column("value", NAME, nullable=False),
            Index(f"ix_{name}_value", "name", "value", "job_id"),
            schema=self.schema,
            **OPTIONS,
        )

    def _cancellations(self) -> Table:
        return Table(
            self.names.cancellations,
            self.metadata,
            Column("job_id", NAME, primary_key=True),
            Column("nominal_time", BigInteger, primary_key=True, autoincrement=False),
            Column("epoch", Integer, nullable=False),
            Column("node", NAME),
            Column("reason", LONG_TEXT, nullable=False),
            schema=self.schema,
            **OPTIONS,
        )


def _has_partial(*args: Any, dialect: Dialect, **options: Any) -> bool:
    return dialect.name in {"postgresql", "sqlite"}


def _partial(name: str, columns: list[str], where: ColumnElement[bool]) -> Index:
    """Return an index of the rows that meet *where*; of all rows where the database knows no such index."""
    return Index(name, *columns, postgresql_where=where, sqlite_where=where)
