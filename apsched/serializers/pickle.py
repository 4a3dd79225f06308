"""Write values as pickles (layer 5)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from apsched.exceptions import _shown
from apsched.serializers._flatten import DEEPEST
from apsched.serializers._refused import Refused
from apsched.serializers.base import Serializer


class PickleSerializer(Serializer):
    """
    Writes whatever can be pickled.

    **Reading a pickle runs code that its writer has chosen.** Use it only where nobody but the program itself can write
    to the store.

    Args:
        protocol: Version of the format; 5 is read by every Python that apsched runs on.
    """

    name = "pickle"

    def __init__(self, protocol: int = 5) -> None:
        if isinstance(protocol, bool) or not isinstance(protocol, int) or not 2 <= protocol <= pickle.HIGHEST_PROTOCOL:
            raise ValueError(f"protocol must be a whole number from 2 to {pickle.HIGHEST_PROTOCOL}, got {protocol!r}")
        self._protocol = protocol

    def dumps(self, value: Any) -> bytes:
        try:
            return pickle.dumps(value, self._protocol)
        except Exception as exc:  # __reduce__ and __getstate__ may raise anything
            raise self._locate(value, exc).error() from exc

    def loads(self, data: bytes) -> Any:
        try:
            return pickle.loads(data)  # noqa: S301  # the class says what that means
        except Exception as exc:  # the code that a pickle names may raise anything
            raise ValueError(f"it cannot be unpickled ({type(exc).__name__}: {exc})") from exc

    def _locate(self, value: Any, exc: Exception, level: int = 0) -> Refused:
        """Return the innermost part of *value* that cannot be pickled; *exc* is what pickling *value* raised."""
        for step, part in _parts(value) if level < DEEPEST else ():
            try:
                pickle.dumps(part, self._protocol)
            except Exception as inner:
                refused = self._locate(part, inner, level + 1)
                refused.steps.append(step)
                return refused
        return Refused(value, f"it cannot be pickled ({exc}); pass what can be")


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{_shown(key)}]", value[key]) for key in value)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
