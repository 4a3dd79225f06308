"""Run scripts in Redis, each within a time, and repeat those that may be repeated (layer 7)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio

from apsched._redis_clients import CONNECTION_FAILURES, FAILURES, NoScriptError, RedisClients, hang_up, only_reads
from apsched.exceptions import JobStoreVersionError
from apsched.jobstores._redis.packing import Argument, pack
from apsched.jobstores._redis.script import Script, script

ATTEMPTS = 2  # the second where a connection has broken since it was used last


class Connection:
    """
    A client in use, in one event loop of asyncio.

    Args:
        clients: Makes the client.
        tag: The hash tag that all keys begin with.
        timeout: Seconds that one script may take.
    """

    def __init__(self, clients: RedisClients, tag: str, timeout: float) -> None:
        self._clients = clients
        self._tag = tag
        self._timeout = timeout
        self._client = clients.make()

    async def run(self, name: str, *args: Argument) -> Any:
        """
        Run the script of that name and return what it returns.

        Raises:
            JobStoreUnavailableError: The server cannot be reached, does not answer in time, or refuses.
            JobStoreVersionError: A key is of another kind than it should be.
        """
        chosen, packed = script(name), pack(args)
        attempts = ATTEMPTS if chosen.is_repeatable else 1
        while True:
            attempts -= 1
            try:
                with anyio.fail_after(self._timeout):
                    return await self._evaluate(chosen, packed)
            except FAILURES as exc:
                if "WRONGTYPE" in str(exc):
                    raise JobStoreVersionError(
                        f"the keys of {self._tag} in Redis at {self._clients.place} are not those of this release of "
                        f"apsched ({exc}); pass another jobs_key="
                    ) from exc
                if only_reads(exc):
                    await hang_up(self._client)
                if not attempts or isinstance(exc, TimeoutError) or not isinstance(exc, CONNECTION_FAILURES):
                    raise self._clients.unavailable(exc) from exc

    async def _evaluate(self, chosen: Script, packed: bytes) -> Any:
        try:
            return await self._client.execute_command("EVALSHA", chosen.digest, 1, self._tag, packed)
        except NoScriptError:  # the server has started since, or another has taken its place
            return await self._client.execute_command("EVAL", chosen.text, 1, self._tag, packed)

    async def close(self) -> None:
        """Close the client; the server need not be there."""
        with anyio.move_on_after(self._timeout, shield=True), suppress(*FAILURES):
            await self._client.aclose()
