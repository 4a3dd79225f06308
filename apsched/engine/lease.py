"""Say how far a node may trust that its claims are its own (layer 6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from apsched.clock import Clock
from apsched.exceptions import ExecutorRefusedError

TRUSTED = 2 / 3  # of a lease after the last beat was sent; the others wait for a whole one


class Lease:
    """
    What keeps the claims of one node in one store.

    Used from the event loop and from the threads in which beats are sent and callables are entered.

    Args:
        node: The id under which the node has joined.
        seconds: After how long without a beat others take it for dead; `math.inf` where there are no others.
        clock: Time.

    Attributes:
        node: The id.
        seconds: The same.
        is_lost: Whether it was taken for dead; never taken back, since the node goes on under another id.
        enter: Returns the time at which a callable is entered; raises ExecutorRefusedError if it must not be, since
            others may have taken this node for dead and given the run away.
        last_beat: When the last beat that was answered was sent, or the node joined; aware UTC.
    """

    def __init__(self, node: str, seconds: float, clock: Clock) -> None:
        self.node = node
        self.seconds = seconds
        self.is_lost: bool = False
        self._clock = clock
        self._longest = TRUSTED * seconds
        self._longest_delta = timedelta.max if seconds == math.inf else timedelta(seconds=self._longest)
        self._sent = clock.monotonic()
        self.last_beat: datetime = clock.now()
        self.enter: Callable[[], datetime] = self._enter  # bound once, since every run has it

    @property
    def is_trusted(self) -> bool:
        """
        Whether nobody can have taken the node for dead yet.

        Both clocks are asked, since the monotonic one stands still while the machine is suspended.
        """
        if self.is_lost or self.seconds == math.inf:
            return not self.is_lost
        if self._clock.monotonic() - self._sent > self._longest:
            return False
        return self._clock.now() - self.last_beat <= self._longest_delta

    def renew(self, sent: float, sent_at: datetime) -> None:
        """Note that a beat was answered which was sent then: by the monotonic clock, and by the wall clock."""
        self._sent, self.last_beat = sent, sent_at

    def _enter(self) -> datetime:
        if not self.is_trusted:
            raise ExecutorRefusedError(f"node {self.node} cannot be sure any more that the run is its own")
        return self._clock.now()
