"""A client of the REST interface that holds every answer against the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
from jsonschema import Draft202012Validator

from apsched import AsyncScheduler
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app

TOKEN = "secret"  # noqa: S105  # of the tests


@attrs.define
class Client:
    """Asks, and checks that the answer is what the OpenAPI document says."""

    http: httpx.AsyncClient
    document: dict[str, Any]
    seen: set[tuple[str, int]] = attrs.field(factory=set)  # operations and statuses

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self.http.request(method, f"/api{path}", **options)
        self.check(answer)
        return answer

    def check(self, answer: httpx.Response) -> None:
        operation = self._operation(answer.request.method, answer.request.url.path.removeprefix("/api"))
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, f"{operation['operationId']} does not say that it answers {answer.status_code}"
        self.seen.add((operation["operationId"], answer.status_code))
        if "content" not in described:
            assert answer.content == b""
            return
        ((media, content),) = described["content"].items()
        assert answer.headers["content-type"] == media
        self.validator(content["schema"]).validate(answer.json())

    def validator(self, schema: Any) -> Draft202012Validator:
        whole = {**schema, "components": self.document["components"]}
        return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        for pattern in sorted(self.document["paths"], key=len, reverse=True):
            operations: dict[str, Any] = self.document["paths"][pattern]
            if re.fullmatch(re.sub(r"\{\w+\}", ".+", pattern), path) and method.lower() in operations:
                found: dict[str, Any] = operations[method.lower()]
                return found
        raise AssertionError(f"{method} {path} is no operation of the document")


@asynccontextmanager
async def client_of(app: Any, token: str | None = TOKEN, root: str = "") -> AsyncGenerator[Client]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{root}", headers=headers) as http:
        document = (await http.get("/api/openapi.json")).json()
        yield Client(http, document)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def scheduler(clock: VirtualClock) -> AsyncGenerator[AsyncScheduler]:
    async with AsyncScheduler(clock=clock, timezone="Europe/Helsinki") as scheduler:
        yield scheduler


@pytest.fixture
async def client(scheduler: AsyncScheduler) -> AsyncGenerator[Client]:
    async with client_of(create_app(scheduler, token=TOKEN)) as client:
        yield client
