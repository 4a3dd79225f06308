"""The programs of five guides to APScheduler 3 run here with the package's name changed and nothing else.

Each example stands as its guide has it; what had to be adjusted is said at the example. Adjusted everywhere: intervals
and times are shortened where a run is waited for, names that a fragment takes from the text around it are defined
before it, and a thread shuts down schedulers that block.

Errors of the guides, mended here:

* `print "Hello World"` is Python 2.
* `from apscheduler.scheduler import BlockingScheduler` names a module that is not there; it is
  `apscheduler.schedulers.blocking`.
* `import datetime` is followed by `datetime(2019, ...)`.
* `CronTrigger`, `datetime` and the event constants are used without an import.
* Functions whose body is a comment have none.
* The program that pushes messages calls functions of a project of its own.

The MongoDB store of the three configurations gets the address of a server that the tests have started; the messages
that are pushed lie in Redis, as the guide has them. The schedulers for asyncio, gevent, Tornado, Twisted and Qt are
listed by the guides without an example; `tests/programs` has one for each.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis

from apsched.events import (
    EVENT_ALL,
    EVENT_ALL_JOBS_REMOVED,
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_REMOVED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    JobEvent,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from apsched.exceptions import SchedulerNotRunningError
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apsched.run import Outcome
from apsched.schedulers.base import BaseScheduler
from apsched.triggers.cron import CronTrigger

PATIENCE = 15.0  # seconds


class Reader:
    """Somebody who types an example in, runs it and looks at what it does."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", "print": self._print}
        self.printed: list[str] = []

    def _print(self, *values: object) -> None:
        self.printed.append(" ".join(map(str, values)))

    def type(self, code: str) -> None:
        """Run *code* after what was typed before."""
        exec(dedent(code).replace("apscheduler", "apsched"), self.names)  # noqa: S102  # the examples of this file

    def type_until(self, code: str, condition: Callable[[], object]) -> None:
        """Run *code*, which blocks, and shut its scheduler down when *condition* holds."""
        failures: list[str] = []

        def stop() -> None:
            try:
                wait_until(lambda: self.schedulers() and self.scheduler.running and condition())
            except TimeoutError as exc:
                failures.append(str(exc))
            finally:
                self.scheduler.shutdown()

        thread = threading.Thread(target=stop)
        thread.start()
        self.type(code)
        thread.join()
        assert failures == []

    def schedulers(self) -> list[BaseScheduler]:
        return [value for value in list(self.names.values()) if isinstance(value, BaseScheduler)]

    @property
    def scheduler(self) -> BaseScheduler:
        return self.schedulers()[-1]

    def next_run(self, moment: str, job_id: str | None = None) -> str:
        """Return the time of the job's first run after *moment*, in local time."""
        jobs = self.scheduler.get_jobs()
        job = jobs[-1] if job_id is None else next(job for job in jobs if job.id == job_id)
        zone = self.scheduler.timezone
        found = job.trigger.get_next_fire_time(None, datetime.fromisoformat(moment).replace(tzinfo=zone))
        return "never" if found is None else f"{found.astimezone(zone):%a %Y-%m-%d %H:%M:%S}"


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the example should do did not happen")
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    yield
    logging.getLogger("apsched").setLevel(logging.NOTSET)


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    for scheduler in reader.schedulers():
        with suppress(SchedulerNotRunningError):
            scheduler.shutdown(wait=False)


@pytest.fixture
def sched(reader: Reader) -> Reader:
    """Have what the fragments of the guides take for granted."""
    reader.type(
        """
        from datetime import date, datetime
        from apscheduler.schedulers.background import BackgroundScheduler
        from apscheduler.triggers.cron import CronTrigger

        def my_job(text):
            print(text)

        def job_function():
            print("Hello World")

        def myfunc():
            print("myfunc")

        sched = scheduler = BackgroundScheduler(timezone="UTC")
        """
    )
    return reader


# guide 1, and the parts of guides 2, 4 and 5 that say the same


