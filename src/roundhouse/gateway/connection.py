"""One client: its opening, its ids, the order of what it hears, and the only writer to it.

Lifecycle and lists are answered here, from prepared bytes; tool calls go to the switch; calls of our own tools become
tasks that a cancellation ends. Nothing a server says reaches the client before `initialize` is answered, and no request
before the client has confirmed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from roundhouse import __version__
from roundhouse.errors import INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, BadMessage, RoundhouseError, TooLarge
from roundhouse.gateway.switch import CALL_TOOL, Server, Switch, Translate, unwrap
from roundhouse.model.text import shorten
from roundhouse.wire.envelope import Members, Parts, Raws, Unreadable, elements, encode, join, members, text
from roundhouse.wire.eras import HANDSHAKE_VERSIONS, Profile, read_name, read_profile
from roundhouse.wire.peer import QUEUE_LIMIT, Peer, Writer, method_of

logger = logging.getLogger(__name__)

IDLE_POLL = 0.02  # seconds; only looked at while leaving
FAULT = "Roundhouse failed to do this; its log (stderr) says where."
LONGEST_BATCH = 1_000  # messages in a line
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")  # RFC 5424, section 6.2.1
CAPABILITIES = encode({"tools": {"listChanged": True}, "logging": {}})
UNANSWERABLE = b"null"  # the id of an answer to something whose own id could not be read (JSON-RPC 2.0, section 5)


class Host(Protocol):
    """The house, as one of its clients needs it."""

    @property
    def instructions(self) -> str:
        """What a model is told about us."""

    def opened(self, profile: Profile, name: str) -> None:
        """The client has said what it can do and what it is called."""

    async def filled(self) -> None:
        """Wait until a first list is worth giving."""

    def roots_changed(self) -> None:
        """The client's roots are different."""

    def set_level(self, level: int) -> None:
        """The client wants log messages from this level on, a place in `LEVELS`."""

    def is_ours(self, name: str) -> bool:
        """Whether this is a tool of ours."""

    async def operate(self, name: str, arguments: Raws | None) -> Parts:
        """The result of one of our tools, a failure of it included."""


