"""A service outside hears of runs, and of a scheduler that is well; jobs never hear of the service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from apsched import AsyncScheduler, Outcome, Retry
from apsched.integrations import pings
from apsched.integrations.pings import Pings
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing import BlockingClock, FaultyJobStore, VirtualClock

PATIENCE = 20.0  # seconds


class Service:
    """An HTTP server that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []  # path, body
        self.codes: list[int] = []  # to answer next; then 200
        self._news = threading.Condition()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.note(self.path, self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())
                self.send_response(service.codes.pop(0) if service.codes else 200)
                self.end_headers()

            do_POST = do_GET  # noqa: N815  # its name in the standard library

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def note(self, path: str, body: str) -> None:
        with self._news:
            self.asked.append((path, body))
            self._news.notify_all()

    def wait(self, *paths: str) -> None:
        """Return when each of *paths* has been asked for."""
        with self._news:
            assert self._news.wait_for(lambda: {path for path, _ in self.asked} >= set(paths), PATIENCE), self.asked

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(is_so, PATIENCE), self.asked

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "PAUSE", 0.01)


def fail() -> None:
    raise ConnectionError("nobody answers")


async def test_runs_ping_the_url_of_their_job(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, service: Service
) -> None:
    urls = {"ok": f"{service.url}/ok?create=1", "bad": f"{service.url}/bad/", "late": f"{service.url}/late"}
    Pings(apsched_scheduler, urls)
    await apsched_scheduler.add_job(print, id="ok")
    await apsched_scheduler.add_job(fail, id="bad")
    await apsched_scheduler.add_job(print, id="untold")
    await apsched_scheduler.pause()
    await apsched_scheduler.add_job(print, id="late", misfire_grace_time=1)
    await apsched_clock.advance(10)
    await apsched_scheduler.resume()
    await apsched_clock.run_until_idle()

    service.wait("/ok?create=1", "/bad/fail", "/late/fail")
    assert all(body == "" for _, body in service.asked)
    assert len(service.asked) == 3


async def test_an_attempt_that_is_made_again_is_no_failure(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, service: Service
) -> None:
    Pings(apsched_scheduler, {"bad": f"{service.url}/bad", "ok": f"{service.url}/ok"})
    await apsched_scheduler.add_job(fail, id="bad", retry=Retry(max_attempts=2))
    await apsched_clock.advance(1)
    await apsched_scheduler.add_job(print, id="ok")
    await apsched_clock.advance(1)
    service.wait("/ok")
    before = list(service.asked)
    await apsched_clock.advance(minutes=1)

    service.wait("/bad/fail")
    assert before == [("/ok", "")]


async def test_starts_and_errors_are_told_where_that_is_wanted(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, service: Service
) -> None:
    Pings(apsched_scheduler, {"bad": f"{service.url}/bad?create=1"}, with_starts=True, with_errors=True)
    await apsched_scheduler.add_job(fail, id="bad")
    await apsched_clock.run_until_idle()

    service.wait("/bad/start?create=1", "/bad/fail?create=1")
    assert dict(service.asked)["/bad/fail?create=1"].endswith("ConnectionError: nobody answers\n")


async def test_a_service_that_is_away_costs_a_job_nothing_but_a_line_in_the_log(
    apsched_scheduler: AsyncScheduler,
    apsched_clock: VirtualClock,
    apsched_store: FaultyJobStore,
    service: Service,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Pings(apsched_scheduler, {"lost": "http://127.0.0.1:1/secret", "job": f"{service.url}/job"})
    service.codes = [503, 500]
    await apsched_scheduler.add_job(print, id="lost")
    await apsched_scheduler.add_job(print, id="job")
    await apsched_clock.run_until_idle()

    service.wait_until(lambda: len(service.asked) == 3)  # it is tried again
    assert [run.outcome for run in apsched_store.history()] == [Outcome.SUCCEEDED] * 2
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "apsched.pings"]
    assert warning.startswith("the ping of http://127.0.0.1/... did not arrive: URLError: ")
    assert "secret" not in caplog.text


async def test_a_ping_that_the_service_refuses_is_not_tried_again(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    Pings(apsched_scheduler, {"unknown": f"{service.url}/unknown", "job": f"{service.url}/job"})
    service.codes = [404]
    await apsched_scheduler.add_job(print, id="unknown")
    await apsched_clock.run_until_idle()
    service.wait("/unknown")
    await apsched_scheduler.add_job(print, id="job")
    await apsched_clock.run_until_idle()

    service.wait("/job")
    assert [path for path, _ in service.asked] == ["/unknown", "/job"]
    assert "HTTPError: HTTP Error 404: Not Found" in caplog.text


def test_what_is_left_to_send_is_sent_after_a_shutdown_and_a_second_start_goes_on(
    apsched_options: dict[str, Any], service: Service
) -> None:
    scheduler = BackgroundScheduler(**apsched_options)
    made = Pings(scheduler, {"job": f"{service.url}/job"})
    for number in (1, 2):
        scheduler.start()
        scheduler.add_job(print, id="job")
        BlockingClock(scheduler).advance(1)
        scheduler.shutdown()
        made.finish()
        assert len(service.asked) == number
    assert not any(thread.name == "apsched-pings" for thread in threading.enumerate())


def test_a_url_is_pinged_while_the_scheduler_is_well_and_only_then(
    apsched_background: BackgroundScheduler,
    apsched_background_clock: BlockingClock,
    apsched_store: FaultyJobStore,
    service: Service,
) -> None:
    clock = apsched_background_clock
    clock.run_until_idle()
    made = Pings(apsched_background, {"job": f"{service.url}/job"}, alive=f"{service.url}/alive", every=0.02)
    service.wait_until(lambda: len(service.asked) >= 3)

    apsched_background.pause()
    assert not made._is_well()
    apsched_background.resume()
    clock.run_until_idle()
    assert made._is_well()
    apsched_store.fail_next("take_due", OSError)
    apsched_background.add_job(print, id="job")
    clock.run_until_idle()
    assert not made._is_well()
    before = len(service.asked)
    clock.advance(60)
    service.wait_until(lambda: [path for path, _ in service.asked[before:]].count("/alive") >= 2)

    service.wait("/job")
    apsched_background.shutdown()
    made.finish()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"urls": {"job": "ftp://host/file"}}, "a URL to ping must begin with http:// or https://, got 'ftp://host/f"),
        ({"alive": "hc-ping.com/1"}, "a URL to ping must begin with http:// or https://, got 'hc-ping.com/1'"),
        ({"every": 0}, "every must be a number of seconds above 0, got 0"),
        ({"timeout": True}, "timeout must be a number of seconds above 0, got True"),
    ],
)
def test_what_cannot_be_pinged_is_refused(
    apsched_options: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Pings(AsyncScheduler(**apsched_options), **options)