def test_quick_start(reader: Reader) -> None:
    reader.type_until(
        """
        from apscheduler.schedulers.blocking import BlockingScheduler

        scheduler = BlockingScheduler()

        @scheduler.scheduled_job('cron', hour='8-23')
        def request_update_status():
            print('Doing job')

        scheduler.start()
        """,
        lambda: reader.next_run("2026-03-04T23:30").endswith("2026-03-05 08:00:00"),
    )

    reader.names["request_update_status"]()
    assert reader.printed == ["Doing job"]


def test_date_with_a_day(reader: Reader) -> None:
    reader.type_until(
        """
        from datetime import date
        from apscheduler.schedulers.blocking import BlockingScheduler

        sched = BlockingScheduler()

        def my_job(text):
            print(text)

        sched.add_job(my_job, 'date', run_date=date(2009, 11, 6), args=['text'])

        sched.start()
        """,
        lambda: reader.printed,
    )

    assert reader.printed == ["text"]  # long ago: it runs late, once


@pytest.mark.parametrize(
    "call",
    [
        "sched.add_job(my_job, 'date', run_date=datetime(2009, 11, 6, 16, 30, 5), args=['text'])",
        "sched.add_job(my_job, 'date', run_date='2009-11-06 16:30:05', args=['text'])",
        "scheduler.add_job(my_job, 'date', run_date=datetime(2019, 4, 15, 17, 30, 5), args=['text'])",
        "scheduler.add_job(my_job, 'date', run_date=date(2019, 4, 15), args=['text'])",
        "scheduler.add_job(my_job, 'date', run_date='2009-11-06 16:30:05', args=['text'])",
        "sched.add_job(my_job, args=['text'])",
    ],
)
def test_date_in_its_forms(sched: Reader, call: str) -> None:
    sched.type(call)
    sched.scheduler.start()

    wait_until(lambda: sched.printed == ["text"])
    wait_until(lambda: sched.scheduler.get_jobs() == [])  # a finished job disappears
    (run,) = sched.scheduler.get_runs()  # its run stays
    assert run.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("text", ["2099-11-06 16:30:05", "2099-11-06T16:30:05"])
def test_date_to_come(sched: Reader, text: str) -> None:
    sched.type(f"job = sched.add_job(my_job, 'date', run_date='{text}', args=['text'])")

    assert sched.names["job"].next_run_time == datetime(2099, 11, 6, 16, 30, 5, tzinfo=UTC)


def test_interval(reader: Reader) -> None:
    reader.type_until(
        """
        from datetime import datetime
        from apscheduler.schedulers.blocking import BlockingScheduler

        def job_function():
            print("Hello World")

        sched = BlockingScheduler()

        sched.add_job(job_function, 'interval', seconds=0.02)

        sched.start()
        """,
        lambda: len(reader.printed) >= 3,
    )

    assert set(reader.printed) == {"Hello World"}


def test_interval_between_two_dates(sched: Reader) -> None:
    sched.type(
        "sched.add_job(job_function, 'interval', hours=2, "
        "start_date='2010-10-10 09:30:00', end_date='2014-06-15 11:00:00')"
    )

    assert sched.next_run("2010-01-01T00:00") == "Sun 2010-10-10 09:30:00"
    assert sched.next_run("2010-10-10T10:00") == "Sun 2010-10-10 11:30:00"
    assert sched.next_run("2014-06-15T11:00:01") == "never"


def test_interval_by_decorator(reader: Reader) -> None:
    reader.type_until(
        """
        from apscheduler.schedulers.blocking import BlockingScheduler

        sched = BlockingScheduler()

        @sched.scheduled_job('interval', id='my_job_id', seconds=0.02)
        def job_function():
            print("Hello World")

        sched.start()
        """,
        lambda: reader.printed and reader.scheduler.get_job("my_job_id"),
    )


@pytest.mark.parametrize("schedule", ["'interval', hours=1", "'cron', hour='*'"])
def test_jitter(sched: Reader, schedule: str) -> None:
    sched.type(f"job = sched.add_job(job_function, {schedule}, jitter=120)")
    sched.scheduler.start(paused=True)
    job = sched.names["job"]

    assert abs((job.next_run_time - job.next_nominal_time).total_seconds()) <= 120


