from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
import tzlocal

from apsched import _timezones
from apsched._timezones import UTC, at_wall_time, local_timezone, timezone_text, to_datetime, to_timezone

BERLIN = ZoneInfo("Europe/Berlin")


class PytzLike(tzinfo):
    def __init__(self, zone: str | None, minutes: int = 0) -> None:
        self.zone = zone
        self.minutes = minutes

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(minutes=self.minutes)

    def dst(self, moment: datetime | None) -> None: ...

    def tzname(self, moment: datetime | None) -> None: ...


class DateutilLike(PytzLike):
    def __init__(self, filename: str) -> None:
        super().__init__(None)
        self._filename = filename


class Nameless(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=2 if moment is not None and 3 < moment.month < 11 else 1)

    def dst(self, moment: datetime | None) -> None: ...

    def tzname(self, moment: datetime | None) -> None: ...


@pytest.fixture
def forgotten_warnings() -> Iterator[None]:
    _timezones._warn_nameless.cache_clear()
    yield
    _timezones._warn_nameless.cache_clear()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("UTC", UTC),
        ("Europe/Berlin", BERLIN),
        ("+02:00", timezone(timedelta(hours=2))),
        ("UTC-03:30", timezone(-timedelta(hours=3, minutes=30))),
        ("+00:00", UTC),
        (BERLIN, BERLIN),
        (timezone(timedelta(hours=2)), timezone(timedelta(hours=2))),
        (PytzLike("Europe/Berlin"), BERLIN),
        (PytzLike(None, minutes=90), timezone(timedelta(minutes=90))),
        (DateutilLike("/usr/share/zoneinfo/Europe/Berlin"), BERLIN),
        (DateutilLike("Europe/Berlin"), BERLIN),
    ],
)
def test_a_time_zone_is_read_from_its_name_its_offset_or_a_tzinfo(value: object, expected: tzinfo) -> None:
    assert to_timezone(value, "timezone") == expected


@pytest.mark.parametrize("text", ["Mars", "", "Europe", "../UTC", "+25:00", "+01:75", "\0"])
def test_text_that_names_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^my_zone must be a time zone name or an offset such as '\+02:00', got "):
        to_timezone(text, "my_zone")


@pytest.mark.parametrize("text", ["europe/berlin", "Europe/Berln", "Berlin"])
def test_the_error_for_an_unknown_zone_names_the_nearest_ones(text: str) -> None:
    with pytest.raises(ValueError, match="the nearest names are 'Europe/Berlin'"):
        to_timezone(text, "timezone")


def test_a_zone_with_dst_and_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone must be a time zone that can be stored by its name"):
        to_timezone(Nameless(), "timezone")


def test_a_zone_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"timezone must be .* or a tzinfo, got 5"):
        to_timezone(5, "timezone")


@pytest.mark.parametrize("zone", [UTC, BERLIN, timezone(timedelta(hours=2)), timezone(-timedelta(minutes=90), "odd")])
def test_the_text_of_a_zone_is_read_back(zone: tzinfo) -> None:
    assert to_timezone(timezone_text(zone), "timezone") == zone


def test_a_nameless_zone_has_no_text() -> None:
    with pytest.raises(ValueError, match="can be stored by its name"):
        timezone_text(Nameless())


def test_the_local_zone_has_a_name() -> None:
    assert timezone_text(local_timezone())


def test_the_local_zone_of_dateutil_is_that_of_this_machine() -> None:
    dateutil_like = type("tzlocal", (Nameless,), {})

    assert to_timezone(dateutil_like(), "timezone") == local_timezone()


@pytest.mark.usefixtures("forgotten_warnings")
def test_a_machine_whose_zone_has_no_name_is_taken_to_be_in_utc_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tzlocal, "get_localzone", Nameless)

    zones = [local_timezone(), local_timezone()]

    assert zones == [UTC, UTC]
    assert [(record.name, record.levelno) for record in caplog.records] == [("apsched.timezones", logging.WARNING)]


@pytest.mark.usefixtures("forgotten_warnings")
def test_a_machine_whose_zone_cannot_be_read_is_taken_to_be_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tzinfo:
        raise LookupError("no such zone")

    monkeypatch.setattr(tzlocal, "get_localzone", fail)

    assert local_timezone() is UTC


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 1, 2), "2026-01-02T00:00:00+01:00"),
        (datetime.fromisoformat("2026-07-02 03:00"), "2026-07-02T03:00:00+02:00"),
        ("2026-1-2", "2026-01-02T00:00:00+01:00"),
        ("2026-01-02 3:04:05", "2026-01-02T03:04:05+01:00"),
        ("2026-01-02T03:04:05.5", "2026-01-02T03:04:05.500000+01:00"),
        ("2026-01-02 03:04:05.000005Z", "2026-01-02T03:04:05.000005+00:00"),
        ("2026-01-02 03:04:05-05:30", "2026-01-02T03:04:05-05:30"),
        ("2026-03-29 02:30:00", "2026-03-29T03:00:00+02:00"),
        (datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), "2026-03-29T03:00:00+02:00"),
        ("2026-10-25 02:30:00", "2026-10-25T02:30:00+02:00"),
        (datetime(2026, 7, 2, 3, tzinfo=PytzLike("Asia/Tokyo", 540)), "2026-07-02T03:00:00+09:00"),
        (datetime(2026, 7, 2, 3, tzinfo=Nameless()), "2026-07-02T03:00:00+02:00"),
    ],
)
def test_a_time_is_read_from_a_date_a_datetime_or_text(value: object, expected: str) -> None:
    moment = to_datetime(value, BERLIN, "run_date")

    assert moment is not None
    assert moment.isoformat() == expected


def test_no_time_is_no_time() -> None:
    assert to_datetime(None, UTC, "run_date") is None


@pytest.mark.parametrize(
    "text",
    ["tomorrow", "2026-02-30", "2026-01-01 25:00:00", "2026-01-01 10:00", "2026-01-01 10:00:00+77:00", "٢٠٢٦-01-01"],
)
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="run_date must be"):
        to_datetime(text, UTC, "run_date")


def test_a_time_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"run_date must be a date, a datetime or text such as .*, got 5"):
        to_datetime(5, UTC, "run_date")


@pytest.mark.parametrize(
    ("zone", "wall", "expected"),
    [
        ("Pacific/Apia", "2011-12-30 05:00", "2011-12-31T00:00:00+14:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:10", "2026-10-04T02:30:00+11:00"),
        ("America/Santiago", "2026-09-06 00:00:01", "2026-09-06T01:00:00-03:00"),
    ],
)
def test_a_time_in_a_gap_is_the_first_instant_after_it(zone: str, wall: str, expected: str) -> None:
    assert at_wall_time(datetime.fromisoformat(wall), ZoneInfo(zone)).isoformat() == expected


def test_the_second_of_two_equal_times_can_be_asked_for() -> None:
    wall = datetime.fromisoformat("2026-10-25 02:30").replace(fold=1)

    assert at_wall_time(wall, BERLIN).isoformat() == "2026-10-25T02:30:00+01:00"
