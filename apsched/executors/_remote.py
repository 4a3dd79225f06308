"""Wait in the scheduler's event loop for a call that another machine makes (layer 7).

Rule: who lets a call be entered and who gives it up is decided under one lock, so that a call which was given up before
it was entered never is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from apsched import _eventloop
from apsched._eventloop import Waiter
from apsched.exceptions import ExecutorRefusedError, WorkerDiedError
from apsched.executors._worker_process import name_of
from apsched.executors.base import Call

LEFT = "the executor takes no calls: it was left"


class Errand:
    """
    A call on its way to another machine; made in the scheduler's event loop.

    Attributes:
        call: The call.
        name: Names its callable in messages.
        is_entered: Whether it may have been entered.
        is_given_up: Whether nobody waits for it any more.
        cancel_there: Ends it in the thread that has it.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.name: str = name_of(call.func)
        self.is_entered: bool = False
        self.is_given_up: bool = False
        self.cancel_there: Callable[[], object] = _nothing
        self._lock = threading.Lock()
        self._here = _eventloop.current()
        self._outcome: Waiter[tuple[Any, BaseException | None]] = self._here.waiter()

    def enter(self) -> bool:
        """
        Note that the call is being entered; False if it must not be. From any thread.

        Raises:
            ExecutorRefusedError: It must not be, since the node cannot be sure that the run is its own.
        """
        with self._lock:
            if self.is_entered or self.is_given_up:
                return False
            self.call.started()
            self.is_entered = True
            return True

    def give_up(self) -> bool:
        """Let it not be entered any more; False if it may have been. From any thread."""
        with self._lock:
            self.is_given_up = True
            return not self.is_entered

    def lost(self, how: str) -> Exception:
        """Give the call up, and return what to raise for a call that is out of reach."""
        if self.give_up():
            return ExecutorRefusedError(f"the executor takes no calls: {how}")
        return WorkerDiedError(f"{self.name} was under way when {how}; whether it has ended is not known", None)

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Tell how it ended; from any thread. The first one counts."""
        with suppress(RuntimeError):  # the scheduler has ended: nobody waits
            self._here.call_soon_threadsafe(partial(self._outcome.set, (value, error)))

    async def outcome(self) -> Any:
        """
        Return what came of it.

        Raises:
            BaseException: Its error.
        """
        value, error = await self._outcome.wait()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # no circle may stay: the traceback of an error has this frame


def _nothing() -> None:
    """Cancel what has not begun."""
