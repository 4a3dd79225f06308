"""What runs tell of themselves: progress, and what they log."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from apsched import _log_lines
from apsched.async_scheduler import AsyncScheduler
from apsched.engine.current import current_run
from apsched.exceptions import RunFailedError
from apsched.executors.pool import ProcessPoolExecutor
from apsched.retry import Retry
from apsched.run import Report
from apsched.testing.clock import VirtualClock
from apsched.testing.cluster import Cluster

logger = logging.getLogger("program.jobs")


@pytest.fixture(autouse=True)
def let_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "program")


async def report_of(scheduler: AsyncScheduler, job_id: str = "job") -> Report:
    (run,) = await scheduler.get_runs(job_id)
    assert run.report is not None
    return run.report


def work_in_a_process() -> str:
    logging.getLogger("program.jobs").warning("from another process")
    current_run().progress(0.5, "half")
    current_run().progress(0.75)
    return "done"


async def test_progress_is_seen_while_the_run_is_under_way_and_kept(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    async def work() -> None:
        current_run().progress(0.25, "a quarter")
        await clock.sleep(10)
        current_run().progress(0.5)

    await scheduler.add_job(work, id="job")
    await clock.advance(5)
    during = await report_of(scheduler)
    await clock.advance(10)

    assert during == Report(progress=0.25, message="a quarter")
    assert await report_of(scheduler) == Report(progress=0.5, message="a quarter")


async def test_other_nodes_see_it_within_seconds(clock: VirtualClock) -> None:
    async def work() -> None:
        current_run().progress(0.25, "a quarter")
        logger.info("one")
        await clock.sleep(10)
        logger.info("two")
        await clock.sleep(10)

    cluster = Cluster(clock)
    async with cluster.node() as one, cluster.node() as two:
        await one.scheduler.add_job(work, id="job")
        await clock.advance(9)
        assert (await report_of(two.scheduler)).progress == 0.25
        await clock.advance(6)
        log = (await report_of(two.scheduler)).log or ""
        assert [line.partition("program.jobs: ")[2] for line in log.splitlines()] == ["one", "two"]


async def test_what_a_run_logs_is_kept_with_it_and_with_no_other_one(
    scheduler: AsyncScheduler, clock: VirtualClock
) -> None:
    def work(number: int) -> None:
        logger.info("number %d", number)
        logger.debug("not let through")
        try:
            raise KeyError(number)
        except KeyError:
            logger.exception("it failed")

    await scheduler.add_job(work, args=[1], id="1")
    await scheduler.add_job(work, args=[2], id="2")
    logger.info("outside")
    await clock.advance(5)

    for number in (1, 2):
        log = (await report_of(scheduler, str(number))).log or ""
        lines = log.splitlines()
        assert lines[0].endswith(f"Z INFO program.jobs: number {number}")
        assert lines[1].endswith("Z ERROR program.jobs: it failed")
        assert lines[-1] == f"KeyError: {number}"
        assert "let through" not in log


async def test_of_a_long_log_the_last_lines_are_kept(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    async def work() -> None:
        for number in range(5_000):
            logger.info("line %d", number)
        logger.info("%s", "x" * 100_000)

    await scheduler.add_job(work, id="job")
    await clock.advance(5)

    log = (await report_of(scheduler)).log or ""
    assert len(log) <= _log_lines.LONGEST_LOG
    *lines, last = log.splitlines()
    assert lines[-1].endswith("line 4999")
    assert lines[0].count("line") == 1
    assert len(last) == _log_lines.LONGEST_LINE


async def test_nothing_is_kept_where_that_is_not_wanted_and_the_loggers_are_left_as_they_were(
    clock: VirtualClock,
) -> None:
    async def work() -> None:
        logger.info("a secret")

    handlers, factory = list(logging.getLogger().handlers), logging.getLogRecordFactory()
    async with AsyncScheduler(clock=clock, keep_log=False) as scheduler:
        await scheduler.add_job(work, id="job")
        await clock.advance(1)
        (run,) = await scheduler.get_runs("job")
    async with AsyncScheduler(clock=clock):
        assert logging.getLogger().handlers == handlers

    assert run.report is None
    assert logging.getLogRecordFactory() is factory


async def test_a_record_that_cannot_be_shown_fails_no_job(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    async def work() -> str:
        threading.Thread(target=logger.info, args=("in a thread of its own",)).start()
        logging.getLogRecordFactory()("program", 20, "", 1, "%d", ("no number",), None)
        return "done"

    await scheduler.add_job(work, id="job")
    await clock.advance(1)

    (run,) = await scheduler.get_runs("job")
    assert (run.retval, run.report) == ("done", None)


async def test_a_worker_process_tells_what_its_run_tells(notes: Any) -> None:
    async with AsyncScheduler(executors={"processes": ProcessPoolExecutor(1)}) as scheduler:
        await scheduler.add_job(work_in_a_process, "cron", year=2999, id="job", executor="processes")
        handle = await scheduler.run_job("job")
        assert await handle.result() == "done"
        again = await scheduler.run_job("job")
        assert await again.result() == "done"

        for run in await scheduler.get_runs("job"):
            assert run.report is not None
            assert (run.report.progress, run.report.message) == (0.75, "half")
            assert (run.report.log or "").count("from another process") == 1


async def test_each_attempt_goes_on_with_the_log(scheduler: AsyncScheduler, clock: VirtualClock) -> None:
    async def work() -> None:
        logger.info("attempt %d", current_run().attempt)
        raise ValueError

    await scheduler.add_job(work, "cron", hour=12, id="job", retry=Retry(2, 1))
    handle = await scheduler.run_job("job")
    await clock.advance(10)

    log = (await report_of(scheduler)).log or ""
    assert [line[-9:] for line in log.splitlines()] == ["attempt 1", "attempt 2"]
    with pytest.raises((RunFailedError, ValueError)):
        await handle.result()


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
async def test_a_fraction_out_of_range_is_refused(
    scheduler: AsyncScheduler, clock: VirtualClock, fraction: float, notes: Any
) -> None:
    async def work() -> None:
        try:
            current_run().progress(fraction)
        except ValueError as exc:
            notes.append(str(exc))

    await scheduler.add_job(work)
    await clock.advance(1)

    assert notes == [f"fraction must be from 0 to 1, or None, got {fraction}"]
