"""What follows a run is there once, wherever nodes die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import attrs
import pytest

from apsched.job import Job
from apsched.run import Outcome
from apsched.triggers.after import NEVER, After
from apsched.triggers.interval import IntervalTrigger
from tests.cluster.harness import PAST, Cluster, outcomes
from tests.cluster.stores import STORES, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FIRST = 10  # jobs that are followed
TIMES = 20  # runs of each of them
LEASE = 2.0  # seconds


def follower(cluster: Cluster, job_id: str, after: str) -> Job:
    job = cluster.job(job_id, 0.001, on_crash="rerun", overlap="queue_all")
    return attrs.evolve(job, trigger=After(after, "any"), next_run_time=NEVER, next_nominal_time=NEVER)


@pytest.mark.parametrize("url", cases(["mongodb"], STORES), indirect=True)
def test_every_run_is_followed_once_although_nodes_are_killed(make_cluster: Callable[..., Cluster], url: str) -> None:
    trigger = IntervalTrigger(seconds=1, start_date=PAST, end_date=PAST + timedelta(seconds=TIMES - 1), timezone="UTC")
    options = {"trigger": trigger, "coalesce": False, "overlap": "queue_all", "on_crash": "rerun"}
    ids = [f"{number}" for number in range(FIRST)]
    with make_cluster(url, lease=LEASE) as cluster:
        first, second, _ = cluster.start(3)

        cluster.add([follower(cluster, f"after {job_id}", job_id) for job_id in ids])
        cluster.add([cluster.job(job_id, 0.001, **options) for job_id in ids])
        for node, share in ((first, 0.2), (second, 0.4)):
            cluster.wait_for_lines("end", round(share * 2 * FIRST * TIMES))
            node.kill()
        runs = cluster.wait_until_settled(2 * FIRST * TIMES)
        cluster.stop()

    assert outcomes(runs) == {Outcome.SUCCEEDED}
    assert Counter(run.job_id for run in runs) == dict.fromkeys((*ids, *(f"after {job_id}" for job_id in ids)), TIMES)
