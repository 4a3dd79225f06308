"""Show people the operations of the table on a page (layer 10)."""

from __future__ import annotations

from inspect import getdoc
from typing import Any, Literal, get_args, get_origin, is_typeddict

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from apsched.web.rest.kinds import Field, fields_of, summary_of
from apsched.web.rest.openapi import PARTS, PROBLEMS, statuses_of
from apsched.web.rest.serving import BASE
from apsched.web.rest.table import OPERATIONS, Operation
from apsched.web.security import CALENDAR, calendar_key
from apsched.web.state import Web
from apsched.web.templating import page

PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null", Any: "anything"}


def routes() -> list[BaseRoute]:
    """Return the route of the page."""
    return [Route(f"{BASE}/docs", _show)]


@attrs.frozen(kw_only=True)
class Row:
    """
    A part of a request or of an answer.

    Attributes:
        name: Its name.
        words: What it may be.
        forms: The names of the forms in that.
        description: What it means.
        is_required: Whether it must be there.
    """

    name: str
    words: str
    forms: list[str]
    description: str
    is_required: bool


@attrs.frozen(kw_only=True)
class Entry:
    """
    An operation.

    Attributes:
        operation: The operation.
        summary: What it does, one sentence.
        rest: What else is to be said.
        parts: The parts of its path and its query.
        body: The fields of its body.
        answers: Statuses and what they mean.
    """

    operation: Operation
    summary: str
    rest: str
    parts: list[Row]
    body: list[Row]
    answers: dict[int, str]


async def _show(request: Request) -> Response:
    token = Web.of(request).access.token
    base = str(request.base_url).rstrip("/")
    return page(
        request,
        "api.html",
        entries=[_entry(operation) for operation in OPERATIONS],
        forms={form.__name__: form for form in _forms()},
        rows=_rows,
        summary=summary_of,
        base=f"{base}{BASE}",
        calendar=base + CALENDAR + ("" if token is None else f"?key={calendar_key(token)}"),
        has_token=token is not None,
    )


def _entry(operation: Operation) -> Entry:
    done = {operation.status: "Done." if operation.returns is None else summary_of(operation.returns)}
    return Entry(
        operation=operation,
        summary=summary_of(operation.answer),
        rest=" ".join((getdoc(operation.answer) or "").partition("\n\n")[2].split()),
        parts=[
            *(
                Row(name=name, words="text", forms=[], description=text, is_required=True)
                for name, text in PARTS.items()
                if f"{{{name}}}" in operation.path
            ),
            *_rows(operation.query),
        ],
        body=[] if operation.body is None else _rows(operation.body),
        answers={**done, **{status: PROBLEMS[status] for status in statuses_of(operation)}},
    )


def _rows(form: Any) -> list[Row]:
    return [_row(field) for field in fields_of(form)]


def _row(field: Field) -> Row:
    return Row(
        name=field.name,
        words=_words(field.kind),
        forms=[form.__name__ for form in _forms_in(field.kind)],
        description=field.description,
        is_required=field.is_required,
    )


def _words(kind: Any) -> str:
    inner = get_args(kind)
    if hasattr(kind, "__metadata__"):
        more = dict(inner[1:])
        if more.get("format") == "date-time":
            return "time"
        limits = [f"{word} {more[name]}" for word, name in (("from", "minimum"), ("to", "maximum")) if name in more]
        return " ".join([_words(inner[0]), *limits])
    if get_origin(kind) is list:
        return f"list of {_words(inner[0])}"
    if get_origin(kind) is dict:
        return f"object of {_words(inner[1])}"
    if get_origin(kind) is Literal:
        return " | ".join(inner)
    if inner:
        return " or ".join(map(_words, inner))
    return "object" if is_typeddict(kind) else PLAIN[kind]


def _forms() -> list[Any]:
    """Return the forms of answers, and those that they and bodies hold."""
    found: dict[Any, None] = {}
    left = [each.returns for each in OPERATIONS if each.returns is not None]
    bodies = [field for each in OPERATIONS if each.body is not None for field in fields_of(each.body)]
    left += [inner for field in bodies for inner in _forms_in(field.kind)]
    while left:
        form = left.pop(0)
        if form not in found:
            found[form] = None
            left += [inner for field in fields_of(form) for inner in _forms_in(field.kind)]
    return list(found)


def _forms_in(kind: Any) -> list[Any]:
    if is_typeddict(kind):
        return [kind]
    return [form for inner in get_args(kind) for form in _forms_in(inner)]
