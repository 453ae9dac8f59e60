"""What would run: the digest covers all of it, differences are told without values, what cannot run is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.errors import Refused
from roundhouse.model.servers import ServerSpec, Sharing, Start
from roundhouse.supervise.launch import Launch, Prepared, differences, launch_of, prepare, read_launch
from roundhouse.vault.errors import SecretMissing
from roundhouse.vault.references import fill

CANARY = "canary-7f3a"


def program(folder: Path, name: str = "tool") -> Path:
    """An executable that says where it was started, from what, and with what."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text('#!/bin/sh\necho "$(pwd -P)|$0|$*|$A"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerSpec:
    """A server whose command is on the PATH."""
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'bin').parent}{os.pathsep}{os.defpath}")
    return ServerSpec("a", command="tool", args=("-v", "x"), env={"A": "1", "B": "2"})


def canary(text: str) -> str:
    """Fills in what only this test knows."""
    return text.replace("${secret:TOKEN}", CANARY)


# -- what a specification would start


def test_a_launch_is_the_whole_command_line_and_the_executable_it_means(spec: ServerSpec, tmp_path: Path) -> None:
    launch = launch_of(replace(spec, cwd="~/work"))
    assert launch == Launch(
        argv=("tool", "-v", "x"),
        executable=str(tmp_path / "bin" / "tool"),
        env={"A": "1", "B": "2"},
        cwd="~/work",
        isolation="none: it runs with your rights",
    )


def test_a_launch_names_secrets_and_holds_no_value(spec: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", CANARY)
    launch = launch_of(replace(spec, args=("${env:TOKEN}",), env={"A": "${secret:TOKEN}"}))
    assert launch.argv == ("tool", "${env:TOKEN}")
    assert launch.env == {"A": "${secret:TOKEN}"}
    assert CANARY not in repr(launch)


def test_a_command_that_is_nowhere_has_no_executable(spec: ServerSpec) -> None:
    assert launch_of(replace(spec, command="no-such-program")).executable == ""
    assert launch_of(ServerSpec("a", problems=("a.command is missing.",))).executable == ""


def test_the_path_that_counts_is_the_servers_own(spec: ServerSpec, tmp_path: Path) -> None:
    elsewhere = program(tmp_path / "elsewhere")
    assert launch_of(replace(spec, env={"PATH": str(elsewhere.parent)})).executable == str(elsewhere)


def test_a_server_at_an_address_starts_nothing_here() -> None:
    launch = launch_of(ServerSpec("a", url="https://example.org/mcp", headers={"A": "${secret:TOKEN}"}))
    assert (launch.argv, launch.executable, launch.env) == ((), "", {})
    assert (launch.url, launch.headers) == ("https://example.org/mcp", {"A": "${secret:TOKEN}"})
    assert launch.isolation == "none: it is another machine's"


# -- the digest

WHOLE = Launch(
    argv=("tool", "-v"),
    executable="/bin/tool",
    env={"A": "1", "B": "2"},
    cwd="/work",
    isolation="none",
    url="https://example.org",
    headers={"A": "1", "B": "2"},
)
OTHER: dict[str, list[Any]] = {
    "argv": [(), ("tool",), ("tool", "-V"), ("tool", "-v", ""), ("tool -v",), ("-v", "tool")],
    "executable": ["", "/usr/bin/tool", "/bin/tool "],
    "env": [{}, {"A": "1"}, {"A": "1", "B": "3"}, {"A": "2", "B": "1"}, {"a": "1", "B": "2"}, {"A": "1", "B": ""}],
    "cwd": [None, "", "/work/", "/"],
    "isolation": ["", "bwrap"],
    "url": ["", "http://example.org", "https://example.org/"],
    "headers": [{}, {"A": "1"}, {"A": "1", "B": "3"}, {"A": "2", "B": "1"}, {"a": "1", "B": "2"}, {"A": "1", "B": ""}],
}


def test_there_is_another_value_here_for_every_field() -> None:
    assert list(OTHER) == [field.name for field in fields(Launch)]


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param(field, value, id=f"{field}={value!r}") for field, values in OTHER.items() for value in values],
)
def test_every_field_has_its_part_in_the_digest_and_in_what_is_told(field: str, value: Any) -> None:
    other = replace(WHOLE, **{field: value})
    assert other.digest != WHOLE.digest
    assert differences(WHOLE, other)
    assert differences(other, WHOLE)


