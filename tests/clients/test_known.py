"""Where clients keep their files, as the environment says, and which of them are here."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundhouse.clients.imports import find
from roundhouse.clients.known import CLIENTS, Surroundings, client_named
from roundhouse.errors import BadConfiguration, NotFound


@pytest.mark.parametrize(
    ("client", "linux", "macos"),
    [
        ("claude-desktop", ".config/Claude/claude_desktop_config.json",
         "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-code", ".claude.json", ".claude.json"),
        ("cursor", ".cursor/mcp.json", ".cursor/mcp.json"),
        ("vscode", ".config/Code/User/mcp.json", "Library/Application Support/Code/User/mcp.json"),
        ("gemini", ".gemini/settings.json", ".gemini/settings.json"),
        ("windsurf", ".codeium/windsurf/mcp_config.json", ".codeium/windsurf/mcp_config.json"),
        ("codex", ".codex/config.toml", ".codex/config.toml"),
    ],
)  # fmt: skip
def test_each_client_has_its_file_in_the_home(client: str, linux: str, macos: str) -> None:
    file = CLIENTS[client].file
    assert file(Surroundings({"HOME": "/h"}, "linux")) == Path("/h", linux)
    assert file(Surroundings({"HOME": "/h"}, "darwin")) == Path("/h", macos)


@pytest.mark.parametrize(
    ("client", "variable", "file"),
    [
        ("claude-desktop", "XDG_CONFIG_HOME", "Claude/claude_desktop_config.json"),
        ("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("vscode", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
        ("vscode", "VSCODE_PORTABLE", "user-data/User/mcp.json"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("codex", "CODEX_HOME", "config.toml"),
    ],
)
def test_a_variable_of_the_client_moves_it(client: str, variable: str, file: str) -> None:
    assert CLIENTS[client].file(Surroundings({"HOME": "/h", variable: "/v"}, "linux")) == Path("/v", file)
    assert CLIENTS[client].file(Surroundings({"HOME": "/h", variable: ""}, "linux")).is_relative_to("/h")


def test_the_page_says_where_each_file_is() -> None:
    page = (Path(__file__).parents[2] / "docs/clients.md").read_text()
    for name, client in CLIENTS.items():
        file = client.file(Surroundings({"HOME": "/h"}, "linux")).relative_to("/h")
        project = f"`{client.project_file}`" if client.project_file else "-"
        assert f"| `{name}` | {client.title} | `~/{file}` | {project} |" in page


def test_on_windows_the_files_are_in_the_profile() -> None:
    here = Surroundings({"USERPROFILE": "C:/Users/ada", "APPDATA": "D:/Roaming"}, "win32")
    assert str(CLIENTS["claude-desktop"].file(here)) == "D:/Roaming/Claude/claude_desktop_config.json"
    assert str(CLIENTS["cursor"].file(here)) == "C:/Users/ada/.cursor/mcp.json"
    assert str(Surroundings({"USERPROFILE": "C:/Users/ada"}, "win32").applications) == "C:/Users/ada/AppData/Roaming"


def test_without_a_home_there_is_no_guessing() -> None:
    with pytest.raises(BadConfiguration, match="HOME is not set"):
        find({})


def test_an_unknown_client_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"did you mean 'cursor'\? Known: claude-desktop, "):
        client_named("curser")


def test_a_client_is_found_by_its_file_or_by_the_folder_it_makes(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    assert find(env) == []
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_text(
        '{"mcpServers": {"mine": {"command": "/x/roundhouse", "args": ["serve"]}}}'
    )
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/config.toml").write_text("[mcp_servers\n")
    code, cursor, codex = find(env)
    assert (code.client, code.exists, code.installed) == ("claude-code", False, False)
    assert (cursor.client, cursor.exists, cursor.installed) == ("cursor", True, True)
    assert (codex.client, codex.exists, codex.installed) == ("codex", True, False)
    assert codex.problem.startswith(f"{tmp_path}/.codex/config.toml, line 1, column 13: no TOML")
    assert not code.problem
    assert not cursor.problem
