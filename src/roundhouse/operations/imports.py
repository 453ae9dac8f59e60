"""The operation that takes over servers from another client's configuration."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Annotated

import anyio
import anyio.to_thread
from pydantic import Field

from roundhouse.clients.imports import read
from roundhouse.clients.known import CLIENTS
from roundhouse.errors import RoundhouseError
from roundhouse.operations.operation import Effects, Model, Operation, Role
from roundhouse.operations.rooms import Rooms
from roundhouse.operations.servers import Added, add

READERS = 2  # imports at a time
MOST_IMPORTED = 100  # servers at a time; a client's file has a dozen


class Source(Model):
    """Where from, and which."""

    source: Annotated[str, Field(description=f"One of {', '.join(CLIENTS)}, or the path of a configuration file.")]
    only: Annotated[
        list[str] | None, Field(default=None, description="Names of the servers to take; all, where nothing is said.")
    ]


class Skipped(Model):
    """One that was not taken."""

    name: str
    why: str


class Imported(Model):
    """What came in."""

    added: list[Added]
    skipped: list[Skipped]
    problems: Annotated[list[str], Field(description="What of the file could not be taken, with place and fix.")]


@cache
def _readers() -> anyio.CapacityLimiter:
    """Threads of our own: a disk that does not answer takes none from anybody else."""
    return anyio.CapacityLimiter(READERS)


async def _import(rooms: Rooms, asked: Source) -> Imported:
    wanted = partial(read, asked.source, dict(os.environ), rooms.roster.reserved)
    found = await anyio.to_thread.run_sync(wanted, abandon_on_cancel=True, limiter=_readers())
    added, skipped = [], []
    for server in found.servers[:MOST_IMPORTED]:
        if asked.only is not None and not {server.name, server.original} & set(asked.only):
            continue
        try:
            added.append(await add(rooms, server.name, server.entry))
        except RoundhouseError as bad:
            skipped.append(Skipped(name=server.name, why=str(bad)))
    known = {name for server in found.servers for name in (server.name, server.original)}
    missing = [name for name in asked.only or () if name not in known]
    skipped += [Skipped(name=name, why="there is no server of this name in it") for name in missing]
    return Imported(added=added, skipped=skipped, problems=list(found.problems))


IMPORT_SERVERS = Operation(
    name="import_servers",
    title="Import servers",
    description=(
        "Takes over the MCP servers that another client has configured (Claude Desktop, Claude Code, Cursor, VS Code, "
        "Gemini CLI, Windsurf, Codex), or those in a file. Literal secrets become stored ones. Each waits for the "
        "person's yes before it runs; the client's own file is not changed."
    ),
    input=Source,
    output=Imported,
    effects=Effects(reads_only=False, destroys=False, idempotent=False, open_world=False),
    role=Role.MANAGE,
    handler=_import,
)
