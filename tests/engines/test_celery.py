"""What holds for every executor, and how calls get lost, on a real Celery worker with Redis."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from celery import Celery

from apsched.exceptions import ExecutorRefusedError, UnstorableError, WorkerDiedError
from apsched.executors.base import Executor
from apsched.executors.celery import CeleryExecutor, register
from apsched.serializers import Unstorable
from apsched.testing import _callables as these
from apsched.testing.contract.executor import make_call
from tests.engines import calls
from tests.engines.celery_worker import PROCESSES, ROOT, CeleryWorker, make_app, start_celery
from tests.engines.elsewhere import ElsewhereTests
from tests.engines.outcomes import Outcomes, until_taken
from tests.servers import Redis, start_redis


@pytest.fixture(scope="module")
def worker(redis_server: Redis) -> Iterator[CeleryWorker]:
    with redis_server.database() as url, start_celery(url) as worker:
        yield worker


@pytest.fixture
async def executor(worker: CeleryWorker) -> AsyncIterator[CeleryExecutor]:
    async with CeleryExecutor(worker.app) as executor:
        yield executor


class TestCeleryExecutor(ElsewhereTests):
    busy = PROCESSES

    @pytest.fixture(autouse=True)
    def know_app(self, worker: CeleryWorker) -> None:
        self.app = worker.app

    @pytest.fixture
    def description(self) -> dict[str, Any]:
        return {"type": "celery", "app": self.app}

    def make_executor(self) -> Executor:
        return CeleryExecutor(self.app)

    # The others have no name by which a worker could find them.
    @pytest.mark.parametrize("func", [these.add_one, these.add_one_later, these.give_coroutine])
    async def test_what_the_callable_returns_is_returned(self, executor: Executor, func: Callable[..., Any]) -> None:
        assert await executor.execute(make_call(func, value=1)) == 2


@pytest.mark.parametrize("value", [{"a": (1, 2.5, None)}, datetime(2026, 7, 1, tzinfo=UTC), timedelta(1), b"\x00", "ä"])
async def test_closed_types_travel_both_ways(executor: CeleryExecutor, value: object) -> None:
    assert await executor.execute(make_call(calls.give_back, value)) == value


async def test_a_result_of_another_type_is_told_of(executor: CeleryExecutor) -> None:
    result = await executor.execute(make_call(calls.give_object))

    assert isinstance(result, Unstorable)


async def test_an_argument_of_another_type_fails_its_own_call_only(executor: CeleryExecutor) -> None:
    with pytest.raises(UnstorableError, match=r"args\[0\]"):
        await executor.execute(make_call(these.add_one, object()))

    assert await executor.execute(make_call(these.add_one, 1)) == 2


async def test_a_callable_without_a_name_fails_its_own_call_only(executor: CeleryExecutor) -> None:
    with pytest.raises(ValueError, match="finds callables by module and name"):
        await executor.execute(make_call(partial(these.add_one, 1)))


async def test_a_callable_of_another_module_is_not_called(executor: CeleryExecutor) -> None:
    with pytest.raises(ValueError, match="'shutil:rmtree' must lead to something defined in the modules"):
        await executor.execute(make_call(__import__("shutil").rmtree, "nowhere"))


async def test_a_call_that_is_given_up_ends_its_process(executor: CeleryExecutor, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    async with anyio.create_task_group() as group:
        group.start_soon(executor.execute, make_call(calls.note_and_wait, str(path)))
        await calls.until(lambda: calls.notes(path))

        group.cancel_scope.cancel()

    await calls.until(lambda: not Path(f"/proc/{calls.notes(path)[0]}").exists())


async def test_a_process_that_dies_fails_its_call_only(executor: CeleryExecutor, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    outcomes = Outcomes(executor)
    async with anyio.create_task_group() as group:
        group.start_soon(outcomes.execute, calls.note_and_wait, path)
        await calls.until(lambda: calls.notes(path))

        os.kill(calls.notes(path)[0], signal.SIGKILL)

    assert [type(error) for error in outcomes.errors] == [WorkerDiedError]
    assert "WorkerLostError" in str(outcomes.errors[0])
    assert len(calls.notes(path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)  # once is enough: it waits for half a minute
async def test_a_worker_that_dies_with_all_its_processes_fails_its_calls(redis_server: Redis, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    with redis_server.database() as url, start_celery(url) as worker:
        async with CeleryExecutor(worker.app) as executor:
            outcomes = Outcomes(executor)
            async with anyio.create_task_group() as group:
                group.start_soon(outcomes.execute, calls.note_and_wait, path)
                await calls.until(lambda: calls.notes(path))

                worker.kill()

    assert [type(error) for error in outcomes.errors] == [WorkerDiedError]


DIES = """
import anyio
from apsched.executors.celery import CeleryExecutor
from apsched.testing.contract.executor import make_call
from tests.engines.calls import note
from tests.engines.celery_worker import make_app

