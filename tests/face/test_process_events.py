"""What becomes of the schedulers at signals, forks and the end of the interpreter; each test runs a program."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.face.conftest import Program

    StartProgram = Callable[[str], Program]

posix = pytest.mark.skipif(os.name != "posix", reason="sends signals and forks")

BLOCKING = """
import signal, sys, time
import anyio
from apsched.schedulers.blocking import BlockingScheduler

def say(text):
    print(text, flush=True)

def job():
    say("began")
    time.sleep(SECONDS)
    say("ended")

async def coroutine_job():
    say("began")
    try:
        await anyio.sleep(SECONDS)
        say("ended")
    finally:
        say("left")

HANDLER
scheduler = BlockingScheduler(timezone="UTC")
scheduler.add_job(JOB)
try:
    scheduler.start()
except KeyboardInterrupt:
    say("interrupted")
else:
    say("returned")
say(scheduler.running)
"""


def blocking(job: str, seconds: float, handler: str = "") -> str:
    return BLOCKING.replace("JOB", job).replace("SECONDS", str(seconds)).replace("HANDLER", handler)


# signals


MOMENT = 0.2  # seconds; a job may begin a moment before start() waits, and two signals at once would be one


@posix
@pytest.mark.parametrize("job", ["job", "coroutine_job"])
def test_ctrl_c_lets_runs_end_and_raises_keyboard_interrupt(start_program: StartProgram, job: str) -> None:
    program = start_program(blocking(job, 0.5))
    assert program.read_line() == "began"
    time.sleep(MOMENT)

    program.send(signal.SIGINT)

    code, output, errors = program.end()
    assert output.split() == [
        word for word in ("ended", "left", "interrupted", "False") if job != "job" or word != "left"
    ]
    assert (code, errors) == (0, "")


@posix
def test_a_second_ctrl_c_cancels_the_runs(start_program: StartProgram) -> None:
    program = start_program(blocking("coroutine_job", 60))
    assert program.read_line() == "began"
    time.sleep(MOMENT)
    program.send(signal.SIGINT)
    time.sleep(MOMENT)

    program.send(signal.SIGINT)

    code, output, errors = program.end()
    assert output.split() == ["left", "interrupted", "False"]
    assert (code, errors) == (0, "")


@posix
def test_a_second_ctrl_c_does_not_wait_for_threads(start_program: StartProgram) -> None:
    program = start_program(blocking("job", 60))
    assert program.read_line() == "began"
    time.sleep(MOMENT)
    program.send(signal.SIGINT)
    time.sleep(MOMENT)

    program.send(signal.SIGINT)

    code, output, _ = program.end()
    assert output.split() == ["interrupted", "False"]
    assert code == 0


@posix
def test_ctrl_c_that_nobody_catches_ends_the_program_as_usual(start_program: StartProgram) -> None:
    program = start_program(
        """
        from apsched.schedulers.blocking import BlockingScheduler
        scheduler = BlockingScheduler(timezone="UTC")
        scheduler.add_job(print, args=["began"], kwargs={"flush": True})
        scheduler.start()
        """
    )
    assert program.read_line() == "began"
    time.sleep(MOMENT)

    program.send(signal.SIGINT)

    code, _, errors = program.end()
    assert code == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


@posix
def test_sigterm_lets_runs_end_and_start_returns(start_program: StartProgram) -> None:
    program = start_program(blocking("job", 0.5))
    assert program.read_line() == "began"
    time.sleep(MOMENT)

    program.send(signal.SIGTERM)

    code, output, errors = program.end()
    assert output.split() == ["ended", "returned", "False"]
    assert (code, errors) == (0, "")


@posix
def test_ctrl_c_twice_after_sigterm_cancels(start_program: StartProgram) -> None:
    program = start_program(blocking("coroutine_job", 60))
    assert program.read_line() == "began"
    time.sleep(MOMENT)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
        program.send(number)
        time.sleep(MOMENT)

    code, output, errors = program.end()
    assert output.split() == ["left", "interrupted", "False"]
    assert (code, errors) == (0, "")


@posix
def test_a_program_that_handles_sigterm_keeps_its_handler(start_program: StartProgram) -> None:
    handler = """
def handle(number, frame):
    say("handled")
    scheduler.shutdown(wait=False)

