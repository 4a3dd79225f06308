"""Measure what a run costs more that is counted, traced or told of.

Rounds are interleaved; the processor time of one run is given in microseconds, of the best round since others are at
work on the machine too, and its ratio to a run that nobody watches.

    python benchmarks/observers.py [--rounds 5] [--runs 5000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import sentry_sdk
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from apsched import AsyncScheduler, CallNext, Run
from apsched.integrations.opentelemetry import Telemetry
from apsched.integrations.pings import Pings
from apsched.integrations.prometheus import PrometheusMetrics
from apsched.integrations.sentry import SentryCrons
from apsched.logs import RunFilter

FAR = "2100-01-01"  # the jobs are started by hand, and stay

NOBODY = "nobody"
NOBODY_LOGS = "nobody, one line of log a run"

logger = logging.getLogger("benchmark")


class Nowhere(Transport):
    def capture_envelope(self, envelope: Envelope) -> None:
        pass


class Written(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


async def go_on(run: Run, call_next: CallNext) -> Any:
    return await call_next()


async def nothing() -> None:
    pass


async def log() -> None:
    logger.info("done")


class Case:
    """A way to watch a scheduler: its options, and what is done to it before the start."""

    def __init__(
        self, *middleware: Any, watch: Callable[[AsyncScheduler], object] | None = None, func: Any = nothing
    ) -> None:
        self.middleware = middleware
        self.watch = watch
        self.func = func


def cases() -> dict[str, Case]:
    telemetry = Telemetry(tracer_provider=TracerProvider(shutdown_on_exit=False))
    meters = MeterProvider(shutdown_on_exit=False)
    return {
        NOBODY: Case(),
        "a middleware that does nothing": Case(go_on),
        "PrometheusMetrics": Case(watch=lambda scheduler: PrometheusMetrics(scheduler, registry=CollectorRegistry())),
        "PrometheusMetrics, max_jobs=100": Case(
            watch=lambda scheduler: PrometheusMetrics(scheduler, registry=CollectorRegistry(), max_jobs=100)
        ),
        "Telemetry, spans": Case(telemetry.trace),
        "Telemetry, metrics": Case(watch=lambda scheduler: Telemetry(meter_provider=meters).watch(scheduler)),
        "SentryCrons": Case(watch=lambda scheduler: SentryCrons(scheduler, monitor=lambda job: "job")),
        "SentryCrons, jobs without a monitor": Case(
            watch=lambda scheduler: SentryCrons(scheduler, monitor=lambda job: None)
        ),
        "Pings, of other jobs": Case(watch=lambda scheduler: Pings(scheduler, {"other": "http://127.0.0.1:1/"})),
        NOBODY_LOGS: Case(func=log),
        "RunFilter, one line of log a run": Case(watch=lambda scheduler: handler.addFilter(RunFilter()), func=log),
    }


handler = Written()


async def measure(case: Case, runs: int) -> float:
    """Return the seconds of processor time that one run took."""
    handler.filters.clear()
    scheduler = AsyncScheduler(timezone="UTC", middleware=case.middleware)
    if case.watch is not None:
        case.watch(scheduler)
    async with scheduler:
        for number in range(runs):
            await scheduler.add_job(case.func, "date", run_date=FAR, id=f"job-{number}")
        await scheduler.pause()
        handles = [await scheduler.run_job(f"job-{number}") for number in range(runs)]
        began = time.process_time()
        await scheduler.resume()
        await handles[-1].wait()
        for handle in handles:
            await handle.wait()
        return (time.process_time() - began) / runs


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what it costs to watch runs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    sentry_sdk.init("https://key@sentry.invalid/1", transport=Nowhere(), default_integrations=False)
    times: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, case in cases().items():
            times.setdefault(name, []).append(anyio.run(measure, case, options.runs) * 1e6)
    lines = []
    for name, values in times.items():
        ratio = min(values) / min(times[NOBODY_LOGS if "log" in name else NOBODY])
        lines.append(f"{name:36} {min(values):7.1f} us a run, times that of nobody: {ratio:.2f}")
        print(lines[-1])
    if options.json is not None:
        report = {"python": platform.python_version(), "cpus": os.cpu_count(), "targets": lines}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
