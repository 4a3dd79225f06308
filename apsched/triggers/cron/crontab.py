"""Read a line of a crontab as the fields of a cron trigger (layer 1).

Source:
    https://man7.org/linux/man-pages/man5/crontab.5.html
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from apsched.triggers.cron.expressions import WEEKDAYS, Domain, bits_of, check_step, split_expression, to_number

WeekdayNumbers = Literal["crontab", "aps3"]

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_ORDER: Final = ("second", "minute", "hour", "day", "month", "day_of_week")
_WEEKDAY: Final = Domain("day_of_week", 0, 7, ("sun", *WEEKDAYS[:-1]))
_LAST_WEEKDAY: Final = 6  # of an open range: 7 is a second number of Sunday, not an eighth day


class Crontab(NamedTuple):
    """
    A line of a crontab.

    Attributes:
        fields: The texts of a cron trigger's fields, by name.
        restricts_both_days: Whether day and day_of_week leave days out in crontab's sense: none begins with `*`.
    """

    fields: dict[str, str]
    restricts_both_days: bool


def read_crontab(line: str, weekday: WeekdayNumbers) -> Crontab:
    """
    Read a line of a crontab.

    Args:
        line: Five fields, six (seconds first) or a nickname.
        weekday: What numbers mean in the last field. Crontab's are returned as names.

    Raises:
        ValueError: The line has another number of fields, an unknown nickname or a bad last field.
        TypeError: The line is not text.
    """
    if not isinstance(line, str):
        raise TypeError(f"a crontab expression must be text such as '0 3 * * mon-fri', got {line!r}; pass text")
    if weekday not in ("crontab", "aps3"):
        raise ValueError(f"weekday must be 'crontab' (0 and 7 = Sunday) or 'aps3' (0 = Monday), got {weekday!r}")
    texts = _expand(line.strip()).split()
    if len(texts) not in (5, 6):
        raise ValueError(
            f"Wrong number of fields; got {len(texts)}, expected 5 (minute hour day month day_of_week) or 6 (second "
            f"first), in {line!r}"
        )
    fields: dict[str, str] = dict(zip(_ORDER[-len(texts) :], texts, strict=True))
    restricts_both_days = not any(fields[name].startswith("*") for name in ("day", "day_of_week"))
    if weekday == "crontab":
        fields["day_of_week"] = _weekday_names(fields["day_of_week"].lower())
    return Crontab(fields, restricts_both_days)


def _expand(line: str) -> str:
    if not line.startswith("@"):
        return line
    if line.lower() == "@reboot":
        raise ValueError(
            "'@reboot' is no time, so no cron expression says it; call the function when the program starts, "
            "or add a job with the trigger 'date'"
        )
    if line.lower() not in NICKNAMES:
        raise ValueError(
            f"a crontab nickname must be one of {', '.join(NICKNAMES)}, got {line!r}; or write five fields"
        )
    return NICKNAMES[line.lower()]


def _weekday_names(text: str) -> str:
    """Return a weekday field with names in place of crontab's numbers."""
    if text == "*":
        return text
    bits = 0
    for part in text.split(","):
        bits |= _weekday_bits(part)
    return _names_of((bits | bits >> 7) & 0b1111111)


def _weekday_bits(part: str) -> int:
    first_word, last_word, step = split_expression(part, _WEEKDAY)
    first = 0 if first_word is None else to_number(first_word, part, _WEEKDAY)
    if last_word is not None:
        last = to_number(last_word, part, _WEEKDAY)
        if last == 0 < first:
            last = 7  # a range may end on Sunday, as in fri-sun, or begin with it, as in sun-tue
    else:
        last = first if step is None and first_word is not None else max(first, _LAST_WEEKDAY)
    if first > last:
        raise ValueError(
            f"Error validating expression {part!r}: a range of weekdays must not run over the end of the week, "
            f"which is Sunday; write {_without_wrap(first, last, step, by_name=not str(first_word).isdigit())!r}"
        )
    check_step(step, first, last, part, _WEEKDAY)
    return bits_of(first, last, step or 1)


def _without_wrap(first: int, last: int, step: int | None, *, by_name: bool) -> str:
    """Return what a range over the end of the week wants to say: `sat-sun,mon` for `sat-mon`."""
    words = _WEEKDAY.names if by_name else tuple("0123456")
    days = [words[day % 7] for day in range(first, last + 8, step or 1)]
    if step is not None or len(days) < 3:
        return ",".join(days)
    if first == 7:
        return f"{days[0]}-{days[-1]}"
    sunday = days.index(words[0])
    head = f"{days[0]}-{'sun' if by_name else 7}"
    tail = days[sunday + 1 :]
    return ",".join([head, *([f"{tail[0]}-{tail[-1]}"] if len(tail) > 1 else tail)])


def _names_of(bits: int) -> str:
    """Return the days of a bit set whose bit 0 is Sunday: `mon-fri`, or `sat,sun` for what is no range of three."""
    runs: list[list[str]] = [[]]
    for index, name in enumerate(WEEKDAYS, start=1):
        if bits >> index % 7 & 1:
            runs[-1].append(name)
        elif runs[-1]:
            runs.append([])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(run) for run in runs if run)
