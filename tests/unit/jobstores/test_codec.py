"""Jobs, arguments and results are written and read exactly; what cannot be read says so and raises nothing."""

from __future__ import annotations

import enum
import importlib
import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsched.exceptions import MissingExtraError, TransientJobError, UnstorableError
from apsched.job import Job
from apsched.jobstores import _callables
from apsched.jobstores._codec import RESULT_LIMIT, JobCodec, UnreadableTrigger, from_micros, to_micros
from apsched.retry import Retry
from apsched.run import Outcome, Run
from apsched.serializers import Serializer, Unstorable
from apsched.serializers.json import JSONSerializer
from apsched.serializers.pickle import PickleSerializer
from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger
from tests.ids import stable

ROOT = Path(__file__).resolve().parents[3]
START = datetime(2026, 1, 1, tzinfo=UTC)
HOURLY = IntervalTrigger(hours=1, start_date=START, timezone="UTC")
HELSINKI = ZoneInfo("Europe/Helsinki")


def work(*args: Any, **kwargs: Any) -> None: ...


class Tools:
    def __init__(self, size: int = 0) -> None:
        self.size = size

    def __call__(self) -> int:
        return self.size

    def use(self) -> int:
        return self.size

    @classmethod
    def make(cls) -> Tools:
        return cls()

    @staticmethod
    def clean() -> None: ...


class EveryMinute(BaseTrigger):
    """A trigger as users write them."""

    def __init__(self, since: datetime) -> None:
        self.since = since

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return (previous_fire_time or self.since) + timedelta(minutes=1)


class Alias(enum.StrEnum):
    FAST = "fast"


def is_holiday(moment: datetime) -> bool:
    return moment.day == 1


def job(**options: Any) -> Job:
    return Job(**{"id": "job", "name": "work", "func": work, "trigger": HOURLY, **options})


def decode(codec: JobCodec, definition: Any, resolve: bool = True) -> Job:
    return codec.decode("job", definition, None, None, None, resolve=resolve)


def definition(**changes: Any) -> bytes:
    """Return the definition of a job with some entries changed, or left out where the change is `...`."""
    document = json.loads(JobCodec().encode(job()).removeprefix(b"1:json:"))
    document |= changes
    return b"1:json:" + json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


@pytest.fixture(params=["json", "cbor", "pickle"])
def codec(request: pytest.FixtureRequest) -> JobCodec:
    return JobCodec(request.param)


# jobs


def test_every_option_comes_back(codec: JobCodec) -> None:
    options = {
        "name": "a name",
        "args": (1, "a"),
        "kwargs": {"b": 2.5},
        "executor": "threads",
        "misfire_grace_time": 2.5,
        "coalesce": False,
        "max_instances": 3,
        "overlap": "queue_one",
        "tags": {"team": "x"},
        "keep_runs": 7,
        "on_crash": "abandon",
        "timeout": 1.5,
        "retry": Retry(5, 1.5, on=OSError, give_up_at=60),
        "expect_success_within": 3600.0,
        "priority": -3,
        "requires": ("eu", "gpu"),
    }
    not_stored = {"id", "func", "trigger", "next_run_time", "next_nominal_time", "quarantine", "is_pending", "jobstore"}
    fields = {field.name for field in attrs.fields(Job) if not field.name.startswith("_")}
    assert options.keys() == fields - not_stored, "a new option of jobs is to be tested here"

    read = decode(codec, codec.encode(job(**options)))

    assert {name: getattr(read, name) for name in options} == options
    assert (read.id, read.func, read.trigger, read.quarantine) == ("job", work, HOURLY, None)
    assert type(read.args) is tuple


@pytest.mark.parametrize(
    "trigger",
    [
        HOURLY,
        DateTrigger(START),
        CronTrigger(hour="3-5", timezone="Europe/Helsinki", jitter=3),
        CalendarIntervalTrigger(months=1, start_date=date(2026, 1, 1), timezone="UTC"),
        OrTrigger([HOURLY, AndTrigger([CronTrigger(hour=3, timezone="UTC"), HOURLY])]),
        CronTrigger(hour=3, timezone="UTC", exclude=["sat", date(2026, 1, 1), HOURLY, is_holiday]),
        EveryMinute(START),
        OrTrigger([HOURLY, CronTrigger(minute=1, timezone="UTC", exclude=is_holiday)]),
    ],
    ids=stable,
)
def test_a_trigger_comes_back(codec: JobCodec, trigger: BaseTrigger) -> None:
    read = decode(codec, codec.encode(job(trigger=trigger)))

    assert read.quarantine is None
    assert read.trigger == trigger
    assert read.trigger.get_next_fire_time(None, START) == trigger.get_next_fire_time(None, START)


