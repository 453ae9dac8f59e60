"""Everything that is remembered in one home: two files, a noun for each table, one journal.

Facts are in `roundhouse.db`, small and backed up. Measurements are in `measurements.db`, large, and nobody would miss
them for long: damaged, they begin anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from roundhouse.errors import RoundhouseError
from roundhouse.store import schema
from roundhouse.store.approvals import Approvals
from roundhouse.store.calls import Calls
from roundhouse.store.catalogues import Catalogues
from roundhouse.store.database import Database, Note, open_database
from roundhouse.store.file import Place
from roundhouse.store.health import Health
from roundhouse.store.journal import Journal
from roundhouse.store.payloads import Payloads, Redact
from roundhouse.store.pruning import prune
from roundhouse.store.secrets import Secrets
from roundhouse.store.servers import Servers
from roundhouse.store.states import States

FACTS = "roundhouse.db"
MEASUREMENTS = "measurements.db"
BACKUPS = "backups"
PRUNE_EVERY = 3600.0  # seconds
FIRST_PRUNE = 60.0  # seconds after the start, when others have better things to do


@dataclass(frozen=True, slots=True)
class Store:
    """What is remembered. Its `keep` has to run for as long as it is open."""

    servers: Servers
    catalogues: Catalogues
    approvals: Approvals
    secrets: Secrets
    calls: Calls
    health: Health
    states: States
    journal: Journal
    databases: tuple[Database, Database]  # facts, measurements

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a person must know: damage, restored backups, a disk that takes nothing. Empty when all is well."""
        return tuple(note for database in self.databases for note in database.notes)

    async def keep(self) -> None:
        """Write measurements, make backups, prune, try again what could not be written. Runs until it is cancelled."""
        async with anyio.create_task_group() as tasks:
            for database in self.databases:
                tasks.start_soon(database.keep)
            tasks.start_soon(self.journal.run)
            tasks.start_soon(self._prune)

    async def _prune(self) -> None:
        await anyio.sleep(FIRST_PRUNE)
        while True:
            with suppress(RoundhouseError):  # the database has said what stands in its way
                await prune(self.databases[1])
            await anyio.sleep(PRUNE_EVERY)


@asynccontextmanager
async def open_store(
    home: Path | None, *, redact: Redact, log_payloads: Payloads = Payloads.FULL
) -> AsyncIterator[Store]:
    """Open the store of a home, and begin it where there is none. At the end it is written, closed and backed up.

    Args:
        home: its folder; `None` for a store in memory.
        redact: takes the secrets out of a text that is going to be written; called on a thread of its own.
        log_payloads: what the call log keeps of arguments and results.

    Raises:
        StoreTooNew: a newer Roundhouse wrote it; nothing was changed.
        StoreBusy: another process opens it, and does not come to an end.
    """
    place_of_facts, place_of_measurements = places(home)
    facts = await open_database(place_of_facts)
    try:
        measurements = await open_database(place_of_measurements)
    except BaseException:
        await facts.close()
        raise
    journal = Journal(measurements, redact=redact, log_payloads=log_payloads)
    try:
        yield Store(
            servers=Servers(facts),
            catalogues=Catalogues(facts),
            approvals=Approvals(facts),
            secrets=Secrets(facts),
            calls=Calls(measurements),
            health=Health(measurements),
            states=States(measurements),
            journal=journal,
            databases=(facts, measurements),
        )
    finally:
        await journal.close()
        await measurements.close()
        await facts.close()


def places(home: Path | None) -> tuple[Place, Place]:
    """Of facts and of measurements."""
    if home is None:
        return Place(None, schema.facts()), Place(None, schema.measurements())
    home = home.absolute()
    return (
        Place(home / FACTS, schema.facts(), home / BACKUPS),
        Place(home / MEASUREMENTS, schema.measurements()),
    )
