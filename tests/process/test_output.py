"""What a server says on stderr: kept within bounds, in whole lines, its own, and safe to show."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.model.text import clean
from roundhouse.process import output
from roundhouse.process.output import LAST_LINES, LONGEST_LINE, READ_SIZE, RING, StderrRing

ALL = 10**9  # lines


class Stderr:
    """A server's stderr: what its processes write there is read at once, as far as the ring reads at all."""

    def __init__(self) -> None:
        self.ring = StderrRing(bytes, lambda line: None)
        self._ends: list[tuple[int, int]] = []
        self.begin()

    def begin(self) -> None:
        """A new process of the server."""
        ours, theirs = os.pipe()
        self._ends.append((ours, theirs))
        self.ring.follow(ours)

    def write(self, data: bytes) -> None:
        """Write, and let the ring read, as much at a time as a pipe holds."""
        for start in range(0, len(data), READ_SIZE):
            self.write_unread(data[start : start + READ_SIZE])
            self.ring.last(1)

    def write_unread(self, data: bytes) -> None:
        """Write, and go before anything was read."""
        assert os.write(self._ends[-1][1], data) == len(data)

    def end(self) -> None:
        """The process is gone, and so is its end of the pipe."""
        ours, theirs = self._ends.pop()
        os.close(theirs)
        self.ring.release(ours)

    def close(self) -> None:
        while self._ends:
            self.end()


def on_stderr(scene: Callable[[Stderr], Any]) -> Any:
    """What a scene on a server's stderr gives. The ring needs an event loop, though nothing here waits."""

    async def play() -> Any:
        stderr = Stderr()
        try:
            return scene(stderr)
        finally:
            stderr.close()

    return asyncio.run(play())


def last_after(*written: bytes, count: int = ALL) -> list[str]:
    def scene(stderr: Stderr) -> list[str]:
        for data in written:
            stderr.write(data)
        return stderr.ring.last(count)

    lines: list[str] = on_stderr(scene)
    return lines


# -- lines


def test_the_last_lines_come_oldest_first() -> None:
    assert last_after(b"one\ntwo\nthree\n", count=2) == ["two", "three"]


def test_a_line_that_has_not_ended_is_shown_as_far_as_it_came() -> None:
    assert last_after(b"one\ntw") == ["one", "tw"]
    assert last_after(b"one\ntw", b"o\n") == ["one", "two"]


def test_blank_lines_are_not_shown_and_take_no_place() -> None:
    assert last_after(b"one\n\n \r\n\ttwo\t\r\n\n\x1b[0m\n", count=2) == ["one", "\ttwo"]


def test_no_lines_are_no_lines() -> None:
    assert last_after() == last_after(b"\n\n") == []


def test_asked_for_no_lines_it_gives_none() -> None:
    assert last_after(b"one\ntwo\n", count=0) == []


def test_bytes_that_are_no_text_are_shown_as_missing() -> None:
    assert last_after(b"caf\xe9 \xff\n") == ["caf\ufffd \ufffd"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"\n", b"one\n", b"two", "é\n".encode(), b"\r\n"]),
            st.sampled_from([LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 3 * LONGEST_LINE]).map(
                lambda n: b"x" * n
            ),
        ),
        max_size=8,
    ).map(b"".join),
    st.lists(st.integers(min_value=0), max_size=6),
)
def test_however_it_is_written_it_is_the_same_lines(data: bytes, cuts: list[int]) -> None:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    parts = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    assert last_after(*parts) == last_after(data)
    assert "".join(last_after(data)) == data.decode().replace("\n", "").replace("\r", "")


# -- bounds


def test_a_long_line_is_cut_into_pieces_none_of_which_is_lost() -> None:
    for end in (b"", b"\n"):
        lines = last_after(b"x" * (2 * LONGEST_LINE + 1) + end)
        cut = [LONGEST_LINE, LONGEST_LINE, 1] if end else [LONGEST_LINE, LONGEST_LINE + 1]  # it may go on
        assert list(map(len, lines)) == cut


def lines_of(count: int) -> bytes:
    return b"".join(b"line %06d\n" % number for number in range(count))


@pytest.mark.parametrize(
    "flood",
    [lines_of(60_000), b"\n" * 80_000, b"x" * 3 * RING, b"x\n" * 60_000, (b"y" * (LONGEST_LINE + 1) + b"\n") * 400],
    ids=["lines", "empty lines", "one line", "short lines", "long lines"],
)
def test_no_flood_takes_more_memory_than_a_few_rings(flood: bytes) -> None:
    def scene(stderr: Stderr) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            for start in range(0, len(flood), READ_SIZE):
                stderr.write_unread(flood[start : start + READ_SIZE])
                stderr.ring._read(stderr._ends[-1][0])  # as the loop does; `last` copies all there is
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert on_stderr(scene) <= 2 * RING


