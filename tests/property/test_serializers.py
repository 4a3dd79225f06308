"""Whatever is made of the closed types is written, and comes back exactly."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsched.serializers.base import Serializer
from apsched.serializers.cbor import CBORSerializer
from apsched.serializers.json import JSONSerializer
from tests.exact import exact

text = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["$", "$set", "$type", "a$"])
offsets = st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)).map(timezone)
zones = st.none() | st.just(UTC) | offsets | st.timezones(no_cache=False)
folds = st.sampled_from([0, 1])
hashable_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**650)
    | st.floats()
    | text
    | st.binary()
    | st.datetimes(timezones=zones, allow_imaginary=True)
    | st.builds(lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=zones), folds)
    | st.dates()
    | st.times(timezones=zones)
    | st.timedeltas()
    | st.decimals().filter(lambda number: not number.is_snan())  # which cannot be hashed
    | st.uuids()
    | zones
)
hashables = st.recursive(
    hashable_scalars,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(text, inner, max_size=5)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("serializer", [JSONSerializer(), CBORSerializer()], ids=["json", "cbor"])
@given(value=values)
def test_a_value_comes_back_exactly(serializer: Serializer, value: Any) -> None:
    assert exact(serializer.loads(serializer.dumps(value))) == exact(value)


@pytest.mark.parametrize("serializer", [JSONSerializer(), CBORSerializer()], ids=["json", "cbor"])
@given(data=st.binary() | text.map(str.encode))
def test_any_bytes_are_read_or_refused_by_a_value_error(serializer: Serializer, data: bytes) -> None:
    with suppress(ValueError):
        serializer.loads(data)


@pytest.mark.parametrize("serializer", [JSONSerializer(), CBORSerializer()], ids=["json", "cbor"])
@given(value=values, place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_document_with_a_changed_byte_is_read_or_refused_by_a_value_error(
    serializer: Serializer, value: Any, place: float, byte: int
) -> None:
    data = bytearray(serializer.dumps(value))
    data[int(place * len(data))] = byte

    with suppress(ValueError):
        serializer.loads(bytes(data))
