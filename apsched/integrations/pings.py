"""Ping URLs, so that a service outside hears when nothing runs any more (layer 10).

A dead man's switch: the service alarms people when pings do not come. The URLs are those of Healthchecks and its like:
`.../fail` says that a run failed, `.../start` that it began.

Rule 1: everything is sent by one thread of its own. What it waits for holds up neither a job nor a listener, and what
cannot be sent is logged and left.
Rule 2: of several pings of one URL that wait, only the latest is sent.
"""

from __future__ import annotations

import atexit
import logging
import threading
import urllib.request
import weakref
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit

import apsched
from apsched.clock import SystemClock
from apsched.events import (
    EVENT_JOB_ABANDONED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
)
from apsched.healthz import health_document
from apsched.integrations._watching import Scheduler, core_of, health_of, listen
from apsched.run import Run

logger: logging.Logger = logging.getLogger("apsched.pings")

TRIES = 3
PAUSE = 1.0  # seconds between two tries
END_PATIENCE = 10.0  # seconds that the end of the program waits for what is left to send
LONGEST_BODY = 10_000  # bytes

FAILURES = EVENT_JOB_ERROR | EVENT_JOB_ABANDONED | EVENT_JOB_MISSED


class Pings:
    """
    Pings URLs after runs, and while the scheduler is well.

        Pings(scheduler, {"backup": "https://hc-ping.com/..."}, alive="https://hc-ping.com/...")

    A run that succeeded pings the URL of its job; one that failed, took too long, was missed, or whose node died, the
    same with `/fail` behind its path. Runs that were cancelled or skipped ping nothing.

    Args:
        scheduler: The scheduler, started or not.
        urls: Job id -> URL.
        alive: A URL to ping regularly while the scheduler runs, is not paused, and all its stores answer.
        every: How many seconds lie between two pings of *alive*, more than 0.
        timeout: How many seconds a ping may take, more than 0.
        with_starts: Whether the start of a run pings the URL with `/start` behind its path.
        with_errors: Whether the traceback goes with the ping of a failure; the service then knows it.

    Raises:
        ValueError: A URL is not one of http or https, or a number is out of range.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        urls: Mapping[str, str] | None = None,
        *,
        alive: str | None = None,
        every: float = 60.0,
        timeout: float = 10.0,
        with_starts: bool = False,
        with_errors: bool = False,
    ) -> None:
        self._urls = dict(urls or {})
        for url in (*self._urls.values(), *(() if alive is None else (alive,))):
            _check_url(url)
        for name, seconds in (("every", every), ("timeout", timeout)):
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
                raise ValueError(f"{name} must be a number of seconds above 0, got {seconds!r}")
        self._scheduler = scheduler
        self._core = core_of(scheduler)
        self._alive = alive
        self._every = every
        self._timeout = timeout
        self._with_errors = with_errors
        self._clock = SystemClock()
        self._changed = threading.Condition()
        self._pending: dict[str, bytes | None] = {}  # URL -> body
        self._ending = threading.Event()
        self._is_working = False  # whether the thread will look again at what there is to send
        self._thread: threading.Thread | None = None
        listen(scheduler, self._start, EVENT_SCHEDULER_STARTED)
        listen(scheduler, self._end, EVENT_SCHEDULER_SHUTDOWN)
        listen(scheduler, self._note_success, EVENT_JOB_EXECUTED)
        listen(scheduler, self._note_failure, FAILURES)
        if with_starts:
            listen(scheduler, self._note_start, EVENT_JOB_SUBMITTED)
        if self._core.running:
            self._start(None)

    def finish(self) -> None:
        """
        Send what is left, and return when that is done, after 10 seconds at the latest; the end of the program does so.

        Blocks. The next start of the scheduler begins again.
        """
        self._end(None)
        if self._thread is not None:
            self._thread.join(END_PATIENCE)

    # listeners

    def _note_success(self, event: Any) -> None:
        self._ping(event.job_id, "", None)

    def _note_start(self, event: Any) -> None:
        self._ping(event.job_id, "/start", None)

    def _note_failure(self, event: Any) -> None:
        run: Run = event.run
        text = (run.error or run.reason or "") if self._with_errors else ""
        self._ping(event.job_id, "/fail", text.encode(errors="replace")[-LONGEST_BODY:] or None)

    def _ping(self, job_id: str, suffix: str, body: bytes | None) -> None:
        if (url := self._urls.get(job_id)) is not None:
            with self._changed:
                target = _with_suffix(url, suffix)
                self._pending.pop(target, None)
                self._pending[target] = body
                self._changed.notify()

    def _start(self, event: Any) -> None:
        with self._changed:
            self._ending.clear()
            if self._is_working:  # the thread of an earlier start has not ended
                return
            self._is_working = True
            self._thread = threading.Thread(target=self._work, name="apsched-pings", daemon=True)
            self._thread.start()
        _started.add(self)

    def _end(self, event: Any) -> None:
        with self._changed:
            self._ending.set()
            self._changed.notify()

    # in the thread

    def _work(self) -> None:
        next_alive = self._clock.monotonic()
        while True:
            with self._changed:
                if not self._pending and not self._ending.is_set():
                    rest = None if self._alive is None else max(next_alive - self._clock.monotonic(), 0.0)
                    self._changed.wait(rest)
                pending, self._pending = self._pending, {}
                is_ending = self._ending.is_set()
                self._is_working = not is_ending
            for url, body in pending.items():
                self._send(url, body)
            if is_ending:
                return
            if self._alive is not None and self._clock.monotonic() >= next_alive:
                next_alive = self._clock.monotonic() + self._every
                if self._is_well():
                    self._send(self._alive, None)

    def _is_well(self) -> bool:
        health = health_of(self._scheduler)
        _, document = health_document(health, now=self._core.clock.now())
        return bool(document["status"] == "ok")

    def _send(self, url: str, body: bytes | None) -> None:
        request = urllib.request.Request(url, body, {"User-Agent": f"apsched/{apsched.__version__}"})  # noqa: S310  # checked
        for number in range(1, TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=self._timeout):  # noqa: S310  # checked
                    return
            except Exception as exc:  # whatever the network, its libraries or the service say
                problem = f"{type(exc).__name__}: {exc}"
                is_final = isinstance(exc, HTTPError) and exc.code < 500
            if is_final or number == TRIES or self._ending.wait(PAUSE):
                logger.warning("the ping of %s did not arrive: %s", _place(url), problem)
                return


_started: weakref.WeakSet[Pings] = weakref.WeakSet()


def _finish_all() -> None:
    for each in list(_started):
        each.finish()


atexit.register(_finish_all)


def _check_url(url: object) -> None:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"a URL to ping must begin with http:// or https://, got {url!r}")


def _with_suffix(url: str, suffix: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix)) if suffix else url


def _place(url: str) -> str:
    """Return what the log may show of *url*, whose path is as good as a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/..."
