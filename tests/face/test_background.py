"""When the background scheduler runs, what its jobs may do, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from apsched.events import EVENT_JOB_ADDED, EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED, EVENT_SCHEDULER_STARTED
from apsched.exceptions import (
    AliasLookupError,
    ConflictingIdError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    SchedulerStateError,
)
from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.background import BackgroundScheduler
from apsched.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED
from apsched.testing.clock import VirtualClock
from tests.threads import threads

if TYPE_CHECKING:
    from tests.face.conftest import Record

    Make = Callable[..., BackgroundScheduler]
    WaitUntil = Callable[[Callable[[], object]], None]

FAR = datetime(2999, 1, 1, tzinfo=UTC)


def nothing() -> None:
    pass


class BrokenStore(MemoryJobStore):
    async def __aenter__(self) -> Any:
        raise ConnectionError("no server there")


# before the start


def test_nothing_starts_a_thread_before_the_start(make: Make) -> None:
    before = threads()

    scheduler = make()
    job = scheduler.add_job(nothing, "interval", seconds=1, id="a")
    job.modify(name="b")
    scheduler.pause_job("a")
    scheduler.get_jobs()
    scheduler.add_listener(print)

    assert threads() == before
    assert not scheduler.running
    assert scheduler.state == STATE_STOPPED


def test_a_job_added_before_the_start_is_pending_and_runs_after_it(
    scheduler: BackgroundScheduler, record: Record
) -> None:
    job = scheduler.add_job(record.note, args=["ran"])
    assert job.pending

    scheduler.start()

    record.wait_for("ran")
    assert not job.pending


def test_the_next_run_time_counts_from_the_start(make: Make) -> None:
    clock = VirtualClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
    scheduler = make(clock=clock)
    job = scheduler.add_job(nothing, "cron", hour="*")
    anyio.run(partial(clock.advance, days=1))

    scheduler.start(paused=True)

    assert job.next_run_time == datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_get_jobs_tells_pending_jobs_from_others(scheduler: BackgroundScheduler) -> None:
    scheduler.add_job(nothing, "date", run_date=FAR, id="a")
    assert [job.id for job in scheduler.get_jobs(pending=True)] == ["a"]
    assert scheduler.get_jobs(pending=False) == []

    scheduler.start()

    assert scheduler.get_jobs(pending=True) == []
    assert [job.id for job in scheduler.get_jobs(pending=False)] == ["a"]


def test_a_taken_id_is_told_before_the_start(scheduler: BackgroundScheduler) -> None:
    scheduler.add_job(nothing, "date", run_date=FAR, id="a")

    with pytest.raises(ConflictingIdError, match="replace_existing"):
        scheduler.add_job(nothing, "date", run_date=FAR, id="a")

    assert len(scheduler.get_jobs()) == 1


def test_configure_after_adding_jobs_and_not_after_the_start(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.add_job(record.note, executor="other", args=["ran"])
    scheduler.configure(
        executors={"other": {"type": "threadpool", "max_workers": 2}}, job_defaults={"max_instances": 3}
    )

    scheduler.start()

    record.wait_for("ran")
    assert scheduler.add_job(nothing, "date", run_date=FAR).max_instances == 3
    with pytest.raises(SchedulerAlreadyRunningError, match="configure"):
        scheduler.configure(timezone="UTC")


# a start that fails


class FullStore(MemoryJobStore):
    """Has a job before it is asked to take any."""

    async def __aenter__(self) -> Any:
        helper = BackgroundScheduler()
        await self.add([helper.add_job(nothing, "date", run_date=FAR, id="a").copy()])
        return self


def test_a_conflict_at_the_start_raises_and_leaves_nothing_running(make: Make) -> None:
    before = threads()
    scheduler = make(jobstores={"default": FullStore()})
    scheduler.add_job(nothing, "date", run_date=FAR, id="a")

    with pytest.raises(ConflictingIdError):
        scheduler.start()

    assert threads() == before
    assert not scheduler.running
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()


def test_an_unknown_executor_is_told_at_the_start(make: Make) -> None:
    before = threads()
    scheduler = make()
    scheduler.add_job(nothing, "date", run_date=FAR, id="a", executor="mars")

    with pytest.raises(AliasLookupError, match="mars"):
        scheduler.start()

    assert threads() == before


def test_a_store_that_cannot_be_opened_is_told_at_the_start(make: Make) -> None:
    before = threads()
    scheduler = make(jobstores={"other": BrokenStore()})

    with pytest.raises(ConnectionError, match="no server there"):
        scheduler.start()

    assert threads() == before
    scheduler.configure(jobstores={"other": MemoryJobStore()})
    scheduler.start()
    assert scheduler.running


def test_a_failed_start_holds_back_no_call_of_other_threads(make: Make, record: Record) -> None:
    scheduler = make(jobstores={"other": BrokenStore()})

    def add() -> None:
        while not scheduler.get_jobs():
            scheduler.add_job(nothing, "date", run_date=FAR)
        record.note("added")

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    with pytest.raises(ConnectionError):
        scheduler.start()

    record.wait(2)
    for thread in threads:
        thread.join()


# start and shutdown


def test_starting_twice_is_an_error(scheduler: BackgroundScheduler) -> None:
    scheduler.start()

    with pytest.raises(SchedulerAlreadyRunningError):
        scheduler.start()

    assert scheduler.running


def test_of_many_starts_at_once_one_wins(scheduler: BackgroundScheduler, record: Record) -> None:
    barrier = threading.Barrier(5)

    def start() -> None:
        barrier.wait()
        try:
            scheduler.start()
        except SchedulerAlreadyRunningError:
            record.note("refused")
        else:
            record.note("started")

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(record.values) == ["refused"] * 4 + ["started"]


@pytest.mark.parametrize("verb", ["shutdown", "pause", "resume"])
def test_what_needs_a_running_scheduler_says_so_before_the_start(scheduler: BackgroundScheduler, verb: str) -> None:
    with pytest.raises(SchedulerNotRunningError):
        getattr(scheduler, verb)()


def test_shutting_down_twice_is_an_error(scheduler: BackgroundScheduler) -> None:
    scheduler.start()
    scheduler.shutdown()

    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()


def test_no_thread_is_left_after_the_shutdown(make: Make, record: Record) -> None:
    for _ in range(20):
        before = threads()
        scheduler = make()
        scheduler.add_listener(nothing_of)
        scheduler.add_job(record.note)
        scheduler.start()
        scheduler.shutdown()
        assert threads() == before


def nothing_of(event: Any) -> None:
    pass


def test_it_can_be_started_again(scheduler: BackgroundScheduler, record: Record) -> None:
    for number in range(3):
        scheduler.add_job(record.note, args=[number])
        scheduler.start()
        record.wait_for(number)
        scheduler.shutdown()
        assert not scheduler.running


def test_it_can_be_started_again_while_a_shutdown_without_waiting_ends(
    scheduler: BackgroundScheduler, record: Record, wait_until: WaitUntil
) -> None:
    scheduler.add_job(scheduler.shutdown, kwargs={"wait": False})
    scheduler.start()
    wait_until(lambda: not scheduler.running)

    scheduler.start()

    assert scheduler.running
    scheduler.add_job(record.note, args=["ran"])
    record.wait_for("ran")


def test_shutdown_waits_for_runs_under_way(scheduler: BackgroundScheduler, record: Record) -> None:
    release = threading.Event()

    def job() -> None:
        record.note("began")
        release.wait(10)
        record.note("ended")

    scheduler.start()
    scheduler.add_job(job)
    record.wait_for("began")
    threading.Timer(0.05, release.set).start()

    scheduler.shutdown()

    assert record.values == ["began", "ended"]


@pytest.mark.parametrize("wait", [False, 0.05])
def test_shutdown_gives_runs_up_after_the_time_given(
    scheduler: BackgroundScheduler, record: Record, wait: bool | float
) -> None:
    release = threading.Event()

    def job() -> None:
        record.note("began")
        release.wait(10)

    scheduler.start()
    scheduler.add_job(job)
    record.wait_for("began")
    began = time.monotonic()

    scheduler.shutdown(wait)

    assert wait <= time.monotonic() - began < 5
    release.set()


def test_a_coroutine_job_is_cancelled_when_the_time_is_over(scheduler: BackgroundScheduler, record: Record) -> None:
    async def job() -> None:
        record.note("began")
        try:
            await anyio.sleep(60)
        finally:
            record.note("cancelled")

    scheduler.start()
    scheduler.add_job(job)
    record.wait_for("began")

    scheduler.shutdown(wait=False)

    assert record.values == ["began", "cancelled"]


# pause


def test_a_paused_scheduler_runs_nothing_until_it_is_resumed(
    scheduler: BackgroundScheduler, record: Record, wait_until: WaitUntil
) -> None:
    scheduler.add_job(record.note, args=["ran"])
    scheduler.start(paused=True)
    assert scheduler.running
    assert scheduler.state == STATE_PAUSED
    scheduler.wakeup()
    assert scheduler.get_runs() == []

    scheduler.resume()

    assert scheduler.state == STATE_RUNNING
    record.wait_for("ran")
    scheduler.pause()
    assert scheduler.state == STATE_PAUSED


# jobs that use the scheduler


def use_all(scheduler: BackgroundScheduler, note: Callable[[Any], None]) -> None:
    job = scheduler.add_job(nothing, "interval", hours=1, id="new")
    scheduler.pause_job("new")
    assert scheduler.get_job("new").next_run_time is None  # type: ignore[union-attr]
    job.resume()
    job.reschedule("interval", hours=2)
    scheduler.modify_job("new", name="other")
    note(scheduler.get_job("new").name)  # type: ignore[union-attr]
    job.remove()
    note([known.id for known in scheduler.get_jobs()])


def test_a_job_in_a_thread_may_use_every_verb(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start()
    scheduler.add_job(use_all, "date", args=[scheduler, record.note])

    assert record.wait(2) == ["other", []]


def test_a_coroutine_job_may_use_every_verb(scheduler: BackgroundScheduler, record: Record) -> None:
    async def job() -> None:
        use_all(scheduler, record.note)

    scheduler.start()
    scheduler.add_job(job)

    assert record.wait(2) == ["other", []]


def test_a_job_that_adds_a_job_due_now_lets_it_run(scheduler: BackgroundScheduler, record: Record) -> None:
    def job() -> None:
        scheduler.add_job(record.note, args=["second"])

    async def coroutine_job() -> None:
        scheduler.add_job(job)

    scheduler.add_job(coroutine_job)
    scheduler.start()

    record.wait_for("second")


def test_a_job_may_remove_itself(scheduler: BackgroundScheduler, record: Record) -> None:
    def job() -> None:
        scheduler.remove_job("self")
        record.note()

    scheduler.add_job(job, "interval", seconds=0.01, id="self")
    scheduler.start()
    record.wait()

    assert scheduler.get_job("self") is None
    assert len(record.values) == 1


def test_a_job_may_start_a_run_and_wait_for_its_result(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start()
    scheduler.add_job(lambda: 42, "date", run_date=FAR, id="answer")
    scheduler.add_job(lambda: record.note(scheduler.run_job("answer").result()))

    assert record.wait() == [42]


def test_a_coroutine_job_cannot_wait_for_a_result_and_is_told_so(
    scheduler: BackgroundScheduler, record: Record
) -> None:
    async def job() -> None:
        handle = scheduler.run_job("answer")
        try:
            handle.result()
        except SchedulerStateError as exc:
            record.note(str(exc))

    scheduler.start()
    scheduler.add_job(lambda: 42, "date", run_date=FAR, id="answer")
    scheduler.add_job(job)

    assert "must wait for something" in record.wait()[0]


@pytest.mark.parametrize("wait", [True, 5])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_that_would_wait_for_itself_in_shutdown_gets_an_error(
    scheduler: BackgroundScheduler, record: Record, wait: bool | float, is_async: bool
) -> None:
    def job() -> None:
        try:
            scheduler.shutdown(wait)
        except SchedulerStateError as exc:
            record.note(str(exc))

    async def coroutine_job() -> None:
        job()

    scheduler.start()
    scheduler.add_job(coroutine_job if is_async else job)

    assert record.wait() == [
        f"shutdown(wait={wait}) was called from a job or a listener, for which it would wait; use wait=False"
    ]
    assert scheduler.running


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_may_shut_down_without_waiting(
    scheduler: BackgroundScheduler, record: Record, wait_until: WaitUntil, is_async: bool
) -> None:
    before = threads()

    def job() -> None:
        scheduler.shutdown(wait=False)
        record.note("returned")

    async def coroutine_job() -> None:
        job()

    scheduler.add_job(coroutine_job if is_async else job)
    scheduler.start()

    record.wait_for("returned")
    wait_until(lambda: threads() == before)
    assert not scheduler.running


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("odd")])
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_job_raises_the_scheduler_goes_on(
    scheduler: BackgroundScheduler, record: Record, error: BaseException, is_async: bool
) -> None:
    def job() -> None:
        raise error

    async def coroutine_job() -> None:
        raise error

    scheduler.start()
    scheduler.add_job(coroutine_job if is_async else job, "date", run_date=FAR, id="bad")

    with pytest.raises(type(error)):  # it comes to who asked for the result, and to nobody else
        scheduler.run_job("bad").result()

    scheduler.add_job(record.note, args=["ran"])
    record.wait_for("ran")


# listeners


def test_listeners_are_called_in_order_and_see_events_in_order(scheduler: BackgroundScheduler, record: Record) -> None:
    async def later(event: Any) -> None:
        record.note(("second", event.code))

    mask = EVENT_SCHEDULER_STARTED | EVENT_JOB_ADDED | EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED
    scheduler.add_listener(lambda event: record.note(("first", event.code)), mask)
    scheduler.add_listener(later, mask)
    scheduler.add_listener(lambda event: record.note(("third", event.code)), mask)

    scheduler.start()
    scheduler.add_job(nothing)

    codes = [EVENT_SCHEDULER_STARTED, EVENT_JOB_ADDED, EVENT_JOB_SUBMITTED, EVENT_JOB_EXECUTED]
    assert record.wait(12) == [(who, code) for code in codes for who in ("first", "second", "third")]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), BaseException("odd")])
def test_a_listener_that_raises_harms_nobody(
    scheduler: BackgroundScheduler, record: Record, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Any) -> None:
        raise error

    scheduler.add_listener(fail, EVENT_JOB_EXECUTED)
    scheduler.add_listener(record.note, EVENT_JOB_EXECUTED)
    scheduler.start()
    for count in (1, 2):
        scheduler.add_job(nothing)
        record.wait(count)

    assert scheduler.running
    assert any("raised on" in message for message in caplog.messages)


@pytest.mark.parametrize("kind", ["ValueError", "SystemExit", "CancelledError"])
def test_a_coroutine_listener_that_raises_harms_nobody(
    scheduler: BackgroundScheduler, record: Record, kind: str
) -> None:
    errors = {"ValueError": ValueError(), "SystemExit": SystemExit(3), "CancelledError": asyncio.CancelledError()}

    async def fail(event: Any) -> None:
        raise errors[kind]

    scheduler.add_listener(fail, EVENT_JOB_EXECUTED)
    scheduler.add_listener(record.note, EVENT_JOB_EXECUTED)
    scheduler.start()
    for count in (1, 2):
        scheduler.add_job(nothing)
        record.wait(count)

    assert scheduler.running


def test_a_listener_may_use_every_verb(scheduler: BackgroundScheduler, record: Record) -> None:
    def listen(event: Any) -> None:
        if not record.values:
            use_all(scheduler, record.note)

    scheduler.add_listener(listen, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing)

    assert record.wait(2) == ["other", []]


def test_a_listener_that_removes_itself_is_called_no_more(scheduler: BackgroundScheduler, record: Record) -> None:
    held = threading.Event()

    def once(event: Any) -> None:
        held.wait(10)  # so that more events queue up behind this one
        scheduler.remove_listener(once)
        record.note("once")

    def count(event: Any) -> None:
        record.note(event.job_id)

    scheduler.start()
    scheduler.add_listener(once, EVENT_JOB_ADDED)
    scheduler.add_listener(count, EVENT_JOB_ADDED)
    for number in range(5):
        scheduler.add_job(nothing, "date", run_date=FAR, id=str(number))
    held.set()

    record.wait(6)
    scheduler.add_job(nothing, "date", run_date=FAR, id="last")
    record.wait_for("last")
    assert record.values == ["once", "0", "1", "2", "3", "4", "last"]


def test_a_listener_must_not_wait_for_the_shutdown_and_is_told_so(
    scheduler: BackgroundScheduler, record: Record
) -> None:
    def listen(event: Any) -> None:
        try:
            scheduler.shutdown()
        except SchedulerStateError as exc:
            record.note(str(exc))
            scheduler.shutdown(wait=False)

    scheduler.add_listener(listen, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(nothing)

    assert "use wait=False" in record.wait()[0]


def test_what_happened_before_the_shutdown_is_told_before_it_returns(scheduler: BackgroundScheduler) -> None:
    codes: list[int] = []
    scheduler.add_listener(lambda event: codes.append(event.code))
    scheduler.start()
    for _ in range(20):
        scheduler.add_job(nothing, "date", run_date=FAR)

    scheduler.shutdown()

    assert codes.count(EVENT_JOB_ADDED) == 20


def test_listeners_hear_where_no_thread_can_be_started(
    scheduler: BackgroundScheduler, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler.start()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    scheduler.add_listener(record.note)
    scheduler.add_job(nothing, "date", run_date=FAR)

    record.wait()
    monkeypatch.undo()


def test_a_scheduler_for_which_no_thread_can_be_started_has_not_started(
    scheduler: BackgroundScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            scheduler.start()
    assert not scheduler.running

    scheduler.start()

    assert scheduler.running


# many threads


def test_many_threads_may_call_at_once(scheduler: BackgroundScheduler, record: Record) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            job = scheduler.add_job(nothing, "interval", hours=1, id=f"{number}-{turn}")
            job.pause()
            scheduler.modify_job(job.id, name="other")
            job.resume()
            if turn % 2:
                job.remove()
            scheduler.get_jobs()
        record.note("done")

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads[:4]:
        thread.start()
    scheduler.start()
    for thread in threads[4:]:
        thread.start()
    for thread in threads:
        thread.join()

    assert record.values == ["done"] * 8
    assert len(scheduler.get_jobs()) == 80
    assert not any(job.pending for job in scheduler.get_jobs())


def test_calls_around_starts_and_shutdowns_end(scheduler: BackgroundScheduler) -> None:
    is_over = threading.Event()
    errors: list[BaseException] = []

    def call() -> None:
        while not is_over.is_set():
            try:
                job = scheduler.add_job(nothing, "interval", hours=1)
                scheduler.get_jobs()
                scheduler.pause()
                scheduler.resume()
                job.remove()
            except (SchedulerNotRunningError, LookupError):
                pass
            except BaseException as exc:
                errors.append(exc)
                return

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        scheduler.start()
        scheduler.shutdown(wait=bool(turn % 2))
    is_over.set()
    for thread in threads:
        thread.join()

    assert errors == []


def test_who_waits_for_a_run_at_the_shutdown_waits_no_more(scheduler: BackgroundScheduler, record: Record) -> None:
    scheduler.start(paused=True)
    scheduler.add_job(nothing, "date", run_date=FAR, id="a")
    handle = scheduler.run_job("a")
    thread = threading.Thread(target=lambda: record.note(handle.wait().reason))
    thread.start()

    scheduler.shutdown()

    assert record.wait() == ["the scheduler was shut down before the run had ended"]
    thread.join()
