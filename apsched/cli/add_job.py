"""Add jobs: `apsched add` (layer 10)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from apsched._documents import job_document
from apsched._job_files import from_text
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import next_run_text, print_json, printable
from apsched.cli.settings import Settings
from apsched.cli.texts import read_tags, read_time
from apsched.exceptions import ConflictingIdError
from apsched.job import OVERLAPS, Job
from apsched.retry import Retry
from apsched.triggers.after import ONS, After, On
from apsched.triggers.base import BaseTrigger
from apsched.triggers.date import DateTrigger
from apsched.triggers.texts import read_length, read_trigger


@click.command(
    "add",
    epilog=examples(
        "apsched add shop.reports:send '0 3 * * mon-fri' --id nightly-report",
        "apsched add shop.stock:count 'every 5 minutes' --kwargs '{\"shelf\": 7}'",
        "apsched add shop.mail:send --at +10m --args '[\"boss@example.com\"]'",
        "apsched add shop.reports:mail --after nightly-report --attempts 5 --backoff 1m",
        "apsched add --from jobs.json",
    ),
)
@click.argument("func", metavar="[MODULE:FUNCTION]", required=False)
@click.argument("schedule", metavar="[SCHEDULE]", required=False)
@click.option("--at", "at", metavar="TIME", help="Once, then: '2026-12-24 18:00', now, or +10m.")
@click.option("--after", metavar="JOB", help="When a run of that job has ended; see --on.")
@click.option("--on", type=click.Choice(ONS), default="success", show_default=True, help="How it must have ended.")
@click.option("--from", "file", metavar="FILE", help="The jobs of a file that `apsched export` has written.")
@click.option("--id", "job_id", metavar="ID", help="Its id.  [default: a random one]")
@click.option("--name", metavar="TEXT", help="Its name for people.")
@click.option("--args", "args", metavar="JSON", help="Positional arguments, a list.")
@click.option("--kwargs", "kwargs", metavar="JSON", help="Keyword arguments, an object.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag; may be repeated.")
@click.option("--grace", metavar="LENGTH", help="How late a run may start, such as 5m.  [default: any time]")
@click.option("--timeout", metavar="LENGTH", help="How long a run may take.  [default: any time]")
@click.option("--attempts", type=click.IntRange(1), help="How often a run that fails is attempted.  [default: once]")
@click.option("--backoff", metavar="LENGTH", help="Before the second attempt; then twice as long each.  [default: 10s]")
@click.option("--max-instances", type=click.IntRange(1), help="How many runs may be under way at a time.")
@click.option("--overlap", type=click.Choice(list(OVERLAPS)), help="What becomes of a time beyond that.")
@click.option("--executor", metavar="ALIAS", help="Which executor of the nodes runs it.")
@click.option("--paused", is_flag=True, help="Add it paused.")
@click.option("--replace", is_flag=True, help="Replace the job of that id, if there is one.")
@JSON
@with_settings
def command(
    settings: Settings,
    func: str | None,
    schedule: str | None,
    at: str | None,
    after: str | None,
    on: On,
    file: str | None,
    replace: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """
    Add a job, or those of a file; none of them runs here.

    The module of the function is imported, also from this folder, so that what is wrong is said now. SCHEDULE is a line
    of a crontab or an interval, as in "apsched next".
    """
    if (func is None) == (file is None):
        raise click.UsageError("give MODULE:FUNCTION and when it runs, or --from FILE.")
    if func is not None and [schedule, at, after].count(None) != 2:
        raise click.UsageError("give one of SCHEDULE, --at TIME and --after JOB.")
    if options["backoff"] is not None and options["attempts"] is None:
        raise click.UsageError("give --attempts with --backoff.")

    exported = None if file is None else from_text(Path(file).read_bytes(), file)

    async def work(desk: Desk) -> int:
        try:
            if exported is not None:
                jobs = await desk.add_made(exported, replace_existing=replace)
            else:
                trigger = _trigger(desk, schedule, at) if after is None else After(after, on)
                jobs = [await desk.add_job(str(func), trigger, replace_existing=replace, **_job_options(options))]
        except ConflictingIdError as exc:
            raise ValueError(f"there is a job {exc.job_id!r} already; choose another --id, or give --replace") from None
        _tell(desk, jobs, as_json)
        return 0

    return at_desk(settings, work, create=True)


def _trigger(desk: Desk, schedule: str | None, at: str | None) -> BaseTrigger:
    if schedule is None:
        return DateTrigger(read_time(at, desk.zone, desk.now, "--at"), desk.zone)
    trigger = read_trigger(schedule, desk.zone)
    if trigger is None:
        raise click.BadParameter(f"{schedule!r} is no schedule, such as '0 3 * * *' or 'every 5 minutes'.")
    return trigger


def _job_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of `add_job` that the options of the command line stand for."""
    given: dict[str, Any] = {
        "args": _json("--args", options["args"], list),
        "kwargs": _json("--kwargs", options["kwargs"], dict),
        "id": options["job_id"],
        "name": options["name"],
        "tags": read_tags(options["tags"]),
    }
    lengths = {"misfire_grace_time": options["grace"], "timeout": options["timeout"]}
    given |= {name: read_length(text).total_seconds() for name, text in lengths.items() if text is not None}
    given |= {name: options[name] for name in ("max_instances", "overlap", "executor") if options[name] is not None}
    if options["attempts"] is not None:
        backoff = {} if options["backoff"] is None else {"backoff": read_length(options["backoff"]).total_seconds()}
        given["retry"] = Retry(options["attempts"], **backoff)
    if options["paused"]:
        given["next_run_time"] = None
    return given


def _json(option: str, text: str | None, kind: type) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"{option} must be JSON, got {text!r}: {exc}.") from None
    if not isinstance(value, kind):
        raise click.BadParameter(f"{option} must be a JSON {'list' if kind is list else 'object'}, got {text!r}.")
    return value


def _tell(desk: Desk, jobs: Sequence[Job], as_json: bool) -> None:
    if as_json:
        print_json({"jobs": [job_document(job) for job in jobs]})
        return
    for job in jobs:
        click.echo(printable(f"{job.id} {next_run_text(job, desk.zone)}."))
