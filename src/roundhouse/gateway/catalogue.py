"""What clients see, prepared: the list of tools as bytes, and where each name leads. Replaced whole, never changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from roundhouse.gateway.names import public_name
from roundhouse.model.servers import ServerSpec
from roundhouse.model.text import shorten
from roundhouse.wire.envelope import Members, Raws, Unreadable, encode, join, members, text

MOST_NOTES = 20  # of one server; a model reads them
# What the value of a known member begins with. Unknown members may be anything.
TYPES = {
    "title": b'"n',  # n: null, which clients take for absent
    "description": b'"n',
    "inputSchema": b"{",
    "outputSchema": b"{n",
    "annotations": b"{n",
    "execution": b"{n",
    "icons": b"[n",
    "_meta": b"{n",
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where a public name leads."""

    server: str
    tool: bytes  # the server's own name of the tool, as a JSON string


@dataclass(frozen=True, slots=True)
class Part:
    """One server's share of the catalogue."""

    entries: tuple[bytes, ...] = ()  # tool definitions under their public names, otherwise as the server wrote them
    routes: Mapping[str, Route] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was left out, and why
    pinned: tuple[bytes, ...] = ()  # entries that are listed even where only a search is shown


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything on offer at one moment.

    Attributes:
        own: definitions of our own tools, listed first.
        budget: bytes of definitions above which only our own tools and pinned ones are listed, for the model to search
            the others.
        parts: each server's share, in the order of the configuration.
        tools: the result of `tools/list`.
        routes: every proxied public name, listed or not.
        whole: whether everything is listed.
    """

    own: tuple[bytes, ...] = ()
    budget: float = math.inf
    parts: Mapping[str, Part] = field(default_factory=dict)
    tools: bytes = b'{"tools":[]}'
    routes: Mapping[str, Route] = field(default_factory=dict)
    whole: bool = True


def build(own: Iterable[bytes], parts: Mapping[str, Part], budget: float = math.inf) -> Catalogue:
    """The catalogue of these parts."""
    own = tuple(own)
    entries = [entry for part in parts.values() for entry in part.entries]
    whole = sum(map(len, entries)) <= budget
    listed = entries if whole else [entry for part in parts.values() for entry in part.pinned]
    routes = {name: route for part in parts.values() for name, route in part.routes.items()}
    return Catalogue(own, budget, dict(parts), b'{"tools":[' + b",".join([*own, *listed]) + b"]}", routes, whole=whole)


def replace(catalogue: Catalogue, server: str, part: Part | None) -> Catalogue:
    """The catalogue with this server's part exchanged, or without it. Only the joining is done again."""
    parts = {**catalogue.parts, server: part or Part()}
    if part is None:
        del parts[server]
    return build(catalogue.own, parts, catalogue.budget)


def part_of(spec: ServerSpec, tools: Iterable[Raws]) -> Part:
    """A server's part, from its definitions. What cannot be offered is left out with a note, and harms nothing else."""
    server = spec.name
    entries: list[bytes] = []
    pinned: list[bytes] = []
    routes: dict[str, Route] = {}
    notes: list[str] = []
    tools = list(tools)
    own_names = _names(tools) if spec.rename else frozenset()
    for position, tool in enumerate(tools):
        try:
            definition = members(tool)
        except Unreadable as bad:
            notes.append(f"tool {position} of its list was left out: {bad}")
            continue
        name = text(definition.get("name"))
        if not name:
            notes.append(f"tool {position} of its list was left out: it has no name")
            continue
        if not spec.offers(name):
            continue
        shown_as = spec.rename.get(name, name)
        if shown_as != name and shown_as in own_names:
            notes.append(f"the tool {shorten(name)!r} was left out: {shown_as!r} is another tool's own name")
            continue
        public = public_name(server, shown_as)
        if public in routes:
            notes.append(f"a second tool named {shorten(name)!r} was left out")
            continue
        if wrong := _wrong_member(definition):
            notes.append(f"the tool {shorten(name)!r} was left out, clients would refuse the whole list: {wrong}")
            continue
        routes[public] = Route(server, bytes(definition["name"]))
        shown = {**definition, "name": encode(public)}
        if name in spec.descriptions:
            shown["description"] = encode(spec.descriptions[name])
        entries.append(b"".join(join(shown)))
        if name in spec.pinned:
            pinned.append(entries[-1])
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES:,} more"]
    return Part(tuple(entries), routes, tuple(notes), tuple(pinned))


def _names(tools: Iterable[Raws]) -> frozenset[str]:
    """The server's own names of its tools."""
    found = set()
    for tool in tools:
        try:
            found.add(text(members(tool).get("name")) or "")
        except Unreadable:
            continue
    return frozenset(found)


def _wrong_member(definition: Members) -> str:
    """What in a tool definition the protocol does not allow (MCP, `Tool`); empty if nothing is."""
    for member, begins in TYPES.items():
        value = definition.get(member)
        if value is not None and bytes(memoryview(value)[:1]) not in begins:
            return f"its `{member}` has the wrong type"
    if "inputSchema" not in definition:
        return "it has no `inputSchema`"
    try:
        kind = members(definition["inputSchema"]).get("type", b'"object"')
    except Unreadable:
        kind = b""
    return "" if bytes(kind) == b'"object"' else "its `inputSchema` is no schema of type object"