class Connection:
    """The client's end of the house.

    Args:
        name: unlike that of every other client, of this house and of others.
        tasks: where what takes time is done; ends with the connection.
    """

    def __init__(
        self, writer: Writer, *, name: str, host: Host, switch: Switch, translate: Translate, tasks: TaskGroup
    ) -> None:
        self.peer = Peer(
            "the client",
            received=self._received,
            troubled=lambda error: None,
            rubbish=self._rubbish,
            prefix=f"rh-{name}-",  # a front may outlive a house: no answer to one is taken for an answer to the next
        )
        self.peer.connect(writer)
        self.receive = self.peer.receive
        self.profile: Profile | None = None
        self._host = host
        self._switch = switch
        self._translate = translate
        self._tasks = tasks
        self._confirmed = False
        self._waiting = 0  # bytes of calls whose server has not listed its tools yet
        self._listed = False  # it has a list that can be out of date
        self._requests: dict[bytes, Callable[[Raws, Members], None]] = {
            b'"initialize"': self._initialize,
            b'"ping"': self._ping,
            b'"tools/list"': self._list_tools,
            b'"tools/call"': self._call_tool,
            b'"logging/setLevel"': self._set_level,
            b'"server/discover"': self._discover,
        }

    # -- what the house tells the client

    def tools_changed(self) -> None:
        """There are other tools now. Said once: it is as true until the client has asked for the list again."""
        if self._listed:
            self._listed = False
            self.peer.notify("notifications/tools/list_changed")

    def ask(self, server: Peer, message: Members, method: str) -> None:
        """Relay a request of a server to the client."""
        self._switch.ask_client(self.peer, server, message, method)

    def relay_notification(self, method: str, message: Members) -> None:
        """Pass on what a server said to nobody in particular."""
        if self.profile:
            self.peer.notify(method, [message["params"]] if "params" in message else None)

    async def idle(self) -> None:
        """Wait until every request of the client has been answered. The caller bounds the wait."""
        while self.peer.unanswered:  # noqa: ASYNC110 - looked at only while leaving
            await anyio.sleep(IDLE_POLL)

    def close(self) -> None:
        """Leave: what it asked for is cancelled, and answered so in case it still listens."""
        leaving = self._translate(RoundhouseError("Roundhouse is leaving; this was not finished.", sent="unknown"))
        for request_id in self.peer.asked():
            self.peer.fail(request_id, leaving, done=False)
        self.peer.close(lambda sent: BadMessage("The client has gone."))

    # -- what the client says

    def _received(self, message: Members) -> None:
        method = method_of(message) or b""
        if "id" not in message:
            self._notified(method, message)
            return
        request_id = message["id"]
        if not _is_id(bytes(request_id)):
            why = f"The id of a request is a string or a whole number, not {bytes(request_id)[:40]!r}."
            self._fail(UNANSWERABLE, BadMessage(why))
            return
        handle = self._requests.get(method)
        if handle is None:
            known = ", ".join(name.decode().strip('"') for name in self._requests)
            shown = shorten(text(message["method"]) or "")
            why = f"Roundhouse does not know the method {shown!r} yet. Known: {known}."
            self._fail(request_id, BadMessage(why, number=METHOD_NOT_FOUND))
        elif self.profile is None and handle in (self._list_tools, self._call_tool, self._set_level):
            why = "Send `initialize` first, then `notifications/initialized`; nothing was done."
            self._fail(request_id, BadMessage(why))
        else:
            if self.profile is not None and handle is not self._ping:
                self._confirm()  # a client that goes on without confirming is open all the same
            try:
                handle(request_id, message)
            except Exception:
                logger.exception("a request failed in a way nobody foresaw")
                self._fail(request_id, RoundhouseError(FAULT))

    def _notified(self, method: bytes, message: Members) -> None:
        if self.profile is None:
            return
        if method == b'"notifications/initialized"':
            self._confirm()
        elif method == b'"notifications/roots/list_changed"':
            self._host.roots_changed()

    def _rubbish(self, bad: Unreadable | TooLarge, frame: Raws, request_id: bytes | None) -> None:
        """A frame that is no message: every request in it still gets exactly one answer."""
        if isinstance(bad, TooLarge):
            self._fail(request_id or UNANSWERABLE, bad)
            return
        try:
            batch = elements(frame)
        except Unreadable:
            why = f"That line is no message: {bad}. Send one JSON-RPC object a line."
            self._fail(request_id or UNANSWERABLE, BadMessage(why, number=PARSE_ERROR))
            return
        if not 0 < len(batch) <= LONGEST_BATCH:
            self._fail(UNANSWERABLE, BadMessage(f"A batch has 1 to {LONGEST_BATCH:,} messages, not {len(batch):,}."))
            return
        for message in batch:  # a batch (2025-03-26): its answers leave one by one
            if bytes(memoryview(message)[:1]) == b"[":
                self._fail(UNANSWERABLE, BadMessage("A batch holds messages, not batches."))
            else:
                self.receive(bytes(message))

    # -- requests

    def _initialize(self, request_id: Raws, message: Members) -> None:
        if self.profile is not None:
            self._fail(request_id, BadMessage("This connection is initialized already; open another one."))
            return
        params = self._params(request_id, message)
        if params is None:
            return
        self.profile = read_profile(params)
        self._host.opened(self.profile, read_name(params))
        self.peer.answer(
            request_id,
            join(
                {
                    "protocolVersion": encode(self.profile.version),
                    "capabilities": CAPABILITIES,
                    "serverInfo": encode({"name": "roundhouse", "title": "Roundhouse", "version": __version__}),
                    "instructions": encode(self._host.instructions),
                }
            ),
        )

    def _confirm(self) -> None:
        if not self._confirmed:
            self._confirmed = True
            self.peer.open()

    def _discover(self, request_id: Raws, message: Members) -> None:
        """The opening of the stateless era: clients that know both fall back to `initialize` on this error."""
        why = f"Roundhouse speaks {', '.join(HANDSHAKE_VERSIONS)}; open with `initialize`."
        self._fail(request_id, BadMessage(why, number=METHOD_NOT_FOUND, supported=list(HANDSHAKE_VERSIONS)))

    def _ping(self, request_id: Raws, message: Members) -> None:
        self.peer.answer(request_id, [b"{}"])

    def _set_level(self, request_id: Raws, message: Members) -> None:
        params = self._params(request_id, message)
        if params is None:
            return
        level = text(params.get("level"))
        if level not in LEVELS:
            self._fail(request_id, BadMessage(f"`level` is one of {', '.join(LEVELS)}.", number=INVALID_PARAMS))
            return
        self._host.set_level(LEVELS.index(level))
        self.peer.answer(request_id, [b"{}"])

    def _list_tools(self, request_id: Raws, message: Members) -> None:
        params = self._params(request_id, message)
        if params is None:
            return
        if bytes(params.get("cursor", b"null")) != b"null":
            why = "The list of tools has one page; ask without `cursor`."
            self._fail(request_id, BadMessage(why, number=INVALID_PARAMS))
            return
        self._begin(request_id, self._list_when_filled(request_id))

    async def _list_when_filled(self, request_id: Raws) -> None:
        await self._host.filled()
        self._listed = True
        self.peer.answer(request_id, [self._switch.catalogue.tools])

    def _call_tool(self, request_id: Raws, message: Members) -> None:
        params = self._params(request_id, message)
        if params is None:
            return
        name = text(params.get("name"))
        if name == CALL_TOOL:
            try:
                name, params = unwrap(params)
            except BadMessage as bad:
                self._fail(request_id, bad)
                return
        if name is None:
            self._fail(request_id, BadMessage("`params.name` is missing or no string.", number=INVALID_PARAMS))
        elif self._host.is_ours(name):
            self._begin(request_id, self._operate(request_id, name, params.get("arguments")))
        elif server := self._switch.awaited(name):
            size = sum(map(len, params.values()))
            if self._waiting + size > QUEUE_LIMIT:
                self._fail(request_id, server.unavailable("no"))
                return
            self._waiting += size
            self._begin(request_id, self._call_when_settled(server, request_id, message, params, name, size))
        else:
            self._switch.call(self.peer, request_id, message, params, name)

    async def _operate(self, request_id: Raws, name: str, arguments: Raws | None) -> None:
        self.peer.answer(request_id, await self._host.operate(name, arguments))

    async def _call_when_settled(
        self, server: Server, request_id: Raws, message: Members, params: Members, name: str, size: int
    ) -> None:
        begun = anyio.current_time()
        try:
            with anyio.move_on_after(server.call_timeout):
                await server.settle()
        finally:
            self._waiting -= size
        if not server.settled:
            raise server.unavailable("no")
        self._switch.call(self.peer, request_id, message, params, name, waited=anyio.current_time() - begun)

    # -- shared by the requests

    def _params(self, request_id: Raws, message: Members) -> Members | None:
        """The parameters by name, or None after the request has been answered for having none that are an object."""
        try:
            return members(message.get("params", b"{}"))
        except Unreadable as bad:
            self._fail(request_id, BadMessage(f"`params` cannot be used: {bad}.", number=INVALID_PARAMS))
            return None

    def _begin(self, request_id: Raws, work: Coroutine[None, None, None]) -> None:
        """Do what takes time in a task that the client can cancel."""
        scope = anyio.CancelScope()
        self.peer.under_way(request_id, lambda params: scope.cancel())
        self._tasks.start_soon(self._finish, request_id, scope, work)

    async def _finish(self, request_id: Raws, scope: anyio.CancelScope, work: Coroutine[None, None, None]) -> None:
        with scope:
            try:
                await work
            except RoundhouseError as error:
                self._fail(request_id, error)
            except Exception:
                logger.exception("a request failed in a way nobody foresaw")
                self._fail(request_id, RoundhouseError(FAULT))
        if scope.cancelled_caught:
            self.peer.forget(request_id)

    def _fail(self, request_id: Raws, error: RoundhouseError) -> None:
        self.peer.fail(request_id, self._translate(error))


def _is_id(raw: bytes) -> bool:
    return raw[:1] == b'"' or raw.removeprefix(b"-").isdigit()
