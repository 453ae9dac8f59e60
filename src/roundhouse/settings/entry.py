"""One server's entry: what may stand in it, and every mistake in it named with its place and a way out.

The same rules for a file, an import and an entry that a conversation proposes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from roundhouse.errors import SHOWN, did_you_mean
from roundhouse.model.servers import (
    CALL_TIMEOUT,
    IDLE_STOP,
    LONGEST_CALL_TIMEOUT,
    START_TIMEOUT,
    ServerSpec,
    Sharing,
    Start,
)
from roundhouse.model.text import shorten
from roundhouse.settings.document import kind_of

LONGEST_NAME = 32  # characters; leaves a tool at least 13 of the 47 a public name may have
LONGEST_START_TIMEOUT = 3600.0  # seconds
LONGEST_IDLE_STOP = 30 * 86400.0  # seconds

LAUNCH_KEYS = ("command", "args", "env", "cwd", "type", "url", "headers")  # what decides which process there is
KEYS = (
    *LAUNCH_KEYS,
    "disabled",
    "call_timeout",
    "start_timeout",
    "start",
    "idle_stop",
    "allow",
    "deny",
    "rename",
    "descriptions",
    "instances",
    "tags",
    "pinned",
)
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
REMOTE_TYPES = ("http", "sse", "streamable-http", "streamableHttp")
OTHER_URL_KEYS = ("httpUrl", "serverUrl")  # what some clients call `url`

# What other clients fill in before they start a server, and we do not; a literal `${input:token}` helps nobody.
_FILLED_IN = re.compile(r"\$\{(?:input:[^}]*|workspaceFolder|userHome)\}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_TOOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEVERAL_LINES = re.compile(r"[\r\n]")
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # cannot be told to anybody: no UTF-8 can hold it


def read_entry(names: Names, name: str, entry: object, *, start: Start = Start.ON_DEMAND) -> ServerSpec:
    """The specification in an entry, with everything that is wrong with it as its `problems`.

    Args:
        names: all names there are, this one among them.
        start: when it starts, where the entry does not say.
    """
    place = f"mcpServers.{shorten(name)}"
    problems = [*names.problems(place, name)]
    if not isinstance(entry, dict):
        problems.append(f"{place} holds {kind_of(entry)}; expected an object with `command`.")
        return ServerSpec(names.shown(name), problems=tuple(problems))
    problems += entry_problems(place, entry)
    if problems:
        disabled = entry.get("disabled") is True
        return ServerSpec(names.shown(name), disabled=disabled, problems=tuple(problems))
    return ServerSpec(
        name,
        command=entry.get("command") or "",
        args=tuple(entry.get("args") or ()),
        env=dict(entry.get("env") or {}),
        cwd=entry.get("cwd"),
        url=entry.get("url") or "",
        headers=dict(entry.get("headers") or {}),
        disabled=entry.get("disabled", False),
        call_timeout=float(entry.get("call_timeout", CALL_TIMEOUT)),
        start_timeout=float(entry.get("start_timeout", START_TIMEOUT)),
        start=Start(entry.get("start", start)),
        idle_stop=float(entry.get("idle_stop", IDLE_STOP)),
        allow=tuple(entry.get("allow") or ()),
        deny=tuple(entry.get("deny") or ()),
        rename=dict(entry.get("rename") or {}),
        descriptions=dict(entry.get("descriptions") or {}),
        instances=Sharing(entry.get("instances", Sharing.AUTO)),
        tags=tuple(entry.get("tags") or ()),
        pinned=tuple(entry.get("pinned") or ()),
    )


class Names:
    """The names of all servers of a file, and what is wrong with each."""

    def __init__(self, servers: Mapping[str, object], reserved: Collection[str]) -> None:
        self._repeated: frozenset[str] = getattr(servers, "repeated", frozenset())
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


def entry_problems(place: str, entry: Mapping[str, Any]) -> Iterable[str]:
    """Everything that is wrong with an entry."""
    for key in sorted(getattr(entry, "repeated", ())):
        yield f"{place}.{shorten(key)} is given twice; keep one."
    for key in entry:
        if key in OTHER_URL_KEYS:
            yield f"{place}.{key} is called `url` here."
        elif key not in KEYS and key not in FOREIGN_KEYS:
            hint = did_you_mean(key[:SHOWN], KEYS)
            yield f"{place}.{shorten(key)} is not known{hint} Known: {', '.join(KEYS)}."
    if entry.get("url") is not None or entry.get("type") in REMOTE_TYPES:
        yield from _remote_problems(place, entry)
    elif not any(key in entry for key in OTHER_URL_KEYS):
        yield from _local_problems(place, entry)
    yield from _list_problems(f"{place}.args", entry.get("args"))
    yield from _strings_problems(f"{place}.env", entry.get("env"), _variable_problem)
    yield from _strings_problems(f"{place}.headers", entry.get("headers"), _header_problem)
    for name, text in entry["headers"].items() if isinstance(entry.get("headers"), dict) else ():
        if isinstance(text, str) and _SEVERAL_LINES.search(text):
            yield f"{place}.headers.{shorten(name)} has more than one line, which no header can."
    if entry.get("cwd") is not None:
        yield from _text_problems(f"{place}.cwd", entry["cwd"])
    if not isinstance(entry.get("disabled", False), bool):
        yield f"{place}.disabled holds {kind_of(entry['disabled'])}; expected true or false."
    yield from _seconds_problems(place, "call_timeout", entry, LONGEST_CALL_TIMEOUT)
    yield from _seconds_problems(place, "start_timeout", entry, LONGEST_START_TIMEOUT)
    yield from _seconds_problems(place, "idle_stop", entry, LONGEST_IDLE_STOP, or_never=True)
    yield from _choice_problems(place, "start", entry, [*Start])
    yield from _choice_problems(place, "instances", entry, [*Sharing])
    for key in ("allow", "deny", "tags", "pinned"):
        yield from _list_problems(f"{place}.{key}", entry.get(key))
    yield from _strings_problems(f"{place}.rename", entry.get("rename"), _tool_problem)
    if isinstance(entry.get("rename"), dict):
        yield from _rename_problems(f"{place}.rename", entry["rename"])
    yield from _strings_problems(f"{place}.descriptions", entry.get("descriptions"), _tool_problem)


def _remote_problems(place: str, entry: Mapping[str, Any]) -> Iterable[str]:
    url, kind = entry.get("url"), entry.get("type", "http")
    if kind not in REMOTE_TYPES:
        yield f'{place}.type is {shorten(json.dumps(kind), 40)}; for a `url` expected "http" or "sse", or nothing.'
    if url is None:
        yield f"{place}.url is missing; expected the address of the server."
        return
    if entry.get("command") is not None:
        yield f"{place} has a `command` and a `url`; keep one."
    yield from _text_problems(f"{place}.url", url)
    if isinstance(url, str) and not _is_address(url):
        yield f"{place}.url is no address; expected https://HOST/... or http://HOST/..."


def _is_address(url: str) -> bool:
    if re.search(r"[\s\\]", url):  # dropped by some readers of addresses and taken for `/` by others
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def _local_problems(place: str, entry: Mapping[str, Any]) -> Iterable[str]:
    command, kind = entry.get("command"), entry.get("type", "stdio")
    if kind != "stdio":
        yield f'{place}.type is {shorten(json.dumps(kind), 40)}; expected "stdio", "http" or "sse", or nothing.'
    if entry.get("headers"):
        yield f"{place}.headers needs a `url`; a command is given what it needs by `env`."
    if "command" not in entry:
        yield f"{place}.command is missing; expected the program to start, as a string."
    elif isinstance(command, str) and not command.strip():
        yield f"{place}.command is blank; expected the program to start."
    else:
        yield from _text_problems(f"{place}.command", command)


def _rename_problems(place: str, rename: Mapping[str, object]) -> Iterable[str]:
    given = Counter(new for new in rename.values() if isinstance(new, str))
    for old, new in rename.items():
        if isinstance(new, str) and not _TOOL.fullmatch(new):
            yield f"{place}.{shorten(old)}: {shorten(new)!r} cannot be a tool's name. Use a-z, A-Z, 0-9, '-', '_'."
    for new, count in given.items():
        if count > 1:
            yield f"{place} calls {count} tools {shorten(new)!r}; give each a name of its own."


def _text_problems(place: str, value: object) -> Iterable[str]:
    if not isinstance(value, str):
        yield f"{place} holds {kind_of(value)}; expected a string."
    elif "\0" in value:
        yield f"{place} contains a NUL character, which no process can be given."
    elif found := _FILLED_IN.search(value):
        yield f"{place} holds {shorten(found.group())!r}, which is not filled in here; write the value itself."
    elif _HALF_A_PAIR.search(value):
        yield f"{place} contains half a surrogate pair, which no process can be given."


def _list_problems(place: str, value: object) -> Iterable[str]:
    if value is None:
        return
    if not isinstance(value, list):
        yield f"{place} holds {kind_of(value)}; expected a list of strings."
        return
    for position, one in enumerate(value):
        yield from _text_problems(f"{place}[{position}]", one)


def _strings_problems(place: str, value: object, key_problem: Callable[[str], str]) -> Iterable[str]:
    """An object of strings by name."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield f"{place} holds {kind_of(value)}; expected an object of strings by name."
        return
    repeated = getattr(value, "repeated", ())
    for key, one in value.items():
        if wrong := key_problem(key) or (_HALF_A_PAIR.search(key) and "contains half a surrogate pair"):
            yield f"{place} has {key[:SHOWN]!r}, which {wrong}."
        if key in repeated:
            yield f"{place}.{shorten(key)} is given twice; keep one."
        yield from _text_problems(f"{place}.{shorten(key)}", one)


def _variable_problem(name: str) -> str:
    return "cannot be the name of a variable" if not name or "=" in name or "\0" in name else ""


def _header_problem(name: str) -> str:
    return "" if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) else "cannot be the name of a header"


def _tool_problem(name: str) -> str:
    return "" if name else "cannot be the name of a tool"


def _choice_problems(place: str, key: str, entry: Mapping[str, object], known: list[str]) -> Iterable[str]:
    value = entry.get(key, known[0])
    if value not in known:
        yield f"{place}.{key} is {shorten(json.dumps(value), 40)}; expected {' or '.join(map(repr, map(str, known)))}."


def _seconds_problems(
    place: str, key: str, entry: Mapping[str, object], most: float, *, or_never: bool = False
) -> Iterable[str]:
    value = entry.get(key, 1)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value <= most or (or_never and value == 0))
    ):
        shown = shorten(json.dumps(value), 40)
        never = ", or 0 for never" if or_never else ""
        yield f"{place}.{key} is {shown}; expected seconds, more than 0 and at most {most:,.0f}{never}."
