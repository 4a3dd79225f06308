"""The servers that tests use."""

from __future__ import annotations

import pytest

from tests.servers import Server


@pytest.mark.parametrize("kind", ["postgresql", "mysql", "redis", "mongodb", "mongodb_standalone"])
def test_a_server_answers(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")

    assert server.version[0].isdigit()
    assert f"{server.host}:{server.port}" in server.url
