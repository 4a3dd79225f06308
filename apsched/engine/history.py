"""The verbs about runs (layer 6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from apsched import _timezones
from apsched.engine.by_hand import CANCELLED_BY_HAND, cancelled, run_now, why_not_cancelled
from apsched.engine.explain import Explanation, explain
from apsched.engine.parts import Parts
from apsched.engine.results import Expected, Finished
from apsched.events import EVENT_JOB_CANCELLED
from apsched.exceptions import JobLookupError, RunFailedError, RunLookupError
from apsched.job import Job
from apsched.jobstores.base import RunFilter
from apsched.run import Outcome, Run, parse_run_id

EXPLAIN_LIMIT = 10_000  # runs that are searched for a nominal time
EXPLAIN_TIMES = 1000  # next times that are told at most; more would stall the loop


@attrs.frozen(eq=False)
class RunHandle:
    """
    A run that was started by hand.

    Attributes:
        run: The run as it was queued.
    """

    run: Run
    _expected: Expected = attrs.field(repr=False)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.run.id

    async def wait(self) -> Run:
        """Return the run when it has ended."""
        return (await self._expected.wait()).run

    async def result(self) -> Any:
        """
        Return what the callable returned, when the run has ended.

        Raises:
            RunFailedError: The run did not succeed for another reason than an exception, or it raised one on another
                node; the message has the traceback then.
            BaseException: What the callable raised here.
        """
        finished = await self._expected.wait()
        if finished.exception is not None:
            raise finished.exception
        if finished.run.outcome is not Outcome.SUCCEEDED:
            run = finished.run
            what = "failed" if run.outcome is Outcome.FAILED else f"was {run.outcome.value}"
            raise RunFailedError(run.id, what, run.reason, traceback=run.error)
        return finished.run.retval


class RunHistory(Parts):
    """The verbs about runs."""

    async def run_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        *,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> RunHandle:
        """
        Run a job now; its schedule stays as it is, and a paused job runs too.

        While `max_instances` runs of the job are under way, the run waits for its turn.

        Args:
            job_id: Its id.
            jobstore: Alias of its store; None: whichever has it.
            args: Positional arguments in place of the job's.
            kwargs: Keyword arguments in place of the job's.

        Returns:
            A handle: `await handle.result()`.

        Raises:
            JobLookupError: There is no such job.
            SchedulerNotRunningError: The scheduler is not running.
            ValueError: The arguments do not fit the callable.
        """
        for alias in self._aliases(jobstore):
            store = self._open_store(alias)
            job = await store.get(job_id)
            if job is None:
                continue
            run = run_now(job, self._clock.now(), args, kwargs)
            with self._results.adding() as ended:
                run = await store.add_run(run)
                handle = RunHandle(run, self._results.expect(alias, run, ended))
            if alias in self._open:
                self._open[alias].await_turn(job_id)
            self._changed(alias)
            return handle
        raise JobLookupError(job_id)

    async def get_runs(
        self,
        job_id: str | None = None,
        jobstore: str | None = None,
        *,
        outcome: Outcome | str | Collection[Outcome | str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int = 100,
        after: Run | None = None,
    ) -> list[Run]:
        """
        Return runs, the latest nominal time first. Reading deletes nothing.

        Args:
            job_id: Only those of this job; it may be gone already.
            jobstore: Alias of a store; None: all stores.
            outcome: Only those of this outcome, or of one of these.
            since: Only nominal times at or after it; naive ones are in the scheduler's zone.
            until: Only nominal times at or before it; naive ones are in the scheduler's zone.
            limit: At most so many, from 1 on.
            after: Only those that come after this one, that is, earlier ones: the next page.

        Raises:
            SchedulerNotRunningError: The scheduler is not running, and a store is not one in memory.
            ValueError: There is no such outcome, or a value is out of range.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"limit must be a whole number from 1 on, got {limit!r}")
        zone = self._maker.timezone
        where = RunFilter(
            job_id=job_id,
            outcomes=_outcomes(outcome),
            since=_timezones.to_datetime(since, zone, "since"),
            until=_timezones.to_datetime(until, zone, "until"),
        )
        runs: list[Run] = []
        for store in self._histories(jobstore):
            runs += await store.runs(where, limit, after)
        runs.sort(key=lambda run: run.nominal_time.timestamp(), reverse=True)
        return runs[:limit]

    async def cancel_run(self, run_id: str) -> Run:
        """
        Cancel a run that is pending, or under way on any node.

        A coroutine gets its cancellation, a worker process is ended; a thread cannot be ended: it is let go. Another
        node hears of it at once where the store tells of changes, otherwise within a second or so. Should that node
        die first, the run is cancelled when that is noticed.

        Args:
            run_id: `Run.id`.

        Returns:
            The run as it was found. When its callable has given way, it is stored as cancelled.

        Raises:
            RunLookupError: There is no such run, or it has ended; the message says which.
            SchedulerNotRunningError: The scheduler is not running.
            ValueError: That is not the id of a run.
        """
        job_id, nominal_time = parse_run_id(run_id)
        where = RunFilter(job_id=job_id, since=nominal_time, until=nominal_time)
        refused: Run | None = None
        for alias in self._aliases(None):
            for _ in range(2):  # a node may claim it after it was found pending
                for run in await self._open_store(alias).runs(where, 1):
                    if await self._cancel(alias, run):
                        return run
                    refused = run
        raise RunLookupError(run_id, None if refused is None else why_not_cancelled(refused))

    async def explain(
        self, job_id: str, when: datetime | str | None = None, jobstore: str | None = None, *, count: int = 5
    ) -> Explanation:
        """
        Explain when a job runs next, and what became or will become of a nominal time.

        Args:
            job_id: Its id; it may be gone already.
            when: The nominal time; naive ones are in the scheduler's zone.
            jobstore: Alias of its store; None: all stores.
            count: How many next times to tell, 0 to 1,000.

        Returns:
            An explanation whose `str()` is sentences for people.

        Raises:
            AliasLookupError: There is no store of the alias *jobstore*.
            TypeError: A value is of the wrong type.
            ValueError: *when* is no time, or *count* is out of range.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= EXPLAIN_TIMES:
            raise ValueError(f"count must be a whole number from 0 to {EXPLAIN_TIMES}, got {count!r}")
        moment = _timezones.to_datetime(when, self._maker.timezone, "when")
        found: Job | None = None
        runs: list[Run] = []
        for alias in self._aliases(jobstore):
            found = found or await self._store(alias).get(job_id)
        if moment is not None:
            for store in self._histories(jobstore):
                history = await store.runs(RunFilter(job_id=job_id, since=moment), EXPLAIN_LIMIT)
                runs += [run for run in history if (run.first_nominal_time or run.nominal_time) <= moment]
        return explain(found, job_id, moment, runs, count)

    async def _cancel(self, alias: str, run: Run) -> bool:
        """Cancel *run* as it was found; False if it has ended, or is not as it was."""
        if run.outcome is Outcome.RUNNING:
            if self._runner is not None and self._runner.cancel(run, CANCELLED_BY_HAND):
                return True
            was_asked = await self._stores[alias].ask_to_cancel(run, CANCELLED_BY_HAND)
            if was_asked:
                self._changed(alias)
            return was_asked
        ended = cancelled(run, self._clock.now())
        if run.outcome is not Outcome.PENDING or not await self._stores[alias].finish([ended]):
            return False
        self._changed(alias)  # other jobs may follow it
        self._results.settle(alias, Finished(ended))
        self._publish_end(alias, EVENT_JOB_CANCELLED, ended)
        return True


def _outcomes(value: Outcome | str | Collection[Outcome | str] | None) -> frozenset[Outcome] | None:
    if value is None:
        return None
    values = (value,) if isinstance(value, str) else value
    try:
        return frozenset(map(Outcome, values))
    except ValueError:
        known = ", ".join(Outcome)
        raise ValueError(f"outcome must be one or several of {known}, got {value!r}") from None
