"""Say whether a job fired as a test expects (layer 10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo

from apsched.run import Outcome, Run

Moment = datetime | str


def assert_fired(
    runs: Iterable[Run],
    job_id: str,
    *,
    times: int | None = None,
    at: Moment | Sequence[Moment] | None = None,
    outcome: Outcome | str | None = None,
) -> None:
    """
    Fail unless the callable of a job was called as often and for those nominal times that are expected.

    A nominal time whose callable was called several times, by retries, counts once; one that was missed, skipped or
    coalesced does not count.

    Args:
        runs: Runs, in any order, as `get_runs` returns them; those of other jobs are left aside.
        job_id: The id of the job.
        times: How often, 0 for never; None: at least once, unless *at* says it.
        at: All its nominal times, or the only one: a datetime or an ISO text; those without a zone are in that of the
            job's trigger.
        outcome: How all of these runs have ended; None: in any way.

    Raises:
        AssertionError: It is not so; the message shows what became of the job.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    history = list(runs)
    known = sorted((run for run in history if run.job_id == job_id), key=lambda run: run.nominal_time.timestamp())
    fired = [run for run in known if run.outcome is Outcome.RUNNING or run.started_at is not None]
    complaint = _complaint(fired, times, at, outcome)
    if complaint is not None:
        raise AssertionError(f"job {job_id!r} {complaint}{_told(known, history)}")


def _complaint(
    fired: Sequence[Run], times: int | None, at: Moment | Sequence[Moment] | None, outcome: Outcome | str | None
) -> str | None:
    """Return what is not as expected, or None."""
    if times is not None and len(fired) != times:
        return f"fired {_count(len(fired))}, not {_count(times)}"
    if at is not None:
        zone = fired[0].nominal_time.tzinfo if fired else UTC
        moments = [at] if isinstance(at, (datetime, str)) else at
        wanted = sorted((_aware(moment, zone) for moment in moments), key=datetime.timestamp)
        if [run.nominal_time.timestamp() for run in fired] != [moment.timestamp() for moment in wanted]:
            return f"did not fire at {', '.join(map(_text, wanted)) or 'no time'} and at no other time"
    elif times is None and not fired:
        return "never fired"
    if outcome is not None:
        others = [run for run in fired if run.outcome is not Outcome(outcome)]
        if others:
            return f"has {_count(len(others), 'run')} that ended in another way than {Outcome(outcome).value!r}"
    return None


def _aware(moment: Moment, zone: tzinfo | None) -> datetime:
    made = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return made.replace(tzinfo=zone) if made.tzinfo is None else made


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ")


def _count(number: int, noun: str = "time") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _told(known: Sequence[Run], history: Sequence[Run]) -> str:
    """Return what became of the job, a line for each run; or which jobs there are in its place."""
    if known:
        lines = (f"\n  {_text(run.nominal_time)}  {run.outcome}  {run.why}".rstrip() for run in known)
        return "; what became of it:" + "".join(lines)
    others = sorted({run.job_id for run in history})
    return f"; there are runs of {', '.join(map(repr, others))}" if others else "; there are no runs at all"
