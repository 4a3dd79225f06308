"""Where the jobs of a TwistedScheduler run, in real reactors: that of asyncio and the usual one."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.face.conftest import Program

    Run = Callable[[str], str]

ASYNCIO = "from twisted.internet import asyncioreactor; asyncioreactor.install()\n"
HEAD = """
import asyncio, contextvars, datetime, logging, threading
logging.getLogger("apsched").addHandler(logging.NullHandler())
from twisted.internet import defer, reactor, task, threads
from twisted.python.threadable import isInIOThread
from apsched.exceptions import SchedulerStateError
from apsched.schedulers.twisted import TwistedScheduler

FAR = datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)
scheduler = TwistedScheduler(timezone="UTC")

def run(main):
    "Run the coroutine function in the reactor, and stop it then."
    def end(result):
        if result is not None:
            result.printTraceback()
        if scheduler.running:
            contextvars.Context().run(scheduler.shutdown)  # a job that fires a Deferred gets here
        reactor.stop()
    reactor.callWhenRunning(lambda: defer.Deferred.fromCoroutine(main()).addTimeout(20, reactor).addBoth(end))
    reactor.run()
"""


@pytest.fixture(params=[pytest.param("", id="usual"), pytest.param(ASYNCIO, id="asyncio")])
def run(request: pytest.FixtureRequest, start_program: Callable[[str], Program]) -> Run:
    """Run a program to its end, and return what it printed."""

    def run(code: str) -> str:
        exit_code, output, errors = start_program(request.param + HEAD + dedent(code)).end()
        assert (exit_code, errors) == (0, "")
        return output

    return run


def test_plain_functions_run_in_the_thread_pool_of_the_reactor(run: Run) -> None:
    output = run("""
        done = defer.Deferred()
        def job():
            name = threading.current_thread().name
            reactor.callFromThread(done.callback, (isInIOThread(), name.startswith("PoolThread-twisted")))
        scheduler.add_job(job)
        scheduler.start()
        async def main():
            print(await done)
        run(main)
    """)

    assert output == "(False, True)\n"


def test_jobs_run_in_the_reactor_on_request(run: Run) -> None:
    output = run("""
        done = defer.Deferred()
        count = []
        def job():
            count.append(isInIOThread())
            if len(count) == 3:
                done.callback(count)
        scheduler.add_job(job, "interval", seconds=0.03, executor="twisted-reactor")
        scheduler.start()
        async def main():
            print(await done)
        run(main)
    """)

    assert output == "[True, True, True]\n"


def test_coroutine_functions_run_in_the_reactor_and_await_deferreds(run: Run) -> None:
    output = run("""
        async def job():
            value = await task.deferLater(reactor, 0.001, lambda: 7)
            try:
                await task.deferLater(reactor, 0.001, lambda: 1 / 0)
            except ZeroDivisionError:
                return value, isInIOThread()
        scheduler.start()
        scheduler.add_job(job, "date", run_date=FAR, id="a")
        async def main():
            print(await threads.deferToThread(scheduler.run_job("a").result))
        run(main)
    """)

    assert output == "(7, True)\n"


def test_coroutine_functions_await_what_asyncio_has_in_its_reactor(start_program: Callable[[str], Program]) -> None:
    program = start_program(
        ASYNCIO
        + HEAD
        + dedent("""
            async def job():
                await asyncio.sleep(0.001)
                value = await task.deferLater(reactor, 0.001, lambda: 7)
                return value + len(await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001)))
            scheduler.start()
            scheduler.add_job(job, "date", run_date=FAR, id="a")
            async def main():
                print(await threads.deferToThread(scheduler.run_job("a").result))
            run(main)
        """)
    )

    assert program.end() == (0, "9\n", "")


def test_deferreds_that_jobs_return_are_waited_for(run: Run) -> None:
    output = run("""
        def good(): return task.deferLater(reactor, 0.001, lambda: 7)
        def bad(): return task.deferLater(reactor, 0.001, lambda: 1 / 0)
        scheduler.start()
        for executor in ("default", "twisted-reactor"):
            for job in (good, bad):
                scheduler.add_job(job, "date", run_date=FAR, id=f"{job.__name__} {executor}", executor=executor)
        async def main():
            for executor in ("default", "twisted-reactor"):
                print(await threads.deferToThread(scheduler.run_job(f"good {executor}").result))
                run = await threads.deferToThread(scheduler.run_job(f"bad {executor}").wait)
                print(run.error.splitlines()[-1])
        run(main)
    """)

    assert output == "7\nZeroDivisionError: division by zero\n" * 2


def test_jobs_call_the_scheduler(run: Run) -> None:
    output = run("""
        def job():
            for number in range(20):
                scheduler.add_job(print, "date", run_date=FAR, id=str(number))
            for number in range(20):
                scheduler.get_job(str(number)).remove()
            return len(scheduler.get_jobs())  # itself
        scheduler.start()
        async def main():
            for executor in ("default", "twisted-reactor"):
                scheduler.add_job(job, "date", run_date=FAR, id="a", executor=executor, replace_existing=True)
                print(await threads.deferToThread(scheduler.run_job("a").result))
        run(main)
    """)

    assert output == "1\n1\n"


def test_shutdown_in_the_reactor_cancels_what_runs_there(run: Run) -> None:
    output = run("""
        begun = defer.Deferred()
        def cancelled(deferred):
            print("cancelled")
        def job():
            begun.callback(None)
            return defer.Deferred(cancelled)
        scheduler.add_job(job, executor="twisted-reactor")
        scheduler.start()
        async def main():
            await begun
            scheduler.shutdown()
            print(scheduler.running)
            await task.deferLater(reactor, 0.001, lambda: None)
        run(main)
    """)

    assert output == "False\ncancelled\n"


def test_shutdown_in_a_thread_waits_for_what_runs_in_the_reactor(run: Run) -> None:
    output = run("""
        begun, may_end = defer.Deferred(), defer.Deferred()
        async def job():
            begun.callback(None)
            await may_end
            print("ended")
        scheduler.add_job(job)
        scheduler.start()
        async def main():
            await begun
            shutdown = threads.deferToThread(scheduler.shutdown)
            reactor.callLater(0.02, may_end.callback, None)
            await shutdown
            print(scheduler.running)
        run(main)
    """)

    assert output == "ended\nFalse\n"


def test_waiting_for_a_run_in_the_reactor_is_refused(run: Run) -> None:
    output = run("""
        scheduler.start()
        scheduler.add_job(int, "date", run_date=FAR, id="a")
        async def main():
            try:
                scheduler.run_job("a").result()
            except SchedulerStateError as exc:
                print(exc)
        run(main)
    """)

    assert output.startswith("result must wait for runs, and those in the event loop of this thread cannot go on")


def test_a_scheduler_shut_down_after_the_reactor_ends_at_once(run: Run) -> None:
    output = run("""
        def job():
            reactor.callFromThread(reactor.stop)
            return defer.Deferred()
        scheduler.add_job(job)
        scheduler.start()
        reactor.run()
        scheduler.shutdown()
        print("over")
    """)

    assert output == "over\n"


def test_a_program_may_end_without_a_shutdown(run: Run) -> None:
    output = run("""
        scheduler.add_job(reactor.stop, executor="twisted-reactor")
        scheduler.start()
        reactor.run()
        print("over")
    """)

    assert output == "over\n"


def test_the_reactor_is_an_option(run: Run) -> None:
    output = run("""
        for options in ({"reactor": reactor}, {"gconfig": {"apscheduler.reactor": "twisted.internet:reactor"}}):
            print(TwistedScheduler(**options)._loop.reactor is reactor)
        try:
            TwistedScheduler(reactor=3)
        except TypeError as exc:
            print(exc)
    """)

    assert output == "True\nTrue\nreactor must be a Twisted reactor or the reference of one, got 3\n"
