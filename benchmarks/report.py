"""Turn what the benchmarks have measured into RESULTS.md.

Each benchmark writes its figures with `--json FOLDER/NAME.json`; then

    python benchmarks/report.py FOLDER > benchmarks/RESULTS.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """# What was measured

Ratios hold from machine to machine, times do not: these are of two shared cores, where the same case differs by a fifth
from one minute to the next and the peers by more. Each table is of one run, in which this project, its peers and the
bare floor took turns. *Floor* is the same work without any scheduler: `loop.call_at` and `create_task`, or
`ThreadPoolExecutor.submit`; of *drain* the same rows in the same tables by bare asyncpg. `NOT MET` stands where a
target was missed.

The commands: `python benchmarks/NAME.py --json FOLDER/NAME.json` for each NAME below, then
`python benchmarks/report.py FOLDER > benchmarks/RESULTS.md`. The peers (APScheduler 3.11.3 and 4.0.0a6, and for cron
those named there) are installed into environments of their own.
"""


def targets(figures: dict[str, Any]) -> Iterator[str]:
    """Tell which targets were met."""
    yield f"Python {figures['python']}, {figures['cpus']} cores.\n"
    yield "| | case: measure | measured | target |\n|---|---|---|---|"
    for target in figures["targets"]:
        verdict = next((word for word in ("NOT MET", "met", "not measured") if target.startswith(word)), "")
        if verdict in ("", "not measured"):  # told for what it is
            yield f"| {verdict} | {target.removeprefix(verdict).strip()} | | |"
            continue
        what, _, numbers = target.removeprefix(verdict).strip().rpartition(": ")
        measured, _, limit = numbers.partition(" (")
        yield f"| {verdict} | {what} | {measured} | {limit.rstrip(')')} |"


def cron(figures: dict[str, Any]) -> Iterator[str]:
    """Tell how many fire times a second each library computes."""
    peers = figures["peers"]
    yield f"Thousands of fire times a second; Python {figures['python']}. croniter-rs is of Rust and drops the zone.\n"
    for zone, expressions in figures["next_fire_time"].items():
        yield f"| {zone} | apsched | " + " | ".join(f"{name} {version}" for name, version in peers.items()) + " |"
        yield "|---" * (len(peers) + 2) + "|"
        for expression, row in expressions.items():
            speeds = row["calls_per_second"]
            cells = [f"{speeds[name] / 1000:.0f}" if name in speeds else "-" for name in ("apsched", *peers)]
            yield f"| {expression} | " + " | ".join(cells) + " |"
        yield ""
    yield "Sparse and impossible expressions, microseconds of a first call (which builds tables) and of later ones:\n"
    yield "| | first | later |\n|---|---|---|"
    for zone, expressions in figures["costly"].items():
        for expression, row in expressions.items():
            yield f"| {expression}, {zone} | {row['first_call_us']} | {row['later_calls_us']} |"


def round_trips(figures: dict[str, Any]) -> Iterator[str]:
    """Tell what a call costs."""
    yield f"Microseconds a no-op call, {figures['calls']} at once unless *in turn*; Python {figures['python']}.\n"
    yield "| | median | least |\n|---|---|---|"
    for case, row in figures["results"].items():
        yield f"| {case} | {row['median_us']} | {row['best_us']} |"


def main() -> None:
    """Write the page to standard output."""
    print(HEAD)
    for file in sorted(Path(sys.argv[1]).glob("*.json")):
        figures = json.loads(file.read_text())
        table = targets if "targets" in figures else cron if "next_fire_time" in figures else round_trips
        print(f"## {file.stem}\n")
        print("\n".join(table(figures)))
        print()


if __name__ == "__main__":
    main()
