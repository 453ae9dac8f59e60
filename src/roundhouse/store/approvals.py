"""What was proposed, and what a person said to it. A yes is to one digest, and holds until it is withdrawn."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from roundhouse.errors import INVALID_PARAMS, NotFound, RoundhouseError, TooLarge
from roundhouse.store.database import Database
from roundhouse.store.ids import new_id
from roundhouse.store.row import LOCAL, Row

MOST_PENDING = 100  # proposals; nobody reads more, and a model in a loop could make a million
LARGEST_PROPOSAL = 256 * 1024  # characters; what is shown to a person in full cannot be longer than one would read
CLOSED_KEPT = 500  # denied and withdrawn ones, the last decided

_PROPOSE = """
    INSERT INTO approvals (id, tenant, owner, server, digest, proposal, asked_by, state, asked_at)
    SELECT ?, ?, ?, ?, ?, ?, ?, 'pending', ?
    WHERE (SELECT count(*) FROM approvals WHERE tenant = ? AND state = 'pending') < ?
       OR EXISTS (SELECT 1 FROM approvals WHERE tenant = ? AND server = ? AND digest = ? AND state = 'pending')
    ON CONFLICT (tenant, server, digest) WHERE state = 'pending' DO UPDATE SET asked_at = approvals.asked_at
    RETURNING *
"""
_DECIDE = """
    UPDATE approvals SET state = ?, decided_at = ?, decided_by = ?
    WHERE tenant = ? AND id = ? AND state = 'pending' RETURNING *
"""
_APPROVE = """
    INSERT INTO approvals
        (id, tenant, owner, server, digest, proposal, asked_by, state, asked_at, decided_at, decided_by)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'approved', ?, ?, ?)
"""
_SUPERSEDE = """
    UPDATE approvals SET state = 'withdrawn' WHERE tenant = ? AND server = ? AND id <> ? AND state = 'approved'
"""
_GET = "SELECT * FROM approvals WHERE tenant = ? AND id = ?"
_PENDING = "SELECT * FROM approvals WHERE tenant = ? AND state = 'pending' ORDER BY asked_at, id"
_STANDING = """
    SELECT * FROM approvals WHERE tenant = ? AND state IN ('pending', 'approved', 'denied')
    ORDER BY coalesce(decided_at, asked_at), id
"""
_RETRACT = """
    UPDATE approvals SET state = 'withdrawn', decided_at = ? WHERE tenant = ? AND id = ? AND state = 'pending'
"""
_WITHDRAW = """
    UPDATE approvals SET state = 'withdrawn', decided_at = ?
    WHERE tenant = ? AND server = ? AND state IN ('pending', 'approved')
"""
_FORGET_OLDEST = """
    DELETE FROM approvals WHERE tenant = ? AND state IN ('denied', 'withdrawn') AND id NOT IN (
        SELECT id FROM approvals WHERE tenant = ? AND state IN ('denied', 'withdrawn')
        ORDER BY decided_at DESC, id DESC LIMIT ?)
"""


class State(StrEnum):
    """What became of a proposal."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"  # its server was removed or changed


class TooManyPending(RoundhouseError):
    """A person has more to decide already than anybody reads."""

    code = "RH_TOO_MANY_PENDING"

    def __init__(self) -> None:
        super().__init__(
            f"{MOST_PENDING} proposals wait for a person already, so this one was not kept. A person approves or "
            "denies them with `roundhouse approve` and `roundhouse deny`; then ask again.",
            pending=MOST_PENDING,
        )


class AlreadyDecided(RoundhouseError):
    """A proposal is not pending any more, whatever was seen of it before."""

    code = "RH_ALREADY_DECIDED"
    number = INVALID_PARAMS

    def __init__(self, approval: Approval) -> None:
        super().__init__(
            f"The proposal {approval.id} for {approval.server!r} is {approval.state} already, and stays so. "
            "`list_approvals` shows what is pending.",
            approval=approval.id,
            server=approval.server,
            state=approval.state,
        )


@dataclass(frozen=True, slots=True)
class Approval(Row):
    """A proposal and what was said to it.

    Attributes:
        digest: of the launch that is asked for; exactly this may happen, and nothing else.
        proposal: a JSON object, what a person is shown. Names of secrets, never values.
        asked_at, decided_at: seconds since the epoch.
    """

    id: str
    tenant: str
    owner: str
    server: str
    digest: str
    proposal: str
    asked_by: str
    state: str
    asked_at: float
    decided_at: float | None
    decided_by: str | None


