"""How a string is shown to a person who must judge it: nothing in it is hidden, nothing in it moves the cursor. Pure.

What is shown in a table is cleaned (`model.text.clean`); what is approved is spelled, so that every character of it is
on the screen: those that deceive as an escape, and what is odd about the string in words beside it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

LONG = 200  # characters; beyond two lines of a terminal, the end of an argument is no longer seen with its beginning
NAMED = 3  # odd letters that are named; more make a line nobody reads

# Shown as nothing although they are letters or signs: Hangul fillers and the blank Braille pattern.
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"
_AS_LETTERS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IN_QUOTES = {'"': '\\"', "\\": "\\\\"}


def spell(text: str) -> str:
    r"""In double quotes: `\x1b` for what is not printed, a `\x20` for each space after a space."""
    return '"' + "".join(_IN_QUOTES.get(one, one) for one in _spelled(text)) + '"'


def unhide(text: str) -> str:
    r"""The same for words that are read and not run: no quotes, and nothing done to those in it."""
    return "".join(_spelled(text))


def oddities(text: str) -> Iterator[str]:
    """What an eye could miss in a string, in words."""
    hidden = [character for character in text if _hides(character)]
    if hidden:
        yield f"holds what a terminal would not show: {', '.join(_points(hidden))}"
    foreign = [character for character in text if not character.isascii() and not _hides(character)]
    if foreign:
        yield f"holds characters outside ASCII: {', '.join(_points(foreign))}"
    if len(text) > LONG:
        yield f"is {len(text):,} characters long: read it to its end"


def _spelled(text: str) -> Iterator[str]:
    before = ""
    for character in text:
        if character in _AS_LETTERS:
            yield _AS_LETTERS[character]
        elif _hides(character) or character == before == " ":
            yield _escape(character)
        else:
            yield character
        before = character


def _hides(character: str) -> bool:
    return (
        not character.isprintable() or character in _BLANK or unicodedata.category(character) in ("Mn", "Me")
    )  # marks that stand on the character before


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _points(characters: list[str]) -> Iterator[str]:
    different = list(dict.fromkeys(characters))
    for character in different[:NAMED]:
        yield f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
    if len(different) > NAMED:
        yield f"and {len(different) - NAMED} more"
