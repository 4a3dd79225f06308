"""Read what a request brings: parts of its path, its query and its body (layer 10)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import anyio
import attrs
from starlette.requests import Request
from starlette.types import Receive

from apsched.exceptions import ApschedError
from apsched.web.backend import Backend
from apsched.web.refusals import RefusedError
from apsched.web.rest.kinds import fields_of, fit
from apsched.web.security import LARGEST_BODY
from apsched.web.state import Web

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Asked:
    """
    A request.

    Attributes:
        web: The application that it came to.
        path: The parts of its path.
        query: What its query says, as its kind has it.
        body: What its body says, as its kind has it.
        receive: What comes of the client after the body: that it has gone.
    """

    web: Web
    path: dict[str, str]
    query: dict[str, Any]
    body: dict[str, Any]
    receive: Receive

    @property
    def backend(self) -> Backend:
        """What is worked on; raises RefusedError if that is not open."""
        return self.web.backend

    async def while_client_waits(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do *work*, and return what it returns; None if the client has gone, by which it is cancelled."""
        found: T | None = None
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_gone, tasks.cancel_scope)
            try:
                found = await work()
            except Exception as exc:  # which a task group would wrap
                failure = exc
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return found

    async def _cancel_when_gone(self, scope: anyio.CancelScope) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


@contextmanager
def values_of_users() -> Generator[None]:
    """Refuse what the scheduler refuses of the values that a request brings; wrong types and values, by 422."""
    try:
        yield
    except (ApschedError, RefusedError):
        raise
    except (ValueError, TypeError, LookupError) as exc:
        raise RefusedError(422, str(exc)) from exc


def check_is_known(asked: Asked) -> None:
    """
    Check that somebody is asked who he is, so that a callable may be named.

    Raises:
        RefusedError: Nobody is.
    """
    if asked.web.access.is_local:
        raise RefusedError(
            403,
            "Without a token or a password nobody may name a callable, since any user of this machine could run "
            "anything so; give the dashboard token=, basic= or authorize=.",
        )


async def read_request(request: Request, query: Any, body: Any) -> Asked:
    """
    Read *request*.

    Args:
        request: The request.
        query: The `TypedDict` of its query.
        body: The `TypedDict` of its body; None: it has none.

    Raises:
        RefusedError: It brings something else.
    """
    web = Web.of(request)
    return Asked(
        web=web,
        path={name: fit(value, str, name, web.zone) for name, value in request.path_params.items()},
        query=_read_query(request, query, web),
        body={} if body is None else fit(await _read_body(request), body, "the body", web.zone),
        receive=request.receive,
    )


def _read_query(request: Request, kind: Any, web: Web) -> dict[str, Any]:
    kinds = {field.name: field.kind for field in fields_of(kind)}
    given: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        if name in kinds and get_origin(kinds[name]) is list:
            given[name] = values
        elif len(values) > 1:
            raise RefusedError(422, f"{name} must be given once, got {len(values)} of it.")
        else:
            given[name] = _number_in(values[0]) if int in get_args(kinds.get(name)) else values[0]
    found: dict[str, Any] = fit(given, kind, "the query", web.zone)
    return found


def _number_in(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


async def _read_body(request: Request) -> Any:
    content = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > LARGEST_BODY:
                raise RefusedError(413, f"A request may have {LARGEST_BODY} bytes at most.")
    if not content:
        return {}
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise RefusedError(415, f"The content type must be application/json, got {media!r}.")
    try:
        return json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise RefusedError(422, f"The body must be JSON: {exc}.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
