"""The call log: who called what, how long it took and what became of it, for a week."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from roundhouse.model.calls import CallFinished
from roundhouse.store.database import Database, Value
from roundhouse.store.ids import new_id
from roundhouse.store.payloads import Payloads, Redact, payload, plain
from roundhouse.store.row import LOCAL, Row

INSERT = """
    INSERT INTO calls (id, tenant, owner, server, tool, client, started, duration_ms, outcome, code, bytes_in,
        bytes_out, arguments, result)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_RECENT = "SELECT * FROM calls ORDER BY started DESC LIMIT ?"
_RECENT_OF = "SELECT * FROM calls WHERE server = ? ORDER BY started DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class Call(Row):
    """One call, as it is remembered.

    Attributes:
        started: seconds since the epoch.
        duration_ms: from the door to the answer.
        outcome: "ok", "tool_error" (the tool said so itself) or "error" (there was no result).
        code: of the error.
        bytes_in, bytes_out: of the arguments and the result, whole.
        arguments, result: redacted, the first 16 KiB at most.
    """

    id: str
    tenant: str
    owner: str
    server: str
    tool: str
    client: str
    started: float
    duration_ms: float
    outcome: str
    code: str
    bytes_in: int
    bytes_out: int
    arguments: str
    result: str


class Calls:
    """What was called."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recent(self, server: str | None = None, limit: int = 100) -> list[Call]:
        """The last calls, of one server or of all, the newest first."""
        if server is None:
            rows = await self._database.read(_RECENT, limit)
        else:
            rows = await self._database.read(_RECENT_OF, server, limit)
        return [Call.from_row(row) for row in rows]


def values(call: CallFinished, redact: Redact, how: Payloads) -> tuple[Value, ...]:
    """The values of `INSERT`."""
    return (
        *(new_id(), LOCAL, LOCAL, plain(call.server), plain(_tool(call.tool)), plain(call.client)),
        *(call.started, 1000 * call.seconds, call.outcome, plain(call.code), call.sent, call.received),
        payload(call.arguments, call.sent, redact, how),
        payload(call.result, call.received, redact, how),
    )


def _tool(name: bytes) -> str:
    try:
        return msgspec.json.decode(name, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return name.decode(errors="replace")
