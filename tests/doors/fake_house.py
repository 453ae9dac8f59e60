"""A house for tests of the command line: the hello and the protocol as the real one speaks them, and answers by hand.

What every test needs stands in `ANSWERS`, in the form of the real answers (a test compares them). A test replaces what
it is about. Arguments that the real house would refuse are refused. Everything that was asked is kept.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import ValidationError

from roundhouse import __version__, rendezvous
from roundhouse.operations.registry import OPERATIONS

Message = dict[str, Any]
Answer = Message | Exception | Callable[[Message], Message]
PATIENCE = 20.0  # seconds; how long a test waits for what should come at once, on a busy machine


class Failure(Exception):
    """What an operation of the house answers as an error: a tool result, as `doors.translate` makes it."""

    def __init__(self, code: str, message: str, *, as_error: int = 0) -> None:
        super().__init__(message)
        self.code, self.as_error = code, as_error


def server(name: str, **differs: Any) -> Message:
    """A status as `list_servers` gives it."""
    return {
        "name": name,
        "state": "ready",
        "reason": "",
        "start": "on-demand",
        "tools": 2,
        "pid": 4711,
        "seconds_in_state": 12.5,
        "restarts": 0,
        "instances": 1,
        "approval": "approved",
        "notes": [],
        "last_stderr": [],
        "ignored": {},
        "tags": [],
        **differs,
    }


def approval(number: int, name: str, **differs: Any) -> Message:
    """A proposal as `list_approvals` gives it."""
    return {
        "id": f"0197-{number}",
        "server": name,
        "kind": "add",
        "asked_by": "claude-code",
        "asked_at": 1_700_000_000.0,
        "argv": ["uvx", "mcp-server-time"],
        "executable": "/usr/bin/uvx",
        "environment": [],
        "cwd": None,
        "isolation": "none: it runs with your rights",
        "url": "",
        "headers": [],
        "changes": [],
        "digest": "0" * 64,
        **differs,
    }


TIME = {
    "name": "time__now",
    "title": "The time",
    "description": "What time it is.\nIn some place.",
    "inputSchema": {
        "type": "object",
        "properties": {"zone": {"type": "string"}, "digits": {"type": "integer"}, "utc": {"type": "boolean"}},
        "required": ["zone"],
        "additionalProperties": False,
    },
}

ANSWERS: Mapping[str, Answer] = {
    "list_servers": {"servers": [server("time"), server("git", state="stopped", pid=None, tools=12)]},
    "add_server": {
        "name": "time",
        "state": "ready",
        "approval": "approved",
        "proposal_id": None,
        "tools": 2,
        "next_step": "Its tools are listed now.",
        "secrets_stored": [],
    },
    "remove_server": lambda asked: {"name": asked["name"], "removed": True},
    "configure_server": lambda asked: {
        "name": asked["name"],
        "applied": list(asked["changes"]),
        "proposed": [],
        "proposal_id": None,
        "secrets_stored": [],
        "next_step": "It is done.",
    },
    "start_server": lambda asked: server(asked["name"]),
    "stop_server": lambda asked: server(asked["name"], state="stopped"),
    "restart_server": lambda asked: server(asked["name"]),
    "import_servers": {"added": [], "skipped": [], "problems": []},
    "search_tools": lambda asked: {
        "matches": 1,
        "tools": [{"name": "time__now", "description": "What time it is.", "parameters": "zone"}],
        "hint": "",
    },
    "list_tools": {"tools": [{key: TIME[key] for key in ("name", "title", "description")} | {"server": "time"}]},
    "describe_tool": lambda asked: {
        "name": asked["name"],
        "server": "time",
        "definition": TIME,
        "instructions": None,
        "state": "ready",
    },
    "check_health": {
        "servers": [
            {
                "name": "time",
                "level": "healthy",
                "reasons": [],
                "state": "ready",
                "uptime_seconds": 3725.0,
                "memory_mb": 41.5,
                "cpu_percent": 0.0,
                "descriptors": 9,
                "children": 0,
                "ping_ms": 1.25,
                "restarts": 0,
                "history": [],
            }
        ]
    },
    "read_logs": lambda asked: {"name": asked["name"], "state": "ready", "lines": ["one", "two"]},
    "explain": {
        "name": "time",
        "callable": False,
        "steps": [
            {"step": "configured", "ok": True, "detail": "as a command"},
            {"step": "approved", "ok": False, "detail": "nobody has said yes"},
            {"step": "started", "ok": None, "detail": ""},
        ],
        "next_step": "roundhouse approve time",
    },
    "call_tool": {"content": [{"type": "text", "text": "noon"}], "isError": False},
    "list_approvals": {"approvals": []},
    "approve": lambda asked: {"id": asked["id"], "server": "time", "approval": "approved", "status": server("time")},
    "deny": lambda asked: {
        "id": asked["id"],
        "server": "time",
        "approval": "denied",
        "status": server("time", state="stopped", tools=0),
    },
    "house_status": {
        "pid": 4710,
        "version": __version__,
        "uptime_seconds": 90061.0,
        "home": "/somewhere",
        "clients": [{"name": "claude-code", "pid": 99, "version": "2.1", "since": 1_700_000_000.0}],
        "servers": {"ready": 1, "stopped": 2},
        "pending_approvals": 1,
        "notes": ["The store was restored from a backup."],
        "idle_leave_seconds": 900.0,
        "log": "/somewhere/logs/house.log",
        "store": {"state": "ok"},
    },
    "leave": {"leaving": True},
    "list_secrets": {
        "secrets": [{"name": "TOKEN", "server": "github", "kept_in": "file", "created": 1_700_000_000.0}],
        "kept_in": "file",
        "where": "the file /somewhere/secrets.json",
    },
    "set_secret": lambda asked: {
        "name": asked["name"],
        "server": asked.get("server"),
        "kept_in": "file",
        "created": 1.0,
    },
    "remove_secret": lambda asked: {"name": asked["name"], "removed": True},
}


class FakeHouse:
    """A house at a place. Answers one client after the other; what they asked is in `asked`."""

    def __init__(self, place: rendezvous.Place) -> None:
        self.place = place
        self.answers: dict[str, Answer] = {**ANSWERS}
        self.asked: list[tuple[str, Message]] = []
        self.notified: list[Message] = []
        self.hellos: list[Message] = []
        self.refuses = ""
        self.progress: list[Message] = []
        self.cancelled = threading.Event()
        self.waits = threading.Event()  # set once it lets a call wait for its cancellation
        self._client: socket.socket | None = None
        self._lock = rendezvous.hold_house_lock(place)
        self._listening = rendezvous.bind_socket(place)
        self._listening.setblocking(True)
        self._address = rendezvous.address(place)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked]

    def close(self) -> None:
        """Leave."""
        if self._lock is None:
            return
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        if self._client:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        rendezvous.remove_socket(self.place, self._address)
        os.close(self._lock)
        self._lock = None

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._client = client
            with client, suppress(ConnectionError), client.makefile("rw", encoding="utf-8", newline="\n") as lines:
                self._attend(lines)

    def _attend(self, lines: Any) -> None:
        self.hellos.append(json.loads(lines.readline() or "{}"))
        hello: Message = {"roundhouse": 1, "version": __version__, "pid": os.getpid()}
        _say(lines, hello | ({"refused": self.refuses} if self.refuses else {}))
        if self.refuses:
            return
        for line in lines:
            message = json.loads(line)
            if "id" not in message:
                self._hear(message)
            elif message["method"] == "initialize":
                _say(lines, {"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": "2025-11-25"}})
            else:
                self._answer(lines, message)

    def _hear(self, message: Message) -> None:
        self.notified.append(message)
        if message["method"] == "notifications/cancelled":
            self.cancelled.set()

    def _answer(self, lines: Any, message: Message) -> None:
        operation, arguments = message["params"]["name"], message["params"]["arguments"]
        self.asked.append((operation, arguments))
        token = message["params"].get("_meta", {}).get("progressToken")
        for step in self.progress if token is not None else ():
            _say(
                lines,
                {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, **step}},
            )
        answer = self.answers[operation]
        if answer is NEVER:
            self.waits.set()
            return
        try:
            _check(operation, arguments)
            found = answer(arguments) if callable(answer) else answer
            if isinstance(found, Exception):
                raise found
        except Failure as failure:
            _say(lines, {"jsonrpc": "2.0", "id": message["id"], **_failed(failure)})
            return
        result = found if operation == "call_tool" else {"content": [], "structuredContent": found}
        if operation == "search_tools":  # the real one says it once, and as text
            result = {"content": [{"type": "text", "text": json.dumps(found)}]}
        _say(lines, {"jsonrpc": "2.0", "id": message["id"], "result": result})


NEVER: Message = {}  # an answer that never comes


def _check(operation: str, arguments: Message) -> None:
    try:
        OPERATIONS[operation].input.model_validate(arguments)
    except ValidationError as bad:
        raise Failure("RH_BAD_MESSAGE", str(bad)) from None


def _failed(failure: Failure) -> Message:
    data = {"code": failure.code, "retryable": False}
    if failure.as_error:
        return {"error": {"code": failure.as_error, "message": str(failure), "data": data}}
    content = [{"type": "text", "text": f"{failure.code}: {failure}"}]
    return {"result": {"content": content, "isError": True, "_meta": {"roundhouse/error": data}}}


def _say(lines: Any, message: Message) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


@contextmanager
def fake_house(place: rendezvous.Place) -> Iterator[FakeHouse]:
    """A fake house at this place, for as long as the test runs."""
    house = FakeHouse(place)
    try:
        yield house
    finally:
        house.close()
