"""The functions of `apscheduler.util`."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apsched import util
from apsched.jobstores.memory import MemoryJobStore

HELSINKI = ZoneInfo("Europe/Helsinki")
T0 = datetime(2026, 3, 29, 2, 59, 59, 500_000, tzinfo=HELSINKI)  # half a second before clocks go forward
T1 = datetime(2026, 3, 29, 4, tzinfo=HELSINKI)


async def waits() -> None:
    pass


@pytest.mark.parametrize(
    ("name", "given", "answer"),  # as APScheduler 3.11.3 answers
    [
        ("asint", ["12"], 12),
        ("asint", [None], None),
        ("asbool", [" Yes "], True),
        ("asbool", ["0"], False),
        ("asbool", [2], True),
        ("astimezone", ["Europe/Helsinki"], HELSINKI),
        ("astimezone", [None], None),
        ("asdate", ["2026-01-31"], date(2026, 1, 31)),
        ("asdate", [date(2026, 1, 31)], date(2026, 1, 31)),
        ("convert_to_datetime", [None, None, "x"], None),
        ("convert_to_datetime", ["2026-3-29 04:00:00", "Europe/Helsinki", "x"], T1),
        ("convert_to_datetime", [date(2026, 1, 31), UTC, "x"], datetime(2026, 1, 31, tzinfo=UTC)),
        ("convert_to_datetime", [T1, UTC, "x"], T1),
        ("datetime_to_utc_timestamp", [None], None),
        ("datetime_to_utc_timestamp", [T1], 1_774_746_000.0),
        ("datetime_to_utc_timestamp", [datetime.fromisoformat("1970-01-01T00:00:01.5")], 1.5),
        ("utc_timestamp_to_datetime", [None], None),
        ("utc_timestamp_to_datetime", [1.5], datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
        ("timedelta_seconds", [timedelta(days=1, milliseconds=1)], 86_400.001),
        ("datetime_ceil", [T0], T1),
        ("datetime_ceil", [T1], T1),
        ("datetime_utc_add", [T0, timedelta(seconds=0.5)], T1),
        (
            "datetime_utc_add",
            [datetime.fromisoformat("2026-01-01"), timedelta(1)],
            datetime.fromisoformat("2026-01-02"),
        ),
        ("datetime_repr", [T1], "2026-03-29 04:00:00 EEST"),
        ("datetime_repr", [None], "None"),
        ("timezone_repr", [HELSINKI], "Europe/Helsinki"),
        ("normalize", [datetime(2026, 3, 29, 3, tzinfo=HELSINKI)], T1),
        ("localize", [datetime.fromisoformat("2026-03-29T04:00:00"), HELSINKI], T1),
        ("get_callable_name", [MemoryJobStore.add], "MemoryJobStore.add"),
        ("obj_to_ref", [waits], f"{__name__}:waits"),
        ("obj_to_ref", [MemoryJobStore().add], "apsched.jobstores.memory:MemoryJobStore.add"),
        ("ref_to_obj", ["apsched.jobstores.memory:MemoryJobStore.add"], MemoryJobStore.add),
        ("maybe_ref", [7], 7),
        ("maybe_ref", ["builtins:int"], int),
        ("check_callable_args", [int, ["7"], {}], None),
        ("iscoroutinefunction_partial", [partial(waits)], True),
        ("iscoroutinefunction_partial", [int], False),
    ],
)
def test_a_function_answers_as_in_apscheduler_3(
    name: str, given: list[Any], answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])

    assert getattr(util, name)(*given) == answer


def test_what_was_not_given_is_false() -> None:
    assert not util.undefined


@pytest.mark.parametrize(
    ("name", "given", "error"),
    [
        ("asbool", ["perhaps"], ValueError),
        ("astimezone", ["Nowhere"], ValueError),  # a KeyError there
        ("astimezone", [7], TypeError),
        ("convert_to_datetime", ["today", UTC, "x"], ValueError),
        ("convert_to_datetime", [7, UTC, "x"], TypeError),
        ("get_callable_name", [7], TypeError),
        ("obj_to_ref", [7], TypeError),
        ("obj_to_ref", [lambda: None], ValueError),
        ("obj_to_ref", [partial(int)], ValueError),
        ("ref_to_obj", [7], TypeError),
        ("ref_to_obj", ["int"], ValueError),
        ("ref_to_obj", ["nowhere:int"], LookupError),
        ("maybe_ref", ["builtins:nothing"], LookupError),
        ("check_callable_args", [waits, [1], {}], ValueError),
    ],
)
def test_a_function_refuses_what_it_refuses_in_apscheduler_3(
    name: str, given: list[Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        getattr(util, name)(*given)
