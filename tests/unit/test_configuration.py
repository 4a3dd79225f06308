"""Options mean the same in every style of configuration, and what is wrong with them is said."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from apsched import _plugins
from apsched._configuration import from_text
from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import MissingExtraError, SchedulerAlreadyRunningError
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apsched.jobstores.memory import MemoryJobStore
from apsched.schedulers.asyncio import AsyncIOScheduler
from apsched.schedulers.background import BackgroundScheduler
from apsched.schedulers.base import BaseScheduler
from apsched.schedulers.blocking import BlockingScheduler
from apsched.schedulers.gevent import GeventScheduler
from apsched.schedulers.qt import QtScheduler
from apsched.schedulers.tornado import TornadoScheduler
from apsched.schedulers.twisted import TwistedScheduler
from apsched.triggers.date import DateTrigger

SCHEDULERS = [
    AsyncIOScheduler,
    AsyncScheduler,
    BackgroundScheduler,
    BlockingScheduler,
    GeventScheduler,
    QtScheduler,
    TornadoScheduler,
    TwistedScheduler,
]

FAR = datetime(2999, 1, 1, tzinfo=UTC)

THIS = __name__


class Store(MemoryJobStore):
    """A store of a program's own, which keeps what it was made with."""

    def __init__(self, rows: int = 1, ratio: float | None = 0.5, name: str | None = None, strict: bool = False) -> None:
        super().__init__()
        self.given = (rows, ratio, name, strict)


class Untyped(MemoryJobStore):
    """The same, without types."""

    def __init__(self, rows):  # type: ignore[no-untyped-def]  # that is the point
        super().__init__()
        self.given = (rows,)


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, THIS, sys.modules[__name__])


def describe(scheduler: BaseScheduler | AsyncScheduler) -> dict[str, Any]:
    """Tell how *scheduler* was configured; nothing of that can be asked for before the start."""
    core = scheduler if isinstance(scheduler, AsyncScheduler) else scheduler._core
    return {
        "timezone": str(core.timezone),
        "job_defaults": core._maker.defaults,
        "jobstores": {alias: (type(store), vars(store).get("given")) for alias, store in core._stores.items()},
        "executors": {alias: (type(made), made.capacity) for alias, made in core._executors.items()},
    }


# the three styles


def objects(folder: Path) -> dict[str, Any]:
    from pytz import utc

    from apsched.jobstores.mongodb import MongoDBJobStore
    from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore

    return {
        "jobstores": {
            "mongo": MongoDBJobStore(),
            "default": SQLAlchemyJobStore(url=f"sqlite:///{folder}/jobs.sqlite"),
        },
        "executors": {"default": ThreadPoolExecutor(20), "processpool": ProcessPoolExecutor(5)},
        "job_defaults": {"coalesce": False, "max_instances": 3},
        "timezone": utc,
    }


def dotted(folder: Path, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}.jobstores.mongo": {"type": "mongodb"},
        f"{prefix}.jobstores.default": {"type": "sqlalchemy", "url": f"sqlite:///{folder}/jobs.sqlite"},
        f"{prefix}.executors.default": {"class": f"{prefix}.executors.pool:ThreadPoolExecutor", "max_workers": "20"},
        f"{prefix}.executors.processpool": {"type": "processpool", "max_workers": "5"},
        f"{prefix}.job_defaults.coalesce": "false",
        f"{prefix}.job_defaults.max_instances": "3",
        f"{prefix}.timezone": "UTC",
    }


def flat(folder: Path, prefix: str) -> dict[str, str]:
    return {
        f"{prefix}.jobstores.mongo.type": "mongodb",
        f"{prefix}.jobstores.default.type": "sqlalchemy",
        f"{prefix}.jobstores.default.url": f"sqlite:///{folder}/jobs.sqlite",
        f"{prefix}.executors.default.class": f"{prefix}.executors.pool:ThreadPoolExecutor",
        f"{prefix}.executors.default.max_workers": "20",
        f"{prefix}.executors.processpool.type": "processpool",
        f"{prefix}.executors.processpool.max_workers": "5",
        f"{prefix}.job_defaults.coalesce": "false",
        f"{prefix}.job_defaults.max_instances": "3",
        f"{prefix}.timezone": "UTC",
    }


