"""The door of the house: a Unix socket on which fronts, the command line and a successor present themselves.

Who is let in is of the same user, has said a hello of the right number in time, and is not refused. A visitor that
says nothing, too much or nonsense costs one descriptor for `HELLO_TIMEOUT` and nothing else.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from roundhouse.rendezvous import (
    HELLO,
    HELLO_LIMIT,
    HELLO_TIMEOUT,
    Place,
    address,
    bind_socket,
    peer,
    remove_socket,
)
from roundhouse.wire.framing import Frame
from roundhouse.wire.stdio import PipeReader, PipeWriter, Turn

logger = logging.getLogger(__name__)

VISITORS = 256  # at once; more is a client that starts fronts in a loop
ACCEPT_SHARE = 16  # connections accepted before others have their turn
ACCEPT_PAUSE = 1.0  # seconds without accepting once the process has no descriptor left; spinning would not free one
FLUSH_POLL = 0.02  # seconds; only looked at while a visitor leaves
KINDS = ("front", "cli", "successor")

UNREAD_LIMIT = 24 * 1024 * 1024  # bytes a visitor may leave unread; what it makes us wait, it makes all others wait


@dataclass(frozen=True, slots=True)
class Hello:
    """What a visitor says of itself.

    Attributes:
        inside: the mark of the house in which it runs, as a server's process, if it runs in one.
    """

    kind: str
    version: str
    pid: int
    cwd: str | None
    inside: str | None


class Visitor:
    """Somebody who was let in. Opens at once for writing; for reading with `listen`.

    Attributes:
        prefix: what the ids of our own requests to it begin with. No other connection, to this house or another, has
            the same: a client's late answer to a house that is gone is never taken for an answer to this one.
    """

    def __init__(
        self, reading: int, writing: int, hello: Hello, turn: Turn, number: int, gone: Callable[[Visitor], None]
    ) -> None:
        self.kind, self.version, self.pid, self.cwd = hello.kind, hello.version, hello.pid, hello.cwd
        self.prefix = f"rh-{os.getpid()}.{number}-"
        self._fd = reading  # until there is a reader that owns it
        self._turn = turn
        self._gone: Callable[[Visitor], None] | None = gone
        self._left: Callable[[], None] | None = None
        self._has_left = False
        self._is_deaf = False
        self._reader: PipeReader | None = None
        self.writer = PipeWriter(writing, turn, broken=self._broken, limit=UNREAD_LIMIT)

    def listen(self, received: Callable[[Frame], None], left: Callable[[], None]) -> None:
        """Hand every frame to `received` from now on.

        Args:
            left: called once, when it has closed its side or has gone. It may still read: `finish` or `close` follows.
        """
        self._left = left
        if self._has_left:  # before anybody listened
            left()
            return
        self._reader = PipeReader(self._fd, self._turn, received=received, ended=self._leave, answers=self.writer)
        self._fd = -1

    def finish(self, within: float) -> None:
        """Close once everything written has been taken, at the latest after `within` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within

        def look() -> None:
            if self.writer.queued and not self._is_deaf and loop.time() < until:
                loop.call_later(FLUSH_POLL, look)
            else:
                self.close()

        self.writer.flush()
        look()

    def close(self) -> None:
        """Hang up. What is still queued is lost."""
        gone, self._gone = self._gone, None
        if gone is None:
            return
        self._left = None
        if self._reader:
            self._reader.close()
        elif self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.writer.close()
        gone(self)

    def _broken(self) -> None:
        self._is_deaf = True
        self._leave()

    def _leave(self) -> None:
        self._has_left = True
        left, self._left = self._left, None
        if left:
            left()


