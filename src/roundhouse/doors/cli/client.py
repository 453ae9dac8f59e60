"""The CLI's side of the socket: a client like any other, synchronous, one request at a time.

Every request ends: with the house's answer, with an error of the house, or with `HouseUnavailable` when the house goes
away or says nothing for too long. An interrupted call is cancelled in the house before the interrupt goes on.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from roundhouse.doors.cli.failures import HouseUnavailable, Refused

PROTOCOL = "2025-11-25"
ANSWER_WITHIN = 180.0  # seconds for an operation; the longest of them, a start, is given up by the house after 45
OPEN_WITHIN = 10.0  # seconds; an opening is answered from memory
SOON = 0.4  # seconds after which a person wants to see that something is going on
PIECE = 1 << 18  # bytes read at once
METHOD_NOT_FOUND = {"code": -32601, "message": "A command line cannot be asked that."}

Message = dict[str, Any]


class Waiting(Protocol):
    """Somebody who is told that an answer takes its time."""

    def still(self) -> None: ...

    def progress(self, done: float, total: float | None, message: str) -> None: ...


class Client:
    """An opened connection to the house. Owns the socket.

    Args:
        connected: a socket on which the hellos have been exchanged.
        version: ours, for the house's list of clients.
        within: seconds for the first answer.
    """

    def __init__(self, connected: socket.socket, version: str, within: float = OPEN_WITHIN) -> None:
        self._socket = connected
        self._received = bytearray()
        self._last_id = 0
        about_us = {"name": "roundhouse", "title": "Roundhouse's command line", "version": version}
        opening = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": about_us}
        self._request("initialize", opening, within, None)
        self._send({"method": "notifications/initialized"})

    def ask(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        waiting: Waiting | None = None,
        within: float = ANSWER_WITHIN,
    ) -> Message:
        """What an operation returns.

        Raises: `Refused` for any failure of it, `HouseUnavailable`.
        """
        result = self.call(operation, arguments, waiting=waiting, within=within)
        if result.get("isError"):
            raise _refusal_in(result)
        answer = result["structuredContent"] if "structuredContent" in result else _json_in(result)
        if not isinstance(answer, dict):
            raise Refused("RH_BAD_ANSWER", f"The house answered {operation} in a form this version does not know.", {})
        return answer

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        waiting: Waiting | None = None,
        within: float | None = None,
    ) -> Message:
        """The whole tool result of an operation, which may say `isError`.

        Args:
            waiting: told about progress, and that it takes a while.
            within: seconds; None where the house itself sees to it that an end comes.

        Raises: `Refused` for a JSON-RPC error, `HouseUnavailable`.
        """
        params: Message = {"name": operation, "arguments": arguments}
        if waiting:
            params["_meta"] = {"progressToken": self._last_id + 1}
        try:
            return self._request("tools/call", params, within, waiting)
        except KeyboardInterrupt:
            stopped = {"requestId": self._last_id, "reason": "The person at the command line stopped it."}
            with suppress(HouseUnavailable):
                self._send({"method": "notifications/cancelled", "params": stopped})
            raise

    def close(self) -> None:
        self._socket.close()

    def _request(self, method: str, params: Message, within: float | None, waiting: Waiting | None) -> Message:
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        for message in self._messages(within, waiting):
            if "method" in message:
                self._attend(message, waiting)
            elif message.get("id") == self._last_id:
                return _result_in(message)
        raise HouseUnavailable(f"The house has not answered within {within:.0f} s. `roundhouse doctor` tells more.")

    def _attend(self, message: Message, waiting: Waiting | None) -> None:
        """What the house asks or tells while we wait."""
        if "id" in message:
            answer = {"result": {}} if message["method"] == "ping" else {"error": METHOD_NOT_FOUND}
            self._send({"id": message["id"], **answer})
        params = message.get("params")
        if message["method"] == "notifications/progress" and waiting and isinstance(params, dict):
            done, total, text = params.get("progress"), params.get("total"), params.get("message")
            if params.get("progressToken") == self._last_id and isinstance(done, int | float):
                waiting.progress(done, total if isinstance(total, int | float) else None, str(text or ""))

    def _messages(self, within: float | None, waiting: Waiting | None) -> Iterator[Message]:
        """Every message that comes, until the time is over."""
        until = None if within is None else time.monotonic() + within
        if waiting and not self._readable(SOON):
            waiting.still()
        while self._readable(None if until is None else until - time.monotonic()):
            try:
                piece = self._socket.recv(PIECE)
            except OSError:
                piece = b""
            if not piece:
                raise HouseUnavailable(
                    "The house went away before it had answered; whether this was carried out is not known. "
                    "`roundhouse status` tells whether there is one now, logs/house.log in its home why it left."
                )
            self._received += piece
            if b"\n" in piece:
                *lines, rest = self._received.split(b"\n")
                self._received = rest
                yield from map(_message_in, lines)

    def _readable(self, within: float | None) -> bool:
        ready, _, _ = select.select([self._socket], [], [], None if within is None else max(0.0, within))
        return bool(ready)

    def _send(self, message: Message) -> None:
        try:
            self._socket.sendall(json.dumps({"jsonrpc": "2.0", **message}, allow_nan=False).encode() + b"\n")
        except OSError as bad:
            raise HouseUnavailable(f"The house went away ({bad.strerror}). `roundhouse status` tells more.") from None


def _message_in(line: bytearray) -> Message:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise HouseUnavailable("The house said something that is no message; `roundhouse down` ends it.")
    return message


def _result_in(message: Message) -> Message:
    if isinstance(result := message.get("result"), dict):
        return result
    error = message.get("error")
    error = error if isinstance(error, dict) else {}
    data = error.get("data")
    facts = data if isinstance(data, dict) else {}
    raise _refusal(str(error.get("message") or "The house refused, and does not say why."), facts)


def _refusal_in(result: Message) -> Refused:
    """The error an operation of ours returned: its text begins with the code, its facts stand beside."""
    text = _text_in(result)
    meta = result.get("_meta")
    facts = meta.get("roundhouse/error") if isinstance(meta, dict) else None
    facts = facts if isinstance(facts, dict) else {}
    return _refusal(text.removeprefix(f"{facts.get('code')}: "), facts)


def _json_in(result: Message) -> object:
    """The answer of an operation that says it as text only, because every word of it costs a model."""
    try:
        return json.loads(_text_in(result))
    except ValueError:
        return None


def _text_in(result: Message) -> str:
    return "\n".join(str(block.get("text", "")) for block in result.get("content", ()) if isinstance(block, dict))


def _refusal(message: str, facts: Message) -> Refused:
    return Refused(str(facts.get("code") or Refused.code), message, {k: v for k, v in facts.items() if k != "code"})
