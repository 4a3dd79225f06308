"""Make the tables of jobs, runs, nodes and tags."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from apsched.jobstores._sql.schema import BYTES, LONG_TEXT, NAME, OPTIONS, WORD, TableNames

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make them; what is there already, since this was interrupted before, stays."""
    names: TableNames = context.config.attributes["names"]
    _jobs(names.jobs)
    _runs(names.runs)
    _table(
        names.nodes,
        sa.Column("id", NAME, primary_key=True),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.Double, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("is_dead", sa.Boolean, nullable=False),
    )
    _table(
        names.tags,
        sa.Column("job_id", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("value", NAME, nullable=False),
    )
    _index(names.tags, "value", ["name", "value", "job_id"])


def _jobs(table: str) -> None:
    _table(
        table,
        sa.Column("id", NAME, primary_key=True),
        sa.Column("executor", NAME, nullable=False),
        sa.Column("next_run_time", sa.BigInteger),
        sa.Column("next_nominal_time", sa.BigInteger),
        sa.Column("due_time", sa.BigInteger),
        sa.Column("state", sa.SmallInteger),
        sa.Column("quarantine", LONG_TEXT),
        sa.Column("max_instances", sa.Integer),
        sa.Column("keep_runs", sa.BigInteger),
        sa.Column("definition", BYTES, nullable=False),
    )
    _index(table, "due", ["executor", "due_time"], "due_time IS NOT NULL")
    _index(table, "state", ["state", "id"], "state IS NOT NULL")
    _index(table, "keep", ["keep_runs", "id"], "keep_runs IS NOT NULL")


def _runs(table: str) -> None:
    _table(
        table,
        sa.Column("job_id", NAME, primary_key=True),
        sa.Column("nominal_time", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("due_time", sa.BigInteger, nullable=False),
        sa.Column("first_nominal_time", sa.BigInteger),
        sa.Column("count", sa.BigInteger),
        sa.Column("is_manual", sa.Boolean, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("node", NAME),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("retval", BYTES),
        sa.Column("error", LONG_TEXT),
        sa.Column("reason", LONG_TEXT),
        sa.Column("arguments", BYTES),
    )
    if op.get_bind().dialect.name in ("postgresql", "sqlite"):
        _index(table, "open", ["job_id", "nominal_time"], "outcome IN ('pending', 'running')")
        _index(table, "pending", ["job_id", "nominal_time"], "outcome IN ('pending')")
    rare = "outcome NOT IN ('succeeded', 'pending', 'running')"
    _index(table, "outcome", ["outcome", "nominal_time", "job_id"], f"({rare})")
    _index(table, "time", ["nominal_time", "job_id"])


def _table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, schema=context.config.attributes["schema"], if_not_exists=True, **OPTIONS)


def _index(table: str, name: str, columns: list[str], where: str | None = None) -> None:
    schema = context.config.attributes["schema"]
    there = sa.inspect(op.get_bind()).get_indexes(table, schema)
    condition: dict[str, Any] = (
        {} if where is None else {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}
    )
    if not any(index["name"] == f"ix_{table}_{name}" for index in there):
        op.create_index(f"ix_{table}_{name}", table, columns, schema=schema, **condition)
