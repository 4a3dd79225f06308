"""Judge the clocks of nodes by their signs of life (layer 10).

A sign of life bears the time of whoever keeps it: of the node, or of the server of a Redis store. It was given between
two looks of this process, of which the second one sees a higher beat; a time outside of these is of another clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from apsched.web.answers import StoredNode

UNTOLD = timedelta(seconds=2)  # by which a clock may differ without a word


@attrs.frozen
class Sighting:
    """
    What a look has shown of a node.

    Attributes:
        beat: Its beat.
        looked_at: When that was, by this process's clock.
        ahead: By how many seconds at least its clock is ahead of this one's; less than 0: behind; None if no difference
            can be seen.
    """

    beat: int
    looked_at: datetime
    ahead: float | None


class Sightings:
    """What this process has seen of nodes; the first look at one may find its clock ahead, later ones behind, too."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Sighting] = {}

    def look(self, nodes: Iterable[StoredNode], now: datetime) -> dict[tuple[str, str], Sighting]:
        """Return what this look shows of each of *nodes*, by store and id; others are forgotten."""
        self._last = {
            (each.store, each.node.id): _sighting(each, self._last.get((each.store, each.node.id)), now)
            for each in nodes
        }
        return self._last


def _sighting(known: StoredNode, last: Sighting | None, now: datetime) -> Sighting:
    node = known.node
    ahead: timedelta | None = None
    if node.seen_at > now + UNTOLD:
        ahead = node.seen_at - now
    elif last is not None and node.beat == last.beat:
        return attrs.evolve(last, looked_at=now)
    elif last is not None and node.seen_at < last.looked_at - UNTOLD:
        ahead = node.seen_at - last.looked_at
    return Sighting(node.beat, now, None if ahead is None else ahead.total_seconds())
