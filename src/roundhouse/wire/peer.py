"""One JSON-RPC conversation over frames: what was asked, until when, and who waits for the answer.

A peer gives its requests ids of its own, matches answers to them once, ends each at its one absolute deadline, and
hands everything else to its owner. It never decodes a payload. Requests made before `open` are held, deadlines running,
and leave in order when the conversation opens: the calls that arrive while a server is still starting. A peer may
`lose` its other side and be connected to its successor; what the lost one cannot have read is held again, no more.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from roundhouse.errors import BadAnswer, CallTimeout, RoundhouseError, ServerBusy, TooLarge
from roundhouse.wire.envelope import (
    Members,
    Parts,
    Raws,
    Unreadable,
    encode,
    encode_any,
    join,
    members,
    open_envelope,
    text,
)
from roundhouse.wire.framing import HEAD, MESSAGE_LIMIT, TAIL, Frame, Overlong
from roundhouse.wire.quota import Quota
from roundhouse.wire.salvage import answers, asks, find_id

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 32 * 1024 * 1024  # bytes waiting for a peer that does not read: four of the largest messages
NOTIFICATION_BURST = 10_000  # notifications taken at once; a chatty tool's progress passes, a flood does not
NOTIFICATION_RATE = 2_000.0  # per second after that
PERSON_LIMIT = 3600.0  # seconds a call's clock may stand still while its server waits for a person
SHOWN = 120  # bytes of an unreadable line shown to whoever has to mend it
NEVER_DROPPED = frozenset({b'"notifications/tools/list_changed"', b'"notifications/initialized"'})  # they come to one
SMALL = 16 * 1024  # bytes; below this, copying a message together is cheaper than keeping its pieces apart
LOG_EVERY = 10.0  # seconds between two log lines about the same peer's rubbish

Answered = Callable[[Members | RoundhouseError], None]
Progressed = Callable[[Members], None]
Cancel = Callable[[Members], None]


class Writer(Protocol):
    """What a peer writes to: a `PipeWriter` here, an HTTP stream later."""

    @property
    def queued(self) -> int:
        """Bytes that wait to be written."""

    @property
    def accepted(self) -> int:
        """Bytes it was ever given."""

    @property
    def back_pressure(self) -> bool:
        """Whether its sources pause while much is queued, so that nothing need be dropped."""

    def write(self, parts: Parts, size: int) -> None:
        """Take a message of `size` bytes, in pieces."""


@dataclass(slots=True)
class Pending:
    """A request of ours without an answer yet."""

    method: str
    answered: Answered
    deadline: float
    timeout: float  # seconds, as it was given, for the message
    progressed: Progressed | None
    message: Parts | None  # as long as it may have to be sent (again); None for large ones once they have left
    size: int
    at: int | None = None  # where in the writer's stream it begins; None while it is held
    cancelled: bool = False


class Peer:
    """The other side of one connection.

    Args:
        name: who it is, for messages to people: a server's name, or "the client".
        received: a request or notification the other side made; `members["id"]` tells which.
        troubled: a request of ours came to nothing (unreadable, overlong, out of time). `troubles` counts how many did
            in a row.
        rubbish: a frame that is no message and answers nothing of ours, with its id where it looks like a request.
        redact: takes out of bytes what nobody may see.
        counts: where to count messages that were of no use.
        prefix: put before the number in our ids, which are then strings. Empty: plain numbers.
    """

    def __init__(
        self,
        name: str,
        *,
        received: Callable[[Members], None],
        troubled: Callable[[RoundhouseError], None],
        rubbish: Callable[[Unreadable | TooLarge, Raws, bytes | None], None],
        prefix: str = "",
        redact: Callable[[bytes], bytes] = bytes,
        counts: Counter[str] | None = None,
    ) -> None:
        self.name = name
        self.counts = Counter[str]() if counts is None else counts
        self.last_rubbish = ""
        self.troubles = 0
        self.answered = -math.inf  # when it last answered anything, on the loop's clock
        self._settled = False  # the overlong line under way has been dealt with
        self._redact = redact
        self._received = received
        self._troubled = troubled
        self._rubbish = rubbish
        self._lead, self._trail = (f'"{prefix}'.encode(), b'"') if prefix else (b"", b"")
        self._loop = asyncio.get_running_loop()
        self._writer: Writer | None = None
        self._opened = False
        self._closed: RoundhouseError | None = None
        self._last = 0
        self._pending: dict[bytes, Pending] = {}  # ours, by id
        self._incoming: dict[bytes, Cancel] = {}  # theirs, by id
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._waiting_since: float | None = None  # a person is being asked; calls' clocks stand still
        self._waits: set[object] = set()
        self._held = 0  # bytes
        self._notes = {b'"notifications/progress"': self._progress, b'"notifications/cancelled"': self._cancelled}
        self._quota = Quota(NOTIFICATION_BURST, NOTIFICATION_RATE, self._loop.time())
        self._logged_at = -math.inf

    def shown(self, data: Raws, longest: int = SHOWN) -> str:
        """The beginning of what it said, for a message. Redacted before it is cut: a part of a secret is one, too."""
        return self._redact(bytes(memoryview(data)[:HEAD]))[:longest].decode(errors="backslashreplace")

    # -- the conversation

    def connect(self, writer: Writer) -> None:
        """Give it something to write to. Only requests marked `early` leave before `open`."""
        self._writer = writer

    def open(self) -> None:
        """Send what was held, in order, and from now on everything at once."""
        self._opened = True
        self._held = 0
        for key, pending in list(self._pending.items()):
            if pending.at is None:
                try:
                    self._dispatch(pending)
                except ServerBusy as busy:
                    del self._pending[key]
                    pending.answered(busy)

    def lose(self, because: Callable[[str], RoundhouseError], read: float = math.inf) -> None:
        """The other side has gone. Ends every request it may have read with `because("unknown")`, and holds the others.

        What it had asked is cancelled: nobody is left to hear the answer.

        Args:
            read: bytes of the writer's stream that have been read; all, where that is not known.
        """
        self._writer, self._opened, self._settled, self.troubles = None, False, False, 0
        self._waits, self._waiting_since = set(), None
        unknown: RoundhouseError | None = None
        for key, pending in list(self._pending.items()):
            if pending.at is None:
                continue
            if pending.at >= read and pending.message is not None:
                pending.at = None
                self._held += pending.size
            else:
                del self._pending[key]
                unknown = unknown or because("unknown")
                pending.answered(unknown)
        incoming, self._incoming = self._incoming, {}
        for cancel in incoming.values():
            cancel({"reason": encode(f"{self.name} is gone")})

    def close(self, because: Callable[[str], RoundhouseError]) -> None:
        """Lose the other side for good: also what is held ends, and nothing is taken any more."""
        self._closed = self._closed or because("no")
        self.lose(because)
        pending, self._pending = self._pending, {}
        if self._alarm:
            self._alarm.cancel()
        for one in pending.values():
            one.answered(self._closed)

    @property
    def has_sent(self) -> bool:
        """Whether a request that has left is still without an answer."""
        return any(pending.at is not None for pending in self._pending.values())

    @property
    def unanswered(self) -> int:
        """Requests of the other side that have no answer yet."""
        return len(self._incoming)

    # -- what we ask

    def new_id(self) -> bytes:
        """An id for the next request, as it will stand in the message and as its progress token."""
        self._last += 1
        return b"%b%d%b" % (self._lead, self._last, self._trail)

    def request(
        self,
        method: str,
        params: Parts | None,
        answered: Answered,
        *,
        timeout: float,
        request_id: bytes | None = None,
        progressed: Progressed | None = None,
        extras: Parts = (),
        early: bool = False,
    ) -> None:
        """Send a request; `answered` is called exactly once, with the answer's members or with why there is none.

        Args:
            params: the JSON of its parameters, in pieces, or None for none.
            timeout: seconds from now until it is given up and cancelled.
            request_id: from `new_id`, where the caller has to know it.
            progressed: takes the parameters of progress notifications that name this request's id as token.
            extras: further members of the envelope, each with its leading comma.
            early: part of the opening: does not wait for `open`.

        Raises: `ServerBusy` when too much is waiting to be read; whatever the conversation was closed with.
        """
        if self._closed:
            raise self._closed
        request_id = request_id or self.new_id()
        message: list[Raws] = [b'{"jsonrpc":"2.0","id":%b,"method":%b' % (request_id, encode_any(method))]
        if params is not None:
            message.append(b',"params":')
            message += params
        message += extras
        message.append(b"}\n")
        size = sum(map(len, message))
        if size < SMALL:
            message = [b"".join(message)]
        deadline = self._loop.time() + timeout
        pending = Pending(method, answered, deadline, timeout, progressed, message, size)
        if self._opened or early:
            self._dispatch(pending)
            if early:
                pending.message = None  # an opening is never sent again
        elif self._held > QUEUE_LIMIT:
            raise self._busy(self._held)
        else:
            self._held += size
        self._pending[request_id] = pending
        if deadline < self._alarm_at:
            self._set_alarm(deadline)

    async def ask(self, method: str, params: Parts | None, *, timeout: float, early: bool = False) -> Members:
        """`request`, awaited. Returns the answer's members, an `error` among them. Raises: why there is none."""
        answer: asyncio.Future[Members] = self._loop.create_future()

        def answered(got: Members | RoundhouseError) -> None:
            if answer.done():
                return
            if isinstance(got, RoundhouseError):
                answer.set_exception(got)
            else:
                answer.set_result(got)

        request_id = self.new_id()
        self.request(method, params, answered, timeout=timeout, request_id=request_id, early=early)
        try:
            return await answer
        finally:
            self._pending.pop(request_id, None)

    def notify(self, method: str, params: Parts | None = None, extras: Parts = ()) -> None:
        """Send a notification. Dropped when there is nobody to send it to any more."""
        message: list[Raws] = [b'{"jsonrpc":"2.0","method":%b' % encode_any(method)]
        if params is not None:
            message.append(b',"params":')
            message += params
        message += extras
        message.append(b"}\n")
        self._send(message)

    def cancel(self, request_id: bytes, params: Members) -> bool:
        """Pass on that nobody waits for this request any more. An answer that still comes is passed on like any other.

        Args:
            params: those of the cancelling notification; `requestId` becomes ours.

        Returns: whether it had not been sent yet: then it is forgotten, and `answered` will not be called.
        """
        pending = self._pending.get(request_id)
        if pending is not None and pending.at is None:
            del self._pending[request_id]
            self._held -= pending.size
            return True
        if pending is not None and not pending.cancelled:
            pending.cancelled = True
            pending.message = None  # never to be sent again
            self.notify("notifications/cancelled", join({**params, "requestId": request_id}))
        return False

    # -- what we answer

    def under_way(self, request_id: Raws, cancel: Cancel) -> None:
        """Note a request of the other side that will be answered later, and how to stop it when they cancel it."""
        self._incoming[bytes(request_id)] = cancel

    def awaits(self, request_id: Raws, cancel: Cancel) -> bool:
        """Whether this very request is still under way, and not a later one of the same id."""
        return self._incoming.get(bytes(request_id)) == cancel

    def forget(self, request_id: Raws) -> None:
        """It was cancelled and will not be answered."""
        self._incoming.pop(bytes(request_id), None)

    def answer(self, request_id: Raws, result: Parts) -> None:
        """Answer a request of the other side."""
        self._reply(request_id, [b',"result":', *result])

    def fail(self, request_id: Raws, error: bytes, *, done: bool = True) -> None:
        """Answer a request of the other side with a JSON-RPC error object.

        Args:
            done: nothing is under way for it any more; otherwise `close` is still to cancel it.
        """
        cancel = self._incoming.get(bytes(request_id))
        self._reply(request_id, [b',"error":', error])
        if cancel and not done:
            self._incoming[bytes(request_id)] = cancel

    def asked(self) -> list[bytes]:
        """Ids of the other side's requests that are under way."""
        return list(self._incoming)

    def pass_on(self, request_id: Raws, answer: Members) -> None:
        """Answer a request of the other side with the answer another peer gave: every member but the id as it came."""
        body: list[Raws] = []
        for name, value in answer.items():
            if name not in ("jsonrpc", "id"):
                body += (b"," + encode_any(name) + b":", value)
        self._reply(request_id, body)

    def _reply(self, request_id: Raws, body: list[Raws]) -> None:
        self._incoming.pop(bytes(request_id), None)
        self._send([b'{"jsonrpc":"2.0","id":', request_id, *body, b"}\n"])

    def wait_for_person(self) -> Callable[[], None]:
        """Stop the clocks of the calls in flight: the other side has asked a person. Returns what lets them go on."""
        wait = object()
        self._waits.add(wait)
        if self._waiting_since is None:
            self._waiting_since = self._loop.time()

        def answered() -> None:
            self._waits.discard(wait)
            if not self._waits and self._waiting_since is not None:
                self._stretch(self._waiting_since)
                self._waiting_since = None

        return answered

    # -- what we hear

    def receive(self, frame: Frame) -> None:
        """Take one frame in: an answer to its request, anything else to the owner, rubbish to the counters."""
        if isinstance(frame, Overlong):
            self._overlong(frame)
            return
        try:
            message = open_envelope(frame)
        except Unreadable as bad:
            self._unreadable(frame, bad)
            return
        method = method_of(message)
        if method is None:
            self._answer(message, frame)
        elif "id" in message:
            self._received(message)
        elif note := self._notes.get(method):
            note(message)
        elif method in NEVER_DROPPED or self._may_notify():
            self._received(message)

    def _answer(self, message: Members, frame: bytes) -> None:
        raw_id = message.get("id")
        if (
            raw_id is not None
            and ("result" not in message and "error" not in message)
            and bytes(raw_id) in self._pending
        ):
            why = f"{self.name} answered with neither `result` nor `error`: {self.shown(frame)!r}"
            self._spoil(self._pending.pop(bytes(raw_id)), BadAnswer(why, server=self.name, sent="yes"))
            return
        if raw_id is None or ("result" not in message and "error" not in message):
            self._unreadable(frame, Unreadable("it is neither a request, a notification nor an answer"))
            return
        request_id = bytes(raw_id)
        self.answered = self._loop.time()  # also by a late answer: it lives
        pending = self._pending.pop(request_id, None)
        if pending is None or pending.at is None:
            if pending is not None:  # an answer to what was not sent
                self._pending[request_id] = pending
            self.counts["answers_late_or_twice" if self._was_ours(request_id) else "answers_unknown"] += 1
            return
        self.troubles, self.last_rubbish = 0, ""
        pending.answered(message)

    def _progress(self, message: Members) -> None:
        params = _params(message)
        token = params.get("progressToken")
        pending = self._pending.get(bytes(token)) if token is not None else None
        if pending is None or pending.progressed is None:
            self.counts["progress_late_or_unknown"] += 1
        else:
            pending.progressed(params)

    def _cancelled(self, message: Members) -> None:
        params = _params(message)
        request_id = params.get("requestId")
        cancel = self._incoming.get(bytes(request_id)) if request_id is not None else None
        if cancel is None:  # it crossed its answer, as it may
            self.counts["cancellations_late_or_unknown"] += 1
        else:
            cancel(params)

    def _may_notify(self) -> bool:
        if self._quota.take(self._loop.time()):
            return True
        self.counts["notifications_dropped"] += 1
        self._complain("sends notifications faster than anybody can read; dropping some")
        return False

    def _was_ours(self, request_id: bytes) -> bool:
        number = request_id.removeprefix(self._lead).removesuffix(self._trail)
        return number.isdigit() and len(number) < 19 and 0 < int(number) <= self._last

    # -- what cannot be read

    def _unreadable(self, frame: bytes, bad: Unreadable) -> None:
        self.last_rubbish = self.shown(frame)
        self.counts["unreadable"] += 1
        head = frame[:HEAD]
        request_id = find_id(head, frame[-TAIL:]) if b'"id"' in frame else None
        pending = self._blame(head, request_id, guess=answers(head))
        if pending is None:
            self._complain(f"sent a line that is no message ({bad}): {self.last_rubbish!r}")
            self._rubbish(bad, frame, request_id if asks(head) else None)
            return
        why = f"{self.name} answered with a line that cannot be read: {bad}. It begins: {self.last_rubbish!r}."
        if not frame.lstrip().startswith(b"{"):
            why += " Something printed text to stdout, where only messages may go; print to stderr instead."
        self._spoil(pending, BadAnswer(why, server=self.name, sent="yes"))

    def _overlong(self, line: Overlong) -> None:
        """The first and the last report of a line above the limit; whichever names its request, settles it."""
        if line.tail is None and not line.endless:
            self.last_rubbish = self.shown(line.head)
            self.counts["overlong"] += 1
            self._settled = False
        elif self._settled:
            return
        error = TooLarge(
            f"{self.name} sent a message of more than {MESSAGE_LIMIT >> 20} MiB, the limit of one message. "
            "Ask for less at a time: fewer rows, one page, a smaller range.",
            server=self.name,
            sent="yes",
        )
        request_id = find_id(line.head, line.tail or b"")
        pending = self._blame(line.head, request_id, guess=True)
        self._settled = pending is not None or request_id is not None or line.endless
        if pending:
            self._spoil(pending, error)
        elif self._settled or line.tail is not None:
            self._complain(f"sent a line of more than {MESSAGE_LIMIT >> 20} MiB: {self.last_rubbish!r}")
            self._rubbish(error, line.head, request_id if asks(line.head) else None)

    def _blame(self, head: bytes, request_id: bytes | None, *, guess: bool) -> Pending | None:
        """The request that a broken message answers: the one it names, or, as a guess, the only one there is."""
        if asks(head):
            return None
        if request_id is None and guess:
            sent = [key for key, pending in self._pending.items() if pending.at is not None]
            request_id = sent[0] if len(sent) == 1 else None
        return self._pending.pop(request_id, None) if request_id is not None else None

    def _spoil(self, pending: Pending, error: RoundhouseError) -> None:
        self._trouble(error)
        pending.answered(error)

    def _trouble(self, error: RoundhouseError) -> None:
        self.troubles += 1
        self._troubled(error)

    def _complain(self, what: str) -> None:
        now = self._loop.time()
        if now - self._logged_at >= LOG_EVERY:
            self._logged_at = now
            logger.warning("%s %s", self.name, what)

    # -- writing and deadlines

    def _dispatch(self, pending: Pending) -> None:
        writer, message = self._writer, pending.message
        if writer is None or message is None:
            raise RuntimeError(f"{self.name}: nothing to write, or nothing to write to")
        if writer.queued > QUEUE_LIMIT:
            raise self._busy(writer.queued)
        pending.at = writer.accepted
        writer.write(message, pending.size)
        if pending.size >= SMALL:
            pending.message = None

    def _busy(self, waiting: int) -> ServerBusy:
        return ServerBusy(
            f"{self.name} does not read what it is sent: {waiting:,} bytes are waiting. "
            "Wait for its running calls, or restart it.",
            server=self.name,
            sent="no",
        )

    def _send(self, message: list[Raws]) -> None:
        if self._writer is None:
            return
        if self._writer.queued > QUEUE_LIMIT and not self._writer.back_pressure:
            self.counts["messages_to_it_dropped"] += 1
            return
        size = sum(map(len, message))
        self._writer.write([b"".join(message)] if size < SMALL else message, size)

    def _set_alarm(self, at: float) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        """End what is due. Runs when the earliest deadline there has been passes, so hardly ever."""
        now = self._loop.time()
        self._alarm, self._alarm_at = None, math.inf
        if self._waiting_since is not None and now - self._waiting_since < PERSON_LIMIT:
            self._set_alarm(now + 1.0)
            return
        due = [(key, pending) for key, pending in self._pending.items() if pending.deadline <= now]
        for key, pending in due:
            del self._pending[key]
            if pending.at is None:
                self._held -= pending.size
            self._expire(key, pending)
        if self._pending:
            self._set_alarm(min(pending.deadline for pending in self._pending.values()))

    def _expire(self, key: bytes, pending: Pending) -> None:
        sent = pending.at is not None
        if sent and not pending.cancelled and pending.method != "initialize":
            self.notify("notifications/cancelled", [b'{"requestId":%b,"reason":"timed out"}' % key])
        error = CallTimeout(
            f"{self.name} did not answer {pending.method} within {pending.timeout:g} s"
            + (" and was told to stop." if sent else ": it was still starting.")
            + (f" It printed this to stdout, which is no message: {self.last_rubbish!r}." if self.last_rubbish else ""),
            server=self.name,
            sent="unknown" if sent else "no",
        )
        if sent and not pending.cancelled:
            self._trouble(error)
        pending.answered(error)

    def _stretch(self, since: float) -> None:
        """Give each call the time it spent waiting for a person, from `since` or from when it was made."""
        now = self._loop.time()
        for pending in self._pending.values():
            pending.deadline += min(now - max(since, pending.deadline - pending.timeout), PERSON_LIMIT)


def _params(message: Members) -> Members:
    """The parameters of a message by name; none where they are no object."""
    try:
        return members(message.get("params", b"{}"))
    except Unreadable:
        return {}


def method_of(message: Members) -> bytes | None:
    """The method of a message as JSON writes it plainly, None for an answer."""
    method = message.get("method")
    if method is None or (plain := bytes(method)) == b"null":
        return None
    return encode_any(text(method)) if b"\\" in plain else plain
