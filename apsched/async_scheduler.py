"""Wire the parts of a scheduler together and give them their lifetime (layer 8)."""

from __future__ import annotations

import logging
import math
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta, tzinfo
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from apsched import _eventloop, _servers, _timezones
from apsched._configuration import PREFIXES, by_alias, check_instance, configurable, make_part
from apsched._job_files import JobFiles
from apsched._log_lines import seen_by
from apsched._portal import drive
from apsched.clock import Clock, SystemClock
from apsched.engine.backfill import Backfills
from apsched.engine.backoff import Backoff
from apsched.engine.bus import CALLERS as LISTENER_CALLERS
from apsched.engine.bus import Bus, Listener
from apsched.engine.contradictions import check_defaults
from apsched.engine.entered import entered
from apsched.engine.health import Health, LoopHealth
from apsched.engine.hints import listen
from apsched.engine.make_job import COROUTINE_EXECUTOR, DEFAULT_EXECUTOR, JobMaker
from apsched.engine.membership import new_node_id
from apsched.engine.middleware import Middleware, middleware_of
from apsched.engine.open_store import OpenStore, StoreSettings
from apsched.engine.plan import make_planner
from apsched.engine.reporter import keep_line
from apsched.engine.runner import CALLERS as JOB_CALLERS
from apsched.engine.runner import Runner
from apsched.engine.slots import Slots
from apsched.engine.watchdog import Watchdog
from apsched.events import (
    EVENT_ALL,
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_REMOVED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    SchedulerEvent,
)
from apsched.exceptions import (
    AliasLookupError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    SchedulerStateError,
)
from apsched.executors._bridged import BridgedExecutor
from apsched.executors.base import BaseExecutor, Executor
from apsched.job import JobDefaults, check_words
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores._bridged import BridgedJobStore
from apsched.jobstores.base import BaseJobStore, JobStore
from apsched.jobstores.memory import MemoryJobStore
from apsched.notifiers.base import Notifier
from apsched.notifiers.local import LocalNotifier

logger: logging.Logger = logging.getLogger("apsched.scheduler")

F = TypeVar("F", bound=Callable[..., Any])

MAX_IDLE = 5.0  # seconds
LEASE = 15.0  # seconds
BLOCKED_AFTER = 0.5  # seconds
CALLERS = {**LISTENER_CALLERS, **JOB_CALLERS}
KEEP_HISTORY = timedelta(days=30)
LEAST_HISTORY = timedelta(hours=1)  # and 20 leases: by then nobody who was taken for dead still acts

STATE_STOPPED = 0
STATE_RUNNING = 1
STATE_PAUSED = 2


class StoppedAtStartError(SchedulerStateError):
    """The scheduler was asked to stop while it started, and has not started."""


class _Lifetime:
    """One start of a scheduler, to its end."""

    def __init__(self) -> None:
        self.opening = anyio.CancelScope()
        self.started = anyio.Event()  # set when it has, or cannot
        self.failure: BaseException | None = None  # why it cannot
        self.stopping = anyio.Event()
        self.stopped = anyio.Event()
        self.draining = anyio.CancelScope()  # around the wait for runs under way, at the end


class _Part:
    """A store or an executor that is open: `close` ends it, `closed` is set when it has ended."""

    def __init__(self) -> None:
        self.closing = anyio.Event()
        self.closed = anyio.Event()

    async def close(self) -> None:
        self.closing.set()
        await self.closed.wait()


