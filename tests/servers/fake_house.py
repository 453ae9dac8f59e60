"""A house by hand: it meets its visitors as a real one does and answers as a test asks. Standard library only.

What happened to it, it writes to HOME/journal, one JSON object a line: every life, and every line it heard.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from roundhouse import __version__, rendezvous

Message = dict[str, Any]


class House:
    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self.place = rendezvous.Place(flags.home)
        self.leaving = threading.Event()
        self.visitors = 0

    def run(self) -> int:
        self.note(life=facts())
        if self.flags.crash == "at start":
            sys.exit("the fake house crashes as it was told to")
        if self.flags.crash == "after hello" and self.flags.replace:
            sys.exit("no successor today")
        if self.flags.hang:
            signal.pause()
        if self.flags.replace and (met := rendezvous.find(self.place, "successor", self.flags.version)):
            met[0].close()
        lock = rendezvous.hold_house_lock(self.place, rendezvous.DRAIN if self.flags.replace else 0.0)
        if lock is None:
            sys.exit("another house has this home")
        time.sleep(self.flags.slow)
        rendezvous.write_pid_file(self.place, self.flags.version)
        listening = rendezvous.bind_socket(self.place)
        ours = rendezvous.address(self.place)
        listening.setblocking(True)
        threading.Thread(target=self.accept, args=(listening,), daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: self.leaving.set())
        self.leaving.wait()
        rendezvous.remove_socket(self.place, ours)
        time.sleep(self.flags.drains)
        return 0

    def accept(self, listening: Any) -> None:
        while True:
            sock, _ = listening.accept()
            self.visitors += 1
            Visitor(self, sock, self.visitors).start()

    def note(self, **what: Any) -> None:
        line = json.dumps({"pid": os.getpid(), **what}).encode() + b"\n"
        fd = os.open(f"{self.flags.home}/journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line)
        os.close(fd)


def facts() -> Message:
    umask = os.umask(0)
    os.umask(umask)
    return {
        "parent": os.getppid(),
        "session": os.getsid(0),
        "cwd": os.getcwd(),
        "umask": umask,
        "environment": dict(os.environ),
        "descriptors": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in descriptors()},
    }


def descriptors() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(fd))
        except OSError:
            continue
        found.append(fd)
    return found


class Visitor(threading.Thread):
    def __init__(self, house: House, sock: Any, number: int) -> None:
        super().__init__(daemon=True)
        self.house = house
        self.sock = sock
        self.number = number
        self.asked = 0
        self.hung: list[Any] = []

    def run(self) -> None:
        file = self.sock.makefile("rb")
        hello = json.loads(file.readline())
        self.house.note(hello=hello)
        flags = self.house.flags
        if flags.refuse:
            self.put({"roundhouse": 1, "version": flags.version, "refused": flags.refuse})
            self.sock.close()
            return
        self.put({"roundhouse": 1, "version": flags.version, "pid": os.getpid()})
        if hello["kind"] == "successor":
            self.house.leaving.set()
        for line in file:
            try:
                message = json.loads(line)
            except ValueError:
                self.house.note(heard=None, size=len(line))
                continue
            self.house.note(heard=message if len(line) < 1000 else None, size=len(line))
            self.heard(message)
        if self.hung:
            for key in self.hung:
                self.answer(key, {"content": [{"type": "text", "text": "late"}]})
        self.sock.close()

    def heard(self, message: Message) -> None:
        method, key, params = message.get("method"), message.get("id"), message.get("params") or {}
        if key is None or method is None:
            return
        if method == "initialize":
            if self.house.flags.crash == "at opening":
                os._exit(1)
            if self.house.flags.crash == "at opening again" and str(key).startswith("front-"):
                os._exit(1)
            if params.get("hang"):
                self.die_once("initialize")
            self.answer(key, {"protocolVersion": params.get("protocolVersion"), "capabilities": {}})
        elif method == "tools/list":
            self.list_tools(key, params.get("cursor"))
        elif method == "tools/call":
            self.call(key, params["name"], params.get("arguments") or {})
        else:
            self.answer(key, {"of": method})

    def list_tools(self, key: Any, cursor: str | None) -> None:
        if cursor == "die once":
            self.die_once("tools/list")
        if cursor == "poison":
            os._exit(1)
        if cursor != "hang":
            self.answer(key, {"tools": [], "house": os.getpid()})

    def die_once(self, what: str) -> None:
        mark = Path(self.house.flags.home) / f"died of {what.replace('/', ' ')}"
        if not mark.exists():
            mark.touch()
            os._exit(1)

    def call(self, key: Any, name: str, arguments: Message) -> None:
        if name == "hang":
            return
        if name == "until the end":
            self.hung.append(key)
            return
        if name == "die":
            os._exit(1)
        if name == "half":
            self.write(json.dumps({"jsonrpc": "2.0", "id": key, "result": "x" * arguments["bytes"]})[:-9].encode())
            os._exit(1)
        if name == "big":
            self.answer(key, {"big": "y" * arguments["bytes"]})
        elif name == "ask":
            self.asked += 1
            prefix = arguments.get("prefix", f"rh-{os.getpid()}.{self.number}-")
            self.put(
                {"jsonrpc": "2.0", "id": f"{prefix}{self.asked}", "method": "sampling/createMessage", "params": {}}
            )
            self.answer(key, {"asked": f"{prefix}{self.asked}"})
        elif name == "deaf":
            self.answer(key, {})
            time.sleep(arguments["seconds"])
        elif name == "farewell":
            self.answer(key, {})
            self.write(rendezvous.FAREWELL)
            self.house.leaving.set()
        else:
            self.answer(key, {"content": arguments, "house": os.getpid()})

    def answer(self, key: Any, result: Message) -> None:
        self.put({"jsonrpc": "2.0", "id": key, "result": result})

    def put(self, message: Message) -> None:
        self.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True)
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--version", default=__version__)
    parser.add_argument("--refuse")
    parser.add_argument("--crash", default="")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--drains", type=float, default=0.0)
    return House(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
