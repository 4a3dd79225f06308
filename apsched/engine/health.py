"""Say how a scheduler is (layer 6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs


@attrs.frozen(kw_only=True)
class StoreHealth:
    """
    How the loop of one store is.

    Attributes:
        last_look: When it last looked at its store and got an answer, aware UTC; None if it never did.
        failures: How many looks, and tries to store how runs ended, have failed in a row; 0 if all is well.
        last_error: What the last failure was.
        unrecorded: How many finished runs wait to be stored.
        node: The id under which this scheduler is known there; another one after it was taken for dead.
        last_beat: When it last gave a sign of life, aware UTC; None for a store that is not shared.
        is_trusted: Whether it can be sure that no other node has taken it for dead. While it cannot, it starts nothing.
        live_nodes: How many nodes use the store, this one included, as far as is known.
        overdue: The ids of the jobs that have not succeeded for as long as their `expect_success_within`.
    """

    last_look: datetime | None
    failures: int
    last_error: str | None
    unrecorded: int
    node: str
    last_beat: datetime | None
    is_trusted: bool
    live_nodes: int
    overdue: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ExecutorHealth:
    """
    How one executor is in use.

    Attributes:
        capacity: How many runs it takes at a time.
        in_use: How many runs it has, those that come next included.
        stuck: How many calls were given up, because they were cancelled or timed out, and go on nevertheless.
    """

    capacity: int
    in_use: int
    stuck: int = 0


@attrs.frozen(kw_only=True)
class LoopHealth:
    """
    What has blocked the event loop since the start; see `blocked_after` of the scheduler.

    Attributes:
        times_blocked: How often it was blocked for too long.
        longest_block: For how many seconds at most, 0 if never.
        last_blocked_by: The job or listener of the last time and where it stood, one text; None if never.
    """

    times_blocked: int = 0
    longest_block: float = 0.0
    last_blocked_by: str | None = None


@attrs.frozen(kw_only=True)
class Health:
    """
    How a scheduler is.

    Attributes:
        node: Its id: host, process id and a random part.
        is_running: Whether it has started and not shut down.
        is_paused: Whether it claims nothing until it is resumed.
        jobstores: Alias -> how its loop is.
        executors: Alias -> how it is in use.
        runs_under_way: How many runs are claimed and not finished.
        event_loop: What has blocked the event loop.
    """

    node: str
    is_running: bool
    is_paused: bool
    jobstores: Mapping[str, StoreHealth]
    executors: Mapping[str, ExecutorHealth]
    runs_under_way: int
    event_loop: LoopHealth = LoopHealth()

    @property
    def is_ok(self) -> bool:
        """Whether it runs, every store answers and every lease can be trusted."""
        return self.is_running and all(not store.failures and store.is_trusted for store in self.jobstores.values())
