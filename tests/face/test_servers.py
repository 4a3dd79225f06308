"""What a scheduler says of the application server in which it is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from apsched import _servers
from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import SchedulerStateError
from apsched.schedulers.background import BackgroundScheduler

if TYPE_CHECKING:
    Make = Callable[..., BackgroundScheduler]

WORKERS = [
    (["/usr/bin/gunicorn", "-w", "4", "app:app"], {}, 4),
    (["/usr/bin/gunicorn", "--workers=4", "app:app"], {}, 4),
    (["gunicorn", "-w4", "app:app"], {}, 4),
    (["gunicorn", "app:app"], {"WEB_CONCURRENCY": "3"}, 3),
    (["gunicorn", "app:app"], {"GUNICORN_CMD_ARGS": "--bind=:80 --workers 5"}, 5),
    (["gunicorn", "-w", "1", "app:app"], {"WEB_CONCURRENCY": "3"}, 1),
    (["/usr/bin/uvicorn", "app:app", "--workers", "2"], {}, 2),
    (["/lib/site-packages/uvicorn/__main__.py", "app:app", "--workers", "2"], {}, 2),
    (["uvicorn", "app:app"], {}, 1),
    (["uvicorn", "app:app", "--workers"], {}, 1),
    (["manage.py", "-w", "4"], {"WEB_CONCURRENCY": "3"}, 1),
    ([], {}, 1),
]


@pytest.fixture(autouse=True)
def not_warned_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_servers, "_has_warned", False)


@pytest.mark.parametrize(("command", "environment", "count"), WORKERS)
def test_the_command_line_and_the_environment_tell_the_number_of_workers(
    command: list[str], environment: dict[str, str], count: int
) -> None:
    assert _servers.worker_count(command, environment) == count


def test_uwsgi_tells_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", _uwsgi(has_threads=True, numproc=3))

    assert _servers.worker_count(["uwsgi"], {}) == 3


def test_several_workers_with_jobs_in_memory_are_warned_of_once(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["gunicorn", "-w", "4", "app:app"])

    make().start()
    make().start()

    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "one of 4 worker processes" in warnings[0]
    assert "up to 4 times" in warnings[0]


async def test_several_workers_with_an_asynchronous_scheduler_are_warned_of_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["uvicorn", "app:app", "--workers", "2"])

    async with AsyncScheduler():
        pass

    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "one of 2 worker processes" in warning


def test_one_worker_is_not_warned_of(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    make().start()

    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_uwsgi_without_threads_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", _uwsgi(has_threads=False, numproc=1))
    scheduler = make()

    with pytest.raises(SchedulerStateError, match="run uWSGI with the option --enable-threads") as caught:
        scheduler.start()

    assert isinstance(caught.value, RuntimeError)  # as in APScheduler 3
    assert not scheduler.running


def test_uwsgi_with_threads_is_fine(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", _uwsgi(has_threads=True, numproc=1))
    scheduler = make()

    scheduler.start()

    assert scheduler.running


def _uwsgi(**attributes: object) -> ModuleType:
    return SimpleNamespace(**attributes)  # type: ignore[return-value]  # stands in for the module that uWSGI makes
