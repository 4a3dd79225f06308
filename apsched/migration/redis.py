"""Read the keys of `RedisJobStore` of APScheduler 3 (layer 7)."""

from __future__ import annotations

from functools import partial
from typing import Any

from apsched.exceptions import JobStoreUnavailableError, MissingExtraError

try:
    from redis import Redis
    from redis.exceptions import RedisError
except ImportError as exc:
    raise MissingExtraError("reading Redis", "redis") from exc

from apsched.migration.jobs import StoredJob
from apsched.migration.values import read_state

JOBS_KEY = "apscheduler.jobs"
PATIENCE = 10.0  # seconds that the server may take to answer


def read(source: str, key: str | None) -> list[StoredJob]:
    """
    Return the jobs under a key; see `read_jobs`.

    Raises:
        JobStoreUnavailableError: The server cannot be reached, or refuses.
        ValueError: There is no such key, or it holds something else.
    """
    key = key or JOBS_KEY
    place = source.rpartition("@")[2].removeprefix("redis://")
    client: Any = Redis.from_url(source, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    try:
        kind = client.type(key).decode()
        if kind != "hash":
            what = "nothing" if kind == "none" else f"a {kind}"
            raise ValueError(f"Redis at {place} must hold the jobs of APScheduler 3 as a hash at {key!r}, got {what}")
        found: dict[bytes, bytes] = client.hgetall(key)
    except (RedisError, OSError) as exc:
        raise JobStoreUnavailableError(f"Redis at {place} cannot be read: {exc}; see whether it is there") from exc
    finally:
        client.close()
    return [
        StoredJob(id=job_id.decode(errors="replace"), read=partial(read_state, state))
        for job_id, state in found.items()
    ]