def test_a_built_in_trigger_is_stored_by_its_alias() -> None:
    assert b'"trigger":{"type":"interval",' in JobCodec().encode(job())
    assert f'"trigger":{{"type":"{__name__}:EveryMinute",'.encode() in JobCodec().encode(
        job(trigger=EveryMinute(START))
    )


def test_a_reference_that_is_the_only_one_is_stored_again(codec: JobCodec) -> None:
    ref = "logging:root.info"
    stored = codec.encode(job(func=ref))

    assert decode(codec, stored).func == logging.root.info
    assert codec.encode(decode(codec, stored, resolve=False)) == stored


@pytest.mark.parametrize(
    "func", [work, Tools, Tools.make, Tools.clean, Tools.use, os.getpid, f"{__name__}:work"], ids=stable
)
def test_a_callable_comes_back_by_its_name(codec: JobCodec, func: Callable[..., Any]) -> None:
    read = decode(codec, codec.encode(job(func=func)))

    assert read.quarantine is None
    assert read.func == (work if isinstance(func, str) else func)


def test_arguments_are_new_objects_each_time(codec: JobCodec) -> None:
    written = codec.encode(job(args=([1], "a"), kwargs={"b": {"c": {2}}}, tags={"d": "e"}))
    flat = codec.encode(job(args=(1,), kwargs={"b": 2}))

    for read in (decode(codec, written), decode(codec, written)):
        assert (read.args, read.kwargs, read.tags) == (([1], "a"), {"b": {"c": {2}}}, {"d": "e"})
        read.args[0].append(2)
        read.kwargs["b"]["c"].add(3)
        read.kwargs["x"] = 1  # type: ignore[index]  # as users do
        read.tags["x"] = "y"  # type: ignore[index]  # as users do
    for read in (decode(codec, flat), decode(codec, flat)):
        assert read.kwargs == {"b": 2}
        read.kwargs["x"] = 1  # type: ignore[index]  # as users do


def test_a_member_of_a_strenum_as_an_option_is_stored_as_its_text(codec: JobCodec) -> None:
    read = decode(codec, codec.encode(job(executor=Alias.FAST, name=Alias.FAST, tags={Alias.FAST: Alias.FAST})))

    assert (type(read.executor), type(read.name)) == (str, str)
    assert (read.executor, read.name, dict(read.tags)) == ("fast", "fast", {"fast": "fast"})


def test_times_come_back_in_the_zone_of_the_trigger(codec: JobCodec) -> None:
    trigger = OrTrigger([CronTrigger(hour=3, timezone="Europe/Helsinki"), HOURLY])
    fold = datetime(2026, 10, 25, 3, 30, tzinfo=HELSINKI, fold=1)
    micros = to_micros(fold)

    read = codec.decode("job", codec.encode(job(trigger=trigger)), micros, micros + 1, None, resolve=True)

    assert read.next_nominal_time is not None
    assert read.next_run_time is not None
    assert (read.next_nominal_time.isoformat(), read.next_nominal_time.tzinfo) == (fold.isoformat(), HELSINKI)
    assert read.next_run_time.astimezone(UTC) - fold.astimezone(UTC) == timedelta(microseconds=1)


def test_a_trigger_without_a_zone_has_times_in_utc(codec: JobCodec) -> None:
    read = codec.decode("job", codec.encode(job(trigger=EveryMinute(START))), 0, 0, None, resolve=True)

    assert read.next_run_time == datetime(1970, 1, 1, tzinfo=UTC)
    assert read.next_run_time.tzinfo is UTC


def test_a_time_that_the_zone_of_the_trigger_cannot_show_comes_back_in_utc(codec: JobCodec) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    written = codec.encode(job(trigger=CronTrigger(hour=3, timezone="Asia/Tokyo")))

    assert codec.decode("job", written, None, to_micros(last), None, resolve=True).next_run_time == last


