"""References in the texts of a server's entry: `${secret:NAME}` and `${env:NAME}`. Pure.

A text may hold several, and text between them: `Bearer ${secret:GIT_TOKEN}`. `$${` stands for `${`. What a reference
is filled with is not looked at again. Any other `${...}` is text, a shell's or the server's own, unless it is written
like a reference: then it is a problem, because nobody meant the server to get it as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from roundhouse.errors import BadConfiguration
from roundhouse.model.text import shorten
from roundhouse.vault.errors import BadSecret
from roundhouse.vault.secret import LONGEST_NAME, check_name, name_from
from roundhouse.vault.shapes import is_telling

URL_KEYS = ("url", "httpUrl", "serverUrl")  # one thing, named differently by clients
TEXT_KEYS = URL_KEYS
UNFILLED_KEYS = ("command", "cwd")  # what a person approves by looking at it
TABLE_KEYS = ("env", "headers")

_OPENING = re.compile(
    r"\$\$\{"
    r"|\$\{(?P<kind>secret|env):(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}"
    r"|\$\{\s*(?P<odd>[A-Za-z][A-Za-z-]*)\s*(?::(?![-=?+])|(?<=secret)\}|(?<=env)\})"  # `${VAR:-default}` is a shell's
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Variables that say which code runs. What they hold must be readable for the person who approves it.
_DECIDES = re.compile(
    r"PATH|LD_.*|DYLD_.*|NODE_OPTIONS|NODE_PATH|BASH_ENV|ENV|SHELL|SHELLOPTS|BASHOPTS|PYTHON.*|PERL5.*|RUBY.*|ZDOTDIR"
    r"|GIT_.*COMMAND.*|GIT_SSH.*|GIT_CONFIG.*|GIT_EXEC_PATH|GIT_TEMPLATE_DIR|.*_ASKPASS|GIT_EDITOR|EDITOR|VISUAL|PAGER"
    r"|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|COMSPEC|PATHEXT|PROMPT_COMMAND"
)
_INDEX = re.compile(r".*_INDEX_URL|UV_INDEX|UV_DEFAULT_INDEX|NPM_CONFIG_REGISTRY")  # where what runs comes from
_USERINFO = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#"'<>\\]*)@""")


class Kind(Enum):
    TEXT = auto()
    SECRET = auto()
    ENV = auto()
    BAD = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text. `value` is the text that is meant, the name, or what is wrong and how to mend it."""

    kind: Kind
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reference:
    kind: Kind  # SECRET or ENV
    name: str
    place: str  # in the entry: `env.TOKEN`, `args[2]`


@dataclass(frozen=True, slots=True)
class Found:
    """All references of an entry, and all that is wrong with them."""

    references: tuple[Reference, ...]
    problems: tuple[str, ...]

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets it needs."""
        return frozenset(one.name for one in self.references if one.kind is Kind.SECRET)


def references(entry: Mapping[str, Any], *, passed_on: Collection[str] = ()) -> Found:
    """What an entry refers to.

    Args:
        entry: as in `mcpServers`. Values of a wrong type are passed over; they are another's problem.
        passed_on: the variables of our own environment that servers may be given.
    """
    found: list[Reference] = []
    problems: list[str] = []
    for place, text in texts(entry):
        for piece in parse(text):
            if piece.kind is Kind.BAD:
                problems.append(f"{place} {piece.value}")
            elif piece.kind is not Kind.TEXT:
                found.append(Reference(piece.kind, piece.value, place))
                problems += _misuse(place, text, piece, passed_on)
    for key in UNFILLED_KEYS:
        plain = entry.get(key)
        if isinstance(plain, str) and any(piece.kind is not Kind.TEXT for piece in parse(plain)):
            problems.append(f"{key} holds a reference, which is not filled in there; write the path itself.")
    return Found(tuple(found), tuple(problems))


def fill(text: str, *, secret: Callable[[str], str], env: Callable[[str], str]) -> str:
    """The text with the values that `secret` and `env` give for the names in it. They raise what forbids it.

    Raises: `BadConfiguration` for what `references` reports as a problem.
    """
    return "".join(_filled(piece, secret, env) for piece in parse(text))


