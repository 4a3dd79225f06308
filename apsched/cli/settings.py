"""Find out which job store is meant (layer 10).

Rule 1: what is nearer to the user wins: an option of the command line, then a variable of the environment, then
`apsched.toml`, then the table `[tool.apsched]` of `pyproject.toml`, both in the present folder.
Rule 2: a name that is not known is an error, in either file.
Rule 3: where a program has the commands among its own, its store is meant, unless the command line names another.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from apsched._timezones import local_timezone, to_timezone

if TYPE_CHECKING:
    from apsched.jobstores.base import JobStore
    from apsched.schedulers.base import BaseScheduler

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
        program: The program whose store it is, unless *store* is given; None: there is none.
    """

    store: str | None = None
    table: str | None = None
    schema: str | None = None
    serializer: str | None = None
    timezone: str | None = None
    program: Program | None = None

    @property
    def names_store(self) -> bool:
        """Whether they say which store is meant."""
        return self.store is not None or self.program is not None

    @property
    def zone(self) -> tzinfo:
        """
        The zone in which times are shown.

        Raises:
            ValueError: There is none of that name.
        """
        return local_timezone() if self.timezone is None else to_timezone(self.timezone, "timezone")


NAMES = ("store", "table", "schema", "serializer", "timezone")


@attrs.frozen(kw_only=True)
class Program:
    """
    A program that has the commands among its own.

    Attributes:
        name: What users type before the name of a command: `python manage.py apsched`.
        make_store: Returns its job store, not open.
        make_scheduler: Returns the scheduler that `run` serves if the command line names no other.
        timezone: The name of its zone; None: that of this machine.
    """

    name: str
    make_store: Callable[[], JobStore]
    make_scheduler: Callable[[], BaseScheduler]
    timezone: str | None = None

    def settings(self, typed: Mapping[str, str]) -> Settings:
        """Return the settings that are in force if *typed* is what the command line says, by name."""
        values: dict[str, Any] = {"timezone": self.timezone, **typed}
        return Settings(program=self, **values)


def find_settings(given: Mapping[str, str | None]) -> Settings:
    """
    Return the settings.

    Args:
        given: What the command line and the environment say, by name; None where they say nothing.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is no TOML, or has a setting that is not known or is no text.
    """
    values: dict[str, Any] = {**_from_files(), **{name: value for name, value in given.items() if value is not None}}
    return Settings(**values)


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
        if not isinstance(found, dict):
            raise ValueError(f"{name} in {path} must be a table, got {found!r}; write [{'.'.join(tables)}]")
    return found


def _checked(found: Any, file: str) -> dict[str, str]:
    for name, value in found.items():
        if name not in NAMES:
            raise ValueError(f"{file} has no setting {name!r}; there are: {', '.join(NAMES)}")
        if not isinstance(value, str):
            raise ValueError(f"{name} in {file} must be text, got {value!r}; put it in quotes")
    return dict(found)
