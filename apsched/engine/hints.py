"""Tell other nodes of changes in one store, and hear of theirs (layer 6).

Rule 1: a hint carries nothing and may be lost: polling heals that. So nobody waits for one, and none fails a verb.
Rule 2: the first change is told at once, and what changes in the next moment is told together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import anyio

from apsched.clock import Clock, Wakeup
from apsched.engine.backoff import Backoff
from apsched.engine.entered import entered
from apsched.notifiers.base import Notifier

logger: logging.Logger = logging.getLogger("apsched.hints")

MOMENT = timedelta(milliseconds=10)  # in which changes are told together


class Hints:
    """
    The hints that concern one store.

    Args:
        alias: Its alias.
        clock: Time.
        notifiers: What carries hints and is open as long as this works.
        own: What carries hints by the server of the store, to be opened here; None if there is nothing.
        on_hint: Called when another node has told of a change by *own*.
    """

    def __init__(
        self,
        alias: str,
        clock: Clock,
        notifiers: Sequence[Notifier],
        own: Notifier | None,
        on_hint: Callable[[], None],
    ) -> None:
        self._alias = alias
        self._clock = clock
        self._notifiers = list(notifiers)
        self._own = own
        self._on_hint = on_hint
        self._wakeup = Wakeup()
        self._is_due = False
        self._is_closing = False
        self._is_failing = False

    @property
    def has_work(self) -> bool:
        """Whether there is anybody to tell or to hear."""
        return bool(self._notifiers) or self._own is not None

    def send(self) -> None:
        """Tell the other nodes soon that the store has changed."""
        self._is_due = True
        self._wakeup.set()

    def close(self) -> None:
        """Let `run` return when the last hint is on its way."""
        self._is_closing = True
        self._wakeup.set()

    async def run(self) -> None:
        """Tell and hear until `close`."""
        async with anyio.create_task_group() as tasks:
            if self._own is not None:
                tasks.start_soon(self._listen, self._own)
            await self._tell()
            tasks.cancel_scope.cancel()

    async def _tell(self) -> None:
        with self._clock.at_work():
            while not self._is_closing or self._is_due:
                await self._clock.wait(self._wakeup, None)
                self._wakeup.arm()
                if self._is_due:
                    self._is_due = False
                    await self._notify_all()
                    if self._clock.is_real and not self._is_closing:
                        await self._clock.wait(Wakeup(), self._clock.now() + MOMENT)

    async def _notify_all(self) -> None:
        for notifier in list(self._notifiers):
            try:
                await notifier.notify(self._alias)
            except Exception:
                if not self._is_failing:
                    logger.warning("other nodes cannot be told of changes in job store %r", self._alias, exc_info=True)
                self._is_failing = True
            else:
                self._is_failing = False

    async def _listen(self, own: Notifier) -> None:
        """Keep the store's own notifier open, and hear what it says."""
        backoff = Backoff()
        with self._clock.at_work():
            while True:
                try:
                    async with entered(own, f"the notifier of job store {self._alias!r}"):
                        self._notifiers.append(own)
                        try:
                            await listen(own, self._clock, lambda alias: self._on_hint(), self._on_hint, backoff)
                        finally:
                            self._notifiers.remove(own)
                except Exception:
                    logger.warning("changes in job store %r are found by polling alone", self._alias, exc_info=True)
                await backoff.sleep(self._clock)


async def listen(
    notifier: Notifier,
    clock: Clock,
    on_hint: Callable[[str], None],
    on_open: Callable[[], None],
    backoff: Backoff,
) -> None:
    """
    Call *on_hint* with each alias that other nodes name, until the connection breaks.

    Calls *on_open* as soon as it listens, since what was told before is lost. The caller counts as at work, but for the
    time in which nothing is heard.
    """
    async with notifier.listen() as hints:
        on_open()
        clock.work_ended()
        try:
            async for alias in hints:
                backoff.reset()
                on_hint(alias)
        finally:
            clock.work_began()
