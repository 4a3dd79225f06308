"""Give a store of each kind, and the server behind it, which may be broken."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.cluster.stores import START
from tests.servers import Server


@attrs.frozen
class Arena:
    """
    Where nodes meet.

    Attributes:
        url: The store.
        server: Its server; None if there is none.
        file: The file of the database; None if there is none.
    """

    url: str
    server: Server | None = None
    file: Path | None = None


@contextmanager
def open_arena(store: str, folder: Path) -> Generator[Arena]:
    """Open an empty store of that kind; `"sqlite"` keeps its file in *folder*."""
    if store == "sqlite":
        file = folder / "jobs.db"
        yield Arena(f"sqlite:///{file}", file=file)
    else:
        with START[store]() as server, server.database() as url:
            yield Arena(url, server)
