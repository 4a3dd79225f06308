"""The serializers of the closed types write these exactly, and refuse everything else by its path."""

from __future__ import annotations

import dataclasses
import enum
import gzip
import importlib
import inspect
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest

from apsched.exceptions import MissingExtraError, UnstorableError
from apsched.serializers._closed import ClosedSerializer
from apsched.serializers.cbor import CBORSerializer
from apsched.serializers.json import JSONSerializer
from tests.exact import exact
from tests.ids import stable

HELSINKI = ZoneInfo("Europe/Helsinki")


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Mood(enum.StrEnum):
    GOOD = "good"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Span:
    started: Any
    _ended: Any = None
    length: int = attrs.field(init=False, default=3)


@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0
    seen: bool = dataclasses.field(init=False, default=False)


class Version:
    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


Pair = namedtuple("Pair", "left right")


@pytest.fixture(params=[JSONSerializer, CBORSerializer])
def serializer(request: pytest.FixtureRequest) -> ClosedSerializer:
    made: ClosedSerializer = request.param()
    return made


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        10**700,
        -(10**5000),
        0.1,
        -0.0,
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        "",
        "text",
        "\0 \u2028 é 😀 \\u0024",
        "$5",
        [],
        [1, [2, [3]]],
        {},
        {"a": {"b": 1}},
        {"$set": [1]},
        {"$": 1, "b": 2},
        {"a$": 1},
        {"$type": ["Color", "RED"]},
        {1: "a", None: "b", (1, 2): "c", frozenset({1}): "d", date(2026, 1, 1): "e"},
        {"a": 1, 2: float("nan")},
        (),
        (1, (2,), [3]),
        set(),
        {1, "a", None, (1, 2)},
        frozenset({frozenset({1}), 2}),
        b"",
        b"\x00\xff",
        datetime(2026, 3, 29, 3, 30),  # noqa: DTZ001  # that is the point
        datetime(2026, 3, 29, 3, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 3, 30, tzinfo=HELSINKI, fold=1),
        datetime(2026, 10, 25, 3, 30, 0, 1, tzinfo=HELSINKI),
        datetime(2026, 1, 1, fold=1),  # noqa: DTZ001  # that is the point
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(2026, 1, 1, tzinfo=timezone(-timedelta(hours=3, microseconds=1), "X")),
        datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
        date(2026, 2, 28),
        time(1, 2, 3, 4, tzinfo=HELSINKI, fold=1),
        time(1),
        timedelta(days=-1, microseconds=1),
        timedelta.max,
        HELSINKI,
        UTC,
        timezone(timedelta(hours=2), "EET"),
        Decimal("1.00"),
        Decimal("-0E+5"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        Decimal("sNaN12"),
        UUID(int=5),
    ],
    ids=stable,
)
def test_a_value_comes_back_the_same(serializer: ClosedSerializer, value: Any) -> None:
    for whole in (value, {"a": [value, "$"]}):
        assert exact(serializer.loads(serializer.dumps(whole))) == exact(whole)


def test_equal_sets_are_written_alike(serializer: ClosedSerializer) -> None:
    assert serializer.dumps({8, 0}) == serializer.dumps({0, 8})


def test_json_shows_what_it_holds() -> None:
    value = {"when": datetime(2026, 1, 31, 8, 30, tzinfo=HELSINKI), "who": ("é", b"x"), "few": [1, 2.5, None]}

    assert JSONSerializer().dumps(value).decode() == (
        '{"when":{"$datetime":["2026-01-31T08:30:00","Europe/Helsinki",0]},'
        '"who":{"$tuple":["é",{"$bytes":"eA=="}]},"few":[1,2.5,null]}'
    )


# what is refused


class Elsewhere(tzinfo):  # a zone without a name, as other packages make them
    def utcoffset(self, dt: datetime | None, /) -> timedelta:
        return timedelta(hours=2)

    def tzname(self, dt: datetime | None, /) -> str:
        return "EET"

    def dst(self, dt: datetime | None, /) -> timedelta:
        return timedelta()


