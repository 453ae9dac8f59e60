"""Relays: a request of one peer, asked of another under an id of its own, answered with the bytes that come back.

    client ── Connection ── Switch.call ── Instance.conversation ── Peer ── the server's stdin

The same relay carries a client's calls down and a server's own requests (sampling, elicitation, roots) up. Parameters
are taken apart only as far as names and tokens must change; everything else is the sender's bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from roundhouse.errors import INVALID_PARAMS, UNAVAILABLE, BadMessage, NotFound, RoundhouseError
from roundhouse.gateway.catalogue import Catalogue, Route
from roundhouse.gateway.names import SEPARATOR
from roundhouse.model.calls import KEPT, CallFinished
from roundhouse.wire.envelope import Members, Parts, Raws, Unreadable, encode_any, join, members, text
from roundhouse.wire.peer import PERSON_LIMIT, Peer

Translate = Callable[[RoundhouseError], bytes]
ENVELOPE = frozenset({"jsonrpc", "id", "method", "params"})
OPEN_QUESTIONS = 100  # a server may have to the client at a time; more is a fault, and would pile up
MARGIN = 512  # bytes at either end of a result
CALL_TOOL = "call_tool"  # our tool that calls any other by name: for clients that froze their list


class Server(Protocol):
    """What the switch needs of an instance."""

    @property
    def call_timeout(self) -> float: ...
    @property
    def settled(self) -> bool: ...
    @property
    def usable(self) -> bool: ...
    @property
    def due(self) -> bool: ...
    def learn(self) -> None: ...
    async def settle(self) -> None: ...
    def conversation(self) -> Peer: ...
    def unavailable(self, sent: str) -> RoundhouseError: ...
    def under_way(self, client: str) -> Callable[[], None]: ...


Finished = Callable[[Members | RoundhouseError | None], None]


class Relay:
    """One request under way from `source` to `target`.

    Args:
        source_id: the id under which the source asked.
        finished: called once: with the answer or the failure, or with None where nobody waits for one any more.
    """

    __slots__ = ("_cancelled", "_finished", "_source", "_source_id", "_target", "_target_id", "_token", "_translate")

    def __init__(
        self,
        source: Peer,
        source_id: Raws,
        target: Peer,
        translate: Translate,
        finished: Finished,
    ) -> None:
        self._source = source
        self._source_id = bytes(source_id)  # a copy: a part of the frame would keep all of it in memory
        self._target = target
        self._target_id = target.new_id()
        self._token: bytes | None = None
        self._translate = translate
        self._cancelled = False
        self._finished: Finished | None = finished

    def send(self, method: str, params: Members | None, extras: Parts, timeout: float) -> None:
        """Ask the target. Raises: what `Peer.request` raises; nothing is under way then."""
        if params is not None and "_meta" in params:
            params = self._with_own_token(params)
        self._target.request(
            method,
            None if params is None else join(params),
            self._answered,
            timeout=timeout,
            request_id=self._target_id,
            progressed=self._progressed if self._token is not None else None,
            extras=extras,
        )
        self._source.under_way(self._source_id, self._cancel)

    def _with_own_token(self, params: Members) -> Members:
        try:
            meta = members(params["_meta"])
        except Unreadable:  # null, or no object: not ours to judge
            return params
        if "progressToken" not in meta:
            return params
        self._token = bytes(meta["progressToken"])
        return {**params, "_meta": b"".join(join({**meta, "progressToken": self._target_id}))}

    def _answered(self, got: Members | RoundhouseError) -> None:
        if not self._source.awaits(self._source_id, self._cancel):
            pass  # the source has gone, or asked something else under the same id since
        elif not isinstance(got, RoundhouseError):
            self._source.pass_on(self._source_id, got)
        elif self._cancelled:  # who cancels expects no answer; one the target gives all the same is passed on above
            self._source.forget(self._source_id)
        else:
            self._source.fail(self._source_id, self._translate(got))
        self._finish(got)

    def _progressed(self, params: Members) -> None:
        if self._token is not None:
            self._source.notify("notifications/progress", join({**params, "progressToken": self._token}))

    def _finish(self, got: Members | RoundhouseError | None) -> None:
        finished, self._finished = self._finished, None
        if finished:
            finished(got)

    def _cancel(self, params: Members) -> None:
        self._cancelled = True
        self._finish(None)
        if self._target.cancel(self._target_id, params):
            self._source.forget(self._source_id)


class Switch:
    """Where the calls of one client go.

    Args:
        client: who it is.
        catalogue: what it sees now.
        server: the instance of this server that serves it. Raises why it may not be called.
        names: all servers there are, whether they have tools yet or not.
        translate: a failure as a JSON-RPC error object.
        note: takes what became of each call, None where nobody keeps it.
    """

    def __init__(
        self,
        client: str,
        *,
        catalogue: Callable[[], Catalogue],
        server: Callable[[str], Server],
        names: Callable[[], Iterable[str]],
        translate: Translate,
        note: Callable[[CallFinished], None] | None,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._server = server
        self._names = names
        self._translate = translate
        self._note = note

    @property
    def catalogue(self) -> Catalogue:
        """What the client sees now."""
        return self._catalogue()

    def call(
        self, source: Peer, request_id: Raws, message: Members, params: Members, name: str, waited: float = 0.0
    ) -> None:
        """Relay a `tools/call` to the server that has this tool, or answer why not.

        Args:
            message: the whole request; members beyond the usual ones travel along.
            params: its parameters, `name` among them.
            waited: seconds of the call's time that are gone already.
        """
        route = self.catalogue.routes.get(name)
        finished: Finished | None = None
        try:
            if route is None:
                raise self._unknown(name)
            server = self._server(route.server)
            peer = server.conversation()
            begun = _Begun(route, params.get("arguments", b"")) if self._note else None
            finished = partial(self._finished, server.under_way(self._client), begun)
            relay = Relay(source, request_id, peer, self._translate, finished)
            relay.send("tools/call", {**params, "name": route.tool}, extras(message), server.call_timeout - waited)
        except RoundhouseError as error:
            if finished:
                finished(error)
            source.fail(request_id, self._translate(error))

    def _finished(self, over: Callable[[], None], begun: _Begun | None, got: Members | RoundhouseError | None) -> None:
        over()
        if self._note and begun:
            self._note(_report(self._client, begun, got))

    def ask_client(self, client: Peer, server: Peer, message: Members, method: str) -> None:
        """Relay a server's own request to a client. Its calls' clocks stand still until the person has answered."""
        request_id = message["id"]
        if server.unanswered >= OPEN_QUESTIONS:
            many = BadMessage(f"{OPEN_QUESTIONS} requests of this server are unanswered already.", number=UNAVAILABLE)
            server.fail(request_id, self._translate(many))
            return
        go_on = server.wait_for_person()

        def answered(got: Members | RoundhouseError | None) -> None:
            go_on()

        try:
            params = members(message["params"]) if "params" in message else None
            Relay(server, request_id, client, self._translate, answered).send(
                method, params, extras(message), PERSON_LIMIT
            )
        except (Unreadable, RoundhouseError) as bad:
            go_on()
            error = bad if isinstance(bad, RoundhouseError) else BadMessage(str(bad), number=INVALID_PARAMS)
            server.fail(request_id, self._translate(error))

    def awaited(self, name: str) -> Server | None:
        """The server that would have a tool of this name, where it is still starting and may yet list it."""
        try:
            server = None if name in self.catalogue.routes else self._server_before(name)
        except RoundhouseError:  # it may not be called at all: whoever calls it learns why
            return None
        if server and server.due:
            server.learn()
        return server if server and not server.settled else None

    def _unknown(self, name: str) -> RoundhouseError:
        """Why a name leads nowhere: its server is down, or there is no such tool."""
        server = self._server_before(name)
        if server and not server.usable:
            return server.unavailable("no")
        known = list(self.catalogue.routes)
        bare = [public for public in known if public.endswith(SEPARATOR + name)]
        full = f"Its full name may be {bare[0]!r}. " if bare else ""
        return NotFound("tool", name, known, hint=f"{full}search_tools finds tools, explain says why one is missing.")

    def _server_before(self, name: str) -> Server | None:
        """The server whose prefix a name has; a hint for messages and waiting, never a route."""
        return next((self._server(server) for server in self._names() if name.startswith(server + SEPARATOR)), None)


class _Begun:
    """What the call log needs of a call that begins. Copies: a part of a frame would keep all of it in memory."""

    __slots__ = ("arguments", "at", "clock", "route", "sent")

    def __init__(self, route: Route, arguments: Raws) -> None:
        self.route = route
        self.at, self.clock = time.time(), time.monotonic()
        self.sent = len(arguments)
        self.arguments = bytes(memoryview(arguments)[:KEPT])


def _report(client: str, begun: _Begun, got: Members | RoundhouseError | None) -> CallFinished:
    """What the call log is told."""
    outcome, code = "ok", ""
    received: Raws = b""
    if isinstance(got, RoundhouseError):
        outcome, code, received = "error", got.code, str(got).encode(errors="replace")
    elif got is None:
        outcome, code = "error", "cancelled"
    elif "error" in got:
        outcome, received = "error", got["error"]
    else:
        received = got.get("result", b"")
        if _is_tool_error(received):
            outcome = "tool_error"
    return CallFinished(
        server=begun.route.server,
        tool=begun.route.tool,
        client=client,
        started=begun.at,
        seconds=time.monotonic() - begun.clock,
        outcome=outcome,
        code=code,
        sent=begun.sent,
        received=len(received),
        arguments=begun.arguments,
        result=bytes(memoryview(received)[:KEPT]),
    )


def _is_tool_error(result: Raws) -> bool:
    """Whether a tool says so itself. Servers write it first or last, so a long result is not searched through."""
    view = memoryview(result)
    if not any(b'"isError"' in bytes(end) for end in (view[:MARGIN], view[-MARGIN:])):
        return False
    try:
        return bytes(members(result).get("isError", b"")) == b"true"
    except Unreadable:
        return False


def extras(message: Members) -> list[Raws]:
    """Members of an envelope that no version of the protocol names, each with its leading comma."""
    if message.keys() <= ENVELOPE:
        return []
    return [piece for k, v in message.items() if k not in ENVELOPE for piece in (b"," + encode_any(k) + b":", v)]


def unwrap(params: Members) -> tuple[str, Members]:
    """The call that a call of `call_tool` stands for: the tool's name, and parameters that are otherwise the same.

    Raises: `BadMessage` when the arguments do not say which tool.
    """
    try:
        given = members(params.get("arguments", b"{}"))
    except Unreadable:
        given = {}
    name = text(given.get("name"))
    unknown = sorted(given.keys() - {"name", "arguments"})
    if name is None or unknown:
        what = f"it does not take {unknown[0]!r}" if unknown else "`name` is missing or no string"
        raise BadMessage(
            f'call_tool takes {{"name": "server__tool", "arguments": {{...}}}}; {what}.', number=INVALID_PARAMS
        )
    inner = {key: value for key, value in params.items() if key != "arguments"}
    if bytes(memoryview(given.get("arguments", b"{"))[:1]) not in b"{n":
        raise BadMessage("`arguments` of call_tool is an object, not a string or a list.", number=INVALID_PARAMS)
    if "arguments" in given:
        inner["arguments"] = given["arguments"]
    return name, inner
