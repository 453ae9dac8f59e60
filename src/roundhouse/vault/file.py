"""Values in a file that only its owner can read: whole at every moment, and for several processes at once.

It is not encrypted: a key beside it would protect nothing, and a password would have to be typed at every start.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roundhouse.vault.errors import VaultTrouble

VERSION = 1
LOCK_PATIENCE = 5.0  # seconds for other writers to finish; each takes milliseconds
LOCK_POLL = 0.02  # seconds; a lock that is waited for in the kernel could be got when nobody wants it any more


class SecretsFile:
    """`secrets.json` and its lock. Its methods block: call them in a thread.

    All raise `VaultTrouble` where the file cannot be read or written, or where others could.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_suffix(".lock")
        self._next = path.with_suffix(".json.tmp")

    def get(self, name: str) -> str | None:
        return self._read().get(name)

    def set(self, name: str, value: str) -> None:
        with self._alone():
            self._write({**self._read(), name: value})

    def remove(self, name: str) -> bool:
        """Returns whether it was there. A file that is not there is not made for this."""
        if not os.path.lexists(self.path):
            return False
        with self._alone():
            secrets = self._read()
            if name not in secrets:
                return False
            del secrets[name]
            self._write(secrets)
            return True

    def _read(self) -> dict[str, str]:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        except OSError as bad:
            why = "it is a symbolic link; put the file itself there" if bad.errno == errno.ELOOP else bad.strerror
            raise VaultTrouble(f"{self.path} cannot be read: {why}.") from None
        try:
            self._refuse_shared(os.fstat(fd))
            with open(fd, "rb", closefd=False) as file:
                data = file.read()
        except OSError as bad:
            raise VaultTrouble(f"{self.path} cannot be read: {bad.strerror}.") from None
        finally:
            os.close(fd)
        return self._parsed(data)

    def _refuse_shared(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise VaultTrouble(f"{self.path} is no file. Move it away; Roundhouse will make its own.")
        if found.st_uid != os.geteuid():
            raise VaultTrouble(
                f"{self.path} belongs to the user {found.st_uid}, and Roundhouse runs as {os.geteuid()}. "
                "Run it as that user, or move the file away and set the secrets again."
            )
        if found.st_mode & 0o077:
            raise VaultTrouble(
                f"{self.path} can be read or written by others (mode {stat.S_IMODE(found.st_mode):04o}). "
                f"Run `chmod 600 {self.path}`; if others may have read it, renew the secrets in it."
            )

    def _parsed(self, data: bytes) -> dict[str, str]:
        try:
            document = json.loads(data)
            version, secrets = document["version"], document["secrets"]
            readable = all(isinstance(value, str) for value in secrets.values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            readable = version = False
        if readable and version != VERSION:
            raise VaultTrouble(
                f"{self.path} was written by another version of Roundhouse ({version}). Run that, or a newer one."
            )
        if not readable:
            raise VaultTrouble(
                f"{self.path} is damaged. Restore it from a backup, or move it away and set the secrets again."
            )
        return dict(secrets)

    def _write(self, secrets: dict[str, str]) -> None:
        """Under the lock. A name of its own is enough for the next file: what a killed writer left is thrown away."""
        data = json.dumps({"version": VERSION, "secrets": secrets}, indent=1).encode()
        try:
            self._next.unlink(missing_ok=True)
            fd = os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            self._next.replace(self.path)
            self._sync_folder()
        except OSError as bad:
            self._next.unlink(missing_ok=True)
            raise VaultTrouble(
                f"{self.path} cannot be written: {bad.strerror}. What it held before is unharmed."
            ) from None

    def _sync_folder(self) -> None:
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process writes meanwhile. The lock is a file of its own, because the other one is replaced."""
        try:
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as bad:
            raise VaultTrouble(f"{self._lock} cannot be opened: {bad.strerror}.") from None
        try:
            self._acquire(fd)
            yield
        finally:
            os.close(fd)

    def _acquire(self, fd: int) -> None:
        until = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise VaultTrouble(
                        f"Another process has held {self._lock} for {LOCK_PATIENCE:.0f} s. "
                        f"End it (`fuser {self._lock}` names it), and try again."
                    ) from None
                time.sleep(LOCK_POLL)
            else:
                return
