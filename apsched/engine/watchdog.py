"""Notice what blocks the event loop, and name the job (layer 6).

Rule 1: a thread asks the event loop for a sign while runs are under way, and sleeps otherwise. All that it shares with
the loop are three events; whether it sleeps is decided in the thread of the loop.
Rule 2: a loop that waits in its selector is not blocked, whatever keeps it from answering.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable, Mapping
from types import CodeType, FrameType, TracebackType
from typing import Any, Self, TypeAlias

from apsched import _eventloop
from apsched.clock import Clock
from apsched.engine.bus import Bus
from apsched.engine.health import LoopHealth
from apsched.events import EVENT_LOOP_BLOCKED, SchedulerEvent

logger: logging.Logger = logging.getLogger("apsched.scheduler")

WAITING = ("selectors", "asyncio.", "trio.", "uvloop", "winloop")  # modules in which an event loop waits

Naming: TypeAlias = Callable[[Mapping[str, Any]], str]
"""Gets the variables of a function that calls users' code, and names whom it calls."""


class Watchdog:
    """
    Watches the running event loop, between entering and leaving.

    Args:
        clock: Time; nothing is watched where it is not real.
        bus: Gets an event when the loop goes on after it was blocked.
        limit: How many seconds it may be blocked; half as many more may pass until that is noticed. Infinity: any.
        callers: The code of each function that calls users' code in the event loop -> how to name whose.

    Attributes:
        is_awake: Whether it watches; whoever begins work while it does not calls `wake`.
        is_busy: Asked in the event loop: whether there is work.
    """

    def __init__(
        self,
        clock: Clock,
        bus: Bus,
        limit: float,
        callers: Mapping[CodeType, Naming],
    ) -> None:
        self._clock = clock
        self._bus = bus
        self._limit = limit
        self.is_busy: Callable[[], object] = bool
        self._callers = callers
        self._home = _eventloop.current()
        self._home_thread = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._awake = threading.Event()
        self._answered = threading.Event()
        self._ending = threading.Event()
        self.is_awake: bool = limit == math.inf or not clock.is_real  # and then nobody needs to call `wake`
        self._is_quiet = False  # at the last answer; a second one lets it sleep, since listeners come after the runs
        self._count = 0
        self._longest = 0.0
        self._last: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.is_awake = self._is_closing = True
        for event in (self._ending, self._awake, self._answered):
            event.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Watch, as long as the loop is busy."""
        if self._thread is None:
            thread = threading.Thread(target=self._watch, name="apsched-watchdog", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # out of threads; later, perhaps
                return
            self._thread = thread
        self.is_awake = True
        self._is_quiet = False
        self._awake.set()

    def health(self) -> LoopHealth:
        """Tell what was noticed."""
        return LoopHealth(times_blocked=self._count, longest_block=self._longest, last_blocked_by=self._last)

    def _answer(self) -> None:
        was_quiet, self._is_quiet = self._is_quiet, not self.is_busy()
        if was_quiet and self._is_quiet and not self._is_closing:
            self.is_awake = False
            self._awake.clear()
        self._answered.set()

    def _note(self, culprit: str, seconds: float) -> None:
        self._count += 1
        self._longest = max(self._longest, seconds)
        self._last = culprit
        detail = f"{culprit} blocked the event loop for {seconds:.1f} s"
        logger.info(detail)
        self._bus.publish(SchedulerEvent(EVENT_LOOP_BLOCKED, detail=detail))

    # in the thread

    def _watch(self) -> None:
        limit = self._limit
        while True:
            self._awake.wait()
            self._answered.clear()
            if self._is_closing:
                return
            asked = self._clock.monotonic()
            culprit = None
            try:
                self._home.call_soon_threadsafe(self._answer)
                while not self._answered.wait(limit):
                    if culprit is None and (culprit := self._find_culprit()) is not None:
                        logger.warning("the event loop is blocked for more than %g s by %s", limit, culprit)
                if culprit is not None:
                    self._tell(culprit, self._clock.monotonic() - asked)
            except RuntimeError:  # the loop has ended
                return
            self._ending.wait(limit / 2)

    def _tell(self, culprit: str, seconds: float) -> None:
        self._home.call_soon_threadsafe(lambda: self._note(culprit, seconds))

    def _find_culprit(self) -> str | None:
        """Say what the thread of the loop does; None if it waits."""
        innermost = frame = sys._current_frames().get(self._home_thread)
        if innermost is None or _module(innermost).startswith(WAITING):
            return None
        while frame is not None and frame.f_code not in self._callers:
            frame = frame.f_back
        whose = "code outside of jobs" if frame is None else self._callers[frame.f_code](frame.f_locals)
        return f"{whose}, at {innermost.f_code.co_filename}:{innermost.f_lineno} in {innermost.f_code.co_qualname}"


def _module(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name
