"""A pipe read as frames and a pipe written in batches, on the event loop's own thread.

What a chunk of input causes, up to 500 frames of it, is written when they have been handled, in one system call per
pipe (a *turn*): a single call is not delayed, and sixty-four in flight share their writes. A reader whose turns fill a
pipe that applies back-pressure stops reading until that pipe has drained. A pipe is a pipe, socket or terminal; a
regular file or /dev/null, which no event loop can wait for, is read through a thread.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import math
import os
import select
import stat
import struct
import termios
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from types import TracebackType

from roundhouse.wire.envelope import Parts, Raws
from roundhouse.wire.framing import MESSAGE_LIMIT, Frame, LineSplitter

logger = logging.getLogger(__name__)

FAIR_SHARE = 500  # frames of one chunk handled before others have their turn; a chunk can hold 30,000 tiny ones
READ_SIZE = 64 * 1024  # bytes; what a pipe holds, and small enough for the allocator to reuse
JOIN_BELOW = 64 * 1024  # bytes; smaller batches are cheaper to copy into one buffer than to hand over in pieces
PIECES = 512  # buffers a writev may take; half of Linux's limit
LAST_CHUNKS = 32  # read of a process that has gone; more only comes when somebody it left writes on
HIGH_WATER = 256 * 1024  # queued bytes at which sources are asked to pause: what waits here delays everybody's answers
LOW_WATER = 64 * 1024  # and at which they may go on


class Turn:
    """A share of a chunk of input and all that it causes. Writers note themselves here and are flushed at its end."""

    def __init__(self) -> None:
        self.writers: list[PipeWriter] = []
        self.open = False

    def __enter__(self) -> Turn:
        self.open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.open = False
        writers, self.writers = self.writers, []
        for writer in writers:
            writer.flush()


class PipeWriter:
    """The only writer of a descriptor.

    Args:
        fd: owned from here on; made non-blocking; closed by `close`.
        broken: called once when the other side has gone.
        back_pressure: whether turns that fill it should stop their source. True towards the only client there is, whose
            slowness is its own; False where others would suffer: towards a server, whose slowness must not stop the
            client's calls to others (its queue is bounded by the peer), and towards one of several clients.
        limit: queued bytes above which the other side is given up as one that does not read.
    """

    def __init__(
        self,
        fd: int,
        turn: Turn,
        *,
        broken: Callable[[], None],
        back_pressure: bool = False,
        limit: float = math.inf,
    ) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._turn = turn
        self._broken: Callable[[], None] | None = broken
        self._queue: deque[Raws | memoryview] = deque()
        self._dirty = False  # a flush is due: at the end of the turn, or with the loop's next round
        self._blocked = False  # the pipe is full; the loop will say when it is not
        self._drained: list[Callable[[], None]] = []
        self._is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)
        if self._is_pipe:  # a pipe whose reader has gone becomes readable: seen without having to write
            self._loop.add_reader(fd, self._lose)
        self.back_pressure = back_pressure
        self._limit = limit
        self.queued = 0  # bytes
        self.accepted = 0  # bytes, ever

    def read_by_other(self) -> int:
        """How many of the bytes written so far are not in the pipe any more: somebody has read them."""
        in_pipe = 0
        if self._fd >= 0 and self._is_pipe:
            in_pipe = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, b"\0\0\0\0"))[0]
        return self.accepted - self.queued - in_pipe

    def write(self, parts: Parts, size: int) -> None:
        """Queue one whole message (`size` bytes in `parts`, newline included). Never blocks, never fails."""
        self.queued += size
        self.accepted += size
        if self._broken is None:
            return
        if self.queued > self._limit:
            self._loop.call_soon(self._lose)
            return
        self._queue += parts
        if self._dirty:
            return
        if self._turn.open:
            self._dirty = True
            self._turn.writers.append(self)
        elif not self._blocked:
            self._dirty = True
            self._loop.call_soon(self.flush)

    def has_reader(self) -> bool:
        """Whether anybody holds the other end of the pipe."""
        poll = select.poll()
        poll.register(self._fd, 0)
        return not any(events & select.POLLERR for _, events in poll.poll(0))

    def when_drained(self, resume: Callable[[], None]) -> None:
        """Call `resume` once the queue is below `LOW_WATER`, or the pipe is gone."""
        self._drained.append(resume)

    def flush(self) -> None:
        """Write what the pipe takes now; the loop writes the rest."""
        self._dirty = False
        if self._blocked or self._broken is None or not self._queue:
            return
        try:
            self._push()
        except BlockingIOError:
            self._blocked = True
            self._loop.add_writer(self._fd, self._writable)
        except OSError:
            self._lose()

    def close(self) -> None:
        """Close the descriptor. What is still queued is lost."""
        if self._fd < 0:
            return
        self._give_up()
        os.close(self._fd)
        self._fd = -1
        self._queue.clear()

    def _push(self) -> None:
        while self._queue:
            if self.queued <= JOIN_BELOW:
                data = self._queue[0] if len(self._queue) == 1 else b"".join(self._queue)
                written = os.write(self._fd, data)
                if written == self.queued:
                    self._queue.clear()
                    self.queued = 0
                    return
                self._queue = deque([memoryview(data)[written:]])
                self.queued -= written
                continue
            written = os.writev(self._fd, list(islice(self._queue, PIECES)))
            self.queued -= written
            while self._queue and written >= len(self._queue[0]):
                written -= len(self._queue.popleft())
            if written:
                self._queue[0] = memoryview(self._queue[0])[written:]

    def _writable(self) -> None:
        try:
            self._push()
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
            return
        else:
            self._blocked = False
            self._loop.remove_writer(self._fd)
        if self.queued <= LOW_WATER:
            self._release()

    def _release(self) -> None:
        drained, self._drained = self._drained, []
        for resume in drained:
            resume()

    def _lose(self) -> None:
        told = self._broken
        self._give_up()
        if told:
            told()

    def _give_up(self) -> None:
        """Write nothing any more. The descriptor stays: it can still tell what was read."""
        if self._broken is None:
            return
        self._broken = None
        if self._blocked:
            self._loop.remove_writer(self._fd)
        if self._is_pipe:
            self._loop.remove_reader(self._fd)
        self._release()


class PipeReader:
    """Reads a descriptor as frames and hands each to `received`, up to `FAIR_SHARE` a turn.

    Args:
        fd: owned from here on; made non-blocking; closed by `close`.
        received: one frame. What it raises is logged and loses that frame only.
        ended: called once, at the end of the stream.
        answers: where answers to this side go, also those that are written later: who does not read them is not read.
    """

    def __init__(
        self,
        fd: int,
        turn: Turn,
        *,
        received: Callable[[Frame], None],
        ended: Callable[[], None],
        limit: int = MESSAGE_LIMIT,
        answers: PipeWriter | None = None,
    ) -> None:
        self._answers = answers
        self._fd = pollable(fd)
        os.set_blocking(self._fd, False)
        self._loop = asyncio.get_running_loop()
        self._turn = turn
        self._received = received
        self._ended: Callable[[], None] | None = ended
        self._lines = LineSplitter(limit)
        self._frames: deque[Frame] = deque()  # read, and not handled yet
        self._due = False  # more of them will be handled with the loop's next round
        self._paused = False
        self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Stop reading and close the descriptor."""
        if self._fd < 0:
            return
        if not self._paused:
            self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._ended = None

    def drain(self) -> None:
        """Handle what is in the pipe already: the last words of a process that has gone."""
        for _ in range(LAST_CHUNKS):
            self._handle(len(self._frames))
            if self._fd < 0 or not self._fill():
                break
        self._handle(len(self._frames))

    def _readable(self) -> None:
        if self._frames or self._fill():
            self._handle(FAIR_SHARE)
        if self._frames and not self._due:
            self._due = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._due = False
        if self._fd >= 0 and not self._paused:
            self._readable()

    def _fill(self) -> bool:
        """Read a chunk. Returns whether there was one; the end of the stream is told."""
        try:
            data = os.read(self._fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # a terminal that hung up, a socket that was reset
            data = b""
        if not data:
            self._frames.extend(self._lines.end())
            self._handle(len(self._frames))
            told = self._ended
            self.close()
            if told:
                told()
            return False
        self._frames.extend(self._lines.feed(data))
        return True

    def _handle(self, share: int) -> None:
        """One turn: up to so many frames, and what they cause."""
        with self._turn as turn:
            for _ in range(min(share, len(self._frames))):
                try:
                    self._received(self._frames.popleft())
                except Exception:
                    logger.exception("a message was lost: handling it failed")
            touched = turn.writers
        full = next((w for w in touched if w.back_pressure and w.queued >= HIGH_WATER), None)
        if self._answers and self._answers.queued >= HIGH_WATER:
            full = self._answers
        if full and self._fd >= 0 and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._fd)
            full.when_drained(self._resume)

    def _resume(self) -> None:
        if self._fd >= 0 and self._paused:
            self._paused = False
            self._loop.add_reader(self._fd, self._readable)
            self._go_on()


def pollable(fd: int) -> int:
    """`fd`, or the reading end of a pipe that a thread copies it into, where an event loop could not wait for it."""
    try:
        with select.epoll() as probe:
            probe.register(fd, select.EPOLLIN)
    except PermissionError:
        out, into = os.pipe()
        threading.Thread(target=_copy, args=(fd, into), daemon=True, name="stdin-file").start()
        return out
    except AttributeError:  # no epoll on this system: its own poller takes files as well
        pass
    return fd


def _copy(source: int, into: int) -> None:
    try:
        while data := os.read(source, READ_SIZE):
            view = memoryview(data)
            while view:
                view = view[os.write(into, view) :]
    except OSError:  # the reader has gone, or the file cannot be read any further: both end the stream
        pass
    finally:
        os.close(into)
        os.close(source)
