"""Finding tools by what they do: ranked, offline, quick, and answered in what a model can afford to read.

Pure: no clock, no file, no await. A server's part of the catalogue is indexed once, when a search first needs it, and
its index kept for as long as the part is the same object; a search looks into all of them, so nothing is joined. Text
of strangers is cut before it is read: the work is bounded by the number of tools, whatever they say of themselves.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from itertools import accumulate, chain, islice, pairwise, takewhile, zip_longest
from math import inf, log
from typing import Any

import msgspec

from roundhouse.gateway.catalogue import Part
from roundhouse.gateway.names import SEPARATOR, public_name
from roundhouse.gateway.words import ALIKE, fold, name_terms, query_terms, terms
from roundhouse.model.text import shorten
from roundhouse.wire.envelope import Members, Raws, Unreadable, encode, members, text

# What is read.
FIELD_TEXT = 4_096  # characters of a description; what a tool is for stands at its beginning
PART_TEXT = 1_048_576  # characters of one server's descriptions; with thousands of tools each has less
LEAST_TEXT = 256  # characters that a description has in any case
SCHEMA_TEXT = 2_048  # characters of the parameters' names, descriptions and values of one tool
SCHEMA_DEPTH = 4  # levels of nested parameters
SCHEMA_BYTES = 65_536  # of an input schema; a larger one is not opened, the tool is found by its name and description
QUERY_TEXT = 2_000  # characters of a query
QUERY_TERMS = 24  # different terms of a query; a question in words has fewer than ten

# How it is ranked: BM25F (Robertson, Zaragoza: The Probabilistic Relevance Framework, 2009, section 3.6.1). The lengths
# of fields are compared with typical ones instead of averages, so that one server's index depends on no other's.
SATURATION = 0.6  # k1: how soon a word said again stops to count; soon, in texts of a few sentences
LENGTH = 0.5  # b: how much a word counts less in a long field
# Of each field: its weight, and how many terms it typically has.
NAME = (4.0, 3)
SERVER = (1.5, 1)
TITLE = (2.0, 3)
SENTENCE = (1.6, 8)  # the first sentence of the description says what the tool does
DESCRIPTION = (0.5, 30)  # the rest of it
PARAMETERS = (0.6, 6)  # names
PARAMETER_TEXT = (0.25, 30)  # descriptions and values
ALIKE_WEIGHT = 0.6  # of a word that means the same
BEGUN_WEIGHT = 0.5  # of a word that begins with the one asked for, which nobody uses
TYPO_WEIGHT = 0.45  # of a word that differs from it by one letter
MOST_BEGUN = 20  # words that begin with one asked for
SHORTEST_BEGUN = 3  # letters
SHORTEST_TYPO = 5  # letters; shorter words have too many neighbours
MOST_NEIGHBOURS = 2_000  # words that begin or end like a misspelt one, looked at; some hundred in a thousand tools
MOST_TYPOS = 6  # words of a query that may be misspelt; more is not a question
ANSWERED = 1.0  # how much more a tool is worth that has every word asked for
NAMED = 2.0  # times the best score, for a tool that was called by its exact name
RELEVANT = 0.35  # of the best score; what has less shares some common word and is no match
SENTENCE_TEXT = 160  # characters of a first sentence that are kept and shown

# What is answered.
MOST_HITS = 20  # what a model may want to choose from
ANSWER_BYTES = 6_400  # UTF-8 bytes of JSON: 2,000 tokens at a cautious 3.2 bytes a token
DETAILED = 5  # best hits that may come with their parameters
DETAIL_SHARE = 0.4  # of the answer, that one tool's schema may take; above it only names and types are given
LISTED_SHARE = 0.5  # of the answer, for names and sentences; the rest is for schemas
MOST_PARAMETERS = 24  # named where a schema is too large
MOST_VALUES = 6  # of an enumeration, named where a schema is too large

Posting = tuple[int, float]  # a tool by its position in the part, and how much it has of a term, between 0 and 1

_IDENTIFIER = re.compile(r"[_-]|[a-z][A-Z]")  # what words of a language do not look like
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|\n\s*\n|[。！？]")  # noqa: RUF001 - they are meant


@dataclass(frozen=True, slots=True)
class Hit:
    """A tool that was found.

    Attributes:
        name: its public name.
        summary: the first sentence of its description, fit to be shown.
        entry: its definition, as `tools/list` gives it.
    """

    name: str
    server: str
    score: float
    summary: str
    entry: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        hits: the best, best first.
        total: how many matched in all.
        servers: how many tools each server has, whether they matched or not.
    """

    query: str
    hits: tuple[Hit, ...]
    total: int
    servers: Mapping[str, int]