def described(folder: Path) -> dict[str, Any]:
    return {
        "jobstores": {
            "mongo": {"type": "mongodb"},
            "default": {"type": "sqlalchemy", "url": f"sqlite:///{folder}/jobs.sqlite"},
        },
        "executors": {
            "default": {"type": "threadpool", "max_workers": 20},
            "processpool": {"type": "processpool", "max_workers": 5},
        },
        "job_defaults": {"coalesce": False, "max_instances": 3},
        "timezone": "UTC",
    }


@pytest.mark.parametrize("make", SCHEDULERS)
def test_every_style_means_the_same_in_every_scheduler(make: Callable[..., Any], tmp_path: Path) -> None:
    expected = describe(make(**objects(tmp_path)))
    made = [
        make(**described(tmp_path)),
        make(dotted(tmp_path, "apscheduler")),
        make(dotted(tmp_path, "apsched")),
        make(flat(tmp_path, "apscheduler")),
        make(gconfig=flat(tmp_path, "apsched")),
        make({key.removeprefix("apsched."): value for key, value in flat(tmp_path, "apsched").items()}, prefix=""),
    ]
    for options in (objects(tmp_path), described(tmp_path)):
        made.append(make())
        made[-1].configure(**options)
    for config in (dotted(tmp_path, "apscheduler"), flat(tmp_path, "apsched")):
        made.append(make())
        made[-1].configure(config)

    for each in made:
        assert describe(each) == expected
    assert expected["executors"]["default"] == (ThreadPoolExecutor, 20)
    assert expected["executors"]["processpool"] == (ProcessPoolExecutor, 5)
    assert expected["job_defaults"].coalesce is False
    assert expected["job_defaults"].max_instances == 3
    assert expected["timezone"] == "UTC"


def test_a_scheduler_configured_by_texts_runs(tmp_path: Path) -> None:
    scheduler = BackgroundScheduler(
        {key: value for key, value in flat(tmp_path, "apscheduler").items() if "mongo" not in key}
    )
    scheduler.start()

    job = scheduler.add_job(len, "date", run_date=FAR, args=["four"], id="a")
    health = scheduler.health()

    assert (job.coalesce, job.max_instances, str(job.trigger)) == (False, 3, "date[2999-01-01 00:00:00 UTC]")
    assert scheduler.run_job("a").result() == 4
    assert list(health.jobstores) == ["default"]
    assert {alias: executor.capacity for alias, executor in health.executors.items()} == {
        "asyncio": 1000,
        "default": 20,
        "processpool": 5,
    }
    scheduler.shutdown()


def test_an_ini_file_is_a_configuration() -> None:
    parser = configparser.ConfigParser()
    parser.read_string("""
        [jobs]
        apscheduler.timezone = Europe/Helsinki
        apscheduler.executors.default.type = threadpool
        apscheduler.executors.default.max_workers = 7
        apscheduler.job_defaults.misfire_grace_time =
        unrelated.setting = 3
    """)

    made = describe(BackgroundScheduler(dict(parser["jobs"])))

    assert made["timezone"] == "Europe/Helsinki"
    assert made["executors"]["default"] == (ThreadPoolExecutor, 7)
    assert made["job_defaults"].misfire_grace_time is None


# how styles mix


def test_keywords_replace_what_the_dictionary_says() -> None:
    config = {
        "apscheduler.timezone": "Europe/Helsinki",
        "apscheduler.job_defaults.coalesce": "no",
        "apscheduler.executors.a.type": "debug",
    }

    made = describe(BackgroundScheduler(config, timezone="UTC", executors={"b": DebugExecutor()}))

    assert made["timezone"] == "UTC"
    assert "a" not in made["executors"]
    assert made["executors"]["b"] == (DebugExecutor, 1)
    assert made["job_defaults"].coalesce is False


def test_the_dictionary_is_not_changed() -> None:
    section = {"type": "threadpool", "max_workers": "3"}
    config = {"apscheduler.executors.a": section, "apscheduler.executors.a.max_workers": "4"}
    with pytest.raises(ValueError, match=r"the configuration has 'apscheduler.executors.a.max_workers' twice"):
        BackgroundScheduler(config)
    del config["apscheduler.executors.a.max_workers"]

    first, second = BackgroundScheduler(config), BackgroundScheduler(config)

    assert describe(first) == describe(second)
    assert section == {"type": "threadpool", "max_workers": "3"}