def test_of_a_flood_the_end_is_kept() -> None:
    lines = last_after(lines_of(60_000))
    assert lines[-1] == "line 059999"
    assert sum(map(len, lines)) <= RING
    assert len(lines) > 10_000
    first = int(lines[0].split()[1])
    assert lines == [f"line {number:06d}" for number in range(first, 60_000)]


def test_the_last_lines_of_a_full_ring_are_found_without_looking_at_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are put into every error, and into one for each call in flight when a server dies."""
    looked_at = 0

    def counted(text: str) -> str:
        nonlocal looked_at
        looked_at += 1
        return clean(text)

    def scene(stderr: Stderr) -> list[str]:
        stderr.write(lines_of(10_000))
        monkeypatch.setattr(output, "clean", counted)
        return stderr.ring.last_words()

    assert len(on_stderr(scene)) == LAST_LINES
    assert looked_at <= 10 * LAST_LINES


# -- over the lives of a server


def lives(*written: bytes) -> Callable[[Stderr], tuple[list[str], list[str]]]:
    """One process after the other, each having written this and gone: all lines, and the last words."""

    def scene(stderr: Stderr) -> tuple[list[str], list[str]]:
        for number, data in enumerate(written):
            if number:
                stderr.end()
                stderr.begin()
            stderr.write(data)
        return stderr.ring.last(ALL), stderr.ring.last_words()

    return scene


def test_lines_are_kept_over_restarts_and_the_last_words_are_the_last_process_s() -> None:
    assert on_stderr(lives(b"old\n", b"new\n")) == (["old", "new"], ["new"])


def test_a_process_that_went_in_the_middle_of_a_line_does_not_spoil_the_next_ones() -> None:
    assert on_stderr(lives(b"half a li", b"new\n")) == (["half a li", "new"], ["new"])


def test_of_many_words_only_the_last_few_are_last_words() -> None:
    _, words = on_stderr(lives(b"old\n", lines_of(20)))
    assert words == [f"line {number:06d}" for number in range(20 - LAST_LINES, 20)]


def test_a_process_that_said_nothing_has_no_last_words() -> None:
    assert on_stderr(lives(b"old\n", b"")) == (["old"], [])


@pytest.mark.parametrize("blank", [b"\n", b"\n\n\n", b" \t\r\n", b"\x1b[0m"])
def test_a_process_that_said_only_blanks_has_no_last_words(blank: bytes) -> None:
    assert on_stderr(lives(b"old\n", blank)) == (["old"], [])


def test_blank_lines_take_no_place_among_the_last_words() -> None:
    _, words = on_stderr(lives(b"old\n", b"boom\n" + b"\n" * 9))
    assert words == ["boom"]


def test_all_pieces_of_a_long_line_are_last_words() -> None:
    _, words = on_stderr(lives(b"old\n", b"x" * (2 * LONGEST_LINE + 1) + b"\n"))
    assert list(map(len, words)) == [LONGEST_LINE, LONGEST_LINE, 1]


def test_what_a_process_wrote_just_before_it_went_is_among_its_last_words() -> None:
    def scene(stderr: Stderr) -> list[str]:
        stderr.write_unread(b"boom\n")
        return stderr.ring.last_words()

    assert on_stderr(scene) == ["boom"]


def test_what_is_still_in_the_pipe_is_taken_when_the_process_is_released() -> None:
    def scene(stderr: Stderr) -> list[str]:
        stderr.write_unread(b"boom\n")
        stderr.end()
        return stderr.ring.last(ALL)

    assert on_stderr(scene) == ["boom"]


def test_a_descriptor_is_closed_at_its_end_and_no_later_one_in_its_place() -> None:
    def scene(stderr: Stderr) -> None:
        ours, theirs = stderr._ends.pop()
        os.close(theirs)
        stderr.ring.last(1)  # reads the end, and closes
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(ours)
        other = os.open(os.devnull, os.O_RDONLY)
        assert other == ours
        stderr.ring.release(ours)
        os.fstat(other)
        os.close(other)

    on_stderr(scene)


def test_what_nobody_may_see_is_taken_out_before_it_is_kept_wherever_a_line_is_cut() -> None:
    told: list[bytes] = []
    secret = b"the-secret-value"
    ring = StderrRing(lambda data: data.replace(secret, b"[secret:X]"), told.append)

    async def use() -> None:
        ours, theirs = os.pipe()
        ring.follow(ours)
        for before in (b"", b"y" * (LONGEST_LINE - 5), b"y" * (2 * LONGEST_LINE - 5)):
            os.write(theirs, before + secret + b"\n")
            os.write(theirs, before + secret[:7])
            ring.last(1)
            os.write(theirs, secret[7:] + b"z" * 3 * LONGEST_LINE + b"\n")
            ring.last(1)
        os.close(theirs)
        ring.release(ours)

    asyncio.run(use())
    shown = "".join(ring.last(ALL)).encode()
    assert shown.count(b"[secret:X]") == b"".join(told).count(b"[secret:X]") == 6
    assert secret[:9] not in shown + b"".join(told)
