"""What is special to the Redis notifier: its connection."""

from __future__ import annotations

import anyio
import pytest

from apsched.exceptions import JobStoreUnavailableError
from apsched.jobstores.redis import RedisJobStore
from apsched.notifiers import redis as module
from apsched.notifiers.base import Notifier
from apsched.notifiers.redis import RedisNotifier
from tests.servers import Proxy, Redis, start_redis


async def test_stores_of_one_kind_of_keys_have_notifiers_that_hear_each_other(redis_database: str) -> None:
    one, other = notifier_of(RedisJobStore(url=redis_database)), notifier_of(RedisJobStore(url=redis_database))

    async with one, other, other.listen() as hints:
        await one.notify("default")
        with anyio.fail_after(10):
            assert await anext(hints) == "default"


async def test_a_notifier_does_not_hear_itself(redis_database: str) -> None:
    async with RedisNotifier(redis_database) as one, RedisNotifier(redis_database) as other, one.listen() as hints:
        await one.notify("own")
        await other.notify("of another")
        with anyio.fail_after(10):
            assert await anext(hints) == "of another"


async def test_a_quiet_connection_is_kept_and_still_hears(redis_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 0.01)
    heard: list[str] = []
    async with RedisNotifier(redis_database) as one, RedisNotifier(redis_database) as other, one.listen() as hints:

        async def hear() -> None:
            heard.append(await anext(hints))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(hear)
                await anyio.sleep(0.1)  # several times as long as it may be quiet
                await other.notify("late")

    assert heard == ["late"]


async def test_a_connection_that_breaks_ends_the_listening(redis_database: str, redis_server: Redis) -> None:
    with Proxy(redis_server.port, redis_server.host) as proxy:
        url = redis_database.replace(f":{redis_server.port}", f":{proxy.port}")
        async with RedisNotifier(url, timeout=1.0) as notifier:
            async with notifier.listen() as hints:
                proxy.cut()
                with anyio.fail_after(10), pytest.raises(JobStoreUnavailableError, match="cannot be reached"):
                    await anext(hints)
            with pytest.raises(JobStoreUnavailableError, match="cannot be reached"):
                await notifier.notify("default")
            proxy.heal()
            async with notifier.listen():
                await notifier.notify("default")


async def test_a_connection_that_is_swallowed_ends_the_listening(
    redis_database: str, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.01)
    with Proxy(redis_server.port, redis_server.host) as proxy:
        url = redis_database.replace(f":{redis_server.port}", f":{proxy.port}")
        async with RedisNotifier(url, timeout=0.2) as notifier, notifier.listen() as hints:
            proxy.freeze()
            with anyio.fail_after(10), pytest.raises(JobStoreUnavailableError, match=r"did not answer within 0\.2 s"):
                await anext(hints)


async def test_a_server_that_is_not_there_is_told_when_it_is_needed() -> None:
    async with RedisNotifier("redis://user:secret@127.0.0.1:1/0") as notifier:
        with pytest.raises(JobStoreUnavailableError, match=r"^Redis at redis://user:\*\*\*@127\.0\.0\.1:1/0 cannot be"):
            await notifier.notify("default")
        with pytest.raises(JobStoreUnavailableError, match="cannot be reached"):
            async with notifier.listen():
                pass


async def test_a_notifier_that_is_not_entered_says_so() -> None:
    with pytest.raises(JobStoreUnavailableError, match="is not open; enter it"):
        await RedisNotifier().notify("default")


async def test_wrong_credentials_are_told() -> None:
    with start_redis() as server:
        async with RedisNotifier(host="127.0.0.1", port=server.port, password="wrong") as notifier:  # noqa: S106
            with pytest.raises(JobStoreUnavailableError, match="refuses the credentials"):
                await notifier.notify("default")


def notifier_of(store: RedisJobStore) -> Notifier:
    notifier = store.notifier()
    assert notifier is not None
    return notifier
