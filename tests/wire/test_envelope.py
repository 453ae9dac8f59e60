"""Envelopes: values stay the bytes they were, and what a parser would choke on is refused with a reason."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.wire import envelope
from roundhouse.wire.envelope import (
    MAX_DEPTH,
    Unreadable,
    deeper_than,
    elements,
    join,
    members,
    open_envelope,
    text,
)

# -- JSON as strangers write it

BLANKS = st.sampled_from([b"", b"", b"", b" ", b"\t", b"\r", b"  "])
NUMBERS = st.sampled_from(
    [b"0", b"-0", b"1.10", b"1.0", b"1e400", b"-1E+2", b"1e-400", b"2E02", b"9007199254740993", b"-" + b"9" * 400]
)
# What a string may consist of: plain characters, escapes of all sorts, brackets and quotes that do not count.
CHARACTERS = st.sampled_from(
    [
        *rb"a { } [ ] , : / \" \\ \/ \b \f \n \r \t \u0000 \u00e9 \uD83D\uDE00 \u2028".split(),
        *(character.encode() for character in " \x7fé😀\u2028"),
    ]
)
STRINGS = st.lists(CHARACTERS, max_size=8).map(lambda parts: b'"%b"' % b"".join(parts))
LONE_HALVES = st.sampled_from([rb'"\ud83d"', rb'"a\uDE00b"', rb'"\uD83Dx"', rb'{"x":["\ude00\ud83d"]}'])
NAMES = st.one_of(STRINGS, st.sampled_from([b'"id"', b'"method"', b'"params"', b'"x-unknown"', b'""']))


def an_object(pairs: list[tuple[bytes, bytes, bytes]]) -> bytes:
    return b"{%b}" % b",".join(blank + name + blank + b":" + blank + value + blank for name, value, blank in pairs)


def _list(items: list[tuple[bytes, bytes]]) -> bytes:
    return b"[%b]" % b",".join(blank + item + blank for item, blank in items)


VALUES: st.SearchStrategy[bytes] = st.recursive(
    st.one_of(st.sampled_from([b"null", b"true", b"false", b"{}", b"[]"]), NUMBERS, STRINGS),
    lambda inner: st.one_of(
        st.lists(st.tuples(NAMES, inner, BLANKS), max_size=3).map(an_object),
        st.lists(st.tuples(inner, BLANKS), max_size=3).map(_list),
    ),
    max_leaves=6,
)
MEMBERS = st.lists(
    st.tuples(NAMES, st.one_of(VALUES, VALUES, LONE_HALVES), BLANKS),
    max_size=6,
    unique_by=lambda member: json.loads(member[0]),
)


def exactly(source: bytes) -> Any:
    """The value of JSON text, by a strict parser of somebody else's, with its numbers as they were written."""

    def refuse(name: str) -> object:
        raise ValueError(name)

    return json.loads(source.decode(), parse_constant=refuse, parse_int=str, parse_float=str)


def is_a_json_object(source: bytes) -> bool:
    try:
        return isinstance(exactly(source), dict)
    except ValueError:
        return False


# -- members and join


@settings(deadline=None, max_examples=150)
@given(MEMBERS, BLANKS)
def test_the_value_of_every_member_is_the_bytes_that_were_sent(
    sent: list[tuple[bytes, bytes, bytes]], blank: bytes
) -> None:
    found = open_envelope(blank + an_object(sent) + blank)
    assert {name: bytes(value) for name, value in found.items()} == {json.loads(name): value for name, value, _ in sent}
    assert list(found) == [json.loads(name) for name, _, _ in sent]


@settings(deadline=None, max_examples=150)
@given(MEMBERS)
def test_what_is_joined_again_has_the_same_members_byte_for_byte(sent: list[tuple[bytes, bytes, bytes]]) -> None:
    message = an_object(sent)
    again = b"".join(join(members(message)))
    assert exactly(again) == exactly(message)
    assert {n: bytes(v) for n, v in members(again).items()} == {n: bytes(v) for n, v in members(message).items()}


def test_only_the_member_that_is_replaced_changes() -> None:
    params = rb'{"name":"a__say","arguments":{"n":1.10,"big":1e400},"_meta":{"k":"\u00e9\/"},"t":-0}'
    assert b"".join(join({**members(params), "name": b'"say"'})) == params.replace(b"a__say", b"say")


def test_an_object_without_members_is_joined_to_an_object() -> None:
    assert b"".join(join({})) == b"{}"


def test_a_member_whose_name_is_half_a_surrogate_pair_can_be_joined_again() -> None:
    message = rb'{"name":"x","\ud83d":1}'
    assert exactly(b"".join(join(members(message)))) == exactly(message)


def test_a_message_with_half_a_surrogate_pair_may_hold_a_number_of_any_length() -> None:
    number = b"1" * 5000
    assert bytes(members(b'{"n":%b}' % number)["n"]) == number
    assert bytes(members(rb'{"s":"\ud83d","n":%b}' % number)["n"]) == number


