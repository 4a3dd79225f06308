"""Start real servers for the benchmarks of stores, and count what a SQL server is asked."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SERVERS = ("postgresql", "sqlite", "mysql", "redis", "mongodb")
SQL = ("postgresql", "sqlite", "mysql")


def make_store(server: str, url: str) -> Any:
    """Make the store that a user of that server would."""
    if server == "redis":
        from apsched.jobstores.redis import RedisJobStore

        return RedisJobStore(url=url)
    if server == "mongodb":
        from apsched.jobstores.mongodb import MongoDBJobStore

        return MongoDBJobStore(url=url)
    from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

    return SQLAlchemyJobStore(url=url)


class Statements:
    """
    Counts statements and transactions of SQLAlchemy in this process; of other servers nothing.

    Attributes:
        count: Statements, without BEGIN and COMMIT.
        transactions: Those that were committed.
    """

    def __init__(self, server: str) -> None:
        self.count = 0
        self.transactions = 0
        self.is_sql = server in SQL
        if self.is_sql:
            from sqlalchemy import event
            from sqlalchemy.engine import Engine

            event.listen(Engine, "after_cursor_execute", self._note_statement)
            event.listen(Engine, "commit", self._note_commit)

    def counts(self, jobs: int) -> dict[str, float]:
        """Return how many there were for each 500 of *jobs*."""
        if not self.is_sql:
            return {}
        return {"statements": self.count * 500 / jobs, "transactions": self.transactions * 500 / jobs}

    def _note_statement(self, *_: object) -> None:
        self.count += 1

    def _note_commit(self, *_: object) -> None:
        self.transactions += 1


class Databases:
    """Gives each measurement an empty database of the server that it names; a server starts when it is asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[str, Any] = {}

    @contextmanager
    def database(self, measurement: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """Give further arguments of the worker."""
        kind = measurement["server"]
        if kind == "sqlite":
            with TemporaryDirectory() as folder:
                yield {"url": f"sqlite:///{folder}/drain.db"}
            return
        with self._server(kind).database() as url:
            yield {"url": url}

    def _server(self, kind: str) -> Any:
        if kind not in self._servers:
            sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
            start = getattr(__import__("tests.servers", fromlist=["servers"]), f"start_{kind}")
            self._servers[kind] = self._stack.enter_context(start() if kind == "mongodb" else start(is_durable=True))
        return self._servers[kind]
