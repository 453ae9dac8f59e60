"""A value as it may stand in a log: plain, or as JSON, Python, a URL, a shell or base64 write it. Pure.

Encoders differ in what they escape. These are the ways of those in use, and of one that escapes everything.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from urllib.parse import quote, quote_plus, unquote

LEAST_LINE = 12  # characters of a line of a secret that is also looked for alone; shorter ones are in other texts too
LEAST_INSIDE = 6  # bytes of a value that is looked for inside of base64; of fewer, too few characters are certain
LONGEST_USUAL = 1024  # characters of a value of which all forms are made; a longer one has few, for they are as long
MOST_LINES = 1100  # of a value that are looked for alone: 64 KiB of the shortest lines that keys have
LONGEST_ESCAPED = 256  # characters of a value that somebody would escape one by one

_SAME_EVERYWHERE = re.compile(r"[A-Za-z0-9_.-]*")


def forms(value: str) -> set[str]:
    """All ways to write a value, itself among them. Of one beyond `LONGEST_USUAL`: as it is, and in JSON."""
    if len(value) > LONGEST_USUAL:
        return {value, *(json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))}
    found: set[str] = set()
    for meant in _meanings(value):
        found.add(meant)
        if not _SAME_EVERYWHERE.fullmatch(meant):
            found |= _in_json({meant, *_shell(meant), *_python(meant)})
            found |= {one for text in _percent(meant) for one in (text, _small_hex(text))}
        if len(meant) <= LONGEST_ESCAPED:
            found |= _every_character(meant)
        found |= {one for text in _base64(meant) for one in _as_base64_is_sent(text)}
    return found


def forms_of_lines(value: str) -> Iterator[str]:
    """What of a value of several lines is a secret by itself, in all its forms. Of a long value: as it is."""
    for line in islice(_lines(value), MOST_LINES):
        yield from forms(line) if len(value) <= LONGEST_USUAL else (line,)


def _lines(value: str) -> Iterator[str]:
    for line in value.splitlines():
        alone = line.strip()
        if alone != value and len(alone) >= LEAST_LINE and not alone.startswith("-----"):
            yield alone


def _meanings(value: str) -> set[str]:
    """The value, and what a URL or JSON that it was taken out of means by it: both come to light."""
    meanings = {value}
    if "%" in value:
        meanings.add(unquote(value, errors="replace"))
    if "\\" in value:
        with suppress(ValueError):
            meanings.add(str(json.loads(f'"{value}"', strict=False)))
    return {meaning for meaning in meanings if meaning == value or len(meaning) >= LEAST_INSIDE}


def _in_json(texts: Iterable[str]) -> set[str]:
    """As they are, in a string of JSON, and in JSON in a string of JSON."""
    once = {form for text in texts for form in _json(text)}
    return {*texts, *once, *(form for text in once for form in _json(text))}


def _json(text: str) -> Iterator[str]:
    for ensure_ascii in (False, True):
        plain = json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
        yield plain
        yield _large_hex(plain)
        yield plain.replace("/", "\\/")  # PHP
        go = plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        yield go
        yield _large_hex(go.replace('\\"', "\\u0022").replace("'", "\\u0027").replace("+", "\\u002b"))  # .NET


def _shell(text: str) -> Iterator[str]:
    yield text.replace("'", "'\"'\"'")  # shlex.quote
    yield text.replace("'", "'\\''")
    yield re.sub(r'(["\\$`])', r"\\\1", text)  # in double quotes
    yield re.sub(r"([^A-Za-z0-9_@%+=:,./\n-])", r"\\\1", text)
    yield re.sub(r"([]\s'\"\\|&;()<>!{}*[?^$`,]|^#|(?:^|(?<=[:=]))~)", r"\\\1", text)  # bash's printf %q


def _python(text: str) -> Iterator[str]:
    for shown in (repr(text), ascii(text), repr(text.encode())[1:]):
        yield shown[1:-1]
        yield shown[1:-1].replace("'", "\\'") if shown[0] == '"' else shown[1:-1].replace("\\'", "'")


def _percent(text: str) -> Iterator[str]:
    yield quote(text, safe="")
    yield quote(text)
    yield quote(text, safe="!'()*~")  # encodeURIComponent
    yield quote(text, safe="!#$&'()*+,/:;=?@~")  # encodeURI
    yield quote_plus(text)
    yield quote_plus(text, safe="*").replace("~", "%7E")  # application/x-www-form-urlencoded


def _every_character(text: str) -> set[str]:
    units = text.encode("utf-16-be").hex()
    unicode = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    percent = "".join(f"%{byte:02X}" for byte in text.encode())
    return {unicode, _large_hex(unicode), percent, _small_hex(percent)}


def _base64(text: str) -> Iterator[str]:
    """Alone, and the part that is certain where something stands before and after it, as in `user:password`."""
    data = text.encode()
    alone = base64.b64encode(data).decode()
    yield alone
    yield alone.rstrip("=")
    if len(data) >= LEAST_INSIDE:
        for before, lost in ((0, 0), (1, 2), (2, 3)):  # bytes before it, and the characters that depend on them
            certain = (before + len(data)) * 8 // 6
            yield base64.b64encode(bytes(before) + data).decode()[lost:certain]


def _as_base64_is_sent(text: str) -> set[str]:
    url = text.replace("+", "-").replace("/", "_")
    percent = quote(text, safe="")
    return {text, url, text.replace("/", "\\/"), percent, _small_hex(percent), quote(url, safe="")}


def _small_hex(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _large_hex(text: str) -> str:
    return re.sub(r"\\\\|\\u[0-9a-f]{4}", lambda found: found[0][:2] + found[0][2:].upper(), text)
