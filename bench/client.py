"""A raw MCP client over stdio that costs next to nothing and believes nothing.

It promises that every call is answered exactly once, with the very text it sent; anything else raises `ContenderError`
with the contender's own last words. When a session is left, nothing it started is alive.
"""

import ctypes
import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from .contenders import Contender, ContenderError
from .home import Home, temporary_home
from .processes import family, pidfd, wait_for_all

ANSWER_TIMEOUT = 30.0  # seconds of silence; the slowest contender answers 64 calls in a tenth of a second
RELIST_AFTER = 0.02  # seconds; short enough to see the tool at once, long enough not to slow the start we measure
STDIN_CLOSE_GRACE = 3.0  # seconds; a polite server leaves on EOF, after giving its own servers 2 s to do the same
READ_SIZE = 1 << 16  # a pipe's capacity; asking for more gains nothing
EXIT_GRACE = 1.0  # seconds from a closed pipe to an exit code worth reporting
STDERR_SHOWN = 4000  # characters; a Python traceback fits
LINE_SHOWN = 300  # bytes of a frame that went wrong; the rest is payload
PR_SET_CHILD_SUBREAPER = 36  # from linux/prctl.h

PARSE_EVERY = 64  # all frames are searched for their id and text; parsing all would make the client the bottleneck
PARSE_ABOVE = 4096  # bytes; large frames are few, and relays treat them differently

ID_FIRST = re.compile(rb'\{"jsonrpc":"2\.0","id":(\d+),"result"')
RESULT_FIRST = (b'{"result":{', b'{"jsonrpc":"2.0","result":{')
ID_LAST = re.compile(rb',"id":(\d+)\}\s*$')
TAIL = 48  # bytes at the end of a frame that hold an id written last

INITIALIZE = (
    b'{"jsonrpc":"2.0","id":%d,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"bench","version":"1"}}}\n'
)
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
LIST = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n'
CALL = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%b","arguments":{"text":%b}}}\n'


