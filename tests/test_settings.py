"""The configuration file: what is right is taken as written, what is wrong is named with its place and a way out."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.errors import BadConfiguration
from roundhouse.model.servers import CALL_TIMEOUT, START_TIMEOUT, ServerSpec
from roundhouse.settings import FOREIGN_KEYS, KEYS, LONGEST_FILE, load_servers, resource

RESERVED = frozenset({"roundhouse", "chain", "list_servers"})
GOOD = {"command": "echo", "args": ["-n"]}


class File:
    """A configuration file, written and loaded."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "servers.json"

    def load(self, content: bytes | str) -> list[ServerSpec]:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_servers(self.path, RESERVED)

    def servers(self, **entries: Any) -> dict[str, ServerSpec]:
        return {spec.name: spec for spec in self.load(json.dumps({"mcpServers": entries}))}

    def entry(self, entry: Any, name: str = "a") -> ServerSpec:
        (spec,) = self.load(json.dumps({"mcpServers": {name: entry}}))
        return spec

    def refusal(self, content: bytes | str) -> str:
        """What is said of content that cannot be read as a whole. It always names the file."""
        with pytest.raises(BadConfiguration) as caught:
            self.load(content)
        assert str(self.path) in str(caught.value)
        return str(caught.value)


def with_timeout(number: str) -> str:
    """A configuration with this as a number, however it is written."""
    return '{"mcpServers":{"a":{"command":"x","call_timeout":' + number + "}}}"


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


# -- what is right


def test_a_server_is_what_its_entry_says(file: File) -> None:
    entry = {
        "type": "stdio",
        "command": "uvx",
        "args": ["mcp-server-time", "", "é"],
        "env": {"TZ": "UTC", "EMPTY": ""},
        "cwd": "~/work",
        "disabled": True,
        "call_timeout": 5,
        "start_timeout": 2.5,
    }
    assert file.entry(entry, "time") == ServerSpec(
        "time",
        command="uvx",
        args=("mcp-server-time", "", "é"),
        env={"TZ": "UTC", "EMPTY": ""},
        cwd="~/work",
        disabled=True,
        call_timeout=5.0,
        start_timeout=2.5,
    )


def test_what_an_entry_does_not_say_has_its_default(file: File) -> None:
    assert file.entry({"command": "x"}) == ServerSpec(
        "a", command="x", args=(), env={}, cwd=None, call_timeout=CALL_TIMEOUT, start_timeout=START_TIMEOUT
    )


def test_servers_come_in_the_order_of_the_file(file: File) -> None:
    assert list(file.servers(b=GOOD, c=GOOD, a=GOOD)) == ["b", "c", "a"]


def test_a_file_without_servers_is_fine(file: File) -> None:
    assert file.load('{"mcpServers":{}}') == []


def test_a_byte_order_mark_is_accepted(file: File) -> None:
    assert file.load(b"\xef\xbb\xbf" + json.dumps({"mcpServers": {"a": GOOD}}).encode())[0].command == "echo"


def test_what_other_programs_keep_in_the_same_file_is_ignored(file: File) -> None:
    (spec,) = file.load(json.dumps({"theme": [1.5, None], "mcpServers": {"a": GOOD}, "$schema": "x", "inputs": 5}))
    assert not spec.problems


@pytest.mark.parametrize("key", sorted(FOREIGN_KEYS))
def test_what_other_clients_keep_in_an_entry_is_ignored(file: File, key: str) -> None:
    for value in (True, ["x"], None, {"a": 1}):
        assert not file.entry({**GOOD, key: value}).problems


@pytest.mark.parametrize("key", ["args", "env", "cwd"])
def test_null_is_the_same_as_not_said(file: File, key: str) -> None:
    assert file.entry({"command": "x", key: None}) == file.entry({"command": "x"})


# -- a file that cannot be read


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"There is no file .*nowhere\.json\. Create it, or correct --config\."):
        load_servers(tmp_path / "nowhere.json", RESERVED)


