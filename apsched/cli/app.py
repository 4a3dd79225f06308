"""Find the command that is asked for, run it, and tell of errors in one line (layer 10)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from apsched import _plugins
from apsched.cli.settings import Program
from apsched.exceptions import ApschedError

COMMANDS = {  # name -> module here, which holds it as `command`; imported only when it is asked for
    "list": "list_jobs",
    "show": "show_job",
    "runs": "list_runs",
    "next": "next_times",
    "nodes": "list_nodes",
    "pause": "pause_job",
    "resume": "resume_job",
    "remove": "remove_job",
    "trigger": "trigger_job",
    "cancel": "cancel_run",
    "backfill": "backfill_job",
    "tail": "tail_runs",
    "simulate": "simulate",
    "add": "add_job",
    "run": "run_scheduler",
    "doctor": "examine_store",
    "export": "export_jobs",
    "import": "import_jobs",
    "dashboard": "open_dashboard",
    "demo": "show_demo",
}
FAILURES = (ApschedError, ValueError, TypeError, LookupError, OSError)  # what users can do something about


class Commands(click.Group):
    """The commands of `COMMANDS`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}{_plugins.suggestion(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"apsched.cli.{COMMANDS[cmd_name]}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apsched", message="apsched %(version)s")
def app() -> None:
    """
    Work with the job stores of apsched.

    Which store is meant is said by --store of a command, the variable APSCHED_STORE or the file apsched.toml.
    """


def run(arguments: Sequence[str], program: Program | None = None) -> int:
    """
    Run a command and return its exit code.

    Modules are found in the present folder too, as they are by `python -m`.

    Args:
        arguments: The command line after `apsched`.
        program: Which program has the commands among its own, if one has.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        name = "apsched" if program is None else program.name
        code = app.main(list(arguments), prog_name=name, standalone_mode=False, obj=program)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except FAILURES as exc:
        click.echo(f"apsched: {_told(exc)}", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _told(exc: Exception) -> str:
    """Return what *exc* says; of a file that cannot be used, which one and why."""
    if isinstance(exc, OSError) and exc.filename is not None and exc.strerror is not None:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc)
