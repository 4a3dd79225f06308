"""Fifty thousand runs need no more memory than ten thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_memory_stays_flat_over_fifty_thousand_runs() -> None:
    """In a process of its own: in one of many tests, memory and objects tell of the others too."""
    soak = subprocess.run(
        [sys.executable, "-m", "tests.soak", "memory", "--runs", "50000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )

    assert soak.returncode == 0, soak.stdout
    assert "nothing has grown" in soak.stdout
