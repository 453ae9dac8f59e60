"""A database with a thread of its own. When `write` returns, what was written is on the disk, whole.

What stands in the way is mended where it can be: a damaged file is replaced by its newest backup, a file that somebody
else replaced is opened again, a disk that was full is tried every few seconds. `notes` has what a person must know.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiosqlite
import anyio
from anyio import to_thread

from roundhouse.errors import INVALID_PARAMS, BadMessage, RoundhouseError, StoreBusy, StoreReadOnly
from roundhouse.store import backups
from roundhouse.store.failures import Failure, failure, words
from roundhouse.store.file import Identity, Place, identity
from roundhouse.store.mend import Opened, open_place, set_aside_before

BACKUP_AFTER = 60.0  # seconds after a change; all that follow it within that time are in the same backup
LAST_BACKUP = 1.5  # seconds a backup may take when we leave; a store of 1 MB takes 10 ms
PROBE_EVERY = 2.0  # seconds between two attempts to write what cannot be written

Value = str | int | float | None
Batch = tuple[str, Iterable[Sequence[Value]]]
Parameters = Sequence[Value] | Mapping[str, Value]
T = TypeVar("T")
Work = Callable[[aiosqlite.Connection], Awaitable[T]]

_FAILURES = (sqlite3.Error, UnicodeEncodeError)

logger = logging.getLogger(__name__)
logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # at DEBUG it logs every statement with its values


@dataclass(frozen=True, slots=True)
class Note:
    """What a person must know about the store. `at`: since when, in seconds since the epoch."""

    at: float
    text: str


class Database:
    """One file, one connection, one statement or transaction at a time."""

    def __init__(self, place: Place, connection: aiosqlite.Connection, opened: Opened, notes: Iterable[str]) -> None:
        self._place = place
        self._turn = anyio.Lock()
        self._connection: aiosqlite.Connection | None = None
        self._notes = _dated(notes)
        self._stuck: Note | None = None  # what was said when it could not be written
        self._is_stuck = anyio.Event()
        self._unsaved: Note | None = None  # what was said when no backup could be made
        self._changed = anyio.Event()  # since the last backup
        self._take(connection, opened)
        if _changed_since_backup(place):
            self._changed.set()

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was damaged, what cannot be written now. Empty when all is well."""
        return (*self._notes, *filter(None, (self._stuck, self._unsaved)))

    async def read(self, sql: str, *values: Value, **named: Value) -> list[sqlite3.Row]:
        """The rows of one query.

        Raises:
            StoreBusy: another process has kept the file locked.
        """
        return await self._do(lambda connection: _rows(connection, sql, named or values), writes=False)

    async def write(self, sql: str, *values: Value, **named: Value) -> list[sqlite3.Row]:
        """Carry out one statement. Returns: the rows of its RETURNING.

        Raises:
            StoreReadOnly: the disk does not take it.
            StoreBusy: another process has kept the file locked.
            BadMessage: it breaks a rule of the table.
        """
        return await self._do(lambda connection: _rows(connection, sql, named or values), writes=True)

    async def write_together(self, *batches: Batch) -> None:
        """Carry out statements, each once for every row of values: all or nothing. Raises what `write` raises.

        Args:
            batches: the rows are asked for on the database's thread, and once more if the file had to be mended.
        """
        await self._do(lambda connection: _together(connection, batches), writes=True)

    async def keep(self) -> None:
        """Back up after changes, and try again what could not be written. Runs until it is cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._try_while_stuck)
            if self._place.backups:
                tasks.start_soon(self._back_up_after_changes)

    async def back_up(self) -> None:
        """Make a backup now. Where it cannot be made, `notes` says so, and `keep` tries again."""
        if self._opened.unwritable or not self._place.backups:
            return
        self._changed = anyio.Event()
        backed_up = self._opened.identity
        try:
            await to_thread.run_sync(backups.make, self._place, abandon_on_cancel=True)
        except (OSError, sqlite3.Error, RoundhouseError) as error:
            self._changed.set()
            if failure(error) is Failure.DAMAGED:
                await self._replace(backed_up, words(error))
            elif not self._unsaved:
                self._unsaved = Note(time.time(), f"No backup of {self._place.path} can be made: {words(error)}.")
                logger.warning("%s", self._unsaved.text)
        else:
            self._unsaved = None

    async def close(self) -> None:
        """Close the file, then back up what changed since the last backup."""
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await self._let_go()
            if self._changed.is_set() and self._place.backups and not self._opened.unwritable:
                with anyio.move_on_after(LAST_BACKUP), suppress(OSError, sqlite3.Error, RoundhouseError):
                    await to_thread.run_sync(backups.make, self._place, abandon_on_cancel=True)

    async def _do(self, work: Work[T], *, writes: bool) -> T:
        """Do `work`, whole even where the caller is cancelled; once more where what stood in its way was mended."""
        async with self._turn:
            with anyio.CancelScope(shield=True):
                result = await self._do_mending(work, writes)
        return result

    async def _do_mending(self, work: Work[T], writes: bool) -> T:
        connection = self._connection
        if connection is None or self._is_another_file() or (writes and self._opened.unwritable):
            connection = await self._reopen()
        try:
            return await self._attempt(work, connection, writes)
        except _FAILURES as error:
            if failure(error) is Failure.DAMAGED:
                connection = await self._reopen(damaged=words(error))
            elif _is_for_reading(error) and not self._opened.unwritable:
                connection = await self._reopen()
            else:
                raise self._said(error, writes) from error
        try:
            return await self._attempt(work, connection, writes)
        except _FAILURES as error:
            raise self._said(error, writes) from error

    async def _attempt(self, work: Work[T], connection: aiosqlite.Connection, writes: bool) -> T:
        try:
            result = await work(connection)
        except BaseException:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    await connection.execute("ROLLBACK")
            raise
        if writes:
            self._has_written()
        return result

    async def _replace(self, known: Identity | None, damaged: str) -> None:
        """Mend the file, unless that was done since somebody found it damaged."""
        async with self._turn:
            with anyio.CancelScope(shield=True):
                if self._opened.identity == known:
                    await self._reopen(damaged)

    async def _reopen(self, damaged: str = "") -> aiosqlite.Connection:
        """Close the connection and open what is there now, or what has to be put there."""
        await self._let_go()
        connection, opened = await _connect(self._place, damaged, self._opened.identity)
        self._take(connection, opened)
        return connection

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                await connection.close()

    def _take(self, connection: aiosqlite.Connection, opened: Opened) -> None:
        """This connection from now on; what it took to get it is said once."""
        self._connection, self._opened = connection, opened
        if opened.unwritable:
            self._is_unwritable(" ".join(opened.notes))
        else:
            self._notes += _dated(opened.notes)
            for note in opened.notes:
                logger.error("%s", note)

    def _is_another_file(self) -> bool:
        """Whether the file is not the one that is open: somebody mended it, restored it, deleted it."""
        known = self._opened.identity
        return known is not None and self._place.path is not None and identity(self._place.path) != known

    def _said(self, error: Exception, writes: bool) -> Exception:
        """What the caller is told."""
        match failure(error):
            case Failure.UNWRITABLE if writes:
                said = StoreReadOnly(self._place.path, self._opened.unwritable or words(error))
                self._is_unwritable(str(said))
                return said
            case Failure.HELD:
                return StoreBusy(self._place.path, self._place.patience)
            case Failure.UNFIT:
                return BadMessage(f"It cannot be kept: {words(error)}.", number=INVALID_PARAMS)
            case _:
                return error

    def _is_unwritable(self, note: str) -> None:
        if not self._stuck:
            self._stuck = Note(time.time(), note)
            self._is_stuck.set()
            logger.error("%s", note)

    def _has_written(self) -> None:
        self._changed.set()
        if self._stuck:
            self._stuck = None
            self._is_stuck = anyio.Event()
            logger.warning("%s can be written again", self._place.path)

    async def _back_up_after_changes(self) -> None:
        while True:
            await self._changed.wait()
            await anyio.sleep(BACKUP_AFTER)
            await self.back_up()

    async def _try_while_stuck(self) -> None:
        while True:
            await self._is_stuck.wait()
            await anyio.sleep(PROBE_EVERY)
            with suppress(RoundhouseError):
                (row,) = await self.read("PRAGMA user_version")
                await self.write(f"PRAGMA user_version = {row[0]}")  # the smallest thing that is written


async def open_database(place: Place) -> Database:
    """Open a database, or mend it, or begin it. See `mend`.

    Raises:
        StoreTooNew: a newer Roundhouse wrote it.
        StoreBusy: another process opens it, and does not come to an end.
    """
    earlier = list(set_aside_before(place.path)) if place.path else []
    with anyio.CancelScope(shield=True):  # bounded; a connection that was just opened must not be lost
        connection, opened = await _connect(place)
    return Database(place, connection, opened, earlier)


async def _connect(
    place: Place, damaged: str = "", known: Identity | None = None
) -> tuple[aiosqlite.Connection, Opened]:
    """Opening reads and waits, so all of it happens on the thread of the connection."""
    outcome: list[Opened | Exception] = []

    def connector() -> sqlite3.Connection:
        try:
            opened = open_place(place, damaged=damaged, known=known)
        except Exception as error:  # aiosqlite would leave the thread of a connector that fails to itself
            outcome.append(error)
            return sqlite3.connect(":memory:")
        outcome.append(opened)
        return opened.connection

    connection = await aiosqlite.Connection(connector, iter_chunk_size=1)
    (opened,) = outcome
    if isinstance(opened, Exception):
        await connection.close()
        raise opened
    return connection, opened


async def _rows(connection: aiosqlite.Connection, sql: str, parameters: Parameters) -> list[sqlite3.Row]:
    """In autocommit mode a statement is committed when its last row was fetched: here, in one hop to the thread."""
    return list(await connection.execute_fetchall(sql, parameters))


async def _together(connection: aiosqlite.Connection, batches: Sequence[Batch]) -> None:
    await connection.execute("BEGIN IMMEDIATE")
    for sql, rows in batches:
        await connection.executemany(sql, rows)
    await connection.execute("COMMIT")


def _is_for_reading(error: Exception) -> bool:
    """When it was opened, it could only be opened for reading, or it was replaced since: now may be different."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY


def _dated(texts: Iterable[str]) -> tuple[Note, ...]:
    return tuple(Note(time.time(), text) for text in texts)


def _changed_since_backup(place: Place) -> bool:
    """Whether a process that was killed left facts that no backup has."""
    if place.path is None or place.backups is None:
        return False
    made = [_modified(place.backups / name) for name in backups.listed(place)[-1:]]
    written = max(_modified(place.path), _modified(Path(f"{place.path}-wal")))
    return not made or written > made[0]


def _modified(path: Path) -> float:
    """When it was; an empty log, which opening makes, never was."""
    with suppress(OSError):
        status = path.stat()
        return status.st_mtime if status.st_size else 0.0
    return 0.0
