"""What runs return and raise that no store can keep: they end as they ended, on a real file."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import Cancel, RetryLater
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.retry import Retry
from apsched.run import Outcome, Run
from apsched.serializers import Unstorable

LONG = "x" * 3_000_000
ODD = "a\x00b\udc80c"
AGAIN = Retry(2, 0)


class UnspeakableError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Secretive:
    """Has no text either."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def nest() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


RESULTS = {"lambda": lambda: 0, "secretive": Secretive(), "long": LONG, "circle": circle(), "nested": nest()}
ERRORS: dict[str, Exception] = {
    "unspeakable": UnspeakableError(),
    "long": ValueError(LONG),
    "odd": ValueError(ODD),
    "later": RetryLater(0, LONG),
    "nested": ExceptionGroup(LONG, [ValueError(LONG), UnspeakableError()]),
}


def give(name: str) -> Any:
    return RESULTS[name]


def fail(name: str) -> None:
    raise ERRORS[name]


failed: set[str] = set()


def fail_and_give(error: str, result: str) -> Any:
    if error not in failed:
        failed.add(error)
        raise ERRORS[error]
    return RESULTS[result]


def cancel(name: str) -> None:
    raise Cancel({"long": LONG, "odd": ODD}[name])


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> None:
    """Log nothing: reports of tests that run in parallel cannot hold such texts either."""
    caplog.set_level(logging.CRITICAL, "apsched")


@pytest.fixture
async def scheduler(tmp_path: Path) -> AsyncIterator[AsyncScheduler]:
    failed.clear()
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    async with AsyncScheduler(timezone="UTC", jobstores={"default": store}) as scheduler:
        yield scheduler


async def outcome_of(scheduler: AsyncScheduler, func: Any, *args: Any, **options: Any) -> Run:
    """Run it, and return what the file says of that."""
    job = await scheduler.add_job(func, "cron", args, hour=0, minute=0, day=1, month=1, **options)
    handle = await scheduler.run_job(job.id)
    with anyio.fail_after(30):
        await handle.wait()
    [run] = await scheduler.get_runs(job.id)
    assert len(repr((run.retval, run.error, run.reason, run.attempts))) < 300_000
    assert (await scheduler.health()).is_ok
    return run


@pytest.mark.parametrize("name", RESULTS)
async def test_a_run_that_returned_what_cannot_be_stored_has_succeeded(scheduler: AsyncScheduler, name: str) -> None:
    run = await outcome_of(scheduler, give, name)

    assert run.outcome is Outcome.SUCCEEDED
    assert isinstance(run.retval, Unstorable)
    assert run.retval.text


@pytest.mark.parametrize("name", ERRORS)
async def test_a_run_that_raised_what_cannot_be_stored_has_failed(scheduler: AsyncScheduler, name: str) -> None:
    run = await outcome_of(scheduler, fail, name, retry=AGAIN)

    assert run.outcome is Outcome.FAILED
    assert run.error
    assert [(attempt.number, attempt.outcome) for attempt in run.attempts] == [(1, Outcome.FAILED)]
    assert len(run.attempts[0].error or "") <= 4000


@pytest.mark.parametrize("error", ERRORS)
async def test_a_run_that_was_attempted_again_may_return_what_cannot_be_stored(
    scheduler: AsyncScheduler, error: str
) -> None:
    run = await outcome_of(scheduler, fail_and_give, error, "long", retry=AGAIN)

    assert (run.outcome, len(run.attempts)) == (Outcome.SUCCEEDED, 1)
    assert "it takes 3000" in run.retval.text


@pytest.mark.parametrize("name", ["long", "odd"])
async def test_a_run_may_be_cancelled_for_any_reason(scheduler: AsyncScheduler, name: str) -> None:
    run = await outcome_of(scheduler, cancel, name)

    assert run.outcome is Outcome.CANCELLED
