"""Turn jobs and runs into documents and back (layer 7).

A document of the collection of jobs:

    _id, definition, executor, quarantine, max_instances, keep_runs, tags     what it is (executor: its lane)
    next_run_time, next_nominal_time                                          NEVER and None if it is paused
    mark      why some node cannot run it, which others may
    due       next_run_time if it may be taken then, else NEVER: if it is quarantined or follows another job
    follows   the id of that job, if any
    followed  nominal times of that job at which it has followed, the last ones
    expects_success  true if it is to succeed within a time, else None
    state     present; or gone (finished, removed) with runs that are not settled
    rev       an id that every decision about the job replaces
    active    runs that are under way, and closed ones that are not written to the history yet
    pending   runs that wait, by nominal time
    waiting   the first due time of those, else NEVER

A run under way or pending is in its job's document and nowhere else. A closed one bears a `token` until it is in the
history; and `is_orphaned` if nothing follows it, since its job was removed before it could start. `by` is the node that
has to see to an entry of `active`.

A document that is no job, `SIGN`, is there as soon as any job has come to follow another one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
from bson import Binary, Int64, ObjectId

from apsched._mongodb_clients import Document
from apsched.exceptions import TransientJobError
from apsched.job import Job
from apsched.jobstores._codec import JobCodec, from_micros, to_micros
from apsched.jobstores._notes import notes_from_text, notes_to_text
from apsched.run import Outcome, Run
from apsched.serializers.base import Unstorable

logger = logging.getLogger("apsched.jobstores")

NEVER = Int64(2**63 - 1)
AT_ONCE = Int64(-(2**63))
PRESENT: Final = "present"
FINISHED: Final = "finished"
REMOVED: Final = "removed"

SIGN: Final = 0  # an id that no job has

RUNNING = Outcome.RUNNING.value
PENDING = Outcome.PENDING.value

LONGEST_DEFINITION = 8 * 1024 * 1024  # bytes; a document has at most 16 MiB, and runs are to fit in too
MOST_PENDING = 10_000  # runs of one job that wait
LONGEST_TEXT = 100_000  # characters of an error or a reason; what is longer is cut


class Documents:
    """Makes documents and reads them; *codec* does the same for the values of users in them."""

    def __init__(self, codec: JobCodec) -> None:
        self._codec = codec

    # jobs

    def job_fields(self, job: Job) -> Document:
        """
        Return what a document says of a job that is present, but for its id, its rev and its runs.

        Raises:
            TransientJobError: The job cannot be stored.
        """
        definition = self._codec.encode(job)
        if len(definition) > LONGEST_DEFINITION:
            raise TransientJobError(
                job.id, f"it takes {len(definition)} bytes, and at most {LONGEST_DEFINITION} fit; shorten its arguments"
            )
        self.check_texts(job)
        next_run_time = NEVER if job.next_run_time is None else to_micros(job.next_run_time)
        return {
            "definition": Binary(definition),
            "executor": job.lane,
            "quarantine": None if job.quarantine is None else valid(job.quarantine),
            "mark": None,
            "max_instances": None if job.overlap == "allow" else job.max_instances,
            "keep_runs": job.keep_runs,
            "tags": [tag_key(*tag) for tag in job.tags.items()],
            "next_run_time": next_run_time,
            "next_nominal_time": None if job.next_nominal_time is None else to_micros(job.next_nominal_time),
            "due": next_run_time if job.quarantine is None and job.follows is None else NEVER,
            "follows": job.follows,
            "expects_success": True if job.expect_success_within is not None else None,
            "state": PRESENT,
        }

    @staticmethod
    def check_texts(job: Job) -> None:
        """
        Refuse texts that no document takes.

        Raises:
            TransientJobError: There is one.
        """
        try:
            "".join((job.id, job.executor, *job.tags, *job.tags.values())).encode()
        except UnicodeEncodeError as exc:
            raise TransientJobError(
                job.id, f"its id, executor or tags hold {exc.object[exc.start : exc.end]!r}, which is no character"
            ) from None

    def job(self, document: Document, *, resolve: bool = False) -> Job:
        """Return the job; a quarantined one if the document cannot be read, or to be run if it cannot be."""
        mark = None if resolve else document.get("mark")
        next_run_time = document.get("next_run_time")
        return self._codec.decode(
            document["_id"],
            document.get("definition"),  # type: ignore[arg-type]  # whatever stands there, the codec says what is wrong
            _plain(document.get("next_nominal_time")),
            None if next_run_time == NEVER else _plain(next_run_time),
            document.get("quarantine") or mark or _damage(document),
            resolve=resolve,
        )

    # runs

    def entry(self, run: Run, **marks: Any) -> Document:
        """Return *run* as it stands in the document of its job."""
        entry: Document = {
            "nominal_time": to_micros(run.nominal_time),
            "outcome": run.outcome.value,
            "due_time": to_micros(run.due_time),
            "epoch": run.epoch,
            "node": run.node,
            **marks,
        }
        if run.count != 1:
            entry["count"] = run.count
        if run.is_manual:
            entry["is_manual"] = True
        for name in ("first_nominal_time", "claimed_at", "started_at", "finished_at"):
            if (moment := getattr(run, name)) is not None:
                entry[name] = to_micros(moment)
        if run.error is not None:
            entry["error"] = valid(run.error)
        if run.reason is not None:
            entry["reason"] = valid(run.reason)
        if run.args is not None or run.kwargs is not None:
            entry["arguments"] = _binary(self._codec.encode_arguments(run))
        if run.retval is not None:
            entry["retval"] = _binary(self._codec.encode_result(run.retval))
        if (notes := notes_to_text(run)) is not None:
            entry["notes"] = notes
        return entry

    @staticmethod
    def check_room(job_id: str, pending: Sequence[Document]) -> None:
        """
        Refuse to let more runs wait than fit into a document.

        Raises:
            TransientJobError: They do not fit.
        """
        size = sum(len(entry.get("arguments") or b"") for entry in pending)
        if len(pending) > MOST_PENDING or size > LONGEST_DEFINITION // 2:
            raise TransientJobError(
                job_id,
                f"at most {MOST_PENDING} of its runs can wait, and their arguments take at most "
                f"{LONGEST_DEFINITION // 2} bytes, got {len(pending)} and {size}; wait until some have run",
            )

    def kept(self, run: Run, entry: Document) -> Run:
        """Return *run* with the nominal time of its entry."""
        if to_micros(run.nominal_time) == entry["nominal_time"]:
            return run
        return attrs.evolve(run, nominal_time=from_micros(entry["nominal_time"]))

    def run(self, job_id: str, entry: Mapping[str, Any]) -> Run:
        """
        Return the run of an entry.

        Raises:
            KeyError, TypeError, ValueError: The entry is damaged.
        """
        get = entry.get
        args, kwargs = (None, None) if get("arguments") is None else self._codec.decode_arguments(entry["arguments"])
        attempts, report = notes_from_text(get("notes"))
        return Run(
            job_id=job_id,
            nominal_time=from_micros(entry["nominal_time"]),
            outcome=Outcome(entry["outcome"]),
            due_time=from_micros(entry["due_time"]),
            first_nominal_time=_time(get("first_nominal_time")),
            count=get("count", 1),
            is_manual=get("is_manual", False),
            epoch=entry["epoch"],
            node=get("node"),
            claimed_at=_time(get("claimed_at")),
            started_at=_time(get("started_at")),
            finished_at=_time(get("finished_at")),
            retval=None if get("retval") is None else self._codec.decode_result(entry["retval"]),
            error=get("error"),
            reason=get("reason"),
            args=args,
            kwargs=kwargs,
            attempts=attempts,
            report=report,
            cancel_reason=get("cancel_reason"),
        )

    def held(self, job_id: str, entry: Document) -> Run | None:
        """
        Return the run of an entry that is under way; None, and a warning, if somebody has damaged it.

        If only its arguments cannot be read, `unreadable_arguments` says so of the run.
        """
        try:
            try:
                return self.run(job_id, entry)
            except ValueError as exc:  # its arguments, most likely
                run = self.run(job_id, {**entry, "arguments": None})
                return attrs.evolve(run, args=(Unstorable(str(exc)),))
        except (KeyError, TypeError, ValueError) as exc:
            logger.warning("a run of job %r cannot be read and is left alone: %r", job_id, exc)
            return None

    def listed(self, key: Document, entry: Document) -> Run | None:
        """Return the run of an entry for people to see; None if somebody has damaged it."""
        try:
            try:
                return self.run(key["job"], {**entry, "nominal_time": key["nominal_time"]})
            except ValueError as exc:  # its arguments, most likely
                fields = {"nominal_time": key["nominal_time"], "arguments": None, "reason": str(exc)}
                return self.run(key["job"], {**entry, **fields})
        except (KeyError, TypeError, ValueError) as exc:
            logger.warning("a run of job %r cannot be read and is left out: %r", key.get("job"), exc)
            return None


def run_key(job_id: str, nominal: int) -> Document:
    """Return the `_id` of a run in the history."""
    return {"job": job_id, "nominal_time": nominal}


def record(job_id: str, entry: Document, *, names_keep_runs: bool) -> Document:
    """
    Return the document in the history of a closed run.

    It may be pruned from `prune_at` on: at once where its job says how many are kept, else when it is old.
    """
    marks = ("nominal_time", "by", "claim", "token", "is_orphaned")
    kept = {name: value for name, value in entry.items() if name not in marks}
    has_run = "started_at" in entry and "finished_at" in entry
    ended_at = entry["finished_at"] if has_run else entry["nominal_time"]
    return {
        "_id": run_key(job_id, entry["nominal_time"]),
        **kept,
        "ended_at": ended_at,
        "prune_at": AT_ONCE if names_keep_runs else ended_at,
    }


def waiting(pending: Iterable[Document]) -> Int64:
    """Return the field of that name."""
    return Int64(min((entry.get("due_time", NEVER) for entry in pending), default=NEVER))


def by_nominal_time(entries: Iterable[Document]) -> list[Document]:
    """Return entries in the order in which they are claimed when they are due."""
    return sorted(entries, key=lambda entry: entry.get("nominal_time", 0))


def running(document: Document) -> list[Document]:
    """Return the entries that are under way."""
    return [entry for entry in _entries(document) if entry.get("outcome") == RUNNING]


def closed(document: Document) -> list[Document]:
    """Return the entries that are to be written to the history."""
    return [entry for entry in _entries(document) if "token" in entry]


def _entries(document: Document) -> list[Document]:
    """Return the active entries, without what somebody may have put among them."""
    return [entry for entry in document["active"] if isinstance(entry, dict)]


def tag_key(name: str, value: str) -> str:
    """Return a tag as one text, which no other tag has."""
    return json.dumps([name, value], ensure_ascii=False)


def new_token() -> ObjectId:
    """Return an id that no other process makes either; it also tells when it was made."""
    return ObjectId()


def _damage(document: Document) -> str | None:
    """Say what is wrong in a document that somebody has changed by hand."""
    for name in ("due", "next_run_time"):
        if not isinstance(document.get(name), int):
            return f"its document is damaged: {name} must be a whole number, got {document.get(name)!r}"
    for name in ("active", "pending"):
        entries = document.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return f"its document is damaged: {name} must be a list of runs, got {entries!r}"
    return None


def _plain(value: Any) -> Any:
    """Return *value* as a plain int if it is one; what comes of BSON is of a subclass."""
    return int(value) if isinstance(value, int) else value


def _time(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


def _binary(data: bytes | None) -> Binary | None:
    return None if data is None else Binary(data)


def is_storable(text: str) -> bool:
    """Whether documents can hold *text*."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def valid(text: str) -> str:
    """Return *text* without what no document takes, and cut if it is very long."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT // 2]}\n[...]\n{text[-LONGEST_TEXT // 2 :]}"
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
