"""Fill in the templates of pages; every text is escaped (layer 10)."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from apsched.web.refusals import RefusedError
from apsched.web.security import is_rest, path_of
from apsched.web.state import Web

ENVIRONMENT = Environment(
    loader=PackageLoader("apsched.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TITLES = {401: "Who are you?", 403: "Not allowed", 404: "Not found", 503: "Not available"}


def fill(request: Request, web: Web, template: str, **values: Any) -> str:
    """Return the text of *template* with *values*, and what every page has."""
    return ENVIRONMENT.get_template(template).render(
        values,
        root=request.scope.get("root_path", ""),
        csrf=request.scope.get("apsched.csrf", ""),
        title=web.title,
        path=path_of(request.scope),
        is_read_only=web.access.read_only,
    )


def page(request: Request, template: str, **values: Any) -> Response:
    """Answer by a page."""
    return HTMLResponse(fill(request, Web.of(request), template, **values))


def refusal_page(web: Web, request: Request, refused: RefusedError) -> Response:
    """Answer that a request is refused: by a page, or where a program asks by a problem document (RFC 9457)."""
    headers = {"www-authenticate": 'Basic realm="apsched", charset="UTF-8"'} if refused.offers_basic else None
    title = TITLES.get(refused.status, "Not possible")
    if is_rest(path_of(request.scope)):
        problem = {"type": "about:blank", "title": title, "status": refused.status, "detail": refused.detail}
        return JSONResponse(problem, refused.status, headers, "application/problem+json")
    text = fill(request, web, "refused.html", refused=refused, headline=title)
    return HTMLResponse(text, refused.status, headers)