def test_a_folder_in_place_of_the_file_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read: Is a directory"):
        load_servers(tmp_path, RESERVED)


def test_the_home_of_nobody_is_bad_configuration() -> None:
    with pytest.raises(BadConfiguration):
        load_servers(Path("~nobody-of-this-name/servers.json"), RESERVED)


def test_a_file_beyond_what_people_write_is_refused_with_its_size(file: File) -> None:
    content = b'{"mcpServers":{}}'
    assert file.load(content.ljust(LONGEST_FILE)) == []
    assert f"larger than {LONGEST_FILE:,} bytes" in file.refusal(content.ljust(LONGEST_FILE + 1))


# -- a file that is no JSON


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        ("", 1, 1),
        ("\n", 2, 1),
        (" \n\t", 2, 2),
        ("{", 1, 2),
        ("{\n", 2, 1),
        ("hello", 1, 1),
        ('{"mcpServers": {}} x', 1, 20),
        ('{"mcpServers":\n  {"a" {}}}', 2, 8),
        ('{"mcpServers": {\n  "a": {"command": "x"}\n', 3, 1),
        ("{'mcpServers': {}}", 1, 2),
        ('{"a":\r\n\r\n  oops}', 3, 3),
        ('{"a": "line\nbreak"}', 1, 12),
        ('{"a": "\u2028\x85", oops}', 1, 13),
        ('\ufeff{"a": oops}', 1, 7),
    ],
)
def test_what_is_no_json_is_named_with_line_and_column(file: File, content: str, line: int, column: int) -> None:
    assert f", line {line}, column {column}: no JSON: " in file.refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        '{\n  "mcpServers": {} // all of them\n}',
        '{\n  // all of them\n  "mcpServers": {}\n}',
        '{\n  /* all of them */\n  "mcpServers": {}\n}',
        '// first\n{"mcpServers": {}}',
        '# first\n{"mcpServers": {}}',
        '{"mcpServers": {}}\n// last',
    ],
)
def test_a_comment_is_called_a_comment(file: File, content: str) -> None:
    assert "JSON has no comments" in file.refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        '{"mcpServers": {"a": {"command": "x", "args": ["https://example.org"] "env": {}}}}',
        '{"mcpServers": {"a": {"command": "x", "args": ["https://example.org", ]}}}',
    ],
)
def test_an_address_is_not_taken_for_a_comment(file: File, content: str) -> None:
    assert "comments" not in file.refusal(content)


@pytest.mark.parametrize(
    "content",
    ['{"mcpServers": {},}', '{"mcpServers": {\n  "a": {},\n\n}}', '{"a": [1,]}', '{"a": ["x",\r\n]}', '{"a": [1, ]}'],
)
def test_a_comma_too_much_is_called_so(file: File, content: str) -> None:
    assert re.search("Remove the comma before it|[Ii]llegal trailing comma", file.refusal(content))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_only_looks_like_a_number_of_json_is_refused(file: File, number: str) -> None:
    assert f"{number} is no JSON value" in file.refusal(with_timeout(number))


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_nesting_without_end_is_refused(file: File, content: str) -> None:
    assert "nested too deep" in file.refusal(content)


@pytest.mark.parametrize("length", [30, 4_000, 10_000])
def test_a_number_of_any_length_is_a_problem_of_its_server(file: File, length: int) -> None:
    (spec,) = file.load(with_timeout("9" * length))
    (problem,) = spec.problems
    assert "expected seconds" in problem


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
def test_a_byte_that_is_not_utf_8_is_named_with_its_line(file: File, mark: bytes) -> None:
    said = file.refusal(mark + b'{"mcpServers":\n{"caf\xe9": {}}}')
    assert said == f"{file.path}, line 2: byte 0xe9 is not UTF-8."
    assert "line 1: byte 0xe9" in file.refusal(mark + b'"\xe9\n"')


