"""A node that dies or stands still loses nothing and doubles nothing beyond the promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from apsched.run import Outcome
from apsched.triggers.interval import IntervalTrigger
from tests.cluster.harness import PAST, Cluster, Node
from tests.cluster.ledger import attempts
from tests.cluster.stores import JOBS, STORES, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

COUNT = 120 if JOBS else 60  # jobs; half of them may run again
LEASE = 2.0  # seconds


def add_jobs(cluster: Cluster, seconds: float = 0.2) -> None:
    policies = ("abandon", "rerun")
    cluster.add(
        [
            cluster.job(f"{number:03} {policies[number % 2]}", seconds, on_crash=policies[number % 2])
            for number in range(COUNT)
        ]
    )


def check_promise(cluster: Cluster) -> None:
    """Nothing is lost or doubled beyond what the jobs allow; what was not run to its end has a record that says why."""
    runs = {run.id: run for run in cluster.wait_until_settled(COUNT)}
    tried = attempts(cluster.ledger())
    assert len(runs) == COUNT
    for run_id, run in runs.items():
        found = tried.get(run_id, [])
        if run.job_id.endswith("rerun"):
            assert run.outcome is Outcome.SUCCEEDED
            assert any(end is not None for _, end in found)
        else:
            assert len(found) <= 1, "a run that must not run again did"
            assert run.outcome in {Outcome.SUCCEEDED, Outcome.ABANDONED}
            assert run.outcome is Outcome.SUCCEEDED or run.reason
        for (_, end), (start, _) in pairwise(found):
            assert end is None or end.at <= start.at, "two attempts at one run overlap"
        if run.outcome is Outcome.SUCCEEDED:
            last, _ = found[-1]
            assert (last.node, last.epoch) == (run.node, run.epoch), "the result is not that of the last attempt"
    assert cluster.jobs() == []


@pytest.mark.parametrize("url", cases(["postgresql"], STORES), indirect=True)
def test_what_a_killed_node_had_is_taken_over(make_cluster: Callable[..., Cluster], url: str) -> None:
    with make_cluster(url, lease=LEASE) as cluster:
        first, _ = cluster.start(2)
        add_jobs(cluster)
        cluster.wait_for_lines("end", 10)
        cluster.freeze_in_a_run(first)

        first.kill()
        left = cluster.under_way(first.id)
        check_promise(cluster)
        cluster.stop()

        tried = attempts(cluster.ledger())
        assert all(len(tried[run_id]) >= 2 for run_id in left if " rerun@" in run_id)


@pytest.mark.parametrize("url", cases(["sqlite"], STORES), indirect=True)
def test_all_nodes_may_be_killed_at_once(make_cluster: Callable[..., Cluster], url: str) -> None:
    with make_cluster(url, lease=LEASE) as cluster:
        nodes = cluster.start(2)
        add_jobs(cluster)
        cluster.wait_for_lines("end", 10)
        for node in nodes:
            node.kill()

        cluster.start()
        check_promise(cluster)
        cluster.stop()


@pytest.mark.parametrize("url", cases(["redis"], STORES), indirect=True)
def test_a_node_that_stood_still_for_too_long_writes_and_starts_nothing(
    make_cluster: Callable[..., Cluster], url: str
) -> None:
    with make_cluster(url, lease=LEASE) as cluster:
        zombie, other = cluster.start(2)
        add_jobs(cluster)

        cluster.freeze_in_a_run(zombie)
        before = {run.id: (run.outcome, run.node, run.epoch) for run in cluster.wait_until_settled(COUNT)}
        seen = len(cluster.ledger())
        zombie.thaw()
        cluster.wait_for("the node under another id", lambda: len(cluster.live_nodes()) == 2)
        other.stop()
        assert other.wait() == 0, other.log
        cluster.add([cluster.job(f"more {number}", 0.3) for number in range(40)])
        after = {run.id: (run.outcome, run.node, run.epoch) for run in cluster.wait_until_settled(COUNT + 40)}
        cluster.stop()

        assert any(epoch > 1 for _, _, epoch in before.values()), "nothing was taken over"
        assert {run_id: after[run_id] for run_id in before} == before
        later = [line for line in cluster.ledger()[seen:] if line.what == "start"]
        assert len(later) == 40
        assert not {line.node for line in later} & {zombie.id, other.id}


@pytest.mark.parametrize("url", cases(["redis"], STORES), indirect=True)
def test_what_a_killed_node_had_under_way_stands_in_nobodys_way(make_cluster: Callable[..., Cluster], url: str) -> None:
    def all_of(node: Node) -> Counter[tuple[str, str | None]]:
        return Counter({(overlap, node.id): 2 for overlap in policies})

    def started(cluster: Cluster) -> Counter[tuple[str, str | None]]:
        return Counter((line.job_id, line.node) for line in cluster.ledger() if line.what == "start")

    policies = {"skip": "abandon", "queue_all": "rerun"}
    trigger = IntervalTrigger(seconds=1, start_date=PAST, timezone="UTC")
    with make_cluster(url, lease=LEASE) as cluster:
        (first,) = cluster.start()
        cluster.add(
            [
                cluster.job(overlap, 600.0, trigger=trigger, max_instances=2, overlap=overlap, on_crash=on_crash)
                for overlap, on_crash in policies.items()
            ]
        )
        cluster.wait_for("all turns of the first node", lambda: started(cluster) == all_of(first))
        (second,) = cluster.start()

        first.kill()
        cluster.wait_for("all turns of the second node", lambda: started(cluster) == all_of(first) + all_of(second))

        running = Counter((run.job_id, run.node) for run in cluster.history() if run.outcome is Outcome.RUNNING)
        assert running == all_of(second)
        abandoned = [run.job_id for run in cluster.history() if run.outcome is Outcome.ABANDONED]
        assert abandoned == ["skip", "skip"]


@pytest.mark.parametrize("url", cases(["mongodb"], STORES), indirect=True)
def test_a_node_that_leaves_in_good_order_leaves_nothing_behind(make_cluster: Callable[..., Cluster], url: str) -> None:
    with make_cluster(url, lease=60.0) as cluster:
        first, _ = cluster.start(2)
        add_jobs(cluster)
        cluster.wait_for_lines("end", 10)

        first.stop()
        assert first.wait() == 0, first.log
        runs = cluster.wait_until_settled(COUNT)
        cluster.stop()

        assert len(runs) == COUNT
        assert {run.outcome for run in runs} == {Outcome.SUCCEEDED}
        assert all(len(found) == 1 for found in attempts(cluster.ledger()).values())
