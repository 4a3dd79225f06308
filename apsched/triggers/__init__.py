"""Triggers: date, interval, cron, calendarinterval, after another job, and their combinations.

A trigger answers one question: when to fire next. It is pure, so it can be asked about any moment, stored, compared and
tried out without a scheduler:

    IntervalTrigger(minutes=5, timezone="UTC").get_next_fire_time(None, now)

Every built-in trigger takes `exclude=`, times at which it must not fire (`apsched.triggers.exclusion`). Your own ones
derive from `apsched.triggers.base.BaseTrigger`.
"""
