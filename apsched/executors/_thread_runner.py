"""Run a call in the thread that took it (layer 7)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from apsched.executors._calling import call_to_end
from apsched.executors._threads import Runner, Work
from apsched.executors.base import Call

__all__ = ["ThreadRunner", "enter", "enter_to_end", "loop_name"]

# The context of a task may name the event loop that it runs in. A thread has none, and what looks there, as anyio does,
# would take that loop for the one that a callable runs of its own.
try:
    from sniffio import current_async_library_cvar as loop_name
except ImportError:
    loop_name = ContextVar("loop_name")


class ThreadRunner(Runner):
    """
    Runs calls in their context.

    Args:
        enter: How a call is made, from within its context.
        initialize: Called before the thread's first call, which fails with what it raises; it is then called again
            before the next.
    """

    can_end = False

    def __init__(self, enter: Callable[[Call], Any], initialize: Callable[[], object] | None = None) -> None:
        self._enter = enter
        self._initialize = initialize

    def run(self, work: Work) -> None:
        try:
            if self._initialize is not None:
                self._initialize()
                self._initialize = None
            work.value = work.call.context.run(self._enter, work.call)
        except BaseException as exc:
            work.error = exc
        work.call.ended()


def enter(call: Call) -> Any:
    """Make *call*; an awaitable that it returns is returned as it is."""
    if loop_name.get(None) is not None:
        loop_name.set(None)
    call.started()
    return call.func(*call.args, **call.kwargs)


def enter_to_end(call: Call) -> Any:
    """Make *call*; an awaitable that it returns is awaited here."""
    if loop_name.get(None) is not None:
        loop_name.set(None)
    call.started()
    return call_to_end(call.func, call.args, call.kwargs)
