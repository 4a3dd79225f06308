"""What the page about the design says of modules is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "apsched"
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
LAYERS = PAGE.partition("## Layers")[2].partition("## Where")[0]
PLACES = PAGE.partition("## Where to find what")[2]


def named() -> Iterator[tuple[str, range]]:
    """Iterate over the names in the table of layers, of modules and of folders, and their layers."""
    for row in LAYERS.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 3 and cells[0][0].isdigit():
            first, _, last = cells[0].partition(" to ")
            for name in re.findall("`([^`]+)`", cells[1]):
                yield name, range(int(first), int(last or first) + 1)


def modules(name: str) -> list[Path]:
    """Return the modules of that name; of adapters, which are `folder.*`, those that users name."""
    path = SOURCE / name.removesuffix(".*").replace(".", "/")
    if name.endswith(".*"):
        return [found for found in path.glob("[!_]*.py") if found.name != "base.py"]
    return list(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


@pytest.mark.parametrize(("name", "layers"), list(named()))
def test_a_module_is_in_the_layer_that_the_design_says(name: str, layers: range) -> None:
    summaries = [path.read_text(encoding="utf-8").split('"""')[1] for path in modules(name)]
    told = {int(number) for summary in summaries for number in re.findall(r"\(layer (\d+)", summary)}

    assert told
    assert told <= set(layers)


def test_the_design_names_every_module() -> None:
    there = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert there - {name.partition(".")[0] for name, _ in named()} == {"__init__"}


def test_every_file_that_the_design_points_to_is_there() -> None:
    files = re.findall(r"`([\w/]+\.py)`", PLACES)

    assert [file for file in files if not (SOURCE / file).exists()] == []
    assert len(files) > 20
