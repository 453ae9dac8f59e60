"""Who runs: every contender in one list. Adding one is adding an entry."""

import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

ECHO = (sys.executable, str(HERE / "servers" / "echo.py"))
CONFIG = {"mcpServers": {"echo": {"command": ECHO[0], "args": list(ECHO[1:])}}}


@dataclass(frozen=True)
class Contender:
    """A way to reach the echo server: `command` speaks MCP on stdio and `tool` is what it calls the echo tool there.

    The path of a file holding CONFIG is appended to the command where `configured` says so.
    """

    name: str
    command: tuple[str, ...]
    tool: str = "echo__echo"
    configured: bool = True

    def argv(self, config: Path) -> list[str]:
        return [*self.command, "--config", str(config)] if self.configured else list(self.command)


DIRECT = Contender("direct", ECHO, tool="echo", configured=False)
RELAY = Contender("relay", (sys.executable, str(HERE / "relay.py")))
ROUNDHOUSE = Contender("roundhouse", (sys.executable, "-m", "roundhouse", "serve", "--standalone"))
SDK_PROXY = Contender("sdk-proxy", (sys.executable, str(HERE / "sdk_proxy.py")))

CONTENDERS = (DIRECT, RELAY, ROUNDHOUSE, SDK_PROXY)
