"""Write what a run tells beside its outcome, its attempts and its report, as one text, and read it again (layer 7).

Rule 1: most runs have nothing to tell; then there is no text.
Rule 2: what is written is ASCII without control characters, so that every server keeps it, whatever the texts hold.
Rule 3: writing and reading never raise. What cannot be read is as if it had not been told.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from apsched.jobstores._codec import from_micros, to_micros
from apsched.run import Attempt, Outcome, Report, Run

LONGEST = 65_536  # characters that are kept of each text; the last ones


def notes_to_text(run: Run) -> str | None:
    """Return the attempts and the report of *run* as JSON; None if it has neither."""
    if not run.attempts and run.report is None:
        return None
    document: dict[str, Any] = {}
    if run.attempts:
        document["attempts"] = [_attempt_to_document(attempt) for attempt in run.attempts]
    if run.report is not None:
        document["report"] = _report_to_document(run.report)
    return json.dumps(document, separators=(",", ":"))


def notes_from_text(text: object) -> tuple[tuple[Attempt, ...], Report | None]:
    """
    Return what `notes_to_text` wrote.

    Args:
        text: What the server has; None if there is nothing.
    """
    if text is None:
        return (), None
    try:
        document = json.loads(text)  # type: ignore[arg-type]  # what is no text is damaged, and raises
        attempts = tuple(map(_attempt_from_document, document.get("attempts", ())))
        report = document.get("report")
        return attempts, None if report is None else _report_from_document(report)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return (), None


def _attempt_to_document(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome.value,
        "node": attempt.node,
        "started_at": _micros(attempt.started_at),
        "finished_at": _micros(attempt.finished_at),
        "error": _last_of(attempt.error),
    }


def _attempt_from_document(document: Any) -> Attempt:
    number = document["number"]
    if type(number) is not int:
        raise TypeError(f"the number of an attempt must be a whole number, got {number!r}")
    return Attempt(
        number=number,
        outcome=Outcome(document["outcome"]),
        node=_text(document["node"]),
        started_at=_moment(document["started_at"]),
        finished_at=_moment(document["finished_at"]),
        error=_text(document["error"]),
    )


def _report_to_document(report: Report) -> dict[str, Any]:
    return {
        "progress": None if report.progress is None else float(report.progress),  # it may be of a class of the user's
        "message": _last_of(report.message),
        "log": _last_of(report.log),
    }


def _report_from_document(document: Any) -> Report:
    progress = document["progress"]
    if progress is not None and not 0 <= progress <= 1:
        raise ValueError(f"progress must be from 0 to 1, got {progress!r}")
    return Report(progress=progress, message=_text(document["message"]), log=_text(document["log"]))


def _last_of(text: str | None) -> str | None:
    return None if text is None else str(text)[-LONGEST:]


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"it must be a text, got {value!r}")
    return value


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
