"""Find the command that is asked for, run it, and tell of errors in one line (layer 10)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

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

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"apsched.cli.{COMMANDS[cmd_name]}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """Work with the job stores of apsched."""


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
        click.echo(f"apsched: {exc}", err=True)
        return 1
    return code if isinstance(code, int) else 0
