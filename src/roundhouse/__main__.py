"""`roundhouse`: picks the road. The reaper stays behind with next to nothing imported; all else is for the house."""

from __future__ import annotations

import signal
import sys

from roundhouse import __version__
from roundhouse.process.reaper import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser


def main() -> int:
    """Run the command line. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C before anything has begun ends it without a traceback
    return guard(_house, sweep=sys.argv[1:2] == ["serve"])


def command_line() -> ArgumentParser:
    """What can be asked of `roundhouse`."""
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(
        prog="roundhouse",
        description="One MCP server that runs, calls and looks after all your other MCP servers.",
        epilog='In your MCP client: {"command": "roundhouse", "args": ["serve", "--standalone", "--config", "FILE"]}',
    )
    parser.add_argument("--version", action="version", version=f"roundhouse {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve an MCP client on stdin and stdout",
        description="Serve one MCP client on stdin and stdout. Leaves, with every server, when the client does.",
    )
    serve.add_argument(
        "--standalone",
        action="store_true",
        required=True,
        help="a house of its own for this client (the shared one comes with a later version)",
    )
    serve.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help='JSON as Claude Desktop has it: {"mcpServers": {"git": {"command": "uvx", "args": ["mcp-server-git"]}}}',
    )
    return parser


def _house(lifeline: int) -> int:
    asked = command_line().parse_args()
    import logging

    import anyio

    from roundhouse.app import serve_standalone
    from roundhouse.process.output import LogHandler

    logging.basicConfig(level=logging.INFO, handlers=[LogHandler(2)])
    return anyio.run(serve_standalone, asked.config, lifeline)


if __name__ == "__main__":
    sys.exit(main())