async def main():
    async with CeleryExecutor(make_app({url!r})) as executor:
        await executor.execute(make_call(note, {path!r}))

anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)  # once is enough: it waits for ten seconds
async def test_what_a_dead_scheduler_has_sent_is_not_entered_any_more(redis_server: Redis, tmp_path: Path) -> None:
    busy, late = tmp_path / "busy", tmp_path / "late"
    with redis_server.database() as url, start_celery(url) as worker, redis.Redis.from_url(url) as client:
        async with CeleryExecutor(worker.app) as executor, anyio.create_task_group() as group:
            for _ in range(PROCESSES):
                group.start_soon(executor.execute, make_call(calls.note_and_wait, str(busy)))
            await calls.until(lambda: len(calls.notes(busy)) == PROCESSES)
            program = DIES.format(url=url, path=str(late))
            async with await anyio.open_process([sys.executable, "-c", program], cwd=ROOT) as scheduler:
                await calls.until(lambda: client.keys("apsched-permit-*"))

                scheduler.kill()

            await calls.until(lambda: not client.keys("apsched-permit-*"))
            busy.unlink()
            for _ in range(PROCESSES):  # they come after it
                await executor.execute(make_call(these.add_one, 1))

    assert not late.exists()


async def test_calls_that_were_entered_outlive_an_outage_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    with start_redis() as server, start_celery(server.url) as worker:
        async with CeleryExecutor(worker.app) as executor:
            outcomes = Outcomes(executor)
            async with anyio.create_task_group() as group:
                for _ in range(PROCESSES):
                    group.start_soon(outcomes.execute, calls.note_and_wait, path)
                await calls.until(lambda: len(calls.notes(path)) == PROCESSES)

                server.kill()
                with pytest.raises(ExecutorRefusedError, match="away"):
                    await executor.execute(make_call(these.add_one, 1))
                server.restart()
                path.unlink()

            assert outcomes.errors == []
            await until_taken(executor)


async def test_calls_whose_server_stays_away_fail(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    with start_redis() as server, start_celery(server.url) as worker:
        async with CeleryExecutor(worker.app, patience=0.2) as executor:
            outcomes = Outcomes(executor)
            async with anyio.create_task_group() as group:
                for _ in range(PROCESSES + 1):  # nobody knows whether the last one has been entered by then
                    group.start_soon(outcomes.execute, calls.note_and_wait, path)
                await calls.until(lambda: len(calls.notes(path)) == PROCESSES)

                server.kill()

            assert [type(error) for error in outcomes.errors] == [WorkerDiedError] * (PROCESSES + 1)


async def test_a_worker_that_does_not_know_the_task_refuses(redis_server: Redis) -> None:
    with redis_server.database() as url, start_celery(url, has_task=False) as worker:
        async with CeleryExecutor(worker.app) as executor:
            with pytest.raises(ExecutorRefusedError, match="NotRegistered"):
                await executor.execute(make_call(these.add_one, 1))


def test_an_app_without_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a Redis server, got 'disabled://'"):
        CeleryExecutor(Celery("none", set_as_current=False))


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a Celery app"):
        CeleryExecutor("tests.engines.calls:note")


def test_allowed_modules_are_names() -> None:
    with pytest.raises(TypeError, match="allowed_modules must be None or a list of names"):
        register(make_app("redis://"), allowed_modules="myapp")
