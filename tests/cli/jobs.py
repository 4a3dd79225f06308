"""Callables of the jobs in these tests."""

from __future__ import annotations

from apsched import AsyncScheduler


def ok(number: int = 0) -> int:
    return number


def bad() -> None:
    raise ValueError("no \x1b[31mway")


scheduler = AsyncScheduler()


async def stop() -> None:
    scheduler.stop()


def make_scheduler() -> AsyncScheduler:
    scheduler.scheduled_job("date", id="stop")(stop)
    return scheduler
