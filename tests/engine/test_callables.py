"""What may be a job, in memory and in a database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import TransientJobError
from apsched.jobstores.memory import MemoryJobStore
from apsched.jobstores.sqlalchemy import SQLAlchemyJobStore


def double(value: int) -> int:
    return 2 * value


async def double_later(value: int) -> int:
    return 2 * value


class Doubled(int):
    def __new__(cls, value: int) -> Doubled:
        return super().__new__(cls, 2 * value)


class Doubler:
    def __call__(self, value: int) -> int:
        return 2 * value

    def method(self, value: int) -> int:
        return 2 * value

    @classmethod
    def of_class(cls, value: int) -> int:
        return 2 * value

    @staticmethod
    def static(value: int) -> int:
        return 2 * value

    async def later(self, value: int) -> int:
        return 2 * value

    @classmethod
    async def of_class_later(cls, value: int) -> int:
        return 2 * value


class DoublerLater:
    async def __call__(self, value: int) -> int:
        return 2 * value


def nested() -> Callable[[int], int]:
    def inner(value: int) -> int:
        return 2 * value

    return inner


NAMED: dict[str, Any] = {
    "a function": double,
    "a coroutine function": double_later,
    "a class": Doubled,
    "a class method": Doubler.of_class,
    "a class method by an instance": Doubler().of_class,
    "a coroutine class method": Doubler.of_class_later,
    "a static method": Doubler.static,
    "a static method by an instance": Doubler().static,
    "the text of a function": f"{__name__}:double",
    "the text of a coroutine function": f"{__name__}:double_later",
    "the text of a class method": f"{__name__}:Doubler.of_class",
}
NAMELESS: dict[str, tuple[Callable[[int], Any], str]] = {
    "a lambda": (lambda value: 2 * value, "it is a lambda; define a function at the top level"),
    "a nested function": (nested(), "is defined within a function; define it at the top level"),
    "a partial": (partial(double), "it is a partial; add the function itself, and pass its arguments"),
    "a partial of a coroutine function": (partial(double_later), "it is a partial"),
    "a method of an instance": (Doubler().method, "it is a method of an instance; add a function of a module"),
    "a coroutine method of an instance": (Doubler().later, "it is a method of an instance"),
    "a callable instance": (Doubler(), "it is an instance of Doubler; add a function of a module"),
    "an instance with a coroutine for its call": (DoublerLater(), "it is an instance of DoublerLater"),
}


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


@pytest.fixture
async def scheduler(anyio_backend: object, tmp_path: Path) -> AsyncIterator[AsyncScheduler]:
    stores = {
        "default": MemoryJobStore(),
        "sqlite": SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite"),
        "pickles": SQLAlchemyJobStore(f"sqlite:///{tmp_path}/pickles.sqlite", serializer="pickle"),
    }
    async with AsyncScheduler(jobstores=stores) as scheduler:
        yield scheduler


async def run(scheduler: AsyncScheduler, jobstore: str, func: Any) -> Any:
    await scheduler.add_job(func, "interval", [21], id="job", days=1, jobstore=jobstore)
    return await (await scheduler.run_job("job", jobstore)).result()


async def test_anything_that_can_be_called_runs_from_memory(scheduler: AsyncScheduler) -> None:
    for kind, func in {**NAMED, **{kind: func for kind, (func, _) in NAMELESS.items()}}.items():
        assert await run(scheduler, "default", func) == 42, kind
        await scheduler.remove_job("job", "default")


async def test_what_is_found_by_a_name_runs_from_a_database(scheduler: AsyncScheduler) -> None:
    for kind, func in NAMED.items():
        assert await run(scheduler, "sqlite", func) == 42, kind
        await scheduler.remove_job("job", "sqlite")


async def test_what_is_not_found_by_a_name_is_refused_with_the_reason(scheduler: AsyncScheduler) -> None:
    for kind, (func, reason) in NAMELESS.items():
        with pytest.raises(TransientJobError, match=reason):
            await run(scheduler, "sqlite", func)
        assert await scheduler.get_jobs("sqlite") == [], kind


async def test_a_store_of_pickles_takes_what_can_be_pickled(scheduler: AsyncScheduler) -> None:
    for kind in ("a partial", "a method of an instance", "a callable instance"):
        assert await run(scheduler, "pickles", NAMELESS[kind][0]) == 42, kind
        await scheduler.remove_job("job", "pickles")

    with pytest.raises(TransientJobError, match="it is a lambda"):
        await run(scheduler, "pickles", NAMELESS["a lambda"][0])


@pytest.mark.parametrize(
    ("func", "error", "problem"),
    [
        (None, TypeError, "func must be a callable or a text 'package.module:qualified.name', got None"),
        (21, TypeError, "func must be a callable or a text"),
        ("double", ValueError, "func must be a callable or a text"),
        ("nowhere:double", LookupError, "importing 'nowhere' fails"),
        (f"{__name__}:treble", LookupError, "has no 'treble'"),
        (f"{__name__}:NAMED", TypeError, "func must lead to a callable"),
        (Doubler.method, ValueError, "missing: value"),
    ],
)
async def test_what_cannot_be_called_is_refused(
    scheduler: AsyncScheduler, func: Any, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        await run(scheduler, "default", func)

    assert await scheduler.get_jobs() == []