def test_the_digest_does_not_depend_on_the_order_of_names() -> None:
    turned = {"B": "2", "A": "1"}
    assert replace(WHOLE, env=turned, headers=turned).digest == WHOLE.digest
    assert differences(WHOLE, replace(WHOLE, env=turned, headers=turned)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "./tool"},
        {"args": ("-v", "y")},
        {"args": ("-v",)},
        {"env": {"A": "1", "B": "3"}},
        {"env": {"A": "1", "B": "2", "C": ""}},
        {"env": {"A": "1", "B": "${secret:B}"}},
        {"cwd": "/"},
        {"url": "https://example.org"},
        {"headers": {"A": "x"}, "url": "https://example.org"},
    ],
)
def test_whatever_changes_what_runs_changes_the_digest(spec: ServerSpec, changes: dict[str, Any]) -> None:
    other = replace(spec, **changes)
    assert launch_of(other).digest != launch_of(spec).digest
    assert not spec.starts_like(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "b"},
        {"call_timeout": 1.0, "start_timeout": 1.0, "idle_stop": 0.0},
        {"start": Start.ALWAYS, "instances": Sharing.PER_CLIENT, "disabled": True},
        {"allow": ("x",), "deny": ("y",), "rename": {"x": "z"}, "descriptions": {"x": "y"}},
        {"tags": ("x",), "pinned": ("x",)},
    ],
)
def test_what_changes_nothing_of_what_runs_leaves_the_digest(spec: ServerSpec, changes: dict[str, Any]) -> None:
    assert launch_of(replace(spec, **changes)).digest == launch_of(spec).digest


def test_another_program_in_front_of_it_on_the_path_changes_the_digest(
    spec: ServerSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = launch_of(spec)
    intruder = program(tmp_path / "intruder")
    monkeypatch.setenv("PATH", f"{intruder.parent}{os.pathsep}{os.environ['PATH']}")
    after = launch_of(spec)
    assert after.digest != before.digest
    assert differences(before, after) == [f"the executable was {str(tmp_path / 'bin' / 'tool')!r}"]


def test_a_program_that_is_installed_later_changes_the_digest(spec: ServerSpec, tmp_path: Path) -> None:
    later = replace(spec, command="later")
    before = launch_of(later)
    program(tmp_path / "bin", "later")
    assert launch_of(later).digest != before.digest
    assert differences(before, launch_of(later)) == ["the executable was 'not found'"]


def test_the_folder_decides_which_program_a_relative_command_is(spec: ServerSpec, tmp_path: Path) -> None:
    one, other = program(tmp_path / "one"), program(tmp_path / "other")
    here = replace(spec, command="./tool", cwd=str(one.parent))
    there = replace(here, cwd=str(other.parent))
    assert (launch_of(here).executable, launch_of(there).executable) == (str(one), str(other))
    assert launch_of(here).digest != launch_of(there).digest


def launches(text: st.SearchStrategy[str]) -> st.SearchStrategy[Launch]:
    named = st.dictionaries(text, text, max_size=2)
    return st.builds(
        Launch,
        argv=st.lists(text, max_size=3).map(tuple),
        executable=text,
        env=named,
        cwd=st.none() | text,
        isolation=text,
        url=text,
        headers=named,
    )


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=3)  # halves of surrogate pairs, too


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Launch, Launch]:
    """Two launches that are alike but for one field, or not at all."""
    one, other = draw(launches(ANY_TEXT)), draw(launches(ANY_TEXT))
    field = draw(st.sampled_from([field.name for field in fields(Launch)]))
    return one, draw(st.sampled_from([other, replace(one, **{field: getattr(other, field)})]))


