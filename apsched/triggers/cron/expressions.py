"""Read one cron expression, such as `*/5`, `mon-fri` or `last sun` (layer 1).

Rule 1: an expression is either understood to its last character or refused.
Rule 2: what an expression selects is a bit set, an int whose bit n says whether the number n is selected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_STEPPED: Final = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)
_MONTH_DAY: Final = re.compile(r"(?P<which>1st|2nd|3rd|4th|5th|last)(?: +(?P<weekday>\w+))?", re.ASCII)
_EVERY_SEVENTH: Final = sum(1 << day for day in range(0, 35, 7))


@dataclass(frozen=True, slots=True)
class Domain:
    """
    The numbers and names that a field takes.

    Attributes:
        field: The name of the field.
        minimum: Its lowest number.
        maximum: Its highest number, included.
        names: What its numbers may also be called; the first name is the lowest number. Empty for none.
    """

    field: str
    minimum: int
    maximum: int
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.field} takes {self.minimum} to {self.maximum}{named}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """
    The expressions `*`, `a`, `a-b` and these with `/step`.

    Attributes:
        text: The expression in its shortest form.
        bits: The numbers that it selects.
    """

    text: str
    bits: int

    def days_in(self, first_weekday: int, length: int) -> int:
        """Return the selected days of a month that begins on *first_weekday* (0 = Monday) and has *length* days."""
        return self.bits & ((2 << length) - 1)


@dataclass(frozen=True, slots=True)
class MonthDay:
    """
    The expressions `last`, `last mon` and `2nd mon`, whose day differs from month to month.

    Attributes:
        text: The expression in its shortest form.
        nth: 1 to 5; None for the last.
        weekday: 0 = Monday; None for any.
    """

    text: str
    nth: int | None
    weekday: int | None
    bits: ClassVar[int] = 0  # there is no number that is selected in every month

    def days_in(self, first_weekday: int, length: int) -> int:
        """Return the selected day of a month that begins on *first_weekday* (0 = Monday) and has *length* days."""
        if self.weekday is None:
            return 1 << length
        first = 1 + (self.weekday - first_weekday) % 7
        if self.nth is None:
            return 1 << first + (length - first) // 7 * 7
        day = first + (self.nth - 1) * 7
        return 1 << day if day <= length else 0


def weekday_days(weekdays: int, first_weekday: int, length: int) -> int:
    """
    Return the days of a month that fall on given days of the week.

    Args:
        weekdays: Bit set; bit 0 is Monday.
        first_weekday: The day of the week on which the month begins; 0 = Monday.
        length: Its number of days.
    """
    days = 0
    for weekday in range(7):
        if weekdays >> weekday & 1:
            days |= _EVERY_SEVENTH << 1 + (weekday - first_weekday) % 7
    return days & ((2 << length) - 1)


def read_expression(text: str, domain: Domain) -> Numbers | MonthDay:
    """
    Read an expression in lower case that stands alone or between the commas of a field.

    Raises:
        ValueError: It has none of the forms of the field, or a number that the field does not take.
    """
    if domain.field == "day" and (match := _MONTH_DAY.fullmatch(text)):
        return _month_day(match["which"], match["weekday"], text, domain)
    return _numbers(text, domain)


def split_expression(text: str, domain: Domain) -> tuple[str | None, str | None, int | None]:
    """
    Split `first-last/step` into its parts, each None where it is missing; *first* is None for `*`.

    Raises:
        ValueError: The text has another form, the step is 0, or a range mixes a name and a number.
    """
    match = _STEPPED.fullmatch(text)
    if match is None:
        raise _unrecognized(text, domain)
    first, last, step = match["first"], match["last"], match["step"]
    if step is not None and int(step) == 0:
        raise ValueError(f"Increment must be higher than 0, got {text!r} for {domain.field}; leave it out or use 1")
    if first and last and first.isdigit() != last.isdigit():
        raise ValueError(
            f"Error validating expression {text!r}: a range is from a number to a number or from a name to a name; "
            f"{domain}"
        )
    return first, last, None if step is None else int(step)


def to_number(word: str, text: str, domain: Domain) -> int:
    """
    Return the number that a word of the expression *text* stands for.

    Raises:
        ValueError: It is not a name of the field, or a number that the field does not take.
    """
    if not word.isdigit():
        if word in domain.names:
            return domain.names.index(word) + domain.minimum
        raise _unrecognized(text, domain)
    number = int(word)
    if number < domain.minimum:
        raise _out_of_range(
            text, f"the first value ({number}) is lower than the minimum value ({domain.minimum})", domain
        )
    if number > domain.maximum:
        raise _out_of_range(
            text, f"the last value ({number}) is higher than the maximum value ({domain.maximum})", domain
        )
    return number


def check_step(step: int | None, first: int, last: int, text: str, domain: Domain) -> None:
    """
    Refuse a step that leads out of its range at once, such as `*/90` minutes.

    Raises:
        ValueError: The step is larger than *last* - *first*.
    """
    if step is not None and step > last - first:
        reason = f"the step value ({step}) is higher than the total range of the expression ({last - first})"
        raise _out_of_range(text, reason, domain)


@lru_cache(maxsize=1024)
def bits_of(first: int, last: int, step: int = 1) -> int:
    """Return the bit set of *first*, *first* + *step* and so on, up to *last*."""
    return sum(1 << number for number in range(first, last + 1, step))


def _month_day(which: str, weekday: str | None, text: str, domain: Domain) -> MonthDay:
    nth = None if which == "last" else int(which[0])
    if weekday is None:
        if nth is not None:
            raise _unrecognized(text, domain)
        return MonthDay(text, None, None)
    if weekday not in WEEKDAYS:
        raise ValueError(
            f'Invalid weekday name "{weekday}" in {text!r} for day; use one of {", ".join(WEEKDAYS)}, '
            f"as in {which + ' mon'!r}"
        )
    return MonthDay(f"{which} {weekday}", nth, WEEKDAYS.index(weekday))


def _numbers(text: str, domain: Domain) -> Numbers:
    first_word, last_word, step = split_expression(text, domain)
    suffix = "" if step is None else f"/{step}"
    if first_word is None:
        first, last = domain.minimum, domain.maximum
        shortest = "*" + suffix
    else:
        first = to_number(first_word, text, domain)
        if last_word is not None:
            last = to_number(last_word, text, domain)
        else:
            last = first if step is None else domain.maximum
        shortest = _plain(first_word) + ("" if last_word is None or last == first else f"-{_plain(last_word)}") + suffix
    if first > last:
        raise _descending(text, first_word, last_word, domain)
    check_step(step, first, last, text, domain)
    return Numbers(shortest, bits_of(first, last, step or 1))


def _plain(word: str) -> str:
    return str(int(word)) if word.isdigit() else word


def _unrecognized(text: str, domain: Domain) -> ValueError:
    forms = "'*', 'a', 'a-b', each with '/step' if wanted"
    if domain.field == "day":
        forms += ", '2nd fri', 'last fri', 'last'"
    return ValueError(f'Unrecognized expression "{text}" for field "{domain.field}"; {domain}, in the forms {forms}')


def _out_of_range(text: str, reason: str, domain: Domain) -> ValueError:
    return ValueError(f"Error validating expression {text!r}: {reason}; {domain}")


def _descending(text: str, first: str | None, last: str | None, domain: Domain) -> ValueError:
    named = domain.names and first is not None and not first.isdigit()
    low, high = (domain.names[0], domain.names[-1]) if named else (domain.minimum, domain.maximum)
    return ValueError(
        f"Error validating expression {text!r}: the minimum value in a range must not be higher than the maximum; "
        f"{domain.field} does not run on from {high} to {low}, so write {f'{_span(first, high)},{_span(low, last)}'!r}"
    )


def _span(first: object, last: object) -> str:
    return str(first) if str(first) == str(last) else f"{first}-{last}"
