"""Reading a pickle runs nothing, whatever stands in it."""

from __future__ import annotations

import builtins
import os
import pickle
import pickletools
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsched.migration.pickles import LONGEST, RefusedPickleError
from apsched.migration.values import plain, read_state
from tests.migration.recorded import found, state_of


class Calls:
    """Is pickled as a call."""

    def __init__(self, func: Any, *args: Any) -> None:
        self.reduced = (func, args)

    def __reduce__(self) -> Any:
        return self.reduced


def touched(path: Path) -> str:
    return f"open({str(path)!r}, 'w').close()"


ATTACKS: dict[str, Callable[[Path], Any]] = {
    "os.system": lambda path: Calls(os.system, f"touch {path}"),
    "eval": lambda path: Calls(eval, touched(path)),
    "exec": lambda path: Calls(exec, touched(path)),
    "open": lambda path: Calls(open, str(path), "w"),
    "import": lambda path: Calls(__import__, "antigravity"),
    "getattr": lambda path: Calls(getattr, Calls(__import__, "os"), "system"),
    "getattr of a zone": lambda path: Calls(getattr, ZoneInfo, "__init_subclass__"),
    "getattr of a value": lambda path: Calls(getattr, timedelta(1), "__class__"),
    "nested": lambda path: {"a": [({"b": Calls(os.system, f"touch {path}")},)]},
    "nested in an allowed call": lambda path: Calls(timedelta, Calls(eval, touched(path))),
    "map": lambda path: Calls(list, Calls(map, eval, [touched(path)])),
    "type": lambda path: Calls(type, "New", (), {}),
    "setattr": lambda path: Calls(setattr, uuid.UUID, "int", 3),
    "own class": lambda path: Calls(Calls, 1),
}


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_pickle_that_calls_is_refused_and_not_run(attack: str, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "touched"
    state = pickle.dumps({"args": (ATTACKS[attack](path),)}, protocol)

    result = found(state)

    assert result.job is None
    assert "only plain data and APScheduler's own are read" in str(result.problem)
    assert not path.exists()
    assert "antigravity" not in sys.modules


def test_the_problem_names_what_was_wanted() -> None:
    result = found(pickle.dumps(Calls(os.system, "true")))

    assert (
        result.problem == f"it needs {os.system.__module__}.system, and only plain data and APScheduler's own are read"
    )


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "it needs os.system"),
        (b"(S'true'\nios\nsystem\n.", "it needs os.system"),
        (b"(cos\nsystem\nS'true'\no.", "it needs os.system"),
        (b"cdatetime\ntimedelta.__reduce__\n.", "it needs datetime.timedelta.__reduce__"),
        (b"c__builtin__\ngetattr\n(cdatetime\ndatetime\nS'now'\ntR.", "it calls getattr"),
        (b"\x8c\x02os\x8c\x06system\x93.", "it needs os.system"),
        (b"cdatetime\ntimedelta\n(I1\ntR(dS'a'\nI1\nsb.", "gives state to a timedelta"),
        (b"cdatetime\ntimedelta\n(dS'a'\nI1\nsb.", "gives state to a Name"),
        (b"ccopy_reg\n_reconstructor\n(cdatetime\ndatetime\nc__builtin__\nobject\nNtR.", "makes an instance of what"),
        (b"c__builtin__\nobject\n)\x81.", "it calls object"),
        (b"cuuid\nUUID\n)}S'a'\nI1\ns\x92.", "by keywords"),
        (b"S'text'\n)R.", "calls a str"),
        (b"Pid\n.", "uses PERSID"),
        (b"S'id'\nQ.", "uses BINPERSID"),
        (b"\x82\x01.", "uses EXT1"),
        (b"\x97.", "uses NEXT_BUFFER"),
        (b"I1\nI2\na.", "damaged"),
        (b"(I1\n0.", "damaged"),
        (b"(I1\nI2\nt", "damaged"),
        (b"g7\n.", "damaged"),
        (b"].]", ""),
        (b"cdatetime\ndatetime\n(S'short'\ntR.", "a datetime.datetime that cannot be made"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "a _codecs.encode that cannot be made"),
    ],
)
def test_instructions_that_plain_data_never_needs_are_refused(state: bytes, problem: str) -> None:
    if not problem:
        assert read_state(state) == []
        return
    with pytest.raises(RefusedPickleError, match=problem):
        read_state(state)


def test_what_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(RefusedPickleError, match="at most 16777216 bytes"):
        read_state(bytes(LONGEST + 1))


def test_a_class_among_the_arguments_is_refused() -> None:
    with pytest.raises(ValueError, match=r"it holds datetime\.datetime itself"):
        plain(read_state(pickle.dumps([datetime])))


def test_a_trigger_among_the_arguments_is_refused() -> None:
    state = read_state(state_of("3.11.3-protocol-5", "cron_list"))

    with pytest.raises(ValueError, match=r"it holds an instance of apscheduler\.triggers\.cron\.CronTrigger"):
        plain([state["trigger"]])


def test_every_opcode_is_known_or_refused() -> None:
    refused = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "BYTEARRAY8"}
    from apsched.migration import pickles

    known = {*pickles._PUSHES, *pickles._CONSTANTS, *pickles._STEPS, *pickles._SILENT}
    assert known | refused == {opcode.name for opcode in pickletools.opcodes}
    assert not known & refused


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.datetimes()
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=3)), ZoneInfo("Europe/Berlin")])),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.text() | st.integers())
        | st.frozensets(st.dates())
    ),
)


@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back_as_they_were(value: Any, protocol: int) -> None:
    assert plain(read_state(pickle.dumps(value, protocol))) == value


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data: bytes) -> None:
    with suppress(RefusedPickleError):
        read_state(data)


def test_nothing_is_changed_by_what_is_read() -> None:
    before = {kind: dict(vars(kind)) for kind in (uuid.UUID, Decimal, ZoneInfo, date, time)}
    before_builtins = dict(vars(builtins))

    test_instructions_that_plain_data_never_needs_are_refused(b"cuuid\nUUID\n(dS'x'\nI1\nsb.", "gives state to a Name")

    assert {kind: dict(vars(kind)) for kind in before} == before
    assert dict(vars(builtins)) == before_builtins
