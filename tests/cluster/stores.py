"""Open the store that a URL names, in the tests and in the nodes that they start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import product
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from apsched.jobstores.base import JobStore
from tests.servers import Proxy, Server, start_mongodb, start_mysql, start_postgresql, start_redis

START: dict[str, Callable[[], AbstractContextManager[Server]]] = {
    "postgresql": start_postgresql,
    "mysql": start_mysql,
    "redis": start_redis,
    "mongodb": start_mongodb,
}
SERVERS = tuple(START)
STORES = ("sqlite", *SERVERS)

JOBS = int(os.environ.get("APSCHED_CLUSTER_JOBS", "0"))
"""How many jobs the nodes share where all is tested, as the session `cluster` does; 0: a few jobs, a few cases."""


def cases(few: Iterable[Any], *all_of: Iterable[Any]) -> list[Any]:
    """Return *few*; where all is tested, every combination of *all_of*."""
    if not JOBS:
        return list(few)
    return [values if len(all_of) > 1 else values[0] for values in product(*all_of)]


def make_store(url: str) -> JobStore:
    """Return the store of the kind that the scheme of *url* names, not entered."""
    scheme = urlsplit(url).scheme
    if scheme == "redis":
        from apsched.jobstores.redis import RedisJobStore

        return RedisJobStore(url=url)
    if scheme == "mongodb":
        from apsched.jobstores.mongodb import MongoDBJobStore

        return MongoDBJobStore(url=url)
    from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

    return SQLAlchemyJobStore(url)


def through(proxy: Proxy, url: str) -> str:
    """Return *url* with the proxy in the place of the server."""
    parts = urlsplit(url)
    address = f"{proxy.host}:{proxy.port}"
    user, at, _ = parts.netloc.rpartition("@")
    query = "directConnection=true" if parts.scheme == "mongodb" else parts.query  # a replica set says where it is
    return urlunsplit(parts._replace(netloc=f"{user}{at}{address}", query=query))
