"""Django: jobs and tasks of a project, on its own database, in this process and by manage.py."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.db.utils import ConnectionHandler
from django.test import Client
from django.test.utils import override_settings
from sqlalchemy import make_url

from apsched.integrations.django import databases, declared, scheduled_job
from apsched.integrations.django.scheduler import DjangoScheduler
from apsched.run import Run

PROGRAMS = Path(__file__).parent.parent / "programs"
PATIENCE = 30.0  # seconds
SETTINGS = "django_shop.settings"
FAR = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")  # Django is set up once; and pytest comes back to a module for the other event loop
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the database of the project is, which has its tables; the project is set up."""
    folder = tmp_path_factory.mktemp("django")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROGRAMS)
        patch.setenv("DJANGO_SETTINGS_MODULE", SETTINGS)
        patch.setenv("SHOP_DATABASE", str(folder / "shop.db"))
        django.setup()
        call_command("migrate", run_syncdb=True, verbosity=0)
        declared.declared_jobs()
        yield folder
        connection.close()


@pytest.fixture(autouse=True)
def _empty_store(folder: Path) -> None:
    """Begin each test without jobs, runs and nodes."""
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'apsched%'").fetchall():
            if table != "apsched_schema":
                database.execute(f"DELETE FROM {table}")  # noqa: S608
        database.execute("DELETE FROM stock_order")


@pytest.fixture
def tasks(folder: Path) -> Iterator[Any]:
    """The module of the tasks of the project; no thread is left."""
    module = importlib.import_module("django_shop.stock.tasks")
    yield module
    module.confirm.get_backend().door.close()


@contextmanager
def started() -> Generator[DjangoScheduler]:
    scheduler = DjangoScheduler()
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def finished(result: Any) -> Any:
    """Return *result* when its task has ended."""
    wait_until(lambda: result.refresh() or result.is_finished)
    return result


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# settings


def test_the_store_is_in_the_database_of_the_project_and_the_zone_that_of_its_settings(folder: Path) -> None:
    scheduler = DjangoScheduler()

    assert str(folder / "shop.db") in repr(scheduler.store)
    assert str(scheduler.timezone) == "Europe/Helsinki"


def test_settings_may_have_the_dotted_keys_of_apscheduler_3() -> None:
    given = {"apscheduler.jobstores.default.type": "memory", "apscheduler.timezone": "Asia/Tokyo"}
    with override_settings(APSCHED=given):
        scheduler = DjangoScheduler()

    assert not scheduler.store.is_persistent
    assert str(scheduler.timezone) == "Asia/Tokyo"


def test_a_store_may_be_in_any_database_with_options_of_the_store(folder: Path) -> None:
    store = {"class": "apsched.integrations.django.databases:make_jobstore", "tablename": "shop_jobs"}
    with override_settings(APSCHED={"jobstores": {"default": store}}):
        assert "tablename=shop_jobs" in repr(DjangoScheduler().store)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("memory", "APSCHED must be a mapping"),
        ({"executor": {}}, "DjangoScheduler has no argument 'executor'; did you mean 'executors'"),
        ({"jobstores": {"default": {"type": "nope"}}}, "nope"),
    ],
)
def test_settings_that_are_wrong_are_told_by_the_command(given: Any, problem: str) -> None:
    with override_settings(APSCHED=given), pytest.raises(CommandError, match=problem):
        call_command("apsched", "list")


# databases