class Thing:
    def __repr__(self) -> str:
        return "<thing>"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Thing(), "value"),
        (Broken(), "value"),
        (Mood.GOOD, "value"),
        ([Level.LOW], "value[0]"),
        ({"kwargs": {"options": [1, (2, Thing())]}}, "kwargs['options'][1][1]"),
        ({"kwargs": {"color": Color.RED}}, "kwargs['color']"),
        ({"kwargs": {"mood": Mood.GOOD, "n": 1}}, "kwargs['mood']"),
        ({"a": OrderedDict()}, "a"),
        ({"a": Pair(1, 2)}, "a"),
        pytest.param({"a": {1, Mood.GOOD}}, "a{...}", id="a set in a dictionary"),
        ({"a": {Mood.GOOD: 1}}, "a.keys()"),
        ({"a": {(1, Level.LOW): 1}}, "a.keys()[1]"),
        ({"a": {1: Thing()}}, "a[1]"),
        ({"a": {10**5000: Thing()}}, "a[<int object>]"),
        ({"two words": Thing()}, "value['two words']"),
        ({"a": Fraction(1, 2)}, "a"),
        ({"a": 1j}, "a"),
        ({"a": bytearray()}, "a"),
        ({"a": len}, "a"),
        ({"a": "\ud800"}, "a"),
        ({"a": ["b", {"\udfff": 1}]}, "a[1].keys()"),
        ({"a": datetime(2026, 1, 1, tzinfo=Elsewhere())}, "a.tzinfo"),
        ({"a": time(1, tzinfo=Elsewhere())}, "a.tzinfo"),
    ],
    ids=stable,
)
def test_what_is_of_another_type_is_refused_by_its_path(serializer: ClosedSerializer, value: Any, path: str) -> None:
    with pytest.raises(UnstorableError) as raised:
        serializer.dumps(value)

    assert raised.value.path == path
    assert str(raised.value).startswith(f"{path} cannot be stored, got ")


def test_the_message_says_what_is_allowed_and_what_to_do(serializer: ClosedSerializer) -> None:
    with pytest.raises(UnstorableError) as raised:
        serializer.dumps({"kwargs": {"a": Thing()}})

    assert str(raised.value) == (
        f"kwargs['a'] cannot be stored, got <thing>: its type is {__name__}.Thing; allowed are None, bool, int, float, "
        "str, bytes, list, dict, tuple, set, frozenset, datetime, date, time, timedelta, ZoneInfo, Decimal and UUID, "
        "but no subclasses; register the class with register_type() of the serializer, or open the store with "
        "serializer='pickle'"
    )


def test_the_message_is_short_however_large_the_value_is(serializer: ClosedSerializer) -> None:
    with pytest.raises(UnstorableError) as raised:
        serializer.dumps(bytearray(1_000_000))

    assert len(str(raised.value)) < 600


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: {1: v}, lambda v: frozenset({v})],
    ids=["list", "dict", "tuple", "tagged", "frozenset"],
)
def test_a_hundred_levels_are_stored_and_more_are_refused(
    serializer: ClosedSerializer, wrap: Callable[[Any], Any]
) -> None:
    deep = nested(100, wrap)

    assert exact(serializer.loads(serializer.dumps(deep))) == exact(deep)
    with pytest.raises(UnstorableError, match="nested deeper than 100 levels, or contains itself"):
        serializer.dumps(nested(102, wrap))
    with pytest.raises(UnstorableError, match="nested deeper than 100 levels, or contains itself"):
        serializer.dumps(nested(5_000, wrap))


def test_what_contains_itself_is_refused(serializer: ClosedSerializer) -> None:
    circle: list[Any] = []
    circle += [circle, circle]

    with pytest.raises(UnstorableError, match=r"^a\[0\].*\.\.\. cannot be stored.*contains itself"):
        serializer.dumps({"a": circle})


def test_little_room_on_the_stack_is_an_error_like_others(serializer: ClosedSerializer) -> None:
    value = nested(90, lambda v: {1: [v]})

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            serializer.dumps(value)

    with pytest.raises(UnstorableError, match="nested"):
        descend(sys.getrecursionlimit() - len(inspect.stack()) - 50)


# registered types


@pytest.mark.parametrize(
    ("cls", "value"),
    [
        (Color, Color.RED),
        (Level, Level.LOW),
        (Mood, Mood.GOOD),
        (Right, Right.READ | Right.WRITE),
        (Span, Span(datetime(2026, 1, 1, tzinfo=UTC), (1, 2))),
        (Point, Point({"$a": 1}, [1])),
        (Pair, Pair(1, {2})),
    ],
    ids=repr,
)
def test_a_registered_type_comes_back(serializer: ClosedSerializer, cls: type, value: Any) -> None:
    if cls is Pair:
        serializer.register_type(Pair, to_state=tuple, from_state=lambda state: Pair(*state))
    else:
        serializer.register_type(cls)

    found = serializer.loads(serializer.dumps({"a": [value]}))

    assert found == {"a": [value]}
    assert type(found["a"][0]) is cls


