"""What the REST interface says of itself."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from apsched import AsyncScheduler
from apsched._documents import JobDocument, OutcomeText
from apsched.job import OPTION_CHECKS
from apsched.run import Outcome
from apsched.web.app import create_app
from apsched.web.rest.kinds import fields_of
from apsched.web.rest.openapi import openapi_document
from apsched.web.rest.shapes import JobChange, NewJob
from apsched.web.rest.table import OPERATIONS
from apsched.web.security import Access, calendar_key
from tests.web.rest.conftest import TOKEN, Client, client_of


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document("/api", Access(token=TOKEN, basic=("user", "password")))


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    described = [operation for path in document["paths"].values() for operation in path.values()]

    assert sorted(each["operationId"] for each in described) == sorted(each.name for each in OPERATIONS)
    for operation in described:
        assert re.fullmatch(r"[A-Z].*\.", operation["summary"])
        for parameter in operation["parameters"]:
            assert re.fullmatch(r"[A-Z].*\.", parameter["description"])


def test_every_schema_is_one_and_every_reference_leads_to_one(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
        assert all(each["description"] for each in schema["properties"].values())
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references == set(schemas)


def test_only_the_ways_in_that_there_are_are_described(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}, {"basic": []}]
    assert openapi_document("/api", Access())["security"] == []


@pytest.mark.parametrize("form", [JobDocument, NewJob, JobChange])
def test_every_option_of_a_job_is_told_and_may_be_given(form: Any) -> None:
    assert OPTION_CHECKS.keys() - {field.name for field in fields_of(form)} == set()


def test_the_outcomes_are_those_that_runs_have() -> None:
    assert list(get_args(OutcomeText)) == [outcome.value for outcome in Outcome]


async def test_a_page_shows_every_operation_and_every_form(client: Client) -> None:
    page = await client.http.get("/api/docs")

    assert page.status_code == 200
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page.text
    for name in re.findall(r'href="#(\w+)"', page.text):
        assert f'id="{name}"' in page.text
    assert f"http://localhost/calendar.ics?key={calendar_key(TOKEN)}" in page.text
    assert not re.search(r'(src|href)="(https?:)?//(?!localhost)', page.text)


async def test_where_there_is_no_token_the_page_tells_of_none(scheduler: AsyncScheduler) -> None:
    async with client_of(create_app(scheduler), token=None) as client:
        page = await client.http.get("/api/docs")

    assert "Bearer" not in page.text
    assert 'href="http://localhost/calendar.ics"' in page.text
