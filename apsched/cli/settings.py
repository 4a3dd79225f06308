"""Find out which job store is meant (layer 10).

Rule 1: what is nearer to the user wins: an option of the command line, then a variable of the environment, then
`apsched.toml`, then the table `[tool.apsched]` of `pyproject.toml`, both in the present folder.
Rule 2: a name that is not known is an error, in either file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

import attrs

from apsched._timezones import local_timezone, to_timezone

OWN_FILE, PROJECT_FILE = "apsched.toml", "pyproject.toml"


@attrs.frozen(kw_only=True)
class Settings:
    """
    Where the jobs are, and how times are shown.

    Attributes:
        store: The URL of the job store.
        table: Its table, collection or beginning of keys, if it is not the usual.
        schema: The schema of its tables.
        serializer: What writes its jobs: `"json"`, `"cbor"` or `"pickle"`; None: what stores have by default.
        timezone: The name of the zone in which times are shown, and naive ones are read; None: that of this machine.
    """

    store: str | None = None
    table: str | None = None
    schema: str | None = None
    serializer: str | None = None
    timezone: str | None = None

    @property
    def zone(self) -> tzinfo:
        """
        The zone in which times are shown.

        Raises:
            ValueError: There is none of that name.
        """
        return local_timezone() if self.timezone is None else to_timezone(self.timezone, "timezone")


NAMES = tuple(field.name for field in attrs.fields(Settings))


def find_settings(given: Mapping[str, str | None]) -> Settings:
    """
    Return the settings.

    Args:
        given: What the command line and the environment say, by name; None where they say nothing.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is no TOML, or has a setting that is not known or is no text.
    """
    found = _from_files()
    return Settings(**{**found, **{name: value for name, value in given.items() if value is not None}})


def _from_files() -> dict[str, str]:
    settings: dict[str, str] = {}
    for file, tables in ((PROJECT_FILE, ("tool", "apsched")), (OWN_FILE, ())):
        path = Path(file)
        if path.is_file():
            settings.update(_checked(_read(path, tables), file))
    return settings


def _read(path: Path, tables: tuple[str, ...]) -> Any:
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ValueError(f"{path} cannot be read: {exc}") from None
    for name in tables:
        found = found.get(name, {})
    return found


def _checked(found: Any, file: str) -> dict[str, str]:
    for name, value in found.items():
        if name not in NAMES:
            raise ValueError(f"{file} has no setting {name!r}; there are: {', '.join(NAMES)}")
        if not isinstance(value, str):
            raise ValueError(f"{name} in {file} must be text, got {value!r}; put it in quotes")
    return dict(found)
