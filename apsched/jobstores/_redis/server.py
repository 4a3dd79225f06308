"""Hold what the parts of a store in Redis work with while it is open (layer 7)."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from apsched.exceptions import JobStoreUnavailableError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec
from apsched.jobstores._redis.connection import Connection
from apsched.jobstores._redis.packing import Argument
from apsched.jobstores._unfit import Unfit

ATTEMPTS = 50  # changes of a job that others keep changing
CHUNK = 500  # jobs or runs of one script that may be parted into several

Followers: TypeAlias = dict[bytes, tuple[bytes, list[Job]]]
"""Id of a job -> what stands for its followers, and these, as they were read."""


@attrs.define(eq=False)
class Server:
    """
    The server, and what is remembered of it.

    Attributes:
        connection: Runs scripts there.
        codec: Writes and reads jobs.
        keep_runs: How many finished runs are kept of a job that names no number.
        place: Where it is, for messages.
        timeout: Seconds that one script may take.
        unfit: The jobs that nodes of this process cannot run.
        followers: Those that were read last.
    """

    connection: Connection
    codec: JobCodec
    keep_runs: int
    place: str
    timeout: float
    unfit: Unfit
    followers: Followers = attrs.Factory(dict)

    async def run(self, name: str, *args: Argument) -> Any:
        """Run the script of that name, as `Connection.run` does."""
        return await self.connection.run(name, *args)

    def too_busy(self, job_id: str) -> JobStoreUnavailableError:
        """Return what to raise when a job was changed by others as often as it was tried."""
        return JobStoreUnavailableError(
            f"job {job_id!r} in Redis at {self.place} was changed by others {ATTEMPTS} times while it was to "
            f"be changed here; try again"
        )
