from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apsched.triggers.cron import CronTrigger

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fire_times(trigger: CronTrigger, start: str, count: int) -> list[str]:
    """Return the first *count* fire times from *start*, a UTC time, as local texts with their offsets."""
    moment = trigger.get_next_fire_time(None, utc(start))
    texts: list[str] = []
    while moment is not None and len(texts) < count:
        texts.append(moment.isoformat(" "))
        moment = trigger.get_next_fire_time(moment, moment)
    return texts


def days(trigger: CronTrigger, start: str, count: int) -> list[str]:
    return [text[:10] for text in fire_times(trigger, start, count)]


def test_str_shows_the_given_fields_only() -> None:
    trigger = CronTrigger(month="6-8", hour="0-3", timezone="UTC")

    assert str(trigger) == "cron[month='6-8', hour='0-3']"


def test_repr_shows_the_settings_that_differ_from_their_defaults() -> None:
    assert repr(CronTrigger(hour=3, timezone="Europe/Berlin")) == "<CronTrigger (hour='3', timezone='Europe/Berlin')>"
    assert repr(
        CronTrigger(
            hour=3,
            start_date="2024-07-01",
            end_date="2024-12-01 08:30:00",
            jitter=5,
            timezone=BERLIN,
            on_gap="skip",
            on_fold="both",
            day_or=True,
        )
    ) == (
        "<CronTrigger (hour='3', start_date='2024-07-01 00:00:00 CEST', end_date='2024-12-01 08:30:00 CET', jitter=5, "
        "timezone='Europe/Berlin', on_gap='skip', on_fold='both', day_or=True)>"
    )


def test_fields_tell_their_name_text_and_whether_they_were_given() -> None:
    fields = CronTrigger(day=" 1ST  Mon , 07, LAST", timezone="UTC").fields

    assert [(field.name, str(field), field.is_default) for field in fields] == [
        ("year", "*", True),
        ("month", "*", True),
        ("day", "1st mon,7,last", False),
        ("week", "*", True),
        ("day_of_week", "*", True),
        ("hour", "0", True),
        ("minute", "0", True),
        ("second", "0", True),
    ]
    assert repr(fields[2]) == "Field('day', '1st mon,7,last')"


@pytest.mark.parametrize(
    ("given", "defaults"),
    [
        ({}, "* * * * * * * *"),
        ({"year": 2030}, "2030 1 1 * * 0 0 0"),
        ({"month": 6}, "* 6 1 * * 0 0 0"),
        ({"week": 5}, "* * * 5 * 0 0 0"),
        ({"day_of_week": "fri"}, "* * * * fri 0 0 0"),
        ({"minute": 5}, "* * * * * * 5 0"),
        ({"second": "*/10"}, "* * * * * * * */10"),
        ({"month": 2, "minute": 5}, "* 2 * * * * 5 0"),
    ],
)
def test_fields_before_the_least_significant_one_are_stars_and_those_after_it_their_minimum(
    given: dict[str, Any], defaults: str
) -> None:
    trigger = CronTrigger(**given, timezone="UTC")

    assert " ".join(str(field) for field in trigger.fields) == defaults


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"day": "2-8/3"}, ["2024-01-02", "2024-01-05", "2024-01-08", "2024-02-02"]),
        ({"day": "20/5"}, ["2024-01-20", "2024-01-25", "2024-01-30", "2024-02-20"]),
        ({"day": "*/15"}, ["2024-01-01", "2024-01-16", "2024-01-31", "2024-02-01"]),
        ({"day": "last"}, ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ({"day": "last fri"}, ["2024-01-26", "2024-02-23", "2024-03-29", "2024-04-26"]),
        ({"day": "5th thu"}, ["2024-02-29", "2024-05-30", "2024-08-29", "2024-10-31"]),
        ({"day": "2nd tue,last"}, ["2024-01-09", "2024-01-31", "2024-02-13", "2024-02-29"]),
        ({"day": 13, "day_of_week": "fri"}, ["2024-09-13", "2024-12-13", "2025-06-13", "2026-02-13"]),
        ({"month": "jan-jun/3"}, ["2024-01-01", "2024-04-01", "2025-01-01", "2025-04-01"]),
        ({"month": "OCT/2"}, ["2024-10-01", "2024-12-01", "2025-10-01", "2025-12-01"]),
        ({"day_of_week": "mon-fri/2"}, ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-08"]),
        ({"day_of_week": 0}, ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22"]),
        ({"week": 1, "day_of_week": "mon"}, ["2024-01-01", "2024-12-30", "2025-12-29", "2027-01-04"]),
        ({"week": 53, "day_of_week": "sun"}, ["2027-01-03", "2033-01-02", "2038-01-03", "2044-01-03"]),
        ({"month": 2, "day": 29, "day_of_week": "mon"}, ["2044-02-29", "2072-02-29", "2112-02-29", "2140-02-29"]),
        ({"month": 2, "day": "5th fri"}, ["2036-02-29", "2064-02-29", "2092-02-29", "2104-02-29"]),
        ({"year": "2030,2026-2027"}, ["2026-01-01", "2027-01-01", "2030-01-01"]),
    ],
)
def test_an_expression_selects_days(fields: dict[str, Any], expected: list[str]) -> None:
    assert days(CronTrigger(**fields, timezone="UTC"), "2024-01-01", 4) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"month": 2, "day": 30},
        {"month": "4,6,9,11", "day": 31},
        {"month": 2, "day": "5th fri", "year": 2023},
        {"year": "1970-2020"},
        {"week": 53, "month": 6},
        {"week": 20, "day": 1, "month": 1},
    ],
)
def test_a_trigger_whose_fields_never_fit_has_no_fire_time(fields: dict[str, Any]) -> None:
    assert CronTrigger(**fields, timezone="UTC").get_next_fire_time(None, utc("2024-01-01")) is None


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"hour": "24"}, ["'24'", "the last value (24) is higher than the maximum value (23)", "hour takes 0 to 23"]),
        ({"hour": 24}, ["'24'", "hour takes 0 to 23"]),
        ({"day": "0-3"}, ["'0-3'", "the first value (0) is lower than the minimum value (1)", "day takes 1 to 31"]),
        ({"day": "*/31"}, ["'*/31'", "the step value (31) is higher than the total range of the expression (30)"]),
        ({"day": "4-6/3"}, ["'4-6/3'", "the step value (3) is higher than the total range of the expression (2)"]),
        ({"minute": "1,2-70"}, ["'2-70'", "minute takes 0 to 59"]),
        ({"hour": "*/0"}, ["Increment must be higher than 0", "'*/0'", "hour"]),
        ({"hour": "22-3"}, ["'22-3'", "must not be higher than the maximum", "'22-23,0-3'"]),
        ({"day_of_week": "sat-tue"}, ["'sat-tue'", "'sat-sun,mon-tue'"]),
        ({"month": "jul-11"}, ["'jul-11'", "from a name to a name", "month takes 1 to 12 or jan to dec"]),
        ({"day_of_week": "mon-5"}, ["'mon-5'", "from a name to a name"]),
        ({"day_of_week": "7"}, ["'7'", "day_of_week takes 0 to 6 or mon to sun"]),
        ({"day_of_week": "monday"}, ['"monday"', "mon to sun"]),
        ({"day_of_week": "mon#1"}, ['"mon#1"', '"day_of_week"']),
        ({"day_of_week": "1st mon"}, ['"1st mon"', '"day_of_week"']),
        ({"day": "lastfoo"}, ['"lastfoo"', "'last fri'"]),
        ({"day": "last-3"}, ["'last-3'", "day takes 1 to 31"]),
        ({"day": "1st mon/2"}, ['"1st mon/2"']),
        ({"day": "last mon-fri"}, ['"last mon-fri"']),
        ({"day": "2nd"}, ['"2nd"']),
        ({"day": "1st moon"}, ['Invalid weekday name "moon"', "mon, tue, wed, thu, fri, sat, sun", "'1st mon'"]),
        ({"year": "2009-fault"}, ["'2009-fault'", "year takes 1970 to 9999"]),
        ({"year": "not_an_expr"}, ['Unrecognized expression "not_an_expr" for field "year"']),
        ({"hour": ""}, ['Unrecognized expression "" for field "hour"', "hour takes 0 to 23"]),
        ({"hour": "1,,2"}, ['Unrecognized expression "" for field "hour"']),
        ({"hour": "-3"}, ['"-3"']),
        ({"hour": "1 - 3"}, ['"1 - 3"']),
        ({"hour": "٣"}, ['"٣"']),
        ({"hour": "3\n4"}, ["3"]),
        ({"on_gap": "before"}, ["on_gap", "'next' or 'skip'", "'before'"]),
        ({"on_fold": "second"}, ["on_fold", "'first' or 'both'", "'second'"]),
        ({"timezone": "Europe/Berln"}, ["timezone", "'Europe/Berln'"]),
        ({"jitter": -1}, ["jitter", "-1"]),
        ({"start_date": "2024-01-02", "end_date": "2024-01-01"}, ["end_date", "start_date", "2024-01-01"]),
        ({"start_date": "yesterday"}, ["start_date", "'yesterday'"]),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_and_named(fields: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        CronTrigger(**{"timezone": "UTC", **fields})

    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize("value", [1.5, True, [1, 2], {1}, b"1", date(2024, 1, 1)])
def test_a_field_that_is_neither_int_nor_text_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="hour must be an int or the text of a cron expression, got"):
        CronTrigger(hour=value)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="days"):
        CronTrigger(days=1)  # type: ignore[call-arg]  # that is the point


