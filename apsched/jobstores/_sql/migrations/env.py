"""Run the revisions on the connection that `migrate.py` passes; alembic executes this file, nobody imports it."""

from __future__ import annotations

from alembic import context

given = context.config.attributes
context.configure(
    connection=given["connection"],
    version_table=given["names"].version,
    version_table_schema=given["schema"],
)
with context.begin_transaction():
    context.run_migrations()
