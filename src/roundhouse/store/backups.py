"""Copies of the facts: made whole or not at all, checked before they count, five of them kept."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from roundhouse.errors import StoreTooNew
from roundhouse.store.file import LITTLE_PATIENCE, Place, alone, check, make_private, sync
from roundhouse.store.schema import version

KEPT = 5
NEWEST_KEPT = 2  # besides them the last one of each earlier day, so that a busy hour does not push yesterday out
STAMP = "%Y%m%dT%H%M%S.%fZ"

_NAME = re.compile(r".+-(?P<day>\d{8})T\d{6}\.\d{6}Z\.db")


def make(place: Place) -> Path:
    """Back the file up while others read and write it.

    Returns: the backup.

    Raises:
        OSError, sqlite3.Error: there is none; the file may be damaged, see `failures.failure`.
        StoreBusy: another process mends or backs up.
    """
    if place.path is None or place.backups is None:
        raise ValueError(f"{place.path} is not kept")
    with alone(place.path, LITTLE_PATIENCE):  # it can be made a minute later as well
        place.backups.mkdir(mode=0o700, exist_ok=True)
        part = place.backups / f"{place.path.stem}.part"  # under the lock there is only one
        part.unlink(missing_ok=True)
        try:
            make_private(part)
            _copy(place.path, part, place.patience)
            sync(part)
            backup = place.backups / f"{place.path.stem}-{datetime.now(UTC).strftime(STAMP)}.db"
            os.replace(part, backup)
        finally:
            part.unlink(missing_ok=True)
        for name in superfluous(listed(place)):
            (place.backups / name).unlink(missing_ok=True)
        sync(place.backups)
        return backup


def newest_good(place: Place) -> Path | None:
    """The newest backup that can be restored.

    Raises:
        StoreTooNew: it was written by a newer Roundhouse; an older one would lose too much to be taken silently.
    """
    for name in reversed(listed(place)):
        backup = place.backups / name if place.backups else Path(name)
        try:
            with closing(open_still(backup)) as connection:
                check(connection)
                found = version(connection)
        except sqlite3.Error:
            continue
        if found > place.steps[-1].number:
            raise StoreTooNew(backup, found, place.steps[-1].number)
        if found:
            return backup
    return None


def listed(place: Place) -> list[str]:
    """The names of all backups, good or not, oldest first."""
    if place.path is None or place.backups is None or not place.backups.is_dir():
        return []
    prefix = f"{place.path.stem}-"
    return sorted(name for name in os.listdir(place.backups) if name.startswith(prefix) and _NAME.fullmatch(name))


def superfluous(names: Sequence[str]) -> list[str]:
    """Which of these backups, oldest first, need not be kept."""
    newest_first = sorted(names, reverse=True)
    older = newest_first[NEWEST_KEPT:]
    days = {day(name) for name in newest_first[:NEWEST_KEPT]}
    last_of_each_day = [next(group) for key, group in groupby(older, key=day) if key not in days]
    kept = {*newest_first[:NEWEST_KEPT], *last_of_each_day[: KEPT - NEWEST_KEPT]}
    return [name for name in names if name not in kept]


def day(name: str) -> str:
    """`20260131` of a backup's name."""
    found = _NAME.fullmatch(name)
    return found["day"] if found else ""


def open_still(path: Path) -> sqlite3.Connection:
    """A file that nobody writes, read without a lock and without anything beside it."""
    return sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True, isolation_level=None)


def _copy(path: Path, part: Path, patience: float) -> None:
    """`VACUUM INTO` reads every row, so what cannot be read is noticed here, and what was deleted is not copied."""
    source = f"{path.as_uri()}?mode=rw"
    with closing(sqlite3.connect(source, uri=True, timeout=patience, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(part),))
    with closing(open_still(part)) as connection:
        check(connection)