def test_the_start_is_included() -> None:
    trigger = CronTrigger(hour=8, start_date="2024-05-05 08:00:00", timezone=BERLIN)

    assert fire_times(trigger, "2024-01-01", 1) == ["2024-05-05 08:00:00+02:00"]


def test_a_start_within_a_second_leaves_that_second_out() -> None:
    trigger = CronTrigger(hour=8, start_date="2024-05-05 08:00:00.000001", timezone=BERLIN)

    assert fire_times(trigger, "2024-01-01", 1) == ["2024-05-06 08:00:00+02:00"]


def test_no_fire_time_is_before_the_start_even_after_an_earlier_previous_one() -> None:
    trigger = CronTrigger(hour=8, start_date="2024-05-05", timezone="UTC")

    assert trigger.get_next_fire_time(utc("2024-01-01 08:00"), utc("2024-01-01 08:00")) == utc("2024-05-05 08:00")


def test_the_end_is_included() -> None:
    trigger = CronTrigger(hour=8, end_date="2024-01-02 08:00:00", timezone="UTC")

    assert days(trigger, "2024-01-01", 5) == ["2024-01-01", "2024-01-02"]


def test_the_end_is_an_instant_also_where_clocks_show_it_twice() -> None:
    end = datetime(2024, 10, 27, 2, 20, tzinfo=BERLIN, fold=0)
    trigger = CronTrigger(minute="*/15", end_date=end, timezone=BERLIN)

    assert fire_times(trigger, "2024-10-27 00:00", 9) == ["2024-10-27 02:00:00+02:00", "2024-10-27 02:15:00+02:00"]


def test_the_next_time_after_a_previous_one_does_not_depend_on_now() -> None:
    trigger = CronTrigger(hour=8, timezone="UTC")

    for now in (utc("2020-01-01"), utc("2024-01-01 08:00"), utc("2030-01-01")):
        assert trigger.get_next_fire_time(utc("2024-01-01 08:00"), now) == utc("2024-01-02 08:00")


def test_the_first_time_may_be_now() -> None:
    trigger = CronTrigger(hour=8, timezone="UTC")

    assert trigger.get_next_fire_time(None, utc("2024-01-01 08:00")) == utc("2024-01-01 08:00")
    assert trigger.get_next_fire_time(None, utc("2024-01-01 08:00:00.000001")) == utc("2024-01-02 08:00")


def test_the_zone_follows_from_an_aware_start_or_end() -> None:
    start = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=3)))

    assert CronTrigger(hour=1, start_date=start).timezone == timezone(timedelta(hours=3))
    assert CronTrigger(hour=1, end_date=datetime(2024, 1, 1, tzinfo=BERLIN)).timezone == BERLIN


def test_jitter_does_not_move_a_nominal_time() -> None:
    trigger = CronTrigger(hour=8, jitter=3600, timezone="UTC")

    assert fire_times(trigger, "2024-01-01", 2) == ["2024-01-01 08:00:00+00:00", "2024-01-02 08:00:00+00:00"]


def test_positional_parameters_are_those_of_apscheduler_3() -> None:
    trigger = CronTrigger(2030, 2, 3, "*", "*", 4, 5, 6, "2024-01-01", "2031-01-01", "UTC", 7)

    assert fire_times(trigger, "2024-01-01", 2) == ["2030-02-03 04:05:06+00:00"]
    assert trigger.jitter == 7


