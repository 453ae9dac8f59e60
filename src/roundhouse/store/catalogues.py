"""What each server offered when it was last asked, for each profile of capabilities: nobody waits for it twice."""

from __future__ import annotations

import logging
import sqlite3
import time
import zlib
from dataclasses import dataclass
from typing import Self

from roundhouse.store.database import Database
from roundhouse.store.ids import new_id
from roundhouse.store.row import LOCAL, Row

PROFILES_KEPT = 8  # a server, the last listed; clients on one machine differ in fewer ways

_PUT = """
    INSERT INTO catalogues
        (id, tenant, owner, server, profile, digest, tools, capabilities, instructions, checksum, listed_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, server, profile) DO UPDATE SET
        digest = excluded.digest, tools = excluded.tools, capabilities = excluded.capabilities,
        instructions = excluded.instructions, checksum = excluded.checksum, listed_at = excluded.listed_at
"""
_FORGET_OLDEST = """
    DELETE FROM catalogues WHERE tenant = ? AND server = ? AND id NOT IN (
        SELECT id FROM catalogues WHERE tenant = ? AND server = ? ORDER BY listed_at DESC, id DESC LIMIT ?)
"""
_ALL = "SELECT * FROM catalogues WHERE tenant = ? ORDER BY server, listed_at, id"
_REMOVE = "DELETE FROM catalogues WHERE tenant = ? AND server = ?"
_DISCARD = "DELETE FROM catalogues WHERE id = ?"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Catalogue(Row):
    """What a server offered to clients of one profile.

    Attributes:
        profile: a key of the client's capabilities.
        digest: of the launch that offered it; another launch may offer something else.
        tools: a JSON array, as the server wrote it.
        capabilities: a JSON object.
        listed_at: seconds since the epoch.
    """

    server: str
    profile: str
    digest: str
    tools: bytes
    capabilities: str
    instructions: str
    listed_at: float

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Self:
        return cls(
            server=row["server"],
            profile=row["profile"],
            digest=row["digest"],
            tools=row["tools"].encode(),
            capabilities=row["capabilities"],
            instructions=row["instructions"],
            listed_at=row["listed_at"],
        )


class Catalogues:
    """The snapshots of one tenant."""

    def __init__(self, database: Database, tenant: str = LOCAL) -> None:
        self._database = database
        self._tenant = tenant

    async def put(
        self, server: str, *, profile: str, digest: str, tools: bytes, capabilities: str, instructions: str
    ) -> Catalogue:
        """Keep what a server has just listed, instead of what it listed before for this profile.

        Raises:
            StoreReadOnly, StoreBusy: it was not kept.
        """
        new = Catalogue(server, profile, digest, tools, capabilities, instructions, time.time())
        row = (
            *(new_id(), self._tenant, LOCAL, server, profile, digest, tools.decode(), capabilities, instructions),
            *(_checksum(new), new.listed_at),
        )
        forgotten = (self._tenant, server, self._tenant, server, PROFILES_KEPT)
        await self._database.write_together((_PUT, [row]), (_FORGET_OLDEST, [forgotten]))
        return new

    async def all(self) -> list[Catalogue]:
        """All snapshots, by server, the last listed last; without those that a flipped bit has changed."""
        rows = await self._database.read(_ALL, self._tenant)
        return [catalogue for row in rows if (catalogue := _sound(row))]

    async def remove(self, server: str) -> None:
        """Forget what a server offered.

        Raises:
            StoreReadOnly, StoreBusy: it is still there.
        """
        await self._database.write(_REMOVE, self._tenant, server)


def _sound(row: sqlite3.Row) -> Catalogue | None:
    catalogue = Catalogue.from_row(row)
    if _checksum(catalogue) == row["checksum"]:
        return catalogue
    logger.error("the stored list of %r is damaged; its server is asked again when it runs", catalogue.server)
    return None


def _checksum(catalogue: Catalogue) -> int:
    texts = (catalogue.server, catalogue.profile, catalogue.digest, catalogue.capabilities, catalogue.instructions)
    return zlib.crc32("\0".join(texts).encode(), zlib.crc32(catalogue.tools))
