"""Operations on secrets, for the command line only; and what every door does with literal ones in an entry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import anyio.to_thread
from pydantic import Field

from roundhouse.errors import INVALID_PARAMS, BadMessage, FixedServers
from roundhouse.operations.operation import Effects, Model, Operation, Role
from roundhouse.operations.rooms import Rooms
from roundhouse.vault.binding import origin_of
from roundhouse.vault.literals import extract
from roundhouse.vault.secret import Secret

MOST_SECRETS = 500  # a model that adds and removes servers must not fill a keyring


class NoArguments(Model):
    """No arguments."""


class SecretName(Model):
    """Which secret."""

    name: str


class NewSecret(Model):
    """A secret to keep."""

    name: Annotated[str, Field(description="Entries refer to it as ${secret:NAME}.")]
    value: Annotated[str, Field(repr=False)]
    server: Annotated[str | None, Field(default=None, description="The only server that may have it.")]


class Known(Model):
    """A secret, without its value."""

    name: str
    server: Annotated[str | None, Field(description="The only server that may have it; null: the first that asks.")]
    kept_in: Literal["keyring", "file"]
    created: float


class Secrets(Model):
    """All secrets, without their values."""

    secrets: list[Known]
    kept_in: Literal["keyring", "file"]
    where: str


class Forgotten(Model):
    """It is gone."""

    name: str
    removed: bool


async def keep_literals(rooms: Rooms, server: str, entry: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Take literal secrets out of an entry and keep them. Returns the entry with references, and their names."""
    if rooms.store is None:
        raise FixedServers
    taken = {row.name for row in await rooms.store.secrets.all()}
    clean, found = await anyio.to_thread.run_sync(partial(extract, server, entry, taken=taken))
    if found and not rooms.caller.person and len(taken) + len(found) > MOST_SECRETS:
        raise BadMessage(
            f"{MOST_SECRETS} secrets are kept already. A person forgets some with `roundhouse secret rm`.",
            number=INVALID_PARAMS,
        )
    url = entry.get("url")
    origin = origin_of(url) if isinstance(url, str) and found else None
    for name, value in found.items():
        await _keep(rooms, name, value, server, origin)
    return clean, list(found)


async def _keep(rooms: Rooms, name: str, value: Secret, server: str | None, origin: str | None = None) -> Known:
    if rooms.store is None or rooms.vault is None:
        raise FixedServers
    await anyio.to_thread.run_sync(rooms.redactor.add, name, value)
    where = await rooms.vault.set(name, value)
    row = await rooms.store.secrets.put(name, server=server, origin=origin, kept_in=where)
    return Known(name=row.name, server=row.server, kept_in=where, created=row.created)


async def _set(rooms: Rooms, asked: NewSecret) -> Known:
    return await _keep(rooms, asked.name, Secret(asked.value), asked.server)


async def _list(rooms: Rooms, _: NoArguments) -> Secrets:
    if rooms.store is None or rooms.vault is None:
        raise FixedServers
    rows = await rooms.store.secrets.all()
    return Secrets(
        secrets=[Known.model_validate(row, from_attributes=True) for row in rows],
        kept_in=await rooms.vault.kind(),
        where=await rooms.vault.described(),
    )


async def _remove(rooms: Rooms, asked: SecretName) -> Forgotten:
    if rooms.store is None or rooms.vault is None:
        raise FixedServers
    there = await rooms.vault.remove(asked.name)
    known = await rooms.store.secrets.remove(asked.name)
    return Forgotten(name=asked.name, removed=there or known)


LIST_SECRETS = Operation(
    name="list_secrets",
    title="List secrets",
    description="Names of the secrets that are kept, whose they are, and where they are kept. Never a value.",
    input=NoArguments,
    output=Secrets,
    effects=Effects(reads_only=True, destroys=False, idempotent=True, open_world=False),
    role=Role.MANAGE,
    handler=_list,
    person_only=True,
)

SET_SECRET = Operation(
    name="set_secret",
    title="Set a secret",
    description="Keeps a secret, in place of one of the same name.",
    input=NewSecret,
    output=Known,
    effects=Effects(reads_only=False, destroys=True, idempotent=True, open_world=False),
    role=Role.MANAGE,
    handler=_set,
    person_only=True,
)

REMOVE_SECRET = Operation(
    name="remove_secret",
    title="Remove a secret",
    description="Forgets a secret. Servers that refer to it do not start any more.",
    input=SecretName,
    output=Forgotten,
    effects=Effects(reads_only=False, destroys=True, idempotent=True, open_world=False),
    role=Role.MANAGE,
    handler=_remove,
    person_only=True,
)
