"""Read the fields of a cron expression, each a list of expressions (layer 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Final

from apsched.triggers.cron.expressions import MONTHS, WEEKDAYS, Domain, MonthDay, Numbers, read_expression

MIN_YEAR: Final = 1970
MAX_YEAR: Final = 9999

DOMAINS: Final = (  # in order of significance
    Domain("year", MIN_YEAR, MAX_YEAR),
    Domain("month", 1, 12, MONTHS),
    Domain("day", 1, 31),
    Domain("week", 1, 53),
    Domain("day_of_week", 0, 6, WEEKDAYS),
    Domain("hour", 0, 23),
    Domain("minute", 0, 59),
    Domain("second", 0, 59),
)
FIELD_NAMES: Final = tuple(domain.field for domain in DOMAINS)

_COMMA: Final = re.compile(r" *, *")


class Field:
    """
    One field of a cron trigger.

    Attributes:
        name: One of `FIELD_NAMES`.
        is_default: Whether its text was not given but follows from the other fields.
        expressions: The parts between the commas.
        bits: The numbers that they select, as a bit set; those that differ from month to month left out.
    """

    __slots__ = ("bits", "expressions", "is_default", "name")

    def __init__(self, domain: Domain, value: str | int, *, is_default: bool = False) -> None:
        self.name: str = domain.field
        self.is_default: bool = is_default
        text = _text_of(value, domain).strip().lower()
        self.expressions: tuple[Numbers | MonthDay, ...] = tuple(
            read_expression(part, domain) for part in _COMMA.split(text)
        )
        self.bits: int = reduce(or_, (expression.bits for expression in self.expressions))

    def __str__(self) -> str:
        return ",".join(expression.text for expression in self.expressions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {str(self)!r})"

    @property
    def is_open(self) -> bool:
        """Whether the field takes every number or every nth: `*`, `*/n`."""
        return len(self.expressions) == 1 and self.expressions[0].text.startswith("*")

    def days_in(self, first_weekday: int, length: int) -> int:
        """Return the days that the day field selects in a month; see `Numbers.days_in`."""
        days = 0
        for expression in self.expressions:
            days |= expression.days_in(first_weekday, length)
        return days


def read_fields(given: Mapping[str, str | int | None]) -> dict[str, Field]:
    """
    Return the eight fields in order of significance.

    A field that is not given is `*` if a less significant one is given, and else its minimum; week and day_of_week are
    always `*`. With no field given at all, each is `*`.

    Raises:
        ValueError: A text is not an expression of its field.
        TypeError: A value is neither text nor an int.
    """
    least = max((index for index, name in enumerate(FIELD_NAMES) if given[name] is not None), default=len(FIELD_NAMES))
    fields = {}
    for index, domain in enumerate(DOMAINS):
        value = given[domain.field]
        if value is not None:
            fields[domain.field] = Field(domain, value)
        elif index < least or domain.field in ("week", "day_of_week"):
            fields[domain.field] = Field(domain, "*", is_default=True)
        else:
            fields[domain.field] = Field(domain, domain.minimum, is_default=True)
    return fields


def _text_of(value: object, domain: Domain) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(
        f"{domain.field} must be an int or the text of a cron expression, got {value!r}; write a list as text, "
        f"such as '{domain.minimum},{domain.minimum + 1}'"
    )