class Index:
    """All tools of the catalogue, searchable. Any thread may search."""

    def __init__(self) -> None:
        self._parts: Mapping[str, Part] = {}
        self._library = _Library({}, self._parts)

    def update(self, parts: Mapping[str, Part]) -> None:
        """Search in these parts from now on. Costs nothing until the next search, and then only what is new."""
        self._parts = dict(parts)

    def search(self, query: str, limit: int = MOST_HITS) -> Found:
        """The tools that do what is asked for, best first.

        The exact name of a tool, public or the server's own, comes before everything else. An empty query finds the
        first tools of each server in turn.

        Args:
            limit: how many hits are returned; all are counted.
        """
        library = self._current()
        servers = {server: len(shelf.tools) for server, shelf in library.shelves.items()}
        query = query[:QUERY_TEXT].strip()
        if not query:
            hits = tuple(library.hit(tool, 0.0) for tool in islice(library.in_turn(), limit))
            return Found("", hits, library.size, servers)
        ranked = _rank(library, query)
        best = max(ranked.values(), default=1.0)
        ranked.update(dict.fromkeys(library.named(query), NAMED * best))
        first = nlargest(limit, ranked, key=lambda tool: (ranked[tool], -tool))
        return Found(query, tuple(library.hit(tool, ranked[tool]) for tool in first), len(ranked), servers)

    def _current(self) -> _Library:
        parts, library = self._parts, self._library
        if library.parts is not parts:
            kept = library.shelves
            shelves = {
                server: shelf if (shelf := kept.get(server)) and shelf.part is part else _Shelf(server, part)
                for server, part in parts.items()
                if part.entries
            }
            library = self._library = _Library(shelves, parts)
        return library


def answer(found: Found, budget: int = ANSWER_BYTES) -> dict[str, Any]:
    """What a model is told of a search, within a budget.

    `matches` is how many tools matched; `tools` are the best of them, each with `name`, `description` (its first
    sentence) and, as far as there is room, its exact `inputSchema`, or `parameters` in words where that is too large;
    `servers` counts tools by server where nothing was asked for or found; `hint` is the next step.

    Args:
        budget: UTF-8 bytes of compact JSON.
    """
    told: dict[str, Any] = {"matches": found.total, "tools": [], "hint": _hint(found)}
    if not found.hits or not found.query:
        told["servers"] = _counted(found.servers, int(LISTED_SHARE * budget))
    left = budget - len(encode(told))
    tools = [{"name": hit.name, "description": hit.summary} for hit in found.hits]
    sizes = [len(encode(tool)) + 1 for tool in tools]
    told["tools"] = tools[: sum(size <= min(left, LISTED_SHARE * budget) for size in accumulate(sizes))]
    left -= sum(sizes[: len(told["tools"])])
    for tool, hit in zip(told["tools"][:DETAILED], found.hits if found.query else (), strict=False):
        for detail in _details(hit.entry, most=int(DETAIL_SHARE * budget)):
            size = len(encode(detail)) - 1  # its braces become one comma
            if size <= left:
                tool.update(detail)
                left -= size
                break
    return told


# -- asking