def texts(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each text of an entry that may hold references, with its place."""
    for key in TEXT_KEYS:
        if isinstance(text := entry.get(key), str):
            yield key, text
    args = entry.get("args")
    for number, text in enumerate(args if isinstance(args, list | tuple) else ()):
        if isinstance(text, str):
            yield f"args[{number}]", text
    for key in TABLE_KEYS:
        table = entry.get(key)
        for name, text in table.items() if isinstance(table, Mapping) else ():
            if isinstance(text, str):
                yield f"{key}.{shorten(str(name))}", text


def origin_spans(url: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where in a URL the scheme and the host with its port stand, user and password left out."""
    scheme = _SCHEME.match(url)
    begin = scheme.end() if scheme else 0
    end = next((at for at in range(begin, len(url)) if url[at] in "/?#"), len(url))
    return (0, begin), (url.rfind("@", begin, end) + 1 or begin, end)


def decides(variable: str) -> bool:
    """Whether a variable says which code runs, or where it comes from."""
    return _runs(variable) or _is_index(variable)


def userinfo_spans(variable: str, text: str) -> list[tuple[int, int]]:
    """Where in a variable that decides a secret may stand: before the host of an index's URL, and nowhere else."""
    return [found.span(1) for found in _USERINFO.finditer(text)] if _is_index(variable) else []


def _runs(variable: str) -> bool:
    """`RUBYGEMS_API_KEY` begins like one and is none."""
    return bool(_DECIDES.fullmatch(variable.upper())) and not is_telling(variable)


def _is_index(variable: str) -> bool:
    return bool(_INDEX.fullmatch(variable.upper()))


def parse(text: str) -> list[Piece]:
    """A text as its pieces, in order and without gaps."""
    pieces: list[Piece] = []
    done = 0
    while opening := _OPENING.search(text, done):
        start, end = opening.span()
        if start > done:
            pieces.append(Piece(Kind.TEXT, text[done:start], done, start))
        if opening.group() == "$${":
            pieces.append(Piece(Kind.TEXT, "${", start, end))
        else:
            pieces.append(_reference(text, opening))
        done = pieces[-1].end
    if done < len(text):
        pieces.append(Piece(Kind.TEXT, text[done:], done, len(text)))
    return pieces


def _reference(text: str, opening: re.Match[str]) -> Piece:
    start, end = opening.span()
    kind, name = opening["kind"], opening["name"]
    if kind is None:
        end = _closing(text, start)
        return Piece(Kind.BAD, _what_is_wrong(text[start:end], opening["odd"]), start, end)
    if kind == "secret":
        try:
            check_name(name)
        except BadSecret:
            wrong = f"holds {opening.group()!r}, which is no secret's name; write ${{secret:{name_from(name)}}}."
            return Piece(Kind.BAD, wrong, start, end)
    return Piece(Kind[kind.upper()], name, start, end)


def _closing(text: str, start: int) -> int:
    """Where what opens at `start` ends; the end of the text, if it does not."""
    depth = 0
    for brace in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.end()
    return len(text)


def _what_is_wrong(written: str, kind: str) -> str:
    shown = repr(shorten(written, 60))
    if not written.endswith("}"):
        return f"holds {shown}, which is not closed; add the missing '}}', or write '$${{' if it is text."
    if kind.lower() not in ("secret", "env"):
        return (
            f"holds {shown}, which nothing fills in here; write ${{secret:NAME}} or ${{env:NAME}}, the value itself, "
            "or '$${' if the server is to get it as text."
        )
    name = written.partition(":")[2].strip("} \t")
    if "${" in name:
        return f"holds {shown}, a reference in a reference; write one after the other, or one name."
    better = name_from(name) if kind.lower() == "secret" else re.sub(r"\W+", "_", name[:LONGEST_NAME], flags=re.ASCII)
    return f"holds {shown}, which is no reference; write ${{{kind.lower()}:{better or 'NAME'}}}."


def _misuse(place: str, text: str, piece: Piece, passed_on: Collection[str]) -> Iterator[str]:
    if place in URL_KEYS and any(piece.start < end and start < piece.end for start, end in origin_spans(text)):
        yield (
            f"{place} has a reference in its scheme, host or port. Where a secret is sent must be readable: write them "
            "out."
        )
    key, _, variable = place.partition(".")
    if key == "env" and decides(variable) and not _is_within(piece, userinfo_spans(variable, text)):
        yield (
            f"{place} has a reference, and that variable decides what runs, which must be readable: write the value "
            "out, or choose what runs by `command` and `args`."
        )
    if piece.kind is Kind.ENV and piece.value not in passed_on:
        yield (
            f"{place} holds ${{env:{piece.value}}}, which is not among the variables that may be passed on. Write "
            f"${{secret:{name_from(piece.value) or 'NAME'}}} and give it a value with `roundhouse secret set`."
        )


def _is_within(piece: Piece, spans: list[tuple[int, int]]) -> bool:
    return any(start <= piece.start and piece.end <= end for start, end in spans)


def _filled(piece: Piece, secret: Callable[[str], str], env: Callable[[str], str]) -> str:
    match piece.kind:
        case Kind.TEXT:
            return piece.value
        case Kind.SECRET:
            return secret(piece.value)
        case Kind.ENV:
            return env(piece.value)
        case Kind.BAD:
            raise BadConfiguration(f"A text of the entry {piece.value}")
