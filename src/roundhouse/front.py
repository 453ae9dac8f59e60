"""The front: what a client starts. It joins the client's stdio to the house's socket, and outlives the house.

One loop, one thread, standard library only. Bytes pass as they came; what is remembered of them is which requests wait
for an answer and how the session was opened. When the house is lost, each call in flight is answered with
`RH_HOUSE_LOST` and never repeated; the session is opened again with the next house, and what only asks is asked once
more. Where no house comes up, every request is answered with the reason. Memory is bounded: a side whose other side
does not read is not read.

The loop is `poll`, not `epoll`: for three descriptors it costs no more, it takes regular files, and what is waited for
changes without a system call.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import stat
import time
from collections import deque

from roundhouse import __version__
from roundhouse.rendezvous import (
    FAREWELL,
    CannotHouse,
    NoAnswer,
    Place,
    RendezvousError,
    StartFailed,
    fill_standard_descriptors,
    find_or_start,
    last_lines,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    Key = int | str  # what the id of a request may be
    Message = dict[str, object]  # the members of one, as far as they are known

    class Piece(Protocol):
        def __call__(self, piece: bytes, *, first: bool, last: bool) -> None:
            """A part of a line that is too long to be held."""


READ_SIZE = 64 * 1024  # bytes; what a pipe holds
HELD_UP = 256 * 1024  # bytes of the client's unfinished line; a longer one is passed on as it comes
HELD_DOWN = 512 * 1024  # bytes of the house's; what the client has of a line cannot be taken back when the house dies
HIGH_WATER = 256 * 1024  # bytes on their way to one side at which the other is not read
PARSED = 16 * 1024  # bytes of a line that is parsed at once, and of a question that is kept to be asked again
HEAD = 4096  # bytes at the beginning of a longer line in which its id and method are looked for
TAIL = 1024  # bytes at its end: TypeScript clients put the id last
TERMINAL_PIECE = 256  # bytes; a terminal that can be written to takes so many without making us wait
UNAVAILABLE_PAUSE = 60.0  # seconds until a house is tried again after none could be had
REPLAY_LIMIT = 10.0  # seconds for a house to answer an opening, which it does from memory
LAST_ANSWERS = 2.0  # seconds after the last byte, once the client has closed its side
STEADY = 5.0  # seconds; a house that is lost sooner is restless
RESTLESS_ALLOWED = 3  # in a row, until the next is delayed; if they were lost while they opened the session, given up
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds between restless houses; the client's messages wait so long unread
LATE_ANSWERS = 1000  # questions of dead houses whose late answers are still recognized

# Requests that only ask: asked once more, of the next house. Everything else may have done something.
QUESTIONS = frozenset(
    (
        "initialize", "ping", "server/discover", "tools/list", "resources/list", "resources/templates/list",
        "prompts/list", "logging/setLevel",
    )
)  # fmt: skip
UNAVAILABLE = -32000  # the JSON-RPC number of all our errors; `errors`, which we do not import, says the same
LEAD = b'{"jsonrpc":"2.0","id":'  # how every answer and every request of the house begins
LIST_CHANGED = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n'
LOST = (
    "The house went away during this call; it may or may not have done its work. Look at what it was to change before "
    "you call again."
)
CUT = "The house went away while this was being sent to it; nothing was done. Send it again."
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

# Of a message's ends. Compiled when a line needs them, which few do: at import they would cost each front 4 ms.
_STRING = rb'"(?:[^"\\]|\\.)*"'
_HEAD_MEMBER = rb"\s*[{,]\s*(" + _STRING + rb")\s*:\s*(" + _STRING + rb"|-?\d+(?=\s*[,}])|null|(?=[{\[]))"
_TAIL_MEMBERS = rb',\s*"id"\s*:\s*(' + _STRING + rb'|-?\d+)\s*((?:,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*)*)}\s*$'
_TAIL_METHOD = rb'"method"\s*:\s*("[^"\\]*")'


def run(home: str | None, command: Sequence[str] | None = None) -> int:
    """Serve the client on stdin and stdout through the house of this home, until the client leaves.

    Args:
        home: None means the default one.
        command: what to start instead of `roundhouse house` (`rendezvous.start_house`).

    Returns: the exit code, 128 + N after signal N.
    Raises: `CannotHouse`, before anything was read, when this is no place for a house.
    """
    fill_standard_descriptors()
    client = Outlet(1)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        _leave_on_signals()
        return Front(Place(home), client, command).serve()
    except _Signalled as signalled:
        return 128 + signalled.number
    finally:
        client.restore()
        for number, handler in before.items():
            signal.signal(number, handler)


class Front:
    """One client and the houses it has had."""

    def __init__(self, place: Place, client: Outlet, command: Sequence[str] | None) -> None:
        self._place = place
        self._command = command
        self._poll = select.poll()
        self._watched: dict[int, int] = {}
        self._session = Session()
        self._client = client
        self._from_client = Lines(HELD_UP, self._client_said, self._client_says)
        self._client_left = False  # it does not read any more
        self._ended: float | None = None  # when it closed its side, or the last byte passed since
        self._early = b""  # read from it when there was no house to take it
        self._skipping = False  # we are in a line of which this house has not had the beginning
        self._later: list[bytes] = []  # for the client, behind the line that is being passed on to it
        self._saying: Key | None = None  # the request which that line answers
        self._house: House | None = None
        self._from_house = Lines(HELD_DOWN, self._house_said, self._house_says)
        self._houses = 0  # there have been
        self._restless = 0  # of them, the last in a row that did not stay
        self._unopened = 0  # of them, the last in a row that did not open the session again
        self._trouble: RendezvousError | None = None  # why there is none
        self._next_try: float | None = None  # to find one; None: when the client says something
        self._backlog: list[bytes] = []  # lines that no house has had whole
        self._replay: deque[bytes] = deque()  # what is left of opening the session again
        self._replaying: str | None = None  # the id of the part that is being answered
        self._replay_ends = 0.0
        self._reopening = False  # that part is the `initialize`
        self._ids = 0

    def serve(self) -> int:
        """Relay until the client has gone. Returns: the exit code. Raises: `CannotHouse`."""
        self._find()
        while not self._over():
            self._watch()
            for fd, events in self._poll.poll(self._patience()):
                if fd == 0:
                    self._client_readable()
                elif fd == 1:
                    self._client_writable(events)
                elif self._house and fd == self._house.fd and fd in self._watched:  # not a later one's first look
                    self._house_ready(self._house, events)
            self._flush()
            self._when_due()
            self._flush()
        return 0

    # -- the loop

    def _over(self) -> bool:
        if self._client_left or self._client.broken:
            return True
        if self._ended is None:
            return False
        return time.monotonic() >= self._ended + LAST_ANSWERS or (self._house is None and not self._client.queued)

    def _watch(self) -> None:
        """Wait for what can be dealt with now, and for nothing else: what has hung up would be reported for ever."""
        read = self._client.queued < HIGH_WATER
        self._expect(0, select.POLLIN if read and self._ended is None and self._takes() else None)
        self._expect(1, select.POLLOUT if self._client.queued else 0)  # 0: tells when its reader has gone
        if self._house:
            write = self._house.queued and not self._house.broken
            events = (select.POLLIN if read else 0) | (select.POLLOUT if write else 0)
            self._expect(self._house.fd, events or None)

    def _takes(self) -> bool:
        """Whether what the client says can be dealt with now."""
        if self._house:
            return self._replaying is None and self._house.queued < HIGH_WATER
        return self._trouble is not None or self._next_try is None

    def _expect(self, fd: int, events: int | None) -> None:
        if events == self._watched.get(fd):
            return
        if events is None:
            self._poll.unregister(fd)
            del self._watched[fd]
        else:
            self._poll.register(fd, events)
            self._watched[fd] = events

    def _patience(self) -> float | None:
        """Milliseconds until something is due."""
        due = []
        if self._ended is not None:
            due.append(self._ended + LAST_ANSWERS)
        elif not self._house and not self._trouble and self._next_try is not None:
            due.append(self._next_try)
        if self._replaying is not None:
            due.append(self._replay_ends)
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None

    def _when_due(self) -> None:
        now = time.monotonic()
        if self._house:
            if self._replaying is not None and now >= self._replay_ends:
                self._drop(self._house)
                self._give_up(NoAnswer(f"The next house did not open the session within {REPLAY_LIMIT:.0f} s."))
            elif self._ended is not None and self._replaying is None:
                self._house.hang_up()
        elif self._ended is None and not self._trouble and self._next_try is not None and now >= self._next_try:
            self._find()

    def _flush(self) -> None:
        """Write what has come together."""
        self._client.flush()
        if self._house:
            self._house.flush()

    # -- the client

    def _client_readable(self) -> None:
        try:
            data = os.read(0, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # a terminal that hung up, a socket that was reset
            data = b""
        if not data:
            self._ended = time.monotonic()
            self._from_client.end()
        elif not self._house and (not self._trouble or time.monotonic() >= (self._next_try or 0.0)):
            self._early = data
            self._find()
        else:
            self._from_client.feed(data)

    def _client_writable(self, events: int) -> None:
        if events & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            self._client_left = True
        elif self._client.flush():
            self._a_byte_passed()

    def _a_byte_passed(self) -> None:
        if self._ended is not None:
            self._ended = time.monotonic()

    def _client_said(self, line: bytes) -> None:
        """A whole line of the client's."""
        messages = _messages(line)
        if not self._house:
            for message in messages:
                self._answer_with_trouble(message)
            return
        alone = line if len(messages) == 1 else b""
        wanted = [self._session.client_said(message, alone) for message in messages]
        if not wanted or any(wanted):
            self._house.write(line)

    def _client_says(self, piece: bytes, *, first: bool, last: bool) -> None:
        """A piece of a line that is too long to be held."""
        if first:
            self._skipping = not self._house or self._session.is_late(_envelope(self._from_client.head, b""))
        if self._house and not self._skipping:
            self._house.write(piece, whole=False)
        if not last:
            return
        message = _envelope(self._from_client.head, self._from_client.tail)
        if not self._house:
            self._answer_with_trouble(message)
        elif not self._skipping:
            self._session.client_said(message, b"")
        elif (key := _asked_in(message)) is not None:
            self._say(_error(key, CUT, "RH_HOUSE_LOST", retryable=True, sent="no"))
        self._skipping = False

    def _say(self, line: bytes) -> None:
        """Tell the client something ourselves, but not in the middle of a line of the house's."""
        if self._from_house.long:
            self._later.append(line)
        else:
            self._client.write(line)

    def _answer_with_trouble(self, message: Message) -> None:
        key = _asked_in(message)
        if key is not None and self._trouble:
            self._say(_error(key, str(self._trouble), self._trouble.code, retryable=False, sent="no"))

    # -- the house

    def _house_ready(self, house: House, events: int) -> None:
        if events & select.POLLOUT and house.flush():
            self._a_byte_passed()
        if not events & ~select.POLLOUT:
            return
        if not self._watched[house.fd] & select.POLLIN:
            house.broken = True  # it has gone; what it said last waits until the client has read the rest
            return
        try:
            data = house.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._from_house.feed(data)
            self._a_byte_passed()
        else:
            self._lost(house)

    def _house_said(self, line: bytes) -> None:
        """A whole line of the house's."""
        if not line.startswith(LEAD):
            if line == FAREWELL and self._house:
                self._house.said_farewell = True
            else:
                self._client.write(line)
            return
        key, rest = _id_of(line)
        if key is not None:
            if key == self._replaying:
                self._replayed(failed=line.startswith(b'"error"', rest))
                return
            if line.startswith(b'"method"', rest):
                self._session.house_asked(str(key))
            else:
                self._session.house_answered(key, failed=line.startswith(b'"error"', rest))
        self._client.write(line)

    def _house_says(self, piece: bytes, *, first: bool, last: bool) -> None:
        """A piece of a line that is too long to be held: an answer, as what the house asks is short."""
        if first:
            head = self._from_house.head
            self._saying = _id_of(head)[0] if head.startswith(LEAD) else None
        self._client.write(piece, whole=False)
        if last:
            if self._saying is not None:
                self._session.house_answered(self._saying, failed=False)
            self._say_what_waited()

    def _say_what_waited(self) -> None:
        for line in self._later:
            self._client.write(line)
        self._later.clear()

    # -- losing it

    def _lost(self, house: House) -> None:
        """It has closed its side, or died."""
        if self._ended is None:
            _tell("the house went away")
        self._unopened += self._replaying is not None
        self._drop(house)
        self._restless = 0 if time.monotonic() - house.since >= STEADY else self._restless + 1
        too_restless = self._restless - RESTLESS_ALLOWED
        if self._ended is not None:
            self._trouble = StartFailed("The house has left, and no other is started for a client that has left, too.")
            self._settle_without()
        elif self._unopened >= RESTLESS_ALLOWED:
            log = " | ".join(last_lines(self._place))
            self._give_up(
                StartFailed(
                    f"{self._unopened} houses in a row went away while they opened the session again. Run `roundhouse "
                    f"doctor`. The last lines of {self._place.log}: {log}"
                )
            )
        elif house.said_farewell and not self._session.asked and not self._backlog:
            self._next_try = None
        else:
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(too_restless, 10)) if too_restless >= 0 else 0.0
            self._next_try = time.monotonic() + delay

    def _drop(self, house: House) -> None:
        """Let go of it, and settle with the client what can be settled without one."""
        self._expect(house.fd, None)
        house.sock.close()
        self._house = None
        if self._from_house.long:
            self._client.write(b"\n", whole=False)  # what the client has of it ends as a line, if not as a message
        self._from_house = Lines(HELD_DOWN, self._house_said, self._house_says)
        self._say_what_waited()
        if self._replaying is None:  # else it was our own words that it did not hear to the end
            self._backlog = [line for line in house.unsent() if self._session.take_back(_messages(line))]
        self._replaying = None
        self._replay.clear()
        for line in self._session.lost():
            self._client.write(line)

    def _give_up(self, trouble: RendezvousError) -> None:
        """There is no house. Every request is answered so, until it is time to try again."""
        _tell(str(trouble))
        self._trouble = trouble
        self._next_try = time.monotonic() + UNAVAILABLE_PAUSE
        self._settle_without()

    def _settle_without(self) -> None:
        for key in self._session.abandon():
            self._answer_with_trouble({"id": key, "method": ""})
        self._deliver_what_waited()

    # -- finding the next one

    def _find(self) -> None:
        """Connect to the house, or start one."""
        self._client.flush()
        try:
            sock, _ = find_or_start(self._place, "front", __version__, command=self._command)
        except (RendezvousError, OSError) as bad:
            trouble = bad if isinstance(bad, RendezvousError) else CannotHouse(f"No house can be reached: {bad}.")
            if isinstance(trouble, CannotHouse) and not self._houses and not self._trouble:
                raise trouble from None
            self._give_up(trouble)
            return
        self._house = House(sock)
        self._houses += 1
        self._trouble = None
        self._skipping = self._from_client.long
        self._replay.extend(self._session.opening())
        self._reopening = bool(self._replay)
        self._replay_next()

    def _replay_next(self) -> None:
        """Send the next part of the opening, under an id that the client does not use; go on where none is left."""
        if not self._house:
            return
        if not self._replay:
            self._replaying = None
            self._go_on(self._house)
            return
        self._ids += 1
        while (key := f"front-{self._ids}") in self._session.asked:
            self._ids += 1
        self._replaying = key
        self._replay_ends = time.monotonic() + REPLAY_LIMIT
        part = {**json.loads(self._replay.popleft()), "id": key}
        self._house.write(json.dumps(part, separators=(",", ":")).encode() + b"\n")

    def _replayed(self, *, failed: bool) -> None:
        """The house has answered a part of the opening. The client had that answer from its first house."""
        reopened, self._reopening = self._reopening, False
        if self._house and reopened and failed:
            self._drop(self._house)
            self._give_up(NoAnswer("The next house did not open the session again. Connect the client anew."))
            return
        if self._house and reopened:
            self._house.write(self._session.confirmation)
        self._replay_next()

    def _go_on(self, house: House) -> None:
        """The session is as it was: ask again what only asks, deliver what waited."""
        self._unopened = 0
        for line in self._session.ask_again():
            house.write(line)
        self._deliver_what_waited()
        if self._houses > 1 and self._session.confirmation:
            self._say(LIST_CHANGED)

    def _deliver_what_waited(self) -> None:
        backlog, self._backlog = self._backlog, []
        for line in backlog:
            self._client_said(line)
        early, self._early = self._early, b""
        if early:
            self._from_client.feed(early)


