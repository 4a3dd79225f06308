"""Remember what was done to whom, and tell whether it can have cost a node its lease."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import attrs


@attrs.define
class Fault:
    """
    One thing that was done.

    Attributes:
        kind: What.
        pid: The process of the node that was hit; None: all of them.
        began: When, in seconds of the monotonic clock.
        ended: When it was undone; infinite for what cannot be.
    """

    kind: str
    pid: int | None
    began: float
    ended: float = math.inf


class Faults:
    """All that was done, in its order."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.all: list[Fault] = list(faults)

    def begin(self, kind: str, pid: int | None, now: float) -> Fault:
        """Note that something is done."""
        fault = Fault(kind, pid, now)
        self.all.append(fault)
        return fault

    def counts(self) -> Counter[str]:
        """Return how often each kind was done."""
        return Counter(fault.kind for fault in self.all)

    def can_have_silenced(self, node: str, since: float, until: float, lease: float) -> bool:
        """
        Tell whether *node* can have lost its lease then.

        It can if it was killed, or silent for half a lease in all: it distrusts itself after two thirds, and its last
        beat may be a third old when something begins. What follows within half a lease counts as one silence.
        """
        pid = pid_of(node)
        silences = sorted((f.began, f.ended) for f in self.all if f.pid in (pid, None) and f.began < until)
        began = ended = -math.inf
        for one in silences:
            if one[0] > ended + lease / 2:
                began = one[0]
            ended = max(ended, one[1])
            if ended > since and min(ended, until) - began >= lease / 2:
                return True
        return False


def pid_of(node: str) -> int:
    """Return the process id that is part of the id of a node."""
    return int(node.split(":")[-2])
