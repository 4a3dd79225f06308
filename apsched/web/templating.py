"""Fill in the templates of pages; every text is escaped (layer 10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from apsched.run import Outcome, Run
from apsched.web import words
from apsched.web.refusals import RefusedError
from apsched.web.security import is_rest, path_of
from apsched.web.state import Web

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
    """Answer by a page of what the backend has."""
    web = Web.of(request)
    query = request.url.query
    here = f"{request.scope.get('root_path', '')}{path_of(request.scope)}" + (f"?{query}" if query else "")
    text = fill(
        request, web, template, here=here, zone=web.zone, now=web.backend.now, zone_name=web.zone_name, **values
    )
    return HTMLResponse(text.encode("utf-8", "replace"))  # a traceback may have what is no Unicode


def refusal_page(web: Web, request: Request, refused: RefusedError) -> Response:
    """Answer that a request is refused: by a page, or where a program asks by a problem document (RFC 9457)."""
    headers = {"www-authenticate": 'Basic realm="apsched", charset="UTF-8"'} if refused.offers_basic else {}
    title = TITLES.get(refused.status, "Not possible")
    if is_rest(path_of(request.scope)):
        problem = {"type": "about:blank", "title": title, "status": refused.status, "detail": refused.detail}
        return JSONResponse(problem, refused.status, headers, "application/problem+json")
    text = fill(request, web, "refused.html", refused=refused, headline=title)
    return HTMLResponse(text.encode("utf-8", "replace"), refused.status, headers)


@pass_context
def _clock(context: Context, moment: datetime | None) -> str:
    return words.clock(moment, context["zone"], context["now"])


@pass_context
def _exact(context: Context, moment: datetime | None) -> str:
    return words.exact(moment, context["zone"])


@pass_context
def _relative(context: Context, moment: datetime | None) -> str:
    return words.relative(moment, context["now"])


def _local(moment: datetime) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M:%S %Z}" if moment.second else f"{moment:%a %Y-%m-%d %H:%M %Z}"


@pass_context
def _time_of_day(context: Context, moment: datetime) -> str:
    return f"{moment.astimezone(context['zone']):%H:%M:%S}"


def _kind_of_run(run: Run) -> str:
    return words.KINDS[run.outcome]


def _kind_of(outcome: Outcome) -> str:
    return words.KINDS[outcome]


def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("apsched.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "clock": _clock,
        "exact": _exact,
        "relative": _relative,
        "local": _local,
        "hms": _time_of_day,
        "machine": words.machine,
        "length_of": words.length,
        "outcome": words.outcome,
        "why": words.why,
        "advice": words.advice,
        "kind": _kind_of_run,
        "kind_of": _kind_of,
        "urlencode": words.query,
    }
    environment.filters.update(filters)
    return environment


ENVIRONMENT = _make_environment()
