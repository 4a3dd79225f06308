"""
Real servers for tests and benchmarks, each started in a second or two on a port of its own.

    with start_postgresql() as server, server.database() as url:
        ...

The fixtures of tests/conftest.py share one server of each kind; a test that ends servers starts its own. This needs the
standard library to start most of them, and the client of a server to look into it.
"""

from tests.servers._process import MissingServerError
from tests.servers._server import Server
from tests.servers.mongodb_server import MongoDB, start_mongodb, start_mongodb_standalone
from tests.servers.mysql_server import MySQL, start_mysql
from tests.servers.postgresql_server import PostgreSQL, start_postgresql
from tests.servers.proxy import Proxy
from tests.servers.redis_server import Redis, start_redis

__all__ = [
    "MissingServerError",
    "MongoDB",
    "MySQL",
    "PostgreSQL",
    "Proxy",
    "Redis",
    "Server",
    "start_mongodb",
    "start_mongodb_standalone",
    "start_mysql",
    "start_postgresql",
    "start_redis",
]
