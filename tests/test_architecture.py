"""The layers of pyproject.toml hold, and a breach of each contract is seen."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LINT], cwd=project, capture_output=True, text=True, check=False)


def test_the_layers_hold() -> None:
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("job.py", "import apsched.events", "A module imports lower layers"),
        ("executors/base.py", "import apsched.jobstores.base", "A module imports lower layers"),
        ("executors/base.py", "import apsched.notifiers.local", "A module imports lower layers"),
        ("forgotten.py", "", "A module imports lower layers"),
        ("engine/extra.py", "import apsched.notifiers.local", "The engine and the adapters"),
        ("jobstores/_helper.py", "import apsched.engine.extra", "The engine and the adapters"),
        ("jobstores/_helper.py", "import apsched.executors._helper", "The engine and the adapters"),
        ("job.py", "import apsched.executors._helper", "The engine and the adapters"),
        ("triggers/base.py", "import asyncio", "What decides"),
        ("engine/plan.py", "import time", "What decides"),
        ("job.py", "import sqlalchemy", "The package of an extra"),
        ("jobstores/_helper.py", "import apsched.jobstores._second", "No folder has an import circle"),
    ],
)
def test_a_breach_of_the_layers_is_seen(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "apsched", tmp_path / "apsched", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in {
        "engine/extra.py": "",
        "executors/_helper.py": "",
        "jobstores/_second.py": "import apsched.jobstores._helper\n",
    }.items():
        (tmp_path / "apsched" / path).write_text(text)
    with (tmp_path / "apsched" / module).open("a") as file:
        file.write(f"\n{line}\n")

    result = lint_imports(tmp_path)

    assert result.returncode == 1
    assert any(row.startswith(contract) and " BROKEN" in row for row in result.stdout.splitlines()), result.stdout
