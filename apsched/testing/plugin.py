"""Give pytest fixtures for tests of jobs (layer 10).

pytest loads this module by itself (entry point `pytest11`); `-p no:apsched` leaves it out.

Rule 1: importing it imports nothing but pytest; each fixture imports what it needs when it is used.
Rule 2: a fixture is a plain function wherever it can be one, so that it serves tests of every plugin for async code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from apsched import AsyncScheduler
    from apsched.schedulers.background import BackgroundScheduler
    from apsched.testing import BlockingClock, Cluster, FaultyJobStore, VirtualClock


@pytest.fixture
def apsched_clock() -> VirtualClock:
    """A clock that stands still until `await apsched_clock.advance(...)`; override it to begin at another time."""
    from apsched.testing.clock import VirtualClock

    return VirtualClock()


@pytest.fixture
def apsched_store(apsched_clock: VirtualClock) -> FaultyJobStore:
    """The job store of the schedulers below, in memory; `apsched_store.fail_next(...)` lets it fail."""
    from apsched.testing.store import FaultyJobStore

    return FaultyJobStore(apsched_clock)


@pytest.fixture
def apsched_options(apsched_clock: VirtualClock, apsched_store: FaultyJobStore) -> dict[str, Any]:
    """Options of the schedulers below: `apsched_clock`, `apsched_store`, UTC; override it to have others."""
    return {"clock": apsched_clock, "jobstores": {"default": apsched_store}, "timezone": "UTC"}


@pytest.fixture
async def apsched_scheduler(
    request: pytest.FixtureRequest, apsched_options: dict[str, Any], apsched_store: FaultyJobStore
) -> AsyncIterator[AsyncScheduler]:
    """
    An `AsyncScheduler` that has started, of `apsched_options`.

    For tests that anyio runs: `@pytest.mark.anyio`, or `anyio_mode = auto`.
    """
    from apsched.async_scheduler import AsyncScheduler

    if "anyio_backend" not in request.fixturenames:  # the others leave a fixture in another task than they enter it in
        pytest.fail(
            "apsched_scheduler is for tests that anyio runs; mark the test with pytest.mark.anyio, or write "
            "'async with AsyncScheduler(**apsched_options) as scheduler:' in it",
            pytrace=False,
        )
    async with AsyncScheduler(**apsched_options) as scheduler:
        yield scheduler
        apsched_store.heal()  # or the end would wait for it


@pytest.fixture
def apsched_cluster(apsched_clock: VirtualClock, apsched_options: dict[str, Any]) -> Cluster:
    """Schedulers on one shared store: `async with apsched_cluster.node() as one, apsched_cluster.node() as two:`."""
    from apsched.testing.cluster import Cluster

    own = ("clock", "jobstores")
    return Cluster(apsched_clock, **{name: value for name, value in apsched_options.items() if name not in own})


@pytest.fixture
def apsched_background(apsched_options: dict[str, Any], apsched_store: FaultyJobStore) -> Iterator[BackgroundScheduler]:
    """A `BackgroundScheduler` that has started, of `apsched_options`; for tests without async."""
    from apsched.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(**apsched_options)
    scheduler.start()
    yield scheduler
    apsched_store.heal()
    if scheduler.running:
        scheduler.shutdown(wait=False)


@pytest.fixture
def apsched_background_clock(apsched_background: BackgroundScheduler) -> BlockingClock:
    """`apsched_clock` for tests without async: `apsched_background_clock.advance(...)` returns when all is done."""
    from apsched.testing.blocking import BlockingClock

    return BlockingClock(apsched_background)


@pytest.fixture
def assert_fired(apsched_store: FaultyJobStore) -> Callable[..., None]:
    """`assert_fired("job", times=7)`: see `apsched.testing.assert_fired`; it looks at `apsched_store`."""
    from apsched.testing.fired import assert_fired

    def check(job_id: str, **expected: Any) -> None:
        __tracebackhide__ = True
        assert_fired(apsched_store.history(), job_id, **expected)

    return check
