"""Literal secrets in a server's entry, found and replaced by references. Pure.

For entries that come from other clients' files or from a model. What is found by its name (`API_KEY`, `--token`,
`Authorization`) or by itself (`ghp_...`, a password in a URL) is taken out; what stands around it stays readable:
`Bearer ${secret:GIT_AUTHORIZATION}`, `postgresql://user:${secret:SHOP_DATABASE_URL}@host/db`. Filling the new entry
gives the old one. Values that are references already stay.

What runs is shown to the person who approves it. So nothing is taken out of `command` or of variables that decide
what runs, and out of an argument only a whole value that cannot be code: one token behind a flag, a header's or a
variable's name, or in a URL. An argument that holds a secret otherwise is refused.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from roundhouse.errors import BadConfiguration
from roundhouse.model.text import shorten
from roundhouse.vault import shapes
from roundhouse.vault.errors import BadSecret
from roundhouse.vault.references import (
    TABLE_KEYS,
    TEXT_KEYS,
    UNFILLED_KEYS,
    URL_KEYS,
    Kind,
    Piece,
    decides,
    origin_spans,
    parse,
    references,
    texts,
    userinfo_spans,
)
from roundhouse.vault.secret import LONGEST_NAME, Secret, name_from

# Of an entry; people have a hundredth of it. More would keep everybody waiting who shares the house.
MOST_TEXT = 64 * 1024  # characters of all texts and names together
MOST_ARGS = 200
MOST_VARIABLES = 250  # an environment that was imported as a whole
MOST_HEADERS = 100
MOST = 250  # literal secrets
LONGEST_LITERAL = 16 * 1024  # characters; four times the longest key
MOST_ROUNDS = 8  # through its texts; each looks again at what the last one changed, and two are enough

LONGEST_USER = 16  # characters; what stands alone before a host and is longer is no user but a token
NAMES_BEFORE = 3  # in front of a value: `--env=TOKEN=value` has two
SWEPT = 8  # characters from which a value that was taken is also taken wherever else it stands in the entry
LEAST_OF_USER = 6  # characters of a password as in `-u user:password`; shorter ones are groups, as docker has them

_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
_NAMED = re.compile(r"(?P<name>--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)(?:=|:[ \t]*(?!//))")  # `--x=`, `X=`, `X-Header: `
_PAIR = re.compile(
    r"""(?<![\w.-])(?P<name>--?[A-Za-z][\w.-]*|[A-Za-z_][\w.-]*)"""
    r"""(?P<between>(?:\\{0,8}["'])?\s*[:=]\s*|\s+(?=[^\s-]))(?P<opening>\\{0,8}["'])?"""
)
_UNQUOTED = re.compile(r"""(?=[^\s&;"'`<>|\\]*\w)[^\s&;"'`<>|\\]+""")
_DEFAULT = re.compile(r"[-=?+]([^{}]*)")  # in a shell's `${TOKEN:-default}`
_SCHEME = re.compile(r"(?i:Bearer|Basic|Digest|Token|Bot|Key|JWT|OAuth|SSWS|Api-?Key|GenieKey|Negotiate)[ \t]+(?=\S)")
_USER = re.compile(r"""://(?P<user>[^\s/?#"'<>\\:@]*)(?::(?P<password>[^\s/?#"'<>\\]*))?@""")
_ADDRESS = re.compile(r"(?:https?|wss?)://\S+")
_CONNECTION = re.compile(r"(?i)(?:^|;)\s*(?:server|host|data source|driver|database|uid|user id|user)\s*=")

# In arguments:
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=:@%,^#-]+")  # nothing that a shell or a language gives a meaning to
_FILE = re.compile(r"[/~@=-]|\.{1,2}/|[A-Za-z]:[/\\]")  # how the name of a file begins, a flag, `my-auth==1.2`
_HEADER_FLAG = re.compile(r"-H|--headers?")
_URL = re.compile(r"""(?:[A-Za-z][A-Za-z0-9+.-]*:)+//[^\s'"`;|$()<>{}\\]+""")
_PARAMETER = re.compile(r"[?&](?P<name>[^=&?#]+)=(?P<value>[^&#]*)")
_USER_FLAG = re.compile(r"-u|--user|--(?:basic-)?auth")
_USER_AND_PASSWORD = re.compile(
    r"(?P<flag>--(?:user|(?:basic-)?auth)=)?(?P<user>[A-Za-z0-9_.+-]+):(?P<password>[A-Za-z0-9_.~+=%,^#-]+)"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the entry: where it stands, and the name it goes under, if any."""

    key: str
    at: str | int | None
    text: str
    name: str = ""
    after_others: bool = False  # in arguments: one that is no flag stands before it
    is_connection: bool = False  # in variables: `Server=...;Pwd=...`


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

    Raises: `BadConfiguration` for an entry beyond the bounds above, and for an argument that holds a secret which
        cannot be taken out without hiding what runs.
    """
    _check_bounds(entry)
    names = _Names(server, {*taken, *references(entry).secrets})
    new = _copied(entry)
    for _ in range(MOST_ROUNDS):
        if not _take(new, names):
            _refuse_what_is_left(new, names)
            return new, names.secrets
    raise BadConfiguration("The entry is too entangled to find its secrets; write them as ${secret:NAME}.")


def _check_bounds(entry: Mapping[str, Any]) -> None:
    """Before anything else is done with it."""
    for key, most in (("args", MOST_ARGS), ("env", MOST_VARIABLES), ("headers", MOST_HEADERS)):
        part = entry.get(key)
        if isinstance(part, list | tuple | Mapping) and len(part) > most:
            raise BadConfiguration(
                f"{key} has {len(part):,} members; at most {most} are taken. Keep them in a file that the server reads."
            )
    size = sum(len(place) + len(text) for place, text in texts(entry))
    size += sum(len(str(name)) for key in TABLE_KEYS if isinstance(entry.get(key), Mapping) for name in entry[key])
    size += sum(len(entry[key]) for key in UNFILLED_KEYS if isinstance(entry.get(key), str))
    if size > MOST_TEXT:
        raise BadConfiguration(
            f"The entry has {size:,} characters of text; at most {MOST_TEXT:,} are taken. Keep long values in a file "
            "that only you can read, and give the server its path."
        )


def _take(entry: dict[str, Any], names: _Names) -> bool:
    """Replace what looks like a secret, and what was taken before and stands elsewhere too. Whether there was any."""
    changed = False
    for place in list(_texts(entry)):
        found = _in_argument(place) if place.key == "args" else [*_regions(place), *names.occurrences(place.text)]
        if regions := _takeable(place, found):
            _put(entry, place, _with_references(place.text, regions, names))
            changed = True
    return changed


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
            if len(value) > LONGEST_LITERAL:
                raise BadConfiguration(
                    f"{shorten(called)} has {len(value):,} characters; a literal secret may have {LONGEST_LITERAL:,}. "
                    "Keep it in a file that only you can read, and give the server its path."
                )
            name = self._free(name_from(called) or "SECRET")
            self.secrets[name] = Secret(value)
            self._by_value[value] = name
        return self._by_value[value]

    def occurrences(self, text: str) -> Iterator[_Region]:
        """Where the values that have names stand. Plain words are passed over: they stand in many places by chance."""
        for value, name in self._by_value.items():
            at = text.find(value) if len(value) >= SWEPT and not shapes.is_word(value) else -1
            while at >= 0:
                yield _Region(at, at + len(value), name)
                at = text.find(value, at + len(value))

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
    before, after_others = "", False
    for at, text in enumerate(args if isinstance(args, list | tuple) else ()):
        if isinstance(text, str):
            flag = before if _takes_value(before) and not text.startswith("-") else ""
            yield _Text("args", at, text, flag, after_others)
            after_others = after_others or not text.startswith("-")
        before = str(text)
    for key in TABLE_KEYS:
        table = entry.get(key)
        for name, text in table.items() if isinstance(table, Mapping) else ():
            if isinstance(text, str):
                yield _Text(key, name, text, str(name), is_connection=bool(_CONNECTION.search(text)))


def _takes_value(flag: str) -> bool:
    return bool(_FLAG.fullmatch(flag)) and not shapes.is_switch(flag)


def _put(entry: dict[str, Any], place: _Text, text: str) -> None:
    if place.at is None:
        entry[place.key] = text
    else:
        entry[place.key][place.at] = text


def _in_argument(place: _Text) -> list[_Region]:
    """What may be taken out of an argument without hiding anything else: one token in a frame, or parts of a URL."""
    text, name, start = place.text, place.name, 0
    if taken := _password_of_user(place):
        return [taken]
    for depth in range(NAMES_BEFORE + 1):
        if _URL.fullmatch(text, start):
            return list(_in_url(text, start))
        scheme = _SCHEME.match(text, start)
        begun = scheme.end() if scheme else start
        if _is_taken(place, begun, name, is_bare=depth == 0):
            return [_Region(begun, len(text), name or "token")]
        prefix = _NAMED.match(text, start)
        if prefix is None or (prefix.group().endswith(":") and not _HEADER_FLAG.fullmatch(name)):
            break  # `my-auth:1.2` is an image
        name, start = prefix["name"], prefix.end()
    return []


def _password_of_user(place: _Text) -> _Region | None:
    """That of `-u user:password`, as curl has it. Docker's `-u user:group` and `1000:1000` are none."""
    found = _USER_AND_PASSWORD.fullmatch(place.text)
    if not found or not (found["flag"] or _USER_FLAG.fullmatch(place.name)):
        return None
    password = found["password"]
    is_password = len(password) >= LEAST_OF_USER and re.search(r"[0-9]", password) and re.search(r"[A-Za-z]", password)
    if not is_password or shapes.reads_as_name(password):
        return None
    return _Region(*found.span("password"), "password")


def _is_taken(place: _Text, start: int, name: str, *, is_bare: bool) -> bool:
    """Whether all that follows is one secret, and no code, file or program.

    Args:
        is_bare: it is an argument of its own, which may be what is started: `npx -y --auth-token some-package`.
    """
    value = place.text[start:]
    if not _TOKEN.fullmatch(value) or _FILE.match(value) or "://" in value:
        return False
    if (0, len(value)) in shapes.marked(value):
        return True
    if is_bare and shapes.reads_as_name(value):
        return False
    if shapes.is_secret(name, value):
        return True
    is_first = is_bare and not place.after_others  # `uvx xK9fQ2...`: that is what runs
    return (0, len(value)) in shapes.random(value) and not is_first


def _in_url(text: str, start: int) -> Iterator[_Region]:
    if found := _USER.search(text, start):
        part = "password" if found["password"] else "user"
        value = found[part]
        is_secret = shapes.is_secret("password", value) if part == "password" else len(value) > LONGEST_USER
        if is_secret and _TOKEN.fullmatch(value):
            yield _Region(*found.span(part), "url_password" if part == "password" else "url_token")
    for found in _PARAMETER.finditer(text, start):
        value = found["value"]
        if _TOKEN.fullmatch(value) and "://" not in value:
            whole = (0, len(value))
            if shapes.is_secret(found["name"], value) or whole in shapes.marked(value) or whole in shapes.random(value):
                yield _Region(*found.span("value"), found["name"])


def _refuse_what_is_left(entry: Mapping[str, Any], names: _Names) -> None:
    """Raises: `BadConfiguration` for an argument that still holds a secret: as it is, it would be written down."""
    for place in _texts(entry):
        if place.key == "args" and (
            _holds_secret(place) or any(True for _ in names.occurrences(_literally(place.text)))
        ):
            raise BadConfiguration(
                f"args[{place.at}] holds what looks like a secret inside other text, which has to stay readable. "
                "Give it as a variable (`env`) or as ${secret:NAME}."
            )


def _holds_secret(place: _Text) -> bool:
    for start, end in _between_references(place.text):
        if shapes.marked(place.text[start:end]):
            return True
        for found in _USER.finditer(place.text, start, end):
            password = found["password"]
            if password and not password.startswith("$") and shapes.is_secret("password", password):
                return True
    return _has_odd_password(place)


def _has_odd_password(place: _Text) -> bool:
    """Whether a value behind a flag is certainly a secret, and no token: `--password 'p$$w 1'`."""
    prefix = _NAMED.match(place.text) if place.text.startswith("-") else None
    name, value = (prefix["name"], place.text[prefix.end() :]) if prefix else (place.name, place.text)
    is_odd = not _TOKEN.fullmatch(value) and not _FILE.match(value) and "${" not in value and "://" not in value
    return is_odd and shapes.is_certain(name) and shapes.is_secret(name, value)


def _literally(text: str) -> str:
    return "\0".join(text[start:end] for start, end in _between_references(text))


def _regions(place: _Text) -> Iterator[_Region]:
    """All that looks like a secret in a variable, a header or a URL."""
    if place.key == "env" and decides(place.name):
        for start, end in userinfo_spans(place.name, place.text):
            yield from _parts(place, max(0, start - len("://")), end + len("@"))
        return
    parts = [region for start, end in _between_references(place.text) for region in _parts(place, start, end)]
    is_inside = bool(parts) and shapes.is_connection(place.name)
    if not is_inside:
        yield from _named(place.text, place.name)
    yield from parts
    if place.key == "env" and shapes.is_hexadecimal(place.name, place.text):
        yield _Region(0, len(place.text), place.name)
    spans = shapes.known(place.text) + shapes.random(place.text)
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
    """Secrets by the names they have within a text: in a URL, JSON, a connection string."""
    for found in _USER.finditer(place.text, start, end):
        if password := found["password"]:
            if shapes.is_secret("password", password):
                yield _Region(*found.span("password"), place.name or "url_password")
        elif len(found["user"]) > LONGEST_USER:
            yield _Region(*found.span("user"), place.name or "url_token")
    while pair := _PAIR.search(place.text, start, end):
        start = pair.end()
        takes_value = not pair["between"].isspace() or _takes_value(pair["name"])
        name = pair["name"]
        if name.lower() == "pwd" and "=" in pair["between"] and place.is_connection:
            name = "password"  # a variable of that name is the working directory
        if takes_value and shapes.is_telling(name):
            begun, start = _span_of(place.text, pair, end)
            yield from _value(place.text, begun, start, name)


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
    readable = _readable(place)
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


def _readable(place: _Text) -> list[tuple[int, int]]:
    """Where nothing may be taken, so that a person can read it."""
    if place.key in URL_KEYS:
        return list(origin_spans(place.text))
    if place.key == "env" and decides(place.name):
        edges = [0, *(edge for span in userinfo_spans(place.name, place.text) for edge in span), len(place.text)]
        return list(zip(edges[::2], edges[1::2], strict=True))
    return []


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
