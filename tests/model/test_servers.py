"""What a specification offers, and which changes of it leave a running process as it is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.model.servers import ServerSpec, Sharing, Start

TOOLS = ("read_file", "read_all", "write_file", "Read_file", "x")

# -- what it offers


def offered(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> list[str]:
    spec = ServerSpec("a", command="x", allow=allow, deny=deny)
    return [tool for tool in TOOLS if spec.offers(tool)]


@pytest.mark.parametrize(
    ("allow", "deny", "expected"),
    [
        ((), (), [*TOOLS]),
        (("read_file",), (), ["read_file"]),
        (("read_*",), (), ["read_file", "read_all"]),
        (("*_file",), (), ["read_file", "write_file", "Read_file"]),
        (("read_???",), (), ["read_all"]),
        (("[rR]ead_file",), (), ["read_file", "Read_file"]),
        (("[!r]*",), (), ["write_file", "Read_file", "x"]),
        (("x", "write_*"), (), ["write_file", "x"]),
        (("*",), (), [*TOOLS]),
        (("no_such_tool",), (), []),
        (("",), (), []),
        (("read",), (), []),
        ((), ("read_*",), ["write_file", "Read_file", "x"]),
        ((), ("x", "*_all"), ["read_file", "write_file", "Read_file"]),
        ((), ("*",), []),
        ((), ("no_such_tool",), [*TOOLS]),
        (("read_*",), ("read_all",), ["read_file"]),
        (("read_all",), ("read_*",), []),
        (("*",), ("*",), []),
    ],
)
def test_it_offers_what_is_allowed_and_not_denied(
    allow: tuple[str, ...], deny: tuple[str, ...], expected: list[str]
) -> None:
    assert offered(allow, deny) == expected


PATTERNS = st.lists(
    st.sampled_from([*TOOLS, "read_*", "*_file", "*", "?", "[rx]*", "[!a-z]*", "["]) | st.text(max_size=4), max_size=4
).map(tuple)
NAMES = st.sampled_from(TOOLS) | st.text(max_size=6)


@settings(deadline=None)
@given(PATTERNS, PATTERNS, NAMES)
def test_what_is_denied_is_not_offered_whatever_is_allowed(
    allow: tuple[str, ...], deny: tuple[str, ...], tool: str
) -> None:
    denied = not ServerSpec("a", deny=deny).offers(tool)
    allowed = ServerSpec("a", allow=allow).offers(tool)
    assert ServerSpec("a", allow=allow, deny=deny).offers(tool) == (allowed and not denied)


@settings(deadline=None)
@given(PATTERNS, PATTERNS, PATTERNS, NAMES)
def test_a_further_denial_never_offers_more(
    allow: tuple[str, ...], deny: tuple[str, ...], more: tuple[str, ...], tool: str
) -> None:
    spec = ServerSpec("a", allow=allow, deny=deny)
    assert spec.offers(tool) or not replace(spec, deny=deny + more).offers(tool)


def test_names_that_clients_see_have_no_part_in_it() -> None:
    spec = ServerSpec("a", command="x", allow=("read_file",), rename={"write_file": "read_file", "read_file": "get"})
    assert spec.offers("read_file")
    assert not spec.offers("write_file")
    assert not spec.offers("get")


# -- what another process would be

SPEC = ServerSpec("a", command="x")
# Fields that a process is made from, and fields that only decide what is done with it.
OTHER_PROCESS: dict[str, Any] = {
    "name": "b",
    "command": "y",
    "args": ("-v",),
    "env": {"A": "x"},
    "cwd": "/tmp",
    "url": "https://example.org",
    "headers": {"A": "x"},
    "instances": Sharing.PER_CLIENT,
    "problems": ("a.command is blank.",),
}
SAME_PROCESS: dict[str, Any] = {
    "call_timeout": 1.0,
    "start_timeout": 1.0,
    "start": Start.ALWAYS,
    "idle_stop": 0.0,
    "allow": ("x",),
    "deny": ("x",),
    "rename": {"x": "y"},
    "descriptions": {"x": "y"},
    "tags": ("x",),
    "pinned": ("x",),
    "disabled": True,
}


def test_every_field_is_either_part_of_what_a_process_is_made_from_or_is_not() -> None:
    assert sorted([*OTHER_PROCESS, *SAME_PROCESS]) == sorted(field.name for field in fields(ServerSpec))


@pytest.mark.parametrize("field", OTHER_PROCESS)
def test_what_a_process_is_made_from_makes_another(field: str) -> None:
    other = replace(SPEC, **{field: OTHER_PROCESS[field]})
    assert not SPEC.starts_like(other)
    assert not other.starts_like(SPEC)


@pytest.mark.parametrize("field", SAME_PROCESS)
def test_what_is_only_done_with_a_process_leaves_it_as_it_is(field: str) -> None:
    other = replace(SPEC, **{field: SAME_PROCESS[field]})
    assert other != SPEC
    assert SPEC.starts_like(other)
    assert other.starts_like(SPEC)


def test_the_order_of_variables_makes_no_other_process() -> None:
    one, other = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}
    assert ServerSpec("a", command="x", env=one, headers=one).starts_like(
        ServerSpec("a", command="x", env=other, headers=other)
    )


def test_the_order_of_arguments_makes_another_process() -> None:
    assert not ServerSpec("a", command="x", args=("-a", "-b")).starts_like(
        ServerSpec("a", command="x", args=("-b", "-a"))
    )
