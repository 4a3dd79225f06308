"""Measure what importing costs: seconds beyond an empty interpreter, and how many modules come along.

python benchmarks/import_time.py [--quick] [--rounds 15] [--ours] [--json FILE]
"""

from __future__ import annotations

import importlib
import platform
import sys
import time
from typing import Any

import _peers
from _peers import OURS, V3, V4


def load(module: str) -> dict[str, Any]:
    """Measure one import in this process, which has imported little."""
    known = set(sys.modules)
    start = time.perf_counter()
    importlib.import_module(module)
    return {
        "python": platform.python_version(),
        "ms": (time.perf_counter() - start) * 1e3,
        "modules": len(set(sys.modules) - known),
        "sqlalchemy": int("sqlalchemy" in sys.modules),
    }


WORK = {"import": load}
MODULES = (
    (OURS, "apsched"),
    (OURS, "apsched.async_scheduler"),
    (OURS, "apsched.schedulers.background"),
    (V3, "apscheduler.schedulers.asyncio"),
    (V3, "apscheduler.schedulers.background"),
    (V4, "apscheduler"),
)


def main() -> None:
    """Measure and tell."""
    options = _peers.options("Measure what importing costs.", rounds=15)
    plan = [
        {"product": product, "case": "import", "module": module}
        for product, module in MODULES
        if product == OURS or not options.ours
    ]
    rows = _peers.interleave(__file__, plan, options.rounds, ("ms", "modules", "sqlalchemy"))
    lines = [
        f"{row['product']:20} {row['module']:36} {row['ms']:6.1f} ms {row['modules']:4.0f} modules" for row in rows
    ]
    lines += [
        _peers.verdict(f"{row['module']}: ms", row["ms"], 80, form=".1f") for row in rows if row["product"] == OURS
    ]
    _peers.report(options.json, "import_time", rows, lines)


if __name__ == "__main__" and not _peers.work(WORK):
    main()
