"""The catalogue: every tool once, in the server's own words but for the name, and one bad tool harms no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.gateway.catalogue import Catalogue, Part, Route, build, part_of, replace
from roundhouse.gateway.names import public_name
from roundhouse.model.servers import ServerSpec
from roundhouse.wire.envelope import members

# Bytes that a parser and printer would not give back: numbers, escapes, order, nulls, members nobody knows.
# @ stands where the tool has its name.
OWN_NAME = b"@"
DEFINITIONS = [
    rb'{@,"description":"caf\u00e9\/","inputSchema":{"type":"object","default":1.10,"max":1e400}}',
    rb'{"x-new":{"b":null,"a":[-0,1E+2]},"inputSchema":{ "type" : "object" },@,"annotations":null}',
    '{"inputSchema":{"title":"日本語 😀"},"title":"",@}'.encode(),
    rb'{@,"description":"half a pair: \ud83d","inputSchema":{}}',
    rb'{"description":"its \"name\":\"say\"",@,"inputSchema":{},"outputSchema":{"name":"say"}}',
]


def tool(name: object, **more: object) -> bytes:
    return json.dumps({"name": name, "inputSchema": {"type": "object"}, **more}).encode()


def names(catalogue: Catalogue) -> list[str]:
    return [one["name"] for one in json.loads(catalogue.tools)["tools"]]


# -- one server's part


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_definition_is_the_servers_own_bytes_but_for_its_name(definition: bytes) -> None:
    part = part_of(ServerSpec("a"), [definition.replace(OWN_NAME, b'"name":"say"')])
    assert part.entries == (definition.replace(OWN_NAME, b'"name":"a__say"'),)
    assert part.routes == {"a__say": Route("a", b'"say"')}
    assert part.notes == ()


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMED = st.dictionaries(st.text(max_size=5) | st.sampled_from(["x-title", "xSchema"]), JSON, max_size=4)


@settings(deadline=None)
@given(NAMED, st.text(min_size=1, max_size=60), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_every_other_member_of_a_definition_keeps_its_value_and_place(
    others: dict[str, Any], name: str, ascii_only: bool, separators: tuple[str, str]
) -> None:
    sent = json.dumps(
        {**others, "inputSchema": {}, "name": name}, ensure_ascii=ascii_only, separators=separators
    ).encode()
    (entry,) = part_of(ServerSpec("a"), [sent]).entries
    before, after = members(sent), members(entry)
    assert list(after) == list(before)
    assert [bytes(value) for key, value in after.items() if key != "name"] == [
        bytes(value) for key, value in before.items() if key != "name"
    ]
    assert json.loads(bytes(after["name"])) == public_name("a", name)


@pytest.mark.parametrize(
    "name", ["say", "café", "a/b", 'quo"te', "tab\t", "x" * 500, "日本", "__", "a__b", "\u202e", "\x00"]
)
def test_a_route_leads_to_the_name_as_the_server_wrote_it(name: str) -> None:
    for ascii_only in (True, False):
        written = json.dumps(name, ensure_ascii=ascii_only).encode()
        part = part_of(ServerSpec("a"), [b'{"name":%b,"inputSchema":{}}' % written])
        assert part.routes == {public_name("a", name): Route("a", written)}


def test_a_name_behind_an_escaped_key_is_found() -> None:
    part = part_of(ServerSpec("a"), [rb'{"n\u0061me":"say","inputSchema":{}}'])
    assert part.entries == (b'{"name":"a__say","inputSchema":{}}',)


@pytest.mark.parametrize(
    "members",
    [
        b"",
        b',"inputSchema":null',
        b',"inputSchema":"x"',
        b',"inputSchema":{"type":"string"}',
        b',"inputSchema":{},"description":5',
        b',"inputSchema":{},"annotations":[1]',
        b',"inputSchema":{},"outputSchema":3',
        b',"inputSchema":{},"_meta":7',
        b',"inputSchema":{},"title":{}',
        b',"inputSchema":{},"icons":"x"',
    ],
)
def test_a_definition_for_which_clients_refuse_the_whole_list_is_left_out(members: bytes) -> None:
    part = part_of(ServerSpec("a"), [tool("before"), b'{"name":"bad"%b}' % members, tool("after")])
    assert list(part.routes) == ["a__before", "a__after"]
    assert "'bad' was left out" in part.notes[0]


def test_a_thousand_bad_definitions_are_a_few_notes() -> None:
    part = part_of(ServerSpec("a"), [b"{}"] * 1_000)
    assert len(part.notes) == 21
    assert part.notes[-1] == "and 980 more"


@pytest.mark.parametrize(
    ("bad", "because"),
    [
        (b"{}", "it has no name"),
        (tool(None), "it has no name"),
        (tool(5), "it has no name"),
        (tool(["say"]), "it has no name"),
        (tool(""), "it has no name"),
        (b"null", "it is no JSON object"),
        (b'"say"', "it is no JSON object"),
        (b"[]", "it is no JSON object"),
        (b"{", "it is not JSON"),
        (b'{"name":"say",}', "it is not JSON"),
        (b'{"\xff":1}', "it is not UTF-8"),
        (b'{"name":"deep","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than 200 levels"),
    ],
)
def test_a_tool_that_cannot_be_offered_is_left_out_with_its_place_and_the_reason(bad: bytes, because: str) -> None:
    part = part_of(ServerSpec("a"), [tool("before"), bad, tool("after")])
    assert list(part.routes) == ["a__before", "a__after"]
    assert len(part.entries) == 2
    (note,) = part.notes
    assert "tool 1 of its list was left out: " in note
    assert because in note


def test_a_tool_with_a_member_named_by_half_a_surrogate_pair_harms_no_other() -> None:
    part = part_of(ServerSpec("a"), [tool("before"), rb'{"name":"odd","\ud83d":1}', tool("after")])
    assert {"a__before", "a__after"} <= set(part.routes)
    assert len(part.entries) + len(part.notes) == 3


def test_of_two_tools_with_one_name_the_first_is_offered_and_the_second_noted() -> None:
    part = part_of(ServerSpec("a"), [tool("say", title="first"), tool("say", title="second"), rb'{"name":"\u0073ay"}'])
    assert [json.loads(entry)["title"] for entry in part.entries] == ["first"]
    assert part.notes == ("a second tool named 'say' was left out",) * 2


def test_a_tool_that_took_the_shortened_name_of_another_does_not_get_its_calls() -> None:
    theirs = public_name("a", "x y").removeprefix("a__")
    for order in (["x y", theirs], [theirs, "x y"]):
        part = part_of(ServerSpec("a"), [tool(name) for name in order])
        assert part.routes == {f"a__{theirs}": Route("a", json.dumps(order[0]).encode())}
        assert len(part.notes) == 1


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=9), JSON.map(lambda value: json.dumps(value).encode())), max_size=6))
def test_whatever_a_server_lists_is_offered_or_noted_and_the_result_is_json(junk: list[bytes]) -> None:
    part = part_of(ServerSpec("a"), [*junk, tool("last")])
    assert len(part.entries) + len(part.notes) == len(junk) + 1
    assert len(part.entries) == len(part.routes)
    assert names(build([], {"a": part}))[-1] == "a__last"


# -- the whole


def test_a_catalogue_lists_our_own_tools_first_and_then_each_servers_in_order() -> None:
    parts = {name: part_of(ServerSpec(name), [tool("x"), tool("y")]) for name in ("b", "a")}
    catalogue = build([tool("ours")], parts)
    assert names(catalogue) == ["ours", "b__x", "b__y", "a__x", "a__y"]
    assert catalogue.routes == {
        f"{server}__{name}": Route(server, json.dumps(name).encode()) for server in "ba" for name in "xy"
    }


def test_an_empty_catalogue_is_an_empty_list() -> None:
    assert build([], {}) == Catalogue()
    assert json.loads(Catalogue().tools) == {"tools": []}
    assert json.loads(build([], {"a": Part()}).tools) == {"tools": []}


def test_replacing_a_part_changes_that_servers_tools_and_nothing_else() -> None:
    old = build([tool("ours")], {name: part_of(ServerSpec(name), [tool("x")]) for name in "abc"})
    new = replace(old, "b", part_of(ServerSpec("b"), [tool("y"), tool("z")]))
    assert names(new) == ["ours", "a__x", "b__y", "b__z", "c__x"]
    assert list(new.routes) == ["a__x", "b__y", "b__z", "c__x"]
    assert names(replace(new, "b", Part())) == ["ours", "a__x", "c__x"]


def test_replacing_leaves_the_old_catalogue_as_it_was() -> None:
    parts = {"a": part_of(ServerSpec("a"), [tool("x")])}
    old = build([], parts)
    replace(old, "a", Part())
    parts.clear()
    assert names(old) == ["a__x"]
    assert list(old.routes) == ["a__x"]
    assert list(old.parts) == ["a"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from(["x", "y", "é", ""]), max_size=4)), max_size=8)
)
def test_replaced_step_by_step_or_built_at_once_a_catalogue_is_the_same(steps: list[tuple[str, list[str]]]) -> None:
    parts = {name: Part() for name in "abc"}
    catalogue = build([tool("ours")], parts)
    for server, tools in steps:
        parts[server] = part_of(ServerSpec(server), map(tool, tools))
        catalogue = replace(catalogue, server, parts[server])
    assert catalogue == build([tool("ours")], parts)
    assert names(catalogue)[1:] == list(catalogue.routes)
