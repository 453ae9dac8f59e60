"""A real house for tests: `roundhouse serve --standalone` as a process, with a raw client on its pipes.

The client waits for messages as they come; what no event tells of (states, processes) is looked at until it is so. When
a house closes, nothing below this process may be left of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

RAW = Path(__file__).parent / "servers" / "raw.py"
PATIENCE = 20.0  # seconds; how long a test waits for what should come at once, on a busy machine
GONE_WITHIN = 5.0  # seconds; the bar for every way of leaving

Message = dict[str, Any]
_launched: set[int] = set()

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # be the subreaper: what a house leaves behind falls to us, and is seen


def raw(*flags: str, **entry: Any) -> dict[str, Any]:
    """A configuration entry for the raw server with these flags."""
    return {"command": sys.executable, "args": ["-S", str(RAW), *flags], **entry}


class Answer(dict[str, Any]):
    """A message, and the bytes it came as."""

    raw: bytes = b""


class House:
    """A running `roundhouse serve --standalone` and the client that started it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.messages: list[Answer] = []
        self.log: list[str] = []
        self._answers: dict[Any, list[Answer]] = {}
        self.ended = False
        self._news = threading.Condition()
        self._one_writer = threading.Lock()
        self._may_read = threading.Event()
        self._may_read.set()
        self._id = 0
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._read, self._read_log)]
        for thread in self._threads:
            thread.start()

    # -- saying

    def send(self, message: Message) -> None:
        self.send_bytes(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin
        with self._one_writer:
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def ask(self, method: str, params: Message | None = None, **more: Any) -> int:
        """Send a request without waiting; returns its id."""
        self._id += 1
        self.send({"id": self._id, "method": method, **({} if params is None else {"params": params}), **more})
        return self._id

    def ask_tool(self, name: str, arguments: Message | None = None, **params: Any) -> int:
        return self.ask("tools/call", {"name": name, "arguments": arguments or {}, **params})

    def notify(self, method: str, params: Message | None = None) -> None:
        self.send({"method": method, **({} if params is None else {"params": params})})

    # -- hearing

    def wait(self, wanted: Callable[[Answer], bool], within: float = PATIENCE) -> Answer:
        """The first message, past or to come, that is wanted."""
        deadline = time.monotonic() + within
        with self._news:
            seen = 0
            while True:
                for message in self.messages[seen:]:
                    if wanted(message):
                        return message
                seen = len(self.messages)
                left = deadline - time.monotonic()
                if left <= 0 or (self.ended and not self._threads[0].is_alive()):
                    log = "".join(self.log[-20:])
                    raise AssertionError(f"it did not come within {within} s; {len(self.messages)} came; log:\n{log}")
                self._news.wait(min(left, 0.5))

    def answer(self, key: Any, within: float = PATIENCE) -> Answer:
        """The answer to this request."""
        with self._news:
            if (
                not self._news.wait_for(lambda: self._answers.get(key) or self.ended, within)
                or key not in self._answers
            ):
                raise AssertionError(f"no answer to {key!r} within {within} s; log:\n{''.join(self.log[-20:])}")
            return self._answers[key][0]

    def message(self, number: int, within: float = PATIENCE) -> Answer:
        """The message that came, or comes, as this number."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.messages) > number, within), f"message {number} did not come"
            return self.messages[number]

    def answers(self, key: Any) -> list[Answer]:
        """All answers there are to this request: one, or something is wrong."""
        with self._news:
            return list(self._answers.get(key, ()))

    def notification(self, method: str, within: float = PATIENCE, after: int = 0) -> Answer:
        """The first notification of this kind among the messages from number `after` on."""
        with self._news:
            skipped = {id(m) for m in self.messages[:after]}
        return self.wait(lambda m: m.get("method") == method and "id" not in m and id(m) not in skipped, within)

    def request(self, method: str, params: Message | None = None, within: float = PATIENCE) -> Answer:
        """Ask and wait for the answer."""
        return self.answer(self.ask(method, params), within)

    def call(self, name: str, arguments: Message | None = None, within: float = PATIENCE, **params: Any) -> Answer:
        """Call a tool and wait for the answer."""
        return self.answer(self.ask_tool(name, arguments, **params), within)

    # -- together

    def open(self, version: str = "2025-06-18", capabilities: Message | None = None) -> Answer:
        """The handshake."""
        info = {"name": "test", "version": "1"}
        params = {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": info}
        answer = self.request("initialize", params)
        self.notify("notifications/initialized")
        return answer

    def tools(self) -> list[str]:
        return [tool["name"] for tool in self.request("tools/list")["result"]["tools"]]

    def tools_with(self, name: str, within: float = PATIENCE) -> list[str]:
        """The list, as soon as it has this tool."""
        return self.tools_until(lambda tools: name in tools, within)

    def tools_until(self, wanted: Callable[[list[str]], bool], within: float = PATIENCE) -> list[str]:
        """The list, as soon as it is as wanted: asked again after each change."""
        deadline = time.monotonic() + within
        while True:
            heard = len(self.messages)
            tools = self.tools()
            if wanted(tools):
                return tools
            self.notification("notifications/tools/list_changed", max(0.1, deadline - time.monotonic()), heard)

    def manage(self, tool: str, /, within: float = PATIENCE, **arguments: Any) -> Any:
        """One of our own tools; its structured output."""
        answer = self.call(tool, arguments, within)
        assert not answer["result"].get("isError"), answer
        return answer["result"]["structuredContent"]

    def status(self, server: str) -> Message:
        servers = self.manage("list_servers")["servers"]
        return next(one for one in servers if one["name"] == server)

    def status_until(self, server: str, wanted: Callable[[Message], bool], within: float = PATIENCE) -> Message:
        """Its status, as soon as it is as wanted."""
        deadline = time.monotonic() + within
        while True:
            status = self.status(server)
            if wanted(status):
                return status
            assert time.monotonic() < deadline, f"it stayed {status}"
            time.sleep(0.05)

    def logged(self, part: str, within: float = PATIENCE) -> str:
        """The first line of its own log with this in it."""
        deadline = time.monotonic() + within
        with self._news:
            while True:
                for line in self.log:
                    if part in line:
                        return line
                assert time.monotonic() < deadline, f"no {part!r} in the log:\n{''.join(self.log)}"
                self._news.wait(0.2)

    # -- leaving

    def house_pid(self) -> int:
        """The process below the reaper."""
        return psutil.Process(self.process.pid).children()[0].pid

    def hang_up(self) -> int:
        """Leave as a client does: close the pipe, wait. Returns the exit code."""
        assert self.process.stdin
        with suppress(OSError):
            self.process.stdin.close()
        return self.process.wait(GONE_WITHIN)

    @contextmanager
    def not_reading(self) -> Iterator[None]:
        """Leave what comes in the pipe."""
        self._may_read.clear()
        self.ask("ping")  # the reader is waiting for a line: let it have one and stop
        try:
            yield
        finally:
            self._may_read.set()

    def house_rss_settles(self) -> int:
        """Resident bytes of the house, once they do not grow any more."""
        process = psutil.Process(self.house_pid())
        sizes: list[int] = []

        def settled() -> bool:
            sizes.append(process.memory_info().rss)
            return len(sizes) > 50 and sizes[-1] <= sizes[-50]

        assert until(settled)
        return sizes[-1]

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._may_read.wait()
            message = Answer(json.loads(line))
            message.raw = line
            with self._news:
                self.messages.append(message)
                if "method" not in message:
                    self._answers.setdefault(message.get("id"), []).append(message)
                self._news.notify_all()
        with self._news:
            self.ended = True
            self._news.notify_all()

    def _read_log(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                self.log.append(line.decode(errors="replace"))
                self._news.notify_all()


@contextmanager
def house(
    config: Path, servers: dict[str, Any] | str, *, env: dict[str, str] | None = None, opened: bool = True
) -> Iterator[House]:
    """A house with these servers (or this text as its file), opened; everything it started is gone afterwards."""
    file = config / "servers.json"
    file.write_text(servers if isinstance(servers, str) else json.dumps({"mcpServers": servers}))
    with launched([sys.executable, "-m", "roundhouse", "serve", "--standalone", "--config", str(file)], env) as running:
        if opened:
            running.open()
        yield running


@contextmanager
def launched(command: list[str], env: dict[str, str] | None = None, *, leaves_a_house: bool = False) -> Iterator[House]:
    """A process with a raw client on its pipes; everything it started is gone afterwards.

    Args:
        leaves_a_house: but for the house it may have started, which others use.
    """
    before = frozenset(living())
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )
    _launched.add(process.pid)
    running = House(process)
    try:
        yield running
        running.hang_up()
        if not leaves_a_house:
            assert wait_until_nobody_is_left(but=before) == []
    finally:
        _end(process, everybody=not leaves_a_house)


def wait_until_nobody_is_left(within: float = GONE_WITHIN, but: Collection[str] = ()) -> list[str]:
    """What is still alive below this process after so long, `but` for these: nothing, if all is well."""
    until(lambda: not set(living()) - set(but), within)
    return sorted(set(living()) - set(but))


def until(wanted: Callable[[], bool], within: float = PATIENCE) -> bool:
    """Whether something comes true that no event tells of."""
    deadline = time.monotonic() + within
    while not (true := wanted()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return true


def living() -> list[str]:
    """Everything alive below this process, as command lines. Buries the dead on the way."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                if process.pid not in _launched:  # those have an owner who waits for their exit code
                    with suppress(ChildProcessError):
                        os.waitpid(process.pid, os.WNOHANG)
            else:
                found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
    return found


def _end(process: subprocess.Popen[bytes], *, everybody: bool) -> None:
    """Whatever a failed test left."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if everybody or child.pid == process.pid:
                child.send_signal(signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError):
            pipe and pipe.close()
