"""However many nodes share a store: every nominal time is recorded once, and started once if nothing breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from apsched.run import Outcome
from apsched.triggers.interval import IntervalTrigger
from tests.cluster.harness import PAST, Cluster, outcomes
from tests.cluster.stores import JOBS, STORES, cases

COUNT = JOBS or 300
PATIENCE = 40 + COUNT / 50  # seconds
FEW = [("sqlite", 2), ("postgresql", 4), ("redis", 4)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + PATIENCE)]


@pytest.mark.parametrize(("url", "count"), cases(FEW, STORES, [1, 2, 4]), indirect=["url"])
def test_every_job_runs_exactly_once(make_cluster: Callable[..., Cluster], url: str, count: int) -> None:
    with make_cluster(url) as cluster:
        ids = [f"job {number:05}" for number in range(COUNT)]
        cluster.start(count)

        cluster.add([cluster.job(job_id, 0.0) for job_id in ids])
        cluster.wait_for_lines("end", COUNT, PATIENCE)
        runs = cluster.wait_until_settled(COUNT)
        cluster.stop()

        lines = cluster.ledger()
        assert sorted(run.job_id for run in runs) == ids
        assert outcomes(runs) == {Outcome.SUCCEEDED}
        assert Counter(line.job_id for line in lines if line.what == "start") == Counter(ids)
        assert Counter(line.job_id for line in lines if line.what == "end") == Counter(ids)
        assert {run.epoch for run in runs} == {1}
        assert cluster.jobs() == []


@pytest.mark.parametrize("url", cases(["redis"], STORES), indirect=True)
def test_every_nominal_time_of_recurring_jobs_is_recorded_once(make_cluster: Callable[..., Cluster], url: str) -> None:
    count = 100
    trigger = IntervalTrigger(seconds=1, start_date=PAST, end_date=PAST + timedelta(seconds=count - 1), timezone="UTC")
    with make_cluster(url) as cluster:
        options = {"trigger": trigger, "coalesce": False, "max_instances": 2, "overlap": "queue_all"}
        cluster.start(3)

        cluster.add([cluster.job(f"job {number}", 0.001, **options) for number in range(5)])
        cluster.wait_for_lines("end", 5 * count)
        runs = cluster.wait_until_settled(5 * count)
        cluster.stop()

        starts = Counter(line.run_id for line in cluster.ledger() if line.what == "start")
        assert outcomes(runs) == {Outcome.SUCCEEDED}
        assert starts == Counter(run.id for run in runs)
        assert len(starts) == 5 * count
        assert max(starts.values()) == 1
        assert cluster.most_at_once() <= 2
