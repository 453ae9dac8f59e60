"""The configuration file: a Claude Desktop style `mcpServers` object, read with every problem named at its place.

What concerns the whole file stops the start. What concerns one server stops that server only: it is listed as failed,
with all its problems, and the others start.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from roundhouse.errors import SHOWN, BadConfiguration, did_you_mean
from roundhouse.model.servers import CALL_TIMEOUT, LONGEST_CALL_TIMEOUT, START_TIMEOUT, ServerSpec
from roundhouse.model.text import shorten

LONGEST_FILE = 10 * 1024 * 1024  # bytes; a configuration is written by people
LONGEST_NAME = 32  # characters; leaves a tool at least 13 of the 47 a public name may have

KEYS = ("command", "args", "env", "cwd", "type", "disabled", "call_timeout", "start_timeout")
# What other clients write into the same entries for themselves. Known, and without meaning for us.
FOREIGN_KEYS = frozenset(
    {
        "alwaysAllow",
        "autoApprove",
        "description",
        "icon",
        "trust",
        "includeTools",
        "excludeTools",
        "timeout",
        "watchPaths",
    }
)
# What other clients fill in before they start a server. We do not yet, and a literal `${env:TOKEN}` helps nobody.
_FILLED_IN = re.compile(r"\$\{(?:(?:env|input|secret):[^}]*|workspaceFolder|userHome)\}")
LONGEST_START_TIMEOUT = 3600.0  # seconds
REMOTE_TYPES = ("http", "sse", "streamable-http", "streamableHttp", "ws")
REMOTE_KEYS = ("url", "httpUrl", "serverUrl", "headers")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


def load_servers(path: Path, reserved: Iterable[str]) -> list[ServerSpec]:
    """The servers a configuration file names, in its order, each with its problems.

    Args:
        reserved: names that are ours.

    Raises: `BadConfiguration` when the file as a whole cannot be read.
    """
    document = _read(path)
    if not isinstance(document, _Object):
        raise BadConfiguration(
            f'{path}: the file holds {_kind(document)}; expected an object {{"mcpServers": {{...}}}}.'
        )
    if "mcpServers" not in document:
        if "servers" in document:
            raise BadConfiguration(
                f'{path}: there is no "mcpServers". VS Code calls it "servers"; rename it to "mcpServers".'
            )
        raise BadConfiguration(f'{path}: there is no "mcpServers"{did_you_mean("mcpServers", document)}')
    if "mcpServers" in document.repeated:
        raise BadConfiguration(f'{path}: "mcpServers" is given twice; put all servers into one.')
    servers = document["mcpServers"]
    if not isinstance(servers, _Object):
        raise BadConfiguration(
            f'{path}: "mcpServers" holds {_kind(servers)}; expected an object of server entries by name.'
        )
    names = _Names(servers, frozenset(reserved))
    return [_server(name, entry, names) for name, entry in servers.items()]


def resource(name: str) -> str:
    """The text of a file under `prompts/` or `templates/`: inside the wheel, or beside `src` in a checkout."""
    packed = Path(__file__).parent / name
    beside = Path(__file__).parents[2] / name
    return (packed if packed.is_file() else beside).read_text(encoding="utf-8")


def _read(path: Path) -> object:
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        raise BadConfiguration(f"There is no file {path}. Create it, or correct --config.") from None
    except (OSError, RuntimeError) as bad:  # RuntimeError: the home of a user there is not
        raise BadConfiguration(f"{path} cannot be read: {getattr(bad, 'strerror', None) or bad}.") from None
    if len(data) > LONGEST_FILE:
        raise BadConfiguration(f"{path} is larger than {LONGEST_FILE:,} bytes; that is no configuration.")
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_Object.of, parse_constant=_no_constant, parse_int=_whole_number)
    except UnicodeDecodeError as bad:
        line = bad.object.count(b"\n", 0, bad.start) + 1
        raise BadConfiguration(f"{path}, line {line}: byte {bad.object[bad.start]:#04x} is not UTF-8.") from None
    except json.JSONDecodeError as bad:
        raise BadConfiguration(
            f"{path}, line {bad.lineno}, column {bad.colno}: no JSON: {bad.msg}.{_hint(bad)}"
        ) from None
    except ValueError as bad:
        raise BadConfiguration(f"{path}: no JSON: {bad}.") from None
    except RecursionError:
        raise BadConfiguration(f"{path}: it is nested too deep to be a configuration.") from None


class _Object(dict[str, Any]):
    """A JSON object that knows which of its names came twice."""

    repeated: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> _Object:
        found = cls(pairs)
        if len(found) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            found.repeated = frozenset(name for name, count in counts.items() if count > 1)
        return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) < 20 else float(digits)


def _hint(bad: json.JSONDecodeError) -> str:
    before = bad.doc[: bad.pos].rstrip()
    if not bad.doc.strip():
        return " The file is empty."
    if bad.doc[bad.pos : bad.pos + 2] in ("//", "/*") or bad.doc[bad.pos : bad.pos + 1] == "#":
        return " JSON has no comments."
    if before.endswith(",") and bad.doc[bad.pos : bad.pos + 1] in ("}", "]"):
        return " Remove the comma before it."
    return ""


def _server(name: str, entry: object, names: _Names) -> ServerSpec:
    place = f"mcpServers.{shorten(name)}"
    problems = [*names.problems(place, name)]
    if not isinstance(entry, _Object):
        problems.append(f"{place} holds {_kind(entry)}; expected an object with `command`.")
        return ServerSpec(names.shown(name), problems=tuple(problems))
    problems += _entry_problems(place, entry)
    if problems:
        disabled = entry.get("disabled") is True
        return ServerSpec(names.shown(name), disabled=disabled, problems=tuple(problems))
    return ServerSpec(
        name,
        command=entry["command"],
        args=tuple(entry.get("args") or ()),
        env=dict(entry.get("env") or {}),
        cwd=entry.get("cwd"),
        disabled=entry.get("disabled", False),
        call_timeout=float(entry.get("call_timeout", CALL_TIMEOUT)),
        start_timeout=float(entry.get("start_timeout", START_TIMEOUT)),
    )


class _Names:
    """The names of all servers of a file, and what is wrong with each."""

    def __init__(self, servers: _Object, reserved: frozenset[str]) -> None:
        self._repeated = servers.repeated
        self._reserved = reserved
        self._alike: dict[str, list[str]] = {}
        for name in servers:
            self._alike.setdefault(name.casefold(), []).append(name)
        self._shown: dict[str, str] = {}

    def problems(self, place: str, name: str) -> Iterable[str]:
        shown = shorten(name)
        if not _NAME.fullmatch(name) or "__" in name or len(name) > LONGEST_NAME:
            yield (
                f"{place}: {shown!r} cannot be the prefix of tool names. Use 1 to {LONGEST_NAME} of a-z, A-Z, 0-9, "
                f"'-' and single '_', beginning and ending with a letter or digit{self._suggestion(name)}."
            )
        if name.casefold() in self._reserved:
            yield f"{place}: the name {shown!r} is Roundhouse's own; choose another."
        if name in self._repeated:
            yield f"{place}: two servers are named {shown!r}; rename one."
        twin = next((other for other in self._alike[name.casefold()] if other != name), None)
        if twin:
            yield f"{place}: {shown!r} and {shorten(twin)!r} differ in capitals only; rename one."

    def shown(self, name: str) -> str:
        """A name under which a server that cannot be started is listed: fit to be shown, and no other's."""
        shown = shorten(name)
        while self._shown.setdefault(shown, name) != name or (shown != name and shown.casefold() in self._alike):
            shown += "?"
        return shown

    def _suggestion(self, name: str) -> str:
        better = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_-]+", "-", name[:1000])).strip("-_")
        better = better[:LONGEST_NAME].strip("-_")
        free = better and better.casefold() not in self._alike and better.casefold() not in self._reserved
        return f", for example {better!r}" if free else ""


