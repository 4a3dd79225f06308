"""A scheduler for gevent programs (layer 9)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import selectors
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from apsched._portal import Portal
from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import MissingExtraError
from apsched.schedulers._framework import FrameworkScheduler

try:
    import gevent
    from gevent.event import Event
    from gevent.monkey import is_module_patched

    from apsched.executors.gevent import GeventLoop
except ImportError as exc:
    raise MissingExtraError("GeventScheduler", "gevent") from exc

T = TypeVar("T")


class GeventScheduler(FrameworkScheduler[GeventLoop]):
    """
    Runs plain functions in greenlets, in the thread of `start`.

    Its verbs let other greenlets run while they wait. It keeps time in a thread of its own, which is a greenlet where
    gevent has patched the modules of the program. Coroutine functions are awaited there, in an asyncio loop.
    """

    _executors_of_framework: ClassVar[Mapping[str, str]] = {"default": "gevent"}

    def start(self, paused: bool = False) -> gevent.Greenlet[[], None]:  # type: ignore[override]  # as in APScheduler 3
        """
        Start the scheduler, and return when it has started.

        Args:
            paused: Whether nothing is run until `resume`.

        Returns:
            A greenlet that ends with the scheduler, to be joined.

        Raises:
            SchedulerAlreadyRunningError: It is running.
            Exception: A store cannot be opened, or a job that was added before cannot be kept.
        """
        super().start(paused)
        return gevent.spawn(self._portal.join)

    def _make_core(self, **options: Any) -> AsyncScheduler:
        self._loop = GeventLoop()
        return super()._make_core(**options)

    def _make_portal(self) -> Portal:
        return _GeventPortal("apsched")


class _GeventPortal(Portal):
    """A portal whose callers let other greenlets of their thread run while they wait."""

    def _wait_for(self, future: concurrent.futures.Future[T], timeout: float | None = None) -> T:
        if not future.done():
            _wait_for(future, timeout)
        return future.result(0)

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        if is_module_patched("threading"):  # the thread of the portal is a greenlet
            return asyncio.SelectorEventLoop(_SteppingAside())
        return super()._make_loop()


def _wait_for(future: concurrent.futures.Future[Any], timeout: float | None) -> None:
    loop = gevent.get_hub().loop
    done = Event()

    def wake(future: concurrent.futures.Future[Any]) -> None:
        with suppress(Exception):  # the thread that waited has ended
            loop.run_callback_threadsafe(done.set)

    keeps_hub = loop.async_()  # without any watcher the hub takes the wait for one that never ends
    keeps_hub.start(lambda: None)
    try:
        future.add_done_callback(wake)
        done.wait(timeout)
    finally:
        keeps_hub.stop()
        keeps_hub.close()


class _SteppingAside(selectors.BaseSelector):
    """
    The selector of an asyncio loop that runs in a greenlet.

    Which loop runs is noted for each thread. While this one waits, other greenlets of its thread run, to which no loop
    must seem to run: they could not run one of their own.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        asyncio._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._selector.select(timeout)
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(loop)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.modify(fileobj, events, data)

    def close(self) -> None:
        self._selector.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._selector.get_map()
