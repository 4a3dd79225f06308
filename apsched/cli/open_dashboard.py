"""Serve the dashboard on a job store: `apsched dashboard` (layer 10)."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import webbrowser
from contextlib import suppress

import click

from apsched.cli.desk import named_store
from apsched.cli.options import examples, with_settings
from apsched.cli.settings import Settings
from apsched.exceptions import MissingExtraError

PORT = 8600
LAST_ANSWERS = 3  # seconds that open connections have at the end


@click.command(
    "dashboard",
    short_help="Show the jobs and runs of a store in a browser.",
    epilog=examples(
        "apsched dashboard --store sqlite:///jobs.db --open", "apsched dashboard --host 0.0.0.0 --read-only"
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="The port; 0: a free one.")
@click.option("--read-only", is_flag=True, help="Let nobody change anything.")
@click.option(
    "--token",
    envvar="APSCHED_DASHBOARD_TOKEN",
    help="What lets one in.  [default: none on this machine alone; a random one where others can come]",
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@with_settings
def command(settings: Settings, host: str, port: int, read_only: bool, token: str | None, opens: bool) -> int:
    """
    Show the jobs and runs of a store in a browser, and let them be changed there.

    Nothing runs here: the nodes of the store do that. It ends at Ctrl-C.
    """
    store = named_store(settings)
    try:
        import uvicorn

        from apsched.web.app import create_app
    except ImportError as exc:
        raise MissingExtraError("the dashboard", "dashboard") from exc
    if token is None and not _is_loopback(host):
        token = secrets.token_urlsafe(24)
    app = create_app(store, token=token, read_only=read_only, timezone=settings.zone)
    listener = _listen(host, port)
    url = _url(host, listener.getsockname()[1], token)
    click.echo(f"The dashboard is at {url}")
    if opens:
        with suppress(webbrowser.Error):
            webbrowser.open(url)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=LAST_ANSWERS, server_header=False)
    with listener, suppress(KeyboardInterrupt):  # Ctrl-C is how it is ended
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as exc:
        raise OSError(f"{host} port {port} cannot be listened at: {exc}; choose another --port, or --port 0") from None


def _url(host: str, port: int, token: str | None) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  # only compared
        host = socket.gethostname()
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{port}/" + (f"?token={token}" if token else "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
