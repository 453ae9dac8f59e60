"""What a model may change without a person: nothing that runs something else, or shows more than there was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.model.servers import ServerSpec
from roundhouse.settings.entry import KEYS, LAUNCH_KEYS, Names, read_entry
from roundhouse.supervise.launch import launch_of
from roundhouse.supervise.proposals import widens

Entry = dict[str, Any]

ENTRY: Entry = {"command": "tool", "args": ["-v"], "env": {"A": "1"}, "cwd": "/work", "type": "stdio"}
REMOTE: Entry = {"url": "https://example.org/mcp", "headers": {"A": "1"}, "type": "http"}

# Of every key: what gives more than there was, and what does not. (the entry, the new value; None takes it away)
WIDER: dict[str, list[tuple[Entry, Any]]] = {
    "command": [(ENTRY, "other"), (ENTRY, "/bin/tool"), (ENTRY, None), (REMOTE, "tool")],
    "instances": [({}, "shared"), ({"instances": "per-client"}, None), ({"instances": "per-client"}, "auto")],
    "args": [(ENTRY, ["-v", "-f"]), (ENTRY, []), (ENTRY, None), ({"command": "x"}, ["-c", "evil"])],
    "env": [
        (ENTRY, {"A": "2"}),
        (ENTRY, {"A": "1", "B": "2"}),
        (ENTRY, {}),
        (ENTRY, None),
        ({"command": "x"}, {"A": "1"}),
    ],
    "cwd": [(ENTRY, "/"), (ENTRY, "/work/deeper"), (ENTRY, None), ({"command": "x"}, "/")],
    "type": [(ENTRY, "http"), (REMOTE, "sse"), (ENTRY, None), ({"command": "x"}, "stdio")],
    "url": [
        (REMOTE, "https://example.org/other"),
        (REMOTE, "https://elsewhere.org"),
        (REMOTE, None),
        (ENTRY, "https://x"),
    ],
    "headers": [(REMOTE, {"A": "2"}), (REMOTE, {"A": "1", "B": "2"}), (REMOTE, {}), (REMOTE, None)],
    "allow": [
        ({"allow": ["a"]}, None),
        ({"allow": ["a"]}, []),
        ({"allow": ["a"]}, ["b"]),
        ({"allow": ["a"]}, ["a", "b"]),
        ({"allow": ["a"]}, ["*"]),
        ({"allow": ["a", "b"]}, ["a", "c"]),
        ({"allow": ["*"]}, None),
    ],
    "deny": [
        ({"deny": ["a"]}, None),
        ({"deny": ["a"]}, []),
        ({"deny": ["a"]}, ["b"]),
        ({"deny": ["a", "b"]}, ["a"]),
        ({"deny": ["a", "b"]}, ["a", "c", "d"]),
        ({"deny": ["*"]}, ["a"]),
    ],
    "rename": [({}, {"a": "b"}), ({"rename": {"a": "b"}}, {"a": "c"}), ({"rename": {"a": "b"}}, None)],
    "descriptions": [({}, {"a": "Do."}), ({"descriptions": {"a": "Do."}}, {}), ({"descriptions": {"a": "Do."}}, None)],
}
NOT_WIDER: dict[str, list[tuple[Entry, Any]]] = {
    "allow": [
        ({}, ["a"]),
        ({}, []),
        ({"allow": []}, ["a"]),
        ({"allow": []}, None),
        ({"allow": ["a", "b"]}, ["a"]),
        ({"allow": ["a", "b"]}, ["b", "a"]),
        ({"allow": ["*"]}, ["*", "*"]),
    ],
    "deny": [
        ({}, ["a"]),
        ({}, []),
        ({"deny": []}, None),
        ({"deny": ["a"]}, ["a", "b"]),
        ({"deny": ["a", "b"]}, ["b", "a"]),
        ({"deny": ["a"]}, ["*", "a"]),
    ],
    "disabled": [({}, True), ({"disabled": True}, False), ({"disabled": True}, None)],
    "call_timeout": [({}, 1), ({"call_timeout": 1}, 86_400), ({"call_timeout": 1}, None)],
    "start_timeout": [({}, 1), ({"start_timeout": 1}, 3_600), ({"start_timeout": 1}, None)],
    "start": [({}, "always"), ({"start": "always"}, "on-demand")],
    "idle_stop": [({}, 0), ({"idle_stop": 1}, None)],
    "instances": [({}, "per-client"), ({"instances": "shared"}, None)],
    "tags": [({}, ["x"]), ({"tags": ["x"]}, None)],
    "pinned": [({}, ["x"]), ({"pinned": ["x"]}, ["x", "y"]), ({"pinned": ["x"]}, None)],
}


def test_every_key_is_looked_at_here() -> None:
    assert {*WIDER, *NOT_WIDER} == {*KEYS}
    assert {*LAUNCH_KEYS} <= {*WIDER} - {*NOT_WIDER}


@pytest.mark.parametrize(
    ("key", "entry", "value"),
    [
        pytest.param(key, entry, value, id=f"{key}: {entry.get(key)} to {value}")
        for key, cases in WIDER.items()
        for entry, value in cases
    ],
)
def test_what_gives_more_waits_for_a_person(key: str, entry: Entry, value: Any) -> None:
    assert widens(key, entry, value)


@pytest.mark.parametrize(
    ("key", "entry", "value"),
    [
        pytest.param(key, entry, value, id=f"{key}: {entry.get(key)} to {value}")
        for key, cases in NOT_WIDER.items()
        for entry, value in cases
    ],
)
def test_what_gives_no_more_is_done_at_once(key: str, entry: Entry, value: Any) -> None:
    assert not widens(key, entry, value)


@pytest.mark.parametrize("key", KEYS)
def test_to_say_again_what_is_so_widens_nothing(key: str) -> None:
    for entry in (ENTRY, REMOTE, {"allow": ["a"], "deny": ["a"], "rename": {"a": "b"}, "descriptions": {"a": "Do."}}):
        assert not widens(key, entry, entry.get(key))


# -- whatever is changed

PATTERNS = st.lists(st.sampled_from(["a", "b", "ab", "a*", "*b", "*", "?", "[ab]", "[!a]"]), max_size=3)
TEXTS = st.sampled_from(["a", "b", "ab"])
BY_NAME = st.dictionaries(TEXTS, TEXTS, max_size=2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "command": st.sampled_from(["/bin/sh", "/bin/true", "no-such-program"]),
    "args": st.lists(TEXTS, max_size=2),
    "env": BY_NAME,
    "cwd": st.sampled_from(["/", "/tmp"]),
    "type": st.sampled_from(["stdio", "http"]),
    "url": st.sampled_from(["https://a", "https://b"]),
    "headers": BY_NAME,
    "disabled": st.booleans(),
    "call_timeout": st.integers(1, 9),
    "start_timeout": st.integers(1, 9),
    "start": st.sampled_from(["on-demand", "always"]),
    "idle_stop": st.integers(0, 9),
    "allow": PATTERNS,
    "deny": PATTERNS,
    "rename": BY_NAME,
    "descriptions": BY_NAME,
    "instances": st.sampled_from(["auto", "shared", "per-client"]),
    "tags": PATTERNS,
    "pinned": PATTERNS,
}
LOCAL = [key for key in KEYS if key not in ("type", "url", "headers")]
TOOLS = ("", "a", "b", "ab", "ba", "bb", "c", "cb", "abc")


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """An entry without problems: of a command, or of an address."""
    remote = draw(st.booleans())
    keys = draw(st.lists(st.sampled_from([key for key in KEYS if remote or key in LOCAL]), max_size=6))
    keys = [*keys, "url"] if remote else [*keys, "command"]
    entry = {key: draw(VALUES[key]) for key in keys if not (remote and key in ("type", "command"))}
    if isinstance(entry.get("rename"), dict):
        entry["rename"] = {new: new for new in entry["rename"]}  # no two tools of one name
    return entry


def spec_of(entry: Entry) -> ServerSpec:
    spec = read_entry(Names({"a": entry}, frozenset()), "a", entry)
    assert not spec.problems, spec.problems
    return spec


@settings(deadline=None, max_examples=500)
@given(entries(), st.data())
def test_what_is_not_said_to_widen_neither_runs_anything_else_nor_offers_or_shows_more(
    entry: Entry, data: st.DataObject
) -> None:
    """Also where several keys are changed at once, each of which narrows by itself."""
    changes = {
        key: data.draw(st.none() | VALUES[key])
        for key in data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
    }
    at_once = {key: value for key, value in changes.items() if not widens(key, entry, value)}
    changed = {key: value for key, value in {**entry, **at_once}.items() if value is not None}
    before, after = spec_of(entry), spec_of(changed)
    assert launch_of(after) == launch_of(before)
    assert (after.rename, after.descriptions) == (before.rename, before.descriptions)
    for tool in TOOLS:
        assert before.offers(tool) or not after.offers(tool)


@settings(deadline=None, max_examples=300)
@given(entries(), st.sampled_from(KEYS), st.data())
def test_what_runs_something_else_is_always_said_to_widen(entry: Entry, key: str, data: st.DataObject) -> None:
    value = data.draw(st.none() | VALUES[key])
    changed = {one: said for one, said in {**entry, key: value}.items() if said is not None}
    spec = read_entry(Names({"a": changed}, frozenset()), "a", changed)
    if not spec.problems and launch_of(spec).digest != launch_of(spec_of(entry)).digest:
        assert widens(key, entry, value)
