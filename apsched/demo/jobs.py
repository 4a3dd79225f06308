"""What the jobs of the demo do: the paper work of a small web shop (layer 10).

Each takes the work folder and reads and writes real files there. None of them knows of the scheduler: any function can
be a job.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path
from statistics import quantiles

import anyio

from apsched.clock import SystemClock

PATHS = ("/", "/shop", "/shop/tea", "/shop/cups", "/basket", "/login", "/search?q=oolong", "/static/app.css")
STATUSES = (200, 200, 200, 200, 200, 200, 200, 304, 404, 500)
GOODS = ("sencha", "oolong", "assam", "teapot", "cup")
LINE = re.compile(r'\S+ - - \[[^]]+] "GET (?P<path>\S+) HTTP/1\.1" (?P<status>\d{3}) (?P<size>\d+) (?P<ms>[\d.]+)')
ORDER = re.compile(r"order-(\d+)\.csv")

FILES = ("access.log", "index.csv", "measurements.csv", "summary.json", "manifest.json", "opened.txt")
FOLDERS = ("inbox", "orders", "rejected", "logs", "mirror")

FAULTY_EVERY = 4  # orders
KEPT_LOGS = 2  # rotated ones
MIRROR_PAUSE = 0.25  # seconds after each file that is copied, so that others may use the disk
MIRROR_FILES = 12

chance: random.Random = random.Random()  # noqa: S311  # for visitors, not for secrets


async def serve_traffic(folder: str) -> int:
    """Append what visitors asked for to the access log; return how many lines."""
    lines = [visit(SystemClock().now()) for _ in range(chance.randint(20, 60))]
    async with await anyio.open_file(Path(folder, "access.log"), "a", encoding="utf-8") as log:
        await log.writelines(lines)
    return len(lines)


def visit(now: datetime) -> str:
    """Return a line of an access log."""
    address = f"198.51.100.{chance.randint(1, 254)}"
    path = chance.choices(PATHS, weights=range(len(PATHS), 0, -1))[0]
    milliseconds = chance.lognormvariate(3, 0.8)
    size = chance.randint(300, 40_000)
    moment = now.strftime("%d/%b/%Y:%H:%M:%S %z")
    return f'{address} - - [{moment}] "GET {path} HTTP/1.1" {chance.choice(STATUSES)} {size} {milliseconds:.1f}\n'


async def receive_order(folder: str) -> str:
    """Put an order into the inbox, as a customer would; return its file name."""
    number = next(order_numbers(folder))
    amount = "three" if number % FAULTY_EVERY == 0 else str(chance.randint(1, 9))
    path = Path(folder, "inbox", f"order-{number:04}.csv")
    await anyio.Path(path.parent).mkdir(exist_ok=True)
    await anyio.to_thread.run_sync(write, path, f"goods,amount\n{chance.choice(GOODS)},{amount}\n")
    return path.name


def write(path: Path, text: str) -> None:
    """Write a whole file or none, even if the process is killed."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@cache
def order_numbers(folder: str) -> count[int]:
    """Return the numbers of the orders to come: they go on from those of the files that are there."""
    found = (ORDER.fullmatch(path.name) for path, _ in files(Path(folder)))
    return count(1 + max((int(match[1]) for match in found if match), default=0))


def file_orders(folder: str) -> int:
    """
    File the orders in the inbox by what was ordered, and write each into the index; return how many.

    Raises:
        ValueError: One was faulty; it lies in `rejected` now.
    """
    root = Path(folder)
    orders = sorted((root / "inbox").glob("*.csv"))
    for order in orders:
        goods, amount = order.read_text(encoding="utf-8").splitlines()[1].split(",")
        move(order, root / ("orders" if amount.isdecimal() else "rejected") / goods)
        if not amount.isdecimal():
            raise ValueError(f"{order.name}: amount must be a whole number, got {amount!r}")
        with (root / "index.csv").open("a", encoding="utf-8") as index:
            index.write(f"{order.name},{goods},{amount}\n")
    return len(orders)


