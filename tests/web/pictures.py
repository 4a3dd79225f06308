"""Take the pictures of the documentation: `python -m tests.web.pictures` writes them to docs/images."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Page

from apsched import AsyncScheduler
from apsched.run import Attempt, Outcome, Report
from apsched.testing.clock import VirtualClock
from tests.web.asking import NOW, record
from tests.web.browser import chromium, served

FOLDER = Path(__file__).parents[2] / "docs" / "images"
MINUTE = timedelta(minutes=1)
ERROR = """Traceback (most recent call last):
  File "/srv/shop/crm.py", line 41, in sync
    page = await client.get("/v2/contacts", params={"since": since})
  File "/srv/shop/http.py", line 118, in get
    raise ConnectTimeout(f"timed out after {self.timeout} s")
shop.http.ConnectTimeout: timed out after 10.0 s
"""
LOG = """10:20:01.214 INFO    shop.crm: since 2026-11-20 22:20:00
10:20:01.871 INFO    shop.crm: page 1, 200 contacts
10:20:02.502 INFO    shop.crm: page 2, 200 contacts
10:20:12.519 WARNING shop.http: no answer for 10.0 s
"""
# callable, trigger, how many runs of a hundred fail, seconds that one takes
JOBS: dict[str, tuple[str, dict[str, object], float, float]] = {
    "etl.orders": ("shop.etl:orders", {"trigger": "cron", "minute": "*/15"}, 4, 12),
    "reports.daily": ("shop.reports:daily", {"trigger": "cron", "hour": 6, "day_of_week": "mon-fri"}, 3, 240),
    "backup.db": ("ops.backup:run", {"trigger": "cron", "hour": 2, "minute": 30}, 2, 4100),
    "cache.warm": ("web.cache:warm", {"trigger": "interval", "minutes": 5, "start_date": "2026-11-01"}, 1, 3),
    "invoices.close": ("billing:close", {"trigger": "cron", "day": 1}, 0, 900),
    "sync.crm": ("shop.crm:sync", {"trigger": "cron", "hour": "*/2", "minute": 20}, 30, 45),
    "mail.digest": ("web.mail:digest", {"trigger": "cron", "hour": "8,17"}, 5, 30),
    "search.reindex": ("web.search:reindex", {"trigger": "cron", "hour": "9-17", "minute": "*/10"}, 5, 90),
    "prices.refresh": (
        "shop.prices:refresh",
        {"trigger": "interval", "minutes": 37, "start_date": "2026-11-01"},
        8,
        20,
    ),
}


async def fill(scheduler: AsyncScheduler) -> None:
    """Add the jobs of a shop, and what has happened to them in a week."""
    dice = random.Random(7)  # noqa: S311  # of a picture
    for job_id, (func, trigger, fails, takes) in JOBS.items():
        tags = {"team": func.partition(".")[0]} if func.startswith(("ops", "web")) else {}
        job = await scheduler.add_job("tests.web.calls:succeed", id=job_id, name=job_id, tags=tags, **trigger)  # type: ignore[arg-type]
        job.func = func
        moment = job.trigger.get_next_fire_time(None, NOW - timedelta(days=7))
        times = []
        while moment is not None and moment < NOW:
            times.append(moment)
            moment = job.trigger.get_next_fire_time(moment, moment)
        for moment in times[-400:]:
            outcomes = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.MISSED]
            outcome = dice.choices(outcomes, [99 - fails, fails, 1])[0]
            claimed = moment + timedelta(milliseconds=dice.uniform(2, 40))
            started = claimed + timedelta(milliseconds=dice.uniform(1, 300))
            is_late = outcome is Outcome.MISSED
            await record(
                scheduler,
                job_id,
                outcome,
                NOW - moment,
                node=f"web-{dice.choice('12')}:811:77ab0912",
                epoch=1,
                claimed_at=None if is_late else claimed,
                started_at=None if is_late else started,
                finished_at=moment if is_late else started + timedelta(seconds=takes * dice.uniform(0.5, 1.5)),
                error=ERROR if outcome is Outcome.FAILED else None,
                reason="it was 62 s late, and misfire_grace_time allows 60 s" if is_late else None,
            )
    await scheduler.pause_job("invoices.close")
    begun = NOW - 21 * MINUTE
    await record(
        scheduler,
        "sync.crm",
        Outcome.FAILED,
        21 * MINUTE,
        node="web-2:811:77ab0912",
        epoch=3,
        claimed_at=begun + timedelta(milliseconds=420),
        started_at=begun + timedelta(milliseconds=1180),
        finished_at=begun + timedelta(milliseconds=12_530),
        error=ERROR,
        reason="it failed in 3 attempts",
        report=Report(log=LOG),
        attempts=tuple(
            Attempt(
                number=number, outcome=Outcome.FAILED, node=f"web-{number}:811:77ab0912", started_at=begun, error=ERROR
            )
            for number in (1, 2)
        ),
    )
    await record(
        scheduler,
        "search.reindex",
        Outcome.RUNNING,
        MINUTE,
        node="web-1:811:77ab0912",
        claimed_at=NOW - MINUTE,
        started_at=NOW - MINUTE,
        report=Report(progress=0.62, message="18,600 of 30,000 products"),
    )


def take(page: Page, url: str, name: str, *, width: int = 1280, height: int = 860, write: str | None = None) -> None:
    """Take the picture of a page, after new times were written into its form if they are given."""
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    page.wait_for_selector("#live-state[data-state=on]")
    if write is not None:
        page.get_by_label("New times").fill(write)
        page.wait_for_selector("#preview li")
    page.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    scheduler = AsyncScheduler(clock=VirtualClock(NOW), timezone="Europe/Berlin", start_paused=True)
    with served(scheduler) as running, chromium() as browser:
        running.call(fill, scheduler)
        page = browser.new_page(color_scheme="light")
        take(page, f"{running.url}/", "dashboard", height=1010)
        take(page, f"{running.url}/run?id=sync.crm@2026-11-21T09:20:00Z", "dashboard-run", height=1010)
        take(page, f"{running.url}/job?id=sync.crm", "dashboard-job", height=830)
        take(page, f"{running.url}/job/change?id=sync.crm", "dashboard-change", height=900, write="30 2 * * mon-fri")
        take(page, f"{running.url}/load", "dashboard-load", height=440)
        take(page, f"{running.url}/", "dashboard-phone", width=360, height=740)
        page.emulate_media(color_scheme="dark")
        take(page, f"{running.url}/", "dashboard-dark", height=1010)


if __name__ == "__main__":
    main()
