"""Whose clock is ahead or behind."""

from __future__ import annotations

from datetime import timedelta

from apsched.jobstores.base import Node
from apsched.web.answers import StoredNode
from apsched.web.sightings import Sightings
from tests.web.asking import NOW


def sign(beat: int, seconds: float) -> list[StoredNode]:
    """Return a node that has given a sign of life so many seconds after NOW, by its own clock."""
    node = Node(id="a:1:x", beat=beat, lease=15.0, started_at=NOW, seen_at=NOW + timedelta(seconds=seconds))
    return [StoredNode("default", node, 0)]


def ahead(sightings: Sightings, nodes: list[StoredNode], seconds: float) -> float | None:
    """Look so many seconds after NOW."""
    return sightings.look(nodes, NOW + timedelta(seconds=seconds))["default", "a:1:x"].ahead


def test_a_clock_that_is_ahead_is_seen_at_once() -> None:
    assert ahead(Sightings(), sign(7, seconds=30), seconds=5) == 25


def test_a_clock_that_is_behind_is_seen_at_the_next_sign_of_life() -> None:
    sightings = Sightings()
    assert ahead(sightings, sign(7, seconds=-60), seconds=0) is None  # it may have been silent
    assert ahead(sightings, sign(7, seconds=-60), seconds=3) is None
    assert ahead(sightings, sign(8, seconds=-56), seconds=6) == -59
    assert ahead(sightings, sign(8, seconds=-56), seconds=9) == -59  # until the next one


def test_a_clock_that_is_put_right_is_told_no_more() -> None:
    sightings = Sightings()
    assert ahead(sightings, sign(7, seconds=30), seconds=0) == 30
    assert ahead(sightings, sign(8, seconds=4), seconds=5) is None


def test_a_node_that_lives_by_the_same_clock_is_never_blamed() -> None:
    sightings = Sightings()
    assert [ahead(sightings, sign(n, seconds=5 * n), seconds=5 * n + 0.5) for n in range(5)] == [None] * 5


def test_nodes_that_are_gone_are_forgotten() -> None:
    sightings = Sightings()
    sightings.look(sign(7, seconds=-60), NOW)
    assert sightings.look([], NOW) == {}
    assert ahead(sightings, sign(8, seconds=-55), seconds=5) is None
