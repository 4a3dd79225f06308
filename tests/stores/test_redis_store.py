"""What is special to the Redis store: its server, its keys, and data that was damaged by hand."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import attrs
import pytest
import redis
from anyio import to_thread
from anyio.from_thread import start_blocking_portal
from redis.asyncio import Redis, RedisCluster

from apsched.engine.make_job import refuse, replace
from apsched.engine.plan import after_crash
from apsched.exceptions import (
    ConflictingIdError,
    JobLookupError,
    JobStoreUnavailableError,
    JobStoreVersionError,
    LeaseLostError,
    TransientJobError,
)
from apsched.job import Job
from apsched.jobstores._redis.claiming import HOLD
from apsched.jobstores._redis.packing import pack
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.jobstores.redis import RedisJobStore
from apsched.run import DEATH, Outcome, Plan, Run
from apsched.serializers.base import unreadable_arguments
from apsched.testing.contract._values import (
    FAR,
    FREE,
    LEASE,
    T0,
    TICK,
    claim,
    claim_last,
    ended,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    outcomes_of,
    setting,
    take,
    take_one,
)
from apsched.testing.contract._waiting import PLAIN, REPORT, make_follower, waiting
from apsched.triggers.after import After
from tests.servers import Proxy, start_redis
from tests.servers._process import free_port

TAG = "{apsched.jobs}"
RUNNING, PENDING, SUCCEEDED, FAILED = Outcome.RUNNING, Outcome.PENDING, Outcome.SUCCEEDED, Outcome.FAILED


@pytest.fixture
def raw(redis_database: str) -> Iterator[redis.Redis]:
    """A client that looks past the store."""
    with redis.Redis.from_url(redis_database) as client:
        yield client


@pytest.fixture
async def store(redis_database: str) -> AsyncIterator[RedisJobStore]:
    async with RedisJobStore(url=redis_database) as store:
        for node in "ab":
            await store.join(node, LEASE, T0)
        yield store


def keys_of(raw: redis.Redis) -> list[str]:
    found: Any = raw.keys()
    return [key.decode() for key in found]


def row_of(raw: redis.Redis, name: str) -> bytes:
    row: Any = raw.hget(f"{TAG}:runs", name)
    assert row is not None
    return bytes(row)


def elsewhere(work: Callable[[], Awaitable[None]]) -> None:
    """Do *work* in another thread, and wait for it without letting anything else go on here."""
    with start_blocking_portal("asyncio") as portal:
        portal.call(work)


# arguments


def test_the_arguments_of_apscheduler_3_are_taken() -> None:
    RedisJobStore(2, "trips.jobs", "trips.running", host="localhost", port=6379, password="secret")  # noqa: S106
    RedisJobStore(jobs_key="trips.jobs", run_times_key="trips.running", pickle_protocol=5, serializer="pickle")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jobs_key": ""}, "jobs_key must be a text of at least 1 character without braces, got ''"),
        ({"jobs_key": "{a}b"}, "jobs_key must be a text of at least 1 character without braces, got '{a}b'"),
        ({"keep_runs": -1}, "keep_runs must be a whole number from 0 on, got -1"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, got 0"),
        ({"pickle_protocol": 5}, "pickle_protocol must be None unless serializer is 'pickle', got 5"),
        ({"decode_responses": True}, "decode_responses must not be True"),
        ({"url": "redis://h/0?decode_responses=True"}, "decode_responses must not be True"),
        ({"url": "redis://h/0", "client": Redis()}, "client stands for the whole connection, got url too"),
        ({"host": "h", "client": Redis()}, "client stands for the whole connection, got host too"),
        (
            {"client": RedisCluster(host="h")},
            "client must be a function that makes a client where it is one of a clust",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^" + message.replace("{", r"\{").replace("(", r"\(")):
        RedisJobStore(**arguments)


def test_a_client_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"client must be a redis\.asyncio\.Redis or a function that makes one"):
        RedisJobStore(client=42)  # type: ignore[arg-type]  # what is tested


def test_constructing_connects_to_nothing() -> None:
    RedisJobStore(url="redis://nowhere.invalid:1/0")


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from apsched import _plugins; from apsched.exceptions import MissingExtraError\n"
        "for kind in ('jobstore', 'notifier'):\n"
        "    try: _plugins.find(kind, 'redis')\n"
        "    except MissingExtraError as exc: print(exc)\n"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.count("pip install 'apsched[redis]'") == 2


# the server


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    store = RedisJobStore(url="redis://user:secret@127.0.0.1:1/3")

    with pytest.raises(JobStoreUnavailableError) as caught:
        await store.__aenter__()

    assert str(caught.value).startswith("Redis at redis://user:***@127.0.0.1:1/3 cannot be reached (")
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, redis.ConnectionError)


async def test_a_store_that_is_not_entered_says_so() -> None:
    with pytest.raises(JobStoreUnavailableError, match="is not open; enter it"):
        await RedisJobStore().get("job")


async def test_wrong_credentials_are_told() -> None:
    with start_redis() as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "right")
        for login in ("", ":wrong@"):
            with pytest.raises(JobStoreUnavailableError, match=r"refuses the credentials .*; check user and password"):
                async with RedisJobStore(url=f"redis://{login}127.0.0.1:{server.port}/0"):
                    pass
        async with RedisJobStore(host="127.0.0.1", port=server.port, password="right") as store:  # noqa: S106
            assert await store.get("job") is None


async def test_a_user_needs_rights_to_the_keys_and_the_channel_of_the_store_only() -> None:
    rights = "+@read +@write +@scripting +@pubsub +@connection +time -@dangerous"
    with start_redis() as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("ACL SETUSER", "app", "on", ">pw", f"~{TAG}*", f"&{TAG}:*", *rights.split())
        async with RedisJobStore(url=f"redis://app:pw@127.0.0.1:{server.port}/0") as store:
            await store.join("a", LEASE, T0)
            await store.add([make_job()])
            await store.finish([ended(await take_one(store))])
            await store.reap({"a": 0}, lambda job, run: run)
            await store.prune(FAR, 9)
            await store.clear()
            notifier = store.notifier()
            assert notifier is not None
            async with notifier, notifier.listen():
                await notifier.notify("default")


async def test_a_server_that_may_lose_data_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    settings = ["--maxmemory-policy", "allkeys-lru", "--appendonly", "no"]
    with start_redis(settings=settings) as server, caplog.at_level(logging.WARNING, "apsched.jobstores"):
        with redis.Redis.from_url(server.url) as client:
            client.hset("apsched.jobs", "old", b"a job of APScheduler 3")
        async with RedisJobStore(url=server.url):
            pass

    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3
    for text, part in zip(texts, ["maxmemory-policy allkeys-lru", "set appendonly yes", "APScheduler 3"], strict=True):
        assert part in text
        assert "\n" not in text


async def test_a_server_that_keeps_its_data_is_not_warned_of(
    store: RedisJobStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert caplog.records == []


async def test_a_replica_is_refused() -> None:
    with start_redis() as server:
        with redis.Redis.from_url(server.url) as client:
            client.replicaof("127.0.0.1", "1")
        with pytest.raises(JobStoreUnavailableError, match="is a replica, which takes no changes; name its primary"):
            async with RedisJobStore(url=server.url):
                pass


async def test_a_connection_to_a_server_that_has_become_a_replica_is_given_up() -> None:
    with start_redis() as server, redis.Redis.from_url(server.url) as client:
        async with RedisJobStore(url=server.url) as store:
            await store.add([make_job("x")])
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(JobStoreUnavailableError, match="is a replica"):
                await store.add([make_job("y")])

            assert [each["id"] for each in client.client_list(_type="normal")] == [str(client.client_id())]
            client.replicaof("NO", "ONE")
            await store.add([make_job("y")])


async def test_a_server_without_memory_refuses_and_loses_nothing() -> None:
    with start_redis() as server, redis.Redis.from_url(server.url) as client:
        async with RedisJobStore(url=server.url) as store:
            await store.add([make_job()])
            client.config_set("maxmemory", 1)

            with pytest.raises(JobStoreUnavailableError, match="has no memory left and takes nothing more; raise"):
                await store.add([make_job("other")])

            assert await store.get("job") is not None


async def test_a_server_that_was_restarted_is_used_again() -> None:
    with start_redis() as server:
        async with RedisJobStore(url=server.url) as store:
            await store.join("a", LEASE, T0)
            await store.add([make_job("x"), make_job("y")])
            run = await take_one(store)

            await to_thread.run_sync(server.kill)
            with pytest.raises(JobStoreUnavailableError, match="cannot be reached"):
                await store.add([make_job("z")])
            await to_thread.run_sync(server.restart)

            await store.add([make_job("z")])
            assert [plan.runs[0].id for plan in await store.claimed("a")] == [run.id]
            assert len(await store.finish([ended(run)])) == 1
            assert [plan.job.id for plan in await take(store)] == ["y", "z"]


async def test_scripts_that_the_server_has_forgotten_are_sent_again(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job()])
    raw.script_flush()

    assert await get_job(store, "job") == make_job()


async def test_a_server_that_does_not_answer_is_given_up_and_used_again(redis_server: Any) -> None:
    with redis_server.database() as url, Proxy(redis_server.port, redis_server.host) as proxy:
        through = url.replace(f":{redis_server.port}", f":{proxy.port}")
        async with RedisJobStore(url=through, timeout=0.2) as store:
            await store.join("a", LEASE, T0)
            await store.add([make_job()])

            proxy.freeze()
            with anyio.fail_after(10), pytest.raises(JobStoreUnavailableError, match=r"did not answer within 0\.2 s"):
                await take(store)
            proxy.cut()
            with pytest.raises(JobStoreUnavailableError, match="cannot be reached"):
                await store.next_run_time({"default": 1}, "a")
            proxy.heal()

            assert [run.job_id for run in [await take_one(store, T0 + HOLD)]] == ["job"]


async def test_a_client_is_copied_and_left_alone(redis_database: str) -> None:
    client = Redis.from_url(redis_database, decode_responses=False)

    async with RedisJobStore(client=client) as store:
        await store.add([make_job()])
        assert ids_of(await store.select(JobFilter())) == ["job"]

    assert client.connection_pool._available_connections == []


async def test_a_function_may_make_the_clients(redis_database: str) -> None:
    made: list[Redis] = []

    def make() -> Redis:
        made.append(Redis.from_url(redis_database))
        return made[-1]

    async with RedisJobStore(client=make) as store:
        await store.add([make_job()])

    assert len(made) == 1
    assert made[0].connection_pool._in_use_connections == set()


async def test_a_cluster_will_do() -> None:
    with start_redis(settings=["--cluster-enabled", "yes", "--cluster-port", str(free_port())]) as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            state: Any = None
            with anyio.fail_after(30):
                while state is None or state["cluster_state"] != "ok":
                    await anyio.sleep(0.01)
                    state = client.execute_command("CLUSTER INFO")
        async with RedisJobStore(client=lambda: RedisCluster(host="127.0.0.1", port=server.port)) as store:
            await store.join("a", LEASE, T0)
            await store.add([make_job(str(number)) for number in range(20)])
            runs = [plan.runs[0] for plan in await take(store)]

            assert len(await store.finish([ended(run) for run in runs])) == 20
            assert len(await store.runs(RunFilter(), 99)) == 20
            assert await store.prune(FAR, 9) == 0
            notifier, other = store.notifier(), store.notifier()
            if notifier is None or other is None:
                assert not hasattr(RedisCluster, "pubsub")
                return
            async with notifier, other, other.listen() as hints:
                await notifier.notify("default")
                with anyio.fail_after(10):
                    assert await anext(hints) == "default"


def test_a_store_can_be_used_in_one_event_loop_after_another(redis_database: str) -> None:
    store = RedisJobStore(url=redis_database)

    async def use() -> int:
        async with store:
            await store.add([make_job()], lambda old, new: new)
            return len(await store.select(JobFilter()))

    assert [asyncio.run(use()) for _ in range(2)] == [1, 1]


async def test_all_keys_have_the_hash_tag(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("a"), make_job("b", due=FAR, tags={"a": "b"}, keep_runs=0)])
    await store.add_run(make_run("b"))
    await take(store)

    assert all(key.startswith(f"{TAG}:") for key in keys_of(raw))


async def test_stores_of_different_keys_do_not_meet(redis_database: str) -> None:
    async with RedisJobStore(url=redis_database) as one, RedisJobStore(url=redis_database, jobs_key="other") as other:
        await one.add([make_job()])

        assert await other.get("job") is None
        await other.clear()
        assert await one.get("job") is not None


# holding


async def test_jobs_that_a_node_is_planning_for_are_not_given_to_others_and_are_due_all_the_same(
    store: RedisJobStore, redis_database: str
) -> None:
    await store.add([make_job("x"), make_job("y", due=T0 + TICK)])
    seen: list[Any] = []

    async def look() -> None:
        async with RedisJobStore(url=redis_database) as other:
            seen.append(await other.next_run_time({"default": 1}, "a"))
            seen.append(ids_of([plan.job for plan in await take(other, T0, owner="b")]))
            seen.append(ids_of([plan.job for plan in await take(other, T0 + TICK, owner="b")]))

    def plan(*args: Any) -> Plan:
        elsewhere(look)
        return claim(*args)

    assert [plan.job.id for plan in await take(store, plan=plan)] == ["x"]
    assert seen == [T0, [], ["y"]]


async def test_jobs_that_a_dead_node_was_planning_for_are_free_after_a_while(
    store: RedisJobStore, raw: redis.Redis
) -> None:
    await store.add([make_job()])
    seconds: Any = raw.time()

    raw.hset(f"{TAG}:held", "dead", pack([(seconds[0] + 60) * 1_000_000, [b"job"]]))
    assert await take(store, FAR) == []
    raw.hset(f"{TAG}:held", "dead", pack([(seconds[0] - 1) * 1_000_000, [b"job"]]))
    assert len(await take(store)) == 1


async def test_a_node_that_died_while_it_planned_stores_nothing(store: RedisJobStore, redis_database: str) -> None:
    await store.add([make_job()])

    async def reap() -> None:
        async with RedisJobStore(url=redis_database) as other:
            await other.reap({"a": 0}, lambda job, run: run)

    def plan(*args: Any) -> Plan:
        elsewhere(reap)
        return claim(*args)

    with pytest.raises(LeaseLostError):
        await take(store, plan=plan)

    assert await history(store) == []
    assert len(await take(store, owner="b")) == 1


async def test_a_run_that_its_node_hands_back_while_others_settle_it_is_not_settled(
    store: RedisJobStore, redis_database: str
) -> None:
    await store.add([make_job()])
    run = await take_one(store)

    async def hand_back() -> None:
        async with RedisJobStore(url=redis_database) as other:
            await other.finish([ended(run, Outcome.PENDING)])

    def settle(job: Job | None, run: Run) -> Run:
        elsewhere(hand_back)
        return after_crash(job, run, T0)

    assert await store.reap({"a": 0}, settle) == []
    (waits,) = await history(store)
    assert (waits.outcome, waits.epoch) == (Outcome.PENDING, run.epoch)


async def test_a_job_that_was_changed_while_it_was_planned_for_is_planned_for_again(
    store: RedisJobStore, redis_database: str
) -> None:
    await store.add([make_job("x"), make_job("y")])
    names: list[str] = []

    async def change() -> None:
        async with RedisJobStore(url=redis_database) as other:
            await other.update("x", setting(name="changed"))

    def plan(job: Job, *args: Any) -> Plan:
        if not names:
            elsewhere(change)
        names.append(job.name)
        return claim(job, *args)

    assert sorted(plan.job.name for plan in await take(store, plan=plan)) == ["changed", "noop"]
    assert names == ["noop", "noop", "changed"]
    assert len(await history(store)) == 2


class Repeating(Redis):
    """A client that sends again what was answered, as one does to which no answer came."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # so it is in the client
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # (the same)


