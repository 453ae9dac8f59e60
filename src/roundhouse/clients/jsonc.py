"""JSON as people and editors keep it, with comments and trailing commas: read, and changed in its place.

A change touches the characters it has to and no others: comments, order, indentation and line ends stay. Everything
works on two shadows of the text, each as long as it: `_bare`, where comments are spaces, and `_plain`, where trailing
commas are, too. So a place in a shadow is a place in the text. All scans are linear, also in hostile text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from roundhouse.clients.formats import Keys, Malformed, newline_of
from roundhouse.settings.document import Object

_SPACE = " \t\r\n"  # what JSON calls white space
_STRING = r'"[^"\\]*+(?:\\.?[^"\\]*+)*+"?'  # matches an unclosed one, too: failing late would make scans quadratic
_COMMENT = r"//[^\r\n]*+|/\*.*?(?:\*/|\Z)"
_COMMENTS = re.compile(f"{_STRING}|{_COMMENT}", re.DOTALL)
_COMMAS = re.compile(rf"{_STRING}|[\[{{,:][{_SPACE}]*+,|,(?=[{_SPACE}]*+[\]}}])", re.DOTALL)
_BRACKETS = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
_CONSTANTS = re.compile(f"{_STRING}|-?Infinity|NaN", re.DOTALL)  # which Python would read
_QUOTED = re.compile(_STRING, re.DOTALL)
_SCALAR = re.compile(rf"[^{_SPACE},\]}}]+")
_REST_OF_LINE = re.compile(r"(?:[ \t]|//[^\r\n]*|/\*[^\r\n]*?\*/)*+(?=[\r\n]|\Z)")
_INDENT = "  "  # where the text shows none of its own


def parse(text: str) -> Any:
    bare = _bare(text)
    if not bare.strip(_SPACE):
        return Object()
    plain = _plain(bare)
    if constant := next((found for found in _CONSTANTS.finditer(plain) if found.group()[0] != '"'), None):
        raise _malformed(json.JSONDecodeError(f"{constant.group()} is no JSON value", plain, constant.start()))
    try:
        return json.loads(plain, object_pairs_hook=Object.of, parse_int=_whole_number)
    except json.JSONDecodeError as bad:
        raise _malformed(bad) from None
    except RecursionError:
        raise Malformed("it is nested too deep to be a configuration.") from None


def put(text: str, keys: Keys, value: Any) -> str:
    bare = _bare(text)
    start = _after_space(bare, 0)
    style = _Style.of(text, bare)
    if start == len(bare):
        lead = text if not text or text.endswith("\n") else text + style.newline
        return lead + style.write(_nested(keys, value), "") + style.newline
    for depth, key in enumerate(keys):
        members = list(_members(bare, start))
        member = next((member for member in members if member.key == key), None)
        if member is None:
            return _inserted(text, bare, style, start, members, key, _nested(keys[depth + 1 :], value))
        start = member.value
        if depth == len(keys) - 1 or bare[start] != "{":
            written = style.write(_nested(keys[depth + 1 :], value), _indent_at(text, member.start))
            return text[:start] + written + text[member.end :]
    raise ValueError("no keys")


def drop(text: str, keys: Keys) -> str:
    bare = _bare(text)
    start = _after_space(bare, 0)
    for depth, key in enumerate(keys):
        if bare[start : start + 1] != "{":
            return text
        members = list(_members(bare, start))
        position = next((n for n, member in enumerate(members) if member.key == key), None)
        if position is None:
            return text
        if depth == len(keys) - 1:
            return _without(text, bare, start, members, position)
        start = members[position].value
    raise ValueError("no keys")


# -- the shadows of a text


def _bare(text: str) -> str:
    """The text with its comments turned into spaces. An unclosed one stays, and is no JSON."""
    return _COMMENTS.sub(_blanked, text)


def _blanked(found: re.Match[str]) -> str:
    token = found.group()
    if token[0] == '"' or (token.startswith("/*") and not (token.endswith("*/") and len(token) > 3)):
        return token
    return re.sub(r"[^\r\n]", " ", token)


def _plain(bare: str) -> str:
    """Without trailing commas. A comma after nothing stays, and is no JSON."""
    return _COMMAS.sub(lambda found: " " if found.group() == "," else found.group(), bare)


def _malformed(bad: json.JSONDecodeError) -> Malformed:
    return Malformed(f"no JSON: {bad.msg}.", bad.lineno, bad.colno)


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) < 20 else float(digits)


# -- the members of an object


@dataclass(frozen=True, slots=True)
class _Member:
    """Places in the text: of the key, of the value, behind the value, of the comma behind it."""

    key: str
    start: int
    value: int
    end: int
    comma: int | None


def _members(bare: str, start: int) -> Iterator[_Member]:
    """The members of the object that opens at `start`."""
    at = _after_space(bare, start + 1)
    while bare[at] != "}":
        behind_key = _end(bare, at)
        value = _after_space(bare, _after_space(bare, behind_key) + 1)
        end = _end(bare, value)
        behind = _after_space(bare, end)
        comma = behind if bare[behind] == "," else None
        yield _Member(json.loads(bare[at:behind_key]), at, value, end, comma)
        at = behind if comma is None else _after_space(bare, behind + 1)


def _end(bare: str, start: int) -> int:
    """Behind the value that begins at `start`."""
    if bare[start] == '"':
        return _matched(_QUOTED, bare, start)
    if bare[start] not in "{[":
        return _matched(_SCALAR, bare, start)
    depth = 0
    for token in _BRACKETS.finditer(bare, start):
        if token.group() in ("{", "["):
            depth += 1
        elif token.group() in ("}", "]"):
            depth -= 1
            if not depth:
                return token.end()
    raise ValueError("an object without end")


def _matched(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _before_space(text: str, at: int) -> int:
    while at and text[at - 1] in _SPACE:
        at -= 1
    return at


# -- writing


@dataclass(frozen=True, slots=True)
class _Style:
    """How a text is laid out."""

    newline: str
    unit: str  # one level of indentation; empty where everything stands on one line
    separators: tuple[str, str]

    @classmethod
    def of(cls, text: str, bare: str) -> _Style:
        body = bare.strip(_SPACE)
        indented = re.search(r"\n([ \t]+)[^\s]", bare)
        spaced = re.search(r'"[ \t]*:(?:[ \t\r\n]|\Z)', body) or '":' not in body
        one_line = "\n" not in body and body[1:-1].strip(_SPACE)
        return cls(
            newline_of(text),
            "" if one_line else indented.group(1) if indented else _INDENT,
            (", ", ": ") if spaced else (",", ":"),
        )

    def write(self, value: Any, indent: str) -> str:
        """A value; its lines but the first begin with `indent`."""
        if not self.unit:
            return json.dumps(value, ensure_ascii=False, separators=self.separators)
        separators = (",", self.separators[1])
        written = json.dumps(value, ensure_ascii=False, indent=self.unit, separators=separators)
        return written.replace("\n", self.newline + indent)


def _nested(keys: Keys, value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _inserted(text: str, bare: str, style: _Style, start: int, members: list[_Member], key: str, value: Any) -> str:
    """The text with a new last member in the object that opens at `start`."""
    if not members:
        return _first(text, bare, style, start, key, value)
    last = members[-1]
    indent = _indent_at(text, last.start)
    own_line = text[last.start - len(indent) - 1 : last.start] == "\n" + indent
    lead = style.newline + indent if own_line else " " if style.separators[0] == ", " else ""
    if own_line:
        member = _member(style, key, value, indent)
    else:
        member = _member(_Style(style.newline, "", style.separators), key, value, "")
    behind = last.end if last.comma is None else last.comma + 1
    at = _matched(_REST_OF_LINE, text, behind) if own_line else behind
    if last.comma is None:
        return f"{text[: last.end]},{text[last.end : at]}{lead}{member}{text[at:]}"
    return f"{text[:at]}{lead}{member},{text[at:]}"


def _first(text: str, bare: str, style: _Style, start: int, key: str, value: Any) -> str:
    """The text with a member in the empty object that opens at `start`, behind the comments in it."""
    close = _end(bare, start) - 1
    if not style.unit:
        return text[:close] + _member(style, key, value, "") + text[close:]
    base = _indent_at(text, start)
    lead = style.newline + base + style.unit
    at = _before_space(text, close)
    rest = text[at:close] if "\n" in text[at:close] else style.newline + base
    return text[:at] + lead + _member(style, key, value, base + style.unit) + rest + text[close:]


def _member(style: _Style, key: str, value: Any, indent: str) -> str:
    return json.dumps(key, ensure_ascii=False) + style.separators[1] + style.write(value, indent)


def _indent_at(text: str, at: int) -> str:
    """The white space that begins the line of this place."""
    line = text.rfind("\n", 0, at) + 1
    return text[line : _matched(_BLANKS, text, line)]


_BLANKS = re.compile(r"[ \t]*+")


def _without(text: str, bare: str, start: int, members: list[_Member], position: int) -> str:
    """The text without one member: with its comma and the space before it; comments around it stay."""
    gone = members[position]
    begin = _before_space(text, gone.start)
    end = gone.end if gone.comma is None else gone.comma + 1
    behind_comment = bare[begin - 1] == " "
    if behind_comment and not _REST_OF_LINE.fullmatch(text, end, _end_of_line(text, end)):
        begin, end = gone.start, _after_space(text, end)  # what follows must not end up in a line comment
    comma = members[position - 1].comma if position else None
    if gone.comma is None and comma is not None:
        return text[:comma] + text[comma + 1 : begin] + text[end:]
    close = _end(bare, start) - 1
    if len(members) == 1 and not (text[start + 1 : begin] + text[end:close]).strip(_SPACE):
        return text[: start + 1] + text[close:]
    return text[:begin] + text[end:]


def _end_of_line(text: str, at: int) -> int:
    found = re.compile(r"[\r\n]|\Z").search(text, at)
    return found.start() if found else len(text)
