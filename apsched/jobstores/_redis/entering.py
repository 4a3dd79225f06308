"""Enter a server: note the format of what is stored, and see whether it will do (layer 7)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from apsched.exceptions import JobStoreUnavailableError, JobStoreVersionError
from apsched.jobstores._redis.connection import Connection

logger: logging.Logger = logging.getLogger("apsched.jobstores")

FORMAT = b"1"  # of what is stored
OLDEST_SERVER = (6, 2)


async def enter(connection: Connection, place: str, tag: str) -> None:
    """
    Begin to work with the keys of *tag*; warn of what may lose jobs.

    Raises:
        JobStoreUnavailableError: The server cannot be reached, or is too old.
        JobStoreVersionError: The keys are of another format.
    """
    found, info, has_old_jobs = await connection.run("enter", FORMAT)
    _check(place, tag, found, _read_info(info), has_old_jobs=bool(has_old_jobs))


def _check(place: str, tag: str, found: bytes, info: Mapping[str, str], *, has_old_jobs: bool) -> None:
    version = info.get("redis_version", "6.2")  # the user may have no right to ask
    if tuple(map(int, version.split(".")[:2])) < OLDEST_SERVER:
        raise JobStoreUnavailableError(f"Redis at {place} is of version {version}; it must be 6.2 or later")
    if found != FORMAT:
        raise JobStoreVersionError(
            f"the keys of {tag} in Redis at {place} are of format {found.decode(errors='replace')!r}, and "
            f"this release of apsched knows {FORMAT.decode()!r}; update apsched, or pass another jobs_key="
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        logger.warning(
            "Redis at %s drops keys when its memory is full (maxmemory-policy %s), so jobs and runs may be lost; "
            "set maxmemory-policy noeviction",
            place,
            policy,
        )
    if info.get("aof_enabled") == "0":
        logger.warning(
            "Redis at %s writes no append-only file, so what has changed since its last snapshot is lost when it "
            "ends; set appendonly yes",
            place,
        )
    if has_old_jobs:
        logger.warning(
            "Redis at %s has jobs of APScheduler 3 under %s, which are not read here; add them anew",
            place,
            tag[1:-1],
        )


def _read_info(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value.strip() for name, separator, value in lines if separator}
