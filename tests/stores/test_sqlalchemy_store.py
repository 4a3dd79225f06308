"""What is special to the SQL store: its databases, its tables, and data that was damaged by hand."""

# ruff: noqa: S608  # the statements that damage rows are put together here

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs
import pytest
import sqlalchemy as sa
from anyio.from_thread import start_blocking_portal
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from apsched._bridge import Bridge
from apsched.async_scheduler import AsyncScheduler
from apsched.engine.make_job import refuse, replace
from apsched.engine.plan import after_crash
from apsched.events import EVENT_JOB_EXECUTED, EVENT_JOBSTORE_FAILED, EVENT_JOBSTORE_RECOVERED, SchedulerEvent
from apsched.exceptions import (
    ConflictingIdError,
    JobStoreUnavailableError,
    JobStoreVersionError,
    MissingExtraError,
    TransientJobError,
    UnstorableError,
)
from apsched.job import Job
from apsched.jobstores._sql import bulk
from apsched.jobstores.base import JobFilter
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.run import Outcome, Run
from apsched.serializers.base import unreadable_arguments
from apsched.testing.contract._values import (
    ALL,
    FAR,
    LEASE,
    T0,
    ended,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    noop,
    outcomes_of,
    setting,
    take,
    take_one,
)
from tests.servers import MySQL, PostgreSQL, Proxy
from tests.servers._process import free_port
from tests.stores.calls import beat_apart, done, patiently

RUNNING, PENDING, SUCCEEDED, FAILED = Outcome.RUNNING, Outcome.PENDING, Outcome.SUCCEEDED, Outcome.FAILED
BRIEF = 1.0  # seconds, as a timeout; a busy server may take half of it


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a file of SQLite that is not there yet."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture(scope="module")
def empty_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with the tables of a store, since copying is quicker than making them."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"

    async def make() -> None:
        async with SQLAlchemyJobStore(f"sqlite:///{path}"):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
async def store(url: str, empty_tables: Path, tmp_path: Path) -> AsyncIterator[SQLAlchemyJobStore]:
    shutil.copy(empty_tables, tmp_path / "jobs.db")
    async with opened(url) as store:
        yield store


