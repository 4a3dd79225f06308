"""`import apscheduler` leads to apsched, once that is asked for."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.migration.peers import APS3, FLASK, folder_of, run


def python(code: str, *packages: Path) -> None:
    program = textwrap.dedent(code)
    path = ":".join(map(str, packages))
    prelude = f"import sys; sys.path[:0] = {path!r}.split(':')\n" if packages else ""
    done = subprocess.run([sys.executable, "-c", prelude + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_modules_are_the_same_under_both_names() -> None:
    python("""
        import importlib.metadata
        import apsched.compat
        apsched.compat.install()
        apsched.compat.install()

        import apscheduler.schedulers.background
        from apscheduler import events
        from apscheduler.jobstores.base import JobLookupError
        from apscheduler.triggers.cron import CronTrigger
        import apsched.events, apsched.exceptions, apsched.schedulers.background, apsched.triggers.cron

        assert CronTrigger is apsched.triggers.cron.CronTrigger
        assert JobLookupError is apsched.exceptions.JobLookupError
        assert events is apsched.events
        assert apscheduler.schedulers.background is apsched.schedulers.background
        assert apscheduler is apsched
        assert apsched.triggers.cron.__spec__.name == apsched.triggers.cron.__name__ == "apsched.triggers.cron"
        assert importlib.metadata.version("APScheduler") == "3.11.3"
        assert importlib.metadata.distribution("apscheduler").metadata["Name"] == "APScheduler"
        assert importlib.metadata.version("anyio")
    """)


def test_a_module_that_is_not_here_is_named() -> None:
    python("""
        import apsched.compat
        apsched.compat.install()
        try:
            import apscheduler.jobstores.zookeeper
        except ModuleNotFoundError as error:
            assert error.name == "apscheduler.jobstores.zookeeper", error.name
            assert "apsched has no module 'apsched.jobstores.zookeeper'" in str(error)
        else:
            raise AssertionError
    """)


def test_it_can_be_undone() -> None:
    python("""
        import sys
        import apsched.compat
        apsched.compat.install()
        import apscheduler.triggers.cron
        apsched.compat.uninstall()
        apsched.compat.uninstall()
        assert not [name for name in sys.modules if name.startswith("apscheduler")]
        assert "apsched.triggers.cron" in sys.modules
        try:
            import apscheduler
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError
    """)


@pytest.mark.slow
def test_it_is_refused_where_the_real_one_is_imported() -> None:
    python(
        """
        import apscheduler.events
        import apsched.compat
        try:
            apsched.compat.install()
        except ImportError as error:
            assert "is imported already, from" in str(error), error
        else:
            raise AssertionError
        apsched.compat.uninstall()
        import apscheduler.triggers.date
        assert apscheduler.__name__ == "apscheduler"
    """,
        folder_of(*APS3),
    )


@pytest.mark.slow
def test_it_takes_the_place_of_the_real_one_where_that_is_installed() -> None:
    python(
        """
        import apsched.compat
        apsched.compat.install()
        import apscheduler.triggers.date
        assert apscheduler.__name__ == "apsched"
        apsched.compat.uninstall()
        import apscheduler.triggers.date
        assert apscheduler.__name__ == "apscheduler"
    """,
        folder_of(*APS3),
    )


@pytest.mark.slow
def test_flask_apscheduler_works(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(textwrap.dedent(FLASK_APP))

    run(program, packages=(folder_of("--no-deps", "flask-apscheduler==1.13.1"), folder_of(*FLASK)))


FLASK_APP = """
    import threading

    import apsched.compat

    apsched.compat.install()

    from flask import Flask
    from flask_apscheduler import APScheduler

    ran = threading.Event()


    def work(word):
        assert word == "now"
        ran.set()


    def later():
        pass


    class Config:
        SCHEDULER_API_ENABLED = True
        SCHEDULER_TIMEZONE = "UTC"
        JOBS = [{"id": "configured", "func": work, "args": ("now",), "trigger": "interval", "seconds": 1}]


    app = Flask(__name__)
    app.config.from_object(Config())
    scheduler = APScheduler()
    scheduler.init_app(app)
    scheduler.task("cron", id="decorated", minute="*/5")(later)
    scheduler.start()
    assert ran.wait(20)

    client = app.test_client()
    assert client.get("/scheduler").json["running"]
    assert {job["id"] for job in client.get("/scheduler/jobs").json} == {"configured", "decorated"}
    assert client.post("/scheduler/jobs/decorated/pause").json["next_run_time"] is None
    assert client.patch("/scheduler/jobs/decorated", json={"trigger": "cron", "hour": 3}).json["hour"] == "3"
    assert client.post("/scheduler/jobs/decorated/resume").json["next_run_time"] is not None
    posted = {"id": "posted", "func": "json:dumps", "args": [1], "trigger": "date", "run_date": "2999-01-01"}
    assert client.post("/scheduler/jobs", json=posted).json["run_date"].startswith("2999-01-01")
    assert client.delete("/scheduler/jobs/posted").status_code == 204
    assert scheduler.get_job("posted") is None
    scheduler.shutdown()
"""
