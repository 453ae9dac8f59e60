"""Newline-delimited frames out of a byte stream: bounded in memory, linear in time, indifferent to what the bytes say.

A line above the limit is never held. It is reported twice: once when the limit is crossed, with its first bytes (so the
call it answers can fail at once), and once when its newline comes, with its last bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGE_LIMIT = 8 * 1024 * 1024  # bytes in one message; what the MCP SDKs' HTTP bodies and real results stay below
HEAD = 4096  # bytes kept from the beginning of an overlong line: room for an id behind a long method or token
TAIL = 256  # bytes kept from its end: TypeScript servers put the id last
ENDLESS = 16  # times the limit without a newline: this is no longer a message but a broken stream


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line above the limit. `tail` is None while it has not ended; `endless` when it never seems to."""

    head: bytes
    tail: bytes | None
    size: int
    endless: bool = False


Frame = bytes | Overlong


class LineSplitter:
    """Feed it chunks, get whole lines without their newline. Blank lines are dropped."""

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self.limit = limit
        self._line = bytearray()  # what is kept of the line so far
        self._size = 0  # of the line so far, kept or not
        self._head: bytes | None = None  # set while inside an overlong line
        self._tail = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The lines that `data` completes, in order, and reports of overlong ones."""
        frames: list[Frame] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._size or len(line) > self.limit:
                self._keep(line, frames)
                self._finish(frames)
            elif line and not line.isspace():
                frames.append(line)
        if rest:
            self._keep(rest, frames)
        return frames

    def end(self) -> list[Frame]:
        """The stream has ended: its last line, if that came without a newline."""
        frames: list[Frame] = []
        if self._size:
            self._finish(frames)
        return frames

    def _keep(self, part: bytes, frames: list[Frame]) -> None:
        before, self._size = self._size, self._size + len(part)
        if self._head is None:
            self._line += part
            if self._size <= self.limit:
                return
            self._head, self._tail = bytes(self._line[:HEAD]), bytes(self._line[-TAIL:])
            self._line = bytearray()
            frames.append(Overlong(self._head, None, self._size))
        else:
            self._tail = (self._tail + part[-TAIL:])[-TAIL:]
        end = ENDLESS * self.limit
        if before <= end < self._size:
            frames.append(Overlong(self._head, None, self._size, endless=True))

    def _finish(self, frames: list[Frame]) -> None:
        if self._head is not None:
            frames.append(Overlong(self._head, self._tail, self._size))
        else:
            line = bytes(self._line)
            if line and not line.isspace():
                frames.append(line)
        self._line = bytearray()
        self._size, self._head, self._tail = 0, None, b""
