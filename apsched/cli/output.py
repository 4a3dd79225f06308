"""Show values on a terminal, in a pipe and as JSON (layer 10)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import click

from apsched.job import Job

PIPE_WIDTH = 1000  # columns; what reads a pipe wants one line a row
COLORS = {
    "succeeded": "green",
    "running": "cyan",
    "pending": "cyan",
    "failed": "red",
    "timed_out": "red",
    "abandoned": "red",
    "missed": "yellow",
    "skipped": "yellow",
    "cancelled": "yellow",
    "coalesced": "dim",
    "paused": "yellow",
    "quarantined": "red",
    "dead": "red",
    "added": "green",
    "replaced": "yellow",
    "kept": "dim",
    "refused": "red",
}


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print *document*; what JSON has no form for is printed as `repr` says it."""
    click.echo(json.dumps(document, indent=indent, default=repr))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print a table: at most as wide as the terminal, and one line a row in a pipe.

    A cell that is a word of `COLORS` has that color.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_pipe = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(highlight=False, width=PIPE_WIDTH if is_pipe else None)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(printable(cell), COLORS.get(cell, ""), overflow="fold") for cell in row))
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()))


def outcome_text(outcome: str, width: int) -> str:
    """Return *outcome*, filled up to *width* columns, in its color; click leaves that out in a pipe."""
    color = COLORS.get(outcome, "dim")
    text = f"{outcome:{width}}"
    return text if color == "dim" or os.environ.get("NO_COLOR") else click.style(text, fg=color)


def printable(text: str) -> str:
    """Return *text* without what would control a terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def printable_lines(text: str) -> str:
    """Return *text*, of several lines, without what would control a terminal."""
    return "\n".join(printable(line) for line in text.splitlines())


def clock_text(moment: datetime | None, zone: tzinfo) -> str:
    """Return *moment* as clocks in *zone* show it, to the second; "" for None."""
    return "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def next_run_text(job: Job, zone: tzinfo) -> str:
    """Return when *job* runs next, after its id: `runs next at ...`, `waits for job ...`, `is paused`."""
    if job.next_run_time is None:
        return "is paused"
    if job.follows is not None:
        return f"waits for job {job.follows}"
    return f"runs next at {clock_text(job.next_run_time, zone)}"


def zone_text(moment: datetime, zone: tzinfo) -> str:
    """Return the name of *zone*, as in `Europe/Helsinki (EET)`."""
    short = f"{moment.astimezone(zone):%Z}"
    return str(zone) if short == str(zone) else f"{zone} ({short})"


def distance(moment: datetime | None, now: datetime) -> str:
    """Return how far away *moment* is: `in 5 min`, `3 h ago`; "" for None."""
    if moment is None:
        return ""
    gap = moment.astimezone(UTC) - now.astimezone(UTC)
    return f"in {length(gap)}" if gap >= timedelta(0) else f"{length(-gap)} ago"


def length(span: timedelta | float | None) -> str:
    """Return *span* (or seconds) shortly: `250 ms`, `42 s`, `5 min`, `3 h`, `12 d`; "" for None."""
    if span is None:
        return ""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for below, unit, name in ((100, 1, "s"), (6000, 60, "min"), (360_000, 3600, "h")):
        if seconds < below:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def instant(moment: datetime | None) -> str | None:
    """Return the text of *moment* for JSON: ISO 8601 with its offset."""
    return None if moment is None else moment.isoformat()


def warn(message: str) -> None:
    """Tell *message* on standard error."""
    click.echo(f"apsched: {printable(message)}", err=True)
