"""Measure how many cron fire times per second apsched and its peers compute, one after the other, in one process.

    python benchmarks/cron_next_fire.py [--json FILE]

Peers are installed, in the versions below, into a temporary virtual environment; CRON_PEERS_PYTHON names an
interpreter that has them already. Rounds of all libraries alternate, and the best round of each counts. A library that
cannot say an expression, gives another answer or is not there is listed with that. croniter-rs does not
compute in a time zone: whatever the zone, it returns naive times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

PEERS = [
    "APScheduler==3.11.3",
    "croniter==7.0.0",
    "croniter-rs==0.2.0",
    "cronsim==2.8",
    "pychronotab==1.0.7",
    "cron-converter==2.0.2",
]
ROUNDS = 3
ROUND = 0.025  # seconds for one library and one expression
BATCH = 20  # calls between two looks at the clock
LAST_YEAR = 5000  # where a batch begins anew
ZONES = ("UTC", "Europe/Berlin")
START = "2024-01-01"

Step = Callable[[datetime], datetime]


class Expression(NamedTuple):
    """What is measured: a crontab line that all can say, or fields that only APScheduler 3 can say, too."""

    name: str
    crontab: str | None
    fields: dict[str, Any]


EXPRESSIONS = [
    Expression("every second", None, {"second": "*"}),
    Expression("every minute", "* * * * *", {"minute": "*"}),
    Expression("every 5 minutes", "*/5 * * * *", {"minute": "*/5"}),
    Expression("every hour", "0 * * * *", {"minute": 0}),
    Expression("office hours", "15,45 9-17 * * mon-fri", {"day_of_week": "mon-fri", "hour": "9-17", "minute": "15,45"}),
    Expression("every day", "0 3 * * *", {"hour": 3}),
    Expression("every workday", "30 2 * * mon-fri", {"day_of_week": "mon-fri", "hour": 2, "minute": 30}),
    Expression("fridays in spring", "0 9 * 3-5 fri", {"month": "3-5", "day_of_week": "fri", "hour": 9}),
    Expression("every month", "0 0 1 * *", {"day": 1}),
    Expression("last friday", None, {"day": "last fri"}),
    Expression("second tuesday", None, {"day": "2nd tue", "hour": 4}),
    Expression("every year", "0 0 1 1 *", {"month": 1}),
    Expression("leap day", "0 12 29 2 *", {"month": 2, "day": 29, "hour": 12}),
]
COSTLY: dict[str, dict[str, Any]] = {
    "29 February on a Monday": {"month": 2, "day": 29, "day_of_week": "mon"},
    "5th Friday of February": {"month": 2, "day": "5th fri"},
    "week 53 on a Sunday": {"week": 53, "day_of_week": "sun"},
    "30 February (never)": {"month": 2, "day": 30},
    "a year in the past (never)": {"year": 2000},
}


def apsched_step(expression: Expression, timezone: ZoneInfo) -> Step:
    from apsched.triggers.cron import CronTrigger

    trigger = CronTrigger(**expression.fields, timezone=timezone)
    return lambda moment: trigger.get_next_fire_time(moment, moment)  # type: ignore[return-value]  # none ends


def apscheduler_step(expression: Expression, timezone: ZoneInfo) -> Step:
    trigger = import_module("apscheduler.triggers.cron").CronTrigger(**expression.fields, timezone=timezone)
    return lambda moment: trigger.get_next_fire_time(moment, moment)


def croniter_step(expression: Expression, timezone: ZoneInfo) -> Step:
    iterator = import_module("croniter").croniter(expression.crontab, start_of(timezone))
    return lambda moment: iterator.get_next(datetime)


def croniter_rs_step(expression: Expression, timezone: ZoneInfo) -> Step:
    iterator = import_module("croniter_rs").croniter(expression.crontab, start_of(timezone))
    return lambda moment: iterator.get_next(datetime)


def cronsim_step(expression: Expression, timezone: ZoneInfo) -> Step:
    iterator = import_module("cronsim").CronSim(expression.crontab, start_of(timezone))
    return lambda moment: next(iterator)


def pychronotab_step(expression: Expression, timezone: ZoneInfo) -> Step:
    iterator = import_module("pychronotab").croniter(expression.crontab, start_of(timezone))
    return lambda moment: iterator.get_next(datetime)


def cron_converter_step(expression: Expression, timezone: ZoneInfo) -> Step:
    schedule = import_module("cron_converter").Cron(expression.crontab).schedule(start_of(timezone))
    return lambda moment: schedule.next()


LIBRARIES = {
    "apsched": apsched_step,
    "APScheduler": apscheduler_step,
    "croniter": croniter_step,
    "croniter-rs": croniter_rs_step,
    "cronsim": cronsim_step,
    "pychronotab": pychronotab_step,
    "cron-converter": cron_converter_step,
}
OWN_FIELDS = ("apsched", "APScheduler")


def start_of(timezone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(START).replace(tzinfo=timezone)


def measure_round(make: Callable[[Expression, ZoneInfo], Step], expression: Expression, timezone: ZoneInfo) -> float:
    """Return the calls per second of one round."""
    moment = start_of(timezone)
    step = make(expression, timezone)
    calls, spent = 0, 0.0
    while spent < ROUND:
        if moment.year >= LAST_YEAR:
            moment, step = start_of(timezone), make(expression, timezone)
        begun = perf_counter()
        for _ in range(BATCH):
            moment = step(moment)
        spent += perf_counter() - begun
        calls += BATCH
    return calls / spent


def first_times(make: Callable[[Expression, ZoneInfo], Step], expression: Expression, timezone: ZoneInfo) -> list[str]:
    """Return the first fire times after the start, to see whether two libraries mean the same."""
    step, moment = make(expression, timezone), start_of(timezone)
    times = []
    for _ in range(5):
        moment = step(moment)
        times.append(f"{moment:%Y-%m-%d %H:%M:%S}")
    return times


def measure(expression: Expression, timezone: ZoneInfo) -> dict[str, Any]:
    rates: dict[str, float] = {}
    notes: dict[str, str] = {}
    expected = first_times(apsched_step, expression, timezone)
    for _ in range(ROUNDS):
        for name, make in LIBRARIES.items():
            if name in notes and name not in rates:
                continue
            if expression.crontab is None and name not in OWN_FIELDS:
                notes[name] = "not measured: no crontab line says this"
                continue
            try:
                if name not in rates and (found := first_times(make, expression, timezone)) != expected:
                    notes[name] = f"gives another answer, {found} and not {expected}"
                rates[name] = max(rates.get(name, 0), measure_round(make, expression, timezone))
            except Exception as exc:  # whatever a peer raises is part of the result
                notes[name] = f"failed: {exc!r}"
    ours = rates["apsched"]
    return {
        "calls_per_second": {name: round(rate) for name, rate in rates.items()},
        "apsched_is_faster_by": {name: round(ours / rate, 2) for name, rate in rates.items() if name != "apsched"},
        "notes": notes,
    }


def measure_costly(timezone: ZoneInfo) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield what the first call, which builds tables, and the following ones cost in microseconds."""
    from apsched.triggers.cron import CronTrigger

    now = start_of(timezone)
    for name, fields in COSTLY.items():
        trigger = CronTrigger(**fields, timezone=timezone)
        begun = perf_counter()
        trigger.get_next_fire_time(None, now)
        first = perf_counter() - begun
        begun = perf_counter()
        for _ in range(1000):
            trigger.get_next_fire_time(None, now)
        yield name, {"first_call_us": round(first * 1e6, 1), "later_calls_us": round((perf_counter() - begun) * 1e3, 2)}


