"""What programs and packages of APScheduler 3 use although its documentation does not name it."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from apsched.exceptions import JobLookupError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.asyncio import AsyncIOScheduler
from apsched.schedulers.background import BackgroundScheduler
from tests.users_executors import InlineExecutor
from tests.users_stores import DictStore

FAR = datetime(2999, 1, 1, tzinfo=UTC)
PATIENCE = 20.0  # seconds


def test_the_parts_of_a_scheduler_are_seen_as_they_were_given() -> None:
    memory, own_store, own_executor = MemoryJobStore(), DictStore(), InlineExecutor()
    scheduler = BackgroundScheduler(
        jobstores={"default": memory, "own": own_store},
        executors={"own": own_executor},
        job_defaults={"max_instances": 3},
    )
    assert scheduler._jobstores == {"default": memory, "own": own_store}
    assert scheduler._executors["own"] is own_executor
    assert {"default", "asyncio"} < set(scheduler._executors)
    assert (scheduler._job_defaults["max_instances"], scheduler._job_defaults["coalesce"]) == (3, True)


def test_a_job_is_looked_up_with_the_alias_of_its_store() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    job = scheduler.add_job(print, "date", run_date=FAR, id="far")
    assert scheduler._lookup_job("far", None) == (job, None)
    scheduler.start(paused=True)
    try:
        assert scheduler._lookup_job("far", "default") == (job, "default")
        with pytest.raises(JobLookupError):
            scheduler._lookup_job("near", None)
    finally:
        scheduler.shutdown()


def test_a_lock_is_made_for_stores_that_ask_for_one() -> None:
    with (lock := BackgroundScheduler()._create_lock()), lock:
        pass


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
def test_a_scheduler_says_why_it_is_not_pickled(take: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="BackgroundScheduler; keep it out of the arguments of jobs"):
        take(BackgroundScheduler())


def test_the_loop_of_coroutines_is_set_after_the_scheduler_was_made() -> None:
    async def main() -> None:
        ran = asyncio.Event()

        async def note() -> None:
            ran.set()

        scheduler = AsyncIOScheduler()
        scheduler._eventloop = loop = asyncio.get_running_loop()
        assert scheduler._eventloop is loop
        await asyncio.to_thread(scheduler.start)  # in a thread where no loop runs
        try:
            scheduler.add_job(note)
            await asyncio.wait_for(ran.wait(), PATIENCE)
        finally:
            scheduler.shutdown()

    asyncio.run(main())


def test_what_runs_in_the_loop_can_be_awaited_before_a_shutdown() -> None:
    async def main() -> None:
        began, may_end = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            began.set()
            await may_end.wait()

        executor = AsyncIOExecutor()
        scheduler = AsyncIOScheduler(executors={"default": executor})
        scheduler.start()
        try:
            job = scheduler.add_job(work)
            assert job.executor == "default"
            await asyncio.wait_for(began.wait(), PATIENCE)
            under_way = list(executor._pending_futures)
            may_end.set()
            await asyncio.gather(*under_way)
            assert len(under_way) == 1
            assert not executor._pending_futures
        finally:
            scheduler.shutdown()

    asyncio.run(main())
