"""How many runs may be claimed for which executor."""

from __future__ import annotations

import pytest

from apsched.engine.slots import AHEAD_LIMIT, Slots
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ThreadPoolExecutor


class Freed:
    """Counts calls."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def freed() -> Freed:
    return Freed()


@pytest.fixture
def slots(freed: Freed) -> Slots:
    slots = Slots(freed)
    slots.add("pool", ThreadPoolExecutor(3))
    return slots


def take(slots: Slots, count: int) -> None:
    for _ in range(count):
        assert slots.take("pool") is not None


def finish(slots: Slots, count: int, duration: float) -> None:
    for _ in range(count):
        slot = slots.take("pool")
        assert slot is not None
        slots.give_back(slot, duration)


def test_an_unused_executor_has_its_capacity_free(slots: Slots) -> None:
    assert slots.free(100) == {"pool": 3}
    assert slots.in_use() == {"pool": 0}


def test_what_is_taken_is_not_free(slots: Slots) -> None:
    take(slots, 2)

    assert slots.free(100) == {"pool": 1}
    assert slots.in_use() == {"pool": 2}


def test_no_more_is_free_than_the_limit_and_no_less_than_none(slots: Slots) -> None:
    assert slots.free(2) == {"pool": 2}
    take(slots, 5)
    assert slots.free(2) == {"pool": 0}


def test_what_is_given_back_is_free(slots: Slots) -> None:
    take(slots, 2)
    finish(slots, 1, 10.0)

    assert slots.free(100) == {"pool": 1}


def test_executors_are_counted_each_by_itself(slots: Slots) -> None:
    slots.add("debug", DebugExecutor())
    take(slots, 3)

    assert slots.free(100)["pool"] == 0
    assert slots.free(100)["debug"] > 0


def test_runs_are_claimed_ahead_when_runs_are_short(slots: Slots) -> None:
    finish(slots, 500, 0.0001)

    assert 3 < slots.free(1000)["pool"] <= 3 + AHEAD_LIMIT


def test_some_ten_short_runs_are_not_enough_to_claim_many_ahead_and_some_fifty_are(slots: Slots) -> None:
    finish(slots, 12, 0.00001)
    assert slots.free(1000)["pool"] <= 3 + 12
    finish(slots, 40, 0.00001)
    assert slots.free(1000)["pool"] > 3 + 200


def test_nothing_is_claimed_ahead_any_more_when_runs_are_long(slots: Slots) -> None:
    finish(slots, 500, 0.0001)
    finish(slots, 1, 60.0)

    assert slots.free(1000) == {"pool": 3}


def test_a_full_executor_tells_when_it_has_room_again(slots: Slots, freed: Freed) -> None:
    take(slots, 2)
    slots.free(100)
    slot = slots.take("pool")
    assert slot is not None
    assert slots.free(100) == {"pool": 0}
    assert freed.times == 0

    slots.give_back(slot, 10.0)
    assert freed.times == 1
    slots.give_back(slot, 10.0)
    assert freed.times == 1


def test_aliases_come_and_go(slots: Slots) -> None:
    assert "pool" in slots

    slots.remove("pool")

    assert "pool" not in slots
    assert slots.take("pool") is None
    assert slots.free(100) == {}


def test_a_slot_of_a_removed_executor_can_be_given_back(slots: Slots) -> None:
    slot = slots.take("pool")
    assert slot is not None
    slots.remove("pool")

    slots.give_back(slot, 1.0)

    assert slots.in_use() == {}


def test_of_short_runs_a_full_executor_tells_when_half_of_what_may_be_claimed_ahead_is_free(
    slots: Slots, freed: Freed
) -> None:
    finish(slots, 1000, 0.0)
    taken = [slots.take("pool") for _ in range(slots.free(2000)["pool"])]
    assert slots.free(2000) == {"pool": 0}

    for place, slot in enumerate(taken[: AHEAD_LIMIT // 2 + 1]):
        assert freed.times == 0, place
        assert slot is not None
        slots.give_back(slot, 0.0)

    assert freed.times == 1