def test_a_file_in_utf_16_is_not_utf_8(file: File) -> None:
    assert "line 1: byte 0xff is not UTF-8" in file.refusal('{"mcpServers":{}}'.encode("utf-16"))


# -- a file that is something else


@pytest.mark.parametrize(
    ("content", "kind"),
    [("[]", "a list"), ("null", "null"), ('"x"', "a string"), ("1", "a number"), ("true", "true or false")],
)
def test_a_file_that_holds_no_object_is_called_so(file: File, content: str, kind: str) -> None:
    assert f"the file holds {kind}; expected an object" in file.refusal(content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [("[]", "a list"), ("null", "null"), ('"x"', "a string"), ("1e3", "a number"), ("false", "true or false")],
)
def test_servers_that_are_no_object_are_called_so(file: File, content: str, kind: str) -> None:
    said = file.refusal('{"mcpServers":' + content + "}")
    assert f'"mcpServers" holds {kind}; expected an object of server entries by name' in said


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ({}, 'there is no "mcpServers".'),
        ({"theme": "dark"}, 'there is no "mcpServers".'),
        ({"mcpservers": {}}, "did you mean 'mcpservers'?"),
        ({"mcp_servers": {}}, "did you mean 'mcp_servers'?"),
        ({"servers": {}}, 'VS Code calls it "servers"; rename it to "mcpServers".'),
    ],
)
def test_a_file_without_the_servers_key_is_told_what_it_may_have_meant(
    file: File, document: dict[str, Any], hint: str
) -> None:
    assert hint in file.refusal(json.dumps(document))


def test_servers_given_twice_are_not_dropped_in_silence(file: File) -> None:
    said = file.refusal('{"mcpServers":{"a":{"command":"x"}},"mcpServers":{"b":{"command":"y"}}}')
    assert "twice" in said


# -- names


@pytest.mark.parametrize("name", ["a", "A", "7", "a-b", "a_b", "a-_b", "a--b", "0x", "a" * 32])
def test_a_name_that_can_be_a_prefix_is_taken(file: File, name: str) -> None:
    assert not file.entry(GOOD, name).problems


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("my server", "my-server"),
        ("a__b", "a_b"),
        ("_a", "a"),
        ("a_", "a"),
        ("-a-", "a"),
        ("a.b/c", "a-b-c"),
        ("@scope/pkg", "scope-pkg"),
        ("café", "caf"),
        ("a\n", "a"),
        ("a" * 33, "a" * 32),
        ("a" * 31 + "_b", "a" * 31),
    ],
)
def test_a_name_that_cannot_be_a_prefix_is_refused_with_a_better_one(file: File, name: str, better: str) -> None:
    (problem,) = file.entry(GOOD, name).problems
    assert "cannot be the prefix of tool names" in problem
    assert problem.endswith(f", for example {better!r}.")


@pytest.mark.parametrize("name", ["", " ", "__", "日本", "-", "\x00", "٣"])
def test_a_name_without_anything_usable_is_refused_without_an_example(file: File, name: str) -> None:
    (problem,) = file.entry(GOOD, name).problems
    assert "beginning and ending with a letter or digit." in problem
    assert "for example" not in problem


