"""A server's entry: what is right is taken as written, what is wrong is named with its place and a way out."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.errors import BadConfiguration
from roundhouse.model.servers import ServerSpec, Start
from roundhouse.settings.entry import KEYS, Names, read_entry
from roundhouse.settings.file import load_servers
from tests.settings.files import GOOD, REMOTE, RESERVED, File, with_timeout

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
    "idle_stop": [STRING, LIST, OBJECT, BOOLEAN, NULL, "", [], {}, False],
    "start": [STRING, NUMBER, LIST, OBJECT, BOOLEAN, NULL, "", 0, [], {}, False],
    "instances": [STRING, NUMBER, LIST, OBJECT, BOOLEAN, NULL, "", 0, [], {}, False],
    "allow": [STRING, NUMBER, OBJECT, BOOLEAN, "", 0, {}, False],
    "deny": [STRING, NUMBER, OBJECT, BOOLEAN, "", 0, {}, False],
    "tags": [STRING, NUMBER, OBJECT, BOOLEAN, "", 0, {}, False],
    "pinned": [STRING, NUMBER, OBJECT, BOOLEAN, "", 0, {}, False],
    "pinned[1]": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
    "rename": [STRING, NUMBER, LIST, BOOLEAN, "", 0, [], False],
    "rename.A": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
    "descriptions": [STRING, NUMBER, LIST, BOOLEAN, "", 0, [], False],
    "descriptions.A": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
}
# The same of what only a server at an address has.
WRONG_REMOTE: dict[str, list[object]] = {
    "url": [NUMBER, LIST, OBJECT, BOOLEAN, 0, [], {}, False],
    "headers": [STRING, NUMBER, LIST, BOOLEAN, "", 0, [], False],
    "headers.A": [NUMBER, LIST, OBJECT, BOOLEAN, NULL, 0, [], {}, False],
}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(place, value, id=f"{place}={value!r}")
        for place, values in (WRONG | WRONG_REMOTE).items()
        for value in values
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_place(file: File, place: str, value: object) -> None:
    if place.endswith("[1]"):
        more: dict[str, object] = {place[:-3]: ["x", value, "z"]}
    elif place.endswith(".A"):
        more = {place[:-2]: {"B": "x", "A": value}}
    else:
        more = {place: value}
    spec = file.entry({**(REMOTE if place in WRONG_REMOTE else GOOD), **more})
    (problem,) = spec.problems
    assert problem.startswith(f"mcpServers.a.{place} ")
    assert "expected" in problem
    assert (spec.command, spec.url) == ("", "")  # so that nothing can start by mistake


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


@pytest.mark.parametrize("key", ["env", "rename", "descriptions"])
def test_a_name_of_half_a_surrogate_pair_is_refused_because_it_cannot_be_told(file: File, key: str) -> None:
    (problem,) = file.entry({**GOOD, key: {"x\ud800": "x"}}).problems
    assert problem == f"mcpServers.a.{key} has 'x\\ud800', which contains half a surrogate pair."


@pytest.mark.parametrize("key", ["rename", "descriptions"])
def test_what_cannot_name_a_tool_is_refused(file: File, key: str) -> None:
    (problem,) = file.entry({**GOOD, key: {"": "x"}}).problems
    assert problem == f"mcpServers.a.{key} has '', which cannot be the name of a tool."


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
        ("idle_stop", 0, True),
        ("idle_stop", 0.5, True),
        ("idle_stop", 30 * 86400, True),
        ("idle_stop", 30 * 86400 + 1, False),
        ("idle_stop", -1, False),
    ],
)
def test_times_are_more_than_nothing_and_less_than_for_ever(file: File, key: str, value: float, fine: bool) -> None:
    problems = file.entry({**GOOD, key: value}).problems
    assert bool(problems) != fine
    assert all(f"mcpServers.a.{key} is " in problem and "expected seconds" in problem for problem in problems)


def test_a_time_out_of_bounds_is_told_the_bounds(file: File) -> None:
    entry = {**GOOD, "call_timeout": 100_000, "idle_stop": -1}
    call_timeout, idle_stop = file.entry(entry).problems
    assert call_timeout.endswith(" is 100000; expected seconds, more than 0 and at most 86,400.")
    assert idle_stop.endswith(" is -1; expected seconds, more than 0 and at most 2,592,000, or 0 for never.")


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


@pytest.mark.parametrize("key", ["httpUrl", "serverUrl"])
@pytest.mark.parametrize("more", [{}, {"disabled": True}, {"headers": {"A": "x"}}, {"type": "http", **REMOTE}])
def test_what_other_clients_call_an_address_is_told_its_name_here_and_nothing_else(
    file: File, key: str, more: dict[str, Any]
) -> None:
    (problem,) = file.entry({key: "https://example.org/mcp", **more}).problems
    assert problem == f"mcpServers.a.{key} is called `url` here."


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({**REMOTE, "command": "x"}, " has a `command` and a `url`; keep one."),
        ({**REMOTE, "type": "stdio"}, '.type is "stdio"; for a `url` expected "http" or "sse", or nothing.'),
        ({**REMOTE, "type": "ws"}, '.type is "ws"; for a `url` expected "http" or "sse", or nothing.'),
        ({"type": "http"}, ".url is missing; expected the address of the server."),
        ({"type": "sse", "command": "x"}, ".url is missing; expected the address of the server."),
        ({"type": "ws", "command": "x"}, '.type is "ws"; expected "stdio", "http" or "sse", or nothing.'),
        ({**GOOD, "headers": {"A": "x"}}, ".headers needs a `url`; a command is given what it needs by `env`."),
        ({**REMOTE, "headers": {"A b": "x"}}, ".headers has 'A b', which cannot be the name of a header."),
        ({**REMOTE, "headers": {"A": "x\r\nB: y"}}, ".headers.A has more than one line, which no header can."),
    ],
)
def test_a_command_and_an_address_are_not_mixed(file: File, entry: dict[str, Any], told: str) -> None:
    assert file.entry(entry).problems == (f"mcpServers.a{told}",)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://localhost:8080/sse",
        "https://[::1]:8443/mcp?a=b#c",
        "https://example.org/${secret:PATH}/mcp?key=${env:KEY}",
        "https://user:${secret:PASSWORD}@example.org/",
    ],
)
def test_an_address_is_taken_as_written(file: File, url: str) -> None:
    spec = file.entry({"url": url})
    assert not spec.problems
    assert spec.url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "example.org/mcp",
        "ftp://example.org",
        "file:///etc/passwd",
        "https://",
        "https:///mcp",
        "https://:443/mcp",
        "https://example.org:port/",
        "https://example.org:0/",
        "https://example.org:70000/",
        "https://[::1/",
        "https://exam\nple.org/",
        " https://example.org/",
        "https://example.org\\@elsewhere.org/",
        "https://${env:HOST}/mcp",
    ],
)
def test_what_is_no_address_is_refused(file: File, url: str) -> None:
    assert file.entry({"url": url}).problems == (
        "mcpServers.a.url is no address; expected https://HOST/... or http://HOST/...",
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("start", "never", "'on-demand' or 'always'"),
        ("start", "ALWAYS", "'on-demand' or 'always'"),
        ("start", None, "'on-demand' or 'always'"),
        ("start", ["always"], "'on-demand' or 'always'"),
        ("instances", "one", "'auto' or 'shared' or 'per-client'"),
        ("instances", {}, "'auto' or 'shared' or 'per-client'"),
    ],
)
def test_a_choice_that_there_is_not_is_told_the_choices(file: File, key: str, value: object, expected: str) -> None:
    (problem,) = file.entry({**GOOD, key: value}).problems
    assert problem == f"mcpServers.a.{key} is {json.dumps(value)}; expected {expected}."


@pytest.mark.parametrize("new", ["", "a b", "a.b", "é", "x" * 65, "a/b", "a\n"])
def test_a_new_name_that_no_tool_can_have_is_refused(file: File, new: str) -> None:
    (problem,) = file.entry({**GOOD, "rename": {"old": new, "other": "fine"}}).problems
    assert problem.startswith("mcpServers.a.rename.old: ")
    assert problem.endswith(" cannot be a tool's name. Use a-z, A-Z, 0-9, '-', '_'.")


def test_two_tools_are_not_given_one_name(file: File) -> None:
    """The second would be gone, and nobody would have asked for that."""
    (problem,) = file.entry({**GOOD, "rename": {"read": "get", "write": "put", "fetch": "get"}}).problems
    assert problem == "mcpServers.a.rename calls 2 tools 'get'; give each a name of its own."


@pytest.mark.parametrize("placeholder", ["${input:token}", "${workspaceFolder}", "${userHome}"])
@pytest.mark.parametrize("place", ["command", "args[0]", "env.A", "cwd", "url", "headers.A"])
def test_what_another_client_fills_in_is_not_passed_on_as_it_stands(file: File, place: str, placeholder: str) -> None:
    text = f"https://x/{placeholder}" if place == "url" else f"x {placeholder}"
    key = re.split(r"[.\[]", place)[0]
    value = {"args[0]": [text], "env.A": {"A": text}, "headers.A": {"A": text}}.get(place, text)
    base = REMOTE if key in ("url", "headers") else GOOD
    (problem,) = file.entry({**base, key: value}).problems
    assert (
        problem == f"mcpServers.a.{place} holds {placeholder!r}, which is not filled in here; write the value itself."
    )


@pytest.mark.parametrize("reference", ["${env:TOKEN}", "${secret:TOKEN}", "Bearer ${secret:TOKEN}", "${TOKEN:-x}"])
def test_what_is_filled_in_at_the_start_stays_as_it_is_until_then(file: File, reference: str) -> None:
    spec = file.entry({"command": "x", "args": [reference], "env": {"A": reference}})
    assert not spec.problems
    assert (spec.args, spec.env) == ((reference,), {"A": reference})


def test_an_entry_that_no_file_holds_is_read_by_the_same_rules_and_starts_on_demand() -> None:
    names = Names({"a": {}, "chain": {}}, RESERVED)
    assert read_entry(names, "a", {"command": "x"}) == ServerSpec("a", command="x", start=Start.ON_DEMAND)
    assert read_entry(names, "a", {"command": "x", "start": "always"}).start is Start.ALWAYS
    ours, unknown, missing = read_entry(names, "chain", {"comand": "x"}).problems
    assert ours == "mcpServers.chain: the name 'chain' is Roundhouse's own; choose another."
    assert unknown.startswith("mcpServers.chain.comand is not known: did you mean 'command'?")
    assert missing.startswith("mcpServers.chain.command is missing;")


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
