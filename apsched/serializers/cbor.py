"""Write values as CBOR (layer 5).

Rule: of CBOR's own tags only those of large numbers are read; the others stand for types that are never written, or
for references, by which a value might contain itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from io import BytesIO
from typing import Any, NoReturn

from apsched.exceptions import MissingExtraError
from apsched.serializers._closed import ClosedSerializer
from apsched.serializers._flatten import PLAIN

try:
    import cbor2
except ImportError as exc:
    raise MissingExtraError("CBORSerializer", "cbor") from exc


def _refuse_tag(value: Any, immutable: bool) -> NoReturn:
    raise ValueError("it holds a CBOR tag that is never written")


# Those that cbor2 would read by itself.
_REFUSED: Mapping[int, Callable[[Any, bool], Any]] = dict.fromkeys(
    (0, 1, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)


class CBORSerializer(ClosedSerializer):
    """
    Writes the closed types as CBOR: bytes take half the space that they take in JSON.

    Args:
        types_of: Another serializer of the closed types, whose registered types are known to this one too.
    """

    name = "cbor"
    plain: Collection[type] = PLAIN | {bytes}

    def _write(self, flat: Any) -> bytes:
        return cbor2.dumps(flat)

    def _read(self, data: bytes) -> Any:
        decoder = cbor2.CBORDecoder(
            BytesIO(data), object_hook=self._restore, tag_hook=_refuse_tag, semantic_decoders=_REFUSED
        )
        try:
            value = decoder.decode()
        except cbor2.CBORDecodeError as exc:
            raise ValueError(f"it is not CBOR as it is written here: {exc.__cause__ or exc}") from exc
        try:
            decoder.read(1)
        except cbor2.CBORDecodeEOF:
            return value
        raise ValueError("it is not CBOR as it is written here: more follows")

    def _restore(self, found: Mapping[Any, Any], immutable: bool) -> Any:
        return self._types.restore(dict(found))
