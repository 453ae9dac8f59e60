"""Literal secrets in a server's entry, found and replaced by references. Pure.

For entries that come from other clients' files or from a model. What is found by its name (`API_KEY`, `--token`,
`Authorization`) or by itself (`ghp_...`, a password in a URL) is taken out; what stands around it stays readable:
`Bearer ${secret:GIT_AUTHORIZATION}`, `postgresql://user:${secret:SHOP_DATABASE_URL}@host/db`. Filling the new entry
gives the old one. Values that are references already stay.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from roundhouse.errors import BadConfiguration
from roundhouse.vault import shapes
from roundhouse.vault.errors import BadSecret
from roundhouse.vault.references import TABLE_KEYS, TEXT_KEYS, URL_KEYS, Kind, Piece, origin_spans, parse, references
from roundhouse.vault.secret import LONGEST_NAME, Secret, name_from

LONGEST_USER = 16  # characters; what stands alone before a host and is longer is no user but a token
MOST = 200  # secrets in an entry; people have three
NAMES_BEFORE = 3  # in front of a value: `--env=TOKEN=value` has two
SWEPT = 8  # characters from which a value that was taken is also taken wherever else it stands in the entry

_INTERPRETER = re.compile(r"(?:ba|z|da|k|fi)?sh|cmd|pwsh|powershell|python[\d.]*|node|deno|bun|npx|perl|ruby|php|env")
_CODE = re.compile(r"-[a-z]*[ceS]|--eval|--command|/[cC]|-Command")
_RUNS = re.compile(r"\$\(|`")  # within a shell's value: a command of its own

_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
_NAMED = re.compile(r"(?P<name>--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)(?:=|:[ \t]*(?!//))")  # `--x=`, `X=`, `X-Header: `
_PAIR = re.compile(
    r"""(?<![\w.-])(?P<name>--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)"""
    r"""(?P<between>(?:\\*["'])?\s*[:=]\s*|\s+(?=[^\s-]))(?P<opening>\\*["'])?"""
)
_UNQUOTED = re.compile(r"""(?=[^\s&;"'`<>|\\]*\w)[^\s&;"'`<>|\\]+""")
_DEFAULT = re.compile(r"[-=?+]([^{}]*)")  # in a shell's `${TOKEN:-default}`
_SCHEME = re.compile(r"(?i:Bearer|Basic|Digest|Token|Bot|Key|JWT|OAuth|SSWS|Api-?Key|GenieKey|Negotiate)[ \t]+(?=\S)")
_USER = re.compile(r"""://(?P<user>[^\s/?#"'<>\\:@]*)(?::(?P<password>[^\s/?#"'<>\\]*))?@""")
_ADDRESS = re.compile(r"(?:https?|wss?)://\S+")


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the entry: where it stands, and the name it goes under, if any."""

    key: str
    at: str | int | None
    text: str
    name: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of a text that is a secret, and what it is called there."""

    start: int
    end: int
    name: str


def extract(
    server: str, entry: Mapping[str, Any], taken: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, Secret]]:
    """An entry without literal secrets, and the secrets by the names under which it refers to them now.

    Args:
        server: its name; its secrets' names begin with it.
        entry: as in `mcpServers`. Values of a wrong type stay as they are.
        taken: names of other secrets, which are not given again.

    Raises: `BadConfiguration` for more than `MOST` secrets: that is no entry but an attempt to keep us busy.
    """
    names = _Names(server, {*taken, *references(entry).secrets})
    new = _copied(entry)
    changed = True
    while changed:  # again for what was taken and stands elsewhere too, and for what looks different by now
        changed = False
        for text in list(_texts(new)):
            if regions := _takeable(text, [*_regions(text), *names.occurrences(text.text)]):
                _put(new, text, _with_references(text.text, regions, names))
                changed = True
    return new, names.secrets


class _Names:
    """Gives each value one name, and no name twice."""

    def __init__(self, server: str, taken: set[str]) -> None:
        self._prefix = name_from(server) or "SERVER"
        self._taken = taken
        self._by_value: dict[str, str] = {}
        self.secrets: dict[str, Secret] = {}

    def name(self, value: str, called: str) -> str:
        if value not in self._by_value:
            if len(self.secrets) == MOST:
                raise BadConfiguration(f"The entry holds more than {MOST} literal secrets; keep them in a file.")
            name = self._free(name_from(called) or "SECRET")
            self.secrets[name] = Secret(value)
            self._by_value[value] = name
        return self._by_value[value]

    def occurrences(self, text: str) -> Iterator[_Region]:
        """Where the values that have names stand. Plain words are passed over: they stand in many places by chance."""
        for value, name in self._by_value.items():
            if len(value) >= SWEPT and not shapes.is_word(value):
                for found in re.finditer(re.escape(value), text):
                    yield _Region(*found.span(), name)

    def _free(self, called: str) -> str:
        own = called if called.startswith(f"{self._prefix}_") else f"{self._prefix}_{called}"
        name, number = own[:LONGEST_NAME].rstrip("_"), 1
        while name in self._taken or name in self.secrets:
            number += 1
            name = f"{own[: LONGEST_NAME - 1 - len(str(number))]}_{number}"
        return name


def _copied(entry: Mapping[str, Any]) -> dict[str, Any]:
    """So deep that its texts can be replaced."""
    new = dict(entry)
    if isinstance(entry.get("args"), list | tuple):
        new["args"] = list(entry["args"])
    return new | {key: dict(entry[key]) for key in TABLE_KEYS if isinstance(entry.get(key), Mapping)}


def _texts(entry: Mapping[str, Any]) -> Iterator[_Text]:
    for key in TEXT_KEYS:
        if isinstance(text := entry.get(key), str):
            yield _Text(key, None, text)
    args = entry.get("args")
    before = str(entry.get("command"))
    interpreted = _is_interpreter(before)
    for at, text in enumerate(args if isinstance(args, list | tuple) else ()):
        if isinstance(text, str):
            flag = before if _takes_value(before) and not text.startswith("-") else ""
            yield _Text("args", at, text, flag, is_code=interpreted and bool(_CODE.fullmatch(before)))
        before = str(text)
        interpreted = interpreted or _is_interpreter(before)
    for key in TABLE_KEYS:
        table = entry.get(key)
        for name, text in table.items() if isinstance(table, Mapping) else ():
            if isinstance(text, str):
                yield _Text(key, name, text, str(name))


def _takes_value(flag: str) -> bool:
    return bool(_FLAG.fullmatch(flag)) and not shapes.is_switch(flag)


def _is_interpreter(program: str) -> bool:
    """Whether it runs what follows its `-c`, which must stay readable for whoever approves it."""
    name = program.replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
    return bool(_INTERPRETER.fullmatch(name))


def _put(entry: dict[str, Any], place: _Text, text: str) -> None:
    if place.at is None:
        entry[place.key] = text
    else:
        entry[place.key][place.at] = text


def _regions(place: _Text) -> Iterator[_Region]:
    """All that looks like a secret in a text."""
    parts = [region for start, end in _between_references(place.text) for region in _parts(place, start, end)]
    is_inside = bool(parts) and shapes.is_connection(place.name)
    if not is_inside and not place.is_code:
        yield from _named(place.text, place.name)
    yield from parts
    spans = shapes.known(place.text)
    if not place.is_code and place.key != "command":  # where what is random is encoded code, or a folder
        spans += shapes.random(place.text)
    yield from (_Region(start, end, place.name or "token") for start, end in spans)


def _between_references(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for piece in parse(text):
        if piece.kind in (Kind.SECRET, Kind.ENV):
            yield start, piece.start
            start = piece.end
    yield start, len(text)


def _named(text: str, name: str) -> Iterator[_Region]:
    """The whole value, by its name: that of the text, and those in front of it, as in `--env=TOKEN=value`."""
    start = 0
    yield from _value(text, start, len(text), name)
    for _ in range(NAMES_BEFORE):
        prefix = _NAMED.match(text, start)
        if prefix is None:
            return
        name, start = prefix["name"], prefix.end()
        yield from _value(text, start, len(text), name)


def _value(text: str, start: int, end: int, name: str) -> Iterator[_Region]:
    scheme = _SCHEME.match(text, start, end)
    start = scheme.end() if scheme else start
    value = text[start:end]
    if shapes.is_secret(name, value) and not _ADDRESS.fullmatch(value):
        yield _Region(start, end, name)


def _parts(place: _Text, start: int, end: int) -> Iterator[_Region]:
    """Secrets by the names they have within a text: in a URL, JSON, a connection string, a shell's command."""
    for found in _USER.finditer(place.text, start, end):
        if password := found["password"]:
            if shapes.is_secret("password", password):
                yield _Region(*found.span("password"), place.name or "url_password")
        elif len(found["user"]) > LONGEST_USER:
            yield _Region(*found.span("user"), place.name or "url_token")
    while pair := _PAIR.search(place.text, start, end):
        start = pair.end()
        takes_value = not pair["between"].isspace() or _takes_value(pair["name"])
        if takes_value and shapes.is_telling(pair["name"]):
            begun, start = _span_of(place.text, pair, end)
            if not (place.is_code and _RUNS.search(place.text, begun, start)):
                yield from _value(place.text, begun, start, pair["name"])


def _span_of(text: str, pair: re.Match[str], most: int) -> tuple[int, int]:
    """Where the value after a name stands."""
    start = pair.end()
    if opening := pair["opening"]:
        closing = re.compile(rf"(?<!\\){re.escape(opening)}").search(text, start, most)
        return start, closing.start() if closing else most
    in_shell = pair.start() >= 2 and text.startswith("${", pair.start() - 2)
    if in_shell and (default := _DEFAULT.match(text, start, most)):
        return default.span(1)
    scheme = _SCHEME.match(text, start, most)
    unquoted = _UNQUOTED.match(text, scheme.end() if scheme else start, most)
    return start, unquoted.end() if unquoted else start


def _takeable(place: _Text, regions: Iterable[_Region]) -> list[_Region]:
    """The regions that can be replaced, in order and without overlaps."""
    pieces = parse(place.text)
    fixed = [piece for piece in pieces if piece.kind in (Kind.SECRET, Kind.ENV)]
    whole = [piece for piece in pieces if piece.kind is Kind.BAD or piece.value == "${"]
    readable = origin_spans(place.text) if place.key in URL_KEYS else ()
    merged: list[_Region] = []
    for region in sorted(regions, key=lambda one: (one.start, -one.end)):
        grown = _grown(place.text, region, whole)
        if grown is None or _overlapping(fixed, grown.start, grown.end):
            continue
        if any(grown.start < end and start < grown.end for start, end in readable):
            continue
        if merged and grown.start < merged[-1].end:
            last = merged.pop()
            grown = replace(last, start=min(last.start, grown.start), end=max(last.end, grown.end))
        merged.append(grown)
    return [one for one in merged if _is_storable(_meant(place.text[one.start : one.end]))]


def _grown(text: str, region: _Region, whole: list[Piece]) -> _Region | None:
    """So that no `$${` is torn apart or comes about. Nothing for another client's reference: a person mends that."""
    start, end = region.start, region.end
    for piece in _overlapping(whole, start, end):
        if (start, end) == (piece.start, piece.end):
            return None
        start, end = min(start, piece.start), max(end, piece.end)
    while start and text[start - 1] == "$":
        start -= 1
    return replace(region, start=start, end=end)


def _overlapping(pieces: list[Piece], start: int, end: int) -> list[Piece]:
    """Those that share a character with this part of the text."""
    first = bisect_right(pieces, start, key=lambda piece: piece.end)
    return pieces[first : bisect_left(pieces, end, key=lambda piece: piece.start)]


def _with_references(text: str, regions: Iterable[_Region], names: _Names) -> str:
    parts = []
    done = 0
    for region in regions:
        name = names.name(_meant(text[region.start : region.end]), region.name)
        parts += [text[done : region.start], f"${{secret:{name}}}"]
        done = region.end
    return "".join([*parts, text[done:]])


def _meant(text: str) -> str:
    """What a text without references stands for."""
    pieces = parse(text)
    return "".join(piece.value if piece.kind is Kind.TEXT else text[piece.start : piece.end] for piece in pieces)


def _is_storable(value: str) -> bool:
    try:
        Secret(value)
    except BadSecret:
        return False
    return True
