"""The servers that tests use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pymongo
import pymysql
import pytest
import redis

from tests.conftest import missing_servers_skip
from tests.servers import (
    MissingServerError,
    Redis,
    Server,
    start_mongodb,
    start_mongodb_standalone,
    start_mysql,
    start_postgresql,
    start_redis,
)

ROOT = Path(__file__).resolve().parents[2]

Start = Callable[[], AbstractContextManager[Server]]
Write = Callable[[str], None]
Count = Callable[[str], int]


def write_postgresql(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE word (word text)")
        connection.execute("INSERT INTO word VALUES ('kept')")


def count_postgresql(url: str) -> int:
    with psycopg.connect(url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() or (-1,)
        return int(count)


def connect_mysql(url: str) -> pymysql.Connection:
    parts = urlsplit(url)
    return pymysql.connect(host=parts.hostname, port=parts.port or 0, user=parts.username, database=parts.path[1:])


def write_mysql(url: str) -> None:
    with connect_mysql(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE word (word text)")
        cursor.execute("INSERT INTO word VALUES ('kept')")
        connection.commit()


def count_mysql(url: str) -> int:
    with connect_mysql(url) as connection, connection.cursor() as cursor:
        return cursor.execute("SHOW TABLES")


def write_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set("word", "kept")


def count_redis(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.dbsize())


def write_mongodb(url: str) -> None:
    with pymongo.MongoClient[dict[str, str]](url) as client:
        on_disk = pymongo.WriteConcern(j=True)
        client.get_default_database("test").get_collection("word", write_concern=on_disk).insert_one({"word": "kept"})


def count_mongodb(url: str) -> int:
    with pymongo.MongoClient[dict[str, str]](url) as client:
        return len(client.get_default_database("test").list_collection_names())


STARTS: dict[str, Start] = {
    "postgresql": start_postgresql,
    "mysql": start_mysql,
    "redis": start_redis,
    "mongodb": start_mongodb,
    "mongodb_standalone": start_mongodb_standalone,
}
CLIENTS: dict[str, tuple[Write, Count]] = {
    "postgresql": (write_postgresql, count_postgresql),
    "mysql": (write_mysql, count_mysql),
    "redis": (write_redis, count_redis),
    "mongodb": (write_mongodb, count_mongodb),
    "mongodb_standalone": (write_mongodb, count_mongodb),
}


@pytest.fixture(params=["postgresql", "mysql", "redis", "mongodb", "mongodb_standalone"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_server_tells_its_version(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")

    assert server.version[0].isdigit()


def test_a_database_is_empty_although_another_was_filled(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    write, count = CLIENTS[kind]

    for _ in range(2):
        with server.database() as url:
            assert count(url) == 0
            write(url)
            assert count(url) == 1


def test_two_databases_are_apart(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    write, count = CLIENTS[kind]

    with server.database() as first, server.database() as second:
        write(first)

        assert (count(first), count(second)) == (1, 0)


def test_what_is_written_outlives_a_kill(kind: str) -> None:
    write, count = CLIENTS[kind]
    with STARTS[kind]() as server:
        before = count(server.url)
        write(server.url)

        server.kill()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port))
        server.restart()
        assert count(server.url) == before + 1


def test_a_durable_server_starts() -> None:
    for start in (start_postgresql, start_mysql, start_redis):
        with start(is_durable=True) as server:
            assert server.version


def test_a_server_outlives_the_thread_that_started_it() -> None:
    with start_redis() as server:
        thread = threading.Thread(target=server.restart)
        thread.start()
        thread.join()

        with server.database() as url:
            write_redis(url)
            assert count_redis(url) == 1


def test_a_server_ends_with_the_tests_even_when_they_are_killed(tmp_path: Path) -> None:
    program = "from tests.servers import start_redis\nwith start_redis() as server: print(server.port); input()"
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # nobody is left to remove the server's
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tests:
        assert tests.stdout
        port = int(tests.stdout.readline())
        with closing(socket.create_connection(("127.0.0.1", port), 10.0)) as connection:
            os.kill(tests.pid, signal.SIGKILL)

            assert connection.recv(1) == b""


@pytest.mark.parametrize(("ci", "expected"), [("false", pytest.skip.Exception), ("true", MissingServerError)])
def test_a_missing_server_skips_and_fails_only_under_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, expected: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)

    with pytest.raises(expected, match="Redis is missing"), missing_servers_skip():
        raise MissingServerError("Redis is missing")


def test_a_server_of_others_is_not_ended() -> None:
    theirs = Redis("redis://example.org/0")

    assert theirs.port == 6379
    with pytest.raises(RuntimeError, match=r"example\.org:6379 is not the tests' own"):
        theirs.kill()