def test_of_a_member_given_twice_the_last_is_taken_whichever_parser_reads_it() -> None:
    assert {n: bytes(v) for n, v in members(rb'{"a":1,"b":"x","a":3}').items()} == {"a": b"3", "b": b'"x"'}
    assert {n: bytes(v) for n, v in members(rb'{"a":1,"b":"\ud83d","a":3}').items()} == {"a": b"3", "b": rb'"\ud83d"'}


# -- what is no message

TOKENS = st.sampled_from(
    [
        *rb'{ } [ ] " : , "a" "a": "b":1 0 01 - 1. .5 1e 1E+5 1.5 +1 true nul NaN -Infinity'.split(),
        *rb'\ / \u \u00e \u00e9 \ud83d \udc00 \q \" "\ud83d" "s":"\ud83d" /* {"a":1} [1]'.split(),
        *(character.encode() for character in " \n\r\x0b\x00\x1f\x7f'é\ufeff"),
    ]
)
FRAMES = st.tuples(
    st.sampled_from([b"", b"{", b'{"a":', rb'{"s":"\ud83d",', rb'{"s":"\ud83d","b":', b'{"a":"', rb'{"a":"\ud83d']),
    st.lists(TOKENS, max_size=5).map(b"".join),
    st.sampled_from([b"", b"}", b'"}', b"]}"]),
).map(b"".join)


@settings(deadline=None, max_examples=600)
@given(FRAMES)
def test_what_is_taken_and_what_is_refused_is_what_a_strict_parser_takes_and_refuses(frame: bytes) -> None:
    if is_a_json_object(frame):
        members(frame)
    else:
        with pytest.raises(Unreadable):
            members(frame)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_unreadable(frame: bytes) -> None:
    try:
        open_envelope(frame)
        taken = True
    except Unreadable:
        taken = False
    assert taken == is_a_json_object(frame)


