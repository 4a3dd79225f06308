"""Draw how long the last runs of a job took (layer 10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from markupsafe import Markup

from apsched.run import Run
from apsched.web.charts.spark import summary
from apsched.web.load import usual_length
from apsched.web.words import KINDS, clock, length, outcome

BARS = 100
HEIGHT, LEAST = 96, 3
GAP = 0.25  # of the width of a bar


def history(runs: Sequence[Run], hrefs: Sequence[str], zone: tzinfo, now: datetime) -> Markup:
    """
    Return the picture: color tells the outcome, height how long a run took, a line the middle of that.

    Args:
        runs: At most `BARS`, the latest first.
        hrefs: Where each of them is shown.
        zone: Of the times that are told when one points at a bar.
        now: The present time.
    """
    took = [run.duration for run in runs if run.duration is not None]
    longest = max(took, default=0.0)
    step = 100 / max(len(runs), BARS // 4)
    bars = []
    for place, (run, href) in enumerate(zip(runs, hrefs, strict=True)):
        height = LEAST + (HEIGHT - LEAST) * (run.duration or 0.0) / longest if longest else LEAST
        told = f"{clock(run.nominal_time, zone, now)}: {outcome(run.outcome)} {length(run.duration)}".strip()
        bars.append(
            Markup(
                '<a href="{}" aria-label="{}"><rect x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}" rx="2" '
                'class="k-{}"><title>{}</title></rect></a>'
            ).format(
                href,
                told,
                100 - (place + 1) * step,
                HEIGHT - height,
                step * (1 - GAP),
                height,
                KINDS[run.outcome],
                told,
            )
        )
    usual = usual_length(took)
    if longest:
        y = HEIGHT - LEAST - (HEIGHT - LEAST) * usual / longest
        bars.append(Markup('<line x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}" class="usual"/>').format(y))
    return Markup('<svg class="history" width="100%" height="{}" role="group" aria-label="{}">{}</svg>').format(
        HEIGHT, summary(runs), Markup("").join(bars)
    )
