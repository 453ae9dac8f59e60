"""What can still be said of a message that cannot be parsed: its id, and whether it asks or answers.

Only the message's own first and last members are looked at, where SDKs write them. An `id` or `method` inside its
payload is somebody else's.
"""

from __future__ import annotations

import re

# Where an id stands in a message that cannot be parsed: right behind the version, or at the very end, as SDKs write it.
_ID = rb'"id"\s*:\s*(-?\d+|"(?:[^"\\]|\\.)*")'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"'
_BEGIN = rb"[^{]*\{\s*"  # the message itself, behind whatever was printed before it; never an object inside it
_ASKS = re.compile(_BEGIN + rb"(?:" + _VERSION + rb"\s*,\s*)?(?:" + _ID + rb'\s*,\s*)?"method"\s*:')
_ANSWERS = re.compile(_BEGIN + rb"(?:" + _VERSION + rb'\s*,\s*)?"(?:result|error)"\s*:')
_ID_AT_HEAD = re.compile(_BEGIN + rb"(?:" + _VERSION + rb"\s*,\s*)?" + _ID + rb"\s*,")
_ID_AT_TAIL = re.compile(
    rb",\s*(?:" + _VERSION + rb"\s*,\s*" + _ID + rb"|" + _ID + rb"\s*,\s*" + _VERSION + rb")\s*\}\s*$"
)


def find_id(head: bytes, tail: bytes) -> bytes | None:
    """The id of a message that cannot be parsed, from its first and last bytes, where its writer put it plainly."""
    found = _ID_AT_HEAD.match(head)
    if found:
        return found.group(1)
    found = _ID_AT_TAIL.search(tail)
    return found and (found.group(1) or found.group(2))


def asks(head: bytes) -> bool:
    """Whether a message that cannot be parsed begins like a request or notification."""
    return bool(_ASKS.match(head))


def answers(head: bytes) -> bool:
    """Whether a message that cannot be parsed begins like an answer whose id is yet to come."""
    return bool(_ANSWERS.match(head))
