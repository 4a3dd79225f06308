"""Where the jobs of an AsyncIOScheduler run, in real asyncio loops, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from apsched.engine.current import current_run
from apsched.exceptions import SchedulerAlreadyRunningError, SchedulerNotRunningError, SchedulerStateError
from apsched.executors.asyncio import AsyncIOExecutor
from apsched.run import Outcome
from apsched.schedulers.asyncio import AsyncIOScheduler

if TYPE_CHECKING:
    from tests.face.conftest import Program, Record

FAR = datetime(2999, 1, 1, tzinfo=UTC)
PATIENCE = 20.0  # seconds

LOOP = asyncio.new_event_loop()  # for a reference to it


@pytest.fixture(scope="module", autouse=True)
def the_loop_of_this_module_is_closed() -> Iterator[None]:
    yield
    LOOP.close()


@pytest.fixture
def make() -> Iterator[Callable[..., AsyncIOScheduler]]:
    made: list[AsyncIOScheduler] = []

    def make(**options: Any) -> AsyncIOScheduler:
        made.append(AsyncIOScheduler(timezone="UTC", **options))
        return made[-1]

    yield make
    for scheduler in made:
        with suppress(SchedulerNotRunningError):
            scheduler.shutdown(wait=False)


Make = Callable[..., AsyncIOScheduler]


class Seen:
    """What coroutine functions note in the loop of the test."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._changed = asyncio.Event()

    def note(self, value: Any) -> None:
        self.values.append(value)
        self._changed.set()

    async def wait(self, count: int = 1) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while len(self.values) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.values


def test_coroutine_functions_run_in_the_running_loop(make: Make) -> None:
    async def main() -> None:
        seen = Seen()

        async def job() -> None:
            seen.note((asyncio.get_running_loop(), threading.current_thread()))

        scheduler = make()
        scheduler.add_job(job, "interval", seconds=0.02)
        scheduler.start()

        assert await seen.wait(3) == [(asyncio.get_running_loop(), threading.current_thread())] * 3
        scheduler.shutdown()

    asyncio.run(main())


def test_plain_functions_run_in_threads(make: Make, record: Record) -> None:
    async def main() -> None:
        scheduler = make()
        scheduler.add_job(lambda: record.note(threading.current_thread()))
        scheduler.start()

        assert (await asyncio.to_thread(record.wait))[0] not in (threading.main_thread(), threading.current_thread())
        scheduler.shutdown()

    asyncio.run(main())


def test_a_scheduler_started_before_the_loop_attaches_to_it(make: Make) -> None:
    seen: list[Any] = []
    is_done = threading.Event()

    async def job() -> None:
        seen.append(asyncio.get_running_loop())
        is_done.set()

    scheduler = make()
    scheduler.add_job(job)
    scheduler.start()

    async def main() -> None:
        await asyncio.to_thread(is_done.wait, PATIENCE)
        assert seen == [asyncio.get_running_loop()]

    asyncio.run(main())


def test_a_loop_that_runs_for_ever_after_the_start_is_found(start_program: Callable[[str], Program]) -> None:
    program = start_program("""
        import asyncio
        from apsched.schedulers.asyncio import AsyncIOScheduler

        async def tick():
            print("tick", asyncio.get_running_loop() is loop, flush=True)
            loop.stop()

        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.add_job(tick, "interval", seconds=0.05)
        scheduler.start()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            asyncio.get_event_loop().run_forever()
        finally:
            scheduler.shutdown()
            loop.close()
        print("over")
    """)

    code, output, errors = program.end()

    assert (code, errors) == (0, "")
    assert output.split("\n")[0] == "tick True"
    assert output.endswith("over\n")