def test_a_section_may_be_split_over_keys() -> None:
    config = {"apscheduler.executors.a": {"type": "threadpool"}, "apscheduler.executors.a.max_workers": "4"}

    assert describe(BackgroundScheduler(config))["executors"]["a"] == (ThreadPoolExecutor, 4)


@pytest.mark.parametrize("prefix", ["jobs.", ["jobs.", "other."], ("jobs.",)])
def test_another_prefix_may_be_named(prefix: Any) -> None:
    scheduler = BackgroundScheduler({"jobs.timezone": "UTC", "apscheduler.timezone": "Nowhere/At/All"}, prefix=prefix)

    assert str(scheduler.timezone) == "UTC"


@pytest.mark.parametrize("prefix", ["", None])
def test_without_a_prefix_all_keys_count(prefix: str | None) -> None:
    scheduler = BackgroundScheduler()

    scheduler.configure({"timezone": "UTC", "job_defaults": {"coalesce": "off"}}, prefix=prefix)

    assert str(scheduler.timezone) == "UTC"
    assert scheduler.add_job(print).coalesce is False


def test_keys_of_others_are_left_alone() -> None:
    BackgroundScheduler({"sqlalchemy.url": "x", "timezone": "Nowhere", "debug": "true", 3: 4})  # type: ignore[dict-item]


# texts


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({"rows": "20", "ratio": "1.5", "name": "20", "strict": "yes"}, (20, 1.5, "20", True)),
        ({"rows": " 20 ", "ratio": "2", "strict": "False"}, (20, 2, None, False)),
        ({"ratio": "", "name": "", "strict": "0"}, (1, None, None, False)),
        ({"ratio": "None", "name": "none"}, (1, None, None, False)),
        ({"rows": "many", "ratio": "half"}, ("many", "half", None, False)),
        ({"rows": 20, "ratio": 1.5, "strict": True}, (20, 1.5, None, True)),
    ],
)
def test_a_text_becomes_what_the_parameter_is(options: Mapping[str, Any], given: tuple[Any, ...]) -> None:
    scheduler = BackgroundScheduler({"apsched.jobstores.a": {"class": f"{THIS}:Store", **options}})

    assert describe(scheduler)["jobstores"]["a"] == (Store, given)


def test_a_text_for_a_parameter_without_a_type_stays() -> None:
    scheduler = BackgroundScheduler(jobstores={"a": {"class": Untyped, "rows": "20"}})

    assert describe(scheduler)["jobstores"]["a"] == (Untyped, ("20",))


def test_a_duration_is_a_number_of_seconds() -> None:
    def keep(age: timedelta) -> None: ...

    assert from_text(keep, {"age": "90"}, "keep") == {"age": timedelta(seconds=90)}
    assert from_text(keep, {"age": "long"}, "keep") == {"age": "long"}


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("1", True), ("off", False), ("No", False), ("f", False)]
)
def test_truth_has_many_words(text: str, value: bool) -> None:
    scheduler = BackgroundScheduler({"apsched.job_defaults.coalesce": text})

    assert scheduler.add_job(print).coalesce is value


def test_job_defaults_are_converted_in_keywords_too() -> None:
    scheduler = BackgroundScheduler(job_defaults={"coalesce": "false", "misfire_grace_time": "1.5", "timeout": "9"})

    job = scheduler.add_job(print)

    assert (job.coalesce, job.misfire_grace_time, job.timeout) == (False, 1.5, 9)


def test_options_of_the_scheduler_are_converted() -> None:
    scheduler = BackgroundScheduler({"apsched.daemon": "no", "apsched.max_idle": "0.5", "apsched.timezone": ""})

    assert scheduler._daemon is False
    with pytest.raises(ValueError, match=r"max_idle must be more than 0 seconds, got -0\.5$"):
        BackgroundScheduler({"apsched.max_idle": "-0.5"})


# plugins and classes


@pytest.mark.parametrize(
    "reference",
    ["apscheduler.executors.debug:DebugExecutor", "apsched.executors.debug:DebugExecutor", DebugExecutor],
)
def test_a_class_is_named_or_given(reference: object) -> None:
    scheduler = BackgroundScheduler({"apscheduler.executors.a.class": reference})

    assert describe(scheduler)["executors"]["a"] == (DebugExecutor, 1)


