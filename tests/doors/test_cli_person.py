"""Who may say yes: only a person at a terminal, who sees everything; or a settings file that says so."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse.doors.cli.review import look_twice, proposal, review
from roundhouse.doors.cli.spelling import oddities, spell
from tests.doors.command_line import Desk
from tests.doors.fake_house import NEVER, FakeHouse, approval

# Every command that needs a person's yes, and what it asks of the house once it has it.
NEEDS_YES = [
    ("add git -- uvx mcp-server-git", "add_server"),
    ("configure git args=[]", "configure_server"),
    ("configure git deny=x", "configure_server"),
    ("configure git idle_stop=0 env={}", "configure_server"),
    ("approve time", "approve"),
    ("approve --all", "approve"),
    ("deny time", "deny"),
    ("secret set TOKEN", "set_secret"),
    ("secret rm TOKEN", "remove_secret"),
    ("import FILE", "add_server"),
    ("install cursor --adopt", "add_server"),
]
every_command = pytest.mark.parametrize(("line", "operation"), NEEDS_YES, ids=[line for line, _ in NEEDS_YES])


@pytest.fixture
def waiting(desk: Desk, house: FakeHouse) -> FakeHouse:
    """A house in which a server waits for a yes, and files with servers to take over."""
    house.answers["list_approvals"] = {"approvals": [approval(1, "time")]}
    entry = '{"mcpServers": {"notes": {"command": "uvx", "args": ["notes"]}}}'
    (desk.folder / "FILE").write_text(entry)
    (desk.user / ".cursor").mkdir()
    (desk.user / ".cursor/mcp.json").write_text(entry)
    return house


@every_command
def test_without_a_terminal_nothing_is_sent_and_both_ways_are_told(
    desk: Desk, waiting: FakeHouse, line: str, operation: str
) -> None:
    for words in (f"--json {line}", _with_yes(line)):
        ended = desk.run(*words.split(), stdin=b"y\ny\n")
        assert ended.code == 4
        message = ended.document["error"]["message"] if "--json" in words else ended.err
        assert "in a terminal" in message
        assert "`allow_unattended = true`" in message
        assert str(desk.home / "settings.toml") in message
    assert waiting.asked == []


@every_command
def test_with_yes_and_the_setting_it_goes_through(desk: Desk, waiting: FakeHouse, line: str, operation: str) -> None:
    desk.allow_unattended()
    ended = desk.run(*_with_yes(line).split(), stdin=b"value")
    assert ended.code == 0, ended.err
    assert operation in waiting.operations


@every_command
def test_the_setting_alone_is_no_yes(desk: Desk, waiting: FakeHouse, line: str, operation: str) -> None:
    desk.allow_unattended()
    assert desk.run(*line.split(), stdin=b"value").code == 4
    assert waiting.asked == []


@pytest.mark.parametrize("line", [line for line, _ in NEEDS_YES if line != "secret set TOKEN"])  # reads its value
def test_an_answer_that_is_piped_is_nobodys(desk: Desk, waiting: FakeHouse, line: str) -> None:
    with (desk.folder / "answers").open("w+b") as answers:
        answers.write(b"y\n" * 9)
        answers.seek(0)
        terminal = desk.terminal(*line.split(), stdin=answers)
        assert terminal.ends() == 4
    assert "in a terminal" in terminal.seen
    assert waiting.asked == []


@pytest.mark.parametrize(
    ("line", "question", "operation"),
    [
        ("add git -- uvx mcp-server-git", "start it to learn its tools? [y/N]", "add_server"),
        ("configure git args=[]", "Change it? [y/N]", "configure_server"),
        ("approve time", "Approve? [y/N]", "approve"),
        ("approve", "Approve? [y/N]", "approve"),
        ("approve --all", "Approve all 1? [y/N]", "approve"),
        ("deny time", "Deny? [y/N]", "deny"),
        ("secret rm TOKEN", "Forget TOKEN? [y/N]", "remove_secret"),
        ("remove git", "Remove git? [y/N]", "remove_server"),
        ("import FILE", "Add 1 server, and start each to learn its tools? [y/N]", "add_server"),
        ("install cursor --adopt", "Move 1 server into the house", "add_server"),
    ],
)
def test_on_a_terminal_it_asks(desk: Desk, waiting: FakeHouse, line: str, question: str, operation: str) -> None:
    terminal = desk.terminal(*line.split())
    terminal.shows(question)
    terminal.types("n\n")
    assert terminal.ends() == (0 if line == "approve" else 1)
    assert operation not in waiting.operations
    terminal = desk.terminal(*line.split())
    terminal.shows(question)
    terminal.types("y\n")
    assert terminal.ends() == 0, terminal.seen
    assert operation in waiting.operations


@pytest.mark.parametrize("answer", ["\n", "no\n", "maybe\n", "yy\n", "\x04"])
def test_only_a_yes_is_a_yes(desk: Desk, waiting: FakeHouse, answer: str) -> None:
    terminal = desk.terminal("approve", "time")
    terminal.shows("Approve? [y/N]")
    terminal.types(answer)
    assert terminal.ends() == 1
    assert "approve" not in waiting.operations


def test_yes_on_a_terminal_does_not_spare_the_question(desk: Desk, waiting: FakeHouse) -> None:
    terminal = desk.terminal("approve", "time", "--yes")
    terminal.shows("so you are asked")
    terminal.shows("Approve? [y/N]")
    terminal.types("n\n")
    assert terminal.ends() == 1


def test_an_answer_that_came_before_the_question_is_none(desk: Desk, waiting: FakeHouse) -> None:
    terminal = desk.terminal("approve", "time")
    terminal.types("y\n")
    terminal.shows("Approve? [y/N]")
    terminal.types("\n")
    assert terminal.ends() == 1
    assert "approve" not in waiting.operations


def test_ctrl_c_at_the_question_is_quiet_and_no_yes(desk: Desk, waiting: FakeHouse) -> None:
    terminal = desk.terminal("approve", "time")
    terminal.shows("Approve? [y/N]")
    terminal.types("\x03")
    assert terminal.ends() == 130
    assert "Traceback" not in terminal.seen
    assert "approve" not in waiting.operations


def test_with_json_the_question_is_on_standard_error_and_the_document_alone_on_output(
    desk: Desk, waiting: FakeHouse, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w+b") as out:
        terminal = desk.terminal("approve", "time", "--json", stdout=out)
        terminal.shows("Approve? [y/N]")
        terminal.types("y\n")
        assert terminal.ends() == 0
        out.seek(0)
        assert out.read().startswith(b'{\n  "decided": [')


def test_a_bad_settings_file_lets_nothing_through(desk: Desk, waiting: FakeHouse) -> None:
    for text in ('allow_unattended = "true"\n', "allow_unattended = 1\n", "allow_unattended", "[house]\nx = 1\n"):
        (desk.home / "settings.toml").write_text(text)
        ended = desk.run("approve", "time", "--yes")
        assert ended.code == 1
        assert "settings.toml" in ended.err
    assert waiting.asked == []


# -- what is shown


def test_approve_shows_the_whole_launch_and_what_an_eye_would_miss(desk: Desk, house: FakeHouse) -> None:
    house.answers["list_approvals"] = {
        "approvals": [
            approval(
                1,
                "time",
                kind="change",
                argv=["npx", "-y", "a b", "x\x1b[2K\x1b[1A", "\u202etxt.exe", "", "p\u0430ypal", "  two", "y" * 5000],
                executable="/usr/bin/npx",
                asked_by='the client "cl\u0430ude\x1b[8m"',
                environment=[
                    valued("TOKEN", "${secret:GITHUB}", "secret", "GITHUB"),
                    valued("AUTH", "Bearer ${secret:GITHUB}", "secret", "GITHUB"),
                    valued("MODE", "fast\n --now\u200b"),
                    valued("LANG\x07", "${env:LANG}", "env", "LANG"),
                    valued("NODE_OPTIONS", "--require /tmp/x.js"),
                ],
                cwd="/srv/\n/etc",
                changes=["the variable TOKEN is new", "the directory was '/srv\x1b[8m'"],
            )
        ]
    }
    terminal = desk.terminal("approve", "time")
    seen = terminal.shows("Approve? [y/N]")
    terminal.types("n\n")
    terminal.ends()
    for line in (
        "time: a change of what was approved",
        'asked by    the client "cl\u0430ude\\x1b[8m", 2023-11-1',
        "9 words, one a line",
        '1  "npx"',
        '3  "a b"',
        r'4  "x\x1b[2K\x1b[1A"',
        r'5  "\u202etxt.exe"',
        '6  ""',
        r'8  " \x20two"',
        f'9  "{"y" * 5000}"',
        'executable  "/usr/bin/npx"',
        '"TOKEN" = the SECRET GITHUB',
        '"AUTH" = "Bearer ${secret:GITHUB}", with the SECRET GITHUB',
        r'"MODE" = "fast\n --now\u200b"',
        r'"LANG\x07" = the house',
        '"NODE_OPTIONS" = "--require /tmp/x.js"',
        r'directory   "/srv/\n/etc"',
        "isolation   none: it runs with your rights",
        "the variable TOKEN is new",
        r"the directory was '/srv\x1b[8m'",
        "LOOK TWICE: word 4 of the command holds what a terminal would not show: U+001B",
        "LOOK TWICE: word 5 of the command holds what a terminal would not show: U+202E RIGHT-TO-LEFT OVERRIDE",
        "LOOK TWICE: word 7 of the command holds characters outside ASCII: U+0430 CYRILLIC SMALL LETTER A",
        "LOOK TWICE: word 9 of the command is 5,000 characters long: read it to its end",
        "LOOK TWICE: the directory holds what a terminal would not show: U+000A",
        "LOOK TWICE: who asked holds what a terminal would not show: U+001B",
        "LOOK TWICE: who asked holds characters outside ASCII: U+0430 CYRILLIC SMALL LETTER A",
        "LOOK TWICE: the value of variable 3 holds what a terminal would not show: U+000A, U+200B ZERO WIDTH SPACE",
        "LOOK TWICE: the name of variable 4 holds what a terminal would not show: U+0007",
        'LOOK TWICE: the variable "NODE_OPTIONS" can decide which code runs',
    ):
        assert line in seen, line
    for hidden in "\x1b\x07\u202e":
        assert hidden not in seen
    assert seen.rindex("LOOK TWICE") > seen.rindex("the directory was")


def test_a_server_of_another_machine_is_shown_by_address_and_headers(desk: Desk, house: FakeHouse) -> None:
    headers = [valued("Authorization", "Bearer ${secret:X}", "secret", "X"), valued("X-Team", "red")]
    remote = {"argv": [], "executable": "", "url": "https://x.example/mcp?a=b", "headers": headers}
    house.answers["list_approvals"] = {"approvals": [approval(1, "far", **remote, isolation="none: another machine's")]}
    terminal = desk.terminal("approve")
    seen = terminal.shows("Approve? [y/N]")
    terminal.types("\n")
    terminal.ends()
    assert 'address     "https://x.example/mcp?a=b"' in seen
    assert '"Authorization" = "Bearer ${secret:X}", with the SECRET X' in seen
    assert '"X-Team" = "red"' in seen
    assert "command" not in seen
    assert "executable" not in seen


def test_all_are_shown_one_after_the_other_and_each_is_asked_about(desk: Desk, house: FakeHouse) -> None:
    house.answers["list_approvals"] = {"approvals": [approval(1, "one"), approval(2, "two"), approval(3, "three")]}
    terminal = desk.terminal("approve")
    for count, (name, answer) in enumerate((("one", "y"), ("two", "n"), ("three", "YES")), 1):
        terminal.shows(f"{name}: a new server")
        assert terminal.shows("Approve? [y/N]", count).count("a new server") == count
        terminal.types(f"{answer}\n")
    assert terminal.ends() == 0
    assert [one for one in house.asked if one[0] == "approve"] == [
        ("approve", {"id": "0197-1"}),
        ("approve", {"id": "0197-3"}),
    ]
    assert "1 launch left waiting." in terminal.seen


def test_nothing_waiting_is_said(desk: Desk, house: FakeHouse) -> None:
    terminal = desk.terminal("approve")
    assert terminal.ends() == 0
    assert "Nothing waits for a yes." in terminal.seen
    terminal = desk.terminal("approve", "tiem")
    assert terminal.ends() == 1
    assert "no launch waiting for a yes named 'tiem'" in terminal.seen


def test_where_nobody_is_asked_it_has_to_be_said_what_is_approved(desk: Desk, waiting: FakeHouse) -> None:
    desk.allow_unattended()
    ended = desk.run("approve", "--yes")
    assert ended.code == 2
    assert waiting.asked == []


def test_add_sends_what_was_shown(desk: Desk, house: FakeHouse) -> None:
    script = desk.folder / "server.py"
    script.touch()
    executable(desk.folder / "run")
    os.mkfifo(desk.folder / "no-file")
    words = (
        "add my-notes --env MODE=fast --env KEY=${secret:KEY} --env GH_TOKEN=ghp_0123456789abcdefABCDEF0123456789abcd"
    )
    terminal = desk.terminal(
        *words.split(),
        "--tag",
        "a",
        "--tag",
        "b",
        "--rename",
        "x=y",
        "--",
        "./run",
        "server.py",
        "--token",
        "s3cr3t-value-9",
    )
    seen = terminal.shows("[y/N]")
    assert f'1  "{desk.folder}/run"' in seen
    assert f'executable  "{desk.folder}/run"' in seen
    assert '"MODE" = "fast"' in seen
    assert '"KEY" = the SECRET KEY' in seen
    assert '"GH_TOKEN" = the SECRET ' in seen
    assert 'rename: {"x": "y"}' in seen
    assert "word 2 is a file here" in seen
    assert "s3cr3t" not in seen
    terminal.types("y\n")
    assert terminal.ends() == 0
    assert "my-notes was added" not in terminal.seen  # the house's word for its name counts
    assert house.asked == [
        (
            "add_server",
            {
                "name": "my-notes",
                "command": f"{desk.folder}/run",
                "args": ["server.py", "--token", "s3cr3t-value-9"],
                "env": {
                    "MODE": "fast",
                    "KEY": "${secret:KEY}",
                    "GH_TOKEN": "ghp_0123456789abcdefABCDEF0123456789abcd",
                },
                "tags": ["a", "b"],
                "rename": {"x": "y"},
            },
        )
    ]


@pytest.mark.parametrize("where", ["the home's path", "the entry's PATH", "nowhere"])
def test_the_executable_is_the_one_the_house_would_find(desk: Desk, house: FakeHouse, where: str) -> None:
    ours, theirs = executable(desk.folder / "ours/tool"), executable(desk.folder / "theirs/tool")
    if where != "nowhere":
        (desk.home / "path").write_text(f"{ours.parent}\n")
    given = [f"--env=PATH={theirs.parent}"] if where == "the entry's PATH" else []
    terminal = desk.terminal("add", "x", *given, "--", "tool")
    seen = terminal.shows("[y/N]")
    match where:
        case "the home's path":
            assert f'executable  "{ours}"' in seen
        case "the entry's PATH":
            assert f'executable  "{theirs}"' in seen
            assert f'"PATH" = "{theirs.parent}"' in seen
            assert 'LOOK TWICE: the variable "PATH" can decide which code runs' in seen
        case "nowhere":
            assert "NOT FOUND on this machine: it cannot run, and would need another yes once it is installed" in seen
            assert 'LOOK TWICE: there is no "tool" on this machine' in seen


def test_where_a_link_leads_is_shown(desk: Desk, house: FakeHouse) -> None:
    real = executable(desk.folder / "real/program")
    link = desk.folder / "tool"
    link.symlink_to(real)
    terminal = desk.terminal("add", "x", "--", str(link))
    seen = terminal.shows("[y/N]")
    assert f'executable  "{link}"\n              a link to "{real}"' in seen


def test_an_entry_with_mistakes_is_shown_with_them(desk: Desk, house: FakeHouse) -> None:
    terminal = desk.terminal("add", "a b", "--env", "MODE=fast", "--", "sh", "-c", "echo")
    seen = terminal.shows("[y/N]")
    assert "MISTAKES    the house will not take it:\n" in seen
    assert "'a b' cannot be the prefix of tool names" in seen
    for shown in ('1  "sh"', '3  "echo"', '"MODE" = "fast"', "word 1 of the command runs code"):
        assert shown in seen


def test_add_of_an_address(desk: Desk, house: FakeHouse) -> None:
    desk.allow_unattended()
    words = "add far --url https://x.example/mcp --header A=b=c --idle-stop 0 --cwd . --yes"
    assert desk.run(*words.split()).code == 0
    wanted = {
        "name": "far",
        "url": "https://x.example/mcp",
        "headers": {"A": "b=c"},
        "idle_stop": 0.0,
        "cwd": str(desk.folder),
    }
    assert house.asked == [("add_server", wanted)]


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("Authorization: Bearer a=b", {"Authorization": "Bearer a=b"}),
        ("Authorization=Bearer a:b", {"Authorization": "Bearer a:b"}),
        ("X-Key:k", {"X-Key": "k"}),
    ],
)
def test_a_header_may_be_written_as_curl_has_it(
    desk: Desk, house: FakeHouse, header: str, sent: dict[str, str]
) -> None:
    desk.allow_unattended()
    assert desk.run("add", "far", "--url", "https://x.example/mcp", "-H", header, "--yes").code == 0
    ((_, asked),) = house.asked
    assert asked["headers"] == sent


@pytest.mark.parametrize(
    "words",
    [
        ("add", "far", "--url", "https://x.example", "--header", "Bearer canary"),
        ("add", "far", "--env", "canary", "--", "uvx"),
        ("add", "far", "--env", "=canary", "--", "uvx"),
        ("configure", "far", "headers=Authorization: Bearer canary"),
        ("configure", "far", "env=TOKEN=canary"),
    ],
    ids=" ".join,
)
def test_an_error_does_not_repeat_what_may_be_a_secret(desk: Desk, house: FakeHouse, words: tuple[str, ...]) -> None:
    ended = desk.run(*words)
    assert ended.code == 2
    assert "canary" not in ended.out + ended.err


def test_ctrl_c_while_a_new_server_starts_says_that_it_was_added(desk: Desk, house: FakeHouse) -> None:
    house.answers["add_server"] = NEVER
    terminal = desk.terminal("add", "time", "--", "uvx", "mcp-server-time")
    terminal.shows("[y/N]")
    terminal.types("y\n")
    terminal.shows("Starting time")
    terminal.interrupt()
    assert terminal.ends() == 130
    assert "time was added and goes on starting: `roundhouse list` shows how it is." in terminal.seen
    assert house.cancelled.is_set()


@pytest.mark.parametrize(
    ("differs", "code", "said"),
    [
        ({}, 0, "time was added: 2 tools. `roundhouse tools time` shows them."),
        ({"state": "failed", "tools": 0}, 1, "time was added, and does not start: roundhouse approve time"),
        ({"approval": "pending", "state": "stopped"}, 0, "time waits for a yes: `roundhouse approve time`."),
        ({"secrets_stored": ["TIME_KEY"]}, 0, "Kept as secrets, and in the entry by name only: TIME_KEY."),
    ],
)
def test_what_became_of_a_new_server_is_said(
    desk: Desk, house: FakeHouse, differs: dict[str, Any], code: int, said: str
) -> None:
    desk.allow_unattended()
    added = house.answers["add_server"]
    assert isinstance(added, dict)
    house.answers["add_server"] = {**added, **differs}
    ended = desk.run("add", "time", "--yes", "--", "uvx", "mcp-server-time")
    assert ended.code == code
    assert said in ended.out


def test_what_narrows_a_server_needs_nobody(desk: Desk, house: FakeHouse) -> None:
    assert desk.run("configure", "git", "idle_stop=0", "disabled=true").code == 0
    assert house.operations == ["configure_server"]


@pytest.mark.parametrize("change", ["disabled=false", "disabled=", "instances=shared"])
def test_what_puts_a_server_to_wider_use_needs_a_person(desk: Desk, house: FakeHouse, change: str) -> None:
    assert desk.run("configure", "git", change).code == 4
    assert house.asked == []


def test_a_change_is_shown_whole_but_for_secrets(desk: Desk, house: FakeHouse) -> None:
    env = {"TOKEN": "ghp_0123456789abcdefABCDEF0123456789abcd", "PYTHONPATH": "/tmp/x"}
    words = [f"env={json.dumps(env)}", "cwd=/a\x1bb", 'rename={"a": "b"}', "allow=x,y", "url="]
    terminal = desk.terminal("configure", "git", *words)
    seen = terminal.shows("Change it? [y/N]")
    assert '"TOKEN" = the SECRET GIT_TOKEN, "PYTHONPATH" = "/tmp/x", and no others' in seen
    assert 'LOOK TWICE: the variable "PYTHONPATH" can decide which code runs' in seen
    assert r'"/a\x1bb"' in seen
    assert '"a": "b"' in seen
    assert '"x" "y"' in seen
    assert "its default" in seen
    assert "ghp_" not in seen


# -- what is warned of


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "NODE_OPTIONS",
        "BASH_ENV",
        "ENV",
        "SHELL",
        "PYTHONSTARTUP",
        "PERL5OPT",
        "RUBYOPT",
        "GIT_SSH_COMMAND",
        "UV_INDEX_URL",
        "PIP_INDEX_URL",
        "INDEX_URL",
        "npm_config_registry",
        "_JAVA_OPTIONS",
        "SSH_ASKPASS",
        "NPM_CONFIG_REGISTRY",
        "HOME",
    ],
)
def test_a_variable_that_decides_what_runs_is_warned_of(name: str) -> None:
    assert list(look_twice(one_that(environment=[valued(name, "x")]))) == [
        f'  LOOK TWICE: the variable "{name}" can decide which code runs.'
    ]


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "ENVIRONMENT", "LOG_PATH", "LANG", "NODE_ENV", "DATA_HOME"])
def test_an_ordinary_variable_is_not(name: str) -> None:
    assert not list(look_twice(one_that(environment=[valued(name, "x")])))


@pytest.mark.parametrize(
    ("argv", "position"),
    [
        (["sh", "-c", "x"], 1),
        (["/bin/bash", "-lc", "x"], 1),
        (["bash", "-c", "--", "x"], 1),
        (["bash", "-o", "pipefail", "-ec", "x"], 1),
        (["python3.11", "-I", "-c", "x"], 1),
        (["/opt/node", "--eval=x"], 1),
        (["node", "-e", "x"], 1),
        (["node", "-r", "m", "-p", "x"], 1),
        (["deno", "eval", "x"], 1),
        (["perl", "-we", "x"], 1),
        (["uvx", "--from", "p", "python", "-c", "x"], 4),
        (["env", "-S", "sh x"], 1),
        (["npx", "--call=x"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_code_on_the_command_line_is_warned_of(argv: list[str], position: int) -> None:
    (warning,) = look_twice(one_that(argv=argv))
    assert f"word {position} of the command runs code that the command line holds" in warning


@pytest.mark.parametrize(
    "words",
    [
        "uvx mcp-server-git --config c",
        "python -m server -c config",
        "python server.py -c config",
        "python -u server.py -c config",
        "bash run.sh -c x",
        "node server.js -e production",
        "npx -y @scope/server -c x",
    ],
)
def test_an_ordinary_command_is_not(words: str) -> None:
    assert not list(look_twice(one_that(argv=words.split())))


def test_what_is_counted_from_elsewhere_is_warned_of() -> None:
    warnings = "".join(look_twice(one_that(argv=["bin/server"], cwd="there")))
    assert '"bin/server" is looked up from the directory' in warnings
    assert "the directory is counted from the house's own" in warnings
    assert not list(look_twice(one_that(argv=["/bin/server"], cwd="/there")))


# -- secrets


def test_a_secret_is_typed_unseen(desk: Desk, house: FakeHouse) -> None:
    terminal = desk.terminal("secret", "set", "TOKEN", "--server", "git")
    terminal.shows("Value of TOKEN (not shown): ")
    terminal.types("canary-7\n")
    assert terminal.ends() == 0
    assert "canary" not in terminal.seen
    assert house.asked == [("set_secret", {"name": "TOKEN", "value": "canary-7", "server": "git"})]


def test_no_secret_is_typed(desk: Desk, house: FakeHouse) -> None:
    terminal = desk.terminal("secret", "set", "TOKEN")
    terminal.shows("(not shown): ")
    terminal.types("\n")
    assert terminal.ends() == 2
    assert house.asked == []


@pytest.mark.parametrize(("stdin", "value"), [(b"a b\n", "a b"), (b"a\nb", "a\nb"), ("ü\r\n".encode(), "ü")])
def test_a_secret_is_piped(desk: Desk, house: FakeHouse, stdin: bytes, value: str) -> None:
    desk.allow_unattended()
    ended = desk.run("secret", "set", "TOKEN", "--yes", stdin=stdin)
    assert ended.code == 0
    assert house.asked == [("set_secret", {"name": "TOKEN", "value": value})]
    assert value not in ended.out + ended.err


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_a_secret_is_piped_under_a_terminal_and_the_person_there_is_asked(
    desk: Desk, house: FakeHouse, answer: str, code: int
) -> None:
    with (desk.folder / "value").open("w+b") as value:
        value.write(b"y canary\n")
        value.seek(0)
        terminal = desk.terminal("secret", "set", "TOKEN", stdin=value)
        terminal.shows("Keep what was piped in, 8 characters, as TOKEN? [y/N] ")
        assert house.asked == []
        terminal.types(f"{answer}\n")
        assert terminal.ends() == code
    assert "canary" not in terminal.seen
    assert house.asked == ([("set_secret", {"name": "TOKEN", "value": "y canary"})] if answer == "y" else [])


def test_a_value_behind_the_name_of_a_secret_is_refused_and_not_repeated(desk: Desk, house: FakeHouse) -> None:
    ended = desk.run("secret", "set", "TOKEN", "canary")
    assert ended.code == 2
    assert "piped in" in ended.err
    assert "canary" not in ended.err


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\xff\xfe"])
def test_nothing_piped_is_no_secret(desk: Desk, house: FakeHouse, stdin: bytes) -> None:
    desk.allow_unattended()
    assert desk.run("secret", "set", "TOKEN", "--yes", stdin=stdin).code == 2
    assert house.asked == []


def test_a_secret_that_was_not_there_is_said(desk: Desk, house: FakeHouse) -> None:
    desk.allow_unattended()
    house.answers["remove_secret"] = {"name": "X", "removed": False}
    ended = desk.run("secret", "rm", "X", "--yes")
    assert (ended.code, ended.out) == (1, "There was no secret X.\n")


def test_remove_needs_a_word_without_a_terminal(desk: Desk, house: FakeHouse) -> None:
    ended = desk.run("remove", "git")
    assert ended.code == 4
    assert "--yes" in ended.err
    assert house.asked == []


# -- how strings are spelled


@given(st.text())
def test_a_spelled_string_can_be_read_back_and_hides_nothing(text: str) -> None:
    spelled = spell(text)
    assert spelled.isprintable()
    assert ast.literal_eval(spelled) == text


UNSEEN = "\x00\x7f\x9b\u00a0\u00ad\u0301\u034f\u200b\u2028\u2800\u3164\ufeff\ud800\ue000\U000e0041\U000e0100"


@pytest.mark.parametrize("hidden", UNSEEN, ids=lambda character: f"U+{ord(character):04X}")
def test_what_is_not_seen_is_escaped_and_named(hidden: str) -> None:
    assert hidden not in spell(f"a{hidden}b")
    assert f"U+{ord(hidden):04X}" in next(oddities(f"a{hidden}b"))


def test_an_ordinary_string_has_nothing_odd() -> None:
    assert not list(oddities("/usr/bin/env --flag='a b' \\ \"c\""))


@given(st.lists(st.text(), min_size=1), st.dictionaries(st.text(), st.text()), st.text())
def test_no_launch_moves_the_cursor(argv: list[str], env: dict[str, str], cwd: str) -> None:
    values = [valued(name, value) for name, value in env.items()]
    for line in review(one_that(argv=argv, executable=None, environment=values, headers=values, cwd=cwd, asked_by=cwd)):
        assert line.isprintable()
    entry = {"command": argv[0], "args": argv[1:], "env": env, "cwd": cwd, "descriptions": env}
    for line in review(proposal("x", entry, Path("/nowhere"), "/nowhere")):
        assert line.isprintable()


def valued(name: str, value: str, kind: str = "literal", secret: str | None = None) -> dict[str, Any]:
    """A variable or header as `list_approvals` gives it."""
    return {"name": name, "kind": kind, "secret": secret, "value": value}


def one_that(**differs: Any) -> dict[str, Any]:
    return approval(1, "time", **differs)


def executable(file: Path) -> Path:
    """A program, made there."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def _with_yes(line: str) -> str:
    command, dashes, rest = line.partition(" -- ")
    return f"{command} --yes{dashes}{rest}"
