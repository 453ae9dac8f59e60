"""What clients see, prepared: the list of tools as bytes, and where each name leads. Replaced whole, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from roundhouse.gateway.names import public_name
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


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything on offer at one moment.

    Attributes:
        own: definitions of our own tools, listed first.
        parts: each server's share, in the order of the configuration.
        tools: the result of `tools/list`.
        routes: every proxied public name.
    """

    own: tuple[bytes, ...] = ()
    parts: Mapping[str, Part] = field(default_factory=dict)
    tools: bytes = b'{"tools":[]}'
    routes: Mapping[str, Route] = field(default_factory=dict)


def build(own: Iterable[bytes], parts: Mapping[str, Part]) -> Catalogue:
    """The catalogue of these parts."""
    own = tuple(own)
    entries = [*own, *(entry for part in parts.values() for entry in part.entries)]
    routes = {name: route for part in parts.values() for name, route in part.routes.items()}
    return Catalogue(own, dict(parts), b'{"tools":[' + b",".join(entries) + b"]}", routes)


def replace(catalogue: Catalogue, server: str, part: Part) -> Catalogue:
    """The catalogue with this server's part exchanged. Only the joining is done again."""
    return build(catalogue.own, {**catalogue.parts, server: part})


def part_of(server: str, tools: Iterable[Raws]) -> Part:
    """A server's part, from its definitions. What cannot be offered is left out with a note, and harms nothing else."""
    entries: list[bytes] = []
    routes: dict[str, Route] = {}
    notes: list[str] = []
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
        public = public_name(server, name)
        if public in routes:
            notes.append(f"a second tool named {shorten(name)!r} was left out")
            continue
        if wrong := _wrong_member(definition):
            notes.append(f"the tool {shorten(name)!r} was left out, clients would refuse the whole list: {wrong}")
            continue
        routes[public] = Route(server, bytes(definition["name"]))
        entries.append(b"".join(join({**definition, "name": encode(public)})))
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES:,} more"]
    return Part(tuple(entries), routes, tuple(notes))


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
