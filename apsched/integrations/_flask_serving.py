"""See whether this process serves a Flask program, or only watches its files or runs a command of it (layer 10)."""

from __future__ import annotations

import os
from inspect import signature
from typing import Any

import click
from flask import Flask
from flask.cli import FlaskGroup, run_command
from flask.helpers import get_debug_flag

CHILD = "WERKZEUG_RUN_MAIN"  # which Werkzeug sets for the process that serves


def reason_not_to_start() -> str | None:
    """Return why a scheduler is of no use in this process, as far as is known by now; None if it is."""
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    if isinstance(context.command, FlaskGroup):
        return "the program is loaded to look for a command"
    reload = context.params.get("reload")
    if context.command is run_command and is_watcher(get_debug_flag() if reload is None else reload):
        return "this process watches the files, and starts another one that serves"
    return None


def is_watcher(has_reloader: bool) -> bool:
    """Whether a server with a reloader, or without one, would only watch the files in this process."""
    return has_reloader and os.environ.get(CHILD) != "true"


def has_reloader(app: Flask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether `app.run(*args, **kwargs)` watches the files."""
    given = signature(Flask.run).bind(app, *args, **kwargs).arguments
    debug = app.debug if given.get("debug") is None else given["debug"]
    return bool(given.get("options", {}).get("use_reloader", debug))
