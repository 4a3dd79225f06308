"""Make the tables of a store, or bring them up to date (layer 7).

Rule 1: one select says whether there is something to do; alembic is imported only then.
Rule 2: of several nodes that start at once one does it, and the others wait for it.
Rule 3: tables that somebody else has made, or a newer version of apsched, are left alone.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, String, column, func, inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from apsched.exceptions import JobStoreVersionError, MissingExtraError
from apsched.jobstores._sql.schema import REVISION, Tables

REVISIONS = ("0001", "0002")  # oldest first
LONGEST_WAIT = 60  # seconds that another node may take for it
LOCK = 7_046_029_254_386_353_131  # of PostgreSQL, one for the migrations of all stores of a database


def find_revision(connection: Connection, tables: Tables) -> str | None:
    """
    Return the revision of the tables; None if there are none.

    Raises:
        JobStoreVersionError: They are newer than this version of apsched.
    """
    version = column("version_num", String)
    query = select(version).select_from(table(tables.names.version, version, schema=tables.schema))
    try:
        found: str | None = connection.execute(query).scalar()
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise
        if not inspect_after(connection, tables.names.version, tables.schema):
            return None
        found = connection.execute(
            query
        ).scalar()  # another node has made it in between; or it fails again, and says why
    if found is not None and found not in REVISIONS:
        raise JobStoreVersionError(
            f"the tables beside {tables.names.jobs!r} are of revision {found!r}, and this version of apsched knows "
            f"those up to {REVISION!r}; upgrade apsched on this node, or name another table"
        )
    return found


def inspect_after(connection: Connection, name: str, schema: str | None) -> bool:
    """Whether there is a table *name*; asked after a statement that failed, which the transaction may not outlive."""
    connection.rollback()
    return inspect(connection).has_table(name, schema)


def migrate(connection: Connection, tables: Tables) -> None:
    """
    Bring the tables up to date in the present transaction, alone.

    Raises:
        JobStoreVersionError: There is a table of one of the names that is not ours.
        MissingExtraError: alembic is not installed.
    """
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    if dialect in ("mysql", "mariadb"):
        connection.execute(select(func.get_lock("apsched", LONGEST_WAIT)))
    try:
        if _is_current(connection, tables):
            return
        _upgrade(connection, tables)
    finally:
        if dialect in ("mysql", "mariadb"):
            connection.execute(select(func.release_lock("apsched")))


def check_tables(connection: Connection, tables: Tables) -> None:
    """
    Check that the tables are there, with our columns.

    Raises:
        JobStoreVersionError: One is missing, or lacks a column.
    """
    inspector = inspect(connection)
    missing = [each.name for each in tables.all if not inspector.has_table(each.name, tables.schema)]
    if missing:
        raise JobStoreVersionError(
            f"the database has no table {', '.join(map(repr, missing))}, and create_tables is False; "
            "make them with your migrations (metadata= shows them to alembic), or let create_tables be True"
        )
    for each in tables.all:
        lacking = set(each.columns.keys()) - {
            known["name"] for known in inspector.get_columns(each.name, tables.schema)
        }
        if lacking:
            raise JobStoreVersionError(
                f"table {each.name!r} has no column {', '.join(map(repr, sorted(lacking)))}, so it is of another "
                "version of apsched or not of apsched at all; migrate it, or name another table"
            )


def _is_current(connection: Connection, tables: Tables) -> bool:
    inspector = inspect(connection)
    if inspector.has_table(tables.names.version, tables.schema):
        return find_revision(connection, tables) == REVISION
    for each in tables.all:
        if inspector.has_table(each.name, tables.schema):
            found = [known["name"] for known in inspector.get_columns(each.name, tables.schema)]
            if not {column.name for column in each.columns} <= set(found):
                raise JobStoreVersionError(_foreign(each.name, found))
    return False


def _foreign(name: str, found: list[str]) -> str:
    is_old = set(found) == {"id", "next_run_time", "job_state"}
    whose, advice = (
        ("of APScheduler 3", ", and bring its jobs there by `apsched import`") if is_old else ("not of apsched", "")
    )
    return f"table {name!r} is {whose}: its columns are {', '.join(found)}; name another table (tablename=){advice}"


def _upgrade(connection: Connection, tables: Tables) -> None:
    try:
        from alembic import command
        from alembic.config import Config
    except ImportError as exc:
        raise MissingExtraError("making the tables of a job store", "sqlite") from exc
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, names=tables.names, schema=tables.schema)
    command.upgrade(config, "head")
