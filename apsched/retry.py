"""Say when a run that has failed is attempted again (layer 1).

Rule 1: nothing here waits, reads a clock or draws a random number: the same run, attempted again on any node, gets the
same delays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from inspect import isclass
from typing import Any, Literal

import attrs

from apsched.exceptions import LONGEST

NEXT_RUN: Literal["next_run"] = "next_run"

ANY_EXCEPTION = "builtins:Exception"


def _seconds(instance: object, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{attribute.name} of Retry must be a number of seconds, got {value!r}")
    if not 0 <= value <= LONGEST:
        raise ValueError(f"{attribute.name} of Retry must be from 0 seconds to 100 years, got {value!r}")


def _attempts(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_attempts of Retry must be None or a whole number from 1 on, got {value!r}")
    if value < 1:
        raise ValueError(f"max_attempts of Retry must be None or a whole number from 1 on, got {value!r}")


def _factor(instance: object, attribute: attrs.Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"factor of Retry must be a number from 1 on, got {value!r}")
    if not 1 <= value <= LONGEST:
        raise ValueError(f"factor of Retry must be a number from 1 on, got {value!r}")


def _give_up_at(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None or value == NEXT_RUN:
        return
    if isinstance(value, str):
        raise ValueError(f"give_up_at of Retry must be a number of seconds, 'next_run' or None, got {value!r}")
    _seconds(instance, attribute, value)


def _refs_of(value: object) -> tuple[str, ...]:
    classes = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return tuple(map(_ref_of, classes))


def _ref_of(value: object) -> str:
    if isinstance(value, str):
        if ":" not in value:
            raise ValueError(f"on of Retry must name exceptions as 'package.module:qualified.name', got {value!r}")
        return value
    if not isclass(value) or not issubclass(value, Exception):
        raise TypeError(f"on of Retry must be subclasses of Exception, got {value!r}")
    return _name_of(value)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


@attrs.frozen
class Retry:
    """
    When a run that has failed, or timed out, is attempted again.

    The delay before the second attempt is *backoff* seconds, and before each later one *factor* times as many as before
    the last, *longest* at most; to each, 0 to *jitter* seconds are added, derived from the run. A run that waits for
    its next attempt takes no slot, outlives its node, and does not keep later nominal times of its job from running.

    Args:
        max_attempts: How many attempts there are in all, the first one included, from 1 on; None: any number.
        backoff: Seconds.
        factor: From 1 on.
        longest: Seconds.
        jitter: Seconds.
        on: Which exceptions: a class, several, or their references `"package.module:qualified.name"`; a subclass will
            do. By default any `Exception`, `JobTimeoutError` included.
        give_up_at: How many seconds after the nominal time an attempt may begin at most; `"next_run"`: as long as the
            next nominal time of the job has not come; None: any number.

    Attributes:
        on: The references.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value is out of range, or two contradict each other.
    """

    max_attempts: int | None = attrs.field(default=3, validator=_attempts)
    backoff: float = attrs.field(default=10.0, validator=_seconds)
    factor: float = attrs.field(default=2.0, validator=_factor, kw_only=True)
    longest: float = attrs.field(default=3600.0, validator=_seconds, kw_only=True)
    jitter: float = attrs.field(default=0.0, validator=_seconds, kw_only=True)
    on: tuple[str, ...] = attrs.field(default=(ANY_EXCEPTION,), converter=_refs_of, kw_only=True)
    give_up_at: float | Literal["next_run"] | None = attrs.field(default=None, validator=_give_up_at, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.longest < self.backoff:
            raise ValueError(
                f"longest of Retry must be at least its backoff, got backoff={self.backoff:g} and "
                f"longest={self.longest:g}; pass longest= too, the seconds that a delay takes at most"
            )
        if self.give_up_at not in (None, NEXT_RUN) and self.give_up_at < self.backoff and self.max_attempts != 1:
            raise ValueError(
                f"give_up_at of Retry must be at least its backoff, or no second attempt could begin in time, got "
                f"backoff={self.backoff:g} and give_up_at={self.give_up_at:g}"
            )

    def includes(self, exception: BaseException) -> bool:
        """Whether a run that raised *exception* is attempted again."""
        return isinstance(exception, Exception) and any(_name_of(cls) in self.on for cls in type(exception).__mro__)

    def delay(self, attempt: int, key: str) -> timedelta:
        """
        Return how long the next attempt waits.

        Args:
            attempt: The number of the one that has failed, from 1 on.
            key: From which the jitter is derived, with the number.
        """
        seconds = self._seconds_after(attempt)
        if self.jitter:
            digest = hashlib.blake2b(f"{key}|{attempt}".encode(), digest_size=8).digest()
            seconds += self.jitter * (int.from_bytes(digest, "big") / 2**64)
        return timedelta(seconds=seconds)

    def _seconds_after(self, attempt: int) -> float:
        try:
            return min(self.longest, self.backoff * float(self.factor) ** (attempt - 1))
        except OverflowError:
            return self.longest

    @property
    def state(self) -> dict[str, Any]:
        """The arguments as plain values, for stores; `Retry(**state)` is the same again."""
        return {**attrs.asdict(self), "on": list(self.on)}

    @classmethod
    def of(cls, value: object) -> Retry | None:
        """
        Return *value*, a `Retry`, a mapping of its arguments, or None.

        Raises:
            TypeError: It is none of these, or a value is of the wrong type.
            ValueError: A value is out of range.
        """
        if value is None or isinstance(value, Retry):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"retry must be Retry(...), a mapping of its arguments or None, got {value!r}")
        known = [field.name for field in attrs.fields(cls)]
        for name in value:
            if name not in known:
                raise TypeError(f"Retry has no argument {name!r}; there are: {', '.join(known)}")
        return cls(**value)