def test_cron_with_ranges_and_ordinals(reader: Reader) -> None:
    reader.type_until(
        """
        from apscheduler.schedulers.blocking import BlockingScheduler

        def job_function():
            print("Hello World")

        sched = BlockingScheduler()

        sched.add_job(job_function, 'cron', month='6-8,11-12', day='3rd fri', hour='0-3')

        sched.start()
        """,
        lambda: reader.scheduler.get_jobs(pending=False),
    )
    reader.type("sched.add_job(job_function, 'cron', month='6-8,11-12', day='3rd fri', hour='0-3')")

    assert reader.next_run("2026-01-01T00:00") == "Fri 2026-06-19 00:00:00"
    assert reader.next_run("2026-06-19T02:30") == "Fri 2026-06-19 03:00:00"
    assert reader.next_run("2026-08-22T00:00") == "Fri 2026-11-20 00:00:00"


def test_cron_until_a_date(sched: Reader) -> None:
    sched.type("sched.add_job(job_function, 'cron', day_of_week='mon-fri', hour=5, minute=30, end_date='2014-05-30')")

    assert sched.next_run("2014-05-24T00:00") == "Mon 2014-05-26 05:30:00"
    assert sched.next_run("2014-05-29T06:00") == "never"


def test_cron_by_decorator(sched: Reader) -> None:
    sched.type(
        """
        @sched.scheduled_job('cron', id='my_job_id', day='last sun')
        def some_decorated_task():
            print("I am printed at 00:00:00 on the last Sunday of every month!")
        """
    )

    assert sched.next_run("2026-03-01T00:00", "my_job_id") == "Sun 2026-03-29 00:00:00"


def test_cron_by_crontab(sched: Reader) -> None:
    # Its zone is that of the machine.
    sched.type("sched.add_job(job_function, CronTrigger.from_crontab('0 0 1-15 may-aug *'))")
    sched.type("sched.add_job(job_function, CronTrigger.from_crontab('0 0 1-15 may-aug *', timezone='UTC'))")

    assert sched.next_run("2026-04-20T00:00") == "Fri 2026-05-01 00:00:00"
    assert sched.next_run("2026-05-15T00:01") == "Mon 2026-06-01 00:00:00"


def test_cron_fields_that_are_left_out() -> None:
    short = CronTrigger(day=1, minute=20, timezone="UTC")
    full = CronTrigger("*", "*", 1, "*", "*", "*", 20, 0, timezone="UTC")
    moment: datetime | None = datetime(2026, 1, 1, tzinfo=UTC)

    for _ in range(50):
        assert moment is not None
        found = short.get_next_fire_time(None, moment)
        assert found == full.get_next_fire_time(None, moment)
        assert found is not None
        moment = datetime.fromtimestamp(found.timestamp() + 1, UTC)


def test_cron_at_the_changes_of_the_clock(reader: Reader) -> None:
    reader.type(
        """
        from apscheduler.schedulers.background import BackgroundScheduler

        def job_function():
            print("Hello World")

        sched = BackgroundScheduler(timezone='Europe/Helsinki')
        sched.add_job(job_function, 'cron', hour=3, minute=30)
        """
    )
    trigger = reader.scheduler.get_jobs()[0].trigger
    helsinki = ZoneInfo("Europe/Helsinki")

    def fires_on(day: int, month: int) -> list[str]:
        fires, moment = [], datetime(2026, month, day, tzinfo=helsinki)
        while (found := trigger.get_next_fire_time(None, moment)) is not None and found.astimezone(helsinki).day == day:
            fires.append(f"{found.astimezone(helsinki):%H:%M %z}")
            moment = datetime.fromtimestamp(found.timestamp() + 1, helsinki)
        return fires

    # The guide expects no run in March and two in October. Here each local time has one: a chosen difference.
    assert fires_on(29, 3) == ["04:00 +0300"]
    assert fires_on(25, 10) == ["03:30 +0300"]