def _rank(library: _Library, query: str) -> dict[int, float]:
    """The relevant tools and their scores."""
    asked = _asked(library, query)
    scores: dict[int, float] = {}
    met: dict[int, float] = {}  # how many of the words asked for a tool has, each as far as it is what was asked
    for alternatives in asked:
        best: dict[int, tuple[float, float]] = {}
        for term, (near, rarity) in alternatives.items():
            for tool, share in library.having(term):
                worth = (near * rarity * share, near)
                if tool not in best or worth > best[tool]:
                    best[tool] = worth
        for tool, (score, near) in best.items():
            scores[tool] = scores.get(tool, 0.0) + score
            met[tool] = met.get(tool, 0.0) + near
    least = RELEVANT * max(scores.values(), default=0.0)
    return {tool: score * (1 + ANSWERED * met[tool] / len(asked)) for tool, score in scores.items() if score >= least}


def _asked(library: _Library, query: str) -> list[dict[str, tuple[float, float]]]:
    """For each word of the query, the terms it may be found as, each with how near it is to it and how rare."""
    found = []
    typos_left = MOST_TYPOS
    for term, word in islice(query_terms(query).items(), QUERY_TERMS):
        rarity = library.rarity(term)
        near = {other: ALIKE_WEIGHT for other in ALIKE.get(term, ()) if library.rarity(other)}
        if rarity:
            near[term] = 1.0
        elif not near:
            if len(word) >= SHORTEST_TYPO and typos_left:
                typos_left -= 1
                near.update(dict.fromkeys(library.one_letter_from(term), TYPO_WEIGHT))
            if len(word) >= SHORTEST_BEGUN:
                near.update(dict.fromkeys(library.beginning_with(term), BEGUN_WEIGHT))
        # What is merely like it must not count more for being rarer.
        found.append({one: (how, min(rarity or inf, library.rarity(one))) for one, how in near.items()})
    return found


class _Library:
    """The shelves there are at one moment, as if they were one. A tool is its number over all shelves."""

    def __init__(self, shelves: Mapping[str, _Shelf], parts: Mapping[str, Part]) -> None:
        self.shelves = shelves
        self.parts = parts
        self._rows = list(shelves.values())
        self._starts = list(accumulate((len(shelf.tools) for shelf in self._rows), initial=0))
        self.size = self._starts[-1]

    def having(self, term: str) -> Iterator[Posting]:
        """The tools that have a term, with how much they have of it."""
        for start, shelf in zip(self._starts, self._rows, strict=False):
            for place, share in shelf.postings.get(term, ()):
                yield start + place, share

    def rarity(self, term: str) -> float:
        """How much a term tells (its inverse document frequency), 0 when nobody uses it."""
        users = sum(len(shelf.postings.get(term, ())) for shelf in self._rows)
        return log(1 + (self.size - users + 0.5) / (users + 0.5)) if users else 0.0

    def hit(self, tool: int, score: float) -> Hit:
        shelf, place = self._find(tool)
        return Hit(shelf.tools[place].name, shelf.server, score, shelf.tools[place].summary, shelf.part.entries[place])

    def in_turn(self) -> Iterator[int]:
        """The first tool of each server, the second of each, and so on."""
        runs = [range(start, end) for start, end in pairwise(self._starts)]
        return (tool for row in zip_longest(*runs) for tool in row if tool is not None)

    def named(self, query: str) -> Iterator[int]:
        """The tools whose name the query is, or names as only an identifier would."""
        words = (word.strip("`'\"()[]{}<>.,;:!?") for word in query.split())
        for name in (query, *(word for word in words if _IDENTIFIER.search(word))):
            for start, shelf in zip(self._starts, self._rows, strict=False):
                for place in shelf.names.get(fold(name).casefold(), ()):
                    yield start + place

    def beginning_with(self, term: str) -> list[str]:
        """Terms that somebody uses and that begin so."""
        return _beginning(self._sorted[0], term, most=MOST_BEGUN)

    def one_letter_from(self, term: str) -> list[str]:
        """Terms that somebody uses and that differ by a letter: one too many, one too few, another, two exchanged.

        Such a term shares the beginning or the end, because one slip cannot reach into both.
        """
        forwards, backwards = self._sorted
        shared = (len(term) - 1) // 2
        if not shared:
            return []
        candidates = _beginning(forwards, term[:shared], most=MOST_NEIGHBOURS)
        candidates += (end[::-1] for end in _beginning(backwards, term[::-1][:shared], most=MOST_NEIGHBOURS))
        return [other for other in candidates if abs(len(other) - len(term)) <= 1 and _one_slip(term, other)]

    @cached_property
    def _sorted(self) -> tuple[list[str], list[str]]:
        """All terms in order, and all in the order of their ends, read backwards. Made when a word is unknown."""
        forwards = sorted(set().union(*(shelf.postings for shelf in self._rows)))
        return forwards, sorted(term[::-1] for term in forwards)

    def _find(self, tool: int) -> tuple[_Shelf, int]:
        at = bisect_right(self._starts, tool) - 1
        return self._rows[at], tool - self._starts[at]


