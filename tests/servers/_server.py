"""Describe a server that tests use: where it is, what it is, and how to get an empty database in it."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlsplit

from tests.servers._process import Process

_numbers = itertools.count(1)


class Server(ABC):
    """
    A server that the tests have started, or one that an environment variable names.

    Args:
        url: Where it is, with the database to connect to first.
        process: How to end and start it; None if it is not the tests' own.
    """

    DEFAULT_PORT: ClassVar[int]

    def __init__(self, url: str, process: Process | None = None) -> None:
        self.url = url
        self._process = process

    @property
    def host(self) -> str:
        """The name or address of its machine."""
        return urlsplit(self.url).hostname or "localhost"

    @property
    def port(self) -> int:
        """Its TCP port."""
        return urlsplit(self.url).port or self.DEFAULT_PORT

    @cached_property
    def version(self) -> str:
        """What it says its version is, such as "18.4"."""
        return self._read_version()

    @abstractmethod
    def database(self) -> AbstractContextManager[str]:
        """Give the URL of an empty database for one user; when it is removed at the end, the server must be up."""

    def kill(self) -> None:
        """End it by SIGKILL; the system keeps what it has written."""
        self._own_process.kill()

    def stop(self) -> None:
        """End it in good order; its data stays."""
        self._own_process.stop()

    def restart(self) -> None:
        """Start it on the same port with the same data, after ending it in good order if it runs."""
        self._own_process.stop()
        self._own_process.start()

    @abstractmethod
    def _read_version(self) -> str: ...

    @property
    def _own_process(self) -> Process:
        if self._process is None:
            raise RuntimeError(
                f"the server at {self.host}:{self.port} is not the tests' own and cannot be ended; start another one"
            )
        return self._process


def new_name() -> str:
    """Return a name for a database that no other test has."""
    return f"apsched_test_{os.getpid()}_{next(_numbers)}"
