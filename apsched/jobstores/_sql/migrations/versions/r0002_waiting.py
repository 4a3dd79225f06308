"""Let runs wait until they are due and keep notes, let jobs follow others, and let runs be cancelled from afar."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from apsched.jobstores._sql.schema import LONG_TEXT, NAME, OPTIONS, TableNames

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add what is missing; some of it may be there, since this was interrupted before."""
    names: TableNames = context.config.attributes["names"]
    _column(names.jobs, sa.Column("follows", NAME))
    _column(names.jobs, sa.Column("expects_success", sa.SmallInteger))
    _index(names.jobs, "follows", ["follows", "id"], "follows IS NOT NULL")
    _index(names.jobs, "expects", ["expects_success", "id"], "expects_success IS NOT NULL")
    _column(names.runs, sa.Column("notes", LONG_TEXT))
    op.create_table(
        names.cancellations,
        sa.Column("job_id", NAME, primary_key=True),
        sa.Column("nominal_time", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("node", NAME),
        sa.Column("reason", LONG_TEXT, nullable=False),
        schema=context.config.attributes["schema"],
        if_not_exists=True,
        **OPTIONS,
    )
    if op.get_bind().dialect.name in ("postgresql", "sqlite"):
        _index(names.jobs, "lanes", ["executor"], "replace(executor, '|', '') <> executor")
        _index(names.runs, "waiting", ["due_time", "job_id"], "outcome IN ('pending')")
        if f"ix_{names.runs}_pending" in _indexes(names.runs):
            op.drop_index(f"ix_{names.runs}_pending", names.runs, schema=context.config.attributes["schema"])
    if op.get_bind().dialect.name == "postgresql":
        _analyze(names.jobs)


def _column(table: str, column: sa.Column[Any]) -> None:
    schema = context.config.attributes["schema"]
    there = sa.inspect(op.get_bind()).get_columns(table, schema)
    if column.name not in {known["name"] for known in there}:
        op.add_column(table, column, schema=schema)


def _index(table: str, name: str, columns: list[str], where: str) -> None:
    if f"ix_{table}_{name}" not in _indexes(table):
        op.create_index(
            f"ix_{table}_{name}",
            table,
            columns,
            schema=context.config.attributes["schema"],
            postgresql_where=sa.text(where),
            sqlite_where=sa.text(where),
        )


def _analyze(table: str) -> None:
    """Let the planner know that the new columns are empty, so that it uses their indexes at once."""
    target = sa.Table(table, sa.MetaData(), schema=context.config.attributes["schema"])
    statement = sa.DDL("ANALYZE %(fullname)s")  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
    op.get_bind().execute(statement.against(target))


def _indexes(table: str) -> set[str | None]:
    return {
        index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table, context.config.attributes["schema"])
    }
