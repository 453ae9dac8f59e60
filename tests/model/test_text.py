"""Text of strangers: what could trick a terminal or a reader is gone, ordinary text stays."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.model.text import clean, shorten

LONG = 4096  # characters


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[?25l\x1b[38;5;196mx", "x"),
        ("\x9b31mred", "31mred"),
        ("\x1b\x1b[31m[31mx", "[31mx"),
        ("10%\r20%", "10%20%"),
        ("a\bb\x07", "ab"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u200bb\ufeffc\u2060d", "abcd"),
        ("a\U000e0041\U000e007fb", "ab"),
        ("a\x00b", "ab"),
    ],
)
def test_what_a_terminal_or_a_reader_would_be_tricked_by_is_gone(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


@pytest.mark.parametrize(
    "text", ["plain", "tab\tand\nline", "日本語 العربية עברית", "naïve café", "😀 ½ → ✓", "[31m {x}"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_no_control_character_survives_but_tab_and_newline() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert {c for c in clean(everything) if unicodedata.category(c) == "Cc"} <= {"\t", "\n"}


@pytest.mark.parametrize(
    "control", [*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"], ids=ascii
)
def test_no_direction_control_survives(control: str) -> None:
    """Unicode's Bidi_Control property, all of it."""
    assert clean(f"a{control}b") == "ab"


@pytest.mark.parametrize("hidden", [*"\u2064\u206a\U000e0001\U000e0041\U000e0100\U000e01ef"], ids=ascii)
def test_no_character_survives_that_could_hide_a_message(hidden: str) -> None:
    assert clean(f"a{hidden}b") == "ab"


PIECES = st.sampled_from(
    ["\x1b", "[", "]", "\x1b[", "\x1b]", "0", ";", "m", "?", " ", "\x07", "\\", "\x9b", "a", "\u202e", "\n"]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join))
def test_cleaning_leaves_nothing_to_clean(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "\x1b" not in once


@pytest.mark.parametrize("unit", ["\x1b[", "\x1b]", "\x1b[0", "\x1b]0;", "\x1b[;", "\x1b[ "])
def test_cleaning_takes_no_longer_for_text_made_to_be_slow(unit: str) -> None:
    def work(text: str) -> Iterable[str]:
        return [clean(text) for _ in range(50)]

    assert all("\x1b" not in once for once in work(unit * (LONG // len(unit))))
    assert all("\x1b" not in once for once in work(unit + "0" * LONG))


def test_a_shortened_text_is_one_clean_line_and_says_that_it_was_cut() -> None:
    assert shorten("a\nb\x1b[2J") == "a b"
    assert shorten("x" * 101) == "x" * 100 + "..."
    assert shorten("x" * 100) == "x" * 100
