"""While the network or the server is away nothing is lost, and nothing is doubled beyond the promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.stores import SERVERS, START, cases, through
from tests.cluster.test_broken_nodes import COUNT, LEASE, add_jobs, check_promise
from tests.servers import Proxy, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own, which may be broken."""
    with START[request.param]() as server:
        yield server


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    with server.database() as url:
        yield url


@pytest.mark.parametrize(
    ("server", "way"),
    cases([("redis", "cut"), ("postgresql", "freeze")], SERVERS, ["cut", "freeze"]),
    indirect=["server"],
)
def test_a_node_may_lose_its_network(make_cluster: Callable[..., Cluster], server: Server, url: str, way: str) -> None:
    with Proxy(server.port) as proxy, make_cluster(url, lease=LEASE) as cluster:
        first, _ = cluster.start_at(through(proxy, url), url)
        add_jobs(cluster)
        cluster.wait_for("a run under way on the first node", lambda: bool(cluster.under_way(first.id)))

        getattr(proxy, way)()
        cluster.wait_for("the other node alone", lambda: len(cluster.live_nodes()) == 1)
        proxy.heal()
        cluster.wait_for("the node under another id", lambda: len(cluster.live_nodes()) == 2)

        check_promise(cluster)
        cluster.stop()

        assert any(run.epoch > 1 for run in cluster.history()), "nothing was taken over"


@pytest.mark.parametrize("server", cases(["mongodb"], SERVERS), indirect=True)
def test_a_short_cut_costs_nothing(make_cluster: Callable[..., Cluster], server: Server, url: str) -> None:
    with Proxy(server.port) as proxy, make_cluster(url, lease=60.0) as cluster:
        cluster.start_at(through(proxy, url), through(proxy, url))
        add_jobs(cluster)
        for count in (10, 30, 50):
            cluster.wait_for_lines("end", count)
            proxy.cut()
            proxy.heal()

        check_promise(cluster)
        cluster.stop()

        assert cluster.starts() == COUNT


@pytest.mark.parametrize(
    ("server", "way"),
    cases([("mysql", "kill")], SERVERS, ["kill", "stop"]),
    indirect=["server"],
)
def test_the_server_may_be_restarted(make_cluster: Callable[..., Cluster], server: Server, url: str, way: str) -> None:
    with make_cluster(url, lease=60.0) as cluster:
        cluster.start(2)
        add_jobs(cluster)
        cluster.wait_for_lines("end", 10)

        getattr(server, way)()
        server.restart()

        check_promise(cluster)
        cluster.stop()

        assert cluster.starts() == COUNT
