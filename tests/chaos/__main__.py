"""Break nodes, networks and servers at random, and see that the promise holds: `python -m tests.chaos --help`."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.session import Settings, hold
from tests.cluster.stores import STORES


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
    results = [
        is_kept(Settings(store, seed, 60 * args.minutes, args.nodes, args.lease), keeps_logs=args.keep)
        for store in args.stores or STORES
    ]
    return 0 if all(results) else 1


def is_kept(settings: Settings, *, keeps_logs: bool) -> bool:
    """Hold one session, and tell of it."""
    options = f"--seed {settings.seed} --minutes {settings.seconds / 60:g} --nodes {settings.nodes}"
    say(f"{settings.store}: {options} --lease {settings.lease:g}")
    folder = Path(tempfile.mkdtemp(prefix=f"apsched-chaos-{settings.store}-"))
    report, faults = hold(settings, folder)
    say("  faults: " + ", ".join(f"{kind} {number}" for kind, number in sorted(faults.items())))
    outcomes = ", ".join(f"{outcome} {number}" for outcome, number in sorted(report.outcomes.items()))
    say(f"  nominal times {report.nominal_times}; records: {outcomes}")
    say(
        f"  starts {report.starts}; started again {report.again}, overlapping {report.overlaps}, "
        f"begun after being abandoned {report.late_starts}"
    )
    typical, most = report.lateness
    say(f"  late by {typical:.3f} s (median), {most:.1f} s (most: {report.latest})")
    for failure in report.failures:
        say(f"  BROKEN {failure}")
    say(f"  {len(report.failures)} times broken" if report.failures else "  kept")
    if report.failures or keeps_logs:
        say(f"  logs: {folder}")
    else:
        shutil.rmtree(folder)
    return not report.failures


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201  # a program


if __name__ == "__main__":
    sys.exit(main())
