"""What is special to the MongoDB store: its server, its documents, its clients, and data that was damaged by hand."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import attrs
import pymongo
import pytest
from anyio import to_thread
from bson import Int64, ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError

from apsched._bridge import Bridge
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
from apsched.jobstores._mongodb import deciding, documents, nodes
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.jobstores.mongodb import MongoDBJobStore
from apsched.run import Outcome, Plan, Run
from apsched.serializers.base import unreadable_arguments
from apsched.testing.contract._values import (
    ALL,
    FAR,
    LEASE,
    T0,
    TICK,
    claim,
    ended,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    outcomes_of,
    queue,
    setting,
    take,
    take_one,
)
from tests.servers import MongoDB, Proxy, start_mongodb_standalone
from tests.stores.calls import beat_apart, done, patiently
from tests.stores.mongodb_statements import Statements

RUNNING, PENDING, SUCCEEDED = Outcome.RUNNING, Outcome.PENDING, Outcome.SUCCEEDED
LONG_AGO = ObjectId("5e0000000000000000000000")  # of the year 2019
BRIEF = 0.5  # seconds, as a timeout


@pytest.fixture(scope="module")
def module_url(mongodb_standalone_server: MongoDB) -> Iterator[str]:
    with mongodb_standalone_server.database() as url:
        yield url


@pytest.fixture
def url(module_url: str) -> str:
    """The URL of a database whose collections are empty."""
    with pymongo.MongoClient[dict[str, Any]](module_url) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            database[name].delete_many({})
    return module_url


@pytest.fixture
def raw(url: str) -> Iterator[Any]:
    """The database, past the store."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        yield client.get_default_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[MongoDBJobStore]:
    async with opened(url) as store:
        yield store


class opened:  # noqa: N801  # it is called like a function
    """Enter a store with two nodes."""

    def __init__(self, url: str, **options: Any) -> None:
        self._store = MongoDBJobStore(url=url, **options)

    async def __aenter__(self) -> MongoDBJobStore:
        await self._store.__aenter__()
        try:
            for node in "ab":
                await self._store.join(node, LEASE, T0)
        except BaseException:
            await self._store.__aexit__(None, None, None)
            raise
        return self._store

    async def __aexit__(self, *_: object) -> None:
        await self._store.__aexit__(None, None, None)


def lost(job: Job | None, run: Run) -> Run:
    """Let a run of a dead node wait again."""
    return attrs.evolve(run, outcome=PENDING, epoch=run.epoch + 1, node=None, claimed_at=None)


def outcomes_by_id(plans: list[Plan]) -> dict[str, str | None]:
    return {plan.job.id: plan.quarantine for plan in plans}


# arguments


def test_wrong_arguments_are_refused_before_anything_is_connected() -> None:
    client = pymongo.MongoClient[dict[str, Any]](connect=False)
    with pytest.raises(TypeError, match="client must be a motor client"):
        MongoDBJobStore(client=object())
    with pytest.raises(TypeError, match="nothing can be made of url, port"):
        MongoDBJobStore(client=client, url="mongodb://localhost", port=1)
    with pytest.raises(TypeError, match="both name the server"):
        MongoDBJobStore(url="mongodb://localhost", host="localhost")
    with pytest.raises(TypeError, match="database must be a text"):
        MongoDBJobStore("")
    with pytest.raises(ValueError, match="keep_runs must be a whole number from 0 on, got -1"):
        MongoDBJobStore(keep_runs=-1)
    with pytest.raises(ValueError, match="timeout must be a number of seconds, more than 0, got 0"):
        MongoDBJobStore(timeout=0)
    client.close()


async def test_an_address_that_is_none_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="is no address of a MongoDB server"):
        async with MongoDBJobStore(url="mongodb:///d"):
            pass


def test_a_store_shows_where_it_is_and_no_password() -> None:
    assert repr(MongoDBJobStore()) == "<MongoDBJobStore (apsched.jobs at mongodb://localhost:27017)>"
    assert repr(MongoDBJobStore("d", "c", host="h", port=1)) == "<MongoDBJobStore (d.c at mongodb://h:1)>"
    text = repr(MongoDBJobStore(url="mongodb://me:secret@a:1,b:2/d?replicaSet=r"))
    assert text == "<MongoDBJobStore (d.jobs at mongodb://me:***@a:1,b:2/d?replicaSet=r)>"


