"""Tell errors that pass from those that stay, and say what they are (layer 7)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from apsched.exceptions import JobStoreUnavailableError
from apsched.jobstores._sql.engines import hide_password

SQL_STATES = {"40001", "40P01"}  # PostgreSQL: serialization failure, deadlock
MYSQL_CODES = {1205, 1213, 2006, 2013}  # lock wait timeout, deadlock, server gone, connection lost
ONLY_READS_STATE = "25006"  # PostgreSQL: read only transaction
ONLY_READS_CODES = {1290, 1792, 1836}  # MySQL: an option forbids it, read only transaction, read only mode
STALE_PLAN = "InvalidCachedStatementError"  # asyncpg, after a table was altered
REFUSED_STATES = {"28P01", "28000"}
REFUSED_CODES = {1044, 1045, 1698}
REFUSED_WORDS = ("password authentication failed", 'FATAL:  role "')  # psycopg tells no state where it cannot connect
NO_FILE = "unable to open database file"  # SQLite


class OvertakenError(SQLAlchemyError):
    """Another transaction has changed what this one was about to change; it must begin again."""


def is_transient(error: BaseException) -> bool:
    """
    Whether the transaction may succeed when it is repeated.

    So it is where others were in the way, also by inserting the same row first, and where a pooled connection turned
    out to be dead, or of no use.
    """
    if not isinstance(error, DBAPIError):
        return isinstance(error, OvertakenError)
    if isinstance(error, IntegrityError) or error.connection_invalidated or only_reads(error):
        return True
    return _state(error) in SQL_STATES or _code(error) in MYSQL_CODES or STALE_PLAN in str(error.orig)


def only_reads(error: BaseException) -> bool:
    """Whether the connection leads to a server that does not write: after a failover, a new one may lead elsewhere."""
    return _state(error) == ONLY_READS_STATE or _code(error) in ONLY_READS_CODES


def unavailable(url: URL, error: BaseException, timeout: float) -> JobStoreUnavailableError:
    """Return what to raise in place of *error*."""
    if isinstance(error, TimeoutError) and not str(error):
        cause = f"it did not answer within {timeout:g} s"
    else:
        original = error.orig if isinstance(error, DBAPIError) else error
        lines = str(original).strip().splitlines()
        cause = lines[0] if lines else type(original).__name__
    if (
        _state(error) in REFUSED_STATES
        or _code(error) in REFUSED_CODES
        or any(words in cause for words in REFUSED_WORDS)
    ):
        cause += "; check user name and password in the URL"
    folder = Path(url.database or "").parent
    if cause == NO_FILE and not folder.exists():
        cause += f"; make the folder {folder}, or name another one"
    return JobStoreUnavailableError(f"the database at {hide_password(url)} cannot be used: {cause}")


def _state(error: BaseException) -> str | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)


def _code(error: BaseException) -> int | None:
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    first = error.orig.args[0] if error.orig.args else None
    return first if isinstance(first, int) else None
