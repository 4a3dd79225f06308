"""The blocking face of the scheduler (layer 9).

Rule 1: no verb is written here. Each is made of its namesake of `AsyncScheduler`, with its parameters, types and help.
Rule 2: before `start` there is no thread and no event loop, and after `shutdown` there is none again.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta, tzinfo
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

from apsched import _servers
from apsched._configuration import PREFIXES, configurable
from apsched._portal import Portal
from apsched.async_scheduler import (
    BLOCKED_AFTER,
    KEEP_HISTORY,
    LEASE,
    MAX_IDLE,
    STATE_PAUSED,
    STATE_RUNNING,
    STATE_STOPPED,
    AsyncScheduler,
)
from apsched.clock import Clock
from apsched.engine.history import RunHandle
from apsched.engine.middleware import Middleware
from apsched.exceptions import SchedulerAlreadyRunningError, SchedulerStateError
from apsched.executors.base import BaseExecutor, Executor
from apsched.job import Job, JobDefaults
from apsched.jobstores.base import BaseJobStore, JobStore
from apsched.notifiers.base import Notifier
from apsched.run import Run
from apsched.schedulers._names_of_3x import NamesOf3X

__all__ = ["STATE_PAUSED", "STATE_RUNNING", "STATE_STOPPED", "BaseScheduler", "BlockingRunHandle"]

logger: logging.Logger = logging.getLogger("apsched.scheduler")

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

EXIT_PATIENCE = 5.0  # seconds that the end of the interpreter waits for a scheduler that was not shut down


def plain(
    method: Callable[Concatenate[AsyncScheduler, P], Coroutine[Any, Any, R]],
    *,
    always_waits: bool = False,
    waits_for_runs: bool = False,
    asks_stores_only: bool = False,
) -> Callable[Concatenate[BaseScheduler, P], R]:
    """
    Make the blocking twin of *method*: same name, parameters, types and help.

    With *always_waits* it is refused in the thread of the event loop before it has begun, not half-way; with
    *waits_for_runs* also where runs cannot go on while it waits.
    """

    @functools.wraps(method)
    def call(self: BaseScheduler, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if always_waits and self._portal.is_inside:
            raise SchedulerStateError(
                f"{method.__name__} must wait for something, and cannot in the scheduler's own event loop; "
                "call it from a thread: of a coroutine function for example by asyncio.to_thread"
            )
        if waits_for_runs:
            self._check_may_wait(method.__name__)
        if asks_stores_only and self._core.is_in_memory:
            return self._own(self._portal.call_here(method, self._core, *args, **kwargs))
        return self._own(self._portal.call(method, self._core, *args, **kwargs))

    return call


class BlockingRunHandle:
    """
    A run that was started by hand.

    Attributes:
        run: The run as it was queued.
    """

    def __init__(self, handle: RunHandle, scheduler: BaseScheduler) -> None:
        self.run: Run = handle.run
        self._handle = handle
        self._scheduler = scheduler

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.run.id

    def wait(self) -> Run:
        """Return the run when it has ended."""
        self._scheduler._check_may_wait("wait")
        return self._scheduler._portal.call(self._handle.wait)

    def result(self) -> Any:
        """
        Return what the callable returned, when the run has ended.

        Raises:
            RunFailedError: The run did not succeed for another reason than an exception.
            BaseException: What the callable raised.
        """
        self._scheduler._check_may_wait("result")
        return self._scheduler._portal.call(self._handle.result)


def handing_out(
    method: Callable[Concatenate[AsyncScheduler, P], Coroutine[Any, Any, RunHandle]],
) -> Callable[Concatenate[BaseScheduler, P], BlockingRunHandle]:
    """Make the blocking twin of *method*, which hands out a run."""

    @functools.wraps(method)
    def call(self: BaseScheduler, /, *args: P.args, **kwargs: P.kwargs) -> BlockingRunHandle:
        return BlockingRunHandle(self._portal.call(method, self._core, *args, **kwargs), self)

    call.__annotations__ = {**method.__annotations__, "return": BlockingRunHandle}
    call.__doc__ = (method.__doc__ or "").replace("await handle.result()", "handle.result()")
    vars(call)["__signature__"] = inspect.signature(method).replace(return_annotation=BlockingRunHandle)
    return call


def forwarding(
    method: Callable[Concatenate[AsyncScheduler, P], R],
) -> Callable[Concatenate[BaseScheduler, P], R]:
    """Make the twin of *method*, which does not wait for anything."""

    @functools.wraps(method)
    def call(self: BaseScheduler, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self._core, *args, **kwargs)

    return call


class BaseScheduler(NamesOf3X):
    """
    A scheduler for programs that are not asynchronous; use one of its subclasses.

    Its verbs block until they are carried out and may be called from any thread, from jobs and from listeners. Plain
    listeners are called in a thread of their own.
    """

    @configurable
    def __init__(
        self,
        gconfig: Mapping[str, Any] | None = None,
        *,
        prefix: str | Sequence[str] | None = PREFIXES,
        jobstores: Mapping[str, JobStore | BaseJobStore | str | Mapping[str, Any]] | None = None,
        executors: Mapping[str, Executor | BaseExecutor | str | Mapping[str, Any]] | None = None,
        job_defaults: JobDefaults | Mapping[str, Any] | None = None,
        timezone: tzinfo | str | None = None,
        notifier: Notifier | None = None,
        clock: Clock | None = None,
        max_idle: float = MAX_IDLE,
        lease: float = LEASE,
        keep_history: timedelta = KEEP_HISTORY,
        keep_log: bool = True,
        capabilities: str | Sequence[str] = (),
        middleware: Sequence[Middleware | str] | str | None = None,
        blocked_after: float = BLOCKED_AFTER,
        daemon: bool = True,
    ) -> None:
        """
        Make a scheduler that has not started.

        Args:
            gconfig: A dictionary of these options with dotted keys and texts, as in APScheduler 3; other arguments
                replace what it says.
            prefix: What its keys begin with; those that do not are left alone. A text, several, or None for all keys.
            jobstores: Alias -> job store, or its alias, or a mapping with the alias under `type`, or a class under
                `class`, beside its arguments. `default` is a memory store unless it is given.
            executors: Alias -> executor, in the same forms. Unless they are given, `default` runs plain functions in 10
                threads and sends coroutine functions to `asyncio`, which awaits them in the scheduler's own event loop.
            job_defaults: Options of jobs that do not name their own: see `JobDefaults`.
            timezone: Zone of triggers and naive times that do not name their own: a name or a `tzinfo`; None: that of
                this machine.
            notifier: How other nodes are told of changes.
            clock: Where time comes from.
            max_idle: How many seconds pass between two looks at a store at most, more than 0.
            lease: After how many seconds without a sign of life the other nodes of a shared store take this one for
                dead, 1 or more.
            keep_history: For how long shared stores keep the records of runs at least, an hour or more.
            keep_log: Whether what runs log is kept with them.
            capabilities: Words for what this node has, of what jobs may require.
            middleware: Coroutine functions of `(run, call_next)` around every run, in the scheduler's own event loop,
                the first one outermost; or their references.
            blocked_after: For how many seconds a coroutine of a job may block the scheduler's own event loop, more than
                0, before a warning and an event name it; `math.inf`: any.
            daemon: Whether the interpreter may end while the scheduler runs.

        Raises:
            LookupError: An alias is not known.
            TypeError: A value is of the wrong type, or there is no such parameter.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        self._daemon = daemon
        self._portal = self._make_portal()
        self._core = self._make_core(
            jobstores=jobstores,
            executors=executors,
            job_defaults=job_defaults,
            timezone=timezone,
            notifier=notifier,
            clock=clock,
            max_idle=max_idle,
            lease=lease,
            keep_history=keep_history,
            keep_log=keep_log,
            capabilities=capabilities,
            middleware=middleware,
            blocked_after=blocked_after,
            listeners_in_thread=True,
        )
        self._core.face = weakref.proxy(self)
        self._starting = threading.Lock()

    add_job = plain(AsyncScheduler.add_job, asks_stores_only=True)
    add_jobs = plain(AsyncScheduler.add_jobs, asks_stores_only=True)
    modify_job = plain(AsyncScheduler.modify_job, asks_stores_only=True)
    reschedule_job = plain(AsyncScheduler.reschedule_job, asks_stores_only=True)
    pause_job = plain(AsyncScheduler.pause_job, asks_stores_only=True)
    resume_job = plain(AsyncScheduler.resume_job, asks_stores_only=True)
    remove_job = plain(AsyncScheduler.remove_job, asks_stores_only=True)
    remove_all_jobs = plain(AsyncScheduler.remove_all_jobs)
    sync = plain(AsyncScheduler.sync)
    get_job = plain(AsyncScheduler.get_job, asks_stores_only=True)
    get_jobs = plain(AsyncScheduler.get_jobs, asks_stores_only=True)
    print_jobs = plain(AsyncScheduler.print_jobs)
    export_jobs = plain(AsyncScheduler.export_jobs)
    import_jobs = plain(AsyncScheduler.import_jobs)
    get_runs = plain(AsyncScheduler.get_runs)
    backfill = plain(AsyncScheduler.backfill)
    cancel_run = plain(AsyncScheduler.cancel_run)
    explain = plain(AsyncScheduler.explain)
    health = plain(AsyncScheduler.health)
    add_jobstore = plain(AsyncScheduler.add_jobstore, always_waits=True)
    remove_jobstore = plain(AsyncScheduler.remove_jobstore, always_waits=True, waits_for_runs=True)
    add_executor = plain(AsyncScheduler.add_executor, always_waits=True)
    remove_executor = plain(AsyncScheduler.remove_executor, always_waits=True, waits_for_runs=True)
    add_listener = plain(AsyncScheduler.add_listener)
    remove_listener = plain(AsyncScheduler.remove_listener)
    pause = plain(AsyncScheduler.pause)
    resume = plain(AsyncScheduler.resume)
    wakeup = plain(AsyncScheduler.wakeup)
    run_job = handing_out(AsyncScheduler.run_job)
    configure = forwarding(AsyncScheduler.configure)

    @property
    def state(self) -> int:
        """`STATE_STOPPED`, `STATE_RUNNING` or `STATE_PAUSED`."""
        return self._core.state

    @property
    def running(self) -> bool:
        """Whether it has started and is not shut down."""
        return self._core.running

    @property
    def timezone(self) -> tzinfo:
        """Zone of triggers and naive times that do not name their own."""
        return self._core.timezone

    def scheduled_job(self, trigger: Any, *args: Any, **options: Any) -> Callable[[F], F]:
        """
        Decorate a function to add it as a job; a job of the same id is replaced.

        Args:
            trigger: As in `add_job`.
            *args: Positional parameters of `add_job` after *trigger*.
            **options: Keyword parameters of `add_job`, and arguments of the trigger.
        """

        def decorate(func: F) -> F:
            self.add_job(func, trigger, *args, **{"replace_existing": True, **options})
            return func

        return decorate

    def start(self, paused: bool = False) -> None:
        """
        Start the scheduler in a thread of its own, and return when it has started.

        Args:
            paused: Whether nothing is run until `resume`.

        Raises:
            SchedulerAlreadyRunningError: It is running.
            SchedulerStateError: uWSGI runs the program without threads.
            Exception: A store cannot be opened, or a job that was added before cannot be kept.
        """
        _servers.check_threads()
        if not self._starting.acquire(blocking=False):
            raise SchedulerAlreadyRunningError("Scheduler is being started already")
        try:
            if self._portal.is_running:
                if self.running or self._portal.is_inside:
                    raise SchedulerAlreadyRunningError
                self._portal.join()  # a shutdown without waiting has not ended
            _started.add(self)
            self._portal.start(functools.partial(self._serve, paused), daemon=self._daemon)
        finally:
            self._starting.release()

    def shutdown(self, wait: bool | float = True) -> None:
        """
        Shut the scheduler down; no thread of it is left when this returns, but those of jobs that were given up.

        Called from a job or a listener with `wait=False`, it returns at once and the scheduler ends by itself.

        Args:
            wait: True: wait for runs under way, however long; a number: so many seconds, from 0 on; False: not at all.

        Raises:
            SchedulerNotRunningError: It is not running.
            SchedulerStateError: It is called from a job or a listener and would wait for that.
            TypeError: *wait* is neither a truth value nor a number.
            ValueError: *wait* is negative or not a number (nan).
        """
        is_inside = self._core.is_inside
        self._portal.call(self._core.shutdown, wait)
        if not is_inside:
            self._portal.join()

    def _make_portal(self) -> Portal:
        return Portal("apsched")

    def _make_core(self, **options: Any) -> AsyncScheduler:
        return AsyncScheduler(**options)

    def _check_may_wait(self, verb: str) -> None:
        """Raise SchedulerStateError if runs that *verb* waits for cannot go on while this thread waits."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a scheduler cannot be pickled or copied, got {type(self).__name__}; keep it out of the arguments "
            "of jobs and out of the instances whose methods are jobs"
        )

    async def _serve(self, paused: bool, started: Callable[[], None]) -> None:
        """Be kept, with the core, while the scheduler runs, so that the end of the interpreter finds it."""
        await self._core.serve(started, paused=paused)

    def _own(self, value: R) -> R:
        """Let the jobs in *value* have this scheduler's verbs."""
        if isinstance(value, Job):
            value.become_handle_of(self)
        elif isinstance(value, list):
            for item in value:
                self._own(item)
        return value

    def _end_at_exit(self) -> None:
        if self._daemon and self._portal.is_running:
            if not logger.hasHandlers():  # a program that keeps no log ends without a word about runs left in threads
                logging.getLogger("apsched").addHandler(logging.NullHandler())
            self._portal.call_soon(functools.partial(self._core.request_stop, wait=False))
            self._portal.join(EXIT_PATIENCE)

    def _forget(self) -> None:
        """
        Be a scheduler that has not started, in a forked child.

        Says nothing: another thread of the parent may have been writing a log, whose lock nobody would release here.
        """
        self._portal.forget()
        self._core.forget()
        self._starting = threading.Lock()


_started: weakref.WeakSet[BaseScheduler] = weakref.WeakSet()


def _end_all() -> None:
    for scheduler in list(_started):
        scheduler._end_at_exit()


def _forget_all() -> None:
    for scheduler in list(_started):
        scheduler._forget()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
