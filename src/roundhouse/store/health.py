"""How the instances of servers were, sample by sample, for a week."""

from __future__ import annotations

from dataclasses import dataclass

from roundhouse.store.database import Database, Value
from roundhouse.store.ids import new_id
from roundhouse.store.payloads import Redact, plain
from roundhouse.store.row import Row

MOST_SAMPLES = 10_000  # in one answer: what one instance gives in a week, a minute apart

INSERT = """
    INSERT INTO health (id, server, instance, at, state, ping_ms, rss_bytes, cpu_percent, fds, children, verdict,
        reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_HISTORY = """
    SELECT * FROM (SELECT * FROM health WHERE server = ? AND at >= ? ORDER BY at DESC LIMIT ?) AS newest ORDER BY at
"""


@dataclass(frozen=True, slots=True)
class Sample(Row):
    """How one instance was at one moment. What could not be measured is `None`.

    Attributes:
        instance: the key of the instance.
        at: seconds since the epoch.
        ping_ms: how long it took to answer.
        rss_bytes, cpu_percent, fds: of the process; of one core.
        children: processes below it.
        verdict, reason: what that means, in a word and in words.
    """

    server: str
    instance: str
    at: float
    state: str
    verdict: str
    reason: str = ""
    ping_ms: float | None = None
    rss_bytes: int | None = None
    cpu_percent: float | None = None
    fds: int | None = None
    children: int | None = None


class Health:
    """What was measured."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, server: str, since: float) -> list[Sample]:
        """The samples of all instances of a server, the oldest first; of very many the last `MOST_SAMPLES`.

        Args:
            since: seconds since the epoch.
        """
        return [Sample.from_row(row) for row in await self._database.read(_HISTORY, server, since, MOST_SAMPLES)]


def values(sample: Sample, redact: Redact) -> tuple[Value, ...]:
    """The values of `INSERT`."""
    return (
        *(new_id(), plain(sample.server), plain(sample.instance), sample.at, sample.state),
        *(sample.ping_ms, sample.rss_bytes, sample.cpu_percent, sample.fds, sample.children),
        *(sample.verdict, plain(redact(sample.reason))),
    )
