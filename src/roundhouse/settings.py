"""The configuration file: a Claude Desktop style `mcpServers` object, read with every problem named at its place.

What concerns the whole file stops the start. What concerns one server stops that server only: it is listed as failed,
with all its problems, and the others start.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from roundhouse.errors import BadConfiguration, did_you_mean
from roundhouse.model.servers import CALL_TIMEOUT, LONGEST_CALL_TIMEOUT, START_TIMEOUT, ServerSpec

LONGEST_FILE = 10 * 1024 * 1024  # bytes; a configuration is written by people
LONGEST_NAME = 32  # characters; leaves a tool at least 13 of the 47 a public name may have

KEYS = ("command", "args", "env", "cwd", "type", "disabled", "call_timeout", "start_timeout")
# What other clients write into the same entries for themselves. Known, and without meaning for us.
FOREIGN_KEYS = frozenset({"alwaysAllow", "autoApprove", "description", "icon", "trust", "includeTools", "excludeTools"})
REMOTE_KEYS = ("url", "httpUrl", "serverUrl", "headers")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


class _Repeated(dict[str, Any]):
    """A JSON object that says which of its names came twice."""

    repeated: frozenset[str] = frozenset()


def load_servers(path: Path, reserved: Iterable[str]) -> list[ServerSpec]:
    """The servers a configuration file names, in its order, each with its problems.

    Args:
        reserved: names that are ours.

    Raises: `BadConfiguration` when the file as a whole cannot be read.
    """
    document = _read(path)
    if not isinstance(document, dict):
        raise BadConfiguration(
            f'{path}: the file holds {_kind(document)}; expected an object {{"mcpServers": {{...}}}}.'
        )
    servers = document.get("mcpServers")
    if "mcpServers" not in document:
        also = ' VS Code calls it "servers"; rename it to "mcpServers".' if "servers" in document else ""
        hint = did_you_mean("mcpServers", document)
        raise BadConfiguration(f'{path}: there is no "mcpServers"{hint}{also}')
    if not isinstance(servers, _Repeated):
        raise BadConfiguration(
            f'{path}: "mcpServers" holds {_kind(servers)}; expected an object of server entries by name.'
        )
    taken = frozenset(reserved)
    return [_server(name, entry, servers, taken) for name, entry in servers.items()]


def resource(name: str) -> str:
    """The text of a file under `prompts/` or `templates/`: inside the wheel, or beside `src` in a checkout."""
    packed = files("roundhouse").joinpath(name)
    if packed.is_file():
        return packed.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / name).read_text(encoding="utf-8")


def _read(path: Path) -> object:
    try:
        data = path.expanduser().read_bytes()
    except FileNotFoundError:
        raise BadConfiguration(f"There is no file {path}. Create it, or correct --config.") from None
    except OSError as bad:
        raise BadConfiguration(f"{path} cannot be read: {bad.strerror or bad}.") from None
    if len(data) > LONGEST_FILE:
        raise BadConfiguration(f"{path} has {len(data):,} bytes; a configuration has at most {LONGEST_FILE:,}.")
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        raise BadConfiguration(f"{path}, line {line}: byte {data[bad.start]:#04x} is not UTF-8.") from None
    except json.JSONDecodeError as bad:
        raise BadConfiguration(
            f"{path}, line {bad.lineno}, column {bad.colno}: no JSON: {bad.msg}.{_hint(bad)}"
        ) from None
    except ValueError as bad:
        raise BadConfiguration(f"{path}: no JSON: {bad}.") from None
    except RecursionError:
        raise BadConfiguration(f"{path}: it is nested too deep to be a configuration.") from None


def _object(pairs: list[tuple[str, Any]]) -> _Repeated:
    found = _Repeated(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        found.repeated = frozenset(name for name in found if names.count(name) > 1)
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _hint(bad: json.JSONDecodeError) -> str:
    before = bad.doc[: bad.pos].rstrip()
    if not bad.doc.strip():
        return " The file is empty."
    if bad.doc[bad.pos : bad.pos + 2] in ("//", "/*") or bad.doc[bad.pos : bad.pos + 1] == "#":
        return " JSON has no comments."
    if before.endswith(",") and bad.doc[bad.pos : bad.pos + 1] in ("}", "]"):
        return " Remove the comma before it."
    return ""


def _server(name: str, entry: object, servers: _Repeated, reserved: frozenset[str]) -> ServerSpec:
    place = f"mcpServers.{name}"
    problems = [*_name_problems(name, servers, reserved)]
    if not isinstance(entry, _Repeated):
        return ServerSpec(
            name, problems=(*problems, f"{place} holds {_kind(entry)}; expected an object with `command`.")
        )
    problems += _entry_problems(place, entry)
    if problems:
        return ServerSpec(name, disabled=entry.get("disabled") is True, problems=tuple(problems))
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


def _name_problems(name: str, servers: Mapping[str, object], reserved: frozenset[str]) -> Iterable[str]:
    place = f"mcpServers.{name}"
    if not _NAME.fullmatch(name) or "__" in name or len(name) > LONGEST_NAME:
        yield (
            f"{place}: {name!r} cannot be the prefix of tool names. Use 1 to {LONGEST_NAME} of a-z, A-Z, 0-9, '-' and "
            f"single '_', beginning and ending with a letter or digit{_suggest(name)}."
        )
    if name.casefold() in reserved:
        yield f"{place}: the name {name!r} is Roundhouse's own; choose another."
    if isinstance(servers, _Repeated) and name in servers.repeated:
        yield f"{place}: two servers are named {name!r}; rename one."
    twin = next((other for other in servers if other != name and other.casefold() == name.casefold()), None)
    if twin:
        yield f"{place}: {name!r} and {twin!r} differ in capitals only; rename one."


def _suggest(name: str) -> str:
    better = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_-]+", "-", name)).strip("-_")[:LONGEST_NAME].strip("-_")
    return f", for example {better!r}" if better else ""


def _entry_problems(place: str, entry: _Repeated) -> Iterable[str]:
    for key in sorted(entry.repeated):
        yield f"{place}.{key} is given twice; keep one."
    remote = next((key for key in REMOTE_KEYS if key in entry), None)
    if remote or entry.get("type", "stdio") != "stdio":
        what = f"`{remote}`" if remote else f"`type` {entry['type']!r}"
        yield f"{place} has {what}: servers over HTTP or SSE are not supported yet, only `command` and `args` (stdio)."
        return
    for key in entry:
        if key not in KEYS and key not in FOREIGN_KEYS:
            yield f"{place}.{key} is not known{did_you_mean(key, KEYS)} Known: {', '.join(KEYS)}."
    command = entry.get("command")
    if not isinstance(command, str) or not command.strip():
        held = "is missing" if "command" not in entry else f"holds {_kind(command)}"
        yield f"{place}.command {held}; expected the program to start, as a string."
    yield from _text_problems(f"{place}.command", command)
    args = entry.get("args") or []
    if not isinstance(args, list):
        yield f"{place}.args holds {_kind(args)}; expected a list of strings."
    else:
        for position, arg in enumerate(args):
            yield from _text_problems(f"{place}.args[{position}]", arg, required=True)
    env = entry.get("env") or {}
    if not isinstance(env, dict):
        yield f"{place}.env holds {_kind(env)}; expected an object of strings by variable name."
    else:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name:
                yield f"{place}.env has {name!r}, which cannot be the name of a variable."
            yield from _text_problems(f"{place}.env.{name}", value, required=True)
    if entry.get("cwd") is not None:
        yield from _text_problems(f"{place}.cwd", entry["cwd"], required=True)
    if not isinstance(entry.get("disabled", False), bool):
        yield f"{place}.disabled holds {_kind(entry['disabled'])}; expected true or false."
    yield from _seconds_problems(place, "call_timeout", entry, LONGEST_CALL_TIMEOUT)
    yield from _seconds_problems(place, "start_timeout", entry, 3600.0)


def _text_problems(place: str, value: object, *, required: bool = False) -> Iterable[str]:
    if not isinstance(value, str):
        if required:
            yield f"{place} holds {_kind(value)}; expected a string."
    elif "\0" in value:
        yield f"{place} contains a NUL character, which no process can be given."


def _seconds_problems(place: str, key: str, entry: Mapping[str, object], most: float) -> Iterable[str]:
    value = entry.get(key, 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most or math.isnan(value):
        yield f"{place}.{key} is {json.dumps(value)[:40]}; expected seconds, more than 0 and at most {most:g}."


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
