"""OpenTelemetry is given a span for each run, and metrics of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from apsched import AsyncScheduler
from apsched.integrations.opentelemetry import Telemetry, trace_tags
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing import BlockingClock, VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)


class Backend:
    """Where telemetry goes."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def points(self) -> dict[tuple[str, tuple[Any, ...]], Any]:
        """Return what is measured: (name, values of the attributes in the order of their names) -> point."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            (metric.name, tuple(value for _, value in sorted((point.attributes or {}).items()))): point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def apsched_options(apsched_options: dict[str, Any], backend: Backend) -> dict[str, Any]:
    return {**apsched_options, "middleware": [backend.telemetry.trace]}


def work() -> None:
    trace.get_current_span().set_attribute("seen", "in a thread")


async def work_later() -> None:
    trace.get_current_span().set_attribute("seen", "in the loop")


def fail() -> None:
    raise ConnectionError("nobody answers")


@pytest.mark.parametrize(("func", "seen"), [(work, "in a thread"), (work_later, "in the loop")])
async def test_a_run_is_a_span_that_its_callable_sees(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, backend: Backend, func: Any, seen: str
) -> None:
    backend.telemetry.watch(apsched_scheduler)
    await apsched_scheduler.add_job(func, "interval", seconds=10, id="job")

    await apsched_clock.advance(10)

    (span,) = backend.spans
    assert (span.name, span.kind, span.parent, span.status.status_code) == (
        "run job",
        SpanKind.CONSUMER,
        None,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "apsched.job.id": "job",
        "apsched.run.id": "job@2026-01-01T00:00:10Z",
        "apsched.run.nominal_time": "2026-01-01T00:00:10+00:00",
        "apsched.run.attempt": 1,
        "apsched.run.is_manual": False,
        "apsched.node": apsched_scheduler.node,
        "code.function.name": f"{__name__}:{func.__name__}",
        "seen": seen,
    }


async def test_a_run_that_fails_is_a_span_that_says_so(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, backend: Backend
) -> None:
    await apsched_scheduler.add_job(fail, id="job")
    await apsched_clock.run_until_idle()

    (span,) = backend.spans
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "nobody answers")
    assert (span.attributes or {})["error.type"] == "ConnectionError"
    assert [event.name for event in span.events] == ["exception"]


async def test_a_run_that_takes_too_long_is_a_span_that_says_so(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, backend: Backend
) -> None:
    await apsched_scheduler.add_job(apsched_clock.sleep, args=[100], timeout=10, id="job")
    await apsched_clock.advance(11)

    (span,) = backend.spans
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (StatusCode.ERROR, "cancelled")


async def test_the_span_in_which_the_scheduler_was_started_is_no_parent(
    apsched_options: dict[str, Any], apsched_clock: VirtualClock, backend: Backend
) -> None:
    tracer = backend.tracers.get_tracer("test")
    with tracer.start_as_current_span("start"):
        async with AsyncScheduler(**apsched_options) as scheduler:
            await scheduler.add_job(work, id="job")
            await apsched_clock.run_until_idle()

    assert {span.name: span.parent for span in backend.spans} == {"run job": None, "start": None}


async def test_a_run_links_to_the_span_in_which_its_job_was_added(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, backend: Backend
) -> None:
    backend.telemetry.watch(apsched_scheduler)
    with backend.tracers.get_tracer("test").start_as_current_span("request") as request:
        await apsched_scheduler.add_job(work, "interval", seconds=10, id="job", tags={"team": "a", **trace_tags()})
    await apsched_scheduler.add_job(work, "interval", seconds=10, id="other", tags=trace_tags())

    await apsched_clock.advance(20)

    runs = [span for span in backend.spans if span.name == "run job"]
    others = [span for span in backend.spans if span.name == "run other"]
    context = request.get_span_context()
    links = [[(link.context.trace_id, link.context.span_id) for link in span.links] for span in runs]
    assert links == [[(context.trace_id, context.span_id)]] * 2
    assert [list(span.links) for span in others] == [[], []]
    assert len({span.context.trace_id for span in backend.spans}) == len(backend.spans)  # each is a trace of its own


async def test_runs_are_counted_and_measured(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, backend: Backend
) -> None:
    backend.telemetry.watch(apsched_scheduler)
    await apsched_scheduler.add_job(fail, "interval", seconds=30)
    await apsched_scheduler.add_job(apsched_clock.sleep, "interval", seconds=30, args=[45])
    await apsched_clock.advance(100)

    points = backend.points()
    assert points["apsched.runs", ("default", "failed")].value == 3
    assert points["apsched.runs", ("default", "succeeded")].value == 1
    assert points["apsched.runs", ("default", "skipped")].value == 1
    assert points["apsched.run.duration", ("default", "succeeded")].sum == 45
    assert points["apsched.run.duration", ("default", "succeeded")].explicit_bounds[0] == 0.005
    assert points["apsched.run.lateness", ("default", "failed")].count == 3
    assert points["apsched.runs.under_way", ()].value == 1
    assert points["apsched.executor.in_use", ("asyncio",)].value == 1
    assert points["apsched.executor.capacity", ("default",)].value == 10
    assert points["apsched.jobstore.up", ("default",)].value == 1


def test_a_background_scheduler_is_traced_and_measured(
    apsched_background: BackgroundScheduler, apsched_background_clock: BlockingClock, backend: Backend
) -> None:
    backend.telemetry.watch(apsched_background)
    apsched_background.add_job(work, "interval", seconds=10, id="job")
    apsched_background_clock.advance(10)

    assert [span.name for span in backend.spans] == ["run job"]
    assert backend.points()["apsched.runs", ("default", "succeeded")].value == 1
    with pytest.raises(ValueError, match="a Telemetry watches one scheduler, and has one already; make another"):
        backend.telemetry.watch(apsched_background)