@settings(deadline=None, max_examples=300)
@given(neighbours())
def test_two_launches_with_equal_digests_are_equal_and_differ_in_nothing(pair: tuple[Launch, Launch]) -> None:
    one, other = pair
    assert (one.digest == other.digest) == (one == other)
    assert (differences(one, other) == []) == (one == other)


def test_two_halves_of_a_character_are_not_the_character() -> None:
    assert Launch(argv=("\ud83d\ude00",)).digest != Launch(argv=("\U0001f600",)).digest


@settings(deadline=None)
@given(launches(st.text(max_size=3)))
def test_a_launch_that_was_kept_is_the_launch_it_was(launch: Launch) -> None:
    kept = read_launch(json.loads(json.dumps(launch.facts())))
    assert kept == launch
    assert kept.digest == launch.digest


# -- what a change changes


def test_what_a_change_changes_is_told_by_what_was_before() -> None:
    after = Launch(
        argv=("other",),
        executable="/bin/other",
        env={"A": "changed", "C": "new"},
        headers={"A": "changed", "C": "new"},
        cwd="/elsewhere",
        isolation="bwrap",
        url="https://elsewhere.org",
    )
    assert differences(WHOLE, after) == [
        "the command line was ['tool', '-v']",
        "the executable was '/bin/tool'",
        "the variable A has another value",
        "the variable B is gone",
        "the variable C is new",
        "the header A has another value",
        "the header B is gone",
        "the header C is new",
        "the directory was '/work'",
        "the address was 'https://example.org'",
        "the isolation was 'none'",
    ]


def test_what_was_not_there_before_is_told_so() -> None:
    assert differences(Launch(isolation="none"), replace(WHOLE, env={}, headers={})) == [
        "there was no command",
        "the executable was 'not found'",
        "the directory was the house's own",
        "there was no address",
    ]


@pytest.mark.parametrize("field", ["env", "headers"])
@pytest.mark.parametrize("before", [{"NAME": f"{CANARY}-1"}, {}])
@pytest.mark.parametrize("after", [{"NAME": f"{CANARY}-2"}, {}])
def test_no_value_of_a_variable_or_header_is_repeated(field: Any, before: Any, after: Any) -> None:
    changes = differences(replace(WHOLE, **{field: before}), replace(WHOLE, **{field: after}))
    assert any("NAME" in change for change in changes) == bool(before or after)
    assert CANARY not in "".join(changes)


# -- what is run


def run(prepared: Prepared) -> list[str]:
    """What the program says: where it was started, as what, with which arguments, with which A."""
    ran = subprocess.run(prepared.argv, env=dict(prepared.env), cwd=prepared.cwd, capture_output=True, check=True)
    return ran.stdout.decode().rstrip("\n").split("|")