def _beginning(ordered: list[str], start: str, most: int) -> list[str]:
    """The first of an ordered list that begin so."""
    first = bisect_left(ordered, start)
    return list(takewhile(lambda one: one.startswith(start), ordered[first : first + most]))


def _one_slip(one: str, other: str) -> bool:
    """Whether two different words are one letter apart, or two neighbours exchanged."""
    short, long = sorted((one, other), key=len)
    at = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return swapped or short[at + 1 :] == long[at + 1 :]


# -- reading


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    summary: str


class _Shelf:
    """The index of one server's part."""

    def __init__(self, server: str, part: Part) -> None:
        self.server = server
        self.part = part
        self.tools: list[_Tool] = []
        self.names: dict[str, list[int]] = {}
        self.postings: dict[str, list[Posting]] = {}
        most = max(LEAST_TEXT, min(FIELD_TEXT, PART_TEXT // max(1, len(part.entries))))
        called = [term for terms in name_terms(server) for term in terms]
        for place, entry in enumerate(part.entries):
            self._add(place, members(entry), called, most)

    def _add(self, place: int, definition: Members, called: list[str], most: int) -> None:
        public = text(definition.get("name")) or ""
        own, shown = _own_name(self.server, public, self.part)
        for name in {fold(public).casefold(), fold(own).casefold(), fold(shown).casefold()}:
            self.names.setdefault(name, []).append(place)
        words, wholes = name_terms(shown)
        title = (_title(definition) or "")[:LEAST_TEXT]
        described = (text(definition.get("description")) or "")[:most].strip()
        sentence = _SENTENCE_ENDS.split(described, maxsplit=1)[0]
        parameters, parameter_text = _parameters(definition.get("inputSchema"), min(most, SCHEMA_TEXT))
        self.tools.append(_Tool(public, shorten(" ".join((sentence or title).split()), SENTENCE_TEXT)))
        weights: dict[str, float] = {}
        for found, (weight, typical) in (
            (words + wholes, NAME),
            (called, SERVER),
            (terms(title) if own == shown else [*terms(title), *chain(*name_terms(own))], TITLE),
            (terms(sentence), SENTENCE),
            (terms(described[len(sentence) :]), DESCRIPTION),
            (parameters, PARAMETERS),
            (terms(parameter_text), PARAMETER_TEXT),
        ):
            each = weight / (1 - LENGTH + LENGTH * len(found) / typical)
            for term in found:
                weights[term] = weights.get(term, 0.0) + each
        for term, weight in weights.items():
            self.postings.setdefault(term, []).append((place, weight / (SATURATION + weight)))


def _own_name(server: str, public: str, part: Part) -> tuple[str, str]:
    """The server's own name of a tool, and the one it goes by: the same, unless a person renamed it."""
    route = part.routes.get(public)
    own = (text(route.tool) if route else None) or public
    renamed = public_name(server, own) != public
    own = own[:FIELD_TEXT]
    return own, public.removeprefix(f"{server}{SEPARATOR}") if renamed else own


def _title(definition: Members) -> str | None:
    if title := text(definition.get("title")):
        return title
    try:
        return text(members(definition.get("annotations", b"{}")).get("title"))
    except Unreadable:
        return None


def _parameters(schema: Raws | None, most: int) -> tuple[list[str], str]:
    """The terms of the names of a tool's parameters, and what is said of them; the outer ones first."""
    names: list[str] = []
    said: list[str] = []
    for name, inner in _walk(_decoded(schema)):
        values = inner.get("enum")
        texts = [name, inner.get("description"), *(values[:LEAST_TEXT] if isinstance(values, list) else ())]
        kept = [one[:most] for one in texts if isinstance(one, str)]
        most -= sum(map(len, kept)) + 1
        if most < 0:
            break
        names += chain(*name_terms(kept[0]))
        said += kept[1:]
    return names, " ".join(said)


def _walk(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parameters of a schema and those within them, level by level."""
    level = [schema]
    for _ in range(SCHEMA_DEPTH):
        inner: list[dict[str, Any]] = []
        for one in level:
            properties = one.get("properties")
            for name, of in properties.items() if isinstance(properties, dict) else ():
                if isinstance(of, dict):
                    yield name, of
                    inner.append(of)
            for key in ("items", "anyOf", "oneOf", "allOf"):
                below = one.get(key)
                inner += (of for of in (below if isinstance(below, list) else [below]) if isinstance(of, dict))
        level = inner


def _decoded(schema: Raws | None) -> dict[str, Any]:
    """An input schema, as far as it can be worked with; empty otherwise."""
    if schema is None or len(schema) > SCHEMA_BYTES:
        return {}
    try:
        found = msgspec.json.decode(schema)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


# -- telling


def _hint(found: Found) -> str:
    if not found.query:
        tools, servers = sum(found.servers.values()), len(found.servers)
        return f"{tools:,} tools of {servers:,} servers. Ask in a few words for what you want to do: create an issue."
    if not found.hits:
        return "No tool matches. Use other words for what it does, or a server's name; list_servers says what is down."
    example = encode({"name": found.hits[0].name, "arguments": {}}).decode()
    steps = [f"Call one with call_tool {example}; describe_tool shows one whose inputSchema is not here."]
    if found.total > DETAILED:
        steps.append("To narrow it down, add the server's name or a more exact word.")
    return " ".join(steps)


def _counted(servers: Mapping[str, int], most: int) -> dict[str, int]:
    """How many tools the servers have; only the largest, where there are too many for so many bytes."""
    largest = nlargest(len(servers), servers.items(), key=lambda one: one[1])
    sizes = accumulate(len(encode(dict([one]))) for one in largest)
    return dict(one for one, size in zip(largest, sizes, strict=True) if size <= most)


def _details(entry: bytes, most: int) -> Iterator[dict[str, Any]]:
    """What can be said of a tool's parameters, the best first."""
    raw = members(entry).get("inputSchema")
    schema = _decoded(raw)
    if not schema:
        return
    if raw is not None and len(raw) <= most:
        yield {"inputSchema": schema}
    yield {"parameters": _in_words(schema)}


def _in_words(schema: dict[str, Any]) -> list[str]:
    """The parameters of a tool with their types, a line each."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return []
    needed = {one for one in required if isinstance(one, str)} if isinstance(required, list) else set()
    ordered = sorted(properties, key=lambda name: name not in needed)
    lines = [
        f"{shorten(name)}: {shorten(_type(properties[name]))}{', required' * (name in needed)}"
        for name in ordered[:MOST_PARAMETERS]
    ]
    more = len(ordered) - MOST_PARAMETERS
    return [*lines, f"and {more:,} more"] if more > 0 else lines


def _type(schema: object) -> str:
    """The type of a parameter in words."""
    if not isinstance(schema, dict):
        return "any"
    values, kind = schema.get("enum"), schema.get("type")
    if isinstance(values, list) and values:
        more = ", ..." * (len(values) > MOST_VALUES)
        return "one of " + ", ".join(str(value)[:40] for value in values[:MOST_VALUES]) + more
    if kind == "array":
        return f"array of {_type(schema.get('items'))}"
    if isinstance(kind, list):
        return " or ".join(map(str, kind[:MOST_VALUES]))
    for key in ("anyOf", "oneOf"):
        if isinstance(choices := schema.get(key), list):
            return " or ".join(dict.fromkeys(map(_type, choices[:MOST_VALUES])))
    return kind if isinstance(kind, str) else "any"
