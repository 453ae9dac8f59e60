"""What servers were last seen to offer, per capability profile: so that a list needs no process.

A profile that has not been seen yet is shown what another one was; servers seldom differ, and the first start corrects
it.
"""

from __future__ import annotations

from collections.abc import Callable

from roundhouse.supervise.listing import Listing


class Remembered:
    """Lists by server and profile.

    Args:
        keep: called with what is new: server, profile, list.
    """

    def __init__(self, keep: Callable[[str, str, Listing], None]) -> None:
        self._lists: dict[str, dict[str, Listing]] = {}
        self._keep = keep

    def restore(self, server: str, profile: str, listing: Listing) -> None:
        """Take in what was kept, oldest first."""
        self._lists.setdefault(server, {})[profile] = listing

    def note(self, server: str, profile: str, listing: Listing) -> None:
        """This is what it offers now."""
        known = self._lists.setdefault(server, {})
        if known.get(profile) != listing:
            known.pop(profile, None)
            known[profile] = listing
            self._keep(server, profile, listing)

    def forget(self, server: str) -> None:
        """It is another server now, or none."""
        self._lists.pop(server, None)

    def listing(self, server: str, profile: str) -> Listing | None:
        """What a client of this profile may be shown; None where nothing is known."""
        known = self._lists.get(server)
        if not known:
            return None
        return known.get(profile) or next(reversed(known.values()))
