"""How the blocking scheduler starts and returns; signals are in test_process_events.py."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import pytest

from apsched.exceptions import SchedulerAlreadyRunningError, SchedulerNotRunningError
from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.blocking import BlockingScheduler
from tests.threads import threads

if TYPE_CHECKING:
    from tests.face.conftest import Record


@pytest.fixture
def scheduler() -> BlockingScheduler:
    return BlockingScheduler(timezone="UTC")


def nothing() -> None:
    pass


@pytest.mark.parametrize("is_async", [False, True])
def test_start_returns_when_a_job_shuts_it_down(scheduler: BlockingScheduler, is_async: bool) -> None:
    def job() -> None:
        scheduler.shutdown(wait=False)

    async def coroutine_job() -> None:
        scheduler.shutdown(wait=False)

    scheduler.add_job(coroutine_job if is_async else job)

    scheduler.start()

    assert not scheduler.running


def test_start_returns_when_another_thread_shuts_it_down(scheduler: BlockingScheduler, record: Record) -> None:
    def shut_down() -> None:
        record.wait()
        scheduler.shutdown()

    scheduler.add_job(record.note)
    thread = threading.Thread(target=shut_down)
    thread.start()

    scheduler.start()

    assert not scheduler.running
    thread.join()


def test_no_thread_is_left_when_start_returns(scheduler: BlockingScheduler) -> None:
    before = threads()
    scheduler.add_job(lambda: scheduler.shutdown(wait=False))
    scheduler.add_listener(lambda event: None)

    scheduler.start()

    left = threads() - before
    assert all(
        "apsched" in thread.name and thread.name != "apsched" for thread in left
    )  # the job may be on its way out


def test_it_can_be_started_again(scheduler: BlockingScheduler, record: Record) -> None:
    def job(number: int) -> None:
        record.note(number)
        scheduler.shutdown(wait=False)

    for number in range(3):
        scheduler.add_job(job, args=[number])
        scheduler.start()

    assert record.values == [0, 1, 2]


def test_a_job_may_resume_a_scheduler_that_was_started_paused(scheduler: BlockingScheduler, record: Record) -> None:
    def resume() -> None:
        while not scheduler.running:
            pass
        record.note(scheduler.get_runs())
        scheduler.resume()

    scheduler.add_job(lambda: scheduler.shutdown(wait=False))
    thread = threading.Thread(target=resume)
    thread.start()

    scheduler.start(paused=True)

    assert record.values == [[]]
    thread.join()


def test_starting_it_in_a_job_is_an_error(scheduler: BlockingScheduler, record: Record) -> None:
    def job() -> None:
        try:
            scheduler.start()
        except SchedulerAlreadyRunningError as exc:
            record.note(str(exc))
        scheduler.shutdown(wait=False)

    scheduler.add_job(job)

    scheduler.start()

    assert record.values[0] in {"Scheduler is already running", "Scheduler is being started already"}


def test_a_start_that_fails_raises_and_leaves_nothing_running(scheduler: BlockingScheduler) -> None:
    class Broken(MemoryJobStore):
        async def __aenter__(self) -> Self:
            raise ConnectionError("no server there")

    before = threads()
    handler = signal.getsignal(signal.SIGTERM)
    scheduler.configure(jobstores={"default": Broken()})

    with pytest.raises(ConnectionError, match="no server there"):
        scheduler.start()

    assert threads() == before
    assert signal.getsignal(signal.SIGTERM) is handler
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()


def test_the_handler_of_sigterm_is_set_while_it_runs_only(
    scheduler: BlockingScheduler, wait_until: Callable[[Callable[[], object]], None], record: Record
) -> None:
    def job() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
        record.note("set")
        scheduler.shutdown(wait=False)

    scheduler.add_job(job)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    scheduler.start()

    assert record.values == ["set"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_it_may_be_started_in_another_thread_than_the_main_one(scheduler: BlockingScheduler, record: Record) -> None:
    scheduler.add_job(record.note)
    thread = threading.Thread(target=scheduler.start)
    thread.start()
    record.wait()

    scheduler.shutdown()

    thread.join(10)
    assert not thread.is_alive()
