"""What holds for every executor, and how calls get lost, on a real Dask cluster: a scheduler and two workers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from apsched.exceptions import ExecutorRefusedError, WorkerDiedError
from apsched.executors.base import Executor
from apsched.executors.dask import DaskExecutor
from apsched.testing import _callables as these
from apsched.testing.contract.executor import make_call
from tests.engines import calls
from tests.engines.dask_cluster import THREADS, DaskCluster, start_dask
from tests.engines.elsewhere import ElsewhereTests
from tests.engines.outcomes import Outcomes, until_taken

BUSY = 2 * THREADS  # calls that fill the cluster


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[DaskCluster]:
    with start_dask() as cluster:
        yield cluster


@pytest.fixture
def own_cluster() -> Iterator[DaskCluster]:
    with start_dask() as cluster:
        yield cluster


@pytest.fixture
async def executor(shared_cluster: DaskCluster) -> AsyncIterator[DaskExecutor]:
    async with DaskExecutor(shared_cluster.address) as executor:
        yield executor


class TestDaskExecutor(ElsewhereTests):
    busy = BUSY

    @pytest.fixture(autouse=True)
    def know_cluster(self, shared_cluster: DaskCluster) -> None:
        self.address = shared_cluster.address

    @pytest.fixture
    def description(self) -> dict[str, Any]:
        return {"type": "dask", "address": self.address}

    def make_executor(self) -> Executor:
        return DaskExecutor(self.address)


async def test_what_cannot_be_pickled_fails_its_own_call_only(executor: DaskExecutor) -> None:
    with pytest.raises(TypeError, match="pickle"):
        await executor.execute(make_call(these.add_one, (value for value in "abc")))

    assert await executor.execute(make_call(these.add_one, 1)) == 2


async def test_a_coroutine_function_that_is_given_up_is_cancelled_on_its_worker(
    executor: DaskExecutor, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    async with anyio.create_task_group() as group:
        group.start_soon(executor.execute, make_call(calls.note_and_wait_for_cancel, str(path)))
        await calls.until(lambda: calls.notes(path))

        group.cancel_scope.cancel()

    await calls.until(lambda: len(calls.notes(path)) == 2)


async def test_a_worker_that_dies_fails_what_it_had_entered_and_that_is_not_run_again(
    own_cluster: DaskCluster, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    async with DaskExecutor(own_cluster.address) as executor:
        outcomes = Outcomes(executor)
        async with anyio.create_task_group() as group:
            group.start_soon(outcomes.execute, calls.note_and_wait, path)
            await calls.until(lambda: calls.notes(path))

            os.kill(calls.notes(path)[0], signal.SIGKILL)

        assert [type(error) for error in outcomes.errors] == [WorkerDiedError]
        assert await executor.execute(make_call(these.add_one, 1)) == 2  # the other one
        assert len(calls.notes(path)) == 1


async def test_a_lost_cluster_fails_what_was_entered_and_refuses_what_was_not(
    own_cluster: DaskCluster, tmp_path: Path
) -> None:
    busy, late = tmp_path / "busy", tmp_path / "late"
    async with DaskExecutor(own_cluster.address) as executor:
        entered, waiting = Outcomes(executor), Outcomes(executor)
        async with anyio.create_task_group() as group:
            for _ in range(BUSY):
                group.start_soon(entered.execute, calls.note_and_wait, busy)
            await calls.until(lambda: len(calls.notes(busy)) == BUSY)
            group.start_soon(waiting.execute, calls.note, late)
            await anyio.wait_all_tasks_blocked()

            own_cluster.kill()

        assert [type(error) for error in entered.errors] == [WorkerDiedError] * BUSY
        assert [type(error) for error in waiting.errors] == [ExecutorRefusedError]
        assert not late.exists()

        own_cluster.start()
        await until_taken(executor)


async def test_an_executor_whose_cluster_is_away_refuses_calls(own_cluster: DaskCluster) -> None:
    own_cluster.kill()
    async with DaskExecutor(own_cluster.address, client_kwargs={"timeout": 0.5}) as executor:
        with pytest.raises(ExecutorRefusedError, match=own_cluster.address):
            await executor.execute(make_call(these.add_one, 1))

        own_cluster.start()
        await until_taken(executor)
