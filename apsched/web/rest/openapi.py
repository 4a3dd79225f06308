"""Describe the operations of the table by OpenAPI 3.1 (layer 10)."""

from __future__ import annotations

from inspect import getdoc
from typing import Any, get_origin

from apsched import __version__
from apsched.web.rest.kinds import Field, fields_of, schema_of, summary_of
from apsched.web.rest.shapes import Problem
from apsched.web.rest.table import OPERATIONS, Operation
from apsched.web.security import Access

PROBLEMS = {
    401: "Nobody has said who asks.",
    403: "Whoever asks may not do this.",
    404: "There is no such thing.",
    409: "That cannot be done any more, or not twice.",
    413: "The body is too long.",
    415: "The body is not JSON.",
    422: "The request says something else than what is described here.",
    503: "The job store cannot be reached, or the scheduler does not run.",
}
ALWAYS = (401, 403, 422, 503)
PARTS = {"job_id": "The id of the job.", "run_id": "The id of the run."}


def openapi_document(root: str, access: Access) -> dict[str, Any]:
    """
    Return the OpenAPI document.

    Args:
        root: The path of the interface as clients see it.
        access: Who may do what.
    """
    named: dict[str, Any] = {}
    schema_of(Problem, named)
    given = {"bearer": access.token, "basic": access.basic}
    schemes = {scheme: {"type": "http", "scheme": scheme} for scheme, secret in given.items() if secret is not None}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "apsched",
            "version": __version__,
            "description": (
                "Jobs, runs and nodes of a scheduler. Times are as in RFC 3339; one without an offset is read in the "
                "zone of the scheduler."
            ),
        },
        "servers": [{"url": root}],
        "security": [{name: []} for name in schemes],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(named.items())),
            "securitySchemes": schemes,
        },
    }


def _operation(operation: Operation, named: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary_of(operation.answer),
        "parameters": [
            *(_part(name) for name in PARTS if f"{{{name}}}" in operation.path),
            *(_parameter(field, named) for field in fields_of(operation.query)),
        ],
        "responses": {str(operation.status): _answer(operation, named), **_problems(operation)},
    }
    if rest := " ".join((getdoc(operation.answer) or "").partition("\n\n")[2].split()):
        described["description"] = rest
    if operation.body is not None:
        is_needed = any(field.is_required for field in fields_of(operation.body))
        content = {"application/json": {"schema": schema_of(operation.body, named)}}
        described["requestBody"] = {"required": is_needed, "content": content}
    return described


def _part(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": PARTS[name], "schema": schema}


def _parameter(field: Field, named: dict[str, Any]) -> dict[str, Any]:
    place = {"name": field.name, "in": "query", "required": field.is_required, "description": field.description}
    shape = {"style": "form", "explode": True} if get_origin(field.kind) is list else {}
    return {**place, **shape, "schema": schema_of(field.kind, named)}


def _answer(operation: Operation, named: dict[str, Any]) -> dict[str, Any]:
    if operation.returns is None:
        return {"description": "Done."}
    answer: dict[str, Any] = {
        "description": summary_of(operation.returns),
        "content": {"application/json": {"schema": schema_of(operation.returns, named)}},
    }
    if operation.location is not None:
        answer["headers"] = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
    return answer


def _problems(operation: Operation) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": schema_of(Problem, {})}}
    return {str(status): {"description": PROBLEMS[status], "content": content} for status in statuses_of(operation)}


def statuses_of(operation: Operation) -> list[int]:
    """Return the statuses of the problems by which an operation may be answered."""
    return sorted({*ALWAYS, *operation.problems, *((413, 415) if operation.body is not None else ())})
