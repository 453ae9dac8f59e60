"""What the reader sees: numbered steps with short lines below them, each printed when it has happened."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

INDENT = " " * 4
LONGEST_RESULT = 150  # characters of an answer that are shown; a demo is read, not studied


class StepFailed(Exception):
    """Something did not do what the demo says it does. The message says what, and what to do about it."""


class Page:
    """The steps so far."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self.steps += 1
        print(f"\n{self.steps:>2}. {title}", flush=True)

    def line(self, text: str) -> None:
        """Say something about the step."""
        print((INDENT + text).rstrip(), flush=True)

    def command(self, words: Sequence[str], said: str) -> None:
        """A command line as it is typed, and everything it printed."""
        self.line(f"$ roundhouse {shlex.join(words)}")
        for line in said.splitlines():
            self.line(line)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows below each other, each column as wide as its widest cell."""
        cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def cut(text: str, longest: int = LONGEST_RESULT) -> str:
    """The text on one line, and no longer than that."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 4]} ..."


def seconds(span: float) -> str:
    """A duration as one says it: milliseconds below half a second."""
    return f"{span * 1000:.0f} ms" if span < 0.5 else f"{span:.1f} s"
