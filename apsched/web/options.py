"""Write options of a job into the fields of a form, and read them (layer 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from apsched.job import OPTION_CHECKS, Job
from apsched.triggers.texts import read_length


@attrs.frozen(kw_only=True)
class Option:
    """
    An option that a form offers.

    Attributes:
        name: That of the attribute of `Job`.
        label: Its name for people.
        hint: What it does, and what may be written.
        read: Text of the field -> value; raises ValueError where it is none.
        write: Value -> text of the field.
        kind: What the field looks like.
    """

    name: str
    label: str
    hint: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    kind: Literal["line", "lines", "box"] = "line"


def read_options(form: Mapping[str, str], job: Job) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of *form* that *job* does not have yet, and what is wrong with others, by name."""
    changes: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for option in OPTIONS:
        try:
            value = OPTION_CHECKS[option.name](option.read(form.get(option.name, "").strip()))
        except (ValueError, TypeError, OverflowError) as exc:
            problems[option.name] = str(exc)
        else:
            if value != getattr(job, option.name):
                changes[option.name] = value
    return changes, problems


def write_options(job: Job) -> dict[str, str]:
    """Return the texts of the fields, by name, that say what *job* has."""
    return {option.name: option.write(getattr(job, option.name)) for option in OPTIONS}


def _read_name(text: str) -> str:
    if not text:
        raise ValueError("write a name, of one character at least")
    return text


def _read_length(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return read_length(text).total_seconds()
    if not seconds > 0:
        raise ValueError(f"write a length of more than 0 seconds, or nothing, not {text[:50]!r}")
    return seconds


def _write_length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return str(int(seconds)) if seconds == int(seconds) else str(seconds)


def _read_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"write a whole number, not {text[:50]!r}") from None


def _read_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not name.strip() or not equals:
            raise ValueError(f"write a tag as name=value, one a line, not {line[:50]!r}")
        tags[name.strip()] = value.strip()
    return tags


def _write_tags(tags: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in tags.items())


OPTIONS: Sequence[Option] = (
    Option(name="name", label="Name", hint="For people.", read=_read_name),
    Option(
        name="tags",
        label="Tags",
        hint="Each in a line of its own, as team=billing.",
        read=_read_tags,
        write=_write_tags,
        kind="lines",
    ),
    Option(
        name="misfire_grace_time",
        label="Runs late by at most",
        hint="A length such as 90, in seconds, or 5 min. Empty: it runs however late it is.",
        read=_read_length,
        write=_write_length,
    ),
    Option(
        name="timeout",
        label="Timeout",
        hint="After that long a run is stopped; a length, too. Empty: none.",
        read=_read_length,
        write=_write_length,
    ),
    Option(name="max_instances", label="Runs at a time", hint="At most so many, from 1 on.", read=_read_number),
    Option(
        name="priority",
        label="Priority",
        hint="From -10 to 10: where not all jobs may run at once, the highest go first.",
        read=_read_number,
    ),
    Option(
        name="coalesce",
        label="If several times are due at once, only the last runs, for all of them",
        hint="Otherwise each one runs.",
        read=bool,
        write=lambda value: "on" if value else "",
        kind="box",
    ),
)
