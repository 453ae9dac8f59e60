"""What a server offers, asked for page by page and bounded: an endless list must not become an endless start."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Raw

from roundhouse.errors import BadAnswer
from roundhouse.model.text import clean
from roundhouse.wire.envelope import Members, Raws, Unreadable, elements, join, members
from roundhouse.wire.peer import Peer

MAX_PAGES = 100
MAX_TOOLS = 2_000
MAX_BYTES = 8 * 1024 * 1024  # of tool definitions from one server
LONGEST_ERROR = 300  # bytes of a server's own error that are repeated
PAGE_TIMEOUT = 30.0  # seconds for one page


@dataclass(frozen=True, slots=True)
class Listing:
    """Tool definitions as the server wrote them, what of its list was left out, and what it says of itself."""

    tools: tuple[Raw, ...] = ()
    notes: tuple[str, ...] = ()
    instructions: str = ""


async def list_tools(peer: Peer, capabilities: Members, *, early: bool = False) -> Listing:
    """All tools of a server, or as many as are reasonable.

    Args:
        early: asked before the conversation is open to calls.

    Raises: `BadAnswer`, and what `Peer.ask` raises.
    """
    tools: list[Raw] = []
    size = 0
    cursor: Raws | None = None
    for _ in range(MAX_PAGES):
        try:
            result = await _page(peer, cursor, early)
        except BadAnswer:
            if "tools" in capabilities:
                raise
            return Listing()  # it said that it has none; it was asked all the same, because some forget to say
        try:
            page = elements(result["tools"])
        except (KeyError, Unreadable):
            raise _unusable(peer, "it has no list of tools") from None
        for tool in page:
            size += len(tool)
            if len(tools) >= MAX_TOOLS or size > MAX_BYTES:
                return _cut(tools, f"more than {MAX_TOOLS:,} tools or {MAX_BYTES // 2**20} MiB of them")
            tools.append(tool)
        cursor = result.get("nextCursor")
        if cursor is None or bytes(cursor) == b"null":
            return Listing(tuple(tools))
    return _cut(tools, f"more than {MAX_PAGES} pages")


async def _page(peer: Peer, cursor: Raws | None, early: bool) -> Members:
    params = join({"cursor": cursor}) if cursor is not None else [b"{}"]
    answer = await peer.ask("tools/list", params, timeout=PAGE_TIMEOUT, early=early)
    if is_error(answer):
        raise _unusable(peer, f"it is the error {clean(peer.shown(answer['error'], LONGEST_ERROR))}")
    try:
        return members(answer.get("result", b"null"))
    except Unreadable as bad:
        raise _unusable(peer, str(bad)) from None


def is_error(answer: Members) -> bool:
    """Whether an answer is an error; some servers write `"error": null` beside a result."""
    return "error" in answer and bytes(answer["error"]) != b"null"


def _cut(tools: list[Raw], because: str) -> Listing:
    return Listing(tuple(tools), (f"its list of tools was cut after {len(tools):,}: {because}",))


def _unusable(peer: Peer, because: str) -> BadAnswer:
    return BadAnswer(
        f"The answer of {peer.name!r} to tools/list cannot be used: {because}.", server=peer.name, sent="yes"
    )
