"""`import`, `install` and `doctor`: other clients, and the machine."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from roundhouse.clients.known import CLIENTS as KNOWN
from roundhouse.doors.cli.commands.clients import CLIENTS
from tests.doors.command_line import Desk, Ended
from tests.doors.fake_house import ANSWERS, Failure, FakeHouse, server

CANARY = "ghp_c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4"
SERVERS: dict[str, dict[str, Any]] = {
    "time": {"command": "uvx", "args": ["mcp-server-time"]},
    "git": {"command": "npx", "args": ["-y", "git\x1b[8m", "--token", CANARY], "env": {"GITHUB_TOKEN": CANARY}},
    "bad": {"neither": 1},
}


def added(name: str, **differs: Any) -> dict[str, Any]:
    found = ANSWERS["add_server"]
    assert isinstance(found, dict)
    return {**found, "name": name, **differs}


@pytest.fixture
def cursor(desk: Desk, house: FakeHouse) -> Path:
    """A client's file with three servers, and a house that takes what it is asked to take."""
    file = desk.user / ".cursor/mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"mcpServers": SERVERS}, indent=2))
    house.answers["add_server"] = lambda asked: added(asked["name"])
    house.answers["list_servers"] = {"servers": []}
    desk.allow_unattended()
    return file


def test_the_clients_that_are_named_are_those_there_are() -> None:
    assert tuple(KNOWN) == CLIENTS


# -- import


@pytest.mark.parametrize("source", ["cursor", "FILE"])
def test_what_comes_in_is_shown_whole_and_without_a_secret(
    desk: Desk, house: FakeHouse, cursor: Path, source: str
) -> None:
    terminal = desk.terminal("import", str(cursor) if source == "FILE" else source)
    seen = terminal.shows("Add 2 servers, and start each to learn its tools? [y/N]")
    assert house.asked == []
    assert f"From {cursor}:" in seen
    assert "time: a new server" in seen
    assert r'"git\x1b[8m"' in seen
    assert '"GITHUB_TOKEN" = the SECRET ' in seen
    assert "has neither a `command` nor a `url`" in seen
    terminal.types("y\n")
    assert terminal.ends() == 0
    assert [(operation, asked["name"]) for operation, asked in house.asked] == [
        ("add_server", "time"),
        ("add_server", "git"),
    ]
    assert CANARY not in terminal.seen


