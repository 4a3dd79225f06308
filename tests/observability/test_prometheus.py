"""What Prometheus scrapes is what has happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import apsched
from apsched import AsyncScheduler, Retry
from apsched.integrations.prometheus import PrometheusMetrics
from apsched.schedulers.background import BackgroundScheduler
from apsched.testing import BlockingClock, Cluster, FaultyJobStore, VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)
Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(apsched_scheduler: AsyncScheduler, registry: CollectorRegistry) -> Iterator[PrometheusMetrics]:
    made = PrometheusMetrics(apsched_scheduler, registry=registry)
    yield made
    made.close()
    assert generate_latest(registry) == b""


def read(text: bytes) -> Samples:
    """Return the samples: (name, values of the labels in the order of their names) -> value."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def scrape(registry: CollectorRegistry) -> Samples:
    return read(generate_latest(registry))


def fail() -> None:
    raise ConnectionError("nobody answers")


async def test_runs_are_counted_by_what_became_of_them(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, registry: CollectorRegistry, metrics: Any
) -> None:
    sleep = apsched_clock.sleep
    await apsched_scheduler.add_job(fail, "interval", seconds=30, id="fails")
    await apsched_scheduler.add_job(sleep, "interval", seconds=30, args=[3], id="does well")
    await apsched_scheduler.add_job(sleep, "interval", seconds=30, args=[1000], id="takes too long", timeout=10)
    await apsched_scheduler.add_job(sleep, "interval", seconds=30, args=[1000], id="stands in its own way")
    await apsched_scheduler.add_job(print, "date", run_date=START, id="runs once")

    await apsched_clock.advance(minutes=2)
    await apsched_scheduler.cancel_run("stands in its own way@2026-01-01T00:00:30Z")
    await apsched_clock.advance(5)

    samples = scrape(registry)
    runs = {labels: value for (name, labels), value in samples.items() if name == "apsched_runs_total"}
    assert runs == {
        ("default", "failed"): 4,
        ("default", "succeeded"): 4 + 1,
        ("default", "timed_out"): 3,
        ("default", "skipped"): 3,
        ("default", "cancelled"): 1,
    }
    assert samples["apsched_run_duration_seconds_count", ("default",)] == 4 + 4 + 1 + 3 + 1
    assert samples["apsched_run_duration_seconds_bucket", ("default", "5.0")] == 4 + 4 + 1
    assert samples["apsched_run_duration_seconds_bucket", ("default", "1.0")] == 4 + 1
    assert samples["apsched_run_duration_seconds_bucket", ("default", "15.0")] == 4 + 4 + 1 + 3
    assert samples["apsched_run_lateness_seconds_count", ("default",)] == 13
    assert samples["apsched_run_lateness_seconds_sum", ("default",)] == 0


async def test_nominal_times_that_were_missed_or_coalesced_count_one_by_one(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, registry: CollectorRegistry, metrics: Any
) -> None:
    await apsched_scheduler.add_job(print, "interval", seconds=10, id="coalesces")
    await apsched_scheduler.add_job(print, "interval", seconds=30, misfire_grace_time=1, id="misses")
    await apsched_scheduler.pause()
    await apsched_clock.advance(39)
    await apsched_scheduler.resume()
    await apsched_clock.run_until_idle()

    samples = scrape(registry)
    assert samples["apsched_runs_total", ("default", "coalesced")] == 2
    assert samples["apsched_runs_total", ("default", "succeeded")] == 1
    assert samples["apsched_runs_total", ("default", "missed")] == 1
    assert samples["apsched_run_lateness_seconds_sum", ("default",)] == 9


async def test_attempts_that_are_made_again_are_counted_and_the_run_counts_once(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, registry: CollectorRegistry, metrics: Any
) -> None:
    await apsched_scheduler.add_job(fail, "date", run_date=START, id="job", retry=Retry(max_attempts=3))
    await apsched_clock.advance(minutes=10)

    samples = scrape(registry)
    assert samples["apsched_retries_total", ()] == 2
    assert samples["apsched_runs_total", ("default", "failed")] == 1
    assert samples["apsched_jobs_overdue_total", ()] == 0


async def test_ids_of_jobs_are_labels_of_so_many_jobs_as_are_asked_for(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, registry: CollectorRegistry
) -> None:
    metrics = PrometheusMetrics(apsched_scheduler, registry=registry, max_jobs=2)
    for number in range(4):
        await apsched_scheduler.add_job(print, "interval", seconds=10 + number, id=f"job-{number}")

    await apsched_clock.advance(20)

    runs = {labels: value for (name, labels), value in scrape(registry).items() if name == "apsched_runs_total"}
    assert runs == {
        ("job-0", "default", "succeeded"): 2,
        ("job-1", "default", "succeeded"): 1,
        ("(other)", "default", "succeeded"): 2,
    }
    metrics.close()


