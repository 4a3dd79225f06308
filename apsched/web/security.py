"""Who may do what: authentication, forged requests, headers and the audit log (layer 10).

Rule 1: without a token, a password or an `authorize` function only this machine is answered, by a name of its own.
Rule 2: every request passes here, and every change is asked for and told by `Access.perform`.
Rule 3: there is no session: whatever is needed to judge a request is in it, so that any worker process may do it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apsched.web.mounting import mounted
from apsched.web.refusals import RefusedError

Action = Literal[
    "view",
    "add_job",
    "modify_job",
    "pause_job",
    "resume_job",
    "remove_job",
    "run_job",
    "backfill_job",
    "cancel_run",
    "export_jobs",
]
"""What a request wants to do; `view` is all that changes nothing."""

Authorize: TypeAlias = Callable[[Request, Action], Awaitable[bool]]
"""(request, what it wants to do) -> whether it may; for each request with `view`, and again for each change."""

T = TypeVar("T")

HARMLESS: tuple[Action, ...] = ("view", "export_jobs")
CALENDAR = "/calendar.ics"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LARGEST_BODY = 1 << 20  # bytes
TOKEN_COOKIE, FORGERY_COOKIE = "apsched_login", "apsched_csrf"
FORGERY_FIELD, FORGERY_HEADER = "csrf", "x-csrf-token"
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")  # what a foreign page may send
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

audit: logging.Logger = logging.getLogger("apsched.audit")


@attrs.frozen(kw_only=True)
class Access:
    """
    Who may do what.

    Attributes:
        token: Whoever knows it is let in; None: there is none.
        basic: A user and a password for HTTP basic authentication; None: there is none.
        authorize: Asked for every request; None: whoever is let in may do all.
        read_only: Whether nothing may be changed.
    """

    token: str | None = attrs.field(default=None, repr=False)
    basic: tuple[str, str] | None = attrs.field(default=None, repr=False)
    authorize: Authorize | None = None
    read_only: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine is answered, since nothing tells others apart."""
        return self.token is None and self.basic is None and self.authorize is None

    async def check(self, request: Request, action: Action) -> None:
        """
        Let *request* do *action*.

        Raises:
            RefusedError: It may not.
        """
        if action not in HARMLESS and self.read_only:
            raise RefusedError(403, "This dashboard is read-only; start it without read_only to change anything.")
        if self.authorize is not None and not await self.authorize(request, action):
            raise RefusedError(403, f"You may not do this here: {action}. Ask whoever runs this dashboard.")

    async def may(self, request: Request, action: Action) -> bool:
        """Whether *request* may do *action*, so that it is offered."""
        try:
            await self.check(request, action)
        except RefusedError:
            return False
        return True

    async def perform(self, request: Request, action: Action, subject: str, work: Callable[[], Awaitable[T]]) -> T:
        """
        Do *work* if *request* may, and tell the logger `apsched.audit`.

        Args:
            request: Who asks.
            action: What for.
            subject: The id of the job or run.
            work: Does it.

        Raises:
            RefusedError: It may not.
            Exception: What *work* raises.
        """
        who, client = who_asks(request), request.client.host if request.client else "-"
        try:
            await self.check(request, action)
        except RefusedError:
            audit.warning("refused: %s %r for %s from %s", action, subject, who, client)
            raise
        try:
            result = await work()
        except Exception as exc:
            audit.warning("failed: %s %r by %s from %s: %r", action, subject, who, client, str(exc))
            raise
        audit.info("done: %s %r by %s from %s", action, subject, who, client)
        return result


def who_asks(request: Request) -> str:
    """Return who asks: the user of the program around the dashboard, or the one who was let in here."""
    user = request.scope.get("user")
    name = getattr(user, "display_name", "") or getattr(user, "username", "")
    return repr(str(name)) if name else str(request.scope.get("apsched.who", "anonymous"))


class Guard:
    """
    Lets only those requests through that may look; ASGI middleware.

    Args:
        app: The application behind it.
        access: Who may do what.
        refuse: Makes the answer to a request that is refused.
    """

    def __init__(self, app: ASGIApp, access: Access, refuse: Callable[[Request, RefusedError], Response]) -> None:
        self._app = app
        self._access = access
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = mounted(scope)
        request = Request(scope, receive)
        cookie = request.cookies.get(FORGERY_COOKIE, "")
        fresh = "" if len(cookie) == 43 else secrets.token_urlsafe(32)  # of 43 characters
        scope["apsched.csrf"] = fresh or cookie

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if path_of(scope).startswith("/static/"):
                    headers.setdefault("cache-control", "no-cache")  # asked for again each time, and seldom sent again
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if fresh and headers.get("content-type", "").startswith("text/html"):
                    headers.append("set-cookie", _cookie(scope, FORGERY_COOKIE, fresh))
            await send(message)

        try:
            answer = await self._judge(request)
        except RefusedError as refused:
            answer = self._refuse(request, refused)
        if answer is not None:
            await answer(scope, receive, send_guarded)
        else:
            await self._app(scope, scope.pop("apsched.receive", receive), send_guarded)

    async def _judge(self, request: Request) -> Response | None:
        """Return the answer to *request* if it is to go no further; raise RefusedError if it may not."""
        path = path_of(request.scope)
        if path.startswith("/static/"):
            return None
        if self._access.is_local:
            _check_local(request)
        is_bearer = self._is_bearer(request)
        if request.method not in SAFE_METHODS and not is_bearer:
            await _check_not_forged(request, path)
        if path == "/login":
            return await self._log_in(request)
        answer = self._identify(request, is_bearer=is_bearer)
        if answer is None:
            await self._access.check(request, "view")
        return answer

    def _is_bearer(self, request: Request) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        return self._access.token is not None and kind.lower() == "bearer" and _same(given.strip(), self._access.token)

    def _identify(self, request: Request, *, is_bearer: bool) -> Response | None:
        """Find out who asks, and keep that in the scope; answer one who brings the token in the address."""
        token, basic = self._access.token, self._access.basic
        if token is None and basic is None:
            return None
        if token is not None:
            if is_bearer or _same(request.cookies.get(TOKEN_COOKIE, ""), _login(token)):
                request.scope["apsched.who"] = "the holder of the token"
                return None
            if path_of(request.scope) == CALENDAR and _same(request.query_params.get("key", ""), calendar_key(token)):
                request.scope["apsched.who"] = "a calendar"
                return None
            if request.method == "GET" and _same(request.query_params.get("token", ""), token):
                return _without_token(request, token)
        if basic is not None and (user := _basic_user(request, basic)) is not None:
            request.scope["apsched.who"] = repr(user)
            return None
        raise RefusedError(
            401, "This dashboard asks who you are.", offers_login=token is not None, offers_basic=basic is not None
        )

    async def _log_in(self, request: Request) -> Response:
        """Answer whoever sends the token by the form of the page that refused him."""
        token = self._access.token
        if token is None or request.method != "POST":
            raise RefusedError(404, "There is no such page.")
        if not _same((await read_form(request)).get("token", ""), token):
            audit.warning("refused: a login with a wrong token from %s", request.client.host if request.client else "-")
            raise RefusedError(401, "That is not the token.", offers_login=True)
        return _logged_in(request, token, request.scope.get("root_path", "") + "/")


