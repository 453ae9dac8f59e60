"""What a server says on stderr: the last mebibyte of it, in lines, clean enough to show."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from itertools import chain, islice

from roundhouse.model.text import clean

RING = 1024 * 1024  # bytes kept per server
READ_SIZE = 64 * 1024
LONGEST_LINE = 4096  # bytes; a longer one is cut into several, so that one endless line cannot hide the rest
LINE_OVERHEAD = 50  # bytes a kept line costs besides its text, so that a flood of empty lines is bounded too
LAST_LINES = 5  # shown with every error


class StderrRing:
    """Reads a child's stderr for as long as anybody writes to it, over all the lives of one server."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._part = b""
        self._fds: set[int] = set()
        self._kept = 0  # lines, ever; a line that was cut counts as its pieces
        self._begun = 0  # lines there were when the current process started

    def follow(self, fd: int) -> None:
        """Own and read the descriptor of a process that starts now, until its end. Needs the running event loop."""
        self._end_part()
        self._begun = self._kept
        os.set_blocking(fd, False)
        self._fds.add(fd)
        asyncio.get_running_loop().add_reader(fd, self._read, fd)

    def release(self, fd: int) -> None:
        """Take what is there, then stop reading: whoever still holds the other end has no reader any more."""
        while fd in self._fds and self._read(fd):
            pass
        self._close(fd)

    def last(self, count: int) -> list[str]:
        """The last lines, oldest first, without blank ones, escape sequences and invisible characters."""
        self._catch_up()
        return self._shown(count, among=len(self._lines) + 1)

    def last_words(self) -> list[str]:
        """The last few lines of the current process, or of the last one there was: what belongs into an error."""
        self._catch_up()
        return self._shown(LAST_LINES, among=self._kept - self._begun + bool(self._part))

    def _catch_up(self) -> None:
        """What a process wrote just before it went may not have been read yet."""
        for fd in tuple(self._fds):
            self._read(fd)

    def _shown(self, count: int, among: int) -> list[str]:
        """The last `count` lines with something to see, among so many last ones."""
        newest_first = chain([self._part] if self._part else [], reversed(self._lines))
        seen = (clean(line.decode(errors="replace")).rstrip() for line in islice(newest_first, among))
        return list(islice(filter(None, seen), count))[::-1]

    def _read(self, fd: int) -> bool:
        try:
            data = os.read(fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self._close(fd)
            return False
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            self._keep(line)
        while len(self._part) > LONGEST_LINE:
            end = _cut(self._part)
            self._add(self._part[:end])
            self._part = self._part[end:]
        return True

    def _end_part(self) -> None:
        """A process may go in the middle of a line; the next one begins a new one."""
        if self._part:
            self._keep(self._part)
            self._part = b""

    def _keep(self, line: bytes) -> None:
        while len(line) > LONGEST_LINE:
            end = _cut(line)
            self._add(line[:end])
            line = line[end:]
        self._add(line)

    def _add(self, piece: bytes) -> None:
        self._kept += 1
        self._lines.append(piece)
        self._size += len(piece) + LINE_OVERHEAD
        while self._size > RING:
            self._size -= len(self._lines.popleft()) + LINE_OVERHEAD

    def _close(self, fd: int) -> None:
        if fd in self._fds:
            self._fds.discard(fd)
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)


def _cut(line: bytes) -> int:
    """Where to cut a line that is too long: not inside a character."""
    end = LONGEST_LINE
    while end > LONGEST_LINE - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return end
