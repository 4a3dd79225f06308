"""Where the jobs of a TornadoScheduler run, in a real I/O loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from apsched.exceptions import SchedulerStateError
from apsched.executors.tornado import TornadoExecutor
from apsched.run import Outcome
from apsched.schedulers.background import BackgroundScheduler
from apsched.schedulers.tornado import TornadoScheduler

if TYPE_CHECKING:
    from tests.face.conftest import Program, Record

FAR = datetime(2999, 1, 1, tzinfo=UTC)
PATIENCE = 20.0  # seconds


def test_a_program_with_a_loop_that_starts_later_runs_its_jobs(start_program: Callable[[str], Program]) -> None:
    program = start_program("""
        import threading
        from tornado.ioloop import IOLoop
        from apsched.schedulers.tornado import TornadoScheduler

        seen = []

        async def coroutine():
            seen.append("coroutine")
            assert IOLoop.current() is loop
            assert threading.current_thread() is threading.main_thread()
            stop()

        def plain():
            seen.append("plain")
            assert threading.current_thread() is not threading.main_thread()
            loop.add_callback(stop)

        def stop():
            if len(seen) >= 6:
                loop.stop()

        scheduler = TornadoScheduler(timezone="UTC")
        scheduler.add_job(coroutine, "interval", seconds=0.05)
        scheduler.add_job(plain, "interval", seconds=0.05)
        scheduler.start()
        loop = IOLoop.current()
        loop.start()
        scheduler.shutdown()
        print(*sorted(set(seen)))
    """)

    assert program.end() == (0, "coroutine plain\n", "")


def test_a_web_application_serves_requests_and_runs_jobs() -> None:
    async def main() -> None:
        scheduler = TornadoScheduler(timezone="UTC")
        has_run = asyncio.Event()

        async def job() -> None:
            has_run.set()

        class Jobs(RequestHandler):
            def post(self) -> None:
                self.write(scheduler.add_job(job, id="a").id)

        (socket,) = bind_sockets(0, "127.0.0.1")
        server = HTTPServer(Application([("/jobs", Jobs)]))
        server.add_socket(socket)
        scheduler.start()
        client = AsyncHTTPClient(force_instance=True)
        try:
            url = f"http://127.0.0.1:{socket.getsockname()[1]}/jobs"
            response = await client.fetch(url, method="POST", body="")

            assert response.body == b"a"
            await asyncio.wait_for(has_run.wait(), PATIENCE)
        finally:
            client.close()
            server.stop()
            await server.close_all_connections()
            scheduler.shutdown()

    asyncio.run(main())


def test_the_io_loop_that_was_given_is_used(record: Record) -> None:
    loop = IOLoop(make_current=False)

    async def job() -> None:
        record.note(IOLoop.current())

    scheduler = TornadoScheduler({"apscheduler.timezone": "UTC"}, io_loop=loop)
    scheduler.add_job(job)
    scheduler.start()
    thread = threading.Thread(target=loop.start)
    thread.start()

    assert record.wait() == [loop]
    scheduler.shutdown()
    loop.add_callback(loop.stop)
    thread.join()
    loop.close()


def test_something_else_is_no_io_loop() -> None:
    with pytest.raises(TypeError, match="io_loop must be a Tornado IOLoop or the reference of one, got 3"):
        TornadoScheduler().configure(io_loop=3)  # type: ignore[arg-type]  # that is the point


def test_shutdown_in_the_loop_cancels_coroutines() -> None:
    async def main() -> None:
        scheduler = TornadoScheduler(timezone="UTC")
        is_begun = asyncio.Event()
        ends: list[str] = []

        async def job() -> None:
            is_begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ends.append("cancelled")

        scheduler.add_job(job)
        scheduler.start()
        await asyncio.wait_for(is_begun.wait(), PATIENCE)

        scheduler.shutdown()

        assert not scheduler.running
        await asyncio.to_thread(int)
        assert ends == ["cancelled"]

    asyncio.run(main())


def test_waiting_for_a_run_in_the_loop_is_refused() -> None:
    async def job() -> int:
        return 7

    async def main() -> None:
        scheduler = TornadoScheduler(timezone="UTC")
        scheduler.start()
        scheduler.add_job(job, "date", run_date=FAR, id="a")
        handle = scheduler.run_job("a")

        with pytest.raises(SchedulerStateError, match="result must wait for runs"):
            handle.result()
        assert await asyncio.to_thread(handle.result) == 7
        scheduler.shutdown()

    asyncio.run(main())


def test_the_executor_in_another_scheduler_awaits_in_its_own_loop() -> None:
    async def job() -> str:
        return threading.current_thread().name

    scheduler = BackgroundScheduler(executors={"tornado": {"type": "tornado", "max_workers": "3"}}, timezone="UTC")
    scheduler.start()
    scheduler.add_job(job, "date", run_date=FAR, id="a", executor="tornado")

    handle = scheduler.run_job("a")

    assert handle.result() == "apsched"
    assert handle.wait().outcome is Outcome.SUCCEEDED
    scheduler.shutdown()


@pytest.mark.parametrize(("workers", "error"), [(0, ValueError), ("many", TypeError)])
def test_the_number_of_threads_is_checked(workers: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_workers must be a whole number from 1 on"):
        TornadoExecutor(workers)  # type: ignore[arg-type]  # that is the point
