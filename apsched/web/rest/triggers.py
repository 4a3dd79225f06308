"""Make triggers of what requests say, and tell of them (layer 10)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from apsched._documents import instant
from apsched._timezones import timezone_text, to_timezone
from apsched.engine.make_job import COMBINATIONS, JobMaker
from apsched.job import JobDefaults
from apsched.triggers.base import BaseTrigger
from apsched.triggers.clock_changes import remarks
from apsched.triggers.texts import read_trigger
from apsched.triggers.upcoming import times_from
from apsched.triggers.words import describe
from apsched.web.refusals import RefusedError
from apsched.web.rest.asking import Asked, values_of_users
from apsched.web.rest.shapes import TriggerDocument

DEPTH = 10  # of combinations within combinations


def make_trigger(schedule: str | Mapping[str, Any], zone: tzinfo, depth: int = 0) -> BaseTrigger:
    """
    Return the trigger that *schedule* says.

    Args:
        schedule: A text, or a mapping with a `type` and `settings`.
        zone: Of the trigger, if it does not name its own.
        depth: Within how many combinations it stands.

    Raises:
        RefusedError: It is no trigger.
        LookupError: Its type is not known.
        ValueError: A setting is out of range.
        TypeError: A setting is unknown or of the wrong type.
    """
    if isinstance(schedule, str):
        found = read_trigger(schedule, zone)
        if found is None:
            raise RefusedError(
                422, f"a trigger must be a text such as '0 3 * * *' or 'every 5 minutes', got {schedule!r:.80}."
            )
        return found
    kind, settings = schedule.get("type"), {**schedule.get("settings", {})}
    if depth > DEPTH or not isinstance(kind, str):
        raise RefusedError(422, f"a trigger must have a type, a text, got {kind!r:.80}.")
    if kind in COMBINATIONS and isinstance(inner := settings.get("triggers"), list):
        settings["triggers"] = [
            make_trigger(each, zone, depth + 1) if isinstance(each, (str, dict)) else each for each in inner
        ]
    return JobMaker(JobDefaults(), zone).trigger(kind, settings)


def check_has_time(trigger: BaseTrigger, now: datetime) -> None:
    """
    Check that *trigger* comes at *now* or later.

    Raises:
        RefusedError: It does not.
    """
    if trigger.anchored(now).get_next_fire_time(None, now) is None:
        raise RefusedError(422, f"the trigger must have a time to come, got {trigger}.")


async def describe_trigger(asked: Asked) -> TriggerDocument:
    """
    Say a trigger in words, and when it comes next.

    Nothing is stored; it is meant for forms, which show what a text means while it is written.
    """
    query, backend = asked.query, asked.backend
    with values_of_users():
        zone = to_timezone(query["timezone"], "timezone") if "timezone" in query else backend.zone
        begin = query.get("begin", backend.now)
        trigger = make_trigger(query["text"], zone).anchored(begin)
        times = times_from(trigger, begin, query.get("count", 5))
    return {
        "schedule": query["text"],
        "words": describe(trigger),
        "trigger": str(trigger),
        "timezone": timezone_text(zone),
        "next_times": [instant(time) for time in times],
        "remarks": remarks(trigger, begin, zone),
    }