def store_in(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Any:
    """Return the store in a database of those settings."""
    monkeypatch.setattr(databases, "connections", ConnectionHandler({"default": settings}))
    return databases.make_jobstore()


@pytest.mark.parametrize(
    ("settings", "url", "arguments"),
    [
        ({"ENGINE": "sqlite3", "NAME": Path("/srv/shop.db")}, "sqlite:////srv/shop.db", {}),
        ({"ENGINE": "postgresql", "NAME": "shop"}, "postgresql+asyncpg:///shop", {}),
        (
            {"ENGINE": "postgresql", "NAME": "a b", "USER": "me", "PASSWORD": "p@:/", "HOST": "db", "PORT": "5433"},
            "postgresql+asyncpg://me:p%40%3A%2F@db:5433/a b",
            {},
        ),
        (
            {"ENGINE": "postgresql", "NAME": "shop", "HOST": "db", "OPTIONS": {"sslmode": "require", "pool": True}},
            "postgresql+asyncpg://db/shop",
            {"ssl": "require"},
        ),
        (
            {"ENGINE": "postgresql", "NAME": "", "OPTIONS": {"service": "shop", "isolation_level": 4}},
            "postgresql+psycopg://",
            {"service": "shop"},
        ),
        (
            {"ENGINE": "postgresql", "NAME": "shop", "USER": "me", "HOST": "/run/pg"},
            "postgresql+asyncpg://me@/shop?host=%2Frun%2Fpg",
            {},
        ),
        (
            {"ENGINE": "mysql", "NAME": "shop", "HOST": "/run/my.sock", "OPTIONS": {"charset": "utf8mb4"}},
            "mysql+asyncmy:///shop",
            {"unix_socket": "/run/my.sock"},
        ),
        (
            {"ENGINE": "mysql", "NAME": "shop", "HOST": "db", "OPTIONS": {"ssl": {"ca": "ca.pem"}}},
            "mysql+pymysql://db/shop",
            {"ssl": {"ca": "ca.pem"}},
        ),
    ],
)
def test_what_the_settings_say_of_a_database_carries_over(
    settings: dict[str, Any], url: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(monkeypatch, **{**settings, "ENGINE": f"django.db.backends.{settings['ENGINE']}"})

    assert store._url == make_url(url)
    assert store._engine_options == {"connect_args": arguments}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"ENGINE": "django.db.backends.oracle", "NAME": "x"}, "name another store in APSCHED"),
        ({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, "can keep no jobs: url must name a file"),
    ],
)
def test_a_database_that_can_keep_no_jobs_is_refused(
    settings: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImproperlyConfigured, match=problem):
        store_in(monkeypatch, **settings)


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
async def test_jobs_are_kept_in_a_database_of_a_server(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(request.getfixturevalue(f"{server}_database"))
    socket = url.query.get("host") or url.query.get("unix_socket")
    place = {"HOST": url.host or socket or "", "PORT": url.port or "", "NAME": url.database}
    names = {"USER": url.username or "", "PASSWORD": url.password or ""}

    async with store_in(monkeypatch, ENGINE=f"django.db.backends.{server}", **place, **names) as store:
        assert await store.nodes() == []


# jobs


def test_a_start_makes_the_store_hold_what_the_apps_declare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def job() -> None: ...

    job.__qualname__ = "job"
    with monkeypatch.context() as patch:
        patch.setattr(declared, "_declared", {})
        patch.setitem(globals(), "job", job)
        scheduled_job("interval", weeks=1)(job)
        with pytest.raises(ValueError, match="is declared for"):
            scheduled_job("interval", weeks=1, id=f"{__name__}.job")(wait_until)
        with started() as scheduler:
            scheduler.add_job(native_connection, "interval", weeks=1, id="by hand")
            assert {each.id for each in scheduler.get_jobs()} == {f"{__name__}.job", "by hand"}

    with started() as scheduler:
        found = {each.id: each for each in scheduler.get_jobs()}

    assert set(found) == {"by hand", "count-orders", "django_shop.stock.jobs.empty_stock"}
    assert found["count-orders"].misfire_grace_time == 3600
    assert str(found["django_shop.stock.jobs.empty_stock"].trigger.timezone) == "Europe/Helsinki"  # type: ignore[attr-defined]


def test_jobs_use_the_models_of_the_project_in_threads_and_in_the_event_loop(folder: Path) -> None:
    orders = importlib.import_module("django_shop.stock.models").Order.objects
    orders.create(number=-7)

    with started() as scheduler:
        assert scheduler.run_job("count-orders").result() == 1
        assert scheduler.run_job("django_shop.stock.jobs.empty_stock").result() == 1
        assert scheduler.run_job("count-orders").result() == 0


def native_connection() -> object:
    connection.ensure_connection()
    return connection.connection


async def native_connection_later() -> object:
    return await importlib.import_module("asgiref.sync").sync_to_async(native_connection)()


@pytest.mark.parametrize("func", [native_connection, native_connection_later])
def test_connections_are_closed_after_each_run(func: Any, folder: Path) -> None:
    seen: list[Any] = []

    async def keep(run: Run, call_next: Any) -> Any:
        seen.append(await call_next())

    with override_settings(APSCHED={"middleware": [keep], "jobstores": {"default": "memory"}}), started() as scheduler:
        for _ in range(2):
            scheduler.add_job(func, "interval", weeks=1, id="job", replace_existing=True)
            scheduler.run_job("job").wait()

    assert len({id(each) for each in seen}) == 2
    for each in seen:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            each.execute("SELECT 1")


# commands


def test_the_command_lists_and_triggers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with started():
        pass

    call_command("apsched", "list", "--json")
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert {job["id"] for job in jobs} == {"count-orders", "django_shop.stock.jobs.empty_stock"}
    call_command("apsched", "trigger", "count-orders")
    assert "waits for a node" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("apsched", "show", "nope")
    call_command("apsched")
    assert "Usage: python manage.py apsched [OPTIONS] COMMAND" in capsys.readouterr().out


def test_the_command_finds_no_jobs_that_live_in_memory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(APSCHED={"jobstores": {"default": "memory"}}), pytest.raises(SystemExit):
        call_command("apsched", "list")

    assert "name a store in APSCHED['jobstores']" in capsys.readouterr().err


# tasks


def test_tasks_run_and_their_results_are_found(tasks: Any) -> None:
    confirmed, counted = tasks.confirm.enqueue(7), tasks.count.enqueue(least=3)
    assert (confirmed.status, confirmed.args, confirmed.worker_ids) == ("READY", [7], [])
    assert len(confirmed.id) < 64

    with started() as scheduler:
        assert finished(confirmed).return_value == "0 of 7 ordered"
        assert finished(counted).return_value == 0
        node = scheduler.get_runs(outcome="succeeded")[0].node

    assert confirmed.worker_ids == [node]
    assert confirmed.enqueued_at <= confirmed.started_at <= confirmed.finished_at
    again = tasks.count.get_result(counted.id)
    assert (again.status, again.kwargs, again.return_value) == ("SUCCESSFUL", {"least": 3}, 0)


def test_a_failure_has_its_class_and_its_traceback(tasks: Any) -> None:
    result = tasks.fail.enqueue("{")

    with started():
        (error,) = finished(result).errors

    assert result.status == "FAILED"
    assert error.exception_class is json.JSONDecodeError
    assert "in fail" in error.traceback
    with pytest.raises(ValueError, match="failed"):
        _ = result.return_value


def test_a_task_is_attempted_again_and_each_failure_is_an_error(tasks: Any) -> None:
    backend = "apsched.integrations.django.tasks.SchedulerBackend"
    options = {"retry": {"max_attempts": 2, "backoff": 0}}
    with override_settings(TASKS={"default": {"BACKEND": backend, "OPTIONS": options}}):
        result = tasks.fail.enqueue("{")
        with started():
            finished(result)

    assert [error.exception_class for error in result.errors] == [json.JSONDecodeError] * 2
    assert (result.status, result.attempts) == ("FAILED", 2)
    assert result.started_at < result.last_attempted_at


def test_a_task_gets_its_context(tasks: Any) -> None:
    result = tasks.who_am_i.enqueue()

    with started():
        assert finished(result).return_value == [result.id, 1]


def test_signals_are_sent(tasks: Any) -> None:
    signals = importlib.import_module("apsched.integrations.django._framework")
    seen: list[tuple[str, str]] = []

    def note(name: str) -> Any:
        def receive(sender: Any, task_result: Any, **others: Any) -> None:
            seen.append((name, task_result.status.value))

        return receive

    receivers = {name: note(name) for name in ("task_enqueued", "task_started", "task_finished")}
    for name, receive in receivers.items():
        getattr(signals, name).connect(receive)
    try:
        result = tasks.confirm.enqueue(7)
        with started():
            finished(result)
    finally:
        for name, receive in receivers.items():
            getattr(signals, name).disconnect(receive)

    assert seen == [("task_enqueued", "READY"), ("task_started", "RUNNING"), ("task_finished", "SUCCESSFUL")]


def test_what_is_enqueued_in_a_transaction_is_written_with_it(tasks: Any) -> None:
    missing = importlib.import_module("apsched.integrations.django._framework").TaskResultDoesNotExist
    orders = importlib.import_module("django_shop.stock.models").Order.objects
    with transaction.atomic():
        orders.create(number=7)  # which locks the file
        kept = tasks.confirm.enqueue(7)
        with pytest.raises(missing):
            tasks.confirm.get_result(kept.id)
    with transaction.atomic():
        lost = tasks.confirm.enqueue(8)
        transaction.set_rollback(True)

    assert tasks.confirm.get_result(kept.id).status == "READY"
    with pytest.raises(missing):
        tasks.confirm.get_result(lost.id)
    with pytest.raises(missing):
        tasks.confirm.get_result("nonsense")


def test_a_task_waits_until_it_may_run(tasks: Any) -> None:
    later = tasks.confirm.using(run_after=FAR).enqueue(7)
    now = tasks.confirm.enqueue(8)

    with started():
        finished(now)
        later.refresh()

    assert (later.status, later.task.run_after) == ("READY", FAR)


def test_what_a_backend_cannot_do_is_refused(tasks: Any) -> None:
    module = "django.tasks" if (Path(django.__path__[0]) / "tasks").exists() else "django_tasks"
    exceptions = importlib.import_module(f"{module}.exceptions")
    invalid = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
    with pytest.raises(invalid, match="priority"):
        tasks.confirm.using(priority=5)
    with pytest.raises(invalid, match="Queue 'mail'"):
        tasks.confirm.using(queue_name="mail")
    with pytest.raises(TypeError, match="Unsupported type"):
        tasks.confirm.enqueue(object())
    backend = "apsched.integrations.django.tasks.SchedulerBackend"
    given = {"BACKEND": backend, "OPTIONS": {"retries": 3}}
    problem = "OPTIONS of the tasks 'default' has no 'retries'; there are: executor"
    with override_settings(TASKS={"default": given}), pytest.raises(TypeError, match=problem):
        tasks.confirm.enqueue(7)


async def test_a_task_can_be_enqueued_by_a_coroutine_function(tasks: Any, anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("Django has no trio")
    result = await tasks.count.aenqueue()

    assert (await tasks.count.aget_result(result.id)).status == "READY"


def test_a_task_with_a_long_path_has_a_result_with_a_short_id(tasks: Any) -> None:
    from apsched.integrations.django.tasks import job_id_of

    class Long:
        module_path = "a" * 80 + ".b.send"

    task: Any = Long()
    job_id = job_id_of("default", task)
    assert len(job_id) == 35
    assert job_id.startswith("aaa")
    assert ".b.send~" in job_id
    assert job_id_of("mail", task) != job_id


# processes of their own


def manage(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "django", *arguments]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_task_of_a_request_is_run_by_the_process_of_the_command(folder: Path) -> None:
    path = os.pathsep.join((str(PROGRAMS), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(manage("apsched", "run"), env=environment, stderr=subprocess.PIPE, text=True) as worker:
        try:
            client = Client()
            result = client.post("/orders/7").json()
            assert result["status"] == "READY"
            page = f"/confirmations/{result['id']}"
            wait_until(lambda: worker.poll() is not None or client.get(page).json()["status"] == "SUCCESSFUL")
            assert client.get(page).json()["said"] == "1 of 7 ordered"
            worker.send_signal(signal.SIGTERM)
            _, log = worker.communicate(timeout=PATIENCE)
        finally:
            worker.kill()

    assert worker.returncode == 0
    assert "Traceback" not in log
    assert "has shut down" in log
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        assert database.execute("SELECT * FROM apsched_nodes").fetchall() == []
        assert database.execute("SELECT count(*) FROM apsched_jobs").fetchone() == (3,)  # with that of the task
    listed = subprocess.run(manage("apsched", "runs", "--ids"), env=environment, capture_output=True, check=True)
    assert result["id"] in listed.stdout.decode().splitlines()
