"""The names of secrets, and whom each may be given to. The values are elsewhere: see `kept_in`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from roundhouse.errors import NotFound
from roundhouse.store.database import Database
from roundhouse.store.ids import new_id
from roundhouse.store.row import LOCAL, Row

_PUT = """
    INSERT INTO secrets (id, tenant, owner, name, server, origin, kept_in, created, updated)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant, name) DO UPDATE SET
        server = coalesce(excluded.server, secrets.server), origin = coalesce(excluded.origin, secrets.origin),
        kept_in = excluded.kept_in, updated = excluded.updated
    RETURNING *
"""
_BIND = """
    UPDATE secrets SET server = coalesce(server, :server), origin = coalesce(origin, :origin), updated = :now
    WHERE tenant = :tenant AND name = :name
      AND (server IS NULL OR :server IS NULL OR server = :server)
      AND (origin IS NULL OR :origin IS NULL OR origin = :origin)
    RETURNING *
"""
_GET = "SELECT * FROM secrets WHERE tenant = ? AND name = ?"
_REMOVE = "DELETE FROM secrets WHERE tenant = ? AND name = ? RETURNING name"
_ALL = "SELECT * FROM secrets WHERE tenant = ? ORDER BY name"


@dataclass(frozen=True, slots=True)
class Secret(Row):
    """A secret's name.

    Attributes:
        server: the only one that may be given it; `None`: nobody asked yet.
        origin: the only one it may be sent to in a header.
        kept_in: "keyring" or "file".
        created, updated: seconds since the epoch.
    """

    id: str
    tenant: str
    owner: str
    name: str
    server: str | None
    origin: str | None
    kept_in: str
    created: float
    updated: float


class Secrets:
    """The secrets of one tenant."""

    def __init__(self, database: Database, tenant: str = LOCAL) -> None:
        self._database = database
        self._tenant = tenant

    async def put(self, name: str, *, kept_in: str, server: str | None = None, origin: str | None = None) -> Secret:
        """A secret has a value now, or another one. What it is bound to stays, unless it is given here.

        Raises:
            StoreReadOnly, StoreBusy: it was not kept.
        """
        now = time.time()
        (row,) = await self._database.write(
            _PUT, new_id(), self._tenant, LOCAL, name, server, origin, kept_in, now, now
        )
        return Secret.from_row(row)

    async def bind(self, name: str, *, server: str | None = None, origin: str | None = None) -> Secret:
        """Bind what is not bound yet. What is bound to another stays as it is: compare what comes back.

        Raises:
            NotFound: there is no secret of this name.
            StoreReadOnly, StoreBusy: it was not kept.
        """
        wanted = {"server": server, "origin": origin, "now": time.time(), "tenant": self._tenant, "name": name}
        rows = await self._database.write(_BIND, **wanted) or await self._database.read(_GET, self._tenant, name)
        if not rows:
            raise NotFound("secret", name, [secret.name for secret in await self.all()])
        return Secret.from_row(rows[0])

    async def remove(self, name: str) -> bool:
        """Forget a name. Returns: whether there was one.

        Raises:
            StoreReadOnly, StoreBusy: it is still there.
        """
        return bool(await self._database.write(_REMOVE, self._tenant, name))

    async def all(self) -> list[Secret]:
        """All secrets, by name."""
        return [Secret.from_row(row) for row in await self._database.read(_ALL, self._tenant)]
