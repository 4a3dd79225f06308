"""Answer the probes of load balancers and orchestrators (layer 7).

Two questions, since the answers differ: whether the process can do its work now (ready), and whether it would help to
start it again (live). A job store that is away makes it unready; no restart brings the store back, so it stays live.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from apsched.clock import SystemClock
from apsched.engine.health import ExecutorHealth, Health, StoreHealth

Probe = Literal["ready", "live"]

OK = 200
UNAVAILABLE = 503
STALE_AFTER = 60.0  # seconds


def health_document(
    health: Health,
    probe: Probe = "ready",
    *,
    details: bool = False,
    stale_after: float = STALE_AFTER,
    now: datetime | None = None,
) -> tuple[int, dict[str, Any]]:
    """
    Return what a web application answers at `/healthz` (ready) or `/livez` (live).

        status, document = health_document(await scheduler.health())

    Ready: the scheduler runs, every store answers, and its leases can be trusted; a paused one is ready too. Live: it
    runs, its loops look at their stores or fail to reach them, and no executor is held by calls that were given up.

    Args:
        health: What `health()` of a scheduler returned.
        probe: `"ready"` or `"live"`.
        details: Whether the document says what is known of each store and executor. Errors may name hosts and users, so
            leave it off where strangers read it.
        stale_after: After how many seconds without a look at a store, which did not fail either, its loop is taken for
            stuck; several times `max_idle`.
        now: The time, aware; None: that of this machine.

    Returns:
        The status code, 200 or 503, and an object for JSON: `status` (`"ok"`, `"paused"`, `"degraded"` or `"down"`),
        `problems` (sentences) and `node`.

    Raises:
        ValueError: There is no such probe.
    """
    if probe not in ("ready", "live"):
        raise ValueError(f"probe must be 'ready' or 'live', got {probe!r}")
    moment = SystemClock().now() if now is None else now
    away = [f"job store {alias!r} does not answer" for alias, store in health.jobstores.items() if store.failures]
    unsure = [
        f"the lease in job store {alias!r} cannot be trusted"
        for alias, store in health.jobstores.items()
        if not store.is_trusted
    ]
    stuck = _stuck(health, moment, stale_after)
    counts = stuck if probe == "live" else [*away, *unsure, *stuck]
    problems = [*away, *unsure, *stuck]
    if not health.is_running:
        counts, problems = [], ["the scheduler is not running"]
    document: dict[str, Any] = {"status": _status(health, problems), "problems": problems, "node": health.node}
    if details:
        document.update(_details(health, moment))
    return (UNAVAILABLE if counts or not health.is_running else OK), document


def _status(health: Health, problems: list[str]) -> str:
    if not health.is_running:
        return "down"
    if problems:
        return "degraded"
    return "paused" if health.is_paused else "ok"


def _stuck(health: Health, now: datetime, stale_after: float) -> list[str]:
    """Say what only a restart would mend."""
    problems = []
    for alias, store in health.jobstores.items():
        age = _age(store.last_look, now)
        if age is not None and age > stale_after and not (store.failures or health.is_paused or not store.is_trusted):
            problems.append(f"the loop of job store {alias!r} has not looked at it for {age:.0f} s")
    for alias, executor in health.executors.items():
        if executor.stuck >= executor.capacity:
            problems.append(f"executor {alias!r} is held by {executor.stuck} calls that were given up")
    return problems


def _details(health: Health, now: datetime) -> dict[str, Any]:
    return {
        "runs_under_way": health.runs_under_way,
        "jobstores": {alias: _store(store, now) for alias, store in health.jobstores.items()},
        "executors": {alias: _executor(executor) for alias, executor in health.executors.items()},
        "event_loop": {
            "times_blocked": health.event_loop.times_blocked,
            "longest_block": health.event_loop.longest_block,
            "last_blocked_by": health.event_loop.last_blocked_by,
        },
    }


def _store(store: StoreHealth, now: datetime) -> Mapping[str, Any]:
    return {
        "node": store.node,
        "seconds_since_look": _age(store.last_look, now),
        "seconds_since_beat": _age(store.last_beat, now),
        "failures": store.failures,
        "last_error": store.last_error,
        "unrecorded": store.unrecorded,
        "is_trusted": store.is_trusted,
        "live_nodes": store.live_nodes,
    }


def _executor(executor: ExecutorHealth) -> Mapping[str, Any]:
    return {"capacity": executor.capacity, "in_use": executor.in_use, "stuck": executor.stuck}


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else round((now - moment).total_seconds(), 3)
