"""Measurements on their way to the disk: noted at once, written in batches, dropped and counted where too many wait.

Nobody waits for a measurement. One that was noted and not written yet, at most a second's worth, goes with a crash.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from roundhouse.errors import RoundhouseError, StoreReadOnly
from roundhouse.model.calls import CallFinished
from roundhouse.store import calls, health, states
from roundhouse.store.database import Database, Value
from roundhouse.store.health import Sample
from roundhouse.store.payloads import Payloads, Redact
from roundhouse.store.states import StateChange

MOST_WAITING = 10_000  # rows of each kind
MOST_BYTES = 32 * 1024 * 1024  # of arguments and results that wait
FLUSH_EVERY = 1.0  # seconds; what a crash may cost
BATCH = 500  # rows of each kind in one transaction
SHARE = 0.2  # of the time may go into writing: a flood of calls is logged in part, and not slowed down
CLOSING = 1.5  # seconds for what is left when we leave

Measurement = CallFinished | Sample | StateChange

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Queue:
    """The measurements of one kind that wait, and how they are written."""

    insert: str
    values: Callable[[Any], Sequence[Value]]  # of one measurement of its kind
    waiting: deque[Measurement] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that are made, and redacted, where they are written: on the database's thread, not on the event loop."""

    measurements: Sequence[Measurement]
    values: Callable[[Any], Sequence[Value]]

    def __iter__(self) -> Iterator[Sequence[Value]]:
        return map(self.values, self.measurements)


class Journal:
    """Takes measurements and writes them.

    Attributes:
        dropped: how many were noted and not kept.
    """

    def __init__(self, database: Database, *, redact: Redact, log_payloads: Payloads = Payloads.FULL) -> None:
        redact, how = _careful(redact), Payloads(log_payloads)
        self.dropped = 0
        self._database = database
        self._queues: dict[type, _Queue] = {
            CallFinished: _Queue(calls.INSERT, lambda call: calls.values(call, redact, how)),
            Sample: _Queue(health.INSERT, lambda sample: health.values(sample, redact)),
            StateChange: _Queue(states.INSERT, lambda change: states.values(change, redact)),
        }
        self._bytes = 0  # of arguments and results that wait
        self._some = anyio.Event()
        self._enough = anyio.Event()

    def note(self, measurement: Measurement) -> None:
        """Keep this. Never waits; where too many wait already it is dropped and counted."""
        waiting = self._queues[type(measurement)].waiting
        if len(waiting) >= MOST_WAITING or self._bytes >= MOST_BYTES:
            self.dropped += 1
            return
        if type(measurement) is CallFinished:
            self._bytes += len(measurement.arguments) + len(measurement.result)
        waiting.append(measurement)
        if len(waiting) == 1:
            self._some.set()
        elif len(waiting) == BATCH:
            self._enough.set()

    async def run(self) -> None:
        """Write what was noted, each second or 500 rows, until it is cancelled."""
        while True:
            await self._some.wait()
            with anyio.move_on_after(FLUSH_EVERY):
                await self._enough.wait()
            begun = time.monotonic()
            await self.flush()
            await anyio.sleep((time.monotonic() - begun) * (1 / SHARE - 1))

    async def flush(self) -> None:
        """Write one batch. What the disk does not take is dropped and counted."""
        batch = self._take()
        count = sum(len(rows.measurements) for _, rows in batch)
        if not count:
            return
        try:
            with anyio.CancelScope(shield=True):  # these are in no queue any more
                await self._database.write_together(*batch)
        except (RoundhouseError, sqlite3.Error) as error:
            self.dropped += count
            if not isinstance(error, StoreReadOnly):  # of which the database has told, once
                logger.warning("%d measurements were dropped: %s", count, error)

    async def close(self) -> None:
        """Write what waits, for at most `CLOSING` seconds; the rest is dropped."""
        with anyio.move_on_after(CLOSING, shield=True):
            while self._waiting():
                await self.flush()
        self.dropped += self._waiting()

    def _waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def _take(self) -> list[tuple[str, _Rows]]:
        batch = []
        for queue in self._queues.values():
            taken = [queue.waiting.popleft() for _ in range(min(BATCH, len(queue.waiting)))]
            batch.append((queue.insert, _Rows(taken, queue.values)))
            self._bytes -= sum(len(one.arguments) + len(one.result) for one in taken if type(one) is CallFinished)
        self._some, self._enough = anyio.Event(), anyio.Event()
        if self._waiting():
            self._some.set()
            self._enough.set()
        return batch


def _careful(redact: Redact) -> Redact:
    """What cannot be redacted is not kept."""

    def careful(text: str) -> str:
        try:
            return redact(text)
        except Exception:
            logger.exception("a text could not be redacted, and is not kept")
            return "(not kept: it could not be redacted)"

    return careful