class Session:
    """What must be known of a session so that it outlives its house. Pure: no descriptor, no clock.

    Attributes:
        asked: the client's requests in flight; with their line while they may be asked once more.
        confirmation: the client's `notifications/initialized`, empty as long as it has not come.
    """

    def __init__(self) -> None:
        self.asked: dict[Key, bytes | None] = {}
        self.confirmation = b""
        self._opening: tuple[Key, bytes] | None = None  # the `initialize`
        self._opened = False  # and it was answered well
        self._level = b""  # the last `logging/setLevel`
        self._questions: dict[str, None] = {}  # what the house asked the client, in flight
        self._dead: dict[str, None] = {}  # what houses that are gone asked, and were not answered

    def client_said(self, message: Message, line: bytes) -> bool:
        """Note a message of the client's. Returns whether the house should have it.

        Args:
            line: the message as it came, empty where it shared its line or was too long to be held.
        """
        method, key = message.get("method"), _asked_in(message)
        if method is None:
            if self.is_late(message):
                del self._dead[str(message["id"])]
                return False
            self._questions.pop(str(message.get("id")), None)
        elif "id" not in message:
            if method == "notifications/initialized":
                self.confirmation = line
            elif method == "notifications/cancelled" and isinstance(params := message.get("params"), dict):
                cancelled = params.get("requestId")
                if isinstance(cancelled, int | str):
                    self.asked.pop(cancelled, None)  # nobody waits for its answer now
        elif key is not None:
            may_be_repeated = method in QUESTIONS and (len(line) <= PARSED or method == "initialize")
            self.asked[key] = line if line and may_be_repeated else None
            if method == "initialize" and line and not self._opened:
                self._opening = (key, line)
            elif method == "logging/setLevel" and self.asked[key]:
                self._level = line
        return True

    def is_late(self, message: Message) -> bool:
        """Whether it answers what a house asked that is gone."""
        return "method" not in message and isinstance(key := message.get("id"), str) and key in self._dead

    def house_asked(self, key: str) -> None:
        """Note a request of the house's. An old one of this name is forgotten: its answer could not be told apart."""
        self._questions[key] = None
        self._dead.pop(key, None)

    def house_answered(self, key: Key, *, failed: bool) -> None:
        """Note an answer of the house's."""
        self.asked.pop(key, None)
        if self._opening and self._opening[0] == key and not self._opened:
            self._opened = not failed
            if failed:
                self._opening = None

    def take_back(self, messages: Sequence[Message]) -> bool:
        """Forget what was noted of a line the house has not had whole. Returns whether the next one should have it."""
        for message in messages:
            key = _asked_in(message)
            if key is not None:
                self.asked.pop(key, None)
                if self._opening and self._opening[0] == key and not self._opened:
                    self._opening = None
            elif message.get("method") == "notifications/initialized":
                self.confirmation = b""
        return any("method" in message for message in messages)  # an answer was for this house alone

    def lost(self) -> list[bytes]:
        """The house is gone. Returns what the client is told: how its calls ended, what need not be answered."""
        lines = []
        for key, line in tuple(self.asked.items()):
            if line is None:
                del self.asked[key]
                lines.append(_error(key, LOST, "RH_HOUSE_LOST", retryable=False, sent="unknown"))
        if self._opening and not self._opened and self._opening[0] not in self.asked:
            self._opening = None
        lines += [_cancelled(key) for key in self._questions]
        self._dead.update(self._questions)
        self._questions.clear()
        while len(self._dead) > LATE_ANSWERS:
            del self._dead[next(iter(self._dead))]
        return lines

    def abandon(self) -> list[Key]:
        """There will be no next house for what is in flight. Returns the requests to be answered so."""
        asked, self.asked = self.asked, {}
        if not self._opened:
            self._opening = None
        return list(asked)

    def opening(self) -> list[bytes]:
        """The requests that open the session again."""
        if not self._opening or not self._opened:
            return []
        return [self._opening[1], self._level] if self._level else [self._opening[1]]

    def ask_again(self) -> list[bytes]:
        """The questions in flight, to be asked of the next house: once, as one of them may be what ended the last."""
        lines = [line for line in self.asked.values() if line is not None]
        self.asked = dict.fromkeys(self.asked)
        return lines