def move(file: Path, folder: Path) -> None:
    """Move a file into a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    file.replace(folder / file.name)


def measure(folder: str) -> None:
    """Add a line to the measurements: the time and the size of the access log, 0 while it is being rotated."""
    root = Path(folder)
    size = 0
    with suppress(FileNotFoundError):
        size = (root / "access.log").stat().st_size
    with (root / "measurements.csv").open("a", encoding="utf-8") as file:
        file.write(f"{SystemClock().now().isoformat(timespec='milliseconds')},{size}\n")


def summarise(folder: str) -> dict[str, object]:
    """Count what the access logs hold, rotated ones included; write it to `summary.json` and return it."""
    root = Path(folder)
    visits = [match for line in log_lines(root) if (match := LINE.match(line))]
    times = sorted(float(match["ms"]) for match in visits)
    errors = sum(match["status"] >= "400" for match in visits)
    summary: dict[str, object] = {
        "requests": len(visits),
        "bytes": sum(int(match["size"]) for match in visits),
        "error_rate": round(errors / max(len(visits), 1), 4),
        "top_paths": dict(Counter(match["path"] for match in visits).most_common(3)),
        "milliseconds": percentiles(times),
    }
    write(root / "summary.json", json.dumps(summary, indent=2))
    return summary


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile; nothing of fewer than two values."""
    if len(values) < 2:
        return {}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)}


def log_lines(root: Path) -> Iterator[str]:
    """Iterate over the lines of all access logs; one that is rotated or removed meanwhile is left out."""
    for path in sorted((root / "logs").glob("*.gz")):
        with suppress(FileNotFoundError), gzip.open(path, "rt", encoding="utf-8") as archive:
            yield from archive
    with suppress(FileNotFoundError), (root / "access.log").open(encoding="utf-8") as log:
        yield from log


def rotate(folder: str) -> str | None:
    """Compress the access log into `logs` and let a new one begin; return its name, None if there is none."""
    root = Path(folder)
    log = root / "access.log"
    if not log.exists():
        return None
    (root / "logs").mkdir(exist_ok=True)
    full = log.rename(root / "logs" / f"access-{SystemClock().now():%Y%m%dT%H%M%S}.log")
    part = full.with_suffix(".part")
    with full.open("rb") as source, gzip.open(part, "wb") as target:
        shutil.copyfileobj(source, target)
    full.unlink()
    return part.rename(full.with_suffix(".log.gz")).name


def tidy(folder: str) -> int:
    """Remove all but the latest rotated logs; return how many."""
    old = sorted(Path(folder, "logs").glob("*.gz"))[:-KEPT_LOGS]
    for path in old:
        path.unlink()
    return len(old)


async def mirror(folder: str) -> int:
    """Copy the latest files to `mirror`, slowly; return how many."""
    source, target = anyio.Path(folder), anyio.Path(folder, "mirror")
    await target.mkdir(exist_ok=True)
    copied = 0
    for number in range(MIRROR_FILES):
        await anyio.sleep(MIRROR_PAUSE)
        name = ("measurements.csv", "index.csv", "summary.json", "manifest.json")[number % 4]
        if await (source / name).exists():
            await (target / name).write_bytes(await (source / name).read_bytes())
            copied += 1
    return copied


def list_files(folder: str) -> int:
    """Write the names and sizes of all files to `manifest.json`; return how many there are."""
    root = Path(folder)
    sizes = {path.relative_to(root).as_posix(): size for path, size in files(root)}
    write(root / "manifest.json", json.dumps(sizes, indent=2, sort_keys=True))
    return len(sizes)


def files(root: Path) -> Iterator[tuple[Path, int]]:
    """Iterate over the files below *root* and their sizes in bytes; those that vanish meanwhile are left out."""
    for path in sorted(root.rglob("*")):
        try:
            if path.is_file():
                yield path, path.stat().st_size
        except FileNotFoundError:
            continue


def open_shop(folder: str) -> None:
    """Note when the shop opened."""
    Path(folder, "opened.txt").write_text(f"{SystemClock().now().isoformat()}\n", encoding="utf-8")
