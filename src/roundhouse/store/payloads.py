"""What the call log keeps of arguments and results: redacted first, cut afterwards. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from roundhouse.model.calls import KEPT

LONGEST_SECRET = 4096  # characters; where a text was cut before it was redacted, so much of its end may be part of one

Redact = Callable[[str], str]

_TOKEN = re.compile(
    r'"(?:[^"\\]++|\\.|\\\Z)*+(?:"(?P<key>\s*+:)?|(?P<cut>\Z))'
    r"|(?P<number>-?\d[\d.eE+-]*+)|(?P<boolean>true|false)|(?P<null>null)|(?P<mark>[\[\]{},])",
    re.DOTALL,
)


class Payloads(StrEnum):
    """What is kept of what is called with and answered."""

    FULL = "full"
    SHAPE = "shape"  # the keys and types of JSON
    NONE = "none"


def payload(data: bytes, whole: int, redact: Redact, how: Payloads) -> str:
    """What is kept of it.

    Args:
        data: its first bytes.
        whole: how many there were.
    """
    if how is Payloads.NONE or not data:
        return ""
    text = data.decode(errors="replace")
    if how is Payloads.SHAPE:
        return plain(redact(shape(text)))[:KEPT]
    shown = redact(text)
    if whole > len(data):
        shown = shown[:-LONGEST_SECRET]
    return plain(shown)[:KEPT]


def shape(text: str) -> str:
    """JSON with `string`, `number` and `boolean` instead of values; of a text that was cut, as far as it goes."""
    return "".join(_shape_of(token) for token in _TOKEN.finditer(text))


def plain(text: str) -> str:
    """Without what a database does not take: halves of surrogate pairs, NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _shape_of(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "key":
            return f"{token[0][:-1].rstrip()}: "
        case "cut":
            return ""
        case "mark":
            return ", " if token[0] == "," else token[0]
        case "number" | "boolean" | "null" as kind:
            return kind
        case _:
            return "string"
