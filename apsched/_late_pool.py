"""A pool of threads that works to the end of the interpreter (layer 0).

Those of the standard library refuse work as soon as the main thread has ended ("cannot schedule new futures after
shutdown"), while a scheduler goes on until the other threads have ended too, and its jobs may use `asyncio.to_thread`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class LatePool(ThreadPoolExecutor):
    """Makes a thread for each call once the main thread has ended."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise
        future: Future[Any] = Future()
        threading.Thread(target=_carry_out, args=(future, fn, args, kwargs), name="apsched-late", daemon=True).start()
        return future


def _carry_out(future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as exc:
            future.set_exception(exc)