@pytest.mark.parametrize(
    ("zone", "fields", "start", "expected"),
    [
        # The day after the change is not lost (APScheduler 3.11.3 loses it).
        ("Europe/Berlin", {"hour": 0}, "2024-03-30 12:00", ["03-31 00:00+01:00", "04-01 00:00+02:00"]),
        ("Europe/London", {"day": 1}, "2024-03-30 12:00", ["04-01 00:00+01:00", "05-01 00:00+01:00"]),
        ("Europe/Berlin", {"hour": 2, "minute": 30}, "2024-03-30 12:00", ["03-31 03:00+02:00", "04-01 02:30+02:00"]),
        ("Europe/Berlin", {"hour": "2,3"}, "2024-03-30 12:00", ["03-31 03:00+02:00", "04-01 02:00+02:00"]),
        (
            "Europe/Berlin",
            {"hour": "1-3", "minute": 30},
            "2024-03-30 12:00",
            ["03-31 01:30+01:00", "03-31 03:00+02:00", "03-31 03:30+02:00"],
        ),
        ("Europe/Berlin", {"hour": 2, "minute": 30}, "2024-10-26 12:00", ["10-27 02:30+02:00", "10-28 02:30+01:00"]),
        ("Europe/Berlin", {"hour": "*", "minute": 30}, "2024-03-31 00:00", ["03-31 01:30+01:00", "03-31 03:30+02:00"]),
        ("Europe/Berlin", {"hour": "*/2"}, "2024-03-30 23:30", ["03-31 04:00+02:00", "03-31 06:00+02:00"]),
        (
            "Europe/Berlin",
            {"minute": "*/30"},
            "2024-10-27 00:00",
            ["10-27 02:00+02:00", "10-27 02:30+02:00", "10-27 02:00+01:00", "10-27 02:30+01:00", "10-27 03:00+01:00"],
        ),
        ("Europe/Berlin", {"hour": "*/2"}, "2024-10-27 00:00", ["10-27 02:00+02:00", "10-27 02:00+01:00"]),
        ("America/Sao_Paulo", {"hour": 0}, "2018-11-03 12:00", ["11-04 01:00-02:00", "11-05 00:00-02:00"]),
        ("Asia/Beirut", {"hour": 0, "minute": 15}, "2024-03-30 12:00", ["03-31 01:00+03:00", "04-01 00:15+03:00"]),
        ("Australia/Lord_Howe", {"hour": 2, "minute": 10}, "2024-10-05 00:00", ["10-06 02:30+11:00"]),
        ("Australia/Lord_Howe", {"minute": "*/20"}, "2024-10-05 15:20", ["10-06 02:40+11:00", "10-06 03:00+11:00"]),
        ("Pacific/Apia", {"hour": 12}, "2011-12-29 12:00", ["12-29 12:00-10:00", "12-31 00:00+14:00"]),
        ("Antarctica/Troll", {"hour": 2}, "2024-03-30 12:00", ["03-31 03:00+02:00", "04-01 02:00+02:00"]),
        ("Europe/Dublin", {"hour": 1, "minute": 30}, "2024-10-26 12:00", ["10-27 01:30+01:00", "10-28 01:30+00:00"]),
        ("Africa/Casablanca", {"hour": 2, "minute": 5}, "2024-04-13 12:00", ["04-14 03:00+01:00"]),
        ("America/Caracas", {"minute": "*/15"}, "2016-05-01 06:45", ["05-01 02:15-04:30", "05-01 03:00-04:00"]),
    ],
)
def test_a_fire_time_is_found_when_clocks_change(
    zone: str, fields: dict[str, Any], start: str, expected: list[str]
) -> None:
    found = fire_times(CronTrigger(**fields, timezone=zone), start, len(expected))

    assert [text[5:16] + text[19:] for text in found] == expected


def test_a_skipped_time_does_not_fire_if_it_is_to_be_skipped() -> None:
    trigger = CronTrigger(hour=2, minute=30, timezone=BERLIN, on_gap="skip")

    assert days(trigger, "2024-03-30 00:00", 3) == ["2024-03-30", "2024-04-01", "2024-04-02"]


