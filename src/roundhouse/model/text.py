"""Text of strangers, made fit to be shown: in a log, an error, an answer to a model."""

from __future__ import annotations

import re

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tab and newline
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # what turns directions, breaks lines or has no width
    "\ud800-\udfff"  # halves of surrogate pairs, which no UTF-8 can hold
    "\U000e0000-\U000e01ef]"  # tags and variation selectors, which carry what nobody sees
)


def clean(text: str) -> str:
    """Without terminal commands, direction tricks and invisible characters."""
    return _UNSHOWABLE.sub("", _TERMINAL.sub("", text))


def shorten(text: str, longest: int = 100) -> str:
    """Clean, on one line, and cut to so many characters."""
    line = clean(text[: 10 * longest]).replace("\n", " ")
    return line if len(line) <= longest else f"{line[:longest]}..."
