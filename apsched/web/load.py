"""Count runs by the hour: those that were, and those to come (layer 10)."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta

import anyio.to_thread
import attrs

from apsched.jobstores.base import RunFilter
from apsched.run import Outcome
from apsched.triggers.base import BaseTrigger
from apsched.web.answers import StoredRun, Upcoming, next_time
from apsched.web.backend import Backend

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
READ_AT_ONCE = 5000  # runs; those of the latest hours, as a rule all of them
READ_IN_MEMORY = 100_000
READ_AN_HOUR = 60  # runs of each earlier hour
JOBS, TIMES = 200, 170  # that are planned exactly; of jobs that run more often a few times of each hour
SAMPLE = 3  # times of an hour by which the others are estimated
FAILED = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.ABANDONED)


@attrs.define(kw_only=True)
class HourLoad:
    """
    What is in one hour.

    Attributes:
        start: When it begins, aware UTC.
        count: How many runs.
        failed: How many of them failed, timed out or were abandoned.
        is_rough: Whether there may be more than that.
    """

    start: datetime
    count: int = 0
    failed: int = 0
    is_rough: bool = False


async def past(backend: Backend, hours: Sequence[datetime]) -> list[HourLoad]:
    """
    Return what ran in each of *hours*, which follow one another.

    The latest 5,000 runs are counted one by one; of each hour before, at most 60. In memory all are counted.
    """
    loads = [HourLoad(start=start) for start in hours]
    end = hours[-1] + HOUR - MICROSECOND
    page = await backend.runs(
        RunFilter(since=hours[0], until=end), READ_IN_MEMORY if backend.is_in_memory else READ_AT_ONCE
    )
    _count(page.runs, loads)
    if page.next is not None:
        for load in loads[: _place(page.runs[-1].run.nominal_time, loads) + 1]:
            load.count = load.failed = 0
            page = await backend.runs(RunFilter(since=load.start, until=load.start + HOUR - MICROSECOND), READ_AN_HOUR)
            _count(page.runs, loads)
            load.is_rough = page.next is not None
    return loads


async def planned(backend: Backend, hours: Sequence[datetime]) -> list[HourLoad]:
    """Return what is planned for each of *hours*, which follow one another, by the 200 jobs that are due first."""
    upcoming = await backend.upcoming(hours[-1] + HOUR - MICROSECOND, jobs=JOBS, times=TIMES)
    return await anyio.to_thread.run_sync(_plan, upcoming, hours)


def _plan(upcoming: Sequence[Upcoming], hours: Sequence[datetime]) -> list[HourLoad]:
    loads = [HourLoad(start=start, is_rough=len(upcoming) == JOBS) for start in hours]
    for each in upcoming:
        for moment in each.times:
            if moment.timestamp() >= hours[0].timestamp():
                loads[_place(moment, loads)].count += 1
        if each.has_more:
            for load in loads[_place(each.times[-1], loads) + 1 :]:
                load.count += _estimate(each.job.trigger, load.start)
    return loads


def _estimate(trigger: BaseTrigger, start: datetime) -> int:
    """Return about how many times *trigger* has in the hour from *start* on."""
    first = moment = next_time(trigger, None, start)
    count = 0
    while moment is not None and moment < start + HOUR:
        count += 1
        if count > SAMPLE and first is not None:
            return round((start + HOUR - first) / ((moment - first) / (count - 1)))
        moment = next_time(trigger, moment, moment)
    return count


def _count(runs: Sequence[StoredRun], loads: Sequence[HourLoad]) -> None:
    """Count *runs*, the latest first, in the hours that they are in."""
    end = 0
    for load in reversed(loads):
        begin, end = end, bisect.bisect(runs, -load.start.timestamp(), end, key=_age)
        load.count += end - begin
        load.failed += sum(each.run.outcome in FAILED for each in runs[begin:end])


def _age(stored: StoredRun) -> float:
    return -stored.run.nominal_time.timestamp()


def _place(moment: datetime, loads: Sequence[HourLoad]) -> int:
    """Return the place of the hour that *moment* is in."""
    return int((moment.timestamp() - loads[0].start.timestamp()) // 3600)


def usual_length(durations: Sequence[float]) -> float:
    """Return the middle one of *durations*, in seconds; 0 if there are none."""
    return sorted(durations)[len(durations) // 2] if durations else 0.0
