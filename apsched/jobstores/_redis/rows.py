"""Write and read jobs and runs as Redis keeps them (layer 7).

Rule 1: what a script decides by stands in a head of plain text, which scripts and this file read alike; the rest is
opaque to them.
Rule 2: instants are texts of microseconds since 1970, UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote, unquote

import attrs

from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec, from_micros, to_micros
from apsched.jobstores._notes import notes_from_text
from apsched.run import Outcome, Plan, Run
from apsched.serializers.base import Unstorable

CODES: dict[Outcome, bytes] = {
    Outcome.PENDING: b"P",
    Outcome.RUNNING: b"R",
    Outcome.SUCCEEDED: b"S",
    Outcome.FAILED: b"F",
    Outcome.TIMED_OUT: b"T",
    Outcome.CANCELLED: b"C",
    Outcome.MISSED: b"M",
    Outcome.SKIPPED: b"K",
    Outcome.COALESCED: b"O",
    Outcome.ABANDONED: b"A",
}
ORPHANED = b"X"  # cancelled by a script, since the job was removed
ORPHANED_REASON = "its job was removed before it could start"
DAMAGED = "its record in the store is damaged"

_OUTCOMES = {code: outcome for outcome, code in CODES.items()} | {ORPHANED: Outcome.CANCELLED}
_CLAIM = b"%s/%d/%s/%s"
_PLAIN = b"%s\n[%s]\n%s"  # a head, when it was due, and the result: all that most runs have
_OF_MOST = (None, 1, 0, None, None, 0)  # the rest of what stands beside a head


@attrs.frozen
class StoredJob:
    """
    A job as it stands in the store.

    Attributes:
        key: Its id.
        state: What a change must find unchanged.
        executor: Its executor as a part of a key.
        job: The job.
    """

    key: bytes
    state: bytes
    executor: bytes
    job: Job


def key_of(job_id: str) -> bytes:
    """
    Return the id of a job as Redis has it.

    Raises:
        TransientJobError: It holds half of a surrogate pair.
    """
    try:
        return job_id.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise TransientJobError(
            job_id, "its id holds characters that cannot be written as UTF-8; use another"
        ) from None


def id_of(key: bytes) -> str:
    """Return the id of the job that Redis knows as *key*."""
    return key.decode("utf-8", "surrogateescape")


def followed_key_of(job: Job) -> bytes:
    """
    Return the id of the job that *job* follows as Redis has it; empty if it follows none.

    Raises:
        TransientJobError: It holds half of a surrogate pair.
    """
    if job.follows is None:
        return b""
    try:
        return key_of(job.follows)
    except TransientJobError:
        reason = "the id of the job that it follows holds characters that cannot be written as UTF-8; name another"
        raise TransientJobError(job.id, reason) from None


@lru_cache(1000)
def name_of(node: str | None) -> bytes:
    """Return the id of a node in letters that stand for nothing else."""
    return quote(node or "", safe=":@", errors="surrogatepass").encode()


@lru_cache(1000)
def node_of(name: bytes) -> str | None:
    """Return the node whose `name_of` is *name*."""
    return unquote(name.decode(), errors="surrogatepass") or None


def micros(moment: datetime | None) -> bytes:
    """Return *moment* as text, which is empty for None."""
    return b"" if moment is None else b"%d" % to_micros(moment)


def state_of(job: Job) -> bytes:
    """
    Return the state of *job*, which is in the list, but for its revision.

    Raises:
        TransientJobError: The alias of its executor holds half of a surrogate pair.
    """
    limit = 0 if job.overlap == "allow" else job.max_instances
    kept = "" if job.keep_runs is None else job.keep_runs
    try:
        lane = job.lane.encode()
    except UnicodeEncodeError:
        reason = "its executor holds characters that cannot be written as UTF-8; use another alias"
        raise TransientJobError(job.id, reason) from None
    times = micros(job.next_run_time), micros(job.next_nominal_time)
    return b"L|%s|%s|%d|%s|%s" % (*times, limit, str(kept).encode(), lane)


def state_after(state: bytes, plan: Plan) -> bytes:
    """Return what *plan* makes of a state, without revision."""
    _, _, _, _, rest = state.split(b"|", 4)
    status = b"R" if plan.removes_job else b"L"
    return b"%s|%s|%s|%s" % (status, micros(plan.next_run_time), micros(plan.next_nominal_time), rest)


def is_retired(state: bytes) -> bool:
    """Whether the job of that state is finished and no longer in the list."""
    return state.partition(b"|")[2].startswith(b"R|")


def read_job(
    codec: JobCodec,
    key: bytes,
    state: bytes,
    definition: bytes,
    quarantine: bytes = b"",
    *,
    resolve: bool = False,
) -> StoredJob:
    """Return the job of that row; a damaged one comes back quarantined."""
    reason = quarantine.decode("utf-8", "replace") or None
    next_run = next_nominal = None
    executor = b""
    try:
        _, _, run, nominal, _, _, executor = state.split(b"|", 6)
        next_run = int(run) if run else None
        next_nominal = int(nominal) if nominal else None
    except ValueError:
        reason = reason or f"its state in the store is damaged: {state[:80]!r}; remove it, or add it anew"
    job = codec.decode(id_of(key), definition, next_nominal, next_run, reason, resolve=resolve)
    return StoredJob(key, state, executor, job)


def claim_of(run: Run) -> bytes:
    """Return what stands for the claim of *run* while it is under way."""
    return _CLAIM % (micros(run.nominal_time), run.epoch, micros(run.claimed_at), name_of(run.node))


def write_run(codec: JobCodec, run: Run) -> tuple[bytes, bytes, bytes]:
    """Return the nominal time of *run*, its claim, and its row, which holds all but the job and the nominal time."""
    nominal, claimed, node = micros(run.nominal_time), micros(run.claimed_at), name_of(run.node)
    claim = _CLAIM % (nominal, run.epoch, claimed, node)
    due = nominal if run.due_time == run.nominal_time else micros(run.due_time)
    times = claimed, micros(run.started_at), micros(run.finished_at)
    head = b"%s|%d|%s|%s|%s|%s" % (CODES[run.outcome], run.epoch, *times, node)
    arguments = codec.encode_arguments(run) if run.args is not None or run.kwargs is not None else None
    result = None if run.retval is None else codec.encode_result(run.retval)
    is_plain = run.count == 1 and not run.is_manual and run.reason is None and run.error is None
    if is_plain and arguments is None and run.first_nominal_time is None:
        return nominal, claim, _PLAIN % (head, due, result or b"")
    body = [
        int(due),
        None if run.first_nominal_time is None else to_micros(run.first_nominal_time),
        run.count,
        int(run.is_manual),
        run.reason,
        run.error,
        len(arguments or b""),
    ]
    return nominal, claim, b"%s\n%s\n%s%s" % (head, json.dumps(body).encode(), arguments or b"", result or b"")


def write_runs(codec: JobCodec, runs: Iterable[Run]) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]:
    """Return the nominal times of *runs*, their claims, and their rows."""
    written = [write_run(codec, run) for run in runs]
    nominals, claims, rows = zip(*written, strict=True) if written else ((), (), ())
    return nominals, claims, rows


def read_run(
    codec: JobCodec, job_id: str, nominal: bytes, row: bytes, notes: bytes = b"", cancel_reason: bytes = b""
) -> Run | None:
    """
    Return the run of that row; if it is damaged, what of it can be read, with the reason; None if nothing can.

    Args:
        codec: Reads arguments and results.
        job_id: The id of its job.
        nominal: Its nominal time.
        row: What `write_run` returned.
        notes: Its attempts and its report; empty if it has none.
        cancel_reason: Why it is to be cancelled; empty if it is not.
    """
    head, _, rest = row.partition(b"\n")
    body, _, values = rest.partition(b"\n")
    try:
        run = _read_head(job_id, nominal, head)
    except (ValueError, KeyError, OverflowError):
        return None
    if notes:
        run.attempts, run.report = notes_from_text(notes)
    if cancel_reason:
        run.cancel_reason = cancel_reason.decode("utf-8", "replace")
    try:
        due, run.first_nominal_time, run.count, is_manual, reason, run.error, size = _read_body(body)
        run.due_time, run.is_manual = due, is_manual
        run.reason = run.reason or reason
        if size:
            run.args, run.kwargs = codec.decode_arguments(values[:size])
        if len(values) > size:
            run.retval = codec.decode_result(values[size:])
    except (ValueError, TypeError, OverflowError) as exc:
        run.reason = f"{DAMAGED}: {exc}"
        run.args, run.kwargs = (Unstorable(run.reason),), None
    return run


def read_named(codec: JobCodec, name: bytes, row: bytes, notes: bytes, cancel_reason: bytes) -> Run | None:
    """Return the run of that row, as `read_run` does; *name* is its nominal time, a colon and the id of its job."""
    nominal, _, key = name.partition(b":")
    return read_run(codec, id_of(key), nominal, row, notes, cancel_reason)


def _read_head(job_id: str, nominal: bytes, head: bytes) -> Run:
    code, epoch, claimed, started, finished, node = head.split(b"|")
    moment = from_micros(int(nominal))
    return Run(
        job_id=job_id,
        nominal_time=moment,
        outcome=_OUTCOMES[code],
        due_time=moment,
        epoch=int(epoch),
        node=node_of(node),
        claimed_at=_moment(claimed),
        started_at=_moment(started),
        finished_at=_moment(finished),
        reason=ORPHANED_REASON if code == ORPHANED else None,
    )


def _read_body(body: bytes) -> tuple[datetime, datetime | None, int | None, bool, str | None, str | None, int]:
    due, *rest = json.loads(body)
    first, count, is_manual, reason, error, size = rest or _OF_MOST
    first = None if first is None else from_micros(first)
    return from_micros(due), first, count, bool(is_manual), reason, error, size


def _moment(text: bytes) -> datetime | None:
    return from_micros(int(text)) if text else None
