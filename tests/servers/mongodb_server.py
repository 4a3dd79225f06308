"""Start MongoDB for tests: a replica set of one node, or a standalone server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tests.servers._mongod import find_mongod
from tests.servers._process import HOST, Process, free_port, own_folder
from tests.servers._server import Server, new_name

REPLICA_SET = "rs0"


class MongoDB(Server):
    """A MongoDB server or replica set."""

    DEFAULT_PORT: ClassVar[int] = 27017

    @contextmanager
    def database(self) -> Generator[str]:
        import pymongo

        name = new_name()
        try:
            yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
        finally:
            with pymongo.MongoClient[dict[str, Any]](self.url) as client:
                client.drop_database(name)

    def _read_version(self) -> str:
        import pymongo

        with pymongo.MongoClient[dict[str, Any]](self.url) as client:
            return str(client.server_info()["version"])


@contextmanager
def start_mongodb() -> Generator[MongoDB]:
    """
    Run a replica set of one node of one's own; takes about a second, and the first time as long as getting it takes.

    What is written with the default write concern is in the journal on the disk.

    Raises:
        MissingServerError: It is not on this machine and cannot be got.
    """
    with own_folder("mongodb") as folder:
        port = free_port()
        process = _process(folder, port, _is_primary, "--replSet", REPLICA_SET, "--oplogSize", "64")
        process.start()
        try:
            yield MongoDB(f"mongodb://{HOST}:{port}/?replicaSet={REPLICA_SET}", process)
        finally:
            process.kill()  # to end in good order takes a second


@contextmanager
def start_mongodb_standalone() -> Generator[MongoDB]:
    """
    Run a server of one's own that is in no replica set, and so has neither transactions nor change streams.

    What is written with the default write concern is on the disk a tenth of a second later.

    Raises:
        MissingServerError: It is not on this machine and cannot be got.
    """
    with own_folder("mongodb") as folder:
        port = free_port()
        process = _process(folder, port, _is_listening)
        process.start()
        try:
            yield MongoDB(f"mongodb://{HOST}:{port}/", process)
        finally:
            process.kill()  # to end in good order takes a second


def _process(folder: Path, port: int, is_ready: Callable[[int], bool], *options: str) -> Process:
    mongod = find_mongod()
    data = folder / "data"
    data.mkdir()
    command = [
        "mongod",
        *("--dbpath", str(data)),
        *("--bind_ip", HOST),
        *("--port", str(port)),
        "--nounixsocket",
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
        *options,
    ]
    environment = {"LD_LIBRARY_PATH": str(mongod.libraries)} if mongod.libraries else {}
    return Process(command, folder, lambda _pid: is_ready(port), program=mongod.program, environment=environment)


def _is_listening(port: int) -> bool:
    with socket.create_connection((HOST, port), 1.0):
        return True


def _is_primary(port: int) -> bool:
    """Whether the replica set can be written to; make it where there is none yet."""
    import pymongo
    from pymongo.errors import PyMongoError

    if not _is_listening(port):
        return False
    with pymongo.MongoClient[dict[str, Any]](HOST, port, directConnection=True) as client, suppress(PyMongoError):
        state = client.admin.command("hello")
        if "setName" not in state:
            members = [{"_id": 0, "host": f"{HOST}:{port}"}]
            settings = {"electionTimeoutMillis": 1000}
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members, "settings": settings})
        return bool(state["isWritablePrimary"])
    return False
