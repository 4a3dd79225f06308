"""Trace and measure runs with OpenTelemetry (layer 10).

Each run is a span, the root of a trace of its own, of kind `CONSUMER`:

| attribute | is |
|---|---|
| `apsched.job.id`, `apsched.run.id` | the ids |
| `apsched.run.nominal_time` | the nominal time, ISO 8601 |
| `apsched.run.attempt` | the number of the attempt |
| `apsched.run.is_manual` | whether it was started by hand |
| `apsched.node` | the node that runs it |
| `code.function.name` | the reference of the callable, if it has one |
| `error.type` | the class of what the callable raised; `cancelled` if it was cancelled or timed out |

Metrics, with the attributes `apsched.jobstore` and `apsched.outcome`: the counter `apsched.runs`, the histograms
`apsched.run.duration` and `apsched.run.lateness` in seconds. With `apsched.executor`: the gauges
`apsched.executor.in_use` and `apsched.executor.capacity`. With `apsched.jobstore`: the gauge `apsched.jobstore.up`.
Without any: the gauge `apsched.runs.under_way`.

Only the API of OpenTelemetry is used; where spans and metrics go is the program's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apsched
from apsched.engine.current import current_job
from apsched.engine.middleware import CallNext
from apsched.exceptions import MissingExtraError
from apsched.integrations._watching import ENDED, NOT_BEGUN, Scheduler, health_of, listen, runs_of
from apsched.job import Job
from apsched.run import Run

try:
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
    from opentelemetry.trace import (
        Link,
        SpanKind,
        Status,
        StatusCode,
        TracerProvider,
        get_current_span,
        get_tracer,
    )
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as exc:
    raise MissingExtraError("apsched.integrations.opentelemetry", "otel") from exc

DURATIONS = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400]  # seconds
LATENESSES = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 3600]  # seconds

_W3C = TraceContextTextMapPropagator()


def trace_tags() -> dict[str, str]:
    """
    Return tags for a job that let the spans of its runs link to the current span, here and on other nodes.

        await scheduler.add_job(send, args=[mail], tags=trace_tags())

    Outside of a span there are none. A link and no child: a trace ends with the request that it is about, while a job
    may run for years.
    """
    tags: dict[str, str] = {}
    _W3C.inject(tags)
    return tags


class Telemetry:
    """
    Spans and metrics of one scheduler.

        telemetry = Telemetry()
        scheduler = AsyncScheduler(middleware=[telemetry.trace])
        telemetry.watch(scheduler)

    Spans come from the middleware, metrics from watching; either does without the other.

    Args:
        tracer_provider: Where the spans go; None: the global one.
        meter_provider: Where the metrics go; None: the global one.
        span_name: Names the span of a run; None: `run` and the id of the job.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        span_name: Callable[[Run], str] | None = None,
    ) -> None:
        self._tracer = get_tracer("apsched", apsched.__version__, tracer_provider)
        self._meter_provider = meter_provider
        self._span_name = _span_name if span_name is None else span_name
        self._is_watching = False

    async def trace(self, run: Run, call_next: CallNext) -> Any:
        """Put a span around a run; middleware of the scheduler, best the first one."""
        job = current_job()
        with self._tracer.start_as_current_span(
            self._span_name(run),
            context=Context(),  # the scheduler may have been started within a span, which is none of the run's business
            kind=SpanKind.CONSUMER,
            attributes=_attributes(run, job),
            links=_links(job),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await call_next()
            except Exception as exc:
                span.record_exception(exc)
                span.set_attribute("error.type", type(exc).__qualname__)
                span.set_status(Status(StatusCode.ERROR, str(exc)))
                raise
            except BaseException:
                span.set_attribute("error.type", "cancelled")
                span.set_status(Status(StatusCode.ERROR, "it was cancelled or timed out"))
                raise

    def watch(self, scheduler: Scheduler) -> None:
        """
        Measure the runs of *scheduler*, started or not, from now on.

        Raises:
            ValueError: Another scheduler is watched already.
        """
        if self._is_watching:
            raise ValueError("a Telemetry watches one scheduler, and has one already; make another Telemetry")
        self._is_watching = True
        meter = get_meter("apsched", apsched.__version__, self._meter_provider)
        runs = meter.create_counter("apsched.runs", "{run}", "Nominal times that were settled.")
        duration = meter.create_histogram(
            "apsched.run.duration", "s", "From the call to its end.", explicit_bucket_boundaries_advisory=DURATIONS
        )
        lateness = meter.create_histogram(
            "apsched.run.lateness",
            "s",
            "From the due time to the call.",
            explicit_bucket_boundaries_advisory=LATENESSES,
        )

        def count(event: Any) -> None:
            for run in runs_of(event):
                attributes = {"apsched.jobstore": event.jobstore, "apsched.outcome": run.outcome.value}
                runs.add(run.count or 1, attributes)
                if run.duration is not None:
                    duration.record(run.duration, attributes)
                if run.lateness is not None:
                    lateness.record(run.lateness, attributes)

        listen(scheduler, count, ENDED | NOT_BEGUN)
        for name, (observe, text) in _GAUGES.items():
            meter.create_observable_gauge(name, [_callback(observe, scheduler)], "{run}", text)


def _span_name(run: Run) -> str:
    return f"run {run.job_id}"


def _attributes(run: Run, job: Job) -> Mapping[str, str | int | bool]:
    attributes: dict[str, str | int | bool] = {
        "apsched.job.id": run.job_id,
        "apsched.run.id": run.id,
        "apsched.run.nominal_time": run.nominal_time.isoformat(),
        "apsched.run.attempt": run.attempt,
        "apsched.run.is_manual": run.is_manual,
        "apsched.node": run.node or "",
    }
    if (reference := job.func_ref) is not None:
        attributes["code.function.name"] = reference
    return attributes


def _links(job: Job) -> list[Link]:
    if "traceparent" not in job.tags:
        return []
    context = get_current_span(_W3C.extract(job.tags, Context())).get_span_context()
    return [Link(context)] if context.is_valid else []


Observe = Callable[[Scheduler], Iterator[Observation]]


def _runs_under_way(scheduler: Scheduler) -> Iterator[Observation]:
    yield Observation(health_of(scheduler).runs_under_way)


def _in_use(scheduler: Scheduler) -> Iterator[Observation]:
    for alias, executor in health_of(scheduler).executors.items():
        yield Observation(executor.in_use, {"apsched.executor": alias})


def _capacity(scheduler: Scheduler) -> Iterator[Observation]:
    for alias, executor in health_of(scheduler).executors.items():
        yield Observation(executor.capacity, {"apsched.executor": alias})


def _up(scheduler: Scheduler) -> Iterator[Observation]:
    for alias, store in health_of(scheduler).jobstores.items():
        yield Observation(0 if store.failures else 1, {"apsched.jobstore": alias})


_GAUGES: dict[str, tuple[Observe, str]] = {
    "apsched.runs.under_way": (_runs_under_way, "Runs claimed by this node and not finished."),
    "apsched.executor.in_use": (_in_use, "Runs that an executor has."),
    "apsched.executor.capacity": (_capacity, "Runs that an executor takes at a time."),
    "apsched.jobstore.up": (_up, "Whether a job store answers."),
}


def _callback(observe: Observe, scheduler: Scheduler) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda options: observe(scheduler)
