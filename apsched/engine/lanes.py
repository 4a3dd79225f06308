"""Know which lanes of a store this node serves, and in which order (layer 6).

Jobs that have a priority, or require something of their node, stand in lanes of their own: a store sorts due jobs by
lanes and times, and knows of executors, priorities and capabilities nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

import attrs

from apsched.job import Job, parse_lane


@attrs.frozen
class Lane:
    """
    A lane that this node serves.

    Attributes:
        name: What stores call it.
        alias: That of its executor.
        priority: Of its jobs.
    """

    name: str
    alias: str
    priority: int = 0


class Lanes:
    """
    The lanes of one store.

    Args:
        capabilities: What this node has.

    Attributes:
        is_stale: Whether the store should be asked which lanes there are.
    """

    def __init__(self, capabilities: frozenset[str]) -> None:
        self._capabilities = capabilities
        self._known: frozenset[str] = frozenset()
        self._special: dict[str, list[Lane]] = {}  # alias of an executor -> its lanes but for that of its own name
        self.is_stale: bool = True

    @property
    def are_special(self) -> bool:
        """Whether there are others than one for each executor."""
        return bool(self._special)

    def learn(self, names: Iterable[str]) -> None:
        """Take note of lanes; those that are gone cost little and stay."""
        news = frozenset(names) - self._known
        if not news:
            return
        self._known |= news
        for name in news:
            alias, priority, requires = parse_lane(name)
            if name != alias and self._capabilities.issuperset(requires):
                self._special.setdefault(alias, []).append(Lane(name, alias, priority))

    def note(self, jobs: Iterable[Job]) -> None:
        """Take note of the lanes of jobs that come to the store here."""
        self.learn(job.lane for job in jobs if job.priority or job.requires)

    def slots(self, free: Mapping[str, int]) -> dict[str, int]:
        """Return *free*, a number for each executor, as one for each lane."""
        return {lane.name: count for alias, count in free.items() for lane in self._of(alias)}

    def rounds(self, free: Mapping[str, int]) -> list[list[Lane]]:
        """Return in which rounds to claim, the most urgent lanes first; of each executor one lane a round."""
        rounds: list[list[Lane]] = []
        for alias in free:
            for number, lane in enumerate(self._of(alias)):
                if number == len(rounds):
                    rounds.append([])
                rounds[number].append(lane)
        return rounds

    def _of(self, alias: str) -> list[Lane]:
        lanes = [*self._special.get(alias, ()), Lane(alias, alias)]
        return sorted(lanes, key=attrgetter("priority"), reverse=True)