async def test_gauges_tell_how_the_scheduler_is(
    apsched_scheduler: AsyncScheduler,
    apsched_clock: VirtualClock,
    apsched_store: FaultyJobStore,
    registry: CollectorRegistry,
    metrics: PrometheusMetrics,
) -> None:
    await apsched_scheduler.add_job(apsched_clock.sleep, "interval", seconds=10, args=[1000], overlap="queue_all")
    await apsched_clock.advance(30)
    await apsched_scheduler.pause()
    await apsched_clock.advance(15)
    samples = read((await metrics.render())[0])

    assert samples["apsched_scheduler_running", ()] == 1
    assert samples["apsched_scheduler_paused", ()] == 1
    assert samples["apsched_runs_under_way", ()] == 1
    assert samples["apsched_executor_capacity", ("default",)] == 10
    assert samples["apsched_executor_in_use", ("asyncio",)] == 1
    assert samples["apsched_executor_stuck_calls", ("default",)] == 0
    assert samples["apsched_jobstore_up", ("default",)] == 1
    assert samples["apsched_jobstore_last_look_timestamp_seconds", ("default",)] == START.timestamp() + 30
    assert samples["apsched_jobstore_pending_runs", ("default",)] == 2
    assert samples["apsched_jobstore_due_lag_seconds", ("default",)] == 5
    assert samples["apsched_loop_blocks_total", ()] == 0
    assert samples["apsched_node_info", (apsched_scheduler.node, apsched.__version__)] == 1

    apsched_store.cut()
    await apsched_scheduler.resume()
    await apsched_clock.advance(1)
    samples = read((await metrics.render())[0])

    assert samples["apsched_jobstore_up", ("default",)] == 0
    assert samples["apsched_jobstore_failures_total", ("default",)] == 1
    assert ("apsched_jobstore_pending_runs", ("default",)) not in samples


async def test_deaths_of_nodes_are_counted(apsched_cluster: Cluster, registry: CollectorRegistry) -> None:
    clock = apsched_cluster.clock
    async with apsched_cluster.node() as one, apsched_cluster.node() as two:
        PrometheusMetrics(two.scheduler, registry=registry)
        await two.scheduler.pause()
        await one.scheduler.add_job(clock.sleep, args=[1000], id="job", on_crash="abandon")
        await clock.advance(2)
        await one.kill()
        await clock.advance(60)
        samples = scrape(registry)

    assert samples["apsched_nodes_lost_total", ()] == 1
    assert samples["apsched_leases_lost_total", ()] == 0
    assert samples["apsched_runs_total", ("default", "abandoned")] == 1
    assert samples["apsched_jobstore_trusted", ("default",)] == 1
    assert samples["apsched_jobstore_last_beat_timestamp_seconds", ("default",)] > START.timestamp() + 50


def test_a_background_scheduler_is_asked_for_its_queue_by_each_scrape(
    apsched_background: BackgroundScheduler,
    apsched_background_clock: BlockingClock,
    registry: CollectorRegistry,
) -> None:
    PrometheusMetrics(apsched_background, registry=registry)
    clock = apsched_background_clock
    apsched_background.add_job(clock.virtual.sleep, "interval", seconds=10, args=[1000], overlap="queue_all")
    clock.advance(20)
    found: list[Samples] = []
    thread = threading.Thread(target=lambda: found.append(scrape(registry)))
    thread.start()
    thread.join()
    apsched_background.shutdown(wait=False)

    assert found[0]["apsched_jobstore_pending_runs", ("default",)] == 1
    assert scrape(registry)["apsched_scheduler_running", ()] == 0


def test_a_registry_has_the_metrics_of_one_scheduler(
    apsched_options: dict[str, Any], registry: CollectorRegistry
) -> None:
    scheduler = AsyncScheduler(**apsched_options)
    PrometheusMetrics(scheduler, registry=registry)

    with pytest.raises(ValueError, match="Duplicated timeseries"):
        PrometheusMetrics(scheduler, registry=registry)


@pytest.mark.parametrize("max_jobs", [-1, True, 1.5])
def test_max_jobs_is_a_whole_number(apsched_options: dict[str, Any], max_jobs: Any) -> None:
    with pytest.raises(ValueError, match="max_jobs must be a whole number from 0 on, got"):
        PrometheusMetrics(AsyncScheduler(**apsched_options), registry=CollectorRegistry(), max_jobs=max_jobs)


async def test_metrics_that_a_virtual_hour_makes_are_few(
    apsched_scheduler: AsyncScheduler, apsched_clock: VirtualClock, registry: CollectorRegistry, metrics: Any
) -> None:
    for number in range(50):
        await apsched_scheduler.add_job(print, "interval", seconds=60 + number, id=f"job-{number}")
    await apsched_clock.advance(timedelta(minutes=5))

    assert len(scrape(registry)) < 80
