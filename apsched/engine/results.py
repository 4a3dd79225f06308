"""Let tasks wait for the end of a run (layer 6)."""

from __future__ import annotations

import anyio
import attrs

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


class Expected:
    """
    The end of a run that any number of tasks wait for, any number of times.

    Attributes:
        run: The run as it was queued.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._finished: Finished | None = None
        self._has_come = anyio.Event()

    def set(self, finished: Finished) -> None:
        """Hand over the end."""
        self._finished = finished
        self._has_come.set()

    async def wait(self) -> Finished:
        """Return the end as soon as it is there."""
        while self._finished is None:
            await self._has_come.wait()
        return self._finished


class Results:
    """Who waits for which run."""

    def __init__(self) -> None:
        self._expected: dict[tuple[str, str, float], Expected] = {}

    def settle(self, jobstore: str, finished: Finished) -> None:
        """Hand *finished* to those who wait for it; a run that was handed back is waited for further."""
        if self._expected and finished.run.outcome.is_final:
            expected = self._expected.pop(_key(jobstore, finished.run), None)
            if expected is not None:
                expected.set(finished)

    def expect(self, jobstore: str, run: Run) -> Expected:
        """Return what the end of *run* will be handed to; in place before the run may start, so none is lost."""
        expected = self._expected[_key(jobstore, run)] = Expected(run)
        return expected

    def open_runs(self, jobstore: str) -> list[Run]:
        """Return the runs of that store that are waited for."""
        return [expected.run for key, expected in self._expected.items() if key[0] == jobstore]

    def close(self, reason: str) -> None:
        """Let nobody wait any more; what they get is the run as it was queued, with *reason*."""
        while self._expected:
            _, expected = self._expected.popitem()
            expected.set(Finished(attrs.evolve(expected.run, reason=reason)))


def _key(jobstore: str, run: Run) -> tuple[str, str, float]:
    return jobstore, run.job_id, run.nominal_time.timestamp()
