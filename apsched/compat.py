"""Let `import apscheduler` lead here, for packages that were written for APScheduler 3 (layer 10).

Modules are the same objects under both names, so that `isinstance` and `except` hold across them. Nothing changes until
`install` is called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from os import PathLike
from pathlib import Path
from types import ModuleType

import apsched

__all__ = ["install", "uninstall"]

OLD, NEW = "apscheduler", apsched.__name__
VERSION = "3.11.3"  # whose names and behaviour are here


def install() -> None:
    """
    Let `import apscheduler` and its submodules lead to the modules of apsched, for the whole process.

    `importlib.metadata.version("apscheduler")` then answers 3.11.3. Calling it twice does no harm.

    Raises:
        ImportError: APScheduler itself is imported already, wholly or in part.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if (module := sys.modules.get(OLD)) is not None:
        place = getattr(module, "__file__", None) or "an unknown place"
        raise ImportError(
            f"{OLD!r} is imported already, from {place}; call apsched.compat.install() before anything imports it",
            name=OLD,
        )
    sys.meta_path.insert(0, _Finder())


def uninstall() -> None:
    """Undo `install`; modules that were imported meanwhile keep what they have."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name in [name for name in sys.modules if _new_name(name) is not None]:
        if sys.modules[name] is sys.modules.get(_new_name(name) or ""):
            del sys.modules[name]


def _new_name(name: str) -> str | None:
    """Return what module *name* of APScheduler is called here; None if it is of something else."""
    if name == OLD or name.startswith(f"{OLD}."):
        return NEW + name.removeprefix(OLD)
    return None


class _Finder(DistributionFinder):
    """Finds the modules and the version of APScheduler."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if _new_name(fullname) is None else ModuleSpec(fullname, _Loader())

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        name = None if context is None else context.name
        return [_Distribution()] if name is not None and name.lower() == OLD else []


class _Loader(Loader):
    """Puts the module of the new name in the place of that which is being loaded."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        new_name = _new_name(name) or name
        try:
            sys.modules[name] = import_module(new_name)
        except ModuleNotFoundError as exc:
            if exc.name != new_name:
                raise
            raise ModuleNotFoundError(
                f"apsched has no module {new_name!r} to answer for {name!r} of APScheduler 3", name=name
            ) from exc


class _Distribution(Distribution):
    """Tells the version of APScheduler whose names are here."""

    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: APScheduler\nVersion: {VERSION}\n" if filename == "METADATA" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        raise FileNotFoundError(f"APScheduler has no files here, as apsched answers for it; asked for {path}")
