"""Run and see the jobs of the project: `python manage.py apsched` (layer 10)."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apsched.exceptions import ApschedError
from apsched.integrations._commands import run_command, shared
from apsched.integrations.django.scheduler import DjangoScheduler

NAME = "python manage.py apsched"


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Hands on to the command `apsched`, on the job store of the project."""

    help = f"Runs, lists and changes the jobs of the project; {NAME!r} alone lists the commands."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take all that follows, which is not Django's."""
        parser.add_argument("args", nargs=argparse.REMAINDER, metavar="command", help="What the command apsched takes.")

    def handle(self, *args: str, **options: Any) -> None:
        """
        Run the command.

        Raises:
            CommandError: The settings of the project describe no scheduler.
            SystemExit: The exit code of the command is not 0.
        """
        try:
            scheduler = DjangoScheduler()
        except (ApschedError, ImproperlyConfigured, LookupError, TypeError, ValueError) as exc:
            raise CommandError(exc) from exc
        code = run_command(
            args,
            name=NAME,
            make_store=lambda: shared(scheduler.store, "APSCHED['jobstores']"),
            make_scheduler=lambda: scheduler,
            timezone=scheduler.timezone,
        )
        if code:
            sys.exit(code)
