"""Provide what callables declare by FastAPI's `Depends`, without a request (layer 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from contextlib import asynccontextmanager as async_context_manager
from contextlib import contextmanager as context_manager
from functools import lru_cache, partial
from inspect import Parameter, isasyncgenfunction, isclass, isgeneratorfunction, signature
from types import TracebackType
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import RunVar
from fastapi.params import Depends
from pydantic.fields import FieldInfo

from apsched import _refs

Overrides: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]

THREADS = 40  # as many as FastAPI has for requests, and apart from those: neither holds the other up

_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("apsched_fastapi_threads")


@attrs.frozen
class Need:
    """A dependency: what makes it, and whether all who need it in a run share one."""

    make: Callable[..., Any]
    is_shared: bool


@lru_cache(maxsize=1000)
def _parameters(func: Callable[..., Any]) -> Mapping[str, Parameter]:
    try:
        return signature(func, eval_str=True).parameters
    except (NameError, AttributeError, SyntaxError) as exc:
        raise TypeError(
            f"the annotations of {_refs.name_of(func)} must be readable at run time, got {type(exc).__name__}: {exc}; "
            f"import what they name outside of `if TYPE_CHECKING`"
        ) from None


def needs_of(func: Callable[..., Any]) -> dict[str, Need]:
    """
    Return the dependencies among the parameters of *func*.

    Raises:
        TypeError: Its annotations cannot be read.
    """
    found = {name: _need_in(parameter) for name, parameter in _parameters(func).items()}
    return {name: need for name, need in found.items() if need is not None}


def _need_in(parameter: Parameter) -> Need | None:
    is_annotated = get_origin(parameter.annotation) is Annotated
    kind, *notes = get_args(parameter.annotation) if is_annotated else [parameter.annotation]
    declared = [note for note in (*notes, parameter.default) if isinstance(note, Depends)]
    if not declared:
        return None
    return Need(declared[-1].dependency or kind, declared[-1].use_cache)


def check_tree(func: Callable[..., Any], seen: frozenset[Callable[..., Any]] = frozenset()) -> None:
    """
    Check that all that *func* depends on can be made without a request.

    Raises:
        TypeError: It cannot, or depends on itself, or annotations cannot be read.
    """
    for need in needs_of(func).values():
        if need.make in seen:
            raise TypeError(f"the dependency {_refs.name_of(need.make)} depends on itself")
        _fixed_values(need.make)
        check_tree(need.make, seen | {need.make})


def _fixed_values(make: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults that FastAPI would take from its own objects; raise TypeError if one has none."""
    needs, values = needs_of(make), {}
    for name, parameter in _parameters(make).items():
        if name in needs or parameter.kind in _VARIABLE:
            continue
        default = parameter.default
        if isinstance(default, FieldInfo) and not default.is_required():
            values[name] = default.get_default(call_default_factory=True)
        elif default is Parameter.empty or isinstance(default, FieldInfo):
            raise TypeError(
                f"the dependency {_refs.name_of(make)} must do without a request in a job, got the parameter {name!r}, "
                f"which only a request gives; give it a default, or depend on something else"
            )
    return values


class Resolver:
    """
    Makes the dependencies of one run.

    Args:
        stack: What closes them.
        overrides: What is called in place of what.
    """

    def __init__(self, stack: AsyncExitStack, overrides: Overrides) -> None:
        self._stack = stack
        self._overrides = overrides
        self._shared: dict[Callable[..., Any], Any] = {}

    async def get(self, need: Need) -> Any:
        """Return the value of a dependency."""
        make = self._overrides.get(need.make, need.make)
        if need.is_shared and make in self._shared:
            return self._shared[make]
        values = _fixed_values(make)
        for name, each in needs_of(make).items():
            values[name] = await self.get(each)
        value = await self._made(make, values)
        self._shared.setdefault(make, value)
        return value

    async def _made(self, make: Callable[..., Any], values: dict[str, Any]) -> Any:
        body = make if isclass(make) or isinstance(make, partial) else getattr(make, "__call__", make)  # noqa: B004
        if isasyncgenfunction(make) or isasyncgenfunction(body):
            return await self._stack.enter_async_context(async_context_manager(make)(**values))
        if isgeneratorfunction(make) or isgeneratorfunction(body):
            return await self._stack.enter_async_context(_InThreads(context_manager(make)(**values)))
        return await called(make, **values)


async def called(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Await *func*, or call it in a thread if it is a plain function."""
    if _refs.is_coroutine_callable(func):
        return await func(*args, **kwargs)
    return await _in_thread(func, *args, **kwargs)


async def _in_thread(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(partial(func, *args, **kwargs), limiter=limiter)


class _InThreads(AbstractAsyncContextManager[Any]):
    """A context manager that is entered and left in threads."""

    def __init__(self, manager: AbstractContextManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return await _in_thread(self._manager.__enter__)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        swallows: bool | None = await _in_thread(self._manager.__exit__, exc_type, exc, traceback)
        return swallows
