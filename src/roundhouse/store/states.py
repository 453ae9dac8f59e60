"""How the instances of servers came from state to state, for a week."""

from __future__ import annotations

from dataclasses import dataclass

from roundhouse.store.database import Database, Value
from roundhouse.store.ids import new_id
from roundhouse.store.payloads import Redact, plain
from roundhouse.store.row import Row

MOST_CHANGES = 1000  # in one answer: more than a server that crashes all day makes

INSERT = """
    INSERT INTO states (id, server, instance, at, before, after, event, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_HISTORY = """
    SELECT * FROM (SELECT * FROM states WHERE server = ? AND at >= ? ORDER BY at DESC, id DESC LIMIT ?) AS newest
    ORDER BY at, id
"""


@dataclass(frozen=True, slots=True)
class StateChange(Row):
    """One instance went from one state to another.

    Attributes:
        instance: the key of the instance.
        at: seconds since the epoch.
        event: what led to it, see the table of states.
        reason: in words.
    """

    server: str
    instance: str
    at: float
    before: str
    after: str
    event: str
    reason: str = ""


class States:
    """What changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, server: str, since: float) -> list[StateChange]:
        """The changes of all instances of a server, the oldest first; of very many the last `MOST_CHANGES`.

        Args:
            since: seconds since the epoch.
        """
        return [StateChange.from_row(row) for row in await self._database.read(_HISTORY, server, since, MOST_CHANGES)]


def values(change: StateChange, redact: Redact) -> tuple[Value, ...]:
    """The values of `INSERT`."""
    return (
        *(new_id(), plain(change.server), plain(change.instance), change.at, change.before, change.after),
        *(change.event, plain(redact(change.reason))),
    )
