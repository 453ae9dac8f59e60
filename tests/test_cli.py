"""The command line: bad input ends with one clear message and exit code 2, never with a stack trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roundhouse import __version__
from tests.house import house, launched, living, raw


def run(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "roundhouse", *args]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"mcpServers": {\n  "a": {"command": "x",}\n}}', "line 2, column"),
        ("", "line 1, column 1"),
        ("[]", "the file holds a list"),
        ("{}", 'there is no "mcpServers"'),
        ('{"servers": {}}', "VS Code"),
        ('{"mcpServers": []}', '"mcpServers" holds a list'),
    ],
)
def test_a_file_that_cannot_be_used_is_said_on_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "servers.json"
    file.write_text(text)
    ended = run("serve", "--standalone", "--config", str(file))
    assert ended.returncode == 2
    assert ended.stdout == b""
    message = ended.stderr.decode()
    assert said in message
    assert str(file) in message
    assert message.count("\n") == 1


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    ended = run("serve", "--standalone", "--config", str(tmp_path / "nowhere.json"))
    assert ended.returncode == 2
    assert b"There is no file" in ended.stderr


@pytest.mark.parametrize("args", [["sreve"], ["serve", "--confg", "x"], ["serve", "--config", "x"], ["house", "x"]])
def test_a_command_line_that_makes_no_sense_is_a_usage_error(args: list[str]) -> None:
    ended = run(*args)
    assert ended.returncode == 2
    assert b"usage: roundhouse" in ended.stderr.lower()
    assert b"Traceback" not in ended.stderr


def test_version_and_help() -> None:
    assert run("--version").stdout.decode() == f"roundhouse {__version__}\n"
    assert b"serve" in run("--help").stdout


def test_no_heavy_import_before_a_management_call(tmp_path: Path) -> None:
    with house(tmp_path, {"a": raw()}) as running:
        running.tools_with("a__echo")
        assert running.call("a__echo")["result"]
        loaded = Path(f"/proc/{running.house_pid()}/maps").read_text()
        assert "pydantic_core" not in loaded
        running.manage("list_servers")
        assert "pydantic_core" in Path(f"/proc/{running.house_pid()}/maps").read_text()


@pytest.mark.parametrize("closed", ["/dev/null", "file"])
def test_input_from_what_cannot_be_waited_for(tmp_path: Path, closed: str) -> None:
    (tmp_path / "servers.json").write_text('{"mcpServers": {}}')
    lines = tmp_path / "lines"
    lines.write_bytes(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    with open(lines if closed == "file" else closed, "rb") as stdin:
        ended = subprocess.run(
            [sys.executable, "-m", "roundhouse", "serve", "--standalone", "--config", str(tmp_path / "servers.json")],
            stdin=stdin,
            capture_output=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 0
    assert ended.stdout == (b'{"jsonrpc":"2.0","id":1,"result":{}}\n' if closed == "file" else b"")


def test_requests_piped_in_are_answered_before_it_leaves(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text('{"mcpServers": {}}')
    lines = (
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}\n'
        b'{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n'
    )
    ended = run("serve", "--standalone", "--config", str(file), stdin=lines)
    assert ended.returncode == 0
    assert b'"id":2,"result":{"tools":' in ended.stdout


def test_a_client_that_stops_reading_stops_nothing_but_itself(tmp_path: Path) -> None:
    """Its pipe fills, its servers are paused, memory stays bounded; when it reads again everything is there."""
    with house(tmp_path, {"a": raw()}) as running:
        running.tools_with("a__echo")
        file = tmp_path / "servers.json"
        command = [sys.executable, "-m", "roundhouse", "serve", "--standalone", "--config", str(file)]
        with launched(command) as other:
            other.open()
            other.tools_with("a__echo")
            with other.not_reading():
                keys = [other.ask_tool("a__big", {"bytes": 1 << 20}) for _ in range(64)]
                assert other.house_rss_settles() < 64 << 20
            for key in keys:
                assert len(other.answer(key)["result"]["content"][0]["text"]) == 1 << 20


def test_a_file_that_names_roundhouse_itself_does_not_grow_without_end(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    itself = {"command": sys.executable, "args": ["-m", "roundhouse", "serve", "--standalone", "--config", str(file)]}
    with house(tmp_path, {"again": itself}) as running:
        running.tools_with("again__list_servers")
        deepest = running.tools_with("again__again__list_servers")
        assert not any(name.startswith("again__again__again__") for name in deepest)
        assert len(living()) <= 10


def test_help_and_version_end_nobody(tmp_path: Path) -> None:
    namespace = os.stat("/proc/self/ns/pid").st_ino
    left = subprocess.Popen(["sleep", "60"], env={**os.environ, "ROUNDHOUSE_MARK": f"{namespace}:999999:1:1"})
    try:
        for args in (["--version"], ["--help"], []):
            run(*args)
        assert left.poll() is None
    finally:
        left.kill()
        left.wait()


def test_calls_under_way_are_answered_when_it_leaves(tmp_path: Path) -> None:
    with house(tmp_path, {"a": raw()}) as running:
        running.tools_with("a__echo")
        key = running.ask_tool("a__nothing")
        running.call("a__echo")
        os.kill(running.process.pid, signal.SIGTERM)
        assert "leaving" in running.answer(key)["error"]["message"]


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_descriptors_are_survived(tmp_path: Path, closed: str) -> None:
    file = tmp_path / "servers.json"
    file.write_text('{"mcpServers": {}}')
    shell = f"exec {sys.executable} -m roundhouse serve --standalone --config {file} {closed}"
    ended = subprocess.run(["sh", "-c", shell], input=b"", capture_output=True, timeout=20, check=False)
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
