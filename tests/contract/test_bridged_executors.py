"""What holds for executors also holds for those that were written for APScheduler 3."""

from __future__ import annotations

from apsched.executors._bridged import BridgedExecutor
from apsched.executors.base import Executor
from apsched.testing.contract import ExecutorContract
from tests.users_executors import PoolExecutor


class TestPoolExecutor(ExecutorContract):
    def make_executor(self) -> Executor:
        return BridgedExecutor(PoolExecutor())
