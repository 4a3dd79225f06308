"""The pages tell of everything that there is, and of nothing else: events, errors, options, fields, commands, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
import pytest

from apsched import events, exceptions
from apsched.cli.app import COMMANDS, app
from apsched.engine.health import ExecutorHealth, Health, LoopHealth, StoreHealth
from apsched.job import JobDefaults
from apsched.retry import Retry
from apsched.run import Outcome

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`apsched (?!COMMAND)([^`]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def commands_of(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of `apsched` that is shown, up to the first pipe or redirection."""
    lines = "\n".join(CONSOLE.findall(text)).splitlines()
    shown = [line.removeprefix("$ apsched ") for line in lines if line.startswith("$ apsched ")]
    for line in (*shown, *SPAN.findall(CODE.sub("", text))):
        words = shlex.split(line, comments=True)
        yield words[: next((number for number, word in enumerate(words) if word in ("|", ">")), len(words))]


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_understood(page: Path) -> None:
    for name, *arguments in commands_of(page.read_text(encoding="utf-8")):
        parent = click.Context(app, **app.context_settings)  # a command keeps its first help option for good
        command = app.get_command(parent, name)

        assert command is not None, f"there is no command {name!r}"
        command.make_parser(click.Context(command, parent)).parse_args(arguments)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in LINK.findall(CODE.sub("", (ROOT / "README.md").read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")

        assert (ROOT / path).exists(), target
        if anchor:
            headings = HEADING.findall(CODE.sub("", (ROOT / path).read_text(encoding="utf-8")))
            assert anchor in map(anchor_of, headings), target


def test_every_event_is_listed_with_its_code() -> None:
    page = text_of("events.md")

    for code, name in events.NAMES.items():
        assert re.search(rf"^\| `{name}`[^|]*\| {code} \|", page, re.MULTILINE), name
    assert f"| `EVENT_ALL` | {events.EVENT_ALL} |" in page


def test_every_error_is_listed() -> None:
    page = text_of("errors.md")

    for name, value in vars(exceptions).items():
        if isinstance(value, type) and issubclass(value, exceptions.ApschedError):
            assert f"`{name}`" in page


def test_every_command_is_listed() -> None:
    page = text_of("cli.md")

    for name in COMMANDS:
        assert re.search(rf"^\| `{name}\b", page, re.MULTILINE), name


def test_every_option_of_a_job_and_of_a_retry_is_listed() -> None:
    page = text_of("jobs-and-policies.md")

    for field in (*attrs.fields(JobDefaults), *attrs.fields(Retry)):
        assert re.search(rf"^\| [^|]*`{field.name}`", page, re.MULTILINE), field.name


def test_operators_learn_what_each_outcome_and_each_figure_of_health_means() -> None:
    page = text_of("operations.md")

    for outcome in Outcome:
        assert re.search(rf"^\| `{outcome}`", page, re.MULTILINE), outcome
    for kind in (Health, StoreHealth, ExecutorHealth, LoopHealth):
        for field in attrs.fields(kind):
            assert re.search(rf"\b{field.name}\b", page), field.name
