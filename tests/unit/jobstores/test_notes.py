"""How stores write attempts and reports."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import attrs
import pytest

from apsched.jobstores._notes import LONGEST, notes_from_text, notes_to_text
from apsched.run import Attempt, Outcome, Report, Run

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
RUN = Run(job_id="job", nominal_time=T0, due_time=T0, outcome=Outcome.RUNNING)
ATTEMPT = Attempt(number=1, outcome=Outcome.FAILED, node="a", started_at=T0, finished_at=T0, error="\0 \ud800 ü\n")
REPORT = Report(progress=0.5, message="half \0 ü", log="one\ntwo\n")


def test_a_run_that_has_nothing_to_tell_has_no_notes() -> None:
    assert notes_to_text(RUN) is None
    assert notes_from_text(None) == ((), None)


@pytest.mark.parametrize(
    ("attempts", "report"),
    [((ATTEMPT,), None), ((), REPORT), ((ATTEMPT, attrs.evolve(ATTEMPT, number=2, node=None)), Report())],
)
def test_notes_come_back_as_they_were_in_plain_ascii(attempts: tuple[Attempt, ...], report: Report | None) -> None:
    text = notes_to_text(attrs.evolve(RUN, attempts=attempts, report=report))

    assert text is not None
    assert text.isascii()
    assert text.isprintable()
    assert notes_from_text(text) == (attempts, report)


def test_of_a_long_text_the_end_is_kept() -> None:
    report = Report(progress=Fraction(1, 4), message="x", log="a" * LONGEST + "end")  # type: ignore[arg-type]

    _, kept = notes_from_text(notes_to_text(attrs.evolve(RUN, report=report)))

    assert kept is not None
    assert (kept.progress, kept.message) == (0.25, "x")
    assert kept.log == "a" * (LONGEST - 3) + "end"


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "7",
        7,
        b"\xff",
        "[" * 100_000,
        '{"attempts":3}',
        '{"attempts":[{}]}',
        '{"attempts":[{"number":1,"outcome":"odd","node":null,"started_at":null,"finished_at":null,"error":null}]}',
        '{"attempts":[{"number":"1","outcome":"failed","node":1,"started_at":1,"finished_at":1,"error":1}]}',
        '{"report":{"progress":7,"message":null,"log":null}}',
        '{"report":{"progress":null,"message":1,"log":null}}',
    ],
)
def test_damaged_notes_are_as_if_they_had_not_been_told(damaged: object) -> None:
    assert notes_from_text(damaged) == ((), None)