@pytest.fixture
def raw(store: SQLAlchemyJobStore, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database, past the store."""
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        connection.text_factory = bytes
        yield connection


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncGenerator[SQLAlchemyJobStore]:
    """Enter a store with two nodes."""
    async with SQLAlchemyJobStore(url, **options) as store:
        for node in "ab":
            await store.join(node, LEASE, T0)
        yield store


async def entering(store: SQLAlchemyJobStore) -> str:
    """Return what a store says that cannot be entered."""
    with pytest.raises(JobStoreUnavailableError) as caught:
        await store.__aenter__()
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, (SQLAlchemyError, OSError))
    return str(caught.value)


def through(proxy: Proxy, url: str, driver: str) -> str:
    """Return *url* with another driver, by way of the proxy."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(scheme=driver, netloc=f"{user}@{proxy.host}:{proxy.port}").geturl()


def busy_connections(engine: sa.Engine) -> int:
    """Return how many connections of an engine are in use."""
    pool = engine.pool
    assert isinstance(pool, sa.QueuePool)
    return pool.checkedout()


def work() -> None:
    """Do nothing."""


# arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "must have either url or engine, got neither"),
        (
            {"url": "sqlite:///a", "engine": sa.create_engine("sqlite:///a")},
            ValueError,
            "must have either .*, got both",
        ),
        ({"url": "sqlite://"}, ValueError, "url must name a file for SQLite, got 'sqlite://'"),
        ({"engine": sa.create_engine("sqlite://")}, ValueError, "url must name a file for SQLite, got 'sqlite://'"),
        ({"engine": 42}, TypeError, "engine must be an engine of SQLAlchemy, sync or async, got 42"),
        ({"url": "oracle://me:secret@h/d"}, ValueError, r"url must begin with one of .*, got 'oracle://me:\*\*\*@h/d'"),
        ({"url": "me:secret@h"}, ValueError, "url must look like 'postgresql://user:password@host/database', got 'h'"),
        ({"url": "mysql://me:secret@h:x/d"}, ValueError, "url must look like 'postgresql://.*', got 'h:x/d'"),
        ({"url": "sqlite:///a", "tablename": ""}, ValueError, "tablename must be the name of a table, got ''"),
        ({"url": "sqlite:///a", "keep_runs": -1}, ValueError, "keep_runs must be a whole number from 0 on, got -1"),
        ({"url": "sqlite:///a", "timeout": 0}, ValueError, "timeout must be a number of seconds, more than 0, got 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        SQLAlchemyJobStore(**arguments)

    assert "secret" not in str(caught.value)


def test_a_store_shows_where_it_is_and_no_password() -> None:
    store = SQLAlchemyJobStore("postgresql://me:secret@h/d?sslpassword=secret", tablename="mine")

    assert repr(store) == (
        "<SQLAlchemyJobStore (url=postgresql+asyncpg://me:***@h/d?sslpassword=%2A%2A%2A tablename=mine)>"
    )


async def test_a_driver_that_is_missing_is_told_when_the_store_is_entered() -> None:
    store = SQLAlchemyJobStore("mysql+mysqldb://me:secret@h/d")

    with pytest.raises(MissingExtraError, match=r"a job store at 'mysql\+mysqldb://me:\*\*\*@h/d' needs a package"):
        await store.__aenter__()


def test_without_sqlalchemy_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from apsched import _plugins; from apsched.exceptions import MissingExtraError\n"
        "try: _plugins.find('jobstore', 'sqlalchemy')\n"
        "except MissingExtraError as exc: print(exc)\n"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'apsched[sqlite]'" in result.stdout


async def test_a_store_that_is_not_entered_says_so(url: str) -> None:
    with pytest.raises(JobStoreUnavailableError, match="is not open; enter it"):
        await SQLAlchemyJobStore(url).get("job")


def test_a_store_can_be_entered_in_one_event_loop_after_another(url: str) -> None:
    store = SQLAlchemyJobStore(url)

    async def use(job_id: str) -> list[str]:
        async with store:
            await store.add([make_job(job_id)])
            return ids_of(await store.select(JobFilter()))

    assert asyncio.run(use("a")) == ["a"]
    assert anyio.run(use, "b", backend="trio") == ["a", "b"]


# a server that is not there, or refuses


@pytest.mark.parametrize(
    "driver", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+asyncmy", "mariadb+asyncmy", "mysql+pymysql"]
)
async def test_a_server_that_is_not_there_is_named_without_its_password(driver: str) -> None:
    place = f"127.0.0.1:{free_port()}/d"

    told = await entering(SQLAlchemyJobStore(f"{driver}://me:secret@{place}", timeout=BRIEF))

    assert told.startswith(f"the database at {driver}://me:***@{place} cannot be used: ")
    assert "refused" in told or "Connect call failed" in told


async def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    told = await entering(SQLAlchemyJobStore(f"sqlite:///{tmp_path}/a/b/jobs.db"))

    assert told.endswith(f"unable to open database file; make the folder {tmp_path}/a/b, or name another one")


async def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("a letter to my aunt, which is longer than the head of a database\n" * 20)
    before = path.read_bytes()

    assert "file is not a database" in await entering(SQLAlchemyJobStore(f"sqlite:///{path}"))

    assert path.read_bytes() == before


async def test_a_file_that_may_only_be_read_is_told(url: str, tmp_path: Path) -> None:
    async with opened(url) as store:
        await store.add([make_job()])

    read_only = f"sqlite:///file:{tmp_path}/jobs.db?mode=ro&uri=true"
    async with SQLAlchemyJobStore(read_only) as store:
        assert (await get_job(store, "job")).id == "job"
        with pytest.raises(JobStoreUnavailableError, match="attempt to write a readonly database"):
            await store.add([make_job("other")])
        with pytest.raises(JobStoreUnavailableError, match="attempt to write a readonly database"):
            await beat_apart(store, "a")


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_what_postgresql_refuses_is_told(postgresql_server: PostgreSQL, driver: str) -> None:
    server = f"{postgresql_server.host}:{postgresql_server.port}"
    user = urlsplit(postgresql_server.url).username

    for login, database, reason in [
        ("nobody:secret", "postgres", 'role "nobody" does not exist; check user name and password in the URL'),
        (f"{user}:secret", "no_such", 'database "no_such" does not exist'),
    ]:
        assert (await entering(SQLAlchemyJobStore(f"{driver}://{login}@{server}/{database}"))).endswith(reason)


@pytest.mark.parametrize("driver", ["mysql+asyncmy", "mariadb+pymysql"])
async def test_what_mysql_refuses_is_told(mysql_server: MySQL, driver: str) -> None:
    server = f"{mysql_server.host}:{mysql_server.port}"
    user = urlsplit(mysql_server.url).netloc.rpartition("@")[0]

    refused = await entering(SQLAlchemyJobStore(f"{driver}://nobody:secret@{server}/mysql"))
    missing = await entering(SQLAlchemyJobStore(f"{driver}://{user}@{server}/no_such"))

    assert "Access denied for user 'nobody'" in refused
    assert refused.endswith("; check user name and password in the URL")
    assert "Unknown database 'no_such'" in missing


async def test_a_schema_that_is_missing_is_told(postgresql_database: str) -> None:
    told = await entering(SQLAlchemyJobStore(postgresql_database, tableschema="no_such"))

    assert 'schema "no_such" does not exist' in told


# a network that breaks

DRIVERS = ["postgresql+asyncpg", "postgresql+psycopg", "mysql+asyncmy", "mysql+pymysql"]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> PostgreSQL | MySQL:
    kind = "postgresql" if request.param.startswith("postgresql") else "mysql"
    found: PostgreSQL | MySQL = request.getfixturevalue(f"{kind}_server")
    return found


@pytest.mark.parametrize(
    ("server", "driver", "way"),
    [(driver, driver, way) for driver in DRIVERS for way in ("cut", "freeze")]
    + [("postgresql", "engine of psycopg", "freeze"), ("mysql", "engine of pymysql", "freeze")],
    indirect=["server"],
)
async def test_a_network_that_breaks_ends_calls_and_the_store_goes_on_when_it_is_healed(
    server: PostgreSQL | MySQL, driver: str, way: str
) -> None:
    with server.database() as url, Proxy(server.port) as proxy:
        arguments: dict[str, Any]
        if driver.startswith("engine"):  # of the user, who has given no timeouts
            name = f"{urlsplit(url).scheme}+{driver.rpartition(' ')[2]}"
            engine = sa.create_engine(through(proxy, url, name))
            arguments = {"engine": engine}
        else:
            arguments = {"url": through(proxy, url, driver)}
        timeout = BRIEF if way == "freeze" else 60  # a cut is noticed at once
        async with SQLAlchemyJobStore(timeout=timeout, **arguments) as store:
            await store.join("a", LEASE, T0)
            await store.add([make_job("x"), make_job("y")])
            run = await take_one(store)

            getattr(proxy, way)()
            with anyio.fail_after(30):
                with pytest.raises(JobStoreUnavailableError):
                    await store.finish([ended(run)])
                with pytest.raises(JobStoreUnavailableError):
                    await beat_apart(store, "a")
            proxy.heal()

            assert len(await patiently(store.finish, [ended(run)])) == 1
            assert await patiently(beat_apart, store, "a")
            assert [plan.job.id for plan in await patiently(take, store)] == ["y"]
            assert outcomes_of(await history(store, "x")) == [SUCCEEDED]
        if "engine" in arguments:
            assert busy_connections(arguments["engine"]) == 0
            arguments["engine"].dispose()


@pytest.mark.parametrize("driver", ["mysql", "mysql+pymysql"])
async def test_a_query_on_a_connection_that_was_cut_is_made_on_another_one(mysql_server: MySQL, driver: str) -> None:
    with mysql_server.database() as url, Proxy(mysql_server.port) as proxy:
        async with SQLAlchemyJobStore(through(proxy, url, driver)) as store:
            assert await history(store) == []
            proxy.cut()
            proxy.heal()

            assert await history(store) == []


async def test_threads_that_wait_for_a_network_that_swallows_are_freed(mysql_server: MySQL) -> None:
    with mysql_server.database() as url, Proxy(mysql_server.port) as proxy:
        engine = sa.create_engine(through(proxy, url, "mysql+pymysql"))  # without any timeout
        async with SQLAlchemyJobStore(engine=engine, timeout=BRIEF) as store:
            await store.add([make_job()])
            proxy.freeze()
            with pytest.raises(JobStoreUnavailableError, match=r"did not answer within 1\.0\d* s"):
                await store.add([make_job("other")])

            with anyio.fail_after(20):
                while busy_connections(engine):  # noqa: ASYNC110  # it tells nobody
                    await anyio.sleep(0.01)
        assert "apsched-jobstore" not in {thread.name for thread in threading.enumerate()}
        engine.dispose()


@pytest.mark.parametrize("server", ["sqlite", "mysql+pymysql"])
async def test_no_thread_outlives_a_store(request: pytest.FixtureRequest, server: str) -> None:
    url = request.getfixturevalue("url" if server == "sqlite" else "mysql_database")

    def count() -> int:
        return [thread.name for thread in threading.enumerate()].count("apsched-jobstore")

    async with SQLAlchemyJobStore(f"{server}:{url.partition(':')[2]}") as store:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(store.get, f"job {number}")
        assert count() == (1 if server == "sqlite" else 10)

    assert count() == 0


@pytest.mark.parametrize("way", ["cut", "freeze"])
async def test_a_scheduler_goes_on_when_its_database_is_back(postgresql_server: PostgreSQL, way: str) -> None:
    with postgresql_server.database() as url, Proxy(postgresql_server.port) as proxy:
        store = SQLAlchemyJobStore(through(proxy, url, "postgresql"), timeout=2 * BRIEF)
        told: list[Any] = []
        news = anyio.Event()

        def note(event: Any) -> None:
            told.append(event)
            news.set()

        async def wait_for(code: int) -> SchedulerEvent:
            nonlocal news
            with anyio.fail_after(30):
                while not (found := [event for event in told if event.code == code]):
                    news = anyio.Event()
                    await news.wait()
            event: SchedulerEvent = found[0]
            told.clear()
            return event

        async with AsyncScheduler(jobstores={"default": store}) as scheduler:
            await scheduler.add_listener(note, EVENT_JOBSTORE_FAILED | EVENT_JOBSTORE_RECOVERED | EVENT_JOB_EXECUTED)
            await scheduler.add_job(work, "interval", seconds=0.05, id="job", coalesce=True)
            await wait_for(EVENT_JOB_EXECUTED)
            assert (await scheduler.health()).is_ok

            getattr(proxy, way)()
            failed = await wait_for(EVENT_JOBSTORE_FAILED)
            health = await scheduler.health()
            proxy.heal()
            await wait_for(EVENT_JOBSTORE_RECOVERED)
            await wait_for(EVENT_JOB_EXECUTED)

            assert "cannot be used" in str(failed.detail)
            assert not health.is_ok
            assert "cannot be used" in str(health.jobstores["default"].last_error)


# tables


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def any_url(request: pytest.FixtureRequest, url: str) -> str:
    """The URL of an empty database of each kind."""
    found: str = url if request.param == "sqlite" else request.getfixturevalue(f"{request.param}_database")
    return found


def execute(url: str, *statements: str) -> None:
    """Do something past the store."""
    drivers = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    parsed = sa.make_url(url)
    engine = sa.create_engine(parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername)))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


