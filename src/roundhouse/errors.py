"""Every failure a user can meet: one tree, each class with a stable code and its facts as attributes.

A message says what happened, where, and what to do next: half of its readers are models that will act on it.
Codes are never renamed. `doors.translate` turns these into JSON-RPC errors and tool results; nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

# JSON-RPC 2.0 and MCP error numbers used on the wire.
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNAVAILABLE = -32000  # implementation-defined range: the server behind the tool cannot answer
TIMED_OUT = -32001  # what the MCP SDKs use for a request that ran out of time

SHOWN = 100  # characters of somebody's wrong name that an error repeats
COMPARED = 150  # known names a wrong one is compared with; more would take longer than the hint is worth


class RoundhouseError(Exception):
    """A failure with a code. `facts` travels as `error.data`, beside `code` and `retryable`."""

    code = "RH_INTERNAL"
    number = INTERNAL_ERROR
    retryable = False

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts: Mapping[str, object] = {k: v for k, v in facts.items() if v not in (None, "", (), [])}


class BadConfiguration(RoundhouseError):
    """The configuration as a whole cannot be read. One bad server in it is a `problem` of that server instead."""

    code = "RH_BAD_CONFIGURATION"


class BadMessage(RoundhouseError):
    """A client sent something that is no message of the protocol, or one that makes no sense now."""

    code = "RH_BAD_MESSAGE"

    def __init__(self, message: str, *, number: int = INVALID_REQUEST, **facts: object) -> None:
        super().__init__(message, **facts)
        self.number = number


class NotFound(RoundhouseError):
    """A server or tool was named that does not exist."""

    code = "RH_NOT_FOUND"
    number = INVALID_PARAMS

    def __init__(self, kind: str, name: str, known: Sequence[str] = (), *, hint: str = "", **facts: object) -> None:
        shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
        sentences = [f"There is no {kind} named {shown!r}{did_you_mean(shown, known)}", hint]
        super().__init__(" ".join(filter(None, sentences)), name=shown, **facts)
        self.kind, self.name = kind, name


class CommandNotFound(RoundhouseError):
    """A server's command is not on the machine, or not where we looked."""

    code = "RH_COMMAND_NOT_FOUND"
    number = UNAVAILABLE


class ServerUnavailable(RoundhouseError):
    """The server behind a tool cannot take or finish the call. `sent` says whether it may have acted."""

    code = "RH_SERVER_UNAVAILABLE"
    number = UNAVAILABLE

    def __init__(self, message: str, *, server: str, sent: str, stderr: Sequence[str] = (), **facts: object) -> None:
        super().__init__(with_stderr(message, stderr), server=server, sent=sent, stderr=list(stderr), **facts)
        self.retryable = sent == "no"


class Refused(RoundhouseError):
    """A server cannot be started as it is configured; trying again would change nothing."""

    code = "RH_START_REFUSED"
    number = UNAVAILABLE


class NotApproved(Refused):
    """A server may not run, because no person has said yes to exactly this."""

    code = "RH_NOT_APPROVED"
    number = UNAVAILABLE

    def __init__(self, server: str, standing: str, *, because: str = "") -> None:
        if standing == "denied":
            told = "a person has said no to it. To ask once more, remove_server it and add it again, or change it."
        else:
            told = (
                f"{because or 'no person has approved it yet'}. Ask the person to run `roundhouse approve {server}` in "
                "a terminal; it shows exactly what would run. You cannot approve it yourself."
            )
        super().__init__(f"The server {server!r} does not run: {told}", server=server, standing=standing)


class FixedServers(RoundhouseError):
    """The servers come from a file, which only a person changes."""

    code = "RH_FIXED_SERVERS"
    number = INVALID_PARAMS

    def __init__(self) -> None:
        super().__init__(
            "This Roundhouse was started with --config, and serves what is in that file. Change the file and restart, "
            "or start `roundhouse serve` without --standalone and --config, where servers can be added."
        )


class ServerBusy(ServerUnavailable):
    """The server does not read what is sent to it, and the queue before it is full."""

    code = "RH_SERVER_BUSY"


class BadAnswer(RoundhouseError):
    """A server answered a call with bytes that are no answer: not JSON, not UTF-8, too deep."""

    code = "RH_BAD_ANSWER"
    number = UNAVAILABLE


class TooLarge(RoundhouseError):
    """A message is larger than the limit of one message."""

    code = "RH_MESSAGE_TOO_LARGE"
    number = UNAVAILABLE


class CallTimeout(RoundhouseError):
    """A call did not finish before its deadline."""

    code = "RH_CALL_TIMEOUT"
    number = TIMED_OUT


class StoreReadOnly(RoundhouseError):
    """Something was to be remembered, and the disk cannot take it. What is there can still be read."""

    code = "RH_STORE_READ_ONLY"
    number = UNAVAILABLE

    def __init__(self, path: object, why: str) -> None:
        super().__init__(
            f"Nothing can be kept now: {path} cannot be written ({why}). Free space on its disk, or make it writable. "
            "What is there can be read, calls go on, and it is tried again by itself: nothing needs to be restarted.",
            path=str(path),
            why=why,
        )


class StoreBusy(RoundhouseError):
    """Another process keeps the store for itself, longer than anybody needs it."""

    code = "RH_STORE_BUSY"
    number = UNAVAILABLE
    retryable = True

    def __init__(self, path: object, seconds: float) -> None:
        super().__init__(
            f"Another process has kept {path} locked for {seconds:.0f} s. Try again; if that does not help, find the "
            f"process (`fuser {path}`) and end it.",
            path=str(path),
        )


class StoreTooNew(RoundhouseError):
    """The store was written by a Roundhouse that knows more than this one."""

    code = "RH_STORE_TOO_NEW"

    def __init__(self, path: object, found: int, known: int) -> None:
        super().__init__(
            f"{path} was written by a newer Roundhouse (form {found}; this one knows {known}) and was left as it is. "
            "Update Roundhouse, or use another home: --home FOLDER.",
            path=str(path),
            found=found,
            known=known,
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`": did you mean 'git'?"` for the closest known name, else a full stop."""
    close = get_close_matches(name, list(islice(known, COMPARED)), n=1, cutoff=0.6)
    return f": did you mean {close[0]!r}?" if close else "."


def with_stderr(message: str, lines: Sequence[str]) -> str:
    """The message, followed by the last lines a server wrote to stderr, where there are any."""
    return f"{message} Its last lines on stderr: {' | '.join(lines)}" if lines else message
