"""Carry out functions of a connection as transactions, on any engine and in any event loop (layer 7).

Rule 1: deadlines, repeats, cancellation and the translation of errors are in this file and nowhere else.
Rule 2: a transaction is repeated only if it cannot have been committed.
Rule 3: a transaction that has begun is brought to its end, which the deadline bounds; then the caller is cancelled.
Rule 4: a connection on which a deadline has passed is thrown away, and so is one to a server that has become a replica.
"""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import attrs
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from apsched._bridge import Bridge
from apsched.jobstores._sql.engines import AnyEngine, sync_engine_of
from apsched.jobstores._sql.errors import is_transient, only_reads, unavailable
from apsched.jobstores._sql.threads import Threads

T = TypeVar("T")
Work = Callable[[Connection], T]

PAUSES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)  # seconds before each repeat
FAREWELL = 1.0  # seconds that the server has to close connections, before that is done without it
MOST_CONNECTIONS = 1000  # that a pool can hold
THREADS = 10  # transactions at a time on an engine that blocks


@attrs.define(eq=False)
class _Attempt:
    """How far one attempt at a transaction has come."""

    connection: Connection | None = None
    is_committing: bool = False


class Transactions(ABC):
    """
    Runs transactions on one engine; entered and left in the event loop.

    Args:
        engine: The engine.
        is_ours: Whether leaving closes its connections.
        timeout: Seconds in which the server must have answered.
    """

    def __init__(self, engine: AnyEngine, *, is_ours: bool, timeout: float) -> None:
        sync_engine = sync_engine_of(engine)
        self._is_ours = is_ours
        self._timeout = timeout
        self._url = sync_engine.url
        self._is_sqlite = sync_engine.dialect.name == "sqlite"
        # an engine of the user's may have another level, and who has waited for the row of a job must see its new runs
        self._level = None if is_ours else "READ COMMITTED"

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def run(self, work: Work[T], *, patience: float = 1.0) -> T:
        """
        Carry out *work* in one transaction, repeating it while others are in its way.

        Args:
            work: May be called several times.
            patience: By how much more than the timeout it may take, for what touches many rows.

        Raises:
            JobStoreUnavailableError: The server cannot be reached, refuses, or has not answered in time.
        """
        return await self._repeat(work, patience, is_single=False)

    async def query(self, work: Work[T], *, patience: float = 1.0) -> T:
        """Carry out *work*, of which each statement is a transaction of its own and may be repeated; see `run`."""
        return await self._repeat(work, patience, is_single=True)

    async def _repeat(self, work: Work[T], patience: float, *, is_single: bool) -> T:
        with anyio.CancelScope(shield=True):
            deadline = self._timeout * patience
            last_start = anyio.current_time() + deadline
            for pause in (*PAUSES, None):
                attempt = _Attempt()
                try:
                    return await self._try(work, attempt, deadline, is_single=is_single)
                except (SQLAlchemyError, OSError) as exc:
                    is_hopeless = attempt.is_committing or not is_transient(exc)
                    if pause is None or is_hopeless or anyio.current_time() > last_start:
                        raise unavailable(self._url, exc, deadline) from exc
                await anyio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    @abstractmethod
    async def _try(self, work: Work[T], attempt: _Attempt, deadline: float, *, is_single: bool) -> T: ...

    def _isolation(self, is_single: bool) -> str | None:
        """Return the isolation level to set; None where the engine has it already."""
        # SQLite has no other way to say when a transaction begins than to keep the driver from beginning any
        return "AUTOCOMMIT" if is_single or self._is_sqlite else self._level

    def _transact(self, connection: Connection, work: Work[T], attempt: _Attempt, is_single: bool) -> T:
        try:
            return work(connection) if is_single else self._transact_as_one(connection, work, attempt)
        except DBAPIError as exc:
            if only_reads(exc):
                connection.invalidate(exc)
            raise

    def _transact_as_one(self, connection: Connection, work: Work[T], attempt: _Attempt) -> T:
        try:
            if self._is_sqlite:  # not deferred: two that have read and then want to write would fail at once
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            result = work(connection)
        except BaseException:
            connection.rollback()
            raise
        attempt.is_committing = True
        connection.commit()
        return result


