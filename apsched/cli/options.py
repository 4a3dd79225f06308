"""Options that several commands have (layer 10)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from apsched.cli.settings import NAMES, Program, Settings, find_settings

C = TypeVar("C", bound=Callable[..., Any])

STORE = (
    click.option(
        "--store",
        envvar="APSCHED_STORE",
        metavar="URL",
        help="The job store: sqlite:///jobs.db, postgresql://..., mysql://..., redis://... or mongodb://...",
    ),
    click.option(
        "--table",
        envvar="APSCHED_TABLE",
        metavar="NAME",
        help="Its table, collection or beginning of keys, if it is not the usual.",
    ),
    click.option("--schema", envvar="APSCHED_SCHEMA", metavar="NAME", help="The schema of its tables."),
    click.option(
        "--serializer",
        envvar="APSCHED_SERIALIZER",
        type=click.Choice(["json", "cbor", "pickle"]),
        help="What writes its jobs, if that is not json.",
    ),
)
TIMEZONE = click.option(
    "--timezone",
    envvar="APSCHED_TIMEZONE",
    metavar="NAME",
    help="The zone of times, such as Europe/Helsinki.  [default: that of this machine]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def with_settings(command: C) -> C:
    """Give *command* the options that say which store is meant, as one parameter `settings`."""

    @wraps(command)
    def called(**options: Any) -> Any:
        others = {name: value for name, value in options.items() if name not in NAMES}
        return command(settings=settings_in(click.get_current_context()), **others)

    taken: Any = called
    for option in reversed((*STORE, TIMEZONE)):
        taken = option(taken)
    return taken  # type: ignore[no-any-return]  # click's decorators return what they are given


def settings_in(ctx: click.Context) -> Settings:
    """
    Return the settings of a command that has those options.

    Raises:
        OSError: A file of settings cannot be read.
        ValueError: A file of settings is malformed.
    """
    program = ctx.find_object(Program)
    if program is None:
        return find_settings({name: ctx.params.get(name) for name in NAMES})
    typed = (name for name in NAMES if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    return program.settings({name: ctx.params[name] for name in typed})


def examples(*lines: str) -> str:
    """Return *lines*, which are command lines, as the end of a help text."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def no_store() -> click.UsageError:
    """Return the error that no job store is named."""
    return click.UsageError(
        "no job store is named; give --store URL, set APSCHED_STORE, or write store = 'URL' into apsched.toml"
    )
