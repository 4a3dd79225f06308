"""Users' code around every run."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from flask import Flask, current_app, g

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.middleware import CallNext
from apsched.exceptions import ExecutorRefusedError
from apsched.executors.base import Call, Executor
from apsched.executors.pool import ProcessPoolExecutor
from apsched.integrations.flask import app_context
from apsched.run import Outcome, Run
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing.clock import VirtualClock

number: ContextVar[int] = ContextVar("number", default=0)


async def pass_on(run: Run, call_next: CallNext) -> Any:
    return await call_next()


async def add_one(run: Run, call_next: CallNext) -> Any:
    return await call_next() + 1


async def double(run: Run, call_next: CallNext) -> Any:
    return await call_next() * 2


def three() -> int:
    return 3


async def three_later() -> int:
    await anyio.lowlevel.checkpoint()
    return 3


async def run_of(func: Any, clock: VirtualClock, *middleware: Any, **options: Any) -> Run:
    """Return how a run of *func* ended within *middleware*."""
    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=middleware) as scheduler:
        await scheduler.add_executor("debug", "debug")
        await scheduler.add_job(func, "cron", hour=12, id="job", **options)
        return await (await scheduler.run_job("job")).wait()


@pytest.mark.parametrize(("func", "executor"), [(three, "default"), (three_later, "default"), (three, "debug")])
async def test_the_first_one_is_outermost_and_each_may_change_the_result(
    clock: VirtualClock, func: Any, executor: str
) -> None:
    run = await run_of(func, clock, add_one, double, executor=executor)

    assert (run.outcome, run.retval, run.reason) == (Outcome.SUCCEEDED, 7, None)


async def test_it_is_told_of_the_run(clock: VirtualClock) -> None:
    seen: list[Any] = []

    async def look(run: Run, call_next: CallNext) -> Any:
        seen.append((run.job_id, run.outcome, run.attempt))
        return await call_next()

    await run_of(three, clock, look)

    assert seen == [("job", Outcome.RUNNING, 1)]


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_the_callable_sees_context_variables_that_it_sets(clock: VirtualClock, kind: str) -> None:
    async def set_number(run: Run, call_next: CallNext) -> Any:
        number.set(5)
        return await call_next()

    async def get_later() -> int:
        return number.get()

    run = await run_of(number.get if kind == "thread" else get_later, clock, set_number)

    assert run.retval == 5
    assert number.get() == 0


async def test_one_that_does_not_go_on_answers_in_place_of_the_callable(clock: VirtualClock, notes: Any) -> None:
    async def answer(run: Run, call_next: CallNext) -> Any:
        return "cached"

    run = await run_of(notes.time, clock, answer)

    assert notes == []
    assert (run.outcome, run.retval, run.started_at) == (Outcome.SUCCEEDED, "cached", None)
    assert run.reason == "a middleware answered in place of the callable"


async def test_what_it_raises_is_the_failure_of_the_run(clock: VirtualClock, notes: Any) -> None:
    async def refuse(run: Run, call_next: CallNext) -> Any:
        raise PermissionError("not today")

    run = await run_of(notes.time, clock, refuse)

    assert notes == []
    assert run.outcome is Outcome.FAILED
    assert "PermissionError: not today" in (run.error or "")


async def test_it_may_catch_what_the_callable_raises_and_try_again(clock: VirtualClock) -> None:
    tries: list[int] = []

    def fail_twice() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return len(tries)

    async def try_again(run: Run, call_next: CallNext) -> Any:
        while True:
            try:
                return await call_next()
            except ConnectionError:
                continue

    run = await run_of(fail_twice, clock, try_again)

    assert (run.outcome, run.retval) == (Outcome.SUCCEEDED, 3)


async def test_a_run_within_middleware_times_out_and_the_pause_between_two_tries_does_not_count(
    clock: VirtualClock,
) -> None:
    async def wait_and_try_again(run: Run, call_next: CallNext) -> Any:
        await call_next()
        await clock.sleep(60)
        return await call_next()

    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=[wait_and_try_again]) as other:
        await other.add_job(clock.sleep, args=[4], id="in time", timeout=5)
        await other.add_job(clock.sleep, args=[6], id="late", timeout=5)
        await clock.advance(120)

        (in_time,) = await other.get_runs("in time")
        (late,) = await other.get_runs("late")
        assert (in_time.outcome, late.outcome, late.duration) == (Outcome.SUCCEEDED, Outcome.TIMED_OUT, 5)


async def test_a_refusal_of_the_executor_is_not_for_it_to_hide(clock: VirtualClock) -> None:
    class Refusing(Executor):
        capacity = 1

        async def execute(self, call: Call) -> Any:
            raise ExecutorRefusedError("no room")

    async def hide(run: Run, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except Exception:
            return "all is well"

    async with AsyncScheduler(
        clock=clock, timezone="UTC", middleware=[hide], executors={"refusing": Refusing()}
    ) as scheduler:
        await scheduler.add_job(three, id="job", executor="refusing")
        await clock.advance(1)

        (run,) = await scheduler.get_runs("job")
        assert not run.outcome.is_final


async def test_a_cancelled_run_is_cancelled_through_it(clock: VirtualClock, notes: Any) -> None:
    async def note(run: Run, call_next: CallNext) -> Any:
        try:
            return await call_next()
        finally:
            notes.append(run.cancelled)

    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=[note]) as scheduler:
        await scheduler.add_job(clock.sleep, "cron", [100], hour=12, id="job")
        handle = await scheduler.run_job("job")
        await clock.advance(1)
        await scheduler.cancel_run(handle.run_id)
        run = await handle.wait()

    assert (run.outcome, notes) == (Outcome.CANCELLED, [True])


async def test_what_goes_inside_is_entered_in_the_thread_of_the_callable(clock: VirtualClock) -> None:
    threads: list[threading.Thread] = []

    @contextmanager
    def note() -> Generator[None]:
        threads.append(threading.current_thread())
        yield
        threads.append(threading.current_thread())

    async def put_inside(run: Run, call_next: CallNext) -> Any:
        return await call_next(inside=note)

    run = await run_of(threading.current_thread, clock, put_inside)
    assert threads == [run.retval, run.retval]
    assert run.retval is not threading.current_thread()


async def test_what_goes_inside_is_left_out_in_a_worker_process() -> None:
    async def put_inside(run: Run, call_next: CallNext) -> Any:
        return await call_next(inside=threading.Lock)

    executors = {"processes": ProcessPoolExecutor(1)}
    async with AsyncScheduler(timezone="UTC", middleware=[put_inside], executors=executors) as scheduler:
        await scheduler.add_job(os.getpid, "cron", hour=0, executor="processes", id="job")
        assert await (await scheduler.run_job("job")).result() != os.getpid()


@pytest.mark.parametrize("middleware", [[f"{__name__}:add_one", double], f"{__name__}:add_one, {__name__}:double"])
async def test_references_name_it(clock: VirtualClock, middleware: Any) -> None:
    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=middleware) as scheduler:
        await scheduler.add_job(three, "cron", hour=0, id="job")
        assert await (await scheduler.run_job("job")).result() == 7


def test_a_blocking_scheduler_takes_it_from_its_configuration() -> None:
    scheduler = BackgroundScheduler({"apscheduler.middleware": f"{__name__}:add_one", "apscheduler.timezone": "UTC"})
    scheduler.start()
    try:
        scheduler.add_job(three, "cron", hour=0, id="job")
        assert scheduler.run_job("job").result() == 4
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize("value", [5, [three], ["os:getpid"], [None]], ids=["number", "plain", "reference", "none"])
def test_what_is_no_middleware_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"middleware must be .*coroutine functions of \(run, call_next\), got"):
        AsyncScheduler(middleware=value)


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_jobs_have_the_application_context_of_a_flask_program(clock: VirtualClock, kind: str) -> None:
    app = Flask("shop")
    ended: list[threading.Thread] = []

    @app.teardown_appcontext
    def tidy_up(error: BaseException | None) -> None:
        ended.append(threading.current_thread())

    def work() -> tuple[str, bool, threading.Thread]:
        is_fresh = "seen" not in g
        g.seen = True
        return current_app.name, is_fresh, threading.current_thread()

    async def work_later() -> tuple[str, bool, threading.Thread]:
        return work()

    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=[app_context(app)]) as scheduler:
        await scheduler.add_job(work if kind == "thread" else work_later, "cron", hour=0, id="job")
        for _ in range(2):
            name, is_fresh, thread = await (await scheduler.run_job("job")).result()
            assert (name, is_fresh) == ("shop", True)
            assert ended.pop() is thread
