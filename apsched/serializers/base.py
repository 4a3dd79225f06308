"""Say what a serializer is (layer 5)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import attrs

from apsched.run import Run


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
    Stands for a return value that could not be kept, or for arguments of a run that cannot be read.

    Attributes:
        text: What it was, and why it is not here; one sentence.
    """

    text: str


def unreadable_arguments(run: Run) -> str | None:
    """Return why the arguments of *run*, which a store has kept, cannot be read; None if they can, or it has none."""
    if run.args is not None and len(run.args) == 1 and isinstance(run.args[0], Unstorable):
        return run.args[0].text
    return None
