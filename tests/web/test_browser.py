"""The dashboard in a real browser: every page, every action, the keys, a phone, and what attackers try."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apsched import AsyncScheduler
from apsched.run import Outcome
from tests.web.asking import EVIL, record
from tests.web.browser import Served, chromium, served
from tests.web.calls import fail, succeed

PAGES = (
    "/",
    "/job?id=nightly",
    "/job/change?id=nightly",
    "/job/remove?id=nightly",
    "/runs",
    "/load",
    "/nodes",
    "/quarantine",
    "/health",
    "/api/docs",
)
TOKEN = "open sesame"  # noqa: S105  # of this test
LEGIBILITY = (Path(__file__).parent / "legibility.js").read_text().partition("\n")[2]
PATIENCE = 10_000  # milliseconds that anything may take before it is taken for broken


@pytest.fixture(scope="module")
def dashboard() -> Generator[Served]:
    with served(AsyncScheduler(timezone="Europe/Berlin")) as running:
        running.call(fill, running.scheduler)
        yield running


async def fill(scheduler: AsyncScheduler) -> None:
    """Add jobs that do not run by themselves while the tests do, and what has happened to them."""
    await scheduler.add_job(succeed, "cron", month=2, day=29, id="nightly", tags={"team": "ops"})
    await scheduler.add_job(fail, "cron", month=2, day=29, id="broken")
    evil = await scheduler.add_job(
        succeed, "cron", month=2, day=29, id=EVIL, name=EVIL, args=[EVIL], kwargs={EVIL: EVIL}, tags={EVIL: EVIL}
    )
    evil.quarantine = EVIL
    await record(
        scheduler, EVIL, Outcome.FAILED, timedelta(minutes=3), error=f"<script>alert(1)</script>\n{EVIL}", node=EVIL
    )
    await record(scheduler, "nightly", Outcome.SUCCEEDED, timedelta(minutes=9))


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def window(browser: Browser) -> Generator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light") as opened:
        opened.set_default_timeout(PATIENCE)
        yield opened


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """Give a page in whose console nothing may be wrong, such as what the content security policy forbids."""
    opened = window.new_page()
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    yield opened
    opened.close()
    assert wrong == []


def follow(page: Page) -> None:
    """Wait until the scripts of the page are at work."""
    expect(page.locator("#live-state")).to_have_attribute("data-state", "on")


@pytest.mark.slow
def test_every_page_is_drawn_without_a_word_in_the_console_and_no_text_of_a_user_acts(
    dashboard: Served, page: Page
) -> None:
    page.goto(f"{dashboard.url}/")
    evil = page.get_by_role("link", name=EVIL, exact=True).first.get_attribute("href")
    page.goto(f"{dashboard.url}/runs?outcome=failed")
    run = page.locator("tbody a[data-open]").first.get_attribute("href")
    for path in (*PAGES, evil, run):
        page.goto(f"{dashboard.url}{path}")
        expect(page.locator("main h1").first).to_be_attached()
        follow(page)
        assert page.locator("main img").count() == 0
        assert page.evaluate("[...document.scripts].every(each => each.src)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.slow
def test_the_buttons_work_and_the_page_follows_by_itself(dashboard: Served, page: Page) -> None:
    page.goto(f"{dashboard.url}/")
    row = page.locator("tr", has=page.get_by_role("link", name="nightly", exact=True))
    row.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("nightly is paused.")
    expect(row.get_by_text("paused")).to_be_visible()
    row.get_by_role("button", name="Resume").click()
    expect(row.get_by_role("button", name="Pause")).to_be_visible()
    row.get_by_role("button", name="Run").click()
    page.get_by_role("link", name="A new run of nightly, for the present time").click()
    expect(page.locator("h1")).to_contain_text("succeeded")
    expect(page.locator("main")).to_contain_text("'done'")
    follow(page)
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("status")).to_contain_text("A new run of nightly, for the present time, waits for a node.")


@pytest.mark.slow
def test_a_failed_run_shows_its_traceback_as_text_and_what_others_do_is_seen_at_once(
    dashboard: Served, page: Page
) -> None:
    page.goto(f"{dashboard.url}/runs?job=broken")
    expect(page.get_by_text("No runs.")).to_be_visible()
    follow(page)
    dashboard.call(dashboard.scheduler.run_job, "broken")  # by somebody else
    page.locator("tbody a[data-open]").first.click()
    expect(page.locator("pre.error")).to_contain_text("RuntimeError: <script>alert('traceback')</script>")


@pytest.mark.slow
def test_a_job_is_removed_after_a_question(dashboard: Served, page: Page) -> None:
    dashboard.call(add_another, dashboard.scheduler)
    page.goto(f"{dashboard.url}/")
    page.get_by_role("link", name="Remove another").click()
    page.get_by_role("link", name="Keep it").click()
    expect(page.locator("h1")).to_have_text("another")
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("h1")).to_have_text("Schedules")
    expect(page.get_by_role("link", name="another", exact=True)).to_have_count(0)


@pytest.mark.slow
def test_new_times_are_shown_while_they_are_written_and_taken_by_a_button(dashboard: Served, page: Page) -> None:
    dashboard.call(add_another, dashboard.scheduler)
    page.goto(f"{dashboard.url}/job?id=another")
    page.get_by_role("link", name="Change").click()
    follow(page)
    preview = page.locator("#preview")
    page.get_by_label("New times").fill(EVIL)
    expect(preview).to_contain_text(f"{EVIL!r} is no line of a crontab")
    page.get_by_label("New times").fill("30 4 29 2 *")
    expect(preview).to_contain_text("at 04:30 on the 29th")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    expect(preview.locator("li").first).to_contain_text("04:30 JST")
    expect(preview.locator("li")).to_have_count(5)
    page.get_by_label("Name", exact=True).fill(EVIL)
    page.get_by_label("Tags").fill("team=<b>x</b>")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("another")
    expect(page.locator("main")).to_contain_text(EVIL)
    expect(page.locator("main")).to_contain_text("at 04:30 on the 29th")
    expect(page.get_by_role("link", name="team=<b>x</b>")).to_be_visible()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator("h1")).to_have_text("Schedules")


async def add_another(scheduler: AsyncScheduler) -> None:
    await scheduler.add_job(succeed, "cron", month=2, day=29, id="another")


@pytest.mark.slow
def test_it_is_used_by_keys_alone(dashboard: Served, page: Page) -> None:
    page.goto(f"{dashboard.url}/")
    page.keyboard.press("/")
    page.keyboard.type("NIGHT")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    follow(page)
    page.keyboard.press("j")
    expect(page.locator("tr[data-row]")).to_have_class(re.compile("selected"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("nightly")
    follow(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.keyboard.press("g")
    page.keyboard.press("n")
    expect(page.locator("h1")).to_have_text("Nodes")
    follow(page)
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"  # it is kept
    page.keyboard.press("t")


async def come_first(scheduler: AsyncScheduler, job_id: str) -> None:
    await scheduler.modify_job(job_id, next_run_time=scheduler._clock.now() + timedelta(hours=47, minutes=59))


@pytest.mark.slow
def test_nothing_moves_when_the_page_is_read_anew(dashboard: Served, page: Page) -> None:
    page.goto(f"{dashboard.url}/")
    follow(page)
    page.keyboard.press("j")
    places = "[...document.querySelectorAll('tr[data-row], h2, .card')].map(each => each.getBoundingClientRect().top)"
    before = page.evaluate(places)
    first = page.locator("tr[data-row] a[data-open]").first.inner_text()
    other = "broken" if first == "nightly" else "nightly"
    dashboard.call(come_first, dashboard.scheduler, other)  # it stands below, and has to be read anew
    expect(page.locator("tr", has=page.get_by_role("link", name=other, exact=True)).locator(".c-next")).to_contain_text(
        "in 1 d"
    )
    expect(page.locator("tr.selected")).to_have_count(1)
    assert page.locator("tr[data-row] a[data-open]").first.inner_text() == first
    assert page.evaluate(places) == before
    assert page.evaluate("document.activeElement.matches('tr.selected a')")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_and_every_control_has_a_name(
    dashboard: Served, page: Page, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    for path in ("/", "/job?id=nightly", "/job/change?id=nightly", "/runs", "/load", "/quarantine", "/health"):
        page.goto(f"{dashboard.url}{path}")
        assert page.evaluate(LEGIBILITY) == [], path


@pytest.mark.slow
def test_a_phone_needs_no_sideways_scrolling(dashboard: Served, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True) as phone:
        page = phone.new_page()
        for path in (*PAGES, "/runs?outcome=failed"):
            page.goto(f"{dashboard.url}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        page.goto(f"{dashboard.url}/")
        page.get_by_role("link", name="Runs", exact=True).tap()
        expect(page.locator("h1")).to_have_text("Runs")


@pytest.mark.slow
def test_it_works_without_scripts(dashboard: Served, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as plain:
        page = plain.new_page()
        page.goto(f"{dashboard.url}/?q=nightly")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".lead")).to_contain_text("paused")
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".lead")).to_contain_text("scheduled")
        page.get_by_role("link", name="Change").click()
        page.get_by_label("New times").fill("0 5 29 2 *")
        page.get_by_label("Timeout").fill("soon")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#problem-timeout")).to_contain_text("got 'soon'")
        expect(page.locator("#preview")).to_contain_text("at 05:00 on the 29th")
        page.get_by_label("Timeout").fill("5 min")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".lead")).to_contain_text("at 05:00 on the 29th")
        expect(page.locator("dd", has_text="5 min")).to_be_visible()


@pytest.mark.slow
def test_a_foreign_page_cannot_press_a_button(dashboard: Served, browser: Browser) -> None:
    with browser.new_context() as visitor:
        page = visitor.new_page()
        page.goto(f"{dashboard.url}/")
        page.route(
            "http://evil.example/",
            lambda route: route.fulfill(
                content_type="text/html",
                body=f"<form method=post action='{dashboard.url}/do/pause_job'><input name=id value=nightly></form>",
            ),
        )
        page.goto("http://evil.example/")
        with page.expect_navigation():
            page.evaluate("document.forms[0].submit()")
        expect(page.locator("h1")).to_have_text("Not allowed")
    job = dashboard.call(dashboard.scheduler.get_job, "nightly")
    assert job is not None
    assert job.next_run_time is not None


@pytest.mark.slow
def test_the_token_is_asked_for_once(browser: Browser) -> None:
    with (
        served(AsyncScheduler(), token=TOKEN) as locked,
        browser.new_context() as visitor,
    ):
        page = visitor.new_page()
        page.goto(f"{locked.url}/runs")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("That is not the token.")).to_be_visible()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("h2").first).to_be_attached()
        page.goto(f"{locked.url}/runs")
        expect(page.locator("h1")).to_have_text("Runs")
