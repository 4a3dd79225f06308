"""Fixtures of the whole suite."""

from typing import Any

import pytest


@pytest.fixture(
    scope="session",
    params=[pytest.param(("asyncio", {"debug": False}), id="asyncio"), pytest.param(("trio", {}), id="trio")],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run every async test on both event loops."""
    return request.param
