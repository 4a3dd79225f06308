"""See in which application server a scheduler is started (layer 0)."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from apsched.exceptions import SchedulerStateError

SERVERS = ("gunicorn", "uvicorn", "hypercorn", "granian")

logger: logging.Logger = logging.getLogger("apsched.scheduler")


def check_threads() -> None:
    """
    Check that threads run here.

    Raises:
        SchedulerStateError: uWSGI runs the program without threads, so a scheduler would start and never do anything.
    """
    if not getattr(sys.modules.get("uwsgi"), "has_threads", True):
        raise SchedulerStateError(
            "The scheduler seems to be running under uWSGI, but threads have been disabled; "
            "run uWSGI with the option --enable-threads"
        )


def warn_of_workers() -> None:
    """Warn, once for each process, if each of several worker processes starts a scheduler that shares nothing."""
    global _has_warned  # noqa: PLW0603  # it is about the process
    workers = worker_count(sys.argv, os.environ)
    if workers > 1 and not _has_warned:
        _has_warned = True
        logger.warning(
            "this is one of %d worker processes, and each that starts a scheduler with its jobs in memory runs every "
            "job: up to %d times in all; keep the jobs in a shared job store, or start the scheduler in one process",
            workers,
            workers,
        )


_has_warned = False


def worker_count(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """
    Return how many worker processes the server was told to start; 1 if nothing is seen of that.

    The command line and the environment are looked at, configuration files are not.

    Args:
        command: That of this process, which is its server's.
        environment: The environment variables.
    """
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None:
        return _number(getattr(uwsgi, "numproc", None)) or 1
    server = next((name for name in SERVERS if command and name in PurePath(command[0]).parts[-2:]), None)
    if server is None:
        return 1
    options = [*command[1:]]
    if server == "gunicorn":
        options += shlex.split(environment.get("GUNICORN_CMD_ARGS", ""))
    return _option(options) or _number(environment.get("WEB_CONCURRENCY")) or 1


def _option(options: Sequence[str]) -> int | None:
    found = None
    for option, following in zip(options, [*options[1:], ""], strict=True):
        if option in ("-w", "--workers"):
            found = _number(following)
        elif option.startswith("--workers="):
            found = _number(option.partition("=")[2])
        elif option.startswith("-w") and option[2:].isdecimal():
            found = _number(option[2:])
    return found


def _number(text: object) -> int | None:
    return int(text) if isinstance(text, (str, int)) and str(text).isdecimal() else None