def test_a_stored_quarantine_is_kept(codec: JobCodec) -> None:
    assert codec.decode("job", codec.encode(job()), None, None, "why", resolve=True).quarantine == "why"
    assert codec.decode("job", b"", None, None, "why", resolve=True).quarantine == "why"
    assert codec.decode("job", definition(func="no:where"), None, None, "why", resolve=True).quarantine == "why"


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_what_drivers_give_for_bytes_is_read(codec: JobCodec, kind: Callable[[bytes], Any]) -> None:
    assert decode(codec, kind(codec.encode(job()))).func is work


# what cannot be stored


class Thing: ...


def local_class() -> type[EveryMinute]:
    class Local(EveryMinute): ...

    return Local


class Silent(EveryMinute):
    def __getstate__(self) -> dict[str, Any]:
        raise RuntimeError("I will not")


NOT_STORABLE: dict[str, tuple[dict[str, Any], str]] = {
    "value in an argument": (
        {"kwargs": {"options": [1, (Thing(),)]}},
        "kwargs['options'][1][0] cannot be stored, got <",
    ),
    "member of an enumeration": ({"args": (Alias.FAST,)}, "args[0] cannot be stored, got <Alias.FAST: 'fast'>"),
    "lambda": ({"func": lambda: 1}, "it is a lambda; define a function at the top level of a module"),
    "partial": (
        {"func": partial(work, 1)},
        "it is a partial; add the function itself, and pass its arguments as args and kwargs",
    ),
    "method of an instance": (
        {"func": Tools().use},
        "it is a method of an instance; add a function of a module that finds or makes the instance",
    ),
    "instance": ({"func": Tools()}, "it is an instance of Tools; add a function of a module that finds or makes it"),
    "local trigger": (
        {"trigger": local_class()(START)},
        "the class of its trigger must be importable by its name, got",
    ),
    "trigger without state": (
        {"trigger": Silent(START)},
        "its trigger Silent must be able to return its state, and raised RuntimeError: I will not",
    ),
    "value in a trigger": ({"trigger": EveryMinute(Thing())}, "trigger['state']['since'] cannot be stored, got <"),  # type: ignore[arg-type]  # that is the point
}


@pytest.mark.parametrize(("options", "text"), NOT_STORABLE.values(), ids=NOT_STORABLE)
def test_what_cannot_be_stored_is_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises(TransientJobError) as raised:
        JobCodec().encode(job(**options))

    assert str(raised.value).startswith("Job (job) cannot be kept in this job store: ")
    assert text in str(raised.value)


def test_a_nested_function_is_told_by_its_name() -> None:
    def inner() -> None: ...

    with pytest.raises(TransientJobError, match=r"inner is defined within a function; define it at the top level"):
        JobCodec().encode(job(func=inner))


def test_a_function_that_its_module_holds_under_another_name_is_told() -> None:
    def stranger() -> None: ...

    stranger.__qualname__ = "work"

    with pytest.raises(TransientJobError, match="its module has no work, or something else of that name"):
        JobCodec().encode(job(func=stranger))


# pickles


@pytest.mark.parametrize("func", [Tools(5).use, Tools(5), partial(Tools, 5)], ids=["method", "instance", "partial"])
def test_pickles_keep_callables_without_a_name(func: Callable[[], Any]) -> None:
    codec = JobCodec(PickleSerializer(protocol=4))
    written = codec.encode(job(func=func))

    one, other = decode(codec, written).func, decode(codec, written, resolve=False).func

    assert callable(one)
    assert callable(other)
    assert one is not other
    result = one()
    assert (result.size if isinstance(result, Tools) else result) == 5


def test_a_lambda_cannot_be_pickled_either() -> None:
    with pytest.raises(TransientJobError, match=r"cannot be pickled: it is a lambda; define a function"):
        JobCodec("pickle").encode(job(func=lambda: 1))


def test_a_pickled_callable_that_is_lost_makes_the_job_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = JobCodec("pickle")
    written = codec.encode(job(func=Tools(5)))
    monkeypatch.delattr(sys.modules[__name__], "Tools")

    read = decode(codec, written)

    assert read.quarantine is not None
    assert "cannot be unpickled" in read.quarantine


