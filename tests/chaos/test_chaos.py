"""A short session of chaos keeps the promise; `nox -s chaos` holds long ones, in every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.session import Settings, hold

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_the_promise_is_kept_while_nodes_are_killed_and_stand_still(tmp_path: Path) -> None:
    report, faults = hold(Settings("sqlite", seed=3, seconds=15, nodes=2, lease=5.0), tmp_path)

    assert report.failures == []
    assert report.starts
    assert faults
