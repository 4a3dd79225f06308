"""Show one job: `apsched show` (layer 10)."""

from __future__ import annotations

from datetime import datetime

import click

from apsched._documents import job_document, run_document, state_of
from apsched.cli.completion import complete_jobs
from apsched.cli.desk import Desk, at_desk
from apsched.cli.options import JSON, examples, with_settings
from apsched.cli.output import clock_text, distance, instant, length, print_json, print_table, printable, zone_text
from apsched.cli.settings import Settings
from apsched.cli.texts import read_time
from apsched.engine.explain import explain, next_times
from apsched.exceptions import JobLookupError
from apsched.job import Job
from apsched.jobstores.base import RunFilter
from apsched.run import Run
from apsched.triggers.words import describe_for

SEARCHED = 10_000  # runs that may answer for a nominal time


@click.command(
    "show",
    epilog=examples(
        "apsched show nightly-report", "apsched show nightly-report --at '2026-11-21 03:00'    # why did it not run?"
    ),
)
@click.argument("job_id", metavar="JOB", shell_complete=complete_jobs)
@click.option(
    "--next",
    "count",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    metavar="N",
    help="How many next times.",
)
@click.option(
    "--runs",
    "kept",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    metavar="N",
    help="How many last runs.",
)
@click.option("--at", "at", metavar="TIME", help="Explain what became, or will become, of this nominal time.")
@JSON
@with_settings
def command(settings: Settings, job_id: str, count: int, kept: int, at: str | None, as_json: bool) -> int:
    """Show a job: its options, its next times and its last runs."""

    async def work(desk: Desk) -> int:
        job = await desk.store.get(job_id)
        when = read_time(at, desk.zone, desk.now, "--at")
        if when is not None:
            return await _explain(desk, job, job_id, when, count, as_json)
        if job is None:
            raise JobLookupError(job_id)
        times = next_times(job, count)
        runs = await desk.store.runs(RunFilter(job_id=job_id), kept) if kept else []
        if as_json:
            document = {"job": job_document(job), "next_times": list(map(instant, times))}
            print_json({**document, "runs": [run_document(run) for run in runs]})
        else:
            _show(desk, job, times, runs)
        return 0

    return at_desk(settings, work)


async def _explain(desk: Desk, job: Job | None, job_id: str, when: datetime, count: int, as_json: bool) -> int:
    found = await desk.store.runs(RunFilter(job_id=job_id, since=when), SEARCHED)
    runs = [run for run in found if (run.first_nominal_time or run.nominal_time) <= when]
    explanation = explain(job, job_id, when, runs, count)
    if as_json:
        print_json({"text": str(explanation), "runs": [run_document(run) for run in runs]})
    else:
        click.echo("\n".join(map(printable, str(explanation).splitlines())))
    return 0


def _show(desk: Desk, job: Job, times: list[datetime], runs: list[Run]) -> None:
    zone, now = desk.zone, desk.now
    limits = {
        "misfire grace": length(job.misfire_grace_time) or "none: runs late",
        "timeout": length(job.timeout) or "none",
        "attempts": _attempts(job),
        "success within": length(job.expect_success_within),
        "instances": f"{job.max_instances}, then {job.overlap}",
        "after a crash": job.on_crash,
    }
    facts = {
        "job": job.id,
        "name": job.name,
        "calls": job.func_ref or "",
        "with": _call(job),
        "when": describe_for(job.trigger, zone, job.next_run_time or now),
        "trigger": repr(job.trigger).strip("<>"),
        "state": state_of(job),
        "why": job.quarantine or "",
        "executor": job.executor,
        **limits,
        "tags": ", ".join(f"{name}={value}" for name, value in job.tags.items()),
    }
    print_table(("", ""), ((name, value) for name, value in facts.items() if value))
    if times:
        click.echo(f"\nNext, in {zone_text(now, zone)}:")
        print_table(("", ""), ((clock_text(moment, zone), distance(moment, now)) for moment in times))
    click.echo("\nLast runs:" if runs else "\nIt has no runs yet.")
    if runs:
        show_runs(runs, desk, with_job=False)


def _attempts(job: Job) -> str:
    if job.retry is None:
        return ""
    count = "any number" if job.retry.max_attempts is None else str(job.retry.max_attempts)
    return f"{count}, after {length(job.retry.backoff)} and then {job.retry.factor:g} times as long each"


def _call(job: Job) -> str:
    return ", ".join([*map(repr, job.args), *(f"{name}={value!r}" for name, value in job.kwargs.items())])


def show_runs(runs: list[Run], desk: Desk, *, with_job: bool = True) -> None:
    """Print a table of *runs*, and why those did not run that did not."""
    print_table(
        (*(("job",) if with_job else ()), "nominal time", "outcome", "late", "took", "why"),
        (
            (
                *((run.job_id,) if with_job else ()),
                clock_text(run.nominal_time, desk.zone),
                run.outcome.value,
                length(run.lateness if run.lateness is None else max(run.lateness, 0)),
                length(run.duration),
                why(run),
            )
            for run in runs
        ),
    )


def why(run: Run) -> str:
    """Return why a run ended as it did, and how many nominal times it stands for, in one line; "" if all is said."""
    return run.why if run.count == 1 or not run.why else f"{run.count or 'more than 1,000'} times: {run.why}"