async def test_tables_of_a_later_version_are_refused(url: str) -> None:
    async with SQLAlchemyJobStore(url):
        pass
    execute(url, "UPDATE apsched_schema SET version_num = '9999'")

    with pytest.raises(JobStoreVersionError, match=r"are of revision '9999', .* up to '0002'; upgrade apsched"):
        await SQLAlchemyJobStore(url).__aenter__()


async def test_a_table_of_somebody_else_is_refused_and_left_alone(any_url: str) -> None:
    execute(any_url, "CREATE TABLE apsched_runs (id integer, miles integer)", "INSERT INTO apsched_runs VALUES (1, 26)")

    with pytest.raises(
        JobStoreVersionError, match="'apsched_runs' is not of apsched: its columns are id, miles; name another table"
    ):
        await SQLAlchemyJobStore(any_url).__aenter__()

    execute(any_url, "INSERT INTO apsched_runs VALUES (2, 13)")
    async with SQLAlchemyJobStore(any_url, tablename="scheduled") as store:
        await store.add([make_job()])


async def test_jobs_of_apscheduler_3_are_refused_and_left_alone(url: str) -> None:
    columns = "id VARCHAR(191) PRIMARY KEY, next_run_time FLOAT, job_state BLOB"
    execute(url, f"CREATE TABLE apscheduler_jobs ({columns})", "INSERT INTO apscheduler_jobs VALUES ('old', 1, '')")

    with pytest.raises(
        JobStoreVersionError, match=r"'apscheduler_jobs' is of APScheduler 3: .*; name another table \(tablename=\)"
    ):
        await SQLAlchemyJobStore(url, tablename="apscheduler_jobs").__aenter__()
    async with SQLAlchemyJobStore(url) as store:
        await store.add([make_job()])


