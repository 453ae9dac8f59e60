"""The servers that were added in conversation or on the command line, in the order in which they came."""

from __future__ import annotations

import time
from dataclasses import dataclass

from roundhouse.errors import NotFound
from roundhouse.store.database import Database
from roundhouse.store.ids import new_id
from roundhouse.store.row import LOCAL, Row

_PUT = """
    INSERT INTO servers (id, tenant, owner, name, entry, traits, position, created, updated)
    VALUES (?, ?, ?, ?, ?, '{}', (SELECT coalesce(max(position), 0) + 1 FROM servers WHERE tenant = ?), ?, ?)
    ON CONFLICT (tenant, name) DO UPDATE SET entry = excluded.entry, updated = excluded.updated
    RETURNING *
"""
_REMOVE = "DELETE FROM servers WHERE tenant = ? AND name = ? RETURNING name"
_GET = "SELECT * FROM servers WHERE tenant = ? AND name = ?"
_ALL = "SELECT * FROM servers WHERE tenant = ? ORDER BY position, name"
_SET_TRAITS = "UPDATE servers SET traits = ?, updated = ? WHERE tenant = ? AND name = ? RETURNING *"


@dataclass(frozen=True, slots=True)
class Server(Row):
    """One of them.

    Attributes:
        entry: the JSON object that stands under its name in `mcpServers`.
        traits: a JSON object of what was learned about it.
        created, updated: seconds since the epoch.
    """

    id: str
    tenant: str
    owner: str
    name: str
    entry: str
    traits: str
    position: int
    created: float
    updated: float


class Servers:
    """The servers of one tenant."""

    def __init__(self, database: Database, tenant: str = LOCAL) -> None:
        self._database = database
        self._tenant = tenant

    async def put(self, name: str, entry: str, owner: str = LOCAL) -> Server:
        """Add a server at the end, or replace the entry of the one of this name, which keeps its place and traits.

        Raises:
            StoreReadOnly, StoreBusy: it was not kept.
        """
        now = time.time()
        values = (new_id(), self._tenant, owner, name, entry, self._tenant, now, now)
        (row,) = await self._database.write(_PUT, *values)
        return Server.from_row(row)

    async def remove(self, name: str) -> bool:
        """Forget a server. Returns: whether there was one of this name.

        Raises:
            StoreReadOnly, StoreBusy: it is still there.
        """
        return bool(await self._database.write(_REMOVE, self._tenant, name))

    async def get(self, name: str) -> Server | None:
        """The server of this name, if there is one."""
        rows = await self._database.read(_GET, self._tenant, name)
        return Server.from_row(rows[0]) if rows else None

    async def all(self) -> list[Server]:
        """All servers, in the order in which they were added."""
        return [Server.from_row(row) for row in await self._database.read(_ALL, self._tenant)]

    async def set_traits(self, name: str, traits: str) -> Server:
        """Keep what was learned about a server.

        Args:
            traits: a JSON object, which replaces the one before.

        Raises:
            NotFound: there is no server of this name.
            StoreReadOnly, StoreBusy: it was not kept.
        """
        rows = await self._database.write(_SET_TRAITS, traits, time.time(), self._tenant, name)
        if not rows:
            raise NotFound("server", name)
        return Server.from_row(rows[0])
