"""Operations on what waits for a person's yes. Seeing it is for everybody; deciding is for the command line only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from roundhouse.operations.operation import Effects, Model, Operation, Role
from roundhouse.operations.rooms import Rooms
from roundhouse.operations.servers import Nothing, ServerStatus, seen, status
from roundhouse.supervise.proposals import Proposal
from roundhouse.supervise.roster import Standing
from roundhouse.vault.references import Kind, parse


class Given(Model):
    """An environment variable or an HTTP header. Of a secret only the name is here."""

    name: str
    kind: Literal["literal", "secret", "env"]
    secret: Annotated[str | None, Field(description="The secret, or the variable of our own environment, it is from.")]
    value: Annotated[str, Field(description="As the entry has it; ${secret:NAME} and ${env:NAME} are filled in later.")]


class Pending(Model):
    """What would run after a yes."""

    id: str
    server: str
    kind: Literal["add", "change"]
    asked_by: str
    asked_at: Annotated[float, Field(description="Seconds since the epoch.")]
    argv: Annotated[list[str], Field(description="The command and each of its arguments. No shell reads them.")]
    executable: Annotated[str, Field(description="What the command means on this machine; empty: not found.")]
    environment: list[Given]
    cwd: str | None
    isolation: str
    url: str
    headers: list[Given]
    changes: Annotated[
        list[str], Field(description="What is different from before, and of a new server what it says of its tools.")
    ]
    digest: str


class Approvals(Model):
    """Everything that waits, oldest first."""

    approvals: list[Pending]


class Which(Model):
    """Which of them."""

    id: Annotated[str, Field(description="As list_approvals shows it.")]


class Decided(Model):
    """What a decision came to."""

    id: str
    server: str
    approval: Standing
    status: ServerStatus


def pending(proposal: Proposal) -> Pending:
    """A proposal, fit to be shown: whole, secrets by name."""
    launch = proposal.launch
    return Pending(
        id=proposal.id,
        server=proposal.server,
        kind="add" if proposal.kind == "add" else "change",
        asked_by=proposal.asked_by,
        asked_at=proposal.asked_at,
        argv=list(launch.argv),
        executable=launch.executable,
        environment=[_given(name, value) for name, value in launch.env.items()],
        cwd=launch.cwd,
        isolation=launch.isolation,
        url=launch.url,
        headers=[_given(name, value) for name, value in launch.headers.items()],
        changes=list(proposal.changes),
        digest=launch.digest,
    )


def _given(name: str, value: str) -> Given:
    pieces = parse(value)
    if secrets := [piece.value for piece in pieces if piece.kind is Kind.SECRET]:
        return Given(name=name, kind="secret", secret=", ".join(secrets), value=value)
    if variables := [piece.value for piece in pieces if piece.kind is Kind.ENV]:
        return Given(name=name, kind="env", secret=", ".join(variables), value=value)
    return Given(name=name, kind="literal", secret=None, value=value)


async def _list(rooms: Rooms, _: Nothing) -> Approvals:
    return Approvals(approvals=[pending(proposal) for proposal in rooms.roster.proposals()])


async def _approve(rooms: Rooms, asked: Which) -> Decided:
    proposal = await rooms.roster.approve(asked.id, rooms.caller)
    await seen(rooms, proposal.server)
    return _decided(rooms, proposal)


async def _deny(rooms: Rooms, asked: Which) -> Decided:
    return _decided(rooms, await rooms.roster.deny(asked.id, rooms.caller))


def _decided(rooms: Rooms, proposal: Proposal) -> Decided:
    return Decided(
        id=proposal.id,
        server=proposal.server,
        approval=rooms.roster.standing(proposal.server),
        status=status(rooms, rooms.supervisor.get(proposal.server)),
    )


LIST_APPROVALS = Operation(
    name="list_approvals",
    title="List what waits for a yes",
    description=(
        "Shows what was proposed (new servers, changes that widen one) and waits for the person's yes: the whole "
        "command line, variables, folder. Only the person can decide, with `roundhouse approve` in a "
        "terminal; tell them what waits and why."
    ),
    input=Nothing,
    output=Approvals,
    effects=Effects(reads_only=True, destroys=False, idempotent=True, open_world=False),
    role=Role.READ,
    handler=_list,
)

APPROVE = Operation(
    name="approve",
    title="Approve",
    description="A person's yes to one proposal: exactly what it shows may run from now on.",
    input=Which,
    output=Decided,
    effects=Effects(reads_only=False, destroys=False, idempotent=False, open_world=True),
    role=Role.MANAGE,
    handler=_approve,
    person_only=True,
)

DENY = Operation(
    name="deny",
    title="Deny",
    description="A person's no to one proposal: what it asks for does not happen.",
    input=Which,
    output=Decided,
    effects=Effects(reads_only=False, destroys=False, idempotent=False, open_world=False),
    role=Role.MANAGE,
    handler=_deny,
    person_only=True,
)
