"""Gather what holds for every job store (layer 10)."""

from __future__ import annotations

from apsched.testing.contract._claims import ClaimTests
from apsched.testing.contract._data import DataTests
from apsched.testing.contract._jobs import JobTests
from apsched.testing.contract._lanes import LaneTests
from apsched.testing.contract._nodes import NodeTests
from apsched.testing.contract._races import RaceTests
from apsched.testing.contract._runs import RunTests
from apsched.testing.contract._waiting import WaitingTests


class JobStoreContract(JobTests, ClaimTests, RunTests, WaitingTests, LaneTests, NodeTests, DataTests, RaceTests):
    """
    The contract of job stores; subclass it, name the subclass `Test...`, and override the fixture `store`.

    Override the fixture `other_store` too where two store objects can work on the same data.

    Attributes:
        keep_runs: How many finished runs the store of the fixture keeps of a job that does not name a number. A small
            one makes for quick tests.
        is_persistent: Whether what the store keeps outlives it. One that does not may keep the very callables and
            arguments, and forget finished runs as soon as there are more than `keep_runs`.
    """
