"""State what holds for every job store, executor and notifier, as tests to run against one of your own (layer 10).

    from apsched.testing.contract import JobStoreContract

    class TestMyStore(JobStoreContract):
        @pytest.fixture
        async def store(self) -> AsyncIterator[JobStore]:
            async with MyStore("server/empty-database") as store:
                yield store

Needs pytest; anyio brings the plugin that runs the tests, on each event loop that the fixture `anyio_backend` names. To
see values where an assertion fails, call `pytest.register_assert_rewrite("apsched.testing.contract")` in a conftest.py.

Rule 1: a test says one sentence of the port, and asks nothing that is not written there.
Rule 2: nothing here reads a clock, and nothing waits but for what is to come.
"""

from apsched.testing.contract.executor import ExecutorContract
from apsched.testing.contract.jobstore import JobStoreContract
from apsched.testing.contract.notifier import NotifierContract

__all__ = ["ExecutorContract", "JobStoreContract", "NotifierContract"]