class SocketDoor:
    """Listens from the start, until `close`. Only for who holds the house's lock.

    Args:
        version: ours, for the hello.
        accepted: somebody was let in, and knows it.
        refuse: why a visitor of ours is not let in, with what to do instead; None lets it in.
    """

    def __init__(
        self,
        place: Place,
        turn: Turn,
        *,
        version: str,
        accepted: Callable[[Visitor], None],
        refuse: Callable[[Hello], str | None],
    ) -> None:
        self._place = place
        self._turn = turn
        self._version = version
        self._accepted = accepted
        self._refuse = refuse
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._greetings: set[_Greeting] = set()
        self._visitors: set[Visitor] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listening: socket.socket | None = bind_socket(place)
        self._address = address(place)
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Stop listening and remove the socket if it is still ours. Who was let in stays."""
        if self._listening is None:
            return
        remove_socket(self._place, self._address)
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        self._listening = None
        for greeting in tuple(self._greetings):
            greeting.close()

    def _accept(self) -> None:
        for _ in range(ACCEPT_SHARE):
            if self._listening is None:
                return
            try:
                sock, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as bad:
                if bad.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                logger.warning("no new client can be let in for now: %s", bad.strerror)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(ACCEPT_PAUSE, self._accept_again)
                return
            self._meet(sock)

    def _accept_again(self) -> None:
        self._pause = None
        if self._listening is not None:
            self._loop.add_reader(self._listening, self._accept)
            self._accept()

    def _meet(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        pid, uid = peer(sock)
        if uid not in (None, os.getuid()):
            logger.warning("process %d of user %s was not let in", pid, uid)
            sock.close()
        elif len(self._greetings) + len(self._visitors) >= VISITORS:
            why = f"{VISITORS} clients are connected already. Close some; `roundhouse status` shows them."
            self._turn_away(sock, why)
        else:
            self._greetings.add(_Greeting(sock, self._loop, heard=self._heard, done=self._greetings.discard))

    def _heard(self, sock: socket.socket, line: bytes | str) -> None:
        """A hello has come, or what was wrong with it."""
        hello = read_hello(line) if isinstance(line, bytes) else line
        if isinstance(hello, str):
            self._turn_away(sock, hello)
            return
        if (why := self._refuse(hello)) is not None:
            self._turn_away(sock, why)
            return
        try:
            reading = os.dup(sock.fileno())
        except OSError as bad:
            self._turn_away(sock, f"The house cannot take more clients now: {bad.strerror}. Try again.")
            return
        answer = _line({"roundhouse": HELLO, "version": self._version, "pid": os.getpid()})
        visitor = Visitor(reading, sock.detach(), hello, self._turn, next(self._numbers), self._visitors.discard)
        self._visitors.add(visitor)
        visitor.writer.write([answer], len(answer))
        visitor.writer.flush()
        try:
            self._accepted(visitor)
        except Exception:
            logger.exception("a client that was let in could not be served")
            visitor.close()

    def _turn_away(self, sock: socket.socket, why: str) -> None:
        """Say why, as far as it fits, and hang up."""
        logger.info("a client was not let in: %s", why)
        with sock:
            try:
                sock.send(_line({"roundhouse": HELLO, "version": self._version, "refused": why}))
            except OSError:
                logger.debug("it did not wait for the reason")


class _Greeting:
    """A connection of which the hello has not come yet."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        *,
        heard: Callable[[socket.socket, bytes | str], None],
        done: Callable[[_Greeting], None],
    ) -> None:
        self._sock: socket.socket | None = sock
        self._loop = loop
        self._heard = heard
        self._done = done
        self._line = b""
        self._late = loop.call_later(HELLO_TIMEOUT, self._end, f"no hello came within {HELLO_TIMEOUT:.0f} s")
        loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Hang up without a word."""
        sock = self._take()
        if sock:
            sock.close()

    def _readable(self) -> None:
        """Read up to the end of the line and not beyond: what follows is for whoever listens then."""
        if self._sock is None:
            return
        try:
            seen = self._sock.recv(HELLO_LIMIT, socket.MSG_PEEK)
            end = seen.find(b"\n") + 1
            self._line += self._sock.recv(end or len(seen)) if seen else b""
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            seen, end = b"", 0
        if not seen:
            self.close()
        elif len(self._line) > HELLO_LIMIT:
            self._end(f"its hello is longer than {HELLO_LIMIT} bytes")
        elif end:
            self._end(self._line)

    def _end(self, line: bytes | str) -> None:
        sock = self._take()
        if sock:
            self._heard(sock, line)

    def _take(self) -> socket.socket | None:
        sock, self._sock = self._sock, None
        if sock:
            self._late.cancel()
            self._loop.remove_reader(sock)
            self._done(self)
        return sock


def read_hello(line: bytes) -> Hello | str:
    """A visitor's hello, or what is wrong with it."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return "Its first line is no JSON. Connect with `roundhouse serve`."
    if not isinstance(said, dict) or not isinstance(number := said.get("roundhouse"), int):
        return "Its first line is no hello. Connect with `roundhouse serve`."
    if number != HELLO:
        return f"It speaks hello {number}, this house {HELLO}. `roundhouse down` ends this house."
    kind, version, pid = said.get("kind"), said.get("version"), said.get("pid")
    cwd, inside = said.get("cwd"), said.get("inside")
    if kind not in KINDS or not isinstance(version, str) or not isinstance(pid, int):
        return f"Its hello lacks `kind` ({', '.join(KINDS)}), `version` or `pid`."
    return Hello(kind, version, pid, *(one if isinstance(one, str) else None for one in (cwd, inside)))


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