class AsyncScheduler(JobFiles, Backfills):
    """
    Runs jobs at their times, on asyncio and on trio.

        async with AsyncScheduler() as scheduler:
            await scheduler.add_job(tick, "interval", seconds=10)
            await scheduler.run()

    Entering starts it, leaving shuts it down. Jobs may be added before: they wait for the start. All verbs are called
    in the same event loop; programs without one use `apsched.schedulers.background`.

    Args:
        gconfig: A dictionary of these options with dotted keys and texts, as in APScheduler 3; other arguments replace
            what it says.
        prefix: What its keys begin with; those that do not are left alone. A text, several, or None for all keys.
        jobstores: Alias -> job store, or its alias, or a mapping with the alias under `type`, or a class under `class`,
            beside its arguments. `default` is a memory store unless it is given.
        executors: Alias -> executor, in the same forms. Unless they are given, `default` runs plain functions in 10
            threads and sends coroutine functions to `asyncio`, which awaits them in the event loop.
        job_defaults: Options of jobs that do not name their own: see `JobDefaults`.
        timezone: Zone of triggers and naive times that do not name their own: a name or a `tzinfo`; None: that of this
            machine.
        notifier: How other nodes are told of changes.
        clock: Where time comes from.
        max_idle: How many seconds pass between two looks at a store at most, more than 0.
        lease: After how many seconds without a sign of life the other nodes of a shared store take this one for dead, 1
            or more. Work that has not ended by then is started anew elsewhere: see *Clusters* in the documentation.
        keep_history: For how long shared stores keep the records of runs at least, an hour or more; they are forgotten
            in the background. The last ones of each job are kept longer: see `keep_runs`.
        keep_log: Whether what runs log is kept with them, as far as the program's loggers let it through: the last
            16,384 characters. Where schedulers of one process differ, it is.
        capabilities: Words for what this node has, of what jobs may require (`requires=`): it takes jobs of a shared
            store only if it has all that they require, and leaves others to other nodes.
        middleware: Coroutine functions of `(run, call_next)` around every run, the first one outermost; or their
            references.
        blocked_after: For how many seconds a job or listener may block the event loop, more than 0, before a warning
            and an event name it; `math.inf`: any.
        start_paused: Whether nothing is run until `resume`.
        listeners_in_thread: Whether plain functions among the listeners are called in a thread of their own instead of
            in the event loop.

    Attributes:
        node: The id of this start of the scheduler: host, process id and a random part; never used again.
        timezone: Its zone.
    """

    _own_executors: ClassVar[Mapping[str, str]] = {COROUTINE_EXECUTOR: "asyncio", DEFAULT_EXECUTOR: "threadpool"}

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
        start_paused: bool = False,
        listeners_in_thread: bool = False,
    ) -> None:
        del gconfig, prefix  # `configurable` has read them
        if isinstance(max_idle, bool) or not isinstance(max_idle, (int, float)) or not max_idle > 0:
            raise ValueError(f"max_idle must be more than 0 seconds, got {max_idle!r}")
        _check_blocked_after(blocked_after)
        _check_lease(lease)
        _check_keep_history(keep_history, lease)
        check_instance("notifier", notifier, Notifier)
        check_instance("clock", clock, Clock)
        clock = SystemClock() if clock is None else clock
        super().__init__(
            stores={"default": MemoryJobStore()},
            make_stage=MemoryJobStore,
            maker=JobMaker(JobDefaults(), _timezones.UTC),
            clock=clock,
            bus=Bus(clock, plain_in_thread=listeners_in_thread),
        )
        self._notifier: Notifier = LocalNotifier() if notifier is None else notifier
        self._keep_log = keep_log
        self._settings = StoreSettings(
            max_idle=max_idle,
            lease=lease,
            keep_history=keep_history,
            capabilities=frozenset(check_words("capabilities", capabilities)),
        )
        self._is_paused = start_paused
        self._middleware = middleware_of(middleware)
        self._blocked_after = blocked_after
        self._watchdog: Watchdog | None = None
        self._parts: dict[tuple[str, str], _Part] = {}  # ("store" or "executor", alias) -> what closes it
        self._host: TaskGroup
        self._listening: anyio.CancelScope
        self._part_tasks: TaskGroup
        self._life: _Lifetime | None = None
        self.node: str = ""
        self.face: Any = self  # what stores and executors for APScheduler 3 are given as their scheduler
        self._executors: dict[str, Executor] = {
            alias: self._make_executor(plugin) for alias, plugin in self._own_executors.items()
        }
        self._replaceable = {("store", "default")} | {
            ("executor", alias) for alias in self._executors
        }  # none was given
        self.configure(
            jobstores=jobstores,
            executors=executors,
            job_defaults=job_defaults,
            timezone=_timezones.local_timezone() if timezone is None else timezone,
        )

    @property
    def timezone(self) -> tzinfo:
        """Zone of triggers and naive times that do not name their own."""
        return self._maker.timezone

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    @property
    def state(self) -> int:
        """`STATE_STOPPED`, `STATE_RUNNING` or `STATE_PAUSED`, as in APScheduler 3."""
        if not self._is_started:
            return STATE_STOPPED
        return STATE_PAUSED if self._is_paused else STATE_RUNNING

    @property
    def running(self) -> bool:
        """Whether it has started and is not shut down."""
        return self._is_started

    @property
    def is_paused(self) -> bool:
        """Whether it claims nothing until `resume`."""
        return self._is_paused

    @property
    def is_in_memory(self) -> bool:
        """Whether verbs that ask nothing but stores never wait, since all stores are in memory."""
        return all(type(store) is MemoryJobStore for store in self._stores.values())  # another class may wait

    @configurable
    def configure(
        self,
        gconfig: Mapping[str, Any] | None = None,
        prefix: str | Sequence[str] | None = PREFIXES,
        *,
        jobstores: Mapping[str, JobStore | BaseJobStore | str | Mapping[str, Any]] | None = None,
        executors: Mapping[str, Executor | BaseExecutor | str | Mapping[str, Any]] | None = None,
        job_defaults: JobDefaults | Mapping[str, Any] | None = None,
        timezone: tzinfo | str | None = None,
    ) -> None:
        """
        Change what the constructor was given, before the start.

        Jobs that were added already have the defaults of the start, and keep the zones of their triggers.

        Args:
            gconfig: A dictionary of these options, as in the constructor.
            prefix: What its keys begin with.
            jobstores: Stores to add, or to put in the place of those of the same alias.
            executors: Executors to add, or to put in the place of those of the same alias.
            job_defaults: Options of jobs that do not name their own.
            timezone: Zone of triggers and naive times that do not name their own.

        Raises:
            SchedulerAlreadyRunningError: The scheduler runs.
            LookupError: An alias is not known.
            TypeError: A value is of the wrong type.
            ValueError: A value is out of range.
        """
        if self._life is not None:
            raise SchedulerAlreadyRunningError("configure() is for the time before the start; the scheduler is running")
        del gconfig, prefix  # `configurable` has read them
        defaults = self._maker.defaults if job_defaults is None else JobDefaults.of(job_defaults)
        check_defaults(defaults)
        zone = self._maker.timezone if timezone is None else _timezones.to_timezone(timezone, "timezone")
        stores = {alias: _make_jobstore(value) for alias, value in by_alias("jobstores", jobstores).items()}
        made = {alias: self._make_executor(value) for alias, value in by_alias("executors", executors).items()}
        self._maker = JobMaker(defaults, zone, self._executors)
        self._stores.update(stores)
        self._executors.update(made)
        self._replaceable -= {*(("store", alias) for alias in stores), *(("executor", alias) for alias in made)}

    def _make_executor(self, value: object, options: Mapping[str, Any] | None = None) -> Executor:
        """Return the executor that *value* is, names or describes; where a framework has a say in that, it is here."""
        made: Executor | BaseExecutor = make_part("executor", (Executor, BaseExecutor), value, options)
        return BridgedExecutor(made) if isinstance(made, BaseExecutor) else made

    # lifetime

    async def __aenter__(self) -> Self:
        if self._life is not None:
            raise SchedulerAlreadyRunningError
        life = self._life = _Lifetime()
        self._host = anyio.create_task_group()
        await self._host.__aenter__()
        self._host.start_soon(self._stop_when_cancelled)
        self._host.start_soon(self._serve, life)
        try:
            await life.started.wait()
            error = life.failure
        except BaseException as exc:  # cancelled
            self.request_stop(wait=False)
            error = exc
        if error is not None:
            self._life = None
            self._host.cancel_scope.cancel()
            await self._host.__aexit__(None, None, None)
            await anyio.lowlevel.checkpoint_if_cancelled()  # what came of a cancellation is no error of its own
            raise _only(error) from None
        if not any(store.is_persistent for store in self._stores.values()):
            _servers.warn_of_workers()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.request_stop(wait=exc_type is None and self._clock.is_real)
        with anyio.CancelScope(shield=True):
            await self._wait_until_stopped()
        self._host.cancel_scope.cancel()
        self._life = None
        await self._host.__aexit__(None, None, None)  # an error of the body goes on as it is, in no group

    async def run(self) -> None:
        """
        Serve as the main program: until `stop`, `shutdown`, SIGTERM or SIGINT.

        Starts the scheduler if it has not started. A signal lets the runs under way end; a second one cancels them.
        Signals are noticed in the main thread only, and from the call on: where this starts the scheduler, none comes
        too early to be noticed.
        """
        error: Exception | None = None
        async with anyio.create_task_group() as tasks:
            if threading.current_thread() is threading.main_thread():
                await tasks.start(self._stop_on_signals)
            try:
                await self._run_until_stopped()
            except Exception as exc:  # goes on as it is, in no group
                error = exc
            tasks.cancel_scope.cancel()
        if error is not None:
            raise error

    async def _run_until_stopped(self) -> None:
        if self._life is not None:
            await self._wait_until_stopped()
            return
        try:
            async with self:
                await self._wait_until_stopped()
        except StoppedAtStartError as exc:
            logger.info("%s", exc)

    async def serve(self, started: Callable[[], object], *, paused: bool = False) -> None:
        """
        Start, call *started*, and run until a shutdown; for the blocking faces.

        Args:
            started: Called when the scheduler has started.
            paused: Whether nothing is run until `resume`.
        """
        self._is_paused = paused
        async with self:
            started()
            await self._wait_until_stopped()

    def stop(self) -> None:
        """Ask the scheduler to let its runs end and shut down, and return at once; from jobs and listeners too."""
        self._check_serving()
        self.request_stop()

    @property
    def is_inside(self) -> bool:
        """Whether the calling code belongs to a run or a listener of this scheduler."""
        return self._bus.is_inside or (self._runner is not None and self._runner.is_inside)

    def request_stop(self, wait: bool | float = True) -> None:
        """
        Ask the scheduler to shut down and return at once; nothing happens if it is not running.

        Args:
            wait: As in `shutdown`. Asking again with less patience counts.
        """
        if self._life is None:
            return
        if wait is False:
            self._life.draining.cancel()
        elif wait is not True:
            self._life.draining.deadline = min(self._life.draining.deadline, anyio.current_time() + wait)
        for each in self._open.values():
            each.loop.pause()  # from now on, and not only when it has noticed that it ends
        self._life.stopping.set()
        if not self._is_started:
            self._life.opening.cancel()

    def forget(self) -> None:
        """Be a scheduler that has not started, in a forked child of the process in which it runs."""
        if self._life is None:
            return
        self._life = self._runner = None
        self._open, self._parts = {}, {}
        self._slots = Slots(self._wake_starved)
        for alias, store in self._stores.items():
            if not store.is_persistent:
                self._stores[alias] = MemoryJobStore()

    async def shutdown(self, wait: bool | float = True) -> None:
        """
        Shut the scheduler down and return when that is done.

        No run is claimed any more; runs under way are waited for, then cancelled; what was claimed and not started goes
        back to its store.

        Args:
            wait: True: wait for runs under way, however long; a number: so many seconds, from 0 on; False: not at all.

        Raises:
            SchedulerNotRunningError: It is not running.
            SchedulerStateError: It is called from a job and would wait for that job.
            TypeError: *wait* is neither a truth value nor a number.
            ValueError: *wait* is negative or not a number (nan).
        """
        check_wait(wait)
        self._check_serving()
        if self.is_inside:
            if wait is not False:
                raise SchedulerStateError(
                    f"shutdown(wait={wait}) was called from a job or a listener, for which it would wait; "
                    "use wait=False"
                )
            self.request_stop(wait=False)
            return
        self.request_stop(wait=wait)
        await self._wait_until_stopped()

    async def pause(self) -> None:
        """
        Claim nothing until `resume`; runs under way go on.

        Raises:
            SchedulerNotRunningError: It is not running.
        """
        self._check_running()
        if not self._is_paused:
            self._is_paused = True
            for each in self._open.values():
                each.loop.pause()
            logger.info("paused")
            self._publish(SchedulerEvent, EVENT_SCHEDULER_PAUSED)

    async def resume(self) -> None:
        """
        Claim again; what fell into the pause is late, not lost.

        Raises:
            SchedulerNotRunningError: It is not running.
        """
        self._check_running()
        if self._is_paused:
            self._is_paused = False
            for each in self._open.values():
                each.loop.resume()
            logger.info("resumed")
            self._publish(SchedulerEvent, EVENT_SCHEDULER_RESUMED)

    async def wakeup(self) -> None:
        """Look at every store now, for example because the clock was moved."""
        self._look_at_all()

    # parts

    async def add_jobstore(
        self, /, jobstore: JobStore | BaseJobStore | str | Mapping[str, Any], alias: str = "default", **options: Any
    ) -> None:
        """
        Add a job store, and open it if the scheduler runs.

        Args:
            jobstore: The store, or its alias among the plugins.
            alias: The alias by which jobs name it.
            **options: Arguments of the store, where it is named by alias.

        Raises:
            ValueError: The scheduler runs and has a store of that alias, or was given one.
        """
        if alias in self._stores and (self._is_started or ("store", alias) not in self._replaceable):
            raise ValueError(f'This scheduler already has a job store by the alias of "{alias}"; choose another alias')
        store = _make_jobstore(jobstore, options)
        if self._runner is not None:
            await self._part_tasks.start(self._host_store, alias, store, self._runner)
        self._stores[alias] = store
        self._replaceable.discard(("store", alias))
        if self._is_started:
            await self._adopt_staged(alias)
            self._forget_stage(alias)
        self._publish(SchedulerEvent, EVENT_JOBSTORE_ADDED, alias=alias)

    async def remove_jobstore(self, alias: str, shutdown: bool = True) -> None:
        """
        Forget a job store, and close it when its runs under way have ended; what it holds stays in it.

        Args:
            alias: Its alias.
            shutdown: Whether to return only when it is closed; otherwise that happens in the background.

        Raises:
            AliasLookupError: There is no store of that alias.
            SchedulerStateError: It is called from a job of that store and would wait for that job.
        """
        self._aliases(alias)
        job = None if self._runner is None else self._runner.current_job
        if shutdown and job is not None and job.jobstore == alias:
            raise SchedulerStateError(
                f"remove_jobstore({alias!r}) was called from job {job.id!r} of that store, for which it would wait; "
                "pass shutdown=False"
            )
        if self._is_started:
            part = self._parts.pop(("store", alias))
            part.closing.set()
            if shutdown:
                await part.closed.wait()
            else:
                del self._open[alias]
        del self._stores[alias]
        self._stages.pop(alias, None)
        self._publish(SchedulerEvent, EVENT_JOBSTORE_REMOVED, alias=alias)

    async def add_executor(
        self, /, executor: Executor | BaseExecutor | str | Mapping[str, Any], alias: str = "default", **options: Any
    ) -> None:
        """
        Add an executor, and start it if the scheduler runs.

        Args:
            executor: The executor, or its alias among the plugins.
            alias: The alias by which jobs name it.
            **options: Arguments of the executor, where it is named by alias.

        Raises:
            ValueError: The scheduler runs and has an executor of that alias, or was given one.
        """
        if alias in self._executors and (self._is_started or ("executor", alias) not in self._replaceable):
            raise ValueError(f'This scheduler already has an executor by the alias of "{alias}"; choose another alias')
        made = self._make_executor(executor, options)
        self._executors[alias] = made
        self._replaceable.discard(("executor", alias))
        if self._is_started:
            await self._part_tasks.start(self._host_executor, alias, made)
        self._publish(SchedulerEvent, EVENT_EXECUTOR_ADDED, alias=alias)

    async def remove_executor(self, alias: str, shutdown: bool = True, *, wait: bool = True) -> None:
        """
        Give an executor no more runs, and close it when it has none; jobs that name it are quarantined when due.

        Args:
            alias: Its alias.
            shutdown: Whether to return only when it is closed; otherwise that happens in the background.
            wait: Whether its runs under way may end; otherwise they are cancelled.

        Raises:
            AliasLookupError: There is no executor of that alias.
            SchedulerStateError: It is called from a job on that executor and would wait for that job.
        """
        if alias not in self._executors:
            raise AliasLookupError("executor", alias, self._executors)
        job = None if self._runner is None else self._runner.current_job
        if shutdown and job is not None and job.executor == alias:
            raise SchedulerStateError(
                f"remove_executor({alias!r}) was called from job {job.id!r} on that executor, for which it would wait; "
                "pass shutdown=False"
            )
        executor = self._executors.pop(alias)
        if self._runner is not None:
            self._slots.remove(alias)
            if not wait:
                self._runner.cancel_all(f"executor {alias!r} was removed", alias)
            part = self._parts.pop(("executor", alias))
            self._part_tasks.start_soon(self._close_when_idle, executor, part, self._runner)
            if shutdown:
                await part.closed.wait()
        self._publish(SchedulerEvent, EVENT_EXECUTOR_REMOVED, alias=alias)

    async def add_listener(self, callback: Listener, mask: int = EVENT_ALL) -> None:
        """
        Call *callback* with each event whose code is in *mask*, in the order in which they happen.

        Args:
            callback: A coroutine function, which is awaited, or a plain one, which must not block.
            mask: A sum of `EVENT_` constants.

        Raises:
            TypeError: *callback* cannot be called, or *mask* is no whole number.
        """
        self._bus.subscribe(callback, mask)

    async def remove_listener(self, callback: Listener) -> None:
        """Call *callback* no more."""
        self._bus.unsubscribe(callback)

    def scheduled_job(self, trigger: Any, *args: Any, **options: Any) -> Callable[[F], F]:
        """
        Decorate a function to add it as a job before the scheduler starts; a job of the same id is replaced.

        Args:
            trigger: As in `add_job`.
            *args: Positional parameters of `add_job` after *trigger*.
            **options: Keyword parameters of `add_job`, and arguments of the trigger.

        Raises:
            SchedulerStateError: The scheduler runs; use `await scheduler.add_job(...)`.
        """

        def decorate(func: F) -> F:
            if self._is_started:
                raise SchedulerStateError("scheduled_job is for the time before the start; use await add_job(...)")
            drive(self.add_job(func, trigger, *args, **{"replace_existing": True, **options}))
            return func

        return decorate

    async def health(self) -> Health:
        """Tell how the scheduler is; asks no store, and never waits."""
        runner, watchdog = self._runner, self._watchdog  # once: other threads may ask, while it starts or ends
        return Health(
            node=self.node,
            is_running=self._is_started,
            is_paused=self._is_paused,
            jobstores={alias: each.health() for alias, each in self._open.copy().items()},
            executors=self._slots.health(),
            runs_under_way=0 if runner is None else len(runner),
            event_loop=LoopHealth() if watchdog is None else watchdog.health(),
        )

    # tasks

    async def _serve(self, life: _Lifetime) -> None:
        """Open the parts, run until a stop is asked for, and close them in reverse order."""
        self.node = new_node_id()
        try:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as bus_task, self._notifier:
                    await bus_task.start(self._bus.run)
                    self._listening = anyio.CancelScope()
                    bus_task.start_soon(self._listen)
                    async with anyio.create_task_group() as self._part_tasks:
                        await self._serve_parts(life)
                    self._publish(SchedulerEvent, EVENT_SCHEDULER_SHUTDOWN)
                    self._bus.close()
                    self._listening.cancel()
        except BaseException as exc:
            if life.started.is_set():
                raise
            life.failure = exc
        finally:
            life.started.set()
            life.stopped.set()
            logger.info("node %s has shut down", self.node)

    async def _serve_parts(self, life: _Lifetime) -> None:
        try:
            async with _eventloop.current().task_pool() as runs:
                with (
                    seen_by(keep_line) if self._keep_log else nullcontext(),
                    Watchdog(self._clock, self._bus, self._blocked_after, CALLERS) as self._watchdog,
                ):
                    await self._serve_runs(
                        life, Runner(self._clock, self._slots, runs, self._middleware, self._watchdog)
                    )
        finally:
            self._runner = None
            for kind in ("store", "executor"):
                for key in [key for key in self._parts if key[0] == kind]:
                    await self._parts.pop(key).close()
            self._results.close("the scheduler was shut down before the run had ended")

    async def _serve_runs(self, life: _Lifetime, runner: Runner) -> None:
        """Let runs be claimed until a stop is asked for, and end those that are under way then."""
        with life.opening:
            await self._open_parts(runner)
        if life.opening.cancel_called:
            raise StoppedAtStartError("the scheduler was stopped before it had started")
        logger.info("node %s has started", self.node)
        self._publish(SchedulerEvent, EVENT_SCHEDULER_STARTED)
        life.started.set()
        if not self._is_paused:
            for each in self._open.values():
                each.loop.resume()
        await life.stopping.wait()
        for each in self._open.values():
            each.loop.end()
        with life.draining:
            await runner.wait_until_idle()
        runner.cancel_all("the scheduler shut down")
        await runner.leave()

    async def _open_parts(self, runner: Runner) -> None:
        for alias, executor in self._executors.items():
            await self._part_tasks.start(self._host_executor, alias, executor)
        for alias, store in self._stores.items():
            await self._part_tasks.start(self._host_store, alias, store, runner)
        self._runner = runner
        await self._adopt_stages()

    async def _host_store(self, alias: str, store: JobStore, runner: Runner, *, task_status: TaskStatus[None]) -> None:
        """Keep a store open, and its loop and recorder running."""
        part = _Part()
        if isinstance(store, BridgedJobStore):
            store.belong_to(self.face, alias)
        try:
            async with entered(store, f"job store {alias!r}"), self._open_to_threads(store, alias):
                opened = self._make_open_store(alias, store, runner)
                await opened.join(self.node)
                self._open[alias] = opened
                self._parts["store", alias] = part
                try:
                    await opened.serve(part.closing, task_status=task_status)
                finally:
                    if self._open.get(alias) is opened:  # not so if it was removed, and perhaps another one added
                        del self._open[alias]
        finally:
            part.closed.set()

    def _open_to_threads(self, store: JobStore, alias: str) -> AbstractAsyncContextManager[None]:
        """Let the blocking methods of *store*, if it has them, be called from other threads."""
        if not isinstance(store, BlockingMethods):
            return nullcontext()
        return store.open_to_threads(None if self.face is self else self.face, alias)

    def _make_open_store(self, alias: str, store: JobStore, runner: Runner) -> OpenStore:
        opened = OpenStore(
            store,
            alias,
            clock=self._clock,
            plan=make_planner(self._slots, self._settings.capabilities),
            slots=self._slots,
            runner=runner,
            bus=self._bus,
            results=self._results,
            notifiers=() if isinstance(self._notifier, LocalNotifier) else (self._notifier,),
            settings=self._settings,
        )
        if self._is_paused or not self._is_started:  # nothing runs before the start has succeeded
            opened.loop.pause()
        return opened

    async def _host_executor(self, alias: str, executor: Executor, *, task_status: TaskStatus[None]) -> None:
        """Keep an executor open."""
        part = _Part()
        if isinstance(executor, BridgedExecutor):
            executor.belong_to(self.face, alias)
        try:
            async with executor:
                self._slots.add(alias, executor)
                self._parts["executor", alias] = part
                task_status.started()
                await part.closing.wait()
        finally:
            part.closed.set()

    async def _close_when_idle(self, executor: Executor, part: _Part, runner: Runner) -> None:
        await runner.wait_until_idle(executor)
        await part.close()

    async def _listen(self) -> None:
        """Look at a store when another node says that it has changed."""
        backoff = Backoff()
        with self._clock.at_work(), self._listening:
            while True:
                try:
                    await listen(self._notifier, self._clock, self._take_hint, self._look_at_all, backoff)
                except Exception:
                    max_idle = self._settings.max_idle
                    logger.exception("the notifier cannot be listened to; stores are looked at every %g s", max_idle)
                await backoff.sleep(self._clock)

    def _look_at_all(self) -> None:
        for each in self._open.values():
            each.wake()

    def _take_hint(self, alias: str) -> None:
        if alias in self._open:
            self._open[alias].wake()

    async def _stop_when_cancelled(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.request_stop(wait=False)

    async def _wait_until_stopped(self) -> None:
        if self._life is not None:
            await self._life.stopped.wait()

    async def _stop_on_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                logger.info("stops on %s", signal.Signals(number).name)
                self.request_stop(wait=self._life is not None and not self._life.stopping.is_set())

    def _check_serving(self) -> None:
        if self._life is None or self._life.stopped.is_set():
            raise SchedulerNotRunningError

    def _check_running(self) -> None:
        if not self._is_started:
            raise SchedulerNotRunningError


def _make_jobstore(value: object, options: Mapping[str, Any] | None = None) -> JobStore:
    """Return the store that *value* is, names or describes; one for APScheduler 3 behind a bridge."""
    made: JobStore | BaseJobStore = make_part("jobstore", (JobStore, BaseJobStore), value, options)
    return BridgedJobStore(made) if isinstance(made, BaseJobStore) else made


def _only(exc: BaseException) -> BaseException:
    """Return the one error that the groups of nested tasks hold, if it is one."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def _check_blocked_after(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(f"blocked_after must be a number of seconds above 0, got {seconds!r}")


def _check_lease(lease: object) -> None:
    if isinstance(lease, bool) or not isinstance(lease, (int, float)) or not 1 <= lease < math.inf:
        raise ValueError(f"lease must be a number of seconds from 1 on, got {lease!r}")


def _check_keep_history(keep: object, lease: float) -> None:
    least = max(LEAST_HISTORY, timedelta(seconds=20 * lease))
    if not isinstance(keep, timedelta):
        raise TypeError(f"keep_history must be a timedelta, got {keep!r}")
    if keep < least:
        raise ValueError(f"keep_history must be at least an hour and 20 leases, here {least}, got {keep!r}")


def check_wait(wait: object) -> None:
    """Raise TypeError or ValueError if *wait* is nothing that `shutdown` takes."""
    if not isinstance(wait, (int, float)):
        raise TypeError(f"wait must be True, False or seconds from 0 on, got {wait!r}")
    if not wait >= 0:
        raise ValueError(f"wait must be True, False or seconds from 0 on, got {wait!r}")
