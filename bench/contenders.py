"""Who runs: every contender in one list. Adding one is adding an entry."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).resolve().parent

ECHO = (sys.executable, str(HERE / "servers" / "echo.py"))
CONFIG = {"mcpServers": {"echo": {"command": ECHO[0], "args": list(ECHO[1:])}}}


@dataclass(frozen=True)
class Contender:
    """A way to reach the echo server: `command` speaks MCP on stdio and `tool` is what it calls the echo tool there.

    `servers` says how it learns of the echo server: not at all, as it is the server; from the file whose path is
    appended to the command; or from its home, which got to know it before.
    """

    name: str
    command: tuple[str, ...]
    tool: str = "echo__echo"
    servers: Literal["none", "file", "home"] = "file"

    def argv(self, config: Path) -> list[str]:
        return [*self.command, "--config", str(config)] if self.servers == "file" else list(self.command)


class ContenderError(Exception):
    """A contender cannot start, or answers wrongly: what it is, what it did, and its last words."""

    def __init__(self, contender: str, problem: str, stderr: str) -> None:
        super().__init__(f"{contender}: {problem}\n--- its stderr ---\n{stderr or '(empty)'}")
        self.contender = contender


ROUNDHOUSE = (sys.executable, "-m", "roundhouse")

DIRECT = Contender("direct", ECHO, tool="echo", servers="none")
RELAY = Contender("relay", (sys.executable, str(HERE / "relay.py")))
STANDALONE = Contender("standalone", (*ROUNDHOUSE, "serve", "--standalone"))
HOUSE = Contender("house", (*ROUNDHOUSE, "serve"), servers="home")  # what clients start: a front on the house
SDK_PROXY = Contender("sdk-proxy", (sys.executable, str(HERE / "sdk_proxy.py")))

CONTENDERS = (DIRECT, RELAY, STANDALONE, HOUSE, SDK_PROXY)