def test_a_field_that_no_parameter_sets_comes_back(serializer: ClosedSerializer) -> None:
    serializer.register_type(Point)
    serializer.register_type(Span)
    point, span = Point(1), Span(1)
    object.__setattr__(point, "seen", True)
    object.__setattr__(span, "length", 7)

    assert serializer.loads(serializer.dumps([point, span])) == [point, span]


def test_a_class_can_be_registered_under_another_name_and_by_functions(serializer: ClosedSerializer) -> None:
    serializer.register_type(Version, "v", to_state=lambda version: [version.text], from_state=lambda s: Version(*s))

    assert serializer.loads(serializer.dumps({"a": Version("1")})) == {"a": Version("1")}
    assert b'"v"' in JSONSerializer(serializer).dumps(Version("1"))


def test_register_type_decorates_a_class(serializer: ClosedSerializer) -> None:
    @serializer.register_type
    class Size(enum.Enum):
        SMALL = 1

    assert serializer.loads(serializer.dumps(Size.SMALL)) is Size.SMALL


def test_a_field_is_named_in_the_path(serializer: ClosedSerializer) -> None:
    serializer.register_type(Span)

    with pytest.raises(UnstorableError) as raised:
        serializer.dumps({"kwargs": {"options": [1, 2, Span(Thing())]}})

    assert raised.value.path == "kwargs['options'][2].started"


def test_a_serializer_can_share_the_registered_types_of_another(serializer: ClosedSerializer) -> None:
    other = CBORSerializer(serializer)
    serializer.register_type(Color)

    assert other.loads(other.dumps(Color.RED)) is Color.RED


def test_what_a_function_of_the_user_raises_is_told(serializer: ClosedSerializer) -> None:
    serializer.register_type(Version, to_state=lambda version: 1 / 0, from_state=Version)

    with pytest.raises(UnstorableError, match=r"to_state\(\) of Version raised ZeroDivisionError") as raised:
        serializer.dumps(Version("1"))

    assert isinstance(raised.value.__cause__, ZeroDivisionError)


class Counted(dict[str, int]):
    pass


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((3,), TypeError, "cls must be a class, got 3"),
        ((Color, ""), TypeError, "name must be a text of at least 1 character, got ''"),
        ((Color, "c", str), TypeError, "to_state and from_state of c must be given both or not at all"),
        ((Thing,), TypeError, "Thing must be an enumeration, an attrs class or a dataclass to be registered without"),
        ((Counted,), TypeError, "Counted must be an enumeration, an attrs class or a dataclass"),
        (
            (int, "i", str, int),
            ValueError,
            "a type that can be stored as it is must not be registered, got <class 'int'>",
        ),
        ((dict, "d", str, int), ValueError, "a type that can be stored as it is must not be registered"),
        ((Mood, "Color"), ValueError, "types and names must be registered once"),
        ((Color, "Other"), ValueError, "types and names must be registered once"),
    ],
)
def test_a_wrong_registration_is_refused(
    serializer: ClosedSerializer, arguments: tuple[Any, ...], error: type[Exception], text: str
) -> None:
    serializer.register_type(Color)
    cls, name, to_state, from_state = (*arguments, None, None, None)[:4]

    with pytest.raises(error) as raised:
        serializer.register_type(cls, name, to_state=to_state, from_state=from_state)

    assert text in str(raised.value)


def test_a_type_may_be_registered_again(serializer: ClosedSerializer) -> None:
    serializer.register_type(Color)
    serializer.register_type(Color)

    assert serializer.loads(serializer.dumps(Color.RED)) is Color.RED


