"""The clock that is advanced by hand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.clock import Wakeup
from apsched.run import Outcome
from apsched.testing import clock as clock_module
from apsched.testing.clock import START, VirtualClock


def test_a_clock_starts_at_the_beginning_of_2026() -> None:
    assert VirtualClock().now() == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_clock_may_start_at_any_aware_instant_and_shows_it_in_utc() -> None:
    start = datetime.fromisoformat("2030-05-01T12:00:00+02:00")

    assert VirtualClock(start).now() == start
    assert VirtualClock(start).now().tzinfo is UTC


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="start must be an aware datetime"):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point


async def test_a_clock_stands_still(clock: VirtualClock) -> None:
    await anyio.lowlevel.checkpoint()

    assert (clock.now(), clock.monotonic()) == (START, 0)


@pytest.mark.parametrize(
    ("arguments", "options", "passed"),
    [
        ((), {}, 0),
        ((1.5,), {}, 1.5),
        ((timedelta(minutes=2),), {}, 120),
        ((1,), {"minutes": 1, "hours": 1, "days": 1}, 90061),
    ],
)
async def test_advance_adds_up_its_arguments(
    clock: VirtualClock, arguments: tuple[Any, ...], options: dict[str, float], passed: float
) -> None:
    await clock.advance(*arguments, **options)

    assert clock.now() == START + timedelta(seconds=passed)
    assert clock.monotonic() == passed


async def test_advance_refuses_less_than_nothing(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="advance needs 0 seconds or more"):
        await clock.advance(-1)

    assert clock.now() == START


async def test_everything_that_is_due_at_an_instant_happens_before_the_next(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def chain(left: int) -> None:
        notes.append((notes.seconds, left))
        if left:
            await scheduler.add_job(chain, args=[left - 1])

    await scheduler.add_job(chain, "interval", [3], seconds=10)

    await clock.advance(20)

    assert notes == [(second, left) for second in (10, 20) for left in (3, 2, 1, 0)]


async def test_a_job_sleeps_in_virtual_time(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def sleep() -> None:
        await clock.sleep(3600)
        notes.time()

    await scheduler.add_job(sleep)

    await clock.advance(3599)
    assert notes == []
    await clock.advance(1)
    assert notes == [3600]


async def test_sleepers_wake_in_the_order_of_their_times(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        notes.time()

    await scheduler.add_jobs([{"func": sleep, "args": [second]} for second in (3, 1, 2)])

    await clock.advance(5)

    assert notes == [1, 2, 3]


async def test_a_sleep_of_nothing_ends_at_once(clock: VirtualClock) -> None:
    with anyio.fail_after(5):
        await clock.sleep(0)

    assert clock.now() == START


async def test_a_parked_coroutine_does_not_hold_up_time(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    go = anyio.Event()

    async def wait() -> None:
        with clock.parked():
            await go.wait()
        notes.time()

    await scheduler.add_job(wait)
    await clock.advance(100)
    go.set()
    await clock.advance()

    assert notes == [100]


async def test_a_parked_thread_does_not_hold_up_time(
    scheduler: AsyncScheduler, clock: VirtualClock, notes: Any
) -> None:
    go = threading.Event()

    def wait() -> None:
        with clock.parked():
            go.wait()
        notes.time()

    job = await scheduler.add_job(wait, "interval", hours=10)
    handle = await scheduler.run_job(job.id)
    await clock.advance(100)
    go.set()
    await handle.wait()

    assert notes == [100]


async def test_a_thread_that_works_holds_up_time(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    def work() -> None:
        sum(range(300_000))
        notes.time()

    await scheduler.add_job(work, "interval", seconds=1)

    await clock.advance(3)

    assert notes == [1, 2, 3]


async def test_advance_loses_patience_with_a_job_that_waits_in_real_time(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "PATIENCE", 0.05)
    async with AsyncScheduler(clock=clock) as scheduler:
        await scheduler.add_job(anyio.sleep_forever)

        with pytest.raises(
            TimeoutError, match=r"1 pieces of work were left at 2026-01-01 .* after 0\.05 s of real time"
        ):
            await clock.advance()


async def test_leaving_a_scheduler_on_this_clock_cancels_what_is_under_way(clock: VirtualClock) -> None:
    async with AsyncScheduler(clock=clock) as scheduler:
        job = await scheduler.add_job(clock.sleep, args=[3600])
        await clock.advance()

    assert [run.outcome for run in await scheduler.get_runs(job.id)] == [Outcome.CANCELLED]


async def test_when_a_scheduler_is_left_its_clock_is_idle(clock: VirtualClock, notes: Any) -> None:
    for _ in range(3):
        async with AsyncScheduler(clock=clock) as scheduler:
            await scheduler.add_listener(notes.event)
            await scheduler.add_job(clock.sleep, args=[3600])
            await scheduler.add_job(notes.time, "interval", seconds=7)
            await clock.advance(10)

    await clock.advance(1000)

    assert [note for note in notes if isinstance(note, float)] == [7, 17, 27]


async def test_two_schedulers_share_a_clock(clock: VirtualClock, notes: Any) -> None:
    async with AsyncScheduler(clock=clock) as one, AsyncScheduler(clock=clock) as other:
        await one.add_job(notes.time, "interval", seconds=3)
        await other.add_job(notes.time, "interval", seconds=5)

        await clock.advance(10)

    assert notes == [3, 5, 6, 9, 10]


async def test_thousands_of_hours_pass_quickly(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    await scheduler.add_job(notes.time_later, "interval", hours=1)

    await clock.advance(days=100)

    assert len(notes) == 2400


async def test_the_same_program_takes_the_same_course_each_time() -> None:
    async def course() -> list[Any]:
        clock = VirtualClock()
        noted: list[Any] = []

        async def work(name: str, seconds: float) -> None:
            noted.append((name, clock.monotonic()))
            await clock.sleep(seconds)
            noted.append((name, clock.monotonic()))

        async with AsyncScheduler(clock=clock) as scheduler:
            await scheduler.add_job(work, "interval", ["a", 3], id="a", seconds=2, max_instances=2)
            await scheduler.add_job(work, "interval", ["b", 5], id="b", seconds=3, overlap="queue_one")
            await clock.advance(60)
        return sorted(noted, key=lambda note: note[::-1])  # at one instant trio shuffles its tasks

    assert await course() == await course()


async def test_jump_moves_the_wall_clock_and_lets_no_time_pass(clock: VirtualClock) -> None:
    await clock.jump(3600)
    await clock.jump(-7200)

    assert clock.now() == START - timedelta(hours=1)
    assert clock.monotonic() == 0


async def test_a_jump_does_not_end_a_sleep(scheduler: AsyncScheduler, clock: VirtualClock, notes: Any) -> None:
    async def sleep() -> None:
        await clock.sleep(100)
        notes.append(clock.monotonic())

    await scheduler.add_job(sleep)
    await clock.advance(10)
    await clock.jump(7200)
    await clock.jump(-7200)
    assert notes == []
    await clock.advance(100)

    assert notes == [100]


async def test_a_jump_while_time_passes_counts(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    async def turn_the_clock() -> None:
        with clock.parked():
            await clock.jump(3600)

    await scheduler.add_job(turn_the_clock, "date", run_date=START + timedelta(seconds=10))

    await clock.advance(20)

    assert clock.now() == START + timedelta(seconds=3620)
    assert clock.monotonic() == 20


async def test_a_wait_ends_when_its_wakeup_is_set(clock: VirtualClock) -> None:
    wakeup = Wakeup()
    clock.work_began()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.lowlevel.checkpoint)
        wakeup.set()
        assert await clock.wait(wakeup, None) is True
    clock.work_ended()


async def test_a_wait_for_what_has_come_ends_at_once(clock: VirtualClock) -> None:
    assert await clock.wait(Wakeup(), START) is False
