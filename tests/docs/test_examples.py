"""Every Python example of the README and of the documentation runs.

An example is a fence marked `python`; it runs in a process of its own and an empty folder. The comment
`<!-- no-run -->` on the line before the fence leaves it out. `<!-- continues -->` there lets it run after the examples
before it on the page, back to the last one without that comment.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

import apsched

ROOT = Path(__file__).resolve().parents[2]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.exists()]
SECONDS = 20.0  # for one example
FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<ticks>`{3,})(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)(?P=ticks)[ ]*$",
    re.DOTALL | re.MULTILINE,
)


def examples() -> list[ParameterSet]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        before = ""
        for fence in FENCE.finditer(text):
            if fence["language"].split() != ["python"]:
                continue
            code = re.sub(rf"^{fence['indent']}", "", fence["code"], flags=re.MULTILINE)
            marker = text[: fence.start()].rstrip().rpartition("\n")[2].strip()
            if marker == "<!-- no-run -->":
                continue
            if marker == "<!-- continues -->":
                code = f"{before}\n{code}"
            before = code
            line = text.count("\n", 0, fence.start()) + 1
            found.append(pytest.param(code, id=f"{page.name}:{line}"))
    return found


def modules() -> list[str]:
    return [
        module.name
        for module in pkgutil.walk_packages(apsched.__path__, "apsched.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("code", examples())
def test_an_example_runs(code: str, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(code, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", modules())
def test_the_doctests_of_a_module_hold(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as exc:
        pytest.skip(f"needs what is not installed: {exc}")

    assert doctest.testmod(module).failed == 0
