"""A stdio MCP server by hand, which does to its client whatever a test asks. Standard library only.

How it behaves from the start is said by flags; what it does later, by calling its tools. It reads requests one at a
time and answers each before the next, but for `sleep`, which answers from a thread.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

TOOLS = [
    "echo", "sleep", "progress", "raw", "line", "big", "deep", "flood", "stderr", "die", "exit", "ask", "log", "add",
    "remove", "twice", "nothing", "spawn", "environment", "close_stdin", "close_stdout", "deaf", "wrong_ids", "partial",
    "junk", "endless", "big_tail", "heard", "ask_often", "log_environment",
]  # fmt: skip

lock = threading.Lock()


def write(data: bytes) -> None:
    with lock:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def send(message: dict[str, Any]) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n")


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


class Server:
    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self.tools = list(TOOLS)
        self.client: dict[str, Any] = {}
        self.answers: dict[Any, Any] = {}
        self.heard: list[dict[str, Any]] = []

    def run(self) -> None:
        for line in self.lines():
            message = json.loads(line)
            self.heard.append(message)
            if "method" not in message:
                self.answered(message)
            elif "id" in message:
                self.requested(message)

    def lines(self) -> Any:
        buffer = b""
        while True:
            chunk = os.read(0, 1 << 20)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from lines

    def requested(self, message: dict[str, Any]) -> None:
        method, key, params = message["method"], message["id"], message.get("params") or {}
        if method == "initialize":
            self.client = params
            if self.flags.init == "hang":
                return
            if self.flags.init == "error":
                send({"id": key, "error": {"code": -32000, "message": "no licence found"}})
                return
            if self.flags.init == "text":
                write(b"50%")
                return
            capabilities = {"tools": {"listChanged": True}, "logging": {}}
            version = self.flags.version or params["protocolVersion"]
            info = {"name": "raw", "version": "1"}
            send({"id": key, "result": {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}})
        elif method == "tools/list":
            self.list_tools(key, params)
        elif method == "tools/call":
            if "task" in params:
                send({"id": key, "result": text("task:" + json.dumps(params["task"]))})
                return
            name = params["name"]
            getattr(self, f"tool_{name}", self.tool_any)(key, params.get("arguments") or {}, params)
        elif method in ("ping", "logging/setLevel"):
            send({"id": key, "result": {}})
        else:
            send({"id": key, "error": {"code": -32601, "message": f"no {method}"}})

    def list_tools(self, key: Any, params: dict[str, Any]) -> None:
        tools = [
            {
                "name": name,
                "description": f"does {name}",
                "inputSchema": {"type": "object"},
                "x-new": {"y": None},
            }
            for name in self.tools
        ]
        result: dict[str, Any] = {"tools": tools}
        if self.flags.pages == "endless":
            number = int(params.get("cursor", "0"))
            result = {"tools": [{**tools[0], "name": f"page{number}"}], "nextCursor": str(number + 1)}
        elif self.flags.pages == "two":
            result = {"tools": tools[1:]} if params.get("cursor") == "2" else {"tools": tools[:1], "nextCursor": "2"}
        send({"id": key, "result": result})

    def answered(self, message: dict[str, Any]) -> None:
        waiting = self.answers.pop(message["id"], None)
        if waiting is not None:
            outcome = message.get("result", message.get("error"))
            send({"id": waiting, "result": text(json.dumps(outcome))})

    # -- tools

    def tool_any(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "error": {"code": -32602, "message": f"no tool {params['name']}", "data": {"x": 1}}})

    def tool_echo(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": {**text(json.dumps(args)), "_meta": {"params": params}}})

    def tool_sleep(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        def later() -> None:
            time.sleep(args["seconds"])
            send({"id": key, "result": text("slept")})

        threading.Thread(target=later, daemon=True).start()

    def tool_progress(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        token = params["_meta"]["progressToken"]
        for step in range(args.get("steps", 3)):
            body = {"progressToken": token, "progress": step, "message": f"step {step}", "x-more": 1}
            send({"method": "notifications/progress", "params": body})
        send({"id": key, "result": text(json.dumps(token))})

    def tool_raw(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """Answer with these bytes, the id put where @ID@ stands."""
        line = args["hex"] and bytes.fromhex(args["hex"])
        write(line.replace(b"@ID@", json.dumps(key).encode()) + b"\n")

    def tool_line(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """Write a line of rubbish, then answer."""
        write(bytes.fromhex(args["hex"]) + b"\n")
        send({"id": key, "result": text("after the line")})

    def tool_junk(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        write(b"".join(b"junk %d\n" % n for n in range(args["lines"])))
        send({"id": key, "result": text("after the junk")})

    def tool_partial(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """print("50%", end=""), and then the answer on the same line; or no answer at all."""
        write(b"50%")
        if args.get("answer", True):
            send({"id": key, "result": text("done")})

    def tool_big(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": text("x" * args["bytes"])})

    def tool_big_tail(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """As TypeScript servers write: the id at the end."""
        result = json.dumps(text("x" * args["bytes"])).encode()
        write(b'{"result":' + result + b',"jsonrpc":"2.0","id":' + json.dumps(key).encode() + b"}\n")

    def tool_endless(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """A line that does not end."""
        for _ in range(args["mebibytes"]):
            write(b"x" * (1 << 20))

    def tool_deep(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        depth = args["depth"]
        write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[],"deep":%b%b}}\n' % (key, b"[" * depth, b"]" * depth))

    def tool_flood(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        note = json.dumps(
            {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
        )
        for _ in range(args["count"] // 1000):
            write((note.encode() + b"\n") * 1000)
        send({"id": key, "result": text("flooded")})

    def tool_stderr(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        line = args.get("line", "x" * 99).encode() + b"\n"
        for _ in range(args["lines"]):
            os.write(2, line)
        send({"id": key, "result": text("said")})

    def tool_die(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        os.write(2, b"about to die\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def tool_exit(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        os.write(2, b"leaving on purpose\n")
        os._exit(args.get("code", 3))

    def tool_ask(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """Ask the client something; its answer becomes ours."""
        request = args.get("id", f"ask-{key}")
        self.answers[request] = key
        send({"id": request, "method": args["method"], "params": args.get("params") or {}})
        if args.get("cancel"):
            send({"method": "notifications/cancelled", "params": {"requestId": request}})

    def tool_ask_often(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        for number in range(args["times"]):
            send({"id": f"often-{number}", "method": "roots/list"})
        send({"id": key, "result": text("asked")})

    def tool_log(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"method": "notifications/message", "params": {"level": "warning", "data": args, "x-more": None}})
        send({"id": key, "result": text("logged")})

    def tool_add(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        self.tools.append(args["name"])
        send({"method": "notifications/tools/list_changed"})
        send({"id": key, "result": text("added")})

    def tool_remove(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        self.tools.remove(args["name"])
        send({"method": "notifications/tools/list_changed"})
        send({"id": key, "result": text("removed")})

    def tool_twice(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": text("first")})
        send({"id": key, "result": text("second")})

    def tool_wrong_ids(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        for wrong in (999_999, str(key), "rh-1", None, key + 0.5, -1):
            send({"id": wrong, "result": text("wrong")})
        send({"id": key, "result": text("right")})

    def tool_nothing(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """Never answer."""

    def tool_heard(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": text(json.dumps(self.heard))})

    def tool_environment(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": text(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid()}))})

    def tool_log_environment(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """What no server should: tell its secrets wherever it can, and die."""
        told = dict(os.environ)
        for name, value in told.items():
            sys.stderr.write(f"{name}={value}\n{json.dumps({name: value})}\n")
        sys.stderr.write("x" * 6000 + json.dumps(told))
        sys.stderr.flush()
        write(json.dumps(told).encode()[:2000] + b"\n")
        send({"id": key, "error": {"code": -32000, "message": "it did not work"}})
        os._exit(3)

    def tool_spawn(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": text(str(start(args["kind"])))})

    def tool_close_stdin(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        send({"id": key, "result": text("closing")})
        os.close(0)
        time.sleep(3600)

    def tool_close_stdout(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        os.close(1)
        time.sleep(3600)

    def tool_deaf(self, key: Any, args: dict[str, Any], params: dict[str, Any]) -> None:
        """Say so, then stop reading stdin for ever."""
        send({"method": "notifications/message", "params": {"level": "info", "data": "deaf now"}})
        time.sleep(3600)


def start(kind: str) -> int:
    """Leave something behind: a `child` in our group, or a `daemon` in a session of its own; deaf to SIGTERM or not."""
    code = "import time; time.sleep(3600)"
    if "stubborn" in kind:
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    if "daemon" in kind:
        code = (
            "import os, sys\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
            "for fd in (0, 1, 2): os.close(fd)\n" + code
        )
    return subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.DEVNULL).pid


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--init", choices=["ok", "hang", "exit", "error", "text", "junk"], default="ok")
    parser.add_argument("--pages", choices=["one", "two", "endless"], default="one")
    parser.add_argument("--version")
    parser.add_argument("--ignore", choices=["", "eof", "term"], default="", help="term ignores eof, too")
    parser.add_argument("--leave", action="append", default=[], help="what to start beside itself")
    parser.add_argument("--slow-start", type=float, default=0.0)
    parser.add_argument("--close-stdin", action="store_true")
    parser.add_argument("--once", help="a file that is made by the first start; later starts exit at once")
    flags = parser.parse_args()
    if flags.ignore == "term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for kind in flags.leave:
        start(kind)
    time.sleep(flags.slow_start)
    if flags.once and os.path.exists(flags.once):
        flags.init = "exit"
    elif flags.once:
        open(flags.once, "x").close()
    if flags.init == "exit":
        os.write(2, b"first line\nno module named frobnicate\n")
        os._exit(7)
    if flags.init == "junk":
        write(b"Welcome to the raw server!\nListening...\n")
    if flags.close_stdin:
        os.close(0)
        time.sleep(3600)
    Server(flags).run()
    if flags.ignore:
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
