"""A scheduler that is the program (layer 9)."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from apsched.async_scheduler import StoppedAtStartError
from apsched.schedulers.base import BaseScheduler

logger: logging.Logger = logging.getLogger("apsched.scheduler")


class BlockingScheduler(BaseScheduler):
    """Runs until it is shut down; `start` returns only then."""

    def start(self, paused: bool = False) -> None:
        """
        Start the scheduler and return when it has been shut down: from a job, by another thread or by a signal.

        Ctrl-C (SIGINT) lets the runs under way end and raises KeyboardInterrupt; a second one cancels them. SIGTERM
        lets them end and returns, unless the program handles it itself.

        Args:
            paused: Whether nothing is run until `resume`.

        Raises:
            SchedulerAlreadyRunningError: It is running.
            KeyboardInterrupt: Ctrl-C was pressed.
            Exception: A store cannot be opened, or a job that was added before cannot be kept.
        """
        try:
            with self._sigterm_drains() as is_asked_to_stop:
                super().start(paused)
                if is_asked_to_stop():  # before there was anybody to tell
                    self._portal.call_soon(self._core.request_stop)
                self._portal.join()
        except StoppedAtStartError as exc:
            logger.info("%s", exc)
        except (KeyboardInterrupt, SystemExit):
            self._drain()
            raise

    def _drain(self) -> None:
        if not self._portal.is_running:  # interrupted before it had started
            return
        logger.info("waits for the runs under way; interrupt again to cancel them")
        try:
            self._portal.call_soon(self._core.request_stop)
            self._portal.join()
        except (KeyboardInterrupt, SystemExit):
            self._portal.call_soon(lambda: self._core.request_stop(wait=False))
            self._portal.join()
            raise

    @contextmanager
    def _sigterm_drains(self) -> Generator[Callable[[], bool]]:
        is_asked_to_stop = False
        is_ours = (
            threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        )
        if not is_ours:
            yield bool
            return

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal is_asked_to_stop
            is_asked_to_stop = True
            self._portal.call_soon(self._core.request_stop)

        signal.signal(signal.SIGTERM, stop)
        try:
            yield lambda: is_asked_to_stop
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