class Lines:
    """Cuts a stream into lines, newline included. Of a line longer than `held` it hands out the pieces as they come.

    Attributes:
        long: whether the stream is inside such a line.
        head, tail: the ends of it, as far as they have come.
    """

    def __init__(self, held: int, line: Callable[[bytes], None], piece: Piece) -> None:
        self.long = False
        self.head = self.tail = b""
        self._most = held
        self._line = line
        self._piece = piece
        self._held = bytearray()

    def feed(self, data: bytes) -> None:
        """Hand out what this completes."""
        start, end = 0, data.find(b"\n") + 1
        while end:
            self._finish(data[start:end])
            start, end = end, data.find(b"\n", end) + 1
        if start < len(data):
            self._hold(data[start:])

    def end(self) -> None:
        """The stream has ended: hand out its last line, if that has no newline."""
        if self.long or self._held:
            self._finish(b"")

    def _finish(self, last: bytes) -> None:
        if self.long:
            self.tail = (self.tail + last)[-TAIL:]
            self._piece(last, first=False, last=True)
            self.long = False
        elif self._held:
            line = bytes(self._held) + last
            self._held = bytearray()
            self._line(line)
        else:
            self._line(last)

    def _hold(self, part: bytes) -> None:
        if self.long:
            self.tail = (self.tail + part)[-TAIL:]
            self._piece(part, first=False, last=False)
            return
        self._held += part
        if len(self._held) > self._most:
            piece, self._held = bytes(self._held), bytearray()
            self.long, self.head, self.tail = True, piece[:HEAD], piece[-TAIL:]
            self._piece(piece, first=True, last=False)