class Approvals:
    """The proposals of one tenant."""

    def __init__(self, database: Database, tenant: str = LOCAL) -> None:
        self._database = database
        self._tenant = tenant

    async def propose(self, server: str, digest: str, proposal: str, asked_by: str) -> Approval:
        """Ask a person. Returns: the proposal; the one that is pending already, where the same was asked before.

        Raises:
            TooManyPending: it was not kept.
            TooLarge: no person could read it.
            StoreReadOnly, StoreBusy: it was not kept.
        """
        _check_size(server, proposal)
        rows = await self._database.write(
            _PROPOSE,
            *(new_id(), self._tenant, LOCAL, server, digest, proposal, asked_by, time.time()),
            *(self._tenant, MOST_PENDING),
            *(self._tenant, server, digest),
        )
        if not rows:
            raise TooManyPending
        return Approval.from_row(rows[0])

    async def decide(self, approval: str, *, approved: bool, by: str) -> Approval:
        """A person's yes or no to a pending proposal. Two that decide at once: the first is heard.

        Args:
            approval: its id.

        Raises:
            NotFound: there is no such proposal.
            AlreadyDecided: it is not pending.
            StoreReadOnly, StoreBusy: it is still pending.
        """
        state = State.APPROVED if approved else State.DENIED
        if rows := await self._database.write(_DECIDE, state, time.time(), by, self._tenant, approval):
            return Approval.from_row(rows[0])
        if rows := await self._database.read(_GET, self._tenant, approval):
            raise AlreadyDecided(Approval.from_row(rows[0]))
        raise NotFound("proposal", approval, hint="`list_approvals` shows what is pending.")

    async def approve_now(self, server: str, digest: str, proposal: str, by: str) -> Approval:
        """What a person asks for is approved as it is asked: it waits for nobody, however many proposals do.

        Raises:
            TooLarge: no person could read it.
            StoreReadOnly, StoreBusy: it was not kept.
        """
        _check_size(server, proposal)
        key, now = new_id(), time.time()
        row = (key, self._tenant, LOCAL, server, digest, proposal, by, now, now, by)
        await self._database.write_together((_APPROVE, [row]), (_SUPERSEDE, [(self._tenant, server, key)]))
        return Approval(key, self._tenant, LOCAL, server, digest, proposal, by, State.APPROVED, now, now, by)

    async def supersede(self, approval: Approval) -> None:
        """Only this yes to its server holds from now on.

        Raises:
            StoreReadOnly, StoreBusy: earlier ones hold as well.
        """
        await self._database.write(_SUPERSEDE, self._tenant, approval.server, approval.id)

    async def pending(self) -> list[Approval]:
        """What waits for a person, the oldest first."""
        return [Approval.from_row(row) for row in await self._database.read(_PENDING, self._tenant)]

    async def standing(self) -> list[Approval]:
        """What waits, and what was decided and not withdrawn since; the last decision last."""
        return [Approval.from_row(row) for row in await self._database.read(_STANDING, self._tenant)]

    async def retract(self, approval: str) -> None:
        """Nobody asks for this any more: something else is asked in its place.

        Raises:
            StoreReadOnly, StoreBusy: it is still pending.
        """
        await self._database.write(_RETRACT, time.time(), self._tenant, approval)

    async def withdraw(self, server: str) -> None:
        """Nothing is approved or asked for a server any more: it was removed, or begins anew.

        Raises:
            StoreReadOnly, StoreBusy: all is as it was.
        """
        await self._database.write_together(
            (_WITHDRAW, [(time.time(), self._tenant, server)]),
            (_FORGET_OLDEST, [(self._tenant, self._tenant, CLOSED_KEPT)]),
        )


def _check_size(server: str, proposal: str) -> None:
    if len(proposal) > LARGEST_PROPOSAL:
        raise TooLarge(
            f"The proposal for {server!r} has {len(proposal)} characters; a person is shown at most "
            f"{LARGEST_PROPOSAL}. Put what is long into a file.",
            server=server,
        )
