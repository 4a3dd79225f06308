"""Open the store that a URL names, in the tests and in the nodes that they start."""

from __future__ import annotations

from urllib.parse import urlsplit

from apsched.jobstores.base import JobStore


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