def test_the_loop_that_was_given_is_used(make: Make, record: Record) -> None:
    loop = asyncio.new_event_loop()

    async def job() -> None:
        record.note(asyncio.get_running_loop())

    scheduler = make(event_loop=loop)
    scheduler.add_job(job)
    scheduler.start()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    assert record.wait() == [loop]
    scheduler.shutdown()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize(
    "configure",
    [
        lambda loop: AsyncIOScheduler(event_loop=loop),
        lambda loop: AsyncIOScheduler({"apscheduler.event_loop": loop}),
        lambda loop: AsyncIOScheduler({"apscheduler.event_loop": f"{__name__}:LOOP"}),
    ],
)
def test_the_loop_is_an_option_in_every_style(configure: Callable[[Any], AsyncIOScheduler]) -> None:
    assert configure(LOOP)._loop.loop is LOOP
    scheduler = AsyncIOScheduler()
    scheduler.configure(event_loop=LOOP)
    assert scheduler._loop.loop is LOOP


def test_something_else_is_no_event_loop() -> None:
    with pytest.raises(TypeError, match="event_loop must be an asyncio event loop or the reference of one, got 3"):
        AsyncIOScheduler(event_loop=3)  # type: ignore[arg-type]  # that is the point


def test_jobs_call_the_scheduler_in_the_loop(make: Make) -> None:
    async def main() -> None:
        seen = Seen()
        scheduler = make()

        async def job() -> None:
            for number in range(20):
                scheduler.add_job(print, "date", run_date=FAR, id=str(number))
            for number in range(20):
                scheduler.get_job(str(number)).remove()  # type: ignore[union-attr]  # it is there
            scheduler.pause()
            scheduler.resume()
            seen.note(len(scheduler.get_jobs()))

        scheduler.add_job(job)
        scheduler.start()

        assert await seen.wait() == [0]
        scheduler.shutdown()

    asyncio.run(main())


def test_a_job_knows_its_run_and_returns_its_value(make: Make, record: Record) -> None:
    async def main() -> None:
        scheduler = make()

        async def job(value: int) -> tuple[str, int]:
            await asyncio.to_thread(int)
            return current_run().job_id, value

        scheduler.start()
        scheduler.add_job(job, "date", run_date=FAR, args=[7], id="a")
        handle = scheduler.run_job("a")

        assert await asyncio.to_thread(handle.result) == ("a", 7)
        scheduler.shutdown()

    asyncio.run(main())


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError()])
def test_what_a_job_raises_is_for_its_run_and_not_for_the_loop(make: Make, error: BaseException) -> None:
    async def main() -> None:
        scheduler = make()

        async def job() -> None:
            await asyncio.to_thread(int)
            raise error

        scheduler.start()
        scheduler.add_job(job, "date", run_date=FAR, id="a")
        handle = scheduler.run_job("a")

        run = await asyncio.to_thread(handle.wait)
        assert run.outcome is Outcome.FAILED
        assert type(error).__name__ in (run.error or "")
        scheduler.shutdown()

    asyncio.run(main())


def test_what_a_plain_function_returns_is_awaited_in_the_loop(make: Make) -> None:
    async def main() -> None:
        async def rest() -> object:
            return asyncio.get_running_loop()

        scheduler = make(executors={"default": AsyncIOExecutor()})
        scheduler.start()
        scheduler.add_job(lambda: rest(), "date", run_date=FAR, id="a")  # noqa: PLW0108  # no coroutine function
        handle = scheduler.run_job("a")

        assert await asyncio.to_thread(handle.result) is asyncio.get_running_loop()
        scheduler.shutdown()

    asyncio.run(main())


def test_shutdown_in_the_loop_cancels_coroutines_and_waits_for_threads(make: Make, record: Record) -> None:
    async def main() -> None:
        seen = Seen()
        may_end = threading.Event()
        ends: list[str] = []

        async def coroutine() -> None:
            try:
                seen.note("coroutine")
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        def plain() -> None:
            record.note()
            may_end.wait(PATIENCE)
            ends.append("plain ended")

        scheduler = make()
        scheduler.add_job(coroutine)
        scheduler.add_job(plain)
        scheduler.start()
        await seen.wait()
        await asyncio.to_thread(record.wait)
        threading.Timer(0.05, may_end.set).start()

        scheduler.shutdown()

        assert ends == ["plain ended"]
        assert not scheduler.running
        await asyncio.to_thread(int)  # the loop goes on, and so does the cancellation
        assert ends == ["plain ended", "cancelled"]

    asyncio.run(main())


