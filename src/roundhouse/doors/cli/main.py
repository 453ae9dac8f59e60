"""`roundhouse COMMAND`: which commands there are, and the one place where a failure becomes words and an exit code.

Exit codes: 0 done; 1 not done; 2 the command line makes no sense; 3 no house; 4 a person has to say yes; 130 Ctrl-C;
141 nobody reads the output.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click
from click.exceptions import Exit, NoArgsIsHelpError

from roundhouse import __version__
from roundhouse.doors.cli.command import COMPLETING, Group
from roundhouse.doors.cli.failures import FAILED, INTERRUPTED, NO_READER, USAGE, exit_code
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.screen import Screen
from roundhouse.errors import RoundhouseError, did_you_mean
from roundhouse.model.text import clean, shorten

# Every command: the module it is in, its name there, its line in the help. A module is loaded for its commands only.
SECTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "The house": {
        "serve": ("house", "serve", "Serve an MCP client on stdin and stdout; what a client's configuration starts."),
        "status": ("house", "status", "Is a house running, who is connected, what waits for you."),
        "down": ("house", "down", "Let the house leave, with every server it runs."),
        "doctor": ("doctor", "doctor", "What is wrong on this machine, and how to mend it."),
    },
    "Servers": {
        "add": ("servers", "add", "Add a server: add NAME -- COMMAND..., or add NAME --url URL."),
        "list": ("servers", "list_servers", "List the servers and their states."),
        "start": ("servers", "start", "Start one."),
        "stop": ("servers", "stop", "Stop one."),
        "restart": ("servers", "restart", "Stop one and start it anew."),
        "configure": ("servers", "configure", "Change how one is run."),
        "remove": ("servers", "remove", "Stop one and forget it."),
        "logs": ("care", "logs", "What one wrote to its standard error."),
        "health": ("care", "health", "How they are."),
        "explain": ("care", "explain", "Why a server or a tool cannot be called."),
    },
    "Tools": {
        "tools": ("tools", "tools", "List or search the tools of all servers."),
        "call": ("tools", "call", "Call one: call SERVER__TOOL NAME=VALUE..."),
    },
    "What only you may do": {
        "approve": ("approvals", "approve", "See what waits for your yes, and say it."),
        "deny": ("approvals", "deny", "Refuse what waits for your yes."),
        "secret": ("secrets", "secret", "Keep values for servers: secret set, list, rm."),
    },
    "Other clients": {
        "import": ("clients", "import_servers", "Take over the servers of a client or a file."),
        "install": ("clients", "install", "Put Roundhouse into a client's configuration."),
        "completion": ("completion", "completion", "The script that completes these words in your shell."),
    },
}
COMMANDS = {name: place for section in SECTIONS.values() for name, place in section.items()}

# The command through which a person asks for each operation of the house.
COMMAND_OF = {
    "house_status": "status",
    "leave": "down",
    "add_server": "add",
    "list_servers": "list",
    "start_server": "start",
    "stop_server": "stop",
    "restart_server": "restart",
    "configure_server": "configure",
    "remove_server": "remove",
    "read_logs": "logs",
    "check_health": "health",
    "explain": "explain",
    "list_tools": "tools",
    "search_tools": "tools",
    "describe_tool": "tools",
    "call_tool": "call",
    "list_approvals": "approve",
    "approve": "approve",
    "deny": "deny",
    "set_secret": "secret set",
    "list_secrets": "secret list",
    "remove_secret": "secret rm",
    "import_servers": "import",
}


class Roundhouse(Group):
    """All commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"roundhouse.doors.cli.commands.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"There is no command {shorten(args[0])!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, line) for name, (_, _, line) in commands.items()])


roundhouse = Roundhouse(
    "roundhouse",
    help="One MCP server that runs, calls and looks after all your other MCP servers.",
    epilog="`roundhouse COMMAND --help` tells more. Every command takes --json and --home.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
roundhouse = click.version_option(__version__, prog_name="roundhouse", message="%(prog)s %(version)s")(roundhouse)


def run(argv: Sequence[str]) -> int:
    """Carry out one command line.

    Args:
        argv: without the name of the program.

    Returns: the exit code.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    here = Invocation(Screen())
    try:
        _prepare_streams()
        code = _carry_out(list(argv), here)
        sys.stdout.flush()
    except BrokenPipeError:
        _read_by_nobody()
        return NO_READER
    except OSError as bad:  # a full disk behind it
        _read_by_nobody()
        with suppress(OSError):
            here.screen.note(f"roundhouse: The answer cannot be written: {bad.strerror}. [{RoundhouseError.code}]")
        return FAILED
    finally:
        here.close()
    return code


def _prepare_streams() -> None:
    """All three are there, and none stumbles over a character that the locale does not have."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of descriptors
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it stays open, as the others do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace" if mode == "r" else "backslashreplace")


def _carry_out(argv: list[str], here: Invocation) -> int:
    here.screen.json = "--json" in argv[: argv.index("--") if "--" in argv else None]
    try:
        if how := os.environ.get(COMPLETING):
            from click.shell_completion import shell_complete

            return shell_complete(roundhouse, {"obj": here}, "roundhouse", COMPLETING, how)
        with roundhouse.make_context("roundhouse", argv, obj=here) as context:
            return int(roundhouse.invoke(context) or 0)
    except Exit as leaving:
        return leaving.exit_code
    except NoArgsIsHelpError as bad:
        return _failed(here, "RH_USAGE", "Which command?", USAGE, help=bad.format_message())
    except click.ClickException as bad:
        place: click.Context | None = getattr(bad, "ctx", None)
        return _failed(here, "RH_USAGE", bad.format_message(), USAGE, help=place.get_usage() if place else "")
    except RoundhouseError as failure:
        return _failed(here, failure.code, str(failure), exit_code(failure))
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as bad:
        what = " ".join(str(part) for part in (bad.filename, bad.strerror) if part)
        return _failed(here, RoundhouseError.code, f"The system does not allow it: {what}.", FAILED)
    except Exception as fault:  # ours; a person is not shown how
        return _failed(here, RoundhouseError.code, _fault(fault), FAILED)


def _failed(here: Invocation, code: str, message: str, exits: int, *, help: str = "") -> int:
    """Say what went wrong: on standard error, or as the document. Returns the exit code."""
    if here.screen.json:
        try:
            here.screen.document({"error": {"code": code, "message": clean(message)}})
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError:  # the disk is full: then it is said where that can be read
            _read_by_nobody()
        else:
            return exits
    if help:
        here.screen.note(help)
    here.screen.note(f"roundhouse: {message} [{code}]")
    return exits


def _fault(fault: Exception) -> str:
    import traceback

    place = traceback.extract_tb(fault.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    what = shorten(f"{type(fault).__name__}: {fault}", 300)
    return f"That is a fault of Roundhouse's own: {what} ({where}). Please report it, with what you typed."


def _read_by_nobody() -> None:
    """Whoever read our output has gone: what is left of it goes nowhere, and so does Python's complaint about that."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
