"""The physical limit: the least a Python process between a client and its servers has to do.

One thread, one epoll loop. A call is routed by its public name and gets an id of ours by cutting bytes; its body is
never parsed, and what arrived in one read leaves in one write. A yardstick, no product: it knows no deadline, no
restart and no policy, and leaves when its client or one of its servers does.

Usage: python bench/relay.py --config FILE, which holds {"mcpServers": {NAME: {"command": "...", "args": ["..."]}}}
"""

import json
import os
import re
import select
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

READ_SIZE = 1 << 16  # a pipe's capacity; asking for more gains nothing

CALL = re.compile(
    rb'\{"jsonrpc":"2\.0","id":(\d+|"[^"\\]*"),"method":"tools/call","params":\{"name":"([^"\\]+)"',
)
ANSWER = re.compile(rb'\{"jsonrpc":"2\.0","id":(\d+),')

OPENING = (
    b'{"jsonrpc":"2.0","id":"opening","method":"initialize","params":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{},"clientInfo":{"name":"relay","version":"1"}}}\n'
)
INITIALIZED_AND_LIST = (
    b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n{"jsonrpc":"2.0","id":"listing","method":"tools/list"}\n'
)


class Inlet:
    """A pipe's reading end, as lines."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._partial: list[bytes] = []

    def lines(self) -> list[bytes] | None:
        """The lines one read completed; None at the end."""
        chunk = os.read(self._fd, READ_SIZE)
        if not chunk:
            return None
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial.clear()
        if rest:
            self._partial.append(rest)
        return lines


class Outlet:
    """A pipe's writing end that never blocks: what does not fit waits here until epoll says so."""

    def __init__(self, fd: int, epoll: select.epoll) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._epoll = epoll
        self._backlog: deque[memoryview] = deque()

    def write(self, data: bytes) -> None:
        sent = 0 if self._backlog else self._push(data)
        if sent == len(data):
            return
        if not self._backlog:
            self._epoll.register(self.fd, select.EPOLLOUT)
        self._backlog.append(memoryview(data)[sent:])

    def drain(self) -> None:
        while self._backlog:
            first = self._backlog.popleft()
            sent = self._push(first)
            if sent < len(first):
                self._backlog.appendleft(first[sent:])
                return
        self._epoll.unregister(self.fd)

    def _push(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0


class Child:
    """One server: its process and both its pipes."""

    def __init__(self, name: str, command: list[str], epoll: select.epoll) -> None:
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin
        assert self.process.stdout
        self.fd = self.process.stdout.fileno()
        self.inlet = Inlet(self.fd)
        self.outlet = Outlet(self.process.stdin.fileno(), epoll)


class Relay:
    def __init__(self, servers: dict[str, dict[str, Any]]) -> None:
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._client_in = Inlet(0)
        self._client_out = Outlet(1, self._epoll)
        children = [Child(name, [spec["command"], *spec["args"]], self._epoll) for name, spec in servers.items()]
        self._children = {child.fd: child for child in children}
        self._outlets = {outlet.fd: outlet for outlet in (self._client_out, *(child.outlet for child in children))}
        self._routes: dict[bytes, tuple[Child, bytes]] = {}
        self._waiting: dict[int, bytes] = {}  # our id, the client's id as it was spelled
        self._last_id = 0
        self._tools: list[dict[str, Any]] = []
        self._unlisted = len(children)
        self._list_requests: list[Any] = []

    def run(self) -> None:
        for child in self._children.values():
            self._epoll.register(child.fd, select.EPOLLIN)
            child.outlet.write(OPENING)
        try:
            self._pump()
        finally:
            for child in self._children.values():
                child.process.kill()

    def _pump(self) -> None:
        """Until the client is gone."""
        while True:
            for fd, event in self._epoll.poll():
                if event & select.EPOLLOUT:
                    self._outlets[fd].drain()
                elif fd in self._children:
                    self._from_child(self._children[fd])
                elif (lines := self._client_in.lines()) is not None:
                    self._from_client(lines)
                else:
                    return

    def _from_client(self, lines: list[bytes]) -> None:
        batches: dict[Child, list[bytes | memoryview]] = {}
        for line in lines:
            call = CALL.match(line)
            route = self._routes.get(call[2]) if call else None
            if call is None or route is None:
                self._answer_ourselves(line)
                continue
            child, name = route
            self._last_id += 1
            self._waiting[self._last_id] = call[1]
            start = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%b"' % (self._last_id, name)
            batches.setdefault(child, []).extend((start, memoryview(line)[call.end() :], b"\n"))
        for child, pieces in batches.items():
            child.outlet.write(b"".join(pieces))

    def _from_child(self, child: Child) -> None:
        lines = child.inlet.lines()
        if lines is None:
            sys.exit(f"relay: {child.name} is gone")
        pieces: list[bytes | memoryview] = []
        for line in lines:
            answer = ANSWER.match(line)
            client_id = self._waiting.pop(int(answer[1]), None) if answer else None
            if answer is None or client_id is None:
                self._consider(child, line)
                continue
            pieces += (b'{"jsonrpc":"2.0","id":%b,' % client_id, memoryview(line)[answer.end() :], b"\n")
        if pieces:
            self._client_out.write(b"".join(pieces))

    def _answer_ourselves(self, line: bytes) -> None:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            return
        match message["method"]:
            case "initialize":
                opening = {
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "relay", "version": "1"},
                }
                self._reply(message["id"], result=opening)
            case "tools/list":
                self._list_requests.append(message["id"])
                self._answer_lists()
            case method:
                self._reply(message["id"], error={"code": -32601, "message": f"not for a relay: {method!r}"})

    def _consider(self, child: Child, line: bytes) -> None:
        """Take what a child says that answers no call: its opening, its list, anything else is dropped."""
        message = json.loads(line)
        match message.get("id"):
            case "opening":
                child.outlet.write(INITIALIZED_AND_LIST)
            case "listing":
                for tool in message["result"]["tools"]:
                    public = f"{child.name}__{tool['name']}"
                    self._routes[public.encode()] = child, tool["name"].encode()
                    self._tools.append({**tool, "name": public})
                self._unlisted -= 1
                self._answer_lists()

    def _answer_lists(self) -> None:
        if self._unlisted:
            return
        for request in self._list_requests:
            self._reply(request, result={"tools": self._tools})
        self._list_requests.clear()

    def _reply(self, request: Any, **outcome: dict[str, Any]) -> None:
        self._client_out.write(json.dumps({"jsonrpc": "2.0", "id": request, **outcome}).encode() + b"\n")


if __name__ == "__main__":
    Relay(json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_bytes())["mcpServers"]).run()
