"""Secrets out of everything that is kept or shown: logs, errors, rows, traces.

Every occurrence of a value that was ever in use becomes `[secret:NAME]`, in each form of `forms`. What only looks like
a secret becomes `[redacted]`: a token that begins as its issuer's do, `Authorization: Bearer ...`, `"password": "..."`,
a password in a URL.

A value of fewer than 6 characters is replaced only where it stands as a word. Not learned at all is what stands in
every second line and is no secret either: fewer than 4 characters, up to 6 digits, words of the protocol.

What is JSON stays the same JSON: nothing is replaced across the end of a string in it, and no escape is cut in two.

How it is fast: an occurrence of seven bytes or more covers, wherever it begins, a whole window of four bytes at a
multiple of four. So a text is cut into such windows once, and one set operation tells whether any of them is in any
form. Only where one is, forms are compared.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from roundhouse.vault.forms import forms, forms_of_lines
from roundhouse.vault.secret import Secret
from roundhouse.vault.shapes import KNOWN, LEAST_KNOWN, PRIVATE_KEY

LEAST_VALUE = 4  # characters
LEAST_ANYWHERE = 6  # characters
WINDOW = 4  # bytes
LEAST_WINDOWED = 2 * WINDOW - 1  # bytes that hold a whole window, wherever they begin
BEFORE_TOKEN = 11  # bytes that begin a token without being of it: `ya29.`, a Telegram bot's number
LONGEST_ESCAPE = 6  # bytes of one character in JSON
LONGEST_NUMBER = 1024  # bytes of one in JSON that a secret is a part of
LONGEST_OPEN = 4096  # bytes to wait for the end of what looks like a secret
DEEPEST = 100  # levels of a value that are walked through; deeper ones are nobody's facts

_TOKEN_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_TOKENS = bytes(ord("x") if byte in _TOKEN_BYTES else ord(" ") for byte in range(256))
_TOKEN = b"x" * LEAST_KNOWN
_REST_OF_TOKEN = re.compile(rb"[A-Za-z0-9_.~+=/-]*")
_KNOWN = re.compile(KNOWN.encode())
_PRIVATE_KEY = re.compile(PRIVATE_KEY.encode())
_PASSWORD_IN_URL = re.compile(rb"""://[^\s/?#"'<>\\:@]*:([^\s/?#"'<>\\]+)@""")
_DONE = re.compile(rb"\[secret:|\[redacted|\$\{|\*\*\*")
_WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]")

# No values, whatever stands around them. Else a "secret" of such a value disfigures every answer and log of ours; and
# short numbers could be guessed by writing them and looking which are replaced.
_OURS = re.compile(r"[0-9]{0,6}|(?i:rh(?:_[a-z_]*)?)")
_WORDS = re.compile(
    r"(?i)approv(?:al|e)|arguments|call|client|code|command|content|data|default|error|false|house|info|input|jsonrpc"
    r"|localhost|message|meta|method|name|none|notifications?|null|output|params|password|ping|progress|prompts|reason"
    r"|request|resources|result|retryable|roundhouse|schema|secret|servers?|state|status|stderr|stdin|stdout|string|text"
    r"|title|token|tools?|true|type|undefined|user|value|version|waits?|warning"
)
_AROUND = re.compile(r"\A[\W_]+|[\W_]+\Z")
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_SCALAR = re.compile(rb"[A-Za-z0-9+.-]+")
_SCALARS = re.compile(rb"[A-Za-z0-9+.\s-]+")

# Looked for from where one of these stands, which is faster than looking for the whole.
_STEMS = (b"token", b"pass", b"secret", b"key", b"authorization", b"bearer", b"cookie")
_NAMED = re.compile(
    rb"""(?ix)
    (?: (?<!page)(?<!page_)(?<!progress)token | passwo?r?d | passphrase | secret
      | (?: (?<=api)|(?<=api[_-])|(?<=access)|(?<=access[_-])|(?<=secret)|(?<=secret[_-])|(?<=private[_-]))key
    ) (?: (?:\\{0,8}["'])? \s* [:=] \s* (?P<opening>\\{0,8}["']) (?!\s*[,:\]}])
        | = (?P<assigned>[^\s&"'`;,<>()\[\]{}\\]{6,})
        | :\s* (?P<told>(?=[^\s"']{,40}[0-9])[A-Za-z0-9_.~+/=-]{12,}) )
    | authorization (?:\\*["'])? \s* [:=] \s* (?:\\*["'])? (?:[A-Za-z][A-Za-z-]*[ ]+)?+
      (?![{}\]:,]|\[(?!secret:|redacted\])) (?P<sent>[^\s"',;\\}]+)
    | bearer \s+ (?P<borne>[A-Za-z0-9_.~+/=-]{12,})
    | cookie (?:\\*["'])? \s* : \s* (?:\\*["'])? (?!\s*[,:\[\]{}]) (?P<set>[^\r\n"'\\]+)
    """
)
_CLOSING = re.compile(rb"""(?P<escapes>\\*)(?P<quote>["'])|\n""")


