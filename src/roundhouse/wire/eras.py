"""Which protocol is spoken: the versions there are, and how a conversation in each era is opened.

Today the handshake era (`initialize`, 2024-11-05 to 2025-11-25) in both directions. The stateless era (2026-07-28)
enters here: a second way to open a conversation, and the splicing of its envelope into requests and results.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from msgspec import Raw

from roundhouse import __version__
from roundhouse.model.text import shorten
from roundhouse.wire.envelope import Members, Parts, Unreadable, encode, join, members, text

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_HANDSHAKE = HANDSHAKE_VERSIONS[-1]

# Capabilities whose messages we do not carry yet: a server that saw them would use them and be left without an answer.
NOT_CARRIED = ("tasks",)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a client can do, as far as servers may see it: they list and offer different things to different clients.

    Attributes:
        capabilities: a JSON object, as the client wrote its members.
        key: the same for clients that can do the same, whatever the order in which they say so.
    """

    version: str
    capabilities: bytes
    key: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(_canonical(self.capabilities)).hexdigest()[:12]
        object.__setattr__(self, "key", f"{self.version}-{digest}")


def _canonical(capabilities: bytes) -> bytes:
    """The same bytes for the same capabilities, where they are written with other spaces and in another order."""
    try:
        return json.dumps(json.loads(capabilities), sort_keys=True).encode()
    except (ValueError, RecursionError):  # a number with thousands of digits: it stands for itself
        return capabilities


PLAIN = Profile(LATEST_HANDSHAKE, b"{}")  # of who can do nothing but ask: the command line, and the house itself


def read_profile(params: Members) -> Profile:
    """The profile in the parameters of a client's `initialize`. What makes no sense counts as not said."""
    try:
        capabilities = members(params.get("capabilities", b"{}"))
    except Unreadable:
        capabilities = {}
    carried = {name: value for name, value in capabilities.items() if name not in NOT_CARRIED}
    return Profile(negotiate(text(params.get("protocolVersion"))), b"".join(join(carried)))


def read_name(params: Members) -> str:
    """What a client calls itself in its `initialize`, fit to be shown."""
    try:
        said = members(params.get("clientInfo", b"{}"))
    except Unreadable:
        said = {}
    return shorten(text(said.get("title")) or text(said.get("name")) or "a client", 60)


def negotiate(asked: str | None) -> str:
    """The version to answer `initialize` with: the one asked for if we know it, else our latest (MCP, lifecycle)."""
    return asked if asked in HANDSHAKE_VERSIONS else LATEST_HANDSHAKE


def opening(profile: Profile) -> Parts:
    """The parameters of the `initialize` we send to a server on behalf of a client with this profile."""
    ours = encode({"name": "roundhouse", "title": "Roundhouse", "version": __version__})
    return join(
        {
            "protocolVersion": encode(profile.version),
            "capabilities": Raw(profile.capabilities),
            "clientInfo": ours,
        }
    )