class AsyncTransactions(Transactions):
    """Transactions on an engine that knows asyncio only."""

    def __init__(self, engine: AsyncEngine, *, is_ours: bool, timeout: float) -> None:
        super().__init__(engine, is_ours=is_ours, timeout=timeout)
        self._engine = engine
        self._bridge = Bridge()

    async def __aenter__(self) -> Self:
        await self._bridge.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            try:
                if self._is_ours:
                    await self._bridge.call(self._dispose)
            finally:
                await self._bridge.__aexit__(exc_type, exc, traceback)

    async def _dispose(self) -> None:
        """Close all connections; the server need not be there."""
        patience = FAREWELL
        for _ in range(MOST_CONNECTIONS):
            with anyio.move_on_after(patience):
                await self._engine.dispose()
                return
            patience = 0.0  # what was cut off was the close of one connection, and others are left

    async def _try(self, work: Work[T], attempt: _Attempt, deadline: float, *, is_single: bool) -> T:
        return await self._bridge.call(self._connect, work, attempt, deadline, is_single)

    async def _connect(self, work: Work[T], attempt: _Attempt, deadline: float, is_single: bool) -> T:
        level = self._isolation(is_single)
        with anyio.fail_after(deadline):
            async with self._engine.connect() as connection:
                await connection.run_sync(_set_level, level)
                return await connection.run_sync(self._transact, work, attempt, is_single)


class SyncTransactions(Transactions):
    """Transactions on an engine that blocks, in threads of its own; one after the other for SQLite."""

    def __init__(self, engine: Engine, *, is_ours: bool, timeout: float) -> None:
        super().__init__(engine, is_ours=is_ours, timeout=timeout)
        self._engine = engine
        self._threads = Threads(1 if self._is_sqlite else THREADS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self._is_ours:
                with anyio.move_on_after(FAREWELL):
                    await self._threads.call(self._engine.dispose)
            await self._threads.close()

    async def _try(self, work: Work[T], attempt: _Attempt, deadline: float, *, is_single: bool) -> T:
        if self._is_sqlite:  # nothing but its own busy timeout can make it wait
            return await self._threads.call(self._connect, work, attempt, is_single)
        try:
            with anyio.fail_after(deadline):
                return await self._threads.call(self._connect, work, attempt, is_single)
        except TimeoutError:
            _sever(attempt.connection)
            raise

    def _connect(self, work: Work[T], attempt: _Attempt, is_single: bool) -> T:
        level = self._isolation(is_single)
        with self._engine.connect() as connection:
            attempt.connection = connection
            try:
                _set_level(connection, level)
                return self._transact(connection, work, attempt, is_single)
            finally:
                attempt.connection = None


def _set_level(connection: Connection, level: str | None) -> None:
    """Set the isolation level; what a driver raises there, SQLAlchemy neither translates nor learns from."""
    if level is None:
        return
    try:
        connection.execution_options(isolation_level=level)
    except connection.dialect.loaded_dbapi.Error as exc:
        connection.invalidate(exc)
        raise DBAPIError(None, None, exc, connection_invalidated=True) from exc


def _sever(connection: Connection | None) -> None:
    """Cut the socket of *connection*, so that the thread that waits for the server gets an error and ends."""
    if connection is None:
        return
    with suppress(Exception):  # drivers differ, and the thread may have got on in the meantime
        driver: Any = connection.connection.driver_connection
        end: Any = getattr(driver, "_sock", driver)  # pymysql tells its socket only
        with socket.socket(fileno=os.dup(end.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)


def make_transactions(engine: AnyEngine, *, is_ours: bool, timeout: float) -> Transactions:
    """Return the transactions that go with the kind of *engine*."""
    if isinstance(engine, AsyncEngine):
        return AsyncTransactions(engine, is_ours=is_ours, timeout=timeout)
    return SyncTransactions(engine, is_ours=is_ours, timeout=timeout)
