"""Draw how one run went: due, claimed, started, finished (layer 10)."""

from __future__ import annotations

from datetime import datetime

import attrs

from apsched.run import Run
from apsched.web.words import KINDS

LEAST = 1.0  # percent that a step has at least, so that it is seen


@attrs.frozen(kw_only=True)
class Step:
    """
    One step of a run.

    Attributes:
        name: What the run did: `waited`, `started up`, `ran`.
        begin: When it began.
        seconds: How long it took; None while it goes on.
        kind: Its color, by name.
        left: Where it is drawn, in percent.
        width: How wide, in percent.
    """

    name: str
    begin: datetime
    seconds: float | None
    kind: str
    left: float
    width: float


def steps(run: Run, now: datetime) -> list[Step]:
    """Return the steps of *run* that have begun, wide as they are long, but none too narrow to be seen."""
    marks = [
        ("waited", run.due_time, "wait"),
        ("got ready", run.claimed_at, "mute"),
        ("ran", run.started_at, KINDS[run.outcome]),
    ]
    begun = [(name, begin, kind) for name, begin, kind in marks if begin is not None]
    if run.outcome.is_final and run.started_at is None:
        begun = begun[:1]
    ends: list[datetime | None] = [begin for _, begin, _ in begun[1:]]
    ends.append(run.finished_at)
    lengths = [max(((end or now) - begin).total_seconds(), 0.0) for (_, begin, _), end in zip(begun, ends, strict=True)]
    whole = sum(lengths) or 1.0
    widths = [LEAST + each / whole * (100 - LEAST * len(lengths)) for each in lengths]
    found, left = [], 0.0
    for (name, begin, kind), end, seconds, width in zip(begun, ends, lengths, widths, strict=True):
        known = None if end is None else seconds
        found.append(Step(name=name, begin=begin, seconds=known, kind=kind, left=left, width=width))
        left += width
    return found
