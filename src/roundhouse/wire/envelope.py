"""The envelope of a JSON-RPC message: its members, each still the bytes the sender wrote.

Nothing below the first level is decoded, so nothing below it can change. What a peer's parser could choke on (bytes
that are not UTF-8, nesting beyond what parsers follow) is refused here, so that one bad message fails one call and no
stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

import msgspec
from msgspec import Raw

from roundhouse.wire import surrogates

Raws = bytes | Raw  # JSON text that somebody else wrote
Members = Mapping[str, Raws]
Parts = Sequence[Raws]  # a message in pieces, written in order without being joined first

MAX_DEPTH = 200  # levels; what the JSON parsers of the MCP SDKs follow before they give up on the whole message

T = TypeVar("T")

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
encode = msgspec.json.encode

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes.maketrans(b"[{]}", bytes([1, 1, 255, 255]))  # read as signed bytes: up, up, down, down
_SLICE = 64 * 1024  # bytes looked at together; bounds what a text of nothing but quotes costs


class Unreadable(ValueError):
    """A frame that is no message. `str()` says why."""


def members(data: Raws) -> Members:
    """The members of a JSON object, values undecoded; of a whole message, `open_envelope` is to be asked first.

    Raises: `Unreadable` when the text is no JSON object.
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
        return _second_look(data, surrogates.members, bad)


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
        brackets = b"".join(pieces[inside::2])
        inside ^= len(pieces) % 2 == 0
        flat = brackets.replace(b"[]", b"").replace(b"{}", b"")  # most of any text; at most two levels of it
        if level + len(flat) + 2 > limit:
            steps = memoryview(brackets.translate(_STEPS)).cast("b")
            if max(accumulate(steps, initial=level)) > limit:
                return True
        level += 2 * (flat.count(b"[") + flat.count(b"{")) - len(flat)
    return False


def elements(data: Raws) -> list[Raw]:
    """The elements of a JSON array, undecoded. Raises: `Unreadable`."""
    try:
        return _decode_list(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
        return _second_look(data, surrogates.elements, bad)


def text(value: Raws | None) -> str | None:
    """The string that a JSON string is, or None for anything else."""
    if value is None:
        return None
    try:
        return _decode_text(value)
    except msgspec.ValidationError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = json.loads(bytes(value)) if surrogates.holds_half_a_pair(bytes(value)) else None
        return found if isinstance(found, str) else None


def join(fields: Mapping[str, Raws]) -> list[Raws]:
    """A JSON object of these members, in pieces, values as they are."""
    parts: list[Raws] = []
    lead = b"{"
    for name, value in fields.items():
        parts += (lead + encode_any(name) + b":", value)
        lead = b","
    parts.append(b"}" if parts else b"{}")
    return parts


def encode_any(value: object) -> bytes:
    """`encode`, also for texts that no UTF-8 can hold."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _what_is_wrong(bad: Exception) -> str:
    said = str(bad).removeprefix("JSON is malformed: ")
    return f"it is not JSON: {said}"


def _second_look(data: Raws, read: Callable[[bytes], T], bad: Exception) -> T:
    """What `read` makes of a text that was refused, where half a surrogate pair may be all that is wrong with it."""
    text = bytes(data)
    if not surrogates.holds_half_a_pair(text):
        raise Unreadable(_what_is_wrong(bad)) from None
    try:
        return read(text)
    except ValueError as worse:
        raise Unreadable(f"it is not JSON: {worse}") from None
    except RecursionError:
        raise Unreadable(f"it is nested more than {MAX_DEPTH} levels deep") from None