def test_a_repeated_time_fires_twice_if_both_are_wanted() -> None:
    trigger = CronTrigger(hour=2, minute="15,45", timezone=BERLIN, on_fold="both")

    assert [text[11:] for text in fire_times(trigger, "2024-10-27 00:00", 4)] == [
        "02:15:00+02:00",
        "02:45:00+02:00",
        "02:15:00+01:00",
        "02:45:00+01:00",
    ]


def test_the_second_showing_of_a_time_is_found_also_if_nothing_comes_after_it() -> None:
    trigger = CronTrigger(year=2024, month=10, day=27, hour=2, minute=30, timezone=BERLIN, on_fold="both")

    assert [text[11:] for text in fire_times(trigger, "2024-10-27 00:00", 4)] == ["02:30:00+02:00", "02:30:00+01:00"]


def test_a_search_that_starts_in_the_second_showing_finds_the_next_day() -> None:
    trigger = CronTrigger(hour=2, minute=30, timezone=BERLIN)

    found = trigger.get_next_fire_time(None, datetime(2024, 10, 27, 2, 10, tzinfo=BERLIN, fold=1))

    assert found == datetime(2024, 10, 28, 2, 30, tzinfo=BERLIN)


def test_a_trigger_that_fits_only_skipped_times_never_fires_if_these_are_to_be_skipped() -> None:
    trigger = CronTrigger(month=3, day="last sun", hour=2, timezone=BERLIN, on_gap="skip")

    assert trigger.get_next_fire_time(None, utc("2024-01-01")) is None


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "+14:00", "-12:00"])
@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31 20:00", "9999-12-31 10:00", "9999-12-31 23:59:59.999999"])
def test_no_search_leaves_the_calendar(zone: str, text: str) -> None:
    trigger = CronTrigger(second="*/20", timezone=zone)

    for offset in (UTC, trigger.timezone, timezone(timedelta(hours=-20))):
        found = trigger.get_next_fire_time(None, utc(text).replace(tzinfo=offset))
        assert found is None or found.astimezone(UTC).year in (1969, 1970, 9999)


def test_the_last_second_of_the_calendar_fires() -> None:
    trigger = CronTrigger(second="*", timezone="UTC")

    assert fire_times(trigger, "9999-12-31 23:59:58", 5) == ["9999-12-31 23:59:58+00:00", "9999-12-31 23:59:59+00:00"]


def test_dates_at_the_ends_of_the_calendar_are_limits_like_others() -> None:
    trigger = CronTrigger(
        hour=8,
        start_date=datetime.min.replace(tzinfo=UTC),
        end_date="9999-12-31 23:59:59",
        timezone="America/Los_Angeles",
    )

    assert fire_times(trigger, "2024-01-01", 1) == ["2024-01-01 08:00:00-08:00"]


def test_the_last_fire_time_is_found_among_millions() -> None:
    trigger = CronTrigger(second="*/7", timezone=BERLIN)

    found = trigger.get_last_fire_time(utc("2000-01-01"), utc("2024-10-27 00:59:58"))

    assert found == datetime(2024, 10, 27, 2, 59, 56, tzinfo=BERLIN)


def test_there_is_no_last_fire_time_where_none_was_missed() -> None:
    trigger = CronTrigger(hour=8, timezone="UTC")

    assert trigger.get_last_fire_time(utc("2024-01-01 08:00"), utc("2024-01-02 07:59")) is None
    assert trigger.get_last_fire_time(utc("2024-01-01 08:00"), utc("2024-01-02 08:00")) == utc("2024-01-02 08:00")


def test_fire_times_are_counted() -> None:
    trigger = CronTrigger(minute="*/10", timezone="UTC")

    assert trigger.count_fire_times(utc("2024-01-01 00:00"), utc("2024-01-01 01:00")) == 7


def test_an_excluded_day_has_no_fire_time() -> None:
    trigger = CronTrigger(hour=8, timezone="UTC", exclude=[date(2024, 1, 2), "sat", "sun"])

    assert days(trigger, "2024-01-01", 5) == ["2024-01-01", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]
    assert trigger.get_last_fire_time(utc("2024-01-01"), utc("2024-01-07 12:00")) == utc("2024-01-05 08:00")