@settings(deadline=None)
@given(st.text(max_size=50) | st.text("a_-. é", max_size=50))
def test_every_name_is_fine_or_its_better_one_is(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    file = File(tmp_path_factory.getbasetemp())
    problems = file.entry(GOOD, name).problems
    better = re.findall(r", for example '([^']*)'\.$", "".join(problems))
    for one in better:
        assert not file.entry(GOOD, one).problems
    assert problems or re.fullmatch("[a-zA-Z0-9_-]{1,32}", name)


@pytest.mark.parametrize(
    ("name", "neighbour"),
    [("round house", "x"), ("chain!", "x"), ("my server", "my-server"), ("my server", "My-Server")],
)
def test_the_better_name_is_not_one_that_is_taken(file: File, name: str, neighbour: str) -> None:
    reserved = RESERVED | {"round-house"}
    file.load(json.dumps({"mcpServers": {name: GOOD, neighbour: GOOD}}))
    problems = load_servers(file.path, reserved)[0].problems
    better = re.findall(r", for example '([^']*)'\.$", problems[0])
    assert not {one.casefold() for one in better} & {*reserved, neighbour.casefold()}


@pytest.mark.parametrize("name", ["roundhouse", "Roundhouse", "CHAIN", "list_servers"])
def test_a_name_of_ours_is_refused_in_any_case(file: File, name: str) -> None:
    (problem,) = file.entry(GOOD, name).problems
    assert problem == f"mcpServers.{name}: the name {name!r} is Roundhouse's own; choose another."


def test_names_that_differ_in_capitals_only_are_both_refused(file: File) -> None:
    servers = file.servers(Git=GOOD, git=GOOD, other=GOOD)
    assert servers["Git"].problems == ("mcpServers.Git: 'Git' and 'git' differ in capitals only; rename one.",)
    assert servers["git"].problems == ("mcpServers.git: 'git' and 'Git' differ in capitals only; rename one.",)
    assert not servers["other"].problems


def test_a_name_given_twice_is_refused_once_and_its_neighbours_are_not(file: File) -> None:
    a, b = file.load('{"mcpServers":{"a":{"command":"x"},"b":{"command":"y"},"a":{"command":"z"}}}')
    assert a.problems == ("mcpServers.a: two servers are named 'a'; rename one.",)
    assert not b.problems


# -- entries


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(None, "null"), ([], "a list"), ("echo", "a string"), (1.5, "a number"), (False, "true or false")],
)
def test_an_entry_that_is_no_object_is_called_so(file: File, entry: object, kind: str) -> None:
    assert file.entry(entry).problems == (f"mcpServers.a holds {kind}; expected an object with `command`.",)


STRING, NUMBER, LIST, OBJECT, BOOLEAN, NULL = "x", 5, ["x"], {"x": "y"}, True, None
WRONG: dict[str, list[object]] = {
    "command": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
    "args": [STRING, NUMBER, OBJECT, BOOLEAN, "", 0, {}, False],
    "args[1]": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
    "env": [STRING, NUMBER, LIST, BOOLEAN, "", 0, [], False],
    "env.A": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
    "cwd": [NUMBER, LIST, OBJECT, BOOLEAN, 0, [], {}, False],
    "disabled": [STRING, NUMBER, LIST, OBJECT, NULL, "", 0, [], {}],
    "call_timeout": [STRING, LIST, OBJECT, BOOLEAN, NULL, "", [], {}, False],
    "start_timeout": [STRING, LIST, OBJECT, BOOLEAN, NULL, "", [], {}, False],
    "type": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, "", 0, [], {}, False],
}


@pytest.mark.parametrize(
    ("place", "value"),
    [pytest.param(place, value, id=f"{place}={value!r}") for place in WRONG for value in WRONG[place]],
)
def test_a_value_of_the_wrong_type_is_named_with_its_place(file: File, place: str, value: object) -> None:
    match place:
        case "args[1]":
            more: dict[str, object] = {"args": ["x", value, "z"]}
        case "env.A":
            more = {"env": {"B": "x", "A": value}}
        case _:
            more = {place: value}
    spec = file.entry({**GOOD, **more})
    (problem,) = spec.problems
    assert problem.startswith(f"mcpServers.a.{place} ")
    assert "expected" in problem
    assert spec.command == ""  # so that nothing can start by mistake


def test_a_missing_command_is_called_missing(file: File) -> None:
    (problem,) = file.entry({}).problems
    assert problem == "mcpServers.a.command is missing; expected the program to start, as a string."


