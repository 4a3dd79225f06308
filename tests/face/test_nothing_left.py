"""What is left of a scheduler after its end: no thread, no process, no open file; each test runs a program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.face.conftest import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

HEAD = """
import asyncio, gc, os, tempfile, threading, time
from pathlib import Path
from apsched.executors.pool import ProcessPoolExecutor
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

def left():
    gc.collect()
    files = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            files.append(os.readlink(entry))
        except OSError:
            pass
    threads = sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
    children = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids()]
    return threads, len(files), [line for line in children if "resource_tracker" not in line]  # multiprocessing's own

def pids():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()

url = f"sqlite:///{tempfile.mkdtemp()}/jobs.db"
ran = threading.Semaphore(0)

def in_thread():
    ran.release()

async def in_loop():
    ran.release()

def options():
    return {"timezone": "UTC", "jobstores": {"default": SQLAlchemyJobStore(url), "memory": {"type": "memory"}}}

def add(scheduler):
    scheduler.add_job("__main__:in_thread")
    scheduler.add_job(in_loop, jobstore="memory")
    scheduler.add_job("builtins:int", "interval", hours=1, id="later", replace_existing=True)

def have_run():
    return all(ran.acquire(timeout=20) for _ in range(2))
"""

TAIL = """
cycle()
first = left()
for _ in range(2):
    cycle()
    if left() != first:
        time.sleep(0.5)  # threads of others may take their time
    assert left() == first, (left(), first)
print(first[0], first[2])
"""

CYCLES = {
    "background": """
        from apsched.schedulers.background import BackgroundScheduler

        def cycle():
            scheduler = BackgroundScheduler(**options(), executors={"processes": ProcessPoolExecutor(1)})
            scheduler.add_listener(print, 0)
            scheduler.start()
            add(scheduler)
            assert have_run()
            scheduler.add_job("builtins:int", id="process", executor="processes", trigger="cron", hour=0)
            scheduler.run_job("process").result()
            scheduler.remove_job("process")
            scheduler.shutdown()
        """,
    "blocking": """
        from apsched.schedulers.blocking import BlockingScheduler

        def cycle():
            scheduler = BlockingScheduler(**options())
            add(scheduler)
            def end():
                assert have_run()
                scheduler.shutdown(wait=False)
            scheduler.add_job(end, jobstore="memory")
            scheduler.start()
        """,
    "asyncio": """
        from apsched.schedulers.asyncio import AsyncIOScheduler

        async def main():
            scheduler = AsyncIOScheduler(**options())
            scheduler.start()
            await asyncio.to_thread(add, scheduler)
            assert await asyncio.to_thread(have_run)
            scheduler.shutdown()

        def cycle():
            asyncio.run(main())
        """,
    "native": """
        from apsched import AsyncScheduler

        async def main():
            async with AsyncScheduler(**options(), executors={"processes": ProcessPoolExecutor(1)}) as scheduler:
                await scheduler.add_job("__main__:in_thread")
                await scheduler.add_job(in_loop, jobstore="memory")
                await scheduler.add_job("builtins:int", "cron", hour=0, id="process", executor="processes")
                assert await asyncio.to_thread(have_run)
                await (await scheduler.run_job("process")).result()
                await scheduler.remove_job("process")

        def cycle():
            asyncio.run(main())
        """,
    "gevent": """
        import gevent
        from apsched.schedulers.gevent import GeventScheduler

        def cycle():
            scheduler = GeventScheduler(**options())
            scheduler.start()
            add(scheduler)
            while ran._value < 2:
                gevent.sleep(0.01)
            assert have_run()
            scheduler.shutdown()
        """,
    "qt": """
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        from PySide6.QtCore import QCoreApplication
        from apsched.schedulers.qt import QtScheduler
        app = QCoreApplication([])

        def cycle():
            scheduler = QtScheduler(**options())
            scheduler.start()
            add(scheduler)
            while ran._value < 2:
                app.processEvents()
                time.sleep(0.01)
            assert have_run()
            scheduler.shutdown()
        """,
}


@pytest.mark.parametrize("face", CYCLES)
def test_a_scheduler_leaves_nothing_behind(start_program: Callable[[str], Program], face: str) -> None:
    exit_code, output, errors = start_program(HEAD + dedent(CYCLES[face]) + TAIL).end()

    assert (exit_code, errors) == (0, "")
    assert output == "[] []\n"