@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger(timezone="UTC"),
        CronTrigger(day="1st mon,last", hour="*/2", jitter=2.5, timezone="Asia/Kathmandu"),
        CronTrigger(
            year="*/2",
            start_date=datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
            end_date=datetime(2030, 1, 1, tzinfo=UTC),
            timezone=BERLIN,
            on_gap="skip",
            on_fold="both",
        ),
        CronTrigger(hour=8, timezone=timezone(timedelta(hours=-3, minutes=-30)), exclude=["sun", date(2024, 1, 1)]),
        CronTrigger.from_crontab("0 0 1 * 1", "UTC", day_or=True),
    ],
    ids=str,
)
def test_a_copy_equals_its_original(trigger: CronTrigger) -> None:
    state = json.loads(json.dumps(trigger.__getstate__()))

    for same in (CronTrigger.from_state(state), pickle.loads(pickle.dumps(trigger)), copy.deepcopy(trigger)):
        assert same == trigger
        assert hash(same) == hash(trigger)
        assert repr(same) == repr(trigger)
        assert [field.is_default for field in same.fields] == [field.is_default for field in trigger.fields]
        assert fire_times(same, "2024-10-01", 5) == fire_times(trigger, "2024-10-01", 5)


def test_triggers_differ_if_one_setting_does() -> None:
    plain = CronTrigger(hour=3, timezone="UTC")

    assert plain == CronTrigger(hour="03", timezone="UTC")
    assert plain != CronTrigger(hour=3, minute=0, timezone="UTC")
    assert plain != CronTrigger(hour=3, timezone="Europe/London")
    assert plain != CronTrigger(hour=3, timezone="UTC", on_gap="skip")
    assert plain != CronTrigger(hour=3, timezone="UTC", exclude="sun")


def test_the_state_of_a_newer_release_is_refused() -> None:
    state = CronTrigger(hour=3, timezone="UTC").__getstate__()

    with pytest.raises(ValueError, match="version"):
        CronTrigger.from_state(state | {"version": 99})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("5 4 * * *", "cron[month='*', day='*', day_of_week='*', hour='4', minute='5']"),
        ("*/10 5 4 3 2 *", "cron[month='2', day='3', day_of_week='*', hour='4', minute='5', second='*/10']"),
        ("@yearly", "cron[month='1', day='1', day_of_week='*', hour='0', minute='0']"),
        ("@ANNUALLY", "cron[month='1', day='1', day_of_week='*', hour='0', minute='0']"),
        ("@Monthly", "cron[month='*', day='1', day_of_week='*', hour='0', minute='0']"),
        ("@weekly", "cron[month='*', day='*', day_of_week='sun', hour='0', minute='0']"),
        ("@daily", "cron[month='*', day='*', day_of_week='*', hour='0', minute='0']"),
        (" @midnight ", "cron[month='*', day='*', day_of_week='*', hour='0', minute='0']"),
        ("@hourly", "cron[month='*', day='*', day_of_week='*', hour='*', minute='0']"),
    ],
)
def test_a_crontab_line_gives_the_fields(line: str, expected: str) -> None:
    assert str(CronTrigger.from_crontab(line, "UTC")) == expected


@pytest.mark.parametrize(
    ("weekday", "expected"),
    [
        ("0", "sun"),
        ("7", "sun"),
        ("1", "mon"),
        ("1-5", "mon-fri"),
        ("MON-FRI", "mon-fri"),
        ("1-5/2", "mon,wed,fri"),
        ("5-7", "fri-sun"),
        ("0-6", "mon-sun"),
        ("0-7", "mon-sun"),
        ("*/2", "tue,thu,sat,sun"),
        ("1/2", "mon,wed,fri"),
        ("sun-tue", "mon,tue,sun"),
        ("fri-sun", "fri-sun"),
        ("6-0", "sat,sun"),
        ("0,6", "sat,sun"),
        ("sat", "sat"),
        ("*", "*"),
    ],
)
def test_numbers_of_weekdays_in_a_crontab_begin_with_sunday(weekday: str, expected: str) -> None:
    trigger = CronTrigger.from_crontab(f"0 0 * * {weekday}", "UTC")

    assert str(trigger.fields[4]) == expected


def test_numbers_of_weekdays_begin_with_monday_if_apscheduler_3_is_asked_for() -> None:
    trigger = CronTrigger.from_crontab("0 0 * * 0", "UTC", weekday="aps3")

    assert days(trigger, "2024-01-01", 2) == ["2024-01-01", "2024-01-08"]


