"""A store that is away for a while, and jobs that break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.events import EVENT_JOB_QUARANTINED, EVENT_JOBSTORE_FAILED, EVENT_JOBSTORE_RECOVERED
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Plan, Planner, Run
from apsched.testing.clock import VirtualClock
from apsched.triggers.base import BaseTrigger

STORE_EVENTS = EVENT_JOBSTORE_FAILED | EVENT_JOBSTORE_RECOVERED


class FlakyStore(MemoryJobStore):
    """Answers, unless `broken` names what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.tries = 0

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        self._check("take_due")
        return await super().take_due(now, slots, plan, owner)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        self._check("finish")
        return await super().finish(runs)

    def _check(self, what: str) -> None:
        if what in self.broken:
            self.tries += 1
            raise ConnectionResetError(f"{what} got no answer")


class Fragile(BaseTrigger):
    """Fires each ten seconds until it breaks."""

    def __init__(self, good: int) -> None:
        self.good = good

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if previous_fire_time is not None and not self.good:
            raise ZeroDivisionError("worn out")
        self.good -= previous_fire_time is not None
        return (previous_fire_time or now) + timedelta(seconds=10)


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore()


async def test_a_store_that_is_away_is_asked_less_and_less(clock: VirtualClock, store: FlakyStore) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        store.broken = {"take_due"}
        await scheduler.wakeup()
        await clock.advance(hours=1)

    assert 120 <= store.tries <= 260  # each 15 to 30 s at last


async def test_one_event_tells_of_the_failure_and_one_of_the_recovery(
    clock: VirtualClock, store: FlakyStore, notes: Any
) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        await scheduler.add_listener(notes.keep, STORE_EVENTS)
        store.broken = {"take_due"}
        await scheduler.wakeup()
        await clock.advance(minutes=10)
        store.broken = set()
        await clock.advance(minutes=10)

    assert [(event.name, event.alias) for event in notes] == [
        ("EVENT_JOBSTORE_FAILED", "default"),
        ("EVENT_JOBSTORE_RECOVERED", "default"),
    ]
    assert notes[0].detail == "ConnectionResetError: take_due got no answer"


async def test_nothing_is_lost_or_doubled_while_the_store_is_away(
    clock: VirtualClock, store: FlakyStore, notes: Any
) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        job = await scheduler.add_job(notes.time_later, "interval", seconds=60, coalesce=False)
        await clock.advance(120)
        store.broken = {"take_due"}
        await clock.advance(600)
        store.broken = set()
        await clock.advance(180)
        runs = await scheduler.get_runs(job.id)

    assert len(notes) == len(runs) == 15
    assert len({run.nominal_time for run in runs}) == 15


async def test_health_tells_how_the_store_is(clock: VirtualClock, store: FlakyStore) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        await clock.advance(1)
        well = await scheduler.health()
        store.broken = {"take_due"}
        await scheduler.wakeup()
        await clock.advance(60)
        ill = await scheduler.health()
        store.broken = set()
        await clock.advance(60)
        again = await scheduler.health()

    assert well.is_ok
    assert not ill.is_ok
    assert ill.jobstores["default"].failures > 3
    assert ill.jobstores["default"].last_error == "ConnectionResetError: take_due got no answer"
    assert again.is_ok
    assert again.jobstores["default"].last_look is not None


async def test_one_store_that_is_away_does_not_hold_up_another(
    clock: VirtualClock, store: FlakyStore, notes: Any
) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"flaky": store}) as scheduler:
        store.broken = {"take_due"}
        await scheduler.add_job(notes.time, "interval", seconds=10, jobstore="flaky")
        await scheduler.add_job(notes.time_later, "interval", seconds=15)
        await clock.advance(30)

    assert notes == [15, 30]


async def test_finished_runs_are_kept_until_they_can_be_stored(
    clock: VirtualClock, store: FlakyStore, notes: Any
) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        job = await scheduler.add_job(notes.time_later, "interval", seconds=10, max_instances=100)
        store.broken = {"finish"}
        await clock.advance(50)
        meanwhile = (await scheduler.health()).jobstores["default"].unrecorded
        store.broken = set()
        await clock.advance(60)
        runs = await scheduler.get_runs(job.id)

    assert meanwhile == 5
    assert len(notes) == len(runs) == 11
    assert {run.outcome.value for run in runs} == {"succeeded"}


async def test_runs_that_cannot_be_stored_in_one_transaction_are_stored_in_smaller_ones(
    clock: VirtualClock, notes: Any
) -> None:
    class Narrow(MemoryJobStore):
        async def finish(self, runs: Sequence[Run]) -> list[Run]:
            if len(runs) > 2:
                raise ConnectionResetError("more than a packet takes")
            return await super().finish(runs)

    async with AsyncScheduler(clock=clock, jobstores={"default": Narrow()}) as scheduler:
        for number in range(20):
            await scheduler.add_job(notes.time_later, id=str(number))
        await clock.advance(60)

        assert {run.outcome.value for run in await scheduler.get_runs()} == {"succeeded"}
        assert (await scheduler.health()).jobstores["default"].unrecorded == 0


async def test_the_end_waits_until_finished_runs_are_stored(clock: VirtualClock, store: FlakyStore) -> None:
    scheduler = AsyncScheduler(jobstores={"default": store})
    async with scheduler:
        store.broken = {"finish"}
        handle = await scheduler.run_job((await scheduler.add_job(int, "interval", hours=1)).id)
        while not store.tries:
            await clock.run_until_idle()
        store.broken = set()

    assert (await handle.wait()).outcome.value == "succeeded"


async def test_a_trigger_that_raises_quarantines_its_job_and_no_other(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    await scheduler.add_listener(notes.keep, EVENT_JOB_QUARANTINED)
    await scheduler.add_listener(notes.event, STORE_EVENTS)
    broken = await scheduler.add_job(int, Fragile(2))
    ran: list[datetime] = []

    async def tick() -> None:
        ran.append(clock.now())

    await scheduler.add_job(tick, "interval", seconds=10)

    await clock.advance(100)

    assert len(ran) == 10
    assert len(await scheduler.get_runs(broken.id)) == 2
    (event,) = notes
    assert (event.job_id, event.jobstore) == (broken.id, "default")
    assert "ZeroDivisionError: worn out" in event.detail
    assert broken.quarantine == event.detail
    assert await scheduler.get_job(broken.id) is broken


async def test_a_quarantined_job_goes_on_when_it_is_rescheduled(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    job = await scheduler.add_job(notes.time, Fragile(0))
    await clock.advance(100)

    await scheduler.reschedule_job(job.id, trigger="interval", seconds=10)
    await clock.advance(20)

    assert job.quarantine is None
    assert notes == [110, 120]


async def test_health_and_events_tell_that_finished_runs_cannot_be_stored(
    clock: VirtualClock, store: FlakyStore, notes: Any
) -> None:
    async with AsyncScheduler(clock=clock, jobstores={"default": store}) as scheduler:
        await scheduler.add_listener(notes.keep, STORE_EVENTS)
        store.broken = {"finish"}
        await scheduler.add_job(int)
        await clock.advance(minutes=1)
        during = await scheduler.health()
        store.broken = set()
        await clock.advance(minutes=1)
        after = await scheduler.health()

    assert not during.is_ok
    assert during.jobstores["default"].last_error == "ConnectionResetError: finish got no answer"
    assert during.jobstores["default"].unrecorded == 1
    assert after.is_ok
    assert [event.code for event in notes] == [EVENT_JOBSTORE_FAILED, EVENT_JOBSTORE_RECOVERED]
