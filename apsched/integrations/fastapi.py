"""Use FastAPI's dependencies in requests and in jobs (layer 10)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import wraps
from inspect import BoundArguments, signature
from typing import Annotated, Any, Protocol, TypeAlias

import anyio
from fastapi import Depends

from apsched.async_scheduler import AsyncScheduler
from apsched.engine.middleware import CallNext, Middleware
from apsched.integrations._fastapi_depends import Overrides, Resolver, called, check_tree, needs_of
from apsched.integrations.starlette import scheduler_of
from apsched.run import Run

SchedulerDep: TypeAlias = Annotated[AsyncScheduler, Depends(scheduler_of)]
"""The scheduler that the lifespan yields as `{"scheduler": scheduler}`, as a parameter of a path operation."""

_overrides: ContextVar[Overrides] = ContextVar("apsched_dependency_overrides", default={})  # noqa: B039  # never changed


class HasDependencyOverrides(Protocol):
    """A `fastapi.FastAPI`."""

    dependency_overrides: dict[Callable[..., Any], Callable[..., Any]]


def with_dependencies(func: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """
    Return a job function that gets its dependencies anew for each run, outside of any request.

        @with_dependencies
        async def report(month: str, session: Annotated[Session, Depends(get_session)]) -> None:
            ...

        await scheduler.add_job(report, "cron", day=1, args=["May"])

    Dependencies may be functions, coroutine functions, classes, callable objects, and generators of both kinds, and
    have dependencies of their own. One that several need is made once a run, unless it says `use_cache=False`. What
    comes after the `yield` of a generator happens when the run has ended, in reverse order, also if the run was
    cancelled or timed out; it sees the exception of the job, and cannot hide it. Plain functions, the job's too, are
    called in up to 40 threads of their own: the job counts as a coroutine function and is in no thread pool executor.

    Whoever calls the function directly may pass dependencies by keyword; those are taken as they are.

    Args:
        func: The job: a function or coroutine function at module level, as all that is stored.

    Raises:
        TypeError: A dependency needs a request, or annotations cannot be read.
    """
    needs = needs_of(func)
    check_tree(func)
    whole = signature(func)
    visible = whole.replace(parameters=[each for name, each in whole.parameters.items() if name not in needs])

    @wraps(func)
    async def with_its_dependencies(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in needs if name in kwargs}
        arguments = visible.bind(*args, **kwargs).arguments
        stack = AsyncExitStack()
        try:
            resolver = Resolver(stack, _overrides.get())
            found = {name: await resolver.get(need) for name, need in needs.items() if name not in given}
            values = {**arguments, **given, **found}
            bound = BoundArguments(
                whole, OrderedDict((name, values[name]) for name in whole.parameters if name in values)
            )
            result = await called(func, *bound.args, **bound.kwargs)
        except BaseException as exc:
            with anyio.CancelScope(shield=True):
                await stack.__aexit__(type(exc), exc, exc.__traceback__)
            raise  # even if a generator has swallowed it
        with anyio.CancelScope(shield=True):
            await stack.aclose()
        return result

    with_its_dependencies.__signature__ = visible  # type: ignore[attr-defined]  # what `add_job` checks arguments by
    return with_its_dependencies


def dependency_overrides(app: HasDependencyOverrides) -> Middleware:
    """
    Return middleware by which `app.dependency_overrides` holds in jobs too; for the tests of an application.

        AsyncScheduler(middleware=[dependency_overrides(app)])

    Args:
        app: The application; its overrides are looked up in each run.
    """

    async def overriding(run: Run, call_next: CallNext) -> Any:
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = app.dependency_overrides
        token = _overrides.set(overrides)
        try:
            return await call_next()
        finally:
            _overrides.reset(token)

    return overriding
