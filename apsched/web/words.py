"""Say times, lengths and outcomes to people (layer 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import urlencode

from apsched.run import Outcome, Run

UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
KINDS = {  # outcome -> its color, by name
    Outcome.SUCCEEDED: "ok",
    Outcome.RUNNING: "busy",
    Outcome.PENDING: "wait",
    Outcome.FAILED: "bad",
    Outcome.TIMED_OUT: "bad",
    Outcome.ABANDONED: "bad",
    Outcome.MISSED: "warn",
    Outcome.SKIPPED: "warn",
    Outcome.CANCELLED: "warn",
    Outcome.COALESCED: "mute",
}


def length(seconds: float | None) -> str:
    """Return a length for people: `12 ms`, `3.4 s`, `5 min 20 s`, `2 h 10 min`; "" for None."""
    if seconds is None:
        return ""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 10:
        return f"{seconds:.1f} s"
    rest = round(abs(seconds))
    parts = []
    for unit, name in UNITS:
        count, rest = divmod(rest, int(unit))
        if count:
            parts.append(f"{count} {name}")
    return ("-" if seconds < 0 else "") + " ".join(parts[:2])


def relative(moment: datetime | None, now: datetime) -> str:
    """Return how far *moment* is from *now*: `in 5 min`, `3 h ago`, `now`; "" for None."""
    if moment is None:
        return ""
    seconds = (moment - now).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    unit, name = next((each for each in UNITS if size >= each[0]), UNITS[-1])
    text = f"{int(size / unit)} {name}"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def clock(moment: datetime | None, zone: tzinfo, now: datetime) -> str:
    """Return *moment* as clocks in *zone* show it, without the date on the day of *now*; "" for None."""
    if moment is None:
        return ""
    local, today = moment.astimezone(zone), now.astimezone(zone).date()
    time = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    if local.date() == today:
        return time
    if local.date() == today + timedelta(days=1):
        return f"tomorrow {time}"
    if local.date() == today - timedelta(days=1):
        return f"yesterday {time}"
    if abs((local.date() - today).days) < 7:
        return f"{local:%a} {time}"
    return f"{local.day} {local:%b} {time}" if local.year == today.year else f"{local.day} {local:%b %Y} {time}"


def exact(moment: datetime | None, zone: tzinfo) -> str:
    """Return *moment* to the millisecond, with the name of its zone; "" for None."""
    if moment is None:
        return ""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {local:%Z}"


def zone_name(moment: datetime, zone: tzinfo) -> str:
    """Return the name of *zone*, as in `Europe/Helsinki (EET)`."""
    short, name = f"{moment.astimezone(zone):%Z}", str(zone)
    return name if short == name else f"{name} ({short})"


def query(values: Mapping[str, object]) -> str:
    """Return *values* as the query of an address; what is no Unicode in them is replaced. Empty ones are left out."""
    return query_of(values.items())


def query_of(pairs: Iterable[tuple[str, object]]) -> str:
    """Do the same with names that may come more than once."""
    return urlencode([(name, str(value)) for name, value in pairs if value not in (None, "")], errors="replace")


def machine(moment: datetime) -> str:
    """Return *moment* for the attribute `datetime` of a `time` element."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def outcome(value: Outcome) -> str:
    """Return the word for an outcome: `timed out`."""
    return value.value.replace("_", " ")


def why(run: Run) -> str:
    """Return why a run ended as it did, in one line; "" if all is said."""
    if run.reason:
        return run.reason
    lines = (run.error or "").strip().splitlines()
    return lines[-1] if lines else ""


def more_than(count: int, *, is_all: bool) -> str:
    """Return *count* with thousands apart; with a plus where there may be more."""
    return f"{count:,}".replace(",", "\u202f") + ("" if is_all else "+")


def advice(reason: str | None) -> str:
    """Return what to do about a job that is quarantined for *reason*."""
    text = (reason or "").lower()
    if "executor" in text:
        return "Start a scheduler that has this executor, or give the job another one; then try again."
    if any(word in text for word in ("import", "module", "callable", "resolve", "found", "reference")):
        return "Deploy the code that has this callable to the nodes, or correct the reference; then try again."
    if any(word in text for word in ("read", "decode", "serial", "type", "version")):
        return "A later or other version wrote this job: run that version, or remove the job and add it anew."
    return "Correct what the reason names, then try again; nothing is lost meanwhile."