def test_shutdown_in_a_thread_waits_for_coroutines(make: Make) -> None:
    async def main() -> None:
        seen = Seen()
        may_end = asyncio.Event()
        ended: list[bool] = []

        async def job() -> None:
            seen.note(None)
            await may_end.wait()
            ended.append(True)

        scheduler = make()
        scheduler.add_job(job)
        scheduler.start()
        await seen.wait()
        shutdown = asyncio.create_task(asyncio.to_thread(scheduler.shutdown))
        await asyncio.to_thread(int)
        may_end.set()
        await shutdown

        assert ended == [True]

    asyncio.run(main())


def test_shutdown_from_a_coroutine_job_without_waiting_ends_the_scheduler(make: Make) -> None:
    async def main() -> None:
        seen = Seen()
        scheduler = make()

        async def job() -> None:
            try:
                scheduler.shutdown()
            except SchedulerStateError as exc:
                seen.note(str(exc))
            scheduler.shutdown(wait=False)

        scheduler.add_job(job)
        scheduler.start()

        assert "use wait=False" in (await seen.wait())[0]
        async with asyncio.timeout(PATIENCE):
            while scheduler.running:
                await asyncio.to_thread(int)

    asyncio.run(main())


def test_what_would_wait_for_the_loop_in_its_own_thread_is_refused(make: Make) -> None:
    async def job() -> None:
        pass

    async def main() -> None:
        scheduler = make()
        scheduler.start()
        scheduler.add_job(job, "date", run_date=FAR, id="a")
        handle = scheduler.run_job("a")

        calls: list[Callable[[], object]] = [
            handle.wait,
            handle.result,
            partial(scheduler.remove_executor, "asyncio"),
            partial(scheduler.remove_jobstore, "default"),
        ]
        for call in calls:
            with pytest.raises(SchedulerStateError, match="must wait for runs, and those in the event loop of this"):
                call()
            await asyncio.to_thread(call)
        scheduler.shutdown()

    asyncio.run(main())


def test_a_scheduler_left_when_its_loop_closed_shuts_down(make: Make) -> None:
    is_begun = threading.Event()

    async def job() -> None:
        is_begun.set()
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    scheduler = make(event_loop=loop)
    scheduler.add_job(job)
    scheduler.start()
    loop.run_until_complete(asyncio.to_thread(is_begun.wait, PATIENCE))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))  # noqa: TID251  # the loop is asyncio's
    loop.close()

    scheduler.shutdown()

    assert not scheduler.running


def test_a_job_whose_loop_has_closed_waits_and_says_so(make: Make, wait_until: Callable[..., None]) -> None:
    async def job() -> None:
        pass

    scheduler = make()

    async def main() -> None:
        scheduler.start()

    asyncio.run(main())
    scheduler.add_job(job, "date", run_date=FAR, id="a")
    scheduler.run_job("a")

    def reason() -> str | None:
        return scheduler.get_runs("a")[0].reason

    wait_until(reason)
    assert (
        reason() == "the executor takes no calls: the event loop of the program has closed; start the scheduler again"
    )
    assert scheduler.get_runs("a")[0].outcome in (Outcome.PENDING, Outcome.RUNNING)  # it is tried again and again


def test_it_starts_again_in_the_next_loop(make: Make) -> None:
    scheduler = make()
    loops: list[Any] = []

    async def main() -> None:
        seen = Seen()

        async def job() -> None:
            seen.note(asyncio.get_running_loop())

        scheduler.add_job(job, id="a", replace_existing=True)
        scheduler.start()
        with pytest.raises(SchedulerAlreadyRunningError):
            scheduler.start()
        loops.extend(await seen.wait())
        assert loops[-1] is asyncio.get_running_loop()
        scheduler.shutdown()

    asyncio.run(main())
    asyncio.run(main())

    assert len(loops) == 2


def test_each_test_may_have_a_loop_and_a_scheduler_of_its_own(make: Make) -> None:
    async def main() -> int:
        seen = Seen()

        async def job() -> None:
            seen.note(None)

        scheduler = make()
        scheduler.add_job(job)
        scheduler.start()
        await seen.wait()
        scheduler.shutdown()
        return len(seen.values)

    assert [asyncio.run(main()) for _ in range(20)] == [1] * 20
