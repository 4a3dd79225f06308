"""Run one measurement in a fresh process, under this project or under a peer, and collect many.

Each benchmark is one script that is both the driver and the worker: the driver calls `measure`, which starts the same
script as `script worker CASE JSON` with the interpreter of the peer, and the worker prints one JSON object. A worker
imports what it measures inside its functions, so that it can run where only the peer is installed.

Virtual environments are made once and used again. They are in the folder that the environment variable
APSCHED_BENCH_VENVS names, or in the system's folder for temporary files. This project is measured from the tree that
the benchmark is in; a copy of the tree measures the copy. Interpreters other than the running one are those that the
environment variable APSCHED_BENCH_PYTHONS lists (paths, separated as on PATH), or `python3.12` and so on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OURS, V3, V4 = "apsched", "APScheduler 3.11.3", "APScheduler 4.0.0a6"
PGQUEUER, PROCRASTINATE = "PgQueuer 1.6.0", "procrastinate 3.10.0"
BARE = "bare"
REQUIREMENTS = {
    OURS: ("anyio>=4.16,<5", "attrs>=25.1", "tzdata", "tzlocal>=5.3"),
    V3: ("APScheduler==3.11.3", "sqlalchemy", "psycopg2-binary", "pymysql", "redis", "pymongo"),
    V4: ("APScheduler==4.0.0a6", "sqlalchemy[asyncio]<2.1", "asyncpg", "sniffio"),
    PGQUEUER: ("pgqueuer==1.6.0", "asyncpg"),
    PROCRASTINATE: ("procrastinate==3.10.0", "psycopg[binary,pool]"),
}
TIMEOUT = 900  # seconds for one measurement


@cache
def interpreter(version: str | None = None) -> str | None:
    """Return the path of CPython *version* ("3.12"; None: the running one), or None if it is not on this machine."""
    running = "{}.{}".format(*sys.version_info)
    if version in (None, running):
        return sys.executable
    listed = os.environ.get("APSCHED_BENCH_PYTHONS", "").split(os.pathsep)
    for path in filter(None, [*listed, shutil.which(f"python{version}")]):
        answer = _run([path, "-c", "import sys; print('{}.{}'.format(*sys.version_info), sys.executable)"])
        found, _, executable = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and found == version:
            return executable
    return None


@cache
def python_of(product: str, version: str | None = None) -> str | None:
    """Return an interpreter that can import *product*; None if there is no such CPython here."""
    base = interpreter(version)
    if base is None or product == BARE or (product == OURS and base == sys.executable):
        return base
    folder = Path(os.environ.get("APSCHED_BENCH_VENVS", Path(tempfile.gettempdir()) / "apsched-bench-venvs"))
    name = f"{product}-{version or '{}.{}'.format(*sys.version_info)}".replace(" ", "-")
    python = folder / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / name / "ready"
    if not ready.exists():
        if base == sys.executable:
            venv.create(folder / name, with_pip=True, clear=True)
        else:
            _run([base, "-m", "venv", "--clear", str(folder / name)], check=True)
        _run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[product]], check=True)
        ready.touch()
    return str(python)


def measure(
    script: str, product: str, case: str, version: str | None = None, **arguments: Any
) -> dict[str, Any] | None:
    """Return what the worker of *script* prints for *case* in a fresh process; None if the interpreter is missing."""
    python = python_of(product, version)
    if python is None:
        return None
    answer = _run([python, script, "worker", case, json.dumps(arguments)])
    if answer.returncode:
        raise RuntimeError(f"{product}: {case} {arguments} failed:\n{answer.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def work(cases: Mapping[str, Callable[..., dict[str, Any]]]) -> bool:
    """Be the worker if this process was started as one; False if it is the driver."""
    if sys.argv[1:2] != ["worker"]:
        return False
    print(json.dumps(cases[sys.argv[2]](**json.loads(sys.argv[3]))))
    return True


def options(description: str, rounds: int) -> argparse.Namespace:
    """Return the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="one round, and only the smaller numbers")
    parser.add_argument("--rounds", type=int, default=rounds, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--ours", action="store_true", help="leave out the peers")
    parsed = parser.parse_args()
    if parsed.quick:
        parsed.rounds = 1
    return parsed


def interleave(
    script: str,
    measurements: Sequence[Mapping[str, Any]],
    rounds: int,
    keys: Iterable[str],
    around: Callable[[Mapping[str, Any]], AbstractContextManager[Mapping[str, Any]]] = lambda _: nullcontext({}),
) -> list[dict[str, Any]]:
    """
    Measure all of *measurements*, which are arguments of `measure`, round after round.

    Args:
        script: The benchmark.
        measurements: Arguments of `measure`.
        rounds: How often each is measured.
        keys: What of the workers' answers is collected.
        around: Opens what one measurement needs, and gives further arguments of the worker.

    Returns:
        Each measurement with the median, the least and all values of each of *keys* that its worker gave.
    """
    collected: list[list[dict[str, Any]]] = [[] for _ in measurements]
    for number in range(rounds):
        for results, arguments in zip(collected, measurements, strict=True):
            with around(arguments) as more:
                result = measure(script, **arguments, **more)
            if result is not None:
                results.append(result)
                shown = "  ".join(f"{key} {value:.6g}" for key, value in result.items() if isinstance(value, float))
                print(f"{number + 1}/{rounds} {_label(arguments):60} {shown}", file=sys.stderr, flush=True)
    rows = []
    for results, arguments in zip(collected, measurements, strict=True):
        if results:
            row: dict[str, Any] = {**arguments, "python": results[0].get("python")}
            for key in keys:
                if key in results[0]:
                    values = [result[key] for result in results]
                    row[key] = statistics.median(values)
                    row[f"{key} (least)"] = min(values)
                    row[f"{key} (all)"] = values
            rows.append(row)
    return rows


def pick(rows: Iterable[Mapping[str, Any]], **wanted: Any) -> Mapping[str, Any] | None:
    """Return the first row that has these values."""
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def ratio(row: Mapping[str, Any] | None, base: Mapping[str, Any] | None, key: str) -> float | None:
    """Return how many times as much *row* has of *key* as *base*: the median over the rounds of both."""
    if row is None or base is None:
        return None
    pairs = zip(row[f"{key} (all)"], base[f"{key} (all)"], strict=True)
    return statistics.median(mine / its if its else float("inf") for mine, its in pairs)


def report(path: Path | None, question: str, rows: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> None:
    """Print *targets*, and write everything to *path*."""
    for line in targets:
        print(line)
    if path is not None:
        machine = {"python": platform.python_version(), "system": platform.system(), "cpus": os.cpu_count()}
        path.write_text(
            json.dumps({"question": question, **machine, "targets": list(targets), "rows": list(rows)}, indent=1) + "\n"
        )


def verdict(text: str, value: float | None, limit: float, *, at_least: bool = False, form: str = ".2f") -> str:
    """Return a line that says whether a target is met."""
    if value is None:
        return f"not measured  {text}"
    met = value >= limit if at_least else value <= limit
    bound = "at least" if at_least else "at most"
    return f"{'met' if met else 'NOT MET':12}  {text}: {value:{form}} ({bound} {limit:g})"


def _label(arguments: Mapping[str, Any]) -> str:
    return " ".join(str(value) for value in arguments.values() if value is not None)


def _run(command: Sequence[str], *, check: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=check)
