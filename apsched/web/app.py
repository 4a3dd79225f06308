"""Make the web application: pages, REST interface and what guards both (layer 10)."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import tzinfo
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from apsched.async_scheduler import AsyncScheduler
from apsched.exceptions import AliasLookupError, TransientJobError
from apsched.jobstores.base import JobStore
from apsched.schedulers.base import BaseScheduler
from apsched.web import calendar
from apsched.web.backend import Backend, open_store
from apsched.web.cursors import CursorError
from apsched.web.pages import routes
from apsched.web.refusals import STATUSES, RefusedError
from apsched.web.rest import manual
from apsched.web.rest.serving import routes as rest_routes
from apsched.web.security import SECURITY_HEADERS, Access, Authorize, Guard
from apsched.web.state import Web
from apsched.web.templating import refusal_page

HERE = Path(__file__).parent
CAUSED_BY_USERS = {**STATUSES, AliasLookupError: 404, CursorError: 422, TransientJobError: 422}  # -> what is answered


def create_app(
    source: AsyncScheduler | BaseScheduler | JobStore | Backend,
    *,
    token: str | None = None,
    basic: tuple[str, str] | None = None,
    authorize: Authorize | None = None,
    read_only: bool = False,
    title: str = "apsched",
    timezone: tzinfo | None = None,
) -> Starlette:
    """
    Make the dashboard, an ASGI application that stands alone or is mounted anywhere in another one.

        app.mount("/scheduler", create_app(scheduler, token=os.environ["DASHBOARD_TOKEN"]))

    Without *token*, *basic* and *authorize* it answers only the machine that it runs on, and nothing that came by a
    proxy. Every change is told to the logger `apsched.audit`.

    Args:
        source: An `AsyncScheduler` of the same event loop; a blocking scheduler; a job store alone, which the lifespan
            of the application opens, without joining its nodes; or the backend of `open_store`.
        token: Whoever gives it, in the header `Authorization: Bearer`, as `?token=` or in the form, is let in.
        basic: A user and a password for HTTP basic authentication; beside a token either serves.
        authorize: Asked for each request and each action, in place of the above or after it.
        read_only: Whether nothing may be changed.
        title: Heads the pages.
        timezone: In which times are shown; None: that of the scheduler.

    Raises:
        TypeError: *source* is none of those.
        ValueError: A token or a password is empty.
    """
    if token == "" or (basic is not None and not all(basic)):
        raise ValueError("a token, a user and a password must have at least one character")
    if not isinstance(source, (AsyncScheduler, BaseScheduler, JobStore, Backend)):
        raise TypeError(f"source must be a scheduler, a job store or a Backend, got {source!r}")
    access = Access(token=token, basic=basic, authorize=authorize, read_only=read_only)
    web = Web(access=access, title=title, zone=timezone)
    if not isinstance(source, JobStore):
        web.take(source if isinstance(source, Backend) else Backend(source))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        if not isinstance(source, JobStore):
            yield
            return
        async with open_store(source, timezone=timezone) as backend:
            web.take(backend)
            try:
                yield
            finally:
                web.take(None)

    app = Starlette(
        routes=[
            *rest_routes(),
            *manual.routes(),
            *calendar.routes(),
            *routes(),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[Middleware(Guard, access=access, refuse=functools.partial(refusal_page, web))],
        exception_handlers={
            RefusedError: _on_refusal,
            HTTPException: _on_http_error,
            **dict.fromkeys(CAUSED_BY_USERS, _on_error),
            Exception: _on_bug,
        },
        lifespan=lifespan,
    )
    app.state.web = web
    return app


async def _on_refusal(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RefusedError)  # noqa: S101  # for type checkers
    return refusal_page(request.app.state.web, request, exc)


async def _on_http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101  # for type checkers
    detail = "There is no such page." if exc.status_code == 404 else exc.detail
    answer = refusal_page(request.app.state.web, request, RefusedError(exc.status_code, detail))
    answer.headers.update(exc.headers or {})
    return answer


async def _on_error(request: Request, exc: Exception) -> Response:
    status = next(status for kind, status in CAUSED_BY_USERS.items() if isinstance(exc, kind))
    return refusal_page(request.app.state.web, request, RefusedError(status, str(exc)))


async def _on_bug(request: Request, exc: Exception) -> Response:
    """Answer where an error was not expected, outside of the guard; the server logs it."""
    refused = RefusedError(500, "Something went wrong that nobody expected; the log of the server tells what.")
    answer = refusal_page(request.app.state.web, request, refused)
    answer.headers.update(SECURITY_HEADERS)
    return answer
