"""Refuse options of a job that contradict each other (layer 6).

Rule 1: nothing here waits, reads a clock or draws a random number.
Rule 2: refused is what could never do what it says. Where one option only makes another one void, both must have been
asked for in the same call, since `job_defaults` are for jobs of all kinds.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC

from apsched.job import Job, JobDefaults

NEXT_TIMES = 10  # that are looked at to know how far apart the times of a trigger are


def check_options(job: Job, given: Container[str]) -> None:
    """
    Raise an error if options of *job* contradict each other.

    Args:
        job: The job.
        given: The names of the options that were asked for in this call.

    Raises:
        ValueError: They do; the message names both.
    """
    if "overlap" in given and "max_instances" in given:
        _check_overlap(job)
    if job.follows is not None and "misfire_grace_time" in given and job.misfire_grace_time is not None:
        raise ValueError(
            f"misfire_grace_time={job.misfire_grace_time:g} has no effect beside the trigger {job.trigger}: what "
            "follows another run is never late; leave misfire_grace_time out"
        )
    if job.expect_success_within is not None:
        _check_keep_runs(job)
        _check_expected(job, job.expect_success_within)


def check_defaults(defaults: JobDefaults) -> None:
    """
    Raise an error if *defaults*, all of which were asked for, contradict each other.

    Raises:
        ValueError: They do; the message names both.
    """
    if defaults.max_instances != 1:
        _check_overlap(defaults)
    if defaults.expect_success_within is not None:
        _check_keep_runs(defaults)


def _check_overlap(options: Job | JobDefaults) -> None:
    if options.overlap == "allow":
        raise ValueError(
            f"max_instances={options.max_instances} has no effect beside overlap='allow', which lets any number of "
            "runs overlap; leave one of the two out"
        )


def _check_keep_runs(options: Job | JobDefaults) -> None:
    if options.keep_runs == 0:
        raise ValueError(
            f"expect_success_within={options.expect_success_within:g} needs the last success, which keep_runs=0 "
            "forgets; keep 1 run or more"
        )


def _check_expected(job: Job, seconds: float) -> None:
    """Refuse a limit that even a job which always succeeds exceeds between any two of its times."""
    shortest = _shortest_pause(job)
    if shortest is not None and seconds <= shortest:
        raise ValueError(
            f"expect_success_within={seconds:g} must be longer than the {shortest:g} s between two times of the "
            f"trigger {job.trigger}, or the job is overdue although all its runs succeed"
        )


def _shortest_pause(job: Job) -> float | None:
    """Return the seconds between the nearest two of the next times; None if there are no two, or it is paused."""
    pauses: list[float] = []
    last = job.next_nominal_time
    while last is not None and len(pauses) < NEXT_TIMES:
        following = job.trigger.get_next_fire_time(last, last)
        if following is not None:
            pauses.append((following.astimezone(UTC) - last.astimezone(UTC)).total_seconds())
        last = following
    return min(pauses, default=None)