async def test_tables_that_are_not_to_be_made_must_be_there(any_url: str) -> None:
    with pytest.raises(JobStoreVersionError, match=r"has no table 'apsched_jobs', .* let create_tables be True"):
        await SQLAlchemyJobStore(any_url, create_tables=False).__aenter__()

    metadata = sa.MetaData()
    SQLAlchemyJobStore(any_url, metadata=metadata)
    parsed = sa.make_url(any_url)
    drivers = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    engine = sa.create_engine(parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername)))
    metadata.create_all(engine)
    engine.dispose()
    async with opened(any_url, create_tables=False) as store:
        await store.add([make_job()])
        assert len(await take(store)) == 1


async def test_tables_that_lack_a_column_are_told(url: str) -> None:
    async with SQLAlchemyJobStore(url):
        pass
    execute(url, "ALTER TABLE apsched_nodes DROP COLUMN lease")

    with pytest.raises(JobStoreVersionError, match="table 'apsched_nodes' has no column 'lease', so it is of another"):
        await SQLAlchemyJobStore(url, create_tables=False).__aenter__()


async def test_tables_may_have_odd_names(any_url: str) -> None:
    name = 'my "jobs" `%s` :x; select'
    async with opened(any_url, tablename=name) as store:
        await store.add([make_job(tags={"a": "b"}), make_job("other", due=FAR)])
        await store.update("other", setting(keep_runs=1))
        await store.add_run(make_run("other"))
        runs = [plan.runs[0] for plan in await take(store)]
        assert len(await store.finish([ended(run) for run in runs])) == 2
        assert ids_of(await store.select(JobFilter(tags={"a": "b"}))) == ["job"]
        assert await store.reap({"a": 0}, lambda job, run: run) == []
        assert await store.prune(FAR, ALL) == 0
    async with SQLAlchemyJobStore(any_url, tablename=name) as store:
        assert len(await history(store)) == 2


async def test_stores_of_two_tables_or_schemas_do_not_see_each_other(postgresql_database: str) -> None:
    execute(postgresql_database, 'CREATE SCHEMA "Odd schema"')
    async with (
        opened(postgresql_database) as one,
        opened(postgresql_database, tablename="other_jobs") as other,
        opened(postgresql_database, tableschema="Odd schema") as third,
    ):
        for place, each in enumerate((one, other, third)):
            await each.add([make_job(str(place))])
        await one.finish([ended(await take_one(one))])

        assert [ids_of(await each.select(JobFilter())) for each in (one, other, third)] == [["0"], ["1"], ["2"]]
        assert [len(await history(each)) for each in (one, other, third)] == [1, 0, 0]


NODE = """
import sys
import anyio
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore
from apsched.testing.contract._values import make_job

async def main(name, urls):
    print("ready", flush=True)
    sys.stdin.read()
    for url in urls:
        async with SQLAlchemyJobStore(url) as store:
            await store.add([make_job(name)])

anyio.run(main, sys.argv[1], sys.argv[2:])
"""


