"""A job store in memory that fails when a test wants it to (layer 10)."""

from __future__ import annotations

import functools
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar, cast

import attrs

from apsched.jobstores.base import Beat
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Plan, Planner, Run
from apsched.testing.clock import VirtualClock

M = TypeVar("M", bound=Callable[..., Any])

KEEP_RUNS = 1_000_000  # of each job, so that no test misses one
METHODS = (
    *("add", "add_run", "ask_to_cancel", "asked_to_cancel", "beat", "claimed", "clear", "finish", "get"),
    *("join", "lanes", "leave", "next_run_time", "nodes", "prune", "reap", "remove", "report", "runs"),
    *("select", "take_due", "update"),
)


@attrs.frozen
class _Fault:
    error: BaseException | None = None
    seconds: float = 0
    is_late: bool = False  # it comes when the call has been carried out


def _failing(method: M, name: str | None = None) -> M:
    """Make *method*, a coroutine function of a store, one that fails when it is told to."""
    known_as = method.__name__ if name is None else name

    @functools.wraps(method)
    async def call(self: FaultyJobStore, /, *args: Any, **kwargs: Any) -> Any:
        fault = await self._meet(known_as)
        result = await method(self, *args, **kwargs)
        if fault is not None and fault.error is not None:
            raise fault.error.with_traceback(None)
        return result

    return cast("M", call)


class FaultyJobStore(MemoryJobStore):
    """
    A job store in memory whose calls fail, or take long, when a test says so.

    Which calls those are is said by the names of the port's methods, such as `"take_due"` (claims due jobs), `"finish"`
    (stores how runs ended), `"add"`, `"update"` and `"runs"`; `"beat"` is a sign of life to the other nodes.

    Args:
        clock: The clock of the scheduler; delays are of its time.
        is_shared: Whether several schedulers use it; `Cluster` makes such ones.
    """

    def __init__(self, clock: VirtualClock, *, is_shared: bool = False) -> None:
        super().__init__(keep_runs=KEEP_RUNS)
        self.is_shared = self.is_persistent = is_shared
        self._clock = clock
        self._faults: defaultdict[str, deque[_Fault]] = defaultdict(deque)
        self._is_cut = False

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.is_shared:
            await MemoryJobStore.clear(self)

    def fail_next(
        self,
        method: str,
        error: BaseException | type[BaseException] = ConnectionResetError,
        *,
        times: int = 1,
        is_late: bool = False,
    ) -> None:
        """
        Let the next calls of a method raise an error.

        Args:
            method: Its name.
            error: What is raised, or the class of it.
            times: So many calls, from 1 on.
            is_late: Whether the call is carried out and only its answer is lost.

        Raises:
            ValueError: There is no such method, or *times* is less than 1.
        """
        raised = error(f"{method} was told to fail") if isinstance(error, type) else error
        self._add(method, _Fault(raised, is_late=is_late), times)

    def delay_next(self, method: str, seconds: float, *, times: int = 1) -> None:
        """
        Let the next calls of a method take *seconds* of virtual time.

        Args:
            method: Its name.
            seconds: How long, more than 0.
            times: So many calls, from 1 on.

        Raises:
            ValueError: There is no such method, or *times* is less than 1.
        """
        self._add(method, _Fault(seconds=seconds), times)

    def cut(self) -> None:
        """Let every call raise `ConnectionResetError` until `heal`, as if the server were away."""
        self._is_cut = True

    def heal(self) -> None:
        """Let every call succeed again, whatever was to fail."""
        self._is_cut = False
        self._faults.clear()

    def history(self) -> list[Run]:
        """Return all runs, the earliest nominal time first; fails never."""
        runs = (run for history in self._runs.values() for run in history.values())
        return sorted(runs, key=lambda run: (run.nominal_time.timestamp(), run.job_id))

    def see(self, other: MemoryJobStore) -> None:
        """Hold from now on what *other* holds, and share it."""
        own = {"is_shared", "is_persistent", "_clock", "_faults", "_is_cut"}
        vars(self).update({name: value for name, value in vars(other).items() if name not in own})

    add = _failing(MemoryJobStore.add)
    add_run = _failing(MemoryJobStore.add_run)
    ask_to_cancel = _failing(MemoryJobStore.ask_to_cancel)
    asked_to_cancel = _failing(MemoryJobStore.asked_to_cancel)
    claimed = _failing(MemoryJobStore.claimed)
    clear = _failing(MemoryJobStore.clear)
    finish = _failing(MemoryJobStore.finish)
    get = _failing(MemoryJobStore.get)
    join = _failing(MemoryJobStore.join)
    lanes = _failing(MemoryJobStore.lanes)
    leave = _failing(MemoryJobStore.leave)
    nodes = _failing(MemoryJobStore.nodes)
    prune = _failing(MemoryJobStore.prune)
    reap = _failing(MemoryJobStore.reap)
    remove = _failing(MemoryJobStore.remove)
    report = _failing(MemoryJobStore.report)
    select = _failing(MemoryJobStore.select)
    update = _failing(MemoryJobStore.update)
    runs = _failing(MemoryJobStore.runs)

    async def _next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        return await MemoryJobStore.next_run_time(self, self._named(slots), owner)

    async def _take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        return await MemoryJobStore.take_due(self, now, self._named(slots), plan, owner)

    next_run_time = _failing(_next_run_time, "next_run_time")
    take_due = _failing(_take_due, "take_due")

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._failing_pulse(node)

    @asynccontextmanager
    async def _failing_pulse(self, node: str) -> AsyncGenerator[Beat]:
        async with super().pulse(node) as raise_beat:

            async def beat() -> bool:
                await self._meet("beat")
                return await raise_beat()

            yield beat

    def _named(self, slots: Mapping[str, int]) -> Mapping[str, int]:
        """Name all executors where the store is shared, since jobs of others are left to other nodes there."""
        return {**dict.fromkeys(self._heaps, 0), **slots} if self.is_shared else slots

    def _add(self, method: str, fault: _Fault, times: int) -> None:
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"times must be a whole number from 1 on, got {times!r}")
        self._faults[method].extend([fault] * times)

    async def _meet(self, method: str) -> _Fault | None:
        """Let the call of *method* that begins now fail or wait, if it is to; return a fault that comes at its end."""
        if self._is_cut:
            raise ConnectionResetError(f"the job store is cut off; {method} does not arrive")
        faults = self._faults[method]
        if not faults:
            return None
        fault = faults.popleft()
        if fault.seconds:
            await self._clock.sleep(fault.seconds)
        if fault.error is not None and not fault.is_late:
            raise fault.error.with_traceback(None)  # one error may be for several calls
        return fault
