"""Draw tables, in place where the terminal can, and the board of the demo (layer 10)."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import attrs

from apsched.demo.board import Board, Line, what_came_of
from apsched.demo.jobs import files
from apsched.run import Outcome, Run

Style = Literal["", "bold", "dim", "good", "bad", "odd"]
CODES = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "odd": "33"}
STYLES: dict[Outcome, Style] = {
    Outcome.SUCCEEDED: "good",
    Outcome.FAILED: "bad",
    Outcome.MISSED: "odd",
    Outcome.SKIPPED: "odd",
}
PLACES = {"asyncio": "event loop", "default": "thread", "processes": "process"}
NARROWEST = 40  # columns


@attrs.frozen
class Column:
    """
    A column of a table.

    Attributes:
        title: Its head.
        width: In characters; 0 for what the others leave.
        is_right: Whether its cells are aligned to the right.
        from_width: It is left out if the screen has fewer columns of characters than that.
    """

    title: str
    width: int
    is_right: bool = False
    from_width: int = 0


@attrs.frozen
class Cell:
    """A text and how it is shown."""

    text: str
    style: Style = ""


class Screen:
    """
    Where the demo is shown.

    Attributes:
        is_live: Whether what is drawn replaces what was drawn before; otherwise it follows it.
        width: Columns of characters.
        height: Lines.
    """

    def __init__(self) -> None:
        can_move = os.name != "nt" or "WT_SESSION" in os.environ
        self.is_live: bool = sys.stdout.isatty() and can_move and os.environ.get("TERM") != "dumb"
        self._has_colours = self.is_live and "NO_COLOR" not in os.environ
        self._drawn = 0  # lines to go up before drawing again
        self.width: int = 0
        self.height: int = 0
        self.measure()

    def measure(self) -> None:
        """Ask how large the terminal is; it may have been changed."""
        size = shutil.get_terminal_size((100, 50))
        self.width = max(size.columns, NARROWEST)
        self.height = size.lines

    def draw(self, lines: Sequence[str]) -> None:
        """Show *lines* in place of those of the last call."""
        if self.is_live:
            lines = lines[: self.height - 1]
            back = f"\x1b[{self._drawn}F" if self._drawn else ""
            sys.stdout.write(back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
            self._drawn = len(lines)
        else:
            sys.stdout.write("\n" + "\n".join(lines) + "\n")
        sys.stdout.flush()

    def keep(self) -> None:
        """Leave what is drawn and go on below."""
        self._drawn = 0

    def styled(self, text: str, style: Style) -> str:
        """Return *text* as it is to be written."""
        return f"\x1b[{CODES[style]}m{text}\x1b[0m" if style and self._has_colours else text

    def wrapped(self, lines: Iterable[str]) -> list[str]:
        """Return *lines*, those that are too long as several."""
        return [part for line in lines for part in textwrap.wrap(line, self.width, break_on_hyphens=False)]

    def heading(self, text: str, rest: str = "") -> list[str]:
        """Return an empty line and a heading."""
        return ["", self.styled(text, "bold") + self.styled(cut(rest, self.width - len(text)), "dim")]

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> list[str]:
        """Return the lines of a table as wide as the screen; *rows* have a cell for each of *columns*."""
        shown = [index for index, column in enumerate(columns) if self.width >= column.from_width]
        fixed = sum(columns[index].width for index in shown) + 2 * (len(shown) - 1)
        widths = {index: columns[index].width or self.width - fixed for index in shown}

        def line(cells: Sequence[Cell], style: Style = "") -> str:
            parts = []
            for index in shown:
                text = cut(cells[index].text, widths[index])
                pad = " " * (widths[index] - len(text))
                text = self.styled(text, style or cells[index].style) if text else ""
                parts.append(pad + text if columns[index].is_right else text + pad)
            return "  ".join(parts).rstrip()

        return [line([Cell(column.title) for column in columns], "dim"), *map(line, rows)]


def cut(text: str, width: int) -> str:
    """Return *text* if it has at most *width* characters, else its beginning and dots."""
    if len(text) <= width:
        return text
    return text[: max(width - 2, 0)] + ".."[: max(width, 0)]


BOARD = (
    Column("job", 11),
    Column("runs in", 10),
    Column("last at", 8),
    Column("outcome", 9),
    Column("late ms", 7, is_right=True),
    Column("took s", 6, is_right=True, from_width=100),
    Column("next", 6, is_right=True),
    Column("ok", 3, is_right=True),
    Column("fail", 4, is_right=True),
    Column("not", 3, is_right=True),
    Column("trigger", 0, from_width=100),
)


def draw_board(screen: Screen, board: Board, now: datetime, title: str, folder: Path) -> None:
    """
    Show what ran last and what comes next.

    Args:
        screen: Where.
        board: What is known.
        now: Aware, in the zone in which times are shown.
        title: The first line.
        folder: The work folder, whose files are listed.
    """
    screen.measure()
    lines = [screen.styled(cut(title, screen.width), "bold"), ""]
    lines += screen.table(BOARD, (board_row(line, now) for line in board.lines.values()))
    lines += screen.heading("Did not succeed", " (the last ones)")
    room = max(screen.height - len(lines) - 4, 1)  # the files and the cursor need four lines
    lines += [news_line(screen, run, now) for run in list(board.news)[-room:]] or [
        screen.styled("nothing so far", "dim")
    ]
    lines += screen.heading("Files")
    lines.append(cut("  ".join(list_folder(folder)), screen.width))
    screen.draw(lines)


def board_row(line: Line, now: datetime) -> list[Cell]:
    """Return the cells of one job."""
    job, last = line.job, line.last
    return [
        Cell(job.id),
        Cell(PLACES.get(job.executor, job.executor)),
        Cell("" if last is None else f"{(last.started_at or last.nominal_time).astimezone(now.tzinfo):%H:%M:%S}"),
        Cell("running", "bold") if line.under_way else outcome_cell(last),
        Cell("" if last is None or last.lateness is None else f"{last.lateness * 1000:.1f}"),
        Cell("" if last is None or last.duration is None else f"{last.duration:.3f}"),
        Cell(time_until(line.next_run_time, now)),
        Cell(number(line.succeeded), "good"),
        Cell(number(line.failed), "bad"),
        Cell(number(line.not_run), "odd"),
        Cell(str(job.trigger), "dim"),
    ]


def outcome_cell(run: Run | None) -> Cell:
    """Return the word for what became of *run*, in its colour."""
    return Cell("") if run is None else Cell(run.outcome.value, STYLES.get(run.outcome, ""))


def news_line(screen: Screen, run: Run, now: datetime) -> str:
    """Return a line about a run that did not succeed."""
    cell = outcome_cell(run)
    start = f"{run.nominal_time.astimezone(now.tzinfo):%H:%M:%S} {run.job_id:11} "
    rest = cut(f" {what_came_of(run)}", screen.width - len(start) - 9)
    return start + screen.styled(f"{cell.text:9}", cell.style) + rest


def number(value: int) -> str:
    """Return *value* as text; a dot for zero, so that the eye finds the others."""
    return str(value) if value else "."


def time_until(moment: datetime | None, now: datetime) -> str:
    """Say how far away *moment* is; a dash for never."""
    if moment is None:
        return "-"
    seconds = (moment - now).total_seconds()
    if seconds < 100:
        return f"{max(seconds, 0):.1f} s"
    for unit, length in (("min", 60), ("h", 3600), ("d", 86400)):
        if seconds < 100 * length or unit == "d":
            return f"{seconds / length:.0f} {unit}"
    return ""


def list_folder(folder: Path) -> list[str]:
    """Return the files in the work folder with their sizes, and the folders with the number of their files."""
    sizes: dict[str, list[int]] = {}
    for path, size in files(folder):
        top, *below = path.relative_to(folder).parts
        sizes.setdefault(f"{top}/" if below else top, []).append(size)
    return [
        f"{name} ({len(found)})" if name.endswith("/") else f"{name} {size_text(sum(found))}"
        for name, found in sizes.items()
    ]


def size_text(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size} B" if size < 1000 else f"{size / 1000:.1f} kB"
