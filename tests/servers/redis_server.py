"""Start Redis for tests, from Debian's `redis-tools`, whose program `redis-check-rdb` is the server as well."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar
from urllib.parse import urlsplit

from tests.servers._process import HOST, MissingServerError, Process, find_program, first_bytes, free_port, own_folder
from tests.servers._server import Server

PROGRAMS = ("redis-server", "valkey-server", "redis-check-rdb")  # one program, which goes by the name it is called by
INSTALL = "apt-get install --no-install-recommends redis-tools"
UNSAFE = ("--appendfsync", "no")  # an end of the machine may lose data; an end of the server loses none


class Redis(Server):
    """A Redis server, whose databases 1 to 15 are the tests'."""

    DEFAULT_PORT: ClassVar[int] = 6379

    def __init__(self, url: str, process: Process | None = None) -> None:
        super().__init__(url, process)
        self._free = list(range(15, 0, -1))

    @contextmanager
    def database(self) -> Generator[str]:
        import redis

        number = self._free.pop()
        url = urlsplit(self.url)._replace(path=f"/{number}").geturl()
        try:
            with redis.Redis.from_url(url) as client:
                client.flushdb()
                yield url
                client.flushdb()
        finally:
            self._free.append(number)

    def _read_version(self) -> str:
        import redis

        with redis.Redis.from_url(self.url) as client:
            return str(client.info("server")["redis_version"])


@contextmanager
def start_redis(*, is_durable: bool = False, settings: Sequence[str] = ()) -> Generator[Redis]:
    """
    Run a Redis server of one's own, which keeps an append-only file; takes a few hundredths of a second.

    Args:
        is_durable: Write to the disk once a second, as in production. Without it, an end of the server loses nothing,
            only an end of the machine does.
        settings: Further words of its command line.

    Raises:
        MissingServerError: It is not on this machine.
    """
    program = next(filter(None, map(find_program, PROGRAMS)), None)
    if not program:
        raise MissingServerError(f"Redis is missing; install it with: {INSTALL}")
    with own_folder("redis") as folder:
        port = free_port()
        options = {
            "--bind": HOST,
            "--port": str(port),
            "--dir": str(folder),
            "--save": "",
            "--appendonly": "yes",
            "--maxmemory-policy": "noeviction",
        }
        words = [word for option in options.items() for word in option]
        process = Process(
            ["redis-server", *words, *(() if is_durable else UNSAFE), *settings],
            folder,
            partial(_is_ready, port),
            program=program,
        )
        process.start()
        try:
            yield Redis(f"redis://{HOST}:{port}/0", process)
        finally:
            process.stop()


def _is_ready(port: int, _pid: int) -> bool:
    return first_bytes(port, b"PING\r\n").startswith(b"+PONG")
