"""What is said on stderr: the last mebibyte of what a server says there, and our own log, which never waits."""

from __future__ import annotations

import asyncio
import logging
import os
import select
from collections import deque
from collections.abc import Callable
from itertools import chain, islice

from roundhouse.model.text import clean

RING = 1024 * 1024  # bytes kept per server
READ_SIZE = 64 * 1024
LAST_CHUNKS = 32  # read at the end; more only comes when somebody writes on
LONGEST_LINE = 4096  # bytes; a longer one is cut into several, so that one endless line cannot hide the rest
MARGIN = 4096  # bytes of a line that goes on, kept together with what follows: a secret must be seen whole
LINE_OVERHEAD = 50  # bytes a kept line costs besides its text, so that a flood of empty lines is bounded too
LAST_LINES = 5  # shown with every error


class LogHandler(logging.Handler):
    """Our own log, on our stderr, which a client may have stopped reading: a line that would block is dropped.

    The descriptor stays blocking, because it may be the client's terminal. A pipe that is ready takes a line of this
    length whole.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.redact: Callable[[str], str] = str  # takes out what no log may hold
        self._fd = fd
        self._dropped = 0
        self._ready = select.poll()
        self._ready.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, if it can be written at once."""
        if not any(events & select.POLLOUT for _, events in self._ready.poll(0)):
            self._dropped += 1
            return
        note = f" ({self._dropped} lines before this were dropped)" if self._dropped else ""
        said = self.redact(self.format(record))
        line = clean(f"roundhouse: {said}{note}").encode(errors="replace")[: LONGEST_LINE - 1] + b"\n"
        try:
            os.write(self._fd, line)
        except OSError:
            self._dropped += 1
        else:
            self._dropped = 0


def redact_logs(redact: Callable[[str], str]) -> None:
    """From now on no line of our own log holds what `redact` takes out."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogHandler):
            handler.redact = redact


class StderrRing:
    """Reads a child's stderr for as long as anybody writes to it, over all the lives of one server.

    Args:
        redact: takes out what nobody may see, before anything is kept.
        kept: called with every line that is kept.
    """

    def __init__(self, redact: Callable[[bytes], bytes], kept: Callable[[bytes], None]) -> None:
        self._redact = redact
        self._told = kept
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
        for _ in range(LAST_CHUNKS):
            if fd not in self._fds or not self._read(fd):
                break
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
        newest_first = chain([self._redact(self._part)] if self._part else [], reversed(self._lines))
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
        if len(self._part) > LONGEST_LINE + MARGIN:
            self._part = self._redact(self._part)
        while len(self._part) > LONGEST_LINE + MARGIN:
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
        line = self._redact(line)
        while len(line) > LONGEST_LINE:
            end = _cut(line)
            self._add(line[:end])
            line = line[end:]
        self._add(line)

    def _add(self, piece: bytes) -> None:
        self._kept += 1
        self._told(piece)
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
