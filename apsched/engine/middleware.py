"""Put users' code around every run (layer 6).

Rule 1: a middleware runs in the task of its run, in the scheduler's event loop. What it sets in its context variables
the callable sees, in threads too.
Rule 2: what must happen where the callable is called goes there as `inside`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial, update_wrapper
from typing import Any, Protocol, TypeAlias

from apsched import _refs
from apsched.run import Run

Inside: TypeAlias = Callable[[], AbstractContextManager[Any]]


class CallNext(Protocol):
    """Goes on with a run: to the next middleware, or to the callable."""

    async def __call__(self, *, inside: Inside | None = None) -> Any:
        """
        Return what the callable returned, or what a middleware further in made of it.

        May be called again, to try again. Not to be called is to answer in place of the callable.

        Args:
            inside: Makes a context manager that is entered around the callable where that is called: in its thread, for
                example. In a worker process it is left out.

        Raises:
            BaseException: What the callable raised.
        """


Middleware: TypeAlias = Callable[[Run, CallNext], Awaitable[Any]]
"""(run, call_next) -> what the run returns; a coroutine function."""


def middleware_of(value: object) -> tuple[Middleware, ...]:
    """
    Return the middleware that *value* is or names.

    Args:
        value: None, or a sequence of coroutine functions and references of such; or a text of references, parted by
            commas.

    Raises:
        TypeError: One of them is no coroutine function.
        LookupError: A reference leads nowhere.
        ValueError: A reference is malformed.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence):
        raise TypeError(f"middleware must be a list of coroutine functions of (run, call_next), got {value!r}")
    found = [_refs.resolve(each) if isinstance(each, str) else each for each in value]
    for each in found:
        if not callable(each) or not _refs.is_coroutine_callable(each):
            raise TypeError(f"middleware must be coroutine functions of (run, call_next), got {each!r}")
    return tuple(found)


async def call_through(
    middleware: Sequence[Middleware], run: Run, call: Callable[[tuple[Inside, ...]], Awaitable[Any]]
) -> Any:
    """
    Call *call* within all of *middleware*, the first one outermost.

    Args:
        middleware: At least one.
        run: What it is given.
        call: Makes the call, with what is to be entered around it.
    """

    async def go_on(number: int, insides: tuple[Inside, ...]) -> Any:
        if number == len(middleware):
            return await call(insides)

        async def call_next(*, inside: Inside | None = None) -> Any:
            return await go_on(number + 1, insides if inside is None else (*insides, inside))

        return await middleware[number](run, call_next)

    return await go_on(0, ())


def enter_around(func: Callable[..., Any], insides: tuple[Inside, ...]) -> Callable[..., Any]:
    """Return *func* with context managers around it; pickled it is *func* alone."""
    if not insides:
        return func
    return (_CoroutineInside if _refs.is_coroutine_callable(func) else _PlainInside)(func, insides)


class _PlainInside:
    def __init__(self, func: Callable[..., Any], insides: tuple[Inside, ...]) -> None:
        update_wrapper(self, func)
        self._func = func
        self._insides = insides

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._entered():
            return self._func(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial, (self._func,)

    def _entered(self) -> ExitStack:
        with ExitStack() as stack:
            for inside in self._insides:
                stack.enter_context(inside())
            return stack.pop_all()


class _CoroutineInside(_PlainInside):
    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._entered():
            return await self._func(*args, **kwargs)
