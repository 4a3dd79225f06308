"""Write values as JSON (layer 5)."""

from __future__ import annotations

import json
from typing import Any

from apsched.serializers._closed import ClosedSerializer


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"it holds {text}, which is not JSON")


class JSONSerializer(ClosedSerializer):
    """
    Writes the closed types as JSON, which every database and program can show.

    What JSON has no form for is an object of one key: `{"$date": "2026-01-31"}`.

    Args:
        types_of: Another serializer of the closed types, whose registered types are known to this one too.
    """

    name = "json"

    def __init__(self, types_of: ClosedSerializer | None = None) -> None:
        super().__init__(types_of)
        self._encode = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
        ).encode
        self._decode_plain = json.JSONDecoder(parse_constant=_refuse_constant).decode
        self._decode = json.JSONDecoder(parse_constant=_refuse_constant, object_hook=self._types.restore).decode

    def _write(self, flat: Any) -> bytes:
        return self._encode(flat).encode()

    def _read(self, data: bytes) -> Any:
        try:
            text = data.decode()
        except UnicodeDecodeError as exc:
            raise ValueError(f"it is not UTF-8: {exc.reason} at byte {exc.start}") from None
        try:
            if b'"$' not in data and b"\\u0024" not in data:  # there can be no tag
                return self._decode_plain(text)
            return self._decode(text)
        except json.JSONDecodeError as exc:
            raise ValueError(f"it is not JSON: {exc}") from None
