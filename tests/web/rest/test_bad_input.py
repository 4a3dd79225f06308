"""Whatever a request brings, the answer is one that the OpenAPI document names, and so never a 500."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, get_args
from urllib.parse import quote

import attrs
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from apsched import AsyncScheduler
from apsched.testing.clock import VirtualClock
from apsched.web.app import create_app
from apsched.web.rest.kinds import fields_of, schema_of
from apsched.web.rest.shapes import Schedule
from apsched.web.rest.table import OPERATIONS, Operation
from tests.web.rest.conftest import TOKEN, Client, client_of

WORK = "tests.web.rest.calls:work"
IDS = (
    "job",
    "a/b",
    "run",
    "nix",
    "job@2026-01-01T00:00:00Z",
    "@Z",
    "job@9999-99-99T00:00:00Z",
    "job@0001-01-01T00:00:00Z",
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [WORK, "os", ":", "os:nix", "@daily", "every 5 minutes", "every 1e99 s", "0 0 30 2 *", "* * * * *"]
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "../../etc/passwd", "2026-03-29T02:30:00", "9999-12-31T23:59:59-14:00"]),
    st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "1", "-1", "9" * 400, "default:job", "default:nix", "skip", "failed"]
    ),
    st.sampled_from(IDS),
)
WORKS = st.sampled_from([WORK, WORK, "tests.web.rest.calls:fail", "os", "os:nix", "nix:nix", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TRIGGERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["date", "interval", "cron", "calendarinterval", "and", "or", "after", "nix"])},
    optional={
        "settings": st.dictionaries(
            st.sampled_from(
                [
                    "hour",
                    "hours",
                    "seconds",
                    "days",
                    "run_date",
                    "timezone",
                    "triggers",
                    "jitter",
                    "start_date",
                    "exclude",
                ]
            ),
            VALUES,
            max_size=3,
        )
    },
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of *kind*, as its schema has them, most of which make no sense."""
    schema = schema_of(kind, {})
    if schema.get("type") == "array":
        return st.lists(values_of(get_args(kind)[0]), max_size=3)
    numbers: dict[str, Any] = {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}
    made: dict[str, st.SearchStrategy[Any]] = {
        "string": st.sampled_from(schema["enum"]) if "enum" in schema else TEXTS,
        "integer": st.integers(**numbers),
        "number": st.floats(**numbers, allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "null": st.none(),
        "object": st.dictionaries(TEXTS, TEXTS, max_size=2),
    }
    if "anyOf" in schema:
        return TRIGGERS | TEXTS if kind == Schedule else st.one_of(*map(values_of, get_args(kind)))
    return made[schema["type"]] if "type" in schema else VALUES


@st.composite
def objects_of(draw: st.DrawFn, kind: Any) -> Any:
    """Objects of *kind* with some of its fields, now and then a wrong one."""
    fields = {field.name: WORKS if field.name == "func" else values_of(field.kind) for field in fields_of(kind)}
    needed = {field.name for field in fields_of(kind) if field.is_required}
    chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=3)) if fields else set()
    found: dict[str, Any] = {name: draw(fields[name]) for name in sorted(needed | chosen)}
    if draw(st.integers(0, 5)) == 0:
        found[draw(st.sampled_from([*fields, "nix"]))] = draw(VALUES)
    return found


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    operation: Operation = draw(st.sampled_from(OPERATIONS))
    path = operation.path
    for part in ("{job_id}", "{run_id}"):
        path = path.replace(part, quote(draw(st.sampled_from(IDS)), safe=""))
    options: dict[str, Any] = {"params": draw(objects_of(operation.query))}
    if operation.body is not None:
        options["json"] = draw(objects_of(operation.body))
    return operation.method, path, options


@attrs.frozen
class Server:
    portal: BlockingPortal
    client: Client

    def ask(self, method: str, path: str, options: dict[str, Any]) -> int:
        async def ask() -> int:
            return (await self.client.ask(method, path, **options)).status_code

        return self.portal.call(ask)


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    scheduler = AsyncScheduler(clock=VirtualClock(), timezone="Europe/Helsinki", start_paused=True)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(scheduler),
        portal.wrap_async_context_manager(client_of(create_app(scheduler, token=TOKEN))) as client,
    ):
        yield Server(portal, client)


@settings(max_examples=200)
@given(request_=requests())
def test_no_request_is_answered_by_what_the_document_does_not_name(
    server: Server, request_: tuple[str, str, dict[str, Any]]
) -> None:
    server.ask(*request_)
    server.ask("POST", "/jobs", {"json": {"func": WORK, "trigger": "@daily", "id": "job", "on_conflict": "reset"}})
