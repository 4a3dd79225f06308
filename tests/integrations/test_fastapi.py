"""FastAPI: the scheduler in path operations, and dependencies in jobs."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import attrs
import pytest
from fastapi import Depends, FastAPI, Header, Query, Request

from apsched import AsyncScheduler
from apsched.exceptions import JobTimeoutError
from apsched.integrations.fastapi import SchedulerDep, dependency_overrides, with_dependencies
from apsched.run import Outcome, Run
from apsched.testing.clock import VirtualClock
from tests.integrations.asgi import client_of

if TYPE_CHECKING:
    from decimal import Decimal

log: list[str] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


def plain() -> str:
    return "plain"


async def coroutine() -> str:
    return "coroutine"


def generator() -> Generator[str]:
    log.append("open generator")
    try:
        yield "generator"
    finally:
        log.append("close generator")


async def async_generator() -> AsyncGenerator[str]:
    log.append("open async generator")
    try:
        yield "async generator"
    finally:
        await anyio.lowlevel.checkpoint()
        log.append("close async generator")


@attrs.frozen
class Settings:
    name: Annotated[str, Depends(plain)]


class Prefix:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, name: Annotated[str, Depends(plain)]) -> Generator[str]:
        yield self.prefix + name
        log.append("close prefix")


async def run_of(func: Any, clock: VirtualClock, *middleware: Any, **options: Any) -> Run:
    async with AsyncScheduler(clock=clock, timezone="UTC", middleware=middleware) as scheduler:
        await scheduler.add_job(func, "cron", hour=12, id="job", **options)
        return await (await scheduler.run_job("job")).wait()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    async with AsyncScheduler(timezone="UTC") as scheduler:
        yield {"scheduler": scheduler}


async def test_a_path_operation_gets_the_scheduler_of_the_lifespan() -> None:
    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def count(scheduler: SchedulerDep) -> int:
        await scheduler.add_job(plain, "interval", hours=1)
        return len(await scheduler.get_jobs())

    async with client_of(app) as client:
        assert [(await client.get("/")).json(), (await client.get("/")).json()] == [1, 2]


@pytest.mark.parametrize(
    ("dependency", "value"),
    [
        (plain, "plain"),
        (coroutine, "coroutine"),
        (generator, "generator"),
        (async_generator, "async generator"),
        (Prefix("very "), "very plain"),
        (partial(Settings, "given"), Settings("given")),
    ],
    ids=["plain", "coroutine", "generator", "async-generator", "object", "partial"],
)
async def test_a_job_gets_what_it_depends_on(clock: VirtualClock, dependency: Any, value: Any) -> None:
    @with_dependencies
    async def later(number: int, found: Any = Depends(dependency)) -> tuple[int, Any]:
        return number, found

    @with_dependencies
    def threaded(number: int, found: Any = Depends(dependency)) -> tuple[int, Any]:
        assert threading.current_thread() is not threading.main_thread()
        return number, found

    assert (await run_of(later, clock, args=[1])).retval == (1, value)
    assert (await run_of(threaded, clock, kwargs={"number": 2})).retval == (2, value)


async def test_a_class_may_be_named_by_the_annotation_alone(clock: VirtualClock) -> None:
    @with_dependencies
    async def job(settings: Annotated[Settings, Depends()]) -> str:
        return settings.name

    assert (await run_of(job, clock)).retval == "plain"


async def test_generators_are_closed_after_the_run_in_reverse_order(clock: VirtualClock) -> None:
    @with_dependencies
    async def job(a: Annotated[str, Depends(generator)], b: Annotated[str, Depends(async_generator)]) -> None:
        log.append(f"run with {a} and {b}")

    await run_of(job, clock)

    assert log == [
        "open generator",
        "open async generator",
        "run with generator and async generator",
        "close async generator",
        "close generator",
    ]


async def test_what_several_need_is_made_once_a_run_unless_it_is_not_to_be_shared(clock: VirtualClock) -> None:
    def middle(found: Annotated[str, Depends(generator)]) -> str:
        return found

    @with_dependencies
    async def job(
        a: str = Depends(middle), b: str = Depends(generator), c: str = Depends(generator, use_cache=False)
    ) -> None: ...

    await run_of(job, clock)
    await run_of(job, clock)

    assert log.count("open generator") == log.count("close generator") == 4


async def test_a_generator_sees_the_exception_of_the_job_and_cannot_hide_it(clock: VirtualClock) -> None:
    def hiding() -> Generator[None]:
        try:
            yield
        except LookupError as exc:
            log.append(repr(exc))

    @with_dependencies
    async def job(found: None = Depends(hiding)) -> None:
        raise LookupError("lost")

    run = await run_of(job, clock)

    assert run.outcome is Outcome.FAILED
    assert "LookupError: lost" in str(run.error)
    assert log == ["LookupError('lost')"]


async def test_an_exception_after_the_job_lets_the_run_fail(clock: VirtualClock) -> None:
    async def broken() -> AsyncGenerator[None]:
        yield
        raise OSError("commit failed")

    @with_dependencies
    async def job(found: None = Depends(broken)) -> None: ...

    run = await run_of(job, clock)

    assert run.outcome is Outcome.FAILED
    assert "commit failed" in str(run.error)


async def test_generators_are_closed_in_full_when_the_run_is_cancelled(clock: VirtualClock) -> None:
    @with_dependencies
    async def job(a: Annotated[str, Depends(generator)], b: Annotated[str, Depends(async_generator)]) -> None:
        await clock.sleep(3600)

    async with AsyncScheduler(clock=clock, timezone="UTC") as scheduler:
        await scheduler.add_job(job, "cron", hour=12, id="job", timeout=60)
        handle = await scheduler.run_job("job")
        await clock.advance(61)

        with pytest.raises(JobTimeoutError):
            await handle.result()

    assert log[2:] == ["close async generator", "close generator"]


async def test_a_direct_call_may_pass_what_it_depends_on() -> None:
    @with_dependencies
    async def job(number: int, found: Annotated[str, Depends(plain)]) -> tuple[int, str]:
        return number, found

    assert await job(1, found="given") == (1, "given")
    assert await job(number=1) == (1, "plain")


async def test_the_signature_has_no_dependencies_so_that_wrong_arguments_are_refused(clock: VirtualClock) -> None:
    @with_dependencies
    async def job(found: Annotated[str, Depends(plain)], number: int = 0) -> tuple[str, int]:
        return found, number

    assert list(signature(job).parameters) == ["number"]
    assert (await run_of(job, clock, args=[5])).retval == ("plain", 5)
    with pytest.raises(ValueError, match="unknown: found"):
        await run_of(job, clock, kwargs={"found": "mine"})


async def test_the_overrides_of_the_application_hold_in_jobs(clock: VirtualClock) -> None:
    app = FastAPI()
    app.dependency_overrides[plain] = coroutine

    @with_dependencies
    async def job(found: Annotated[Settings, Depends()]) -> str:
        return found.name

    assert (await run_of(job, clock, dependency_overrides(app))).retval == "coroutine"
    assert (await run_of(job, clock)).retval == "plain"


async def test_defaults_that_fastapi_would_take_are_taken(clock: VirtualClock) -> None:
    def page(
        size: Annotated[int, Query(gt=0)] = 10, start: int = Query(5), tags: list[str] = Query(default_factory=list)
    ) -> tuple[int, int, list[str]]:
        return size, start, tags

    @with_dependencies
    async def job(found: Any = Depends(page)) -> Any:
        return found

    assert (await run_of(job, clock)).retval == (10, 5, [])


def of_request(request: Request) -> str:
    return str(request.url)


def of_header(x_token: Annotated[str, Header()]) -> str:
    return x_token


def of_query(page: int = Query()) -> int:
    return page


@pytest.mark.parametrize("dependency", [of_request, of_header, of_query])
def test_what_needs_a_request_is_refused_when_the_job_is_defined(dependency: Any) -> None:
    def inner(found: Any = Depends(dependency)) -> None: ...

    async def job(found: None = Depends(inner)) -> None: ...

    with pytest.raises(TypeError, match=rf"the dependency {dependency.__name__} must do without a request in a job"):
        with_dependencies(job)


def test_a_circle_of_dependencies_is_refused() -> None:
    def circle(found: Any = Depends(lambda: circle)) -> None: ...

    circle.__defaults__ = (Depends(circle),)

    async def job(found: None = Depends(circle)) -> None: ...

    with pytest.raises(TypeError, match=r"circle depends on itself"):
        with_dependencies(job)


def test_annotations_that_cannot_be_read_are_refused() -> None:
    async def job(amount: Decimal, found: Annotated[str, Depends(plain)]) -> None: ...

    with pytest.raises(TypeError, match=r"annotations of .*job must be readable at run time.*name 'Decimal'"):
        with_dependencies(job)
