"""What clients that can do the same see: one catalogue, kept up to date part by part, and the search over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from roundhouse.gateway.catalogue import Catalogue, Part, build, replace
from roundhouse.wire.eras import Profile

if TYPE_CHECKING:  # the first search loads it
    from roundhouse.gateway.search import Found, Index


class View:
    """The catalogue of one capability profile.

    Args:
        own: definitions of our own tools.
        parts: what each server offers now.
        expose: "all", "search", or "auto": all, as long as it is within the budget.
        budget: bytes.
    """

    def __init__(
        self, profile: Profile, own: Iterable[bytes], parts: Mapping[str, Part], expose: str, budget: int
    ) -> None:
        self.profile = profile
        limit = {"all": math.inf, "search": -1.0}.get(expose, float(budget))
        self.catalogue: Catalogue = build(own, parts, limit)
        self._index: Index | None = None
        self._indexed: Catalogue | None = None

    def put(self, server: str, part: Part | None) -> bool:
        """Exchange a server's part, or take it away. Returns whether clients see another list now."""
        if part == self.catalogue.parts.get(server):
            return False
        before, self.catalogue = self.catalogue, replace(self.catalogue, server, part)
        return before.tools != self.catalogue.tools

    def search(self, query: str, limit: int) -> Found:
        """The tools that do what is asked for, listed or not. Takes a moment where much is new: call it in a thread."""
        from roundhouse.gateway.search import Index

        catalogue = self.catalogue
        self._index = self._index or Index()
        if self._indexed is not catalogue:
            self._index.update(catalogue.parts)
            self._indexed = catalogue
        return self._index.search(query, limit)
