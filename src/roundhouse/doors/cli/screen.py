"""What a command shows: on a terminal tables, colours and progress; in a pipe plain lines; with --json one document.

Standard output carries what was asked for, standard error what is said about it. Text of strangers is cleaned before it
reaches a terminal. rich costs as much as everything else together, so it is loaded only where there is a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from roundhouse.model.text import clean, shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text

JUDGED = ("", "state", "health")  # columns whose words are told apart at a glance
STYLES = {
    **dict.fromkeys(("ready", "healthy", "ok"), "green"),
    **dict.fromkeys(("starting", "degraded", "backoff", "watch", "warn"), "yellow"),
    **dict.fromkeys(("failed", "sick", "bad", "no"), "red"),
}
LONGEST_LABEL = 60  # characters beside a spinner or a bar
LONGEST_CELL = 400  # characters of one cell on a terminal; a reason is a sentence or two, and a server may write more
NARROW = 70  # columns of a terminal, below which a table has no room for a sentence


class Screen:
    """Where a command's words go. `json` is set by an option, before the first word."""

    def __init__(self) -> None:
        self.json = False

    @property
    def on_terminal(self) -> bool:
        """Whether a person sees what is shown."""
        return not self.json and sys.stdout.isatty()

    @property
    def asks_on(self) -> TextIO | None:
        """Where a person who can answer sees a question; None where there is nobody."""
        if not sys.stdin.isatty():
            return None
        if sys.stderr.isatty():
            return sys.stderr
        return sys.stdout if self.on_terminal else None

    def document(self, answer: object) -> None:
        """The one JSON document. In ASCII, so that nothing in it can be meant for the terminal."""
        print(json.dumps(answer, indent=2))

    def say(self, text: str | None) -> None:
        """A line of what was asked for, if there is one."""
        if text and not self.json:
            print(clean(text))

    def pass_on(self, text: str, *, failed: bool = False) -> None:
        """Text that a server made, whole: cleaned for a terminal, untouched for a pipe. A failure is no output."""
        stream = sys.stderr if failed else sys.stdout
        shown = clean(text) if stream.isatty() else text
        if not self.json:
            print(shown, end="" if shown.endswith("\n") else "\n", file=stream, flush=True)

    def note(self, text: str) -> None:
        """A line about what was asked for."""
        print(clean(text), file=sys.stderr)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under headings; a cell is one line, and None an empty one. In a pipe, nothing of one is cut."""
        if self.json:
            return
        cells = [["" if cell is None else self._in_a_line(str(cell)) for cell in row] for row in rows]
        if self.on_terminal:
            if _columns() < NARROW:
                self._blocks(columns, cells)
            else:
                self._rich_table(columns, cells)
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in [[column.upper() for column in columns], *cells]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    @contextmanager
    def waiting(self, what: str) -> Iterator[OnTerminal | None]:
        """Something to tell that an answer takes its time; it shows a person that it does."""
        if self.json or not sys.stderr.isatty():
            yield None
            return
        with OnTerminal(what) as waiting:
            yield waiting

    def _in_a_line(self, text: str) -> str:
        return shorten(text, LONGEST_CELL if self.on_terminal else len(text))

    def _blocks(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Each row as a block of lines: its first cell, then what the others hold. The terminal breaks long ones."""
        for first, *others in rows:
            print(first)
            for column, text in zip(columns[1:], others, strict=True):
                if text:
                    print(f"  {column} {text}" if column else f"  {text}")

    def _rich_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold", min_width=len(column))
        for row in rows:
            table.add_row(*(_cell(column, text) for column, text in zip(columns, row, strict=True)))
        _console(sys.stdout).print(table)


class OnTerminal:
    """A spinner, which becomes a bar once somebody says how far the work is. Loads rich when it is first needed."""

    def __init__(self, what: str) -> None:
        self._what = shorten(what, LONGEST_LABEL)
        self._open = ExitStack()
        self._bar: tuple[Progress, TaskID] | None = None
        self._spins = False

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._open.close()

    def still(self) -> None:
        """It takes longer than a blink."""
        if not self._spins and not self._bar:
            self._spins = True
            self._open.enter_context(_console(sys.stderr).status(self._text(), spinner="dots"))

    def _text(self) -> Text:
        from rich.text import Text

        return Text(self._what)

    def progress(self, done: float, total: float | None, message: str) -> None:
        """So much of it is done."""
        if not self._bar:
            self._open.close()
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
            bar = self._open.enter_context(Progress(*columns, console=_console(sys.stderr), transient=True))
            self._bar = bar, bar.add_task(self._what, total=None)
        bar, task = self._bar
        bar.update(task, completed=done, total=total, description=shorten(message, LONGEST_LABEL) or self._what)


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _cell(column: str, text: str) -> Text:
    from rich.text import Text

    return Text(text, style=STYLES.get(text, "") if column in JUDGED else "")


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
