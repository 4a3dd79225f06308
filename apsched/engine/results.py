"""Let tasks wait for the end of a run (layer 6)."""

from __future__ import annotations

from datetime import datetime

import attrs

from apsched import _eventloop
from apsched.run import Run


@attrs.define(eq=False)
class Finished:
    """
    A run that has ended, on its way from the runner to the listeners; a value, like `Run`.

    Attributes:
        run: The run, with its outcome.
        exception: What the callable raised.
        removes_job: Whether the run was the job's last.
    """

    run: Run
    exception: BaseException | None = None
    removes_job: bool = False


class Results:
    """Who waits for which run."""

    def __init__(self) -> None:
        self._waiters: dict[tuple[str, float], list[_eventloop.Waiter[Finished]]] = {}

    def settle(self, finished: Finished) -> None:
        """Hand *finished* to those who wait for it."""
        if self._waiters:
            for waiter in self._waiters.pop(_key(finished.run.job_id, finished.run.nominal_time), ()):
                waiter.set(finished)

    def expect(self, job_id: str, nominal_time: datetime) -> _eventloop.Waiter[Finished]:
        """Return what the end of that run will be handed to; in place before the run may start, so none is lost."""
        waiter: _eventloop.Waiter[Finished] = _eventloop.current().waiter()
        self._waiters.setdefault(_key(job_id, nominal_time), []).append(waiter)
        return waiter


def _key(job_id: str, nominal_time: datetime) -> tuple[str, float]:
    return job_id, nominal_time.timestamp()
