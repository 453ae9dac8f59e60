"""Operations on the house itself, for the command line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from roundhouse.operations.operation import Effects, Model, Operation, Role
from roundhouse.operations.rooms import Rooms
from roundhouse.operations.servers import Nothing


class ClientNow(Model):
    """A client that is connected."""

    name: str
    pid: int
    version: Annotated[str, Field(description="Of the front that connects it.")]
    since: Annotated[float, Field(description="Seconds since the epoch.")]


class HouseStatus(Model):
    """The house now."""

    pid: int
    version: str
    uptime_seconds: float
    home: str
    log: str
    clients: list[ClientNow]
    servers: Annotated[dict[str, int], Field(description="How many are in each state.")]
    pending_approvals: int
    notes: Annotated[list[str], Field(description="What a person should know: a restored database, a full disk.")]
    idle_leave_seconds: float
    store: dict[str, Any]


class Leaving(Model):
    """It leaves."""

    leaving: Literal[True]


async def _status(rooms: Rooms, _: Nothing) -> HouseStatus:
    return HouseStatus.model_validate(rooms.facts())


async def _leave(rooms: Rooms, _: Nothing) -> Leaving:
    rooms.leave()
    return Leaving(leaving=True)


HOUSE_STATUS = Operation(
    name="house_status",
    title="The house",
    description="What runs, who is connected, what waits, and what a person should know.",
    input=Nothing,
    output=HouseStatus,
    effects=Effects(reads_only=True, destroys=False, idempotent=True, open_world=False),
    role=Role.READ,
    handler=_status,
    person_only=True,
)

LEAVE = Operation(
    name="leave",
    title="Leave",
    description="The house leaves, with every server. The next client starts it again.",
    input=Nothing,
    output=Leaving,
    effects=Effects(reads_only=False, destroys=True, idempotent=True, open_world=False),
    role=Role.MANAGE,
    handler=_leave,
    person_only=True,
)