signal.signal(signal.SIGTERM, handle)
"""
    program = start_program(blocking("coroutine_job", 60, handler))
    assert program.read_line() == "began"
    time.sleep(MOMENT)

    program.send(signal.SIGTERM)

    code, output, errors = program.end()
    assert output.split() == ["handled", "left", "returned", "False"]
    assert (code, errors) == (0, "")


@posix
def test_a_handler_of_sigterm_may_end_the_program(start_program: StartProgram) -> None:
    handler = """
def handle(number, frame):
    sys.exit(3)

signal.signal(signal.SIGTERM, handle)
"""
    program = start_program(blocking("job", 0.5, handler))
    assert program.read_line() == "began"
    time.sleep(MOMENT)

    program.send(signal.SIGTERM)

    code, output, errors = program.end()
    assert output.split() == ["ended"]
    assert (code, errors) == (3, "")


@posix
def test_ctrl_c_while_a_store_is_being_opened_ends_the_start(start_program: StartProgram) -> None:
    program = start_program(
        """
        import threading
        import anyio
        from apsched.jobstores.memory import MemoryJobStore
        from apsched.schedulers.background import BackgroundScheduler

        class Slow(MemoryJobStore):
            async def __aenter__(self):
                print("opens", flush=True)
                await anyio.sleep(60)

        scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": Slow()})
        try:
            scheduler.start()
        except KeyboardInterrupt:
            print("interrupted", scheduler.running, threading.active_count())
        """
    )
    assert program.read_line() == "opens"

    program.send(signal.SIGINT)

    assert program.end() == (0, "interrupted False 1\n", "")


OPENING = """
import anyio, threading, time
from apsched import AsyncScheduler
from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.blocking import BlockingScheduler

class Slow(MemoryJobStore):
    async def __aenter__(self):
        print("opens", flush=True)
        await anyio.sleep(60)

options = {"timezone": "UTC", "jobstores": {"default": Slow()}}
RUN
print("ended", threading.active_count())
"""


@posix
@pytest.mark.parametrize(
    "run",
    [
        "BlockingScheduler(**options).start()",
        "anyio.run(AsyncScheduler(**options).run)",
        "anyio.run(AsyncScheduler(**options).run, backend='trio')",
    ],
    ids=["blocking", "asyncio", "trio"],
)
def test_sigterm_while_a_store_is_being_opened_ends_the_start(start_program: StartProgram, run: str) -> None:
    program = start_program(OPENING.replace("RUN", run))
    assert program.read_line() == "opens"

    program.send(signal.SIGTERM)

    assert program.end() == (0, "ended 1\n", "")


@posix
def test_sigterm_before_the_scheduler_has_its_thread_is_not_lost(start_program: StartProgram) -> None:
    program = start_program(
        """
        import os, signal, threading
        from apsched.schedulers.blocking import BlockingScheduler

        class Early(BlockingScheduler):
            def _make_portal(self):
                portal = super()._make_portal()
                start = portal.start
                def start_later(*args, **kwargs):
                    os.kill(os.getpid(), signal.SIGTERM)
                    start(*args, **kwargs)
                portal.start = start_later
                return portal

        Early(timezone="UTC").start()
        print("ended", threading.active_count())
        """
    )

    assert program.end() == (0, "ended 1\n", "")


# the end of the interpreter

BACKGROUND = """
import gc, logging, sys, threading, time
import anyio
from apsched.schedulers.background import BackgroundScheduler

logging.getLogger("apsched.loop").setLevel(logging.ERROR)  # a slow machine skips runs, and says so
began = threading.Event()

def job():
    began.set()
    time.sleep(60)

async def coroutine_job():
    began.set()
    await anyio.sleep(60)

scheduler = BackgroundScheduler(timezone="UTC")
"""


@pytest.mark.parametrize(
    "rest",
    [
        "scheduler.start()",
        "scheduler.add_job(print, 'interval', seconds=0.005, args=['']); scheduler.start(); time.sleep(0.1)",
        "scheduler.add_job(job); scheduler.start(); began.wait()",
        "scheduler.add_job(coroutine_job); scheduler.start(); began.wait()",
        "scheduler.add_listener(lambda event: None); scheduler.start()",
        "scheduler.add_listener(lambda event: began.set()); scheduler.start(); began.wait()",
        "scheduler.start(); del scheduler; gc.collect()",
        "scheduler.start(paused=True); sys.exit(0)",
    ],
    ids=[
        "idle",
        "busy",
        "job in a thread",
        "coroutine job",
        "listener",
        "listener that was called",
        "scheduler that nobody keeps",
        "paused",
    ],
)
def test_a_program_ends_quickly_and_quietly_while_a_scheduler_runs(start_program: StartProgram, rest: str) -> None:
    program = start_program(BACKGROUND + rest)
    began = time.monotonic()

    code, _, errors = program.end()

    assert (code, errors) == (0, "")
    assert time.monotonic() - began < 5


def test_what_the_end_of_the_program_leaves_undone_is_in_its_log(start_program: StartProgram) -> None:
    program = start_program(
        BACKGROUND
        + """