def test_what_is_prepared_runs_with_its_references_filled_in(spec: ServerSpec, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    asked = replace(spec, args=("-t", "x${secret:TOKEN}"), env={"A": "${secret:TOKEN}!"}, cwd=str(tmp_path / "work"))
    tool = str(tmp_path / "bin" / "tool")
    assert run(prepare(asked, canary)) == [str(tmp_path / "work"), tool, f"-t x{CANARY}", f"{CANARY}!"]


@pytest.mark.parametrize("cwd", ["work", "./work", "~/work"])
def test_a_relative_folder_counts_from_where_we_are_and_a_relative_command_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cwd: str
) -> None:
    program(tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    tool = str(tmp_path / "work" / "tool")
    asked = ServerSpec("a", command="./tool", cwd=cwd)
    assert run(prepare(asked, str)) == [str(tmp_path / "work"), tool, "", ""]
    assert launch_of(asked).executable == tool


def test_what_is_run_is_what_was_approved(spec: ServerSpec) -> None:
    assert prepare(spec, str).argv[0] == launch_of(spec).executable


def test_a_server_gets_no_more_of_our_environment_than_it_may_inherit(
    spec: ServerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("API_KEY", CANARY)
    env = prepare(spec, str).env
    assert (env["LANG"], env["A"], env["B"]) == ("C.UTF-8", "1", "2")
    assert CANARY not in env.values()


def test_what_is_prepared_does_not_show_its_values(spec: ServerSpec) -> None:
    prepared = prepare(replace(spec, args=("${secret:TOKEN}",), env={"A": "${secret:TOKEN}"}, cwd="/"), canary)
    assert (prepared.argv[1], prepared.env["A"]) == (CANARY, CANARY)
    assert repr(prepared) == str(prepared) == f"{prepared}" == "Prepared(cwd='/')"


# -- what is refused


def no_secrets(text: str) -> str:
    def secret(name: str) -> str:
        raise SecretMissing(name, "a")

    return fill(text, secret=secret, env=os.environ.__getitem__)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"problems": ("a.args holds a number.", "a.env.B is given twice; keep one.")}, "number. a.env.B is given"),
        ({"url": "https://example.org"}, "Servers over HTTP or SSE are not supported yet"),
        ({"url": "https://example.org", "command": "", "args": ()}, "Servers over HTTP or SSE are not supported yet"),
        ({"cwd": "/no/such/folder"}, "its `cwd` '/no/such/folder' is no directory. Create it"),
        ({"cwd": "~nobody-of-this-name"}, "~nobody-of-this-name' is no directory"),
        ({"cwd": "${env:HOME}"}, "${env:HOME}' is no directory"),
        ({"command": "no-such-program"}, "The command 'no-such-program' was not found. Searched PATH: "),
        ({"command": "/no/such/program"}, "There is no file '/no/such/program'"),
        ({"command": "/etc/passwd"}, "is no executable file"),
        ({"command": "/tmp"}, "is no executable file"),
        ({"command": "${env:HOME}/tool"}, "There is no file"),
        ({"args": ("${secret:token}",)}, "'${secret:token}', which is no secret's name; write ${secret:TOKEN}"),
        ({"env": {"A": "${env:TOKEN"}}, "which is not closed"),
        ({"env": {"A": "${secret:TOKEN}"}}, "needs the secret TOKEN, which has no value"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(spec: ServerSpec, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as refused:
        prepare(replace(spec, **changes), no_secrets)
    assert told in str(refused.value)


@pytest.mark.parametrize("changes", [{"cwd": "/no/such/folder"}, {"command": "no-such-program"}, {"problems": ("x",)}])
def test_a_refusal_tells_no_value(spec: ServerSpec, changes: dict[str, Any]) -> None:
    asked = replace(spec, args=("${secret:TOKEN}",), env={"A": "${secret:TOKEN}"}, **changes)
    with pytest.raises(Refused) as refused:
        prepare(asked, canary)
    assert CANARY not in str(refused.value)
    assert CANARY not in repr(refused.value.facts)


def test_nothing_is_filled_in_where_nothing_may_start(spec: ServerSpec) -> None:
    def never(text: str) -> str:
        raise AssertionError(text)

    with pytest.raises(Refused):
        prepare(replace(spec, problems=("x",)), never)
    with pytest.raises(Refused):
        prepare(replace(spec, url="https://example.org"), never)


def test_a_secret_does_not_lead_an_address_elsewhere() -> None:
    spec = ServerSpec("a", command=sys.executable, env={"URL": "https://me:${secret:A}@good.example/"})

    def filled_with(secret: str) -> Prepared:
        return prepare(spec, lambda text: text.replace("${secret:A}", secret))

    assert filled_with("p%2F").env["URL"].endswith("p%2F@good.example/")
    for evil in ("@evil.example/", "x@evil.example/?", "p#"):
        with pytest.raises(Refused, match="would change the address"):
            filled_with(evil)
