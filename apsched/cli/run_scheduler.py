"""Serve a scheduler or a schedule file: `apsched run` (layer 10)."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import click

from apsched import _refs
from apsched.async_scheduler import AsyncScheduler
from apsched.cli.options import examples, with_settings
from apsched.cli.output import printable
from apsched.cli.settings import Settings
from apsched.cli.stores import store_of
from apsched.engine.make_job import COROUTINE_EXECUTOR, DEFAULT_EXECUTOR
from apsched.engine.schedule_file import read_schedule
from apsched.engine.sync import SyncReport
from apsched.events import EVENT_SCHEDULER_STARTED
from apsched.schedulers.base import BaseScheduler

KINDS = {"BlockingScheduler", "BackgroundScheduler"}  # not imported: one of them is enough
LEVELS = ("debug", "info", "warning", "error")
OTHERS = ("alembic", "sqlalchemy", "asyncio")  # loggers of packages below, of which nobody wants every step


@click.command(
    "run",
    short_help="Run jobs until SIGTERM or Ctrl-C.",
    epilog=examples(
        "apsched run shop.jobs:scheduler",
        "apsched run schedule.toml --store sqlite:///jobs.db",
        "apsched run schedule.toml --store postgresql://user:password@host/app --log-level debug",
    ),
)
@click.argument("target", metavar="MODULE:SCHEDULER|FILE.toml", required=False)
@click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    show_default=True,
    help="The event loop of an AsyncScheduler or a file.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What to log.")
@with_settings
def command(settings: Settings, target: str | None, backend: str, log_level: str) -> int:
    """
    Run jobs until SIGTERM or Ctrl-C; runs under way may end then, and a second Ctrl-C cancels them.

    MODULE:SCHEDULER is an AsyncScheduler, a BlockingScheduler or a BackgroundScheduler that a module of yours holds, or
    a function without parameters that returns one. Its own stores are used, whatever --store says.

    FILE.toml is a schedule file: each table is a job. Those jobs are made to be what the store holds of the file: new
    ones are added, changed ones changed, and those that the file does not have any more removed. Without a store the
    jobs live in memory.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    if target is not None and target.endswith(".toml"):
        anyio.run(_serve_file, settings, Path(target), backend=backend)
        return 0
    scheduler = _default_scheduler(settings) if target is None else _scheduler(target)
    if isinstance(scheduler, AsyncScheduler):
        anyio.run(scheduler.run, backend=backend)
    elif isinstance(scheduler, BaseScheduler):
        _serve(scheduler)
    return 0


def _default_scheduler(settings: Settings) -> BaseScheduler:
    if settings.program is None:
        raise click.UsageError("say what to run: MODULE:SCHEDULER or FILE.toml.")
    return settings.program.make_scheduler()


def _scheduler(target: str) -> AsyncScheduler | BaseScheduler:
    found: Any = _refs.resolve(target)
    if not isinstance(found, (AsyncScheduler, BaseScheduler)) and callable(found):
        found = found()
    if isinstance(found, AsyncScheduler) or KINDS & _kinds(found):
        return found  # type: ignore[no-any-return]  # it is one of them
    raise TypeError(
        f"{target} must be an AsyncScheduler, a BlockingScheduler or a BackgroundScheduler, or return one, "
        f"got {found!r}; give it such a scheduler"
    )


def _kinds(scheduler: object) -> set[str]:
    return {kind.__name__ for kind in type(scheduler).__mro__}


def _serve(scheduler: BaseScheduler) -> None:
    """Run a blocking scheduler, which heeds signals itself, or one in the background until a signal comes."""
    if "BlockingScheduler" in _kinds(scheduler):
        scheduler.start()
        return
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    scheduler.start()  # a signal that comes meanwhile is noticed, too
    stopping.wait()
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        scheduler.shutdown()
    except KeyboardInterrupt:
        scheduler.shutdown(wait=False)


async def _serve_file(settings: Settings, path: Path) -> None:
    jobs = read_schedule(path, timezone=settings.zone)
    named = {str(job.get("executor", DEFAULT_EXECUTOR)) for job in jobs} - {DEFAULT_EXECUTOR, COROUTINE_EXECUTOR}
    store = store_of(settings)
    scheduler = AsyncScheduler(
        jobstores={} if store is None else {"default": store},
        executors={alias: alias for alias in named},
        timezone=settings.zone,
        start_paused=True,  # until the store holds what the file says
    )
    started = anyio.Event()
    errors: list[Exception] = []

    async def fill_store() -> None:
        await started.wait()
        try:
            _tell(await scheduler.sync(jobs, owner=path.name))
            click.echo(f"{len(jobs)} jobs of {printable(str(path))} are served.")
            await scheduler.resume()
        except Exception as exc:
            errors.append(exc)
            scheduler.stop()

    await scheduler.add_listener(lambda event: started.set(), EVENT_SCHEDULER_STARTED)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fill_store)
        try:
            await scheduler.run()  # notices signals while the store is opened and filled, too
        except Exception as exc:
            errors.append(exc)
        tasks.cancel_scope.cancel()
    if errors:
        raise errors[0]  # as it is, in no group


def _tell(report: SyncReport) -> None:
    for said in ("added", "changed", "removed"):
        for job_id in getattr(report, said):
            click.echo(f"{said} {printable(job_id)}")