@pytest.mark.parametrize("command", ["", " ", "\t\n"])
def test_a_blank_command_is_not_told_to_be_a_string(file: File, command: str) -> None:
    (problem,) = file.entry({"command": command}).problems
    assert problem.startswith("mcpServers.a.command ")
    assert "holds a string" not in problem


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"command": "x\0"}, "command"),
        ({"args": ["x", "\0"]}, "args[1]"),
        ({"env": {"A": "\0"}}, "env.A"),
        ({"cwd": "\0"}, "cwd"),
    ],
)
def test_a_nul_that_no_process_can_be_given_is_found(file: File, more: dict[str, Any], place: str) -> None:
    (problem,) = file.entry({**GOOD, **more}).problems
    assert problem == f"mcpServers.a.{place} contains a NUL character, which no process can be given."


@pytest.mark.parametrize("name", ["", "A=B", "=", "A\0"])
def test_what_cannot_name_a_variable_is_refused(file: File, name: str) -> None:
    (problem,) = file.entry({**GOOD, "env": {name: "x"}}).problems
    assert f"{name!r}, which cannot be the name of a variable" in problem


@pytest.mark.parametrize(
    ("key", "value", "fine"),
    [
        ("call_timeout", 0.001, True),
        ("call_timeout", 86400, True),
        ("call_timeout", 86400.1, False),
        ("start_timeout", 3600, True),
        ("start_timeout", 3601, False),
        ("start_timeout", 0, False),
        ("call_timeout", 0, False),
        ("call_timeout", -1, False),
        ("call_timeout", -0.0, False),
        ("call_timeout", 10**400, False),
    ],
)
def test_times_are_more_than_nothing_and_less_than_for_ever(file: File, key: str, value: float, fine: bool) -> None:
    problems = file.entry({**GOOD, key: value}).problems
    assert bool(problems) != fine
    assert all(f"mcpServers.a.{key} is " in problem and "expected seconds" in problem for problem in problems)


def test_a_time_beyond_all_numbers_is_refused(file: File) -> None:
    (spec,) = file.load(with_timeout("1e999"))
    assert "expected seconds" in spec.problems[0]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("comand", "command"),
        ("Command", "command"),
        ("arg", "args"),
        ("envs", "env"),
        ("disable", "disabled"),
        ("startTimeout", "start_timeout"),
        ("CWD", None),
        ("zzz", None),
    ],
)
def test_an_unknown_key_is_told_what_it_may_have_meant_and_what_there_is(
    file: File, key: str, meant: str | None
) -> None:
    (problem,) = file.entry({**GOOD, key: 1}).problems
    assert problem.startswith(f"mcpServers.a.{key} is not known{f': did you mean {meant!r}?' if meant else '.'} ")
    assert problem.endswith(f"Known: {', '.join(KEYS)}.")


@pytest.mark.parametrize("key", ["command", "args", "env", "type", "call_timeout"])
def test_a_key_given_twice_is_named(file: File, key: str) -> None:
    entry = json.dumps({"command": "x", "args": [], "env": {}, "type": "stdio", "call_timeout": 1})
    again = {"command": '"y"', "args": "[]", "env": "{}", "type": '"stdio"', "call_timeout": "2"}[key]
    (spec,) = file.load(f'{{"mcpServers":{{"a":{entry[:-1]},"{key}":{again}}}}}}}')
    assert spec.problems == (f"mcpServers.a.{key} is given twice; keep one.",)