class Outlet:
    """What is on its way to a descriptor that may not take it at once.

    A pipe or socket is made non-blocking, and can be restored: whoever else holds it may not expect that. A terminal is
    left as it is, because a shell holds it for certain.

    Attributes:
        queued: bytes.
        broken: nobody reads it any more.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.queued = 0
        self.broken = False
        self._lines: list[bytes] = []  # whole ones, to be written together
        self._queue: deque[tuple[bytes, bool]] = deque()  # and whether it is of whole lines
        self._written = 0  # bytes of the first in the queue
        kind = os.fstat(fd).st_mode
        self._is_terminal = os.isatty(fd)
        self._was_blocking = (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)) and os.get_blocking(fd)
        if self._was_blocking:
            os.set_blocking(fd, False)

    def restore(self) -> None:
        """Leave the descriptor as it was found."""
        if self._was_blocking:
            os.set_blocking(self.fd, True)

    def write(self, data: bytes, *, whole: bool = True) -> None:
        """Queue a line, or a piece of one. `flush` writes."""
        self.queued += len(data)
        if whole:
            self._lines.append(data)
        else:
            self._join()
            self._queue.append((data, False))

    def flush(self) -> int:
        """Write what can be written now. Returns how many bytes that were."""
        self._join()
        before = self.queued
        while self._queue and not self.broken:
            data = self._queue[0][0]
            try:
                self._put(memoryview(data)[self._written :])
            except BlockingIOError:
                break
            except OSError:
                self.broken = True
            if self._written == len(data):
                self._queue.popleft()
                self._written = 0
        return before - self.queued

    def unsent(self) -> list[bytes]:
        """The whole lines of which the last byte has not been written."""
        self._join()
        lines: list[bytes] = []
        written = self._written
        for data, whole in self._queue:
            if whole:
                *ended, rest = data[data.rfind(b"\n", 0, written) + 1 :].split(b"\n")
                lines += [line + b"\n" for line in ended] + ([rest] if rest else [])
            written = 0
        return lines

    def _join(self) -> None:
        if self._lines:
            self._queue.append((self._lines[0] if len(self._lines) == 1 else b"".join(self._lines), True))
            self._lines.clear()

    def _put(self, data: memoryview) -> None:
        if self._is_terminal:
            ready = select.poll()
            ready.register(self.fd, select.POLLOUT)
            if not ready.poll(0):
                raise BlockingIOError
            data = data[:TERMINAL_PIECE]
        written = os.write(self.fd, data)
        self._written += written
        self.queued -= written


class House(Outlet):
    """The house's end of the socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        super().__init__(sock.fileno())
        self.sock = sock
        self.since = time.monotonic()
        self.said_farewell = False
        self._hung_up_on = False

    def hang_up(self) -> None:
        """Tell it that the client has closed its side, once it has had everything the client said."""
        if not self.queued and not self._hung_up_on:
            self._hung_up_on = True
            try:  # noqa: SIM105 - contextlib is not worth its import here
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:  # it has gone, which reading will tell
                pass