@contextmanager
def no_survivors() -> Iterator[None]:
    """Adopt what its parent abandons, and at the end kill whatever is left of all we started."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        for pid in family(os.getpid())[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def session(contender: Contender, config: Path) -> "Iterator[Session]":
    """Start the contender in a fresh home of its own, list until the tool is there, and leave nothing behind."""
    with temporary_home() as home:
        if contender.servers == "home":
            home.learn(config)
        with started(contender, home, config) as running:
            running.open()
            yield running


@contextmanager
def started(contender: Contender, home: Home, config: Path = Path(os.devnull)) -> "Iterator[Session]":
    """Start the contender in this home, unopened; it is gone afterwards, a house it has started is not."""
    running = Session(contender, config, home)
    try:
        yield running
    finally:
        running.stop()


class Session:
    """One life of one contender. `start_seconds`: from its start to the list that holds the tool."""

    def __init__(self, contender: Contender, config: Path, home: Home) -> None:
        self.contender = contender
        self.home = home
        self.start_seconds = 0.0
        self._last_id = 0
        self._lines: list[bytes] = []
        self._partial: list[bytes] = []
        self._stderr = home.folder / "stderr"
        with self._stderr.open("wb") as stderr:
            self._began = perf_counter()
            self._process = subprocess.Popen(
                contender.argv(config),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                cwd=home.folder,
                env=home.env,
                start_new_session=True,
            )
        assert self._process.stdin
        assert self._process.stdout
        self.pid = self._process.pid
        self._stdin = self._process.stdin.fileno()
        self._stdout = self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        self._incoming = select.poll()
        self._incoming.register(self._stdout, select.POLLIN)
        self._either = select.poll()
        self._either.register(self._stdout, select.POLLIN)
        self._either.register(self._stdin, select.POLLOUT)

    def open(self) -> None:
        """Say everything at once, then list again whenever the tool is still missing."""
        self._send(INITIALIZE % self._new_id() + INITIALIZED)
        listing: int | None = self._ask_for_tools()
        changed = False
        while perf_counter() - self._began < ANSWER_TIMEOUT:
            lines = self._take(RELIST_AFTER if listing is None else ANSWER_TIMEOUT)
            for line in lines:
                message = json.loads(line)
                if "error" in message:
                    raise self.failed(f"refused the opening: {shown(line)}")
                if message.get("id") == listing and "result" in message:
                    if any(tool["name"] == self.contender.tool for tool in message["result"]["tools"]):
                        self.start_seconds = perf_counter() - self._began
                        return
                    listing = None
                elif "method" in message:
                    changed |= message["method"] == "notifications/tools/list_changed"
                    self._refuse(message)
            if listing is None and (changed or not lines):
                listing, changed = self._ask_for_tools(), False
        raise self.failed(f"did not list {self.contender.tool!r} in {ANSWER_TIMEOUT:.0f} s")

    def greet(self) -> float:
        """Open the session as clients do, one step after the other; the seconds from its start to its first answer."""
        self._ask(INITIALIZE % self._new_id())
        took = self.age()
        self._send(INITIALIZED)
        return took

    def age(self) -> float:
        """Seconds since its start."""
        return perf_counter() - self._began

    def list_tools(self) -> tuple[float, bytes]:
        """Seconds from asking to having the whole answer, and the answer."""
        return self._ask(LIST % self._new_id())

    def call(self, tool: str, **arguments: Any) -> tuple[float, bytes]:
        """The same of a call."""
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": self._new_id(), "method": "tools/call", "params": params}
        return self._ask(json.dumps(message).encode() + b"\n")

    def latencies(self, calls: int, size: int) -> list[float]:
        """Seconds each of so many calls took, one in flight, the text `size` bytes."""
        took = []
        for number, frame, text in self._calls(calls, size):
            awaited = {number: text}
            began = ended = perf_counter()
            self._send(frame)
            while awaited:
                lines = self._take()
                ended = perf_counter()
                for line in lines:
                    self._settle(line, awaited)
            took.append(ended - began)
        return took

    def rate(self, calls: int, in_flight: int, size: int) -> float:
        """Calls a second over so many calls, `in_flight` of them at any time."""
        prepared = self._calls(calls, size)
        frames = [frame for _, frame, _ in prepared]
        awaited = {number: text for number, _, text in prepared}
        sent = min(in_flight, calls)
        began = perf_counter()
        self._send(b"".join(frames[:sent]))
        while awaited:
            before = len(awaited)
            for line in self._take():
                self._settle(line, awaited)
            if more := b"".join(frames[sent : sent + before - len(awaited)]):
                sent += before - len(awaited)
                self._send(more)
        return calls / (perf_counter() - began)

    def pids(self) -> list[int]:
        """Every process there is because of it: all that it started, its house and what that started included."""
        house = self.home.pids() if self.contender.servers == "home" else []
        return [*family(self.pid), *house]

    def stop(self) -> None:
        """Close its stdin, wait, then kill its session and whatever it had started elsewhere."""
        kin = [fd for pid in family(self.pid) if (fd := pidfd(pid)) is not None]
        try:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.close()
            self._process.stdout.close()
            wait_for_all(kin, STDIN_CLOSE_GRACE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            for fd in kin:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
            self._process.wait()

    def _calls(self, calls: int, size: int) -> list[tuple[int, bytes, bytes]]:
        """Of each call its id, its frame, and the text as JSON spells it: made beforehand, different in every call."""
        tool = self.contender.tool.encode()
        prepared = []
        for _ in range(calls):
            number = self._new_id()
            text = b'"%b"' % payload(number, size)
            prepared.append((number, CALL % (number, tool, text), text))
        return prepared

    def _settle(self, line: bytes, awaited: dict[int, bytes]) -> None:
        """Cross off the call this line answers: its text came back right, or this raises."""
        found = ID_FIRST.match(line)
        if found is None and line.startswith(RESULT_FIRST):
            found = ID_LAST.search(line, max(0, len(line) - TAIL))
        number = int(found[1]) if found else 0
        if (text := awaited.get(number)) and text in line:
            del awaited[number]
            if number % PARSE_EVERY == 0 or len(line) > PARSE_ABOVE:
                self._inspect(line, text)
        else:
            self._settle_unusual(line, awaited)

    def _settle_unusual(self, line: bytes, awaited: dict[int, bytes]) -> None:
        """The slow road: a notification, an answer spelled otherwise, or a contender that fails us."""
        message = json.loads(line)
        if "method" in message:
            self._refuse(message)
            return
        text = awaited.pop(message.get("id"), None)
        if text is None:
            raise self.failed(f"answered a call twice, or one that was never made: {shown(line)}")
        self._inspect(line, text)

    def _inspect(self, line: bytes, text: bytes) -> None:
        """The answer, parsed, says what the echo server said."""
        result = json.loads(line).get("result", {})
        if result.get("isError") or result.get("content") != [{"type": "text", "text": json.loads(text)}]:
            raise self.failed(f"a call failed or came back changed: {shown(line)}")

    def _ask(self, frame: bytes) -> tuple[float, bytes]:
        """Send one request, nothing else in flight: seconds until its answer was here, and the answer, a result."""
        began = perf_counter()
        self._send(frame)
        while True:
            for line in self._take():
                ended = perf_counter()
                if ID_FIRST.match(line):
                    return ended - began, line
                message = json.loads(line)
                if "method" not in message:
                    raise self.failed(f"refused {shown(frame)}: {shown(line)}")
                self._refuse(message)

    def _ask_for_tools(self) -> int:
        listing = self._new_id()
        self._send(LIST % listing)
        return listing

    def _refuse(self, message: dict[str, Any]) -> None:
        """Answer a request as a client without capabilities has to; a notification needs nothing."""
        if "id" not in message:
            return
        unknown = {"error": {"code": -32601, "message": "the bench has no capabilities"}}
        outcome: dict[str, Any] = {"result": {}} if message["method"] == "ping" else unknown
        self._send(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}).encode() + b"\n")

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _send(self, data: bytes) -> None:
        """Write all of it, reading meanwhile: a contender may stop reading until its own output is taken."""
        rest = memoryview(data)
        try:
            rest = rest[os.write(self._stdin, rest) :]
            while rest:
                ready = dict(self._either.poll(ANSWER_TIMEOUT * 1000))
                if not ready:
                    raise self.failed(f"read nothing for {ANSWER_TIMEOUT:.0f} s")
                if self._stdout in ready:
                    self._read()
                if self._stdin in ready:
                    rest = rest[os.write(self._stdin, rest) :]
        except BrokenPipeError:
            raise self.failed(f"closed its stdin, exit code {self._exit_code()}") from None

    def _take(self, timeout: float | None = None) -> list[bytes]:
        """The complete lines, at least one; after `timeout` seconds none, and without a timeout silence fails."""
        while not self._lines:
            if self._incoming.poll((timeout or ANSWER_TIMEOUT) * 1000):
                self._read()
            elif timeout is not None:
                return []
            else:
                raise self.failed(f"was silent for {ANSWER_TIMEOUT:.0f} s with calls in flight")
        lines, self._lines = self._lines, []
        return lines

    def _read(self) -> None:
        chunk = os.read(self._stdout, READ_SIZE)
        if not chunk:
            raise self.failed(f"closed its stdout, exit code {self._exit_code()}")
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial.clear()
            self._lines += lines
        if rest:
            self._partial.append(rest)

    def failed(self, problem: str) -> ContenderError:
        stderr = self._stderr.read_text(errors="replace")[-STDERR_SHOWN:].strip()
        return ContenderError(self.contender.name, problem, stderr)

    def _exit_code(self) -> int | None:
        """None if it is still there a moment after it closed a pipe."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(EXIT_GRACE)
        return None


def payload(number: int, size: int) -> bytes:
    """A text of this many bytes that no other call of the session has."""
    return (b"%010d" % number).ljust(size, b"x")


def shown(line: bytes) -> str:
    return line[:LINE_SHOWN].decode(errors="replace")