# which serializer


@pytest.mark.parametrize("old", ["json", "cbor"])
def test_a_store_reads_what_a_safe_serializer_wrote_before(codec: JobCodec, old: str) -> None:
    written = JobCodec(old).encode(job(kwargs={"a": (date(2026, 1, 1),)}))

    assert decode(codec, written).kwargs == {"a": (date(2026, 1, 1),)}
    assert codec.decode_result(JobCodec(old).encode_result({1})) == {1}


@pytest.mark.parametrize("new", ["json", "cbor"])
def test_pickles_are_read_only_by_a_store_of_pickles(new: str, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    data = b"1:pickle:" + PickleSerializer().dumps(Trap())
    codec = JobCodec(new)

    read = decode(codec, data)
    result = codec.decode_result(data)

    why = f"it was written by the serializer 'pickle', and this store reads only its own ({new}), json and cbor; open"
    assert why in str(read.quarantine)
    assert isinstance(result, Unstorable)
    assert why in result.text
    with pytest.raises(ValueError, match="it was written by the serializer 'pickle'"):
        codec.decode_arguments(data)
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_within_a_document_of_another_serializer_is_not_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    serializer = JSONSerializer()
    document: dict[str, Any] = json.loads(definition().removeprefix(b"1:json:"))
    document["func"] = PickleSerializer().dumps(Trap())
    data = b"1:json:" + serializer.dumps(document)

    for name in ("json", "cbor", "pickle"):
        assert "its func must be a reference" in str(decode(JobCodec(name), data).quarantine)
    assert not (tmp_path / "sprung").exists()


def test_registered_types_are_known_whichever_safe_serializer_wrote() -> None:
    serializer = JSONSerializer()
    serializer.register_type(Alias)
    written = JobCodec(serializer).encode(job(args=(Alias.FAST,)))

    assert decode(JobCodec(serializer), written).args == (Alias.FAST,)
    assert "no type is registered as 'Alias'" in str(decode(JobCodec(), written).quarantine)


def test_a_serializer_of_the_user_can_be_given() -> None:
    class Backwards(Serializer):
        name = "backwards"

        def dumps(self, value: Any) -> bytes:
            return JSONSerializer().dumps(value)[::-1]

        def loads(self, data: bytes) -> Any:
            return JSONSerializer().loads(data[::-1])

    codec = JobCodec(Backwards())
    written = codec.encode(job())

    assert written.startswith(b"1:backwards:")
    assert decode(codec, written).func is work
    assert "it was written by the serializer 'backwards'" in str(decode(JobCodec(), written).quarantine)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("yaml",), LookupError, "no serializer has the alias 'yaml'; there are: cbor, json, pickle"),
        ((3,), TypeError, "serializer must be a serializer or the alias of one such as 'json', got 3"),
        (
            (JSONSerializer,),
            TypeError,
            "serializer must be a serializer or the alias of one such as 'json', got <class",
        ),
        (
            ("json", "myapp"),
            TypeError,
            "allowed_modules must be None or a list of names such as ['myapp'], got 'myapp'",
        ),
        (("json", [3]), TypeError, "allowed_modules must be None or a list of names such as ['myapp'], got [3]"),
        (("json", [""]), TypeError, "allowed_modules must be None or a list of names"),
        (("pickle", ["myapp"]), ValueError, "allowed_modules must be None with serializer='pickle', got ['myapp']"),
    ],
)
def test_a_codec_that_cannot_be_is_refused(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        JobCodec(*arguments)

    assert text in str(raised.value)


def test_cbor_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)
    monkeypatch.delitem(sys.modules, "apsched.serializers.cbor", raising=False)
    _plugins_find_forget()
    try:
        with pytest.raises(MissingExtraError, match=r"pip install 'apsched\[cbor\]'"):
            JobCodec("cbor")
        assert "apsched[cbor]" in str(decode(JobCodec(), b"1:cbor:\xa0").quarantine)
    finally:
        _plugins_find_forget()


def _plugins_find_forget() -> None:
    from apsched import _plugins

    _plugins.find.cache_clear()


# what cannot be read


