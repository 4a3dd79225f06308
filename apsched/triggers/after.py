"""Fire when another job has run (layer 1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, get_args

from apsched.triggers._settings import VERSION, check_aware, check_version
from apsched.triggers.base import BaseTrigger

On = Literal["success", "failure", "any"]
"""How the other job's run ended."""

ONS: tuple[str, ...] = get_args(On)

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a job that waits for another one is due, as far as times go."""


class After(BaseTrigger):
    """
    Fires when a run of another job ends.

        await scheduler.add_job(load, "cron", hour=2, id="load")
        await scheduler.add_job(report, After("load"), id="report")

    The run that follows has the nominal time of the run that it follows, and is put into the store by the transaction
    that stores how that one ended (in MongoDB, by steps that any node completes): whatever happens to nodes, there is
    one for each. Where `max_instances`
    runs of the job are under way it waits for its turn. A paused job does not follow.

    Cannot be a part of a combined trigger: it has no times of its own.

    Args:
        job: The id of the other job, in the same store; it need not be there yet.
        on: After which runs: `"success"` (it succeeded), `"failure"` (it failed or timed out, when its last attempt
            has; or was abandoned), `"any"` (these, and those that were cancelled). A nominal time that did not run is
            followed by nothing.

    Raises:
        TypeError: *job* is no text.
        ValueError: A value is out of range.
    """

    __slots__ = ("job", "on")

    def __init__(self, job: str, on: On = "success") -> None:
        if not isinstance(job, str):
            raise TypeError(f"job of After must be the id of a job, got {job!r}")
        if not job:
            raise ValueError("job of After must be the id of a job, got an empty text")
        if on not in ONS:
            raise ValueError(f"on of After must be one of {', '.join(ONS)}, got {on!r}")
        self.job: str = job
        self.on: On = on

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """
        Return `NEVER`, the year 9999, so that a job which waits differs from one that is paused or finished.

        Args:
            previous_fire_time: None, or a time to be later than.
            now: Has no effect.
        """
        if previous_fire_time is not None:
            check_aware(previous_fire_time, "previous_fire_time")
            if previous_fire_time.astimezone(UTC) >= NEVER:
                return None
        return NEVER

    def __getstate__(self) -> dict[str, Any]:
        return {"version": VERSION, "job": self.job, "on": self.on}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(state, self)
        self.__init__(state["job"], state["on"])  # type: ignore[misc]  # it is checked again

    def __str__(self) -> str:
        how = {"success": "succeeds", "failure": "fails", "any": "ends"}[self.on]
        return f"after[{self.job} {how}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (job={self.job!r}, on={self.on!r})>"
