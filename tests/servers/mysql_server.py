"""Start MariaDB for tests, from Debian's `mariadb-server-core`."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from tests.servers._process import (
    HOST,
    MissingServerError,
    Process,
    find_program,
    first_bytes,
    free_port,
    own_folder,
    run,
)
from tests.servers._server import Server, new_name

if TYPE_CHECKING:
    import pymysql

INSTALL = "apt-get install --no-install-recommends mariadb-server-core mariadb-client-core"
PROTOCOL = 10  # the fifth byte of the greeting of a server that serves
UNSAFE = ("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync")  # only an end of the machine loses data


class MySQL(Server):
    """A MySQL or MariaDB server; its user needs the right to create databases."""

    DEFAULT_PORT: ClassVar[int] = 3306

    @contextmanager
    def database(self) -> Generator[str]:
        name = new_name()
        self._execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
        finally:
            self._execute(f"DROP DATABASE {name}")

    def _execute(self, statement: str) -> None:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _read_version(self) -> str:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT version()")
            (version,) = cursor.fetchone() or ("",)
            return str(version)

    def _connect(self) -> pymysql.Connection[Any]:
        import pymysql

        parts = urlsplit(self.url)
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=unquote(parts.username or "root"),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or None,
            ssl_disabled=self._process is not None,  # to look for certificates takes 20 ms
        )


@contextmanager
def start_mysql(*, is_durable: bool = False) -> Generator[MySQL]:
    """
    Run a MariaDB server of one's own, which has a database `test`; takes about two seconds.

    Args:
        is_durable: Wait for the disk at every commit, as in production. Without it, an end of the server loses
            nothing, only an end of the machine does.

    Raises:
        MissingServerError: It is not on this machine.
    """
    server, install = find_program("mariadbd"), find_program("mariadb-install-db")
    if not server or not install:
        raise MissingServerError(f"MariaDB is missing; install it with: {INSTALL}")
    with own_folder("mysql") as folder:
        port = free_port()
        common = ["--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}", "--skip-name-resolve"]
        if os.geteuid() == 0:
            common.append("--user=root")  # it runs as root only if told to
        _make_data(install, folder, common)
        process = Process(
            [
                str(server),
                *common,
                f"--socket={folder}/socket",
                f"--pid-file={folder}/pid",
                f"--bind-address={HOST}",
                f"--port={port}",
                f"--init-file={folder}/init.sql",
                "--innodb-log-file-size=16M",
                "--skip-log-bin",
                "--character-set-server=utf8mb4",
                *(() if is_durable else UNSAFE),
            ],
            folder,
            partial(_is_ready, port),
        )
        process.start()
        try:
            yield MySQL(f"mysql://root@{HOST}:{port}/test", process)
        finally:
            process.stop()


def _make_data(install: Path, folder: Path, common: list[str]) -> None:
    """Make the system tables, and what makes the database `test`; root needs no password over TCP."""
    # --force: it would otherwise insist that the machine's name resolves, which it need not.
    options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--force")
    run([str(install), *common, *options], folder)
    (folder / "init.sql").write_text("CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4;\n")


def _is_ready(port: int, _pid: int) -> bool:
    return first_bytes(port)[4:5] == bytes([PROTOCOL])
