"""What a failure of SQLite means for us: the file is damaged, cannot be written, or is held by somebody. Pure."""

from __future__ import annotations

import errno
import sqlite3
from enum import Enum, auto

# Not only "full" and "read-only": a used-up quota, a limit of file sizes or a failing disk arrive as I/O errors, and a
# disk without room for the shared index as "unable to open".
_UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNFIT = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE_HOME = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),  # the disk
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR),  # the folder
}
_NOT_UTF8 = "Could not decode to UTF-8"  # the rest of Python's message is the text itself, which nobody may see


class Damaged(sqlite3.DatabaseError):
    """A check of ours found what SQLite had not noticed yet."""


class Failure(Enum):
    """What kinds there are."""

    DAMAGED = auto()
    UNWRITABLE = auto()
    HELD = auto()
    UNFIT = auto()  # what should be kept breaks a rule of the table
    OTHER = auto()


def failure(error: BaseException) -> Failure:
    """What kind of failure this is."""
    if isinstance(error, Damaged) or str(error).startswith(_NOT_UTF8):
        return Failure.DAMAGED
    if isinstance(error, UnicodeEncodeError):
        return Failure.UNFIT
    if isinstance(error, sqlite3.Error):
        return _of_code(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, OSError) and error.errno in _UNWRITABLE_HOME:
        return Failure.UNWRITABLE
    return Failure.OTHER


def words(error: BaseException) -> str:
    """The failure, fit to be shown."""
    if str(error).startswith(_NOT_UTF8):
        return "a text in it is not UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair is no character"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _of_code(code: int) -> Failure:
    if code in _DAMAGED:
        return Failure.DAMAGED
    if code in _UNWRITABLE:
        return Failure.UNWRITABLE
    if code in _UNFIT:
        return Failure.UNFIT
    return Failure.HELD if code in _HELD else Failure.OTHER