UNREADABLE: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "it must begin with a format and a serializer as in '1:json:', got b''"),
    "no header": (b'{"func":"a:b"}', "it must begin with a format and a serializer"),
    "text": ("1:json:{}", "it must be bytes, got str"),
    "none": (None, "it must be bytes, got NoneType"),
    "a number": (5, "it must be bytes, got int"),
    "newer format": (b"2:json:{}", "it is of format 2, and this release reads format 1; update apsched"),
    "unknown serializer": (b"1:yaml:{}", "it was written by the serializer 'yaml'"),
    "serializer of odd bytes": (b"1:\xff\xfe:{}", "it was written by the serializer"),
    "bad JSON": (b'1:json:{"func":', "it is not JSON: Expecting value"),
    "not UTF-8": (b'1:json:{"func":"\xff"}', "it is not UTF-8"),
    "a list": (b"1:json:[]", "it must hold a dictionary, got list"),
    "empty": (b"1:json:{}", "its func must be a reference 'package.module:qualified.name', got None"),
    "func without colon": (definition(func="work"), "its func must be a reference"),
    "func of a wrong type": (definition(func=3), "its func must be a reference"),
    "no trigger": (definition(trigger=...), "its trigger is damaged"),
    "trigger of a wrong type": (definition(trigger="cron"), "its trigger is damaged"),
    "unknown trigger": (
        definition(trigger={"type": "lunar", "state": {}}),
        "it has a trigger of the unknown type 'lunar'",
    ),
    "trigger that is gone": (definition(trigger={"type": "no.where:T", "state": {}}), "importing 'no.where' fails"),
    "trigger that is none": (
        definition(trigger={"type": "os:system", "state": {}}),
        "the type of its trigger must be a subclass of BaseTrigger, got 'os:system'",
    ),
    "state of a wrong type": (definition(trigger={"type": "cron", "state": 3}), "its trigger 'cron' cannot be built"),
    "state without entries": (definition(trigger={"type": "date", "state": {}}), "its trigger 'date' cannot be built"),
    "state of a newer release": (
        definition(trigger={"type": "date", "state": {"version": 2}}),
        "must be of version 1 or older, got 2",
    ),
    "no name": (definition(name=...), "it has no name"),
    "name of a wrong type": (definition(name=3), "name must be a text"),
    "instances of a wrong type": (definition(max_instances="3"), "max_instances must be a whole number"),
    "unknown overlap": (definition(overlap="maybe"), "overlap must be one of"),
    "args of a wrong type": (definition(args="abc"), "args must be a list"),
    "kwargs of a wrong type": (definition(kwargs=[1]), "kwargs must be a mapping"),
    "tags of a wrong type": (definition(tags={"a": 1}), "tags must be a mapping of texts"),
    "unknown tag of a value": (definition(args=[{"$regex": "a"}]), "a value of an unknown kind, '$regex'"),
}


