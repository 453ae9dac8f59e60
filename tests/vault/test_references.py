"""`${secret:NAME}` and `${env:NAME}` are found and filled in once; a miswritten one is told with its place and mend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse.errors import BadConfiguration
from roundhouse.vault.errors import SecretMissing
from roundhouse.vault.references import Kind, Reference, fill, parse, references

SECRETS = {"A": "alpha", "B_2": "${secret:A}", "C": "$"}
ENVIRONMENT = {"HOME": "/home/u", "lower": "x"}


def filled(text: str) -> str:
    return fill(text, secret=SECRETS.__getitem__, env=ENVIRONMENT.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("nothing here", "nothing here"),
        ("${secret:A}", "alpha"),
        ("Bearer ${secret:A}", "Bearer alpha"),
        ("${secret:A}${secret:A}-${env:HOME}", "alphaalpha-/home/u"),
        ("${secret:B_2}", "${secret:A}"),  # what was filled in is not looked at again
        ("${secret:C}{secret:A}", "${secret:A}"),
        ("$${secret:A}", "${secret:A}"),
        ("$$${secret:A}", "$${secret:A}"),
        ("a$${x}b${secret:A}", "a${x}balpha"),
        ("{${secret:A}}", "{alpha}"),
        ("${env:lower}", "x"),
        ("$ {secret:A} $secret:A {secret:A}", "$ {secret:A} $secret:A {secret:A}"),
        ("${HOME} ${VAR:-default} ${VAR:=x} ${VAR:?x} ${VAR:+x} ${} ${0} $(date)",) * 2,  # a shell's
        ("${workspaceFolder}",) * 2,
    ],
)
def test_references_are_filled_in_and_all_else_stays(text: str, expected: str) -> None:
    assert filled(text) == expected


@given(st.text(alphabet="${}:aA_secretnv -\n", max_size=40))
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    pieces = parse(text)
    assert "".join(text[piece.start : piece.end] for piece in pieces) == text
    assert all(piece.start < piece.end for piece in pieces)


@given(st.text(max_size=40))
def test_what_is_escaped_comes_out_as_it_was(text: str) -> None:
    assert filled(text.replace("${", "$${") if "$${" not in text else "") == (text if "$${" not in text else "")


def test_what_forbids_a_secret_comes_through() -> None:
    def missing(name: str) -> str:
        raise SecretMissing(name, "git")

    with pytest.raises(SecretMissing, match="GIT_TOKEN"):
        fill("x ${secret:GIT_TOKEN}", secret=missing, env=missing)


def test_every_reference_of_an_entry_is_found_with_its_place() -> None:
    entry = {
        "command": "server",
        "args": ["--token", "${secret:A}", 5, None],
        "env": {"T": "${secret:A}${secret:B}", "N": 1},
        "headers": {"Authorization": "Bearer ${secret:C}"},
        "url": "https://user:${secret:D}@example.com/${secret:E}?key=${secret:F}",
        "description": "${secret:NOT_LOOKED_AT}",
    }
    found = references(entry, passed_on={"HOME"})
    assert found.problems == ()
    assert found.secrets == {"A", "B", "C", "D", "E", "F"}
    assert set(found.references) == {
        Reference(Kind.SECRET, "A", "args[1]"),
        Reference(Kind.SECRET, "A", "env.T"),
        Reference(Kind.SECRET, "B", "env.T"),
        Reference(Kind.SECRET, "C", "headers.Authorization"),
        Reference(Kind.SECRET, "D", "url"),
        Reference(Kind.SECRET, "E", "url"),
        Reference(Kind.SECRET, "F", "url"),
    }


@pytest.mark.parametrize("entry", [{}, {"args": "x", "env": [], "headers": None, "url": 3, "cwd": 4}])
def test_an_entry_of_wrong_types_has_no_references(entry: dict[str, object]) -> None:
    assert references(entry).references == ()


@pytest.mark.parametrize(
    ("text", "said", "mend"),
    [
        ("${secret:}", "no reference", "${secret:NAME}"),
        ("${secret}", "no reference", "${secret:NAME}"),
        ("${env: }", "no reference", "${env:NAME}"),
        ("${secret:git-token}", "no reference", "${secret:GIT_TOKEN}"),
        ("${secret:git_token}", "no secret's name", "${secret:GIT_TOKEN}"),
        ("${ secret:A }", "no reference", "${secret:A}"),
        ("${SECRET:A}", "no reference", "${secret:A}"),
        ("${secret :A}", "no reference", "${secret:A}"),
        ("${env:MY-VAR}", "no reference", "${env:MY_VAR}"),
        ("${input:token}", "nothing fills in", "${secret:NAME}"),
        ("${op:vault/item}", "nothing fills in", "'$${'"),
        ("${secret:${env:X}}", "a reference in a reference", "one after the other"),
        ("Bearer ${secret:A", "not closed", "'}'"),
        ("${secret:" + "A" * 65 + "}", "no secret's name", "${secret:" + "A" * 64 + "}"),
    ],
)
def test_a_miswritten_reference_is_a_problem_with_its_place_and_mend(text: str, said: str, mend: str) -> None:
    found = references({"env": {"TOKEN": text}})
    assert found.references == ()
    (problem,) = found.problems
    assert problem.startswith("env.TOKEN holds ")
    assert said in problem
    assert mend in problem
    with pytest.raises(BadConfiguration, match="holds"):
        filled(text)


def test_all_problems_of_an_entry_are_told_at_once() -> None:
    found = references({"args": ["${input:a}", "${secret:}"], "headers": {"X": "${secret:a} ${env:HOME}"}})
    assert [problem.split()[0] for problem in found.problems] == ["args[0]", "args[1]", "headers.X", "headers.X"]


def test_a_variable_that_is_not_passed_on_is_a_problem_and_a_secret_is_the_mend() -> None:
    entry = {"env": {"T": "${env:AWS_SECRET}", "P": "${env:PATH}"}}
    (problem,) = references(entry, passed_on={"PATH"}).problems
    assert problem.startswith("env.T holds ${env:AWS_SECRET}, which is not among the variables that may be passed on.")
    assert "${secret:AWS_SECRET}" in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://${secret:A}/mcp",
        "https://${secret:A}.example.com/mcp",
        "https://user@${env:HOST}:80/",
        "https://example.com:${secret:A}",
        "${secret:A}://example.com",
        "${secret:A}",
        "https://u:${secret:PW}@x@${secret:A}/",
    ],
)
def test_where_a_secret_is_sent_must_be_readable(url: str) -> None:
    problems = references({"url": url}, passed_on={"HOST"}).problems
    assert any("scheme, host or port" in problem for problem in problems)


def test_a_folder_to_start_in_is_not_filled_in_and_that_is_told() -> None:
    (problem,) = references({"command": "x", "cwd": "${env:HOME}/work"}, passed_on={"HOME"}).problems
    assert problem.startswith("cwd holds a reference")
    (problem,) = references({"command": "${secret:X}/x"}).problems
    assert problem.startswith("command holds a reference")
    assert references({"command": "x", "cwd": "/plain"}).problems == ()


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "NODE_OPTIONS", "BASH_ENV", "PYTHONPATH", "RUBYOPT", "GIT_SSH"])
@pytest.mark.parametrize("text", ["/x:${secret:A}", "${env:HOME}/bin", "https://u:${secret:A}@h/"])
def test_what_decides_what_runs_must_be_readable(name: str, text: str) -> None:
    (problem,) = references({"env": {name: text}}, passed_on={"HOME"}).problems
    assert problem.startswith(f"env.{name} has a reference, and that variable decides what runs")


def test_before_the_host_of_an_index_there_may_be_a_secret() -> None:
    assert references({"env": {"UV_INDEX_URL": "https://u:${secret:A}@h/simple"}}).problems == ()
    assert references({"env": {"PIP_EXTRA_INDEX_URL": "https://${secret:A}@a/ https://${secret:B}@b/"}}).problems == ()
    for text in ("https://${secret:A}/simple", "${secret:A}", "https://u@h/${secret:A}", "https://h/${secret:A}@x"):
        (problem,) = references({"env": {"UV_INDEX_URL": text}}).problems
        assert "decides what runs" in problem


@pytest.mark.parametrize("name", ["RUBYGEMS_API_KEY", "PYTHON_TOKEN", "GIT_SSH_PASSPHRASE", "MY_PATH"])
def test_a_variable_that_only_begins_like_one_that_decides_may_have_a_secret(name: str) -> None:
    assert references({"env": {name: "${secret:A}"}}).problems == ()
