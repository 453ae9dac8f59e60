"""How each client writes down its servers, and what an entry of theirs is in our words.

A dialect is data, and at most two small functions: where the servers lie in a document, and what has to be said in
other words before the common rules apply. A new one is a few lines here and a line in `known.CLIENTS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roundhouse.clients import jsonc, toml
from roundhouse.clients.envfile import read_env_file
from roundhouse.clients.formats import Format
from roundhouse.clients.variables import Form, Scene
from roundhouse.model.text import shorten
from roundhouse.settings.entry import FOREIGN_KEYS, KEYS

MILLISECOND = 0.001
SECOND = 1.0
SHORTEST_TIMEOUT = 1000  # milliseconds; what Claude Code takes at least
LONGEST_TIMEOUT = 1e12  # above that a number means something else, or nothing

# What clients keep for themselves: how they show a server and when they ask. Nothing is lost without it.
SILENT = frozenset({"alwaysLoad", "default_tools_approval_mode", "dev", "extension", "extensionName", "gallery", "name",
                    "required", "supports_parallel_tool_calls", "tools", "version"}) | FOREIGN_KEYS  # fmt: skip
TYPES = {"streamable-http": "http", "streamableHttp": "http", "streamable_http": "http"}
# What a server does not have any more when it is ours, and what to do about it.
LOST = {
    "auth": "Roundhouse has to be given what it signs in with: put it into `headers`",
    "authProviderType": "Roundhouse has to be given what it signs in with: put it into `headers`",
    "bearer_token": "put it into `headers` as a secret",
    "headersHelper": "Roundhouse has no programs that make headers: put them into `headers`",
    "http_headers_helper": "Roundhouse has no programs that make headers: put them into `headers`",
    "oauth": "Roundhouse has to be given what it signs in with: put it into `headers`",
    "oauth_resource": "Roundhouse has to be given what it signs in with: put it into `headers`",
    "sandbox": "the server would run without these limits; think before you approve it",
    "sandboxEnabled": "the server would run without its sandbox; think before you approve it",
    "scopes": "Roundhouse has to be given what it signs in with: put it into `headers`",
    "tcp": "Roundhouse speaks stdio and HTTP; give a `command` or a `url`",
    "timeout": "clients do not agree on its unit; set `call_timeout`, in seconds",
}

_ROOTED = re.compile(r"[/~$]|[A-Za-z]:[/\\]")  # paths that mean the same everywhere
_VARIABLE = re.compile(r"\$\{env:(\w+)\}")  # in a folder, where nothing is filled in when the server starts
_OURS = re.compile(r"(?:mcp-)?roundhouse(?:\.exe)?(?:[@=:\[].*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """One place in a document where servers lie, by name."""

    keys: tuple[str, ...]
    project: Path | None = None  # the only project they are for
    off: Collection[str] = ()  # names that are switched off elsewhere in the document


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a client writes down its servers, where it differs from the common form."""

    sections: Callable[[Mapping[str, Any]], Iterator[Section]]
    format: Format = jsonc
    forms: Form = Form.NONE
    renamed: Mapping[str, str] = field(default_factory=dict)  # its key: ours
    times: Mapping[str, tuple[str, float]] = field(default_factory=dict)  # its key: ours, and its unit in seconds
    first: Callable[[dict[str, Any]], dict[str, Any]] = dict  # what has to be said in other words
    reads_env_files: bool = False


def is_ours(entry: object) -> bool:
    """Whether an entry starts Roundhouse: by itself, or through uvx, python -m, docker and their like."""
    if not isinstance(entry, dict):
        return False
    args = entry.get("args")
    words = [
        word for word in (entry.get("command"), *(args if isinstance(args, list) else ())) if isinstance(word, str)
    ]
    named = next((n for n, word in enumerate(words) if _OURS.fullmatch(re.split(r"[/\\]", word)[-1])), None)
    return named is not None and "serve" in words[named + 1 :]


