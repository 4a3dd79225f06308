"""Say what a serializer is (layer 5)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import attrs


class Serializer(ABC):
    """
    Turns values into bytes and back: the arguments of jobs, their options and what they return.

    Called in any thread, and in several at a time.

    Attributes:
        name: Stands before whatever it has written, so that it can be told what wrote it. Without a colon; never
            changes.
    """

    name: str

    @abstractmethod
    def dumps(self, value: Any) -> bytes:
        """
        Return *value* as bytes.

        Raises:
            UnstorableError: It, or something in it, cannot be written; the message says where it stands.
        """

    @abstractmethod
    def loads(self, data: bytes) -> Any:
        """
        Return a new value, equal to the one that `dumps` was given and of the same type.

        Raises:
            ValueError: *data* is damaged, or holds what this serializer does not know.
        """


@attrs.frozen
class Unstorable:
    """
    Stands in the history for a return value that could not be kept.

    Attributes:
        text: What it was, and why it is not here; one sentence.
    """

    text: str
