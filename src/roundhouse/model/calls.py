"""Who calls, and what became of a call."""

from __future__ import annotations

from dataclasses import dataclass

KEPT = 16 * 1024  # bytes of arguments and of a result that the call log keeps


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody connected to the house.

    Attributes:
        id: unique among all there are.
        name: what it calls itself.
        person: it is the command line, where a person decides; everybody else may only propose.
    """

    id: str
    name: str = "a client"
    person: bool = False
    pid: int = 0
    cwd: str = ""
    version: str = ""  # of the front, not of the client behind it


@dataclass(frozen=True, slots=True)
class CallFinished:
    """One call of a server's tool, answered or not.

    Attributes:
        tool: the server's own name of it, as JSON.
        started: seconds since the epoch.
        outcome: "ok", "tool_error" (the tool said so itself) or "error" (there was no result).
        code: of the error, ours or JSON-RPC's.
        sent, received: bytes of arguments and result.
        arguments, result: the first `KEPT` bytes of them.
    """

    server: str
    tool: bytes
    client: str
    started: float
    seconds: float
    outcome: str
    code: str
    sent: int
    received: int
    arguments: bytes
    result: bytes