def translate(raw: Mapping[str, Any], place: str, dialect: Dialect, scene: Scene) -> dict[str, Any] | None:
    """An entry in our form; None where it says of no server how to reach it. What is wrong is added to the scene.

    Values that are of the wrong kind are kept: whoever reads the entry as ours names them.
    """
    entry: dict[str, Any] = {}
    from_file: dict[str, str] = {}
    for key, value in dialect.first(dict(raw)).items():
        here, ours = f"{place}.{shorten(key)}", dialect.renamed.get(key, key)
        if value is None:
            continue
        if key in dialect.times:
            entry |= _seconds(value, *dialect.times[key], here, scene)
        elif ours == "allow" and key != ours and value == []:
            entry["deny"] = ["*"]  # there: no tool at all; here an empty list allows all
        elif ours in KEYS:
            entry[ours] = _filled(ours, value, here, scene)
        elif key == "envFile" and dialect.reads_env_files:
            from_file = read_env_file(scene.fill_path(str(value), here), here, scene)
        elif key in LOST or key not in SILENT:
            lost = LOST.get(key, "it was left out; see what Roundhouse has in its place")
            scene.problems.append(f"{here} means nothing to Roundhouse: {lost}.")
    if from_file and isinstance(entry.setdefault("env", {}), dict):
        entry["env"] = from_file | entry["env"]
    if entry.get("command") is None and entry.get("url") is None:
        scene.problems.append(f"{place} has neither a `command` nor a `url`, and was left out.")
        return None
    _settle(entry, place, scene)
    kind = entry.pop("type", "stdio")
    return entry if kind == "stdio" else {**entry, "type": TYPES.get(kind, kind) if isinstance(kind, str) else kind}


def _filled(key: str, value: Any, place: str, scene: Scene) -> Any:
    """A value with its references in our form."""
    if isinstance(value, str) and key == "cwd":
        return _VARIABLE.sub(lambda found: scene.env.get(found.group(1), found.group()), scene.fill_path(value, place))
    if isinstance(value, str):
        return scene.fill_path(value, place) if key == "command" else scene.fill(value, place)
    if isinstance(value, list) and key == "args":
        return [scene.fill_path(one, f"{place}[{n}]") if isinstance(one, str) else one for n, one in enumerate(value)]
    if isinstance(value, dict) and key in ("env", "headers"):
        return dict(_named(value, place, scene))
    return value


def _named(values: Mapping[str, Any], place: str, scene: Scene) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        here = f"{place}.{shorten(name)}"
        if isinstance(value, str):
            yield name, scene.fill(value, here)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, str(value)
        elif value is None:
            scene.problems.append(f"{here} is null, which takes a variable away; it was left out.")
        else:
            yield name, value


def _seconds(value: Any, key: str, unit: float, place: str, scene: Scene) -> dict[str, float]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LONGEST_TIMEOUT:
        scene.problems.append(f"{place} is no length of time, and was left out; expected a number above 0.")
        return {}
    seconds = round(value * unit, 3)
    return {key: int(seconds) if seconds.is_integer() else seconds}


def _settle(entry: dict[str, Any], place: str, scene: Scene) -> None:
    """A server of a project starts in the project's folder. Of any other, a relative path could mean anything."""
    command, cwd = entry.get("command"), entry.get("cwd")
    if not isinstance(command, str) or not isinstance(cwd, str | None):
        return
    if cwd and _ROOTED.match(cwd):
        folder = cwd
    elif scene.project:
        folder = str(scene.project / (cwd or ""))
    else:
        for key, path in (("command", command if "/" in command else ""), ("cwd", cwd or "")):
            if path and not _ROOTED.match(path):
                scene.problems.append(f"{place}.{key} depends on where the client was started; write the whole path.")
        return
    entry["cwd"] = folder
    if "/" in command and not _ROOTED.match(command):
        entry["command"] = str(Path(folder) / command)


# -- where servers lie


def _at(key: str) -> Callable[[Mapping[str, Any]], Iterator[Section]]:
    def sections(document: Mapping[str, Any]) -> Iterator[Section]:
        yield Section((key,))

    return sections


def _of_claude_code(document: Mapping[str, Any]) -> Iterator[Section]:
    yield Section(("mcpServers",))
    projects = document.get("projects")
    for path, project in projects.items() if isinstance(projects, dict) else ():
        if isinstance(project, dict) and "mcpServers" in project:
            off = project.get("disabledMcpServers")
            yield Section(("projects", path, "mcpServers"), Path(path), off if isinstance(off, list) else ())


