"""The port of notifiers (layer 5)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self


class Notifier(ABC):
    """Carries the hint *look at this store again* between nodes. Never data, and it may be lost: polling heals that."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    async def notify(self, store: str) -> None:
        """Tell every other node that the store of alias *store* has changed."""

    @abstractmethod
    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """
        Open the stream of aliases that other nodes name from then on; own hints may be among them.

        Hints that nobody has taken yet may be merged, as long as each alias is named once more. The stream raises what
        goes wrong; to listen on, open it anew.
        """
