"""A database is opened whatever became of its file, and what that took is said.

A damaged file is set aside and the newest good backup put in its place. A file that cannot be written is read into
memory. Nothing is ever deleted, and nothing begins anew in silence.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from roundhouse.store import backups
from roundhouse.store.failures import Failure, failure, words
from roundhouse.store.file import (
    PATIENCE,
    Identity,
    Place,
    accept,
    alone,
    bring_up,
    connect,
    identity,
    make_private,
    sync,
)

SUFFIXES = ("-wal", "-shm", "")  # the log first: beside another file it would be taken for that one's
READABLE_STAMP = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection, and what it took to get it.

    Attributes:
        identity: of the file; `None` where the connection has none.
        notes: what a person has to be told.
        unwritable: why this is only a copy in memory; empty for a file.
    """

    connection: sqlite3.Connection
    identity: Identity | None
    notes: tuple[str, ...] = ()
    unwritable: str = ""


def open_place(place: Place, *, damaged: str = "", known: Identity | None = None) -> Opened:
    """Open, mend or begin a database. Blocks; its connection belongs to this thread.

    Args:
        damaged: what was found wrong with the file of the identity `known` while it was in use.

    Raises:
        StoreTooNew, StoreBusy: nothing was touched.
    """
    if place.path is None:
        return Opened(connect(place), None)
    try:
        place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(place.path, PATIENCE):
            return _open_alone(place, place.path, damaged if identity(place.path) == known else "")
    except (OSError, sqlite3.Error) as error:
        if failure(error) is not Failure.UNWRITABLE:
            raise
        return _in_memory(place, place.path, words(error))


def set_aside_before(path: Path) -> Iterator[str]:
    """The damage of an earlier day is told of for as long as its file is there."""
    with suppress(OSError):
        for name in sorted(os.listdir(path.parent)):
            if name.startswith(f"{path.name}.corrupt-") and not name.endswith(("-wal", "-shm")):
                yield f"{path.parent / name} was damaged and set aside earlier. If nothing is missing, delete it."


def _open_alone(place: Place, path: Path, damaged: str) -> Opened:
    notes: list[str] = []
    if damaged:
        notes.append(_replace(place, path, f"is damaged ({damaged})"))
    elif lost := _lost(place, path):
        notes.append(_replace(place, path, lost))
    try:
        connection = connect(place)
    except sqlite3.DatabaseError as error:
        if failure(error) is not Failure.DAMAGED:
            raise
        notes.append(_replace(place, path, f"is damaged ({words(error)})"))
        connection = connect(place)
    return Opened(connection, identity(path), tuple(notes))


def _lost(place: Place, path: Path) -> str:
    """Whether there should be a file: somebody deleted it, or was killed while putting a backup in its place."""
    if not backups.listed(place):
        return ""
    if not path.exists():
        return "was gone"
    return "" if path.stat().st_size else "was empty"


def _replace(place: Place, path: Path, what: str) -> str:
    """Set the file aside and put the newest good backup in its place, or nothing. Returns what a person must know."""
    backup = backups.newest_good(place)
    if backup:
        fresh = path.with_name(f"{path.name}.restoring")  # under the lock there is only one
        try:
            make_private(fresh)
            shutil.copyfile(backup, fresh)
            sync(fresh)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
    aside = _set_aside(path)
    if backup:
        os.replace(fresh, path)
    sync(path.parent)
    return " ".join([f"{path} {what}.", *_fate(aside), _outcome(place, backup)])


def _set_aside(path: Path) -> Path | None:
    """Rename the file and those beside it. Returns its new name, if there was one."""
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC).strftime(backups.STAMP)}")
    for suffix in SUFFIXES:
        try:
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
        except FileNotFoundError:
            continue
    return aside if aside.exists() else None


def _fate(aside: Path | None) -> Iterator[str]:
    if aside:
        yield f"It was set aside as {aside.name}."


def _outcome(place: Place, backup: Path | None) -> str:
    if backup:
        return f"The backup of {_when(backup)} was put in its place: what was recorded after that is lost."
    if place.backups:
        return "There is no backup that could be restored: it begins anew, empty, and everything must be added again."
    return "It begins anew: the history before this is lost, nothing else."


def _when(backup: Path) -> str:
    stamp = backup.stem.rpartition("-")[2]
    return datetime.strptime(stamp, backups.STAMP).replace(tzinfo=UTC).strftime(READABLE_STAMP)


def _in_memory(place: Place, path: Path, why: str) -> Opened:
    """What can be read, in a database that takes nothing."""
    memory, source = _copy(place, path)
    memory.execute("PRAGMA query_only = ON")
    read = f"{source} was read" if source else "nothing could be read from it"
    note = f"{path} cannot be opened for writing ({why}): {read}, and nothing new is kept until it can be written."
    return Opened(memory, None, (note,), unwritable=why)


def _copy(place: Place, path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """The first source that is sound, in memory; or an empty database."""
    sources: list[tuple[Path, Callable[[Path], sqlite3.Connection]]] = []
    if place.backups and path.exists():
        sources += [(path, _open_reading), (path, _open_exclusively)]
    if backup := backups.newest_good(place):
        sources.append((backup, backups.open_still))
    for source, way in sources:
        with suppress(sqlite3.Error), closing(way(source)) as connection:
            return _into_memory(place, connection), source
    return _into_memory(place, None), None


def _into_memory(place: Place, source: sqlite3.Connection | None) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        memory.row_factory = sqlite3.Row
        if source:
            source.backup(memory)
        accept(memory, place)
        bring_up(memory, place)
    except BaseException:
        memory.close()
        raise
    return memory


def _open_reading(path: Path) -> sqlite3.Connection:
    """With the log beside it, where its shared index is there too."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)


def _open_exclusively(path: Path) -> sqlite3.Connection:
    """With the log beside it, its index in memory: for a disk that has no room for one."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection
