"""Run the demo: `python -m apsched.demo [--seconds N] [--folder PATH] [--fresh]` (layer 10)."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import anyio

from apsched import AsyncScheduler, Outcome, Run
from apsched.clock import SystemClock
from apsched.demo import report
from apsched.demo.board import ENDS, Board
from apsched.demo.past import ALL, STORE_NAME, Past, forget, read_past, tell_past
from apsched.demo.schedule import write_schedule
from apsched.demo.screen import Screen, draw_board, list_folder
from apsched.engine.schedule_file import read_schedule
from apsched.events import EVENT_JOB_SUBMITTED
from apsched.exceptions import ApschedError
from apsched.executors.pool import ProcessPoolExecutor

FOLDER = "apsched-demo"  # in the current one
LEASE = 3.0  # seconds; short, so that nobody waits long for what goes on after a kill
FRAME = 0.2  # seconds between two pictures in a terminal
SNAPSHOTS = 3  # pictures where there is no terminal
OUTAGE = (0.4, 0.13)  # when the pretended outage begins and how long it lasts, as shares of the whole time
MARGIN = timedelta(seconds=2)  # before the end; what is due later need not have been looked at on a busy machine
PATIENCE = 10  # seconds that runs under way are waited for at the end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code: 0 if all went as planned, 1 if not, 130 after Ctrl-C."""
    options = read_arguments(arguments)
    logging.getLogger("apsched").addHandler(logging.NullHandler())  # the board shows it all
    try:
        if options.fresh:
            forget(options.folder)
        return anyio.run(run, options.folder, options.seconds)
    except (ApschedError, OSError) as exc:
        print(f"The demo cannot run in {options.folder}: {exc}")
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the scheduler has shut down. Start it again: it goes on from here.")
        return 130


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m apsched.demo", description="Show a scheduler at work on real files; started again, it goes on."
    )
    parser.add_argument("--seconds", type=seconds, default=15.0, metavar="N", help="how long, from 1 on (default: 15)")
    parser.add_argument(
        "--folder",
        type=folder,
        default=FOLDER,
        metavar="PATH",
        help=f"where to work; holds the job store, {STORE_NAME}, too (default: {FOLDER})",
    )
    parser.add_argument("--fresh", action="store_true", help="forget what earlier starts have left in the folder")
    return parser.parse_args(arguments)


def folder(text: str) -> Path:
    """Return the path of a folder, which is made if it is missing."""
    path = Path(text).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"must be a folder or the path of a new one: {exc}") from None
    return path


def seconds(text: str) -> float:
    """Return a number of seconds."""
    value = float(text)
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be from 1 to 3600, got {text}")
    return value


async def run(folder: Path, length: float) -> int:
    """Run the schedule in *folder* for *length* seconds, show it, and return the exit code."""
    from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore  # its extra may be missing, and main() tells so

    clock = SystemClock()
    screen = Screen()
    store = SQLAlchemyJobStore(f"sqlite:///{folder / STORE_NAME}")
    past = await read_past(store)
    scheduler = AsyncScheduler(
        jobstores={"default": store},
        executors={"processes": ProcessPoolExecutor(max_workers=1)},
        lease=LEASE,
        start_paused=True,  # until there is somebody who listens
    )
    path = write_schedule(folder, clock.now().astimezone(scheduler.timezone))
    print(f"Schedule:  {path}\nJob store: {folder / STORE_NAME}")
    print("\n".join(screen.wrapped(tell_past(past, clock.now(), scheduler.timezone))))
    print(f"Kill it half-way (kill -9 {os.getpid()}) and start it again: it goes on where it was.", flush=True)
    async with scheduler:
        try:
            declared = read_schedule(path, {"folder": str(folder)})
            synced = await scheduler.sync(declared, owner="demo")
        except (LookupError, OSError, TypeError, ValueError) as exc:
            print(f"The schedule cannot be used: {exc}")
            return 1
        began = clock.now()
        places = {options["id"]: place for place, options in enumerate(declared)}
        jobs = sorted(
            (job.copy() for job in await scheduler.get_jobs()), key=lambda job: places.get(job.id, len(places))
        )
        board = Board(jobs, past.runs)
        await scheduler.add_listener(board.listen, EVENT_JOB_SUBMITTED | ENDS)
        await scheduler.resume()
        outage = await show(scheduler, board, screen, folder, length)
        await wait_for_reruns(scheduler, past)
        await scheduler.pause()
        until = clock.now() - MARGIN
        runs = await finished_runs(scheduler)
        history = report.History(jobs, synced.changed, runs, scheduler.node, began, until, outage, scheduler.timezone)
        show_report(screen, history, folder)
        await show_explanation(scheduler, screen, runs)
    code = show_verdict(screen, history)
    print(f"Start it again and it goes on from here; --fresh begins anew. All of it is in {folder}.")
    return code


async def show(
    scheduler: AsyncScheduler, board: Board, screen: Screen, folder: Path, length: float
) -> tuple[datetime, datetime]:
    """Draw the board for *length* seconds, with a pretended outage in the midst; return when that was."""
    clock = SystemClock()
    begin = clock.now()
    end = begin + timedelta(seconds=length)
    outage_begin = begin + timedelta(seconds=length * OUTAGE[0])
    outage_end = outage_begin + timedelta(seconds=length * OUTAGE[1])
    frame = FRAME if screen.is_live else length / SNAPSHOTS
    while (now := clock.now()) < end:
        is_out = outage_begin <= now < outage_end
        if is_out != scheduler.is_paused:
            await (scheduler.pause() if is_out else scheduler.resume())
        state = "PAUSED, as if the machine slept" if is_out else "running"
        board.look_ahead(await scheduler.get_jobs())
        title = f"apsched demo  {(now - begin).total_seconds():4.1f} of {length:.0f} s  {state}"
        draw_board(screen, board, now.astimezone(scheduler.timezone), title, folder)
        changes = (moment for moment in (outage_begin, outage_end, end) if moment > now)
        await anyio.sleep(min(frame, (min(changes) - now).total_seconds()))
    screen.keep()
    return outage_begin, outage_end


async def wait_for_reruns(scheduler: AsyncScheduler, past: Past) -> None:
    """Wait until the runs that were under way when an earlier start was killed have been run again."""
    left = {run.id for run in past.under_way}
    with anyio.move_on_after(LEASE + PATIENCE):
        while left:
            left &= {run.id for run in await scheduler.get_runs(outcome=[Outcome.RUNNING, Outcome.PENDING])}
            await anyio.sleep(0.05)


async def finished_runs(scheduler: AsyncScheduler) -> list[Run]:
    """Wait for the runs under way and return all records."""
    with anyio.move_on_after(PATIENCE):
        while await scheduler.get_runs(outcome=Outcome.RUNNING):  # noqa: ASYNC110  # nobody sets an event for this
            await anyio.sleep(0.05)
    return await scheduler.get_runs(limit=ALL)


def show_report(screen: Screen, history: report.History, folder: Path) -> None:
    """Print the history, how late runs were, and what is in the folder."""
    lines = [
        *report.job_table(screen, history),
        *report.start_table(screen, history),
        *report.rerun_table(screen, history),
        *report.reason_table(screen, history),
        *report.latest_table(screen, history),
        *report.lateness_table(screen, history),
        *screen.heading("What is in the folder", f"  {folder}"),
        *packed(list_folder(folder), screen.width),
    ]
    summary = folder / "summary.json"
    if summary.exists():
        lines += report.summary_lines(screen, json.loads(summary.read_text(encoding="utf-8")))
    print("\n".join(lines))


def packed(items: Sequence[str], width: int) -> list[str]:
    """Return *items* in lines of at most *width* characters, none of them parted."""
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + 2 + len(item) > width:
            lines.append("")
        lines[-1] += f"  {item}" if lines[-1] else item
    return lines


async def show_explanation(scheduler: AsyncScheduler, screen: Screen, runs: Sequence[Run]) -> None:
    """Let the scheduler explain a nominal time that did not run, if there is one."""
    odd = next((run for run in runs if run.outcome is Outcome.SKIPPED), runs[0] if runs else None)
    if odd is not None:
        explanation = await scheduler.explain(odd.job_id, odd.nominal_time, count=2)
        print("\n".join(screen.heading("Explained", f"  explain({odd.job_id!r}, ...)")))
        for line in str(explanation).splitlines():
            print(textwrap.fill(line, screen.width))


def show_verdict(screen: Screen, history: report.History) -> int:
    """Say whether all went as planned; return the exit code."""
    faults = report.find_faults(history)
    print()
    for fault in faults:
        print(screen.styled(f"Not as planned: {fault}", "bad"))
    if not faults:
        print(screen.styled("All went as planned.", "good"))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