def test_a_variable_given_twice_is_named(file: File) -> None:
    (spec,) = file.load('{"mcpServers":{"a":{"command":"x","env":{"A":"1","B":"2","A":"3"}}}}')
    assert spec.problems == ("mcpServers.a.env.A is given twice; keep one.",)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"url": "https://example.org/mcp"}, "`url`"),
        ({"httpUrl": "https://example.org/mcp"}, "`httpUrl`"),
        ({"serverUrl": "https://example.org/mcp", "disabled": True}, "`serverUrl`"),
        ({"type": "http", "headers": {}}, "`headers`"),
        ({"type": "sse"}, "`type` 'sse'"),
        ({"type": "streamable-http", "command": "x"}, "`type` 'streamable-http'"),
        ({"command": "x", "url": "https://example.org/mcp"}, "`url`"),
    ],
)
def test_a_remote_entry_is_told_that_it_is_not_supported_yet(file: File, entry: dict[str, Any], what: str) -> None:
    (problem,) = file.entry(entry).problems
    assert problem.startswith(f"mcpServers.a has {what}: servers over HTTP or SSE are not supported yet")


def test_everything_that_is_wrong_is_said_at_once(file: File) -> None:
    entry = {
        "comand": "x",
        "args": ["ok", 1, None],
        "env": {"A=": "x", "B": 2},
        "cwd": [],
        "disabled": "no",
        "call_timeout": 0,
        "start_timeout": "5",
    }
    problems = file.entry(entry, "chain").problems
    starts = [
        "comand ",
        "command ",
        "args[1] ",
        "args[2] ",
        "env ",
        "env.B ",
        "cwd ",
        "disabled ",
        "call_timeout ",
        "start_",
    ]
    assert "is Roundhouse's own" in problems[0]
    for start in starts:
        assert any(problem.startswith(f"mcpServers.chain.{start}") for problem in problems), start
    assert len(problems) == len(starts) + 1


def test_a_server_with_a_problem_is_still_known_to_be_disabled(file: File) -> None:
    assert file.entry({"comand": "x", "disabled": True}).disabled
    assert not file.entry({"comand": "x", "disabled": "true"}).disabled


@pytest.mark.parametrize(
    "bad", [None, [], {}, {"command": 5}, {"url": "x"}, {**GOOD, "x": 1}, {**GOOD, "args": [None]}, {**GOOD, "env": 5}]
)
def test_one_bad_entry_leaves_the_others_whole(file: File, bad: object) -> None:
    servers = file.servers(before=GOOD, bad=bad, after=GOOD)
    assert list(servers) == ["before", "bad", "after"]
    assert servers["bad"].problems
    assert servers["before"] == ServerSpec("before", command="echo", args=("-n",))
    assert servers["after"] == ServerSpec("after", command="echo", args=("-n",))


# -- what is said can be said


PLACES = ["a server's name", "an unknown key", "a variable", "a type", "a time"]


def servers_with(place: str, text: str) -> str:
    """A configuration with this text where something is wrong with it."""
    wrong: dict[str, dict[str, Any]] = {
        "an unknown key": {text: 1},
        "a variable": {"env": {text: 1}},
        "a type": {"type": text},
        "a time": {"call_timeout": text},
        "a server's name": {},
    }
    return json.dumps({"mcpServers": {text if place == "a server's name" else "a": {**GOOD, **wrong[place]}}})


@pytest.mark.parametrize("place", PLACES)
def test_what_is_said_of_half_a_surrogate_pair_can_be_told_to_a_client(file: File, place: str) -> None:
    """`list_servers` tells names and problems as UTF-8; one that cannot be told would hide all servers."""
    try:
        (spec,) = file.load(servers_with(place, "x\ud800"))
        told = [spec.name, *spec.problems]
    except BadConfiguration as bad:
        told = [str(bad)]
    assert len("".join(told).encode()) > len("x")


