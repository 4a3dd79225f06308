"""Let tasks wait for the end of a run (layer 6)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from weakref import WeakValueDictionary

import anyio
import attrs

from apsched.clock import Wakeup
from apsched.run import Outcome, Run


@attrs.define(eq=False)
class Finished:
    """
    A run that has ended, on its way from the runner to the listeners; a value, like `Run`.

    Attributes:
        run: The run, with its outcome.
        exception: What the callable raised.
        removes_job: Whether the run was the job's last.
        is_forfeit: Whether its claim is lost, so that what became of it is not for this node to store.
    """

    run: Run
    exception: BaseException | None = None
    removes_job: bool = False
    is_forfeit: bool = False

    @property
    def is_retried(self) -> bool:
        """Whether another attempt follows."""
        return self.exception is not None and self.run.outcome is Outcome.PENDING


class Expected:
    """
    The end of a run that any number of tasks wait for, any number of times.

    Attributes:
        run: The run as it was queued.
        waiting: How many tasks wait.
    """

    def __init__(self, run: Run, on_wait: Wakeup) -> None:
        self.run = run
        self.waiting: int = 0
        self._on_wait = on_wait
        self._finished: Finished | None = None
        self._has_come = anyio.Event()

    def set(self, finished: Finished) -> None:
        """Hand over the end."""
        self._finished = finished
        self._has_come.set()

    async def wait(self) -> Finished:
        """Return the end as soon as it is there."""
        while self._finished is None:
            self.waiting += 1
            self._on_wait.set()
            try:
                await self._has_come.wait()
            finally:
                self.waiting -= 1
        return self._finished


class Results:
    """Who waits for which run; a run that nobody can wait for any more is forgotten."""

    def __init__(self) -> None:
        self._expected: WeakValueDictionary[tuple[str, str, float], Expected] = WeakValueDictionary()
        self._adding: list[list[tuple[str, Finished]]] = []  # for each run that is being queued, what has ended since
        self._waits: dict[str, Wakeup] = {}

    def settle(self, jobstore: str, finished: Finished) -> None:
        """Hand *finished* to those who wait for it; a run that was handed back is waited for further."""
        if (self._expected or self._adding) and finished.run.outcome.is_final:
            for ended in self._adding:
                ended.append((jobstore, finished))
            expected = self._expected.pop(_key(jobstore, finished.run), None)
            if expected is not None:
                expected.set(finished)

    @contextmanager
    def adding(self) -> Generator[list[tuple[str, Finished]]]:
        """Note what ends while a run is being queued, which may end before it is known here."""
        ended: list[tuple[str, Finished]] = []
        self._adding.append(ended)
        try:
            yield ended
        finally:
            self._adding[:] = [each for each in self._adding if each is not ended]

    def expect(self, jobstore: str, run: Run, ended: list[tuple[str, Finished]]) -> Expected:
        """Return what the end of *run* is handed to; it may be among what has *ended* while the run was queued."""
        key = _key(jobstore, run)
        expected = Expected(run, self.waits(jobstore))
        self._expected[key] = expected
        for alias, finished in ended:
            if _key(alias, finished.run) == key:
                self.settle(jobstore, finished)
        return expected

    def waits(self, jobstore: str) -> Wakeup:
        """Return what is set whenever somebody begins to wait for a run of that store."""
        return self._waits.setdefault(jobstore, Wakeup())

    def awaited(self, jobstore: str) -> list[Run]:
        """Return the runs of that store that somebody waits for right now."""
        return [each.run for key, each in list(self._expected.items()) if key[0] == jobstore and each.waiting]

    def open_runs(self, jobstore: str) -> list[Run]:
        """Return the runs of that store whose ends are not known."""
        return [expected.run for key, expected in list(self._expected.items()) if key[0] == jobstore]

    def give_up(self, jobstore: str, run: Run) -> None:
        """Let nobody wait for *run* any more, whose end cannot be found out."""
        expected = self._expected.pop(_key(jobstore, run), None)
        if expected is not None:
            expected.set(Finished(run))

    def close(self, reason: str) -> None:
        """Let nobody wait any more; what they get is the run as it was queued, with *reason*."""
        while self._expected:
            _, expected = self._expected.popitem()
            expected.set(Finished(attrs.evolve(expected.run, reason=reason)))


def _key(jobstore: str, run: Run) -> tuple[str, str, float]:
    return jobstore, run.job_id, run.nominal_time.timestamp()