async def test_a_part_that_is_added_later_is_described_in_the_same_way() -> None:
    async with AsyncScheduler() as scheduler:
        await scheduler.add_executor(
            {"class": "apscheduler.executors.pool:ThreadPoolExecutor", "max_workers": "3"}, "a"
        )
        await scheduler.add_jobstore({"class": Store, "rows": "3"}, "b")

        health = await scheduler.health()
        assert health.executors["a"].capacity == 3
        assert "b" in health.jobstores


def test_entry_points_of_other_packages_are_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        known = {"jobstore": "Store", "executor": "DebugExecutor", "trigger": "DateTrigger"}
        return [
            EntryPoint("mine", f"{THIS}:{name}", group) for kind, name in known.items() if group == f"apsched.{kind}s"
        ]

    monkeypatch.setattr(_plugins, "entry_points", entry_points)
    _plugins.find.cache_clear()
    try:
        scheduler = BackgroundScheduler(
            {"apsched.jobstores.a": {"type": "mine", "rows": "7"}, "apsched.executors.a.type": "mine"}
        )
        job = scheduler.add_job(print, "mine", run_date=FAR)
    finally:
        _plugins.find.cache_clear()

    assert describe(scheduler)["jobstores"]["a"] == (Store, (7, 0.5, None, False))
    assert describe(scheduler)["executors"]["a"] == (DebugExecutor, 1)
    assert isinstance(job.trigger, DateTrigger)


