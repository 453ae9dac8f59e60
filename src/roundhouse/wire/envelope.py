"""The envelope of a JSON-RPC message: its members, each still the bytes the sender wrote.

Nothing below the first level is decoded, so nothing below it can change. What a peer's parser could choke on (bytes
that are not UTF-8, nesting beyond what parsers follow) is refused here, so that one bad message fails one call and no
stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec
from msgspec import Raw

Raws = bytes | Raw  # JSON text that somebody else wrote
Members = Mapping[str, Raws]
Parts = Sequence[Raws]  # a message in pieces, written in order without being joined first

MAX_DEPTH = 200  # levels; what the JSON parsers of the MCP SDKs follow before they give up on the whole message

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
encode = msgspec.json.encode

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes.maketrans(b"[{]}", bytes([1, 1, 255, 255]))  # read as signed bytes: up, up, down, down
_SLICE = 64 * 1024  # bytes looked at together; bounds what a text of nothing but quotes costs

# Where an id stands in a message that cannot be parsed: right behind the version, or at the very end, as SDKs write it.
_ID = rb'"id"\s*:\s*(-?\d+|"(?:[^"\\]|\\.)*")'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"'
_ASKS = re.compile(rb"\{\s*(?:" + _VERSION + rb"\s*,\s*)?(?:" + _ID + rb'\s*,\s*)?"method"\s*:')
_ANSWERS = re.compile(rb"\{\s*(?:" + _VERSION + rb'\s*,\s*)?"(?:result|error)"\s*:')
_ID_AT_HEAD = re.compile(rb"\{\s*(?:" + _VERSION + rb"\s*,\s*)?" + _ID + rb"\s*,")
_ID_AT_TAIL = re.compile(
    rb",\s*(?:" + _VERSION + rb"\s*,\s*" + _ID + rb"|" + _ID + rb"\s*,\s*" + _VERSION + rb")\s*\}\s*$"
)


class Unreadable(ValueError):
    """A frame that is no message. `str()` says why."""


def members(data: Raws) -> Members:
    """The members of a JSON object, values undecoded.

    Raises: `Unreadable` when the text is no JSON object in UTF-8 of at most `MAX_DEPTH` levels.
    """
    try:
        return _decode_members(data)
    except UnicodeDecodeError as bad:
        raise Unreadable(f"it is not UTF-8: {bad.reason} at byte {bad.start}") from None
    except RecursionError:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except msgspec.ValidationError:
        raise Unreadable("it is no JSON object") from None
    except msgspec.DecodeError as bad:
        text = bytes(data)
        if b"\\ud" in text or b"\\uD" in text:
            return _members_with_lone_surrogates(text)
        raise Unreadable(_what_is_wrong(bad)) from None


def open_envelope(frame: bytes) -> Members:
    """The members of a whole message, after the checks that make it safe to pass on.

    Raises: `Unreadable`.
    """
    if not frame.isascii():
        try:
            frame.decode()
        except UnicodeDecodeError as bad:
            raise Unreadable(f"byte {frame[bad.start]:#04x} at position {bad.start} is not UTF-8") from None
    may_be_deep = len(frame) > 2 * MAX_DEPTH and frame.count(b"{") + frame.count(b"[") > MAX_DEPTH
    if may_be_deep and deeper_than(MAX_DEPTH, frame):
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")
    return members(frame)


def deeper_than(limit: int, text: bytes) -> bool:
    """Whether the JSON text has more levels of arrays and objects than this. Linear, and stops where it knows."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    kept = text.translate(None, _NOT_STRUCTURE)
    level, inside = 0, False  # inside a string
    for start in range(0, len(kept), _SLICE):
        pieces = kept[start : start + _SLICE].split(b'"')
        steps = memoryview(b"".join(pieces[inside::2]).translate(_STEPS)).cast("b")
        inside ^= len(pieces) % 2 == 0
        if level + len(steps) > limit and max(accumulate(steps, initial=level)) > limit:
            return True
        level += sum(steps)
    return False


def elements(data: Raws) -> list[Raw]:
    """The elements of a JSON array, undecoded. Raises: `Unreadable`."""
    try:
        return _decode_list(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
        raise Unreadable(_what_is_wrong(bad)) from None


def text(value: Raws | None) -> str | None:
    """The string that a JSON string is, or None for anything else."""
    if value is None:
        return None
    try:
        return _decode_text(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def join(fields: Mapping[str, Raws]) -> list[Raws]:
    """A JSON object of these members, in pieces, values as they are."""
    parts: list[Raws] = []
    lead = b"{"
    for name, value in fields.items():
        parts += (lead + encode(name) + b":", value)
        lead = b","
    parts.append(b"}" if parts else b"{}")
    return parts


def find_id(head: bytes, tail: bytes) -> bytes | None:
    """The id of a message that cannot be parsed, from its first and last bytes, where its writer put it plainly."""
    found = _ID_AT_HEAD.search(head)
    if found:
        return found.group(1)
    found = _ID_AT_TAIL.search(tail)
    return found and (found.group(1) or found.group(2))


def asks(head: bytes) -> bool:
    """Whether a message that cannot be parsed begins like a request or notification."""
    return bool(_ASKS.search(head))


def answers(head: bytes) -> bool:
    """Whether a message that cannot be parsed begins like an answer whose id is yet to come."""
    return bool(_ANSWERS.search(head))


def _what_is_wrong(bad: Exception) -> str:
    said = str(bad).removeprefix("JSON is malformed: ")
    return f"it is not JSON: {said}"


def _members_with_lone_surrogates(frame: bytes) -> Members:
    r"""`members` for text that holds half a surrogate pair (`"\ud83d"`): rare, legal, and refused by msgspec alone."""
    try:
        source = frame.decode()
        return {name: Raw(source[start:end].encode()) for name, start, end in _walk_object(source)}
    except (ValueError, IndexError) as bad:
        raise Unreadable(f"it is not JSON: {bad or 'it ends too early'}") from None
    except RecursionError:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep") from None


def _walk_object(source: str) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of each member's value in the JSON object `source`."""
    scan = json.JSONDecoder(parse_constant=_no_constant).raw_decode
    skip = re.compile(r"[ \t\r\n]*").match

    def after_space(at: int) -> int:
        found = skip(source, at)
        return found.end() if found else at

    def expect(at: int, character: str) -> int:
        if source[at] != character:
            raise ValueError(f"expected {character!r} at position {at}")
        return after_space(at + 1)

    at = expect(after_space(0), "{")
    while source[at] != "}":
        name, end = scan(source, at)
        if not isinstance(name, str):
            raise ValueError(f"expected a name at position {at}")  # noqa: TRY004 - one kind of failure: no JSON
        start = expect(after_space(end), ":")
        _, end = scan(source, start)
        yield name, start, end
        at = after_space(end)
        if source[at] != "}":
            at = expect(at, ",")
            if source[at] == "}":
                raise ValueError(f"expected a name at position {at}")
    if after_space(at + 1) != len(source):
        raise ValueError(f"trailing characters at position {at + 1}")


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")