def test_calendarinterval_and_combinations(sched: Reader) -> None:
    # Named by the guides without an example.
    sched.type(
        """
        from apscheduler.triggers.combining import AndTrigger, OrTrigger
        from apscheduler.triggers.interval import IntervalTrigger

        sched.add_job(job_function, 'calendarinterval', months=1, hour=4, start_date='2026-01-15', id='monthly')
        sched.add_job(job_function, OrTrigger([
            CronTrigger(day_of_week='mon', hour=2, timezone='UTC'),
            CronTrigger(day_of_week='thu', hour=15, timezone='UTC'),
        ]), id='or')
        sched.add_job(job_function, AndTrigger([
            CronTrigger(day='1-7', timezone='UTC'), CronTrigger(day_of_week='fri', timezone='UTC')
        ]), id='and')
        """
    )

    assert sched.next_run("2026-01-16T00:00", "monthly") == "Sun 2026-02-15 04:00:00"
    assert sched.next_run("2026-03-03T00:00", "or") == "Thu 2026-03-05 15:00:00"
    assert sched.next_run("2026-03-07T00:00", "and") == "Fri 2026-04-03 00:00:00"


def test_a_background_scheduler_by_default(reader: Reader) -> None:
    reader.type(
        """
        from apscheduler.schedulers.background import BackgroundScheduler

        scheduler = BackgroundScheduler()
        """
    )
    reader.scheduler.start()
    health = reader.scheduler.health()

    assert set(health.jobstores) == {"default"}
    assert health.executors["default"].capacity == 10


