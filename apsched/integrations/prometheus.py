"""Count and measure runs for Prometheus (layer 10).

| metric | labels | says |
|---|---|---|
| `apsched_runs_total` | `jobstore`, `outcome` | nominal times that were settled, by what became of them |
| `apsched_run_duration_seconds` | `jobstore` | histogram: from the call to its end |
| `apsched_run_lateness_seconds` | `jobstore` | histogram: from the due time to the call |
| `apsched_runs_under_way` | | runs claimed by this node and not finished |
| `apsched_executor_capacity`, `apsched_executor_in_use`, `apsched_executor_stuck_calls` | `executor` | slots, slots taken, calls that were given up and go on |
| `apsched_jobstore_up`, `apsched_jobstore_trusted` | `jobstore` | 1 if the store answers; 1 if the lease there can be trusted |
| `apsched_jobstore_failures_total` | `jobstore` | outages that began |
| `apsched_jobstore_unrecorded_runs`, `apsched_jobstore_live_nodes` | `jobstore` | finished runs that wait to be stored; nodes that use it |
| `apsched_jobstore_last_look_timestamp_seconds`, `apsched_jobstore_last_beat_timestamp_seconds` | `jobstore` | when it last answered; when this node last gave a sign of life |
| `apsched_jobstore_pending_runs`, `apsched_jobstore_due_lag_seconds` | `jobstore` | runs that wait for a slot or their turn (1,000 at most); for how long the first due job has been waiting |
| `apsched_loop_blocks_total`, `apsched_loop_longest_block_seconds` | | blocks of the event loop |
| `apsched_retries_total`, `apsched_jobs_overdue_total` | | attempts that are made again; jobs that have not succeeded for too long |
| `apsched_jobs_quarantined_total`, `apsched_nodes_lost_total`, `apsched_leases_lost_total`, `apsched_clock_jumps_total` | | events of these kinds |
| `apsched_scheduler_running`, `apsched_scheduler_paused` | | 1 if so |
| `apsched_node_info` | `node`, `version` | 1 |
"""  # noqa: E501  # a row of a table is one line

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import apsched
from apsched.engine.health import Health
from apsched.events import (
    EVENT_CLOCK_JUMPED,
    EVENT_JOB_OVERDUE,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_RETRYING,
    EVENT_JOBSTORE_FAILED,
    EVENT_LEASE_LOST,
    EVENT_NODE_LOST,
    SchedulerEvent,
)
from apsched.exceptions import MissingExtraError, SchedulerNotRunningError
from apsched.integrations._watching import ENDED, NOT_BEGUN, Scheduler, core_of, health_of, listen, runs_of, unlisten
from apsched.run import Outcome, Run
from apsched.schedulers.base import BaseScheduler

try:
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as exc:
    raise MissingExtraError("apsched.integrations.prometheus", "metrics") from exc

logger: logging.Logger = logging.getLogger("apsched.metrics")

DURATIONS: Sequence[float] = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)  # seconds
LATENESSES: Sequence[float] = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 3600)  # seconds
OTHER_JOBS = "(other)"
MOST_PENDING = 1000
FIRST_JOBS = 100  # that are searched for one that is due

COUNTED: dict[int, tuple[str, str]] = {
    EVENT_JOB_RETRYING: ("apsched_retries", "Attempts that are made again."),
    EVENT_JOB_OVERDUE: ("apsched_jobs_overdue", "Jobs that have not succeeded for too long."),
    EVENT_JOB_QUARANTINED: ("apsched_jobs_quarantined", "Jobs of which no run could be made."),
    EVENT_NODE_LOST: ("apsched_nodes_lost", "Other nodes that were taken for dead here."),
    EVENT_LEASE_LOST: ("apsched_leases_lost", "How often this node was taken for dead."),
    EVENT_CLOCK_JUMPED: ("apsched_clock_jumps", "How often the wall clock was moved."),
}


