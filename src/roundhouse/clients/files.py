"""A file of somebody else: read whole, and replaced whole or not at all.

The new content is written beside the old file, synced, given the old one's mode and owner, and renamed over it. So at
every moment, also at a kill or with a full disk, there is the old file or the new one. Before that the old content is
kept in a backup only its owner may read.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from roundhouse.errors import BadConfiguration, RoundhouseError
from roundhouse.settings.document import LONGEST_FILE

PRIVATE = 0o600  # these files often hold tokens
_BOM = "\ufeff"


class NotInstalled(RoundhouseError):
    """Another client's file could not be changed. It is as it was."""

    code = "RH_NOT_INSTALLED"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file at a moment; `data` is None where there is none."""

    path: Path
    data: bytes | None = field(repr=False)

    @property
    def text(self) -> str:
        """Its text, without a byte order mark. Raises: `BadConfiguration` where it is not UTF-8."""
        try:
            return (self.data or b"").decode().removeprefix(_BOM)
        except UnicodeDecodeError as bad:
            line = bad.object.count(b"\n", 0, bad.start) + 1
            begin = bad.object.rfind(b"\n", 0, bad.start) + 1
            column = len(bad.object[begin : bad.start].decode().removeprefix(_BOM)) + 1
            wrong = f"byte {bad.object[bad.start]:#04x} is not UTF-8"
            raise BadConfiguration(f"{self.path}, line {line}, column {column}: {wrong}.") from None

    def encoded(self, text: str) -> bytes:
        """The bytes of a new text, with a byte order mark where this file has one."""
        mark = _BOM if (self.data or b"").startswith(_BOM.encode()) else ""
        return (mark + text).encode()


def snapshot(path: Path) -> Snapshot:
    """What a file holds now. Raises: `BadConfiguration` where it cannot be read or is too large."""
    try:
        data = _content(path)
    except (OSError, ValueError) as bad:  # ValueError: a NUL in the path
        raise BadConfiguration(f"{path} cannot be read: {getattr(bad, 'strerror', None) or bad}.") from None
    if data is not None and len(data) > LONGEST_FILE:
        raise BadConfiguration(f"{path} is larger than {LONGEST_FILE:,} bytes; that is no configuration.")
    return Snapshot(path, data)


def replace(old: Snapshot, data: bytes) -> Path | None:
    """Put new content in the place of a file, or make it and its folders. A link stays, and what it names is replaced.

    Args:
        old: what it is supposed to hold until now.

    Returns: the backup of the old content, where there was a file.

    Raises: `NotInstalled` when it cannot be written, or does not hold any more what it held.
    """
    path = Path(os.path.realpath(old.path))
    made: list[Path] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        rights = path.stat() if old.data is not None else None
        backup = _backup(path, old.data, rights, made) if old.data is not None else None
        draft = _draft(path, data, rights, made)
        if _content(path) != old.data:
            raise NotInstalled(
                f"{old.path} was changed by somebody else at this moment, and was left alone. Close the program it "
                "belongs to, or try again."
            )
        os.replace(draft, path)
        made.clear()
    except OSError as bad:
        why = bad.strerror or bad
        raise NotInstalled(f"{old.path} cannot be written: {why}. It is as it was; mend that and try again.") from None
    finally:
        for file in made:
            file.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return backup


def _content(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would keep us for ever
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadConfiguration(f"{path} is no file.")
            return file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        return None


def _backup(path: Path, data: bytes, rights: os.stat_result | None, made: list[Path]) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    backup = path.with_name(f"{path.name}.roundhouse-backup-{moment}")
    descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    made.append(backup)
    _fill(descriptor, data, rights, PRIVATE)
    return backup


def _draft(path: Path, data: bytes, rights: os.stat_result | None, made: list[Path]) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.roundhouse-", dir=path.parent)
    made.append(Path(name))
    _fill(descriptor, data, rights, stat.S_IMODE(rights.st_mode) if rights else PRIVATE)
    return Path(name)


def _fill(descriptor: int, data: bytes, rights: os.stat_result | None, mode: int) -> None:
    """Write, hand to the old file's owner, sync, close."""
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        own = os.fstat(descriptor)
        if rights and (rights.st_uid, rights.st_gid) != (own.st_uid, own.st_gid):
            os.fchown(descriptor, rights.st_uid, rights.st_gid)
        os.fchmod(descriptor, mode)  # after the owner: a change of owner takes bits away
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Let the rename outlive a loss of power. Some file systems have no such thing; the file is there all the same."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
