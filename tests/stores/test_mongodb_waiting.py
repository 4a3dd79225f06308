"""What is special to the MongoDB store in runs that wait for later, follow others, tell of themselves or are to end."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import anyio
import attrs
import pymongo
import pytest
from bson import Int64, ObjectId

from apsched.job import Job
from apsched.jobstores._mongodb import deciding, following
from apsched.jobstores._mongodb.documents import NEVER as UNTIMED
from apsched.jobstores.base import JobFilter, JobStore
from apsched.jobstores.mongodb import MongoDBJobStore
from apsched.run import DEATH, Attempt, Report, Run
from apsched.testing.contract._values import (
    ALL,
    CANCELLED,
    FAILED,
    FAR,
    FREE,
    LEASE,
    PENDING,
    RUNNING,
    SUCCEEDED,
    T0,
    TICK,
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
from apsched.triggers.after import NEVER, After
from tests.servers import MongoDB
from tests.stores.mongodb_statements import Statements

LATER = T0 + timedelta(seconds=30)
LONG_AGO = ObjectId("5e0000000000000000000000")  # of the year 2019
ATTEMPT = Attempt(number=1, outcome=FAILED, node="a", started_at=T0, finished_at=T0 + TICK, error="ValueError")


@pytest.fixture(scope="module")
def module_url(mongodb_standalone_server: MongoDB) -> Iterator[str]:
    with mongodb_standalone_server.database() as url:
        yield url


@pytest.fixture
def raw(module_url: str) -> Iterator[Any]:
    """The database, past the store; its collections are empty."""
    with pymongo.MongoClient[dict[str, Any]](module_url) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            if name != "schema":
                database[name].delete_many({})
        yield database


@pytest.fixture
def statements() -> Statements:
    return Statements()


@pytest.fixture
async def store(module_url: str, raw: Any, statements: Statements) -> AsyncIterator[MongoDBJobStore]:
    async with MongoDBJobStore(url=module_url, event_listeners=[statements]) as store:
        for node in "ab":
            await store.join(node, LEASE, T0)
        statements.sent.clear()
        yield store


def make_follower(job_id: str, after: str, on: Any = "any", **options: Any) -> Job:
    return attrs.evolve(make_job(job_id, due=NEVER, **options), trigger=After(after, on))


def waits(run: Run, **changes: Any) -> Run:
    """Return a claimed run that has failed and waits for its next attempt."""
    return attrs.evolve(run, **{"outcome": PENDING, "due_time": LATER, "attempts": (ATTEMPT,), **changes})


def lost(job: Job | None, run: Run) -> Run:
    """Let a run of a dead node wait again."""
    return attrs.evolve(run, outcome=PENDING, epoch=run.epoch + DEATH, node=None, claimed_at=None)


async def half_finished(store: MongoDBJobStore, run: Run, token: ObjectId) -> None:
    """Do what a node does that dies after it has decided how a run ended, and before anything follows."""
    at = store._at
    assert at is not None
    entry = at.documents.entry(run, by=run.node, token=token)
    await store._bridge.call(deciding.end_runs, at, {run.job_id: [entry]})


async def follows_and_dies(store: MongoDBJobStore, run: Run, token: ObjectId) -> None:
    """Do what a node does that dies after the runs that follow are stored, and before it lets go of *run*."""
    await half_finished(store, run, token)
    at = store._at
    assert at is not None
    entry = at.documents.entry(run, by=run.node, token=token)
    await store._bridge.call(following.follow, at, {run.job_id: [entry]})


async def pending_of(store: JobStore, job_id: str) -> list[datetime]:
    return [run.nominal_time for run in await history(store, job_id) if run.outcome is PENDING]


# what a node leaves half-done


async def test_what_follows_a_run_whose_end_a_dead_node_has_decided_is_made_by_another(store: MongoDBJobStore) -> None:
    await store.add([make_job("a"), make_follower("b", "a"), make_follower("c", "a", "failure")])
    await half_finished(store, ended(await take_one(store)), ObjectId())
    assert await history(store, "b") == []

    (made,) = await store.reap({"a": 0}, lost)

    assert (made.job_id, made.nominal_time, made.outcome) == ("b", T0, PENDING)
    assert await store.reap({"a": 0}, lost) == []
    assert outcomes_of(await history(store, "a")) == [SUCCEEDED]
    assert (await take_one(store, T0 + TICK, owner="b")).job_id == "b"


async def test_what_follows_a_run_whose_end_a_living_node_has_decided_long_ago_is_made_by_another(
    store: MongoDBJobStore,
) -> None:
    await store.add([make_job("a"), make_follower("b", "a")])
    await half_finished(store, ended(await take_one(store)), LONG_AGO)

    assert [run.job_id for run in await store.reap({}, lost)] == ["b"]
    assert await store.reap({}, lost) == []


async def test_what_follows_is_made_when_the_end_is_stored_again(store: MongoDBJobStore) -> None:
    await store.add([make_job("a"), make_follower("b", "a")])
    run = ended(await take_one(store))
    await half_finished(store, run, ObjectId())

    stored = await store.finish([run])

    assert [each.job_id for each in stored] == ["a", "b"]
    assert await store.finish([run]) == [run]


async def test_what_has_followed_already_is_not_made_again_although_it_has_run_and_is_forgotten(
    store: MongoDBJobStore, raw: Any
) -> None:
    await store.add([make_job("a"), make_follower("b", "a", keep_runs=0)])
    run = ended(await take_one(store))
    await follows_and_dies(store, run, ObjectId())
    await store.finish([ended(await take_one(store, T0 + TICK, owner="b"))])
    assert await store.prune(FAR, ALL) == 1
    assert await history(store, "b") == []

    assert await store.reap({"a": 0}, lost) == []

    assert await history(store, "b") == []
    assert raw.jobs.find_one({"_id": "a"})["active"] == []
    assert outcomes_of(await history(store, "a")) == [SUCCEEDED]


@pytest.mark.parametrize(
    ("job_id", "damage"),
    [
        ("a", {"active.0.finished_at": "x"}),
        ("b", {"definition": b"1:json:{"}),
        ("b", {"followed": 5}),
        ("b", {"pending": [{"outcome": "odd"}]}),
        ("b", {"pending": "none"}),
    ],
)
async def test_damage_holds_up_no_other_followers(
    store: MongoDBJobStore, raw: Any, job_id: str, damage: dict[str, Any]
) -> None:
    await store.add([make_job("a"), make_job("x"), make_follower("b", "a"), make_follower("y", "x")])
    runs = [plan.runs[0] for plan in await take(store)]
    for run in runs:
        await half_finished(store, ended(run), ObjectId())
    raw.jobs.update_one({"_id": job_id}, {"$set": damage})

    made = await store.reap({"a": 0}, lost)

    assert "y" in [run.job_id for run in made]
    assert await store.reap({"a": 0}, lost) == []
    await take(store, LATER, owner="b")


async def test_of_several_nodes_that_go_on_with_the_same_each_run_is_followed_once(
    store: MongoDBJobStore, module_url: str
) -> None:
    await store.add([make_job(f"a{number}") for number in range(10)])
    await store.add([make_follower(f"b{number}", f"a{number % 10}") for number in range(20)])
    for plan in await take(store, slots={"default": 10}):
        await half_finished(store, ended(plan.runs[0]), ObjectId())

    async with MongoDBJobStore(url=module_url) as other, anyio.create_task_group() as group:
        for each in (store, other, store, other):
            group.start_soon(each.reap, {"a": 0}, lost)

    counts = Counter(run.job_id for run in await history(store))
    assert counts == {**{f"a{number}": 1 for number in range(10)}, **{f"b{number}": 1 for number in range(20)}}


async def test_jobs_that_follow_and_are_changed_meanwhile_follow_once(store: MongoDBJobStore, module_url: str) -> None:
    await store.add([make_job("a"), *(make_follower(f"b{number}", "a", executor="other") for number in range(5))])
    async with MongoDBJobStore(url=module_url) as other:

        async def change() -> None:
            for turn in range(20):
                await other.update(f"b{turn % 5}", setting(name=f"turn {turn}"))

        async with anyio.create_task_group() as group:
            group.start_soon(change)
            for turn in range(20):
                run = await take_one(store, T0 + timedelta(seconds=10 * turn))
                stored = await store.finish([ended(run)])
                assert len(stored) == 6

    counts = Counter(run.job_id for run in await history(store))
    assert counts == dict.fromkeys(("a", *(f"b{number}" for number in range(5))), 20)


async def test_what_never_started_since_its_job_was_removed_is_not_followed(store: MongoDBJobStore) -> None:
    await store.add([make_job("a", due=FAR), make_follower("b", "a")])
    await store.add_run(make_run("a"))
    await store.remove("a")
    assert outcomes_of(await history(store)) == [CANCELLED]

    await store.add([make_job("a", due=FAR)])
    run = await store.add_run(make_run("a"))
    assert await store.finish([attrs.evolve(run, outcome=CANCELLED)]) != []
    assert await pending_of(store, "b") == [run.nominal_time]


async def test_a_job_of_which_too_many_runs_would_wait_follows_no_more(
    store: MongoDBJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_PENDING", 2)
    await store.add([make_job("a"), *(make_follower(name, "a", executor="other") for name in "bc")])
    await store.add_run(make_run("b", at=T0 - TICK))

    made: list[Run] = []
    for turn in range(2):
        run = await take_one(store, T0 + timedelta(seconds=10 * turn))
        made += (await store.finish([ended(run)]))[1:]

    assert [run.job_id for run in made] == ["b", "c", "c"]
    assert "2 of its runs wait, and at most 2 can" in str((await get_job(store, "b")).quarantine)


# cost


async def test_where_no_job_follows_another_nothing_is_asked_for(
    store: MongoDBJobStore, statements: Statements
) -> None:
    await store.add([make_job(f"{number:03}") for number in range(300)])
    plans = await take(store, slots={"default": 300})
    statements.sent.clear()

    await store.finish([ended(plan.runs[0]) for plan in plans])

    assert statements.sent == {"update": 2, "insert": 1, "delete": 1}
    statements.sent.clear()
    await store.next_run_time(FREE, "a")
    await store.asked_to_cancel("a")
    assert statements.sent == {"aggregate": 1, "find": 1}


async def test_a_batch_of_which_many_are_followed_takes_as_many_statements_as_one(
    store: MongoDBJobStore, statements: Statements
) -> None:
    await store.add([make_job(f"a{number}") for number in range(100)])
    await store.add([make_follower(f"b{number}", f"a{number}") for number in range(100)])
    plans = await take(store, slots={"default": 100})
    statements.sent.clear()

    stored = await store.finish([ended(plan.runs[0]) for plan in plans])

    assert len(stored) == 200
    assert statements.sent == {"update": 3, "insert": 1, "delete": 1, "find": 2}


async def test_reports_of_a_batch_take_one_statement(store: MongoDBJobStore, statements: Statements) -> None:
    await store.add([make_job(f"{number:03}") for number in range(100)])
    runs = [plan.runs[0] for plan in await take(store, slots={"default": 100})]
    statements.sent.clear()

    await store.report([attrs.evolve(run, report=Report(progress=0.5)) for run in runs])

    assert statements.sent == {"update": 1}
    assert {run.report for run in await history(store)} == {Report(progress=0.5)}


@pytest.mark.parametrize(
    "where",
    [
        {"follows": {"$in": ["a", "b"]}, "state": "present"},
        {"expects_success": True, "state": "present"},
        {"executor": "default", "waiting": {"$lte": Int64(0)}},
    ],
)
async def test_what_is_looked_for_is_found_by_an_index(store: MongoDBJobStore, raw: Any, where: dict[str, Any]) -> None:
    raw.jobs.insert_many([{"executor": "default", "waiting": UNTIMED, "state": "present"} for _ in range(50)])

    stats = raw.command("explain", {"find": "jobs", "filter": where}, verbosity="executionStats")["executionStats"]

    assert (stats["totalDocsExamined"], stats["nReturned"]) == (0, 0)


# what an older release has left


async def test_what_an_older_release_has_left_goes_on(raw: Any, module_url: str) -> None:
    async with MongoDBJobStore(url=module_url) as store:
        await store.join("a", LEASE, T0)
        await store.add([make_job("a"), make_job("b", due=FAR), make_job("c")])
        held = await take_one(store)
        await store.add_run(make_run("b"))
    for name in ("follows_1", "expects_success_1_next_run_time_1__id_1"):
        raw.jobs.drop_index(name)
    raw.schema.update_one({}, {"$unset": {"indexed": ""}})
    raw.jobs.update_many({}, {"$unset": {"follows": "", "expects_success": ""}})

    async with MongoDBJobStore(url=module_url) as store:
        assert {"follows_1", "expects_success_1_next_run_time_1__id_1"} <= raw.jobs.index_information().keys()
        assert ids_of(await store.select(JobFilter(expects_success=False))) == ["c", "a", "b"]
        assert ids_of(await store.select(JobFilter(expects_success=True))) == []
        await store.join("a", LEASE, T0)
        taken = await take(store, slots={"default": 3})
        assert sorted(plan.job.id for plan in taken) == ["b", "c"]
        await store.add([make_follower("d", "a")])
        assert len(await store.finish([ended(held), *(ended(plan.runs[0]) for plan in taken)])) == 4


# runs that wait


async def test_a_node_is_not_called_for_what_waits_at_max_instances(store: MongoDBJobStore) -> None:
    await store.add([make_job(due=FAR)])
    for number in range(3):
        await store.add_run(make_run(at=T0 + number * TICK))
    await take_one(store)

    assert await store.next_run_time(FREE, "a") == FAR
    assert await take(store, LATER) == []


async def test_a_job_that_joining_takes_out_of_quarantine_and_that_follows_is_not_due(
    store: MongoDBJobStore, raw: Any
) -> None:
    await store.add([make_follower("b", "a")])
    raw.jobs.update_one({"_id": "b"}, {"$set": {"quarantine": "it was damaged"}})

    await store.join("c", LEASE, T0)

    assert (await get_job(store, "b")).quarantine is None
    assert raw.jobs.find_one({"_id": "b"})["due"] == UNTIMED
    assert await store.next_run_time(FREE, "a") is None


@pytest.mark.parametrize("notes", ["{", 5, "[1]", '{"attempts": [{}]}'])
async def test_a_run_whose_notes_are_damaged_runs_without_them(store: MongoDBJobStore, raw: Any, notes: object) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run())
    await store.finish([waits(await take_one(store), due_time=T0)])
    raw.jobs.update_one({}, {"$set": {"pending.0.notes": notes}})
    assert outcomes_of(await history(store)) == [PENDING]

    run = await take_one(store)

    assert (run.attempts, run.report) == ((), None)
    await store.finish([waits(run)])
    assert (await history(store))[0].attempts == (ATTEMPT,)


async def test_runs_that_fill_a_document_with_their_notes_wait_with_their_last_attempts(
    store: MongoDBJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apsched.jobstores._mongodb.finishing.LARGEST_PART", 1000)
    attempts = tuple(attrs.evolve(ATTEMPT, number=number, error="x" * 300) for number in (1, 2))
    await store.add([make_job(due=FAR, max_instances=2)])
    for number in range(2):
        await store.add_run(make_run(at=T0 + number * TICK))
    runs = [plan.runs[0] for _ in range(2) for plan in await take(store)]

    assert len(await store.finish([waits(run, attempts=attempts) for run in runs])) == 2

    kept = sorted(await history(store), key=lambda run: run.nominal_time)
    assert [run.attempt for run in kept] == [3, 3]
    assert [len(run.attempts) for run in kept] == [2, 1]


# cancellations


async def test_a_node_forgets_what_it_was_asked_when_that_has_ended(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job("a"), make_job("b")])
    first, second = [plan.runs[0] for _ in range(2) for plan in await take(store)]
    for run in (first, second, second):
        assert await store.ask_to_cancel(run, "it takes too long")
    await store.finish([ended(second, CANCELLED)])

    assert [run.id for run in await store.asked_to_cancel("a")] == [first.id]
    assert [each["job"] for each in raw.nodes.find_one({"_id": "a"})["asked"]] == [first.job_id]
    assert (await history(store, first.job_id))[0].cancel_reason == "it takes too long"
    assert outcomes_of(await history(store, first.job_id)) == [RUNNING]


async def test_who_asks_and_dies_in_between_may_ask_again(store: MongoDBJobStore, raw: Any) -> None:
    await store.add([make_job()])
    run = await take_one(store)
    await store.ask_to_cancel(run, "it takes too long")
    raw.nodes.update_one({"_id": "a"}, {"$unset": {"asked": ""}})
    assert await store.asked_to_cancel("a") == []

    assert await store.ask_to_cancel(run, "it still does")

    assert [each.cancel_reason for each in await store.asked_to_cancel("a")] == ["it still does"]
