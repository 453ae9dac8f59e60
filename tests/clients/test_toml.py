"""TOML: a change touches the lines of its member, in whatever way the member is written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse.clients import toml
from roundhouse.clients.formats import Malformed, Unwritable

SAMPLE = (Path(__file__).parent / "samples/codex.toml").read_text()
ENTRY = {"command": '/opt/"new"\\house', "args": ["serve", "é\x7f\n"]}
BLOCK = '[o.new]\ncommand = "/opt/house"\nargs = ["serve"]\n'


def put(text: str, value: Any, *keys: str) -> str:
    """The text with `o.new`, or a member of it, set; checked to be read as such."""
    document = tomllib.loads(text)
    container = document.setdefault("o", {})
    for key in ("new", *keys)[:-1]:
        container = container.setdefault(key, {})
    container[("new", *keys)[-1]] = value
    after = toml.put(text, ("o", "new", *keys), value)
    assert tomllib.loads(after) == document
    return after


def drop(text: str, name: str) -> str:
    """The text without `o.NAME`, checked to be read as such."""
    document = tomllib.loads(text)
    del document["o"][name]
    after = toml.drop(text, ("o", name))
    read = tomllib.loads(after)
    assert {**read, "o": read.get("o", {})} == document
    return after


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = ", 1, 5),
        ("a = 1\nb = [1,\n  oops]", 3, 3),
        ("a = 1\na = 2\n", 2, 6),
        ('a = "open', 1, 10),
        ("[a\n", 1, 3),
        ("\n\n= 1", 3, 1),
    ],
)
def test_what_is_no_toml_is_named_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(Malformed, match="no TOML: ") as caught:
        toml.parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert "line" not in caught.value.what


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 10_000])
def test_what_cannot_be_held_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        toml.parse(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", BLOCK),
        ("a = 1\n", f"a = 1\n\n{BLOCK}"),
        ("a = 1", f"a = 1\n\n{BLOCK}"),
        ("a = 1\r\n", "a = 1\r\n\r\n" + BLOCK.replace("\n", "\r\n")),
        ("[o]\nx = 1 # one\n", f"[o]\nx = 1 # one\n\n{BLOCK}"),
        ("o.old.command = 'x'\n", f"o.old.command = 'x'\n\n{BLOCK}"),
        ("o = {}\n", 'o = { new = { command = "/opt/house", args = ["serve"] } }\n'),
        ("o = { old = {a = 1.5, b = [true]} } # all\nz=1\n",
         'o = { old = { a = 1.5, b = [true] }, new = { command = "/opt/house", args = ["serve"] } } # all\nz=1\n'),
    ],
)  # fmt: skip
def test_a_table_is_added_where_it_can_stand(before: str, after: str) -> None:
    assert put(before, {"command": "/opt/house", "args": ["serve"]}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "[o.new]\ncommand = 'old' # mine\nenv = { A = '1' }\n",
            "[o.new]\ncommand = \"x\" # mine\nenv = { A = '1' }\n",
        ),
        ('[o.new]\n  "command" = """\nold\n"""\n\n[z]\n', '[o.new]\n  "command" = "x"\n\n[z]\n'),
        ("[o.new]\nargs = [] # none\n# end\n\n[z]\n", '[o.new]\nargs = [] # none\ncommand = "x"\n# end\n\n[z]\n'),
        ("[o.new]\n\n[z]\n", '[o.new]\ncommand = "x"\n\n[z]\n'),
        ("[o.new]", '[o.new]\ncommand = "x"\n'),
        ("[o.new.env]\nA = '1'\n", "[o.new.env]\nA = '1'\n\n[o.new]\ncommand = \"x\"\n"),
        ("[o]\nnew = { args = ['a'] }\n", '[o]\nnew = { args = ["a"], command = "x" }\n'),
        ("[o]\nnew.command = 'old'\nnew.args = []\n", '[o]\nnew.command = "x"\nnew.args = []\n'),
        ("o.'new'.\"command\"='old'", 'o.\'new\'."command"="x"'),
    ],
)
def test_a_key_is_set_in_the_way_the_table_is_written(before: str, after: str) -> None:
    assert put(before, "x", "command") == after


def test_what_cannot_be_added_to_without_rewriting_is_said() -> None:
    with pytest.raises(Unwritable, match="dotted keys"):
        toml.put("o.new.args = []\n", ("o", "new", "command"), "x")
    with pytest.raises(Unwritable, match="a date"):
        toml.put("o = { old = { at = 2026-11-20 } }\n", ("o", "new"), ENTRY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\n\n[o.new]\nx = 1\n", "a = 1\n"),
        ("[o.new]\nx = 1\n", ""),
        ("[o.new]\nx = 1\n\n# about z\n[z]\n", "\n# about z\n[z]\n"),
        ("[a]\n\n[o.new]\nx = '''\n[o.old]\n''' # one\n# two\ny = 1\n\n# about z\n[z]\n", "[a]\n\n# about z\n[z]\n"),
        ("[o.new]\n[o.new.env]\nA = '1'\n[z]\n[o.new.tools.t]\nq = 1\n[o.newer]\n", "[z]\n[o.newer]\n"),
        ("[o]\nnew = { x = 1 }\nold = { y = 2 }\n", "[o]\nold = { y = 2 }\n"),
        ("[o]\nnew.x = 1\nold.y = 2\nnew.z = 3\n", "[o]\nold.y = 2\n"),
        ("o = { new = 1, old = '2' }\n", 'o = { old = "2" }\n'),
        ("[[o.new]]\nx = 1\n[[o.new]]\nx = 2\n", ""),
    ],
)
def test_a_member_is_taken_out_however_it_is_written(before: str, after: str) -> None:
    assert drop(before, "new") == after


def test_without_the_member_nothing_changes() -> None:
    for text in ("", "[o]\n", "o = { old  =  1 }\n", SAMPLE):
        assert toml.drop(text, ("o", "new")) == text


pieces = st.sampled_from(
    [
        "# [o.new]\n",
        "\n",
        "  \t\n",
        "[t1]\nx = ']' # ]\n",
        "[t2]\ny = [\n  1, # one\n  [2],\n]\n",
        '[t3]\nz = """\n[o.new]\n""""\n',
        "[t4]\n'[q]' = { a = '}' }\n",
        "[o.one]\nx = 1\n",
        "[o.two]\n  x = 2 # two\n\n  [o.two.env]\n  A = 'b'\n# of two?\n",
        "[[list]]\na = 1\n[[list.o.new]]\nb = 1\n",
    ]
)


@given(
    st.lists(pieces, max_size=8, unique_by=lambda piece: piece if piece.startswith("[") else object()), st.booleans()
)
def test_adding_and_taking_out_gives_back_every_character(parts: list[str], windows: bool) -> None:
    text = "".join(parts)
    text = text.replace("\n", "\r\n") if windows else text
    assert drop(put(text, ENTRY), "new") == text


@given(st.permutations(["[o.new]\nx = 1\n", "[o.one]\ny = 1\n\n", "# c\n", "[z]\n", "[o.new.env]\nA = 'b'\n\n"]))
def test_wherever_its_tables_are_they_are_found(parts: list[str]) -> None:
    text = "".join(parts)
    after = drop(text, "new")
    assert all(line in after for line in ("[o.one]\ny = 1\n", "# c\n", "[z]\n"))
    assert set(after.splitlines()) <= set(text.splitlines())