async def test_the_arguments_of_version_3_open_a_store(mongodb_standalone_server: MongoDB, url: str) -> None:
    server = mongodb_standalone_server
    name = url.rpartition("/")[2]
    async with MongoDBJobStore(database=name, collection="mine", host=server.host, port=server.port) as store:
        await store.add([make_job()])

    async with MongoDBJobStore(name, "mine", url=url) as store:
        assert ids_of(await store.select(JobFilter())) == ["job"]


async def test_stores_of_two_collections_do_not_see_each_other(url: str, raw: Any) -> None:
    async with opened(url) as one, opened(url, collection="other_jobs") as other:
        await one.add([make_job("one")])
        await other.add([make_job("other")])
        await one.finish([ended(await take_one(one))])

        assert ids_of(await other.select(JobFilter())) == ["other"]
        assert await history(other) == []
    assert {"jobs", "runs", "nodes", "other_jobs", "other_runs", "other_nodes"} <= set(raw.list_collection_names())


async def test_pickles_are_written_by_the_protocol_that_is_given(url: str, raw: Any) -> None:
    async with opened(url, serializer="pickle", pickle_protocol=4) as store:
        await store.add([make_job(args=(object,))])

        assert (await get_job(store, "job")).args == (object,)
    assert raw.jobs.find_one()["definition"].startswith(b"1:pickle:\x80\x04")


