"""`roundhouse`: picks the road: the front of a client, a house, or the command line. Each imports only what it needs.

The front is standard library only, and so is the reaper, which stays behind while the house runs in its child.
"""

from __future__ import annotations

import signal
import sys

from roundhouse import __version__

SWITCH = 0.0005  # seconds a thread that writes to the database may keep the loop waiting; Python's own 5 ms are felt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable


def main() -> int:
    """Run the command line. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C before anything has begun ends it without a traceback
    arguments = sys.argv[1:]
    if arguments == ["serve"]:  # what clients start: nothing more is imported to find that out
        return _front(None)
    road = next((word for word in arguments if not word.startswith("-")), "")
    if arguments[:1] == ["--home"]:
        road = (arguments[2:] or [""])[0]
    if road not in ("serve", "house"):
        from roundhouse.doors.cli.main import run

        return run(arguments)
    asked = command_line().parse_args(arguments)
    if road == "house":
        return _guarded(lambda lifeline: _house(asked, lifeline), sweep=True)
    if asked.standalone:
        return _guarded(lambda lifeline: _standalone(asked, lifeline), sweep=True)
    if asked.config:
        command_line().error("--config goes with --standalone; the house has its servers by `roundhouse import FILE`")
    return _front(asked.home)


def command_line() -> ArgumentParser:
    """What `serve` and `house` take; every other command is `doors/cli`'s."""
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="roundhouse", add_help=False)
    kept = "where everything is kept; otherwise ROUNDHOUSE_HOME, or this user's data folder"
    parser.add_argument("--version", action="version", version=f"roundhouse {__version__}")
    parser.add_argument("--home", metavar="DIR", help=kept)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve an MCP client on stdin and stdout",
        description="Serve one MCP client on stdin and stdout: through the house, which is started if none runs.",
    )
    serve.add_argument("--home", metavar="DIR", default=argparse.SUPPRESS, help=kept)
    serve.add_argument("--standalone", action="store_true", help="a house of its own for this client, in this process")
    serve.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help='with --standalone, the servers of a file: {"mcpServers": {"git": {"command": "uvx", "args": [...]}}}',
    )
    house = commands.add_parser("house", description="The house itself. Fronts start it; there is no need to.")
    house.add_argument("--home", metavar="DIR", default=argparse.SUPPRESS, help=kept)
    house.add_argument("--replace", action="store_true", help="ask an older house to make room")
    return parser


def _front(home: str | None) -> int:
    from roundhouse.front import run
    from roundhouse.rendezvous import CannotHouse

    try:
        return run(home)
    except CannotHouse as reason:
        print(f"roundhouse: {reason} Serving this client alone.", file=sys.stderr, flush=True)
        asked = command_line().parse_args(["serve", "--standalone", *(["--home", home] if home else [])])
        return _guarded(lambda lifeline: _standalone(asked, lifeline), sweep=True)


def _guarded(house: Callable[[int], int], *, sweep: bool) -> int:
    from roundhouse.process.reaper import guard

    return guard(house, sweep=sweep)


def _standalone(asked: Namespace, lifeline: int) -> int:
    import anyio

    from roundhouse.serve_alone import serve_standalone

    _log()
    return anyio.run(serve_standalone, asked.config, asked.home, lifeline)


def _house(asked: Namespace, lifeline: int) -> int:
    import anyio

    from roundhouse.serve_house import serve_house

    _log()
    sys.setswitchinterval(SWITCH)
    return anyio.run(serve_house, asked.home, asked.replace, lifeline)


def _log() -> None:
    import logging

    from roundhouse.process.output import LogHandler

    logging.basicConfig(level=logging.INFO, handlers=[LogHandler(2)])


if __name__ == "__main__":
    sys.exit(main())
