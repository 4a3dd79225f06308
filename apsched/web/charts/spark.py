"""Draw the last runs of a job, one bar each (layer 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, tzinfo

from markupsafe import Markup

from apsched.run import Run
from apsched.web.words import KINDS, clock, length, outcome

BARS = 40
STEP, BAR, HEIGHT, LEAST = 5, 4, 22, 3


def sparkline(runs: Sequence[Run], zone: tzinfo, now: datetime) -> Markup:
    """
    Return the picture: color tells the outcome, height how long it took: twice as high is four times as long.

    Args:
        runs: At most `BARS`, the latest first.
        zone: Of the times that are told when one points at a bar.
        now: The present time.
    """
    longest = max((run.duration or 0.0 for run in runs), default=0.0)
    bars = []
    for place, run in enumerate(runs):
        height = _height(run, longest)
        x = (BARS - 1 - place) * STEP
        told = f"{clock(run.nominal_time, zone, now)}: {outcome(run.outcome)} {length(run.duration)}".strip()
        bars.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="1" class="k-{}"><title>{}</title></rect>').format(
                x, HEIGHT - height, BAR, height, KINDS[run.outcome], told
            )
        )
    return Markup(
        '<svg class="spark" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}</svg>'
    ).format(BARS * STEP, HEIGHT, summary(runs), Markup("").join(bars))


def _height(run: Run, longest: float) -> int:
    if run.outcome not in KINDS or KINDS[run.outcome] in ("warn", "mute", "wait"):
        return LEAST  # it did not run
    if KINDS[run.outcome] == "busy" or not longest:
        return HEIGHT if KINDS[run.outcome] == "busy" else HEIGHT // 2
    share = math.sqrt((run.duration or 0.0) / longest)
    return round(LEAST + 2 + (HEIGHT - LEAST - 2) * share)


def summary(runs: Sequence[Run]) -> str:
    """Return in words how *runs* ended."""
    if not runs:
        return "no runs yet"
    counts: dict[str, int] = {}
    for run in runs:
        counts[outcome(run.outcome)] = counts.get(outcome(run.outcome), 0) + 1
    return f"the last {len(runs)} runs: " + ", ".join(f"{count} {word}" for word, count in counts.items())