@pytest.mark.parametrize("alias", ["gevent", "twisted", "twisted-reactor", "qt-gui"])
def test_an_executor_whose_package_is_missing_names_its_extra(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"twisted-reactor": "twisted", "qt-gui": "qt"}.get(alias, alias)
    for package in ("gevent", "twisted", "PySide6", "PyQt6", "PySide2", "PyQt5"):
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
    for name in [
        name for name in sys.modules if name.endswith(("executors.gevent", "executors.twisted", "executors.qt"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    _plugins.find.cache_clear()

    try:
        with pytest.raises(MissingExtraError, match=rf"pip install 'apsched\[{extra}\]'"):
            BackgroundScheduler(executors={"a": alias})
    finally:
        _plugins.find.cache_clear()


# what is wrong

WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "misspelt section": (
        {"apscheduler.jobstore.default.type": "memory"},
        TypeError,
        "BackgroundScheduler has no argument 'jobstore'; did you mean 'jobstores'? there are: jobstores, executors,",
    ),
    "misspelt default": (
        {"apscheduler.job_defaults.coalese": "true"},
        TypeError,
        "job_defaults has no option 'coalese'; did you mean 'coalesce'? there are: misfire_grace_time, coalesce,",
    ),
    "misspelt prefix": (
        {"apschedular.timezone": "UTC"},
        TypeError,
        "BackgroundScheduler takes keys that begin with 'apsched.' or 'apscheduler.' from its dictionary, "
        "got 'apschedular.timezone'; did you mean 'apscheduler'?",
    ),
    "prefix as a section": (
        {"apscheduler": {"timezone": "UTC"}},
        TypeError,
        "BackgroundScheduler takes keys that begin with 'apsched.' or 'apscheduler.' from its dictionary, "
        "got 'apscheduler'; did you mean 'apscheduler.' in each key?",
    ),
    "no prefix": (
        {"jobstores": {"default": {"type": "memory"}}},
        TypeError,
        "BackgroundScheduler takes keys that begin with 'apsched.' or 'apscheduler.' from its dictionary, "
        "got 'jobstores'; did you mean 'apscheduler.jobstores'?",
    ),
    "value where a section is": (
        {"apscheduler.timezone": "UTC", "apscheduler.timezone.name": "UTC"},
        ValueError,
        "the configuration has a value where 'apscheduler.timezone.name' needs a section; leave one of them out",
    ),
    "both prefixes": (
        {"apscheduler.timezone": "UTC", "apsched.timezone": "UTC"},
        ValueError,
        "the configuration has 'apsched.timezone' twice, under two prefixes or in two styles; leave one out",
    ),
    "no truth value": (
        {"apscheduler.job_defaults.coalesce": "perhaps"},
        ValueError,
        "job_defaults: coalesce must be one of true, yes, on, y, t, 1, false, no, off, n, f, 0, got 'perhaps'",
    ),
    "no number": (
        {"apscheduler.job_defaults.max_instances": "many"},
        TypeError,
        "max_instances must be a whole number from 1 on, got 'many'",
    ),
    "unknown zone": (
        {"apscheduler.timezone": "Europe/Helsinky"},
        ValueError,
        "timezone must be a time zone name or an offset such as '+02:00', got 'Europe/Helsinky'",
    ),
    "unknown plugin": (
        {"apscheduler.executors.default.type": "threadpol"},
        LookupError,
        "no executor has the alias 'threadpol'; there are:",
    ),
    "unknown class": (
        {"apscheduler.executors.default.class": "apscheduler.executors.pool:Pool"},
        LookupError,
        "the reference 'apsched.executors.pool:Pool' leads to nothing",
    ),
    "class that is none": (
        {"apscheduler.executors.default.class": "apscheduler.executors.pool:__doc__"},
        TypeError,
        "class must be a class or a text 'package.module:name' that leads to one, got",
    ),
    "class of another kind": (
        {"apscheduler.executors.default.class": "apscheduler.jobstores.memory:MemoryJobStore"},
        TypeError,
        "executor class 'apscheduler.jobstores.memory:MemoryJobStore' must make an executor, an instance of Executor",
    ),
    "type and class": (
        {"apscheduler.executors.default": {"type": "debug", "class": "x:y"}},
        TypeError,
        "an executor must have either 'type' or 'class', got 'debug' and 'x:y'",
    ),
    "neither": (
        {"apscheduler.jobstores.default.url": "sqlite://"},
        TypeError,
        "a job store must be an instance, the alias of a plugin, or a mapping with that under 'type' or a class",
    ),
    "misspelt argument": (
        {"apscheduler.executors.default": {"type": "threadpool", "max_worker": "3"}},
        TypeError,
        "executor 'threadpool' has no argument 'max_worker'; did you mean 'max_workers'? there are:",
    ),
}


@pytest.mark.parametrize(("config", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(config: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        BackgroundScheduler(config)

    assert str(caught.value).startswith(message)


def test_an_option_of_a_framework_is_among_the_known_ones() -> None:
    with pytest.raises(TypeError, match="AsyncIOScheduler has no argument 'event_lop'; did you mean 'event_loop'"):
        AsyncIOScheduler({"apscheduler.event_lop": None})
    with pytest.raises(TypeError, match="BackgroundScheduler has no argument 'event_loop'; there are"):
        BackgroundScheduler(event_loop=None)  # type: ignore[call-arg]  # that is the point


@pytest.mark.parametrize("name", ["logger", "jobstore_retry_interval"])
def test_an_option_that_has_no_effect_any_more_is_warned_of(name: str) -> None:
    with pytest.warns(UserWarning, match=f"BackgroundScheduler: {name} has no effect") as caught:
        BackgroundScheduler({f"apscheduler.{name}": "10"})

    assert caught[0].filename == __file__


@pytest.mark.parametrize("make", [BackgroundScheduler, AsyncIOScheduler])
def test_a_running_scheduler_cannot_be_configured(make: Callable[..., BaseScheduler]) -> None:
    scheduler = make(timezone="UTC")
    scheduler.start()

    with pytest.raises(SchedulerAlreadyRunningError):
        scheduler.configure({"apscheduler.timezone": "Europe/Helsinki"})

    assert str(scheduler.timezone) == "UTC"
    scheduler.shutdown()


def test_a_configuration_that_is_refused_changes_nothing() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    before = describe(scheduler)

    with pytest.raises(LookupError):
        scheduler.configure({"apsched.timezone": "Europe/Helsinki", "apsched.executors.a.type": "nothing"})

    assert describe(scheduler) == before


@pytest.mark.parametrize("make", SCHEDULERS)
def test_configure_takes_the_prefix_in_second_place_as_in_apscheduler_3(make: Callable[..., Any]) -> None:
    scheduler = make()

    scheduler.configure({"mine.timezone": "Europe/Helsinki"}, "mine.")

    assert str(scheduler.timezone) == "Europe/Helsinki"
