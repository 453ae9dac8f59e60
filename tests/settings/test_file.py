"""The configuration file: its servers in order, each whole or with its problems, and no other failure but one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.errors import BadConfiguration
from roundhouse.model.servers import (
    CALL_TIMEOUT,
    IDLE_STOP,
    LONGEST_CALL_TIMEOUT,
    START_TIMEOUT,
    ServerSpec,
    Sharing,
    Start,
)
from roundhouse.settings.entry import FOREIGN_KEYS, KEYS, LONGEST_IDLE_STOP, LONGEST_START_TIMEOUT
from tests.settings.files import GOOD, REMOTE, File

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
        "start": "on-demand",
        "idle_stop": 0,
        "allow": ["get_*"],
        "deny": ["get_all"],
        "rename": {"get_time": "now"},
        "descriptions": {"get_time": "The time it is."},
        "instances": "per-client",
        "tags": ["clock"],
        "pinned": ["get_time"],
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
        start=Start.ON_DEMAND,
        idle_stop=0.0,
        allow=("get_*",),
        deny=("get_all",),
        rename={"get_time": "now"},
        descriptions={"get_time": "The time it is."},
        instances=Sharing.PER_CLIENT,
        tags=("clock",),
        pinned=("get_time",),
    )
    assert {*entry, "url", "headers"} == {*KEYS}  # or a key is read that nobody has looked at


@pytest.mark.parametrize("kind", ["http", "sse", "streamable-http", "streamableHttp", None])
def test_a_server_at_an_address_is_what_its_entry_says(file: File, kind: str | None) -> None:
    url, headers = "https://example.org/mcp?x=1", {"Authorization": "Bearer ${env:TOKEN}"}
    spec = file.entry({"url": url, "headers": headers, **({"type": kind} if kind else {})})
    assert spec == ServerSpec("a", url=url, headers=headers, start=Start.ALWAYS)


def test_what_an_entry_does_not_say_has_its_default(file: File) -> None:
    assert file.entry({"command": "x"}) == ServerSpec(
        "a",
        command="x",
        args=(),
        env={},
        cwd=None,
        call_timeout=CALL_TIMEOUT,
        start_timeout=START_TIMEOUT,
        start=Start.ALWAYS,
        idle_stop=IDLE_STOP,
        instances=Sharing.AUTO,
    )
    assert (CALL_TIMEOUT, START_TIMEOUT, IDLE_STOP) == (600.0, 30.0, 600.0)  # as the documentation says


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


@pytest.mark.parametrize(
    "key", ["args", "env", "cwd", "url", "headers", "allow", "deny", "rename", "descriptions", "tags", "pinned"]
)
def test_null_is_the_same_as_not_said(file: File, key: str) -> None:
    assert file.entry({"command": "x", key: None}) == file.entry({"command": "x"})


def test_an_address_beside_a_null_command_is_an_address(file: File) -> None:
    assert file.entry({**REMOTE, "command": None}) == file.entry(REMOTE)


@pytest.mark.parametrize(
    "bad",
    [None, [], {}, {"command": 5}, {"httpUrl": "x"}, {**GOOD, "x": 1}, {**GOOD, "args": [None]}, {**GOOD, "env": 5}],
)
def test_one_bad_entry_leaves_the_others_whole(file: File, bad: object) -> None:
    servers = file.servers(before=GOOD, bad=bad, after=GOOD)
    assert list(servers) == ["before", "bad", "after"]
    assert servers["bad"].problems
    for name in ("before", "after"):
        assert servers[name] == ServerSpec(name, command="echo", args=("-n",), start=Start.ALWAYS)


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


# -- whatever there is in a file


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
JUNK: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ENTRIES = st.dictionaries(
    st.sampled_from([*KEYS, *KEYS, "httpUrl", "alwaysAllow", "comand", "x"]),
    st.one_of(
        JUNK,
        st.sampled_from(
            [
                *("x", "stdio", "sse", "", 1, 0, -1, 1e400, 10**400, True, ["x"], {"A": "x"}, {"A=": None}, [], {}),
                *("https://x", "http://[x", "always", "per-client", "\ud800", {"\ud800": "x"}, {"a": "b", "c": "b"}),
            ]
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
                check_whole(spec)
            assert all(problem.endswith((".", "?")) for problem in spec.problems)
            assert json.dumps(spec.problems, ensure_ascii=False).encode()
    assert not said or said.endswith((".", "?"))


def check_whole(spec: ServerSpec) -> None:
    """Everything in a specification without problems is of its type, within its bounds, and can be told to a client."""
    assert bool(spec.command.strip()) != bool(spec.url)
    assert spec.cwd is None or isinstance(spec.cwd, str)
    for listed in (spec.args, spec.allow, spec.deny, spec.tags, spec.pinned):
        assert all(isinstance(text, str) for text in listed)
        assert json.dumps(listed, ensure_ascii=False).encode()
    for by_name in (spec.env, spec.headers, spec.rename, spec.descriptions):
        assert all(isinstance(text, str) for pair in by_name.items() for text in pair)
        assert json.dumps(by_name, ensure_ascii=False).encode()
    assert not any("\n" in value for value in spec.headers.values())
    assert len({*spec.rename.values()}) == len(spec.rename)
    assert 0 < spec.call_timeout <= LONGEST_CALL_TIMEOUT
    assert 0 < spec.start_timeout <= LONGEST_START_TIMEOUT
    assert 0 <= spec.idle_stop <= LONGEST_IDLE_STOP
    assert isinstance(spec.disabled, bool)
    assert isinstance(spec.start, Start)
    assert isinstance(spec.instances, Sharing)


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
