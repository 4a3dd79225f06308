"""Verbs about jobs in memory are carried out by the thread that calls them, and nothing happens beside them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio.lowlevel
import pytest

from apsched.events import EVENT_JOB_ADDED
from apsched.exceptions import SchedulerNotRunningError
from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.background import BackgroundScheduler
from apsched.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from apsched.job import Job
    from apsched.jobstores.base import Merge
    from tests.face.conftest import Record

    Make = Callable[..., BackgroundScheduler]

FAR = datetime(2999, 1, 1, tzinfo=UTC)


def nothing() -> None:
    pass


class Probe(BaseTrigger):
    """Calls something when it is asked for a time."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        self._call()
        return FAR


class SlowStore(MemoryJobStore):
    """Waits before it does anything."""

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        await anyio.lowlevel.checkpoint()
        return await super().add(jobs, merge)


def thread_of_verbs(scheduler: BackgroundScheduler) -> threading.Thread:
    """Return the thread in which a job is made; when nothing else is to be done."""
    seen: list[threading.Thread] = []
    for _ in range(100):  # the event loop may be awake at the first
        scheduler.add_job(nothing, Probe(lambda: seen.append(threading.current_thread())))
        if seen[-1] is threading.current_thread():
            break
        time.sleep(0.01)
    return seen[-1]


def test_a_verb_is_carried_out_in_the_thread_that_calls_it(scheduler: BackgroundScheduler) -> None:
    scheduler.start()

    assert thread_of_verbs(scheduler) is threading.current_thread()


def test_a_store_that_may_wait_is_asked_in_the_event_loop(make: Make) -> None:
    scheduler = make(jobstores={"default": SlowStore()})
    scheduler.start()

    assert thread_of_verbs(scheduler).name == "apsched"


def test_the_debug_mode_of_asyncio_sees_nothing_wrong(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    scheduler = make()
    scheduler.start()

    assert thread_of_verbs(scheduler).name == "apsched"


def test_an_event_loop_of_another_kind_does(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop(asyncio.SelectorEventLoop):
        pass

    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    scheduler = make()
    scheduler.start()

    assert thread_of_verbs(scheduler).name == "apsched"


def test_a_job_that_is_due_at_once_runs_at_once(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start()
    thread_of_verbs(scheduler)

    for number in range(50):
        scheduler.add_job(record.note, args=[number])
        record.wait(number + 1)

    assert record.values == list(range(50))


def test_a_verb_waits_while_the_event_loop_is_at_work(scheduler: BackgroundScheduler, record: Record) -> None:
    go_on = threading.Event()

    async def block() -> None:
        record.note("began")
        go_on.wait(20)
        record.note("ended")

    scheduler.start()
    scheduler.add_job(block)
    record.wait_for("began")
    adding = threading.Thread(
        target=lambda: record.note(scheduler.add_job(nothing, "date", run_date=FAR, id="late").id)
    )

    adding.start()
    go_on.set()
    adding.join()

    assert record.values == ["began", "ended", "late"]


def test_a_verb_may_be_called_within_another(scheduler: BackgroundScheduler) -> None:
    scheduler.start()

    def add_another() -> None:
        scheduler.add_job(nothing, "date", run_date=FAR, id="inner", replace_existing=True)

    scheduler.add_job(nothing, Probe(add_another), id="outer")

    assert {job.id for job in scheduler.get_jobs()} == {"inner", "outer"}


def test_a_shutdown_within_a_verb_waits_as_ever(scheduler: BackgroundScheduler) -> None:
    """As of a signal handler that comes while the main thread adds a job."""
    scheduler.start()
    thread_of_verbs(scheduler)

    scheduler.add_job(nothing, Probe(scheduler.shutdown))

    assert not scheduler.running


def test_what_waits_within_a_verb_lets_the_event_loop_go_on(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start()
    thread_of_verbs(scheduler)

    def run_another() -> None:
        scheduler.add_job(record.note, "date", run_date=FAR, id="inner", args=["inner"])
        record.note(scheduler.run_job("inner").wait().outcome.value)

    scheduler.add_job(nothing, Probe(run_another), id="outer")

    assert record.values == ["inner", "succeeded"]
    assert {job.id for job in scheduler.get_jobs()} >= {"inner", "outer"}


def test_what_a_verb_raises_leaves_the_scheduler_at_work(scheduler: BackgroundScheduler, record: Record) -> None:
    def fail() -> None:
        raise SystemExit(3)

    scheduler.start()
    with pytest.raises(SystemExit):
        scheduler.add_job(nothing, Probe(fail))

    scheduler.add_job(record.note)
    record.wait()


def test_a_listener_hears_of_each_job_in_the_order_of_the_verbs(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.add_listener(lambda event: record.note(event.job_id), EVENT_JOB_ADDED)
    scheduler.start()

    added = [scheduler.add_job(nothing, "date", run_date=FAR).id for _ in range(300)]

    assert record.wait(300) == added


def test_verbs_of_many_threads_and_runs_do_not_mix(scheduler: BackgroundScheduler, record: Record) -> None:
    """Each thread adds jobs that are due, moves some that are not, and removes them, while runs go on."""

    def use(number: int) -> None:
        for turn in range(100):
            name = f"{number}-{turn}"
            scheduler.add_job(record.note, args=[name])
            scheduler.add_job(nothing, "interval", hours=1, id=name)
            scheduler.modify_job(name, next_run_time=FAR + timedelta(seconds=turn))
            if turn % 2:
                scheduler.remove_job(name)

    scheduler.start()
    threads = [threading.Thread(target=use, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(record.wait(500)) == sorted(f"{number}-{turn}" for number in range(5) for turn in range(100))
    assert {job.id for job in scheduler.get_jobs()} == {
        f"{number}-{turn}" for number in range(5) for turn in range(0, 100, 2)
    }


def test_verbs_that_come_while_the_scheduler_ends_all_end(make: Make) -> None:
    for _ in range(20):
        scheduler = make()
        scheduler.start()
        is_over = threading.Event()

        def add(scheduler: BackgroundScheduler = scheduler, is_over: threading.Event = is_over) -> None:
            while not is_over.is_set():
                try:
                    scheduler.add_job(nothing, "date", run_date=FAR)
                except SchedulerNotRunningError:
                    break

        adding = threading.Thread(target=add)
        adding.start()
        scheduler.shutdown()
        is_over.set()
        adding.join(20)
        assert not adding.is_alive()
