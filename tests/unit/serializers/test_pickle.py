"""Pickles hold anything that can be pickled, and the part that cannot is named."""

from __future__ import annotations

import os
import pickle
from functools import partial
from typing import Any

import pytest

from apsched.exceptions import UnstorableError
from apsched.serializers.pickle import PickleSerializer


class Unwilling:
    def __reduce__(self) -> str:
        raise RuntimeError("not me")


@pytest.mark.parametrize("value", [None, {1: (2, [3])}, {"a": partial(int, base=2)}], ids=repr)
def test_a_value_comes_back(value: Any) -> None:
    found = PickleSerializer().loads(PickleSerializer().dumps(value))

    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (lambda: 1, "value"),
        ({"kwargs": {"a": [1, lambda: 1]}}, "kwargs['a'][1]"),
        ({"args": (Unwilling(),)}, "args[0]"),
    ],
    ids=["value", "kwargs", "args"],
)
def test_what_cannot_be_pickled_is_named_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(UnstorableError, match="it cannot be pickled") as raised:
        PickleSerializer().dumps(value)

    assert raised.value.path == path


def test_what_contains_itself_and_something_else_is_refused() -> None:
    circle: list[Any] = []
    circle += [circle, lambda: 1]

    with pytest.raises(UnstorableError):
        PickleSerializer().dumps(circle)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x05cnowhere\nname\n.", pickle.dumps(Exception)[:-5]], ids=repr)
def test_a_damaged_pickle_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="it cannot be unpickled"):
        PickleSerializer().loads(data)


def test_the_protocol_can_be_chosen() -> None:
    assert PickleSerializer(protocol=2).dumps(1)[:2] == b"\x80\x02"
    assert PickleSerializer().dumps(1)[:2] == b"\x80\x05"


@pytest.mark.parametrize("protocol", [-1, 0, 99, True, "5", 2.0])
def test_a_wrong_protocol_is_refused(protocol: Any) -> None:
    with pytest.raises(ValueError, match="protocol must be a whole number from 2 to"):
        PickleSerializer(protocol)


def test_an_object_of_the_system_is_refused() -> None:
    with pytest.raises(UnstorableError, match="file"), open(os.devnull) as file:
        PickleSerializer().dumps({"file": file})
