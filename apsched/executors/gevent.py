"""Run calls in greenlets (layer 7)."""

from __future__ import annotations

from collections.abc import Callable

from apsched.exceptions import MissingExtraError
from apsched.executors._arguments import whole_number
from apsched.executors._elsewhere import ElsewhereExecutor, ForeignLoop, call_there
from apsched.executors.base import Call, Ending

try:
    import gevent
    from gevent.hub import Hub
except ImportError as exc:
    raise MissingExtraError("GeventExecutor", "gevent") from exc


class GeventLoop(ForeignLoop):
    """The gevent hub of the thread of the latest `attach`."""

    def __init__(self) -> None:
        self.attach()

    def attach(self) -> None:
        self._hub: Hub = gevent.get_hub()

    @property
    def is_known(self) -> bool:
        return True

    @property
    def is_over(self) -> bool:
        return self._hub.loop is None

    @property
    def is_running(self) -> bool:
        return not self.is_over

    @property
    def is_here(self) -> bool:
        return False  # what waits for jobs lets other greenlets run meanwhile

    def call_soon(self, callback: Callable[[], object]) -> None:
        loop = self._hub.loop
        if loop is None:
            raise RuntimeError("the gevent hub of the program was destroyed")
        loop.run_callback_threadsafe(callback)


class GeventExecutor(ElsewhereExecutor[GeventLoop]):
    """
    Runs each call in a greenlet of its own, in the thread in which the `GeventScheduler` was started.

    In other schedulers it is the thread in which the executor was made. A call must not block its thread but by means
    of gevent. What a call returns is, if awaitable, awaited in the scheduler's own event loop. Giving a call up kills
    its greenlet.

    Args:
        max_concurrent: Most calls to run at a time, from 1 on.

    Raises:
        TypeError: *max_concurrent* is no whole number.
        ValueError: It is less than 1.
    """

    def __init__(self, max_concurrent: int = 1000) -> None:
        super().__init__(GeventLoop(), whole_number("max_concurrent", max_concurrent))

    def _start(self, call: Call, end: Ending) -> Callable[[], object]:
        greenlet = gevent.spawn(call_there, call, end)
        return lambda: greenlet.kill(block=False)
