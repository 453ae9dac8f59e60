"""TOML, read by the standard library and changed line by line, so that everything else stays as it is.

A member may be written as a table with a header, as dotted keys, or within an inline table. The first two are changed
in their lines; of an inline table the whole value is written anew, which changes at most the spaces in it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from roundhouse.clients.formats import Keys, Malformed, Unwritable, newline_of

_PART = re.compile(r"""[ \t]*+("(?:[^"\\]|\\.)*+"|'[^']*'|[A-Za-z0-9_-]++)[ \t]*+""")
_TOKEN = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'|\#[^\n]*+'''
    r"""|[\[\]{}]|\n|[^"'\#\[\]{}\n]++""",
    re.DOTALL,
)
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        found = _PLACE.search(str(bad))
        what = f"no TOML: {str(bad)[: found.start()] if found else bad}."
        if not found:
            raise Malformed(what) from None
        line, column = found.groups()
        last = text.rpartition("\n")[2]
        raise Malformed(what, int(line or text.count("\n") + 1), int(column or len(last) + 1)) from None
    except ValueError as bad:  # a number with more digits than Python reads
        raise Malformed(f"no TOML: {bad}.") from None
    except RecursionError:
        raise Malformed("it is nested too deep to be a configuration.") from None


def put(text: str, keys: Keys, value: Any) -> str:
    path = tuple(keys)
    lines = list(_lines(text))
    for line in lines:
        if line.key and line.key == path[: len(line.key)]:
            return _rewritten(text, line, _with(line.held(text), path[len(line.key) :], value))
    if isinstance(value, dict):
        return _appended(text, path, value)
    if any(line.header == path[:-1] for line in lines):
        at = max(line.end for line in lines if line.table == path[:-1] and (line.key or line.header))
        ended = text[:at] if text[at - 1] == "\n" else text[:at] + newline_of(text)
        return ended + _key(path[-1]) + " = " + _written(value) + newline_of(text) + text[at:]
    if any(line.key and line.key[:-1] == path[:-1] for line in lines):
        raise Unwritable("dotted keys without a table of their own")
    return _appended(text, path[:-1], {path[-1]: value})


def drop(text: str, keys: Keys) -> str:
    path = tuple(keys)
    lines = list(_lines(text))
    for line in lines:
        if line.key and len(line.key) < len(path) and line.key == path[: len(line.key)]:
            held = line.held(text)
            rest = _without(held, path[len(line.key) :])
            return text if rest == held else _rewritten(text, line, rest)
    for begin, end in reversed(list(_spans(text, lines, path))):
        text = text[:begin] + text[end:]
    return text


# -- the lines of a text


@dataclass(frozen=True, slots=True)
class _Line:
    """What stands between two ends of line that are not within a value."""

    begin: int
    end: int  # behind the end of line
    table: tuple[str, ...]  # the header it stands under
    header: tuple[str, ...] | None = None
    key: tuple[str, ...] | None = None  # from the top of the document
    value: tuple[int, int] = (0, 0)

    def held(self, text: str) -> Any:
        return tomllib.loads("value = " + text[slice(*self.value)])["value"]


def _lines(text: str) -> Iterator[_Line]:
    table: tuple[str, ...] = ()
    for begin, end, last in _extents(text):
        content = text[begin:last].lstrip(" \t")
        if content.startswith("["):
            table = _key_at(text, text.index("[", begin) + (2 if content.startswith("[[") else 1))[0]
            yield _Line(begin, end, table, header=table)
        elif content:
            key, equals = _key_at(text, begin)
            start = equals + 1
            while text[start] in " \t":
                start += 1
            yield _Line(begin, end, table, key=table + key, value=(start, last))
        else:
            yield _Line(begin, end, table)


def _extents(text: str) -> Iterator[tuple[int, int, int]]:
    """Of each line: its begin, behind its end of line, and behind what is neither comment nor space."""
    begin = last = depth = 0
    for token in _TOKEN.finditer(text):
        found = token.group()
        if found == "\n" and not depth:
            yield begin, token.end(), last
            begin = last = token.end()
        elif not found.startswith("#"):
            depth += (found in "[{") - (found in "]}")
            if found.strip():
                last = token.start() + len(found.rstrip())
    if begin < len(text):
        yield begin, len(text), last


def _key_at(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """The dotted key that begins here, and the place behind it."""
    parts: list[str] = []
    while part := _PART.match(text, at):
        parts += tomllib.loads(part.group(1) + " = 0")
        at = part.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return tuple(parts), at


# -- changing them


def _rewritten(text: str, line: _Line, value: Any) -> str:
    begin, end = line.value
    return text[:begin] + _written(value) + text[end:]


def _with(held: Any, path: Keys, value: Any) -> Any:
    if not path:
        return value
    inner = held if isinstance(held, dict) else {}
    return {**inner, path[0]: _with(inner.get(path[0]), path[1:], value)}


def _without(held: Any, path: Keys) -> Any:
    if not isinstance(held, dict) or path[0] not in held:
        return held
    if len(path) == 1:
        return {key: value for key, value in held.items() if key != path[0]}
    return {**held, path[0]: _without(held[path[0]], path[1:])}


def _appended(text: str, path: Keys, table: dict[str, Any]) -> str:
    """The text with a table at its end, one empty line before it."""
    newline = newline_of(text)
    lead = "" if not text else newline if text.endswith("\n") else newline * 2
    lines = [f"[{'.'.join(map(_key, path))}]", *(f"{_key(key)} = {_written(value)}" for key, value in table.items())]
    return text + lead + "".join(line + newline for line in lines)


def _spans(text: str, lines: list[_Line], path: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """What belongs to a member: its tables as far as their last key, with the empty line before; its dotted keys."""
    for position, line in enumerate(lines):
        if line.header and line.header[: len(path)] == path:
            own = [line]
            for other in lines[position + 1 :]:
                if other.header:
                    break
                own.append(other)
            while not (own[-1].key or own[-1].header):
                own.pop()
            after = position + len(own)
            blank_before = position > 0 and not text[lines[position - 1].begin : line.begin].strip()
            blank_after = after == len(lines) or not text[lines[after].begin : lines[after].end].strip()
            yield lines[position - 1].begin if blank_before and blank_after else line.begin, own[-1].end
        elif line.key and line.key[: len(path)] == path and line.table[: len(path)] != path:
            yield line.begin, line.end


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _written(name)


def _written(value: Any) -> str:
    """A value on one line. Raises: `Unwritable` for dates and times, which JSON has none of."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case dict():
            members = ", ".join(f"{_key(key)} = {_written(one)}" for key, one in value.items())
            return f"{{ {members} }}" if members else "{}"
        case _:
            raise Unwritable("a date or a time within an inline table")
