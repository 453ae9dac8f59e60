"""One database file: made private, opened, checked, brought to the newest form.

Nothing here opens the file itself but SQLite: a descriptor of ours that is closed would take SQLite's locks with it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from roundhouse.errors import StoreBusy, StoreTooNew
from roundhouse.store.failures import Damaged
from roundhouse.store.schema import Migration, migrate, names, names_after, version

PATIENCE = 10.0  # seconds one process waits for another that writes a fact; each takes milliseconds
LITTLE_PATIENCE = 1.0  # seconds for measurements, which are rather dropped than waited for
CHECKED_AT_OPEN = 64 * 1024 * 1024  # bytes; a larger file takes more than 30 ms, and its backups are checked anyway
LARGEST_LOG = 16 * 1024 * 1024  # bytes the write-ahead log is cut back to once its content has moved on
LOCK_POLL = 0.005  # seconds between two looks at a lock that somebody holds

Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is, and how it is treated.

    Attributes:
        path: absolute; `None` for one in memory, which goes with its connection.
        steps: what leads from an empty file to the form this Roundhouse knows.
        backups: the folder of its backups. What has none can be lost: it is neither checked nor waited for.
    """

    path: Path | None
    steps: Sequence[Migration]
    backups: Path | None = None

    @property
    def patience(self) -> float:
        return PATIENCE if self.backups else LITTLE_PATIENCE


@contextmanager
def alone(path: Path, patience: float) -> Iterator[None]:
    """One process at a time opens, mends or backs up. The lock goes with its holder, however that one ends.

    Args:
        patience: seconds to wait for another one.

    Raises:
        StoreBusy: somebody held it all the time.
        OSError: there is no writing here.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        give_up = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise StoreBusy(path, patience) from None
                time.sleep(LOCK_POLL)
        yield
    finally:
        os.close(lock)


def connect(place: Place) -> sqlite3.Connection:
    """The file, sound and in the newest form; an empty one where there is none.

    Raises:
        sqlite3.Error: see `failures.failure`.
        StoreTooNew: the file is left as it is.
    """
    if place.path is None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
    else:
        make_private(place.path)
        connection = sqlite3.connect(
            f"{place.path.as_uri()}?mode=rw", uri=True, timeout=place.patience, isolation_level=None
        )
    try:
        connection.row_factory = sqlite3.Row
        accept(connection, place)
        _set_up(connection, place)
        bring_up(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


def accept(connection: sqlite3.Connection, place: Place) -> None:
    """Refuse what is damaged or newer than we are. Writes nothing."""
    connection.execute("PRAGMA cell_size_check = ON")  # damage is found where it is met, not somewhere behind it
    if place.backups:
        size = _pragma(connection, "page_count") * _pragma(connection, "page_size")
        if size <= CHECKED_AT_OPEN:
            check(connection)
    found = version(connection)
    newest = place.steps[-1].number
    if found > newest:
        raise StoreTooNew(place.path, found, newest)
    if found == 0 and names(connection):
        raise Damaged("its number is gone")


def bring_up(connection: sqlite3.Connection, place: Place) -> None:
    """Take the steps that are missing, and look whether all is there that they lead to."""
    migrate(connection, place.steps)
    if missing := names_after(place.steps) - names(connection):
        table, column = min(missing)
        raise Damaged(f"{table}.{column} is gone")


def check(connection: sqlite3.Connection) -> None:
    """Every page of every table, about 3 GB a second.

    Raises:
        sqlite3.DatabaseError: it is damaged.
    """
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Damaged(found.replace("\n", " "))


def make_private(path: Path) -> None:
    """Only its owner may read it. Where there is no file there is an empty one afterwards.

    SQLite gives the files beside a database the mode of the database.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if os.stat(path).st_mode & 0o077:
        os.chmod(path, 0o600)


def identity(path: Path) -> Identity | None:
    """Which file this is; another one of the same name has another identity."""
    with suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_up(connection: sqlite3.Connection, place: Place) -> None:
    facts = bool(place.backups)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit is on the disk. NORMAL loses the last second at a power cut, and nothing when a process dies.
    connection.execute("PRAGMA synchronous = FULL" if facts else "PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    # What is deleted is overwritten; in measurements only where that costs no writing, they are redacted already.
    connection.execute("PRAGMA secure_delete = ON" if facts else "PRAGMA secure_delete = FAST")
    connection.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    number: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return number
