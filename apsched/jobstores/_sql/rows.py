"""Turn jobs and runs into rows, and rows into jobs and runs (layer 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.jobstores._codec import EPOCH, JobCodec, from_micros, to_micros
from apsched.jobstores._notes import notes_from_text, notes_to_text
from apsched.jobstores._sql.schema import LONGEST_NAME, LONGEST_TEXT, State
from apsched.run import Outcome, Run
from apsched.serializers.base import Unstorable

Values: TypeAlias = tuple[Any, ...]
Columns: TypeAlias = list[list[Any]]
"""The values of many rows, column by column."""

Key: TypeAlias = tuple[str, int]
"""(job id, nominal time)"""

JOB_COLUMNS = (
    "id",
    "executor",
    "next_run_time",
    "next_nominal_time",
    "due_time",
    "state",
    "quarantine",
    "max_instances",
    "keep_runs",
    "definition",
    "follows",
    "expects_success",
)
RUN_COLUMNS = (
    "job_id",
    "nominal_time",
    "outcome",
    "due_time",
    "first_nominal_time",
    "count",
    "is_manual",
    "epoch",
    "node",
    "claimed_at",
    "started_at",
    "finished_at",
    "retval",
    "error",
    "reason",
    "arguments",
    "notes",
)
OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def job_values(job: Job, codec: JobCodec) -> Values:
    """
    Return the row of *job*, as `JOB_COLUMNS`.

    Raises:
        TransientJobError: It cannot be stored.
    """
    _check_names(job)
    next_run_time = micros_of(job.next_run_time)
    is_quarantined = job.quarantine is not None
    return (
        job.id,
        job.lane,
        next_run_time,
        micros_of(job.next_nominal_time),
        None if is_quarantined or job.follows is not None else next_run_time,
        State.QUARANTINED.value if is_quarantined else None,
        clip(job.quarantine),
        None if job.overlap == "allow" else min(job.max_instances, 2**31 - 1),
        None if job.keep_runs is None else min(job.keep_runs, 2**62),
        codec.encode(job),
        job.follows,
        None if job.expect_success_within is None else 1,
    )


def tag_values(job: Job) -> list[Values]:
    """Return the rows of the tags of *job*: its id, name, value."""
    return [(job.id, name, value) for name, value in job.tags.items()]


def job_of(row: Sequence[Any], codec: JobCodec, *, resolve: bool, is_quarantined: bool = True) -> Job:
    """
    Return the job of a row that begins with id, next_run_time, next_nominal_time, quarantine, definition.

    Args:
        row: The row.
        codec: Reads the definition.
        resolve: See `JobCodec.decode`.
        is_quarantined: Whether the job stays quarantined if the row says so.
    """
    definition = row[4]
    if not isinstance(definition, bytes):  # SQLite keeps whatever somebody puts there
        definition = (
            bytes(definition) if isinstance(definition, memoryview) else str(definition).encode(errors="replace")
        )
    return codec.decode(row[0], definition, row[2], row[1], row[3] if is_quarantined else None, resolve=resolve)


def run_values(run: Run, codec: JobCodec) -> Values:
    """Return the row of *run*, as `RUN_COLUMNS`."""
    return tuple(column[0] for column in run_columns([run], codec))


def run_columns(runs: Sequence[Run], codec: JobCodec) -> Columns:
    """Return the rows of *runs* column by column, as `RUN_COLUMNS`; a third of the cost of one row after the other."""
    return [
        [run.job_id for run in runs],
        micros_of_all([run.nominal_time for run in runs]),
        [run.outcome.value for run in runs],
        micros_of_all([run.due_time for run in runs]),
        micros_of_all([run.first_nominal_time for run in runs]),
        [run.count for run in runs],
        [run.is_manual for run in runs],
        [run.epoch for run in runs],
        [run.node for run in runs],
        micros_of_all([run.claimed_at for run in runs]),
        micros_of_all([run.started_at for run in runs]),
        micros_of_all([run.finished_at for run in runs]),
        [None if run.retval is None else codec.encode_result(run.retval) for run in runs],
        [None if run.error is None else clip(run.error) for run in runs],
        [None if run.reason is None else clip(run.reason) for run in runs],
        [None if run.args is None and run.kwargs is None else codec.encode_arguments(run) for run in runs],
        notes_of_all(runs),
    ]


def notes_of_all(runs: Iterable[Run]) -> list[str | None]:
    """Return the attempts and reports of *runs* as databases keep them."""
    return [notes_to_text(run) if run.attempts or run.report is not None else None for run in runs]


def run_of(row: Sequence[Any], codec: JobCodec) -> Run:
    """
    Return the run of a row, as `RUN_COLUMNS`, whose outcome is one of ours; never raises.

    If its arguments cannot be read, or the row is damaged, `unreadable_arguments` says so of it.
    """
    try:
        return _read_run(row, codec)
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as exc:
        return _salvaged(row, f"its record in the store is damaged: {type(exc).__name__}: {exc}")


def _read_run(row: Sequence[Any], codec: JobCodec) -> Run:
    arguments, retval = row[15], row[12]
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    if arguments is not None:
        try:
            args, kwargs = codec.decode_arguments(arguments)
        except ValueError as exc:
            args = (Unstorable(str(exc)),)
    attempts, report = notes_from_text(row[16])
    return Run(
        job_id=row[0],
        nominal_time=from_micros(_whole(row[1], "nominal time")),
        outcome=OUTCOMES[row[2]],
        due_time=from_micros(row[3]),
        first_nominal_time=_moment(row[4]),
        count=row[5],
        is_manual=bool(row[6]),
        epoch=_whole(row[7], "epoch"),
        node=row[8],
        claimed_at=_moment(row[9]),
        started_at=_moment(row[10]),
        finished_at=_moment(row[11]),
        retval=None if retval is None else codec.decode_result(retval),
        error=row[13],
        reason=row[14],
        args=args,
        kwargs=kwargs,
        attempts=attempts,
        report=report,
    )


def _salvaged(row: Sequence[Any], reason: str) -> Run:
    """Return what can be read of a damaged row, which is enough to end its run."""
    nominal_time = _salvaged_moment(row[1]) or EPOCH
    return Run(
        job_id=str(row[0]),
        nominal_time=nominal_time,
        outcome=OUTCOMES[row[2]],
        due_time=_salvaged_moment(row[3]) or nominal_time,
        epoch=row[7] if isinstance(row[7], int) else 0,
        node=row[8] if isinstance(row[8], str) else None,
        claimed_at=_salvaged_moment(row[9]),
        started_at=_salvaged_moment(row[10]),
        finished_at=_salvaged_moment(row[11]),
        reason=reason,
        args=(Unstorable(reason),),
    )


def _salvaged_moment(value: object) -> datetime | None:
    try:
        return from_micros(value) if isinstance(value, int) else None
    except OverflowError:
        return None


def key_of(run: Run) -> Key:
    """Return what identifies *run* in the store."""
    return (run.job_id, to_micros(run.nominal_time))


def clip(text: str | None) -> str | None:
    """Return *text* as every database takes it: not too long, without NUL, only characters that UTF-8 has."""
    if text is None:
        return None
    if len(text) > LONGEST_TEXT:  # what raised is told at the end of a traceback, what was called at its beginning
        half = LONGEST_TEXT // 2 - 50
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def is_storable(name: str) -> bool:
    """Whether every database can keep *name* as an id, an alias or a tag."""
    if len(name) > LONGEST_NAME or "\0" in name:
        return False
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _check_names(job: Job) -> None:
    for what, name in (("id", job.id), ("executor", job.executor), ("executor, priority and requires", job.lane)):
        if not is_storable(name):
            raise TransientJobError(job.id, _unstorable(what, name))
    if job.follows is not None and not is_storable(job.follows):
        raise TransientJobError(job.id, _unstorable("the job that it follows", job.follows))
    for name, value in job.tags.items():
        if not (is_storable(name) and is_storable(value)):
            raise TransientJobError(job.id, _unstorable("tags", f"{name}: {value}"))


def _unstorable(what: str, value: str) -> str:
    return (
        f"{what} must consist of texts of at most {LONGEST_NAME} characters without NUL and surrogates, "
        f"got {value[:60]!r}; choose others"
    )


def micros_of(moment: datetime | None) -> int | None:
    """Return *moment* as databases keep it."""
    return None if moment is None else to_micros(moment)


def micros_of_all(moments: Iterable[datetime | None]) -> list[int | None]:
    """Return *moments* as databases keep them; of what happens together they are often one and the same."""
    found: list[int | None] = []
    last: datetime | None = None
    value: int | None = None
    for moment in moments:
        if moment is not last:
            last, value = moment, micros_of(moment)
        found.append(value)
    return found


def _whole(value: Any, what: str) -> int:
    if type(value) is not int:
        raise TypeError(f"its {what} must be a whole number, got {value!r}")
    return value


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