@pytest.mark.parametrize("place", PLACES)
def test_a_problem_is_one_line_without_terminal_commands(file: File, place: str) -> None:
    (spec,) = file.load(servers_with(place, "a\nroundhouse: all is well\x1b[2J\x85\u202e\u2028\U000e0041\x00"))
    assert spec.problems
    assert [c for told in spec.problems for c in told if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")] == []


@pytest.mark.parametrize("place", PLACES)
def test_a_problem_does_not_repeat_a_text_without_end(file: File, place: str) -> None:
    (spec,) = file.load(servers_with(place, "x" * 100_000))
    assert spec.problems
    assert all(len(problem) < 1_000 for problem in spec.problems)


# -- whatever there is in a file

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
JUNK: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ENTRIES = st.dictionaries(
    st.sampled_from([*KEYS, *KEYS, "url", "headers", "alwaysAllow", "comand", "x"]),
    st.one_of(
        JUNK,
        st.sampled_from(
            ["x", "stdio", "sse", "", 1, 0, -1, 1e400, 10**400, True, ["x"], {"A": "x"}, {"A=": None}, [], {}]
        ),
    ),
    max_size=6,
)
FILES = st.one_of(
    JUNK,
    st.dictionaries(st.sampled_from(["mcpServers", "servers", "mcpservers", "x"]), JUNK, max_size=3),
    st.dictionaries(
        st.text(max_size=4) | st.sampled_from(["a", "A", "chain", "a__b", "é"]), ENTRIES | JUNK, max_size=4
    ).map(lambda servers: {"mcpServers": servers}),
)


def check(file: File, content: bytes) -> None:
    """Loading gives servers that are either whole or have problems, or raises `BadConfiguration`."""
    try:
        specs = file.load(content)
    except BadConfiguration as bad:
        said = str(bad)
    else:
        said = ""
        for spec in specs:
            if not spec.problems:
                assert spec.command.strip()
                assert all(isinstance(arg, str) for arg in spec.args)
                assert all(isinstance(text, str) for pair in spec.env.items() for text in pair)
                assert spec.cwd is None or isinstance(spec.cwd, str)
                assert 0 < spec.call_timeout <= 86400
                assert 0 < spec.start_timeout <= 3600
                assert isinstance(spec.disabled, bool)
            assert all(problem.endswith((".", "?")) for problem in spec.problems)
    assert not said or said.endswith((".", "?"))


@settings(deadline=None, max_examples=300)
@given(FILES)
def test_no_document_raises_anything_but_bad_configuration(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    check(File(tmp_path_factory.getbasetemp()), json.dumps(document).encode())


@settings(deadline=None, max_examples=200)
@given(FILES, st.integers(0, 10_000), st.binary(max_size=3))
def test_no_broken_document_raises_anything_but_bad_configuration(
    tmp_path_factory: pytest.TempPathFactory, document: Any, place: int, crumbs: bytes
) -> None:
    file = File(tmp_path_factory.getbasetemp())
    whole = json.dumps(document, indent=1).encode()
    at = place % (len(whole) + 1)
    for broken in (whole[:at], whole[:at] + b"\n", whole[:at] + crumbs + whole[at:], crumbs):
        check(file, broken)


# -- how long it takes


def seconds(file: File, content: str) -> float:
    def once() -> float:
        before = time.process_time()
        file.load(content)
        return time.process_time() - before

    return min(once() for _ in range(2))


def test_the_time_for_many_servers_grows_with_their_number_and_not_with_its_square(file: File) -> None:
    def servers(count: int) -> str:
        return json.dumps({"mcpServers": {f"s{number}": GOOD for number in range(count)}})

    seconds(file, servers(10))
    assert seconds(file, servers(4000)) < 24 * seconds(file, servers(500))  # linear is 8 times, quadratic 64 times


def test_one_name_given_twice_among_many_costs_no_more_than_its_neighbours(file: File) -> None:
    def keys(count: int) -> str:
        return '{"mcpServers":{},' + "".join(f'"k{number}":1,' for number in range(count)) + '"k1":2}'

    seconds(file, keys(10))
    assert seconds(file, keys(8000)) < 24 * seconds(file, keys(1000))


# -- files that come with the package


def test_what_comes_with_the_package_can_be_read() -> None:
    assert resource("prompts/instructions.md").startswith("---\n")
    with pytest.raises(FileNotFoundError):
        resource("prompts/no-such-prompt.md")
