"""Make triggers out of the states that APScheduler 3 keeps of its own (layer 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeAlias

from apsched.migration.pickles import Record
from apsched.migration.values import zone_of
from apsched.triggers.base import BaseTrigger
from apsched.triggers.calendarinterval import CalendarIntervalTrigger
from apsched.triggers.combining import AndTrigger, OrTrigger
from apsched.triggers.cron import CronTrigger
from apsched.triggers.cron.expressions import MONTHS, WEEKDAYS
from apsched.triggers.cron.fields import FIELD_NAMES
from apsched.triggers.date import DateTrigger
from apsched.triggers.interval import IntervalTrigger

Remarks: TypeAlias = list[str]
State: TypeAlias = Mapping[str, Any]


def make_trigger(record: Any, next_run_time: datetime | None, remarks: Remarks) -> BaseTrigger:
    """
    Return the trigger that fires when that of *record* would.

    Args:
        record: A trigger of APScheduler 3, as it was read.
        next_run_time: When its job is due next, aware; None if that is paused. From it on an interval goes on.
        remarks: Gets what will be different, one sentence each.

    Raises:
        ValueError: It cannot be made here; the message says why.
    """
    if not isinstance(record, Record) or record.name not in _TRIGGERS:
        shown = record.name.replace(":", ".") if isinstance(record, Record) else type(record).__name__
        raise ValueError(f"its trigger must be one of APScheduler's own, got a {shown}; add the job anew")
    state = record.state[1] if isinstance(record.state, tuple) else record.state  # so did 3.0
    if not isinstance(state, Mapping):
        raise ValueError(f"its trigger {record.name.partition(':')[2]} is damaged: it has no state")
    newest, make = _TRIGGERS[record.name]
    if (version := state.get("version", 1)) not in range(1, newest + 1):
        raise ValueError(f"the state of its trigger must be of version {newest} or older, got {version!r}")
    try:
        return make(state, next_run_time, remarks)
    except (KeyError, TypeError, AttributeError, IndexError) as exc:
        kind = record.name.partition(":")[2]
        raise ValueError(f"its trigger {kind} is damaged ({type(exc).__name__}: {exc})") from exc


def _date(state: State, next_run_time: datetime | None, remarks: Remarks) -> BaseTrigger:
    run_date = state["run_date"]
    return DateTrigger(run_date, run_date.tzinfo)


def _interval(state: State, next_run_time: datetime | None, remarks: Remarks) -> BaseTrigger:
    """
    Return an interval whose grid contains *next_run_time*.

    APScheduler 3 counts each interval from the run before, so what decides is when the next one is, and not where the
    first one was. Nor does it keep whether a start was given; only one that was made up has microseconds.
    """
    interval: timedelta = state["interval"] or timedelta(seconds=1)
    start: datetime = state["start_date"].astimezone(UTC)  # times of one zone subtract by what clocks show
    options: dict[str, Any] = {
        "days": interval.days,
        "seconds": interval.seconds + interval.microseconds / 1_000_000,
        "end_date": state["end_date"],
        "timezone": zone_of(state["timezone"]),
        "jitter": state.get("jitter"),
    }
    following = None if next_run_time is None else next_run_time.astimezone(UTC)
    if following is not None and (following - start) % interval:
        start = following
    elif start.microsecond == 0:
        return IntervalTrigger(start_date=start, **options)
    return IntervalTrigger(**options).anchored(start - interval)


def _calendar_interval(state: State, next_run_time: datetime | None, remarks: Remarks) -> BaseTrigger:
    """Return a calendar interval whose grid contains the day of *next_run_time*, from which APScheduler 3 goes on."""
    years, months, weeks, days = state["interval"]
    hour, minute, second = state["time"]
    zone = zone_of(state["timezone"])

    def starting(start: date) -> CalendarIntervalTrigger:
        return CalendarIntervalTrigger(
            years=years, months=months, weeks=weeks, days=days, hour=hour, minute=minute, second=second,
            start_date=start, end_date=state["end_date"], timezone=zone, jitter=state["jitter"],
        )  # fmt: skip

    trigger = starting(state["start_date"])
    if next_run_time is not None:
        day = next_run_time.astimezone(zone)
        found = trigger.get_next_fire_time(None, day.replace(hour=0, minute=0, second=0, microsecond=0))
        if found is None or found.date() != day.date():
            return starting(day.date())
    return trigger


def _cron(state: State, next_run_time: datetime | None, remarks: Remarks) -> BaseTrigger:
    fields: dict[str, Any] = {
        field.state["name"]: _field(field) for field in state["fields"] if not field.state["is_default"]
    }
    if unknown := fields.keys() - set(FIELD_NAMES):
        raise ValueError(f"its cron trigger has the unknown field {min(unknown)!r}")
    return CronTrigger(
        **fields,
        start_date=state["start_date"],
        end_date=state["end_date"],
        timezone=zone_of(state["timezone"]),
        jitter=state.get("jitter"),
    )


def _field(field: Record) -> str:
    return ",".join(_expression(each) for each in field.state["expressions"])


def _expression(record: Record) -> str:
    """Return the text of an expression from the numbers that decide about it in APScheduler 3."""
    kind, state = record.name.partition(":")[2], record.state
    if kind == "LastDayOfMonthExpression":
        return "last"
    if kind == "WeekdayPositionExpression":
        return f"{_POSITIONS[state['option_num']]} {WEEKDAYS[state['weekday']]}"
    step = f"/{state['step']}" if state.get("step") else ""
    if kind == "AllExpression":
        return f"*{step}"
    names = {"MonthRangeExpression": ("", *MONTHS), "WeekdayRangeExpression": WEEKDAYS}.get(kind)
    first, last = (number if number is None or names is None else names[number] for number in _span(state))
    if last is None:
        return f"{first}{step}"
    return str(first) if first == last else f"{first}-{last}{step}"


def _span(state: State) -> tuple[int, int | None]:
    return state["first"], state["last"]


def _all_of(
    kind: type[AndTrigger | OrTrigger],
) -> Callable[[State, datetime | None, Remarks], BaseTrigger]:
    def make(state: State, next_run_time: datetime | None, remarks: Remarks) -> BaseTrigger:
        members = [make_trigger(Record(name, state=inner), None, remarks) for name, inner in state["triggers"]]
        if any(member.jitter for member in members):
            remarks.append("the jitter of the triggers that it combines has no effect any more")
        if kind is OrTrigger and any(isinstance(member, IntervalTrigger) for member in members):
            remarks.append("its interval keeps to its own grid, which the other triggers do not move any more")
        return kind(members, state["jitter"])

    return make


_POSITIONS: Final = ("1st", "2nd", "3rd", "4th", "5th", "last")

_TRIGGERS: Final[Mapping[str, tuple[int, Callable[[State, datetime | None, Remarks], BaseTrigger]]]] = {
    "apscheduler.triggers.date:DateTrigger": (1, _date),
    "apscheduler.triggers.interval:IntervalTrigger": (2, _interval),
    "apscheduler.triggers.cron:CronTrigger": (2, _cron),
    "apscheduler.triggers.calendarinterval:CalendarIntervalTrigger": (1, _calendar_interval),
    "apscheduler.triggers.combining:AndTrigger": (1, _all_of(AndTrigger)),
    "apscheduler.triggers.combining:OrTrigger": (1, _all_of(OrTrigger)),
}
"""Class -> the newest version of its state, and what makes our trigger of one."""
