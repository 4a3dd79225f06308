"""Run calls in a pool of threads, or in a pool of processes (layer 7)."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from apsched._eventloop import EventLoop
from apsched._refs import ref_of
from apsched.executors._arguments import initializer_of, pool_options, start_context_of, whole_number
from apsched.executors._base_of_3x import BasePoolExecutor
from apsched.executors._process_runner import ProcessRunner, check_callable
from apsched.executors._thread_runner import ThreadRunner, enter_to_end
from apsched.executors._threaded import ThreadedExecutor
from apsched.executors._threads import Threads

__all__ = ["BasePoolExecutor", "ProcessPoolExecutor", "ThreadPoolExecutor"]


class ThreadPoolExecutor(ThreadedExecutor):
    """
    Runs calls in daemon threads, which are started one by one as calls come.

    A coroutine function runs in an asyncio loop made for it, in its thread. Whatever the callable raises, even
    SystemExit, is what `execute` raises; the thread goes on to the next call.

    A thread cannot be killed. A call that is given up while it runs goes on; what comes of it is dropped, it counts in
    `stuck`, and one more thread is started in place of its own where needed. There are at most twice *max_workers*
    threads; when all are held, calls wait until one is free. Leaving does not wait for calls that still run.

    Args:
        max_workers: Most calls to run at a time, from 1 on.
        pool_kwargs: As in APScheduler 3.x: `thread_name_prefix`, `initializer`, `initargs`. The initializer is called
            in each thread before its first call; what it raises fails that call, and the next call tries again.

    Raises:
        TypeError: An argument is of a wrong kind, or *pool_kwargs* has an unknown key.
        ValueError: *max_workers* is less than 1.
    """

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        options = pool_options(pool_kwargs, ("thread_name_prefix", "initializer", "initargs"))
        self.capacity: int = whole_number("max_workers", max_workers)
        self._name = options.get("thread_name_prefix") or "apsched"
        self._initialize = initializer_of(options)

    def _make_threads(self, loop: EventLoop) -> Threads:
        return Threads(
            loop,
            limit=self.capacity,
            spare=self.capacity,
            name=self._name,
            make_runner=partial(ThreadRunner, enter_to_end, self._initialize),
        )


class ProcessPoolExecutor(ThreadedExecutor):
    """
    Runs calls in worker processes, which are started one by one as calls come and used again.

    Callables, arguments and results are pickled: functions and classes are found by module and name, those of the main
    module as multiprocessing does it, so a program must start its scheduler under `if __name__ == "__main__"`. What
    cannot be pickled fails its own run only. A coroutine function runs in an asyncio loop made for it, in its process.
    An exception comes back with the traceback in the worker process as a note.

    A worker that dies fails the run that it ran with WorkerDiedError, and no other; another takes its place. Giving a
    call up ends its worker: by a signal that it can handle, half a second later by one that it cannot. Workers ignore
    an interrupt from the terminal and end when this process ends, however it ends. They do not see the context
    variables of the call.

    Args:
        max_workers: Most calls to run at a time, from 1 on; None for the number of processors.
        pool_kwargs: As in APScheduler 3.x: `mp_context` (a context of multiprocessing that spawns, the default, or uses
            a fork server), `initializer` and `initargs` (called in each worker when it has started; what it raises
            fails the run that the worker was started for), `max_tasks_per_child`, `thread_name_prefix`.
        max_runs_per_worker: Replace each worker after that many calls, from 1 on; None for never.
        max_rss: Replace a worker after a call which leaves it with more resident memory than so many bytes, from 1 on;
            None for any. On Linux it is what the process uses then, on other systems what it used at most; on Windows
            it is not known and nothing is replaced.

    Raises:
        TypeError: An argument is of a wrong kind, or *pool_kwargs* has an unknown key.
        ValueError: A number is less than 1, or *mp_context* forks.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        pool_kwargs: Mapping[str, Any] | None = None,
        *,
        max_runs_per_worker: int | None = None,
        max_rss: int | None = None,
    ) -> None:
        known = ("mp_context", "initializer", "initargs", "max_tasks_per_child", "thread_name_prefix")
        options = pool_options(pool_kwargs, known)
        self.capacity: int = whole_number("max_workers", (os.cpu_count() or 1) if max_workers is None else max_workers)
        max_runs = options.get("max_tasks_per_child") if max_runs_per_worker is None else max_runs_per_worker
        self._max_runs = None if max_runs is None else whole_number("max_runs_per_worker", max_runs)
        self._max_rss = None if max_rss is None else whole_number("max_rss", max_rss)
        self._name = options.get("thread_name_prefix") or "apsched"
        self._initialize = initializer_of(options)
        self._context = start_context_of(options)

    async def __aenter__(self) -> Self:
        process = multiprocessing.current_process()
        if getattr(process, "_inheriting", False):  # what multiprocessing itself goes by to refuse a start
            raise RuntimeError(
                "a worker process cannot start a scheduler while it imports the main module of the program; "
                "put what starts the scheduler there under if __name__ == '__main__'"
            )
        if process.daemon:
            raise RuntimeError(
                "a daemonic process of multiprocessing may not start worker processes; "
                "make it with daemon=False or use a thread pool"
            )
        return await super().__aenter__()

    def check(self, func: Callable[..., Any]) -> None:
        if ref_of(func) is None:  # then its state is sent, if it has one
            check_callable(func)

    def _make_threads(self, loop: EventLoop) -> Threads:
        return Threads(
            loop,
            limit=self.capacity,
            spare=0,  # a call that is given up ends
            name=self._name,
            make_runner=partial(ProcessRunner, self._context, self._initialize, self._max_runs, self._max_rss),
        )