def test_without_pymongo_the_extra_is_named() -> None:
    program = """
import sys
sys.modules["pymongo"] = None
from apsched.exceptions import MissingExtraError
try:
    import apsched.jobstores.mongodb
except MissingExtraError as exc:
    print(exc)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'apsched[mongodb]'" in told.stdout


# clients


async def test_a_store_can_be_entered_again(url: str) -> None:
    store = MongoDBJobStore(url=url)
    for number in range(2):
        async with store:
            await store.add([make_job(str(number))])
            assert len(await store.select(JobFilter())) == number + 1
    with pytest.raises(JobStoreUnavailableError, match="is not open; enter it first"):
        await store.get("0")


def test_a_store_can_be_entered_in_another_event_loop(url: str) -> None:
    store = MongoDBJobStore(url=url)

    async def use(job_id: str) -> list[str]:
        async with store:
            await store.add([make_job(job_id)])
            return ids_of(await store.select(JobFilter()))

    assert asyncio.run(use("a")) == ["a"]
    assert anyio.run(use, "b", backend="trio") == ["a", "b"]
    assert asyncio.run(use("c")) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", [AsyncIOMotorClient, pymongo.AsyncMongoClient, pymongo.MongoClient])
async def test_a_client_that_is_passed_in_stays_open(url: str, kind: Any) -> None:
    client = kind(url)
    async with Bridge() as bridge:
        async with MongoDBJobStore(url.rpartition("/")[2], client=client) as store:
            await store.add([make_job()])
            await store.join("node", LEASE, T0)
            assert await beat_apart(store, "node")

        await bridge.call(done, client.admin.command, "ping")
        await bridge.call(done, client.close)


@pytest.mark.parametrize("kind", [AsyncIOMotorClient, pymongo.AsyncMongoClient])
def test_a_client_of_another_event_loop_is_refused(url: str, kind: Any) -> None:
    client = kind(url)

    async def use() -> None:
        async with MongoDBJobStore(client=client) as store:
            await store.get("job")

    with asyncio.Runner() as runner:
        runner.run(use())
        with asyncio.Runner() as other, pytest.raises(RuntimeError, match="event loop"):
            other.run(use())
        runner.run(done(client.close))


@pytest.mark.parametrize("kind", [AsyncIOMotorClient, pymongo.AsyncMongoClient, pymongo.MongoClient])
async def test_the_beat_is_raised_in_a_thread_while_the_event_loop_is_blocked(url: str, kind: Any) -> None:
    async with Bridge() as bridge:
        client = kind(url)
        async with MongoDBJobStore(url.rpartition("/")[2], client=client) as store:
            await store.join("node", LEASE, T0)
            beats: list[bool] = []

            async def pulse() -> None:
                async with store.pulse("node") as beat:
                    beats.append(await beat())
                    beats.append(await beat())

            thread = threading.Thread(target=asyncio.run, args=(pulse(),))
            thread.start()
            thread.join()  # blocks the event loop of the store

            assert beats == [True, True]
            assert [node.beat for node in await store.nodes()] == [2]

        await bridge.call(done, client.close)


# the server


async def test_a_server_that_is_away_is_named_without_its_password(unused_port: int) -> None:
    address = f"mongodb://me:secret@127.0.0.1:{unused_port}/d"
    with pytest.raises(JobStoreUnavailableError) as caught:
        async with MongoDBJobStore(url=address, timeout=BRIEF):
            pass

    text = str(caught.value)
    assert f"the MongoDB server at mongodb://me:***@127.0.0.1:{unused_port}/d cannot be reached" in text
    assert "Connection refused" in text
    assert "secret" not in text
    assert isinstance(caught.value.__cause__, PyMongoError)


async def test_wrong_credentials_say_what_to_check(mongodb_standalone_server: MongoDB) -> None:
    server = mongodb_standalone_server
    with pytest.raises(JobStoreUnavailableError, match=r"refuses the credentials: .*; check the user, the password"):
        async with MongoDBJobStore(url=f"mongodb://me:secret@{server.host}:{server.port}/?authSource=admin"):
            pass


async def test_jobs_of_version_3_are_refused_and_left_alone(url: str, raw: Any) -> None:
    raw.jobs.insert_one({"_id": "old", "next_run_time": 1.5, "job_state": b"..."})

    with pytest.raises(JobStoreVersionError, match="holds jobs of APScheduler 3; give MongoDBJobStore another"):
        async with MongoDBJobStore(url=url):
            pass
    assert raw.jobs.count_documents({}) == 1
    raw.jobs.delete_many({})


async def test_a_collection_of_a_later_version_is_refused(url: str, raw: Any) -> None:
    raw.schema.insert_one({"_id": "version", "version": 99})

    with pytest.raises(JobStoreVersionError, match="is of version 99, and this release of apsched knows version 1"):
        async with MongoDBJobStore(url=url):
            pass


async def test_nodes_can_start_at_once_in_an_empty_database(mongodb_standalone_server: MongoDB) -> None:
    with mongodb_standalone_server.database() as address:

        async def start(job_id: str) -> None:
            async with MongoDBJobStore(url=address) as store:
                await store.add([make_job(job_id)])

        async with anyio.create_task_group() as group:
            for job_id in "abcd":
                group.start_soon(start, job_id)
        async with MongoDBJobStore(url=address) as store:
            assert ids_of(await store.select(JobFilter())) == ["a", "b", "c", "d"]


async def test_a_server_that_is_restarted_is_found_again() -> None:
    with start_mongodb_standalone() as server:
        async with opened(server.url, timeout=BRIEF) as store:
            await store.add([make_job()])
            run = ended(await take_one(store))

            await to_thread.run_sync(server.kill)
            with pytest.raises(JobStoreUnavailableError):
                await store.finish([run])
            with pytest.raises(JobStoreUnavailableError):
                await beat_apart(store, "a")
            await to_thread.run_sync(server.restart)

            assert await patiently(store.finish, [run]) == [run]
            assert await patiently(beat_apart, store, "a")
            assert outcomes_of(await history(store)) == [SUCCEEDED]


@pytest.mark.parametrize("kind", [None, pymongo.AsyncMongoClient, pymongo.MongoClient])
async def test_a_network_that_swallows_ends_calls_by_the_deadline(
    mongodb_standalone_server: MongoDB, kind: Any
) -> None:
    with mongodb_standalone_server.database() as address, Proxy(mongodb_standalone_server.port) as proxy:
        name = address.rpartition("/")[2]
        through = f"mongodb://{proxy.host}:{proxy.port}/{name}"
        arguments: dict[str, Any] = {"url": through} if kind is None else {"client": kind(through)}
        async with Bridge() as bridge:
            async with MongoDBJobStore(name, timeout=BRIEF, **arguments) as store:
                await store.join("a", LEASE, T0)
                await store.add([make_job()])
                proxy.freeze()
                with anyio.fail_after(20):
                    with pytest.raises(JobStoreUnavailableError, match="does not answer in time"):
                        await take(store)
                    with pytest.raises(JobStoreUnavailableError):
                        await beat_apart(store, "a")
                proxy.heal()

                assert await patiently(beat_apart, store, "a")
                assert len(await patiently(store.claimed, "a") or await patiently(take, store)) == 1
            if kind is not None:
                await bridge.call(done, arguments["client"].close)


# statements


async def test_a_batch_takes_as_many_statements_as_one_run(url: str) -> None:
    statements = Statements()
    counts = []
    async with opened(url, event_listeners=[statements]) as store:
        for size in (1, 300):
            await store.add([make_job(f"{size} {number}") for number in range(size)])
            statements.sent.clear()

            plans = await take(store)
            await store.finish([ended(plan.runs[0]) for plan in plans])
            counts.append(statements.sent.total())
            assert len(plans) == size

            statements.sent.clear()
            later = await take(store, T0 + timedelta(seconds=10))
            await store.finish([ended(plan.runs[0], PENDING) for plan in later])
            assert statements.sent.total() == 6
            for plan in later:
                await store.remove(plan.job.id)

    assert counts == [8, 8]


async def test_results_that_fill_several_statements_are_stored(url: str) -> None:
    async with opened(url) as store:
        await store.add([make_job(due=FAR, max_instances=120)])
        for number in range(120):
            await store.add_run(make_run(at=T0 + number * TICK))
        runs = [
            attrs.evolve(ended(plan.runs[0]), retval="x" * 60_000, error="\U0001f600" * 90_000)
            for plan in await take(store)
        ]

        assert len(runs) == 120
        assert await store.finish(runs) == runs
        assert len(await store.runs(RunFilter(outcomes=[SUCCEEDED]), ALL)) == 120


async def test_a_very_long_error_is_cut_in_the_middle(store: MongoDBJobStore) -> None:
    await store.add([make_job()])
    run = attrs.evolve(ended(await take_one(store), Outcome.FAILED), error="first" + "x" * 10**6 + "last\ud800")

    await store.finish([run])

    (known,) = await history(store)
    assert known.error is not None
    assert len(known.error) < 110_000
    assert known.error.startswith("first")
    assert known.error.endswith("last\\ud800")


async def test_a_job_that_fits_into_no_document_is_refused(store: MongoDBJobStore) -> None:
    with pytest.raises(TransientJobError, match=r"it takes \d+ bytes, and at most 8388608 fit"):
        await store.add([make_job("a"), make_job("b", args=("x" * 9_000_000,))])

    assert await store.select(JobFilter()) == []


async def test_arguments_of_waiting_runs_that_fit_into_no_document_are_refused(store: MongoDBJobStore) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run(args=("x" * 3_000_000,)))

    with pytest.raises(TransientJobError, match="wait until some have run"):
        await store.add_run(make_run(args=("x" * 3_000_000,)))
    assert outcomes_of(await history(store)) == [PENDING]


async def test_a_job_of_which_too_many_runs_wait_is_quarantined(
    store: MongoDBJobStore, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apsched.jobstores._mongodb.claiming.MOST_PENDING", 2)
    await store.add([make_job("full"), make_job("sound")])
    held = await take_one(store)
    made = [await take(store, T0 + timedelta(seconds=10 * number), plan=queue) for number in range(4)]

    reason = (await get_job(store, held.job_id)).quarantine
    assert reason is not None
    assert "2 of its runs wait, and at most 2 can" in reason
    assert len(made[0]) >= 1


# what a node leaves half-done


async def half_finished(store: MongoDBJobStore, run: Run, token: ObjectId) -> None:
    """Do what a node does that dies after it has decided how a run ended, and before it is in the history."""
    at = store._at
    assert at is not None
    entry = at.documents.entry(run, by=run.node, token=token)
    await store._bridge.call(deciding.end_runs, at, {run.job_id: [entry]})


async def test_a_run_that_ended_is_seen_before_it_is_in_the_history(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job()])
    run = ended(await take_one(store))
    await half_finished(store, run, ObjectId())

    assert raw.runs.count_documents({}) == 0
    assert outcomes_of(await history(store)) == [SUCCEEDED]
    assert await store.claimed("a") == []
    await store.update("job", setting(next_run_time=T0, next_nominal_time=T0))
    (made,) = await take(store, owner="b")
    assert made.runs == ()


async def test_finishing_again_what_was_half_finished_stores_it_once(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job()])
    run = ended(await take_one(store))
    await half_finished(store, run, ObjectId())

    assert await store.finish([run]) == [run]
    assert await store.finish([ended(run, Outcome.FAILED)]) == []
    assert raw.runs.count_documents({}) == 1
    assert raw.jobs.find_one()["active"] == []
    assert outcomes_of(await history(store)) == [SUCCEEDED]


async def test_what_a_dead_node_has_half_finished_is_written_by_another(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job("a"), make_job("b")])
    first, second = (plan.runs[0] for plan in await take(store))
    await half_finished(store, ended(first), ObjectId())

    settled = await store.reap({"a": 0}, lost)

    assert [run.job_id for run in settled] == [second.job_id]
    assert raw.runs.count_documents({"outcome": "succeeded"}) == 1
    assert sorted(outcomes_of(await history(store))) == [PENDING, SUCCEEDED]


async def test_what_a_living_node_has_half_finished_long_ago_is_written_by_another(
    store: MongoDBJobStore, raw: Any
) -> None:
    await store.add([make_job("a"), make_job("b")])
    first, second = (plan.runs[0] for plan in await take(store))
    await half_finished(store, ended(first), LONG_AGO)
    await half_finished(store, ended(second), ObjectId())

    assert await store.reap({}, lost) == []

    assert [each["_id"]["job"] for each in raw.runs.find()] == [first.job_id]
    assert len(await history(store)) == 2


async def test_a_finished_job_that_was_half_settled_goes_with_its_last_run(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job()])

    def last(job: Job, open_runs: Any, now: Any, owner: str) -> Plan:
        return attrs.evolve(claim(job, open_runs, now, owner), removes_job=True, next_run_time=None)

    run = ended(await take_one(store, plan=last))
    await half_finished(store, run, LONG_AGO)
    await store.reap({}, lost)

    assert raw.jobs.count_documents({}) == 0
    assert outcomes_of(await history(store)) == [SUCCEEDED]


async def test_a_claim_that_comes_after_the_death_of_its_node_starts_nothing_and_is_settled(
    store: MongoDBJobStore, raw: Any
) -> None:
    await store.add([make_job()])

    def plan(job: Job, open_runs: Any, now: Any, owner: str) -> Plan:
        raw.nodes.delete_one({"_id": "a"})  # another node has seen it silent for a lease, and has settled what it had
        return claim(job, open_runs, now, owner)

    with pytest.raises(LeaseLostError):
        await take(store, plan=plan)

    assert outcomes_of(await history(store)) == [RUNNING]
    (settled,) = await store.reap({}, lost)
    assert (settled.outcome, settled.epoch) == (PENDING, 2)
    assert (await take_one(store, owner="b")).epoch == 3


async def test_a_node_that_joins_and_claims_while_another_reaps_keeps_its_run(store: MongoDBJobStore) -> None:
    await store.add([make_job(f"{number:02}") for number in range(30)])
    settled: list[Run] = []

    async def reap() -> None:
        for _ in range(20):
            settled.extend(await store.reap({}, lost))

    async def claims() -> None:
        for number in range(10):
            await store.join(f"new {number}", LEASE, T0)
            assert len(await take(store, T0, {"default": 3}, owner=f"new {number}")) == 3

    async with anyio.create_task_group() as group:
        group.start_soon(reap)
        group.start_soon(claims)

    assert settled == []


async def test_of_batches_that_are_added_at_once_one_is_there_and_the_other_is_not(url: str) -> None:
    async with opened(url) as one, opened(url) as other:
        for turn in range(10):
            ids = [f"{turn} {number:03}" for number in range(50)]
            results: list[str] = []

            async def add(store: MongoDBJobStore, name: str, ids: list[str], results: list[str]) -> None:
                try:
                    await store.add([make_job(job_id, name=name) for job_id in ids])
                    results.append(name)
                except ConflictingIdError:
                    results.append("refused")

            async with anyio.create_task_group() as group:
                group.start_soon(add, one, "one", [*ids, f"{turn} one"], results)
                group.start_soon(add, other, "other", [*reversed(ids), f"{turn} other"], results)

            jobs = [job for job in await one.select(JobFilter()) if job.id.startswith(f"{turn} ")]
            assert "refused" in results
            assert len(jobs) == 51
            assert len({job.name for job in jobs}) == 1


# data that was damaged by hand

DAMAGES: dict[str, dict[str, Any]] = {
    "no definition": {"definition": None},
    "a definition that is text": {"definition": "1:json:{}"},
    "broken JSON": {"definition": b"1:json:{"},
    "no UTF-8": {"definition": b"1:json:\xff\xfe"},
    "another format": {"definition": b"99:json:{}"},
    "a pickle": {"definition": b"1:pickle:\x80\x04N."},
    "a nominal time that is text": {"next_nominal_time": "tomorrow"},
    "a next run time that is text": {"next_run_time": "tomorrow"},
    "runs that are no list": {"active": "none", "pending": 3},
    "a run that is none": {"active": [1]},
    "a run without its epoch": {"active": [{"outcome": "running", "nominal_time": Int64(1), "by": "a"}]},
    "a waiting run of an unknown outcome": {"pending": [{"outcome": "odd", "nominal_time": Int64(1)}]},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_job_is_quarantined_and_others_run(
    store: MongoDBJobStore, raw: Any, damage: dict[str, Any]
) -> None:
    await store.add([make_job("broken"), make_job("sound")])
    raw.jobs.update_one({"_id": "broken"}, {"$set": damage})
    before = raw.jobs.find_one({"_id": "broken"})

    made = {plan.job.id: plan.quarantine for plan in await take(store)}

    assert made["sound"] is None
    assert made["broken"]
    assert (await get_job(store, "broken")).quarantine == made["broken"]
    assert sorted(ids_of(await store.select(JobFilter()))) == ["broken", "sound"]
    after = raw.jobs.find_one({"_id": "broken"})
    assert {name: after[name] for name in damage} == {name: before[name] for name in damage}
    assert await take(store) == []
    await store.claimed("a")
    await store.reap({}, lost)
    await store.runs(RunFilter(), ALL)
    await store.next_run_time({"default": 1}, "a")
    await store.remove("broken")
    assert await store.get("broken") is None


async def test_a_due_time_that_was_damaged_shows_as_quarantine(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job("broken"), make_job("sound")])
    raw.jobs.update_one({"_id": "broken"}, {"$set": {"due": "now"}})

    assert list(outcomes_by_id(await take(store))) == ["sound"]
    assert "due must be a whole number, got 'now'" in str((await get_job(store, "broken")).quarantine)
    assert await store.next_run_time({"default": 1}, "a") == T0 + timedelta(seconds=10)


async def test_a_damaged_job_cannot_be_changed_but_replaced(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job()])
    raw.jobs.update_one({}, {"$set": {"definition": b"1:json:{"}})

    with pytest.raises(TransientJobError, match="cannot be changed because it cannot be read"):
        await store.update("job", setting(name="new"))

    with pytest.raises(ConflictingIdError):
        await store.add([make_job(name="new")], refuse)
    await store.add([make_job(name="new")], replace)
    assert (await get_job(store, "job")).name == "new"


async def test_a_run_in_the_history_that_was_damaged_is_left_out(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job("a"), make_job("b")])
    await store.finish([ended(plan.runs[0]) for plan in await take(store)])
    raw.runs.update_one({"_id.job": "a"}, {"$set": {"outcome": "odd"}})

    assert [run.job_id for run in await history(store)] == ["b"]
    assert raw.runs.count_documents({}) == 2


async def test_a_run_whose_arguments_cannot_be_read_does_not_run_with_others(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run(args=(1,)))
    raw.jobs.update_one({}, {"$set": {"pending.0.arguments": b"1:json:{"}})

    (made,) = await take(store)

    assert made.quarantine is not None
    assert "arguments cannot be read" in made.quarantine
    (known,) = await history(store)
    assert known.outcome is PENDING
    assert "arguments cannot be read" in str(known.reason)


async def test_a_run_under_way_whose_arguments_cannot_be_read_says_so(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run(args=(1,)))
    await take(store)
    raw.jobs.update_one({}, {"$set": {"active.0.arguments": b"1:json:{"}})

    ((run,),) = [plan.runs for plan in await store.claimed("a")]
    assert "its arguments cannot be read" in str(unreadable_arguments(run))
    await store.leave("a")
    await store.reap({}, partial(after_crash, now=T0))
    assert [run.outcome for run in await history(store)] == [Outcome.FAILED]


@pytest.mark.parametrize("damage", [{"beat": "x"}, {"lease": "long"}, {"seen_at": None}, {"started_at": 2**62}])
async def test_a_damaged_node_harms_no_other(store: MongoDBJobStore, raw: Any, damage: dict[str, Any]) -> None:
    await store.add([make_job()])
    raw.nodes.update_one({"_id": "b"}, {"$set": damage})

    assert len(await take(store)) == 1
    assert [node.id for node in await store.nodes()] == ["a", "b"]
    assert all(isinstance(node.lease, float) for node in await store.nodes())
    await store.reap({"b": 0}, lost)
    assert await beat_apart(store, "a")


# nodes


async def test_a_node_that_has_left_may_not_claim_or_beat(store: MongoDBJobStore) -> None:
    await store.leave("a")

    with pytest.raises(LeaseLostError):
        await take(store, owner="a")
    async with store.pulse("a") as beat:
        assert not await beat()


async def test_the_history_of_a_removed_job_that_named_a_number_is_kept_by_the_rule_of_the_store(url: str) -> None:
    async with opened(url, keep_runs=3) as store:
        await store.add([make_job(keep_runs=5)])
        for number in range(5):
            await store.finish([ended(await take_one(store, T0 + timedelta(seconds=10 * number)))])
        await store.remove("job")

        assert await store.prune(T0, ALL) == 0
        assert len(await history(store)) == 5
        assert await store.prune(FAR, ALL) == 2
        assert await store.prune(FAR, ALL) == 0
        assert len(await history(store)) == 3


async def test_a_number_of_runs_that_is_named_later_holds_for_older_ones(url: str) -> None:
    async with opened(url) as store:
        await store.add([make_job()])
        for number in range(5):
            await store.finish([ended(await take_one(store, T0 + timedelta(seconds=10 * number)))])
        assert await store.prune(T0, ALL) == 0

        await store.update("job", setting(keep_runs=2))

        assert await store.prune(T0, ALL) == 3


async def test_a_job_that_is_not_there_leaves_nothing_behind(store: MongoDBJobStore, raw: Any) -> None:
    with pytest.raises(JobLookupError):
        await store.add_run(make_run())
    with pytest.raises(JobLookupError):
        await store.remove("job")

    assert raw.jobs.count_documents({}) == 0


# notifier


async def test_a_single_server_has_no_notifier(store: MongoDBJobStore) -> None:
    assert store.notifier() is None


async def test_a_replica_set_tells_of_changes_within_a_moment(mongodb_server: MongoDB) -> None:
    with mongodb_server.database() as address:
        async with MongoDBJobStore(url=address) as one, MongoDBJobStore(url=address) as other:
            notifier, listener = one.notifier(), other.notifier()
            assert notifier is not None
            assert listener is not None
            async with notifier, listener, listener.listen() as hints:
                with anyio.fail_after(5):  # the server takes some milliseconds
                    await notifier.notify("default")
                    assert await anext(aiter(hints)) == "default"


async def test_listening_ends_by_an_error_when_the_network_swallows(mongodb_server: MongoDB) -> None:
    from apsched.notifiers.mongodb import MongoDBNotifier

    with mongodb_server.database() as address, Proxy(mongodb_server.port) as proxy:
        name = address.rpartition("/")[2].partition("?")[0]
        through = f"mongodb://{proxy.host}:{proxy.port}/{name}?directConnection=true"
        async with MongoDBNotifier(url=through, timeout=BRIEF) as notifier, notifier.listen() as hints:
            proxy.freeze()
            with anyio.fail_after(20), pytest.raises(JobStoreUnavailableError):
                await anext(aiter(hints))
            proxy.heal()


# the parts


def test_a_token_tells_when_it_was_made() -> None:
    assert ObjectId.from_datetime(T0 - nodes.FORGOTTEN_AFTER) < ObjectId.from_datetime(T0)
    assert documents.new_token() != documents.new_token()


def test_tags_are_told_apart_whatever_is_in_them() -> None:
    pairs = [("a", "b=c"), ("a=b", "c"), ('a","b', ""), ("", 'a","b'), ("a", "b")]

    assert len({documents.tag_key(*pair) for pair in pairs}) == len(pairs)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