def test_processes_can_make_the_tables_at_once(url: str, postgresql_database: str, mysql_database: str) -> None:
    urls = [url, postgresql_database, mysql_database]
    names = ["a", "b", "c", "d"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", NODE, name, *urls], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for name in names
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        codes = [process.wait() for process in processes]

    async def ids_in(url: str) -> list[str]:
        async with SQLAlchemyJobStore(url) as store:
            return ids_of(await store.select(JobFilter()))

    assert codes == [0, 0, 0, 0]
    assert [asyncio.run(ids_in(each)) for each in urls] == [names] * 3


# data that was damaged by hand

DAMAGES: dict[str, str] = {
    "no JSON": "definition = '1:json:{'",
    "text": "definition = 'hello'",
    "nothing": "definition = x''",
    "a number": "definition = 42",
    "no UTF-8": "definition = x'313a6a736f6e3affff'",
    "text that is no UTF-8": "definition = CAST(x'313a6a736f6e3affff' AS TEXT)",
    "cut off": "definition = substr(definition, 1, 200)",
    "another format": "definition = CAST('99:json:{}' AS BLOB)",
    "a pickle": "definition = x'313a7069636b6c653a80044e2e'",
    "a trigger that nobody knows": "definition = CAST(replace(definition, '\"interval\"', '\"lunar\"') AS BLOB)",
    "a callable that is no reference": "definition = CAST(replace(definition, ':noop', '') AS BLOB)",
    "a due time long ago": "due_time = -9223372036854775808, definition = '{'",
    "a limit that is text": "max_instances = 'many', definition = '{'",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_job_is_quarantined_and_the_others_run(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection, damage: str
) -> None:
    await store.add([make_job("broken", tags={"a": "b"}), make_job("sound")])
    raw.execute(f"UPDATE apsched_jobs SET {damage} WHERE id = 'broken'")
    damaged = raw.execute("SELECT definition, next_run_time FROM apsched_jobs WHERE id = 'broken'").fetchall()

    plans = {plan.job.id: plan for plan in await take(store)}

    assert outcomes_of(plans["sound"].runs) == [RUNNING]
    assert plans["broken"].runs == ()
    job = await get_job(store, "broken")
    assert job.quarantine
    assert job.quarantine == plans["broken"].quarantine
    assert sorted(ids_of(await store.select(JobFilter()))) == ["broken", "sound"]
    assert ids_of(await store.select(JobFilter(is_quarantined=True))) == ["broken"]
    assert raw.execute("SELECT definition, next_run_time FROM apsched_jobs WHERE id = 'broken'").fetchall() == damaged
    assert await take(store) == []
    assert await store.next_run_time({"default": 1}, "a") == T0 + timedelta(seconds=10)
    with pytest.raises(TransientJobError, match="cannot be changed because it cannot be read"):
        await store.update("broken", setting(name="changed"))
    with pytest.raises(ConflictingIdError):
        await store.add([make_job("broken")])
    with pytest.raises(ConflictingIdError):
        await store.add([make_job("new"), make_job("broken")], refuse)

    await store.add([make_job("broken", name="new")], replace)

    assert [(plan.job.name, plan.quarantine) for plan in await take(store)] == [("new", None)]


TIME_DAMAGES: dict[str, str] = {
    "a nominal time that is text": "next_nominal_time = 'tomorrow'",
    "a nominal time of bytes": "next_nominal_time = x'ff'",
    "a nominal time far away": "next_nominal_time = 9223372036854775807",
    "a next run time that is text": "next_run_time = 'tomorrow'",
    "a next run time with a fraction": "next_run_time = 1.5",
    "a next run time long ago": "next_run_time = -9223372036854775808",
}


@pytest.mark.parametrize("damage", TIME_DAMAGES.values(), ids=TIME_DAMAGES)
async def test_a_job_whose_times_were_damaged_is_quarantined_and_the_others_run(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection, damage: str
) -> None:
    await store.add([make_job("broken"), make_job("sound")])
    raw.execute(f"UPDATE apsched_jobs SET {damage} WHERE id = 'broken'")

    plans = {plan.job.id: plan for plan in await take(store)}

    assert outcomes_of(plans["sound"].runs) == [RUNNING]
    assert plans["broken"].quarantine
    assert (await get_job(store, "broken")).quarantine == plans["broken"].quarantine
    assert sorted(ids_of(await store.select(JobFilter()))) == ["broken", "sound"]
    assert await take(store) == []
    await store.add([make_job("broken", name="new")], replace)
    assert [(plan.job.name, plan.quarantine) for plan in await take(store)] == [("new", None)]


async def test_a_damaged_job_can_be_removed(store: SQLAlchemyJobStore, raw: sqlite3.Connection) -> None:
    await store.add([make_job("broken", due=FAR), make_job("sound")])
    await store.add_run(make_run("broken"))
    raw.execute("UPDATE apsched_jobs SET definition = '{', next_run_time = 'x' WHERE id = 'broken'")

    await store.remove("broken")

    assert [plan.job.id for plan in await take(store)] == ["sound"]
    assert outcomes_of(await history(store, "broken")) == [Outcome.CANCELLED]


async def test_a_pending_run_of_a_damaged_job_waits(store: SQLAlchemyJobStore, raw: sqlite3.Connection) -> None:
    await store.add([make_job("broken", due=FAR), make_job("sound", due=FAR)])
    sound = raw.execute("SELECT definition FROM apsched_jobs WHERE id = 'sound'").fetchone()
    for job_id in ("broken", "sound"):
        await store.add_run(make_run(job_id))
    raw.execute("UPDATE apsched_jobs SET definition = '{' WHERE id = 'broken'")

    plans = {plan.job.id: plan for plan in await take(store)}

    assert plans["broken"].quarantine
    assert outcomes_of(plans["sound"].runs) == [RUNNING]
    assert outcomes_of(await history(store, "broken")) == [PENDING]
    assert await take(store) == []
    raw.execute("UPDATE apsched_jobs SET definition = ? WHERE id = 'broken'", sound)
    await store.join("c", LEASE, T0)
    assert (await take_one(store, owner="c")).job_id == "broken"


RUN_DAMAGES: dict[str, str] = {
    "an unknown outcome": "outcome = 'odd'",
    "an outcome of bytes": "outcome = x'ff'",
    "a nominal time that is text": "nominal_time = 'now'",
    "a due time that is text": "due_time = 'now'",
    "a due time far away": "due_time = 9223372036854775807",
    "a claim time that is text": "claimed_at = 'now'",
    "an epoch that is text": "epoch = 'x'",
    "a node of bytes": "node = x'ff'",
    "arguments": "arguments = '1:json:{'",
    "a result": "retval = x'00ff'",
    "a result that is a number": "retval = 1",
    "a traceback": "error = x'ff', reason = 7",
    "a count": "count = 'many'",
    "notes": "notes = x'ff'",
    "notes that are a number": "notes = 7",
}


@pytest.mark.parametrize("damage", RUN_DAMAGES.values(), ids=RUN_DAMAGES)
async def test_damaged_runs_harm_no_other(store: SQLAlchemyJobStore, raw: sqlite3.Connection, damage: str) -> None:
    await store.add([make_job("ended", keep_runs=0), make_job("waiting", due=FAR)])
    await store.finish([ended(await take_one(store))])
    await store.add_run(make_run("waiting"))
    await store.add([make_job("under way")])
    await take(store, slots={"default": 2}, owner="b")
    await store.add_run(make_run("under way"))
    await store.add([make_job("sound")])
    raw.execute(f"UPDATE OR IGNORE apsched_runs SET {damage}")

    plans = {plan.job.id: plan for plan in await take(store)}
    assert outcomes_of(plans["sound"].runs) == [RUNNING]
    assert {plan.job.id for plan in await take(store, T0 + timedelta(seconds=10))} >= {"sound"}
    assert "sound" in {plan.job.id for plan in await store.claimed("a")}
    await store.claimed("b")
    await store.next_run_time({"default": 1}, "a")
    assert "sound" in {run.job_id for run in await history(store)}
    await history(store, "under way")
    await store.reap({"b": 0}, lost)
    assert len(await store.finish([ended(plans["sound"].runs[0])])) == 1
    await store.prune(FAR, ALL)
    assert len(await store.select(JobFilter())) == 4
    await store.remove("under way")
    await store.clear()


def lost(job: Job | None, run: Run) -> Run:
    """Let a run of a dead node wait again."""
    return attrs.evolve(run, outcome=PENDING, epoch=run.epoch + 1, node=None, claimed_at=None)


async def test_a_run_whose_arguments_cannot_be_read_does_not_run_with_others(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection
) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run(args=(1,)))
    raw.execute("UPDATE apsched_runs SET arguments = '1:json:{'")

    assert await take(store) == []

    (known,) = await history(store)
    assert known.outcome is FAILED
    assert "its arguments cannot be read" in str(known.reason)


UNTIMED = {"text": "'now'", "bytes": "x'00'", "a fraction": "1.5", "the year 300000": "9223372036854775807"}


@pytest.mark.parametrize("damage", UNTIMED.values(), ids=UNTIMED)
async def test_a_pending_run_without_a_nominal_time_has_failed_and_keeps_no_loop_busy(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection, damage: str
) -> None:
    await store.add([make_job(due=FAR), make_job("other", due=FAR)])
    await store.add_run(make_run())
    await store.add_run(make_run("other"))
    raw.execute(f"UPDATE apsched_runs SET nominal_time = {damage} WHERE job_id = 'job'")

    assert [plan.job.id for plan in await take(store)] == ["other"]

    assert await store.next_run_time({"default": 1}, "a") == FAR
    (known,) = await history(store, "job")
    assert known.outcome is FAILED
    assert "its record in the store is damaged" in str(known.reason)


@pytest.mark.parametrize("damage", UNTIMED.values(), ids=UNTIMED)
async def test_a_run_under_way_without_a_nominal_time_has_failed_when_its_node_is_gone(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection, damage: str
) -> None:
    await store.add([make_job(), make_job("other")])
    await take(store)
    raw.execute(f"UPDATE apsched_runs SET nominal_time = {damage} WHERE job_id = 'job'")
    await store.leave("a")

    assert len(await store.reap({}, partial(after_crash, now=T0))) == 2

    assert await store.reap({}, partial(after_crash, now=T0)) == []
    assert {run.job_id: run.outcome for run in await history(store)} == {"job": FAILED, "other": PENDING}


async def test_a_run_under_way_whose_arguments_cannot_be_read_says_so(
    store: SQLAlchemyJobStore, raw: sqlite3.Connection
) -> None:
    await store.add([make_job(due=FAR)])
    await store.add_run(make_run(args=(1,)))
    await take(store)
    raw.execute("UPDATE apsched_runs SET arguments = '1:json:{'")

    ((run,),) = [plan.runs for plan in await store.claimed("a")]
    assert "its arguments cannot be read" in str(unreadable_arguments(run))
    await store.leave("a")
    await store.reap({}, partial(after_crash, now=T0))
    assert outcomes_of(await history(store)) == [FAILED]


@pytest.mark.parametrize(
    "damage", ["beat = 'x'", "lease = 'long'", "started_at = 'now'", "seen_at = x'ff'", "is_dead = 'no'", "id = x'ff'"]
)
async def test_a_damaged_node_harms_no_other(store: SQLAlchemyJobStore, raw: sqlite3.Connection, damage: str) -> None:
    await store.add([make_job()])
    raw.execute(f"UPDATE apsched_nodes SET {damage} WHERE id = 'b'")

    assert len(await take(store)) == 1
    assert "a" in {node.id for node in await store.nodes()}
    assert await beat_apart(store, "a")
    await store.reap({"b": 0}, lost)
    await store.join("c", LEASE, T0)
    await store.leave("a")


# what cannot be stored


async def test_arguments_that_cannot_be_stored_are_told_by_their_path_and_nothing_is_stored(url: str) -> None:
    async with AsyncScheduler(jobstores={"default": SQLAlchemyJobStore(url)}) as scheduler:
        with pytest.raises(TransientJobError, match=r"kwargs\['a'\]\[1\] cannot be stored, got <object object"):
            await scheduler.add_job(noop, "interval", hours=1, kwargs={"a": [1, object()]}, id="job")
        with pytest.raises(TransientJobError, match="it is a lambda; define a function at the top level"):
            await scheduler.add_job(lambda: None, "interval", hours=1)
        assert await scheduler.get_jobs() == []

        await scheduler.add_job(noop, "interval", hours=1, args=[1], id="job")
        with pytest.raises(TransientJobError, match=r"args\[0\] cannot be stored") as caught:
            await scheduler.modify_job("job", args=[object()])
        with pytest.raises(UnstorableError, match=r"args\[0\] cannot be stored"):
            await scheduler.run_job("job", args=[object()])
        job = await scheduler.get_job("job")

        assert "cannot be added" not in str(caught.value)
        assert job is not None
        assert job.args == (1,)
        assert await scheduler.get_runs() == []


# transactions


@pytest.mark.parametrize("kind", ["mysql+pymysql", "mysql+asyncmy", "postgresql+psycopg"])
async def test_what_others_have_committed_is_seen_whatever_the_isolation_level_of_an_engine(
    request: pytest.FixtureRequest, kind: str
) -> None:
    url = sa.make_url(request.getfixturevalue(f"{kind.partition('+')[0]}_database")).set(drivername=kind)
    make: Callable[..., Any] = create_async_engine if kind == "mysql+asyncmy" else sa.create_engine
    engine = make(url, isolation_level="REPEATABLE READ")
    async with Bridge() as bridge:
        async with SQLAlchemyJobStore(engine=engine) as store, SQLAlchemyJobStore(url) as other:
            await store.add([make_job()])
            counts: list[int | None] = []

            def count(connection: sa.Connection) -> None:
                counts.append(connection.scalar(sa.text("SELECT count(*) FROM apsched_jobs")))

            def look_twice(connection: sa.Connection) -> None:
                count(connection)
                with start_blocking_portal("asyncio") as portal:
                    portal.call(add)
                count(connection)

            async def add() -> None:
                async with SQLAlchemyJobStore(url) as another:
                    await another.add([make_job("other")])

            await store._transactions.run(look_twice)

            assert counts == [1, 2]
            assert len(await other.select(JobFilter())) == 2
        await bridge.call(done, engine.dispose)


async def test_a_batch_takes_as_many_statements_as_one_job(any_url: str) -> None:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        statements.append(statement)

    def told() -> int:
        count = len(statements)
        statements.clear()
        return count

    async with opened(any_url) as store:
        event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            counts = []
            for name, number in (("one", 1), ("many", 100)):
                await store.add([make_job(f"{name} {place}", tags={"a": "b"}) for place in range(number)])
                added = told()
                plans = await take(store)
                taken = told()
                await store.finish([ended(plan.runs[0]) for plan in plans])
                counts.append((len(plans), added, taken, told()))
        finally:
            event.remove(sa.Engine, "before_cursor_execute", note)

    assert [each[0] for each in counts] == [1, 100]
    assert counts[0][1:] == counts[1][1:]


async def test_a_call_that_is_cancelled_ends_and_leaves_no_connection_behind(postgresql_database: str) -> None:
    engine = sa.create_engine(sa.make_url(postgresql_database).set(drivername="postgresql+psycopg"))
    async with SQLAlchemyJobStore(engine=engine) as store:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.add([make_job()])

        assert scope.cancelled_caught or ids_of(await store.select(JobFilter())) == ["job"]
        assert busy_connections(engine) == 0
    engine.dispose()


# transactions of the program


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("kind", ["sqlite", "asyncpg", "psycopg"])
def test_a_job_is_added_in_a_transaction_of_the_program_or_not_at_all(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, is_kept: bool
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db" if kind == "sqlite" else request.getfixturevalue("postgresql_database")
    name = "sqlite" if kind == "sqlite" else f"postgresql+{kind}"
    options: dict[str, Any] = {"trigger": "interval", "hours": 1, "id": "job", "tags": {"a": "b"}}

    async def add() -> list[Job]:
        async with AsyncScheduler(jobstores={"default": SQLAlchemyJobStore(url)}) as scheduler:
            if kind == "asyncpg":
                engine = create_async_engine(sa.make_url(url).set(drivername=name))
                async with engine.connect() as connection:
                    await connection.execute(sa.text("SELECT 1"))
                    await scheduler.add_job(noop, connection=connection, **options)
                    assert await scheduler.get_job("job") is None
                    await (connection.commit() if is_kept else connection.rollback())
                await engine.dispose()
            else:
                blocking = sa.create_engine(sa.make_url(url).set(drivername=name))
                with blocking.connect() as other:
                    await scheduler.add_job(noop, connection=other, **options)
                    assert await scheduler.get_job("job") is None
                    if is_kept:
                        other.commit()
                blocking.dispose()
            return await scheduler.get_jobs(tags={"a": "b"})

    assert ids_of(asyncio.run(add())) == (["job"] if is_kept else [])


async def test_a_taken_id_leaves_the_transaction_of_the_program_usable(url: str, tmp_path: Path) -> None:
    async with opened(url) as store:
        await store.add([make_job("taken")])
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            with pytest.raises(ConflictingIdError):
                await store.add_in(connection, [make_job("new"), make_job("taken")])
            await store.add_in(connection, [make_job("other")])
        engine.dispose()

        assert ids_of(await store.select(JobFilter())) == ["other", "taken"]


async def test_a_connection_of_another_kind_or_database_is_refused(url: str, tmp_path: Path) -> None:
    async with opened(url) as store:
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, pytest.raises(TypeError) as caught:
            await store.add_in(connection, [make_job()])
        assert str(caught.value).startswith(
            "connection must be a Connection or an AsyncConnection of SQLAlchemy, got <"
        )
        engine = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
        with engine.begin() as other, pytest.raises(ValueError, match="has no table 'apsched_jobs'; connect to sqlite"):
            await store.add_in(other, [make_job()])
        engine.dispose()
        with pytest.raises(TypeError, match="connection must be a Connection or an AsyncConnection of SQLAlchemy, got"):
            await store.add_in(engine, [make_job()])

        assert await store.select(JobFilter()) == []


async def test_what_is_more_than_mysql_takes_at_once_is_sent_in_parts(
    mysql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, is_many: bool) -> None:
        if "JSON_TABLE" in statement:
            sent.append(len(parameters[0]))

    monkeypatch.setattr(bulk, "LARGEST_DOCUMENT", 10_000)
    async with SQLAlchemyJobStore(mysql_database) as store:
        await store.join("a", LEASE, T0)
        await store.add([make_job(str(number)) for number in range(9)])
        runs = [run for plan in await take(store, slots={"default": 9}) for run in plan.runs]
        transactions: Any = store._transactions
        event.listen(transactions._engine.sync_engine, "before_cursor_execute", note)
        failed = [attrs.evolve(ended(run, Outcome.FAILED), error="e" * 4000) for run in runs]

        assert len(await store.finish(failed)) == 9

        assert len(sent) > 1
        assert max(sent) <= 10_000
        assert {len(run.error or "") for run in await history(store)} == {4000}


@pytest.mark.parametrize(
    ("server", "statement"),
    [("postgresql", "SET default_transaction_read_only = on"), ("mysql", "SET SESSION TRANSACTION READ ONLY")],
)
async def test_a_connection_to_a_server_that_only_reads_by_now_is_given_up(
    server: str, statement: str, request: pytest.FixtureRequest
) -> None:
    async with SQLAlchemyJobStore(request.getfixturevalue(f"{server}_database")) as store:
        transactions: Any = store._transactions

        def become_a_replica(connection: sa.Connection) -> None:
            connection.exec_driver_sql(statement)

        await transactions.query(become_a_replica)
        await store.add([make_job("a")])
        await transactions.query(become_a_replica)
        await store.join("a", LEASE, T0)

        assert ids_of(await store.select(JobFilter())) == ["a"]
