"""The names clients see: short, plain, each for one tool only, and the same for ever."""

from __future__ import annotations

import re
import unicodedata
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.gateway.names import LONGEST, public_name

# What `settings` lets through as the name of a server.
SERVERS = st.from_regex(r"[a-zA-Z0-9](?:(?:[a-zA-Z0-9-]|_(?!_)){0,30}[a-zA-Z0-9])?", fullmatch=True)
TOOLS = st.one_of(
    st.text(st.characters(), min_size=1, max_size=80),  # lone surrogates too
    st.text("ab_-.é/ \u200b\x00", min_size=1, max_size=50),
)
TWINS = [  # names that fold, look or read alike
    *("file", "\ufb01le", "\uff46\uff49\uff4c\uff45", "FILE", "File", "f\u0456le", "fi\u200ble", "file\u0301"),
    *("\ufefffile", "file ", " file"),
    *("a.b", "a/b", "a b", "a_b", "a-b", "a__b", "_a_b", "a_b_", "a\x00b", "a\nb", "\u202eb_a", "\U000e0061", "\ud83d"),
    *("x" * 100, "x" * 101, "x" * 100 + "y", "é" * 100, "é" * 101, "y" + "x" * 99),
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(SERVERS, TOOLS)
def test_a_name_is_what_every_client_takes(server: str, tool: str) -> None:
    name = public_name(server, tool)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", name)
    assert len(name) <= LONGEST == 47
    assert unicodedata.normalize("NFKC", name) == name


@settings(deadline=None, max_examples=300)
@given(SERVERS, TOOLS)
def test_a_name_begins_with_its_server_and_depends_on_nothing_but_itself(server: str, tool: str) -> None:
    name = public_name(server, tool)
    assert name.startswith(f"{server}__")
    assert public_name(server, tool) == name


@settings(deadline=None)
@given(SERVERS, st.from_regex(r"[a-zA-Z0-9_-]{1,13}", fullmatch=True))
def test_a_tool_of_up_to_thirteen_plain_characters_keeps_its_name_behind_any_server(server: str, tool: str) -> None:
    assert public_name(server, tool) == f"{server}__{tool}"


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("time", "get_current_time", "time__get_current_time"),
        ("a", "_b", "a___b"),
        ("s", "t" * 44, "s__" + "t" * 44),
        ("s", "t" * 45, "s__" + "t" * 35 + "_a0a0f51e"),
        ("time", "get.time", "time__get_time_b4575428"),
        ("time", "é", "time____9e97ded8"),
        ("a" * 32, "b" * 13, "a" * 32 + "__" + "b" * 13),
        ("a" * 32, "b" * 14, "a" * 32 + "__bbbb_41911b86"),
    ],
)
def test_a_name_is_the_same_in_every_version(server: str, tool: str, name: str) -> None:
    """Clients keep rules, and models memories, by these names."""
    assert public_name(server, tool) == name


def test_no_two_tools_of_any_servers_share_a_name() -> None:
    """All servers of up to four, all tools of up to four of the characters that could confuse them, and worse ones."""
    words = ["".join(word) for size in range(1, 5) for word in product("a_-", repeat=size)]
    servers = [word for word in words if re.fullmatch(r"a(?:.*a)?", word) and "__" not in word]
    tools = [*("".join(word) for size in range(1, 5) for word in product("a_-.", repeat=size)), *TWINS]
    pairs = set(product(servers, tools))
    assert len({public_name(server, tool) for server, tool in pairs}) == len(pairs)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(SERVERS, TOOLS), unique=True, max_size=8))
def test_different_tools_have_different_names(pairs: list[tuple[str, str]]) -> None:
    assert len({public_name(server, tool) for server, tool in pairs}) == len(pairs)
