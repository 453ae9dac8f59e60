"""Lines out of bytes: the same whatever the chunks, and no more of them in memory than the limit."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.wire.framing import ENDLESS, HEAD, TAIL, Frame, LineSplitter, Overlong

LIMIT = HEAD + 904  # above HEAD, so that a first report's head is not cut short by where its chunk happened to end

PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"\n", b"\n\n", b"\r\n", b" \t \n", b"\x00\xff\n", b'{"a":1}\n', b"\x0b\x0c\n", b"\r"]),
    st.builds(
        lambda byte, size: byte * size,
        st.sampled_from([b"x", b" ", b"\r", b"\xff"]),
        st.sampled_from([1, TAIL, HEAD, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT]),
    ),
)
STREAMS = st.lists(PIECES, max_size=9).map(b"".join)


def chunks(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The stream cut at these places (taken modulo its length)."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def fed(parts: Iterable[bytes], limit: int = LIMIT) -> list[Frame]:
    splitter = LineSplitter(limit)
    return [frame for part in parts for frame in splitter.feed(part)]


def read_at_once(stream: bytes) -> list[Frame]:
    """What the lines of a stream are, said as simply as possible. A first report counts one byte above the limit."""
    *lines, rest = stream.split(b"\n")
    frames: list[Frame] = []
    for line in lines:
        if len(line) > LIMIT:
            frames += [
                Overlong(line[:HEAD], None, LIMIT + 1),
                Overlong(line[:HEAD], line[-TAIL:], len(line)),
            ]
        elif line.strip():
            frames.append(line)
    if len(rest) > LIMIT:
        frames.append(Overlong(rest[:HEAD], None, LIMIT + 1))
    return frames


def without_chance(frames: Sequence[Frame]) -> list[Frame]:
    """The frames without what may depend on the chunks: how far a first report had read. Endless lines: see below."""
    return [
        Overlong(frame.head, None, LIMIT + 1) if isinstance(frame, Overlong) and frame.tail is None else frame
        for frame in frames
        if isinstance(frame, bytes) or not frame.endless
    ]


@settings(deadline=None, max_examples=300)
@given(STREAMS, st.lists(st.integers(min_value=0), max_size=12))
def test_any_chunking_of_any_bytes_gives_the_same_lines(stream: bytes, cuts: list[int]) -> None:
    assert without_chance(fed(chunks(stream, cuts))) == read_at_once(stream)


@settings(deadline=None, max_examples=30)
@given(STREAMS.filter(lambda stream: len(stream) < 3 * LIMIT))
def test_single_bytes_give_the_same_lines_as_one_chunk(stream: bytes) -> None:
    assert without_chance(fed(stream[at : at + 1] for at in range(len(stream)))) == read_at_once(stream)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9))
def test_every_line_that_is_not_blank_comes_out_once_and_in_order(lines: list[bytes]) -> None:
    assert fed([b"\n".join(lines) + b"\n"]) == [line for line in lines if line.strip()]


def test_a_line_is_held_until_its_newline_comes() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a"') == []
    assert splitter.feed(b":1}") == []
    assert splitter.feed(b'\n{"b":') == [b'{"a":1}']
    assert splitter.feed(b"2}\n") == [b'{"b":2}']


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"  \n", b"\t\r\n", b"\n\n\n"])
def test_blank_lines_are_dropped(blank: bytes) -> None:
    assert fed([blank + b"1\n" + blank]) == [b"1"]
    assert fed(bytes([byte]) for byte in blank + b"1\n" + blank) == [b"1"]


def test_a_line_that_ends_as_on_windows_is_still_json() -> None:
    assert [msgspec.json.decode(line) for line in fed([b'{"a":1}\r\n[2]\r\n']) if isinstance(line, bytes)] == [
        {"a": 1},
        [2],
    ]


@pytest.mark.parametrize("cut", [0, 1, LIMIT - 1, LIMIT])
def test_a_line_of_exactly_the_limit_is_a_line(cut: int) -> None:
    line = b"x" * LIMIT
    assert fed([line[:cut], line[cut:], b"\n"]) == [line]
    assert fed([line[:cut], line[cut:] + b"\n"]) == [line]


@pytest.mark.parametrize("cut", [0, 1, LIMIT, LIMIT + 1])
def test_one_byte_more_is_reported_when_it_comes_and_again_at_its_newline(cut: int) -> None:
    line = b"h" * LIMIT + b"t"
    assert fed([line[:cut], line[cut:], b"\n"]) == [
        Overlong(b"h" * HEAD, None, LIMIT + 1),
        Overlong(b"h" * HEAD, b"h" * (TAIL - 1) + b"t", LIMIT + 1),
    ]


def test_the_crossing_of_the_limit_is_told_before_the_line_has_ended() -> None:
    splitter = LineSplitter(LIMIT)
    assert splitter.feed(b"x" * LIMIT) == []
    assert splitter.feed(b"x") == [Overlong(b"x" * HEAD, None, LIMIT + 1)]
    assert splitter.feed(b"x") == []


def test_the_line_after_an_overlong_one_is_whole() -> None:
    assert fed([b"before\n" + b"x" * 2 * LIMIT, b"x\nafter\n"])[-1] == b"after"


def test_the_tail_is_the_end_of_the_line_even_when_it_comes_in_crumbs() -> None:
    end = bytes(range(ord("A"), ord("Z") + 1)) * 10
    frames = fed([b"x" * (LIMIT + 1), *(end[at : at + 3] for at in range(0, len(end), 3)), b"\n"])
    assert frames[-1] == Overlong(b"x" * HEAD, end[-TAIL:], LIMIT + 1 + len(end))


@pytest.mark.parametrize("size", [1000, HEAD, LIMIT, 3 * LIMIT, 2 * ENDLESS * LIMIT])
def test_a_line_without_end_is_called_endless_once_however_it_is_cut(size: int) -> None:
    stream = b"x" * (2 * ENDLESS * LIMIT)
    frames = fed(stream[at : at + size] for at in range(0, len(stream), size))
    assert [frame.endless for frame in frames if isinstance(frame, Overlong)] == [False, True]


def test_a_line_of_just_the_endless_size_is_only_overlong() -> None:
    frames = fed([b"x" * LIMIT] * ENDLESS)
    assert [frame.endless for frame in frames if isinstance(frame, Overlong)] == [False]


@pytest.mark.parametrize("size", [64 * 1024, 4 * 1024, 2])
def test_a_line_below_the_limit_costs_at_most_three_times_the_limit_whatever_its_chunks(size: int) -> None:
    limit = 256 * 1024
    line = b"xy" * (limit // 2)
    splitter = LineSplitter(limit)
    tracemalloc.start()
    try:
        for at in range(0, len(line), size):
            splitter.feed(line[at : at + size])
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert splitter.feed(b"\n") == [line]
    assert held <= peak <= 3 * limit


def test_an_overlong_line_is_not_held() -> None:
    limit, chunk = 256 * 1024, b"x" * 64 * 1024
    splitter = LineSplitter(limit)
    tracemalloc.start()
    try:
        for _ in range(400):
            splitter.feed(chunk)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held <= 3 * HEAD
    assert peak <= 3 * limit


def test_the_time_for_a_line_grows_with_its_length_and_not_with_its_square() -> None:
    chunk = b"x" * 1024

    def seconds(parts: int) -> float:
        def once() -> float:
            splitter = LineSplitter(parts * len(chunk))
            before = time.process_time()
            for _ in range(parts):
                splitter.feed(chunk)
            assert len(splitter.feed(b"\n")) == 1
            return time.process_time() - before

        return min(once() for _ in range(3))

    seconds(100)
    assert seconds(16_000) < 64 * seconds(1_000)  # linear is 16 times, quadratic 256 times