logging.basicConfig()
scheduler.add_job(job); scheduler.start(); began.wait()
"""
    )

    code, _, errors = program.end()

    assert code == 0
    assert "left 1 threads that still run" in errors


def test_an_error_that_ends_the_program_is_shown_alone(start_program: StartProgram) -> None:
    program = start_program(BACKGROUND + "scheduler.start()\nraise SystemExit('enough')")

    code, _, errors = program.end()

    assert (code, errors) == (1, "enough\n")


@pytest.mark.skipif(
    sys.version_info[:3] in {(3, 12, 0), (3, 12, 1)},
    reason="starts no thread once the main thread has ended: https://github.com/python/cpython/issues/113964",
)
def test_a_scheduler_that_is_no_daemon_keeps_the_program_alive(start_program: StartProgram) -> None:
    program = start_program(
        """
        import threading
        from apsched.schedulers.background import BackgroundScheduler

        ran = threading.Event()

        def job():
            print("ran after", threading.main_thread().is_alive())
            ran.set()

        def wait():
            threading.main_thread().join()
            scheduler.add_job(job)
            ran.wait()
            scheduler.shutdown()

        scheduler = BackgroundScheduler(timezone="UTC", daemon=False)
        scheduler.start()
        threading.Thread(target=wait, daemon=True).start()
        """
    )

    assert program.end() == (0, "ran after False\n", "")


@pytest.mark.skipif(
    sys.version_info[:3] in {(3, 12, 0), (3, 12, 1)},
    reason="starts no thread once the main thread has ended: https://github.com/python/cpython/issues/113964",
)
def test_every_kind_of_job_runs_on_after_the_end_of_the_main_thread(start_program: StartProgram) -> None:
    program = start_program(
        """
        import asyncio, tempfile, threading
        from apsched.executors.pool import ProcessPoolExecutor
        from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
        from apsched.schedulers.background import BackgroundScheduler

        def work():
            return threading.main_thread().is_alive()

        async def work_later():
            return await asyncio.to_thread(work)

        def wait():
            threading.main_thread().join()
            for job_id in ("thread", "loop", "process", "thread", "loop", "process"):
                print(job_id, scheduler.run_job(job_id).result())
            scheduler.shutdown()

        scheduler = BackgroundScheduler(
            timezone="UTC",
            daemon=False,
            jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{tempfile.mkdtemp()}/jobs.db")},
            executors={"processes": ProcessPoolExecutor(1)},
        )
        scheduler.start()
        for name, func, executor in (
            ("thread", "__main__:work", "default"),
            ("loop", "__main__:work_later", "default"),
            ("process", "operator:not_", "processes"),
        ):
            args = [True] if name == "process" else []
            scheduler.add_job(func, "cron", args, hour=0, id=name, executor=executor)
        threading.Thread(target=wait, daemon=True).start()
        """
    )

    assert program.end() == (0, "thread False\nloop False\nprocess False\n" * 2, "")


def test_a_busy_program_with_a_file_and_worker_processes_ends_quietly(start_program: StartProgram) -> None:
    program = start_program(
        BACKGROUND
        + """
import asyncio, tempfile
from apsched.executors.pool import ProcessPoolExecutor
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

async def hop():
    await asyncio.to_thread(began.set)

if __name__ == "__main__":
    scheduler.configure(
        jobstores={"file": SQLAlchemyJobStore(f"sqlite:///{tempfile.mkdtemp()}/jobs.db")},
        executors={"processes": ProcessPoolExecutor(1)},
    )
    often = {"trigger": "interval", "seconds": 0.01}
    scheduler.add_job(hop, **often)
    scheduler.add_job("builtins:int", jobstore="file", **often)
    scheduler.add_job("builtins:int", executor="processes", **often)
    scheduler.start()
    began.wait()
    time.sleep(1)