class _Match(NamedTuple):
    """Bytes that are a secret: one that is known by a name, or none."""

    start: int
    end: int
    name: str = ""
    is_bare: bool = False  # in JSON and outside of a string: what replaces it has to be one


@dataclass(frozen=True, slots=True)
class _Form:
    written: bytes
    name: str
    only_as_word: bool


class Redactor:
    """Knows the values in use and takes them out of texts. Any thread may use it."""

    def __init__(self) -> None:
        self._forms: set[bytes] = set()
        self._windows: dict[int, list[tuple[int, _Form]]] = {}  # with the place of the window in the form
        self._short: list[_Form] = []

    def add(self, name: str, secret: Secret) -> None:
        """Know a value from now on, and for good: what was in use may be written by somebody later."""
        value = secret.reveal()
        if len(value) < LEAST_VALUE or _is_everywhere(value):
            return
        for written in (*forms(value), *forms_of_lines(value)):
            self._know(_Form(written.encode(), name, only_as_word=len(value) < LEAST_ANYWHERE))

    def text(self, text: str) -> str:
        """A text without secrets."""
        data = text.encode(errors="surrogatepass")
        redacted = self.data(data)
        return text if redacted is data else redacted.decode(errors="surrogatepass")

    def data(self, data: bytes) -> bytes:
        """Bytes without secrets. They may be anything; what is UTF-8 stays UTF-8, and what is JSON the same JSON.

        That cannot hold for a known value that has JSON's own punctuation and stands across it: it is replaced even so.
        """
        return _without(data, self._all(data))

    def strings(self, value: object) -> object:
        """The same JSON-like value with every string in it redacted, but for the keys."""
        return self._strings(value, DEEPEST)

    def _strings(self, value: object, depth: int) -> object:
        match value:
            case str():
                return self.text(value)
            case Mapping() | list() | tuple() if not depth:
                return "[redacted]"
            case Mapping():
                return {key: self._strings(one, depth - 1) for key, one in value.items()}
            case list() | tuple():
                return [self._strings(one, depth - 1) for one in value]
        return value

    def known(self, data: bytes) -> bytes:
        """Bytes without the values in use; what only looks like a secret stays."""
        return _without(data, [*self._in_use(data)])

    def matches(self, data: bytes) -> list[_Match]:
        """All secrets in the data, those that overlap as one, in order."""
        return _merged(self._all(data))

    def _all(self, data: bytes) -> list[_Match]:
        return [*self._in_use(data), *_looking_like_secrets(data)]

    def _know(self, form: _Form) -> None:
        if form.written in self._forms:
            return
        self._forms.add(form.written)
        size = len(form.written)
        if size < LEAST_WINDOWED:
            self._short.append(form)
            return
        first = (size - LEAST_WINDOWED) // 2  # in the middle, where values differ: many begin alike
        for place in range(first, first + WINDOW):
            (window,) = array("I", form.written[place : place + WINDOW])
            self._windows.setdefault(window, []).append((place, form))

    def _in_use(self, data: bytes) -> Iterator[_Match]:
        windows = array("I", data[: len(data) // WINDOW * WINDOW])
        if not self._windows.keys().isdisjoint(windows):
            for number, window in enumerate(windows):
                for place, form in self._windows.get(window, ()):
                    start = number * WINDOW - place
                    if start >= 0 and data.startswith(form.written, start):
                        yield from _allowed(data, start, form)
        for form in self._short:
            for start in _places(data, form.written):
                yield from _allowed(data, start, form)


def _is_everywhere(value: str) -> bool:
    bare = _AROUND.sub("", value)
    return bool(_OURS.fullmatch(bare) or _WORDS.fullmatch(bare))


def _places(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def _allowed(data: bytes, start: int, form: _Form) -> Iterator[_Match]:
    end = start + len(form.written)
    inside = _WORD.match(data, end) or (start and _WORD.match(data, start - 1))
    if not (form.only_as_word and inside):
        yield _Match(start, end, form.name)


def _looking_like_secrets(data: bytes) -> Iterator[_Match]:
    spans = [*_tokens(data), *_named(data)]
    for at in _places(data, b"://"):
        if found := _PASSWORD_IN_URL.match(data, at):
            spans.append(found.span(1))
    for at in _places(data, b"-----BEGIN"):
        if found := _PRIVATE_KEY.match(data, at):
            spans.append(found.span())
    return (_Match(*span) for span in spans if not _DONE.match(data, span[0]))


def _tokens(data: bytes) -> Iterator[tuple[int, int]]:
    drawn = data.translate(_TOKENS)
    at = drawn.find(_TOKEN)
    while at >= 0:
        end = _REST_OF_TOKEN.match(data, at).end()  # type: ignore[union-attr]  # it matches anything
        for found in _KNOWN.finditer(data, max(0, at - BEFORE_TOKEN), end):
            yield found.span()
        at = drawn.find(_TOKEN, end)


def _named(data: bytes) -> Iterator[tuple[int, int]]:
    lowered = data.lower()
    for stem in _STEMS:
        at = lowered.find(stem)
        while at >= 0:
            found = _NAMED.match(data, at)
            if found and found.lastgroup == "opening":
                yield from _quoted(data, found)
            elif found:
                yield found.span(str(found.lastgroup))
            at = lowered.find(stem, found.end() if found else at + 1)


def _quoted(data: bytes, opened: re.Match[bytes]) -> Iterator[tuple[int, int]]:
    """What stands in quotes, up to their end or to that of a string of JSON around them, if they have none before."""
    start, opening = opened.end(), opened["opening"]
    escapes, quote = opening[:-1], opening[-1:]
    for found in _CLOSING.finditer(data, start, start + LONGEST_OPEN):
        if not found["quote"]:
            return
        is_end = found["quote"] == quote and found["escapes"] == escapes
        if is_end or (found["quote"] == b'"' and len(found["escapes"]) < len(escapes) + (quote == b"'")):
            if found.start() > start:
                yield start, found.start()
            return


def _without(data: bytes, matches: list[_Match]) -> bytes:
    if matches and _is_json(data):
        matches = _within_strings(data, matches)
    return _replaced(data, _merged(matches)) if matches else data


def _is_json(data: bytes) -> bool:
    """An object, an array or a string; a number alone is rather a text."""
    if data.lstrip()[:1] not in (b"{", b"[", b'"'):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _within_strings(data: bytes, matches: Iterable[_Match]) -> list[_Match]:
    """The matches in JSON, so that it stays the same JSON without them."""
    strings = [found.span(1) for found in _STRING.finditer(data)]
    begins = [start for start, _ in strings]
    placed = []
    for match in matches:
        at = bisect_right(begins, match.start) - 1
        start, end = strings[at] if at >= 0 else (0, 0)
        if start <= match.start <= match.end <= end:
            placed.append(_without_halves(data, match, start))
        elif match.name:
            placed.append(_scalar(data, match))
        elif match.start < end:  # what only looks like a secret ends with its string
            placed.append(_without_halves(data, match._replace(end=end), start))
    return placed


def _without_halves(data: bytes, match: _Match, begin: int) -> _Match:
    """It and the whole of an escape that it begins or ends in: `\\n`, `\\u00e9`."""
    start, end = match.start, match.end
    near = max(begin, start - LONGEST_ESCAPE)
    while near > begin and data[near - 1 : near] == b"\\":  # not to begin in the middle of one
        near -= 1
    for escape in _ESCAPE.finditer(data, near, end + LONGEST_ESCAPE):
        if escape.start() < start < escape.end():
            start = escape.start()
        if escape.start() < end < escape.end():
            end = escape.end()
    return match._replace(start=start, end=end)


def _scalar(data: bytes, match: _Match) -> _Match:
    """A number outside of any string, whole: the mark for it has to be a string."""
    start, end = match.start, match.end
    if not _SCALARS.fullmatch(data, start, end):
        return match
    for found in _SCALAR.finditer(data, max(0, start - LONGEST_NUMBER), end + LONGEST_NUMBER):
        if found.start() < match.end and match.start < found.end():
            start, end = min(start, found.start()), max(end, found.end())
    return match._replace(start=start, end=end, is_bare=True)


def _merged(matches: Iterable[_Match]) -> list[_Match]:
    """Those that overlap as one, under the name of the longest that has one."""
    merged: list[_Match] = []
    longest = 0
    for match in sorted(matches):
        size = match.end - match.start if match.name else 0
        if not merged or match.start >= merged[-1].end:
            merged.append(match)
            longest = size
            continue
        last = merged[-1]
        name = match.name if size > longest else last.name
        merged[-1] = _Match(last.start, max(last.end, match.end), name, last.is_bare or match.is_bare)
        longest = max(longest, size)
    return merged


def _moved(match: _Match, by: int) -> _Match:
    return _Match(match.start + by, match.end + by, match.name)


def _replaced(data: bytes, matches: Iterable[_Match]) -> bytes:
    parts = []
    done = 0
    for match in matches:
        mark = f"[secret:{match.name}]".encode() if match.name else b"[redacted]"
        parts += [data[done : match.start], b'"%b"' % mark if match.is_bare else mark]
        done = match.end
    return b"".join([*parts, data[done:]])
