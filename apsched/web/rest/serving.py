"""Serve the operations of the table, and the document that describes them (layer 10)."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from apsched.exceptions import ApschedError
from apsched.web.refusals import STATUSES, RefusedError
from apsched.web.rest.asking import Asked, read_request
from apsched.web.rest.openapi import openapi_document
from apsched.web.rest.table import OPERATIONS, Operation
from apsched.web.state import Web

BASE = "/api"

logger: logging.Logger = logging.getLogger("apsched.web")


def routes() -> list[BaseRoute]:
    """Return the routes of the REST interface."""
    return [
        Route(f"{BASE}/openapi.json", _describe, methods=["GET"]),
        *(_route(path) for path in sorted({each.path for each in OPERATIONS}, key=len, reverse=True)),
    ]  # the longest first: ids may hold slashes, and /jobs/{job_id} would take /jobs/{job_id}/run for a job


def _route(path: str) -> Route:
    by_method = {each.method: each for each in OPERATIONS if each.path == path}
    return Route(BASE + path.replace("_id}", "_id:path}"), partial(_serve, by_method), methods=list(by_method))


async def _serve(by_method: Mapping[str, Operation], request: Request) -> Response:
    operation = by_method["GET" if request.method == "HEAD" else request.method]
    try:
        asked = await read_request(request, operation.query, operation.body)
        return _answer(operation, request, await _permitted(operation, request, asked))
    except RefusedError:
        raise
    except ApschedError as exc:
        status = next((status for kind, status in STATUSES.items() if isinstance(exc, kind)), 422)
        raise RefusedError(status, str(exc)) from exc
    except Exception as exc:
        logger.exception("%s failed", operation.name)
        raise RefusedError(500, "This went wrong inside; the log of the process says how.") from exc


async def _permitted(operation: Operation, request: Request, asked: Asked) -> Any:
    work: Callable[[], Awaitable[Any]] = partial(operation.answer, asked)
    if operation.action == "view":
        return await work()
    subject = next(iter(asked.path.values()), str(asked.body.get("id", asked.body.get("func", "several jobs"))))
    return await asked.web.access.perform(request, operation.action, subject, work)


async def _describe(request: Request) -> Response:
    return _as_json(openapi_document(request.scope.get("root_path", "") + BASE, Web.of(request).access))


def _answer(operation: Operation, request: Request, document: Any) -> Response:
    if operation.returns is None:
        return Response(status_code=operation.status)
    answer = _as_json(document, operation.status)
    if operation.location is not None:
        place = operation.location.format_map({"id": quote(document["id"], safe="@:")})
        answer.headers["location"] = request.scope.get("root_path", "") + BASE + place
    return answer


def _as_json(document: Any, status: int = 200) -> Response:
    """Answer in ASCII, which has a form for all that Python takes for text."""
    return Response(json.dumps(document, allow_nan=False), status, media_type="application/json")
