"""Start one worker process, talk to it and end it (layer 7).

Rule 1: one thread, the driver, owns a worker: only it talks, waits and reaps. `kill` may come from any thread.
Rule 2: a signal is never sent to a process that has been reaped, whose number may belong to another by now.
Rule 3: nothing waits for a process that may not end, except with a limit after which it is killed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait

from apsched.executors._arguments import Context
from apsched.executors._worker_process import END, REPORT, main, open_death_handle

GRACE = 0.5  # seconds from asking a process to end to killing it


class EndedError(Exception):
    """The worker process has ended."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Worker:
    """
    A worker process, which starts at once.

    Args:
        context: Of multiprocessing.
        initialize: What it calls first, if anything; the answer is the first to `receive`.
        tells_rss: Whether its answers say how much memory it uses.

    Attributes:
        pid: The number of the process.
        runs: How many requests it was sent.
        is_killed: Whether `kill` was called.

    Raises:
        OSError: The system cannot start a process.
    """

    def __init__(self, context: Context, initialize: Callable[[], object] | None, *, tells_rss: bool) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=main, args=(theirs, initialize, tells_rss), name=threading.current_thread().name, daemon=True
        )
        try:
            with theirs:
                _block_interrupts()
                self._process.start()
        except BaseException:
            self._connection.close()
            raise
        self.pid: int = self._process.pid or 0
        self.runs = 0
        self.is_killed = False
        self._end_handle = open_death_handle(self.pid, self._process.sentinel)
        self._signalling = threading.Lock()
        self._has_ended = threading.Event()
        self._killer: threading.Thread | None = None

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return not wait([self._end_handle], 0)

    def ask(self, request: bytes, on_report: Callable[[bytes], object]) -> bytes:
        """Send *request*, wait for the answer and return it; hand over what comes before. Raises EndedError."""
        self.runs += 1
        try:
            self._connection.send_bytes(request)
        except OSError:
            raise EndedError(self._reap()) from None
        while (answer := self.receive()).startswith(REPORT):
            on_report(answer.removeprefix(REPORT))
        return answer

    def receive(self) -> bytes:
        """Wait for an answer and return it. Raises EndedError."""
        if self._connection in wait([self._connection, self._end_handle]):
            with suppress(EOFError, OSError):
                return self._connection.recv_bytes()
        raise EndedError(self._reap())

    def kill(self) -> None:
        """Make the process end, with a signal that it can handle and, after a short grace, one that it cannot."""
        self.is_killed = True
        if self._killer is None:
            self._killer = threading.Thread(target=self._kill, name="apsched-kill", daemon=True)
            try:
                self._killer.start()
            except RuntimeError:  # out of threads
                self._killer = None
                self._signal(self._process.kill)

    def end(self) -> None:
        """Tell the process, which runs no call, to end, and wait until it has."""
        with suppress(OSError):
            self._connection.send_bytes(END)
        self._reap()

    def _kill(self) -> None:
        self._signal(self._process.terminate)
        if not self._has_ended.wait(GRACE):
            self._signal(self._process.kill)

    def _signal(self, send: Callable[[], None]) -> None:
        with self._signalling:
            if not self._has_ended.is_set():
                send()

    def _reap(self) -> int | None:
        """Wait until the process, which is about to end, has; let go of it and return its exit code."""
        if not wait([self._end_handle], GRACE):
            self.kill()
            wait([self._end_handle])
        with self._signalling:
            self._process.join()
            self._has_ended.set()
        if self._killer is not None:
            self._killer.join()
        self._connection.close()
        if self._end_handle != self._process.sentinel:
            os.close(self._end_handle)
        return self._exit_code()

    def _exit_code(self) -> int | None:
        """Return the exit code; None if it was lost to other code of this program that waits for any process."""
        for _ in range(100):
            if (code := self._process.exitcode) is not None:
                return code
            time.sleep(0.001)  # another thread, which starts a process, has reaped this one and is about to note it
        return None


def _block_interrupts() -> None:
    """
    Block SIGINT in this thread, which the process that it starts inherits until it can ignore it.

    The resource tracker is started before, since that unblocks SIGINT in the thread that happens to start it.
    """
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