def calendar_key(token: str) -> str:
    """Return what opens the calendar, and nothing else, to programs that cannot log in; the token cannot be told."""
    return hmac.digest(token.encode(), b"apsched calendar", hashlib.sha256).hex()[:32]


def path_of(scope: Scope) -> str:
    """Return the path of a request inside of this application, wherever it is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root) else path


async def read_form(request: Request) -> dict[str, str]:
    """
    Return the fields of a form that was sent; of those of one name the last.

    Raises:
        RefusedError: It is too long.
    """
    return dict(parse_qsl((await _body(request)).decode("utf-8", "replace"), keep_blank_values=True))


async def _body(request: Request) -> bytes:
    """Read the body, and leave it to be read again by the application."""
    known = request.scope.get("apsched.body")
    if isinstance(known, bytes):
        return known
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > LARGEST_BODY:
                raise RefusedError(413, f"A request may have {LARGEST_BODY} bytes at most.")
    kept = request.scope["apsched.body"] = bytes(body)
    rest = request.receive
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            return await rest()
        is_read = True
        return {"type": "http.request", "body": kept, "more_body": False}

    request.scope["apsched.receive"] = receive
    return kept


def _check_local(request: Request) -> None:
    """Raise RefusedError unless *request* comes from this machine, and for a name that only this machine has."""
    client = "" if request.client is None else request.client.host
    if any(name in request.headers for name in FORWARDED) or not _is_loopback(client):
        raise RefusedError(
            403,
            "This dashboard has neither a token nor a password, so it answers only the machine that it runs on, "
            "and nothing that came by a proxy; give it token=, basic= or authorize=.",
        )
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not _is_loopback(host):
        raise RefusedError(421, f"This dashboard is not at {host!r}; open it as http://localhost or http://127.0.0.1.")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _check_not_forged(request: Request, path: str) -> None:
    """
    Raise RefusedError if a page of somebody else may have made the browser send this.

    A browser says where a request comes from. A form has to bring the value of our cookie, too; what goes to the REST
    interface needs not, since a foreign page cannot send what that takes.
    """
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        raise RefusedError(403, f"This request was made by another site ({site}), not by a page of this dashboard.")
    if origin is not None and site is None and urlsplit(origin).netloc != headers.get("host"):
        raise RefusedError(403, f"This request was made by a page of {origin!r}, not by one of this dashboard.")
    if is_rest(path):
        if headers.get("content-type", "").partition(";")[0].strip().lower() in FORM_TYPES:
            raise RefusedError(415, "The content type must be application/json.")
        return
    cookie = request.cookies.get(FORGERY_COOKIE, "")
    given = headers.get(FORGERY_HEADER) or (await read_form(request)).get(FORGERY_FIELD, "")
    if not cookie or not _same(given, cookie):
        raise RefusedError(403, "This form is out of date, or not from this dashboard; load its page again.")


def is_rest(path: str) -> bool:
    """Whether *path* is of the REST interface."""
    return path == "/api" or path.startswith("/api/")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _login(token: str) -> str:
    """Return what the cookie of one who knows *token* holds; the token cannot be told from it."""
    return hmac.digest(token.encode(), b"apsched dashboard", hashlib.sha256).hex()


def _basic_user(request: Request, basic: tuple[str, str]) -> str | None:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    is_user, is_password = _same(user, basic[0]), _same(password, basic[1])  # both, so that neither takes less time
    return user if is_user and is_password else None


def _without_token(request: Request, token: str) -> Response:
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    path = str(request.scope["path"])
    return _logged_in(request, token, path + ("?" + urlencode(query) if query else ""))


def _logged_in(request: Request, token: str, target: str) -> Response:
    answer = RedirectResponse("/" + target.lstrip("/"), 303)
    answer.headers.append("set-cookie", _cookie(request.scope, TOKEN_COOKIE, _login(token), "Lax"))
    return answer


def _cookie(scope: Scope, name: str, value: str, same_site: str = "Strict") -> str:
    host = Headers(scope=scope).get("host", "")
    secure = "; Secure" if scope.get("scheme") == "https" and host else ""
    return f"{name}={value}; Path={scope.get('root_path', '') or '/'}; HttpOnly; SameSite={same_site}{secure}"
