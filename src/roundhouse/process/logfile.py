"""A server's log on disk: what it says on stderr, a line with its time, in one file and the one before it.

Written in batches by a thread, so that a slow disk delays nobody. What the disk does not take is dropped.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from pathlib import Path

LARGEST = 5 * 1024 * 1024  # bytes of a file; there are two
WAITING = 1024 * 1024  # bytes on their way to the disk; a server that says more is said to have
DELAY = 0.2  # seconds in which lines are collected


class LogFile:
    """Appends to `path`. Made on the event loop; needs it only while there is something to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._due = False

    def add(self, line: bytes) -> None:
        """Take a line without its newline. Never waits."""
        if self._size > WAITING:
            self._dropped += 1
            return
        self._waiting.append(line)
        self._size += len(line)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(DELAY, self._flush)

    def _flush(self) -> None:
        lines, self._waiting, self._size, self._due = self._waiting, deque(), 0, False
        if self._dropped:
            lines.append(b"roundhouse: %d lines were dropped here, it said too much at once" % self._dropped)
            self._dropped = 0
        asyncio.get_running_loop().run_in_executor(None, self._write, lines)

    def _write(self, lines: deque[bytes]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%S ").encode()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with open(fd, "ab") as file:
                file.write(b"".join(at + line + b"\n" for line in lines))
                if file.tell() > LARGEST:
                    os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
        except OSError:  # a full or read-only disk: the last lines are in memory all the same
            pass