@pytest.fixture
def database(mongodb_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Be where jobs.sqlite may be written, and give the address of a MongoDB database."""
    monkeypatch.chdir(tmp_path)
    return mongodb_database


def at(url: str, code: str) -> str:
    """Say in *code* where MongoDB is; the guides' one is where MongoDB is by default."""
    with_address = code.replace("MongoDBJobStore()", f"MongoDBJobStore(url={url!r})")
    return with_address.replace("'type': 'mongodb'", f"'type': 'mongodb', 'url': {url!r}")


def test_configuration_by_keywords(reader: Reader, database: str) -> None:
    reader.type(
        at(
            database,
            """
            from pytz import utc

            from apscheduler.schedulers.background import BackgroundScheduler
            from apscheduler.jobstores.mongodb import MongoDBJobStore
            from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
            from apscheduler.executors.pool import ThreadPoolExecutor, ProcessPoolExecutor


            jobstores = {
                'mongo': MongoDBJobStore(),
                'default': SQLAlchemyJobStore(url='sqlite:///jobs.sqlite')
            }
            executors = {
                'default': ThreadPoolExecutor(20),
                'processpool': ProcessPoolExecutor(5)
            }
            job_defaults = {
                'coalesce': False,
                'max_instances': 3
            }
            scheduler = BackgroundScheduler(
                jobstores=jobstores, executors=executors, job_defaults=job_defaults, timezone=utc
            )
            """,
        )
    )
    check_configured(reader)


def test_configuration_by_a_flat_dictionary(reader: Reader, database: str) -> None:
    reader.type(
        at(
            database,
            """
            from apscheduler.schedulers.background import BackgroundScheduler


            # The "apscheduler." prefix is hard coded
            scheduler = BackgroundScheduler({
                'apscheduler.jobstores.mongo': {
                     'type': 'mongodb'
                },
                'apscheduler.jobstores.default': {
                    'type': 'sqlalchemy',
                    'url': 'sqlite:///jobs.sqlite'
                },
                'apscheduler.executors.default': {
                    'class': 'apscheduler.executors.pool:ThreadPoolExecutor',
                    'max_workers': '20'
                },
                'apscheduler.executors.processpool': {
                    'type': 'processpool',
                    'max_workers': '5'
                },
                'apscheduler.job_defaults.coalesce': 'false',
                'apscheduler.job_defaults.max_instances': '3',
                'apscheduler.timezone': 'UTC',
            })
            """,
        )
    )
    check_configured(reader)


def test_configuration_after_adding_jobs(reader: Reader, database: str) -> None:
    reader.type(
        at(
            database,
            """
            from pytz import utc

            from apscheduler.schedulers.background import BackgroundScheduler
            from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
            from apscheduler.executors.pool import ProcessPoolExecutor


            jobstores = {
                'mongo': {'type': 'mongodb'},
                'default': SQLAlchemyJobStore(url='sqlite:///jobs.sqlite')
            }
            executors = {
                'default': {'type': 'threadpool', 'max_workers': 20},
                'processpool': ProcessPoolExecutor(max_workers=5)
            }
            job_defaults = {
                'coalesce': False,
                'max_instances': 3
            }
            scheduler = BackgroundScheduler()

            early = scheduler.add_job(sorted, 'interval', hours=1, args=[[]], jobstore='mongo', id='early')

            scheduler.configure(jobstores=jobstores, executors=executors, job_defaults=job_defaults, timezone=utc)
            """,
        )
    )
    check_configured(reader)
    assert not reader.names["early"].pending


def check_configured(reader: Reader) -> None:
    scheduler = reader.scheduler
    scheduler.start()
    job = scheduler.add_job(
        divmod, "date", run_date="2099-01-01 12:00:00", args=[7, 2], executor="processpool", id="divmod"
    )

    scheduler.add_job(divmod, "date", run_date="2099-01-01", args=[7, 2], jobstore="mongo", id="elsewhere")

    assert set(scheduler.health().jobstores) == {"mongo", "default"}
    assert scheduler.health().executors["default"].capacity == 20
    assert scheduler.health().executors["processpool"].capacity == 5
    assert (job.coalesce, job.max_instances) == (False, 3)
    assert job.next_run_time == datetime(2099, 1, 1, 12, tzinfo=UTC)
    assert scheduler.run_job("divmod").result() == scheduler.run_job("elsewhere").result() == (3, 1)
    assert [job.id for job in scheduler.get_jobs("default")] == ["divmod"]
    assert Path("jobs.sqlite").exists()
    scheduler.shutdown()
    assert ThreadPoolExecutor(20).capacity == 20
    assert ProcessPoolExecutor(5).capacity == 5


def test_removing_jobs(sched: Reader) -> None:
    sched.scheduler.start()
    sched.type(
        """
        job = scheduler.add_job(myfunc, 'interval', minutes=2)
        job.remove()
        """
    )
    assert sched.scheduler.get_jobs() == []

    sched.type(
        """
        scheduler.add_job(myfunc, 'interval', minutes=2, id='my_job_id')
        scheduler.remove_job('my_job_id')
        """
    )
    assert sched.scheduler.get_jobs() == []


def test_adding_again_with_replace_existing(sched: Reader) -> None:
    for _ in range(2):
        sched.type("scheduler.add_job(myfunc, 'interval', minutes=2, id='my_job_id', replace_existing=True)")

    assert [job.id for job in sched.scheduler.get_jobs()] == ["my_job_id"]


def test_pausing_and_resuming_jobs(sched: Reader) -> None:
    sched.scheduler.start()
    sched.type(
        """
        job = scheduler.add_job(myfunc, 'interval', minutes=2, id='my_job_id')
        job.pause()
        paused = job.next_run_time
        job.resume()
        resumed = job.next_run_time
        scheduler.pause_job('my_job_id')
        paused_again = job.next_run_time
        scheduler.resume_job('my_job_id')
        """
    )

    assert sched.names["paused"] is None
    assert sched.names["resumed"] is not None
    assert sched.names["paused_again"] is None
    assert sched.names["job"].next_run_time is not None


def test_modifying_and_rescheduling_jobs(sched: Reader) -> None:
    sched.scheduler.start()
    sched.type(
        """
        job = scheduler.add_job(myfunc, 'interval', minutes=2, id='my_job_id')
        job.modify(max_instances=6, name='Alternate name')
        scheduler.reschedule_job('my_job_id', trigger='cron', minute='*/5')
        """
    )

    job = sched.names["job"]
    assert (job.max_instances, job.name) == (6, "Alternate name")
    assert job.next_run_time.minute % 5 == 0
    with pytest.raises(ValueError, match="id of a job may not be changed"):
        job.modify(id="other")


def test_listing_jobs(sched: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    sched.scheduler.start()
    sched.type(
        """
        scheduler.add_job(myfunc, 'interval', minutes=2, id='my_job_id')
        jobs = scheduler.get_jobs()
        scheduler.print_jobs()
        """
    )

    assert [job.id for job in sched.names["jobs"]] == ["my_job_id"]
    assert "myfunc (trigger: interval[0:02:00], next run at: " in capsys.readouterr().out


@pytest.mark.parametrize("call", ["scheduler.shutdown()", "scheduler.shutdown(wait=False)"])
def test_shutting_down(sched: Reader, call: str) -> None:
    sched.scheduler.start()

    sched.type(call)

    assert not sched.scheduler.running


def test_pausing_and_resuming_the_scheduler(sched: Reader) -> None:
    sched.type(
        """
        scheduler.start(paused=True)
        scheduler.add_job(myfunc)
        printed_while_paused = scheduler.get_runs()
        scheduler.resume()
        """
    )
    wait_until(lambda: sched.printed == ["myfunc"])
    sched.type("scheduler.pause()")

    assert sched.names["printed_while_paused"] == []


def test_limiting_the_runs_at_a_time(sched: Reader) -> None:
    sched.names["release"] = release = threading.Event()
    sched.type("scheduler.add_job(release.wait, 'interval', seconds=0.02, id='one')")
    sched.type("scheduler.add_job(release.wait, 'interval', seconds=0.02, id='three', max_instances=3)")
    sched.scheduler.start()

    def under_way(job_id: str) -> int:
        return len(sched.scheduler.get_runs(job_id, outcome="running"))

    wait_until(lambda: under_way("three") == 3 and sched.scheduler.get_runs("three", outcome="skipped"))
    wait_until(lambda: sched.scheduler.get_runs("one", outcome="skipped"))
    assert under_way("one") == 1
    release.set()


def test_missed_and_coalesced_runs(sched: Reader) -> None:
    sched.type(
        """
        scheduler.start(paused=True)
        scheduler.add_job(myfunc, 'date', run_date='2026-01-01', id='missed', misfire_grace_time=1)
        scheduler.add_job(myfunc, 'date', run_date='2026-01-01', id='late', misfire_grace_time=None)
        scheduler.resume()
        """
    )

    wait_until(lambda: len(sched.scheduler.get_runs()) == 2)
    wait_until(lambda: sched.printed)
    outcomes = {run.job_id: run.outcome for run in sched.scheduler.get_runs(outcome=["missed", "succeeded", "running"])}
    assert outcomes["missed"] is Outcome.MISSED
    assert sched.printed == ["myfunc"]


def test_listening_for_errors(sched: Reader) -> None:
    sched.type(
        """
        from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_ERROR

        def my_listener(event):
            if event.exception:
                print('The job crashed :(')
            else:
                print('The job worked :)')

        scheduler.add_listener(my_listener, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)

        def crash():
            raise ValueError

        scheduler.start()
        scheduler.add_job(crash)
        """
    )
    wait_until(lambda: sched.printed == ["The job crashed :("])

    sched.type("scheduler.add_job(int)")

    wait_until(lambda: sched.printed == ["The job crashed :(", "The job worked :)"])


def test_the_events_of_the_table_have_their_classes(sched: Reader) -> None:
    events: list[SchedulerEvent] = []
    scheduler = sched.scheduler
    scheduler.add_listener(events.append, EVENT_ALL)
    scheduler.start()
    scheduler.pause()
    scheduler.resume()
    scheduler.add_executor("threadpool", "other")
    scheduler.remove_executor("other")
    scheduler.add_jobstore("memory", "other")
    scheduler.remove_jobstore("other")
    release = threading.Event()
    scheduler.add_job(release.wait, "interval", seconds=0.02, id="slow")
    wait_until(lambda: EVENT_JOB_MAX_INSTANCES in {event.code for event in events})
    release.set()
    scheduler.modify_job("slow", name="other")
    scheduler.remove_job("slow")
    scheduler.add_job(int, args=["x"])
    scheduler.add_job(int, "date", run_date="2026-01-01", misfire_grace_time=1)
    wait_until(lambda: {EVENT_JOB_ERROR, EVENT_JOB_MISSED} <= {event.code for event in events})
    scheduler.remove_all_jobs()
    scheduler.shutdown()

    classes = {event.code: type(event) for event in events}
    table = {
        SchedulerEvent: [
            EVENT_SCHEDULER_STARTED,
            EVENT_SCHEDULER_SHUTDOWN,
            EVENT_SCHEDULER_PAUSED,
            EVENT_SCHEDULER_RESUMED,
            EVENT_EXECUTOR_ADDED,
            EVENT_EXECUTOR_REMOVED,
            EVENT_JOBSTORE_ADDED,
            EVENT_JOBSTORE_REMOVED,
            EVENT_ALL_JOBS_REMOVED,
        ],
        JobEvent: [EVENT_JOB_ADDED, EVENT_JOB_REMOVED, EVENT_JOB_MODIFIED],
        JobSubmissionEvent: [EVENT_JOB_SUBMITTED, EVENT_JOB_MAX_INSTANCES],
        JobExecutionEvent: [EVENT_JOB_EXECUTED, EVENT_JOB_ERROR, EVENT_JOB_MISSED],
    }
    assert {code: classes.get(code) for codes in table.values() for code in codes} == {
        code: kind for kind, codes in table.items() for code in codes
    }


def test_logging(sched: Reader, caplog: pytest.LogCaptureFixture) -> None:
    sched.type(
        """
        import logging

        logging.basicConfig()
        logging.getLogger('apscheduler').setLevel(logging.DEBUG)
        """
    )
    sched.scheduler.start()
    sched.scheduler.add_job(int, args=["x"])
    wait_until(lambda: "invalid literal" in caplog.text)
    sched.scheduler.shutdown()

    assert {name.split(".")[0] for name, _, _ in caplog.record_tuples if name != "asyncio"} == {"apsched"}
    assert "has started" in caplog.text
    assert "has shut down" in caplog.text


# guide 3


def test_the_background_program(reader: Reader) -> None:
    # time.sleep is interrupted as by Ctrl-C once it has ticked.
    def sleep(seconds: float) -> None:
        wait_until(lambda: sum(line.startswith("Tick!") for line in reader.printed) >= 2)
        raise KeyboardInterrupt

    reader.names["sleep"] = sleep
    reader.type(
        """
        from datetime import datetime
        import os

        from apscheduler.schedulers.background import BackgroundScheduler


        class time:
            sleep = staticmethod(sleep)


        def tick():
            print('Tick! The time is: %s' % datetime.now())


        if __name__ == '__main__':
            scheduler = BackgroundScheduler()
            scheduler.add_job(tick, 'interval', seconds=0.03)
            scheduler.start()
            print('Press Ctrl+{0} to exit'.format('Break' if os.name == 'nt' else 'C'))

            try:
                while True:
                    time.sleep(2)
            except (KeyboardInterrupt, SystemExit):
                scheduler.shutdown()
        """
    )

    assert not reader.scheduler.running


def test_the_blocking_program(reader: Reader) -> None:
    reader.type_until(
        """
        from datetime import datetime
        import os

        from apscheduler.schedulers.blocking import BlockingScheduler


        def tick():
            print('Tick! The time is: %s' % datetime.now())


        if __name__ == '__main__':
            scheduler = BlockingScheduler()
            scheduler.add_job(tick, 'interval', seconds=0.03)
            print('Press Ctrl+{0} to exit'.format('Break' if os.name == 'nt' else 'C'))

            try:
                scheduler.start()
            except (KeyboardInterrupt, SystemExit):
                pass
        """,
        lambda: len(reader.printed) >= 3,
    )


def test_a_job_that_adds_jobs(reader: Reader, redis_database: str) -> None:
    # The two functions and the key of the guide's own project, for Redis; messages are printed.
    with redis.Redis.from_url(redis_database) as client:
        client.zadd("push", {repr({"push_date": "2026-01-01 08:00:00", "user_list": [1, 2], "push_msg": "hello"}): 1})
        reader.names.update(
            PUSH_QUEUE_KEY="push",
            get_zset_value=lambda key: client.zrange(key, 0, -1),
            remove_zset_value=client.zrem,
            send=reader.names["print"],
        )
        reader.type_until(
            """
            from apscheduler.schedulers.blocking import BlockingScheduler

            scheduler = BlockingScheduler()

            def push_message(msg, user_list):
                print('...', user_list)
                send(msg, user_list)


            def exe_job():
                push_list = get_zset_value(PUSH_QUEUE_KEY)
                if push_list:
                    for p in push_list:
                        result = eval(p.decode())
                        run_date = result['push_date']
                        user_list = result['user_list']
                        msg = result['push_msg']
                        scheduler.add_job(push_message, 'date', run_date=run_date, args=[msg, user_list])
                        remove_zset_value(PUSH_QUEUE_KEY, p)


            if __name__ == '__main__':
                scheduler.add_job(exe_job, 'interval', seconds=0.05)
                print('scheduler is running...')
                scheduler.start()
            """,
            lambda: len(reader.printed) == 3,
        )
        assert client.zcard("push") == 0

    assert reader.printed == ["scheduler is running...", "... [1, 2]", "hello [1, 2]"]


# guide 5


def test_the_basic_program(reader: Reader) -> None:
    reader.type_until(
        """
        from apscheduler.schedulers.blocking import BlockingScheduler
        from datetime import datetime

        def job_function():
            print("Hello World", datetime.now())

        sched = BlockingScheduler()

        sched.add_job(job_function, 'interval', seconds=0.02)

        sched.start()
        """,
        lambda: len(reader.printed) >= 2,
    )


def test_three_kinds_of_jobs(sched: Reader) -> None:
    sched.type(
        """
        sched.add_job(job_function, 'date', run_date=datetime(2023, 8, 1, 15, 30), id='date')
        sched.add_job(job_function, 'interval', minutes=5, id='interval')
        sched.add_job(job_function, 'cron', hour='6', minute='30', id='cron')
        """
    )

    assert {job.id for job in sched.scheduler.get_jobs()} == {"date", "interval", "cron"}
    assert sched.next_run("2026-01-01T07:00", "cron") == "Fri 2026-01-02 06:30:00"


def test_controlling_jobs_by_id(sched: Reader) -> None:
    # The guide removes the job before it pauses it; the order is changed.
    sched.type(
        """
        job = sched.add_job(job_function, 'interval', minutes=5)
        job_id = job.id
        sched.pause_job(job_id)
        sched.resume_job(job_id)
        jobs = sched.get_jobs()
        sched.remove_job(job_id)
        """
    )

    assert len(sched.names["jobs"]) == 1
    assert sched.scheduler.get_jobs() == []


def test_in_a_web_application(reader: Reader) -> None:
    reader.type(
        """
        from flask import Flask
        from apscheduler.schedulers.background import BackgroundScheduler

        app = Flask(__name__)

        def my_job():
            print("Job running...")

        scheduler = BackgroundScheduler()
        scheduler.add_job(my_job, 'interval', seconds=0.03)
        scheduler.start()
        """
    )

    wait_until(lambda: len(reader.printed) >= 2)


@pytest.mark.parametrize(
    ("calls", "moment", "expected"),
    [
        (
            "scheduler.add_job(collect_data, 'interval', hours=6); scheduler.add_job(analyze_data, 'cron', hour='0')",
            "2026-01-01T01:00",
            "Fri 2026-01-02 00:00:00",
        ),
        (
            "scheduler.add_job(run_tests, 'cron', day_of_week='mon-fri', hour='1')",
            "2026-01-03T00:00",
            "Mon 2026-01-05 01:00:00",
        ),
        (
            "scheduler.add_job(check_sensor, 'interval', seconds=10); "
            "scheduler.add_job(control_device, 'cron', hour='0-23/2')",
            "2026-01-01T01:00",
            "Thu 2026-01-01 02:00:00",
        ),
    ],
    ids=["reports", "tests", "devices"],
)
def test_common_uses(reader: Reader, calls: str, moment: str, expected: str) -> None:
    reader.type(
        """
        from apscheduler.schedulers.background import BackgroundScheduler

        def work():
            pass

        collect_data = analyze_data = run_tests = check_sensor = control_device = work

        scheduler = BackgroundScheduler()
        """
    )
    reader.type(calls)
    reader.type("scheduler.start()")
    (cron,) = (job for job in reader.scheduler.get_jobs() if isinstance(job.trigger, CronTrigger))

    assert reader.scheduler.running
    assert reader.next_run(moment, cron.id) == expected