def _of_vscode(document: Mapping[str, Any]) -> Iterator[Section]:
    if "servers" not in document and isinstance(document.get("mcp"), dict):
        yield Section(("mcp", "servers"))  # in settings.json, where they were until 2025
    else:
        yield Section(("servers",))


def _of_gemini(document: Mapping[str, Any]) -> Iterator[Section]:
    servers, rules = document.get("mcpServers"), document.get("mcp")
    rules = rules if isinstance(rules, dict) else {}
    allowed, excluded = rules.get("allowed"), rules.get("excluded")
    off = set(map(str, excluded)) if isinstance(excluded, list) else set()
    if isinstance(allowed, list) and isinstance(servers, dict):
        off |= servers.keys() - set(map(str, allowed))
    yield Section(("mcpServers",), off=off)


# -- what has to be said in other words


def _claude_code(raw: dict[str, Any]) -> dict[str, Any]:
    """Claude Code ignores a timeout of less than a second."""
    if isinstance(timeout := raw.get("timeout"), int | float) and timeout < SHORTEST_TIMEOUT:
        del raw["timeout"]
    return raw


def _gemini(raw: dict[str, Any]) -> dict[str, Any]:
    """`httpUrl` is streamable HTTP and goes before `url`."""
    if isinstance(raw.get("httpUrl"), str):
        raw["url"] = raw.pop("httpUrl")
        raw["type"] = "http"
    return raw


def _codex(raw: dict[str, Any]) -> dict[str, Any]:
    """Codex names variables in keys of their own, and fills nothing into texts."""
    env = {str(_name_of(one)): f"${{env:{_name_of(one)}}}" for one in _list(raw.pop("env_vars", None)) if _name_of(one)}
    headers = {name: f"${{env:{variable}}}" for name, variable in _table(raw.pop("env_http_headers", None)).items()}
    if isinstance(token := raw.pop("bearer_token_env_var", None), str):
        headers["Authorization"] = f"Bearer ${{env:{token}}}"
    if env or raw.get("env"):
        raw["env"] = env | _table(raw.get("env"))
    if headers or raw.get("http_headers"):
        raw["headers"] = _table(raw.pop("http_headers", None)) | headers
    if "enabled" in raw:
        raw["disabled"] = raw.pop("enabled") is False
    return raw


def _name_of(variable: object) -> object:
    """A variable Codex passes on: a name, or a table with one."""
    return variable.get("name") if isinstance(variable, dict) else variable


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# -- the dialects

CLAUDE_DESKTOP = Dialect(_at("mcpServers"))
CLAUDE_CODE = Dialect(
    _of_claude_code, forms=Form.BRACES, times={"timeout": ("call_timeout", MILLISECOND)}, first=_claude_code
)
CURSOR = Dialect(_at("mcpServers"), forms=Form.EDITOR, reads_env_files=True)
VSCODE = Dialect(_of_vscode, forms=Form.EDITOR | Form.INPUT | Form.TILDE, reads_env_files=True)
GEMINI = Dialect(
    _of_gemini,
    forms=Form.BRACES | Form.DOLLAR,
    renamed={"includeTools": "allow", "excludeTools": "deny"},
    times={"timeout": ("call_timeout", MILLISECOND)},
    first=_gemini,
)
WINDSURF = Dialect(_at("mcpServers"), forms=Form.FILE, renamed={"serverUrl": "url", "disabledTools": "deny"})
CODEX = Dialect(
    _at("mcp_servers"),
    format=toml,
    renamed={"enabled_tools": "allow", "disabled_tools": "deny"},
    times={
        "startup_timeout_sec": ("start_timeout", SECOND),
        "startup_timeout_ms": ("start_timeout", MILLISECOND),
        "tool_timeout_sec": ("call_timeout", SECOND),
    },
    first=_codex,
)
# A file of which only the shape is known: everything that can only mean one thing.
PLAIN = Dialect(
    _at("mcpServers"),
    forms=Form.BRACES | Form.EDITOR | Form.INPUT,
    renamed={
        "serverUrl": "url",
        "httpUrl": "url",
        "includeTools": "allow",
        "excludeTools": "deny",
        "disabledTools": "deny",
    },
    reads_env_files=True,
)
