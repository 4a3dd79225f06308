"""The command `apsched next`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apsched.cli.texts import read_time
from apsched.triggers.base import BaseTrigger
from apsched.triggers.clock_changes import remarks
from apsched.triggers.cron import CronTrigger
from apsched.triggers.texts import read_length, read_trigger
from tests.cli.conftest import Shell

HELSINKI = ("--timezone", "Europe/Helsinki", "--from", "2026-03-01 12:00")


def test_a_schedule_is_said_in_words_with_its_next_times(shell: Shell) -> None:
    done = shell("next", "30 2 * * mon-fri", "-n", "2", *HELSINKI)

    assert done.code == 0
    assert done.out.splitlines()[:4] == [
        "At 02:30 on Monday to Friday, in Europe/Helsinki (EET).",
        "",
        "Mon 2026-03-02 02:30:00 EET  in 14 h",
        "Tue 2026-03-03 02:30:00 EET  in 38 h",
    ]


def test_an_interval_counts_from_now_and_warns_of_clock_changes(shell: Shell) -> None:
    done = shell("next", "every 1 day", "-n", "1", *HELSINKI)

    assert "Every day, in Europe/Helsinki" in done.out
    assert "Mon 2026-03-02 12:00:00 EET" in done.out
    assert "Clocks change on 2026-03-29" in done.out


def test_json_has_words_times_and_remarks(shell: Shell) -> None:
    document = shell("next", "30 3 * * *", "-n", "1", "--json", *HELSINKI).json

    assert document["words"] == "at 03:30 every day"
    assert document["next_times"] == ["2026-03-02T03:30:00+02:00"]
    assert document["remarks"] == [
        "On 2026-03-29 clocks skip 03:30: it comes at 04:00 instead.",
        "On 2026-10-25 clocks show 03:30 twice: it comes the first time only.",
    ]


def test_what_never_comes_is_said(shell: Shell) -> None:
    assert "It does not come any more." in shell("next", "0 0 30 2 *").out


def test_the_next_times_of_a_job_are_told(store: str, shell: Shell) -> None:
    done = shell("next", "nightly", "--from", "2026-03-06 12:00", "-n", "1", "--json")

    assert done.json["next_times"] == ["2026-03-09T03:00:00+00:00"]
    assert shell("next", "resting", "--json").json["next_times"] == []
    assert "nor the id of a job in the store" in shell("next", "gone").err


@pytest.mark.parametrize("options", [{}, {"on_gap": "skip"}, {"on_fold": "both"}])
@pytest.mark.parametrize("crontab", ["30 3 * * *", "*/20 3 * * *", "*/20 * * * *", "15,45 2-4 * * *", "0 12 * * *"])
def test_remarks_say_what_the_trigger_does(crontab: str, options: dict[str, str]) -> None:
    trigger = CronTrigger.from_crontab(crontab, "Europe/Helsinki", **options)  # type: ignore[arg-type]
    begin = datetime(2026, 3, 1, tzinfo=UTC)

    found = remarks(trigger, begin, trigger.timezone)

    gap = times(trigger, datetime(2026, 3, 29, 1, tzinfo=UTC), 1)
    fold = times(trigger, datetime(2026, 10, 25, 0, tzinfo=UTC), 2)
    expected = set()
    if 3 in hours(trigger):
        moved = not trigger.fields[5].is_open and trigger.on_gap == "next"
        assert (gap[:1] == ["04:00"]) is (moved or trigger.fields[5].is_open)
        expected.add("it comes at 04:00 instead" if moved else "it does not come then")
        expected.add("both times" if len(fold) > len(set(fold)) else "the first time only")
    assert {text for text in expected if any(text in remark for remark in found)} == expected
    assert len(found) == len(expected)


def times(trigger: BaseTrigger, begin: datetime, count: int) -> list[str]:
    """Return the local times in the *count* hours from *begin* on."""
    found, moment = [], trigger.get_next_fire_time(None, begin)
    while moment is not None and moment.astimezone(UTC) < begin + timedelta(hours=count):
        found.append(f"{moment:%H:%M}")
        moment = trigger.get_next_fire_time(moment, moment)
    return found


def hours(trigger: CronTrigger) -> list[int]:
    return [hour for hour in range(24) if trigger.fields[5].bits >> hour & 1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("1h30m", 5400), ("90 seconds", 90), ("1 day and 12 hours", 129_600), ("0.5s", 0.5), ("minute", 60)],
)
def test_lengths_are_read(text: str, seconds: float) -> None:
    assert read_length(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "5 parsecs", "m5", "0s", "-5m"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a length of time must be"):
        read_length(text)


@pytest.mark.parametrize("text", ["@every 5m", "every 5 minutes", "5m", "*/5 * * * *", "0 */5 * * * *", "@daily"])
def test_schedules_are_read(text: str) -> None:
    assert read_trigger(text, UTC) is not None


def test_what_is_no_schedule_may_be_a_job() -> None:
    assert read_trigger("nightly-report", UTC) is None
    assert read_trigger("tick 5m", UTC) is None


def test_times_are_read_relative_to_now() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert read_time("-2h", UTC, now, "--since") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert read_time("now", UTC, now, "--since") == now
    assert read_time("2026-03-02 08:30", UTC, now, "--since") == datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
    assert read_time(None, UTC, now, "--since") is None


def test_the_example_of_the_documentation_is_what_is_printed(shell: Shell) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/cli.md").read_text(encoding="utf-8")
    line, _, printed = page.partition("```console\n$ apsched ")[2].partition("```")[0].partition("\n")

    assert shell(*shlex.split(line)).out == printed


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['apsched', 'next', '0 3 * * *', '--timezone', 'Europe/Helsinki']\n"
        "from apsched.cli import main\n"
        "assert main() == 0\n"
        "heavy = {'sqlalchemy', 'rich', 'apsched.async_scheduler', 'apsched.engine.loop', 'redis', 'pymongo'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("At 03:00 every day, in Europe/Helsinki")
