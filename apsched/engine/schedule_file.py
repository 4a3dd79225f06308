"""Read a schedule file: each table in it is a job (layer 6).

    [nightly-report]
    func = "shop.reports:send"
    trigger = { type = "cron", hour = 3, timezone = "Europe/Helsinki" }
    kwargs = { recipients = ["boss@example.com"] }
    tags = { team = "billing" }

The name of the table is the id of the job. `func` is what runs and `trigger` says when; the rest are options of
`add_job`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

from apsched import _plugins
from apsched.engine.make_job import WITHOUT_ZONE
from apsched.job import NO_KWARGS
from apsched.triggers.base import BaseTrigger


def read_schedule(
    path: Path, kwargs: Mapping[str, Any] = NO_KWARGS, timezone: tzinfo | None = None
) -> list[dict[str, Any]]:
    """
    Return the parameters of `add_job` for each job of a schedule file.

    Args:
        path: The file.
        kwargs: Keyword arguments that every job gets beside its own.
        timezone: Zone of triggers that do not name their own; None: that of this machine.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML, or a trigger is malformed.
        LookupError: A trigger is of an unknown type.
        TypeError: An argument of a trigger is unknown or of the wrong type, or what should be a table is none.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ValueError(f"{path} is no schedule file: {exc}") from None
    return [_parameters(job_id, options, kwargs, timezone) for job_id, options in tables.items()]


def _parameters(job_id: str, options: Any, kwargs: Mapping[str, Any], timezone: tzinfo | None) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise TypeError(f"a schedule file must hold tables, one for each job, got {job_id} = {options!r}")
    for name in ("func", "trigger"):
        if name not in options:
            raise LookupError(f"the table of job {job_id!r} must have a {name}")
    try:
        trigger = make_trigger(options["trigger"], timezone)
    except (LookupError, TypeError, ValueError) as exc:
        exc.add_note(f"job {job_id!r} of the schedule file")
        raise
    own = {"id": job_id, "trigger": trigger, "kwargs": {**kwargs, **options.get("kwargs", {})}}
    return {"name": job_id, **options, **own}


def make_trigger(table: Mapping[str, Any], timezone: tzinfo | None = None) -> BaseTrigger:
    """
    Make the trigger that a table describes; the members of `and` and `or`, and an `exclude`, may be tables themselves.

    Args:
        table: The alias of the trigger as `type`, and its arguments.
        timezone: Its zone, if the table does not name one; None: that of this machine.

    Raises:
        LookupError: The table has no type, or an unknown one.
        ValueError: A value is out of range.
        TypeError: An argument is unknown or of the wrong type.
    """
    if not isinstance(table, Mapping):
        raise TypeError(f"a trigger must be a table such as {{ type = 'cron', hour = 3 }}, got {table!r}")
    options = dict(table)
    alias: Any = options.pop("type", None)
    try:
        make = _plugins.find("trigger", str(alias))
    except LookupError:
        known = ", ".join(_plugins.TRIGGERS)
        raise LookupError(f"the type of a trigger must be one of {known}, got {alias!r}") from None
    if timezone is not None and alias not in WITHOUT_ZONE:
        options.setdefault("timezone", timezone)
    if "triggers" in options:
        options["triggers"] = [make_trigger(member, timezone) for member in options["triggers"]]
    if isinstance(options.get("exclude"), Mapping):
        options["exclude"] = make_trigger(options["exclude"], timezone)
    trigger: BaseTrigger = _plugins.call(make, options, f"trigger {alias!r}")
    return trigger
