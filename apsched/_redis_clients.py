"""Make clients of Redis, and say in words what goes wrong with one (layer 5).

A store, its heartbeat and its notifier each use a client of their own, made from the same arguments: a client belongs
to one event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from apsched.exceptions import JobStoreUnavailableError, MissingExtraError

try:
    from redis import exceptions as errors
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.connection import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import SentinelConnectionPool
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError
except ImportError as exc:
    raise MissingExtraError("Redis", "redis") from exc

__all__ = ["CONNECTION_FAILURES", "FAILURES", "Client", "NoScriptError", "RedisClients", "hang_up", "only_reads"]

Client: TypeAlias = Redis | RedisCluster

FAILURES: tuple[type[Exception], ...] = (errors.RedisError, OSError)
"""What a call to the server may raise when the server or the network is the cause."""

CONNECTION_FAILURES: tuple[type[Exception], ...] = (errors.ConnectionError, OSError)
"""Those of them that mean that the connection is gone."""

_BOUND = ("connection_pool", "event_dispatcher", "himport_registry", "maint_", "orig_", "oss_")
# beginnings of settings of a pool that belong to that one pool


class RedisClients:
    """
    Makes clients of one server.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        client: A client whose settings are taken over and which itself is left alone; or a function that makes one.
        timeout: Seconds that one call may take.
        settings: Arguments of `redis.asyncio.Redis`.

    Raises:
        ValueError: Arguments contradict each other.
        TypeError: *client* is something else.

    Attributes:
        place: Where the server is, for messages; without the password.
    """

    def __init__(
        self,
        url: str | None,
        client: Client | Callable[[], Client] | None,
        timeout: float,
        settings: Mapping[str, Any],
    ) -> None:
        if client is not None and (url is not None or settings):
            given = ", ".join(["url"] * (url is not None) + sorted(settings))
            raise ValueError(f"client stands for the whole connection, got {given} too; give one of them")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds above 0, got {timeout!r}")
        options = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2, **settings}
        self._timeout = timeout
        if client is None:
            self._make: Callable[[], Client] = lambda: _new(url, options)
        elif isinstance(client, RedisCluster) or (
            isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool)
        ):
            raise ValueError(
                "client must be a function that makes a client where it is one of a cluster or of Sentinel, "
                f"since several are needed, got {type(client).__name__}; pass lambda: RedisCluster(...)"
            )
        elif isinstance(client, Redis):
            pool = client.connection_pool
            self._make = lambda: _like(pool, timeout)
        elif callable(client):
            self._make = client
        else:
            raise TypeError(f"client must be a redis.asyncio.Redis or a function that makes one, got {client!r}")
        self.place: str = "a server that a function connects to" if callable(client) else _place(self.make())

    def make(self) -> Client:
        """
        Return a new client, which connects when it is used and sends nothing twice.

        Raises:
            ValueError: It would give texts for bytes.
        """
        client = self._make()
        if client.get_connection_kwargs().get("decode_responses"):
            raise ValueError("decode_responses must not be True, since what is stored is bytes; leave it out")
        client.set_retry(Retry(NoBackoff(), 0))
        return client

    @property
    def can_listen(self) -> bool:
        """Whether the clients can subscribe to channels; those of clusters cannot in old releases of redis."""
        return hasattr(self._make(), "pubsub")

    def unavailable(self, exc: Exception) -> JobStoreUnavailableError:
        """Return what to raise from *exc*."""
        return JobStoreUnavailableError(f"Redis at {self.place} {self._problem(exc)}")

    def _problem(self, exc: Exception) -> str:
        if isinstance(exc, (errors.AuthenticationError, errors.AuthorizationError, errors.NoPermissionError)):
            return f"refuses the credentials ({exc}); check user and password, and what the user may do"
        if only_reads(exc):
            return "is a replica, which takes no changes; name its primary"
        if isinstance(exc, (TimeoutError, errors.TimeoutError)):
            return f"did not answer within {self._timeout:g} s; see whether it is overloaded, or pass a longer timeout="
        if isinstance(exc, errors.OutOfMemoryError) or "maxmemory" in str(exc):
            return "has no memory left and takes nothing more; raise its maxmemory, or keep fewer runs"
        if isinstance(exc, errors.BusyLoadingError):
            return "is starting and still reads its data; wait for it"
        if isinstance(exc, CONNECTION_FAILURES):
            return f"cannot be reached ({exc}); see whether it runs there"
        return f"refuses a call ({exc}); see what its log says"


def only_reads(exc: Exception) -> bool:
    """Whether *exc* says that the server is a replica."""
    return isinstance(exc, errors.ReadOnlyError) or "READONLY" in str(exc)


async def hang_up(client: Client) -> None:
    """Let the next call of *client* connect anew: after a failover, the same address may lead to another server."""
    if isinstance(client, Redis):  # one of a cluster looks for its primaries itself
        with suppress(*FAILURES):
            await client.connection_pool.disconnect(inuse_connections=False)


def _new(url: str | None, options: Mapping[str, Any]) -> Client:
    return Redis(**options) if url is None else Redis.from_url(url, **options)


def _like(pool: ConnectionPool, timeout: float) -> Client:
    """Return a client with the settings of *pool* and connections of its own."""
    settings = {name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_BOUND)}
    own: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,
        "decode_responses": False,
    }
    return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **{**settings, **own}))


def _place(client: Client) -> str:
    settings = client.get_connection_kwargs()
    if path := settings.get("path"):
        return f"unix://{path}?db={settings.get('db', 0)}"
    user = settings.get("username") or ""
    login = f"{user}:***@" if settings.get("password") else f"{user}@" if user else ""
    return f"redis://{login}{settings.get('host', 'localhost')}:{settings.get('port', 6379)}/{settings.get('db', 0)}"
