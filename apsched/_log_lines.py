"""See what runs log, where the records are made (layer 0); apart, since worker processes should not import more.

Rule 1: nothing is added to anybody's loggers: a handler there would change what `logging.basicConfig` and the handler
of last resort do. So only records that the program's loggers let through are seen.
Rule 2: who logs is never held up: what goes wrong with a line is left aside.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from apsched._current import current

LONGEST_LOG = 16_384  # characters that are kept of what one run logs; the last ones
LONGEST_LINE = 4_096  # characters of one record, its traceback included

_sinks: list[Callable[[Any, str], object]] = []


@contextmanager
def seen_by(sink: Callable[[Any, str], object]) -> Generator[None]:
    """
    Hand every line that is logged within a run to *sink*, with what `current` holds, in the thread that logs.

    A sink that is there already is not called twice for one line.
    """
    if not _sinks:
        logging.setLogRecordFactory(_Seeing(logging.getLogRecordFactory()))
    _sinks.append(sink)
    try:
        yield
    finally:
        _sinks.remove(sink)
        factory = logging.getLogRecordFactory()
        if not _sinks and isinstance(factory, _Seeing):  # otherwise somebody has put another one around it
            logging.setLogRecordFactory(factory.inner)


def last_of(text: str) -> str:
    """Return the last lines of *text* that are kept."""
    if len(text) <= LONGEST_LOG:
        return text
    kept = text[-LONGEST_LOG:]
    return kept[kept.find("\n") + 1 :] or kept


class _Seeing:
    """A factory of log records that looks at what *inner* makes."""

    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.inner(*args, **kwargs)
        run = current.get()
        if run is not None and _sinks and not record.name.startswith("apsched."):
            with suppress(Exception):  # arguments that do not fit the message: logging itself tells of that
                line = _line(record)
                for sink in set(_sinks):
                    sink(run, line)
        return record


def _line(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
    text = f"{moment.isoformat(timespec='milliseconds')}Z {record.levelname} {record.name}: {record.getMessage()}"
    if record.exc_info and record.exc_info[1] is not None:
        text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE - 4]} ..."
    return text + "\n"
