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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`": did you mean 'git'?"` for the closest known name, else a full stop."""
    close = get_close_matches(name, list(islice(known, COMPARED)), n=1, cutoff=0.6)
    return f": did you mean {close[0]!r}?" if close else "."


def with_stderr(message: str, lines: Sequence[str]) -> str:
    """The message, followed by the last lines a server wrote to stderr, where there are any."""
    return f"{message} Its last lines on stderr: {' | '.join(lines)}" if lines else message
