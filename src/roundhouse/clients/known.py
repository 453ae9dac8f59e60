"""The clients we know, and where each keeps its own file, as it looks for it itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundhouse.clients import dialects
from roundhouse.clients.dialects import Dialect
from roundhouse.errors import BadConfiguration, NotFound


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment and the operating system that decide where files are."""

    env: Mapping[str, str]
    platform: str = sys.platform

    @property
    def home(self) -> Path:
        """Raises: `BadConfiguration` where the environment names none."""
        for name in ("USERPROFILE", "HOME") if self.platform == "win32" else ("HOME",):
            if self.env.get(name):
                return Path(self.env[name])
        raise BadConfiguration("HOME is not set, so there is no knowing where clients keep their files. Set it.")

    @property
    def applications(self) -> Path:
        """Where graphical programs keep their data."""
        match self.platform:
            case "darwin":
                return self.home / "Library/Application Support"
            case "win32":
                return self._named("APPDATA", self.home / "AppData/Roaming")
            case _:
                return self._named("XDG_CONFIG_HOME", self.home / ".config")

    def folder(self, variable: str, otherwise: str) -> Path:
        """A folder that a variable of the client names; a folder in the home otherwise."""
        return self._named(variable, self.home / otherwise)

    def _named(self, variable: str, otherwise: Path) -> Path:
        return Path(self.env[variable]) if self.env.get(variable) else otherwise


@dataclass(frozen=True, slots=True)
class Client:
    """A program that starts MCP servers.

    Args:
        file: its user's own file.
        traces: a folder that is there when it has run.
        project_file: what a project may have of its own, from the project's folder.
        added: what our entry needs there besides the usual.
    """

    title: str
    dialect: Dialect
    file: Callable[[Surroundings], Path]
    traces: Callable[[Surroundings], Path]
    project_file: str = ""
    added: Mapping[str, Any] = field(default_factory=dict)

    @property
    def container(self) -> str:
        """The key under which its servers lie."""
        return next(self.dialect.sections({})).keys[0]


def client_named(name: str) -> Client:
    """Raises: `NotFound`, with the closest known name."""
    if name not in CLIENTS:
        raise NotFound("client", name, list(CLIENTS), hint=f"Known: {', '.join(CLIENTS)}.")
    return CLIENTS[name]


def _claude_code(here: Surroundings) -> Path:
    return here.folder("CLAUDE_CONFIG_DIR", "") / ".claude.json"


def _vscode(here: Surroundings) -> Path:
    if portable := here.env.get("VSCODE_PORTABLE"):
        return Path(portable) / "user-data/User/mcp.json"
    return here.applications / "Code/User/mcp.json"


CLIENTS: dict[str, Client] = {
    "claude-desktop": Client(
        "Claude Desktop",
        dialects.CLAUDE_DESKTOP,
        file=lambda here: here.applications / "Claude/claude_desktop_config.json",
        traces=lambda here: here.applications / "Claude",
    ),
    "claude-code": Client(
        "Claude Code",
        dialects.CLAUDE_CODE,
        file=_claude_code,
        traces=lambda here: here.folder("CLAUDE_CONFIG_DIR", ".claude"),
        project_file=".mcp.json",
    ),
    "cursor": Client(
        "Cursor",
        dialects.CURSOR,
        file=lambda here: here.home / ".cursor/mcp.json",
        traces=lambda here: here.home / ".cursor",
        project_file=".cursor/mcp.json",
    ),
    "vscode": Client(
        "VS Code",
        dialects.VSCODE,
        file=_vscode,
        traces=lambda here: _vscode(here).parent,
        project_file=".vscode/mcp.json",
        added={"type": "stdio"},
    ),
    "gemini": Client(
        "Gemini CLI",
        dialects.GEMINI,
        file=lambda here: here.folder("GEMINI_CLI_HOME", "") / ".gemini/settings.json",
        traces=lambda here: here.folder("GEMINI_CLI_HOME", "") / ".gemini",
        project_file=".gemini/settings.json",
    ),
    "windsurf": Client(
        "Windsurf",
        dialects.WINDSURF,
        file=lambda here: here.home / ".codeium/windsurf/mcp_config.json",
        traces=lambda here: here.home / ".codeium/windsurf",
    ),
    "codex": Client(
        "Codex",
        dialects.CODEX,
        file=lambda here: here.folder("CODEX_HOME", ".codex") / "config.toml",
        traces=lambda here: here.folder("CODEX_HOME", ".codex"),
        project_file=".codex/config.toml",
    ),
}
