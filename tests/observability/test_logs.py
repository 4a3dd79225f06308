"""Log records say to which run they belong."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from apsched import AsyncScheduler, current_run
from apsched.events import EVENT_JOB_ADDED
from apsched.logs import FIELDS, RunFilter
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing import BlockingClock, VirtualClock

logger = logging.getLogger("users.jobs")


class Records(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append({"message": record.getMessage(), **vars(record)})

    def of(self, message: str) -> dict[str, Any]:
        (found,) = [record for record in self.kept if record["message"].startswith(message)]
        return found


@pytest.fixture
def records() -> Iterator[Records]:
    handler = Records()
    handler.addFilter(RunFilter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def work() -> None:
    logger.info("at work")


async def work_later() -> None:
    logger.info("at work")


def fail() -> None:
    raise ConnectionError("nobody answers")


@pytest.mark.parametrize("func", [work, work_later])
async def test_what_a_job_logs_has_the_fields_of_its_run(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, records: Records, func: Any
) -> None:
    await apsched_scheduler.add_job(func, "interval", seconds=10, id="job")

    await apsched_clock.advance(10)

    record = records.of("at work")
    assert {name: record[name] for name in FIELDS} == {
        "job_id": "job",
        "run_id": "job@2026-01-01T00:00:10Z",
        "nominal_time": "2026-01-01T00:00:10+00:00",
        "attempt": 1,
        "node": apsched_scheduler.node,
    }


def test_what_a_job_of_a_background_scheduler_logs_has_them_too(
    apsched_background: BackgroundScheduler, apsched_background_clock: BlockingClock, records: Records
) -> None:
    apsched_background.add_job(work, id="job")
    apsched_background_clock.run_until_idle()

    assert records.of("at work")["job_id"] == "job"


async def test_what_the_scheduler_logs_of_a_run_has_them_and_its_store(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, records: Records
) -> None:
    await apsched_scheduler.add_job(fail, "interval", seconds=10, id="job")
    await apsched_scheduler.add_job(apsched_clock.sleep, "interval", args=[15], seconds=10, id="slow")

    await apsched_clock.advance(20)

    record = records.kept[[record["message"].startswith("run job@") for record in records.kept].index(True)]
    told = {name: record[name] for name in ("run_id", "outcome", "jobstore", "attempt")}
    assert told == {"run_id": "job@2026-01-01T00:00:10Z", "outcome": "failed", "jobstore": "default", "attempt": 1}
    assert records.of("run slow@")["outcome"] == "skipped"


async def test_what_the_scheduler_logs_of_a_job_and_of_an_event_about_one_names_it(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, records: Records
) -> None:
    def raises(event: Any) -> None:
        raise LookupError("no such thing")

    await apsched_scheduler.add_listener(raises, EVENT_JOB_ADDED)
    await apsched_scheduler.add_job(work, id="job")
    await apsched_clock.run_until_idle()

    for record in (records.of("listener "), records.of("added job ")):
        assert (record["job_id"], record["jobstore"]) == ("job", "default")


async def test_what_is_logged_outside_of_runs_and_what_has_such_a_field_stays_as_it_is(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, records: Records
) -> None:
    logger.info("before")
    await apsched_scheduler.add_job(lambda: logger.info("with its own", extra={"node": "mine"}), id="job")
    await apsched_clock.run_until_idle()

    assert not set(FIELDS) & set(records.of("before"))
    assert (records.of("with its own")["node"], records.of("with its own")["job_id"]) == ("mine", "job")


def log_in_process() -> str:
    handler = Records()
    handler.addFilter(RunFilter())
    process_logger = logging.getLogger("users.process")
    process_logger.addHandler(handler)
    process_logger.warning("in a process")
    return json.dumps({"run_id": handler.of("in a process")["run_id"], "expected": current_run().id})


async def test_a_worker_process_has_them_where_logging_is_set_up_there() -> None:
    async with AsyncScheduler(executors={"default": "processpool"}, timezone="UTC") as scheduler:
        await scheduler.add_job(log_in_process, "interval", days=1, id="job")
        handle = await scheduler.run_job("job")
        told = json.loads(await handle.result())

    assert told["run_id"] == told["expected"] == handle.run_id
