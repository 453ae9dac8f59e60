"""Disks that are really full: a small file system of our own, or a limit on the size of files."""

from __future__ import annotations

import errno
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

SIZE = 3 * 1024 * 1024  # bytes of the small file system


class Disk(Protocol):
    folder: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class SmallDisk:
    """A tmpfs, filled by a file that takes all that is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while ballast.write(b"x" * size):
                        pass

    def free(self) -> None:
        self._ballast.unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)


class LimitedFiles:
    """No file may grow: the system refuses it with EFBIG, as it refuses with EDQUOT what is above a quota."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, self._before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A file system of `SIZE` bytes; the test is skipped where we may not mount one."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, check=False).returncode == 0
    except OSError as error:
        mounted = error.errno != errno.ENOENT
    if not mounted:
        pytest.skip("this process may not mount a file system")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def only_readable(file: Path) -> Iterator[None]:
    """A file that can be opened for reading only, in a folder that can be written. On a disk of our own."""
    subprocess.run(["mount", "--bind", file, file], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", file], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", file], check=True)


@contextmanager
def limited_files(folder: Path) -> Iterator[LimitedFiles]:
    """Any folder, whose files can be kept from growing."""
    folder.mkdir()
    disk = LimitedFiles(folder)
    try:
        yield disk
    finally:
        disk.free()