@pytest.mark.parametrize("lone", [b"", rb'"s":"\ud83d",'], ids=["plain", "with half a surrogate pair"])
@pytest.mark.parametrize(
    "wrong",
    [
        *rb"""  "a":01  "a":1.  "a":+1  "a":.5  "a":1e  "a":NaN  "a":-Infinity  "a":1,  "a"  "a":  'a':1  "a":"\q"
                "a":"\u12"  1:1  "a":/**/1  "a":1}}  "a":1}x  "a":[1,]  "a":{"b":1,}  "a":tru  "a":"  "a":[}""".split(),
        b'"a":1 "b":2',
        b'"a":"\x01"',
        b'"a":"\n"',
    ],
)
def test_each_way_of_being_no_json_is_refused_by_both_parsers(lone: bytes, wrong: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^it is not JSON: "):
        members(b"{" + lone + wrong + b"}")


@pytest.mark.parametrize("end", [b"", b",", b', "b"', b', "b":'])
def test_a_message_that_ends_too_early_is_called_so(end: bytes) -> None:
    for begin in (b'{"a":"x"', rb'{"a":"\ud83d"'):
        with pytest.raises(Unreadable) as caught:
            members(begin + end)
        assert re.search("truncated|too early|column", str(caught.value))


@pytest.mark.parametrize("other", [b"[]", b"1", b"null", b'"x"', b"[{}]"])
def test_json_that_is_no_object_is_called_so(other: bytes) -> None:
    with pytest.raises(Unreadable, match="it is no JSON object"):
        members(other)


@settings(deadline=None)
@given(MEMBERS, st.sampled_from([b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\xbd", b"\xf5\x80\x80\x80", b"\x80"]))
def test_bytes_that_are_not_utf_8_are_named_with_their_place(
    sent: list[tuple[bytes, bytes, bytes]], bad: bytes
) -> None:
    frame = b'{"' + bad + an_object(sent)
    with pytest.raises(Unreadable, match=rf"^byte {bad[0]:#04x} at position 2 is not UTF-8$"):
        open_envelope(frame)
    with pytest.raises(Unreadable, match="is not UTF-8"):
        open_envelope(b'{"a":"' + bad + b'"}')


def test_a_byte_order_mark_is_no_json() -> None:
    with pytest.raises(Unreadable, match="it is not JSON"):
        open_envelope(b'\xef\xbb\xbf{"a":1}')


# -- depth

TEXTS = st.lists(
    st.one_of(st.sampled_from([b"[", b"{", b"]", b"}", b"[", b"{", b",", b":", b" ", b"1"]), STRINGS, STRINGS),
    max_size=40,
).map(b"".join)


def depth(source: bytes) -> int:
    """The levels of a JSON text, one character after the other."""
    level = deepest = 0
    inside = escaped = False
    for byte in source:
        character = chr(byte)
        if inside:
            inside = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            inside = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.integers(1, 7))
def test_deeper_than_agrees_with_counting_character_by_character(source: bytes, slice_size: int) -> None:
    deepest = depth(source)
    with mock.patch.object(envelope, "_SLICE", slice_size):
        assert [deeper_than(limit, source) for limit in range(deepest + 3)] == [
            deepest > limit for limit in range(deepest + 3)
        ]


def nested(levels: int, inner: bytes = b"1", kinds: tuple[tuple[bytes, bytes], ...] = ((b"[", b"]"),)) -> bytes:
    """A message of this many levels, its own object the first."""
    used = [kinds[level % len(kinds)] for level in range(levels - 1)]
    opening, closing = b"".join(o for o, _ in used), b"".join(c for _, c in reversed(used))
    return b'{"a":' + opening + inner + closing + b"}"


BRACKETS: list[tuple[tuple[bytes, bytes], ...]] = [
    ((b"[", b"]"),),
    ((b'{"k":', b"}"),),
    ((b"[", b"]"), (b'{"\\"k":', b"}")),
    ((b'["]",', b',"["]'), (b'{"\\\\":"{",":":', b"}")),
]


@pytest.mark.parametrize("kinds", BRACKETS)
def test_two_hundred_levels_pass_and_one_more_does_not(kinds: tuple[tuple[bytes, bytes], ...]) -> None:
    assert MAX_DEPTH == 200
    assert depth(nested(200, kinds=kinds)) == 200
    assert open_envelope(nested(200, kinds=kinds)).keys() == {"a"}
    with pytest.raises(Unreadable, match=r"^it is nested more than 200 levels deep$"):
        open_envelope(nested(201, kinds=kinds))


@pytest.mark.parametrize(
    "string", [b"[" * 500, rb"\"" + b"{" * 500, rb"\\\"" + b"[" * 500 + rb"\\", rb"\ud83d" + b"[" * 500]
)
def test_brackets_inside_strings_are_no_levels(string: bytes) -> None:
    assert open_envelope(nested(200, b'"' + string + b'"')).keys() == {"a"}
    with pytest.raises(Unreadable, match="nested"):
        open_envelope(nested(201, b'"' + string + b'"'))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert open_envelope(b'{"a":[' + b"[{}]," * 100_000 + b"[]]}").keys() == {"a"}


@pytest.mark.parametrize("levels", [250, 5_000, 200_000])
def test_no_nesting_is_too_deep_to_be_refused(levels: int) -> None:
    for inner in (b"1", rb'"\ud83d"'):
        with pytest.raises(Unreadable, match="nested more than 200 levels deep"):
            open_envelope(nested(levels, inner))


@pytest.mark.parametrize("levels", [5_000, 200_000])
def test_a_part_of_a_message_that_is_read_alone_exhausts_no_stack(levels: int) -> None:
    for inner in (b"1", rb'"\ud83d"'):
        with pytest.raises(Unreadable, match="nested more than 200 levels deep"):
            members(nested(levels, inner))


@pytest.mark.parametrize("unit", [b'"', b'""', rb"\"", rb"\\", b"[]", b'"["'])
def test_looking_for_depth_takes_little_more_memory_than_the_text(unit: bytes) -> None:
    source = unit * (2 * 1024 * 1024 // len(unit))
    tracemalloc.start()
    try:
        assert not deeper_than(MAX_DEPTH, source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 4 * len(source)


# -- elements and text


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, BLANKS), max_size=5))
def test_the_elements_of_a_list_are_the_bytes_that_were_sent(sent: list[tuple[bytes, bytes]]) -> None:
    assert [bytes(one) for one in elements(_list(sent))] == [value for value, _ in sent]


def test_a_list_may_hold_half_a_surrogate_pair_as_an_object_may() -> None:
    tools = rb'[{"name":"a","description":"\ud83d"},{"name":"b"}]'
    assert [bytes(one) for one in elements(tools)] == [rb'{"name":"a","description":"\ud83d"}', b'{"name":"b"}']


@pytest.mark.parametrize("other", [b"{}", b"1", b"null", b"[1,]", b"[1", b"", b"[" * 100_000, b'["\xff', rb'["\ud83d"'])
def test_what_is_no_list_is_unreadable(other: bytes) -> None:
    with pytest.raises(Unreadable):
        elements(other)


@settings(deadline=None)
@given(st.text('ab"\\/{é😀\u2028\x00\x1f\x7f'))
def test_text_is_the_string_that_a_json_string_is(value: str) -> None:
    assert text(json.dumps(value).encode()) == text(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("other", [None, b"1", b"null", b"{}", b'"open', b"", b'"\xff"', b'"\x01"'])
def test_text_of_anything_else_is_none(other: bytes | None) -> None:
    assert text(other) is None


def test_a_text_with_half_a_surrogate_pair_is_a_text() -> None:
    assert text(rb'"a\ud83d"') == "a\ud83d"
