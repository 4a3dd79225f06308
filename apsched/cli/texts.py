"""Read what users write on a command line (layer 10)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, tzinfo

import click

from apsched import _timezones
from apsched.triggers.texts import read_length


def read_tags(texts: Iterable[str]) -> dict[str, str]:
    """
    Return the tags in texts such as `team=billing`.

    Raises:
        BadParameter: A text is of another form.
    """
    tags: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"a tag must be of the form NAME=VALUE, got {text!r}.")
        tags[name] = value
    return tags


def read_time(text: str | None, zone: tzinfo, now: datetime, subject: str) -> datetime | None:
    """
    Return the instant in a text: `2026-11-21 08:30`, `now`, or a length before or after now, `-2h` or `+1d`.

    Args:
        text: The text; None for None.
        zone: Of a time that does not name its own.
        now: Aware.
        subject: What it is for; begins the message of an error.

    Raises:
        ValueError: It is none.
    """
    if text is None:
        return None
    if text == "now":
        return now.astimezone(zone)
    if text[:1] in ("+", "-"):
        gap = read_length(text[1:])
        return (now + gap if text[0] == "+" else now - gap).astimezone(zone)
    if re.fullmatch(r"\d+-\d+-\d+[T ]\d+:\d+", text):
        text += ":00"
    try:
        return _timezones.to_datetime(text, zone, subject)
    except ValueError as exc:
        raise ValueError(f"{exc}; now, -2h and +1d are understood too") from None