def run() -> dict[str, Any]:
    versions = {}
    for peer in PEERS:
        name = peer.partition("==")[0]
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "peers": versions,
        "next_fire_time": {
            zone: {expression.name: measure(expression, ZoneInfo(zone)) for expression in EXPRESSIONS} for zone in ZONES
        },
        "costly": {zone: dict(measure_costly(ZoneInfo(zone))) for zone in ZONES},
    }


def run_among_peers(python: str) -> str:
    """Run this script with *python*, which has the peers; our own package and its dependencies come after them."""
    paths = [str(Path(__file__).resolve().parents[1]), sysconfig.get_path("purelib")]
    program = (
        f"import sys, runpy; sys.path += {paths!r}; sys.argv = ['', '--here']; "
        f"runpy.run_path({__file__!r}, run_name='__main__')"
    )
    return subprocess.run([python, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout


def install_peers(directory: str) -> str:
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    python = str(Path(directory) / ("Scripts" if os.name == "nt" else "bin") / "python")
    for peer in PEERS:  # one by one, so that a missing one does not take the others with it
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", peer], check=False)
        if done.returncode:
            print(f"{peer} could not be installed", file=sys.stderr)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the result there, too")
    parser.add_argument("--here", action="store_true", help="use this interpreter, whatever peers it has")
    options = parser.parse_args()
    if options.here:
        text = json.dumps(run(), indent=2)
    elif python := os.environ.get("CRON_PEERS_PYTHON"):
        text = run_among_peers(python)
    else:
        with tempfile.TemporaryDirectory() as directory:
            text = run_among_peers(install_peers(directory))
    print(text)
    if options.json:
        Path(options.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