def test_what_was_shown_is_added_whatever_the_file_says_by_then(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    terminal = desk.terminal("import", "cursor", "--only", "time")
    terminal.shows("Add 1 server")
    cursor.write_text('{"mcpServers": {"time": {"command": "sh", "args": ["-c", "echo not shown"]}}}')
    terminal.types("y\n")
    assert terminal.ends() == 0
    ((_, asked),) = house.asked
    assert (asked["name"], asked["command"]) == ("time", "uvx")


def test_only_some_come_in(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    ended = desk.run("import", "cursor", "--only", "git", "--yes")
    assert ended.code == 0
    assert ended.out == "git was added: 2 tools. `roundhouse tools git` shows them.\n"
    assert [asked["name"] for _, asked in house.asked] == ["git"]
    assert CANARY not in ended.out + ended.err
    ended = desk.run("import", "cursor", "--only", "gti", "--yes")
    assert ended.code == 2
    assert "has no gti. It has: time, git." in ended.err


def test_what_is_not_taken_is_said_and_no_success(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    house.answers["add_server"] = Failure("RH_BAD_MESSAGE", "There is one already.")
    ended = desk.run("import", "cursor", "--yes")
    assert ended.code == 1
    assert "git was not taken: There is one already." in ended.out
    document = desk.run("import", "cursor", "--yes", "--json").document
    assert [one["name"] for one in document["skipped"]] == ["time", "git"]
    assert document["file"] == str(cursor)
    assert any("mcpServers.bad" in problem for problem in document["problems"])


def test_a_variable_that_may_not_be_passed_on_is_said_before_the_question(
    desk: Desk, house: FakeHouse, cursor: Path
) -> None:
    needs = {"command": "uvx", "args": ["x"], "env": {"A": "${env:NEEDED}", "B": "${env:ALLOWED}"}}
    cursor.write_text(json.dumps({"mcpServers": {"time": SERVERS["time"], "needs": needs}}))
    (desk.home / "settings.toml").write_text('env = ["ALLOWED"]\n')
    terminal = desk.terminal("import", "cursor")
    seen = terminal.shows("Add 1 server, and start each to learn its tools? [y/N]")
    settings = desk.home / "settings.toml"
    assert f'needs NEEDED of your environment: put env = ["ALLOWED", "NEEDED"] into {settings}' in seen
    terminal.types("y\n")
    assert terminal.ends() == 1
    assert "needs was not taken" in terminal.seen
    assert [asked["name"] for _, asked in house.asked] == ["time"]
    settings.write_text('env = ["ALLOWED", "NEEDED"]\nallow_unattended = true\n')
    assert desk.run("import", "cursor", "--only", "needs", "--yes").code == 0


def test_a_disabled_server_is_said_to_be_disabled(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    cursor.write_text(json.dumps({"mcpServers": {"time": {**SERVERS["time"], "disabled": True}}}))
    house.answers["add_server"] = added("time", state="stopped", tools=0)
    ended = desk.run("import", "cursor", "--yes")
    assert ended.out == "time was added. It is disabled: `roundhouse configure time disabled=` puts it to use.\n"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("{", "RH_BAD_CONFIGURATION", "line 1"),
        ('{"mcpServers": {}}', "", "There are no servers to take over."),
        (None, "RH_NOT_FOUND", "no client or file named"),
    ],
)
def test_a_file_without_servers(desk: Desk, house: FakeHouse, text: str | None, code: str, said: str) -> None:
    desk.allow_unattended()
    if text is not None:
        (desk.folder / "servers.json").write_text(text)
    ended = desk.run("import", "servers.json", "--yes")
    assert said in ended.out + ended.err
    assert code in ended.err
    assert ended.code == (1 if code else 0)
    assert house.asked == []


# -- install


def test_our_entry_is_put_into_the_clients_file_and_the_path_recorded(desk: Desk, cursor: Path) -> None:
    before = cursor.read_text()
    ended = desk.run("install", "cursor", env={"PATH": f"relative:{desk.env['PATH']}"})
    assert ended.code == 0, ended.err
    servers = json.loads(cursor.read_text())["mcpServers"]
    ours = servers.pop("roundhouse")
    assert servers == SERVERS
    assert os.access(ours["command"], os.X_OK)
    assert ours["args"][-3:] == ["serve", "--home", str(desk.home)]
    (backup,) = cursor.parent.glob("*backup*")
    assert backup.read_text() == before
    assert str(backup) in ended.out
    assert (desk.home / "path").read_text() == f"{desk.env['PATH']}\n"
    document = desk.run("install", "cursor", "--json").document
    assert document["changed"] is False
    assert document["file"] == str(cursor)


def test_nothing_is_asked_of_a_house_for_an_entry(desk: Desk, cursor: Path, house: FakeHouse) -> None:
    desk.run("install", "cursor")
    assert house.hellos == []


def test_the_usual_home_is_not_named_in_the_entry(desk: Desk, cursor: Path) -> None:
    del desk.env["ROUNDHOUSE_HOME"]
    assert desk.run("install", "cursor").code == 0
    assert json.loads(cursor.read_text())["mcpServers"]["roundhouse"]["args"][-1] == "serve"
    recorded = desk.user / ".local/share/roundhouse/path"
    assert stat.S_IMODE(recorded.parent.stat().st_mode) == 0o700
    assert recorded.read_text().strip()


def test_adopted_servers_move_and_those_that_were_not_taken_stay(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    def take(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["name"] == "git":
            raise Failure("RH_BAD_MESSAGE", "taken")
        return added("time")

    house.answers["add_server"] = take
    ended = desk.run("install", "cursor", "--adopt", "--yes")
    assert ended.code == 1
    assert "time was added" in ended.out
    assert "git was not taken" in ended.out
    assert json.loads(cursor.read_text())["mcpServers"].keys() == {"git", "bad", "roundhouse"}
    assert len(list(cursor.parent.glob("*backup*"))) == 1


def test_a_no_to_adopting_changes_nothing(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    before = cursor.read_text()
    terminal = desk.terminal("install", "cursor", "--adopt")
    terminal.shows("Move 2 servers into the house")
    terminal.types("n\n")
    assert terminal.ends() == 1
    assert cursor.read_text() == before
    assert house.operations == ["list_servers"]
    assert not (desk.home / "path").exists()


def test_a_move_that_was_cut_short_can_be_made_again(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    """The house has `time`, and a `git` that waits for a yes; the file has both yet."""
    house.answers["list_servers"] = {"servers": [server("time"), server("git", approval="pending")]}
    house.answers["add_server"] = Failure("RH_BAD_MESSAGE", "There is a server 'git' already.")
    terminal = desk.terminal("install", "cursor", "--adopt")
    seen = terminal.shows(f"Move 1 server into the house, and take 1 more, already there, out of {cursor}? [y/N]")
    assert "NOTE: the house has a server of this name, which stays as it is" in seen
    terminal.types("y\n")
    assert terminal.ends() == 1
    assert "time was in the house already." in terminal.seen
    assert "git was not taken" in terminal.seen
    assert [asked["name"] for operation, asked in house.asked if operation == "add_server"] == ["git"]
    assert json.loads(cursor.read_text())["mcpServers"].keys() == {"git", "bad", "roundhouse"}


def test_after_an_import_the_same_servers_are_only_taken_out_of_the_file(
    desk: Desk, house: FakeHouse, cursor: Path
) -> None:
    house.answers["list_servers"] = {"servers": [server("time"), server("git")]}
    ended = desk.run("install", "cursor", "--adopt", "--yes", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["already"] == ended.document["removed"] == ["time", "git"]
    assert "add_server" not in house.operations
    assert json.loads(cursor.read_text())["mcpServers"].keys() == {"bad", "roundhouse"}


def test_a_house_that_fails_while_adopting_leaves_the_file_alone(desk: Desk, house: FakeHouse, cursor: Path) -> None:
    before = cursor.read_text()
    house.answers["add_server"] = Failure("RH_STORE_READ_ONLY", "Nothing can be kept now.")
    ended = desk.run("install", "cursor", "--adopt", "--yes")
    assert ended.code == 1
    assert "RH_STORE_READ_ONLY" in ended.err
    assert cursor.read_text() == before


# -- doctor


@pytest.fixture
def healthy(desk: Desk, house: FakeHouse) -> Desk:
    """A machine on which nothing is wrong."""
    programs = desk.folder / "bin"
    programs.mkdir()
    for name, said in (("uvx", "uvx 0.9.1"), ("node", "v20.1.0"), ("npx", "10"), ("bwrap", "")):
        program(desk, name, f"echo '{said}'")
    desk.env["PATH"] = f"{programs}:/usr/bin:/bin"
    (desk.home / "path").write_text(desk.env["PATH"] + "\n")
    status = ANSWERS["house_status"]
    assert isinstance(status, dict)
    house.answers["house_status"] = {**status, "notes": []}
    return desk


def program(desk: Desk, name: str, script: str) -> None:
    file = desk.folder / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def found(ended: Ended, what: str) -> dict[str, str]:
    (finding,) = (one for one in ended.document["findings"] if one["what"] == what)
    return dict(finding)


def test_a_healthy_machine(healthy: Desk) -> None:
    ended = healthy.run("doctor", "--json")
    assert ended.code == 0
    assert {one["level"] for one in ended.document["findings"]} == {"ok"}, ended.out
    assert ended.document["healthy"] is True
    assert found(ended, "node")["found"].startswith("20.1.0, ")
    assert found(ended, "house")["found"].startswith("pid 4710")
    assert "the file /somewhere/secrets.json" in found(ended, "secrets")["found"]
    assert healthy.run("doctor").out.endswith("\nNothing is wrong.\n")


@pytest.mark.parametrize(
    ("name", "script", "level", "said"),
    [
        ("node", "echo v12.0.0", "warn", "12.0.0 is old"),
        ("node", "echo boom >&2; exit 1", "bad", "does not run: boom"),
        ("bwrap", "echo 'No permissions to create new namespace' >&2; exit 1", "warn", "does not work here: No perm"),
    ],
)
def test_programs_are_found_by_running_them(healthy: Desk, name: str, script: str, level: str, said: str) -> None:
    program(healthy, name, script)
    ended = healthy.run("doctor", "--json")
    finding = found(ended, "sandbox" if name == "bwrap" else name)
    assert finding["level"] == level
    assert said in finding["found"]
    assert finding["mend"]
    assert ended.code == (1 if level == "bad" else 0)


def test_a_home_that_others_can_read_is_bad(healthy: Desk) -> None:
    healthy.home.chmod(0o755)
    ended = healthy.run("doctor", "--json")
    assert ended.code == 1
    assert found(ended, "home") == {
        "level": "bad",
        "what": "home",
        "found": f"{healthy.home} is open to others (mode 0755)",
        "mend": f"chmod 700 {healthy.home}",
    }
    assert "1 thing to mend." in healthy.run("doctor").out


def test_a_runtime_folder_that_others_can_read_is_bad(healthy: Desk) -> None:
    os.chmod(healthy.place.folder, 0o777)
    ended = healthy.run("doctor", "--json")
    assert ended.code == 1
    assert found(ended, "runtime")["level"] == "bad"
    assert "chmod 700" in found(ended, "runtime")["found"]


def test_a_path_that_has_grown_since_it_was_recorded(healthy: Desk) -> None:
    healthy.env["PATH"] += ":/opt/new/bin"
    assert found(healthy.run("doctor", "--json"), "PATH")["found"] == (
        "the recorded one lacks /opt/new/bin, which yours has"
    )
    (healthy.home / "path").unlink()
    assert found(healthy.run("doctor", "--json"), "PATH")["level"] == "warn"


def test_what_the_house_knows_is_said(healthy: Desk, house: FakeHouse) -> None:
    status = ANSWERS["house_status"]
    assert isinstance(status, dict)
    house.answers["house_status"] = {**status, "version": "0.0.9"}
    house.answers["list_servers"] = {
        "servers": [
            server("time"),
            server("git", state="failed", reason="it ended 6 times", last_stderr=["no such\x1b[8m module"]),
            server("far", state="stopped", approval="pending"),
        ]
    }
    ended = healthy.run("doctor", "--json")
    assert ended.code == 1
    assert found(ended, "git")["found"] == "it ended 6 times no such\x1b[8m module"
    assert found(ended, "git")["mend"] == "roundhouse explain git"
    assert found(ended, "far")["mend"] == "roundhouse approve far"
    assert found(ended, "store")["found"] == "The store was restored from a backup."
    assert found(ended, "house")["level"] == "warn"
    assert found(ended, "servers")["found"] == "2 of 3 in order"


def test_without_a_house_it_looks_for_itself(healthy: Desk, house: FakeHouse) -> None:
    house.close()
    ended = healthy.run("doctor", "--json")
    assert ended.code == 0
    assert found(ended, "house")["found"].startswith("none runs")
    assert str(healthy.home / "secrets.json") in found(ended, "secrets")["found"]
    assert not os.path.exists(healthy.place.start_lock)


def test_starts_that_failed_are_told_with_the_last_lines_of_the_log(healthy: Desk, house: FakeHouse) -> None:
    house.close()
    Path(healthy.place.failed).write_text("1.0\n2.0\n")
    log = Path(healthy.place.log)
    log.parent.mkdir(parents=True)
    log.write_text("ModuleNotFoundError: no module\n")
    ended = healthy.run("doctor", "--json")
    assert ended.code == 1
    assert found(ended, "house")["found"] == "2 starts failed lately: ModuleNotFoundError: no module"


def test_clients_that_are_here_are_found(healthy: Desk, house: FakeHouse) -> None:
    (healthy.user / ".cursor").mkdir()
    (healthy.user / ".codex").mkdir()
    (healthy.user / ".codex/config.toml").write_text("[")
    healthy.run("install", "cursor")
    ended = healthy.run("doctor", "--json")
    assert found(ended, "Cursor")["level"] == "ok"
    assert found(ended, "Codex")["level"] == "bad"
