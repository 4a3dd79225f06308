"""Carry many values to a script and back as one text of MessagePack (layer 7)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeAlias

Argument: TypeAlias = str | bytes | int | Sequence[bytes]
"""What a script takes: a text, a number, or a list of texts."""

_HEAD = struct.Struct(">BI")  # of an array or a text: the kind, and how many or how long
_ARRAY = 0xDD
_TEXT = 0xDB
_HEADS_OF_SHORT = tuple(bytes((0xD9, length)) for length in range(256))

_NOTHING = (0xC0, 0xC2)  # nil and false
_SIZES = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}  # kind of a text or an array -> bytes that hold its length


def pack(values: Sequence[Argument]) -> bytes:
    """Return *values* as an array of texts and of arrays of texts."""
    parts = [_HEAD.pack(_ARRAY, len(values))]
    for value in values:
        if isinstance(value, (bytes, str, int)):
            _add_texts(parts, (value if isinstance(value, bytes) else str(value).encode(),))
        else:
            parts.append(_HEAD.pack(_ARRAY, len(value)))
            _add_texts(parts, value)
    return b"".join(parts)


def _add_texts(parts: list[bytes], texts: Sequence[bytes]) -> None:
    for text in texts:
        length = len(text)
        parts.append(_HEADS_OF_SHORT[length] if length < 256 else _HEAD.pack(_TEXT, length))
        parts.append(text)


def rows_of(data: bytes) -> list[tuple[bytes, ...]]:
    """Return the rows of the columns that the function `pack` of the scripts has joined; what is missing is empty."""
    columns = []
    count, place = _read_length(data, 0, 0x90, 0x0F)
    for _ in range(count):
        length, place = _read_length(data, place, 0x90, 0x0F)
        column = []
        for _ in range(length):
            kind = data[place]
            if kind in _NOTHING:
                column.append(b"")
                place += 1
                continue
            if kind == 0xD9:  # most texts
                start = place + 2
                place = start + data[place + 1]
            else:
                size, start = _read_length(data, place, 0xA0, 0x1F)
                place = start + size
            column.append(data[start:place])
        columns.append(column)
    return list(zip_longest(*columns, fillvalue=b""))


def _read_length(data: bytes, place: int, short: int, mask: int) -> tuple[int, int]:
    """Return the length of the text or the array that stands there, and where its contents begin."""
    kind = data[place]
    if kind & ~mask == short:
        return kind & mask, place + 1
    end = place + 1 + _SIZES[kind]
    return int.from_bytes(data[place + 1 : end]), end