def test_day_and_weekday_of_a_crontab_have_both_to_fit() -> None:
    assert days(CronTrigger.from_crontab("0 0 13 * 5", "UTC"), "2024-01-01", 2) == ["2024-09-13", "2024-12-13"]


def test_day_or_weekday_of_a_crontab_is_enough_if_crontab_s_rule_is_asked_for() -> None:
    trigger = CronTrigger.from_crontab("0 0 13 * 5", "UTC", day_or=True)

    assert days(trigger, "2024-01-01", 4) == ["2024-01-05", "2024-01-12", "2024-01-13", "2024-01-19"]


@pytest.mark.parametrize(("line", "expected"), [("0 0 13 * */2", "2024-01-13"), ("0 0 */2 * 5", "2024-01-05")])
def test_a_field_of_days_that_begins_with_a_star_has_to_fit_in_any_case(line: str, expected: str) -> None:
    assert days(CronTrigger.from_crontab(line, "UTC", day_or=True), "2024-01-02", 1) == [expected]


def test_options_of_the_constructor_go_with_a_crontab() -> None:
    trigger = CronTrigger.from_crontab(
        "0 8 * * *",
        "Europe/Berlin",
        start_date="2024-01-01",
        end_date="2024-02-01",
        jitter=3,
        on_gap="skip",
        on_fold="both",
        exclude="sun",
    )

    assert trigger == CronTrigger(
        month="*",
        day="*",
        day_of_week="*",
        hour=8,
        minute=0,
        start_date="2024-01-01",
        end_date="2024-02-01",
        timezone="Europe/Berlin",
        jitter=3,
        on_gap="skip",
        on_fold="both",
        exclude="sun",
    )


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("* * * *", ["Wrong number of fields; got 4, expected 5", "or 6", "'* * * *'"]),
        ("", ["Wrong number of fields; got 0, expected 5"]),
        ("@reboot", ["'@reboot'", "no time"]),
        ("@fortnightly", ["'@fortnightly'", "@daily"]),
        ("0 0 * * 8", ["'8'", "day_of_week takes 0 to 7 or sun to sat"]),
        ("0 0 * * fri-mon", ["'fri-mon'", "; write 'fri-sun,mon'"]),
        ("0 0 * * sat-tue", ["'sat-tue'", "; write 'sat-sun,mon-tue'"]),
        ("0 0 * * 5-2", ["'5-2'", "; write '5-7,1-2'"]),
        ("0 0 * * 7-2", ["'7-2'", "; write '0-2'"]),
        ("0 0 * * fri-tue/2", ["'fri-tue/2'", "; write 'fri,sun,tue'"]),
        ("0 0 * * mon#1", ['"mon#1"']),
        ("0 0 * * 1-fri", ["'1-fri'"]),
        ("0 0 * * ,", ['""']),
        ("0 0 * * 1-3/3", ["'1-3/3'", "total range of the expression (2)"]),
        ("0 25 * * *", ["'25'", "hour takes 0 to 23"]),
    ],
)
def test_a_bad_crontab_line_is_refused_and_named(line: str, parts: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        CronTrigger.from_crontab(line, "UTC")

    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_a_crontab_line_must_be_text_and_its_weekday_numbers_known() -> None:
    with pytest.raises(TypeError, match="crontab expression must be text"):
        CronTrigger.from_crontab(5)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="weekday must be 'crontab'"):
        CronTrigger.from_crontab("0 0 * * 0", weekday="quartz")  # type: ignore[arg-type]  # that is the point


def test_fire_times_always_increase_in_utc() -> None:
    trigger = CronTrigger(hour="1-4", minute="*/20", timezone=BERLIN, on_fold="both")
    moments = [datetime.fromisoformat(text).astimezone(UTC) for text in fire_times(trigger, "2024-03-30", 3000)]

    assert all(before < after for before, after in pairwise(moments))


def test_defaults_that_are_spelled_out_leave_the_schedule_the_same() -> None:
    brief = CronTrigger(day=1, minute=20, timezone="UTC")
    full = CronTrigger(month="*", day="1", hour="*", minute="20", second=0, timezone="UTC")

    assert brief.is_same_schedule(full)
    assert not brief.is_same_schedule(CronTrigger(day=1, minute=21, timezone="UTC"))
    assert not brief.is_same_schedule(CronTrigger(day=1, minute=20, timezone="Europe/Berlin"))
