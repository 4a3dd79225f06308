"""The blocking face on a store that other processes use too."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apsched.exceptions import JobStoreUnavailableError, SchedulerNotRunningError, SchedulerStateError
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.schedulers.background import BackgroundScheduler
from tests.threads import threads

if TYPE_CHECKING:
    from tests.face.conftest import Program, Record

posix = pytest.mark.skipif(os.name != "posix", reason="forks")

PAGE: dict[str, Any] = {}  # what jobs, which are found by name, find of their test


def work() -> None:
    """Do nothing."""


async def add_here() -> None:
    try:
        PAGE["scheduler"].add_job(work, "interval", hours=1, id="added")
    except SchedulerStateError as exc:
        PAGE["record"].note(str(exc))


async def add_in_a_thread() -> None:
    await asyncio.to_thread(PAGE["scheduler"].add_job, work, "interval", hours=1, id="added")
    PAGE["record"].note("added")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def shared(make: Callable[..., BackgroundScheduler], url: str, record: Record) -> BackgroundScheduler:
    scheduler = make(jobstores={"default": SQLAlchemyJobStore(url)})
    PAGE.update(scheduler=scheduler, record=record)
    return scheduler


def test_jobs_outlive_the_scheduler(make: Callable[..., BackgroundScheduler], url: str) -> None:
    first = make(jobstores={"default": SQLAlchemyJobStore(url)})
    first.start()
    first.add_job(work, "interval", hours=1, id="job")
    first.shutdown()

    second = make(jobstores={"default": SQLAlchemyJobStore(url)})
    second.start()
    job = second.get_job("job")

    assert job is not None
    assert job.jobstore == "default"


def test_a_job_that_was_read_from_a_store_is_a_handle(shared: BackgroundScheduler) -> None:
    shared.start()
    shared.add_job(work, "interval", hours=1, id="job")

    (job,) = shared.get_jobs()
    job.pause()

    assert job.next_run_time is None
    paused = shared.get_job("job")
    assert paused is not None
    assert paused.next_run_time is None


def test_a_coroutine_job_is_refused_a_verb_before_anything_has_happened(
    shared: BackgroundScheduler, record: Record
) -> None:
    shared.start()

    shared.add_job(add_here)
    (message,) = record.wait()

    assert message == (
        "job store 'default' must be waited for, which a plain call in the scheduler's own event loop cannot; "
        "call it from a thread: of a coroutine function for example by asyncio.to_thread"
    )
    assert shared.get_job("added") is None


def test_a_coroutine_job_may_call_a_verb_from_a_thread(shared: BackgroundScheduler, record: Record) -> None:
    shared.start()

    shared.add_job(add_in_a_thread)
    record.wait()

    assert shared.get_job("added") is not None


def test_runs_of_a_database_are_read_while_the_scheduler_runs(shared: BackgroundScheduler) -> None:
    with pytest.raises(SchedulerNotRunningError, match="its job store 'default' is not open; start it first"):
        shared.get_runs()


def test_a_store_that_cannot_be_reached_fails_the_start_and_leaves_nothing_open(
    make: Callable[..., BackgroundScheduler], tmp_path: Path, url: str
) -> None:
    nowhere = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'jobs.db'}")
    scheduler = make(jobstores={"default": SQLAlchemyJobStore(url), "nowhere": nowhere})
    before = threads()

    with pytest.raises(JobStoreUnavailableError):
        scheduler.start()

    assert not scheduler.running
    assert threads() <= before


def test_no_thread_is_left_at_the_end_of_the_shutdown(make: Callable[..., BackgroundScheduler], url: str) -> None:
    before = threads()
    scheduler = make(jobstores={"default": SQLAlchemyJobStore(url)})
    scheduler.start()
    assert "apsched-jobstore" in {thread.name for thread in threading.enumerate()}

    scheduler.shutdown()

    assert threads() <= before


@posix
def test_in_a_forked_child_nothing_gives_signs_of_life(start_program: Callable[[str], Program], url: str) -> None:
    program = start_program(
        f"""
        import os, threading, warnings
        from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
        from apsched.schedulers.background import BackgroundScheduler
        warnings.simplefilter("ignore")
        scheduler = BackgroundScheduler(jobstores={{"default": SQLAlchemyJobStore({url!r})}}, timezone="UTC")
        scheduler.start()
        if (child := os.fork()) == 0:
            print([thread.name for thread in threading.enumerate()], scheduler.running, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(scheduler.running, flush=True)
        scheduler.shutdown()
        """
    )

    code, output, errors = program.end()

    assert output.splitlines() == ["['MainThread'] False", "True"]
    assert (code, errors) == (0, "")
