"""Where the jobs of a GeventScheduler run, in programs that gevent has patched and in others."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.face.conftest import Program

    Run = Callable[[str], str]

PATCH = "from gevent import monkey; monkey.patch_all()\n"
HEAD = """
import asyncio, datetime, logging, threading, time
logging.getLogger("apsched").addHandler(logging.NullHandler())
import gevent, gevent.event
from apsched.schedulers.background import BackgroundScheduler
from apsched.schedulers.gevent import GeventScheduler

FAR = datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)
main = gevent.getcurrent()
hub = gevent.get_hub()
scheduler = GeventScheduler(timezone="UTC")
"""


@pytest.fixture(params=[pytest.param("", id="unpatched"), pytest.param(PATCH, id="patched")])
def run(request: pytest.FixtureRequest, start_program: Callable[[str], Program]) -> Run:
    """Run a program to its end, and return what it printed."""

    def run(code: str) -> str:
        exit_code, output, errors = start_program(request.param + HEAD + dedent(code)).end()
        assert (exit_code, errors) == (0, "")
        return output

    return run


def test_plain_functions_run_in_greenlets_of_the_starting_thread(run: Run) -> None:
    output = run("""
        done = gevent.event.Event()
        turns = []
        def tick():
            assert gevent.get_hub() is hub and gevent.getcurrent() is not main
            gevent.sleep(0.001)
            turns.append(1)
            if len(turns) == 3:
                done.set()
        scheduler.add_job(tick, "interval", seconds=0.03)
        scheduler.start()
        print(done.wait(20))
        scheduler.shutdown()
    """)

    assert output == "True\n"


def test_start_returns_a_greenlet_that_ends_with_the_scheduler(run: Run) -> None:
    output = run("""
        scheduler.add_job(lambda: scheduler.shutdown(wait=False), "interval", seconds=0.03)
        greenlet = scheduler.start()
        greenlet.join()
        print(greenlet.ready(), scheduler.running)
    """)

    assert output == "True False\n"


def test_jobs_call_the_scheduler(run: Run) -> None:
    output = run("""
        seen = gevent.event.AsyncResult()
        def job():
            for number in range(20):
                scheduler.add_job(print, "date", run_date=FAR, id=str(number))
            for number in range(20):
                scheduler.get_job(str(number)).remove()
            seen.set(len(scheduler.get_jobs()))
        scheduler.add_job(job)
        scheduler.start()
        print(seen.get(timeout=20))
        scheduler.shutdown()
    """)

    assert output == "0\n"


def test_shutdown_waits_for_greenlets_and_lets_others_run(run: Run) -> None:
    output = run("""
        begun, may_end = gevent.event.Event(), gevent.event.Event()
        def job():
            begun.set()
            may_end.wait()
            print("ended")
        scheduler.add_job(job)
        scheduler.start()
        begun.wait(20)
        gevent.spawn_later(0.03, may_end.set)
        scheduler.shutdown()
        print("shut down")
    """)

    assert output == "ended\nshut down\n"


def test_shutdown_without_waiting_kills_greenlets(run: Run) -> None:
    output = run("""
        begun, ended = gevent.event.Event(), gevent.event.Event()
        def job():
            begun.set()
            try:
                gevent.sleep(1000)
            except gevent.GreenletExit:
                ended.set()
                raise
        scheduler.add_job(job)
        scheduler.start()
        begun.wait(20)
        scheduler.shutdown(wait=False)
        print(ended.wait(20))
    """)

    assert output == "True\n"


def test_results_and_errors_come_back(run: Run) -> None:
    output = run("""
        def good(): return 7
        def bad(): raise SystemExit(3)
        async def coroutine():
            await asyncio.sleep(0.001)
            return 8
        scheduler.start()
        for job in (good, bad, coroutine):
            scheduler.add_job(job, "date", run_date=FAR, id=job.__name__)
        print(scheduler.run_job("good").result(), scheduler.run_job("coroutine").result())
        print(scheduler.run_job("bad").wait().error.splitlines()[-1])
        scheduler.shutdown()
    """)

    assert output == "7 8\nSystemExit: 3\n"


def test_a_coroutine_function_on_the_executor_is_awaited(run: Run) -> None:
    output = run("""
        async def job():
            await asyncio.sleep(0.001)
            return 9
        scheduler.start()
        scheduler.add_executor("gevent", "greenlets")
        scheduler.add_job(job, "date", run_date=FAR, id="a", executor="greenlets")
        print(scheduler.run_job("a").result())
        scheduler.shutdown()
    """)

    assert output == "9\n"


def test_other_greenlets_may_run_asyncio_loops(run: Run) -> None:
    output = run("""
        async def generate():
            yield 1
            yield 2
        async def own():
            return [value async for value in generate()]
        scheduler.add_job(gevent.sleep, "interval", seconds=0.01, args=[0])
        scheduler.start()
        for _ in range(5):
            gevent.sleep(0.01)
            assert asyncio.run(own()) == [1, 2]
        scheduler.shutdown()
        print("over")
    """)

    assert output == "over\n"


def test_it_starts_again_after_a_shutdown(run: Run) -> None:
    output = run("""
        for turn in range(3):
            done = gevent.event.Event()
            scheduler.add_job(done.set)
            scheduler.start()
            print(done.wait(20))
            scheduler.shutdown()
    """)

    assert output == "True\nTrue\nTrue\n"


def test_a_program_may_end_without_a_shutdown(run: Run) -> None:
    output = run("""
        scheduler.add_job(gevent.sleep, args=[1000])
        scheduler.start()
        gevent.sleep(0.05)
        print("over")
    """)

    assert output == "over\n"


def test_a_background_scheduler_runs_beside_gevent(run: Run) -> None:
    output = run("""
        scheduler = BackgroundScheduler(timezone="UTC")
        count = []
        scheduler.add_job(count.append, "interval", seconds=0.02, args=[1])
        scheduler.start()
        end = time.monotonic() + 20
        while len(count) < 3 and time.monotonic() < end:
            gevent.sleep(0.01)
        scheduler.shutdown()
        print(len(count) >= 3)
    """)

    assert output == "True\n"


def test_greenlets_are_an_executor_of_other_schedulers(run: Run) -> None:
    output = run("""
        scheduler = BackgroundScheduler({"apscheduler.executors.default.type": "gevent", "apscheduler.timezone": "UTC"})
        seen = gevent.event.AsyncResult()
        scheduler.add_job(lambda: seen.set(gevent.get_hub() is hub))
        scheduler.start()
        print(seen.get(timeout=20))
        scheduler.shutdown(wait=False)
    """)

    assert output == "True\n"