def _entry_problems(place: str, entry: _Object) -> Iterable[str]:
    for key in sorted(entry.repeated):
        yield f"{place}.{shorten(key)} is given twice; keep one."
    kind = entry.get("type", "stdio")
    remote = next((f"`{key}`" for key in REMOTE_KEYS if key in entry), None)
    if kind in REMOTE_TYPES:
        remote = remote or f"`type` {kind!r}"
    elif kind != "stdio":
        yield f'{place}.type is {shorten(json.dumps(kind), 40)}; expected "stdio", or nothing.'
    if remote:
        yield f"{place} has {remote}: servers over HTTP or SSE are not supported yet, only those with a `command`."
        return
    for key in entry:
        if key not in KEYS and key not in FOREIGN_KEYS:
            hint = did_you_mean(key[:SHOWN], KEYS)
            yield f"{place}.{shorten(key)} is not known{hint} Known: {', '.join(KEYS)}."
    yield from _command_problems(place, entry)
    args = [] if entry.get("args") is None else entry["args"]
    if not isinstance(args, list):
        yield f"{place}.args holds {_kind(args)}; expected a list of strings."
    else:
        for position, arg in enumerate(args):
            yield from _text_problems(f"{place}.args[{position}]", arg)
    env = _Object() if entry.get("env") is None else entry["env"]
    if not isinstance(env, _Object):
        yield f"{place}.env holds {_kind(env)}; expected an object of strings by variable name."
    else:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name:
                yield f"{place}.env has {name[:SHOWN]!r}, which cannot be the name of a variable."
            if name in env.repeated:
                yield f"{place}.env.{shorten(name)} is given twice; keep one."
            yield from _text_problems(f"{place}.env.{shorten(name)}", value)
    if entry.get("cwd") is not None:
        yield from _text_problems(f"{place}.cwd", entry["cwd"])
    if not isinstance(entry.get("disabled", False), bool):
        yield f"{place}.disabled holds {_kind(entry['disabled'])}; expected true or false."
    yield from _seconds_problems(place, "call_timeout", entry, LONGEST_CALL_TIMEOUT)
    yield from _seconds_problems(place, "start_timeout", entry, LONGEST_START_TIMEOUT)


def _command_problems(place: str, entry: _Object) -> Iterable[str]:
    command = entry.get("command")
    if "command" not in entry:
        yield f"{place}.command is missing; expected the program to start, as a string."
    elif isinstance(command, str) and not command.strip():
        yield f"{place}.command is blank; expected the program to start."
    else:
        yield from _text_problems(f"{place}.command", command)


def _text_problems(place: str, value: object) -> Iterable[str]:
    if not isinstance(value, str):
        yield f"{place} holds {_kind(value)}; expected a string."
    elif "\0" in value:
        yield f"{place} contains a NUL character, which no process can be given."
    elif found := _FILLED_IN.search(value):
        yield f"{place} holds {found.group()!r}, which is not filled in yet; write the value itself."
    elif any("\ud800" <= character <= "\udfff" for character in value):
        yield f"{place} contains half a surrogate pair, which no process can be given."


def _seconds_problems(place: str, key: str, entry: Mapping[str, object], most: float) -> Iterable[str]:
    value = entry.get(key, 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        shown = shorten(json.dumps(value), 40)
        yield f"{place}.{key} is {shown}; expected seconds, more than 0 and at most {most:g}."


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
