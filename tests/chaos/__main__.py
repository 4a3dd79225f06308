"""Break nodes, networks and servers at random, and see that the promise holds: `python -m tests.chaos --help`."""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.checker import Report
from tests.chaos.session import Settings, hold
from tests.cluster.stores import STORES

SHOWN = 20  # breaches; all of them are in a file
FILES = """\
faults.log (what was done, and when), ledger/ (what was called), history.txt (the records), breaches.txt, node-*.log"""


def main() -> int:
    """Hold a session for each store; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=f"of {', '.join(STORES)}; all of them by default")
    parser.add_argument("--seed", type=int, help="of an earlier session, to do the same again")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each store (5)")
    parser.add_argument("--nodes", type=int, default=3, help="at a time (3)")
    parser.add_argument("--lease", type=float, default=5.0, help="of the nodes, in seconds (5)")
    parser.add_argument("--keep", action="store_true", help="the logs, even if nothing was broken")
    args = parser.parse_args()
    if unknown := set(args.stores) - set(STORES):
        parser.error(f"STORE must be of {', '.join(STORES)}, got {', '.join(sorted(unknown))}")
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    broken = [
        store
        for store in args.stores or STORES
        if not is_kept(Settings(store, seed, 60 * args.minutes, args.nodes, args.lease), keeps_logs=args.keep)
    ]
    say(f"the promise was broken in {', '.join(broken)}" if broken else "the promise was kept")
    return 1 if broken else 0


def is_kept(settings: Settings, *, keeps_logs: bool) -> bool:
    """Hold one session, and tell of it."""
    options = f"--seed {settings.seed} --minutes {settings.seconds / 60:g} --nodes {settings.nodes}"
    command = f"{settings.store} {options} --lease {settings.lease:g}"
    say(command)
    folder = Path(tempfile.mkdtemp(prefix=f"apsched-chaos-{settings.store}-"))
    logging.basicConfig(filename=folder / "session.log", force=True)
    began = time.monotonic()
    breaches = [""]
    try:
        report, faults = hold(settings, folder)
    except Exception:
        say(f"  ended by an error\n{traceback.format_exc()}")
    else:
        breaches = report.failures
        tell(report, faults)
        (folder / "breaches.txt").write_text("".join(f"{breach}\n" for breach in breaches))
        for breach in breaches[:SHOWN]:
            say(f"  BROKEN   {breach}")
        say(f"  broken {len(breaches)} times" if breaches else f"  kept, for {time.monotonic() - began:.0f} seconds")
    if breaches:
        say(f"  the same again: python3 noxfile.py -s chaos -- {command}")
    if breaches or keeps_logs:
        say(f"  look at {folder}: {FILES}")
    else:
        shutil.rmtree(folder)
    return not breaches


def tell(report: Report, faults: Mapping[str, int]) -> None:
    """Say what was done and what came of it."""
    typical, most = report.lateness
    say(f"  done     {_listed(faults)}")
    say(f"  owed     {report.nominal_times} nominal times, {report.followed} of them by following other runs")
    say(f"  recorded {_listed(report.outcomes)}; {report.cancelled} were to be cancelled by hand")
    say(
        f"  started  {report.starts} calls: {report.retried} were followed by another attempt, {report.again} runs "
        f"started again since their node was lost, {report.overlaps} of them beside it; "
        f"{report.late_starts} began too late"
    )
    say(f"  late     by {typical:.3f} s (median), {most:.1f} s (most, {report.latest})")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201  # a program


if __name__ == "__main__":
    sys.exit(main())
