"""Fire once (layer 1)."""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from typing import Any

from apsched._timezones import UTC, timezone_text, to_datetime, to_timezone
from apsched.triggers._settings import (
    VERSION,
    check_aware,
    check_version,
    deciding,
    moment_from_text,
    moment_repr,
    zone_for,
)
from apsched.triggers.base import BaseTrigger
from apsched.triggers.exclusion import Exclusion


class DateTrigger(BaseTrigger):
    """
    Fires once, at a given time.

    Args:
        run_date: When: a datetime; a date, for its midnight; or text such as `"2026-01-31 08:30:00"`. None for the time
            at which the job is added.
        timezone: Zone of a *run_date* that does not say its own; a name, an offset or a tzinfo. The local one if None.
        exclude: Times at which not to fire; see `Exclusion`.

    Attributes:
        run_date: The time, aware; None until `anchored`, if none was given.
        timezone: Its zone.

    Raises:
        ValueError: There is no such time or time zone.
        TypeError: A value is of a type that is not named above.
    """

    __slots__ = ("_is_given", "exclude", "run_date", "timezone")

    def __init__(
        self,
        run_date: date | str | None = None,
        timezone: tzinfo | str | None = None,
        *,
        exclude: object = None,
    ) -> None:
        zone = zone_for(timezone, run_date)
        self.run_date = to_datetime(run_date, zone, "run_date")
        self.timezone: tzinfo = zone if self.run_date is None or self.run_date.tzinfo is None else self.run_date.tzinfo
        self._is_given = run_date is not None
        self.exclude = Exclusion.of(exclude)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """
        Return the time, also if *now* is later: what becomes of a late run is for the scheduler to decide.

        Args:
            previous_fire_time: None, or a time to be later than.
            now: The answer as long as no time was given and the trigger is not `anchored`.
        """
        deciding(previous_fire_time, now)
        run_date = self.run_date
        if run_date is None:
            check_aware(now, "now")
            run_date = now.astimezone(self.timezone)
        if previous_fire_time is not None and previous_fire_time.astimezone(UTC) >= run_date:
            return None
        return None if self.exclude is not None and self.exclude.excludes(run_date) else run_date

    def get_last_fire_time(self, previous_fire_time: datetime, until: datetime) -> datetime | None:
        check_aware(until, "until")
        following = self.get_next_fire_time(previous_fire_time, previous_fire_time)
        return None if following is None or following > until.astimezone(UTC) else following

    def anchored(self, now: datetime) -> DateTrigger:
        if self.run_date is not None:
            return self
        check_aware(now, "now")
        copy = type(self)(now.astimezone(self.timezone), self.timezone, exclude=self.exclude)
        copy._is_given = False
        return copy

    def is_same_schedule(self, other: BaseTrigger) -> bool:
        if type(other) is not type(self):
            return False
        return self == other or (
            not (self._is_given or other._is_given)
            and (timezone_text(self.timezone), self.exclude) == (timezone_text(other.timezone), other.exclude)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "run_date": self.run_date and self.run_date.isoformat(),
            "run_date_given": self._is_given,
            "timezone": timezone_text(self.timezone),
            "exclude": self.exclude and self.exclude.state,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(state, self)
        self.timezone = to_timezone(state["timezone"], "timezone")
        self.run_date = moment_from_text(state["run_date"], self.timezone)
        self._is_given = state["run_date_given"]
        self.exclude = Exclusion.from_state(state["exclude"])

    def __str__(self) -> str:
        return f"date[{'now' if self.run_date is None else moment_repr(self.run_date)}]"

    def __repr__(self) -> str:
        run_date = "now" if self.run_date is None else moment_repr(self.run_date)
        exclude = "" if self.exclude is None else f", exclude={self.exclude!r}"
        return f"<{type(self).__name__} (run_date='{run_date}'{exclude})>"
