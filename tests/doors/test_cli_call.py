"""`call`: words become the arguments the tool's schema wants, and its result is shown without harm."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from roundhouse.doors.cli.arguments import from_words
from roundhouse.doors.cli.failures import BadUsage
from tests.doors.command_line import Desk
from tests.doors.fake_house import Failure, FakeHouse

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "table": {"type": "object"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "one_of": {"enum": ["1", "fast"]},
        "level": {"enum": [1, 2, 3]},
        "constant": {"const": True},
        "all": {"allOf": [{"description": "x"}, {"type": "integer"}]},
        "pointed": {"$ref": "#/$defs/a~1b"},
        "endless": {"$ref": "#/properties/endless"},
        "elsewhere": {"$ref": "file:///etc/passwd"},
        "anything": {},
        "always": True,
    },
    "$defs": {"a/b": {"type": "array"}},
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=12", "12"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=\x1b[31m", "\x1b[31m"),
        ("whole=-3", -3),
        ("whole=2.0", 2.0),
        ("number=1e3", 1000.0),
        ("number=7", 7),
        ("flag=true", True),
        ('list=["a", 1]', ["a", 1]),
        ('table={"a": null}', {"a": None}),
        ("maybe=null", None),
        ("maybe=4", 4),
        ("either=4", "4"),
        ("one_of=1", "1"),
        ("level=2", 2),
        ("constant=true", True),
        ("all=3", 3),
        ("pointed=[]", []),
        ("endless=5", "5"),
        ("elsewhere=5", "5"),
        ("anything=5", "5"),
        ("always=5", "5"),
        ("unknown=5", "5"),
        ("text:=5", 5),
        ('anything:={"a": [1]}', {"a": [1]}),
    ],
)
def test_a_word_is_typed_by_the_schema(word: str, value: object) -> None:
    name = word.partition("=")[0].removesuffix(":")
    given = from_words([word], SCHEMA)
    assert given == {name: value}
    assert type(given[name]) is type(value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["text"], "write name=value"),
        (["=5"], "write name=value"),
        ([":=5"], "write name=value"),
        (["whole=x"], "expected integer"),
        (["whole=1.5"], "expected integer"),
        (["whole=true"], "expected integer"),
        (["number=NaN"], "expected number"),
        (["flag=yes"], "expected boolean"),
        (["list=a"], """for example '["a"]'"""),
        (["table=[]"], "expected object"),
        (["text:=a"], "as JSON"),
        (["list=" + "[" * 100_000], "as JSON"),
        (["text=a", "text=b"], "given twice"),
    ],
)
def test_a_word_that_does_not_fit_is_named(words: list[str], said: str) -> None:
    with pytest.raises(BadUsage, match=r".") as caught:
        from_words(words, SCHEMA)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": "none", "required": "x"},
        {"properties": {"a": {"type": 5}}},
        {"properties": {"a": {"type": [5, None]}}},
        {"properties": {"a": {"anyOf": [5, {}]}}},
        {"properties": {"a": {"anyOf": "x", "$ref": 7}}},
        {"properties": {"a": {"$ref": "#/nowhere/at/all"}}},
        {"additionalProperties": {"type": "string"}},
    ],
)
def test_a_schema_that_is_none_says_nothing(schema: dict[str, Any]) -> None:
    assert from_words(["a=1"], schema) == {"a": "1"}


def test_words_reach_the_tool_typed(desk: Desk, house: FakeHouse) -> None:
    ended = desk.run("call", "time__now", "zone=007", "digits=3", "utc=false")
    assert (ended.code, ended.out) == (0, "noon\n")
    wanted = {"name": "time__now", "arguments": {"zone": "007", "digits": 3, "utc": False}}
    assert house.asked == [("describe_tool", {"name": "time__now"}), ("call_tool", wanted)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing: zone. It takes: zone (string, required), digits (integer), utc (boolean)."),
        (["zone=UTC", "digit=3"], "did you mean 'digits'?"),
        (["zone=UTC", "digits=three"], "expected integer"),
        (["zone=UTC", "-"], "'-' is no argument"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_called(
    desk: Desk, house: FakeHouse, words: list[str], said: str
) -> None:
    ended = desk.run("call", "time__now", *words)
    assert ended.code == 2
    assert said in ended.err
    assert house.operations == ["describe_tool"]


def test_arguments_come_from_stdin_as_they_are(desk: Desk, house: FakeHouse) -> None:
    ended = desk.run("call", "time__now", "--json", "-", stdin='{"zone": "ü", "more": [1]}'.encode())
    assert ended.document == {"content": [{"type": "text", "text": "noon"}], "isError": False}
    assert house.asked == [("call_tool", {"name": "time__now", "arguments": {"zone": "ü", "more": [1]}})]


@pytest.mark.parametrize("stdin", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_stdin_that_is_no_object_is_a_usage_error(desk: Desk, house: FakeHouse, stdin: bytes) -> None:
    ended = desk.run("call", "time__now", "-", stdin=stdin)
    assert ended.code == 2
    assert "stdin" in ended.err
    assert house.asked == []


def test_a_tool_that_fails_is_no_output(desk: Desk, house: FakeHouse) -> None:
    house.answers["call_tool"] = {"content": [{"type": "text", "text": "no such zone"}], "isError": True}
    ended = desk.run("call", "time__now", "zone=Mars")
    assert (ended.code, ended.out, ended.err) == (1, "", "no such zone\n")
    ended = desk.run("call", "time__now", "zone=Mars", "--json")
    assert (ended.code, ended.document) == (1, house.answers["call_tool"])


def test_a_call_that_cannot_be_made_is_said_with_its_code(desk: Desk, house: FakeHouse) -> None:
    house.answers["call_tool"] = Failure("RH_CALL_TIMEOUT", "It took longer than 600 s.", as_error=-32001)
    ended = desk.run("call", "time__now", "zone=UTC")
    assert (ended.code, ended.err) == (1, "roundhouse: It took longer than 600 s. [RH_CALL_TIMEOUT]\n")


def test_what_is_no_text_is_said_by_kind_and_size(desk: Desk, house: FakeHouse) -> None:
    data = base64.b64encode(bytes(12_345)).decode()
    house.answers["call_tool"] = {
        "content": [
            {"type": "image", "mimeType": "image/png", "data": data},
            {"type": "audio", "data": "AAAA"},
            {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "application/pdf", "blob": data}},
            {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}},
            {"type": "resource_link", "uri": "file:///c", "name": "c"},
            {"type": "of tomorrow", "x": 1},
            "nonsense",
        ]
    }
    assert desk.run("call", "time__now", "zone=UTC").out.splitlines() == [
        "[image/png, 12.3 kB; --json has it whole]",
        "[audio, 3 bytes; --json has it whole]",
        "[application/pdf, 12.3 kB: file:///a]",
        "inside",
        "[a link: file:///c]",
        '{"type": "of tomorrow", "x": 1}',
    ]


def test_structured_content_is_shown_where_there_is_no_other(desk: Desk, house: FakeHouse) -> None:
    house.answers["call_tool"] = {"content": [], "structuredContent": {"hour": 12}}
    assert desk.run("call", "time__now", "zone=UTC").out == '{\n  "hour": 12\n}\n'


HOSTILE = "\x1b]0;title\x07\x1b[2Jred \u202egnp.exe\u200b\x9b31m"


def test_a_result_reaches_a_pipe_as_it_is_and_a_terminal_without_harm(desk: Desk, house: FakeHouse) -> None:
    house.answers["call_tool"] = {"content": [{"type": "text", "text": HOSTILE}]}
    assert desk.run("call", "time__now", "zone=UTC").out == HOSTILE + "\n"
    terminal = desk.terminal("call", "time__now", "zone=UTC")
    assert terminal.ends() == 0
    assert terminal.seen == "red gnp.exe31m\n"


@pytest.mark.parametrize(
    ("line", "operation", "answer"),
    [
        ("logs time", "read_logs", {"name": "time", "state": "ready", "lines": [HOSTILE]}),
        ("tools x --schema", "search_tools", {"tools": [{"name": "a", "description": HOSTILE, "inputSchema": {}}]}),
        ("start time", "start_server", Failure("RH_SERVER_UNAVAILABLE", HOSTILE)),
    ],
)
def test_text_of_strangers_is_cleaned_before_a_terminal(
    desk: Desk, house: FakeHouse, line: str, operation: str, answer: Any
) -> None:
    house.answers["describe_tool"] = {"definition": {"name": "a", "description": HOSTILE, "inputSchema": {}}}
    house.answers[operation] = answer
    terminal = desk.terminal(*line.split())
    terminal.ends()
    assert "gnp.exe" in terminal.seen
    for hidden in "\x1b\x07\x9b\u202e\u200b":
        assert hidden not in terminal.seen


def test_a_table_on_a_terminal_holds_no_colours_but_ours(desk: Desk, house: FakeHouse) -> None:
    house.answers["list_tools"] = {"tools": [{"name": "a", "description": f"[red]{HOSTILE}\nnext", "title": ""}]}
    terminal = desk.terminal("tools")
    assert terminal.ends() == 0
    assert "[red]red gnp.exe31m next" in terminal.seen
    assert "\x1b]0" not in terminal.seen
    assert "\x1b[2J" not in terminal.seen


def test_progress_is_shown_on_a_terminal(desk: Desk, house: FakeHouse) -> None:
    house.progress = [{"progress": n, "total": 3, "message": f"\x1b[2Jstep {n}"} for n in (1, 2, 3)]
    terminal = desk.terminal("call", "time__now", "zone=UTC")
    assert terminal.ends() == 0
    assert "step 3" in terminal.seen
    assert "\x1b[2J" not in terminal.seen
    assert "noon\n" in terminal.seen


def test_nobody_asks_for_progress_without_a_terminal(desk: Desk, house: FakeHouse) -> None:
    house.progress = [{"progress": 1}]
    ended = desk.run("call", "time__now", "zone=UTC")
    assert (ended.out, ended.err) == ("noon\n", "")