# what cannot be read


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"1 2", "it is not JSON"),
        (b"\xff", "it is not UTF-8"),
        (b"NaN", "it holds NaN, which is not JSON"),
        (b'{"a":Infinity}', "it holds Infinity"),
        (b'{"$eval":"1"}', "it holds a value of an unknown kind, '$eval'"),
        (b'{"\\u0024eval":"1"}', "it holds a value of an unknown kind, '$eval'"),
        (b'{"$set":[1],"b":1}', "it holds a dictionary of a form that is never written"),
        (b'{"$set":[[1]]}', "it holds a damaged '$set': unhashable type: 'list'"),
        (b'{"$set":"ab"}', "it holds a damaged '$set': it must hold list, got str"),
        (b'{"$tuple":{"a":1}}', "it holds a damaged '$tuple'"),
        (b'{"$dict":[[1,2,3]]}', "it holds a damaged '$dict'"),
        (b'{"$dict":[[[],2]]}', "it holds a damaged '$dict'"),
        (b'{"$int":"12g"}', "it holds a damaged '$int'"),
        (b'{"$int":5}', "it holds a damaged '$int'"),
        (b'{"$float":"x"}', "it holds a damaged '$float'"),
        (b'{"$date":"2026-02-30"}', "it holds a damaged '$date'"),
        (b'{"$date":5}', "it holds a damaged '$date'"),
        (b'{"$datetime":["2026-01-01T00:00:00","Nowhere/Land",0]}', "it holds a damaged '$datetime'"),
        (b'{"$datetime":["2026-01-01T00:00:00","../../etc/passwd",0]}', "it holds a damaged '$datetime'"),
        (b'{"$datetime":["2026-01-01T00:00:00",["a"],0]}', "it holds a damaged '$datetime'"),
        (b'{"$datetime":["2026-01-01T00:00:00",null,2]}', "it holds a damaged '$datetime'"),
        (b'{"$datetime":"2026-01-01T00:00:00"}', "it holds a damaged '$datetime'"),
        (b'{"$time":["25:00",null,0]}', "it holds a damaged '$time'"),
        (b'{"$timedelta":[1e9,0,0]}', "it holds a damaged '$timedelta'"),
        (b'{"$timedelta":[1000000000,0,0]}', "it holds a damaged '$timedelta'"),
        (b'{"$zone":null}', "it holds a damaged '$zone'"),
        (b'{"$decimal":"x"}', "it holds a damaged '$decimal'"),
        (b'{"$decimal":[0,[1],0]}', "it holds a damaged '$decimal'"),
        (b'{"$uuid":"x"}', "it holds a damaged '$uuid'"),
        (b'{"$bytes":"*"}', "it holds a damaged '$bytes'"),
        (b'{"$type":["Unknown",1]}', "no type is registered as 'Unknown'; call register_type() of the serializer"),
        (b'{"$type":["Color","BLUE"]}', "it holds a damaged '$type'"),
        (b'{"$type":["Color",1]}', "it holds a damaged '$type'"),
        (b'{"$type":["Span",{"started":1,"other":2}]}', "Span has no field 'other'"),
        (b'{"$type":["Span",{}]}', "it holds a damaged '$type'"),
        (b'{"$type":"Color"}', "it holds a damaged '$type'"),
        (b'{"$type":[[],1]}', "it holds a damaged '$type'"),
        (b"[" * 100_000, "it is nested deeper than anything that is ever written"),
        (b'{"$tuple":[' * 100_000, "it is nested deeper than anything that is ever written"),
        (b"9" * 10_000, "limit"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_damaged_json_is_a_value_error_that_says_what_is_wrong(data: bytes, text: str) -> None:
    serializer = JSONSerializer()
    serializer.register_type(Color)
    serializer.register_type(Span)

    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the text is looked at below
        serializer.loads(data)

    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "premature end"),
        (b"\xff", "break code"),
        (b"\x01\x02", "more follows"),
        (b"\x62\xff\xff", "codec can't decode byte"),
        (b"\x81" * 100_000, "nesting depth"),
        (b"\xd8\x1c\x81\xd8\x1d\x00", "it holds a CBOR tag that is never written"),  # a list that contains itself
        (b"\xd8\x23\x61a", "it holds a CBOR tag that is never written"),  # a regular expression
        (b"\xd9\x27\x0f\x01", "it holds a CBOR tag that is never written"),
        (b"\xa1\x01\x02", "it holds a value of an unknown kind, 1"),
        (b"\xa2\x01\x02\x61a\x02", "it holds a dictionary of a form that is never written"),
        (b"\xa1\x65$eval\x01", "it holds a value of an unknown kind, '$eval'"),
        (b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "premature end"),
        (gzip.compress(b"x", mtime=0), "it is not CBOR"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_damaged_cbor_is_a_value_error_that_says_what_is_wrong(data: bytes, text: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the text is looked at below
        CBORSerializer().loads(data)

    assert text in str(raised.value)


@pytest.mark.parametrize("length", range(0, 60, 7))
def test_a_document_that_is_cut_off_is_a_value_error(serializer: ClosedSerializer, length: int) -> None:
    whole = serializer.dumps({"a": [datetime(2026, 1, 1, tzinfo=UTC), {1: b"x"}, "text", 1.5]})

    with pytest.raises(ValueError, match="it "):
        serializer.loads(whole[: min(length, len(whole) - 1)])


def test_without_its_package_cbor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)
    monkeypatch.delitem(sys.modules, "apsched.serializers.cbor")

    with pytest.raises(MissingExtraError, match=r"pip install 'apsched\[cbor\]'"):
        importlib.import_module("apsched.serializers.cbor")
