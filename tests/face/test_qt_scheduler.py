"""Where the jobs of a QtScheduler run, in a real Qt program without a screen."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.face.conftest import Program

    Run = Callable[[str], str]

HEAD = """
import datetime, logging, os, threading
logging.getLogger("apsched").addHandler(logging.NullHandler())
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from PySide6.QtCore import QCoreApplication, QTimer
from apsched.exceptions import SchedulerStateError
from apsched.schedulers.background import BackgroundScheduler
from apsched.schedulers.qt import QtScheduler

FAR = datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)
scheduler = QtScheduler(timezone="UTC")
app = QCoreApplication([])
QTimer.singleShot(20_000, lambda: app.exit(1))

def where():
    return threading.current_thread() is threading.main_thread()
"""


@pytest.fixture
def run(start_program: Callable[[str], Program]) -> Run:
    """Run a program to its end, and return what it printed."""

    def run(code: str) -> str:
        exit_code, output, errors = start_program(HEAD + dedent(code)).end()
        assert (exit_code, errors) == (0, "")
        return output

    return run


def test_plain_functions_run_in_threads_and_others_on_request_in_the_interface(run: Run) -> None:
    output = run("""
        seen = {}
        def job(name):
            seen[name] = where()
            if len(seen) == 2:
                app.quit()
        scheduler.add_job(job, "interval", seconds=0.03, args=["thread"])
        scheduler.add_job(job, "interval", seconds=0.03, args=["interface"], executor="qt-gui")
        scheduler.start()
        code = app.exec()
        scheduler.shutdown()
        print(code, sorted(seen.items()))
    """)

    assert output == "0 [('interface', True), ('thread', False)]\n"


def test_jobs_of_the_interface_use_widgets(start_program: Callable[[str], Program]) -> None:
    program = start_program("""
        import logging, os
        logging.getLogger("apsched").addHandler(logging.NullHandler())
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        from PySide6.QtWidgets import QApplication, QLabel
        from apsched.schedulers.qt import QtScheduler

        scheduler = QtScheduler(timezone="UTC")
        scheduler.start()  # before there is an application
        app = QApplication([])
        label = QLabel("")

        @scheduler.scheduled_job("interval", seconds=0.03, executor="qt-gui")
        def tick():
            label.setText(label.text() + "tick ")
            if label.text() == "tick tick tick ":
                app.quit()

        app.exec()
        scheduler.shutdown()
        print(label.text())
    """)

    assert program.end() == (0, "tick tick tick \n", "")


def test_jobs_of_the_interface_call_the_scheduler(run: Run) -> None:
    output = run("""
        def job():
            for number in range(20):
                scheduler.add_job(print, "date", run_date=FAR, id=str(number))
            for number in range(20):
                scheduler.get_job(str(number)).remove()
            print(len(scheduler.get_jobs()))
            app.quit()
        scheduler.add_job(job, executor="qt-gui")
        scheduler.start()
        app.exec()
        scheduler.shutdown()
    """)

    assert output == "0\n"


def test_results_and_errors_come_back(run: Run) -> None:
    output = run("""
        def good(): return where()
        def bad(): raise SystemExit(3)
        async def coroutine(): return where()
        scheduler.start()
        for job in (good, bad, coroutine):
            scheduler.add_job(job, "date", run_date=FAR, id=job.__name__, executor="qt-gui")
        def ask():
            print(scheduler.run_job("good").result(), scheduler.run_job("coroutine").result())
            print(scheduler.run_job("bad").wait().error.splitlines()[-1])
            app.quit()
        thread = threading.Thread(target=ask)
        thread.start()
        app.exec()
        thread.join()
        scheduler.shutdown()
    """)

    assert output == "True False\nSystemExit: 3\n"


def test_waiting_for_a_run_in_the_interface_is_refused(run: Run) -> None:
    output = run("""
        scheduler.start()
        scheduler.add_job(int, "date", run_date=FAR, id="a", executor="qt-gui")
        def ask():
            try:
                scheduler.run_job("a").result()
            except SchedulerStateError as exc:
                print(exc)
            app.quit()
        QTimer.singleShot(0, ask)
        app.exec()
        scheduler.shutdown()
    """)

    assert output.startswith("result must wait for runs, and those in the event loop of this thread cannot go on")


def test_shutdown_in_the_interface_waits_for_threads_and_hands_back_what_waits_for_it(run: Run) -> None:
    output = run("""
        begun, may_end = threading.Event(), threading.Event()
        def slow():
            begun.set()
            may_end.wait(20)
            print("slow ended")
        scheduler.add_job(slow)
        scheduler.add_job(print, args=["in the interface"], executor="qt-gui")
        scheduler.start()  # the event loop does not run: nothing is called in the interface
        begun.wait(20)
        threading.Timer(0.05, may_end.set).start()
        scheduler.shutdown()
        print("shut down")
    """)

    assert output == "slow ended\nshut down\n"


def test_the_interface_is_an_executor_of_other_schedulers(run: Run) -> None:
    output = run("""
        scheduler = BackgroundScheduler({"apscheduler.executors.gui.type": "qt-gui", "apscheduler.timezone": "UTC"})
        def job():
            print(where())
            app.quit()
        scheduler.add_job(job, executor="gui")
        scheduler.start()
        app.exec()
        scheduler.shutdown()
    """)

    assert output == "True\n"
