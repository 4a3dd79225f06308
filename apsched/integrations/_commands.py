"""Hand what is typed after a command of a program on to the command `apsched` (layer 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from importlib import import_module
from typing import Any

from apsched.exceptions import MissingExtraError, SchedulerStateError
from apsched.jobstores.base import JobStore
from apsched.schedulers.base import BaseScheduler


def run_command(
    arguments: Sequence[str],
    *,
    name: str,
    make_store: Callable[[], JobStore],
    make_scheduler: Callable[[], BaseScheduler],
    timezone: tzinfo,
) -> int:
    """
    Run a command on the job store of a program, and return its exit code.

    Args:
        arguments: What follows the name: `["list", "--json"]`.
        name: What users type before it: `flask jobs`.
        make_store: Returns the job store, not open.
        make_scheduler: Returns the scheduler that `run` serves if the command line names no other.
        timezone: In which times are shown.

    Raises:
        MissingExtraError: The packages of the extra `cli` are not installed.
    """
    try:
        app: Any = import_module("apsched.cli.app")  # a program beside this one
        settings: Any = import_module("apsched.cli.settings")
    except ImportError as exc:
        raise MissingExtraError(name, "cli") from exc
    zone = getattr(timezone, "key", None)
    program = settings.Program(name=name, make_store=make_store, make_scheduler=make_scheduler, timezone=zone)
    code: int = app.run(list(arguments) or ["--help"], program)
    return code


def shared(store: JobStore, setting: str) -> JobStore:
    """
    Return *store*, which a process beside the one that serves is to open.

    Args:
        store: The job store of a program.
        setting: Where the program names its job stores.

    Raises:
        SchedulerStateError: It is in memory.
    """
    if not store.is_persistent:
        raise SchedulerStateError(
            "the jobs of this program live in the memory of the process that serves it, where no command finds them; "
            f"name a store in {setting}"
        )
    return store
