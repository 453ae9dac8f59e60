r"""Objects and arrays whose text holds half a surrogate pair (`"\ud83d"`): rare, legal JSON that msgspec refuses.

Servers produce it when they cut a text in the middle of an emoji. The values are found with the standard library's
scanner and are returned as the text they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from msgspec import Raw

_SPACE = re.compile(r"[ \t\r\n]*")


def holds_half_a_pair(text: bytes) -> bool:
    """Whether the text may hold one, so that a second look is worth it."""
    return b"\\ud" in text or b"\\uD" in text


def members(text: bytes) -> dict[str, Raw]:
    """The members of an object. Raises: `ValueError` when it is none."""
    found: dict[str, Raw] = {}

    def member(scan: _Scanner) -> None:
        name = scan.value()
        if not isinstance(name, str):
            raise ValueError("a name is expected")  # noqa: TRY004 - one kind of failure: no JSON
        scan.expect(":")
        start = scan.at
        scan.value()
        found[name] = Raw(scan.source[start : scan.end].encode())

    _Scanner(text).sequence("{", "}", member)
    return found


def elements(text: bytes) -> list[Raw]:
    """The elements of an array. Raises: `ValueError` when it is none."""
    found: list[Raw] = []

    def element(scan: _Scanner) -> None:
        start = scan.at
        scan.value()
        found.append(Raw(scan.source[start : scan.end].encode()))

    _Scanner(text).sequence("[", "]", element)
    return found


class _Scanner:
    """A place in a JSON text. `at` is where the next token begins, `end` where the last value ended."""

    def __init__(self, text: bytes) -> None:
        self.source = text.decode()
        # Numbers are only passed over, so they need not be exact; `int` would refuse very long ones.
        self._decode = json.JSONDecoder(parse_constant=_refuse, parse_int=float, parse_float=float).raw_decode
        self.at = self.end = self._after_space(0)

    def sequence(self, opening: str, closing: str, item: Callable[[_Scanner], None]) -> None:
        """Read items between brackets, and nothing after them."""
        self.expect(opening)
        while not self._take(closing):
            item(self)
            if not self._take(","):
                self.expect(closing)
                break
            if self._here(closing):
                raise ValueError(f"a value is expected at position {self.at}")
        if self.at != len(self.source):
            raise ValueError(f"something follows at position {self.at}")

    def value(self) -> object:
        """Read one value."""
        value, self.end = self._decode(self.source, self.at)
        self.at = self._after_space(self.end)
        return value

    def expect(self, character: str) -> None:
        if not self._take(character):
            where = f"at position {self.at}" if self.at < len(self.source) else "where it ends too early"
            raise ValueError(f"{character!r} is expected {where}")

    def _take(self, character: str) -> bool:
        if not self._here(character):
            return False
        self.at = self._after_space(self.at + 1)
        return True

    def _here(self, character: str) -> bool:
        return self.source.startswith(character, self.at)

    def _after_space(self, at: int) -> int:
        found = _SPACE.match(self.source, at)
        return found.end() if found else at


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")