class PrometheusMetrics:
    """
    The metrics of one scheduler; the module lists them.

        metrics = PrometheusMetrics(scheduler)
        prometheus_client.start_http_server(9000)

    Of an `AsyncScheduler` the two metrics about the queue are there only where an application serves what
    `await metrics.render()` returns: they need questions to the stores, which another thread cannot ask.

    Args:
        scheduler: What is measured, started or not.
        registry: Where the metrics go; it may hold those of one scheduler.
        max_jobs: Of so many jobs, the first ones that run, `apsched_runs_total` and the histograms have the id as the
            label `job`; of all others it is `(other)`. 0: there is no such label. Each job takes some 30 time series.
        durations: Upper bounds of the buckets, seconds.
        latenesses: Upper bounds of the buckets, seconds.

    Raises:
        ValueError: The registry has such metrics already, or *max_jobs* is negative.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        registry: CollectorRegistry = REGISTRY,
        max_jobs: int = 0,
        durations: Sequence[float] = DURATIONS,
        latenesses: Sequence[float] = LATENESSES,
    ) -> None:
        if isinstance(max_jobs, bool) or not isinstance(max_jobs, int) or max_jobs < 0:
            raise ValueError(f"max_jobs must be a whole number from 0 on, got {max_jobs!r}")
        self._scheduler = scheduler
        self._registry = registry
        self._max_jobs = max_jobs
        self._jobs: set[str] = set()
        self._known: dict[tuple[str, str, Outcome], tuple[Any, Any, Any]] = {}
        labels = ("jobstore", "job") if max_jobs else ("jobstore",)
        self._runs = Counter(
            "apsched_runs", "Nominal times that were settled.", (*labels, "outcome"), registry=registry
        )
        self._durations = Histogram(
            "apsched_run_duration_seconds", "From the call to its end.", labels, registry=registry, buckets=durations
        )
        self._latenesses = Histogram(
            "apsched_run_lateness_seconds",
            "From the due time to the call.",
            labels,
            registry=registry,
            buckets=latenesses,
        )
        self._failures = Counter("apsched_jobstore_failures", "Outages that began.", ("jobstore",), registry=registry)
        self._counters = {code: Counter(*named, registry=registry) for code, named in COUNTED.items()}
        self._gauges = _Gauges(scheduler)
        registry.register(self._gauges)
        listen(scheduler, self._count_runs, ENDED | NOT_BEGUN)
        listen(scheduler, self._count_event, EVENT_JOBSTORE_FAILED | sum(COUNTED))

    def close(self) -> None:
        """Count no more, and take the metrics out of the registry."""
        unlisten(self._scheduler, self._count_runs)
        unlisten(self._scheduler, self._count_event)
        own = (self._runs, self._durations, self._latenesses, self._failures, self._gauges, *self._counters.values())
        for collector in own:
            self._registry.unregister(collector)

    async def render(self) -> tuple[bytes, str]:
        """
        Ask the stores about their queues, and return the registry as Prometheus reads it, and its media type.

        For an asynchronous program, in the event loop of its scheduler.
        """
        await self._gauges.ask()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _count_runs(self, event: Any) -> None:
        for run in runs_of(event):
            runs, duration, lateness = self._metrics_of(event.jobstore, run)
            runs.inc(run.count or 1)
            if run.lateness is not None:
                lateness.observe(run.lateness)
            if run.duration is not None:
                duration.observe(run.duration)

    def _count_event(self, event: SchedulerEvent) -> None:
        if event.code == EVENT_JOBSTORE_FAILED:
            self._failures.labels(event.alias).inc()
        else:
            self._counters[event.code].inc()

    def _metrics_of(self, jobstore: str, run: Run) -> tuple[Any, Any, Any]:
        job = self._label_of(run.job_id)
        key = (jobstore, job, run.outcome)
        if (found := self._known.get(key)) is None:
            labels = (jobstore, job) if self._max_jobs else (jobstore,)
            found = self._known[key] = (
                self._runs.labels(*labels, run.outcome.value),
                self._durations.labels(*labels),
                self._latenesses.labels(*labels),
            )
        return found

    def _label_of(self, job_id: str) -> str:
        if job_id in self._jobs:
            return job_id
        if len(self._jobs) < self._max_jobs:
            self._jobs.add(job_id)
            return job_id
        return OTHER_JOBS


class _Gauges(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._queues: dict[str, tuple[int, float]] = {}  # alias -> pending runs, lag

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        scheduler = self._scheduler
        if isinstance(scheduler, BaseScheduler) and scheduler.running and not scheduler._portal.is_inside:
            with suppress(SchedulerNotRunningError):  # it was shut down meanwhile
                scheduler._portal.call(self.ask)
        health = health_of(scheduler)
        yield _info(health)
        yield _gauge("apsched_scheduler_running", "Whether the scheduler runs.", health.is_running)
        yield _gauge("apsched_scheduler_paused", "Whether it claims nothing until it is resumed.", health.is_paused)
        yield _gauge("apsched_runs_under_way", "Runs claimed by this node and not finished.", health.runs_under_way)
        yield _counter("apsched_loop_blocks", "How often the event loop was blocked.", health.event_loop.times_blocked)
        longest = health.event_loop.longest_block
        yield _gauge("apsched_loop_longest_block_seconds", "For how long at most.", longest)
        yield from self._of_executors(health)
        yield from self._of_stores(health)

    async def ask(self) -> None:
        """Ask each store how long its queue is."""
        core = core_of(self._scheduler)
        queues: dict[str, tuple[int, float]] = {}
        for alias in (await core.health()).jobstores:
            try:
                pending = await core.get_runs(jobstore=alias, outcome=Outcome.PENDING, limit=MOST_PENDING)
                jobs = await core.get_jobs(alias, limit=FIRST_JOBS)
            except Exception as exc:  # `apsched_jobstore_up` tells of it
                logger.debug("job store %r cannot be asked for its queue: %s", alias, exc)
                continue
            times = [job.next_run_time for job in jobs if job.next_run_time is not None and job.quarantine is None]
            lag = (core.clock.now() - min(times)).total_seconds() if times else 0.0
            queues[alias] = len(pending), max(lag, 0.0)
        self._queues = queues

    def _of_executors(self, health: Health) -> Iterator[Metric]:
        capacity = GaugeMetricFamily("apsched_executor_capacity", "Runs it takes at a time.", labels=["executor"])
        in_use = GaugeMetricFamily("apsched_executor_in_use", "Runs that it has.", labels=["executor"])
        stuck = GaugeMetricFamily("apsched_executor_stuck_calls", "Given up, and going on.", labels=["executor"])
        for alias, executor in health.executors.items():
            capacity.add_metric([alias], executor.capacity)
            in_use.add_metric([alias], executor.in_use)
            stuck.add_metric([alias], executor.stuck)
        return iter((capacity, in_use, stuck))

    def _of_stores(self, health: Health) -> Iterator[Metric]:
        def of(name: str, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"apsched_jobstore_{name}", text, labels=["jobstore"])

        up = of("up", "Whether the store answers.")
        trusted = of("trusted", "Whether the lease of this node can be trusted.")
        unrecorded = of("unrecorded_runs", "Finished runs that wait to be stored.")
        nodes = of("live_nodes", "Nodes that use the store.")
        look = of("last_look_timestamp_seconds", "When the store last answered.")
        beat = of("last_beat_timestamp_seconds", "When this node last gave a sign of life.")
        pending = of("pending_runs", f"Runs that wait for a slot or their turn, at most {MOST_PENDING}.")
        lag = of("due_lag_seconds", "For how long the first due job has been waiting.")
        for alias, store in health.jobstores.items():
            up.add_metric([alias], not store.failures)
            trusted.add_metric([alias], store.is_trusted)
            unrecorded.add_metric([alias], store.unrecorded)
            nodes.add_metric([alias], store.live_nodes)
            if store.last_look is not None:
                look.add_metric([alias], store.last_look.timestamp())
            if store.last_beat is not None:
                beat.add_metric([alias], store.last_beat.timestamp())
        for alias, (count, seconds) in self._queues.items():
            pending.add_metric([alias], count)
            lag.add_metric([alias], seconds)
        return iter((up, trusted, unrecorded, nodes, look, beat, pending, lag))


def _info(health: Health) -> Metric:
    info = GaugeMetricFamily("apsched_node_info", "This node.", labels=["node", "version"])
    info.add_metric([health.node, apsched.__version__], 1)
    return info


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
