"""A server's tools, page by page: all of them, or as many as are reasonable, and what was left out is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest

from roundhouse.errors import BadAnswer
from roundhouse.supervise.listing import MAX_BYTES, MAX_PAGES, MAX_TOOLS, Listing, list_tools
from roundhouse.wire.envelope import Members, members
from roundhouse.wire.peer import Peer

Pages = Callable[[str | None], dict[str, Any]]


class Lister:
    """A peer that answers `tools/list` from a function of the cursor."""

    name = "a"

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def ask(self, method: str, params: list[bytes], **_: Any) -> Members:
        asked = json.loads(b"".join(bytes(part) for part in params))
        return members(json.dumps(self._pages(asked.get("cursor"))).encode())

    def shown(self, data: bytes, longest: int) -> str:
        return bytes(data)[:longest].decode()


def listing_of(pages: Pages, capabilities: Members | None = None) -> Listing:
    async def run() -> Listing:
        return await list_tools(cast(Peer, Lister(pages)), {"tools": b"{}"} if capabilities is None else capabilities)

    return anyio.run(run)


def of(*names: str, more: str | None = None, size: int = 0) -> dict[str, Any]:
    tools = [{"name": name, "x": "x" * size} for name in names]
    return {"result": {"tools": tools, **({"nextCursor": more} if more else {})}}


def names(listing: Listing) -> list[str]:
    return [json.loads(bytes(tool))["name"] for tool in listing.tools]


def test_all_pages_are_asked_for_in_order() -> None:
    found = listing_of(lambda cursor: {None: of("a", "b", more="2"), "2": of(more="3"), "3": of("c")}[cursor])
    assert (names(found), found.notes) == (["a", "b", "c"], ())


def test_more_tools_than_anybody_can_use_are_cut_and_said() -> None:
    found = listing_of(lambda _: of(*map(str, range(MAX_TOOLS + 1))))
    assert len(found.tools) == MAX_TOOLS
    assert "more than 2,000 tools" in found.notes[0]
    assert listing_of(lambda _: of(*map(str, range(MAX_TOOLS)))).notes == ()


def test_more_bytes_than_anybody_can_read_are_cut_and_said() -> None:
    found = listing_of(lambda _: of(*map(str, range(20)), size=MAX_BYTES // 10))
    assert 8 <= len(found.tools) <= 10
    assert "8 MiB" in found.notes[0]


def test_pages_without_end_are_cut_and_said() -> None:
    found = listing_of(lambda cursor: of(cursor or "0", more=str(int(cursor or 0) + 1)))
    assert len(found.tools) == MAX_PAGES
    assert "100 pages" in found.notes[0]


@pytest.mark.parametrize(
    "answer", [{"error": {"code": -32601}}, {"result": {}}, {"result": {"tools": 5}}, {"result": 7}]
)
def test_a_list_that_is_none_is_an_error_of_a_server_that_says_it_has_tools(answer: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="tools/list cannot be used"):
        listing_of(lambda _: answer)


def test_a_server_that_says_it_has_no_tools_is_asked_all_the_same() -> None:
    assert names(listing_of(lambda _: of("forgot to say"), capabilities={})) == ["forgot to say"]
    assert listing_of(lambda _: {"error": {"code": -32601}}, capabilities={}) == Listing()
