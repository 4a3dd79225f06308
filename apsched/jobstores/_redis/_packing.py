"""Carry many values to a script and back as one text (layer 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

_HEAD = struct.Struct(">BI")  # of an array or a text in MessagePack: the kind, and how many or how long
_ARRAY = 0xDD
_TEXT = 0xDB


def pack(values: Sequence[str | bytes | int]) -> bytes:
    """Return *values* in MessagePack, as an array of texts."""
    head = _HEAD.pack
    parts = [head(_ARRAY, len(values))]
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts += (head(_TEXT, len(data)), data)
    return b"".join(parts)


def rows_of(text: bytes, width: int) -> list[tuple[bytes, ...]]:
    """Return the values that the function `pack` of the scripts has joined, as tuples of *width*."""
    return list(zip(*[_values(text)] * width, strict=True))


def _values(text: bytes) -> Iterator[bytes]:
    lengths, _, data = text.partition(b"\n")
    place = 0
    for length in lengths.split(b",") if lengths else ():
        end = place + int(length)
        yield data[place:end]
        place = end
