"""Show a scheduler at work: `apsched demo` (layer 10)."""

from __future__ import annotations

from importlib import import_module

import click


@click.command(
    "demo",
    short_help="Show a scheduler at work for 15 seconds.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Show a scheduler at work for 15 seconds, as `python -m apsched.demo` does; its options are those of that."""
    code: int = import_module("apsched.demo.__main__").main(list(arguments))  # a program beside this one
    return code