async def test_a_commit_that_is_sent_twice_is_stored_once_and_answered_alike(
    store: RedisJobStore, redis_database: str
) -> None:
    await store.add([make_job("x"), make_job("y")])
    held = set[str]()

    async with RedisJobStore(client=lambda: Repeating.from_url(redis_database)) as other:
        for _ in range(2):  # the first look holds the jobs, its repetition sees none, and then nobody has them
            held |= {plan.job.id for plan in await take(other, T0 + len(held) * TICK + HOLD)}

    assert len({run.id for run in await history(store)}) == len(await history(store)) == len(held)


# what waits, follows and is watched


class Interrupted(Redis):
    """A client to which something happens when it has learnt which jobs follow."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        reply = await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # so it is in the client
        if isinstance(reply, list):
            self.meanwhile()
        return reply


@pytest.fixture
async def interrupted(redis_database: str) -> AsyncIterator[tuple[RedisJobStore, Interrupted]]:
    """A store on the same database, and its client."""
    client = Interrupted.from_url(redis_database)
    assert isinstance(client, Interrupted)
    async with RedisJobStore(client=lambda: client) as store:
        yield store, client


def scripts_of(raw: redis.Redis) -> int:
    stats: Any = raw.info("commandstats")
    return sum(entry["calls"] for name, entry in stats.items() if "eval" in name)


async def test_a_batch_ends_in_one_script_unless_others_follow_than_did_which_takes_another_one() -> None:
    with start_redis() as server, redis.Redis.from_url(server.url) as raw:
        async with RedisJobStore(url=server.url) as store:
            await store.join("a", LEASE, T0)
            await store.add([make_job("x"), make_job("y"), make_follower("z", After("x"))])
            await store.finish([make_run("unknown", epoch=1)])  # so that the server knows the script
            counts = []
            for number in range(3):
                runs = [plan.runs[0] for plan in await take(store, T0 + timedelta(seconds=10 * number))]
                for run in runs:
                    before = scripts_of(raw)
                    assert len(await store.finish([ended(run)])) == (2 if run.job_id == "x" else 1)
                    counts.append((run.job_id, scripts_of(raw) - before))

    assert sorted(counts) == [("x", 1), ("x", 1), ("x", 2), ("y", 1), ("y", 1), ("y", 1), ("z", 1), ("z", 1)]


async def test_a_follower_that_is_changed_while_a_run_ends_follows_as_it_is_then(
    store: RedisJobStore, interrupted: tuple[RedisJobStore, Interrupted], redis_database: str
) -> None:
    other, client = interrupted
    await store.add([make_job("first"), *(make_follower(name, After("first")) for name in ("paused", "gone", "stays"))])
    run = await take_one(store)

    async def change() -> None:
        async with RedisJobStore(url=redis_database) as third:
            await third.update("paused", setting(next_run_time=None, next_nominal_time=None))
            await third.remove("gone")
            await third.add([make_follower("new", After("first"))])

    def meanwhile() -> None:
        client.meanwhile = lambda: None
        elsewhere(change)

    client.meanwhile = meanwhile

    stored = await other.finish([ended(run)])

    assert stored[0].outcome is SUCCEEDED
    assert sorted(made.job_id for made in stored[1:]) == ["new", "stays"]
    assert len(await history(store)) == 3


async def test_a_node_that_dies_while_it_ends_a_run_that_is_followed_has_stored_nothing(
    store: RedisJobStore, interrupted: tuple[RedisJobStore, Interrupted]
) -> None:
    other, client = interrupted
    await store.add([make_job("first"), make_follower("second", After("first", "any"))])
    run = await take_one(store)

    def die() -> None:
        raise redis.ConnectionError

    client.meanwhile = die
    with pytest.raises(JobStoreUnavailableError):
        await other.finish([ended(run)])

    assert outcomes_of(await history(store)) == [RUNNING]
    settled = await store.reap({"a": 0}, lambda job, run: attrs.evolve(run, outcome=FAILED, epoch=run.epoch + DEATH))
    assert [made.job_id for made in settled] == ["first", "second"]
    client.meanwhile = lambda: None
    assert await other.finish([ended(run)]) == []
    assert len(await history(store, "second")) == 1


async def test_a_run_whose_end_is_sent_twice_is_followed_once(store: RedisJobStore, redis_database: str) -> None:
    await store.add([make_job("first"), make_follower("second", After("first"))])
    run = await take_one(store)

    async with RedisJobStore(client=lambda: Repeating.from_url(redis_database)) as other:
        assert (await other.finish([ended(run)]))[0].id == run.id

    assert outcomes_of(await history(store)) == [PENDING, SUCCEEDED]


async def test_a_follower_that_is_quarantined_does_not_follow_until_a_node_joins_and_is_not_due_then(
    store: RedisJobStore, raw: redis.Redis
) -> None:
    await store.add([make_job("first", max_instances=9), make_follower("second", After("first"))])
    raw.hset(f"{TAG}:quarantine", "second", "why")
    await store.finish([ended(await take_one(store))])

    await store.join("c", LEASE, T0)
    await store.finish([ended(await take_one(store, T0 + timedelta(seconds=10)))])

    assert [run.nominal_time for run in await history(store, "second")] == [T0 + timedelta(seconds=10)]
    await store.remove("first")
    await take_one(store, T0 + timedelta(seconds=20))
    assert await store.next_run_time(FREE, "a") is None


async def test_followers_that_are_damaged_do_not_keep_a_run_from_ending(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add(
        [make_job("first"), *(make_follower(name, After("first")) for name in ("bad", "lost", "odd", "ok"))]
    )
    raw.hset(f"{TAG}:definitions", "bad", b"1:json:{\xff")
    raw.hdel(f"{TAG}:states", "lost")
    raw.hset(f"{TAG}:states", "odd", b"\xff|?")

    stored = await store.finish([ended(await take_one(store))])

    assert [run.job_id for run in stored] == ["first", "ok"]


async def test_a_job_that_follows_one_which_cannot_be_kept_is_refused(redis_database: str) -> None:
    async with RedisJobStore(url=redis_database, serializer="pickle") as store:
        with pytest.raises(TransientJobError, match=r"Job \(second\) .* the id of the job that it follows holds char"):
            await store.add([make_follower("second", After("\ud800"))])


async def test_runs_that_wait_in_the_keys_of_an_older_release_are_claimed(
    store: RedisJobStore, raw: redis.Redis
) -> None:
    await store.add([make_job(due=FAR, max_instances=2)])
    for moment in (T0, T0 + TICK):
        await store.add_run(make_run(at=moment, due_time=moment + TICK))
    micros = round(T0.timestamp() * 1_000_000)
    raw.zadd(f"{TAG}:pending:job", {str(micros): micros, str(micros + 1): micros + 1})  # by nominal times, in the past
    raw.zadd(f"{TAG}:ready:default", {"job": micros})

    assert await store.next_run_time(FREE, "a") == T0
    assert len(await take(store, T0 + 2 * TICK)) == 2
    assert await store.next_run_time(FREE, "a") == FAR


async def test_damaged_notes_are_as_if_there_were_none(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job()])
    run = await take_one(store)
    await store.finish([attrs.evolve(waiting(run, T0), report=REPORT)])
    names: Any = raw.hkeys(f"{TAG}:notes")
    raw.hset(f"{TAG}:notes", names[0], b"\xff{")

    (kept,) = await history(store)

    assert (kept.outcome, kept.reason, kept.attempts, kept.report) == (PENDING, "it failed", (), None)
    assert (await take_one(store)).attempt == 1


async def test_notes_go_with_their_runs(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("a", keep_runs=0), make_job("b", keep_runs=0)])
    first, second = [attrs.evolve(plan.runs[0], attempts=(PLAIN,)) for plan in await take(store)]
    await store.report([first, attrs.evolve(second, report=REPORT)])
    assert raw.hlen(f"{TAG}:notes") == 2
    await store.report([attrs.evolve(second, attempts=())])
    assert raw.hlen(f"{TAG}:notes") == 1

    await store.finish([ended(first), ended(attrs.evolve(second, attempts=()))])
    assert raw.hlen(f"{TAG}:notes") == 1
    assert await store.prune(FAR, 9) == 2
    assert not raw.exists(f"{TAG}:notes")


async def test_who_looks_at_runs_sees_which_are_to_be_cancelled(store: RedisJobStore) -> None:
    await store.add([make_job("a"), make_job("b")])
    first, _ = [plan.runs[0] for plan in await take(store)]

    await store.ask_to_cancel(first, "before \0 \ud800 after")

    reasons = {run.job_id: run.cancel_reason for run in await history(store)}
    assert reasons == {"a": "before \0 \\ud800 after", "b": None}


async def test_jobs_that_are_to_succeed_are_found_by_an_index(store: RedisJobStore, raw: redis.Redis) -> None:
    moments = {"c": T0, "a": T0 + TICK, "b": T0 + TICK, "paused": None, "finished": T0 - TICK}
    jobs = [make_job(name, due=due, expect_success_within=60, tags={"is": name}) for name, due in moments.items()]
    await store.add([*jobs, make_job("other", due=T0)])
    await take(store, T0 - TICK, plan=claim_last)

    async def found(limit: int | None = None, after: str | None = None, **where: Any) -> list[str]:
        return ids_of(await store.select(JobFilter(expects_success=True, **where), limit, after))

    assert await found() == ["c", "a", "b", "paused"]
    assert await found(2) == ["c", "a"]
    assert await found(2, "a") == ["b", "paused"]
    assert await found(after="other") == ["a", "b", "paused"]
    assert await found(after="paused") == []
    assert await found(tags={"is": "b"}) == ["b"]
    with pytest.raises(JobLookupError):
        await found(after="finished")
    await store.update("c", setting(expect_success_within=None))
    await store.remove("a")
    assert raw.smembers(f"{TAG}:expecting") == {b"b", b"paused"}


async def test_quarantined_jobs_are_found_without_a_look_at_the_others(store: RedisJobStore, raw: redis.Redis) -> None:
    moments = {"c": T0, "a": T0 + TICK, "b": T0 + TICK, "paused": None, "gone": T0}
    jobs = [make_job(name, due=due, quarantine="it cannot run") for name, due in moments.items()]
    await store.add([*jobs, make_job("marked", due=T0), make_job("sound", due=T0)])
    await store.remove("gone")
    raw.hset(f"{TAG}:marks", mapping={"marked": "a node cannot run it", "c": "nor this one"})
    raw.config_resetstat()

    async def found(limit: int | None = None, after: str | None = None, **where: Any) -> list[str]:
        return ids_of(await store.select(JobFilter(is_quarantined=True, **where), limit, after))

    assert await found() == ["c", "marked", "a", "b", "paused"]
    assert await found(2) == ["c", "marked"]
    assert await found(2, "a") == ["b", "paused"]
    assert await found(after="sound") == ["a", "b", "paused"]
    assert await found(expects_success=True) == []
    assert "cmdstat_zrange" not in raw.info("commandstats")


# data of others, damaged data


async def test_keys_of_another_format_are_refused(redis_database: str, raw: redis.Redis) -> None:
    raw.set(f"{TAG}:format", "2")

    with pytest.raises(JobStoreVersionError, match="are of format '2', and this release of apsched knows '1'"):
        async with RedisJobStore(url=redis_database):
            pass


async def test_keys_of_another_kind_are_told(store: RedisJobStore, raw: redis.Redis) -> None:
    raw.set(f"{TAG}:states", "something else")

    with pytest.raises(JobStoreVersionError, match="are not those of this release of apsched"):
        await store.get("job")


def damage_definition(raw: redis.Redis) -> None:
    raw.hset(f"{TAG}:definitions", "bad", b"1:json:{\xff")


def lose_definition(raw: redis.Redis) -> None:
    raw.hdel(f"{TAG}:definitions", "bad")


def damage_state(raw: redis.Redis) -> None:
    raw.hset(f"{TAG}:states", "bad", b"\xff|?")


def damage_times(raw: redis.Redis) -> None:
    raw.hset(f"{TAG}:states", "bad", "7|L|soon|99999999999999999999999|1||default")


@pytest.mark.parametrize("damage", [damage_definition, lose_definition, damage_state, damage_times])
async def test_a_damaged_job_is_quarantined_and_the_others_go_on(
    store: RedisJobStore, raw: redis.Redis, damage: Callable[[redis.Redis], None]
) -> None:
    await store.add([make_job("bad"), make_job("good")])
    damage(raw)
    before = raw.hget(f"{TAG}:definitions", "bad")

    plans = {plan.job.id: plan for plan in await take(store)}

    assert ids_of(await store.select(JobFilter(is_quarantined=True))) == ["bad"]
    assert plans["bad"].quarantine
    assert plans["bad"].runs == ()
    assert outcomes_of(plans["good"].runs) == [RUNNING]
    assert await take(store) == []
    assert await store.next_run_time({"default": 1}, "a") == T0 + timedelta(seconds=10)
    assert raw.hget(f"{TAG}:definitions", "bad") == before
    assert (await get_job(store, "bad")).quarantine
    await store.add([make_job("bad", due=FAR)], second)
    assert (await get_job(store, "bad")).quarantine is None
    await store.remove("bad")
    assert await store.get("bad") is None


def second(old: Job, new: Job) -> Job:
    return new


async def test_a_job_that_cannot_be_read_is_replaced(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("bad")])
    damage_definition(raw)

    with pytest.raises(ConflictingIdError):
        await store.add([make_job("bad", name="new")], refuse)
    await store.add([make_job("bad", name="new")], replace)

    assert (await get_job(store, "bad")).name == "new"


async def test_a_damaged_job_can_be_removed(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("bad"), make_job("good")])
    damage_state(raw)

    await store.remove("bad")

    assert [plan.job.id for plan in await take(store)] == ["good"]


async def test_a_job_whose_state_was_deleted_is_gone_and_harms_nothing(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("bad"), make_job("good")])
    raw.hdel(f"{TAG}:states", "bad")

    assert [plan.job.id for plan in await take(store)] == ["good"]
    assert await store.get("bad") is None
    with pytest.raises(JobLookupError):
        await store.remove("bad")
    await store.add([make_job("bad")])
    assert [plan.job.id for plan in await take(store)] == ["bad"]


async def test_a_pending_run_of_a_job_that_cannot_run_here_waits(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("bad", due=FAR), make_job("good", due=FAR)])
    for job_id in ("bad", "good"):
        await store.add_run(make_run(job_id))
    damage_definition(raw)

    plans = {plan.job.id: plan for plan in await take(store)}

    assert plans["bad"].quarantine
    assert outcomes_of(plans["good"].runs) == [RUNNING]
    assert outcomes_of(await history(store, job_id="bad")) == [PENDING]
    assert await take(store) == []
    await store.update("good", setting(name="changed"))
    raw.hset(f"{TAG}:definitions", "bad", raw.hget(f"{TAG}:definitions", "good") or b"")
    await store.join("c", LEASE, T0)
    assert [run.job_id for run in [await take_one(store, owner="c")]] == ["bad"]


async def test_damaged_runs_harm_nothing(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job("job", max_instances=9, keep_runs=0)])
    runs = [await take_one(store, T0 + timedelta(seconds=10 * number)) for number in range(3)]
    names = [f"{round(run.nominal_time.timestamp() * 1_000_000)}:job" for run in runs]
    row = row_of(raw, names[0])
    raw.hset(f"{TAG}:runs", names[0], b"\xff\xff")
    raw.hset(f"{TAG}:runs", names[1], row.partition(b"\n")[0] + b"\n[")

    last, second_last = await history(store)

    assert last.reason is None
    assert (second_last.reason or "").startswith("its record in the store is damaged")
    assert {plan.runs[0].nominal_time for plan in await store.claimed("a")} == {run.nominal_time for run in runs[1:]}
    assert len(await store.finish([ended(run) for run in runs[1:]])) == 2
    await store.prune(FAR, 99)
    assert raw.hexists(f"{TAG}:runs", names[0])
    assert len(await store.finish([ended(runs[0])])) == 1  # its claim holds


async def test_a_run_that_cannot_be_read_is_under_way_until_its_node_is_gone(
    store: RedisJobStore, raw: redis.Redis
) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run())
    await store.add_run(make_run())
    run = await take_one(store)
    raw.hset(f"{TAG}:runs", f"{round(run.nominal_time.timestamp() * 1_000_000)}:job", b"\xff\xff")

    assert await take(store) == []
    await store.leave("a")
    assert await store.reap({}, lambda job, run: run) == []

    assert (await take_one(store, owner="b")).nominal_time == T0 + TICK


async def test_a_pending_run_whose_arguments_were_damaged_is_not_started(
    store: RedisJobStore, raw: redis.Redis
) -> None:
    await store.add([make_job(due=FAR)])
    run = await store.add_run(make_run(args=(1,)))
    name = f"{round(run.nominal_time.timestamp() * 1_000_000)}:job"
    raw.hset(f"{TAG}:runs", name, row_of(raw, name)[:-1])

    assert await take(store) == []

    (kept,) = await history(store)
    assert kept.outcome is Outcome.FAILED
    assert (kept.reason or "").startswith("its record in the store is damaged")


async def test_a_run_under_way_whose_arguments_were_damaged_says_so(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run(args=(1,)))
    run = await take_one(store)
    name = f"{round(run.nominal_time.timestamp() * 1_000_000)}:job"
    raw.hset(f"{TAG}:runs", name, row_of(raw, name)[:-1])

    ((run,),) = [plan.runs for plan in await store.claimed("a")]
    assert "its record in the store is damaged" in str(unreadable_arguments(run))
    await store.leave("a")
    await store.reap({}, partial(after_crash, now=T0))
    assert outcomes_of(await history(store)) == [Outcome.FAILED]


# many


async def test_four_nodes_drain_a_thousand_jobs_and_none_runs_twice(store: RedisJobStore, redis_database: str) -> None:
    await store.add([make_job(f"{number:04}") for number in range(1000)])
    claimed: list[str] = []

    async def work(store: RedisJobStore, node: str) -> None:
        while await store.next_run_time({"default": 1}, "a") == T0:
            plans = await take(store, T0, {"default": 50}, claim_last, node)
            claimed.extend(run.id for plan in plans for run in plan.runs)
            await store.finish([ended(run) for plan in plans for run in plan.runs])

    async with RedisJobStore(url=redis_database) as second_store, anyio.create_task_group() as group:
        for node in "abcd":
            await store.join(node, LEASE, T0)
        for number, node in enumerate("abcd"):
            group.start_soon(work, (store, second_store)[number % 2], node)

    assert len(set(claimed)) == len(claimed) == 1000
    runs = await store.runs(RunFilter(outcomes=[SUCCEEDED]), 2000)
    assert len(runs) == 1000
    assert await store.select(JobFilter()) == []


async def test_many_jobs_that_catch_up_with_many_nominal_times_are_stored_in_steps(store: RedisJobStore) -> None:
    await store.add([make_job(str(number)) for number in range(7)])

    def plan(job: Job, open_runs: Any, now: Any, owner: str) -> Plan:
        made = claim(job, open_runs, now, owner)
        missed = (make_run(job.id, at=T0 - number * TICK, outcome=Outcome.MISSED) for number in range(1, 1000))
        made.runs = (*missed, *made.runs)
        return made

    plans = await take(store, plan=plan)

    assert sorted((plan.job.id, len(plan.runs)) for plan in plans) == [(str(number), 1000) for number in range(7)]
    assert len(await store.runs(RunFilter(), 9999)) == 7000
    assert len(await store.claimed("a")) == 7


async def test_a_job_with_many_runs_is_pruned_in_steps(store: RedisJobStore) -> None:
    await store.add([make_job(keep_runs=5)])

    def plan(job: Job, open_runs: Any, now: Any, owner: str) -> Plan:
        made = claim(job, open_runs, now, owner)
        made.runs = tuple(
            make_run(at=T0 + number * TICK, outcome=Outcome.MISSED, finished_at=T0) for number in range(1205)
        )
        return made

    await take(store, plan=plan)

    assert await store.prune(FAR, 700) == 700
    assert await store.prune(FAR, 700) == 500
    assert await store.prune(FAR, 700) == 0
    assert len(await history(store)) == 5


async def test_nothing_is_left_of_jobs_and_runs_that_are_gone(store: RedisJobStore, raw: redis.Redis) -> None:
    await store.add([make_job(str(number), keep_runs=0, expect_success_within=60) for number in range(10)])
    await store.add([attrs.evolve(make_follower("follower", After("3")), keep_runs=0)])
    runs = [plan.runs[0] for plan in await take(store)]
    await store.report([attrs.evolve(run, report=REPORT) for run in runs])
    for run in runs:
        await store.ask_to_cancel(run, "why")
    *_, follower = await store.finish([ended(run) for run in runs])
    await store.finish([attrs.evolve(follower, outcome=Outcome.CANCELLED)])
    await store.prune(FAR, 99)
    await store.clear()
    for node in "ab":
        await store.leave(node)

    left = {key.removeprefix(TAG) for key in keys_of(raw)}

    assert left <= {":format", ":revision", ":states", ":running", ":prunable"}
    assert raw.hkeys(f"{TAG}:states") == raw.hkeys(f"{TAG}:running") == [b""]
