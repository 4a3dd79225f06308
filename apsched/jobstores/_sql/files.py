"""
Notice that the file of a SQLite database was removed or replaced while it was open (layer 7).

The system lets a process go on with a file that has lost its name: all would seem well, in a database that nobody else
can see and that is gone when the process ends.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

logger: logging.Logger = logging.getLogger("apsched.jobstores")

OPENED = "apsched_file"  # where a connection keeps the path of its file, and which file had that name


def watch_file(engine: Engine) -> None:
    """Let each use of a connection of *engine* fail while its file is gone, and be made to the one in its place."""
    missing = engine.dialect.loaded_dbapi.OperationalError

    @event.listens_for(engine, "connect")
    def note(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA database_list")
        path = cursor.fetchone()[2]
        cursor.close()
        record.info[OPENED] = path, _file_at(path)

    @event.listens_for(engine, "checkout")
    def check(_connection: Any, record: Any, _proxy: Any) -> None:
        path, opened = record.info[OPENED]
        present = _file_at(path)
        if present == opened:
            return
        if present is None:
            raise missing(
                f"the file {path} was removed while it was open; put it back, or restart the scheduler for an empty one"
            )
        logger.warning("the file %s was replaced while it was open; the one that is there now is used", path)
        raise DisconnectionError(path)  # the pool connects anew


def _file_at(path: str) -> tuple[int, int] | None:
    """Return what no other file has at the same time; None if there is no file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