@pytest.mark.parametrize("resolve", [True, False], ids=["to run", "to list"])
@pytest.mark.parametrize(("data", "text"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_says_so(codec: JobCodec, data: Any, text: str, resolve: bool) -> None:
    read = codec.decode("job", data, 1, 2, None, resolve=resolve)

    assert read.quarantine is not None
    assert read.quarantine.startswith("its definition cannot be read: ")
    assert text in read.quarantine
    assert (read.id, read.next_nominal_time, read.next_run_time) == ("job", from_micros(1), from_micros(2))
    assert isinstance(read.trigger, UnreadableTrigger)
    assert str(read.trigger) == "unreadable"
    assert read.trigger.get_next_fire_time(None, START) is None


@pytest.mark.parametrize("moment", ["2026-01-01", b"1", 1.5, True, 10**30, -(10**30)], ids=str)
def test_a_time_of_a_wrong_type_makes_the_job_unreadable(codec: JobCodec, moment: Any) -> None:
    for times in [(moment, 5), (5, moment)]:
        read = codec.decode("job", codec.encode(job()), *times, None, resolve=True)

        assert read.quarantine is not None
        assert isinstance(read.trigger, UnreadableTrigger)
        assert [read.next_nominal_time, read.next_run_time] == [
            None if time is moment else from_micros(5) for time in times
        ]


def test_a_job_that_cannot_be_read_cannot_be_written(codec: JobCodec) -> None:
    unread = decode(codec, b"1:json:[]")
    unread.quarantine = None
    with_trigger = attrs.evolve(unread, trigger=HOURLY)
    with_func = attrs.evolve(unread, func=work)

    for changed in (unread, with_trigger, with_func):
        with pytest.raises(TransientJobError) as raised:
            codec.encode(changed)
        assert "it cannot be changed because it cannot be read (" in str(raised.value)
        assert "remove it, or add it anew with replace_existing=True" in str(raised.value)


def test_an_entry_of_a_later_release_is_passed_over_and_one_of_an_earlier_is_filled_in(codec: JobCodec) -> None:
    assert decode(codec, definition(colour="red", on_crash=...)).on_crash == "rerun"
    assert decode(codec, definition(colour="red", on_crash=...)).quarantine is None


# callables that are not there


def test_a_callable_that_is_not_found_quarantines_a_job_that_is_to_run(codec: JobCodec) -> None:
    for ref, text in [
        (f"{__name__}:gone", "'gone'"),
        ("no.where:at_all", "importing 'no.where' fails"),
        (f"{__name__}:ROOT", "must lead to a callable, got"),
        ("__main__:no_such_name", "was defined in the program that added the job"),
        (":", "must be of the form"),
    ]:
        to_run, to_list = decode(codec, definition(func=ref)), decode(codec, definition(func=ref), resolve=False)

        assert text in str(to_run.quarantine)
        assert (to_run.func, to_list.func, to_list.quarantine) == (ref, ref, None)
        assert to_run.trigger == to_list.trigger == HOURLY
        assert codec.encode(to_run) == codec.encode(to_list)


def test_listing_imports_nothing_for_the_callable_and_running_does(
    codec: JobCodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "rarely_used.py").write_text("def work(): ...")
    data = definition(func="rarely_used:work")
    try:
        assert decode(codec, data, resolve=False).func == "rarely_used:work"
        assert "rarely_used" not in sys.modules
        found = decode(codec, data).func
        assert found is sys.modules["rarely_used"].work
        assert decode(codec, data, resolve=False).func is found
    finally:
        sys.modules.pop("rarely_used", None)


@pytest.mark.parametrize("end", ["raise RuntimeError('not today')", "import sys; sys.exit(3)"])
def test_a_module_that_cannot_be_imported_is_left_alone_for_some_seconds(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = JobCodec()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_callables, "RETRY_AFTER", 1000.0)
    module, log = tmp_path / "half_done.py", tmp_path / "log"
    module.write_text(f"with open({str(log)!r}, 'a') as log:\n    log.write('x')\n{end}\n")
    data = definition(func="half_done:work")

    reasons = {decode(codec, data).quarantine for _ in range(5)}

    assert len(reasons) == 1
    assert "importing 'half_done' fails" in str(reasons) or "raises SystemExit: 3" in str(reasons)
    assert log.read_text() == "x"


def test_a_module_that_can_be_imported_by_now_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = JobCodec()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_callables, "RETRY_AFTER", 0.0)
    data = definition(func="late_comer:work")
    assert "importing 'late_comer' fails" in str(decode(codec, data).quarantine)

    (tmp_path / "late_comer.py").write_text("def work(): ...")
    importlib.invalidate_caches()
    try:
        assert decode(codec, data).quarantine is None
    finally:
        sys.modules.pop("late_comer", None)


def test_a_callable_of_the_main_module_runs_where_it_is(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        from apsched.job import Job
        from apsched.jobstores._codec import JobCodec
        from apsched.triggers.date import DateTrigger

        def work(): ...

        codec = JobCodec()
        data = codec.encode(Job(id="a", name="a", func=work, trigger=DateTrigger()))
        assert b'"__main__:work"' in data
        assert codec.decode("a", data, None, None, None, resolve=True).func is work
        open({str(tmp_path / "data")!r}, "wb").write(data)
    """)
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=ROOT)

    assert "main module of this process has no such name" in str(
        decode(JobCodec(), (tmp_path / "data").read_bytes()).quarantine
    )


# allowed modules


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"func": Tools.make},
        {"func": f"{__name__}:work"},
        {"trigger": EveryMinute(START)},
        {"trigger": OrTrigger([HOURLY, EveryMinute(START)])},
        {"trigger": CronTrigger(hour=3, timezone="UTC", exclude=["sat", date(2026, 1, 1), HOURLY, is_holiday])},
    ],
    ids=["function", "class method", "reference", "trigger", "member", "exclusion"],
)
def test_what_is_within_the_allowed_modules_is_stored_and_read(options: dict[str, Any]) -> None:
    codec = JobCodec(allowed_modules=[__name__])
    written = job(**options)

    read = decode(codec, codec.encode(written))

    assert read.quarantine is None
    assert read.trigger == written.trigger


@pytest.mark.parametrize(
    "options",
    [
        {"func": os.getpid},
        {"func": "os:getpid"},
        {"func": "testing:work"},
        {"trigger": EveryMinute(START)},
        {"trigger": OrTrigger([HOURLY, EveryMinute(START)])},
        {"trigger": CronTrigger(hour=3, timezone="UTC", exclude=is_holiday)},
    ],
    ids=["function", "reference", "module of a longer name", "trigger", "member", "exclusion"],
)
def test_what_is_outside_of_the_allowed_modules_is_refused_and_quarantined(options: dict[str, Any]) -> None:
    codec = JobCodec(allowed_modules=["test", "json"])
    written = JobCodec().encode(job(**{"func": json.dumps, **options}))

    with pytest.raises(TransientJobError, match=r"modules that the store allows \(json, test\)"):
        codec.encode(job(**{"func": json.dumps, **options}))
    assert "modules that the store allows (json, test)" in str(decode(codec, written).quarantine)


def test_a_module_and_all_below_it_are_allowed() -> None:
    codec = JobCodec(allowed_modules=["json"])

    assert decode(codec, definition(func="json.decoder:JSONDecoder")).quarantine is None
    assert "modules that the store allows" in str(decode(JobCodec(allowed_modules=()), definition()).quarantine)


def test_a_module_that_is_not_allowed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "trap.py").write_text("raise SystemExit")
    codec = JobCodec(allowed_modules=["json"])
    trap = {"type": "trap:Trigger", "state": {}}
    inner: list[Any] = ["trap:Trigger", {}]
    whole = OrTrigger([HOURLY]).__getstate__()

    def combined(**changes: Any) -> dict[str, Any]:
        return {"type": "or", "state": {**whole, **changes}}

    cases: list[dict[str, Any]] = [
        {"func": "trap:work"},
        {"trigger": trap},
        {"trigger": combined(triggers=[inner])},
        {"trigger": combined(triggers=[["apsched.triggers.combining:OrTrigger", {**whole, "triggers": [inner]}]])},
        {"trigger": combined(triggers=[{"trap:Trigger": 1, "b": 2}])},
        {"trigger": combined(triggers={"$tuple": [inner]})},
        {"trigger": combined(exclude=[["trigger", inner]])},
        {"trigger": combined(exclude=[["callable", "trap:work"]])},
        {"trigger": combined(exclude={"$set": []})},
        {"trigger": combined(exclude=[[["trigger"], inner]])},
    ]
    for changes in cases:
        read = decode(codec, definition(**{"func": "json:dumps", **changes}))
        assert read.quarantine is not None, changes
        assert "trap" not in sys.modules


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "subprocess.run",
        "work.__class__",
        "work.__call__",
        "work.__get__",
        "Tools.__subclasses__",
        "Tools.__base__",
        "Tools.mro",
        "partial",
        "JobCodec",
    ],
)
def test_a_way_out_of_an_allowed_module_is_shut(path: str) -> None:
    ref = f"{__name__}:{path}"
    limited = JobCodec(allowed_modules=[__name__])

    assert callable(decode(JobCodec(), definition(func=ref)).func)
    assert "must lead to something defined in the modules that the store allows" in str(
        decode(limited, definition(func=ref)).quarantine
    )
    assert decode(limited, definition(func=ref), resolve=False).func == ref


def test_a_trigger_that_an_allowed_module_has_imported_is_not_allowed() -> None:
    codec = JobCodec(allowed_modules=[__name__])
    ref = f"{__name__}:IntervalTrigger"

    assert "is defined in apsched.triggers.interval" in str(
        decode(codec, definition(trigger={"type": ref, "state": HOURLY.__getstate__()})).quarantine
    )


# arguments


def run(**options: Any) -> Run:
    return Run(job_id="job", nominal_time=START, due_time=START, outcome=Outcome.PENDING, **options)


@pytest.mark.parametrize("args", [None, (), (1, {"a": (2,)})])
@pytest.mark.parametrize("kwargs", [None, {}, {"a": [date(2026, 1, 1)]}])
def test_the_arguments_of_a_run_come_back(codec: JobCodec, args: Any, kwargs: Any) -> None:
    data = codec.encode_arguments(run(args=args, kwargs=kwargs))

    assert (data is None) == (args is None and kwargs is None)
    assert codec.decode_arguments(data) == (args, kwargs)


def test_an_argument_of_a_run_that_cannot_be_stored_is_told() -> None:
    with pytest.raises(UnstorableError, match=r"^args\[0\] cannot be stored"):
        JobCodec().encode_arguments(run(args=(Thing(),)))


@pytest.mark.parametrize("data", [b"", b"1:json:[]", b"1:json:{}", b'1:json:{"args":3,"kwargs":null}', "text"])
def test_arguments_that_cannot_be_read_are_a_value_error(codec: JobCodec, data: Any) -> None:
    with pytest.raises(ValueError, match="its arguments cannot be read: "):
        codec.decode_arguments(data)


# results


@pytest.mark.parametrize("value", [None, 0, False, "", {"a": (1, {2})}, {"unstorable": 1}, float("inf")], ids=str)
def test_a_result_comes_back(codec: JobCodec, value: Any) -> None:
    data = codec.encode_result(value)

    assert (data is None) == (value is None)
    assert codec.decode_result(data) == value


def test_a_result_that_cannot_be_stored_becomes_a_note(codec: JobCodec) -> None:
    read = codec.decode_result(codec.encode_result({"a": lambda: 1}))

    assert isinstance(read, Unstorable)
    assert read.text.startswith("result['a'] cannot be stored, got <function")
    assert codec.decode_result(codec.encode_result(read)) == read


def test_a_result_that_is_too_large_becomes_a_note(codec: JobCodec) -> None:
    largest = "x" * (RESULT_LIMIT - 60)

    assert codec.decode_result(codec.encode_result(largest)) == largest
    read = codec.decode_result(codec.encode_result(b"x" * 100_000))
    assert isinstance(read, Unstorable)
    assert "is not kept: it takes 1" in read.text
    assert read.text.endswith("bytes, more than 65536")
    assert len(read.text) < 300


def test_a_note_holds_any_text(codec: JobCodec) -> None:
    assert codec.decode_result(codec.encode_result(Unstorable("\ud800é"))) == Unstorable("\\ud800é")


@pytest.mark.parametrize("data", [b"", b"1:json:[]", b"1:json:{}", b"2:json:{}", "text", 5, b"1:json:" + b"[" * 99_999])
def test_a_result_that_cannot_be_read_is_a_note(codec: JobCodec, data: Any) -> None:
    read = codec.decode_result(data)

    assert isinstance(read, Unstorable)
    assert read.text.startswith("the result cannot be read: ")


# instants


@given(
    st.datetimes(
        timezones=st.timezones()
        | st.just(UTC)
        | st.builds(timezone, st.timedeltas(-timedelta(hours=23), timedelta(hours=23)))
    )
)
def test_instants_are_exact(moment: datetime) -> None:
    micros = to_micros(moment)

    assert type(micros) is int
    if to_micros(datetime.min.replace(tzinfo=UTC)) <= micros <= to_micros(datetime.max.replace(tzinfo=UTC)):
        assert from_micros(micros) == moment.astimezone(UTC)
        assert to_micros(from_micros(micros)) == micros


def test_instants_of_all_years_are_exact() -> None:
    assert to_micros(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert from_micros(to_micros(moment)) == moment


@given(st.binary(), st.sampled_from([b"", b"1:json:", b"1:cbor:", b"1:pickle:", b"1:json:{"]))
def test_no_bytes_make_reading_raise(data: bytes, head: bytes) -> None:
    codec = JobCodec("json")

    assert decode(codec, head + data).quarantine is not None
    codec.decode_result(head + data)
