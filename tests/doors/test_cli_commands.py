"""Every command: what it asks of the house, what it shows, what it ends with."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeGuard

import click
import pytest

from roundhouse import __version__
from roundhouse.doors import cli
from roundhouse.doors.cli import failures
from roundhouse.doors.cli.commands.servers import NO_WIDER
from roundhouse.doors.cli.main import COMMAND_OF, COMMANDS, roundhouse
from roundhouse.operations.registry import OPERATIONS
from tests.doors.command_line import COMMAND, PATIENCE, Desk
from tests.doors.fake_house import ANSWERS, NEVER, TIME, Failure, FakeHouse, server
from tests.pace import slowness

SOURCES = [file for file in Path(cli.__file__).parent.rglob("*.py") if file.name != "main.py"]

# A command line; what it asks of the house; what of the answer it shows.
EVERY: list[tuple[str, list[tuple[str, dict[str, Any]]], str]] = [
    ("status", [("house_status", {})], "pid 4710, for 1 d 1 h"),
    ("down", [("leave", {})], "is leaving"),
    ("list", [("list_servers", {})], "git   stopped  12"),
    ("start time", [("start_server", {"name": "time"})], "time is ready, 2 tools."),
    ("stop time", [("stop_server", {"name": "time"})], "time is stopped."),
    ("restart time", [("restart_server", {"name": "time"})], "time is ready"),
    ("remove time --yes", [("remove_server", {"name": "time"})], "time is removed."),
    (
        "configure time idle_stop=0 start=always tags=a,b disabled=true pinned= call_timeout=1.5",
        [
            (
                "configure_server",
                {
                    "name": "time",
                    "changes": {
                        "tags": ["a", "b"],
                        "pinned": None,
                        "idle_stop": 0,
                        "start": "always",
                        "disabled": True,
                        "call_timeout": 1.5,
                    },
                },
            )
        ],
        "time: changed tags",
    ),
    ("logs time", [("read_logs", {"name": "time", "lines": 50})], "one\ntwo\n"),
    ("logs time -n 3", [("read_logs", {"name": "time", "lines": 3})], "one\ntwo\n"),
    ("health", [("check_health", {})], "1 h 2 min"),
    ("health time", [("check_health", {"name": "time"})], "41.5 MB"),
    ("explain time", [("explain", {"name": "time"})], "approved    no  nobody has said yes"),
    ("tools", [("list_tools", {})], "time__now  What time it is. In some place."),
    ("tools clock", [("search_tools", {"query": "clock"})], "time__now"),
    ("tools what time", [("search_tools", {"query": "what time"})], "time__now"),
    (
        "tools clock --schema",
        [("search_tools", {"query": "clock"}), ("describe_tool", {"name": "time__now"})],
        '"additionalProperties": false',
    ),
    ("call time__now -", [("call_tool", {"name": "time__now", "arguments": {}})], "noon"),
    ("secret list", [("list_secrets", {})], "TOKEN  github  file"),
]


def test_every_operation_of_the_house_is_asked_by_some_command() -> None:
    words = {node.value for source in SOURCES for node in ast.walk(ast.parse(source.read_text())) if _is_word(node)}
    by_entries = {"import_servers"}  # `import` sends the entries that it has shown, not their file
    assert words & OPERATIONS.keys() | by_entries == COMMAND_OF.keys() == OPERATIONS.keys()
    assert {command.split()[0] for command in COMMAND_OF.values()} <= COMMANDS.keys()


def _is_word(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize(("line", "asked", "shown"), EVERY, ids=lambda value: value if isinstance(value, str) else "")
def test_a_command_asks_the_house_and_shows_its_answer(
    desk: Desk, house: FakeHouse, line: str, asked: list[tuple[str, dict[str, Any]]], shown: str
) -> None:
    ended = desk.run(*line.split(), stdin=b"{}")
    assert ended.code == 0, ended.err
    assert house.asked == asked
    assert shown in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(("line", "asked", "shown"), EVERY, ids=lambda value: value if isinstance(value, str) else "")
def test_with_json_there_is_one_document_and_nothing_else(
    desk: Desk, house: FakeHouse, line: str, asked: list[tuple[str, dict[str, Any]]], shown: str
) -> None:
    ended = desk.run(*line.split(), "--json", stdin=b"{}")
    assert (ended.code, house.asked) == (0, asked)
    match line:
        case "status":
            assert ended.document == {"running": True, **answer_to("house_status", {})}
        case "down":
            assert ended.document == {"was_running": True, "gone": False}
        case "tools clock --schema":
            assert ended.document["tools"][0]["inputSchema"] == TIME["inputSchema"]
        case _:
            assert ended.document == answer_to(*asked[0])


@pytest.mark.parametrize("line", ["--json list", "list --json", "--json secret list", "secret --json list"])
def test_json_may_stand_before_and_behind_the_command(desk: Desk, house: FakeHouse, line: str) -> None:
    assert desk.run(*line.split()).document == answer_to("list_secrets" if "secret" in line else "list_servers", {})


@pytest.mark.parametrize("operation", ANSWERS)
def test_the_fake_answers_have_the_form_of_the_real_ones(operation: str) -> None:
    output = OPERATIONS[operation].output
    if output is not None:
        output.model_validate(answer_to(operation, {"name": "a", "id": "b", "changes": {"tags": []}}))


def answer_to(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    answer = ANSWERS[operation]
    found = answer(arguments) if callable(answer) else answer
    assert isinstance(found, dict)
    return found


def test_it_opens_like_any_client(desk: Desk, house: FakeHouse) -> None:
    desk.run("list")
    (hello,) = house.hellos
    assert hello["kind"] == "cli"
    assert hello["version"] == __version__
    assert [message["method"] for message in house.notified] == ["notifications/initialized"]


# -- the house that is not there


def test_status_without_a_house_says_so_and_starts_none(desk: Desk) -> None:
    ended = desk.run("status")
    assert ended.code == 3
    assert "No house runs" in ended.out
    assert desk.run("status", "--json").document == {"running": False, "home": str(desk.home)}
    assert not os.path.exists(desk.place.pid_file)
    assert not os.path.exists(desk.place.start_lock)


def test_down_without_a_house_is_fine(desk: Desk) -> None:
    assert desk.run("down", "--wait").code == 0
    assert desk.run("down", "--json").document == {"was_running": False, "gone": True}


def test_down_waits_until_the_house_is_gone(desk: Desk, house: FakeHouse) -> None:
    leaving = threading.Event()

    def leave(_: object) -> dict[str, Any]:
        leaving.set()
        return {"leaving": True}

    house.answers["leave"] = leave
    waiting = subprocess.Popen([*COMMAND, "down", "--wait"], env=desk.env, stdout=subprocess.PIPE)
    with waiting:
        assert leaving.wait(PATIENCE)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.3)  # its lock is still held
        house.close()
        assert waiting.communicate(timeout=PATIENCE)[0] == b"The house has left.\n"
    assert waiting.returncode == 0


def test_nobody_connected_is_no_empty_table(desk: Desk, house: FakeHouse) -> None:
    house.answers["house_status"] = {**answer_to("house_status", {}), "clients": []}
    assert "CLIENT" not in desk.run("status").out


def test_a_house_that_refuses_is_quoted(desk: Desk, house: FakeHouse) -> None:
    house.refuses = "This house is older; update it."
    ended = desk.run("list")
    assert ended.code == 3
    assert "This house is older; update it." in ended.err
    assert desk.run("list", "--json").document["error"]["code"] == "RH_HOUSE_REFUSED"


def test_a_house_that_goes_away_in_between_is_said(desk: Desk, house: FakeHouse) -> None:
    def leave(_: object) -> dict[str, Any]:
        raise ConnectionError

    house.answers["list_servers"] = leave
    ended = desk.run("list")
    assert ended.code == 3
    assert "went away" in ended.err


# -- what goes wrong


@pytest.mark.parametrize("number", [0, -32602], ids=["as a tool result", "as a JSON-RPC error"])
def test_a_failure_of_the_house_is_said_with_its_code(desk: Desk, house: FakeHouse, number: int) -> None:
    house.answers["start_server"] = Failure("RH_NOT_FOUND", "There is no server named 'tiem'.", as_error=number)
    ended = desk.run("start", "tiem")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "roundhouse: There is no server named 'tiem'. [RH_NOT_FOUND]\n"
    error = {"code": "RH_NOT_FOUND", "message": "There is no server named 'tiem'."}
    assert desk.run("start", "tiem", "--json").document == {"error": error}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "COMMAND"),
        ("statsu", "did you mean 'status'?"),
        ("start", "Missing argument 'NAME'"),
        ("start a b", "unexpected extra argument"),
        ("list --colour", "No such option"),
        ("add time", "Give either"),
        ("add time --url https://x -- uvx", "Give either"),
        ("add time --env X -- uvx", "NAME=VALUE"),
        ("tools --schema", "QUERY"),
        ("configure time idle_stpo=3", "did you mean 'idle_stop'?"),
        ("configure time idle_stpo=", "idle_stpo"),
        ("configure time idle_stop=soon", "expected number"),
        ("approve time --all", "one of them"),
        ("logs time -n 0", "0 is not in the range"),
        ("install emacs", "emacs"),
        ("secret", "rm"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(
    desk: Desk, house: FakeHouse, line: str, said: str
) -> None:
    ended = desk.run(*line.split())
    assert ended.code == 2
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert house.asked == []
    assert desk.run("--json", *line.split()).document["error"]["code"] == "RH_USAGE"


def test_an_answer_that_makes_no_sense_is_no_traceback(desk: Desk, house: FakeHouse) -> None:
    house.answers["list_servers"] = {"something": "else"}
    ended = desk.run("list")
    assert ended.code == 1
    assert "a fault of Roundhouse's own: KeyError" in ended.err
    assert "Traceback" not in ended.err


def test_what_the_system_does_not_allow_is_no_traceback(desk: Desk, house: FakeHouse) -> None:
    (desk.home / "logs/servers/time.log").mkdir(parents=True)
    ended = desk.run("logs", "time", "-f")
    assert ended.code == 1
    assert "time.log Is a directory" in ended.err


def test_nobody_reading_is_quiet(desk: Desk, house: FakeHouse) -> None:
    house.answers["list_servers"] = {"servers": [server(f"s{n}") for n in range(5000)]}
    out, in_ = os.pipe()
    os.close(out)
    ended = subprocess.run(
        [*COMMAND, "list"], env=desk.env, stdout=in_, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    os.close(in_)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_ctrl_c_cancels_the_call_and_is_quiet(desk: Desk, house: FakeHouse) -> None:
    house.answers["call_tool"] = NEVER
    terminal = desk.terminal("call", "time__now", "zone=UTC")
    assert house.waits.wait(PATIENCE)
    terminal.interrupt()
    assert terminal.ends() == 130
    assert house.cancelled.wait(PATIENCE)
    (cancelled,) = (one for one in house.notified if one["method"] == "notifications/cancelled")
    assert cancelled["params"]["requestId"] == 3  # after the opening and the look at its schema
    assert "Traceback" not in terminal.seen


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no disk that is always full")
@pytest.mark.parametrize(("line", "code"), [("list", 1), ("list --json", 1), ("start nobody --json", 1), ("statsu", 2)])
def test_a_full_disk_behind_the_output_is_said_and_no_traceback(
    desk: Desk, house: FakeHouse, line: str, code: int
) -> None:
    house.answers["start_server"] = Failure("RH_NOT_FOUND", "There is no server named 'nobody'.")
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*COMMAND, *line.split()], env=desk.env, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )
    assert ended.returncode == code
    assert b"Traceback" not in ended.stderr
    said = {"start nobody --json": b"'nobody'", "statsu": b"'status'"}.get(line, b"No space left on device")
    assert said in ended.stderr


def test_on_a_narrow_terminal_each_row_is_a_block_of_lines(desk: Desk, house: FakeHouse) -> None:
    house.answers["list_servers"] = {"servers": [server("git", state="failed", reason="it ended six times in a row")]}
    terminal = desk.terminal("list", columns=40)
    assert terminal.ends() == 0
    assert "git\n  state failed\n" in terminal.seen
    assert "  why it ended six times in a row\n" in terminal.seen


def test_in_a_pipe_a_row_is_one_line_and_nothing_of_it_is_cut(desk: Desk, house: FakeHouse) -> None:
    reason = "x" * 3000 + "\nend"
    house.answers["list_servers"] = {"servers": [server("git", reason=reason)]}
    _, row = desk.run("list").out.splitlines()
    assert row.endswith("x" * 3000 + " end")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize(("line", "code"), [("list", 0), ("approve", 4), ("nonsense", 2)])
def test_closed_standard_descriptors_are_survived(
    desk: Desk, house: FakeHouse, closed: str, line: str, code: int
) -> None:
    shell = f'exec "$@" {line} {closed}'
    ended = subprocess.run(
        ["sh", "-c", shell, "sh", *COMMAND], env=desk.env, capture_output=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == code
    assert b"Traceback" not in ended.stderr
    assert b"fault" not in ended.stderr


def test_a_locale_without_the_characters_gets_escapes(desk: Desk, house: FakeHouse) -> None:
    house.answers["read_logs"] = {"name": "time", "state": "ready", "lines": ["grüße ✓"]}
    ended = desk.run("logs", "time", env={"PYTHONIOENCODING": "ascii"})
    assert (ended.code, ended.out) == (0, "gr\\xfc\\xdfe \\u2713\n")


# -- what it costs


def test_nothing_heavy_is_loaded_for_a_command_in_a_pipe(desk: Desk, house: FakeHouse) -> None:
    code = f"{COMMAND[-1].rpartition(';')[0]}; run(sys.argv[1:]); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code, "list"], env=desk.env, capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout.split()
    assert "roundhouse.doors.cli.commands.servers" in loaded
    heavy = {"rich", "pydantic", "mcp", "msgspec", "asyncio", "anyio", "keyring", "tomlkit", "psutil", "httpx2"}
    assert heavy.isdisjoint(loaded)
    assert {"roundhouse.doors.cli.commands.doctor", "roundhouse.vault", "roundhouse.clients"}.isdisjoint(loaded)


def test_a_command_costs_less_than_150_ms(desk: Desk, house: FakeHouse) -> None:
    """Of the processor, the best of some: a machine that is busy with other things takes longer by the clock."""
    assert min(_cost(desk) for _ in range(4)) < 0.15 * slowness()


def _cost(desk: Desk) -> float:
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen([*COMMAND, "list"], env=desk.env, stdout=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


# -- help, and what a shell asks


def test_help_has_a_line_for_every_command(desk: Desk) -> None:
    ended = desk.run("--help")
    assert ended.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in ended.out
    assert desk.run("start", "--help").out.startswith("usage: roundhouse start [OPTIONS] NAME\n")
    assert desk.run("--version").out == f"roundhouse {__version__}\n"


def test_every_command_has_help_and_the_common_options() -> None:
    context = click.Context(roundhouse)
    for name in COMMANDS:
        command = roundhouse.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
        assert {"--json", "--home"} <= options_of(command)


def test_serve_behind_an_option_says_where_it_belongs(desk: Desk) -> None:
    ended = desk.run("--json", "serve", "--standalone")
    assert ended.code == 2
    assert "Write `serve` first" in ended.document["error"]["message"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("roundhouse sta", "plain,status\nplain,start"),
        ("roundhouse start ", "plain,time\nplain,git"),
        ("roundhouse start g", "plain,git"),
        ("roundhouse call t", "plain,time__now"),
        ("roundhouse secret rm ", "plain,TOKEN"),
        ("roundhouse import cod", "plain,codex"),
        ("roundhouse import ./", "file,./"),
    ],
)
def test_words_are_completed_from_the_running_house(desk: Desk, house: FakeHouse, words: str, expected: str) -> None:
    ended = desk.run(env=_completing(words))
    assert ended.out.strip() == expected


def test_without_a_house_nothing_is_completed_and_nothing_said(desk: Desk) -> None:
    ended = desk.run(env=_completing("roundhouse start "))
    assert (ended.code, ended.out.strip(), ended.err) == (0, "", "")
    assert not os.path.exists(desk.place.start_lock)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell(desk: Desk, shell: str) -> None:
    ended = desk.run("completion", shell)
    assert ended.code == 0
    assert f"_ROUNDHOUSE_COMPLETE={shell}_complete" in ended.out
    assert desk.run("completion", shell, "--json").document == {"shell": shell, "script": ended.out}


def _completing(words: str) -> dict[str, str]:
    count = len(words.split(" ")) - 1
    return {"_ROUNDHOUSE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}


# -- logs that are followed


def test_a_followed_log_shows_what_is_written_also_to_a_new_file(desk: Desk, house: FakeHouse) -> None:
    log = desk.home / "logs/servers/time.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree\n")
    terminal = desk.terminal("logs", "time", "-f", "-n", "2")
    assert "one" not in terminal.shows("three")
    with log.open("a") as more:
        more.write("\x1b[31mfour\n")
    assert "\x1b" not in terminal.shows("four")
    with log.open("a") as more:
        more.write("five\nsix")
        log.rename(log.with_suffix(".old"))  # as the house does with a log that has grown too long
        more.write("teen\n")
    log.write_text("seven\n")
    terminal.shows("four\nfive\nsixteen\nseven\n")
    log.write_text("8\n")  # begun anew
    terminal.shows("seven\n8\n")
    terminal.interrupt()
    assert terminal.ends() == 130


def test_a_followed_log_ends_when_nobody_reads_it_any_more(desk: Desk, house: FakeHouse) -> None:
    log = desk.home / "logs/servers/time.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\n")
    follow = [*COMMAND, "logs", "time", "-f"]
    with subprocess.Popen(follow, env=desk.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        assert following.stdout.readline() == b"one\n"
        following.stdout.close()
        assert following.wait(PATIENCE) == 141
        assert following.stderr.read() == b""


def test_an_answer_is_read_whole_however_it_comes(desk: Desk, house: FakeHouse) -> None:
    many = [server(f"s{n}", reason="x" * 300) for n in range(3000)]
    house.answers["list_servers"] = {"servers": many}
    assert json.loads(desk.run("list", "--json").out) == {"servers": many}


# -- the page about it


PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()


def test_the_page_has_every_command_and_every_exit_code() -> None:
    table = PAGE.partition("## The commands")[2].partition("\n## ")[0]
    assert set(re.findall(r"`roundhouse ([a-z]+)", table)) == COMMANDS.keys()
    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}
    assert set(map(int, re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))) == {0, *codes}


def test_the_page_says_what_needs_no_person() -> None:
    section = PAGE.partition("## Who may say yes")[2].partition("need a person")[0]
    named = set(re.findall(r"`(\w+)`", section.partition("anything but")[2]))
    assert named == NO_WIDER


def test_the_page_names_options_there_are() -> None:
    context = click.Context(roundhouse)
    for name in COMMANDS:
        rows = " ".join(row for row in PAGE.splitlines() if row.startswith(f"| `roundhouse {name}"))
        command = roundhouse.get_command(context, name)
        assert command is not None
        assert set(re.findall(r"(?<![\w-])--?[a-z]+", rows)) - {"--help"} <= options_of(command)


def options_of(command: click.Command) -> set[str]:
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    return {option for one in commands for parameter in one.params for option in parameter.opts}