class _Signalled(BaseException):
    """One of `SIGNALS` has come."""

    def __init__(self, number: int) -> None:
        self.number = number


def _leave_on_signals() -> None:
    """Leave at once, as by default, but leave the client's descriptors as they were."""

    def leave(number: int, _: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise _Signalled(number)

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, leave)


def _tell(text: str) -> None:
    """One line for whoever reads our stderr."""
    try:  # noqa: SIM105 - contextlib is not worth its import here
        os.write(2, f"roundhouse: {text}\n".encode(errors="replace"))
    except OSError:
        pass


# -- what lines say


def _messages(line: bytes) -> list[Message]:
    """The messages in a client's line: one, those of a batch, none where it is no message."""
    if len(line) > PARSED:
        found = _envelope(line[:HEAD], line[-TAIL:])
        if found.get("method") and "id" in found:
            return [found]
    try:
        said = json.loads(line.decode())
    except (ValueError, RecursionError):
        return []
    return [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]


def _envelope(head: bytes, tail: bytes) -> Message:
    """The id and method of a long message, as far as its ends show them; method "" where it is a request of some kind.

    Nothing inside `params` or `result` is mistaken for them: what comes before is the first level, and so is what
    stands right before the last brace.
    """
    message: Message = {}
    at, name = 0, b""
    next_member = re.compile(_HEAD_MEMBER).match
    try:
        while member := next_member(head, at):
            name, value, at = member[1], member[2], member.end()
            if not value:
                break
            if name in (b'"id"', b'"method"'):
                message[name[1:-1].decode()] = json.loads(value)
        if "id" not in message and (last := re.search(_TAIL_MEMBERS, tail)):
            message["id"] = json.loads(last[1])
            if method := re.search(_TAIL_METHOD, last[2]):
                message["method"] = json.loads(method[1])
    except ValueError:
        return {}
    if "id" in message and name not in (b'"result"', b'"error"'):
        message.setdefault("method", "")
    return message


def _asked_in(message: Message) -> Key | None:
    """The id of the request that this message is, None if it is something else."""
    key = message.get("id")
    if "method" not in message or isinstance(key, bool):
        return None
    return key if isinstance(key, (int, str)) else None


def _id_of(line: bytes) -> tuple[Key | None, int]:
    """The id in a line that begins with `LEAD`, None where it is null, and where the next member begins."""
    start = len(LEAD)
    try:
        if line[start : start + 1] == b'"':
            text = re.compile(_STRING).match(line, start)
            return (str(json.loads(text[0])), text.end() + 1) if text else (None, 0)
        end = line.find(b",", start)
        return int(line[start:end]), end + 1
    except ValueError:
        return None, 0


def _error(key: Key, message: str, code: str, *, retryable: bool, sent: str) -> bytes:
    data = {"code": code, "retryable": retryable, "sent": sent}
    error = {"code": UNAVAILABLE, "message": message, "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": key, "error": error}, separators=(",", ":")).encode() + b"\n"


def _cancelled(key: str) -> bytes:
    params = {"requestId": key, "reason": "the house that asked has gone"}
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
