"""JSON with comments: what is read is what is written, and a change leaves every other character alone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse.clients import jsonc
from roundhouse.clients.formats import Malformed
from roundhouse.settings.document import LONGEST_FILE
from tests.clients.layouts import documents, values

ENTRY = {"command": "/opt/roundhouse", "args": ["serve"]}


def put(text: str, value: Any = 1) -> str:
    """The text with `o.new` set, checked to be read as such."""
    document = jsonc.parse(text)
    after = jsonc.put(text, ("o", "new"), value)
    assert jsonc.parse(after) == {**document, "o": {**(document.get("o") or {}), "new": value}}
    return after


def drop(text: str, *keys: str) -> str:
    """The text without a member, checked to be read as such."""
    document = jsonc.parse(text)
    container = document
    for key in keys[:-1]:
        container = container[key]
    del container[keys[-1]]
    after = jsonc.drop(text, keys)
    assert jsonc.parse(after) == document
    return after


# -- reading


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", {}),
        (" \r\n\t", {}),
        ("// nothing yet", {}),
        ("/* nothing */\n", {}),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2 , ] , }', {"a": [1, 2]}),
        ('{// a\n"a"/**/: /* 2, */ 1 // }\n}', {"a": 1}),
        (
            '{"a": "// no comment", "b": "/* nor this */", "c": ",}"}',
            {"a": "// no comment", "b": "/* nor this */", "c": ",}"},
        ),
        ('{"a\\"b": "\\\\", "c": "\\u002f/"}', {'a"b': "\\", "c": "//"}),
    ],
)
def test_comments_and_trailing_commas_are_read_over(text: str, document: Any) -> None:
    assert jsonc.parse(text) == document


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{", 1, 2),
        ("[,]", 1, 2),
        ("{,}", 1, 2),
        ('{"a": 1,,}', 1, 9),
        ('{"a":,}', 1, 6),
        ('{\n  // a\n  "a": oops\n}', 3, 8),
        ('{"a": 1} x', 1, 10),
        ('{"a": /* never closed', 1, 7),
        ('{"a": "never closed', 1, 7),
        ('{"a": 1 /*/ }', 1, 9),
        ("{'a': 1}", 1, 2),
        ('{"NaN": "Infinity",\n "a": -Infinity}', 2, 7),
        ('{"a": 1 "b": 2}', 1, 9),
    ],
)
def test_what_is_no_json_is_named_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(Malformed, match="no JSON") as caught:
        jsonc.parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": -Infinity}', "[" * 100_000, '{"a":' * 100_000])
def test_what_only_python_would_read_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        jsonc.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * 500_000,
        "/*" * 500_000,
        "{" + "//" * 500_000,
        ",\n" * 500_000,
        '{"a":' + " " * 1_000_000,
        '{"a": 1' + " ,\n" * 300_000,
    ],
    ids=["quotes", "open comments", "slashes", "commas", "spaces", "commas in an object"],
)
def test_hostile_text_is_refused_in_linear_time(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(Malformed):
        jsonc.parse(text)
    assert time.monotonic() - began < 5


def test_a_file_of_the_largest_size_is_changed_in_seconds() -> None:
    history = [{"display": 'what about {"a": [1]}?', "pasted": {}}] * 150_000
    text = json.dumps({"history": history, "o": {"a": 1}}, indent=2)
    assert len(text) * 1.2 > LONGEST_FILE
    began = time.monotonic()
    assert jsonc.parse(jsonc.put(text, ("o", "new"), 1))["o"] == {"a": 1, "new": 1}
    assert time.monotonic() - began < 20


# -- adding


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "o": {\n    "new": 1\n  }\n}\n'),
        ("// mine", '// mine\n{\n  "o": {\n    "new": 1\n  }\n}\n'),
        ("{}", '{\n  "o": {\n    "new": 1\n  }\n}'),
        ("{ }\n", '{\n  "o": {\n    "new": 1\n  }\n}\n'),
        ("{\r\n}\r\n", '{\r\n  "o": {\r\n    "new": 1\r\n  }\r\n}\r\n'),
        ('{"a":1}', '{"a":1,"o":{"new":1}}'),
        ('{"a": 1}', '{"a": 1, "o": {"new": 1}}'),
        ('{"o":{}}', '{"o":{"new":1}}'),
        ('{\n "a": 1\n}', '{\n "a": 1,\n "o": {\n  "new": 1\n }\n}'),
        ('{\n\t"o": {\n\t\t"a": 1\n\t}\n}', '{\n\t"o": {\n\t\t"a": 1,\n\t\t"new": 1\n\t}\n}'),
        ('{\n  "o": {}\n}', '{\n  "o": {\n    "new": 1\n  }\n}'),
        ('{\n  "o": null,\n  "b": 2\n}', '{\n  "o": {\n    "new": 1\n  },\n  "b": 2\n}'),
        ('{\n  "o": {\n    // none yet\n  }\n}', '{\n  "o": {\n    // none yet\n    "new": 1\n  }\n}'),
        ('{\n  "o": {"a": 1}\n}', '{\n  "o": {"a": 1, "new": 1}\n}'),
        ('{\n  "o": {\n    "a": 1,\n  },\n}', '{\n  "o": {\n    "a": 1,\n    "new": 1,\n  },\n}'),
        ('{\n  "o": {\n    "a": 1 // one\n  }\n}', '{\n  "o": {\n    "a": 1, // one\n    "new": 1\n  }\n}'),
        ('{\n  "o": {\n    "a": 1, // one\n  }\n}', '{\n  "o": {\n    "a": 1, // one\n    "new": 1,\n  }\n}'),
        (
            '{\n  "o": {\n    "a": 1\n    // end, }\n  }\n}',
            '{\n  "o": {\n    "a": 1,\n    "new": 1\n    // end, }\n  }\n}',
        ),
        ('{\n  "o": {\n    "a": 1 /* x\n y */ }\n}', '{\n  "o": {\n    "a": 1,\n    "new": 1 /* x\n y */ }\n}'),
        ('{\n  "\\u006f": {\n    "a": "}"\n  }\n}', '{\n  "\\u006f": {\n    "a": "}",\n    "new": 1\n  }\n}'),
    ],
)
def test_a_member_is_added_in_the_manner_of_the_text(before: str, after: str) -> None:
    assert put(before) == after


def test_what_is_added_is_indented_like_its_neighbours() -> None:
    text = '{\r\n    "o": {\r\n        "a": {}\r\n    }\r\n}\r\n'
    lines = put(text, ENTRY).split("\r\n")
    assert lines[3:8] == [
        '        "new": {',
        '            "command": "/opt/roundhouse",',
        '            "args": [',
        '                "serve"',
        "            ]",
    ]
    assert not any("\n" in line for line in lines)


def test_a_value_is_replaced_in_its_place() -> None:
    text = '{\n  "o": {\n    "new": {"x": [1, "}"]}, // ours\n    "b": 2\n  }\n}'
    assert put(text, 5) == '{\n  "o": {\n    "new": 5, // ours\n    "b": 2\n  }\n}'


# -- taking out


@pytest.mark.parametrize(
    ("before", "gone", "after"),
    [
        ('{"a": 1}', "a", "{}"),
        ('{\n  "a": 1\n}', "a", "{}"),
        ('{\n  // kept\n  "a": 1\n}', "a", "{\n  // kept\n}"),
        ('{"a": 1, "b": 2}', "a", '{ "b": 2}'),
        ('{"a": 1, "b": 2}', "b", '{"a": 1}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "a", '{\n  "b": 2\n}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "b", '{\n  "a": 1\n}'),
        ('{\n  "a": 1,\n  "b": 2,\n}', "b", '{\n  "a": 1,\n}'),
        ('{\n  "a": 1,\n  "b": 2, // two\n  "c": 3\n}', "b", '{\n  "a": 1, // two\n  "c": 3\n}'),
        ('{\n  "a": 1, // one\n  "b": 2, "c": 3\n}', "b", '{\n  "a": 1, // one\n  "c": 3\n}'),
        ('{\n  "a": 1, // one\n  "b": 2 }', "b", '{\n  "a": 1 // one\n  }'),
        ('{ // all\n  "a": 1 }', "a", "{ // all\n  }"),
        ('{"a": 1 /* , */ , "b": 2}', "a", '{ "b": 2}'),
        ('{"a": {"x": [1, {}]}, "b": "}"}', "a", '{ "b": "}"}'),
    ],
)
def test_a_member_is_taken_out_with_its_comma(before: str, gone: str, after: str) -> None:
    assert drop(before, gone) == after


@pytest.mark.parametrize("text", ["", "{}", '{"a": []}', '{"a": {"y": 1}}', '{"x": 1}'])
def test_without_the_member_nothing_changes(text: str) -> None:
    assert jsonc.drop(text, ("a", "x")) == text


# -- any document, in any layout


@given(documents("o"))
def test_adding_and_taking_out_gives_back_every_character(text: str) -> None:
    document = jsonc.parse(text)
    after = put(text, ENTRY)
    back = drop(after, "o", "new")
    if document.get("o"):
        assert back == text
    elif "o" not in document and document:
        assert drop(back, "o") == text
    else:  # the space within an object that was empty is not kept
        assert jsonc.parse(back) == {**document, "o": {}}


@given(documents("o"), st.randoms(use_true_random=False))
def test_any_member_can_be_taken_out(text: str, random: Any) -> None:
    document = jsonc.parse(text)
    while document:
        key = random.choice(sorted(document))
        text = drop(text, key)
        document = jsonc.parse(text)


@given(documents("o"), values)
def test_any_value_can_be_replaced(text: str, value: Any) -> None:
    added = put(text, ENTRY)
    assert drop(put(added, value), "o", "new") == drop(added, "o", "new")