"""
    )

    code, _, errors = program.end()

    assert (code, errors) == (0, "")


def test_an_exit_handler_may_shut_the_scheduler_down(start_program: StartProgram) -> None:
    program = start_program(
        """
        import atexit
        from apsched.schedulers.background import BackgroundScheduler

        scheduler = BackgroundScheduler(timezone="UTC")
        scheduler.start()
        atexit.register(lambda: print("shut down", scheduler.running))
        atexit.register(scheduler.shutdown)
        """
    )

    assert program.end() == (0, "shut down False\n", "")


# forks

FORK = """
import gc, logging, os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on each fork beside threads warns
from apsched.exceptions import SchedulerNotRunningError
from apsched.schedulers.background import BackgroundScheduler

logging.getLogger("apsched.loop").setLevel(logging.ERROR)  # a slow machine skips runs, and says so
ran = []
changed = threading.Condition()

def job(value):
    with changed:
        ran.append((os.getpid(), value))
        changed.notify_all()

def wait_for(value):
    with changed:
        assert changed.wait_for(lambda: (os.getpid(), value) in ran, 10), (value, ran[-3:])

scheduler = BackgroundScheduler(timezone="UTC")
handle = scheduler.add_job(job, "interval", seconds=0.01, args=["ticked"], id="ticks")
scheduler.add_listener(lambda event: None)
scheduler.start()
wait_for("ticked")

def fork(child):
    pid = os.fork()
    if not pid:
        ran.clear()
        child()
        sys.exit(7)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7, status
    ran.clear()
    wait_for("ticked")
    scheduler.add_job(job, args=["added"])
    wait_for("added")
    scheduler.shutdown()
    print("parent done")

"""


@posix
def test_a_forked_child_has_a_scheduler_that_does_not_run(start_program: StartProgram) -> None:
    program = start_program(
        FORK
        + """
def child():
    print(scheduler.running, scheduler.state, scheduler.get_jobs(), threading.active_count())
    for verb in (scheduler.shutdown, scheduler.pause):
        try:
            verb()
        except SchedulerNotRunningError:
            print("is not running")
    time.sleep(0.1)
    print(ran)

fork(child)
"""
    )

    code, output, errors = program.end()

    assert output.splitlines() == ["False 0 [] 1", "is not running", "is not running", "[]", "parent done"]
    assert (code, errors) == (0, "")


@posix
def test_a_forked_child_may_start_the_scheduler(start_program: StartProgram) -> None:
    program = start_program(
        FORK
        + """
def child():
    for turn in range(2):
        scheduler.add_job(job, args=["child"])
        scheduler.start()
        wait_for("child")
        assert not any(value == "ticked" for _, value in ran)
        scheduler.shutdown()
        gc.collect()
    print("child done", threading.active_count())

fork(child)
"""
    )

    code, output, errors = program.end()

    assert output.splitlines() == ["child done 1", "parent done"]
    assert (code, errors) == (0, "")


@posix
def test_a_forked_child_may_end_with_its_scheduler_running(start_program: StartProgram) -> None:
    program = start_program(FORK + "fork(scheduler.start)")

    assert program.end() == (0, "parent done\n", "")


@posix
def test_a_child_forked_in_a_job_may_use_the_scheduler(start_program: StartProgram) -> None:
    program = start_program(
        FORK
        + """
def forking_job():
    def child():
        scheduler.start()
        scheduler.add_job(job, args=["child"])
        wait_for("child")
        scheduler.shutdown()
        os._exit(7)
    pid = os.fork()
    if not pid:
        child()
    job(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

scheduler.add_job(forking_job)
wait_for(7)
scheduler.shutdown()
print("parent done")
"""
    )

    assert program.end() == (0, "parent done\n", "")


@posix
def test_a_fork_writes_no_log_whose_lock_another_thread_may_hold(start_program: StartProgram) -> None:
    program = start_program(
        FORK
        + """
logging.basicConfig(level=logging.DEBUG, filename="log.txt")
scheduler.add_job(lambda: [logging.info("busy") for _ in range(1000)], "interval", seconds=0.01)
pids = []
for turn in range(30):
    pid = os.fork()
    if not pid:
        scheduler.add_job(job, "interval", hours=1, args=["later"])
        os._exit(7)
    pids.append(pid)
    time.sleep(0.005)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [7] * 30)
scheduler.shutdown()
"""
    )

    assert program.end() == (0, "True\n", "")


@posix
def test_worker_processes_of_multiprocessing_start_and_end_beside_it(start_program: StartProgram) -> None:
    program = start_program(
        FORK
        + """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
scheduler.shutdown()
"""
    )

    assert program.end() == (0, "[1, 2]\n", "")
