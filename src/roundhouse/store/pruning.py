"""Measurements do not grow for ever: a week, and 200 MB. In small steps, so that nobody waits for them.

What was deleted is room for what comes: the file stays as large as it once was. To make it smaller would move page by
page what is behind, eight seconds for 50 MB.
"""

from __future__ import annotations

import time

from roundhouse.store.database import Database

KEPT_FOR = 7 * 24 * 3600.0  # seconds
LARGEST = 200 * 1024 * 1024  # bytes of the file, without what is free in it
STEP = 500  # rows at a time; with 32 KiB each that is 16 MB, a twentieth of a second

# What is oldest goes first, and calls before the rest: they are what is large.
_OLDEST = (
    "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE started < ? ORDER BY started LIMIT ?) RETURNING 1",
    "DELETE FROM health WHERE id IN (SELECT id FROM health WHERE at < ? ORDER BY at LIMIT ?) RETURNING 1",
    "DELETE FROM states WHERE id IN (SELECT id FROM states WHERE at < ? ORDER BY at LIMIT ?) RETURNING 1",
)
_EVER = 1e12  # seconds since the epoch; nothing is younger


async def prune(database: Database, largest: int = LARGEST) -> None:
    """Delete what is too old, and of the rest the oldest until the file is small enough.

    Raises:
        StoreReadOnly, StoreBusy: there is still too much.
    """
    before = time.time() - KEPT_FOR
    for oldest in _OLDEST:
        while await database.write(oldest, before, STEP):
            pass
    for oldest in _OLDEST:
        while await _size(database) > largest and await database.write(oldest, _EVER, STEP):
            pass


async def _size(database: Database) -> int:
    """Bytes in use."""
    used = await _pragma(database, "page_count") - await _pragma(database, "freelist_count")
    return used * await _pragma(database, "page_size")


async def _pragma(database: Database, name: str) -> int:
    (row,) = await database.read(f"PRAGMA {name}")
    return int(row[0])
