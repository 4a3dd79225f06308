"""Where the nodes of a cluster meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, of the kind that the test names."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    return str(request.getfixturevalue(f"{request.param}_database"))


@pytest.fixture
def make_cluster(tmp_path: Path) -> Callable[..., Cluster]:
    """Make a cluster of the nodes that share the store at a URL; to be entered."""

    def make(url: str, lease: float = 15.0) -> Cluster:
        return Cluster(url, tmp_path, lease=lease)

    return make
