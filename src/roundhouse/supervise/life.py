"""One process of a server: from its start to the end of everything it started, with one conversation over its pipes.

Whatever ends it (exit, a closed pipe, a line without end) is seen at once and named: `over` is set, `cause` says why.
"""

from __future__ import annotations

import asyncio
import errno
import math
import signal
from collections.abc import Callable
from dataclasses import replace

import anyio

from roundhouse.errors import BadAnswer, Refused, RoundhouseError
from roundhouse.model.text import clean
from roundhouse.process.output import StderrRing
from roundhouse.process.spawn import Child, Children
from roundhouse.process.stop import Graces, end_stragglers, stop
from roundhouse.supervise.launch import Prepared
from roundhouse.supervise.listing import LONGEST_ERROR, Listing, is_error, list_tools
from roundhouse.wire.envelope import Members, Unreadable, members, text
from roundhouse.wire.eras import Profile, opening
from roundhouse.wire.framing import Frame, Overlong
from roundhouse.wire.peer import Peer
from roundhouse.wire.stdio import PipeReader, PipeWriter, Turn

PASSING = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ETXTBSY)  # worth another try
LONGEST_INSTRUCTIONS = 16 * 1024  # characters of what a server says of itself
LAST_WORDS = 0.2  # seconds for the exit code to arrive once a pipe has closed


class Life:
    """One process. Making it starts it; whoever makes it awaits `close`.

    Args:
        name: the server's.
        peer: the conversation it is to have; not used before.

    Raises: `Refused`.
    """

    def __init__(
        self,
        name: str,
        prepared: Prepared,
        peer: Peer,
        *,
        children: Children,
        turn: Turn,
        stderr: StderrRing,
    ) -> None:
        self.over = anyio.Event()
        self.cause = ""  # why it is over
        self.capabilities: Members = {}
        self._instructions = ""
        self._name = name
        self._peer = peer
        self._stderr = stderr
        self._opening: anyio.CancelScope | None = None
        self._child = _spawn(prepared, children)
        self._child.when_exited = self._conclude
        stderr.follow(self._child.stderr)
        self._reader = PipeReader(
            self._child.stdout, turn, received=self._receive, ended=lambda: self.lose("it closed its stdout")
        )
        self._writer = PipeWriter(self._child.stdin, turn, broken=lambda: self.lose("it closed its stdin"))
        peer.connect(self._writer)

    @property
    def pid(self) -> int:
        return self._child.pid

    async def open(self, profile: Profile, within: float) -> Listing:
        """Handshake and lists.

        Args:
            within: seconds for all of it.

        Raises: `RoundhouseError` with the reason when it comes to nothing.
        """
        step = "initialize"
        with anyio.move_on_after(within) as self._opening:
            self._greet(await self._peer.ask("initialize", opening(profile), timeout=2 * within, early=True))
            step = "tools/list"
            return replace(await list_tools(self._peer, self.capabilities, early=True), instructions=self._instructions)
        printed = self._peer.last_rubbish
        note = f"; it printed {printed!r} to stdout, where only messages may go" if printed else ""
        raise BadAnswer(self.cause or f"it did not answer {step} within {within:g} s{note}", server=self._name)

    def lose(self, because: str) -> None:
        """It is of no use any more. Waits a moment for the exit code, which makes a better cause."""
        self.cause = self.cause or because
        asyncio.get_running_loop().call_later(LAST_WORDS, self._conclude)

    async def end_its_readers(self) -> float:
        """After the end: how many bytes of what it was sent it can have read.

        A process that was killed leaves what it had not read in the pipe. That is certain only when nobody is left who
        could still read it, so what it started is killed first; with its head gone it is only remains.
        """
        if self._child.returncode is None or self._writer.read_by_other() >= self._writer.accepted:
            return math.inf
        if not await end_stragglers(self._child, 0.0) or self._writer.has_reader():
            return math.inf
        self._reader.drain()
        return self._writer.read_by_other()

    async def close(self, graces: Callable[[], Graces]) -> None:
        """End the process and everything it started. Bounded; call it shielded."""
        await stop(self._child, self._writer.close, graces)
        self._reader.close()
        self._stderr.release(self._child.stderr)

    def kill(self) -> None:
        """Skip the polite part of a `close` under way."""
        self._child.signal_group(signal.SIGKILL)

    def _greet(self, answer: Members) -> None:
        if is_error(answer):
            said = clean(self._peer.shown(answer["error"], LONGEST_ERROR))
            raise BadAnswer(f"it refused initialize with {said}", server=self._name)
        try:
            result = members(answer["result"])
            self.capabilities = members(result.get("capabilities", b"{}"))
            self._instructions = clean(text(result.get("instructions")) or "")[:LONGEST_INSTRUCTIONS]
        except Unreadable as bad:
            raise BadAnswer(f"its answer to initialize cannot be used: {bad}", server=self._name) from None
        self._peer.notify("notifications/initialized")

    def _receive(self, frame: Frame) -> None:
        self._peer.receive(frame)
        if isinstance(frame, Overlong) and frame.endless:
            self.lose("it sent a line without end")

    def _conclude(self) -> None:
        if self.over.is_set():
            return
        self._reader.drain()  # answers it wrote before it went
        code = self._child.returncode
        if code is not None:
            self.cause = _how_it_ended(code)
        self.over.set()
        if self._opening:
            self._opening.cancel()


def _spawn(prepared: Prepared, children: Children) -> Child:
    try:
        return children.spawn(prepared.argv, prepared.env, prepared.cwd)
    except OSError as bad:
        if bad.errno in PASSING:
            raise RoundhouseError(f"it could not be started just now: {bad.strerror}") from None
        if isinstance(bad, FileNotFoundError):
            raise Refused(
                f"{prepared.argv[0]!r} is there, but its interpreter (the first line of a script) is not."
            ) from None
        raise Refused(f"it cannot be started: {bad}. Check `command`, `args`, `env` and `cwd`.") from None
    except ValueError as bad:
        raise Refused(f"it cannot be started: {bad}. Check `command`, `args`, `env` and `cwd`.") from None


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it exited with code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
