"""Run in a worker process what its supervisor asks for (layer 7).

Rule 1: imports here are paid for by every worker process that starts; keep them few and light.
Rule 2: a worker ends when told to, when its supervisor hangs up, and when its parent process ends, however it ends.
Rule 3: an interrupt from the terminal goes to every process there; a worker leaves it to the parent.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from typing import Any, NamedTuple, TypeVar

from apsched import _current
from apsched._current import current
from apsched._log_lines import last_of, seen_by
from apsched.executors._calling import call_to_end

T = TypeVar("T")

END = b""  # the request to end
REPORT = b"R"  # what a report begins with, and no pickle does
PAUSE = 0.5  # seconds between two reports


class Answer(NamedTuple):
    """
    What became of a request.

    Attributes:
        payload: The pickled value or exception; None if it cannot be pickled.
        summary: None for a value; for an exception its type and message.
        details: None for a value; for an exception its traceback.
        rss: How much memory the process uses, in bytes; None if nobody wants to know.
    """

    payload: bytes | None
    summary: str | None = None
    details: str | None = None
    rss: int | None = None


def main(connection: Connection, initialize: Callable[[], object] | None, tells_rss: bool) -> None:
    """Answer requests until told to end; the main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked by the parent up to here
    multiprocessing.current_process().daemon = False  # so that jobs may start processes of their own
    threading.Thread(target=_end_with_parent, name="apsched-watch", daemon=True).start()
    reports = _Reports(connection)
    _current.on_progress = reports.take_progress
    with suppress(EOFError, OSError), connection, seen_by(reports.take_line):  # the supervisor has hung up
        connection.send_bytes(_answer(_initialize, initialize, tells_rss))
        while (request := connection.recv_bytes()) != END:
            answer = _answer(_call, request, tells_rss)
            reports.close()
            connection.send_bytes(answer)
            del request, answer  # an idle worker keeps nothing


class _Reports:
    """
    Sends what the call tells of itself while it runs: twice a second at most, and what is left at its end.

    Args:
        connection: To the supervisor; used by others only while there is no call.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()  # a signal handler of the user may log
        self._told: tuple[float | None, str | None, str] = (None, None, "")
        self._timer: threading.Timer | None = None
        self._sent = -PAUSE  # when, by the monotonic clock
        self._is_news = False

    def take_progress(self, fraction: float | None, message: str | None) -> None:
        """Tell how far the call is."""
        with self._lock:
            self._told = (fraction, message, self._told[2])
            self._note()

    def take_line(self, run: object, line: str) -> None:
        """Tell what the call has logged."""
        with self._lock:
            self._told = (*self._told[:2], last_of(self._told[2] + line))
            self._note()

    def close(self) -> None:
        """Send what has not been sent, and begin anew: the call has ended."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._send()
            self._told = (None, None, "")

    def _note(self) -> None:
        self._is_news = True
        if self._timer is None:
            pause = self._sent + PAUSE - time.monotonic()
            if pause <= 0:
                self._send()
            else:
                self._timer = threading.Timer(pause, self._send_late)
                self._timer.daemon = True
                self._timer.start()

    def _send_late(self) -> None:
        with self._lock:
            if self._timer is threading.current_thread():
                self._timer = None
                self._send()

    def _send(self) -> None:
        if self._is_news:
            self._is_news = False
            self._sent = time.monotonic()
            with suppress(OSError):  # the supervisor has hung up, which the answer will show
                self._connection.send_bytes(REPORT + pickle.dumps(self._told))


def open_death_handle(pid: int, sentinel: int) -> int:
    """
    Return what `multiprocessing.connection.wait` reports once process *pid* has ended.

    Where the system has process descriptors, it is one, which the caller closes. The *sentinel* of multiprocessing does
    not report the end as long as a process forked by that process lives.
    """
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return os.pidfd_open(pid)
    return sentinel


def name_of(func: Callable[..., Any]) -> str:
    """Name *func* in a message."""
    name = getattr(func, "__qualname__", None)
    return repr(func) if name is None else f"{getattr(func, '__module__', None)}.{name}"


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is None or parent.pid is None:
        return
    wait([open_death_handle(parent.pid, parent.sentinel)])
    os._exit(1)


def _rss() -> int | None:
    """Return how many bytes of memory this process uses; where the system does not say, how many it ever did."""
    try:
        with open("/proc/self/statm", "rb") as file:  # pathlib would take 20 ms to import
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return _peak_rss()


def _peak_rss() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _initialize(initialize: Callable[[], object] | None) -> bytes:
    if initialize is not None:
        initialize()
    return pickle.dumps(None)


def _call(request: bytes) -> bytes:
    func, args, kwargs, run = pickle.loads(request)  # noqa: S301  # from our own parent
    token = current.set(run)
    try:
        value = call_to_end(func, args, kwargs)
    finally:
        current.reset(token)
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as exc:
        raise pickle.PicklingError(
            f"what {name_of(func)} returned cannot be sent from its worker process ({exc}); "
            f"return plain values or use a thread pool"
        ) from None


def _answer(step: Callable[[T], bytes], argument: T, tells_rss: bool) -> bytes:
    """Return the answer that says what became of *step*."""
    try:
        answer = Answer(step(argument))
    except BaseException as exc:
        answer = _answer_of_error(exc)
    if tells_rss:
        answer = answer._replace(rss=_rss())
    return pickle.dumps(tuple(answer), pickle.HIGHEST_PROTOCOL)


def _answer_of_error(exc: BaseException) -> Answer:
    try:
        payload = pickle.dumps(exc, pickle.HIGHEST_PROTOCOL)
    except Exception:
        payload = None
    summary = "".join(traceback.format_exception_only(exc)).strip()
    return Answer(payload, summary, "".join(traceback.format_exception(exc)))
