"""What a text format has to offer, so that one member can be changed and every other character stays.

`jsonc` and `toml` are modules that satisfy `Format`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Keys = Sequence[str]  # the keys that lead from the top of a document to a member


class Malformed(Exception):
    """A text is not of its format. `what` repeats nothing of the text but single characters and keys."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what)
        self.what, self.line, self.column = what, line, column


class Unwritable(Exception):
    """A member is written in a way that cannot be changed without rewriting what stands around it."""


class Format(Protocol):
    def parse(self, text: str) -> Any:
        """What the text holds; an empty object where it holds nothing. Raises: `Malformed`."""

    def put(self, text: str, keys: Keys, value: Any) -> str:
        """The text with this member set. What leads to it is made; null on the way is replaced.

        Only for text that `parse` takes. Raises: `Unwritable`.
        """

    def drop(self, text: str, keys: Keys) -> str:
        """The text without this member; the same text where it has none. Raises: `Unwritable`."""


def newline_of(text: str) -> str:
    """How the lines of a text end, judged by its first."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"
